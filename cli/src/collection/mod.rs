//! A collection: what the server publishes of it, verified, and how it is changed and published.
//!
//! Owns the client algorithms. Metadata that was not verified never gets past [`update`]; private keys are the agent's.

pub mod abandon;
mod apply;
mod authority;
mod build;
mod cached;
pub mod errand;
mod error;
mod evidence;
pub mod init;
pub mod link;
pub mod outlook;
mod pinning;
pub mod plan;
mod posting;
pub mod publish;
pub mod root_certificate;
mod roots;
pub mod rotate;
pub mod search;
pub mod standing;
#[cfg(test)]
mod tests;
pub mod update;

use std::collections::BTreeMap;

use bytes::Bytes;
use signet_tuf::{
    Digest, Envelope, FileMeta, ParseError, Role, Root, Snapshot, Targets, Timestamp, Version, notary1::Started,
};

pub use self::{
    cached::Ahead,
    error::{CollectionError, RoleProblem},
};

/// Metadata as it is on the wire, and what it says.
#[derive(Debug, Clone)]
pub struct Document {
    wire: Bytes,
    envelope: Envelope,
}

impl Document {
    /// Parses wire bytes; verifies nothing.
    ///
    /// # Errors
    /// [`ParseError`] with the place in the document.
    pub fn parse(role: &Role, wire: impl Into<Bytes>) -> Result<Self, ParseError> {
        let wire = wire.into();
        let envelope = Envelope::parse_shared(role, &wire)?;
        Ok(Self { wire, envelope })
    }

    /// Metadata that was just signed, and what a snapshot says of it.
    #[must_use]
    fn of(envelope: Envelope, started: Started) -> (Self, FileMeta) {
        let (wire, file) = started.finish(envelope.signatures());
        (Self { wire: wire.into(), envelope }, file)
    }

    /// The exact bytes.
    #[must_use]
    pub const fn wire(&self) -> &Bytes {
        &self.wire
    }

    /// The SHA-256 of the exact bytes.
    #[must_use]
    pub fn wire_digest(&self) -> Digest {
        Digest::of(&self.wire)
    }

    /// What the bytes say.
    #[must_use]
    pub const fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.envelope.metadata().version()
    }

    fn root(&self) -> Option<&Root> {
        self.envelope.root()
    }

    fn targets(&self) -> Option<&Targets> {
        self.envelope.targets()
    }

    fn snapshot(&self) -> Option<&Snapshot> {
        self.envelope.snapshot()
    }

    fn timestamp(&self) -> Option<&Timestamp> {
        self.envelope.timestamp()
    }
}

/// A collection whose metadata was verified, from root down.
#[derive(Debug, Clone)]
pub struct Trusted {
    /// Root and its keys.
    pub root: Document,
    /// Wire bytes of the roots that led here from the one that was trusted before.
    pub roots_before: Vec<Bytes>,
    /// Which files belong together; none before the first publication if the server will sign it.
    pub snapshot: Option<Document>,
    /// `targets` and every delegation that counts.
    pub targets: BTreeMap<Role, Document>,
    /// Delegations without enough valid signatures.
    pub invalid: BTreeMap<Role, Document>,
    /// Roles that have expired. Empty unless the collection was loaded for publishing.
    pub expired: Vec<Role>,
}

impl Trusted {
    /// The tree of roles that hold targets.
    #[must_use]
    pub fn tree(&self) -> search::Tree<'_> {
        self.targets.iter().filter_map(|(role, document)| Some((role, document.targets()?))).collect()
    }
}
