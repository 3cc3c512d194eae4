//! `signet.v1.Tokens`.

use std::{pin::Pin, sync::Arc};

use signet_proto::v1::{self, tokens_server, unlock_request::What};
use tokio::sync::{broadcast, mpsc};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use super::{Services, decode, encode, optional_path, status};
use crate::{
    caller::Connection,
    keystore::{Event, Keystores, LastTry, Place, Scope},
    log::Event as LogEvent,
    secret::Secret,
    sign::{SignError, Signing, open_trust_dir},
};

/// Events that a client may leave unread before it misses some.
const BUFFER: usize = 64;

#[tonic::async_trait]
impl tokens_server::Tokens for Services {
    async fn list(&self, request: Request<v1::ListTokensRequest>) -> Result<Response<v1::ListTokensResponse>, Status> {
        self.caller(&request)?;
        let keystores = &self.signing.keystores;
        let tokens = keystores.tokens().await.into_iter().map(encode::token).collect();
        let warnings = keystores.trouble().into_iter().collect();
        Ok(Response::new(v1::ListTokensResponse { tokens, warnings }))
    }

    async fn unlock(&self, request: Request<v1::UnlockRequest>) -> Result<Response<v1::UnlockResponse>, Status> {
        let connection = self.caller(&request)?;
        let mut asked = request.into_inner();
        let secret = super::keys::secret("secret", std::mem::take(&mut asked.secret))?;
        let scope = match asked.scope() {
            v1::UnlockScope::Connection => Scope::Connection(Arc::downgrade(&connection)),
            v1::UnlockScope::Lasting => Scope::lasting(self.about.unlock_seconds),
        };
        let last_try = last_try(asked.spend_last_try);
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
        let event = LogEvent::Locked { token };
        let recorded = self.signing.ledger.append(Some(connection.principal().clone()), event).await;
        recorded.map_err(status::status)?;
        Ok(Response::new(v1::LockResponse {}))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::TokenEvent, Status>> + Send>>;

    async fn watch(&self, request: Request<v1::WatchTokensRequest>) -> Result<Response<Self::WatchStream>, Status> {
        self.caller(&request)?;
        let keystores = self.signing.keystores.clone();
        let events = keystores.events();
        let (to, told) = mpsc::channel(BUFFER);
        let ending = self.ending.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = tell(events, &keystores, &to) => {}
                () = to.closed() => {}
                () = ending.cancelled() => {}
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(told))))
    }

    async fn setup(&self, request: Request<v1::SetupTokenRequest>) -> Result<Response<v1::SetupTokenResponse>, Status> {
        let connection = self.caller(&request)?;
        let asked = request.into_inner();
        let token = asked.token.clone();
        let setup = decode::card_setup(asked)?;
        let (signing, name) = (self.signing.clone(), token.clone());
        let changed = self.finish(async move {
            let (changed, then) = signing.keystores.set_up(&name, setup).await?;
            let mut recorded = Ok(());
            for what in &changed {
                recorded = recorded.and(record_change(&signing, &connection, &name, what).await);
            }
            then?;
            recorded.map(|()| changed)
        });
        let changed = changed.await?.into_iter().map(str::to_owned).collect();
        let tokens = self.signing.keystores.tokens().await;
        let token = tokens.into_iter().find(|info| info.name == token).map(encode::token);
        Ok(Response::new(v1::SetupTokenResponse { token, changed }))
    }

    async fn change_pin(
        &self,
        request: Request<v1::ChangePinRequest>,
    ) -> Result<Response<v1::ChangePinResponse>, Status> {
        let connection = self.caller(&request)?;
        let v1::ChangePinRequest { token, pin, new_pin, spend_last_try } = request.into_inner();
        let (pin, new) = (super::keys::secret("pin", pin)?, super::keys::secret("new_pin", new_pin)?);
        let signing = self.signing.clone();
        let changed = async move {
            signing.keystores.change_pin(&token, pin, new, last_try(spend_last_try)).await?;
            record_change(&signing, &connection, &token, "pin").await
        };
        self.finish(changed).await?;
        Ok(Response::new(v1::ChangePinResponse {}))
    }

    async fn unblock_pin(
        &self,
        request: Request<v1::UnblockPinRequest>,
    ) -> Result<Response<v1::UnblockPinResponse>, Status> {
        let connection = self.caller(&request)?;
        let v1::UnblockPinRequest { token, puk, new_pin, spend_last_try } = request.into_inner();
        let (puk, new) = (super::keys::secret("puk", puk)?, super::keys::secret("new_pin", new_pin)?);
        let signing = self.signing.clone();
        let changed = async move {
            signing.keystores.unblock_pin(&token, puk, new, last_try(spend_last_try)).await?;
            record_change(&signing, &connection, &token, "pin").await
        };
        self.finish(changed).await?;
        Ok(Response::new(v1::UnblockPinResponse {}))
    }

    async fn reset(&self, request: Request<v1::ResetTokenRequest>) -> Result<Response<v1::ResetTokenResponse>, Status> {
        let connection = self.caller(&request)?;
        let v1::ResetTokenRequest { token, confirm } = request.into_inner();
        if token != confirm {
            return Err(status::bad_request(
                "confirm",
                "it is not the serial number of the YubiKey that is to be reset",
            ));
        }
        let signing = self.signing.clone();
        // What destroys keys is recorded before it does.
        let destroyed = async move {
            record_change(&signing, &connection, &token, "reset").await?;
            signing.keystores.reset(&token).await?;
            Ok(())
        };
        self.finish(destroyed).await?;
        Ok(Response::new(v1::ResetTokenResponse {}))
    }

    type DrillStream = Pin<Box<dyn Stream<Item = Result<v1::DrillResult, Status>> + Send>>;

    async fn drill(&self, request: Request<v1::DrillRequest>) -> Result<Response<Self::DrillStream>, Status> {
        let connection = self.caller(&request)?;
        let v1::DrillRequest { key, trust_dir } = request.into_inner();
        let dir = open_trust_dir(optional_path(trust_dir)).await.map_err(status::status)?;
        let (to, told) = mpsc::channel(1);
        let (drilled, mut results) = mpsc::channel(1);
        let signing = self.signing.clone();
        // Each place is drilled to its end, so that no permit stays open.
        let drill = self.tasks.spawn(async move { signing.drill(&key, dir.as_ref(), &connection, drilled).await });
        self.tasks.spawn(async move {
            while let Some(result) = results.recv().await {
                if to.send(Ok(encode::drilled(result))).await.is_err() {
                    return;
                }
            }
            if let Ok(Err(error)) = drill.await {
                drop(to.send(Err(status::status(error))).await);
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(told))))
    }
}

