//! `delete`: forgets a collection here, and on the server if that is wanted. Private keys are never touched.

use clap::Args;

use super::names::gun;
use crate::{collection::link::Link, context::Context, exit::CliError, trustdir::GunDir};

/// Deletes the trust data of a collection; keys stay.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// Delete it on the server as well
    #[arg(long)]
    remote: bool,
}

/// Runs `delete`.
///
/// # Errors
/// [`CliError`]; if the server does not delete it, nothing is deleted here either.
pub async fn run(context: &mut Context, args: DeleteArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let dir = GunDir::new(&context.trust_dir, &gun);
    context.out.line(&format!("Deleting trust data for repository {gun}"))?;
    if args.remote {
        Link::open(&context.server).await?.online()?.delete(&gun).await?;
    }
    dir.delete().await?;
    let remote = if args.remote { " and remote" } else { "" };
    context.out.line(&format!("Successfully deleted local{remote} trust data for repository {gun}"))
}
