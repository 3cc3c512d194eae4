//! The gRPC interfaces of Signet: `signet.v1`, and Notary's signer.
//!
//! Owns the definitions and the reasons an agent gives; holds no logic.

mod reason;
mod secret;

pub use reason::{DOMAIN, Reason, UnknownReason};

/// `signet.v1`: what `signet-agent` serves.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::missing_errors_doc,
    clippy::use_self,
    clippy::too_many_lines,
    clippy::wildcard_enum_match_arm,
    clippy::allow_attributes_without_reason,
    reason = "generated; the comments in the .proto files are the documentation"
)]
pub mod v1 {
    tonic::include_proto!("signet.v1");
}

/// Notary's `proto` package: the signer that notary-server calls.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::missing_errors_doc,
    clippy::use_self,
    clippy::too_many_lines,
    clippy::wildcard_enum_match_arm,
    clippy::allow_attributes_without_reason,
    reason = "generated; the comments in the .proto files are the documentation"
)]
pub mod notary {
    tonic::include_proto!("proto");
}
