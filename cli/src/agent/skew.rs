//! Whether the agent is of the same version as this client.

use signet_proto::v1;
use tonic::transport::Channel;

use super::{agent_client, answered};
use crate::{commands::version::VERSION, log::visible};

/// Says so if the agent has another version. An agent that does not even tell its version fails at what is asked of it next.
pub(super) async fn tell(channel: &Channel) {
    if let Ok(status) = answered(agent_client(channel).status(v1::StatusRequest {})).await {
        warn(&status);
    }
}

/// Says so if that is the status of an agent of another version.
pub fn warn(status: &v1::StatusResponse) {
    if status.version != VERSION {
        let theirs = visible(&status.version);
        tracing::warn!("the agent has version {theirs}, this client {VERSION}; restart it: signet agent stop");
    }
}
