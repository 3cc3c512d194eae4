//! Roots vouch for each other, and Notary's also for the collection they belong to.

use time::OffsetDateTime;

use super::{VerifyError, threshold_met, unexpired};
use crate::key::PublicKey;
use crate::metadata::Root;
use crate::names::{Gun, Role};
use crate::notary1::Envelope;
use crate::notary1::root_certificate::{self, Period};

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
        return Err(VerifyError::VersionGap { previous: previous.version, found: root.version });
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

/// Checks that a root is usable at `now`: not expired, and signed with certificates that are valid, as are their intermediate
/// ones.
///
/// A certificate may start up to a day after `now`, as Notary allows.
///
/// # Errors
/// [`VerifyError::Expired`] and the errors of [`first_root`].
pub fn current_root(gun: &Gun, envelope: &Envelope, now: OffsetDateTime) -> Result<(), VerifyError> {
    unexpired(envelope.metadata(), now)?;
    signed_by_root_role_of(root_of(envelope)?, gun, envelope, Period::Includes(now))
}

/// Checks a root by its pinned keys alone: as [`first_root`] or, at a time, [`current_root`], but only keys that `is_pinned` count.
///
/// That a root lists a pinned key says nothing: everybody can write down a certificate. Its signature says it.
///
/// # Errors
/// [`VerifyError::NoRootCertificate`] if none of its keys is pinned, and the other errors of [`first_root`].
pub fn pinned_root(
    gun: &Gun,
    envelope: &Envelope,
    now: Option<OffsetDateTime>,
    is_pinned: impl Fn(&PublicKey) -> bool,
) -> Result<(), VerifyError> {
    let period = now.map_or(Period::Ignored, Period::Includes);
    signed_by_those(root_of(envelope)?, gun, envelope, |key| is_root_key_for(gun, key, period) && is_pinned(key))
}

fn root_of(envelope: &Envelope) -> Result<&Root, VerifyError> {
    envelope.root().ok_or(VerifyError::WrongRole { role: Role::Root })
}

fn signed_by_root_role_of(root: &Root, gun: &Gun, envelope: &Envelope, period: Period) -> Result<(), VerifyError> {
    signed_by_those(root, gun, envelope, |key| is_root_key_for(gun, key, period))
}

fn signed_by_those(
    root: &Root,
    gun: &Gun,
    envelope: &Envelope,
    counts: impl Fn(&PublicKey) -> bool,
) -> Result<(), VerifyError> {
    let listed = root.root.key_ids.iter().filter_map(|id| root.keys.get(id));
    let trusted: Vec<&PublicKey> = listed.filter(|key| counts(key)).collect();
    if trusted.is_empty() {
        return Err(VerifyError::NoRootCertificate { gun: gun.clone() });
    }
    threshold_met(trusted.into_iter(), root.root.threshold, envelope)
}

/// Notary computes the key's ID anew from the certificates that count, so that no signature is the key's if one of them does
/// not, or if the PEM is not what Go writes.
fn is_root_key_for(gun: &Gun, key: &PublicKey, period: Period) -> bool {
    root_certificate::fits(key, gun, period).is_ok() && root_certificate::pem_of(key).as_bytes() == key.public()
}
