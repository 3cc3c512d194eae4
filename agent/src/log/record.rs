//! What stands in the log: one canonical JSON object for each event.
//!
//! The encoding is final: `v` tells its version, and a record that was written is never written again.

use std::collections::BTreeMap;

use signet_tuf::{Digest, Gun, KeyId, KeyName, Role, Version, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::tree::{Hash, leaf_hash};
use crate::caller::Principal;

const ENCODING: i64 = 1;

/// One line of metadata: a version of a role in a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The collection's name.
    pub gun: Gun,
    /// Digest of root version 1: tells collections of one name apart.
    pub root1: Digest,
    /// The role.
    pub role: Role,
    /// The version.
    pub version: Version,
    /// SHA-256 of `signed`.
    pub digest: Digest,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The agent started on this ledger.
    Opened {
        /// Version of the agent.
        agent: String,
        /// The ledger's ID, hex.
        ledger: String,
    },
    /// The ledger learnt of a collection.
    Collection {
        /// The collection's name.
        gun: Gun,
        /// Digest of root version 1.
        root1: Digest,
        /// "initialised" here, or "adopted" from what was shown.
        how: &'static str,
    },
    /// A line's newest version was learnt from verified metadata instead of being signed here.
    Adopted(Subject),
    /// Leave to sign, durable before any key is touched.
    Granted {
        /// What is signed.
        subject: Subject,
        /// RFC 3339.
        expires: String,
        /// The keys that may sign.
        keys: Vec<KeyName>,
        /// "first", "next" or "repeat".
        decision: &'static str,
        /// Findings that the caller has acknowledged.
        acknowledged: Vec<String>,
    },
    /// Leave to self-sign a root certificate that the agent built.
    Certificate {
        /// Its common name.
        gun: Gun,
        /// The key that it certifies and that signs it.
        key: KeyName,
        /// SHA-256 of the DER of TBSCertificate.
        digest: Digest,
    },
    /// Leave to sign a request for a root certificate that the agent built.
    CertificateRequest {
        /// Its common name.
        gun: Gun,
        /// The key that it is about and that signs it.
        key: KeyName,
        /// SHA-256 of the DER of CertificationRequestInfo.
        digest: Digest,
    },
    /// Leave to self-sign the certificate of a token's slot that the agent built.
    SlotCertificate {
        /// Its common name.
        role: String,
        /// Its organization; empty if the key serves any collection.
        gun: String,
        /// The key that it certifies and that signs it.
        key: KeyName,
        /// SHA-256 of the DER of TBSCertificate.
        digest: Digest,
        /// Where the key is.
        place: String,
    },
    /// Leave to sign that a key can sign.
    Drill {
        /// The key.
        key: KeyName,
        /// SHA-256 of the statement.
        digest: Digest,
        /// Where the key is.
        place: String,
    },
    /// What became of a grant.
    Outcome {
        /// Sequence number of the grant.
        of: u64,
        /// The key.
        key: KeyName,
        /// "signed", "not-signed" or "unknown".
        outcome: &'static str,
        /// Where the key is, if it was tried.
        place: String,
    },
    /// A request that was refused.
    Refused {
        /// What was asked.
        request: &'static str,
        /// As the caller wrote it, cut to 256 characters.
        gun: String,
        /// As the caller wrote it, cut to 256 characters.
        role: String,
        /// Version and digest, if the metadata could be read.
        content: Option<(Version, Digest)>,
        /// The reason on the wire.
        reason: &'static str,
        /// Equal or excess refusals of this principal since its last record, which were only counted.
        uncounted: u64,
    },
    /// The server accepted the collection up to this root.
    Published {
        /// The collection's name.
        gun: Gun,
        /// Digest of root version 1.
        root1: Digest,
        /// Version of the newest root.
        root: Version,
    },
    /// A signed version was given up.
    Abandoned(Subject),
    /// A key was made.
    KeyMade {
        /// The key.
        key: KeyName,
        /// For example "ecdsa-p256".
        algorithm: String,
        /// What it is for.
        role: String,
        /// Empty if it serves any collection.
        gun: String,
        /// Where it is.
        place: String,
    },
    /// Something was done to a key file.
    KeyFile {
        /// What.
        act: KeyFileAct,
        /// The canonical key ID.
        key_id: KeyId,
        /// What the key is for; empty if nothing says so.
        role: String,
        /// Empty if it serves any collection.
        gun: String,
        /// Where the file is.
        place: String,
    },
    /// A token was unlocked until it is locked again.
    Unlocked {
        /// The token, as configured.
        token: String,
    },
    /// A secret of a token was replaced, or all its keys were destroyed.
    TokenChanged {
        /// The token, as configured.
        token: String,
        /// "pin", "puk", "management-key" or "reset".
        what: &'static str,
    },
    /// Lasting unlocks ended on demand.
    Locked {
        /// The token, as configured; empty: all.
        token: String,
    },
}

