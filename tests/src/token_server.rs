//! A token server as registries have one: who may do what to which collection, in tokens that the real notary-server believes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::{Authority, Identity, Validity, door::Door};

const SERVICE: &str = "signet-notary";
const ISSUER: &str = "signet token server";

/// Who may do everything, and her password.
pub const ALICE: (&str, &str) = ("alice", "correct horse battery");
/// Who may only read, and his password.
pub const RAY: (&str, &str) = ("ray", "only looking around");
/// What stands for Alice's password after `docker login`.
pub const IDENTITY_TOKEN: &str = "identity-token-of-alice";

/// How a token server treats people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Strangers may read.
    Open,
    /// Strangers get no token at all.
    KnowsNoStrangers,
    /// Strangers get a token that is good for nothing.
    Closed,
}

/// What was asked of a token server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// User name, `nobody`, `identity token`, or `imposter` for a wrong secret.
    pub who: String,
    /// What for: `repository:GUN:ACTIONS`.
    pub scope: String,
}

/// What a token server does instead: a status line's end and a body.
pub type Oddity = (&'static str, String);

type Whim = dyn Fn(&Asked, usize) -> Option<Oddity> + Send + Sync;

/// A running token server, over https.
pub struct TokenServer {
    directory: TempDir,
    door: Door,
    shared: Arc<Shared>,
}

struct Shared {
    manner: Manner,
    tls: Arc<ServerConfig>,
    signer: Signer,
    whim: Box<Whim>,
    /// The secrets of requests are never kept.
    asked: Mutex<Vec<Asked>>,
    issued: Mutex<Vec<String>>,
    lifetime: Mutex<Duration>,
}

/// Signs tokens with a key whose certificate goes with them.
struct Signer {
    key: EcdsaKeyPair,
    certificate: CertificateDer<'static>,
}

struct Request {
    method: String,
    query: BTreeMap<String, String>,
    authorization: Option<String>,
}

impl TokenServer {
    /// A server with a certificate of that authority, which also vouches for its tokens.
    pub fn start(authority: &Authority, manner: Manner) -> Result<Self> {
        Self::start_odd(authority, manner, |_, _| None)
    }

    /// One that does something else where `whim` says so; it gets what is asked, and how much was asked before.
    pub fn start_odd(
        authority: &Authority,
        manner: Manner,
        whim: impl Fn(&Asked, usize) -> Option<Oddity> + Send + Sync + 'static,
    ) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("signet-tokens-").tempdir()?;
        fs::write(directory.path().join("ca.crt"), authority.pem())?;
        let shared = Arc::new(Shared {
            manner,
            tls: Arc::new(tls(&authority.server(Validity::Current)?)?),
            signer: Signer::new(&authority.server(Validity::Current)?)?,
            whim: Box::new(whim),
            asked: Mutex::default(),
            issued: Mutex::default(),
            lifetime: Mutex::new(Duration::from_secs(300)),
        });
        let served = Arc::clone(&shared);
        let door = Door::open(move |stream| served.serve(stream))?;
        Ok(Self { directory, door, shared })
    }

    /// The URL at which tokens are asked for.
    #[must_use]
    pub fn realm(&self) -> String {
        format!("https://127.0.0.1:{}/token", self.door.port())
    }

    /// What notary-server's configuration says about it, if it is to be found at `realm`.
    #[must_use]
    pub fn auth(&self, realm: &str) -> Value {
        json!({ "type": "token", "options": {
            "realm": realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": self.bundle(),
        } })
    }

    /// The challenge that a guarded server answers with.
    #[must_use]
    pub fn challenge(&self) -> String {
        format!("WWW-Authenticate: Bearer realm=\"{}\",service=\"{SERVICE}\"", self.realm())
    }

    fn bundle(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    /// How long tokens say that they live.
    pub fn lifetime(&self, lifetime: Duration) {
        *self.shared.lifetime.lock().unwrap_or_else(PoisonError::into_inner) = lifetime;
    }

    /// Everything that was asked since the last time.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same as lines `WHO SCOPE`.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|Asked { who, scope }| format!("{who} {scope}")).collect()
    }

    /// Every token so far.
    #[must_use]
    pub fn issued(&self) -> Vec<String> {
        self.shared.issued.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn tls(identity: &Identity) -> Result<ServerConfig> {
    let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_no_client_auth().with_single_cert(chain, key)?)
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> Result<()> {
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&self.tls))?, stream);
        let request = Request::read(&mut stream)?;
        let (status, body) = self.answer(&request)?;
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        write!(stream, "{head}Connection: close\r\n\r\n{body}")?;
        stream.conn.send_close_notify();
        stream.flush()?;
        Ok(())
    }

    fn answer(&self, request: &Request) -> Result<Oddity> {
        let scope = request.query.get("scope").cloned().unwrap_or_default();
        let asked = Asked { who: request.who(), scope };
        let before = {
            let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(asked.clone());
            all.len().saturating_sub(1)
        };
        if let Some(odd) = (self.whim)(&asked, before) {
            return Ok(odd);
        }
        let refused = |words: &str| {
            let errors = json!({ "errors": [{ "code": "UNAUTHORIZED", "message": words, "detail": null }] });
            Ok(("401 Unauthorized", errors.to_string()))
        };
        if request.query.get("service").map(String::as_str) != Some(SERVICE) {
            return Ok(("400 Bad Request", "no such service".to_owned()));
        }
        let may: &[&str] = match (asked.who.as_str(), self.manner) {
            ("alice" | "identity token", _) => &["pull", "push", "*"],
            ("ray", _) | ("nobody", Manner::Open) => &["pull"],
            ("nobody", Manner::Closed) => &[],
            ("nobody", Manner::KnowsNoStrangers) => return refused("who are you?"),
            _ => return refused("incorrect username or password"),
        };
        let token = self.signer.token(&asked.scope, may)?;
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).push(token.clone());
        let name = if request.method == "POST" { "access_token" } else { "token" };
        let lifetime = *self.lifetime.lock().unwrap_or_else(PoisonError::into_inner);
        // the real client takes whole numbers only
        let expires_in = match lifetime.subsec_nanos() {
            0 => json!(lifetime.as_secs()),
            _ => json!(lifetime.as_secs_f64()),
        };
        Ok(("200 OK", json!({ name: token, "expires_in": expires_in }).to_string()))
    }
}

