//! The rules of what may be signed, as functions over data.
//!
//! Owns the judgement; knows no storage, no time and no key. A *line* is one role of one collection; its
//! *floor* is the newest version that was signed or adopted; the *reference* is the newer of the floor and of
//! what the request has shown.

mod content;
mod evidence;
#[cfg(test)]
mod tests;
mod versions;

use signet_tuf::{KeyId, Role, Version};

pub use content::{ContentFault, check as check_content};
pub use evidence::{
    EvidenceBytes, EvidenceFault, Listed, Parent, Shown, check_chain_end, check_newest, listed_keys, listings,
    new_parents, verify as verify_evidence, verify_roots,
};
pub use versions::{Line, VersionFault, check as check_version, next_free};

/// How a lawful request relates to what was signed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Nothing of this line is known.
    First,
    /// Above the reference.
    Next,
    /// The same bytes again.
    Repeat,
}

impl Decision {
    /// The word in records and replies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Next => "next",
            Self::Repeat => "repeat",
        }
    }
}

/// Something lawful that a person should look at first; acknowledged for exactly one digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// A collection of this name was published already, and this is another one.
    NewCollection,
    /// A key of a top-level role that has signed for another collection.
    KeyOfAnotherCollection,
}

impl Finding {
    /// The code in requests, replies and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NewCollection => "new-collection",
            Self::KeyOfAnotherCollection => "key-of-another-collection",
        }
    }
}

/// Why the guard refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A version rule.
    #[error(transparent)]
    Version(#[from] VersionFault),
    /// An absolute rule about the content.
    #[error(transparent)]
    Content(#[from] ContentFault),
    /// A key that the role does not have.
    #[error("key {key} is not listed for role {role}")]
    KeyNotListed {
        /// The key ID.
        key: KeyId,
        /// The role.
        role: Role,
    },
    /// The ledger cannot tell which collection this is.
    #[error("the ledger does not know this collection: show its root metadata from version 1")]
    UnknownRoot,
    /// A published version was named that the ledger does not know.
    #[error("the ledger does not know version {version} of {role}: show it")]
    UnknownCurrent {
        /// The role.
        role: Role,
        /// The version named.
        version: u64,
    },
    /// The root shown is older than the newest one known to be published.
    #[error("root version {shown} was shown, but version {published} is published: refresh")]
    StaleRoot {
        /// What was shown.
        shown: Version,
        /// What is known.
        published: Version,
    },
    /// A snapshot leaves something out by a parent that need not be the newest.
    #[error(
        "{role} version {shown} is not known to be the newest, so it does not show what the snapshot may leave out (last \
         signed here: version {known}, 0 for none): publish again"
    )]
    StaleParent {
        /// The parent.
        role: Role,
        /// Its version as it was shown.
        shown: Version,
        /// The newest that is known, 0 for none.
        known: u64,
    },
    /// Findings that nobody has acknowledged for these bytes.
    #[error("look at this first, then acknowledge it: {}", codes(.0))]
    Unacknowledged(Vec<Finding>),
}

fn codes(findings: &[Finding]) -> String {
    findings.iter().map(|finding| finding.as_str()).collect::<Vec<_>>().join(", ")
}

/// The findings that are not acknowledged.
///
/// # Errors
/// [`Refusal::Unacknowledged`] with all of them.
pub fn check_findings(found: &[Finding], acknowledged: &[String]) -> Result<(), Refusal> {
    let open: Vec<Finding> =
        found.iter().copied().filter(|finding| !acknowledged.iter().any(|code| code == finding.as_str())).collect();
    if open.is_empty() { Ok(()) } else { Err(Refusal::Unacknowledged(open)) }
}
