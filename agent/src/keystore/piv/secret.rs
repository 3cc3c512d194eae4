//! PIN and management key: when they are shown to a card.

use yubikey::piv::metadata;
use yubikey::{Error, MgmKey, YubiKey};

use super::card::Card;
use super::facts;
use super::fault::fault;
use crate::keystore::Tries;
use crate::keystore::token::Fault;
use crate::secret::Secret;

/// Bytes of a PIN and of a PUK (SP 800-73-4 part 2, §2.4.3).
pub(super) const SECRET_BYTES: std::ops::RangeInclusive<usize> = 6..=8;

/// Shows the PIN that the card took during this stay, unless that would spend the last try.
pub(super) fn show_pin(card: &Card, yubikey: &mut YubiKey) -> Result<(), Fault> {
    let seat = card.seat()?;
    let remembered = card.known().pin.clone().filter(|(stay, _)| *stay == seat);
    let (_, pin) = remembered.ok_or(Fault::NotLoggedIn)?;
    match facts::pin_tries(yubikey)? {
        Tries::Blocked => {
            card.known().pin = None;
            return Err(Fault::PinBlocked);
        }
        // Somebody else tried wrong ones: ask before it is spent.
        Tries::Last => {
            card.known().pin = None;
            return Err(Fault::NotLoggedIn);
        }
        Tries::Unknown | Tries::All | Tries::Fewer | Tries::Left(_) => {}
    }
    let shown = yubikey.verify_pin(pin.expose()).map_err(fault);
    if matches!(shown, Err(Fault::PinIncorrect | Fault::PinBlocked)) {
        // It was changed elsewhere; this one is never shown again.
        let mut known = card.known();
        known.pin = None;
        known.pin_is_spoilt = true;
    }
    shown
}

/// Shows the management key: the one that was given, or the one that the card keeps behind its PIN.
pub(super) fn authenticate(card: &Card, yubikey: &mut YubiKey, given: Option<&Secret>) -> Result<(), Fault> {
    let key = match given {
        Some(bytes) => management_key(yubikey, bytes)?,
        None => {
            show_pin(card, yubikey)?;
            MgmKey::get_protected(yubikey).map_err(|error| {
                let broke = matches!(error, Error::PcscError { .. });
                if broke { fault(error) } else { Fault::ManagementKey { wrong: false } }
            })?
        }
    };
    show_management_key(yubikey, &key)
}

pub(super) fn show_management_key(yubikey: &mut YubiKey, key: &MgmKey) -> Result<(), Fault> {
    yubikey.authenticate(key).map_err(|error| {
        if error == Error::AuthenticationError { Fault::ManagementKey { wrong: true } } else { fault(error) }
    })
}

/// A management key that somebody gave. 24 bytes are of the kind that the card has.
pub(super) fn management_key(yubikey: &mut YubiKey, bytes: &Secret) -> Result<MgmKey, Fault> {
    use yubikey::MgmAlgorithmId as Id;
    use yubikey::piv::{ManagementSlotId, SlotAlgorithmId, SlotId};
    let kind = match bytes.expose().len() {
        16 => Id::Aes128,
        32 => Id::Aes256,
        24 if facts::tells_metadata(yubikey) => {
            let told = metadata(yubikey, SlotId::Management(ManagementSlotId::Management)).map_err(fault)?;
            match told.algorithm {
                SlotAlgorithmId::Management(kind) => kind,
                SlotAlgorithmId::PinPuk | SlotAlgorithmId::Asymmetric(_) => Id::ThreeDes,
            }
        }
        24 => Id::ThreeDes,
        other => return Err(Fault::Unsupported(format!("a management key of {other} bytes: it has 16, 24 or 32"))),
    };
    MgmKey::from_bytes(bytes.expose(), Some(kind)).map_err(|_| Fault::ManagementKey { wrong: true })
}
