//! `reset`: takes staged changes back.

use clap::Args;

use super::names::gun;
use crate::{context::Context, exit::CliError, trustdir::GunDir};

/// Resets unpublished changes to the local trusted collection.
#[derive(Debug, Args)]
pub struct ResetArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// Numbers of the changes, as `status` shows them
    #[arg(short = 'n', long = "number", value_delimiter = ',', value_name = "INTS", required_unless_present = "all")]
    numbers: Vec<usize>,
    /// Every change
    #[arg(long, conflicts_with = "numbers")]
    all: bool,
}

/// Runs `reset`.
///
/// # Errors
/// [`CliError`] names a number that no change has; nothing is reset then.
pub async fn run(context: &mut Context, args: ResetArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let dir = GunDir::new(&context.trust_dir, &gun);
    if args.all {
        dir.unstage_all()?;
    } else {
        let staged = dir.changes()?;
        let chosen = args.numbers.iter().map(|number| {
            let change = staged.get(*number).ok_or_else(|| unknown(*number, staged.len()))?;
            Ok((change.name.clone(), change.digest))
        });
        let chosen = chosen.collect::<Result<Vec<_>, CliError>>()?;
        dir.unstage(&chosen, &staged)?;
    }
    context.out.line(&format!("Successfully reset specified changes for repository {gun}"))
}

fn unknown(number: usize, staged: usize) -> CliError {
    let there = match staged.checked_sub(1) {
        None => "nothing is staged".to_owned(),
        Some(0) => "there is only change 0".to_owned(),
        Some(last) => format!("there are changes 0 to {last}"),
    };
    CliError::with_remedy(format!("there is no staged change {number}: {there}"), "see `status`; nothing was reset")
}
