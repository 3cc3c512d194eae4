//! What every kind of token can do, in the words of PKCS#11. All of it blocks.

use signet_tuf::{Algorithm, KeyName, PublicKey};

use super::piv::{CardFacts, PivOptions, PivSlot, SlotFacts};
use super::{Reached, Tries};
use crate::ledger::{Purpose, Scheme};
use crate::secret::Secret;

/// Something that holds private keys behind one PIN: a PKCS#11 token, a YubiKey, or one key file behind its passphrase.
pub(super) trait Token: Clone + Send + 'static {
    /// What one thread works with.
    type Session: Session + Send;

    /// Whether a PIN outlives the token's absence: it is used again when the token comes back.
    const KEEPS_PIN_WHEN_ABSENT: bool;

    /// Asks the token about itself; spends nothing (`C_GetTokenInfo`).
    fn info(&mut self) -> Result<Facts, Fault>;

    /// Finds the token and opens a session of its own (`C_OpenSession`).
    fn open_session(&mut self, access: Access) -> Result<Self::Session, Fault>;

    /// Starts what provides the token anew, if that may help and was not done just now (`C_Finalize`, `C_Initialize`).
    fn reset(&mut self, urgency: Urgency) -> Result<(), Fault>;
}

/// One session with a token. It ends when dropped.
pub(super) trait Session: 'static {
    /// Whether the user is logged in; fails if the session is lost (`C_GetSessionInfo`).
    fn login_state(&mut self) -> Result<LoginState, Fault>;

    /// Logs the user in, for all sessions of this token (`C_Login`).
    fn login(&mut self, pin: &Secret) -> Result<(), Fault>;

    /// Logs the user out, for all sessions of this token (`C_Logout`).
    fn logout(&mut self) -> Result<(), Fault>;

    /// The keys that can be seen now (`C_FindObjects`, `C_GetAttributeValue`).
    fn find_keys(&mut self) -> Result<Vec<KeyObject>, Fault>;

    /// Signs; the signature has TUF's form (`C_SignInit`, `C_Sign`).
    /// `purpose` is told to whoever has to touch the token.
    fn sign(&mut self, key: KeyName, scheme: Scheme, message: &[u8], purpose: &Purpose) -> Result<Vec<u8>, Fault>;

    /// Makes a key that can sign and cannot be taken out (`C_GenerateKeyPair`).
    fn generate_key_pair(&mut self, wanted: &NewKey) -> Result<KeyObject, Fault>;
}

/// What a session may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Nothing.
    ReadOnly,
    /// Objects of the token (`CKF_RW_SESSION`).
    ReadWrite,
}

/// Who waits for a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// A caller.
    Asked,
    /// Nobody: the token is only watched.
    Idle,
}

/// Whether the user is logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoginState {
    /// Only public objects are seen.
    LoggedOut,
    /// Private objects are seen and used.
    LoggedIn,
    /// The PIN that logged in was refused later: it is another by now.
    Refused,
}

/// Whether private keys need a login at all (`CKF_LOGIN_REQUIRED`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    /// They do.
    Required,
    /// They do not.
    Needless,
}

/// What a token says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) label: String,
    pub(super) serial: String,
    pub(super) model: String,
    pub(super) login: Login,
    pub(super) tries: Tries,
    /// Only of a YubiKey.
    pub(super) card: Option<CardFacts>,
}

/// A key that is to be made.
#[derive(Debug, Clone)]
pub(super) struct NewKey {
    pub(super) algorithm: Algorithm,
    /// `CKA_LABEL`.
    pub(super) label: String,
    /// Only on a YubiKey.
    pub(super) piv: Option<PivOptions>,
}

/// A key pair, as it is seen on a token.
#[derive(Debug, Clone)]
pub(super) struct KeyObject {
    /// `CKA_ID`.
    pub(super) id: Vec<u8>,
    /// `CKA_LABEL`.
    pub(super) label: String,
    pub(super) public: PublicKey,
    /// Only on a YubiKey.
    pub(super) slot: Option<SlotFacts>,
}

