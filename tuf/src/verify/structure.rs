//! What must hold inside one metadata file.

use std::collections::{BTreeMap, BTreeSet};

use super::{VerifyError, count};
use crate::ids::{KeyId, KeyName};
use crate::key::PublicKey;
use crate::metadata::{FileMeta, Metadata, Root, Snapshot, Targets};
use crate::names::Role;

/// Checks what must hold inside metadata of `role` whoever signed it, as Notary's server does.
///
/// # Errors
/// [`VerifyError`] by the rule that is broken. That a delegation lists fewer keys than its threshold is lawful: readers skip it.
pub fn structure(role: &Role, metadata: &Metadata) -> Result<(), VerifyError> {
    match (role, metadata) {
        (Role::Root, Metadata::Root(root)) => root_structure(root),
        (Role::Targets | Role::Delegation(_), Metadata::Targets(targets)) => targets_structure(role, targets),
        (Role::Snapshot, Metadata::Snapshot(snapshot)) => snapshot_structure(snapshot),
        (Role::Timestamp, Metadata::Timestamp(timestamp)) => {
            named_by_sha256(&Role::Snapshot, Some(&timestamp.snapshot))
        }
        (
            Role::Root | Role::Targets | Role::Delegation(_) | Role::Snapshot | Role::Timestamp,
            Metadata::Root(_) | Metadata::Targets(_) | Metadata::Snapshot(_) | Metadata::Timestamp(_),
        ) => Err(VerifyError::WrongRole { role: role.clone() }),
    }
}

fn root_structure(root: &Root) -> Result<(), VerifyError> {
    let roles = [
        (Role::Root, &root.root),
        (Role::Targets, &root.targets),
        (Role::Snapshot, &root.snapshot),
        (Role::Timestamp, &root.timestamp),
    ];
    for (role, listed) in roles {
        let keys = distinct_keys(&role, &listed.key_ids, &root.keys)?;
        positive_threshold(&role, listed.threshold)?;
        if keys < listed.threshold {
            return Err(VerifyError::TooFewKeys { role, keys, threshold: listed.threshold });
        }
    }
    Ok(())
}

fn targets_structure(parent: &Role, targets: &Targets) -> Result<(), VerifyError> {
    let mut seen = BTreeSet::new();
    for delegated in &targets.delegations.roles {
        let name = &delegated.name;
        if name.parent() != *parent {
            return Err(VerifyError::NotAChild { parent: parent.clone(), name: name.clone() });
        }
        if !seen.insert(name) {
            return Err(VerifyError::ListedTwice { name: name.clone() });
        }
        let role = Role::Delegation(name.clone());
        positive_threshold(&role, delegated.threshold)?;
        distinct_keys(&role, &delegated.key_ids, &targets.delegations.keys)?;
    }
    Ok(())
}

fn snapshot_structure(snapshot: &Snapshot) -> Result<(), VerifyError> {
    [Role::Root, Role::Targets].iter().try_for_each(|role| named_by_sha256(role, snapshot.meta.get(role)))
}

fn named_by_sha256(role: &Role, file: Option<&FileMeta>) -> Result<(), VerifyError> {
    match file.and_then(|file| file.hashes.sha256) {
        Some(_) => Ok(()),
        None => Err(VerifyError::MissingFile { role: role.clone() }),
    }
}

fn positive_threshold(role: &Role, threshold: u32) -> Result<(), VerifyError> {
    if threshold == 0 { Err(VerifyError::ZeroThreshold { role: role.clone() }) } else { Ok(()) }
}

fn distinct_keys(role: &Role, ids: &[KeyId], keys: &BTreeMap<KeyId, PublicKey>) -> Result<u32, VerifyError> {
    let missing = |id: &KeyId| VerifyError::MissingKey { role: role.clone(), key_id: *id };
    let names: BTreeSet<KeyName> =
        ids.iter().map(|id| keys.get(id).map(PublicKey::name).ok_or_else(|| missing(id))).collect::<Result<_, _>>()?;
    Ok(count(&names))
}
