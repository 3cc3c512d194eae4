//! notary-server over HTTP: metadata down, metadata up, public keys.
//!
//! Owns URLs, limits and timeouts. Never looks into metadata: what comes from here is untrusted bytes.

mod error;
mod tls;

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use reqwest::{Response, StatusCode, Url, header::CONTENT_LENGTH, multipart};
use signet_tuf::{Digest, Gun, PublicKey, Role, Version};
use tokio::time::timeout;

pub use self::error::{ServerError, TlsProblem, Unreachable};
use crate::context::ServerSettings;

/// The largest root and, while nothing says better, the largest of any metadata. Notary's `MaxDownloadSize`.
pub const MAX_METADATA_BYTES: u64 = 100 << 20;
/// The largest timestamp. Notary's `MaxTimestampSize`.
pub const MAX_TIMESTAMP_BYTES: u64 = 1 << 20;
const MAX_KEY_BYTES: u64 = 256 << 10;
const MAX_ERROR_BYTES: u64 = 64 << 10;

const PING: Duration = Duration::from_secs(5);
/// How long a read may bring nothing.
const STALL: Duration = Duration::from_secs(60);
/// The answer to a publish may wait for somebody who touches a token behind the server.
const POST: Duration = Duration::from_secs(600);

/// Which of the server's files of a role is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edition {
    /// What it serves now.
    Current,
    /// The file with this SHA-256.
    Hash(Digest),
    /// The file of this version.
    Version(Version),
}

/// One notary-server.
#[derive(Debug, Clone)]
pub struct Server {
    http: reqwest::Client,
    base: Url,
    name: String,
    ca: Option<PathBuf>,
}

impl Server {
    /// Prepares to talk to a server; sends nothing yet.
    ///
    /// # Errors
    /// [`ServerError::Url`] and [`ServerError::Certificate`] name the setting that cannot be used.
    pub fn new(settings: &ServerSettings) -> Result<Self, ServerError> {
        let base = base_url(&settings.url)?;
        let host = base.host_str().unwrap_or_default();
        let name = base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self { http: tls::client(settings)?, base, name, ca: settings.ca.clone() })
    }

    /// Host and port, as people name the server.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks whether a notary-server is there.
    ///
    /// # Errors
    /// [`ServerError::Unreachable`], [`ServerError::Tls`], [`ServerError::Unauthorized`] or [`ServerError::Status`].
    pub async fn ping(&self) -> Result<(), ServerError> {
        let url = self.url(&["v2", ""])?;
        let sent = self.http.get(url).send();
        let response = timeout(PING, sent).await.map_err(|_| self.timed_out(PING))?.map_err(|e| self.failed(&e))?;
        match response.status() {
            status if status.is_success() => Ok(()),
            StatusCode::UNAUTHORIZED => Err(ServerError::Unauthorized { server: self.name.clone() }),
            status => {
                Err(ServerError::Status { server: self.name.clone(), status: status.as_u16(), text: String::new() })
            }
        }
    }

    /// Downloads metadata of at most `limit_bytes`.
    ///
    /// # Errors
    /// [`ServerError::NotFound`] if there is none; otherwise what the server or the network said.
    pub async fn metadata(
        &self,
        gun: &Gun,
        role: &Role,
        edition: Edition,
        limit_bytes: u64,
    ) -> Result<Bytes, ServerError> {
        let name = match edition {
            Edition::Current => format!("{role}.json"),
            Edition::Hash(hash) => format!("{role}.{hash}.json"),
            Edition::Version(version) => format!("{version}.{role}.json"),
        };
        self.get(gun, &name, limit_bytes).await
    }

    /// The public key that the server keeps for a role of the collection; made there if there is none.
    ///
    /// # Errors
    /// [`ServerError::Answer`] if that is not a key; otherwise what the server or the network said.
    pub async fn public_key(&self, gun: &Gun, role: &Role) -> Result<PublicKey, ServerError> {
        let bytes = self.get(gun, &format!("{role}.key"), MAX_KEY_BYTES).await?;
        self.key_in(&bytes, gun, role)
    }

    /// Lets the server make another key for a role that it signs; in use once a root that names it is published.
    ///
    /// # Errors
    /// [`ServerError::Answer`] if what it answers is not a key; otherwise what the server or the network said.
    pub async fn rotate_key(&self, gun: &Gun, role: &Role) -> Result<PublicKey, ServerError> {
        let name = format!("{role}.key");
        let sent = self.http.post(self.collection_url(gun, &name)?).send();
        let response = timeout(STALL, sent).await.map_err(|_| self.timed_out(STALL))?.map_err(|e| self.failed(&e))?;
        let response = self.accepted(response, gun, &name).await?;
        let bytes = self.read(response, MAX_KEY_BYTES, &name).await?;
        self.key_in(&bytes, gun, role)
    }

    fn key_in(&self, answer: &[u8], gun: &Gun, role: &Role) -> Result<PublicKey, ServerError> {
        tls::public_key(answer).map_err(|problem| ServerError::Answer {
            server: self.name.clone(),
            what: format!("the {role} key of {gun}"),
            problem,
        })
    }

    /// Uploads metadata: all of it is accepted, or none.
    ///
    /// # Errors
    /// [`ServerError::Conflict`] if the server has a newer version; [`ServerError::Rejected`] with the server's words;
    /// otherwise what the network said.
    pub async fn publish(&self, gun: &Gun, files: &[(Role, Bytes)]) -> Result<(), ServerError> {
        let url = self.collection_url(gun, "")?;
        let mut form = multipart::Form::new();
        for (role, bytes) in files {
            // the whole role name, slashes too: Notary 0.7 reads the parameter verbatim
            let part = multipart::Part::stream(bytes.clone())
                .file_name(role.as_str().to_owned())
                .mime_str("application/octet-stream")
                .map_err(|e| self.failed(&e))?;
            form = form.part("files", part);
        }
        let sent = self.http.post(url).multipart(form).send();
        let response = timeout(POST, sent).await.map_err(|_| self.timed_out(POST))?.map_err(|e| self.failed(&e))?;
        self.accepted(response, gun, "POST metadata endpoint").await.map(|_response| ())
    }

    /// Deletes a collection; one that is not there is no error.
    ///
    /// # Errors
    /// [`ServerError`], what the server or the network said.
    pub async fn delete(&self, gun: &Gun) -> Result<(), ServerError> {
        let sent = self.http.delete(self.collection_url(gun, "")?).send();
        let response = timeout(STALL, sent).await.map_err(|_| self.timed_out(STALL))?.map_err(|e| self.failed(&e))?;
        self.accepted(response, gun, "DELETE metadata endpoint").await.map(|_response| ())
    }

    async fn get(&self, gun: &Gun, name: &str, limit_bytes: u64) -> Result<Bytes, ServerError> {
        let sent = self.http.get(self.collection_url(gun, name)?).send();
        let response = timeout(STALL, sent).await.map_err(|_| self.timed_out(STALL))?.map_err(|e| self.failed(&e))?;
        let response = self.accepted(response, gun, name).await?;
        self.read(response, limit_bytes, name).await
    }

    async fn accepted(&self, response: Response, gun: &Gun, what: &str) -> Result<Response, ServerError> {
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(response);
        }
        let what = what.strip_suffix(".json").unwrap_or(what).to_owned();
        let body = self.read(response, MAX_ERROR_BYTES, "error").await.unwrap_or_default();
        Err(error::refusal(&self.name, gun, what, status.as_u16(), &body))
    }

    async fn read(&self, mut response: Response, limit_bytes: u64, what: &str) -> Result<Bytes, ServerError> {
        let too_large = || ServerError::TooLarge { server: self.name.clone(), what: what.to_owned(), limit_bytes };
        let announced = response.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|bytes| bytes > limit_bytes) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        loop {
            let chunk = timeout(STALL, response.chunk()).await.map_err(|_| self.timed_out(STALL))?;
            let Some(chunk) = chunk.map_err(|e| self.failed(&e))? else {
                return Ok(body.into());
            };
            body.extend_from_slice(&chunk);
            if u64::try_from(body.len()).unwrap_or(u64::MAX) > limit_bytes {
                return Err(too_large());
            }
        }
    }

    fn collection_url(&self, gun: &Gun, file: &str) -> Result<Url, ServerError> {
        let path = format!("v2/{gun}/_trust/tuf/{file}");
        self.url(&path.split('/').collect::<Vec<_>>())
    }

    fn url(&self, segments: &[&str]) -> Result<Url, ServerError> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut path) => {
                path.pop_if_empty().extend(segments);
            }
            Err(()) => return Err(not_a_server(self.base.as_str())),
        }
        Ok(url)
    }

    fn failed(&self, cause: &reqwest::Error) -> ServerError {
        let mut failure = error::network(&self.name, cause);
        if let ServerError::Tls { problem: TlsProblem::UnknownCa { trusted }, .. } = &mut failure {
            trusted.clone_from(&self.ca);
        }
        failure
    }

    fn timed_out(&self, after: Duration) -> ServerError {
        ServerError::Unreachable { server: self.name.clone(), cause: Unreachable::Timeout(after) }
    }
}

