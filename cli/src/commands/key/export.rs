//! `key export`.

use std::path::PathBuf;

use clap::Args;
use signet_proto::v1;

use super::{file_of, find};
use crate::{
    commands::new_file::{OWNERS, failed, write_new},
    context::Context,
    exit::CliError,
};

/// Arguments of `key export`.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Only keys of these collections
    #[arg(long = "gun", value_delimiter = ',', value_name = "LIST", conflicts_with = "keys")]
    guns: Vec<String>,
    /// Only these keys
    #[arg(long = "key", value_delimiter = ',', value_name = "IDLIST")]
    keys: Vec<String>,
    /// Write to a new file, instead of STDOUT
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs `key export`. Keys stay encrypted; those on tokens cannot leave them.
///
/// # Errors
/// [`CliError`] names a key that is not there or has no file; nothing is written then.
pub(super) async fn run(context: &mut Context, args: ExportArgs) -> Result<(), CliError> {
    let keys = context.agent.keys().await?;
    let mut text = Vec::new();
    for key in chosen(&keys, &args)? {
        text.extend(context.agent.export(&key.key_id).await?);
    }
    match &args.output {
        Some(path) => write_new(path, &text, OWNERS).map_err(|error| failed(path, &error)),
        None => context.out.bytes(&text),
    }
}

fn chosen(keys: &[v1::Key], args: &ExportArgs) -> Result<Vec<v1::Key>, CliError> {
    if args.keys.is_empty() {
        let wanted = |key: &&v1::Key| args.guns.is_empty() || args.guns.contains(&key.gun);
        let chosen: Vec<_> = keys.iter().filter(|key| file_of(key).is_some()).filter(wanted).cloned().collect();
        if chosen.is_empty() {
            return Err(CliError::with_remedy("there is no key file to export", "see `key list`"));
        }
        return Ok(chosen);
    }
    let named = args.keys.iter().map(|id| {
        let key = find(keys, id)?;
        match file_of(&key) {
            Some(_) => Ok(key),
            None => Err(CliError::failed(format!("key {} is on a token and cannot leave it", key.key_id))),
        }
    });
    named.collect()
}
