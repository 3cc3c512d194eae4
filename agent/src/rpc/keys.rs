//! `signet.v1.Keys`.

use std::sync::Arc;

use signet_proto::v1::{self, generate_key_request::Place as Wanted, keys_server};
use signet_tuf::{Algorithm, Gun};
use tonic::{Request, Response, Status};

use super::{Services, decode, encode, optional_path, status};
use crate::{
    caller::Connection,
    keystore::{KeyInfo, KeystoreError, PinPolicy, PivOptions, Place, TouchPolicy, TrustDir, Written},
    log::{Event, KeyFileAct},
    secret::Secret,
    sign::{CertificateRequest, SignError, Signing, SlotLabel, WantedRequest, open_trust_dir},
};

#[tonic::async_trait]
impl keys_server::Keys for Services {
    async fn list(&self, request: Request<v1::ListKeysRequest>) -> Result<Response<v1::ListKeysResponse>, Status> {
        let connection = self.caller(&request)?;
        let dir = open(request.into_inner().trust_dir).await?;
        let listing = self.signing.keystores.list(dir.as_ref(), &connection).await;
        Ok(Response::new(v1::ListKeysResponse {
            keys: listing.keys.into_iter().map(|info| self.key(info)).collect(),
            warnings: listing.warnings,
        }))
    }

    async fn get(&self, request: Request<v1::GetKeyRequest>) -> Result<Response<v1::GetKeyResponse>, Status> {
        let connection = self.caller(&request)?;
        let v1::GetKeyRequest { key: wanted, trust_dir } = request.into_inner();
        let dir = open(trust_dir).await?;
        let listing = self.signing.keystores.list(dir.as_ref(), &connection).await;
        let found =
            listing.keys.into_iter().map(|info| self.key(info)).find(|key| key.name == wanted || key.key_id == wanted);
        let found = found.ok_or_else(|| status::status(KeystoreError::UnknownKey { key: wanted }))?;
        Ok(Response::new(v1::GetKeyResponse { key: Some(found) }))
    }

    async fn generate(
        &self,
        request: Request<v1::GenerateKeyRequest>,
    ) -> Result<Response<v1::GenerateKeyResponse>, Status> {
        let connection = self.caller(&request)?;
        let asked = request.into_inner();
        let algorithm: Algorithm = asked.algorithm.parse().map_err(|error| status::bad_request("algorithm", error))?;
        let gun = gun(&asked.gun)?;
        let mut notices = Vec::new();
        let (made, wants_passphrase) = match asked.place {
            Some(Wanted::Token(token)) => {
                let piv = asked.piv.map(decode::piv_options).transpose()?;
                let signing = self.signing.clone();
                let made = self.finish_signing(async move {
                    let for_what = (asked.role.as_str(), gun.as_ref());
                    let keystores = &signing.keystores;
                    let made = keystores.generate_on_token(&token, algorithm, for_what, piv.clone(), &connection);
                    let info = record_made(&signing, &connection, made.await?).await?;
                    let unattested = signing.keep_attestation(&info).await;
                    let label =
                        SlotLabel { role: asked.role, gun, management_key: piv.and_then(|piv| piv.management_key) };
                    let (info, unlabelled) = signing.label_slot(info, &label, &connection).await;
                    Ok((info, unattested.into_iter().chain(unlabelled)))
                });
                let (info, notice) = made.await?;
                notices.extend(notice);
                (info, false)
            }
            Some(Wanted::TrustDir(dir)) => {
                let dir = open_wanted(dir).await?;
                let keystores = &self.signing.keystores;
                let made = keystores.generate_in_file(&dir, algorithm, &asked.role, gun.as_ref(), &connection).await;
                (made.map_err(status::status)?, true)
            }
            None => return Err(status::bad_request("place", "a token or a trust directory is wanted")),
        };
        Ok(Response::new(v1::GenerateKeyResponse { key: Some(self.key(made)), wants_passphrase, notices }))
    }

