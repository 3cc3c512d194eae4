//! An agent of another version, of which nothing is known but its interface: it tells its version and serves nothing else.

use std::path::Path;

use anyhow::{Context, Result};
use signet_proto::v1::agent_server::{Agent, AgentServer};
use signet_proto::v1::{StatusRequest, StatusResponse};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// Listens until it goes.
pub struct OtherAgent {
    _runtime: tokio::runtime::Runtime,
}

struct Answers {
    version: String,
}

#[tonic::async_trait]
impl Agent for Answers {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(StatusResponse { version: self.version.clone(), ..StatusResponse::default() }))
    }
}

impl OtherAgent {
    /// Listens at `socket`, whose directory is made for its owner alone.
    pub fn start(socket: &Path, version: &str) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let directory = socket.parent().context("a socket in a directory")?;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let inside = runtime.enter();
        let incoming = UnixListenerStream::new(UnixListener::bind(socket)?);
        let service = AgentServer::new(Answers { version: version.to_owned() });
        let served = Server::builder().add_service(service).serve_with_incoming(incoming);
        drop(runtime.spawn(served));
        drop(inside);
        Ok(Self { _runtime: runtime })
    }
}
