//! What a keystore says when it cannot do what was asked, split by what the caller can do about it.

use std::io;
use std::path::PathBuf;

use super::{PivSlot, Place, Tries};

/// Whether a signature may exist although none was returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// Proved: the private key was never asked.
    Nothing,
    /// The device was lost, or answered nonsense, while it signed.
    Unknown,
}

/// A refusal or failure of a keystore.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// The token is not there, or went while it was used.
    #[error("token `{token}` is absent: insert it, or start what provides it, and repeat")]
    Absent {
        /// The configured name.
        token: String,
        /// Whether the private key was asked before it went.
        reached: Reached,
    },
    /// A PIN or passphrase is wanted first.
    #[error("{}{place} is locked: unlock it and repeat", key_at(.key))]
    Locked {
        /// The key's name or canonical id, in hexadecimal; empty when a whole token is meant.
        key: String,
        /// Where the key is.
        place: Place,
        /// The configured name of the token; `None` for a file.
        token: Option<String>,
        /// The key's role, where it is known.
        role: Option<String>,
    },
    /// The PIN or passphrase is wrong.
    #[error("the PIN or passphrase for {place} is incorrect")]
    SecretIncorrect {
        /// What it was for.
        place: String,
        /// What the token tells about the tries that are left.
        tries: Tries,
    },
    /// It cannot be the PIN.
    #[error("that is not the PIN of {place}: {why}; it was not tried")]
    SecretMalformed {
        /// What it was for.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// One more wrong one would block it.
    #[error("one more wrong {} would block `{token}`, so nothing was tried: repeat with permission to spend the last try", secret.to_uppercase())]
    LastTry {
        /// The configured name.
        token: String,
        /// "pin" or "puk".
        secret: &'static str,
    },
    /// The user PIN is blocked.
    #[error(
        "the user PIN of token `{token}` is blocked: its security officer must set a new one, a YubiKey's PUK does it too"
    )]
    PinBlocked {
        /// The configured name.
        token: String,
    },
    /// The PUK is blocked too.
    #[error("the PUK of YubiKey {token} is blocked")]
    PukBlocked {
        /// Its serial number.
        token: String,
    },
    /// Nobody touched it.
    #[error("YubiKey {token} was not touched in time, nothing was signed")]
    TouchTimeout {
        /// Its serial number.
        token: String,
    },
    /// A key would be destroyed.
    #[error("slot {slot} of YubiKey {token} {}", if *.certain { "holds a key" } else { "may hold a key, its firmware does not tell" })]
    SlotOccupied {
        /// Its serial number.
        token: String,
        /// The slot.
        slot: PivSlot,
        /// Whether it is known.
        certain: bool,
    },
    /// It changes nothing without its management key.
    #[error("{}", if *.wrong { format!("the management key of YubiKey {token} is another one") } else { format!("YubiKey {token} does not keep its management key behind its PIN: it must be given") })]
    ManagementKey {
        /// Its serial number.
        token: String,
        /// One was given.
        wrong: bool,
    },
    /// A secret that everybody knows.
    #[error("of YubiKey {token}, {secrets} would be as the factory sets it, which everybody knows")]
    FactorySecret {
        /// Its serial number.
        token: String,
        /// "PIN", "PUK", "management key", separated by commas.
        secrets: String,
    },
    /// Something was changed, and the rest was not.
    #[error("{why}; before that, YubiKey {token} got a new {done}")]
    HalfDone {
        /// Its serial number.
        token: String,
        /// "pin", "puk", "management-key", separated by commas.
        done: String,
        /// What kept the rest from being done.
        why: Box<Self>,
    },
    /// The token or its module answered with an error.
    #[error("{token} failed: {what}")]
    Failed {
        /// The configured name, or the file.
        token: String,
        /// What it answered.
        what: String,
        /// Whether the private key was asked.
        reached: Reached,
    },
    /// The keystore cannot do this.
    #[error("{place} does not support {what}")]
    NotSupported {
        /// The token or file.
        place: String,
        /// What was asked of it.
        what: String,
    },
    /// No such key at that place.
    #[error("no key {key} here: `key list` shows the keys there are")]
    UnknownKey {
        /// As it was asked for.
        key: String,
    },
    /// No such token in the configuration.
    #[error("no token `{token}` is configured; there are: {}", list(.configured))]
    UnknownToken {
        /// As it was asked for.
        token: String,
        /// The names that would have been right.
        configured: Vec<String>,
    },
    /// A directory or file that must not be used as it is.
    #[error("{} must not be used: {why}", .path.display())]
    UnsafePath {
        /// The directory or file.
        path: PathBuf,
        /// What is wrong with it, and what would be right.
        why: String,
    },
    /// A key file that cannot be read.
    #[error("key file {} is corrupt: {why}", .path.display())]
    CorruptKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What was to be imported is no private key that can be used.
    #[error("this is no private key that can be imported: {why}")]
    NotAKey {
        /// What is wrong with it.
        why: String,
    },
    /// A key file of that name exists already.
    #[error("{} exists already and is not overwritten", .path.display())]
    KeyExists {
        /// The file.
        path: PathBuf,
    },
    /// Too much waits already.
    #[error("too many requests wait for this keystore: repeat later")]
    Busy,
    /// The file system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl KeystoreError {
    /// True if it is proved that no signature was made: the version may be freed.
    #[must_use]
    pub fn nothing_signed(&self) -> bool {
        match self {
            Self::Failed { reached, .. } | Self::Absent { reached, .. } => *reached == Reached::Nothing,
            Self::HalfDone { why, .. } => why.nothing_signed(),
            Self::PukBlocked { .. }
            | Self::SecretMalformed { .. }
            | Self::TouchTimeout { .. }
            | Self::SlotOccupied { .. }
            | Self::ManagementKey { .. }
            | Self::FactorySecret { .. }
            | Self::Locked { .. }
            | Self::SecretIncorrect { .. }
            | Self::LastTry { .. }
            | Self::PinBlocked { .. }
            | Self::NotSupported { .. }
            | Self::UnknownKey { .. }
            | Self::UnknownToken { .. }
            | Self::UnsafePath { .. }
            | Self::CorruptKey { .. }
            | Self::KeyExists { .. }
            | Self::NotAKey { .. }
            | Self::Busy
            | Self::Io { .. } => true,
        }
    }
}

/// The configuration of the keystores cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A PKCS#11 module that must not be loaded.
    #[error("PKCS#11 module {}: {why}", .path.display())]
    Module {
        /// The module's path.
        path: PathBuf,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// Two tokens of one name.
    #[error("token `{0}` is configured twice: select one of them by its serial number")]
    Duplicate(String),
    /// A thread could not be started.
    #[error("a keystore thread could not be started: {0}")]
    Thread(#[source] io::Error),
}

fn key_at(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("key {key} at ") }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
