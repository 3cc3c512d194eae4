//! YubiKeys: keys in the slots of their PIV application (SP 800-73-4), reached through pcscd.
//!
//! A card is opened for one visit and left as it is, so that gpg-agent, ykman and yubico-piv-tool can use it beside the
//! agent. Every visit shows its own PIN; none is believed to be still known. What the `yubikey` crate does badly ends
//! here: docs/decisions/005-yubikey-crate.md.

mod admin;
mod attestation;
mod card;
mod desk;
mod facts;
mod fault;
mod keys;
mod making;
mod secret;
mod session;
mod signature;
mod slot;
mod touch;
mod yubikeys;

pub use admin::CardSetup;
pub(super) use admin::FACTORY_PIN;
pub use attestation::Attested;
pub(super) use attestation::read as read_attestation;
pub(super) use card::Card;
pub use facts::{CardFacts, Count};
pub use slot::{NoSuchSlot, Origin, PinPolicy, PivSlot, SlotFacts, TouchPolicy};
pub(super) use yubikeys::{Yubikey, Yubikeys};

/// Where and how a YubiKey keeps a new key.
#[derive(Debug, Clone, Default)]
pub struct PivOptions {
    /// Which slot; otherwise the first that is free.
    pub slot: Option<PivSlot>,
    /// When it wants the PIN; otherwise once.
    pub pin: Option<PinPolicy>,
    /// When it wants to be touched; otherwise for every signature.
    pub touch: Option<TouchPolicy>,
    /// Wanted unless the card keeps it behind its PIN.
    pub management_key: Option<crate::secret::Secret>,
    /// Whether a key that is in the slot may be destroyed.
    pub overwrite: bool,
}
