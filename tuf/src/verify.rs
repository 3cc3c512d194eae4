//! Who must have signed what, and what must fit together.
//!
//! Nothing here reads a clock: the time is an argument where it matters.

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;

use crate::expires::Expires;
use crate::ids::{KeyId, KeyName, Version, sha256, sha512};
use crate::key::PublicKey;
use crate::metadata::{FileMeta, Metadata, RoleKeys, Root, Snapshot, Targets};
use crate::names::{DelegationName, Gun, Role};
use crate::notary1::Envelope;
use crate::x509::Certificate;

/// Why metadata is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Too few different keys of the role signed.
    #[error("{valid} valid signatures, the threshold is {wanted}")]
    Threshold {
        /// How many different keys must sign.
        wanted: u32,
        /// How many did.
        valid: u32,
    },
    /// A threshold of zero, which everything would meet.
    #[error("the threshold of role {role} is zero")]
    ZeroThreshold {
        /// The role.
        role: Role,
    },
    /// A role that can never reach its threshold.
    #[error("role {role} lists {keys} keys, fewer than its threshold {threshold}")]
    TooFewKeys {
        /// The role.
        role: Role,
        /// How many different keys it lists.
        keys: u32,
        /// How many must sign.
        threshold: u32,
    },
    /// A key ID without a key.
    #[error("role {role} names key {key_id}, which is not listed")]
    MissingKey {
        /// The role.
        role: Role,
        /// The ID.
        key_id: KeyId,
    },
    /// Metadata of another role.
    #[error("this is not metadata of role {role}")]
    WrongRole {
        /// The role that was expected.
        role: Role,
    },
    /// A role that its parent's metadata may not name.
    #[error("{parent} may not delegate to {name}, which is not its direct child")]
    NotAChild {
        /// The delegating role.
        parent: Role,
        /// The role it names.
        name: DelegationName,
    },
    /// The same delegation twice.
    #[error("the delegation {name} is listed twice")]
    ListedTwice {
        /// The role.
        name: DelegationName,
    },
    /// A snapshot or timestamp without a file that it must name by SHA-256.
    #[error("the SHA-256 of {role} is missing")]
    MissingFile {
        /// The role of the file.
        role: Role,
    },
    /// No key of the root role counts for this collection.
    #[error(
        "no root key has a valid certificate for `{gun}`: its common name must be the GUN, or a prefix of it and `*`"
    )]
    NoRootCertificate {
        /// The collection.
        gun: Gun,
    },
    /// A chain of no roots.
    #[error("the chain of roots is empty")]
    EmptyChain,
    /// A root that does not follow the one before it.
    #[error("root version {found} does not follow version {previous}")]
    VersionGap {
        /// The version before.
        previous: Version,
        /// The version found.
        found: Version,
    },
    /// Metadata that is no longer valid.
    #[error("expired at {at}")]
    Expired {
        /// When it expired.
        at: Expires,
    },
    /// A file of another size.
    #[error("the file has {found} bytes, expected {wanted}")]
    Length {
        /// The size that is expected.
        wanted: u64,
        /// The size found.
        found: u64,
    },
    /// A file with other content.
    #[error("the file's {algorithm} digest is not the expected one")]
    Digest {
        /// The digest that differs.
        algorithm: &'static str,
    },
    /// A file that cannot be checked.
    #[error("no digest is known for the file")]
    NoDigest,
}

/// Checks that enough different keys of `role` signed.
///
/// Keys are different if their public keys are: the same key under two IDs counts once.
///
/// # Errors
/// [`VerifyError::Threshold`].
pub fn signed_by(
    keys: &BTreeMap<KeyId, PublicKey>,
    role: &RoleKeys,
    envelope: &Envelope,
) -> Result<(), VerifyError> {
    let listed = role.key_ids.iter().filter_map(|id| keys.get(id));
    threshold_met(listed, role.threshold, envelope)
}

/// Checks a root that nothing is known about: signed by its own root role.
///
/// In Notary's dialect only keys inside certificates count: one leaf, not signed with SHA-1, whose common name is the GUN, or a
/// prefix of it and `*`. Whether the certificates have expired is [`current_root`]'s question.
///
/// # Errors
/// [`VerifyError::WrongRole`], [`VerifyError::NoRootCertificate`] and [`VerifyError::Threshold`].
pub fn first_root(gun: &Gun, envelope: &Envelope) -> Result<(), VerifyError> {
    signed_by_root_role_of(root_of(envelope)?, gun, envelope, Period::Ignored)
}

