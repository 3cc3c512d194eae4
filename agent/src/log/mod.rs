//! The audit log as arithmetic: an RFC 6962 Merkle tree over canonical JSON records.
//!
//! Owns the encoding of records and the hashes over them. Does no I/O and knows no time.

mod record;
mod tree;

pub use record::{Event, KeyFileAct, Record, Subject};
pub use tree::{Frontier, Hash, consistency_proof, inclusion_proof, leaf_hash, root_hash};
