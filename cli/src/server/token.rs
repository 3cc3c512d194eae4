//! Tokens: asked of the server's token server, by Docker's rules (distribution/spec, auth/token and auth/oauth).

use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder, StatusCode, Url, header::CONTENT_TYPE};
use secrecy::SecretString;
use serde::Deserialize;
use tokio::time::timeout;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{
    ServerError,
    address::shown,
    body::{self, MAX_ERROR_BYTES, Unread},
    challenge::Bearer,
    error::TokenRefusal,
    mask::Mask,
    refusal,
    transport::Transport,
};
use crate::{
    credentials::{Credential, Secret, Who},
    secret::Passphrase,
};

/// How long a token server may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// A token whose life is not said.
const LIFETIME: Duration = Duration::from_secs(60);
/// Docker's own: an identity token is bound to the client for which it was made.
const CLIENT_ID: &str = "docker";

/// What shows the server that we may.
#[derive(Debug, Clone)]
pub(super) struct Token {
    secret: Passphrase,
    ends: Option<Instant>,
}

#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct Answer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    #[zeroize(skip)]
    expires_in: Option<f64>,
}

impl Token {
    /// For the header that carries it.
    pub(super) fn expose_text(&self) -> &str {
        self.secret.expose_text()
    }

    pub(super) fn is_alive(&self, now: Instant) -> bool {
        self.ends.is_none_or(|ends| now < ends)
    }
}

/// Asks the token server.
///
/// # Errors
/// [`ServerError::TokenRefused`] with its words, [`ServerError::TokenAnswer`], or what the network said.
pub(super) async fn fetch(
    transport: &Transport,
    bearer: &Bearer,
    scope: &str,
    credential: Option<&Credential>,
) -> Result<Token, ServerError> {
    let who = credential.map_or(Who::Nobody, Credential::who);
    let realm = &bearer.realm;
    tracing::debug!("asking {} for a token for {scope} as {who}", shown(realm));
    let asked = Instant::now();
    let response = transport.send(realm, request(transport.http(), bearer, scope, credential), PATIENCE).await?;
    let status = response.status();
    let whole = timeout(PATIENCE, body::read(response, MAX_ERROR_BYTES, PATIENCE)).await;
    let bytes = match whole.unwrap_or(Err(Unread::Stalled)) {
        Ok(bytes) => bytes,
        Err(Unread::TooLarge) if status != StatusCode::OK => refusal::too_long().into(),
        Err(Unread::TooLarge) => return Err(nonsense(realm, "it is larger than 64 KiB")),
        Err(Unread::Stalled) => return Err(transport.late(realm, PATIENCE)),
        Err(Unread::Failed(cause)) => return Err(transport.failed(realm, &cause)),
    };
    if status != StatusCode::OK {
        let mask = credential.map(|credential| Mask::default().credential(credential)).unwrap_or_default();
        let text = mask.over(&refusal::words(&bytes));
        let refusal = TokenRefusal { realm: shown(realm), scope: scope.to_owned(), status: status.as_u16(), who, text };
        return Err(ServerError::TokenRefused(Box::new(refusal)));
    }
    parse(&bytes, asked).map_err(|problem| nonsense(realm, problem))
}

fn request(http: &Client, bearer: &Bearer, scope: &str, credential: Option<&Credential>) -> RequestBuilder {
    let service = bearer.service.as_deref().map(|service| ("service", service));
    match credential.map(|credential| &credential.secret) {
        Some(Secret::IdentityToken(token)) => {
            let fields =
                [("client_id", CLIENT_ID), ("grant_type", "refresh_token"), ("refresh_token", token.expose_text())];
            let form = encoded(fields.into_iter().chain([("scope", scope)]).chain(service));
            http.post(bearer.realm.clone()).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
        }
        Some(Secret::Password { user, password }) => {
            let url = with_query(bearer, [("account", user.as_str()), ("scope", scope)].into_iter().chain(service));
            http.get(url).basic_auth(user, Some(password.expose_text()))
        }
        None => http.get(with_query(bearer, [("scope", scope)].into_iter().chain(service))),
    }
}

fn with_query<'a>(bearer: &Bearer, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Url {
    let mut url = bearer.realm.clone();
    url.query_pairs_mut().extend_pairs(pairs);
    url
}

