//! The reference monitor: one writer that judges, records and only then grants.

mod permit;

pub use permit::{Permit, Scheme, Seq};
