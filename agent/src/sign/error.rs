//! Why there is no signature, by what the caller can do.

use signet_proto::Reason;
use signet_tuf::KeyId;

use crate::{
    guard::{ContentFault, EvidenceFault, Refusal, VersionFault},
    intent::Malformed,
    keystore::{KeystoreError, Tries},
    ledger::LedgerError,
};

/// No signature.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The request cannot be understood.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A field of a request that is not about metadata.
    #[error("{0}")]
    BadRequest(String),
    /// More bytes than the agent takes.
    #[error("the request has {size} bytes; this agent takes {limit} (max-request-bytes in agent.toml)")]
    TooLarge {
        /// Bytes of the request.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// What was shown does not hold.
    #[error(transparent)]
    Evidence(#[from] EvidenceFault),
    /// The content breaks an absolute rule.
    #[error(transparent)]
    Content(#[from] ContentFault),
    /// The guard.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The role has no keys to sign with.
    #[error("no key is listed for this role")]
    NoKeys,
    /// The ledger or policy.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A key or token.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The configuration wants more of the role's keys.
    #[error(
        "role {role} signs only with keys that were made on a token, as an attestation shows, and that want to be \
         touched every time; key {key} is not known to be one"
    )]
    NotAttested {
        /// The role.
        role: String,
        /// The canonical ID.
        key: KeyId,
    },
    /// The key at this place made a signature that does not verify.
    #[error("the signature made at {place} does not verify and was thrown away: check that token")]
    Unverified {
        /// Where.
        place: String,
    },
    /// A fault of the agent.
    #[error("internal fault: {0}")]
    Internal(String),
}

impl SignError {
    /// The reason on the wire and in the log. The one place where errors become reasons.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Malformed(_) | Self::BadRequest(_) | Self::Content(_) => Reason::MalformedMetadata,
            Self::TooLarge { .. } => Reason::RequestTooLarge,
            Self::NotAttested { .. } => Reason::NotAttested,
            Self::Evidence(EvidenceFault::RootsMissing) => Reason::EvidenceMissing,
            Self::Evidence(
                EvidenceFault::Unreadable { .. }
                | EvidenceFault::Unverified { .. }
                | EvidenceFault::ChainEnd { .. }
                | EvidenceFault::Parents { .. }
                | EvidenceFault::NotNamed,
            ) => Reason::EvidenceRejected,
            Self::Refused(refusal) | Self::Ledger(LedgerError::Refused(refusal)) => reason_of_refusal(refusal),
            Self::NoKeys => Reason::UnknownKey,
            Self::Ledger(LedgerError::Denied(_)) => Reason::DeniedByPolicy,
            Self::Ledger(LedgerError::NothingToAbandon(_)) => Reason::EvidenceRejected,
            Self::Ledger(LedgerError::Unavailable(_)) => Reason::LedgerUnavailable,
            Self::Ledger(LedgerError::Busy) => Reason::Busy,
            Self::Keystore(error) => Self::reason_of(error),
            Self::Unverified { .. } => Reason::TokenFailed,
            Self::Internal(_) => Reason::Internal,
        }
    }

    /// The reason of a keystore's error.
    #[must_use]
    pub fn reason_of(error: &KeystoreError) -> Reason {
        match error {
            KeystoreError::Absent { .. } => Reason::TokenAbsent,
            KeystoreError::Locked { .. } => Reason::KeyLocked,
            KeystoreError::SecretIncorrect { .. } | KeystoreError::SecretMalformed { .. } => Reason::SecretIncorrect,
            KeystoreError::LastTry { .. } => Reason::LastPinTry,
            KeystoreError::PinBlocked { .. } => Reason::PinBlocked,
            KeystoreError::PukBlocked { .. } => Reason::PukBlocked,
            KeystoreError::TouchTimeout { .. } => Reason::TouchTimeout,
            KeystoreError::SlotOccupied { .. } => Reason::SlotOccupied,
            KeystoreError::ManagementKey { .. } => Reason::ManagementKey,
            KeystoreError::FactorySecret { .. } => Reason::FactorySecret,
            KeystoreError::HalfDone { why, .. } => Self::reason_of(why),
            KeystoreError::Failed { .. } => Reason::TokenFailed,
            KeystoreError::NotSupported { .. } => Reason::NotSupported,
            KeystoreError::UnknownKey { .. } | KeystoreError::UnknownToken { .. } => Reason::UnknownKey,
            KeystoreError::UnsafePath { .. } | KeystoreError::Io { .. } | KeystoreError::KeyExists { .. } => {
                Reason::UnsafePath
            }
            KeystoreError::CorruptKey { .. } | KeystoreError::NotAKey { .. } => Reason::CorruptKey,
            KeystoreError::Busy => Reason::Busy,
        }
    }

    /// Data for the caller: what [`Reason`] documents for each.
    #[must_use]
    pub fn metadata(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::TooLarge { size, limit } => {
                vec![("size_bytes", size.to_string()), ("limit_bytes", limit.to_string())]
            }
            Self::Refused(refusal) | Self::Ledger(LedgerError::Refused(refusal)) => metadata_of_refusal(refusal),
            Self::NotAttested { key, .. } => vec![("key_id", key.to_string())],
            Self::Keystore(error) => metadata_of_keystore(error),
            Self::Malformed(_)
            | Self::BadRequest(_)
            | Self::Content(_)
            | Self::Evidence(_)
            | Self::NoKeys
            | Self::Ledger(_)
            | Self::Unverified { .. }
            | Self::Internal(_) => Vec::new(),
        }
    }
}

