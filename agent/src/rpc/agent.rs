//! `signet.v1.Agent`.

use signet_proto::v1::{self, agent_server};
use tonic::{Request, Response, Status};

use super::{Services, status};

#[tonic::async_trait]
impl agent_server::Agent for Services {
    async fn status(&self, request: Request<v1::StatusRequest>) -> Result<Response<v1::StatusResponse>, Status> {
        self.caller(&request)?;
        let head = self.signing.ledger.head().await.map_err(status::status)?;
        let about = &self.about;
        let generate =
            about.generate.iter().map(|(role, token)| v1::GenerationRule { role: role.clone(), token: token.clone() });
        Ok(Response::new(v1::StatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: about.started,
            state_dir: about.state_dir.display().to_string(),
            config_file: about.config_file.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
            ledger_id: hex::encode(head.ledger_id),
            records: head.size,
            root_hash: head.root.to_vec(),
            idle_timeout_seconds: about.idle_timeout_seconds,
            max_request_bytes: self.signing.max_bytes as u64,
            generate: generate.collect(),
        }))
    }
}
