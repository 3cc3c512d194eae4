//! The way to the server, open or not.

use bytes::Bytes;
use signet_tuf::{Gun, Role, Version};

use super::CollectionError;
use crate::{
    context::ServerSettings,
    server::{Access, Edition, MAX_TIMESTAMP_BYTES, Server, ServerError, Unreachable},
};

/// A server, or why it cannot be reached now.
#[derive(Debug)]
pub enum Link {
    /// It answered.
    Online(Server),
    /// Nobody answered.
    Offline {
        /// Host and port.
        server: String,
        /// Why.
        cause: Unreachable,
    },
}

impl Link {
    /// The way for a command that only reads; see [`Link::open_for`].
    ///
    /// # Errors
    /// As [`Link::open_for`].
    pub async fn open(settings: &ServerSettings) -> Result<Self, ServerError> {
        Self::open_for(settings, Access::Read).await
    }

    /// Looks whether the server is there. Only a server that nobody can reach counts as offline. `access` is what the whole
    /// command may need.
    ///
    /// # Errors
    /// [`ServerError`] for settings that cannot be used, TLS trouble, or a server that asks who we are in a way that we do
    /// not know.
    pub async fn open_for(settings: &ServerSettings, access: Access) -> Result<Self, ServerError> {
        let server = Server::new(settings, access)?;
        match server.ping().await {
            Ok(()) => Ok(Self::Online(server)),
            Err(ServerError::Unreachable { server, cause }) => Ok(Self::offline(&settings.url, server, cause)),
            // Notary 0.7: whoever answers the ping otherwise is no notary-server
            Err(ServerError::Status { server, status, .. }) => {
                let cause = Unreachable::Other(format!("it answers {status} to GET /v2/, as no notary-server does"));
                Ok(Self::offline(&settings.url, server, cause))
            }
            Err(error) => Err(error),
        }
    }

    fn offline(url: &str, server: String, cause: Unreachable) -> Self {
        tracing::error!("could not reach {url}: {cause}");
        tracing::info!("continuing in offline mode");
        Self::Offline { server, cause }
    }

    /// Host and port.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Online(server) => server.name(),
            Self::Offline { server, .. } => server,
        }
    }

    /// The server, which writing needs.
    ///
    /// # Errors
    /// [`CollectionError::Offline`], [`ServerError::Unreachable`] if it is a proxy that fails.
    pub fn online(&self) -> Result<&Server, CollectionError> {
        match self {
            Self::Online(server) => Ok(server),
            Self::Offline { server, cause: cause @ Unreachable::Proxy(_) } => {
                Err(ServerError::Unreachable { server: server.clone(), cause: cause.clone() }.into())
            }
            Self::Offline { server, cause } => Err(CollectionError::Offline { cause: format!("{server}: {cause}") }),
        }
    }

    /// Downloads metadata.
    ///
    /// # Errors
    /// [`ServerError`]; [`ServerError::Unreachable`] if there is no way to the server.
    pub async fn metadata(
        &self,
        gun: &Gun,
        role: &Role,
        edition: Edition,
        limit_bytes: u64,
    ) -> Result<Bytes, ServerError> {
        match self {
            Self::Online(server) => server.metadata(gun, role, edition, limit_bytes).await,
            Self::Offline { server, cause } => {
                Err(ServerError::Unreachable { server: server.clone(), cause: cause.clone() })
            }
        }
    }

    /// The newest timestamp that the server has signed, by its number: notary-server answers 500 to the request for the
    /// current one while a snapshot of the client's has expired. `known` is a version that was seen. None: there is none.
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn newest_timestamp(&self, gun: &Gun, known: Version) -> Result<Option<Bytes>, ServerError> {
        let mut newest = None;
        // how far above `low` the next one is looked for; doubled while there are any, then halved
        let (mut low, mut step, mut overshot) = (known.get().saturating_sub(1), 1_u64, false);
        while step > 0 {
            let Some(version) = Version::new(low.saturating_add(step)) else { return Ok(newest) };
            match self.metadata(gun, &Role::Timestamp, Edition::Version(version), MAX_TIMESTAMP_BYTES).await {
                Ok(wire) => {
                    newest = Some(wire);
                    low = version.get();
                    step = if overshot { step / 2 } else { step.saturating_mul(2) };
                }
                Err(ServerError::NotFound { .. }) => {
                    overshot = true;
                    step /= 2;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(newest)
    }
}
