//! Keys in a YubiKey's PIV application: where one is, and where and how a new one is kept.

use std::fmt;

use signet_proto::v1;

use crate::secret::ManagementKey;

/// A slot of a YubiKey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PivPlace<'a> {
    /// The YubiKey's serial number.
    pub serial: &'a str,
    /// The slot: "9c".
    pub slot: &'a str,
}

impl<'a> PivPlace<'a> {
    /// Reads a place's URI; none if it is another kind of place.
    #[must_use]
    pub fn of(uri: &'a str) -> Option<Self> {
        let (serial, slot) = uri.strip_prefix("yubikey:")?.split_once('/')?;
        Some(Self { serial, slot })
    }
}

impl fmt::Display for PivPlace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "yubikey {}/{}", self.serial, self.slot)
    }
}

/// What is known of a key's origin, in one word.
#[must_use]
pub const fn attestation(state: v1::AttestationState) -> &'static str {
    match state {
        v1::AttestationState::None => "none",
        v1::AttestationState::Verified => "verified",
        v1::AttestationState::Unverified => "unverified",
    }
}

/// Where and how a YubiKey is to keep a key. What is empty is the agent's to choose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PivOptions {
    /// "9a", "9c", "9d", "9e", "82" to "95".
    pub slot: String,
    /// "once", "always", "never".
    pub pin_policy: String,
    /// "always", "cached", "never".
    pub touch_policy: String,
    /// Wanted unless the YubiKey keeps it behind its PIN.
    pub management_key: Option<ManagementKey>,
    /// Destroy the key that the slot holds.
    pub overwrite: bool,
}

impl PivOptions {
    /// The message; none if nothing was chosen, which suits every token.
    #[must_use]
    pub fn message(&self) -> Option<v1::PivOptions> {
        let management_key = self.management_key.as_ref().map(|key| key.expose().to_vec()).unwrap_or_default();
        (*self != Self::default()).then(|| v1::PivOptions {
            slot: self.slot.clone(),
            pin_policy: self.pin_policy.clone(),
            touch_policy: self.touch_policy.clone(),
            management_key,
            overwrite: self.overwrite,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{PivOptions, PivPlace};

    #[test]
    fn a_place_on_a_yubikey_is_a_serial_number_and_a_slot() {
        for (uri, expected) in [
            ("yubikey:4711/9c", Some("yubikey 4711/9c")),
            ("pkcs11:token=release", None),
            ("file:/home/a/x.key", None),
            ("yubikey:4711", None),
        ] {
            assert_eq!(PivPlace::of(uri).map(|place| place.to_string()).as_deref(), expected, "{uri}");
        }
    }

    #[test]
    fn what_was_not_chosen_is_not_sent() {
        assert_eq!(PivOptions::default().message(), None);
        let chosen = PivOptions { slot: "9a".to_owned(), overwrite: true, ..PivOptions::default() }.message().unwrap();
        assert_eq!((chosen.slot.as_str(), chosen.overwrite), ("9a", true));
        assert!(chosen.pin_policy.is_empty() && chosen.management_key.is_empty());
    }
}
