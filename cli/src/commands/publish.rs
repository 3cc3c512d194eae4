//! `publish`: everything that is staged goes to the server.

use clap::Args;
use signet_tuf::Gun;
use time::OffsetDateTime;

use super::names::gun;
use crate::{collection, context::Context, exit::CliError};

/// Publishes the local trusted collection.
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
}

/// Runs `publish`.
///
/// # Errors
/// [`CliError`]; what is not published stays staged.
pub async fn run(context: &mut Context, args: PublishArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    context.out.line(&format!("Pushing changes to {gun}"))?;
    publish(context, &gun).await
}

/// What `-p` of other commands does: publishes everything that is staged, not only their own change.
pub(super) async fn automatically(context: &mut Context, gun: &Gun) -> Result<(), CliError> {
    context.out.line(&format!("Auto-publishing changes to {gun}"))?;
    publish(context, gun).await
}

async fn publish(context: &mut Context, gun: &Gun) -> Result<(), CliError> {
    collection::publish::publish(context, gun, OffsetDateTime::now_utc()).await?;
    context.out.line(&format!("Successfully published changes for repository {gun}"))
}
