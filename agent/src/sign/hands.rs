//! Which of the listed keys are at hand: present, unlocked, and where.

use std::sync::Arc;

use signet_proto::Reason;
use signet_tuf::{Algorithm, KeyId, KeyName, Method, PublicKey};

use super::{MadeSignature, SignError, Signing, Understood};
use crate::{
    caller::Connection,
    config::Fallback,
    keystore::{KeySelector, KeystoreError, Located, Place, PlaceState, Reached, TrustDir},
    ledger::{Scheme, TriedAt},
};

/// A listed key that did not sign.
#[derive(Debug, Clone)]
pub struct MissingKey {
    /// Its ID as listed.
    pub key_id: KeyId,
    /// Why.
    pub reason: Reason,
    /// Where it would be, if that is known.
    pub place: String,
}

/// A key that can sign now.
#[derive(Debug)]
pub(super) struct Hand {
    /// One key may be listed under several IDs: renewed certificates of a root key.
    pub(super) key_ids: Vec<KeyId>,
    pub(super) public: PublicKey,
    pub(super) method: Method,
    pub(super) scheme: Scheme,
    pub(super) place: Place,
}

/// The keys of a request, sorted out.
#[derive(Debug, Default)]
pub(super) struct Hands {
    pub(super) ready: Vec<Hand>,
    pub(super) missing: Vec<MissingKey>,
    pub(super) notices: Vec<String>,
}

impl Hand {
    pub(super) fn key_and_scheme(&self) -> (KeyName, Scheme) {
        (self.public.name(), self.scheme)
    }

    pub(super) fn tried_at(&self) -> TriedAt {
        TriedAt { place: self.place.to_string(), token: self.place.token().map(str::to_owned) }
    }

    pub(super) fn signatures(&self, sig: &[u8]) -> impl Iterator<Item = MadeSignature> {
        self.key_ids.iter().map(|key_id| MadeSignature {
            key_id: *key_id,
            method: self.method,
            sig: sig.to_vec(),
            place: self.place.to_string(),
        })
    }
}

impl Signing {
    /// Looks for the keys that the request names, or for all that are listed. Nothing is claimed before this is
    /// known, so a locked or absent key burns no version.
    pub(super) async fn keys_at_hand(
        &self,
        understood: &Understood,
        trust_dir: Option<&TrustDir>,
        connection: &Arc<Connection>,
    ) -> Result<Hands, SignError> {
        let named = &understood.intent.keys;
        let listed = &understood.listed;
        let wanted: Vec<KeyId> = if named.is_empty() { listed.role_keys.key_ids.clone() } else { named.clone() };
        let mut hands = Hands::default();
        let mut failures = Vec::new();
        for id in wanted {
            let Some(public) = listed.keys.get(&id) else { continue };
            if let Some(same) = hands.ready.iter_mut().find(|hand| hand.public.name() == public.name()) {
                if !same.key_ids.contains(&id) {
                    same.key_ids.push(id);
                }
                continue;
            }
            match self.choose(public, trust_dir, connection).await? {
                Ok((place, notice)) => {
                    hands.notices.extend(notice);
                    hands.ready.push(hand(id, public, place));
                }
                Err(failure) => {
                    hands.missing.push(missing(id, &failure));
                    failures.push(failure);
                }
            }
        }
        enough(hands, failures, &understood.intent.keys, listed.role_keys.threshold)
    }
}

impl Signing {
    /// The place where a key signs now. A token on which the ledger knows the key is missed even if this agent has not
    /// seen it yet.
    pub(super) async fn choose(
        &self,
        public: &PublicKey,
        trust_dir: Option<&TrustDir>,
        connection: &Arc<Connection>,
    ) -> Result<Result<(Place, Option<String>), KeystoreError>, SignError> {
        let located = self.keystores.locate(&KeySelector::from(public), trust_dir, connection).await;
        let on_token = located.iter().any(|located| located.place.token().is_some());
        let missed = if on_token { None } else { self.ledger.tokens_of(public.name()).await?.into_iter().next() };
        Ok(choose(located, missed, public, self.fallback))
    }
}

/// Tokens first, then the file. A token that is absent may be passed over, a locked one may not: its owner is asked.
fn choose(
    located: Vec<Located>,
    missed: Option<String>,
    public: &PublicKey,
    fallback: Fallback,
) -> Result<(Place, Option<String>), KeystoreError> {
    let mut absent = missed;
    for Located { place, state, info } in located {
        match (state, &place) {
            (PlaceState::Absent, Place::Token { token, .. } | Place::Slot { token, .. }) => {
                absent = absent.or_else(|| Some(token.clone()));
            }
            (PlaceState::Absent, Place::File(_)) => {}
            (PlaceState::Ready | PlaceState::Locked, _) if absent.is_some() && fallback == Fallback::Refuse => break,
            (PlaceState::Ready, _) => {
                let notice = absent.map(|token| format!("token {token} is absent: {place} signed in its place"));
                return Ok((place, notice));
            }
            (PlaceState::Locked, _) => {
                let token = place.token().map(str::to_owned);
                return Err(KeystoreError::Locked {
                    key: public.canonical_id().to_string(),
                    place,
                    token,
                    role: info.role,
                });
            }
        }
    }
    Err(match absent {
        Some(token) => KeystoreError::Absent { token, reached: Reached::Nothing },
        None => KeystoreError::UnknownKey { key: public.canonical_id().to_string() },
    })
}

fn hand(key_id: KeyId, public: &PublicKey, place: Place) -> Hand {
    Hand { key_ids: vec![key_id], public: public.clone(), method: public.method(), scheme: scheme(public), place }
}

/// How metadata is signed with a key.
pub(super) fn scheme(public: &PublicKey) -> Scheme {
    match public.algorithm() {
        Algorithm::EcdsaP256 | Algorithm::EcdsaP384 | Algorithm::EcdsaP521 => Scheme::EcdsaSha256,
        Algorithm::Rsa(_) => Scheme::RsaPssSha256,
        Algorithm::Ed25519 => Scheme::Ed25519,
    }
}

fn missing(key_id: KeyId, failure: &KeystoreError) -> MissingKey {
    let place = if let KeystoreError::Locked { place, .. } = failure { place.to_string() } else { String::new() };
    MissingKey { key_id, reason: SignError::reason_of(failure), place }
}

/// Keys that were named must all be there. Else the threshold must be, or everything that is not out of reach:
/// a key that only waits for its passphrase is asked for first.
fn enough(hands: Hands, mut failures: Vec<KeystoreError>, named: &[KeyId], threshold: u32) -> Result<Hands, SignError> {
    let complete = failures.is_empty() || (named.is_empty() && hands.ready.len() >= threshold as usize);
    if complete && !hands.ready.is_empty() {
        return Ok(hands);
    }
    let locked = failures.iter().position(|failure| matches!(failure, KeystoreError::Locked { .. }));
    let absent = failures.iter().position(|failure| matches!(failure, KeystoreError::Absent { .. }));
    match locked.or(if hands.ready.is_empty() || !named.is_empty() { absent.or(Some(0)) } else { None }) {
        Some(first) if first < failures.len() => Err(failures.swap_remove(first).into()),
        _ if hands.ready.is_empty() => Err(SignError::NoKeys),
        _ => Ok(hands),
    }
}
