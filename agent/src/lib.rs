//! The agent: holds keys, understands what it signs, records before it signs.
//!
//! Floors, top to bottom: `daemon` · `listen`, `rpc` · `sign` · `ledger`, `keystore` ·
//! `store`, `policy`, `guard`, `log`, `caller`, `config`, `secret` · `clock`.

pub mod caller;
pub mod clock;
pub mod keystore;
pub mod ledger;
pub mod secret;