/// As a form; a URL's query has the same encoding.
pub(super) fn encoded<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let Ok(mut url) = Url::parse("http://form/") else { return String::new() };
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}

/// Says nothing of what stands there, which may be a token.
fn parse(bytes: &[u8], asked: Instant) -> Result<Token, &'static str> {
    let answer: Answer = serde_json::from_slice(bytes).map_err(|_| "it is not the JSON of a token")?;
    let text = if answer.token.is_empty() { &answer.access_token } else { &answer.token };
    if text.is_empty() {
        return Err("there is no token in it");
    }
    // RFC 9110 §5.5: a header has no room for others
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its token has characters that no token has");
    }
    let seconds = answer.expires_in.filter(|seconds| *seconds > 0.0);
    let lifetime = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(LIFETIME);
    // counted from our question: the server's clock may be another
    Ok(Token { secret: Passphrase::from(SecretString::from(text.as_str())), ends: asked.checked_add(lifetime) })
}

fn nonsense(realm: &Url, problem: &str) -> ServerError {
    ServerError::TokenAnswer { realm: shown(realm), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: &str) -> Result<(String, Option<u64>), &'static str> {
        let asked = Instant::now();
        let token = parse(body.as_bytes(), asked)?;
        Ok((token.expose_text().to_owned(), token.ends.map(|ends| ends.duration_since(asked).as_secs())))
    }

    #[test]
    fn a_token_is_read_under_both_names() {
        for (body, wanted) in [
            (r#"{"token":"a","expires_in":300}"#, ("a", Some(300))),
            (r#"{"access_token":"a","expires_in":5}"#, ("a", Some(5))),
            (r#"{"token":"a","access_token":"a"}"#, ("a", Some(60))),
            (r#"{"token":"a","expires_in":0}"#, ("a", Some(60))),
            (r#"{"token":"a","expires_in":-1}"#, ("a", Some(60))),
            (r#"{"token":"a","expires_in":1e300,"issued_at":"2026-01-01T00:00:00Z"}"#, ("a", Some(60))),
        ] {
            assert_eq!(parsed(body), Ok((wanted.0.to_owned(), wanted.1)), "{body}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_repeated() {
        for body in ["", "secret", "{}", "[]", r#"{"token":""}"#, r#"{"token":5}"#, r#"{"token":"a secret"}"#] {
            let problem = parsed(body).unwrap_err();
            assert!(!problem.contains("secret"), "{problem}");
        }
    }

    #[test]
    fn a_token_lives_until_its_end() {
        let asked = Instant::now();
        let token = parse(br#"{"token":"a","expires_in":10}"#, asked).unwrap();
        assert!(token.is_alive(asked + Duration::from_secs(9)));
        assert!(!token.is_alive(asked + Duration::from_secs(10)));
        assert!(!format!("{token:?}").contains("\"a\""));
    }

    #[test]
    fn the_question_has_what_docker_puts_into_it() {
        let bearer = Bearer { realm: Url::parse("https://a/t?x=1").unwrap(), service: Some("n s".into()) };
        let http = Client::new();
        let source = String::new();
        let scope = "repository:g/a:push,pull";
        let request = |secret: Secret| {
            request(&http, &bearer, scope, Some(&Credential { secret, source: source.clone() })).build().unwrap()
        };
        let secret = || Passphrase::from(SecretString::from("se&cret"));
        let get = request(Secret::Password { user: "al ice".into(), password: secret() });
        assert_eq!(
            get.url().as_str(),
            "https://a/t?x=1&account=al+ice&scope=repository%3Ag%2Fa%3Apush%2Cpull&service=n+s"
        );
        assert!(get.headers()["authorization"].is_sensitive());
        let post = request(Secret::IdentityToken(secret()));
        assert_eq!((post.method().as_str(), post.url().as_str()), ("POST", "https://a/t?x=1"));
        assert_eq!(
            std::str::from_utf8(post.body().unwrap().as_bytes().unwrap()).unwrap(),
            "client_id=docker&grant_type=refresh_token&refresh_token=se%26cret&scope=repository%3Ag%2Fa%3Apush%2Cpull&service=n+s"
        );
    }
}
