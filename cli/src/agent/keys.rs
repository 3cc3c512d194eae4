//! What is asked of the agent about keys.

use std::path::Path;

use signet_proto::v1;
use signet_tuf::{Gun, Role};
use time::OffsetDateTime;
use tonic::transport::Channel;

use super::{AgentError, Client, PivOptions, agent_client, answered, keys_client, touch, unlock, warn_of};

/// Lifetime of a root certificate: Notary's ten years.
const CERTIFICATE_DAYS: u32 = 3650;

/// Where a new key is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// By the agent's rules for the role; a key file if there is none.
    Rule,
    /// On a token.
    Token {
        /// Label, serial number or PKCS#11 URI.
        name: String,
        /// How a YubiKey keeps it.
        piv: PivOptions,
    },
    /// In a key file of the trust directory.
    File,
}

impl Client {
    /// Makes a key; asks the new passphrase of a file, or the PIN of a locked token.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn generate(
        &mut self,
        role: &Role,
        gun: Option<&Gun>,
        wanted: Place,
        algorithm: &str,
    ) -> Result<v1::Key, AgentError> {
        self.generate_for(role.as_str(), gun, wanted, algorithm).await
    }

    /// As [`Client::generate`], for any word that Notary takes as a role, such as "user" or "delegation".
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn generate_for(
        &mut self,
        role: &str,
        gun: Option<&Gun>,
        wanted: Place,
        algorithm: &str,
    ) -> Result<v1::Key, AgentError> {
        let trust_dir = self.trust_dir()?;
        let (token, piv) = match wanted {
            Place::Token { name, piv } => (Some(name), piv.message()),
            Place::File => (None, None),
            Place::Rule => (self.rule(role).await?, None),
        };
        let touched = token.as_deref().map(touch::perhaps_yubikey).unwrap_or_default();
        let in_file = || v1::generate_key_request::Place::TrustDir(trust_dir.clone());
        let request = v1::GenerateKeyRequest {
            algorithm: algorithm.to_owned(),
            role: role.to_owned(),
            gun: gun.map(ToString::to_string).unwrap_or_default(),
            place: Some(token.map_or_else(in_file, v1::generate_key_request::Place::Token)),
            piv,
        };
        let generated = async |channel: &Channel| answered(keys_client(channel).generate(request.clone())).await;
        let made = self.unlocking(touched, generated).await?;
        warn_of(&made.notices);
        let key = made.key.ok_or_else(|| AgentError::Unexpected { what: "a new key without a key".to_owned() })?;
        let key = if made.wants_passphrase {
            unlock::first_passphrase(&self.channel().await?, &self.prompt, &trust_dir, role, &key).await?
        } else {
            key
        };
        self.listed.push(key.clone());
        Ok(key)
    }

    /// The token on which new keys of a role are made.
    async fn rule(&mut self, role: &str) -> Result<Option<String>, AgentError> {
        let status = answered(agent_client(&self.channel().await?).status(v1::StatusRequest {})).await?;
        Ok(status.generate.into_iter().find(|rule| rule.role == role).map(|rule| rule.token))
    }

    /// The self-signed certificate of `key` (canonical ID) for `gun`, PEM, valid for ten years.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn certify(&mut self, key: &str, gun: &Gun, now: OffsetDateTime) -> Result<String, AgentError> {
        let request = v1::CertifyKeyRequest {
            key: key.to_owned(),
            trust_dir: self.trust_dir()?,
            gun: gun.to_string(),
            not_before: now.unix_timestamp(),
            days: CERTIFICATE_DAYS,
        };
        let touched = touch::touchable(&self.listed, [key]);
        let certified = async |channel: &Channel| answered(keys_client(channel).certify(request.clone())).await;
        let made = self.unlocking(touched, certified).await?;
        String::from_utf8(made.pem)
            .map_err(|_| AgentError::Unexpected { what: "a certificate that is not PEM".to_owned() })
    }

    /// A PKCS #10 request for the certificate of `key` (canonical ID) for `gun`, PEM.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn request_certificate(&mut self, key: &str, gun: &Gun) -> Result<String, AgentError> {
        let request =
            v1::RequestCertificateRequest { key: key.to_owned(), trust_dir: self.trust_dir()?, gun: gun.to_string() };
        let touched = touch::touchable(&self.listed, [key]);
        let requested = async |channel: &Channel| answered(keys_client(channel).request(request.clone())).await;
        let made = self.unlocking(touched, requested).await?;
        String::from_utf8(made.pem).map_err(|_| AgentError::Unexpected { what: "a request that is not PEM".to_owned() })
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
