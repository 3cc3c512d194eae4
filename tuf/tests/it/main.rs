//! The crate seen from outside, against metadata that Notary made and keys made on the spot.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

mod certificate;
mod chain;
mod envelope;
mod fixture;
mod fuzz;
mod json;
mod keys;
mod property;
mod signer;
mod strict;
mod structure;
