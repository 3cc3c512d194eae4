//! New keys in slots: made on the card, or brought to it.

use der::Encode;
use signet_tuf::{Algorithm, PublicKey};
use yubikey::piv::{AlgorithmId, RsaKeyData, generate, import_ecc_key, import_rsa_key};
use yubikey::{Certificate, Error, Version, YubiKey};

use super::card::Card;
use super::fault::fault;
use super::secret::authenticate;
use super::signature::algorithm_id;
use super::{PinPolicy, PivOptions, PivSlot, SlotFacts, TouchPolicy, keys};
use crate::keystore::file::{Components, PrivateKey};
use crate::keystore::token::{Fault, KeyObject, NewKey};

impl Card {
    /// Makes a key on the card.
    pub(super) fn make(&self, wanted: &NewKey) -> Result<KeyObject, Fault> {
        let options = wanted.piv.clone().unwrap_or_default();
        self.put(wanted, &options, |yubikey, slot, algorithm, (pin, touch)| {
            let made = generate(yubikey, slot.id().map_err(fault)?, algorithm, pin.into(), touch.into());
            let spki = made.map_err(|error| refused(error, wanted.algorithm, pin, touch))?;
            let public = spki.to_der().ok().and_then(|der| PublicKey::from_spki(&der).ok());
            public.ok_or_else(|| Fault::Corrupt("the public key that it made".to_owned()))
        })
    }

    /// Stores a key that was made elsewhere.
    pub(in crate::keystore) fn import(
        &self,
        key: &PrivateKey,
        label: &str,
        options: PivOptions,
    ) -> Result<KeyObject, Fault> {
        let algorithm = key.public().algorithm();
        let unfit = || Fault::Unsupported(format!("{algorithm} keys from elsewhere"));
        let components = key.components().ok_or_else(unfit)?;
        let wanted = NewKey { algorithm, label: label.to_owned(), piv: None };
        self.put(&wanted, &options, |yubikey, slot, id, (pin, touch)| {
            let slot = slot.id().map_err(fault)?;
            let stored = match &components {
                Components::Scalar(scalar) => import_ecc_key(yubikey, slot, id, scalar, touch.into(), pin.into()),
                Components::Primes(p, q) => {
                    let primes = RsaKeyData::new(p, q).map_err(fault)?;
                    import_rsa_key(yubikey, slot, id, primes, touch.into(), pin.into())
                }
            };
            stored.map_err(|error| refused(error, algorithm, pin, touch))?;
            Ok(key.public().clone())
        })
    }

    /// Chooses the slot, and has the key put into it.
    fn put(
        &self,
        wanted: &NewKey,
        options: &PivOptions,
        put: impl FnOnce(&mut YubiKey, PivSlot, AlgorithmId, (PinPolicy, TouchPolicy)) -> Result<PublicKey, Fault>,
    ) -> Result<KeyObject, Fault> {
        let policies = (options.pin.unwrap_or(PinPolicy::Once), options.touch.unwrap_or(TouchPolicy::Always));
        self.visit(|yubikey| {
            can_hold(yubikey.version(), wanted.algorithm)?;
            let algorithm = algorithm_id(wanted.algorithm)?;
            let slot = choose_slot(yubikey, options)?;
            authenticate(self, yubikey, options.management_key.as_ref())?;
            let public = put(yubikey, slot, algorithm, policies)?;
            // A certificate of the key before it would tell a wrong role.
            if let Err(error) = Certificate::delete(yubikey, slot.id().map_err(fault)?) {
                tracing::debug!(%error, %slot, "no certificate was removed");
            }
            let facts = keys::in_slot(yubikey, slot).ok().flatten().and_then(|made| made.slot);
            // Old firmware shows a key from elsewhere only by its certificate, which is still to be written.
            let facts = facts.unwrap_or(SlotFacts { slot, pin: None, touch: None, origin: None, certificate: None });
            Ok(KeyObject { id: vec![slot.byte()], label: wanted.label.clone(), public, slot: Some(facts) })
        })
    }
}

fn refused(error: Error, algorithm: Algorithm, pin: PinPolicy, touch: TouchPolicy) -> Fault {
    if error != Error::AlgorithmError {
        return fault(error);
    }
    let (pin, touch) = (pin.as_str(), touch.as_str());
    Fault::Unsupported(format!("{algorithm} with PIN policy {pin} and touch policy {touch}"))
}

/// The slot for a new key.
fn choose_slot(yubikey: &mut YubiKey, options: &PivOptions) -> Result<PivSlot, Fault> {
    if let Some(slot) = options.slot {
        return match keys::is_free(yubikey, slot)? {
            Some(true) => Ok(slot),
            Some(false) | None if options.overwrite => Ok(slot),
            Some(false) => Err(Fault::SlotOccupied { slot, certain: true }),
            None => Err(Fault::SlotOccupied { slot, certain: false }),
        };
    }
    let mut unsure = None;
    for slot in PivSlot::all() {
        match keys::is_free(yubikey, slot)? {
            Some(true) => return Ok(slot),
            Some(false) => {}
            None => unsure = unsure.or(Some(slot)),
        }
    }
    match unsure {
        Some(slot) => Err(Fault::SlotOccupied { slot, certain: false }),
        None => Err(Fault::Unsupported("another key: all its slots hold one".to_owned())),
    }
}

/// What firmware can make, and should.
fn can_hold(firmware: Version, algorithm: Algorithm) -> Result<(), Fault> {
    let since = |major, minor| firmware >= Version { major, minor, patch: 0 };
    let old =
        |wanted: &str| Err(Fault::Unsupported(format!("{algorithm}: that takes firmware {wanted}, it has {firmware}")));
    match algorithm {
        Algorithm::Rsa(3072 | 4096) if !since(5, 7) => old("5.7"),
        // Keys that it makes can be factored: CVE-2017-15361.
        Algorithm::Rsa(_) if firmware < (Version { major: 4, minor: 3, patch: 5 }) => old("4.3.5"),
        Algorithm::EcdsaP384 if !since(4, 0) => old("4.0"),
        Algorithm::EcdsaP256 | Algorithm::EcdsaP384 | Algorithm::EcdsaP521 | Algorithm::Rsa(_) | Algorithm::Ed25519 => {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use signet_tuf::Algorithm;
    use yubikey::Version;

    use super::can_hold;

    #[test]
    fn firmware_that_is_too_old_is_said_to_be() {
        let firmware = |major, minor, patch| Version { major, minor, patch };
        for (version, algorithm, can) in [
            (firmware(5, 7, 1), Algorithm::Rsa(4096), true),
            (firmware(5, 4, 3), Algorithm::Rsa(4096), false),
            (firmware(5, 4, 3), Algorithm::Rsa(2048), true),
            (firmware(4, 3, 4), Algorithm::Rsa(2048), false),
            (firmware(4, 3, 4), Algorithm::EcdsaP384, true),
        ] {
            assert_eq!(can_hold(version, algorithm).is_ok(), can, "{version} {algorithm}");
        }
        let old = can_hold(firmware(5, 4, 3), Algorithm::Rsa(3072)).unwrap_err().describe();
        assert_eq!(old, "rsa-3072: that takes firmware 5.7, it has 5.4.3");
    }
}
