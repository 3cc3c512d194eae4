//! `delegation purge`: stages the removal of keys from every delegation.

use clap::Args;

use super::{key_ids, said_of_unknown};
use crate::{
    collection::outlook::Outlook,
    commands::{
        names::gun,
        staging::{Then, stage},
    },
    context::Context,
    exit::CliError,
    trustdir::{GunDir, change::Change, edit::Edit},
};

/// Notary's wildcard for everything below `targets`.
const EVERY_DELEGATION: &str = "targets/*";

/// Arguments of `delegation purge`.
#[derive(Debug, Args)]
pub(super) struct PurgeArgs {
    /// Globally unique name of the collection
    #[arg(value_name = "GUN")]
    gun: String,
    /// IDs of the keys to remove, as `delegation list` shows them
    #[arg(long = "key", value_delimiter = ',', required = true, value_name = "KEYIDS")]
    keys: Vec<String>,
    #[command(flatten)]
    then: Then,
}

/// Runs `delegation purge`.
///
/// # Errors
/// [`CliError`] names what is no key ID; nothing is staged then.
pub(super) async fn run(context: &mut Context, args: PurgeArgs) -> Result<(), CliError> {
    let gun = gun(&args.gun)?;
    let ids = key_ids(&args.keys)?;
    warn(&Outlook::of(&GunDir::new(&context.trust_dir, &gun)), &ids);
    let change = Change::take_from_delegation(EVERY_DELEGATION, &Edit::remove_keys(ids.clone()));
    let said = format!(
        "Removal of the following keys from all delegations in {gun} staged for next publish:\n\t- {}",
        ids.join("\n\t- ")
    );
    stage(context, &gun, vec![change], &said, &args.then).await
}

/// Says which keys nobody has, and which delegations will be left without enough.
fn warn(outlook: &Outlook, ids: &[String]) {
    if !outlook.is_informed() {
        return;
    }
    for id in ids.iter().filter(|id| !outlook.knows_key(id)) {
        tracing::warn!("{}", said_of_unknown(outlook, "the collection", id));
    }
    for (role, before) in outlook.delegations() {
        let mut left = before.clone();
        left.drop_keys(ids);
        if left.keys.len() < before.keys.len() && left.is_short_of_keys() {
            let (left, threshold) = (left.keys.len(), left.threshold);
            tracing::warn!("{role} is left with {left} of the {threshold} keys that must sign");
        }
    }
}
