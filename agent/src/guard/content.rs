//! Absolute rules: what no metadata may say, whoever asks.

use signet_tuf::{Metadata, Role, Snapshot, verify, verify::VerifyError};
use time::{Duration, OffsetDateTime};

use super::Parent;
use crate::intent::Intent;

/// Content that must not be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentFault {
    /// Keys, thresholds, names that do not fit together.
    #[error("{role} is not well formed: {source}")]
    Structure {
        /// The role.
        role: Role,
        /// What does not fit.
        source: VerifyError,
    },
    /// Expired when signed.
    #[error("{role} would be expired already ({expires}); if it should not be, look at the clocks of client and agent")]
    Expired {
        /// The role.
        role: Role,
        /// The expiry, RFC 3339.
        expires: String,
    },
    /// Valid for too long.
    #[error(
        "{role} would be valid until {expires}, longer than the {days} days that this role may be; look at the clocks of client and agent"
    )]
    ExpiryTooFar {
        /// The role.
        role: Role,
        /// The expiry, RFC 3339.
        expires: String,
        /// The bound.
        days: i64,
    },
    /// A delegation left out of the snapshot although its parent still lists it.
    #[error(
        "the snapshot leaves out {delegation}, which was in the one before; show the parent that it names and that no \
         longer lists {delegation}"
    )]
    DroppedFromSnapshot {
        /// The delegation.
        delegation: Role,
    },
}

/// Notary signs root for 10 years, targets and snapshot for 3, timestamp for 14 days; a few days are added for
/// leap years and clocks.
fn longest_days(role: &Role) -> i64 {
    match role {
        Role::Root => 3660,
        Role::Targets | Role::Snapshot | Role::Delegation(_) => 1100,
        Role::Timestamp => 31,
    }
}

/// Judges the content by itself. `previous` is the version before, if one was shown; `parents` the delegating
/// metadata that was shown and that a snapshot names.
///
/// # Errors
/// [`ContentFault`].
pub fn check(
    intent: &Intent,
    previous: Option<&Metadata>,
    parents: &[Parent],
    now: OffsetDateTime,
) -> Result<(), ContentFault> {
    let role = &intent.role;
    verify::structure(role, &intent.metadata)
        .map_err(|source| ContentFault::Structure { role: role.clone(), source })?;
    let expires = intent.metadata.expires();
    if expires.instant() <= now {
        return Err(ContentFault::Expired { role: role.clone(), expires: expires.to_string() });
    }
    let days = longest_days(role);
    if expires.instant() > now.saturating_add(Duration::days(days)) {
        return Err(ContentFault::ExpiryTooFar { role: role.clone(), expires: expires.to_string(), days });
    }
    match (&intent.metadata, previous) {
        (Metadata::Snapshot(snapshot), Some(Metadata::Snapshot(before))) => nothing_dropped(snapshot, before, parents),
        (
            Metadata::Root(_) | Metadata::Targets(_) | Metadata::Snapshot(_) | Metadata::Timestamp(_),
            None | Some(Metadata::Root(_) | Metadata::Targets(_) | Metadata::Snapshot(_) | Metadata::Timestamp(_)),
        ) => Ok(()),
    }
}

/// A snapshot without a delegation that is still listed hides that delegation's targets from every client. Its direct
/// parent decides, as this very snapshot names it, and must be shown; below a parent that is left out lawfully nothing
/// can be found anyway.
fn nothing_dropped(snapshot: &Snapshot, before: &Snapshot, parents: &[Parent]) -> Result<(), ContentFault> {
    let lists = |parent: &Parent, role: &Role| {
        parent.targets.delegations.roles.iter().any(|delegated| delegated.name.as_str() == role.as_str())
    };
    let may_go = |role: &Role| match role.parent() {
        Some(above) if above == Role::Targets || snapshot.meta.contains_key(&above) => {
            parents.iter().find(|parent| parent.role == above).is_some_and(|parent| !lists(parent, role))
        }
        Some(_) => true,
        None => false,
    };
    match before.meta.keys().find(|role| !snapshot.meta.contains_key(role) && !may_go(role)) {
        Some(delegation) => Err(ContentFault::DroppedFromSnapshot { delegation: delegation.clone() }),
        None => Ok(()),
    }
}
