//! The way to the server, open or not.

use bytes::Bytes;
use signet_tuf::{Gun, Role};

use super::CollectionError;
use crate::{
    context::ServerSettings,
    server::{Edition, Server, ServerError, Unreachable},
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
    /// Looks whether the server is there. Only a server that nobody can reach counts as offline.
    ///
    /// # Errors
    /// [`ServerError`] for settings that cannot be used, TLS trouble, or a server that wants authentication.
    pub async fn open(settings: &ServerSettings) -> Result<Self, ServerError> {
        let server = Server::new(settings)?;
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
    /// [`CollectionError::Offline`].
    pub fn online(&self) -> Result<&Server, CollectionError> {
        match self {
            Self::Online(server) => Ok(server),
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
}
