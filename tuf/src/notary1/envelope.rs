//! A metadata file as it is published: the content and its signatures.

use bytes::Bytes;

use super::node::{Mode, Node, Trail};
use super::{ParseError, decode, encode, plain, wire};
use crate::ids::{Digest, KeyId};
use crate::json;
use crate::key::Method;
use crate::metadata::{Metadata, Root, Snapshot, Targets, Timestamp};
use crate::names::Role;

/// One signature over the canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The key that is said to have made it.
    pub key_id: KeyId,
    /// How it was made.
    pub method: Method,
    /// The signature.
    pub sig: Vec<u8>,
}

/// A metadata file: content, signing form and signatures. That it was parsed says nothing about its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    metadata: Metadata,
    signed: Bytes,
    signatures: Vec<Signature>,
}

impl Envelope {
    /// Content that nobody has signed yet.
    #[must_use]
    pub fn unsigned(metadata: Metadata) -> Self {
        let signed = encode(&metadata).into();
        Self { metadata, signed, signatures: Vec::new() }
    }

    /// The same content with these signatures.
    #[must_use]
    pub fn with_signatures(self, signatures: Vec<Signature>) -> Self {
        Self { signatures, ..self }
    }

    /// Parses a metadata file of `role` that others made.
    ///
    /// Unknown members are tolerated. Those inside `signed` stay part of the signing form, which is computed as Go's verifiers
    /// do: from the JSON value, not from the types.
    ///
    /// # Errors
    /// [`ParseError`] for anything but strict JSON, for missing members and for wrong types.
    pub fn parse(role: &Role, wire: &[u8]) -> Result<Self, ParseError> {
        Self::parse_shared(role, &Bytes::copy_from_slice(wire))
    }

    /// As [`Envelope::parse`]; the signing form shares the memory of the file where it can.
    ///
    /// # Errors
    /// [`ParseError`], as [`Envelope::parse`].
    pub fn parse_shared(role: &Role, wire: &Bytes) -> Result<Self, ParseError> {
        if role.holds_targets()
            && let Some(plain::Published { metadata, canonical, signatures }) = plain::published(wire)
        {
            let signed = canonical.map_or_else(|| encode(&metadata).into(), |range| wire.slice(range));
            return Ok(Self { metadata, signed, signatures });
        }
        let value = json::parse(wire)?;
        let top = Node::new(&value, Trail::Top, Mode::Tolerant).object(&["signatures", "signed"])?;
        let signed = top.member("signed")?;
        Ok(Self {
            metadata: decode::metadata(role, &signed)?,
            signed: json::to_canonical(signed.value()).into(),
            signatures: top.member("signatures")?.items(decode::signature)?,
        })
    }

    /// The content.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What the file says, without what it was read from.
    #[must_use]
    pub fn into_metadata(self) -> Metadata {
        self.metadata
    }

    /// The canonical form: the bytes that the signatures are over.
    #[must_use]
    pub fn signed(&self) -> &Bytes {
        &self.signed
    }

    /// The digest of the canonical form.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.signed)
    }

    /// The signatures, none of them verified.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The content, if it is root metadata.
    #[must_use]
    pub fn root(&self) -> Option<&Root> {
        match &self.metadata {
            Metadata::Root(root) => Some(root),
            Metadata::Targets(_) | Metadata::Snapshot(_) | Metadata::Timestamp(_) => None,
        }
    }

    /// The content, if it is metadata of targets or of a delegation.
    #[must_use]
    pub fn targets(&self) -> Option<&Targets> {
        match &self.metadata {
            Metadata::Targets(targets) => Some(targets),
            Metadata::Root(_) | Metadata::Snapshot(_) | Metadata::Timestamp(_) => None,
        }
    }

    /// The content, if it is snapshot metadata.
    #[must_use]
    pub fn snapshot(&self) -> Option<&Snapshot> {
        match &self.metadata {
            Metadata::Snapshot(snapshot) => Some(snapshot),
            Metadata::Root(_) | Metadata::Targets(_) | Metadata::Timestamp(_) => None,
        }
    }

    /// The content, if it is timestamp metadata.
    #[must_use]
    pub fn timestamp(&self) -> Option<&Timestamp> {
        match &self.metadata {
            Metadata::Timestamp(timestamp) => Some(timestamp),
            Metadata::Root(_) | Metadata::Targets(_) | Metadata::Snapshot(_) => None,
        }
    }

    /// The bytes to publish, as Go writes them.
    #[must_use]
    pub fn to_wire(&self) -> Vec<u8> {
        let mut out = wire::start(&self.signed);
        wire::end(&self.signatures, &mut out);
        out
    }
}
