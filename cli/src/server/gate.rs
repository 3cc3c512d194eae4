//! How we get past the server's gate: which way in, as whom, and with which token.
//!
//! Owns the rule who may see a secret: nobody who could have put himself between us and the server.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use reqwest::{RequestBuilder, Url, header::HeaderMap};
use signet_tuf::Gun;
use tokio::sync::Mutex;

use super::{
    Access, ServerError, address,
    challenge::{Bearer, Challenge},
    error::TokenServerFailure,
    mask::Mask,
    token::{self, Token},
    transport::Transport,
};
use crate::credentials::{Credential, Credentials, Proof, Purpose, Secret, Who};

/// What one server wants, and what was shown to it. One at a time gets a token, so that nothing is asked twice.
#[derive(Debug)]
pub(super) struct Gate {
    base: Url,
    proof: Proof,
    access: Access,
    credentials: Credentials,
    transport: Transport,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    challenge: Option<Challenge>,
    tokens: BTreeMap<(Gun, Access, Rung), Token>,
    /// Reading as nobody was refused.
    known: bool,
}

/// Who we say that we are; the second only if the first is not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rung {
    Nobody,
    Known,
}

/// What a request carries.
#[derive(Debug)]
pub(super) struct Pass {
    shows: Shows,
    /// As whom.
    pub(super) who: Who,
    rung: Rung,
    age: Age,
    /// What the server may repeat of ours.
    pub(super) mask: Mask,
}

