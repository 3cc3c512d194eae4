//! What a card tells of itself. Reading it spends no try and logs nobody in.

use yubikey::piv::{ManagementSlotId, SlotId, metadata};
use yubikey::{Version, YubiKey};

use super::fault::fault;
use crate::keystore::Tries;
use crate::keystore::token::Fault;

/// Firmware that tells policies, defaults and tries (GET METADATA).
const TELLS_METADATA: Version = Version { major: 5, minor: 3, patch: 0 };
/// Yubico's object with flags about the management key.
const ADMIN_DATA: u32 = 0x005f_ff00;
/// The management key is stored behind the PIN.
const PROTECTED: u8 = 0x02;

/// What a YubiKey tells of its PIV application; `None` where it does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardFacts {
    /// For example "5.7.1".
    pub firmware: String,
    /// Where it was seen last.
    pub reader: String,
    /// Tries of the PIN.
    pub pin: Count,
    /// Tries of the PUK.
    pub puk: Count,
    /// The PIN is as the factory set it.
    pub default_pin: Option<bool>,
    /// The PUK is as the factory set it.
    pub default_puk: Option<bool>,
    /// The management key is as the factory set it.
    pub default_management_key: Option<bool>,
    /// The management key is stored on the card, behind the PIN.
    pub management_key_protected: bool,
    /// For example "aes-192".
    pub management_key_algorithm: Option<&'static str>,
}

/// Tries of a secret.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// That are left.
    pub left: Option<u8>,
    /// That there are after a success.
    pub most: Option<u8>,
}

impl Count {
    /// In the words of a token.
    pub(super) fn tries(self) -> Tries {
        match (self.left, self.most) {
            (None, _) => Tries::Unknown,
            (Some(0), _) => Tries::Blocked,
            (Some(1), _) => Tries::Last,
            (Some(left), Some(most)) if left == most => Tries::All,
            (Some(left), _) => Tries::Left(left),
        }
    }
}

pub(super) fn tells_metadata(yubikey: &YubiKey) -> bool {
    yubikey.version() >= TELLS_METADATA
}

/// Reads everything. `pin` is what the card is known to have taken; it is not sent.
pub(super) fn read(yubikey: &mut YubiKey, reader: String) -> Result<CardFacts, Fault> {
    let pin = secret(yubikey, ManagementSlotId::Pin)?;
    let puk = secret(yubikey, ManagementSlotId::Puk)?;
    let key = secret(yubikey, ManagementSlotId::Management)?;
    let count = match pin.count {
        Count { left: Some(_), .. } => pin.count,
        Count { left: None, .. } => Count { left: Some(yubikey.get_pin_retries().map_err(fault)?), most: None },
    };
    Ok(CardFacts {
        firmware: yubikey.version().to_string(),
        reader,
        pin: count,
        puk: puk.count,
        default_pin: pin.default,
        default_puk: puk.default,
        default_management_key: key.default,
        management_key_protected: is_protected(yubikey),
        management_key_algorithm: key.algorithm,
    })
}

/// Tries that are left for the PIN.
pub(super) fn pin_tries(yubikey: &mut YubiKey) -> Result<Tries, Fault> {
    let Count { left, most } = secret(yubikey, ManagementSlotId::Pin)?.count;
    let left = match left {
        Some(left) => left,
        None => yubikey.get_pin_retries().map_err(fault)?,
    };
    Ok(Count { left: Some(left), most }.tries())
}

#[derive(Default)]
struct SecretFacts {
    count: Count,
    default: Option<bool>,
    algorithm: Option<&'static str>,
}

fn secret(yubikey: &mut YubiKey, which: ManagementSlotId) -> Result<SecretFacts, Fault> {
    if !tells_metadata(yubikey) {
        return Ok(SecretFacts::default());
    }
    let told = metadata(yubikey, SlotId::Management(which)).map_err(fault)?;
    let count = told.retries.map_or_else(Count::default, |retries| Count {
        left: Some(retries.remaining_count),
        most: Some(retries.retry_count),
    });
    let algorithm = match told.algorithm {
        yubikey::piv::SlotAlgorithmId::Management(algorithm) => Some(name(algorithm)),
        yubikey::piv::SlotAlgorithmId::PinPuk | yubikey::piv::SlotAlgorithmId::Asymmetric(_) => None,
    };
    Ok(SecretFacts { count, default: told.default, algorithm })
}

fn name(algorithm: yubikey::MgmAlgorithmId) -> &'static str {
    match algorithm {
        yubikey::MgmAlgorithmId::ThreeDes => "3des",
        yubikey::MgmAlgorithmId::Aes128 => "aes-128",
        yubikey::MgmAlgorithmId::Aes192 => "aes-192",
        yubikey::MgmAlgorithmId::Aes256 => "aes-256",
    }
}

/// Yubico's administrative data: 80 { 81 flags, 82 salt, 83 time }.
pub(super) fn is_protected(yubikey: &mut YubiKey) -> bool {
    let Ok(object) = yubikey.fetch_object(ADMIN_DATA) else { return false };
    let flags = match object.as_slice() {
        [0x80, _, 0x81, 1, flags, ..] => *flags,
        _ => 0,
    };
    flags & PROTECTED != 0
}

#[cfg(test)]
mod tests {
    use super::Count;
    use crate::keystore::Tries;

    #[test]
    fn tries_are_told_as_far_as_they_are_known() {
        let tries = |left, most| Count { left, most }.tries();
        assert_eq!(tries(None, None), Tries::Unknown);
        assert_eq!(tries(Some(3), Some(3)), Tries::All);
        assert_eq!(tries(Some(3), None), Tries::Left(3));
        assert_eq!(tries(Some(2), Some(3)), Tries::Left(2));
        assert_eq!(tries(Some(1), Some(1)), Tries::Last);
        assert_eq!(tries(Some(0), Some(3)), Tries::Blocked);
    }
}
