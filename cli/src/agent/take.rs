//! Private keys from elsewhere, into a file or onto a token.

use signet_proto::{Reason, v1};
use signet_tuf::KeyId;
use tonic::transport::Channel;
use zeroize::Zeroizing;

use super::{AgentError, Client, PivOptions, answered, keys_client, touch, unlock, warn_of};
use crate::secret::Passphrase;

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

/// A private key from elsewhere that the agent holds for this connection, and that is stored nowhere yet.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The key.
    pub key: v1::Key,
    passphrase: Passphrase,
}

impl Client {
    /// Stores a private key from elsewhere in a file; asks for its passphrase, or for one if it has none.
    ///
    /// # Errors
    /// [`AgentError`]; with the detail `path` if the key is there already.
    pub async fn import(&mut self, incoming: &Incoming) -> Result<v1::Key, AgentError> {
        self.in_file(incoming).await.map(|(key, _)| key)
    }

    /// As [`Client::import`], of a key that goes onto a token next: the passphrase that opened it is not asked for again.
    ///
    /// # Errors
    /// [`AgentError`]; with the detail `path` if the key is there already.
    pub async fn import_copy(&mut self, incoming: &Incoming) -> Result<v1::Key, AgentError> {
        let (key, opened) = self.in_file(incoming).await?;
        if let Some(passphrase) = opened {
            self.prompt.remember(&incoming.role, &passphrase);
        }
        Ok(key)
    }

    /// The key, and the passphrase that opened it, if that was asked for.
    async fn in_file(&mut self, incoming: &Incoming) -> Result<(v1::Key, Option<Passphrase>), AgentError> {
        let trust_dir = self.trust_dir()?;
        let mut request = v1::ImportKeyRequest {
            pem: incoming.pem.to_vec(),
            role: incoming.role.clone(),
            gun: incoming.gun.clone(),
            place: Some(v1::import_key_request::Place::TrustDir(trust_dir.clone())),
            ..v1::ImportKeyRequest::default()
        };
        let channel = self.channel().await?;
        let mut opened = None;
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
                        done => {
                            opened = Some(passphrase);
                            break done?;
                        }
                    }
                }
            }
        };
        let wants_passphrase = made.wants_passphrase;
        let mut key = imported(made)?;
        if wants_passphrase {
            key = unlock::first_passphrase(&channel, &self.prompt, &trust_dir, &incoming.role, &key).await?;
        }
        Ok((key, opened))
    }

    /// Opens an encrypted private key from elsewhere, asking for its passphrase; [`Client::keep`] stores it.
    ///
    /// # Errors
    /// [`AgentError`]; with the detail `path` if the key is there already.
    pub async fn open(&mut self, incoming: &Incoming) -> Result<Opened, AgentError> {
        let mut request = v1::ImportKeyRequest {
            pem: incoming.pem.to_vec(),
            role: incoming.role.clone(),
            gun: incoming.gun.clone(),
            place: Some(v1::import_key_request::Place::TrustDir(self.trust_dir()?)),
            ..v1::ImportKeyRequest::default()
        };
        let channel = self.channel().await?;
        let mut candidates = self.prompt.candidates(&incoming.role, "");
        loop {
            let passphrase = candidates.another()?;
            request.passphrase = passphrase.expose().to_vec();
            match answered(keys_client(&channel).import(request.clone())).await {
                Err(error) if error.reason() == Some(Reason::SecretIncorrect) => {}
                done => return Ok(Opened { key: imported(done?)?, passphrase }),
            }
        }
    }

    /// Stores a key that was opened, under the passphrase that opened it.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn keep(&mut self, opened: &Opened) -> Result<v1::Key, AgentError> {
        let request = v1::ChangePassphraseRequest {
            key: opened.key.key_id.clone(),
            trust_dir: self.trust_dir()?,
            old_passphrase: Vec::new(),
            new_passphrase: opened.passphrase.expose().to_vec(),
        };
        let written = answered(keys_client(&self.channel().await?).change_passphrase(request)).await?;
        written.key.ok_or_else(|| AgentError::Unexpected { what: "a changed passphrase without a key".to_owned() })
    }

    /// Stores a private key from elsewhere on a token; asks for its passphrase, since the token wants the key in the clear.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn import_to(
        &mut self,
        incoming: &Incoming,
        token: &str,
        piv: &PivOptions,
    ) -> Result<v1::Key, AgentError> {
        let mut request = v1::ImportKeyRequest {
            pem: incoming.pem.to_vec(),
            role: incoming.role.clone(),
            gun: incoming.gun.clone(),
            place: Some(v1::import_key_request::Place::Token(token.to_owned())),
            piv: piv.message(),
            ..v1::ImportKeyRequest::default()
        };
        let mut candidates = match incoming.sealed {
            Sealed::No => None,
            Sealed::Yes => Some(self.prompt.candidates(&incoming.role, "")),
            Sealed::Named(id) => Some(self.prompt.candidates(&incoming.role, &id.to_string())),
        };
        if let Some(candidates) = &mut candidates {
            request.passphrase = candidates.another()?.expose().to_vec();
        }
        // the passphrase is tried again, and a PIN, which would spend its tries, is not
        let opened = async |channel: &Channel| loop {
            match (answered(keys_client(channel).import(request.clone())).await, &mut candidates) {
                (Err(error), Some(candidates))
                    if error.reason() == Some(Reason::SecretIncorrect) && error.detail("tries").is_none() =>
                {
                    request.passphrase = candidates.another()?.expose().to_vec();
                }
                (done, _) => return done,
            }
        };
        let made = self.unlocking(touch::perhaps_yubikey(token), opened).await?;
        warn_of(&made.notices);
        imported(made)
    }
}

fn imported(made: v1::ImportKeyResponse) -> Result<v1::Key, AgentError> {
    made.key.ok_or_else(|| AgentError::Unexpected { what: "an imported key without a key".to_owned() })
}
