//! Metadata as plain data, fit for every dialect.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256, SHA512};

use crate::expires::Expires;
use crate::ids::{KeyId, Version, finished};
use crate::json::Value;
use crate::key::PublicKey;
use crate::names::{DelegationName, Role};

/// The content of one metadata file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Metadata {
    /// The keys of the top-level roles.
    Root(Root),
    /// Targets and delegations, of `targets` or of a delegation.
    Targets(Targets),
    /// The files that belong together.
    Snapshot(Snapshot),
    /// The newest snapshot.
    Timestamp(Timestamp),
}

impl Metadata {
    /// The version.
    #[must_use]
    pub fn version(&self) -> Version {
        match self {
            Self::Root(root) => root.version,
            Self::Targets(targets) => targets.version,
            Self::Snapshot(snapshot) => snapshot.version,
            Self::Timestamp(timestamp) => timestamp.version,
        }
    }

    /// The expiry.
    #[must_use]
    pub fn expires(&self) -> Expires {
        match self {
            Self::Root(root) => root.expires,
            Self::Targets(targets) => targets.expires,
            Self::Snapshot(snapshot) => snapshot.expires,
            Self::Timestamp(timestamp) => timestamp.expires,
        }
    }
}

/// The root role's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Counts up by one.
    pub version: Version,
    /// When it stops being valid.
    pub expires: Expires,
    /// Always false in Notary's dialect.
    pub consistent_snapshot: bool,
    /// Every key that a role names, and in Notary's dialect those of former roots.
    pub keys: BTreeMap<KeyId, PublicKey>,
    /// Who signs root.
    pub root: RoleKeys,
    /// Who signs targets.
    pub targets: RoleKeys,
    /// Who signs snapshot.
    pub snapshot: RoleKeys,
    /// Who signs timestamp.
    pub timestamp: RoleKeys,
}

impl Root {
    /// Who signs for a top-level role; none for delegations.
    #[must_use]
    pub fn role_keys(&self, role: &Role) -> Option<&RoleKeys> {
        match role {
            Role::Root => Some(&self.root),
            Role::Targets => Some(&self.targets),
            Role::Snapshot => Some(&self.snapshot),
            Role::Timestamp => Some(&self.timestamp),
            Role::Delegation(_) => None,
        }
    }
}

/// The keys of a role and how many of them must sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleKeys {
    /// IDs of the role's keys.
    pub key_ids: Vec<KeyId>,
    /// How many different keys must sign.
    pub threshold: u32,
}

/// Metadata of `targets` or of a delegation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    /// Counts up.
    pub version: Version,
    /// When it stops being valid.
    pub expires: Expires,
    /// The targets by name.
    pub targets: BTreeMap<String, Target>,
    /// The roles that this role trusts with targets.
    pub delegations: Delegations,
}

/// One target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Size in bytes.
    pub length: u64,
    /// Digests of the content.
    pub hashes: Hashes,
    /// Data of the publisher's own; [`crate::notary1::custom`] reads what Notary can publish.
    pub custom: Option<Value>,
}

/// Digests of a file; at least one is there in metadata that was parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashes {
    /// SHA-256.
    pub sha256: Option<[u8; 32]>,
    /// SHA-512.
    pub sha512: Option<[u8; 64]>,
}

impl Hashes {
    /// Both digests of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hashing = Hashing::default();
        hashing.update(bytes);
        hashing.finish()
    }
}

/// Both digests of bytes that come one after the other.
pub(crate) struct Hashing {
    sha256: Context,
    sha512: Context,
}

impl Default for Hashing {
    fn default() -> Self {
        Self { sha256: Context::new(&SHA256), sha512: Context::new(&SHA512) }
    }
}

impl Hashing {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.sha512.update(bytes);
    }

    pub(crate) fn finish(self) -> Hashes {
        Hashes { sha256: Some(finished(self.sha256)), sha512: Some(finished(self.sha512)) }
    }
}

/// The delegations of one role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delegations {
    /// The keys that the roles name.
    pub keys: BTreeMap<KeyId, PublicKey>,
    /// The roles, in order of priority.
    pub roles: Vec<DelegatedRole>,
}

/// A role that another one trusts with some targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelegatedRole {
    /// The full name.
    pub name: DelegationName,
    /// IDs of the role's keys.
    pub key_ids: Vec<KeyId>,
    /// Prefixes of the target names it may hold; the empty prefix allows all, an empty list none.
    pub paths: Vec<String>,
    /// How many different keys must sign.
    pub threshold: u32,
}

impl DelegatedRole {
    /// Whether the role may hold a target of that name: one of its paths is a prefix of it, byte for byte.
    #[must_use]
    pub fn allows_path(&self, target: &str) -> bool {
        self.paths.iter().any(|path| target.starts_with(path.as_str()))
    }

    /// Its keys and threshold.
    #[must_use]
    pub fn role_keys(&self) -> RoleKeys {
        RoleKeys { key_ids: self.key_ids.clone(), threshold: self.threshold }
    }
}

/// The snapshot role's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Counts up.
    pub version: Version,
    /// When it stops being valid.
    pub expires: Expires,
    /// The files that belong together, by role.
    pub meta: BTreeMap<Role, FileMeta>,
}

/// The timestamp role's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timestamp {
    /// Counts up.
    pub version: Version,
    /// When it stops being valid.
    pub expires: Expires,
    /// The newest snapshot.
    pub snapshot: FileMeta,
}

/// Size and digests of a metadata file as it is on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMeta {
    /// Size in bytes.
    pub length: u64,
    /// Digests of the bytes.
    pub hashes: Hashes,
}

impl FileMeta {
    /// Describes the wire bytes of a metadata file.
    #[must_use]
    pub fn of(wire: &[u8]) -> Self {
        Self { length: u64::try_from(wire.len()).unwrap_or(u64::MAX), hashes: Hashes::of(wire) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delegation_path_is_a_prefix() {
        let role = |paths: &[&str]| DelegatedRole {
            name: "targets/a".parse().unwrap(),
            key_ids: vec![],
            paths: paths.iter().map(|p| (*p).to_owned()).collect(),
            threshold: 1,
        };
        let table = [
            (role(&[""]), "anything", true),
            (role(&[]), "anything", false),
            (role(&["a/", "b"]), "a/x", true),
            (role(&["a/", "b"]), "bx", true),
            (role(&["a/", "b"]), "a", false),
            (role(&["a/*"]), "a/x", false),
        ];
        for (role, target, allowed) in table {
            assert_eq!(role.allows_path(target), allowed, "{:?} {target}", role.paths);
        }
    }
}
