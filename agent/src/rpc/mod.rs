//! The wire: decode, call, encode. Nothing is decided here.

mod agent;
mod audit;
mod decode;
mod encode;
mod keys;
mod signing;
mod status;
mod tokens;

use std::{path::PathBuf, sync::Arc, time::Duration};

use signet_proto::{
    Reason,
    v1::{
        agent_server::AgentServer, audit_server::AuditServer, keys_server::KeysServer, signing_server::SigningServer,
        tokens_server::TokensServer,
    },
};
use tokio::task::JoinError;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Status, service::Routes};

use crate::{
    caller::{Connection, Principal},
    keystore::PATIENCE,
    ledger::RefusedRequest,
    policy,
    sign::{SignError, Signing},
};

/// How often a signature that is awaited is asked after.
const LOOK: Duration = Duration::from_secs(5);

/// What the agent tells about itself.
#[derive(Debug, Clone)]
pub struct About {
    /// When it started, in seconds since 1970.
    pub started: i64,
    /// Where its ledger is.
    pub state_dir: PathBuf,
    /// What it read, if anything.
    pub config_file: Option<PathBuf>,
    /// 0: never ends by itself.
    pub idle_timeout_seconds: u64,
    /// A lasting unlock ends after so long; 0: when it is locked.
    pub unlock_seconds: u64,
    /// New keys of a role are made on a token: role, token.
    pub generate: Vec<(String, String)>,
}

/// What every service needs.
#[derive(Clone)]
pub struct Services {
    /// The story.
    pub signing: Signing,
    /// The owner of the process.
    pub owner: Principal,
    /// Work that must run to its end although its client went away.
    pub tasks: TaskTracker,
    /// The agent is ending: streams that would go on for ever end too.
    pub ending: CancellationToken,
    /// What Status tells.
    pub about: Arc<About>,
}

impl Services {
    /// All services, ready to be served. Messages may be four times the request limit, so that the limit itself
    /// is told by the agent, with its numbers.
    #[must_use]
    pub fn routes(self) -> Routes {
        let most = self.signing.max_bytes.saturating_mul(4);
        Routes::new(SigningServer::new(self.clone()).max_decoding_message_size(most).max_encoding_message_size(most))
            .add_service(KeysServer::new(self.clone()))
            .add_service(TokensServer::new(self.clone()))
            .add_service(AuditServer::new(self.clone()).max_encoding_message_size(most))
            .add_service(AgentServer::new(self))
    }

    /// The caller, if policy serves them.
    fn caller<T>(&self, request: &Request<T>) -> Result<Arc<Connection>, Status> {
        let connection = request.extensions().get::<Arc<Connection>>().cloned().ok_or_else(status::unknown_caller)?;
        match policy::decide(&self.owner, connection.principal()) {
            Ok(()) => Ok(connection),
            Err(denied) => {
                self.signing.ledger.refuse(RefusedRequest {
                    principal: denied.principal.clone(),
                    request: "connect",
                    gun: String::new(),
                    role: String::new(),
                    content: None,
                    reason: Reason::DeniedByPolicy.as_str(),
                });
                Err(status::denied(&denied))
            }
        }
    }

    /// Runs to the end, whether or not the client waits.
    async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, SignError>> + Send + 'static,
    ) -> Result<T, Status> {
        ended(self.tasks.spawn(work).await)
    }

    /// The same, for work that signs: it may be held up by a token that hangs, and the client is told.
    async fn finish_signing<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, SignError>> + Send + 'static,
    ) -> Result<T, Status> {
        let mut task = self.tasks.spawn(work);
        loop {
            match tokio::time::timeout(LOOK, &mut task).await {
                Ok(result) => return ended(result),
                Err(_) => self.signing.keystores.overdue(task.id(), PATIENCE).map_err(status::status)?,
            }
        }
    }
}

fn ended<T>(task: Result<Result<T, SignError>, JoinError>) -> Result<T, Status> {
    match task {
        Ok(result) => result.map_err(status::status),
        Err(panic) => Err(status::status(SignError::Internal(panic.to_string()))),
    }
}

/// An empty path means none.
fn optional_path(path: String) -> Option<PathBuf> {
    (!path.is_empty()).then(|| PathBuf::from(path))
}