/// Why a token did not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// No such token in any slot.
    Absent,
    /// The session or the device is gone; opening it again may help.
    Lost { what: String, reached: Reached },
    /// The user is not logged in (any more).
    NotLoggedIn,
    /// The user was logged in already, through another session of this process.
    AlreadyLoggedIn,
    /// The PIN is wrong, and a try is spent.
    PinIncorrect,
    /// It cannot be the PIN, so it was not tried.
    PinMalformed(String),
    /// No tries are left.
    PinBlocked,
    /// One more wrong one would block it, and nobody said that it may.
    LastTry { secret: &'static str },
    /// The PUK is wrong, and a try is spent.
    PukIncorrect(Tries),
    /// No tries are left for the PUK either.
    PukBlocked,
    /// A secret that everybody knows would stay, or would be set.
    FactorySecret(String),
    /// Nobody touched it in time; nothing was signed.
    TouchTimeout,
    /// The slot holds a key.
    SlotOccupied { slot: PivSlot, certain: bool },
    /// The management key is wanted, or is wrong.
    ManagementKey { wrong: bool },
    /// The session sees no private key of that name.
    NoKey,
    /// The token cannot do this.
    Unsupported(String),
    /// What was read is not a key.
    Corrupt(String),
    /// The path must not be used.
    Unsafe(String),
    /// Anything else the token answered.
    Refused { what: String, reached: Reached },
}

impl Fault {
    /// True if opening the token again may help. Never so for an error about the PIN.
    pub(super) fn heals(&self) -> bool {
        match self {
            Self::Absent | Self::Lost { .. } | Self::NotLoggedIn => true,
            Self::AlreadyLoggedIn
            | Self::PinIncorrect
            | Self::PinMalformed(_)
            | Self::PinBlocked
            | Self::LastTry { .. }
            | Self::PukIncorrect(_)
            | Self::PukBlocked
            | Self::FactorySecret(_)
            | Self::TouchTimeout
            | Self::SlotOccupied { .. }
            | Self::ManagementKey { .. }
            | Self::NoKey
            | Self::Unsupported(_)
            | Self::Corrupt(_)
            | Self::Unsafe(_)
            | Self::Refused { .. } => false,
        }
    }

    /// Whether a signature may exist after this.
    pub(super) fn reached(&self) -> Reached {
        match self {
            Self::Lost { reached, .. } | Self::Refused { reached, .. } => *reached,
            Self::Absent
            | Self::NotLoggedIn
            | Self::AlreadyLoggedIn
            | Self::PinIncorrect
            | Self::PinMalformed(_)
            | Self::PinBlocked
            | Self::LastTry { .. }
            | Self::PukIncorrect(_)
            | Self::PukBlocked
            | Self::FactorySecret(_)
            | Self::TouchTimeout
            | Self::SlotOccupied { .. }
            | Self::ManagementKey { .. }
            | Self::NoKey
            | Self::Unsupported(_)
            | Self::Corrupt(_)
            | Self::Unsafe(_) => Reached::Nothing,
        }
    }

    /// For a person who looks at the state of a token.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Absent => "absent".to_owned(),
            Self::NotLoggedIn => "not logged in".to_owned(),
            Self::AlreadyLoggedIn => "already logged in".to_owned(),
            Self::PinIncorrect => "the PIN is incorrect".to_owned(),
            Self::PinBlocked => "the PIN is blocked".to_owned(),
            Self::LastTry { .. } => "one try is left".to_owned(),
            Self::PukIncorrect(_) => "the PUK is incorrect".to_owned(),
            Self::PukBlocked => "the PUK is blocked".to_owned(),
            Self::FactorySecret(what) => format!("the factory's {what}"),
            Self::TouchTimeout => "nobody touched it in time".to_owned(),
            Self::SlotOccupied { slot, .. } => format!("slot {slot} holds a key"),
            Self::ManagementKey { wrong: false } => "its management key is wanted".to_owned(),
            Self::ManagementKey { wrong: true } => "the management key is wrong".to_owned(),
            Self::NoKey => "the private key is not there".to_owned(),
            Self::Lost { what, .. }
            | Self::Refused { what, .. }
            | Self::Unsupported(what)
            | Self::PinMalformed(what)
            | Self::Corrupt(what)
            | Self::Unsafe(what) => what.clone(),
        }
    }
}