/// What can be done to a key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFileAct {
    /// A key from elsewhere was stored.
    Imported,
    /// Its encrypted form was given away.
    Exported,
    /// It is about to be removed.
    Removed,
    /// It has another passphrase.
    Resealed,
}

impl KeyFileAct {
    const fn kind(self) -> &'static str {
        match self {
            Self::Imported => "key-imported",
            Self::Exported => "key-exported",
            Self::Removed => "key-removed",
            Self::Resealed => "key-resealed",
        }
    }
}

/// An event with its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Position, from 0.
    pub seq: u64,
    /// When, for people; order comes from `seq`.
    pub time: OffsetDateTime,
    /// On whose behalf; `agent` for its own acts.
    pub principal: Option<Principal>,
    /// What happened.
    pub event: Event,
}

impl Record {
    /// The record's bytes, final.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut fields = Fields::default();
        fields.integer("v", ENCODING);
        fields.number("seq", self.seq);
        let time = self.time.replace_nanosecond(0).unwrap_or(self.time);
        fields.text("time", time.format(&Rfc3339).unwrap_or_default());
        fields.text("principal", self.principal.as_ref().map_or("agent", Principal::as_str));
        self.event.encode_into(&mut fields);
        json::to_canonical(&json::Value::Object(fields.0.into()))
    }

    /// The record's leaf hash.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        leaf_hash(&self.encode())
    }
}

impl Event {
    fn encode_into(&self, fields: &mut Fields) {
        match self {
            Self::Opened { agent, ledger } => {
                fields.text("kind", "opened");
                fields.text("agent", agent);
                fields.text("ledger", ledger);
            }
            Self::Collection { gun, root1, how } => {
                fields.text("kind", "collection");
                fields.text("gun", gun);
                fields.text("collection", root1);
                fields.text("how", how);
            }
            Self::Adopted(subject) => {
                fields.text("kind", "adopted");
                fields.subject(subject);
            }
            Self::Granted { subject, expires, keys, decision, acknowledged } => {
                fields.text("kind", "granted");
                fields.subject(subject);
                fields.text("expires", expires);
                fields.list("keys", keys);
                fields.text("decision", decision);
                fields.list("acknowledged", acknowledged);
            }
            Self::Certificate { gun, key, digest } | Self::CertificateRequest { gun, key, digest } => {
                let is_request = matches!(self, Self::CertificateRequest { .. });
                fields.text("kind", if is_request { "certificate-request" } else { "certificate" });
                fields.text("gun", gun);
                fields.text("key", key);
                fields.text("digest", digest);
            }
            Self::SlotCertificate { .. } | Self::Drill { .. } => self.encode_statement(fields),
            Self::Outcome { of, key, outcome, place } => {
                fields.text("kind", "outcome");
                fields.number("of", *of);
                fields.text("key", key);
                fields.text("outcome", outcome);
                fields.text("place", place);
            }
            Self::Refused { request, gun, role, content, reason, uncounted } => {
                fields.text("kind", "refused");
                fields.text("request", request);
                fields.text("gun", gun);
                fields.text("role", role);
                if let Some((version, digest)) = content {
                    fields.number("version", version.get());
                    fields.text("digest", digest);
                }
                fields.text("reason", reason);
                fields.number("uncounted", *uncounted);
            }
            Self::Published { gun, root1, root } => {
                fields.text("kind", "published");
                fields.text("gun", gun);
                fields.text("collection", root1);
                fields.number("root", root.get());
            }
            Self::Abandoned(subject) => {
                fields.text("kind", "abandoned");
                fields.subject(subject);
            }
            Self::KeyMade { key, algorithm, role, gun, place } => {
                fields.text("kind", "key-made");
                fields.text("key", key);
                fields.text("algorithm", algorithm);
                fields.text("role", role);
                fields.text("gun", gun);
                fields.text("place", place);
            }
            Self::KeyFile { act, key_id, role, gun, place } => {
                fields.text("kind", act.kind());
                fields.text("key_id", key_id);
                fields.text("role", role);
                fields.text("gun", gun);
                fields.text("place", place);
            }
            Self::Unlocked { token } => {
                fields.text("kind", "unlocked");
                fields.text("token", token);
            }
            Self::TokenChanged { token, what } => {
                fields.text("kind", "token-changed");
                fields.text("token", token);
                fields.text("what", what);
            }
            Self::Locked { token } => {
                fields.text("kind", "locked");
                fields.text("token", token);
            }
        }
    }

