//! The next state of a collection: what is published, with changes on top. Pure.

use std::collections::{BTreeMap, BTreeSet};

use signet_tuf::{
    Delegations, Expires, FileMeta, KeyId, Metadata, NEAR_EXPIRY, PublicKey, Role, RoleKeys, Root, Snapshot, Targets,
    Version,
};
use time::{Duration, OffsetDateTime};

use signet_proto::v1;

use super::{Document, Trusted, init, search};

/// Notary 0.7: root lives ten years, targets, delegations and snapshot three. A year has 365 days.
const ROOT_LIFETIME: Duration = Duration::days(10 * 365);
const TARGETS_LIFETIME: Duration = Duration::days(3 * 365);
const SNAPSHOT_LIFETIME: Duration = Duration::days(3 * 365);

/// Canonical IDs of the keys that we have.
#[derive(Debug, Clone, Default)]
pub(super) struct Keyring {
    known: BTreeSet<KeyId>,
    present: BTreeSet<KeyId>,
}

impl Keyring {
    /// `absent` keys are on tokens that are not there now.
    pub(super) fn new(present: impl IntoIterator<Item = KeyId>, absent: impl IntoIterator<Item = KeyId>) -> Self {
        let present: BTreeSet<_> = present.into_iter().collect();
        Self { known: present.iter().copied().chain(absent).collect(), present }
    }

    /// The keys as the agent lists them.
    pub(super) fn of(keys: Vec<v1::Key>) -> Self {
        let (present, absent): (Vec<_>, Vec<_>) = keys.into_iter().partition(init::is_present);
        // an ID that is none is no listed key's
        let ids = |keys: Vec<v1::Key>| keys.into_iter().filter_map(|key| key.key_id.parse().ok());
        Self::new(ids(present), ids(absent))
    }

    /// Whether any listed key of a role is ours, wherever it is now.
    pub(super) fn has_one_of(&self, keys: &BTreeMap<KeyId, PublicKey>, role: &RoleKeys) -> bool {
        canonical_ids(keys, role).any(|id| self.known.contains(&id))
    }

    /// Whether a key, by its canonical ID, is at hand.
    pub(super) fn is_present(&self, key: KeyId) -> bool {
        self.present.contains(&key)
    }

    /// How many listed keys of a role are at hand.
    pub(super) fn present_of(&self, keys: &BTreeMap<KeyId, PublicKey>, role: &RoleKeys) -> u32 {
        let present: BTreeSet<KeyId> = canonical_ids(keys, role).filter(|id| self.present.contains(id)).collect();
        u32::try_from(present.len()).unwrap_or(u32::MAX)
    }
}

/// The canonical IDs of a role's keys.
pub(super) fn canonical_ids<'a>(
    keys: &'a BTreeMap<KeyId, PublicKey>,
    role: &'a RoleKeys,
) -> impl Iterator<Item = KeyId> + 'a {
    role.key_ids.iter().filter_map(|id| keys.get(id)).map(PublicKey::canonical_id)
}

/// A collection on its way to the next versions.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) root: Root,
    pub(super) targets: BTreeMap<Role, Targets>,
    /// What the published snapshot names, without deleted delegations.
    pub(super) files: BTreeMap<Role, FileMeta>,
    /// Delegations without enough valid signatures.
    pub(super) invalid: BTreeMap<Role, Targets>,
    /// Roles whose content has to be signed.
    pub(super) dirty: BTreeSet<Role>,
}

impl Draft {
    /// Starts from what is published, or was made by `init`. What has expired has to be signed anew.
    pub(super) fn of(trusted: &Trusted, now: OffsetDateTime) -> Option<Self> {
        let contents = |documents: &BTreeMap<Role, Document>| {
            let pairs = documents.iter().filter_map(|(role, d)| Some((role.clone(), d.targets()?.clone())));
            pairs.collect::<BTreeMap<_, _>>()
        };
        let root = trusted.root.root()?.clone();
        let mut dirty: BTreeSet<_> =
            trusted.expired.iter().filter(|role| !matches!(role, Role::Delegation(_))).cloned().collect();
        // Notary 0.7 signs root anew when it is this close to its end
        if root.expires.instant() < now.saturating_add(NEAR_EXPIRY) {
            dirty.insert(Role::Root);
        }
        Some(Self {
            root,
            targets: contents(&trusted.targets),
            files: trusted.snapshot.as_ref().and_then(Document::snapshot).map(|s| s.meta.clone()).unwrap_or_default(),
            invalid: contents(&trusted.invalid),
            dirty,
        })
    }

