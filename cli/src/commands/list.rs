//! `list`: every target that the collection vouches for.

use clap::Args;
use serde_json::{Map, Value, json};
use signet_tuf::{Gun, Hashes, Role, json};
use time::OffsetDateTime;

use super::names::{gun, subtree_roles};
use crate::{
    collection::{
        Ahead, Trusted,
        link::Link,
        search,
        update::{Purpose, Update},
    },
    config::Reading,
    context::Context,
    exit::CliError,
    trustdir::GunDir,
};

/// Lists targets for a remote trusted collection.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// Delegation roles to list targets for, in order of priority
    #[arg(short = 'r', long, value_delimiter = ',', value_name = "ROLES")]
    roles: Vec<String>,
    /// Print a JSON array of name, length, hashes (hex), role and custom data
    #[arg(long)]
    json: bool,
}

/// Runs `list`.
///
/// # Errors
/// [`CliError`] if the collection cannot be had or trusted.
pub async fn run(context: &mut Context, args: ListArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let roles = subtree_roles(&args.roles)?;
    let trusted = load(context, &gun).await?;
    let found = match (context.reading, roles.is_empty()) {
        (Reading::Released, true) => search::released(&trusted.tree()),
        (Reading::Released | Reading::Everything, _) => search::all(&trusted.tree(), &roles),
    };
    if args.json {
        return context.out.json(&found.iter().map(as_json).collect());
    }
    if found.is_empty() {
        return context.out.line("\nNo targets present in this repository.\n");
    }
    let rows: Vec<_> = found
        .into_iter()
        .map(|found| {
            let digest = found.target.hashes.sha256.map(hex::encode).unwrap_or_default();
            vec![found.name, digest, found.target.length.to_string(), found.role.to_string()]
        })
        .collect();
    context.out.table(&["NAME", "DIGEST", "SIZE (BYTES)", "ROLE"], &rows)
}

/// The target of that name; `roles` as in [`search::one`], and if none is named, those that are read then.
pub(super) fn one(context: &Context, trusted: &Trusted, roles: &[Role], name: &str) -> Option<search::Found> {
    match (context.reading, roles.is_empty()) {
        (Reading::Released, true) => search::released(&trusted.tree()).into_iter().find(|found| found.name == name),
        (Reading::Released | Reading::Everything, _) => search::one(&trusted.tree(), roles, name),
    }
}

/// A target for `--json`.
pub(super) fn as_json(found: &search::Found) -> Value {
    let Hashes { sha256, sha512 } = &found.target.hashes;
    let hashes = [("sha256", sha256.map(hex::encode)), ("sha512", sha512.map(hex::encode))];
    let hashes: Map<String, Value> =
        hashes.into_iter().filter_map(|(name, hex)| Some((name.to_owned(), hex?.into()))).collect();
    let custom = found.target.custom.as_ref().and_then(|custom| serde_json::from_slice(&json::to_wire(custom)).ok());
    json!({
        "name": found.name,
        "length": found.target.length,
        "hashes": hashes,
        "role": found.role.as_str(),
        "custom": custom.unwrap_or(Value::Null),
    })
}

/// The collection as it is now, verified. Without a server, a valid cache will do.
pub(super) async fn load(context: &Context, gun: &Gun) -> Result<Trusted, CliError> {
    let dir = GunDir::new(&context.trust_dir, gun);
    let ahead = Ahead::start(&dir);
    let link = Link::open(&context.server).await?;
    let now = OffsetDateTime::now_utc();
    let update = Update { link: &link, dir: &dir, pinning: &context.pinning, now, purpose: Purpose::Read };
    Ok(update.run(Some(ahead)).await?)
}
