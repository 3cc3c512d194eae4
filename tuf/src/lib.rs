//! TUF metadata as types.
//!
//! This crate owns what metadata means: names, keys, the canonical form that is signed, the wire form that is published, and
//! the rules by which signatures, thresholds and root chains are checked. It does no I/O, reads no clock and holds no private
//! key. The dialect of Notary 1 lives in [`notary1`].

mod blocks;
pub mod diff;
mod expires;
mod ids;
pub mod json;
mod key;
mod metadata;
mod names;
pub mod notary1;
mod signature;
pub mod verify;
mod x509;

pub use blocks::{BlocksError, blocks};
pub use expires::{Expires, ExpiresError, NEAR_EXPIRY};
pub use ids::{Digest, IdError, KeyId, KeyName, Version};
pub use key::{Algorithm, AlgorithmError, KeyError, KeyType, Method, MethodError, PublicKey};
pub use metadata::{
    DelegatedRole, Delegations, FileMeta, Hashes, Metadata, RoleKeys, Root, Snapshot, Target, Targets, Timestamp,
};
pub use names::{DelegationName, Gun, NameError, Role};
pub use notary1::{Envelope, ParseError, Problem, Signature, certificate, certificate_request, root_certificate};
pub use signature::BadSignature;
pub use x509::{Certificate, CertificateError, Issued, Issuing, Lifetime, UnfitCertificate};
