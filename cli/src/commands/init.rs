//! `init`: makes a collection, here.

use clap::Args;
use time::OffsetDateTime;

use super::{key, names::gun};
use crate::{
    collection::init::{NewCollection, RootKey, SnapshotKey, Wish, init, root_key, why_not_root},
    commands::publish,
    context::Context,
    exit::CliError,
};

/// Initializes a trusted collection.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// Auto-publish staged changes
    #[arg(short = 'p', long)]
    publish: bool,
    /// Make a second collection under a name that was used before
    #[arg(long)]
    new_collection: bool,
    /// ID of the root key to use, or the beginning of it. Without it: a root key on a token before one in a file, and of
    /// several the one with the smallest ID; a new one if there is none
    #[arg(long, value_name = "KEYID")]
    root: Option<String>,
    /// Let the server keep the snapshot key and sign snapshots
    #[arg(long)]
    server_managed_snapshot: bool,
}

/// The root key that was named.
async fn chosen(context: &mut Context, id: &str) -> Result<RootKey, CliError> {
    let key = key::find(&context.agent.keys().await?, id)?;
    match why_not_root(&key) {
        None => Ok(RootKey::Found(key.key_id)),
        Some(why) => {
            let message = format!("key {} cannot be the root key: {why}", key.key_id);
            Err(CliError::with_remedy(message, "name another with --root, or none; nothing was made"))
        }
    }
}

/// Runs `init`.
///
/// # Errors
/// [`CliError`]; the keys that were made before it stopped are named.
pub async fn run(context: &mut Context, args: InitArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let now = OffsetDateTime::now_utc();
    let key = match &args.root {
        Some(id) => chosen(context, id).await?,
        None => root_key(context).await?,
    };
    if let RootKey::Found(id) = &key {
        context.out.line(&format!("Root key found, using: {id}"))?;
    }
    let wish = Wish {
        snapshot: if args.server_managed_snapshot { SnapshotKey::Servers } else { SnapshotKey::Ours },
        new_collection: if args.new_collection { NewCollection::Accept } else { NewCollection::Ask },
    };
    init(context, &gun, key, wish, now).await?;
    if args.publish { publish::automatically(context, &gun).await } else { Ok(()) }
}