/// Checks that a root follows `previous`: the next version, signed by the root role of both.
///
/// # Errors
/// [`VerifyError::VersionGap`] and the errors of [`first_root`].
pub fn next_root(gun: &Gun, previous: &Root, envelope: &Envelope) -> Result<(), VerifyError> {
    let root = root_of(envelope)?;
    if previous.version.next() != Some(root.version) {
        return Err(VerifyError::VersionGap {
            previous: previous.version,
            found: root.version,
        });
    }
    signed_by_root_role_of(previous, gun, envelope, Period::Ignored)?;
    first_root(gun, envelope)
}

/// Checks a chain of roots, oldest first, without a gap; it may start at any version.
///
/// # Errors
/// [`VerifyError::EmptyChain`] and the errors of [`next_root`].
pub fn root_chain(gun: &Gun, chain: &[Envelope]) -> Result<(), VerifyError> {
    let (first, rest) = chain.split_first().ok_or(VerifyError::EmptyChain)?;
    first_root(gun, first)?;
    let mut previous = root_of(first)?;
    for envelope in rest {
        next_root(gun, previous, envelope)?;
        previous = root_of(envelope)?;
    }
    Ok(())
}

/// Checks that a root is usable at `now`: not expired, and signed with certificates that are valid.
///
/// A certificate may start up to a day after `now`, as Notary allows.
///
/// # Errors
/// [`VerifyError::Expired`] and the errors of [`first_root`].
pub fn current_root(
    gun: &Gun,
    envelope: &Envelope,
    now: OffsetDateTime,
) -> Result<(), VerifyError> {
    unexpired(envelope.metadata(), now)?;
    signed_by_root_role_of(root_of(envelope)?, gun, envelope, Period::Includes(now))
}

/// Checks the expiry.
///
/// # Errors
/// [`VerifyError::Expired`].
pub fn unexpired(metadata: &Metadata, now: OffsetDateTime) -> Result<(), VerifyError> {
    let at = metadata.expires();
    if at.instant() < now {
        Err(VerifyError::Expired { at })
    } else {
        Ok(())
    }
}

/// Checks size and digests of a file.
///
/// # Errors
/// [`VerifyError::Length`], [`VerifyError::Digest`] and [`VerifyError::NoDigest`].
pub fn file_matches(expected: &FileMeta, bytes: &[u8]) -> Result<(), VerifyError> {
    let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if found != expected.length {
        return Err(VerifyError::Length {
            wanted: expected.length,
            found,
        });
    }
    if expected
        .hashes
        .sha256
        .is_some_and(|digest| digest != sha256(bytes))
    {
        return Err(VerifyError::Digest {
            algorithm: "sha256",
        });
    }
    if expected
        .hashes
        .sha512
        .is_some_and(|digest| digest != sha512(bytes))
    {
        return Err(VerifyError::Digest {
            algorithm: "sha512",
        });
    }
    if expected.hashes.sha256.is_none() && expected.hashes.sha512.is_none() {
        return Err(VerifyError::NoDigest);
    }
    Ok(())
}

/// Checks what must hold inside metadata of `role` whoever signed it, as Notary's server does.
///
/// # Errors
/// [`VerifyError`] by the rule that is broken. That a delegation lists fewer keys than its threshold is lawful: readers skip it.
pub fn structure(role: &Role, metadata: &Metadata) -> Result<(), VerifyError> {
    match (role, metadata) {
        (Role::Root, Metadata::Root(root)) => root_structure(root),
        (Role::Targets | Role::Delegation(_), Metadata::Targets(targets)) => {
            targets_structure(role, targets)
        }
        (Role::Snapshot, Metadata::Snapshot(snapshot)) => snapshot_structure(snapshot),
        (Role::Timestamp, Metadata::Timestamp(timestamp)) => {
            named_by_sha256(&Role::Snapshot, Some(&timestamp.snapshot))
        }
        (
            Role::Root | Role::Targets | Role::Delegation(_) | Role::Snapshot | Role::Timestamp,
            Metadata::Root(_)
            | Metadata::Targets(_)
            | Metadata::Snapshot(_)
            | Metadata::Timestamp(_),
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
            return Err(VerifyError::TooFewKeys {
                role,
                keys,
                threshold: listed.threshold,
            });
        }
    }
    Ok(())
}