fn base_url(text: &str) -> Result<Url, ServerError> {
    let url = Url::parse(text).map_err(|_| not_a_server(text))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(not_a_server(text)),
    }
}

fn not_a_server(text: &str) -> ServerError {
    ServerError::Url { url: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::SkipVerify;

    fn server(url: &str) -> Result<Server, ServerError> {
        Server::new(&ServerSettings {
            url: url.to_owned(),
            ca: None,
            client_cert: None,
            client_key: None,
            skip_tls_verify: SkipVerify::No,
        })
    }

    #[test]
    fn a_url_keeps_the_base_path_and_quotes_the_collection() {
        let table = [
            ("https://h:4443", "a/b", "root.json", "https://h:4443/v2/a/b/_trust/tuf/root.json"),
            ("https://h:4443/", "a", "", "https://h:4443/v2/a/_trust/tuf/"),
            ("https://h/x/y", "a b", "targets/r.json", "https://h/x/y/v2/a%20b/_trust/tuf/targets/r.json"),
            ("http://h", "l:5000/a?b#é%", "root.json", "http://h/v2/l:5000/a%3Fb%23%C3%A9%25/_trust/tuf/root.json"),
        ];
        for (base, gun, file, wanted) in table {
            let url = server(base).unwrap().collection_url(&gun.parse().unwrap(), file).unwrap();
            assert_eq!(url.as_str(), wanted);
        }
    }

    #[test]
    fn what_is_no_server_url_is_refused() {
        for text in ["", "localhost:4443", "ftp://h", "https://", "/x"] {
            assert!(matches!(server(text), Err(ServerError::Url { .. })), "{text}");
        }
        assert_eq!(server("https://h:1/p").unwrap().name(), "h:1");
    }
}
