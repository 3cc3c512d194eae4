//! `delegation`: one file for each of its verbs.

mod add;
mod chain;
mod list;
mod paths;
mod pem;
mod purge;
mod remove;

use clap::{Args, Subcommand};
use signet_tuf::KeyId;

use crate::{collection::outlook::Outlook, context::Context, exit::CliError};

/// Arguments of `delegation`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct DelegationArgs {
    /// What to do.
    #[command(subcommand)]
    command: DelegationCommand,
}

#[derive(Debug, Subcommand)]
enum DelegationCommand {
    /// List the delegations of a collection, the nested ones too
    List(list::ListArgs),
    /// Stage keys or paths for a delegation, which is made if need be
    Add(add::AddArgs),
    /// Stage the removal of keys, of paths, or of a whole delegation
    Remove(remove::RemoveArgs),
    /// Stage the removal of keys from every delegation
    Purge(purge::PurgeArgs),
}

/// Runs `delegation`.
///
/// # Errors
/// [`CliError`]
pub async fn run(context: &mut Context, args: DelegationArgs) -> Result<(), CliError> {
    match args.command {
        DelegationCommand::List(args) => list::run(context, args).await,
        DelegationCommand::Add(args) => add::run(context, args).await,
        DelegationCommand::Remove(args) => remove::run(context, args).await,
        DelegationCommand::Purge(args) => purge::run(context, args).await,
    }
}

/// Canonical key IDs, as Notary writes them: in small letters, each one once.
fn key_ids(texts: &[String]) -> Result<Vec<String>, CliError> {
    let mut ids: Vec<String> = Vec::new();
    for text in texts {
        let id: KeyId = text.trim().parse().map_err(|_| {
            CliError::with_remedy(
                format!("invalid key ID provided: {text}"),
                "a key ID has 64 hex digits, see `delegation list`; nothing was staged",
            )
        })?;
        if !ids.contains(&id.to_string()) {
            ids.push(id.to_string());
        }
    }
    Ok(ids)
}

/// The canonical ID of a known key whose ID in metadata was given instead.
fn canonical(outlook: &Outlook, id: &str) -> Option<KeyId> {
    let mut keys = outlook.delegations().flat_map(|(_, listed)| &listed.keys);
    keys.find(|(listed, canonical)| listed.to_string() == id && listed != canonical).map(|(_, canonical)| *canonical)
}

/// What is said of a key ID that is not there.
fn said_of_unknown(outlook: &Outlook, place: &str, id: &str) -> String {
    match canonical(outlook, id) {
        Some(canonical) => {
            format!("{id} is how metadata names a certificate; its key is {canonical}, and only that ID removes it")
        }
        None => format!("{place} has no key {id}, as far as it is known here; see `delegation list`"),
    }
}