    async fn import(&self, request: Request<v1::ImportKeyRequest>) -> Result<Response<v1::ImportKeyResponse>, Status> {
        let connection = self.caller(&request)?;
        let asked = request.into_inner();
        let (pem, passphrase) = (Secret::from(asked.pem), secret("passphrase", asked.passphrase)?);
        let new = secret("new_passphrase", asked.new_passphrase)?;
        let gun = gun(&asked.gun)?;
        let dir = match asked.place {
            Some(v1::import_key_request::Place::TrustDir(dir)) => open_wanted(dir).await?,
            Some(v1::import_key_request::Place::Token(token)) => {
                let piv = asked.piv.map(decode::piv_options).transpose()?;
                let for_what = (asked.role, gun);
                return self.import_on_token(token, (pem, passphrase), for_what, piv, connection).await;
            }
            None => return Err(status::bad_request("place", "a trust directory is wanted")),
        };
        let for_what = (asked.role.as_str(), gun.as_ref());
        let keystores = &self.signing.keystores;
        if !asked.key_id.is_empty() {
            let id = asked.key_id.parse().map_err(|error| status::bad_request("key_id", error))?;
            let stored = keystores.import_sealed(&dir, pem, id, for_what, &connection).await.map_err(status::status)?;
            record_file(&self.signing, &connection, KeyFileAct::Imported, &stored).await.map_err(status::status)?;
            return Ok(Response::new(v1::ImportKeyResponse {
                key: Some(self.key(stored)),
                wants_passphrase: false,
                notices: Vec::new(),
            }));
        }
        let held = keystores.import(&dir, pem, passphrase, for_what, &connection).await.map_err(status::status)?;
        if new.is_empty() {
            return Ok(Response::new(v1::ImportKeyResponse {
                key: Some(self.key(held)),
                wants_passphrase: true,
                notices: Vec::new(),
            }));
        }
        let signing = self.signing.clone();
        let id = held.key_id.to_string();
        let written = self.finish(async move { seal(&signing, &connection, &dir, &id, None, new).await }).await?;
        Ok(Response::new(v1::ImportKeyResponse {
            key: Some(self.key(written)),
            wants_passphrase: false,
            notices: Vec::new(),
        }))
    }

    async fn export(&self, request: Request<v1::ExportKeyRequest>) -> Result<Response<v1::ExportKeyResponse>, Status> {
        let connection = self.caller(&request)?;
        let v1::ExportKeyRequest { key: wanted, trust_dir } = request.into_inner();
        let dir = open_wanted(trust_dir).await?;
        let pem = self.signing.keystores.export(&dir, &wanted).await.map_err(status::status)?;
        let info = self.file_key(&dir, &wanted, &connection).await?;
        record_file(&self.signing, &connection, KeyFileAct::Exported, &info).await.map_err(status::status)?;
        Ok(Response::new(v1::ExportKeyResponse { pem: pem.into_bytes() }))
    }

    async fn delete(&self, request: Request<v1::DeleteKeyRequest>) -> Result<Response<v1::DeleteKeyResponse>, Status> {
        let connection = self.caller(&request)?;
        let asked = request.into_inner();
        if !asked.place.starts_with("file:") {
            let what = "only key files are removed: a key on a token is removed with the token's own tools";
            return Err(status::bad_request("place", what));
        }
        let dir = open_wanted(asked.trust_dir).await?;
        let info = self.file_key(&dir, &asked.key, &connection).await?;
        if !info.places.iter().any(|(place, _)| place.to_string() == asked.place) {
            return Err(status::status(KeystoreError::UnknownKey { key: asked.key }));
        }
        let signing = self.signing.clone();
        let removed = async move {
            record_file(&signing, &connection, KeyFileAct::Removed, &info).await?;
            signing.keystores.remove_file(&dir, &asked.key).await?;
            Ok::<_, SignError>(())
        };
        self.finish(removed).await?;
        Ok(Response::new(v1::DeleteKeyResponse {}))
    }

    async fn change_passphrase(
        &self,
        request: Request<v1::ChangePassphraseRequest>,
    ) -> Result<Response<v1::ChangePassphraseResponse>, Status> {
        let connection = self.caller(&request)?;
        let asked = request.into_inner();
        let old = secret("old_passphrase", asked.old_passphrase)?;
        let new = secret("new_passphrase", asked.new_passphrase)?;
        let dir = open_wanted(asked.trust_dir).await?;
        let old = (!old.is_empty()).then_some(old);
        let signing = self.signing.clone();
        let changed = self.finish(async move { seal(&signing, &connection, &dir, &asked.key, old, new).await });
        Ok(Response::new(v1::ChangePassphraseResponse { key: Some(self.key(changed.await?)) }))
    }

