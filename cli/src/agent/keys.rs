//! What is asked of the agent about key files.

use std::path::Path;

use signet_proto::{Reason, v1};
use signet_tuf::KeyId;
use zeroize::Zeroizing;

use super::{AgentError, Client, answered, keys_client, unlock};

/// A private key from elsewhere.
pub struct Incoming {
    /// One key as PEM.
    pub pem: Zeroizing<Vec<u8>>,
    /// What it is for.
    pub role: String,
    /// Its collection; empty if it serves any.
    pub gun: String,
    /// Whether it has a passphrase.
    pub sealed: Sealed,
}

/// Whether a private key from elsewhere has a passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed {
    /// It is in the clear.
    No,
    /// It has one, which will be asked for.
    Yes,
    /// It has one, and names its ID: it is stored as it is.
    Named(KeyId),
}

impl Client {
    /// Stores a private key from elsewhere; asks for its passphrase, or for one if it has none.
    ///
    /// # Errors
    /// [`AgentError`]; with the detail `path` if the key is there already.
    pub async fn import(&mut self, incoming: &Incoming) -> Result<v1::Key, AgentError> {
        let trust_dir = self.trust_dir()?;
        let mut request = v1::ImportKeyRequest {
            pem: incoming.pem.to_vec(),
            role: incoming.role.clone(),
            gun: incoming.gun.clone(),
            place: Some(v1::import_key_request::Place::TrustDir(trust_dir.clone())),
            ..v1::ImportKeyRequest::default()
        };
        let channel = self.channel().await?;
        let made = match incoming.sealed {
            Sealed::No => answered(keys_client(&channel).import(request)).await?,
            Sealed::Named(id) => {
                request.key_id = id.to_string();
                answered(keys_client(&channel).import(request)).await?
            }
            Sealed::Yes => {
                let mut candidates = self.prompt.candidates(&incoming.role, "");
                loop {
                    let passphrase = candidates.another()?;
                    request.passphrase = passphrase.expose().to_vec();
                    request.new_passphrase.clone_from(&request.passphrase);
                    match answered(keys_client(&channel).import(request.clone())).await {
                        Err(error) if error.reason() == Some(Reason::SecretIncorrect) => {}
                        done => break done?,
                    }
                }
            }
        };
        let key =
            made.key.ok_or_else(|| AgentError::Unexpected { what: "an imported key without a key".to_owned() })?;
        if !made.wants_passphrase {
            return Ok(key);
        }
        unlock::first_passphrase(&channel, &self.prompt, &trust_dir, &incoming.role, &key).await
    }

    /// Makes a key file in another trust directory; asks its passphrase.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn generate_in(&mut self, dir: &Path, role: &str, algorithm: &str) -> Result<v1::Key, AgentError> {
        let unicode = dir.to_str().map(str::to_owned);
        let trust_dir = unicode.ok_or_else(|| AgentError::Setting {
            name: "the directory of the new key",
            wanted: "UTF-8",
            value: dir.to_owned(),
        })?;
        let request = v1::GenerateKeyRequest {
            algorithm: algorithm.to_owned(),
            role: role.to_owned(),
            gun: String::new(),
            place: Some(v1::generate_key_request::Place::TrustDir(trust_dir.clone())),
            piv: None,
        };
        let channel = self.channel().await?;
        let made = answered(keys_client(&channel).generate(request)).await?;
        let key = made.key.ok_or_else(|| AgentError::Unexpected { what: "a new key without a key".to_owned() })?;
        unlock::first_passphrase(&channel, &self.prompt, &trust_dir, role, &key).await
    }

    /// A key file, encrypted, with its ID in a header.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn export(&mut self, key: &str) -> Result<Vec<u8>, AgentError> {
        let request = v1::ExportKeyRequest { key: key.to_owned(), trust_dir: self.trust_dir()? };
        Ok(answered(keys_client(&self.channel().await?).export(request)).await?.pem)
    }

    /// Removes a key file. `place` is its URI, as the listing has it.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn delete(&mut self, key: &str, place: &str) -> Result<(), AgentError> {
        let trust_dir = self.trust_dir()?;
        let request = v1::DeleteKeyRequest { key: key.to_owned(), trust_dir, place: place.to_owned() };
        answered(keys_client(&self.channel().await?).delete(request)).await.map(drop)
    }

    /// Gives a key file another passphrase; asks for the old one and twice for the new one.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn change_passphrase(&mut self, key: &v1::Key) -> Result<(), AgentError> {
        let trust_dir = self.trust_dir()?;
        let channel = self.channel().await?;
        let old = unlock::file_passphrase(&channel, &self.prompt, &trust_dir, &key.role, &key.key_id).await?;
        let new = self.prompt.another_passphrase(&key.role, &key.key_id)?;
        let request = v1::ChangePassphraseRequest {
            key: key.key_id.clone(),
            trust_dir,
            old_passphrase: old.expose().to_vec(),
            new_passphrase: new.expose().to_vec(),
        };
        answered(keys_client(&channel).change_passphrase(request)).await.map(drop)
    }
}
