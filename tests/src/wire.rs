//! `signet.v1` without the client: a collection whose targets are signed by hand.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use signet_proto::v1;
use signet_tuf::{Envelope, Role};
use tonic::codegen::Bytes;
use tonic::transport::{Channel, Endpoint};

use crate::Stage;

/// A published collection, and the socket of the agent that has its keys.
#[derive(Debug)]
pub struct Wire {
    gun: String,
    socket: PathBuf,
    root_chain: Vec<Bytes>,
    template: String,
}

impl Wire {
    /// Makes and publishes the collection; its targets are then at version 2.
    ///
    /// # Errors
    /// Whatever the commands say.
    pub fn prepare(stage: &Stage, gun: &str) -> Result<Self> {
        stage.signet(["init", gun])?.ok()?;
        stage.signet(["publish", gun])?.ok()?;
        let root = stage.server.metadata(gun, "root.json")?.context("no root on the server")?;
        let targets = stage.server.metadata(gun, "targets.json")?.context("no targets on the server")?;
        let signed = Envelope::parse(&Role::Targets, &targets)?.signed().to_vec();
        Ok(Self {
            gun: gun.to_owned(),
            socket: stage.home.sockets().first().context("no socket")?.clone(),
            root_chain: vec![root.into()],
            template: String::from_utf8(signed)?,
        })
    }

    /// A connection of its own.
    ///
    /// # Errors
    /// If nobody answers.
    pub async fn connect(&self) -> Result<Channel> {
        let endpoint = Endpoint::from_shared(format!("unix:{}", self.socket.display()))?;
        Ok(endpoint.timeout(Duration::from_secs(10)).connect().await?)
    }

    /// A request to sign these targets.
    #[must_use]
    pub fn request(&self, signed: String) -> v1::SignRequest {
        v1::SignRequest {
            pouf: v1::Pouf::Notary1.into(),
            gun: self.gun.clone(),
            role: "targets".to_owned(),
            signed: signed.into(),
            evidence: Some(v1::Evidence { root_chain: self.root_chain.clone(), ..v1::Evidence::default() }),
            ..v1::SignRequest::default()
        }
    }

    /// The published targets with another version and one target named `name`.
    #[must_use]
    pub fn targets(&self, version: u64, name: &str) -> String {
        let hash = "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=";
        let targets = format!(r#""targets":{{"{name}":{{"hashes":{{"sha256":"{hash}"}},"length":4}}}}"#);
        self.template.replace(r#""targets":{}"#, &targets).replace(r#""version":2"#, &format!(r#""version":{version}"#))
    }
}
