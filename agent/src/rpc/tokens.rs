//! `signet.v1.Tokens`.

use std::{pin::Pin, sync::Arc};

use signet_proto::v1::{self, tokens_server, unlock_request::What};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::{Services, optional_path, status};
use crate::{
    caller::Connection,
    keystore::{LastTry, Place, Scope, TokenInfo, Tries},
    log::Event,
    secret::Secret,
    sign::{SignError, Signing, open_trust_dir},
};

#[tonic::async_trait]
impl tokens_server::Tokens for Services {
    async fn list(&self, request: Request<v1::ListTokensRequest>) -> Result<Response<v1::ListTokensResponse>, Status> {
        self.caller(&request)?;
        let tokens = self.signing.keystores.tokens().await.into_iter().map(token).collect();
        Ok(Response::new(v1::ListTokensResponse { tokens }))
    }

    async fn unlock(&self, request: Request<v1::UnlockRequest>) -> Result<Response<v1::UnlockResponse>, Status> {
        let connection = self.caller(&request)?;
        let mut asked = request.into_inner();
        let secret = super::keys::secret("secret", std::mem::take(&mut asked.secret))?;
        let scope = match asked.scope() {
            v1::UnlockScope::Connection => Scope::Connection(Arc::downgrade(&connection)),
            v1::UnlockScope::Lasting => Scope::Lasting,
        };
        let last_try = if asked.spend_last_try { LastTry::Spend } else { LastTry::Keep };
        let what = asked.what.ok_or_else(|| status::bad_request("what", "a token or a key is wanted"))?;
        let trust_dir = optional_path(asked.trust_dir);
        let signing = self.signing.clone();
        let places = match what {
            What::Token(token) => {
                self.finish(async move {
                    let refused = signing.refusal_of(&connection, "unlock", "", "");
                    let unlocked = unlock_token(&signing, &connection, token, secret, scope, last_try).await;
                    signing.note(refused, &unlocked);
                    unlocked
                })
                .await?
            }
            What::Key(key) => {
                let dir = open_trust_dir(trust_dir).await.map_err(status::status)?;
                let dir = dir.ok_or_else(|| status::bad_request("trust_dir", "a key file is in a trust directory"))?;
                vec![signing.keystores.unlock_file(&dir, &key, secret, scope).await.map_err(status::status)?]
            }
        };
        Ok(Response::new(v1::UnlockResponse { places: places.iter().map(ToString::to_string).collect() }))
    }

    async fn lock(&self, request: Request<v1::LockRequest>) -> Result<Response<v1::LockResponse>, Status> {
        let connection = self.caller(&request)?;
        let token = request.into_inner().token;
        let name = (!token.is_empty()).then_some(token.as_str());
        self.signing.keystores.lock(name).await.map_err(status::status)?;
        let event = Event::Locked { token };
        let recorded = self.signing.ledger.append(Some(connection.principal().clone()), event).await;
        recorded.map_err(status::status)?;
        Ok(Response::new(v1::LockResponse {}))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::TokenEvent, Status>> + Send>>;

    async fn watch(&self, request: Request<v1::WatchTokensRequest>) -> Result<Response<Self::WatchStream>, Status> {
        self.caller(&request)?;
        Err(status::not_served("Tokens.Watch"))
    }

    async fn setup(&self, request: Request<v1::SetupTokenRequest>) -> Result<Response<v1::SetupTokenResponse>, Status> {
        self.caller(&request)?;
        Err(status::not_served("Tokens.Setup"))
    }

    async fn change_pin(
        &self,
        request: Request<v1::ChangePinRequest>,
    ) -> Result<Response<v1::ChangePinResponse>, Status> {
        self.caller(&request)?;
        Err(status::not_served("Tokens.ChangePin"))
    }

    async fn unblock_pin(
        &self,
        request: Request<v1::UnblockPinRequest>,
    ) -> Result<Response<v1::UnblockPinResponse>, Status> {
        self.caller(&request)?;
        Err(status::not_served("Tokens.UnblockPin"))
    }

    async fn reset(&self, request: Request<v1::ResetTokenRequest>) -> Result<Response<v1::ResetTokenResponse>, Status> {
        self.caller(&request)?;
        Err(status::not_served("Tokens.Reset"))
    }

    type DrillStream = Pin<Box<dyn Stream<Item = Result<v1::DrillResult, Status>> + Send>>;

    async fn drill(&self, request: Request<v1::DrillRequest>) -> Result<Response<Self::DrillStream>, Status> {
        self.caller(&request)?;
        Err(status::not_served("Tokens.Drill"))
    }
}

/// A lasting unlock stands in the log, or it does not last.
async fn unlock_token(
    signing: &Signing,
    connection: &Connection,
    token: String,
    pin: Secret,
    scope: Scope,
    last_try: LastTry,
) -> Result<Vec<Place>, SignError> {
    let lasting = matches!(scope, Scope::Lasting);
    let places = signing.keystores.unlock_token(&token, pin, scope, last_try).await?;
    if !lasting {
        return Ok(places);
    }
    let event = Event::Unlocked { token: token.clone() };
    if let Err(error) = signing.ledger.append(Some(connection.principal().clone()), event).await {
        signing.keystores.lock(Some(&token)).await?;
        return Err(error.into());
    }
    Ok(places)
}

fn token(info: TokenInfo) -> v1::Token {
    let tries = match info.tries {
        Tries::Unknown => v1::TriesLeft::Unknown,
        Tries::All => v1::TriesLeft::All,
        Tries::Fewer => v1::TriesLeft::Fewer,
        Tries::Last => v1::TriesLeft::Last,
        Tries::Blocked => v1::TriesLeft::None,
    };
    v1::Token {
        name: info.name,
        label: info.label,
        serial: info.serial,
        model: info.model,
        module: info.module.display().to_string(),
        present: info.present,
        unlocked: info.unlocked,
        tries: tries.into(),
        trouble: info.trouble.unwrap_or_default(),
        kind: v1::TokenKind::Pkcs11.into(),
        yubikey: None,
        roles: info.roles,
    }
}
