//! `init`: makes a collection, here.

use clap::Args;
use time::OffsetDateTime;

use super::names::gun;
use crate::{
    collection::init::{NewCollection, RootKey, SnapshotKey, Wish, init, root_key},
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
    /// Let the server keep the snapshot key and sign snapshots
    #[arg(long)]
    server_managed_snapshot: bool,
}

/// Runs `init`.
///
/// # Errors
/// [`CliError`]; the keys that were made before it stopped are named.
pub async fn run(context: &mut Context, args: InitArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let now = OffsetDateTime::now_utc();
    let key = root_key(context).await?;
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
