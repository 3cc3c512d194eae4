//! `key`: one file for each of its verbs.

mod export;
mod generate;
pub(super) mod import;
mod list;
mod outside;
mod passwd;
mod piv;
mod remove;
mod request;
mod rotate;

pub(super) use self::generate::whereabouts;

use clap::{Args, Subcommand};
use signet_proto::v1;

use crate::{context::Context, exit::CliError};

/// Arguments of `key`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct KeyArgs {
    /// What to do.
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// List keys: roles, collections, IDs and where they are
    List(list::ListArgs),
    /// Make a key
    Generate(generate::GenerateArgs),
    /// Take in private keys from PEM files
    Import(import::ImportArgs),
    /// Write key files, encrypted as they are, for another trust directory
    Export(export::ExportArgs),
    /// Make a request (PKCS #10) by which a certificate authority certifies a root key for a collection
    Request(request::RequestArgs),
    /// Change the passphrase of a key file
    Passwd(passwd::PasswdArgs),
    /// Give a role of a collection other keys, and publish that
    Rotate(rotate::RotateArgs),
    /// Remove a key file
    Remove(remove::RemoveArgs),
}

/// Runs `key`.
///
/// # Errors
/// [`CliError`]
pub async fn run(context: &mut Context, args: KeyArgs) -> Result<(), CliError> {
    match args.command {
        KeyCommand::List(args) => list::run(context, args).await,
        KeyCommand::Generate(args) => generate::run(context, args).await,
        KeyCommand::Import(args) => import::run(context, args).await,
        KeyCommand::Export(args) => export::run(context, args).await,
        KeyCommand::Request(args) => request::run(context, args).await,
        KeyCommand::Passwd(args) => passwd::run(context, args).await,
        KeyCommand::Rotate(args) => rotate::run(context, args).await,
        KeyCommand::Remove(args) => remove::run(context, args).await,
    }
}

/// The key of that ID, or of the only ID that begins so.
pub(super) fn find(keys: &[v1::Key], id: &str) -> Result<v1::Key, CliError> {
    const SHORTEST: usize = 7;
    let id = id.to_ascii_lowercase();
    if !(SHORTEST..=64).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let remedy = format!("a key ID has 64 hex digits, of which {SHORTEST} are enough if no other key begins so");
        return Err(CliError::with_remedy(format!("invalid key ID provided: {id}"), remedy));
    }
    let mut found = keys.iter().filter(|key| key.key_id.starts_with(&id));
    match (found.next(), found.next()) {
        (Some(key), None) => Ok(key.clone()),
        (Some(_), Some(_)) => {
            Err(CliError::with_remedy(format!("several keys have IDs that begin with {id}"), "give more digits"))
        }
        (None, _) => Err(CliError::with_remedy(format!("No key with ID {id} found"), "see `key list`")),
    }
}

/// The path of a key's file, if it has one.
fn file_of(key: &v1::Key) -> Option<&v1::Place> {
    key.places.iter().find(|place| place.uri.starts_with("file:"))
}

#[cfg(test)]
mod tests {
    use signet_proto::v1;

    use super::find;

    #[test]
    fn a_key_is_found_by_the_beginning_of_its_id() {
        let key = |id: &str| v1::Key { key_id: id.repeat(32), ..v1::Key::default() };
        let mut twin = key("ab");
        twin.key_id.replace_range(60.., "0000");
        let keys = [key("ab"), twin, key("cd")];
        for (id, found) in [
            ("cdcdcdc", Some("cd")),
            ("CDCDCDCD", Some("cd")),
            ("abababa", None),
            ("cdcdcd", None),
            ("efefefe", None),
            ("xyzxyzx", None),
            ("", None),
        ] {
            assert_eq!(find(&keys, id).ok().map(|key| key.key_id), found.map(|id| id.repeat(32)), "{id}");
        }
        assert!(find(&keys, &"ab".repeat(32)).is_ok());
    }
}