fn reason_of_refusal(refusal: &Refusal) -> Reason {
    match refusal {
        Refusal::Version(VersionFault::Rollback { .. }) => Reason::VersionRollback,
        Refusal::Version(VersionFault::Conflict { .. }) => Reason::VersionConflict,
        Refusal::Version(VersionFault::Jump { .. }) => Reason::VersionJump,
        Refusal::Content(_) => Reason::MalformedMetadata,
        Refusal::KeyNotListed { .. } => Reason::KeyNotListed,
        Refusal::UnknownRoot | Refusal::UnknownCurrent { .. } => Reason::EvidenceMissing,
        Refusal::StaleRoot { .. } | Refusal::StaleParent { .. } => Reason::EvidenceRejected,
        Refusal::Unacknowledged(_) => Reason::NeedsAcknowledgement,
    }
}

fn metadata_of_refusal(refusal: &Refusal) -> Vec<(&'static str, String)> {
    match refusal {
        Refusal::UnknownCurrent { .. } => vec![("missing", "current".to_owned())],
        Refusal::Version(VersionFault::Rollback { last, .. }) => vec![("last", last.to_string())],
        Refusal::Version(VersionFault::Conflict { asked, digest, next, .. }) => {
            vec![("last", asked.to_string()), ("next", next.to_string()), ("digest", digest.to_string())]
        }
        Refusal::Version(VersionFault::Jump { last, highest, .. }) => {
            vec![("last", last.to_string()), ("highest", highest.to_string())]
        }
        Refusal::KeyNotListed { key, .. } => vec![("key_id", key.to_string())],
        Refusal::Unacknowledged(findings) => {
            let codes: Vec<_> = findings.iter().map(|finding| finding.as_str()).collect();
            vec![("findings", codes.join(","))]
        }
        Refusal::StaleRoot { published, .. } => vec![("published", published.to_string())],
        Refusal::Content(_) | Refusal::UnknownRoot | Refusal::StaleParent { .. } => Vec::new(),
    }
}

fn metadata_of_keystore(error: &KeystoreError) -> Vec<(&'static str, String)> {
    match error {
        KeystoreError::Locked { key, place, token, role } => vec![
            ("key_id", key.clone()),
            ("place", place.to_string()),
            ("token", token.clone().unwrap_or_default()),
            ("role", role.clone().unwrap_or_default()),
        ],
        KeystoreError::SecretIncorrect { place, tries } => {
            vec![("place", place.clone()), ("tries", in_a_word(*tries))]
        }
        KeystoreError::SecretMalformed { place, .. } => {
            vec![("place", place.clone()), ("tries", "untried".to_owned())]
        }
        KeystoreError::LastTry { token, secret } => {
            vec![("token", token.clone()), ("secret", (*secret).to_owned())]
        }
        KeystoreError::HalfDone { done, why, .. } => {
            let mut metadata = metadata_of_keystore(why);
            metadata.push(("changed", done.clone()));
            metadata
        }
        KeystoreError::SlotOccupied { token, slot, .. } => {
            vec![("token", token.clone()), ("slot", slot.to_string())]
        }
        KeystoreError::FactorySecret { token, secrets } => {
            vec![("token", token.clone()), ("secrets", secrets.clone())]
        }
        KeystoreError::Absent { token, .. }
        | KeystoreError::PukBlocked { token }
        | KeystoreError::TouchTimeout { token }
        | KeystoreError::ManagementKey { token, .. }
        | KeystoreError::PinBlocked { token }
        | KeystoreError::UnknownToken { token, .. }
        | KeystoreError::Failed { token, .. } => vec![("token", token.clone())],
        KeystoreError::UnknownKey { key } => vec![("key_id", key.clone())],
        KeystoreError::UnsafePath { path, .. }
        | KeystoreError::CorruptKey { path, .. }
        | KeystoreError::KeyExists { path }
        | KeystoreError::Io { path, .. } => vec![("path", path.display().to_string())],
        KeystoreError::NotSupported { place, .. } => vec![("token", place.clone())],
        KeystoreError::Busy | KeystoreError::NotAKey { .. } => Vec::new(),
    }
}

/// The number, where the token tells it; empty where it tells nothing.
fn in_a_word(tries: Tries) -> String {
    match tries {
        Tries::Unknown => String::new(),
        Tries::All => "all".to_owned(),
        Tries::Fewer => "fewer".to_owned(),
        Tries::Left(number) => number.to_string(),
        Tries::Last => "last".to_owned(),
        Tries::Blocked => "none".to_owned(),
    }
}
