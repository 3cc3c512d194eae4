//! `remove`: stages the removal of a target.

use clap::Args;

use super::{
    names::{gun, holding_roles},
    staging::{Then, stage},
};
use crate::{context::Context, exit::CliError, trustdir::change::Change};

/// Removes a target from a trusted collection.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// Name of the target
    #[arg(value_name = "TARGET")]
    target: String,
    /// Delegation roles to remove this target from
    #[arg(short = 'r', long, value_delimiter = ',', value_name = "ROLES")]
    roles: Vec<String>,
    #[command(flatten)]
    then: Then,
}

/// Runs `remove`.
///
/// # Errors
/// [`CliError`] names the role that cannot hold targets.
pub async fn run(context: &mut Context, args: RemoveArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let roles = holding_roles(&args.roles)?;
    let changes = roles.iter().map(|role| Change::remove_target(role.as_str(), &args.target)).collect();
    let said = format!("Removal of {} from {gun} staged for next publish.", args.target);
    stage(context, &gun, changes, &said, &args.then).await
}
