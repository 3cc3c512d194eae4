//! Passphrases and PINs for what is locked.
//!
//! A key file's passphrase may come from Notary's environment variables; a token's PIN is only asked for.

use signet_proto::{Reason, v1};
use tonic::transport::Channel;

use super::{
    AgentError, answered, keys_client,
    token::{self, LastTry},
    tokens_client,
};
use crate::{
    prompt::{Code, Prompt},
    secret::Passphrase,
};

/// How often a person may try a PIN in one go, if the token allows it.
const PIN_TRIES: u32 = 3;

/// What a refusal `KEY_LOCKED` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    key_id: String,
    role: String,
    place: String,
    token: Option<String>,
}

impl Locked {
    /// What is locked, if that is what the error says.
    #[must_use]
    pub fn of(error: &AgentError) -> Option<Self> {
        let detail = |name| error.detail(name).unwrap_or_default().to_owned();
        (error.reason() == Some(Reason::KeyLocked)).then(|| Self {
            key_id: detail("key_id"),
            role: detail("role"),
            place: detail("place"),
            token: error.detail("token").map(str::to_owned),
        })
    }

    fn at(key: &v1::Key, place: &v1::Place) -> Self {
        Self {
            key_id: key.key_id.clone(),
            role: key.role.clone(),
            place: place.uri.clone(),
            token: (!place.token.is_empty()).then(|| place.token.clone()),
        }
    }

    /// Whether this place is open once this is unlocked: one key file, or all of a token.
    fn opens(&self, place: &v1::Place) -> bool {
        match &self.token {
            Some(token) => place.token == *token,
            None => place.uri == self.place,
        }
    }
}

/// Which key is to be unlocked so that one of `ids` can sign: none if one is ready, or none is there. A key's first place
/// counts, as for the agent; whether another may stand in for an absent one is the agent's to say.
#[must_use]
pub fn wanted(keys: &[v1::Key], ids: &[String]) -> Option<Locked> {
    let listed = ids.iter().filter_map(|id| keys.iter().find(|key| key.key_id == *id));
    let places: Vec<_> = listed.filter_map(|key| Some((key, key.places.first()?))).collect();
    if places.iter().any(|(_, place)| place.state() == v1::PlaceState::Ready) {
        return None;
    }
    let (key, place) = places.into_iter().find(|(_, place)| place.state() == v1::PlaceState::Locked)?;
    Some(Locked::at(key, place))
}

/// Those of `ids` whose first place is a key file that is locked.
#[must_use]
pub fn locked_files(keys: &[v1::Key], ids: &[String]) -> Vec<Locked> {
    let listed = ids.iter().filter_map(|id| keys.iter().find(|key| key.key_id == *id));
    let places = listed.filter_map(|key| Some((key, key.places.first()?)));
    let locked = places.filter(|(_, place)| place.state() == v1::PlaceState::Locked && place.token.is_empty());
    locked.map(|(key, place)| Locked::at(key, place)).collect()
}

/// What of these keys is locked: each token once, and each file.
#[must_use]
pub fn locked(keys: &[v1::Key]) -> Vec<Locked> {
    let mut all: Vec<Locked> = Vec::new();
    for (key, place) in keys.iter().flat_map(|key| key.places.iter().map(move |place| (key, place))) {
        let is_known = all.iter().any(|other| other.opens(place));
        if place.state() == v1::PlaceState::Locked && !is_known {
            all.push(Locked::at(key, place));
        }
    }
    all
}

/// Notes in a listing what was unlocked: one key file, or a whole token.
pub fn note(keys: &mut [v1::Key], unlocked: &Locked) {
    for place in keys.iter_mut().flat_map(|key| &mut key.places).filter(|place| unlocked.opens(place)) {
        place.set_state(v1::PlaceState::Ready);
    }
}

/// How a token is unlocked.
#[derive(Clone, Copy)]
pub struct TokenUnlock<'a> {
    /// Label, serial number or PKCS#11 URI.
    pub token: &'a str,
    /// For this connection, or lasting.
    pub scope: v1::UnlockScope,
    /// Whether a wrong PIN may block it.
    pub last_try: LastTry,
}

