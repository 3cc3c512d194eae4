//! `signet.v1.Keys`.

use signet_proto::v1::{self, generate_key_request::Place as Wanted, keys_server};
use signet_tuf::{Algorithm, Gun};
use tonic::{Request, Response, Status};

use super::{Services, optional_path, status};
use crate::{
    caller::Connection,
    keystore::{KeyInfo, KeystoreError, Place, PlaceState, TrustDir},
    log::Event,
    secret::Secret,
    sign::{CertificateRequest, SignError, Signing, open_trust_dir},
};

#[tonic::async_trait]
impl keys_server::Keys for Services {
    async fn list(&self, request: Request<v1::ListKeysRequest>) -> Result<Response<v1::ListKeysResponse>, Status> {
        let connection = self.caller(&request)?;
        let dir = open(request.into_inner().trust_dir).await?;
        let listing = self.signing.keystores.list(dir.as_ref(), &connection).await;
        Ok(Response::new(v1::ListKeysResponse {
            keys: listing.keys.into_iter().map(key).collect(),
            warnings: listing.warnings,
        }))
    }

    async fn get(&self, request: Request<v1::GetKeyRequest>) -> Result<Response<v1::GetKeyResponse>, Status> {
        let connection = self.caller(&request)?;
        let v1::GetKeyRequest { key: wanted, trust_dir } = request.into_inner();
        let dir = open(trust_dir).await?;
        let listing = self.signing.keystores.list(dir.as_ref(), &connection).await;
        let found = listing.keys.into_iter().map(key).find(|key| key.name == wanted || key.key_id == wanted);
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
        let gun = match asked.gun.as_str() {
            "" => None,
            gun => Some(Gun::parse(gun).map_err(|error| status::bad_request("gun", error))?),
        };
        let (made, wants_passphrase) = match asked.place {
            Some(Wanted::Token(token)) => {
                let signing = self.signing.clone();
                let made = self.finish(async move {
                    let keystores = &signing.keystores;
                    let made = keystores.generate_on_token(&token, algorithm, &asked.role, gun.as_ref(), &connection);
                    record_made(&signing, &connection, made.await?).await
                });
                let made = made.await?;
                (made, false)
            }
            Some(Wanted::TrustDir(dir)) => {
                let dir = open_wanted(dir).await?;
                let keystores = &self.signing.keystores;
                let made = keystores.generate_in_file(&dir, algorithm, &asked.role, gun.as_ref(), &connection).await;
                (made.map_err(status::status)?, true)
            }
            None => return Err(status::bad_request("place", "a token or a trust directory is wanted")),
        };
        Ok(Response::new(v1::GenerateKeyResponse { key: Some(key(made)), wants_passphrase }))
    }

    async fn import(&self, request: Request<v1::ImportKeyRequest>) -> Result<Response<v1::ImportKeyResponse>, Status> {
        self.caller(&request)?;
        Err(status::not_served("Keys.Import"))
    }

    async fn export(&self, request: Request<v1::ExportKeyRequest>) -> Result<Response<v1::ExportKeyResponse>, Status> {
        self.caller(&request)?;
        Err(status::not_served("Keys.Export"))
    }

    async fn delete(&self, request: Request<v1::DeleteKeyRequest>) -> Result<Response<v1::DeleteKeyResponse>, Status> {
        self.caller(&request)?;
        Err(status::not_served("Keys.Delete"))
    }

    async fn change_passphrase(
        &self,
        request: Request<v1::ChangePassphraseRequest>,
    ) -> Result<Response<v1::ChangePassphraseResponse>, Status> {
        let connection = self.caller(&request)?;
        let asked = request.into_inner();
        let (old, new) = (Secret::from(asked.old_passphrase), Secret::from(asked.new_passphrase));
        let dir = open_wanted(asked.trust_dir).await?;
        let first = old.is_empty();
        let old = (!first).then_some(old);
        let signing = self.signing.clone();
        let changed = self.finish(async move {
            let changed = signing.keystores.set_passphrase(&dir, &asked.key, old, new, &connection).await?;
            if first { record_made(&signing, &connection, changed).await } else { Ok(changed) }
        });
        let changed = changed.await?;
        Ok(Response::new(v1::ChangePassphraseResponse { key: Some(key(changed)) }))
    }

    async fn attest(&self, request: Request<v1::AttestKeyRequest>) -> Result<Response<v1::AttestKeyResponse>, Status> {
        self.caller(&request)?;
        Err(status::not_served("Keys.Attest"))
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
        let made = self.finish(async move { signing.certify(connection, asked).await }).await?;
        Ok(Response::new(v1::CertifyKeyResponse { pem: made.pem.into_bytes(), record: made.record, place: made.place }))
    }
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

fn key(info: KeyInfo) -> v1::Key {
    v1::Key {
        name: info.name.map(|name| name.to_string()).unwrap_or_default(),
        key_id: info.key_id.to_string(),
        algorithm: info.public.as_ref().map(|public| public.algorithm().to_string()).unwrap_or_default(),
        spki: info.public.as_ref().map(|public| public.spki().to_vec()).unwrap_or_default(),
        role: info.role.unwrap_or_default(),
        gun: info.gun.unwrap_or_default(),
        places: info.places.iter().map(|(place, state)| encode_place(place, *state)).collect(),
    }
}

fn encode_place(place: &Place, state: PlaceState) -> v1::Place {
    let (kind, token) = match place {
        Place::Token { token, .. } => (v1::PlaceKind::Pkcs11, token.clone()),
        Place::File(_) => (v1::PlaceKind::File, String::new()),
    };
    let state = match state {
        PlaceState::Ready => v1::PlaceState::Ready,
        PlaceState::Locked => v1::PlaceState::Locked,
        PlaceState::Absent => v1::PlaceState::Absent,
    };
    v1::Place { kind: kind.into(), uri: place.to_string(), state: state.into(), token }
}
