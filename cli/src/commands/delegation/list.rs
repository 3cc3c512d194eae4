//! `delegation list`: who may sign for which names.

use clap::Args;
use serde_json::{Value, json};
use signet_tuf::{Delegations, Gun};

use super::paths::shown;
use crate::{
    collection::search::{self, Granted},
    commands::{list::load, names::gun},
    context::Context,
    exit::{CliError, Face},
};

/// Arguments of `delegation list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// Print a JSON array of role, paths, keys and threshold
    #[arg(long)]
    json: bool,
}

/// Runs `delegation list`.
///
/// # Errors
/// [`CliError`] if the collection cannot be had or trusted.
pub(super) async fn run(context: &mut Context, args: ListArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let trusted = load(context, &gun).await.map_err(|error| in_face(context.face, &gun, error))?;
    let tree = trusted.tree();
    let mut granted = search::delegations(&tree);
    granted.sort_by(|one, other| one.role.name.as_str().cmp(other.role.name.as_str()));
    if args.json {
        return context.out.json(&granted.iter().map(as_json).collect());
    }
    context.out.line("")?;
    if granted.is_empty() {
        context.out.line("\nNo delegations present in this repository.\n")?;
    } else {
        let rows: Vec<_> = granted.iter().flat_map(rows).collect();
        context.out.table(&["ROLE", "PATHS", "KEY IDS", "THRESHOLD"], &rows)?;
    }
    context.out.line("")
}

fn in_face(face: Face, gun: &Gun, error: CliError) -> CliError {
    match face {
        Face::Notary => error.as_notary_after(&format!("Error retrieving delegation roles for repository {gun}: ")),
        Face::Signet => error,
    }
}

/// A delegation is as many rows as it has paths or keys.
fn rows(granted: &Granted<'_>) -> Vec<Vec<String>> {
    let (paths, keys) = (shown(&granted.role.paths), canonical(granted));
    let cell = |column: &[String], row: usize| column.get(row).cloned().unwrap_or_default();
    let row = |row: usize| {
        let first = |text: String| if row == 0 { text } else { String::new() };
        vec![
            first(granted.role.name.to_string()),
            cell(&paths, row),
            cell(&keys, row),
            first(granted.role.threshold.to_string()),
        ]
    };
    (0..paths.len().max(keys.len()).max(1)).map(row).collect()
}

/// The IDs by which private keys are known, in the order of the metadata.
fn canonical(granted: &Granted<'_>) -> Vec<String> {
    let Delegations { keys, .. } = granted.delegations;
    let known = granted.role.key_ids.iter().filter_map(|id| keys.get(id));
    known.map(|key| key.canonical_id().to_string()).collect()
}

fn as_json(granted: &Granted<'_>) -> Value {
    let Delegations { keys, .. } = granted.delegations;
    let key = |id| {
        let key = keys.get(id)?;
        let certificate = key.certificate().map(|certificate| {
            json!({
                "common_name": certificate.common_name(),
                "not_before": certificate.not_before().date().to_string(),
                "not_after": certificate.not_after().date().to_string(),
            })
        });
        Some(json!({
            "key_id": key.canonical_id().to_string(),
            "metadata_key_id": key.key_id().to_string(),
            "type": key.key_type().as_str(),
            "algorithm": key.algorithm().to_string(),
            "certificate": certificate,
        }))
    };
    json!({
        "role": granted.role.name.as_str(),
        "paths": granted.role.paths,
        "threshold": granted.role.threshold,
        "keys": granted.role.key_ids.iter().filter_map(key).collect::<Vec<_>>(),
    })
}
