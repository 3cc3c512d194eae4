//! Keys and the places where they are.

use std::fmt;
use std::path::PathBuf;

use signet_tuf::{KeyId, KeyName, PublicKey};

use super::{CardFacts, PivSlot, SlotFacts};

/// Where a key is. One key may be in several places.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// An object of a token.
    Token {
        /// The configured name.
        token: String,
        /// The object's `pkcs11:` URI (RFC 7512).
        uri: String,
    },
    /// A slot of a YubiKey.
    Slot {
        /// Its serial number.
        token: String,
        /// The slot.
        slot: PivSlot,
    },
    /// A key file, by its absolute path.
    File(PathBuf),
}

impl Place {
    /// The token's configured name; none for a file.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        match self {
            Self::Token { token, .. } | Self::Slot { token, .. } => Some(token),
            Self::File(_) => None,
        }
    }

    /// The YubiKey's serial number and the slot, if that is where it is.
    #[must_use]
    pub fn slot(&self) -> Option<(String, PivSlot)> {
        match self {
            Self::Slot { token, slot } => Some((token.clone(), *slot)),
            Self::Token { .. } | Self::File(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token { uri, .. } => f.write_str(uri),
            Self::Slot { token, slot } => write!(f, "yubikey:{token}/{slot}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// Whether a key can sign now, for the connection that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceState {
    /// Nobody would be asked.
    Ready,
    /// A PIN or passphrase is wanted first.
    Locked,
    /// The token was here and is not now.
    Absent,
}

/// A key, as far as it is known without its PIN or passphrase.
#[derive(Debug, Clone)]
pub struct KeyInfo {
    /// SHA-256 of the SPKI; unknown for an encrypted file that was never unlocked.
    pub name: Option<KeyName>,
    /// Notary's canonical key ID.
    pub key_id: KeyId,
    /// The public key; unknown for an encrypted file that was never unlocked.
    pub public: Option<PublicKey>,
    /// From the file's header or the object's label.
    pub role: Option<String>,
    /// From the file's header or the object's label.
    pub gun: Option<String>,
    /// Every place that holds it: tokens in the order of the configuration, then files.
    pub places: Vec<(Place, PlaceState)>,
    /// What YubiKeys tell of it; in the order of their places.
    pub slots: Vec<(String, SlotFacts)>,
}

impl KeyInfo {
    /// Whether somebody who says `key`, a name or a canonical ID in hexadecimal, means this one.
    #[must_use]
    pub fn is_called(&self, key: &str) -> bool {
        self.key_id.to_string() == key || self.name.is_some_and(|name| name.to_string() == key)
    }
}

/// All keys, with what could not be read beside them.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// One entry for each key, whatever the number of its places.
    pub keys: Vec<KeyInfo>,
    /// For a person: absent tokens, unreadable files.
    pub warnings: Vec<String>,
}

impl Listing {
    /// Adds places, those of a known key to its entry.
    pub(super) fn add(&mut self, located: Vec<Located>) {
        for Located { info, .. } in located {
            let same = |key: &&mut KeyInfo| match (key.name, info.name) {
                (Some(one), Some(other)) => one == other,
                (_, None) | (None, _) => key.key_id == info.key_id,
            };
            match self.keys.iter_mut().find(same) {
                Some(known) => {
                    known.places.extend(info.places);
                    known.slots.extend(info.slots);
                }
                None => self.keys.push(info),
            }
        }
    }
}

/// One place of one key.
#[derive(Debug, Clone)]
pub struct Located {
    /// Where.
    pub place: Place,
    /// Whether it can sign now.
    pub state: PlaceState,
    /// What the place knows of the key; its `places` holds just this one.
    pub info: KeyInfo,
}

/// Which key is meant. A locked file is found by its canonical ID alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySelector {
    /// Signet's own name, where it is known.
    pub name: Option<KeyName>,
    /// Notary's canonical key ID.
    pub canonical: KeyId,
}

impl From<&PublicKey> for KeySelector {
    fn from(key: &PublicKey) -> Self {
        Self { name: Some(key.name()), canonical: key.canonical_id() }
    }
}

impl KeySelector {
    /// True if `info` is the key that is meant.
    #[must_use]
    pub fn matches(&self, info: &KeyInfo) -> bool {
        match (self.name, info.name) {
            (Some(wanted), Some(found)) => wanted == found,
            (_, None) | (None, _) => self.canonical == info.key_id,
        }
    }
}

/// What a token tells about the tries that are left for its user PIN, before any login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tries {
    /// It does not tell, or is absent; a file has no limit.
    Unknown,
    /// None was spent.
    All,
    /// At least one wrong PIN since the last login (`CKF_USER_PIN_COUNT_LOW`).
    Fewer,
    /// So many, two at least; it does not tell how many there were.
    Left(u8),
    /// One more wrong PIN blocks it (`CKF_USER_PIN_FINAL_TRY`).
    Last,
    /// Blocked (`CKF_USER_PIN_LOCKED`).
    Blocked,
}

/// A configured token, as it is now.
#[derive(Debug, Clone)]
pub struct TokenInfo {
    /// As configured: label, serial number or URI.
    pub name: String,
    /// Empty while the token is absent and was never seen.
    pub label: String,
    /// Empty while the token is absent and was never seen.
    pub serial: String,
    /// Empty while the token is absent and was never seen.
    pub model: String,
    /// The PKCS#11 module; none of a YubiKey.
    pub module: Option<PathBuf>,
    /// Only of a YubiKey that was seen.
    pub card: Option<CardFacts>,
    /// Its keys, if it is a YubiKey.
    pub slots: Vec<(KeyInfo, SlotFacts)>,
    /// It answers.
    pub present: bool,
    /// By a lasting unlock or a PIN file, or because it asks for no login.
    pub unlocked: bool,
    /// Before any login.
    pub tries: Tries,
    /// Why it cannot be used, for a person.
    pub trouble: Option<String>,
    /// The roles whose new keys belong on it.
    pub roles: Vec<String>,
}
