//! What the agent signs beside metadata: bytes that it builds by itself, each with a record of its own.

use bytes::Bytes;
use signet_tuf::{Digest, Gun, KeyName};

use super::{Purpose, Scheme};
use crate::{caller::Principal, log::Event};

/// What is stated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// The self-signed certificate of a root key that Notary's root role lists for a collection.
    RootCertificate {
        /// Its common name.
        gun: Gun,
    },
    /// The request by which a certificate authority makes such a certificate.
    CertificateRequest {
        /// Its common name.
        gun: Gun,
    },
    /// The self-signed certificate that tells in a token's slot what the key is for.
    SlotCertificate {
        /// Its common name.
        role: String,
        /// Its organization, if the key belongs to one collection.
        gun: Option<Gun>,
        /// Where the key is.
        place: String,
    },
    /// That a key can sign; good for nothing else.
    Drill {
        /// Where the key is.
        place: String,
    },
}

/// A request to sign a statement.
#[derive(Debug)]
pub struct StatementAsk {
    /// Who asks.
    pub principal: Principal,
    /// What it says.
    pub statement: Statement,
    /// The key that signs.
    pub key: KeyName,
    /// How.
    pub scheme: Scheme,
    /// The bytes, built by the agent.
    pub message: Bytes,
}

impl Statement {
    /// How it stands in the log, and what whoever must touch a token is told.
    pub(super) fn recorded(&self, key: KeyName, digest: Digest) -> (Event, Purpose) {
        let purpose = |role: &str, gun: Option<&Gun>| Purpose {
            gun: gun.map(Gun::to_string).unwrap_or_default(),
            role: role.to_owned(),
        };
        match self {
            Self::RootCertificate { gun } => {
                (Event::Certificate { gun: gun.clone(), key, digest }, purpose("root certificate", Some(gun)))
            }
            Self::CertificateRequest { gun } => (
                Event::CertificateRequest { gun: gun.clone(), key, digest },
                purpose("request for a root certificate", Some(gun)),
            ),
            Self::SlotCertificate { role, gun, place } => (
                Event::SlotCertificate {
                    role: role.clone(),
                    gun: gun.as_ref().map(Gun::to_string).unwrap_or_default(),
                    key,
                    digest,
                    place: place.clone(),
                },
                purpose(&format!("certificate of the new {role} key"), gun.as_ref()),
            ),
            Self::Drill { place } => (Event::Drill { key, digest, place: place.clone() }, purpose("drill", None)),
        }
    }
}
