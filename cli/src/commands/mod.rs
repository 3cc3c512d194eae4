//! One file for each command: its arguments and its story.
//!
//! Each has `pub struct <Name>Args` (derives `clap::Args`) and `pub async fn run(context: &mut Context, args: <Name>Args)`.

pub mod add;
pub mod addhash;
pub mod agent;
pub mod audit;
pub mod completion;
pub mod delegation;
pub mod delete;
pub mod init;
pub mod key;
pub mod ledger;
pub mod list;
pub mod lookup;
mod names;
mod new_file;
mod plan;
pub mod publish;
pub mod remove;
pub mod renew;
pub mod reset;
mod secret_file;
pub mod staging;
pub mod status;
pub mod target;
pub mod token;
pub mod verify;
pub mod version;
pub mod witness;

use crate::{args::Command, context::Context, exit::CliError};

/// Runs a command.
///
/// # Errors
/// [`CliError`]
pub async fn run(context: &mut Context, command: Command) -> Result<(), CliError> {
    match command {
        Command::Init(args) => init::run(context, args).await,
        Command::Add(args) => add::run(context, args).await,
        Command::Addhash(args) => addhash::run(context, args).await,
        Command::Remove(args) => remove::run(context, args).await,
        Command::Status(args) => status::run(context, args).await,
        Command::Reset(args) => reset::run(context, args).await,
        Command::Publish(args) => publish::run(context, args).await,
        Command::Renew(args) => renew::run(context, args).await,
        Command::List(args) => list::run(context, args).await,
        Command::Lookup(args) => lookup::run(context, args).await,
        Command::Verify(args) => verify::run(context, args).await,
        Command::Delegation(args) => delegation::run(context, args).await,
        Command::Witness(args) => witness::run(context, args).await,
        Command::Delete(args) => delete::run(context, args).await,
        Command::Key(args) => key::run(context, args).await,
        Command::Token(args) => token::run(context, args).await,
        Command::Agent(args) => agent::run(context, args).await,
        Command::Audit(args) => audit::run(context, args).await,
        Command::Ledger(args) => ledger::run(context, args).await,
        Command::Completion(args) => completion::run(context, &args),
        Command::Version(args) => version::run(context, &args),
    }
}
