//! Who must have signed what, and what must fit together.
//!
//! Nothing here reads a clock: the time is an argument where it matters.

mod root;
mod structure;

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;

use crate::expires::Expires;
use crate::ids::{KeyId, Version};
use crate::key::PublicKey;
use crate::metadata::{FileMeta, Metadata, RoleKeys};
use crate::names::{DelegationName, Gun, Role};
use crate::notary1::Envelope;

pub use root::{current_root, first_root, next_root, pinned_root, root_chain};
pub use structure::structure;

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
pub fn signed_by(keys: &BTreeMap<KeyId, PublicKey>, role: &RoleKeys, envelope: &Envelope) -> Result<(), VerifyError> {
    let listed = role.key_ids.iter().filter_map(|id| keys.get(id));
    threshold_met(listed, role.threshold, envelope)
}

/// Checks the expiry.
///
/// # Errors
/// [`VerifyError::Expired`].
pub fn unexpired(metadata: &Metadata, now: OffsetDateTime) -> Result<(), VerifyError> {
    let at = metadata.expires();
    if at.instant() < now { Err(VerifyError::Expired { at }) } else { Ok(()) }
}

/// Checks size and digests of a file.
///
/// # Errors
/// [`VerifyError::Length`], [`VerifyError::Digest`] and [`VerifyError::NoDigest`].
pub fn file_matches(expected: &FileMeta, bytes: &[u8]) -> Result<(), VerifyError> {
    let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if found != expected.length {
        return Err(VerifyError::Length { wanted: expected.length, found });
    }
    file_is(expected, &FileMeta::of(bytes))
}

/// As [`file_matches`], for a file whose size and digests are known.
///
/// # Errors
/// [`VerifyError::Length`], [`VerifyError::Digest`] and [`VerifyError::NoDigest`].
pub fn file_is(expected: &FileMeta, found: &FileMeta) -> Result<(), VerifyError> {
    if found.length != expected.length {
        return Err(VerifyError::Length { wanted: expected.length, found: found.length });
    }
    if expected.hashes.sha256.is_some() && expected.hashes.sha256 != found.hashes.sha256 {
        return Err(VerifyError::Digest { algorithm: "sha256" });
    }
    if expected.hashes.sha512.is_some() && expected.hashes.sha512 != found.hashes.sha512 {
        return Err(VerifyError::Digest { algorithm: "sha512" });
    }
    if expected.hashes.sha256.is_none() && expected.hashes.sha512.is_none() {
        return Err(VerifyError::NoDigest);
    }
    Ok(())
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
        let key = key.filter(|key| key.verify(signature.method, envelope.signed(), &signature.sig).is_ok());
        valid.extend(key.map(|key| key.name()));
    }
    let valid = count(&valid);
    // a threshold of zero is met by nothing
    if wanted == 0 || valid < wanted { Err(VerifyError::Threshold { wanted, valid }) } else { Ok(()) }
}

fn count<T>(set: &BTreeSet<T>) -> u32 {
    u32::try_from(set.len()).unwrap_or(u32::MAX)
}
