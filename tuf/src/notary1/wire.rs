//! The wire form: what a server stores and hashes, as Go writes it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Signature;
use crate::json;
use crate::metadata::{FileMeta, Hashing};

/// A file up to where its signatures go, written and hashed while somebody makes them.
pub struct Started {
    wire: Vec<u8>,
    hashing: Hashing,
}

impl Started {
    /// Begins the file of a canonical form.
    #[must_use]
    pub fn with(signed: &[u8]) -> Self {
        let wire = start(signed);
        let mut hashing = Hashing::default();
        hashing.update(&wire);
        Self { wire, hashing }
    }

    /// The bytes to publish, as [`super::Envelope::to_wire`] has them, and what a snapshot says of them.
    #[must_use]
    pub fn finish(mut self, signatures: &[Signature]) -> (Vec<u8>, FileMeta) {
        let hashed = self.wire.len();
        end(signatures, &mut self.wire);
        self.hashing.update(self.wire.get(hashed..).unwrap_or_default());
        let length = u64::try_from(self.wire.len()).unwrap_or(u64::MAX);
        (self.wire, FileMeta { length, hashes: self.hashing.finish() })
    }
}

pub(super) fn start(signed: &[u8]) -> Vec<u8> {
    // room for the signatures; escapes are rare
    let mut out = Vec::with_capacity(signed.len().saturating_add(4096));
    out.extend_from_slice(br#"{"signed":"#);
    json::escape_for_wire(signed, &mut out);
    out
}

pub(super) fn end(signatures: &[Signature], out: &mut Vec<u8>) {
    let signatures: Vec<String> = signatures.iter().map(signature).collect();
    out.extend_from_slice(br#","signatures":["#);
    out.extend_from_slice(signatures.join(",").as_bytes());
    out.extend_from_slice(b"]}");
}

/// Members in the order of Notary's type, which is not sorted; none of the three can hold a character to escape.
fn signature(signature: &Signature) -> String {
    let sig = STANDARD.encode(&signature.sig);
    format!(r#"{{"keyid":"{}","method":"{}","sig":"{sig}"}}"#, signature.key_id, signature.method)
}
