//! How we get past the server's gate: which way in, as whom, and with which token.
//!
//! Owns the rule who may see a secret: nobody who could have put himself between us and the server.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use reqwest::{Client, RequestBuilder, Url, header::HeaderMap};
use signet_tuf::Gun;
use tokio::sync::Mutex;

use super::{
    Access, ServerError,
    challenge::{Bearer, Challenge},
    failure::network,
    proxy::Proxies,
    token::{self, Token},
};
use crate::credentials::{Credential, Credentials, Purpose, Secret, Who};

/// What one server wants, and what was shown to it. One at a time gets a token, so that nothing is asked twice.
#[derive(Debug)]
pub(super) struct Gate {
    base: Url,
    access: Access,
    credentials: Credentials,
    http: Client,
    proxies: Proxies,
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
    /// Whether it was made for this request or an earlier one.
    age: Age,
}

#[derive(Debug)]
enum Shows {
    Nothing,
    Token(Token),
    Password(Arc<Credential>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Age {
    New,
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
    pub(super) fn new(base: Url, access: Access, credentials: Credentials, http: Client, proxies: Proxies) -> Self {
        Self { base, access, credentials, http, proxies, state: Mutex::default() }
    }

    /// Learns what the server wants from one of its 401s; whether it says anything.
    ///
    /// # Errors
    /// [`ServerError::Challenge`] if it wants what we cannot do, [`ServerError::Realm`].
    pub(super) async fn learn(&self, headers: &HeaderMap) -> Result<bool, ServerError> {
        let challenge = Challenge::choose(headers)
            .map_err(|problem| ServerError::Challenge { server: token::name(&self.base), problem })?;
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

    /// Whether it is known that the server asks who we are.
    pub(super) async fn is_guarded(&self) -> bool {
        self.state.lock().await.challenge.is_some()
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
    /// [`ServerError`], of the token server.
    pub(super) async fn better(&self, gun: &Gun, need: Access, refused: &Pass) -> Result<Option<Pass>, ServerError> {
        let access = self.access.max(need);
        let mut state = self.state.lock().await;
        if refused.age == Age::Used {
            tracing::debug!("the token for {gun} is no longer good");
            state.tokens.remove(&(gun.clone(), access, refused.rung));
            return self.climb(&mut state, gun, access, refused.rung).await.map(Some);
        }
        if refused.rung == Rung::Known || self.credential(gun).await?.is_none() {
            return Ok(None);
        }
        tracing::debug!("reading {gun} as nobody is refused");
        state.known = true;
        self.climb(&mut state, gun, access, Rung::Known).await.map(Some)
    }

    async fn climb(&self, state: &mut State, gun: &Gun, access: Access, rung: Rung) -> Result<Pass, ServerError> {
        let challenge = state.challenge.clone();
        match challenge {
            None => Ok(Pass { shows: Shows::Nothing, who: Who::Nobody, rung, age: Age::New }),
            Some(Challenge::Basic) => self.basic(gun, rung).await,
            Some(Challenge::Bearer(bearer)) => match self.bearer(state, &bearer, gun, access, rung).await {
                // a token server may know no strangers
                Err(ServerError::TokenRefused(refusal))
                    if rung == Rung::Nobody && refusal.is_personal() && self.credential(gun).await?.is_some() =>
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
            Rung::Known => self.credential(gun).await?,
        };
        // an identity token is no password
        let credential = credential.filter(|credential| matches!(credential.secret, Secret::Password { .. }));
        let who = credential.as_ref().map_or(Who::Nobody, Credential::who);
        let shows = credential.map_or(Shows::Nothing, |credential| Shows::Password(Arc::new(credential)));
        Ok(Pass { shows, who, rung, age: Age::New })
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
            Rung::Known => self.credential(gun).await?,
        };
        let who = credential.as_ref().map_or(Who::Nobody, Credential::who);
        let place = (gun.clone(), access, rung);
        if let Some(token) = state.tokens.get(&place).filter(|token| token.is_alive(Instant::now())) {
            return Ok(Pass { shows: Shows::Token(token.clone()), who, rung, age: Age::Used });
        }
        if credential.is_some() {
            self.may_see_secrets(&bearer.realm)?;
        }
        let scope = format!("repository:{gun}:{}", access.actions());
        let failed = |url: &Url, cause: &reqwest::Error| network(&token::name(url), cause, self.proxies.for_url(url));
        let token = token::fetch(&self.http, bearer, &scope, credential.as_ref(), failed).await?;
        state.tokens.insert(place, token.clone());
        Ok(Pass { shows: Shows::Token(token), who, rung, age: Age::New })
    }

    async fn credential(&self, gun: &Gun) -> Result<Option<Credential>, ServerError> {
        let host = self.base.host_str().unwrap_or_default().to_owned();
        let purpose = Purpose { host, server: token::name(&self.base), gun: gun.clone() };
        Ok(self.credentials.find(&purpose).await?)
    }

    /// Over plain http anybody may have named the realm, and anybody can read what is sent.
    fn may_see_secrets(&self, realm: &Url) -> Result<(), ServerError> {
        let same_host = realm.host_str() == self.base.host_str();
        if self.base.scheme() == "https" || same_host {
            return Ok(());
        }
        Err(self.bad_realm(
            realm,
            "another host, while the server is reached over plain http, where anybody may have put it",
        ))
    }

    fn bad_realm(&self, realm: &Url, problem: &'static str) -> ServerError {
        ServerError::Realm { server: token::name(&self.base), realm: token::shown(realm), problem }
    }
}