    async fn attest(&self, request: Request<v1::AttestKeyRequest>) -> Result<Response<v1::AttestKeyResponse>, Status> {
        let connection = self.caller(&request)?;
        let wanted = request.into_inner().key;
        let listing = self.signing.keystores.list(None, &connection).await;
        let found = listing.keys.into_iter().find(|info| info.is_called(&wanted));
        let info = found.ok_or_else(|| status::status(KeystoreError::UnknownKey { key: wanted.clone() }))?;
        let slot = info.places.iter().find_map(|(place, _)| place.slot().map(|slot| (place.clone(), slot)));
        let (Some((place, (token, slot))), Some(public)) = (slot, info.public.as_ref()) else {
            let (place, what) = (format!("key {wanted}"), "attestation: it is on no YubiKey".to_owned());
            return Err(status::status(KeystoreError::NotSupported { place, what }));
        };
        let attested = self.signing.keystores.attest(&token, slot, public).await;
        let (chain, attested) = attested.map_err(status::status)?;
        let state = encode::attestation(Some(&attested));
        let word = |word: Option<&'static str>| word.unwrap_or_default().to_owned();
        Ok(Response::new(v1::AttestKeyResponse {
            chain,
            place: place.to_string(),
            state: state.into(),
            message: attested.anchor.unwrap_or_else(|why| why),
            serial: attested.serial.map(|serial| serial.to_string()).unwrap_or_default(),
            firmware: attested.firmware.unwrap_or_default(),
            pin_policy: word(attested.pin.map(PinPolicy::as_str)),
            touch_policy: word(attested.touch.map(TouchPolicy::as_str)),
        }))
    }

    async fn certify(
        &self,
        request: Request<v1::CertifyKeyRequest>,
    ) -> Result<Response<v1::CertifyKeyResponse>, Status> {
        let connection = self.caller(&request)?;
        let asked = request.into_inner();
        let asked = CertificateRequest {
            key: asked.key,
            trust_dir: optional_path(asked.trust_dir),
            gun: asked.gun,
            not_before: asked.not_before,
            days: asked.days,
        };
        let signing = self.signing.clone();
        let made = self.finish_signing(async move { signing.certify(connection, asked).await }).await?;
        Ok(Response::new(v1::CertifyKeyResponse { pem: made.pem.into_bytes(), record: made.record, place: made.place }))
    }

    async fn request(
        &self,
        request: Request<v1::RequestCertificateRequest>,
    ) -> Result<Response<v1::RequestCertificateResponse>, Status> {
        let connection = self.caller(&request)?;
        let asked = request.into_inner();
        let wanted = WantedRequest { key: asked.key, trust_dir: optional_path(asked.trust_dir), gun: asked.gun };
        let signing = self.signing.clone();
        let made = self.finish_signing(async move { signing.request_certificate(connection, wanted).await }).await?;
        let pem = made.pem.into_bytes();
        Ok(Response::new(v1::RequestCertificateResponse { pem, record: made.record, place: made.place }))
    }
}

impl Services {
    fn key(&self, info: KeyInfo) -> v1::Key {
        let attested = info.public.as_ref().and_then(|public| self.signing.keystores.attestations().of(public));
        encode::key(info, attested.as_ref())
    }

    async fn import_on_token(
        &self,
        token: String,
        secrets: (Secret, Secret),
        (role, gun): (String, Option<Gun>),
        piv: Option<PivOptions>,
        connection: Arc<Connection>,
    ) -> Result<Response<v1::ImportKeyResponse>, Status> {
        let signing = self.signing.clone();
        let stored = self.finish_signing(async move {
            let options = piv.clone().unwrap_or_default();
            let for_what = (role.as_str(), gun.as_ref());
            let keystores = &signing.keystores;
            let stored = keystores.import_on_token(&token, secrets, for_what, options, &connection).await?;
            record_import(&signing, &connection, &stored).await?;
            let label = SlotLabel { role, gun, management_key: piv.and_then(|piv| piv.management_key) };
            Ok(signing.label_slot(stored, &label, &connection).await)
        });
        let (info, notice) = stored.await?;
        let notices = notice.into_iter().collect();
        Ok(Response::new(v1::ImportKeyResponse { key: Some(self.key(info)), wants_passphrase: false, notices }))
    }