fn last_try(spend: bool) -> LastTry {
    if spend { LastTry::Spend } else { LastTry::Keep }
}

async fn record_change(
    signing: &Signing,
    connection: &Connection,
    token: &str,
    what: &'static str,
) -> Result<(), SignError> {
    let event = LogEvent::TokenChanged { token: token.to_owned(), what };
    signing.ledger.append(Some(connection.principal().clone()), event).await?;
    Ok(())
}

/// Says that it listens, then what it hears.
async fn tell(
    mut events: broadcast::Receiver<Event>,
    keystores: &Keystores,
    to: &mpsc::Sender<Result<v1::TokenEvent, Status>>,
) {
    let mut next = v1::TokenEvent::default();
    while to.send(Ok(next)).await.is_ok() {
        next = loop {
            match events.recv().await {
                Ok(event) => break encode::event(event, |token| keystores.is_yubikey(token)),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            }
        };
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
    let lasting = matches!(scope, Scope::Lasting(_));
    let places = signing.keystores.unlock_token(&token, pin, scope, last_try).await?;
    if !lasting {
        return Ok(places);
    }
    let event = LogEvent::Unlocked { token: token.clone() };
    if let Err(error) = signing.ledger.append(Some(connection.principal().clone()), event).await {
        signing.keystores.lock(Some(&token)).await?;
        return Err(error.into());
    }
    Ok(places)
}
