//! `publish`: everything that is staged goes to the server.

use std::collections::BTreeSet;

use clap::Args;
use signet_tuf::Gun;
use time::OffsetDateTime;

use super::{
    names::gun,
    plan::{self, As},
};
use crate::{
    collection::{errand::Errand, publish as publication},
    context::Context,
    exit::CliError,
    trustdir::GunDir,
};

/// Publishes the local trusted collection.
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// Leave these changes staged, by their numbers in `status`
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    skip: Vec<usize>,
    /// Show what would be signed and published, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: print JSON
    #[arg(long, requires = "dry_run")]
    json: bool,
}

/// Runs `publish`.
///
/// # Errors
/// [`CliError`]; what is not published stays staged.
pub async fn run(context: &mut Context, args: PublishArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let skip = files(&GunDir::new(&context.trust_dir, &gun), &args.skip)?;
    let errand = Errand::Staged { skip };
    if args.dry_run {
        let shape = if args.json { As::Json } else { As::Text };
        return plan::show(context, &gun, &errand, Vec::new(), &[], shape).await;
    }
    context.out.line(&format!("Pushing changes to {gun}"))?;
    publish(context, &gun, &errand).await
}

/// What `-p` of other commands does: publishes everything that is staged, not only their own change.
pub(super) async fn automatically(context: &mut Context, gun: &Gun) -> Result<(), CliError> {
    context.out.line(&format!("Auto-publishing changes to {gun}"))?;
    publish(context, gun, &Errand::staged()).await
}

async fn publish(context: &mut Context, gun: &Gun, errand: &Errand) -> Result<(), CliError> {
    publication::publish(context, gun, errand, OffsetDateTime::now_utc()).await?;
    context.out.line(&format!("Successfully published changes for repository {gun}"))
}

/// The files of the staged changes with these numbers: numbers change when something is published.
fn files(dir: &GunDir, numbers: &[usize]) -> Result<BTreeSet<String>, CliError> {
    let staged = if numbers.is_empty() { Vec::new() } else { dir.changes()? };
    let file = |number: &usize| {
        staged.get(*number).map(|change| change.name.clone()).ok_or_else(|| {
            let message = format!("no staged change has the number {number}");
            CliError::with_remedy(message, format!("`status {}` shows the numbers", dir.gun()))
        })
    };
    numbers.iter().map(file).collect()
}