    /// A key of a trust directory's files.
    async fn file_key(&self, dir: &TrustDir, wanted: &str, connection: &Arc<Connection>) -> Result<KeyInfo, Status> {
        let listing = self.signing.keystores.list(Some(dir), connection).await;
        let found = listing.keys.into_iter().find(|info| info.is_called(wanted));
        found.ok_or_else(|| status::status(KeystoreError::UnknownKey { key: wanted.to_owned() }))
    }
}

async fn record_import(signing: &Signing, connection: &Connection, info: &KeyInfo) -> Result<(), SignError> {
    let place = info.places.first();
    let event = Event::KeyFile {
        act: KeyFileAct::Imported,
        key_id: info.key_id,
        role: info.role.clone().unwrap_or_default(),
        gun: info.gun.clone().unwrap_or_default(),
        place: place.map(|(place, _)| place.to_string()).unwrap_or_default(),
    };
    let token = place.and_then(|(place, _)| place.token());
    let token = info.name.zip(token.map(str::to_owned));
    signing.ledger.key_made(connection.principal().clone(), event, token).await?;
    Ok(())
}

/// Writes a key file under a passphrase, and records what that meant.
async fn seal(
    signing: &Signing,
    connection: &Arc<Connection>,
    dir: &TrustDir,
    key: &str,
    old: Option<Secret>,
    new: Secret,
) -> Result<KeyInfo, SignError> {
    let (info, written) = signing.keystores.set_passphrase(dir, key, old, new, connection).await?;
    match written {
        Written::Made => return record_made(signing, connection, info).await,
        Written::Imported => record_file(signing, connection, KeyFileAct::Imported, &info).await?,
        Written::Rewritten => record_file(signing, connection, KeyFileAct::Resealed, &info).await?,
    }
    Ok(info)
}

async fn record_file(
    signing: &Signing,
    connection: &Connection,
    act: KeyFileAct,
    info: &KeyInfo,
) -> Result<(), SignError> {
    let file = info.places.iter().find(|(place, _)| matches!(place, Place::File(_)));
    let event = Event::KeyFile {
        act,
        key_id: info.key_id,
        role: info.role.clone().unwrap_or_default(),
        gun: info.gun.clone().unwrap_or_default(),
        place: file.map(|(place, _)| place.to_string()).unwrap_or_default(),
    };
    signing.ledger.append(Some(connection.principal().clone()), event).await?;
    Ok(())
}

/// Longer than any passphrase that a person keeps.
const MAX_SECRET_BYTES: usize = 4096;

pub(super) fn secret(field: &'static str, bytes: Vec<u8>) -> Result<Secret, Status> {
    let secret = Secret::from(bytes);
    if secret.expose().len() > MAX_SECRET_BYTES {
        return Err(status::bad_request(field, format!("longer than {MAX_SECRET_BYTES} bytes")));
    }
    Ok(secret)
}

fn gun(text: &str) -> Result<Option<Gun>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    Gun::parse(text).map(Some).map_err(|error| status::bad_request("gun", error))
}

async fn record_made(signing: &Signing, connection: &Connection, made: KeyInfo) -> Result<KeyInfo, SignError> {
    let (Some(name), Some(public)) = (made.name, &made.public) else { return Ok(made) };
    let event = Event::KeyMade {
        key: name,
        algorithm: public.algorithm().to_string(),
        role: made.role.clone().unwrap_or_default(),
        gun: made.gun.clone().unwrap_or_default(),
        place: made.places.first().map(|(place, _)| place.to_string()).unwrap_or_default(),
    };
    let token = made.places.iter().find_map(|(place, _)| place.token()).map(|token| (name, token.to_owned()));
    signing.ledger.key_made(connection.principal().clone(), event, token).await?;
    Ok(made)
}

async fn open(path: String) -> Result<Option<TrustDir>, Status> {
    open_trust_dir(optional_path(path)).await.map_err(status::status)
}

async fn open_wanted(path: String) -> Result<TrustDir, Status> {
    open(path).await?.ok_or_else(|| status::bad_request("trust_dir", "an absolute path is wanted"))
}
