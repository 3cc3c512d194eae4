//! `ledger abandon`: gives up a signed root that never got out.

use clap::{Args, Subcommand};

use crate::{context::Context, exit::CliError};

/// Arguments of `ledger`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct LedgerArgs {
    /// What to do.
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    /// Give up a signed root that the server never accepted, so that its version can be signed again
    Abandon(AbandonArgs),
}

#[derive(Debug, Args)]
struct AbandonArgs {
    /// The collection
    gun: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Runs `ledger`.
///
/// # Errors
/// [`CliError`]
pub async fn run(context: &mut Context, args: LedgerArgs) -> Result<(), CliError> {
    let LedgerCommand::Abandon(AbandonArgs { gun, yes }) = args.command;
    let _skeleton = (context, gun, yes);
    Err(CliError::failed("ledger abandon needs the collection's outbox, which this build does not have"))
}
