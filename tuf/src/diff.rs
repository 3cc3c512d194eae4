//! What changes between two versions of a role, in words for people. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::ids::KeyId;
use crate::key::PublicKey;
use crate::metadata::{DelegatedRole, Delegations, Metadata, RoleKeys, Root, Target, Targets};
use crate::names::Role;

/// One difference. Key IDs are canonical: the same key in another certificate is another key ID and the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A target that was not there.
    TargetAdded {
        /// Its name.
        name: String,
        /// Its size.
        bytes: u64,
    },
    /// A target with other content or custom data.
    TargetChanged {
        /// Its name.
        name: String,
        /// Its new size.
        bytes: u64,
    },
    /// A target that is no longer there.
    TargetRemoved {
        /// Its name.
        name: String,
    },
    /// A role that was not trusted before.
    DelegationAdded(Role),
    /// A role that is no longer trusted.
    DelegationRemoved(Role),
    /// A key that may sign for a role from now on.
    KeyAdded {
        /// The role.
        role: Role,
        /// The key.
        key: KeyId,
    },
    /// A key that may no longer sign for a role.
    KeyRemoved {
        /// The role.
        role: Role,
        /// The key.
        key: KeyId,
    },
    /// The same key under another certificate.
    CertificateChanged {
        /// The role.
        role: Role,
        /// The key.
        key: KeyId,
    },
    /// Another number of keys must sign.
    Threshold {
        /// The role.
        role: Role,
        /// How many had to.
        before: u32,
        /// How many have to from now on.
        after: u32,
    },
    /// Names that a delegation may hold from now on.
    PathAdded {
        /// The delegation.
        role: Role,
        /// The prefix.
        path: String,
    },
    /// Names that a delegation may no longer hold.
    PathRemoved {
        /// The delegation.
        role: Role,
        /// The prefix.
        path: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TargetAdded { name, bytes } => write!(f, "+ target {name:?}, {bytes} bytes"),
            Self::TargetChanged { name, bytes } => write!(f, "~ target {name:?}, {bytes} bytes"),
            Self::TargetRemoved { name } => write!(f, "- target {name:?}"),
            Self::DelegationAdded(role) => write!(f, "+ delegation {role}"),
            Self::DelegationRemoved(role) => write!(f, "- delegation {role}"),
            Self::KeyAdded { role, key } => write!(f, "+ key {key} of {role}"),
            Self::KeyRemoved { role, key } => write!(f, "- key {key} of {role}"),
            Self::CertificateChanged { role, key } => write!(f, "~ certificate of key {key} of {role}"),
            Self::Threshold { role, before, after } => write!(f, "~ threshold of {role}: {before} to {after}"),
            Self::PathAdded { role, path } => write!(f, "+ path {path:?} of {role}"),
            Self::PathRemoved { role, path } => write!(f, "- path {path:?} of {role}"),
        }
    }
}

/// The differences from `before` (none: there was nothing) to `after`, both of the same role. Snapshots and timestamps,
/// which follow from the others, have none.
#[must_use]
pub fn diff(before: Option<&Metadata>, after: &Metadata) -> Vec<Change> {
    match (before, after) {
        (Some(Metadata::Root(before)), Metadata::Root(after)) => roots(Some(before), after),
        (_, Metadata::Root(after)) => roots(None, after),
        (Some(Metadata::Targets(before)), Metadata::Targets(after)) => targets(Some(before), after),
        (_, Metadata::Targets(after)) => targets(None, after),
        (_, Metadata::Snapshot(_) | Metadata::Timestamp(_)) => Vec::new(),
    }
}

fn roots(before: Option<&Root>, after: &Root) -> Vec<Change> {
    let of = |role: &Role, root: &Root| Signers::of(root.role_keys(role)?.clone(), &root.keys).into();
    let roles = [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp];
    let changes = roles.iter().flat_map(|role| {
        let before: Option<Signers> = before.and_then(|root| of(role, root));
        let after: Option<Signers> = of(role, after);
        signers(role, &before.unwrap_or_default(), &after.unwrap_or_default())
    });
    changes.collect()
}

