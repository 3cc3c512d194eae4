//! The reasons of refusals, as they stand in `google.rpc.ErrorInfo`.

use std::{error::Error, fmt, str::FromStr};

/// `ErrorInfo.domain` of every error that the agent makes itself.
pub const DOMAIN: &str = "signet.v1";

macro_rules! reasons {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal,)+) => {
        /// Why the agent said no. The caller decides by this, never by the message.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The name on the wire, in capitals.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

reasons! {
    /// No or unknown identity.
    UnknownCaller = "UNKNOWN_CALLER",
    /// Not TUF metadata of the role, not canonical, or a field of the request is wrong. Metadata `path` when known.
    MalformedMetadata = "MALFORMED_METADATA",
    /// The request is larger than the configured limit. Metadata `limit_bytes`, `size_bytes`.
    RequestTooLarge = "REQUEST_TOO_LARGE",
    /// No such key, token or collection at this agent. Metadata `key_id` or `token`.
    UnknownKey = "UNKNOWN_KEY",
    /// A trust directory, key file or module that must not be used as it is. Metadata `path`.
    UnsafePath = "UNSAFE_PATH",
    /// A key file that cannot be read. Metadata `path`.
    CorruptKey = "CORRUPT_KEY",
    /// Policy says no.
    DeniedByPolicy = "DENIED_BY_POLICY",
    /// People must agree first. Metadata `proposal`, `missing`.
    ApprovalsMissing = "APPROVALS_MISSING",
    /// An older version than one signed or published before. Metadata `last`.
    VersionRollback = "VERSION_ROLLBACK",
    /// Too far above the last version. Metadata `last`, `highest`.
    VersionJump = "VERSION_JUMP",
    /// This version was signed with other content. Metadata `last`, `next`, `digest`.
    VersionConflict = "VERSION_CONFLICT",
    /// The ledger does not know this root: show the chain from version 1, or from one it knows. With metadata `missing`
    /// = "current", it knows no version as high as the one that was named: show that.
    EvidenceMissing = "EVIDENCE_MISSING",
    /// The evidence does not verify, or does not allow what is asked. Metadata `published`, if it is the root that is older
    /// than the one of this version, which is known to be published.
    EvidenceRejected = "EVIDENCE_REJECTED",
    /// A key that root or the parent does not list for the role. Metadata `key_id`.
    KeyNotListed = "KEY_NOT_LISTED",
    /// Something to look at first. Metadata `findings`, separated by commas.
    NeedsAcknowledgement = "NEEDS_ACKNOWLEDGEMENT",
    /// PIN or passphrase wanted. Metadata `key_id`, `place`, `token` (empty for a file), `role`.
    KeyLocked = "KEY_LOCKED",
    /// The PIN, PUK or passphrase is wrong. Metadata `tries` when the token tells: a number, "all", "fewer", "last", "none";
    /// "untried" if it cannot be the PIN and was not tried.
    SecretIncorrect = "SECRET_INCORRECT",
    /// One more wrong PIN or PUK would block it. Metadata `token`, `secret` ("pin" or "puk").
    LastPinTry = "LAST_PIN_TRY",
    /// The token's user PIN is blocked. Metadata `token`.
    PinBlocked = "PIN_BLOCKED",
    /// The PUK of a YubiKey is blocked: only a reset makes it usable again. Metadata `token`.
    PukBlocked = "PUK_BLOCKED",
    /// The management key of a YubiKey is wanted, or is wrong. Metadata `token`.
    ManagementKey = "MANAGEMENT_KEY",
    /// The slot holds a key, which is not overwritten unasked. Metadata `token`, `slot`.
    SlotOccupied = "SLOT_OCCUPIED",
    /// A secret of the factory would stay, or would have to be tried. Metadata `token`, `secrets`, separated by commas.
    FactorySecret = "FACTORY_SECRET",
    /// The role wants keys that were attested. Metadata `key_id`.
    NotAttested = "NOT_ATTESTED",
    /// The token is not there, or went away. Metadata `token`.
    TokenAbsent = "TOKEN_ABSENT",
    /// The token or its module answered with an error. Metadata `token`.
    TokenFailed = "TOKEN_FAILED",
    /// The token cannot do this: an algorithm, a key type. Metadata `token`.
    NotSupported = "NOT_SUPPORTED",
    /// Nothing can be recorded, so nothing is signed.
    LedgerUnavailable = "LEDGER_UNAVAILABLE",
    /// Nobody touched the token in time.
    TouchTimeout = "TOUCH_TIMEOUT",
    /// Too much waits already.
    Busy = "BUSY",
    /// A fault of the agent, or a signature that did not verify. Metadata `request_id`.
    Internal = "INTERNAL",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A reason that this version does not know: the agent is newer than the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownReason(pub String);

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown reason {}", self.0)
    }
}

impl Error for UnknownReason {}

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(name: &str) -> Result<Self, UnknownReason> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == name).ok_or_else(|| UnknownReason(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn a_reason_survives_the_wire() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse::<Reason>().as_ref(), Ok(reason));
        }
        assert!("NO_SUCH".parse::<Reason>().is_err());
    }
}
