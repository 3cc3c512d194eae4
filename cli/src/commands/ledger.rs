//! `ledger abandon`: gives up a signed root that never got out.

use clap::{Args, Subcommand};
use signet_tuf::Gun;

use super::names::gun;
use crate::{
    collection::abandon::{SignedRoot, abandoned, last_signed_root, published_roots},
    context::Context,
    exit::CliError,
    prompt::Answer,
    server::{Access, Server},
    trustdir::GunDir,
};

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
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
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
    match args.command {
        LedgerCommand::Abandon(args) => abandon(context, &args).await,
    }
}

async fn abandon(context: &mut Context, args: &AbandonArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let dir = GunDir::new(&context.trust_dir, &gun);
    let _lock = dir.lock().await?;
    let Some(root) = last_signed_root(context, &gun).await? else {
        return Err(CliError::failed(format!("this agent has signed no root of {gun} that could be given up")));
    };
    let server = Server::new(&context.server, Access::Read)?;
    let chain = published_roots(&server, &gun, root).await?;
    if args.yes {
        context.out.line("Confirmed `yes` from flag")?;
    } else {
        agree(context, &gun, root)?;
    }
    let record = abandoned(context, &dir, root, chain).await?;
    context.out.line(&format!("Gave up root version {} of {gun}, record {record}", root.version))
}

fn agree(context: &mut Context, gun: &Gun, root: SignedRoot) -> Result<(), CliError> {
    let question = format!(
        "Root version {} of {gun} is signed (SHA-256 {}) and not published.\n\
         If its bytes left this machine, somebody could still publish them.\n\
         Are you sure you want to give it up?  (yes/no)  ",
        root.version, root.digest
    );
    match context.prompt.confirm(&question)? {
        Answer::Yes => Ok(()),
        Answer::No => Err(CliError::Aborted),
    }
}
