//! `init`: makes a collection, here.

use std::path::{Path, PathBuf};

use clap::Args;
use signet_tuf::{Gun, Role};
use time::OffsetDateTime;

use super::{
    key::{self, import},
    names::gun,
};
use crate::{
    collection::{
        init::{NEVER_ROOT, NewCollection, RootKey, SnapshotKey, Wish, init, look, root_key, why_not_root},
        root_certificate::{at_hand, of_key},
    },
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
    /// Key file of the root key to use, encrypted; it is taken into the trust directory
    #[arg(long, value_name = "FILE", conflicts_with = "root")]
    rootkey: Option<PathBuf>,
    /// Certificate of the root key, PEM, and its intermediate ones; it must match the root key, if one is given, and else
    /// one that is at hand
    #[arg(long, value_name = "FILE")]
    rootcert: Option<PathBuf>,
    /// Let the server keep the snapshot key and sign snapshots
    #[arg(long)]
    server_managed_snapshot: bool,
    /// Show what would be made, and make nothing
    #[arg(long, conflicts_with = "publish")]
    dry_run: bool,
}

/// The root key that was named.
pub(super) async fn chosen(context: &mut Context, id: &str) -> Result<RootKey, CliError> {
    let key = key::find(&context.agent.keys().await?, id)?;
    match why_not_root(&key) {
        None => Ok(RootKey::Found(key.key_id)),
        Some(why) => {
            let message = format!("key {} cannot be the root key: {why}", key.key_id);
            Err(CliError::with_remedy(message, "name another with --root, or none; nothing was made"))
        }
    }
}

/// What `--rootkey`, `--rootcert` and `--root` say together.
async fn wanted(context: &mut Context, gun: &Gun, args: &InitArgs, now: OffsetDateTime) -> Result<RootKey, CliError> {
    let certificate = args.rootcert.as_deref();
    if let Some(path) = &args.rootkey {
        return brought(context, gun, path, certificate, now).await;
    }
    let key = match (&args.root, certificate) {
        (Some(id), _) => chosen(context, id).await?,
        (None, Some(path)) => return Ok(RootKey::Certified(at_hand(context, path, gun, now).await?)),
        (None, None) => root_key(context).await?,
    };
    match (key, certificate) {
        (RootKey::Found(id), Some(path)) => Ok(RootKey::Certified(of_key(path, gun, &id, now)?)),
        (key, _) => Ok(key),
    }
}

/// A root key from a file; one that is here already is used as it is.
async fn brought(
    context: &mut Context,
    gun: &Gun,
    path: &Path,
    certificate: Option<&Path>,
    now: OffsetDateTime,
) -> Result<RootKey, CliError> {
    let incoming = import::one_key(path, &Role::Root, None)?;
    let opened = match context.agent.open(&incoming).await {
        Ok(opened) => opened,
        Err(error) => {
            let Some(id) = import::in_the_way(&error) else { return Err(error.into()) };
            let RootKey::Found(id) = chosen(context, &id).await? else { return Err(error.into()) };
            tracing::info!("key {id} is here already");
            return Ok(match certificate {
                Some(path) => RootKey::Certified(of_key(path, gun, &id, now)?),
                None => RootKey::Found(id),
            });
        }
    };
    if opened.key.algorithm == NEVER_ROOT {
        let message = format!("{} cannot be the root key: Notary takes no {NEVER_ROOT} keys for root", path.display());
        return Err(CliError::with_remedy(message, "give an ECDSA or RSA key with --rootkey; nothing was made"));
    }
    let certificate = certificate.map(|path| of_key(path, gun, &opened.key.key_id, now)).transpose()?;
    Ok(RootKey::Brought { opened: Box::new(opened), certificate })
}

/// Runs `init`.
///
/// # Errors
/// [`CliError`]; the keys that were made before it stopped are named.
pub async fn run(context: &mut Context, args: InitArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let now = OffsetDateTime::now_utc();
    let key = wanted(context, &gun, &args, now).await?;
    let said = match &key {
        RootKey::Found(id) => Some(id.clone()),
        RootKey::Certified(public) => Some(public.canonical_id().to_string()),
        RootKey::Brought { opened, .. } => Some(opened.key.key_id.clone()),
        RootKey::ToMake => None,
    };
    let wish = Wish {
        snapshot: if args.server_managed_snapshot { SnapshotKey::Servers } else { SnapshotKey::Ours },
        new_collection: if args.new_collection { NewCollection::Accept } else { NewCollection::Ask },
    };
    if args.dry_run {
        look(context, &gun, wish).await?;
        return context.out.bytes(would_make(&gun, said.as_deref(), wish).as_bytes());
    }
    if let Some(id) = said {
        context.out.line(&format!("Root key found, using: {id}"))?;
    }
    init(context, &gun, key, wish, now).await?;
    if args.publish { publish::automatically(context, &gun).await } else { Ok(()) }
}

fn would_make(gun: &Gun, root_key: Option<&str>, wish: Wish) -> String {
    let root = root_key.map_or_else(|| "a new root key".to_owned(), |id| format!("root key {id}"));
    let snapshot = match wish.snapshot {
        SnapshotKey::Ours => "  snapshot version 1, signed by a new key\n",
        SnapshotKey::Servers => "  the server makes a snapshot key, and signs snapshots\n",
    };
    format!(
        "What would be done for {gun}; nothing is signed, made or sent:\n  \
         root version 1, signed by {root}, in a certificate for {gun}\n  \
         targets version 1, signed by a new key\n{snapshot}  \
         the server makes a timestamp key, and signs timestamps\n"
    )
}
