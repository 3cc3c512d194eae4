//! The only key to a keystore: granted by the ledger after its commit, for one key and one byte string.

use std::sync::Arc;

use bytes::Bytes;
use signet_tuf::KeyName;

/// How bytes are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// SHA-256, signature as r and s, each of the curve's size.
    EcdsaSha256,
    /// RSASSA-PSS, SHA-256, salt of 32 bytes.
    RsaPssSha256,
    /// RSASSA-PKCS1-v1_5, SHA-256: certificates only.
    RsaPkcs1Sha256,
    /// Ed25519, 64 bytes.
    Ed25519,
}

/// Position of a record in the log, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

/// What a signature is for, told to whoever has to touch a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purpose {
    /// The collection; empty for what belongs to none.
    pub gun: String,
    /// The role, or what else is signed.
    pub role: String,
}

/// A recorded grant. It is settled exactly once, by [`super::Ledger::settle`]; one that is lost in a crash is
/// recorded as unknown at the next start, and keeps its version claimed.
#[must_use = "a permit is settled exactly once"]
#[derive(Debug)]
pub struct Permit {
    seq: Seq,
    key: KeyName,
    scheme: Scheme,
    message: Bytes,
    purpose: Arc<Purpose>,
}

impl Permit {
    pub(in crate::ledger) fn grant(seq: Seq, key: KeyName, scheme: Scheme, message: Bytes, purpose: Purpose) -> Self {
        Self { seq, key, scheme, message, purpose: purpose.into() }
    }

    /// A permit without a record.
    #[cfg(test)]
    pub(crate) fn for_test(key: KeyName, scheme: Scheme, message: &[u8]) -> Self {
        Self::grant(Seq(0), key, scheme, Bytes::copy_from_slice(message), Purpose::default())
    }

    /// Where the grant stands in the log.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// The one key that may sign.
    #[must_use]
    pub fn key(&self) -> KeyName {
        self.key
    }

    /// How it signs.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// What it is for.
    #[must_use]
    pub fn purpose(&self) -> &Arc<Purpose> {
        &self.purpose
    }

    /// The exact bytes that go under the signature.
    #[must_use]
    pub fn message(&self) -> &Bytes {
        &self.message
    }
}
