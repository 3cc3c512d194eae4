//! Whether the agent is of the same version as this client.

use signet_proto::v1;
use tonic::transport::Channel;

use super::{agent_client, answered};
use crate::{commands::version::VERSION, log::visible};

/// Whether the agent was there to tell its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It told it.
    Yes,
    /// It did not: it has ended, or it is so old that it fails at whatever is asked of it next.
    No,
}

/// Says so if the agent has another version.
pub(super) async fn tell(channel: &Channel) -> Heard {
    match answered(agent_client(channel).status(v1::StatusRequest {})).await {
        Ok(status) => {
            warn(&status);
            Heard::Yes
        }
        Err(_) => Heard::No,
    }
}

/// Says so if that is the status of an agent of another version.
pub fn warn(status: &v1::StatusResponse) {
    if status.version != VERSION {
        let theirs = visible(&status.version);
        tracing::warn!("the agent has version {theirs}, this client {VERSION}; restart it: signet agent stop");
    }
}
