//! Why a collection cannot be read, changed or published.

use std::path::PathBuf;

use signet_tuf::{Expires, ParseError, Version, verify::VerifyError};
use thiserror::Error;

use super::root_certificate::CertificateProblem;
use crate::{agent::AgentError, prompt::PromptError, server::ServerError, trustdir::TrustDirError};

/// Why the work on a collection stopped.
#[derive(Debug, Error)]
pub enum CollectionError {
    /// notary-server, or the way to it.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The trust directory.
    #[error(transparent)]
    TrustDir(#[from] TrustDirError),
    /// The agent, or the way to it.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// A question that got no answer.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// Writing needs the server.
    #[error("client is offline: {cause}")]
    Offline {
        /// Why.
        cause: String,
    },
    /// Metadata that cannot be trusted.
    #[error("the {role} metadata of {gun} is not valid: {problem}")]
    Invalid {
        /// Host and port of the server that has it.
        server: Box<str>,
        /// The collection.
        gun: Box<str>,
        /// The role.
        role: Box<str>,
        /// What is wrong with it.
        problem: RoleProblem,
    },
    /// The server's root does not follow from the one that is trusted.
    #[error("could not rotate trust to a new trusted root: root version {version} of {gun} {why}")]
    Untrusted {
        /// The collection.
        gun: String,
        /// The version that the server shows.
        version: Version,
        /// What is wrong with it.
        why: String,
        /// Where this trust directory keeps the metadata that it trusts.
        copy: PathBuf,
    },
    /// First contact with a collection that may not be trusted.
    #[error("could not validate the path to a trusted root: {why}")]
    Pinned {
        /// What is wrong.
        why: String,
    },
    /// A staged change that cannot be applied.
    #[error("the staged change {what} cannot be applied: {why}; nothing was published, everything stays staged")]
    Change {
        /// The collection.
        gun: String,
        /// Its number in `status`.
        number: usize,
        /// Action, type, name and role, and the file.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// Too few signatures came back.
    #[error("{role} of {gun} cannot be signed: {why}")]
    Unsigned {
        /// The collection.
        gun: String,
        /// The role.
        role: String,
        /// Which keys are missing, and why.
        why: String,
    },
    /// Others published faster, again and again.
    #[error("{gun} was published by somebody else {attempts} times meanwhile; everything stays staged")]
    Raced {
        /// The collection.
        gun: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// Something said that it took a publication, and does not have it.
    #[error("{server} answered 200 to the publication of {gun}, but does not serve it; everything stays staged")]
    Lost {
        /// The collection.
        gun: String,
        /// Host and port.
        server: String,
    },
    /// The metadata cannot take another version.
    #[error("{role} of {gun} has the last possible version")]
    NoVersionLeft {
        /// The collection.
        gun: String,
        /// The role.
        role: String,
    },
    /// `init` of a collection that is there already.
    #[error("{place} already has a collection {gun}")]
    Exists {
        /// The collection.
        gun: String,
        /// The server or this trust directory.
        place: String,
    },
    /// A certificate that was given for the root key.
    #[error("{} cannot be the certificate of the root key: {problem}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Box<CertificateProblem>,
    },
    /// A signed root of a collection that is nowhere published.
    #[error("{gun} was never published, so there is no version before root {root}")]
    NeverPublished {
        /// The collection.
        gun: String,
        /// The version that was signed.
        root: Version,
    },
    /// A signed root that the server has.
    #[error("root version {root} of {gun} cannot be given up: the server serves version {served}")]
    RootIsOut {
        /// The collection.
        gun: String,
        /// The version that was signed.
        root: Version,
        /// The version that the server serves.
        served: Version,
    },
    /// Another rotation was begun before.
    #[error("a rotation of the {role} key of {gun} was begun and is not finished")]
    RotationUnfinished {
        /// The collection.
        gun: String,
        /// The role.
        role: String,
    },
    /// A rotation that cannot be undone any more.
    #[error("the rotation of the {role} key of {gun} is published")]
    RotationIsOut {
        /// The collection.
        gun: String,
        /// The role.
        role: String,
    },
    /// There is nothing to finish or undo.
    #[error("no rotation of {gun} is unfinished in this trust directory")]
    NoRotation {
        /// The collection.
        gun: String,
    },
    /// Too few keys for what must sign.
    #[error("{role} of {gun} wants {threshold} different keys to sign, and {given} are to replace those that it has")]
    TooFewKeys {
        /// The collection.
        gun: String,
        /// The role.
        role: String,
        /// How many must sign.
        threshold: u32,
        /// How many there are.
        given: usize,
    },
    /// A person looked and said no.
    #[error("{gun} was not signed: {findings}")]
    NotAcknowledged {
        /// The collection.
        gun: String,
        /// The agent's findings.
        findings: String,
    },
    /// `init` stopped after it had made keys.
    #[error("{source}; the keys that were made stay usable, and the next `init` takes them: {}", made.join(", "))]
    InitFailed {
        /// Why it stopped.
        source: Box<Self>,
        /// Role and key ID of each.
        made: Vec<String>,
    },
}

/// What is wrong with a role's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RoleProblem {
    /// It cannot be read.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// It does not verify.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// It is older than what was seen before.
    #[error("version {found} is lower than current version {known}")]
    Rollback {
        /// The version that came.
        found: Version,
        /// The version that is known.
        known: Version,
    },
    /// It was valid once.
    #[error("it expired at {at}")]
    Expired {
        /// When.
        at: Expires,
    },
    /// Snapshot and root do not belong together.
    #[error("it names another root than the server serves")]
    OtherRoot,
    /// Snapshot does not name it.
    #[error("the snapshot does not name it")]
    NotInSnapshot,
}

impl CollectionError {
    /// What the person can do.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Server(error) => error.remedy(),
            Self::TrustDir(error) => error.remedy(),
            Self::Agent(error) => error.remedy(),
            Self::InitFailed { source, .. } => source.remedy(),
            Self::Offline { .. } => Some("check the server given with -s; what is staged stays staged".into()),
            Self::Invalid { problem: RoleProblem::Expired { .. }, role, server, .. } => {
                Some(format!("check this machine's clock; if it is right, {}", renewal(role, server)))
            }
            Self::Invalid { server, .. } => {
                Some(format!("{server} has it so: check -s, or tell its operator; nothing was changed here"))
            }
            Self::Untrusted { copy, .. } => Some(format!(
                "if the collection was deleted and made anew on purpose, remove the old copy: {}",
                copy.display()
            )),
            Self::Pinned { .. } => Some(
                "see trust_pinning in the configuration file; if the collection has new root certificates, its owner tells which".into(),
            ),
            Self::Change { gun, number, .. } => Some(format!(
                "bring in what it needs, or publish the rest with `publish {gun} --skip {number}`, or unstage it with `reset {gun} -n {number}`"
            )),
            Self::Raced { .. } => Some("publish again".into()),
            Self::Lost { .. } => Some(
                "check that a notary-server stands at the URL given with -s; what was signed is kept, and the next `publish` posts it first".into(),
            ),
            Self::Exists { .. } => Some(
                "`add` and `publish` work on it as it is; for a new one under the same name delete the old one on the server first, then give --new-collection".into(),
            ),
            Self::Certificate { problem, .. } => Some(problem.remedy().into()),
            Self::NeverPublished { gun, .. } => {
                Some(format!("publish it, or begin again: signet init {gun} --new-collection"))
            }
            Self::RotationUnfinished { gun, role } => Some(format!(
                "finish it with `signet key rotate {gun} {role} --resume`, or undo it with --abort in place of --resume"
            )),
            Self::RotationIsOut { gun, role } => {
                Some(format!("`signet key rotate {gun} {role} --resume` finishes it"))
            }
            Self::TooFewKeys { .. } => Some("name more keys with -k or --to, or lower --threshold".into()),
            Self::NoRotation { .. } | Self::RootIsOut { .. } => None,
            Self::NotAcknowledged { .. } => Some("--new-collection says yes in a script".into()),
            Self::Unsigned { .. } => Some("`key list` shows the keys that are at hand".into()),
            Self::Prompt(_) | Self::NoVersionLeft { .. } => None,
        }
    }
}

/// Who can renew expired metadata, and how.
fn renewal(role: &str, server: &str) -> String {
    match role {
        "root" => "the owner of its root key must publish".to_owned(),
        "timestamp" => format!("{server} no longer signs it: tell its operator"),
        _ => "the owner of its key must sign it anew, with `renew` or with the next `publish`".to_owned(),
    }
}