fn targets(before: Option<&Targets>, after: &Targets) -> Vec<Change> {
    let (no_targets, no_delegations) = (BTreeMap::new(), Delegations::default());
    let known = before.map_or(&no_targets, |before| &before.targets);
    let mut changes = entries(known, &after.targets);
    changes.extend(delegations(before.map_or(&no_delegations, |before| &before.delegations), &after.delegations));
    changes
}

fn entries(before: &BTreeMap<String, Target>, after: &BTreeMap<String, Target>) -> Vec<Change> {
    let new = after.iter().filter_map(|(name, target)| {
        let (name, bytes) = (name.clone(), target.length);
        match before.get(&name) {
            None => Some(Change::TargetAdded { name, bytes }),
            Some(known) if known != target => Some(Change::TargetChanged { name, bytes }),
            Some(_) => None,
        }
    });
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    new.chain(gone.map(|name| Change::TargetRemoved { name: name.clone() })).collect()
}

fn delegations(before: &Delegations, after: &Delegations) -> Vec<Change> {
    let mut changes = Vec::new();
    for entry in &after.roles {
        let role = Role::Delegation(entry.name.clone());
        let known = before.roles.iter().find(|known| known.name == entry.name);
        if known.is_none() {
            changes.push(Change::DelegationAdded(role.clone()));
        }
        let former = known.map(|known| Signers::of(known.role_keys(), &before.keys)).unwrap_or_default();
        changes.extend(signers(&role, &former, &Signers::of(entry.role_keys(), &after.keys)));
        changes.extend(paths(&role, known, entry));
    }
    let gone = before.roles.iter().filter(|known| !after.roles.iter().any(|entry| entry.name == known.name));
    changes.extend(gone.map(|known| Change::DelegationRemoved(Role::Delegation(known.name.clone()))));
    changes
}

fn paths(role: &Role, before: Option<&DelegatedRole>, after: &DelegatedRole) -> Vec<Change> {
    let known = before.map_or(&[][..], |before| &before.paths);
    let new = after.paths.iter().filter(|path| !known.contains(path));
    let gone = known.iter().filter(|path| !after.paths.contains(path));
    new.map(|path| Change::PathAdded { role: role.clone(), path: path.clone() })
        .chain(gone.map(|path| Change::PathRemoved { role: role.clone(), path: path.clone() }))
        .collect()
}

/// Who signs a role: IDs as listed, by canonical ID.
#[derive(Default)]
struct Signers {
    keys: BTreeMap<KeyId, BTreeSet<KeyId>>,
    threshold: Option<u32>,
}

impl Signers {
    fn of(listed: RoleKeys, keys: &BTreeMap<KeyId, PublicKey>) -> Self {
        let mut by_canonical: BTreeMap<KeyId, BTreeSet<KeyId>> = BTreeMap::new();
        for id in listed.key_ids {
            let canonical = keys.get(&id).map_or(id, PublicKey::canonical_id);
            by_canonical.entry(canonical).or_default().insert(id);
        }
        Self { keys: by_canonical, threshold: Some(listed.threshold) }
    }
}

