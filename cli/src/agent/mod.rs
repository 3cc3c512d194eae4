//! The client of signet-agent: connects at first use, starts an agent if none answers, unlocks what is locked.

pub mod start;
pub mod unlock;

use std::{collections::BTreeMap, path::PathBuf};

use signet_proto::{Reason, v1};
use signet_tuf::{Gun, Role};
use thiserror::Error;
use time::OffsetDateTime;

/// Where a new key is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// By the agent's rules for the role; a key file if there is none.
    Rule,
    /// On this token: label, serial number or PKCS#11 URI.
    Token(String),
    /// In a key file of the trust directory.
    File,
}

/// The signing agent, as commands see it.
pub struct Client {}

impl Client {
    /// Signs; on `KEY_LOCKED` asks for the passphrase or PIN, unlocks for this connection and repeats. Sets `trust_dir`
    /// itself, and says the reply's notices on stderr.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn sign(&mut self, request: v1::SignRequest) -> Result<v1::SignResponse, AgentError> {
        let _skeleton = request;
        Ok(v1::SignResponse::default())
    }

    /// Every key of the tokens and of the trust directory; warnings go to stderr.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn keys(&mut self) -> Result<Vec<v1::Key>, AgentError> {
        Ok(Vec::new())
    }

    /// Makes a key; asks the new passphrase of a file, or the PIN of a locked token.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn generate(
        &mut self,
        role: &Role,
        gun: Option<&Gun>,
        wanted: Place,
        algorithm: &str,
    ) -> Result<v1::Key, AgentError> {
        let _skeleton = (role, gun, wanted, algorithm);
        Ok(v1::Key::default())
    }

    /// The self-signed certificate of `key` (name or canonical ID) for `gun`, PEM, valid for ten years.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn certify(&mut self, key: &str, gun: &Gun, now: OffsetDateTime) -> Result<String, AgentError> {
        let _skeleton = (key, gun, now);
        Ok(String::new())
    }

    /// Tells the agent what the server accepted.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn published(&mut self, gun: &Gun, evidence: v1::Evidence) -> Result<(), AgentError> {
        let _skeleton = (gun, evidence);
        Ok(())
    }

    /// What would be decided; signs nothing, unlocks nothing. Sets `trust_dir` itself.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn preview(&mut self, request: v1::SignRequest) -> Result<v1::PreviewResponse, AgentError> {
        let _skeleton = request;
        Ok(v1::PreviewResponse::default())
    }
}

/// Why the agent did not do it.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The agent said no.
    #[error("{message}")]
    Refused {
        /// Decide by this.
        reason: Reason,
        /// The agent's sentence.
        message: String,
        /// Data of the reason; see [`Reason`].
        metadata: BTreeMap<String, String>,
    },
    /// No agent answers at the named socket.
    #[error("no agent answers at {}: {cause}", socket.display())]
    Unreachable {
        /// Where it was looked for.
        socket: PathBuf,
        /// What the system says.
        cause: String,
    },
    /// No agent could be started.
    #[error("cannot start signet-agent: {cause}")]
    Start {
        /// What happened, with the agent's last words.
        cause: String,
    },
    /// Somebody else's socket: nothing was sent.
    #[error("will not talk to {}: {why}", socket.display())]
    ForeignSocket {
        /// The socket.
        socket: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl AgentError {
    /// The reason of a refusal.
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused { reason, .. } => Some(*reason),
            Self::Unreachable { .. } | Self::Start { .. } | Self::ForeignSocket { .. } => None,
        }
    }

    /// A refusal's data, for example `next` of a version conflict.
    #[must_use]
    pub fn detail(&self, name: &str) -> Option<&str> {
        match self {
            Self::Refused { metadata, .. } => metadata.get(name).map(String::as_str),
            Self::Unreachable { .. } | Self::Start { .. } | Self::ForeignSocket { .. } => None,
        }
    }

    /// What the person can do.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        None
    }
}
