//! Keys, where they are: blocking sessions on threads of their own behind one asynchronous door.
//!
//! PINs, passphrases and decrypted keys never leave the threads behind [`Keystores`]. Nothing here decides whether a
//! signature may be made: it takes a [`Permit`], or it does not sign.

mod config;
mod error;
mod place;
mod trustdir;
mod unlock;
mod uri;

use std::sync::Arc;

use signet_tuf::{Algorithm, Gun};

use crate::caller::Connection;
use crate::ledger::Permit;
use crate::secret::Secret;

pub use config::{TokenConfig, TokenConfigError, TokenSelector};
pub use error::{KeystoreError, Reached, StartError};
pub use place::{KeyInfo, KeySelector, Listing, Located, Place, PlaceState, TokenInfo, Tries};
pub use trustdir::TrustDir;
pub use unlock::{LastTry, Scope};
pub use uri::{Pkcs11Uri, UriError};

/// All keystores of the agent. Clones share them.
#[derive(Debug, Clone)]
pub struct Keystores {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {}

#[expect(clippy::unused_async, unused_variables, reason = "bodies follow")]
impl Keystores {
    /// Starts the threads of the configured tokens. An absent token is no error; nothing is opened yet.
    ///
    /// # Errors
    /// `Module` if a module's path is not safe to load from, `Duplicate`, `Thread`.
    pub fn start(tokens: &[TokenConfig]) -> Result<Self, StartError> {
        Ok(Self { shared: Arc::new(Shared {}) })
    }

    /// Every key that is in reach: tokens in the order of the configuration, then the files of `dir`.
    pub async fn list(&self, dir: Option<&TrustDir>, connection: &Arc<Connection>) -> Listing {
        Listing::default()
    }

    /// The places of one key, tokens first, then the file. Answered from memory while tokens are healthy.
    pub async fn locate(&self, key: &KeySelector, dir: Option<&TrustDir>, connection: &Arc<Connection>) -> Vec<Located> {
        Vec::new()
    }

    /// Signs the permit's bytes with the permit's key at one place. The signature has TUF's form: ECDSA as r and s.
    ///
    /// # Errors
    /// See [`KeystoreError::nothing_signed`] for what each means for the permit.
    ///
    /// # Cancellation
    /// Dropped before a session took it, nothing is signed; after that a signature may be made and lost.
    pub async fn sign(
        &self,
        permit: &Permit,
        at: &Place,
        dir: Option<&TrustDir>,
        connection: &Arc<Connection>,
    ) -> Result<Vec<u8>, KeystoreError> {
        Err(KeystoreError::Busy)
    }

    /// Logs in to a token. Returns the places of its keys.
    ///
    /// # Errors
    /// `SecretIncorrect`, `LastTry`, `PinBlocked`, `Absent`, `UnknownToken`, `Failed`.
    pub async fn unlock_token(
        &self,
        token: &str,
        pin: Secret,
        scope: Scope,
        last_try: LastTry,
    ) -> Result<Vec<Place>, KeystoreError> {
        Err(KeystoreError::Busy)
    }

    /// Decrypts a key file. `key` is a name or a canonical ID, in hexadecimal.
    ///
    /// # Errors
    /// `SecretIncorrect`, `UnknownKey`, `CorruptKey`, `UnsafePath`, `Io`.
    pub async fn unlock_file(
        &self,
        dir: &TrustDir,
        key: &str,
        passphrase: Secret,
        scope: Scope,
    ) -> Result<Place, KeystoreError> {
        Err(KeystoreError::Busy)
    }

    /// Ends all unlocks of one token, or of everything.
    ///
    /// # Errors
    /// `UnknownToken`, `Failed`.
    pub async fn lock(&self, token: Option<&str>) -> Result<(), KeystoreError> {
        Err(KeystoreError::Busy)
    }

    /// The configured tokens, as they are now.
    pub async fn tokens(&self) -> Vec<TokenInfo> {
        Vec::new()
    }

    /// Makes a key on a token. It cannot leave it.
    ///
    /// # Errors
    /// `Locked`, `NotSupported`, `Absent`, `UnknownToken`, `Failed`.
    pub async fn generate_on_token(
        &self,
        token: &str,
        algorithm: Algorithm,
        role: &str,
        gun: Option<&Gun>,
        connection: &Arc<Connection>,
    ) -> Result<KeyInfo, KeystoreError> {
        Err(KeystoreError::Busy)
    }

    /// Makes a key in memory, for this connection. [`Self::set_passphrase`] writes it.
    ///
    /// # Errors
    /// `NotSupported`, `UnsafePath`, `Io`.
    pub async fn generate_in_file(
        &self,
        dir: &TrustDir,
        algorithm: Algorithm,
        role: &str,
        gun: Option<&Gun>,
        connection: &Arc<Connection>,
    ) -> Result<KeyInfo, KeystoreError> {
        Err(KeystoreError::Busy)
    }

    /// Writes a generated key for the first time (`old` is `None`), or changes the passphrase of a key file. Afterwards
    /// the key is unlocked for the connection.
    ///
    /// # Errors
    /// `SecretIncorrect`, `Locked` if `old` is wanted, `KeyExists`, `UnknownKey`, `CorruptKey`, `UnsafePath`, `Io`.
    pub async fn set_passphrase(
        &self,
        dir: &TrustDir,
        key: &str,
        old: Option<Secret>,
        new: Secret,
        connection: &Arc<Connection>,
    ) -> Result<KeyInfo, KeystoreError> {
        Err(KeystoreError::Busy)
    }
}
