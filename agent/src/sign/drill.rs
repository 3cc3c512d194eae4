//! Drills: each place of a key proves that it can still sign, with a statement that is good for nothing else.

use std::sync::Arc;

use signet_proto::Reason;
use tokio::sync::mpsc;

use super::{Hand, SignError, Signing, hands::scheme};
use crate::{
    caller::Connection,
    keystore::{KeyInfo, KeystoreError, Place, PlaceState, Reached, TrustDir},
    ledger::{Statement, StatementAsk},
};

/// How one place did.
#[derive(Debug)]
pub struct Drilled {
    /// The key.
    pub info: KeyInfo,
    /// Where.
    pub place: Place,
    /// Why it did not sign.
    pub result: Result<(), SignError>,
}

impl Signing {
    /// Drills every place of one key, or of every key that is on a token. Nothing is drilled for nobody: it ends when the
    /// results are not taken any more.
    ///
    /// # Errors
    /// `UnknownKey` if there is no key of that name.
    pub async fn drill(
        &self,
        key: &str,
        trust_dir: Option<&TrustDir>,
        connection: &Arc<Connection>,
        results: mpsc::Sender<Drilled>,
    ) -> Result<(), SignError> {
        let listing = self.keystores.list(trust_dir, connection).await;
        let is_meant = |info: &KeyInfo| {
            let on_token = info.places.iter().any(|(place, _)| place.token().is_some());
            if key.is_empty() { on_token } else { info.is_called(key) }
        };
        let meant: Vec<KeyInfo> = listing.keys.into_iter().filter(is_meant).collect();
        if meant.is_empty() && !key.is_empty() {
            return Err(KeystoreError::UnknownKey { key: key.to_owned() }.into());
        }
        for info in meant {
            for (place, state) in info.places.clone() {
                let result = self.drill_place(&info, &place, state, trust_dir, connection).await;
                if results.send(Drilled { info: info.clone(), place, result }).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn drill_place(
        &self,
        info: &KeyInfo,
        place: &Place,
        state: PlaceState,
        trust_dir: Option<&TrustDir>,
        connection: &Arc<Connection>,
    ) -> Result<(), SignError> {
        let token = place.token().map(str::to_owned);
        match (state, token) {
            (PlaceState::Ready, _) => {}
            (PlaceState::Absent, Some(token)) => {
                return Err(KeystoreError::Absent { token, reached: Reached::Nothing }.into());
            }
            (PlaceState::Absent, None) => return Err(KeystoreError::UnknownKey { key: info.key_id.to_string() }.into()),
            (PlaceState::Locked, token) => {
                let (key, role) = (info.key_id.to_string(), info.role.clone());
                return Err(KeystoreError::Locked { key, place: place.clone(), token, role }.into());
            }
        }
        let unknown = || KeystoreError::UnknownKey { key: info.key_id.to_string() };
        let public = info.public.clone().ok_or_else(unknown)?;
        let mut nonce = [0; 16];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| SignError::Internal("no random numbers".to_owned()))?;
        // No metadata and no certificate begins so.
        let text = format!("signet drill 1\nkey {}\nplace {place}\nnonce {}\n", public.name(), hex::encode(nonce));
        let ask = StatementAsk {
            principal: connection.principal().clone(),
            statement: Statement::Drill { place: place.to_string() },
            key: public.name(),
            scheme: scheme(&public),
            message: text.into_bytes().into(),
        };
        let scheme = ask.scheme;
        let mut grant = self.ledger.state(ask).await?;
        let permit = grant.permits.pop().ok_or_else(|| SignError::Internal("a grant without a permit".to_owned()))?;
        let method = public.method();
        let hand = Hand { key_ids: vec![public.canonical_id()], public, method, scheme, place: place.clone() };
        self.use_permit(permit, &hand, trust_dir, connection).await.map(drop)
    }
}

impl Drilled {
    /// The reason on the wire; none if it signed.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.result.as_ref().err().map(SignError::reason)
    }
}
