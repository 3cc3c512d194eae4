//! Notary's configuration file.

use std::{collections::BTreeMap, path::PathBuf};

/// Whether the first root of an unknown collection is trusted as it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FirstUse {
    /// Trust on first use: Notary's default.
    #[default]
    Trust,
    /// `disable_tofu`: only pinned collections.
    Refuse,
}

/// Notary's `trust_pinning`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustPinning {
    /// What to do with a collection that nothing pins.
    pub first_use: FirstUse,
    /// GUN or `prefix*` to the key IDs of root certificates as root.json lists them.
    pub certs: BTreeMap<String, Vec<String>>,
    /// GUN prefix to a bundle of CA certificates; absolute paths.
    pub ca: BTreeMap<String, PathBuf>,
}
