//! notary-server over HTTP: metadata down, metadata up, public keys.
//!
//! Owns URLs, limits and timeouts, and [`gate`] who we say that we are. Never looks into metadata: what comes from here is
//! untrusted bytes.

mod access;
mod address;
mod body;
mod challenge;
mod error;
mod failure;
mod gate;
mod mask;
mod proxy;
mod refusal;
mod tls;
mod token;
mod transport;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{RequestBuilder, Response, StatusCode, Url, multipart};
use signet_tuf::{Digest, Gun, PublicKey, Role, Version};
use tokio::time::timeout;

pub use self::{
    access::Access,
    address::without_user,
    error::{
        Permission, ProxyFailure, ProxyProblem, Refusal, ServerError, TlsProblem, TokenRefusal, TokenServerFailure,
        Unreachable,
    },
    proxy::Proxies,
};
use self::{
    body::Unread,
    gate::{Gate, Pass},
    mask::Mask,
    refusal::Asked,
    transport::Transport,
};
use crate::{
    context::{ServerSettings, SkipVerify},
    credentials::Proof,
};

/// The largest root and, while nothing says better, the largest of any metadata. Notary's `MaxDownloadSize`.
pub const MAX_METADATA_BYTES: u64 = 100 << 20;
/// The largest timestamp. Notary's `MaxTimestampSize`.
pub const MAX_TIMESTAMP_BYTES: u64 = 1 << 20;
const MAX_KEY_BYTES: u64 = 256 << 10;

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

/// One notary-server. Clones share who we are to it.
#[derive(Debug, Clone)]
pub struct Server {
    transport: Transport,
    base: Url,
    name: String,
    gate: Arc<Gate>,
}

impl Server {
    /// Prepares to talk to a server; sends nothing yet. `access` is what the whole command may need: a server that gives
    /// tokens is asked for one that is good for all of it.
    ///
    /// # Errors
    /// [`ServerError::Url`], [`ServerError::UserInUrl`] and [`ServerError::Certificate`] name the setting that cannot be used.
    pub fn new(settings: &ServerSettings, access: Access) -> Result<Self, ServerError> {
        let base = address::base(&settings.url)?;
        let name = address::name(&base);
        let transport = Transport::new(settings)?;
        let proof = match (base.scheme(), settings.skip_tls_verify) {
            ("https", SkipVerify::No) => Proof::Certificate,
            ("https", SkipVerify::Yes) => {
                tracing::warn!("skipTLSVerify is set: anybody can pretend to be {name}");
                Proof::Nothing
            }
            _ => Proof::Nothing,
        };
        let gate = Gate::new(base.clone(), proof, access, settings.credentials.clone(), transport.clone());
        Ok(Self { transport, name, base, gate: Arc::new(gate) })
    }