impl Request {
    fn read(stream: &mut impl Read) -> Result<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().context("a target")?.to_owned();
        let (mut authorization, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else { break };
            match name.to_lowercase().as_str() {
                "authorization" => authorization = Some(value.trim().to_owned()),
                "content-length" => length = value.trim().parse()?,
                _ => {}
            }
        }
        let mut form = vec![0; length];
        reader.read_exact(&mut form)?;
        let query = target.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default();
        let all = format!("{query}&{}", String::from_utf8(form)?);
        // the encoding of forms is that of queries
        let url = reqwest::Url::parse(&format!("http://form/?{all}"))?;
        Ok(Self { method, query: url.query_pairs().into_owned().collect(), authorization })
    }

    fn who(&self) -> String {
        if let Some(token) = self.query.get("refresh_token") {
            return if token == IDENTITY_TOKEN { "identity token" } else { "imposter" }.to_owned();
        }
        let Some(authorization) = &self.authorization else { return "nobody".to_owned() };
        let pair = authorization.strip_prefix("Basic ").and_then(|digits| STANDARD.decode(digits).ok());
        let pair = pair.and_then(|pair| String::from_utf8(pair).ok()).unwrap_or_default();
        let known = [ALICE, RAY].into_iter().find(|(user, password)| pair == format!("{user}:{password}"));
        let account = self.query.get("account").map(String::as_str);
        match known {
            Some((user, _)) if account == Some(user) => user.to_owned(),
            _ => "imposter".to_owned(),
        }
    }
}

impl Signer {
    fn new(identity: &Identity) -> Result<Self> {
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_der())
            .map_err(|error| anyhow!("not a P-256 key: {error}"))?;
        Ok(Self { key, certificate: CertificateDer::from_pem_slice(identity.certificate.as_bytes())? })
    }

    /// A token for as much of `scope` as there is in `may`.
    fn token(&self, scope: &str, may: &[&str]) -> Result<String> {
        let (rest, actions) = scope.rsplit_once(':').context("actions")?;
        let (kind, name) = rest.split_once(':').context("a name")?;
        let actions: Vec<&str> = actions.split(',').filter(|action| may.contains(action)).collect();
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let header = json!({ "typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(&self.certificate)] });
        let claims = json!({
            "iss": ISSUER, "sub": "", "aud": SERVICE, "jti": format!("{now}-{}", actions.len()),
            "iat": now, "nbf": now.saturating_sub(10), "exp": now.saturating_add(600),
            "access": [{ "type": kind, "name": name, "actions": actions }],
        });
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.map_err(|_| anyhow!("the token's signature"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref())))
    }
}

/// `NOTARY_AUTH` of a user.
#[must_use]
pub fn notary_auth((user, password): (&str, &str)) -> String {
    STANDARD.encode(format!("{user}:{password}"))
}

/// A directory for `DOCKER_CONFIG` with that config.json.
pub fn docker_config(place: &Path, config: &Value) -> Result<PathBuf> {
    fs::create_dir_all(place)?;
    fs::write(place.join("config.json"), config.to_string())?;
    Ok(place.to_owned())
}
