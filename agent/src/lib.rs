//! The agent: holds keys, understands what it signs, records before it signs.
//!
//! Floors, top to bottom: `daemon` · `listen`, `rpc` · `sign` · `ledger`, `keystore` ·
//! `store`, `policy`, `guard`, `log`, `intent`, `caller`, `config`, `paths`, `secret`, `uri` · `clock`.
//! `use` points down, or sideways inside one folder; a test reads the `use` lines.

pub mod caller;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod guard;
pub mod harden;
pub mod intent;
pub mod keystore;
pub mod ledger;
pub mod listen;
pub mod log;
pub mod paths;
pub mod policy;
pub mod rpc;
pub mod secret;
pub mod sign;
pub mod store;
pub mod uri;
