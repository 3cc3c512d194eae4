//! The one error type of commands, its text for people, and the exit code.
//!
//! Exit codes: 0 if the command did what it says, 1 if it did not. Notary knows only these two.

use std::io;

use thiserror::Error;

use crate::{
    agent::AgentError, collection::CollectionError, prompt::PromptError, server::ServerError, trustdir::TrustDirError,
};

/// Why a command failed. `Display` is the message, [`CliError::remedy`] what to do about it.
#[derive(Debug, Error)]
pub enum CliError {
    /// The agent, or the way to it.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// notary-server, or the way to it.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The trust directory.
    #[error(transparent)]
    TrustDir(#[from] TrustDirError),
    /// Metadata of a collection.
    #[error(transparent)]
    Collection(#[from] CollectionError),
    /// A question that got no answer.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// Standard output is gone.
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
    /// A person said no.
    #[error("Aborting action.")]
    Aborted,
    /// The command's own refusal.
    #[error("{message}")]
    Failed {
        /// What is wrong, naming the thing.
        message: String,
        /// What to do about it.
        remedy: Option<String>,
    },
}

impl CliError {
    /// The command's own refusal, without a remedy (Notary's texts).
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), remedy: None }
    }

    /// The command's own refusal and what to do about it.
    #[must_use]
    pub fn with_remedy(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), remedy: Some(remedy.into()) }
    }

    /// What the person can do, if anything is known.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Agent(error) => error.remedy(),
            Self::Server(error) => error.remedy(),
            Self::TrustDir(error) => error.remedy(),
            Self::Collection(error) => error.remedy(),
            Self::Failed { remedy, .. } => remedy.clone(),
            Self::Prompt(_) | Self::Output(_) | Self::Aborted => None,
        }
    }
}
