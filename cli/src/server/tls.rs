//! The TLS side of the connection to notary-server, and the key form it answers with.

use std::{error::Error, fs, path::Path, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Certificate, Client, Identity, Proxy, redirect};
use serde::Deserialize;
use signet_tuf::{KeyType, PublicKey};

use super::ServerError;
use crate::context::{ServerSettings, SkipVerify};

const CONNECT: Duration = Duration::from_secs(30);

pub(super) fn client(settings: &ServerSettings) -> Result<Client, ServerError> {
    let mut builder = Client::builder()
        .user_agent(concat!("signet/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        // Notary follows no redirect: a signed file comes from where it was asked
        .redirect(redirect::Policy::none());
    let proxies = settings.proxies.clone();
    // the environment is read by our own rules, which are Go's
    builder = builder.no_proxy().proxy(Proxy::custom(move |url| Some(proxies.for_url(url)?.with_secrets())));
    if let Some(path) = &settings.ca {
        let bundle = Certificate::from_pem_bundle(&read(path)?).map_err(|_| not_pem(path, "no PEM certificates"))?;
        if bundle.is_empty() {
            return Err(not_pem(path, "no PEM certificates"));
        }
        builder = builder.tls_certs_only(bundle);
    }
    match (&settings.client_cert, &settings.client_key) {
        (None, None) => {}
        (Some(cert), Some(key)) => {
            let mut pem = read(cert)?;
            pem.push(b'\n');
            pem.extend_from_slice(&read(key)?);
            let identity = Identity::from_pem(&pem)
                .map_err(|_| not_pem(cert, "with its key no PEM certificate and unencrypted key"))?;
            builder = builder.identity(identity);
        }
        (Some(lonely), None) | (None, Some(lonely)) => {
            return Err(not_pem(lonely, "a client certificate and its key can only be given together"));
        }
    }
    if settings.skip_tls_verify == SkipVerify::Yes {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    builder.build().map_err(|error| match &settings.client_cert {
        Some(cert) if is_mismatch(&error) => not_pem(cert, "it does not belong to the key that was given with it"),
        _ => ServerError::Setup { cause: super::failure::chain(&error) },
    })
}

fn is_mismatch(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if matches!(cause.downcast_ref::<rustls::Error>(), Some(rustls::Error::InconsistentKeys(_))) {
            return true;
        }
        next = cause.source();
    }
    false
}

fn read(path: &Path) -> Result<Vec<u8>, ServerError> {
    fs::read(path).map_err(|e| not_pem(path, &e.to_string()))
}

fn not_pem(path: &Path, problem: &str) -> ServerError {
    ServerError::Certificate { path: path.to_owned(), problem: problem.to_owned() }
}

#[derive(Deserialize)]
struct KeyAnswer {
    keytype: String,
    keyval: KeyValue,
}

#[derive(Deserialize)]
struct KeyValue {
    public: String,
}

/// `{"keytype":…,"keyval":{"public":base64,"private":null}}`
pub(super) fn public_key(bytes: &[u8]) -> Result<PublicKey, String> {
    let answer: KeyAnswer = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    let kind =
        KeyType::from_wire(&answer.keytype).ok_or_else(|| format!("the key type `{}` is not known", answer.keytype))?;
    let public = STANDARD.decode(&answer.keyval.public).map_err(|e| e.to_string())?;
    PublicKey::new(kind, public).map_err(|e| e.to_string())
}