fn signers(role: &Role, before: &Signers, after: &Signers) -> Vec<Change> {
    let role = || role.clone();
    let new = after.keys.iter().filter_map(|(key, listed)| match before.keys.get(key) {
        None => Some(Change::KeyAdded { role: role(), key: *key }),
        Some(known) if known != listed => Some(Change::CertificateChanged { role: role(), key: *key }),
        Some(_) => None,
    });
    let gone = before.keys.keys().filter(|key| !after.keys.contains_key(*key));
    let mut changes: Vec<Change> = new.collect();
    changes.extend(gone.map(|key| Change::KeyRemoved { role: role(), key: *key }));
    match (before.threshold, after.threshold) {
        (Some(before), Some(after)) if before != after => {
            changes.push(Change::Threshold { role: role(), before, after });
        }
        (None, Some(after)) if after > 1 => changes.push(Change::Threshold { role: role(), before: 1, after }),
        _ => {}
    }
    changes
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::ids::Version;
    use crate::metadata::Hashes;
    use crate::{Expires, RoleKeys};

    fn with(names: &[(&str, &[u8])], roles: Vec<DelegatedRole>) -> Metadata {
        let target =
            |content: &[u8]| Target { length: content.len() as u64, hashes: Hashes::of(content), custom: None };
        Metadata::Targets(Targets {
            version: Version::FIRST,
            expires: Expires::at(datetime!(2030-01-01 0:00 UTC)),
            targets: names.iter().map(|(name, content)| ((*name).to_owned(), target(content))).collect(),
            delegations: Delegations { keys: BTreeMap::new(), roles },
        })
    }

    fn delegation(name: &str, keys: &[u8], paths: &[&str], threshold: u32) -> DelegatedRole {
        DelegatedRole {
            name: name.parse().unwrap(),
            key_ids: keys.iter().map(|key| KeyId::from_bytes([*key; 32])).collect(),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            threshold,
        }
    }

    fn words(before: Option<&Metadata>, after: &Metadata) -> Vec<String> {
        let short = |change: &Change| change.to_string().replace(&"01".repeat(32), "1").replace(&"02".repeat(32), "2");
        diff(before, after).iter().map(short).collect()
    }

    #[test]
    fn targets_and_delegations_are_compared_by_name() {
        let before =
            with(&[("a", b"1"), ("b", b"2"), ("c", b"3")], vec![delegation("targets/r", &[1], &["x/", "y/"], 1)]);
        let after = with(
            &[("a", b"1"), ("b", b"22"), ("d\n", b"4")],
            vec![delegation("targets/r", &[1, 2], &["y/", ""], 2), delegation("targets/s", &[2], &[], 1)],
        );
        let expected = [
            "~ target \"b\", 2 bytes",
            "+ target \"d\\n\", 1 bytes",
            "- target \"c\"",
            "+ key 2 of targets/r",
            "~ threshold of targets/r: 1 to 2",
            "+ path \"\" of targets/r",
            "- path \"x/\" of targets/r",
            "+ delegation targets/s",
            "+ key 2 of targets/s",
        ];
        assert_eq!(words(Some(&before), &after), expected);
        assert_eq!(words(Some(&after), &after), [""; 0]);
        let undone = words(Some(&after), &before);
        assert!(undone.contains(&"- delegation targets/s".to_owned()), "{undone:?}");
        assert_eq!(words(None, &before).len(), 7, "all of it is new");
    }

    #[test]
    fn roots_are_compared_role_by_role() {
        let root = |targets: &[u8], threshold| {
            let keys = |ids: &[u8], threshold| RoleKeys {
                key_ids: ids.iter().map(|id| KeyId::from_bytes([*id; 32])).collect(),
                threshold,
            };
            Metadata::Root(Root {
                version: Version::FIRST,
                expires: Expires::at(datetime!(2030-01-01 0:00 UTC)),
                consistent_snapshot: false,
                keys: BTreeMap::new(),
                root: keys(&[9], 1),
                targets: keys(targets, threshold),
                snapshot: keys(&[9], 1),
                timestamp: keys(&[9], 1),
            })
        };
        let expected = ["+ key 2 of targets", "- key 1 of targets", "~ threshold of targets: 2 to 1"];
        assert_eq!(words(Some(&root(&[1], 2)), &root(&[2], 1)), expected);
        assert_eq!(words(Some(&root(&[1], 1)), &root(&[1], 1)), [""; 0]);
    }
}