fn targets_structure(parent: &Role, targets: &Targets) -> Result<(), VerifyError> {
    let mut seen = BTreeSet::new();
    for delegated in &targets.delegations.roles {
        let name = &delegated.name;
        if name.parent() != *parent {
            return Err(VerifyError::NotAChild {
                parent: parent.clone(),
                name: name.clone(),
            });
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
    [Role::Root, Role::Targets]
        .iter()
        .try_for_each(|role| named_by_sha256(role, snapshot.meta.get(role)))
}

fn named_by_sha256(role: &Role, file: Option<&FileMeta>) -> Result<(), VerifyError> {
    match file.and_then(|file| file.hashes.sha256) {
        Some(_) => Ok(()),
        None => Err(VerifyError::MissingFile { role: role.clone() }),
    }
}

fn positive_threshold(role: &Role, threshold: u32) -> Result<(), VerifyError> {
    if threshold == 0 {
        Err(VerifyError::ZeroThreshold { role: role.clone() })
    } else {
        Ok(())
    }
}

fn distinct_keys(
    role: &Role,
    ids: &[KeyId],
    keys: &BTreeMap<KeyId, PublicKey>,
) -> Result<u32, VerifyError> {
    let missing = |id: &KeyId| VerifyError::MissingKey {
        role: role.clone(),
        key_id: *id,
    };
    let names: BTreeSet<KeyName> = ids
        .iter()
        .map(|id| keys.get(id).map(PublicKey::name).ok_or_else(|| missing(id)))
        .collect::<Result<_, _>>()?;
    Ok(count(&names))
}

fn root_of(envelope: &Envelope) -> Result<&Root, VerifyError> {
    envelope
        .root()
        .ok_or(VerifyError::WrongRole { role: Role::Root })
}

/// Whether certificates must be valid at some time.
#[derive(Debug, Clone, Copy)]
enum Period {
    Ignored,
    Includes(OffsetDateTime),
}

fn signed_by_root_role_of(
    root: &Root,
    gun: &Gun,
    envelope: &Envelope,
    period: Period,
) -> Result<(), VerifyError> {
    let listed = root.root.key_ids.iter().filter_map(|id| root.keys.get(id));
    let trusted: Vec<&PublicKey> = listed
        .filter(|key| is_root_key_for(gun, key, period))
        .collect();
    if trusted.is_empty() {
        return Err(VerifyError::NoRootCertificate { gun: gun.clone() });
    }
    threshold_met(trusted.into_iter(), root.root.threshold, envelope)
}

// Notary 0.7 trustpinning: parseAllCerts, validRootLeafCerts
fn is_root_key_for(gun: &Gun, key: &PublicKey, period: Period) -> bool {
    let Some((leaf, others)) = key.certificates().split_first() else {
        return false;
    };
    !leaf.is_ca()
        && others.iter().all(Certificate::is_ca)
        && !leaf.is_signed_with_sha1()
        && leaf.not_before() <= leaf.not_after()
        && is_within(period, leaf)
        && names_gun(leaf.common_name(), gun)
}

fn is_within(period: Period, leaf: &Certificate) -> bool {
    match period {
        Period::Ignored => true,
        Period::Includes(now) => {
            let tomorrow = now.checked_add(time::Duration::DAY).unwrap_or(now);
            leaf.not_before() <= tomorrow && now <= leaf.not_after()
        }
    }
}

fn names_gun(common_name: &str, gun: &Gun) -> bool {
    if common_name.ends_with('*') {
        gun.as_str().starts_with(common_name.trim_end_matches('*'))
    } else {
        common_name == gun.as_str()
    }
}

fn threshold_met<'a>(
    keys: impl Iterator<Item = &'a PublicKey>,
    wanted: u32,
    envelope: &Envelope,
) -> Result<(), VerifyError> {
    let keys: BTreeMap<KeyId, &PublicKey> = keys.map(|key| (key.key_id(), key)).collect();
    let mut valid = BTreeSet::new();
    for signature in envelope.signatures() {
        let key = keys.get(&signature.key_id);
        let key = key.filter(|key| {
            key.verify(signature.method, envelope.signed(), &signature.sig)
                .is_ok()
        });
        valid.extend(key.map(|key| key.name()));
    }
    let valid = count(&valid);
    // a threshold of zero is met by nothing
    if wanted == 0 || valid < wanted {
        Err(VerifyError::Threshold { wanted, valid })
    } else {
        Ok(())
    }
}

fn count<T>(set: &BTreeSet<T>) -> u32 {
    u32::try_from(set.len()).unwrap_or(u32::MAX)
}