    /// Host and port, as people name the server.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks whether a notary-server is there, and whether it wants to know who we are.
    ///
    /// # Errors
    /// [`ServerError::Unreachable`], [`ServerError::Tls`], [`ServerError::Challenge`] or [`ServerError::Status`].
    pub async fn ping(&self) -> Result<(), ServerError> {
        let url = self.url(&["v2", ""])?;
        let response = self.transport.send(&self.base, self.transport.http().get(url), PING).await?;
        match response.status() {
            status if status.is_success() => Ok(()),
            StatusCode::UNAUTHORIZED => self.gate.learn(response.headers()).await.map(drop),
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
        Ok(self.get(gun, Access::Read, &name, limit_bytes).await?.0)
    }

    /// The public key that the server keeps for a role of the collection; made there if there is none.
    ///
    /// # Errors
    /// [`ServerError::Answer`] if that is not a key; otherwise what the server or the network said.
    pub async fn public_key(&self, gun: &Gun, role: &Role) -> Result<PublicKey, ServerError> {
        // the server makes one if there is none, and so reading it takes the right to publish
        let (bytes, pass) = self.get(gun, Access::Write, &format!("{role}.key"), MAX_KEY_BYTES).await?;
        self.key_in(&bytes, &pass.mask, gun, role)
    }

    /// Lets the server make another key for a role that it signs; in use once a root that names it is published.
    ///
    /// # Errors
    /// [`ServerError::Answer`] if what it answers is not a key; otherwise what the server or the network said.
    pub async fn rotate_key(&self, gun: &Gun, role: &Role) -> Result<PublicKey, ServerError> {
        let name = format!("{role}.key");
        let request = || Ok(self.transport.http().post(self.collection_url(gun, &name)?));
        let (response, pass) = self.accepted(gun, Access::Admin, &name, STALL, request).await?;
        let bytes = self.read(response, MAX_KEY_BYTES, &name).await?;
        self.key_in(&bytes, &pass.mask, gun, role)
    }

    fn key_in(&self, answer: &[u8], mask: &Mask, gun: &Gun, role: &Role) -> Result<PublicKey, ServerError> {
        tls::public_key(answer).map_err(|problem| ServerError::Answer {
            server: self.name.clone(),
            what: format!("the {role} key of {gun}"),
            problem: mask.over(&problem),
        })
    }

    /// Uploads metadata: all of it is accepted, or none.
    ///
    /// # Errors
    /// [`ServerError::Conflict`] if the server has a newer version; [`ServerError::Rejected`] with the server's words;
    /// otherwise what the network said.
    pub async fn publish(&self, gun: &Gun, files: &[(Role, Bytes)]) -> Result<(), ServerError> {
        let request = || {
            let mut form = multipart::Form::new();
            for (role, bytes) in files {
                // the whole role name, slashes too: Notary 0.7 reads the parameter verbatim
                let part = multipart::Part::stream(bytes.clone())
                    .file_name(role.as_str().to_owned())
                    .mime_str("application/octet-stream")
                    .map_err(|e| self.transport.failed(&self.base, &e))?;
                form = form.part("files", part);
            }
            Ok(self.transport.http().post(self.collection_url(gun, "")?).multipart(form))
        };
        self.accepted(gun, Access::Write, "POST metadata endpoint", POST, request).await.map(drop)
    }

    /// Deletes a collection; one that is not there is no error.
    ///
    /// # Errors
    /// [`ServerError`], what the server or the network said.
    pub async fn delete(&self, gun: &Gun) -> Result<(), ServerError> {
        let request = || Ok(self.transport.http().delete(self.collection_url(gun, "")?));
        self.accepted(gun, Access::Admin, "DELETE metadata endpoint", STALL, request).await.map(drop)
    }

    async fn get(&self, gun: &Gun, access: Access, name: &str, limit_bytes: u64) -> Result<(Bytes, Pass), ServerError> {
        let request = || Ok(self.transport.http().get(self.collection_url(gun, name)?));
        let (response, pass) = self.accepted(gun, access, name, STALL, request).await?;
        Ok((self.read(response, limit_bytes, name).await?, pass))
    }

    /// Sends a request, as often as there is a better way to say who we are, until the answer is 200.
    async fn accepted(
        &self,
        gun: &Gun,
        access: Access,
        what: &str,
        patience: Duration,
        request: impl Fn() -> Result<RequestBuilder, ServerError>,
    ) -> Result<(Response, Pass), ServerError> {
        let mut pass = self.gate.pass(gun, access).await?;
        let response = loop {
            let response = self.transport.send(&self.base, pass.show(request()?), patience).await?;
            if response.status() != StatusCode::UNAUTHORIZED {
                break response;
            }
            match self.gate.after(gun, access, &pass, response.headers()).await? {
                Some(better) => pass = better,
                None => break response,
            }
        };
        if response.status() == StatusCode::OK {
            return Ok((response, pass));
        }
        Err(self.refused(gun, access, what, pass, response).await)
    }

    async fn refused(&self, gun: &Gun, access: Access, what: &str, pass: Pass, response: Response) -> ServerError {
        let what = what.strip_suffix(".json").unwrap_or(what).to_owned();
        let status = response.status().as_u16();
        let complaint = challenge::complaint(response.headers());
        let body = match timeout(STALL, body::read(response, body::MAX_ERROR_BYTES, STALL)).await {
            Ok(Ok(body)) => body,
            Ok(Err(Unread::TooLarge)) => Bytes::from_static(refusal::too_long()),
            Ok(Err(Unread::Failed(_) | Unread::Stalled)) | Err(_) => Bytes::new(),
        };
        refusal::refusal(
            Asked { server: &self.name, gun, what, access, who: pass.who, mask: &pass.mask },
            status,
            complaint,
            &body,
        )
    }

    async fn read(&self, response: Response, limit_bytes: u64, what: &str) -> Result<Bytes, ServerError> {
        body::read(response, limit_bytes, STALL).await.map_err(|unread| match unread {
            Unread::TooLarge => ServerError::TooLarge { server: self.name.clone(), what: what.to_owned(), limit_bytes },
            Unread::Stalled => self.transport.late(&self.base, STALL),
            Unread::Failed(cause) => self.transport.failed(&self.base, &cause),
        })
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
            Err(()) => return Err(ServerError::Url { url: address::shown(&self.base) }),
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::Credentials;

    fn server(url: &str) -> Result<Server, ServerError> {
        let settings = ServerSettings {
            url: url.to_owned(),
            ca: None,
            client_cert: None,
            client_key: None,
            skip_tls_verify: SkipVerify::No,
            proxies: Proxies::default(),
            credentials: Credentials::default(),
        };
        Server::new(&settings, Access::Read)
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
