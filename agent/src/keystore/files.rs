//! What is done with key files alone; each is done in the file keystore's thread.

use std::sync::Arc;

use signet_tuf::{Algorithm, Gun, KeyId};

use super::file::{FileRequest, Incoming, OpenedBy};
use super::queue::ask;
use super::{FILES, KeyInfo, KeystoreError, Keystores, Place, Scope, TrustDir, Written, writable};
use crate::caller::Connection;
use crate::secret::Secret;

impl Keystores {
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
        let (dir, key) = (dir.clone(), key.to_owned());
        ask(&self.shared.files, FILES, |reply| FileRequest::Unlock { dir, key, passphrase, scope, reply }).await
    }

    /// Makes a key in memory, for this connection. [`Self::set_passphrase`] writes it.
    ///
    /// # Errors
    /// `NotSupported`, `Failed`.
    pub async fn generate_in_file(
        &self,
        dir: &TrustDir,
        algorithm: Algorithm,
        role: &str,
        gun: Option<&Gun>,
        connection: &Arc<Connection>,
    ) -> Result<KeyInfo, KeystoreError> {
        writable(role)?;
        ask(&self.shared.files, FILES, |reply| FileRequest::Generate {
            dir: dir.clone(),
            algorithm,
            role: role.to_owned(),
            gun: gun.map(Gun::to_string),
            connection: Arc::downgrade(connection),
            reply,
        })
        .await
    }

    /// Writes a generated key for the first time (`old` is `None`), or changes the passphrase of a key file. Afterwards
    /// the key is unlocked for the connection.
    ///
    /// # Errors
    /// `SecretIncorrect`, `Locked` if `old` is wanted, `KeyExists`, `UnknownKey`, `CorruptKey`, `UnsafePath`,
    /// `NotSupported` for an empty passphrase, `Io`.
    pub async fn set_passphrase(
        &self,
        dir: &TrustDir,
        key: &str,
        old: Option<Secret>,
        new: Secret,
        connection: &Arc<Connection>,
    ) -> Result<(KeyInfo, Written), KeystoreError> {
        let (dir, key, connection) = (dir.clone(), key.to_owned(), Arc::clone(connection));
        ask(&self.shared.files, FILES, |reply| FileRequest::SetPassphrase { dir, key, old, new, connection, reply })
            .await
    }

    /// Opens a private key from elsewhere and holds it for this connection; [`Self::set_passphrase`] writes it.
    ///
    /// # Errors
    /// `NotAKey`, `Locked` without its passphrase, `SecretIncorrect`, `KeyExists`, `NotSupported`.
    pub async fn import(
        &self,
        dir: &TrustDir,
        pem: Secret,
        passphrase: Secret,
        (role, gun): (&str, Option<&Gun>),
        connection: &Arc<Connection>,
    ) -> Result<KeyInfo, KeystoreError> {
        self.take_in(dir, pem, OpenedBy::Passphrase(passphrase), (role, gun), connection).await
    }

    /// Stores an encrypted private key from elsewhere as it is. That it is the key `id` shows when it is unlocked.
    ///
    /// # Errors
    /// `NotAKey`, `KeyExists`, `NotSupported`, `Io`.
    pub async fn import_sealed(
        &self,
        dir: &TrustDir,
        pem: Secret,
        id: KeyId,
        (role, gun): (&str, Option<&Gun>),
        connection: &Arc<Connection>,
    ) -> Result<KeyInfo, KeystoreError> {
        self.take_in(dir, pem, OpenedBy::Nobody(id), (role, gun), connection).await
    }

    async fn take_in(
        &self,
        dir: &TrustDir,
        pem: Secret,
        opened_by: OpenedBy,
        (role, gun): (&str, Option<&Gun>),
        connection: &Arc<Connection>,
    ) -> Result<KeyInfo, KeystoreError> {
        writable(role)?;
        let incoming = Incoming { pem, opened_by, role: role.to_owned(), gun: gun.map(Gun::to_string) };
        let (dir, connection) = (dir.clone(), Arc::downgrade(connection));
        ask(&self.shared.files, FILES, |reply| FileRequest::Import { dir, incoming, connection, reply }).await
    }

    /// A key file as encrypted PEM with its ID in a header.
    ///
    /// # Errors
    /// `UnknownKey`, `CorruptKey`, `UnsafePath`, `NotSupported` for a file without a passphrase.
    pub async fn export(&self, dir: &TrustDir, key: &str) -> Result<String, KeystoreError> {
        let (dir, key) = (dir.clone(), key.to_owned());
        ask(&self.shared.files, FILES, |reply| FileRequest::Export { dir, key, reply }).await
    }

    /// Removes a key file; the key is gone from memory too.
    ///
    /// # Errors
    /// `UnknownKey`, `Io`.
    pub async fn remove_file(&self, dir: &TrustDir, key: &str) -> Result<KeyInfo, KeystoreError> {
        let (dir, key) = (dir.clone(), key.to_owned());
        ask(&self.shared.files, FILES, |reply| FileRequest::Remove { dir, key, reply }).await
    }
}