#[derive(Debug)]
enum Shows {
    Nothing,
    Token(Token),
    Password(Arc<Credential>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Age {
    /// Made before the server had said that it asks who we are.
    Early,
    /// Made for this request.
    New,
    /// Made for an earlier one.
    Used,
}

impl Pass {
    /// Puts it into the request.
    pub(super) fn show(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.shows {
            Shows::Nothing => request,
            Shows::Token(token) => request.bearer_auth(token.expose_text()),
            Shows::Password(credential) => match &credential.secret {
                Secret::Password { user, password } => request.basic_auth(user, Some(password.expose_text())),
                Secret::IdentityToken(_) => request,
            },
        }
    }
}

impl Gate {
    pub(super) fn new(base: Url, proof: Proof, access: Access, credentials: Credentials, transport: Transport) -> Self {
        Self { base, proof, access, credentials, transport, state: Mutex::default() }
    }

    /// Learns what the server wants from one of its 401s; whether it says anything.
    ///
    /// # Errors
    /// [`ServerError::Challenge`] if it wants what we cannot do, [`ServerError::Realm`].
    pub(super) async fn learn(&self, headers: &HeaderMap) -> Result<bool, ServerError> {
        let challenge = Challenge::choose(headers)
            .map_err(|problem| ServerError::Challenge { server: address::name(&self.base), problem })?;
        if let Some(Challenge::Bearer(bearer)) = &challenge
            && self.base.scheme() == "https"
            && bearer.realm.scheme() != "https"
        {
            return Err(self.bad_realm(&bearer.realm, "which is not https, while the server is"));
        }
        let said = challenge.is_some();
        self.state.lock().await.challenge = challenge;
        Ok(said)
    }

    /// The pass for a first try.
    ///
    /// # Errors
    /// [`ServerError`], of the token server.
    pub(super) async fn pass(&self, gun: &Gun, need: Access) -> Result<Pass, ServerError> {
        let access = self.access.max(need);
        let mut state = self.state.lock().await;
        let rung = if access == Access::Read && !state.known { Rung::Nobody } else { Rung::Known };
        self.climb(&mut state, gun, access, rung).await
    }

    /// The pass for another try, after `refused` was answered by 401; none if there is no better one.
    ///
    /// # Errors
    /// As [`Self::learn`], and [`ServerError`], of the token server.
    pub(super) async fn after(
        &self,
        gun: &Gun,
        need: Access,
        refused: &Pass,
        headers: &HeaderMap,
    ) -> Result<Option<Pass>, ServerError> {
        match refused.age {
            Age::New | Age::Used => self.better(gun, need, refused).await,
            // another request may have learned it meanwhile
            Age::Early if self.is_guarded().await || self.learn(headers).await? => self.pass(gun, need).await.map(Some),
            Age::Early => Ok(None),
        }
    }

    async fn is_guarded(&self) -> bool {
        self.state.lock().await.challenge.is_some()
    }

    async fn better(&self, gun: &Gun, need: Access, refused: &Pass) -> Result<Option<Pass>, ServerError> {
        let access = self.access.max(need);
        let mut state = self.state.lock().await;
        if refused.age == Age::Used {
            tracing::debug!("the token for {gun} is no longer good");
            state.tokens.remove(&(gun.clone(), access, refused.rung));
            return self.climb(&mut state, gun, access, refused.rung).await.map(Some);
        }
        let realm = state.realm();
        if refused.rung == Rung::Known || self.credential(gun, realm.as_ref()).await?.is_none() {
            return Ok(None);
        }
        tracing::debug!("reading {gun} as nobody is refused");
        state.known = true;
        self.climb(&mut state, gun, access, Rung::Known).await.map(Some)
    }

    async fn climb(&self, state: &mut State, gun: &Gun, access: Access, rung: Rung) -> Result<Pass, ServerError> {
        let challenge = state.challenge.clone();
        match challenge {
            None => Ok(Pass { shows: Shows::Nothing, who: Who::Nobody, rung, age: Age::Early, mask: Mask::default() }),
            Some(Challenge::Basic) => self.basic(gun, rung).await,
            Some(Challenge::Bearer(bearer)) => match self.bearer(state, &bearer, gun, access, rung).await {
                // a token server may know no strangers
                Err(ServerError::TokenRefused(refusal))
                    if rung == Rung::Nobody
                        && refusal.is_personal()
                        && self.credential(gun, Some(&bearer.realm)).await?.is_some() =>
                {
                    state.known = true;
                    self.bearer(state, &bearer, gun, access, Rung::Known).await
                }
                done => done,
            },
        }
    }

    async fn basic(&self, gun: &Gun, rung: Rung) -> Result<Pass, ServerError> {
        let credential = match rung {
            Rung::Nobody => None,
            Rung::Known => self.credential(gun, None).await?,
        };
        // an identity token is no password
        let credential = credential.filter(|credential| matches!(credential.secret, Secret::Password { .. }));
        let who = credential.as_ref().map_or(Who::Nobody, Credential::who);
        let mask = mask(credential.as_ref());
        let shows = credential.map_or(Shows::Nothing, |credential| Shows::Password(Arc::new(credential)));
        Ok(Pass { shows, who, rung, age: Age::New, mask })
    }

    async fn bearer(
        &self,
        state: &mut State,
        bearer: &Bearer,
        gun: &Gun,
        access: Access,
        rung: Rung,
    ) -> Result<Pass, ServerError> {
        let credential = match rung {
            Rung::Nobody => None,
            Rung::Known => self.credential(gun, Some(&bearer.realm)).await?,
        };
        let who = credential.as_ref().map_or(Who::Nobody, Credential::who);
        let pass = |token: Token, age| {
            let mask = mask(credential.as_ref()).token(token.expose_text());
            Pass { shows: Shows::Token(token), who, rung, age, mask }
        };
        let place = (gun.clone(), access, rung);
        if let Some(token) = state.tokens.get(&place).filter(|token| token.is_alive(Instant::now())) {
            return Ok(pass(token.clone(), Age::Used));
        }
        let scope = format!("repository:{gun}:{}", access.actions());
        let token = token::fetch(&self.transport, bearer, &scope, credential.as_ref()).await;
        let token = token.map_err(|error| self.of_token_server(&bearer.realm, error))?;
        state.tokens.insert(place, token.clone());
        Ok(pass(token, Age::New))
    }

    fn of_token_server(&self, realm: &Url, cause: ServerError) -> ServerError {
        if !matches!(cause, ServerError::Unreachable { .. } | ServerError::Tls { .. }) {
            return cause;
        }
        let (server, realm) = (address::name(&self.base), address::shown(realm));
        ServerError::TokenServer(Box::new(TokenServerFailure { server, realm, cause }))
    }

    /// Who we are, if that may be told to the token server at `realm`, or to the server itself. Nobody is asked for what
    /// may not be told.
    async fn credential(&self, gun: &Gun, realm: Option<&Url>) -> Result<Option<Credential>, ServerError> {
        let reader = realm.map(address::shown);
        let purpose = Purpose {
            base: self.base.clone(),
            proof: self.proof,
            server: address::name(&self.base),
            reader,
            gun: gun.clone(),
        };
        match realm.map_or(Ok(()), |realm| self.may_see_secrets(realm)) {
            Ok(()) => Ok(self.credentials.find(&purpose).await?),
            Err(refused) if self.credentials.could_find(&purpose).await => Err(refused),
            Err(_) => Ok(None),
        }
    }

    /// Where the server has not proved who it is, anybody may have named the realm.
    fn may_see_secrets(&self, realm: &Url) -> Result<(), ServerError> {
        let same_host = realm.host_str() == self.base.host_str();
        match self.proof {
            Proof::Certificate => Ok(()),
            Proof::Nothing if same_host => Ok(()),
            Proof::Nothing if self.base.scheme() == "https" => {
                Err(self
                    .bad_realm(realm, "another host, while skipTLSVerify is set and so anybody may have put it there"))
            }
            Proof::Nothing => Err(self.bad_realm(
                realm,
                "another host, while the server is reached over plain http, where anybody may have put it",
            )),
        }
    }

    fn bad_realm(&self, realm: &Url, problem: &'static str) -> ServerError {
        ServerError::Realm { server: address::name(&self.base), realm: address::shown(realm), problem }
    }
}

impl State {
    fn realm(&self) -> Option<Url> {
        match &self.challenge {
            Some(Challenge::Bearer(bearer)) => Some(bearer.realm.clone()),
            Some(Challenge::Basic) | None => None,
        }
    }
}

fn mask(credential: Option<&Credential>) -> Mask {
    credential.map(|credential| Mask::default().credential(credential)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use reqwest::header::{HeaderValue, WWW_AUTHENTICATE};

    use super::*;
    use crate::{
        context::{ServerSettings, SkipVerify},
        environment::Environment,
        prompt::Prompt,
        secret::EnvSecrets,
        server::Proxies,
    };

    fn gate(base: &str, proof: Proof, credentials: Credentials) -> Gate {
        let settings = ServerSettings {
            url: base.to_owned(),
            ca: None,
            client_cert: None,
            client_key: None,
            skip_tls_verify: SkipVerify::No,
            proxies: Proxies::default(),
            credentials: Credentials::default(),
        };
        let transport = Transport::new(&settings).unwrap();
        Gate::new(Url::parse(base).unwrap(), proof, Access::Read, credentials, transport)
    }

    fn challenge(text: &'static str) -> HeaderMap {
        [(WWW_AUTHENTICATE, HeaderValue::from_static(text))].into_iter().collect()
    }

    fn block<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn who_came_before_the_server_asked_may_come_again() {
        block(async {
            let gun = "g".parse().unwrap();
            let gate = gate("http://h", Proof::Nothing, Credentials::default());
            let basic = challenge("Basic realm=\"x\"");
            let early = [gate.pass(&gun, Access::Read).await.unwrap(), gate.pass(&gun, Access::Write).await.unwrap()];
            // the first one's 401 teaches it, and the others' 401s say nothing new
            for pass in &early {
                let next = gate.after(&gun, Access::Read, pass, &basic).await.unwrap().unwrap();
                assert_eq!(next.age, Age::New);
                assert!(gate.after(&gun, Access::Read, &next, &basic).await.unwrap().is_none());
            }
        });
    }

    #[test]
    fn a_server_that_asks_nothing_is_not_tried_again() {
        block(async {
            let gun = "g".parse().unwrap();
            let gate = gate("http://h", Proof::Nothing, Credentials::default());
            let early = gate.pass(&gun, Access::Read).await.unwrap();
            assert!(gate.after(&gun, Access::Read, &early, &HeaderMap::new()).await.unwrap().is_none());
        });
    }

    #[test]
    fn without_proof_only_the_server_s_own_host_sees_a_secret_and_nobody_is_asked() {
        for (base, proof, realm, seen) in [
            ("https://h", Proof::Certificate, "https://a/t", true),
            ("https://h", Proof::Nothing, "https://a/t", false),
            ("https://h", Proof::Nothing, "https://h:5000/t", true),
            ("http://h", Proof::Nothing, "http://a/t", false),
            ("http://h:1", Proof::Nothing, "https://h/t", true),
        ] {
            let prompt = Prompt::scripted(EnvSecrets::default(), &["bob", "typed password"]);
            let credentials = Credentials::new(Arc::new(Environment::of("/", &[])), prompt.clone());
            let gate = gate(base, proof, credentials);
            let found = block(gate.credential(&"g".parse().unwrap(), Some(&Url::parse(realm).unwrap())));
            match found {
                Ok(Some(_)) => assert!(seen, "{base} {realm}"),
                Err(ServerError::Realm { .. }) => assert!(!seen, "{base} {realm}"),
                other => panic!("{base} {realm}: {other:?}"),
            }
            assert_eq!(!prompt.shown().is_empty(), seen, "{base} {realm}");
        }
    }
}
