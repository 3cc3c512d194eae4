//! How requests travel: the HTTP client, the proxies before a server, and which CA is trusted.

use std::{path::PathBuf, time::Duration};

use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use tokio::time::timeout;

use super::{
    ServerError,
    address::name,
    error::{ProxyProblem, TlsProblem, Unreachable},
    failure,
    proxy::Proxies,
    tls,
};
use crate::context::ServerSettings;

/// The way to a server and to its token server.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    http: Client,
    proxies: Proxies,
    ca: Option<PathBuf>,
}

impl Transport {
    /// Prepares everything; sends nothing yet.
    ///
    /// # Errors
    /// [`ServerError::Certificate`], [`ServerError::Setup`].
    pub(super) fn new(settings: &ServerSettings) -> Result<Self, ServerError> {
        Ok(Self { http: tls::client(settings)?, proxies: settings.proxies.clone(), ca: settings.ca.clone() })
    }

    /// For requests that [`Self::send`] sends.
    pub(super) const fn http(&self) -> &Client {
        &self.http
    }

    /// Sends a request to somebody at `to`.
    ///
    /// # Errors
    /// [`ServerError::Unreachable`], [`ServerError::Tls`].
    pub(super) async fn send(
        &self,
        to: &Url,
        request: RequestBuilder,
        patience: Duration,
    ) -> Result<Response, ServerError> {
        let response = timeout(patience, request.send()).await.map_err(|_| self.late(to, patience))?;
        let response = response.map_err(|e| self.failed(to, &e))?;
        match self.proxies.for_url(to) {
            // over plain http, a proxy answers in the server's place; over https, only the server can
            Some(proxy) if to.scheme() == "http" && response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                let cause = failure::through(proxy, ProxyProblem::WantsPassword);
                Err(ServerError::Unreachable { server: name(to), cause })
            }
            Some(_) | None => Ok(response),
        }
    }

    /// What the HTTP client says, sorted.
    pub(super) fn failed(&self, to: &Url, cause: &reqwest::Error) -> ServerError {
        let mut failure = failure::network(&name(to), cause, self.proxies.for_url(to));
        if let ServerError::Tls { problem: TlsProblem::UnknownCa { trusted }, .. } = &mut failure {
            trusted.clone_from(&self.ca);
        }
        failure
    }

    /// No answer in time.
    pub(super) fn late(&self, to: &Url, after: Duration) -> ServerError {
        let cause = match self.proxies.for_url(to) {
            None => Unreachable::Timeout(after),
            Some(proxy) => {
                Unreachable::Other(format!("no answer within {} seconds through the proxy {proxy}", after.as_secs()))
            }
        };
        ServerError::Unreachable { server: name(to), cause }
    }
}
