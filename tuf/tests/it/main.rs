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
mod certificate_request;
mod chain;
mod envelope;
mod fixture;
mod fuzz;
mod json;
mod keys;
mod paper;
mod property;
mod root_certificate;
mod signer;
mod strict;
mod structure;
