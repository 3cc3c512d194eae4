//! A YubiKey in software, for tests: its PIV, management and OTP applets behind the real pcscd.
//!
//! pcscd sees it through vsmartcard's `vpcd` driver, so that whatever uses PC/SC uses it: the `yubikey` crate,
//! yubico-piv-tool, libykcs11, ykman, OpenSC, the real `notary`. It blinks and waits to be touched, can be pulled at any
//! moment, counts PIN tries, blocks, attests, and answers wrongly when it is told to.
//!
//! Nothing was compared with a real YubiKey; where SP 800-73 and Yubico's documents leave an answer open, the answer that
//! the clients above expect was taken. Only PIV is whole: no SCP11, no FIPS mode, no NFC, no other applet. All state is in
//! memory, and the private keys in it are worth nothing.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "sizes are those of one APDU; what is out of range ends the test"
)]

mod apdu;
mod attestation;
mod card;
mod finger;
mod key;
mod pcscd;
mod piv;
mod tlv;
mod vpcd;

pub use apdu::Status;
pub use card::{Card, Counts, Fault, Mishap, Version};
pub use key::Algorithm;
pub use pcscd::{Pcscd, READER};
pub use piv::{PinPolicy, Piv, Secret, Slot, TouchPolicy};
pub use vpcd::Yubikey;