    pub(super) fn tree(&self) -> search::Tree<'_> {
        self.targets.iter().collect()
    }

    /// Who signs a role, as this draft has it.
    pub(super) fn signers(&self, role: &Role) -> Option<(&BTreeMap<KeyId, PublicKey>, RoleKeys)> {
        match role {
            Role::Delegation(_) => {
                let (keys, listed) = search::listed(&self.tree(), role)?;
                Some((keys, listed.role_keys()))
            }
            Role::Root | Role::Targets | Role::Snapshot | Role::Timestamp => {
                Some((&self.root.keys, self.root.role_keys(role)?.clone()))
            }
        }
    }

    /// The content of a role at a version.
    pub(super) fn content(&self, role: &Role, version: Version, now: OffsetDateTime) -> Option<Metadata> {
        match role {
            Role::Root => {
                // root has no gaps: signed again on the same day, it is the same bytes and no second version
                let expires = until(now.replace_time(time::Time::MIDNIGHT), ROOT_LIFETIME);
                Some(Metadata::Root(Root { version, expires, ..self.root.clone() }))
            }
            Role::Targets | Role::Delegation(_) => {
                let expires = until(now, TARGETS_LIFETIME);
                Some(Metadata::Targets(Targets { version, expires, ..self.targets.get(role)?.clone() }))
            }
            Role::Snapshot => {
                let expires = until(now, SNAPSHOT_LIFETIME);
                Some(Metadata::Snapshot(Snapshot { version, expires, meta: self.files.clone() }))
            }
            Role::Timestamp => None,
        }
    }
}

/// Targets without any content; the version is set when they are signed.
pub(super) fn empty_targets(now: OffsetDateTime) -> Targets {
    Targets {
        version: Version::FIRST,
        expires: until(now, TARGETS_LIFETIME),
        targets: BTreeMap::new(),
        delegations: Delegations::default(),
    }
}

/// The first root of a collection.
pub(super) fn first_root(keys: [(&Role, PublicKey); 4], now: OffsetDateTime) -> Root {
    let one = |wanted: &Role| {
        let ids = keys.iter().filter(|(role, _)| *role == wanted).map(|(_, key)| key.key_id());
        RoleKeys { key_ids: ids.collect(), threshold: 1 }
    };
    Root {
        version: Version::FIRST,
        expires: until(now, ROOT_LIFETIME),
        consistent_snapshot: false,
        root: one(&Role::Root),
        targets: one(&Role::Targets),
        snapshot: one(&Role::Snapshot),
        timestamp: one(&Role::Timestamp),
        keys: keys.into_iter().map(|(_, key)| (key.key_id(), key)).collect(),
    }
}

fn until(now: OffsetDateTime, lifetime: Duration) -> Expires {
    Expires::at(now.saturating_add(lifetime))
}

#[cfg(test)]
pub(super) mod sample {
    use time::macros::datetime;

    use super::*;
    use crate::sample::{A, key};

    /// When it was made.
    pub(in crate::collection) const NOW: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

    /// A collection in which key A signs everything.
    pub(in crate::collection) fn draft() -> Draft {
        let key = key(A);
        let listed = RoleKeys { key_ids: vec![key.key_id()], threshold: 1 };
        let root = Root {
            version: Version::FIRST,
            expires: Expires::at(datetime!(2036-01-01 0:00 UTC)),
            consistent_snapshot: false,
            keys: [(key.key_id(), key)].into(),
            root: listed.clone(),
            targets: listed.clone(),
            snapshot: listed.clone(),
            timestamp: listed,
        };
        Draft {
            root,
            targets: [(Role::Targets, empty_targets(NOW))].into(),
            files: BTreeMap::new(),
            invalid: BTreeMap::new(),
            dirty: BTreeSet::new(),
        }
    }
}