/// Unlocks what a refusal named, for this connection.
///
/// # Errors
/// [`AgentError`]
pub async fn unlock(channel: &Channel, prompt: &Prompt, trust_dir: &str, locked: &Locked) -> Result<(), AgentError> {
    match &locked.token {
        Some(token) => {
            let how = TokenUnlock { token, scope: v1::UnlockScope::Connection, last_try: LastTry::Keep };
            unlock_token_asking(channel, prompt, how).await
        }
        None => unlock_file(channel, prompt, trust_dir, locked).await,
    }
}

async fn unlock_file(channel: &Channel, prompt: &Prompt, trust_dir: &str, locked: &Locked) -> Result<(), AgentError> {
    file_passphrase(channel, prompt, trust_dir, &locked.role, &locked.key_id).await.map(drop)
}

/// Unlocks a key file if a passphrase for its role is known and is right; whether it was.
///
/// # Errors
/// [`AgentError`]
pub async fn unlock_unasked(
    channel: &Channel,
    prompt: &Prompt,
    trust_dir: &str,
    locked: &Locked,
) -> Result<bool, AgentError> {
    let Some(passphrase) = prompt.known(&locked.role) else { return Ok(false) };
    match answered(tokens_client(channel).unlock(file_request(trust_dir, &locked.key_id, &passphrase))).await {
        Ok(_) => Ok(true),
        // another key may be enough
        Err(error @ AgentError::Refused { .. }) => {
            tracing::debug!("key {} stays locked: {error}", locked.key_id);
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn file_request(trust_dir: &str, key_id: &str, passphrase: &Passphrase) -> v1::UnlockRequest {
    v1::UnlockRequest {
        what: Some(v1::unlock_request::What::Key(key_id.to_owned())),
        trust_dir: trust_dir.to_owned(),
        secret: passphrase.expose().to_vec(),
        scope: v1::UnlockScope::Connection.into(),
        spend_last_try: false,
    }
}

/// Unlocks a key file, and answers with the passphrase that did it.
///
/// # Errors
/// [`AgentError`]
pub(super) async fn file_passphrase(
    channel: &Channel,
    prompt: &Prompt,
    trust_dir: &str,
    role: &str,
    key_id: &str,
) -> Result<Passphrase, AgentError> {
    let mut candidates = prompt.candidates(role, key_id);
    loop {
        let passphrase = candidates.another()?;
        let request = file_request(trust_dir, key_id, &passphrase);
        match answered(tokens_client(channel).unlock(request)).await {
            Ok(_) => {
                prompt.remember(role, &passphrase);
                return Ok(passphrase);
            }
            Err(error) if error.reason() == Some(Reason::SecretIncorrect) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Unlocks a token with a PIN that a person types; stops before the last try.
///
/// # Errors
/// [`AgentError`]
pub async fn unlock_token_asking(channel: &Channel, prompt: &Prompt, how: TokenUnlock<'_>) -> Result<(), AgentError> {
    let mut tried: u32 = 0;
    loop {
        let token = token::called(channel, how.token).await?;
        let question = token::question(&token, Code::Pin, how.last_try)?;
        let pin = prompt.pin(&token::named(&token), &question)?;
        tried = tried.saturating_add(1);
        match unlock_token(channel, how, &pin).await {
            Err(error) if error.reason() == Some(Reason::SecretIncorrect) && tried < PIN_TRIES => {
                let what = match error.detail("tries") {
                    Some("untried") => "That cannot be the PIN, so it was not tried",
                    _ => "PIN incorrect",
                };
                prompt.say(&format!("{what}. Please retry.\n"))?;
            }
            done => return done,
        }
    }
}

/// Unlocks a token with this PIN.
///
/// # Errors
/// [`AgentError`]
pub async fn unlock_token(channel: &Channel, how: TokenUnlock<'_>, pin: &Passphrase) -> Result<(), AgentError> {
    let request = v1::UnlockRequest {
        what: Some(v1::unlock_request::What::Token(how.token.to_owned())),
        trust_dir: String::new(),
        secret: pin.expose().to_vec(),
        scope: how.scope.into(),
        spend_last_try: how.last_try == LastTry::Spend,
    };
    answered(tokens_client(channel).unlock(request)).await.map(drop)
}

/// Gives a key file its first passphrase.
///
/// # Errors
/// [`AgentError`]
pub async fn first_passphrase(
    channel: &Channel,
    prompt: &Prompt,
    trust_dir: &str,
    role: &str,
    key: &v1::Key,
) -> Result<v1::Key, AgentError> {
    let passphrase = prompt.new_passphrase(role, &key.key_id)?;
    let request = v1::ChangePassphraseRequest {
        key: key.key_id.clone(),
        trust_dir: trust_dir.to_owned(),
        old_passphrase: Vec::new(),
        new_passphrase: passphrase.expose().to_vec(),
    };
    let written = answered(keys_client(channel).change_passphrase(request)).await?;
    written.key.ok_or_else(|| AgentError::Unexpected { what: "a changed passphrase without a key".to_owned() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use signet_proto::{Reason, v1};

    use super::{Locked, locked, note, wanted};
    use crate::agent::AgentError;

    #[test]
    fn a_refusal_says_what_is_locked() {
        let metadata = |token: &str| {
            let pairs = [("key_id", "ab"), ("role", "root"), ("place", "file:/k"), ("token", token)];
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        let refused = |reason, token| AgentError::Refused {
            reason,
            message: String::new(),
            metadata: BTreeMap::from(metadata(token)),
        };
        assert_eq!(Locked::of(&refused(Reason::KeyLocked, "")).unwrap().token, None);
        assert_eq!(Locked::of(&refused(Reason::KeyLocked, "t")).unwrap().token.as_deref(), Some("t"));
        assert_eq!(Locked::of(&refused(Reason::Busy, "t")), None);
    }

    fn key(id: &str, places: &[(&str, &str, v1::PlaceState)]) -> v1::Key {
        let place = |(uri, token, state): &(&str, &str, v1::PlaceState)| v1::Place {
            uri: (*uri).to_owned(),
            token: (*token).to_owned(),
            state: (*state).into(),
            ..v1::Place::default()
        };
        v1::Key { key_id: id.to_owned(), places: places.iter().map(place).collect(), ..v1::Key::default() }
    }

    #[test]
    fn a_token_is_unlocked_once_and_each_file() {
        use v1::PlaceState::{Absent, Locked, Ready};
        let keys = [
            key("1", &[("yubikey:4711/9c", "4711", Locked), ("file:/a", "", Locked)]),
            key("2", &[("yubikey:4711/9a", "4711", Locked), ("file:/b", "", Ready)]),
            key("3", &[("yubikey:12/9c", "12", Absent), ("file:/c", "", Locked)]),
        ];
        let places: Vec<String> = locked(&keys).into_iter().map(|locked| locked.place).collect();
        assert_eq!(places, ["yubikey:4711/9c", "file:/a", "file:/c"]);
    }

    #[test]
    fn the_key_that_will_sign_is_unlocked_before() {
        use v1::PlaceState::{Absent, Locked, Ready};
        let file = |state| ("file:/a", "", state);
        let token = |state| ("pkcs11:a", "release", state);
        for (name, keys, unlocked) in [
            ("a locked file", vec![key("1", &[file(Locked)])], Some("1")),
            ("a locked token before its file", vec![key("1", &[token(Locked), file(Ready)])], Some("1")),
            ("an absent token", vec![key("1", &[token(Absent), file(Locked)])], None),
            ("one of two is ready", vec![key("1", &[file(Locked)]), key("2", &[token(Ready)])], None),
            ("the first of two", vec![key("2", &[file(Locked)]), key("1", &[file(Locked)])], Some("1")),
            ("another's key", vec![key("3", &[file(Locked)])], None),
        ] {
            let ids = ["1".to_owned(), "2".to_owned()];
            let found = wanted(&keys, &ids);
            assert_eq!(found.as_ref().map(|locked| locked.key_id.as_str()), unlocked, "{name}");
            if let Some(found) = found {
                let mut keys = keys;
                note(&mut keys, &found);
                assert_eq!(wanted(&keys, &ids), None, "{name}");
            }
        }
    }
}