    fn encode_statement(&self, fields: &mut Fields) {
        if let Self::SlotCertificate { role, gun, .. } = self {
            fields.text("kind", "slot-certificate");
            fields.text("role", role);
            fields.text("gun", gun);
        } else {
            fields.text("kind", "drill");
        }
        if let Self::SlotCertificate { key, digest, place, .. } | Self::Drill { key, digest, place } = self {
            fields.text("key", key);
            fields.text("digest", digest);
            fields.text("place", place);
        }
    }
}

#[derive(Default)]
struct Fields(BTreeMap<String, json::Value>);

impl Fields {
    fn text(&mut self, name: &str, value: impl ToString) {
        self.0.insert(name.to_owned(), json::Value::String(value.to_string()));
    }

    fn integer(&mut self, name: &str, value: i64) {
        self.0.insert(name.to_owned(), json::Value::Integer(value));
    }

    fn number(&mut self, name: &str, value: u64) {
        self.integer(name, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn list(&mut self, name: &str, values: &[impl ToString]) {
        let values = values.iter().map(|value| json::Value::String(value.to_string())).collect();
        self.0.insert(name.to_owned(), json::Value::Array(values));
    }

    fn subject(&mut self, subject: &Subject) {
        self.text("gun", &subject.gun);
        self.text("collection", subject.root1);
        self.text("role", &subject.role);
        self.number("version", subject.version.get());
        self.text("digest", subject.digest);
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_encoding_is_final() {
        let record = Record {
            seq: 7,
            time: datetime!(2026-11-20 23:00:00.5 UTC),
            principal: Some(Principal::from_uid(1000)),
            event: Event::Granted {
                subject: Subject {
                    gun: Gun::parse("example.com/acme/app").expect("a GUN"),
                    root1: Digest::of(b"root"),
                    role: Role::Targets,
                    version: Version::new(2).expect("a version"),
                    digest: Digest::of(b"signed"),
                },
                expires: "2029-11-19T23:00:00Z".to_owned(),
                keys: vec![],
                decision: "next",
                acknowledged: vec![],
            },
        };
        let text = concat!(
            r#"{"acknowledged":[],"collection":"4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2","#,
            r#""decision":"next","digest":"#,
            r#""4a3cdfae6f291c8f544daea5b72905cf9e74c1ed427d831ad0d7ca00c73c794d","expires":"2029-11-19T23:00:00Z","#,
            r#""gun":"example.com/acme/app","keys":[],"kind":"granted","principal":"uid:1000","role":"targets","#,
            r#""seq":7,"time":"2026-11-20T23:00:00Z","v":1,"version":2}"#
        );
        assert_eq!(String::from_utf8(record.encode()).expect("text"), text);
    }
}
