//! What changes a card beside its keys: PIN, PUK, management key, certificates, and the end of everything.

use aws_lc_rs::rand;
use yubikey::certificate::CertInfo;
use yubikey::{Error, MgmKey, YubiKey};
use zeroize::Zeroizing;

use super::card::Card;
use super::fault::fault;
use super::secret::{SECRET_BYTES, authenticate, management_key, show_management_key};
use super::{CardFacts, Count, PivSlot, facts};
use crate::keystore::token::Fault;
use crate::keystore::{LastTry, Reached, Tries};
use crate::secret::Secret;

/// As every YubiKey leaves the factory; shown only to a card that says so, or on a person's word.
pub(in crate::keystore) const FACTORY_PIN: &[u8] = b"123456";
const FACTORY_PUK: &[u8] = b"12345678";
/// "Printed information", where `ykman` and others keep a management key behind the PIN: 88 { 89 key }.
const PRINTED: u32 = 0x005f_c109;
/// More wrong tries than any card allows.
const MANY: usize = 256;

/// What is to be replaced. An empty present secret is the factory's, an empty new one leaves the present one.
#[derive(Debug)]
pub struct CardSetup {
    /// The present PIN.
    pub pin: Secret,
    /// The present PUK.
    pub puk: Secret,
    /// The present management key.
    pub management_key: Secret,
    /// The new PIN.
    pub new_pin: Secret,
    /// The new PUK.
    pub new_puk: Secret,
    /// Whether a new management key is stored on the card, behind its PIN.
    pub protect_management_key: bool,
    /// Whether what the card does not tell is as the factory set it.
    pub factory: bool,
    /// Whether a factory's secret may stay.
    pub leave_defaults: bool,
}

/// What was replaced, also if something else then failed.
#[derive(Debug)]
pub(in crate::keystore) struct Changed {
    pub(in crate::keystore) what: Vec<&'static str>,
    pub(in crate::keystore) then: Result<(), Fault>,
}

impl Card {
    /// Writes the certificate of a slot.
    pub(in crate::keystore) fn write_certificate(
        &self,
        slot: PivSlot,
        der: Vec<u8>,
        management_key: Option<&Secret>,
    ) -> Result<(), Fault> {
        let certificate = yubikey::Certificate::from_bytes(der).map_err(fault)?;
        self.visit(|yubikey| {
            authenticate(self, yubikey, management_key)?;
            certificate.write(yubikey, slot.id().map_err(fault)?, CertInfo::Uncompressed).map_err(fault)
        })
    }

    /// Replaces secrets. Everything is checked that can be before the first is.
    pub(in crate::keystore) fn set_up(&self, setup: &CardSetup) -> Result<Changed, Fault> {
        let reader = self.seat()?.reader();
        self.visit(|yubikey| {
            let facts = facts::read(yubikey, reader)?;
            let present = Present::of(&facts, setup)?;
            let mut what = Vec::new();
            let then = self.replace(yubikey, setup, &present, &mut what);
            if what.contains(&"pin") {
                self.forget_pin();
            }
            Ok(Changed { what, then })
        })
    }

    /// Replaces the PIN by means of the old one.
    pub(in crate::keystore) fn change_pin(&self, old: &Secret, new: &Secret, last_try: LastTry) -> Result<(), Fault> {
        fits("PIN", old)?;
        fits_as_new("PIN", new, FACTORY_PIN)?;
        self.visit(|yubikey| {
            spends_no_last_try("pin", facts::pin_tries(yubikey)?, last_try)?;
            self.with_pin(old, || yubikey.change_pin(old.expose(), new.expose()))?;
            self.forget_pin();
            Ok(())
        })
    }

    /// Replaces the PIN by means of the PUK.
    pub(in crate::keystore) fn unblock_pin(&self, puk: &Secret, new: &Secret, last_try: LastTry) -> Result<(), Fault> {
        fits("PUK", puk)?;
        fits_as_new("PIN", new, FACTORY_PIN)?;
        let reader = self.seat()?.reader();
        self.visit(|yubikey| {
            spends_no_last_try("puk", facts::read(yubikey, reader)?.puk.tries(), last_try)?;
            self.with_puk(puk, || yubikey.unblock_pin(puk.expose(), new.expose()))?;
            self.forget_pin();
            Ok(())
        })
    }

    /// Destroys all keys. The card wants PIN and PUK to be blocked first, which is done by showing wrong ones.
    pub(in crate::keystore) fn reset(&self) -> Result<(), Fault> {
        self.visit(|yubikey| {
            block(|wrong| yubikey.verify_pin(wrong))?;
            block(|wrong| yubikey.change_puk(wrong, wrong))?;
            yubikey.reset_device().map_err(fault)?;
            self.refused_pins.clear();
            self.refused_puks.clear();
            self.forget_pin();
            Ok(())
        })
    }

    fn replace(
        &self,
        yubikey: &mut YubiKey,
        setup: &CardSetup,
        present: &Present,
        changed: &mut Vec<&'static str>,
    ) -> Result<(), Fault> {
        let mut pin = &present.pin;
        if !setup.new_pin.is_empty() {
            self.with_pin(pin, || yubikey.change_pin(pin.expose(), setup.new_pin.expose()))?;
            pin = &setup.new_pin;
            changed.push("pin");
        }
        if !setup.new_puk.is_empty() {
            let puk = &present.puk;
            self.with_puk(puk, || yubikey.change_puk(puk.expose(), setup.new_puk.expose()))?;
            self.refused_puks.clear();
            changed.push("puk");
        }
        if let Some(management_key) = present.management_key {
            self.with_pin(pin, || yubikey.verify_pin(pin.expose()))?;
            protect_management_key(yubikey, management_key, &setup.management_key)?;
            changed.push("management-key");
        }
        Ok(())
    }

    /// Shows a PIN, unless it was refused before.
    fn with_pin(&self, pin: &Secret, show: impl FnOnce() -> yubikey::Result<()>) -> Result<(), Fault> {
        let serial = self.serial().to_string();
        if self.refused_pins.contains(&serial, pin) {
            return Err(Fault::PinIncorrect);
        }
        let shown = show().map_err(fault);
        if matches!(shown, Err(Fault::PinIncorrect | Fault::PinBlocked)) {
            self.refused_pins.insert(&serial, pin);
        }
        shown
    }

    /// The same with a PUK.
    fn with_puk(&self, puk: &Secret, show: impl FnOnce() -> yubikey::Result<()>) -> Result<(), Fault> {
        let serial = self.serial().to_string();
        if self.refused_puks.contains(&serial, puk) {
            return Err(Fault::PukIncorrect(Tries::Unknown));
        }
        let shown = show().map_err(puk_fault);
        if matches!(shown, Err(Fault::PukIncorrect(_) | Fault::PukBlocked)) {
            self.refused_puks.insert(&serial, puk);
        }
        shown
    }
}

/// Which management key the card has now, and gets another for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PresentKey {
    /// The one that was given.
    Given,
    /// The factory's.
    Factory,
}

/// The secrets that a card has now, as far as they are needed.
struct Present {
    pin: Secret,
    puk: Secret,
    /// None if it stays.
    management_key: Option<PresentKey>,
}

impl Present {
    fn of(facts: &CardFacts, setup: &CardSetup) -> Result<Self, Fault> {
        let is_factory = |told: Option<bool>| told.unwrap_or(setup.factory);
        let stays: Vec<&str> = [
            ("PIN", is_factory(facts.default_pin) && setup.pin.is_empty() && setup.new_pin.is_empty()),
            ("PUK", is_factory(facts.default_puk) && setup.puk.is_empty() && setup.new_puk.is_empty()),
            (
                "management key",
                is_factory(facts.default_management_key)
                    && setup.management_key.is_empty()
                    && !setup.protect_management_key,
            ),
        ]
        .into_iter()
        .filter_map(|(name, stays)| stays.then_some(name))
        .collect();
        if !stays.is_empty() && !setup.leave_defaults {
            return Err(Fault::FactorySecret(stays.join(", ")));
        }
        for (name, new, factory) in [("PIN", &setup.new_pin, FACTORY_PIN), ("PUK", &setup.new_puk, FACTORY_PUK)] {
            if !new.is_empty() {
                fits_as_new(name, new, factory)?;
            }
        }
        // A random one that the card keeps already is not replaced: its only copy would be overwritten.
        let is_kept = facts.management_key_protected && facts.default_management_key != Some(true);
        let replaces_key = setup.protect_management_key && !is_kept;
        let needs_pin = !setup.new_pin.is_empty() || replaces_key;
        let pin = present("PIN", needs_pin, &setup.pin, is_factory(facts.default_pin), FACTORY_PIN)?;
        let needs_puk = !setup.new_puk.is_empty();
        let puk = present("PUK", needs_puk, &setup.puk, is_factory(facts.default_puk), FACTORY_PUK)?;
        if needs_pin && !(setup.pin.is_empty() && facts.default_pin == Some(true)) {
            spends_no_last_try("pin", facts.pin.tries(), LastTry::Keep)?;
        }
        if needs_puk && !(setup.puk.is_empty() && is_factory(facts.default_puk)) {
            spends_no_last_try("puk", facts.puk.tries(), LastTry::Keep)?;
        }
        let management_key = match (replaces_key, setup.management_key.is_empty()) {
            (false, _) => None,
            (true, false) => Some(PresentKey::Given),
            (true, true) if is_factory(facts.default_management_key) => Some(PresentKey::Factory),
            (true, true) => return Err(Fault::ManagementKey { wrong: false }),
        };
        Ok(Self { pin, puk, management_key })
    }
}

fn present(name: &str, needed: bool, given: &Secret, is_factory: bool, factory: &[u8]) -> Result<Secret, Fault> {
    match (given.is_empty(), is_factory) {
        (false, _) => fits(name, given).map(|()| given.clone()),
        (true, true) => Ok(Secret::from(factory.to_vec())),
        (true, false) if !needed => Ok(given.clone()),
        (true, false) => Err(Fault::PinMalformed(format!(
            "the present {name} is wanted: the card does not say that it is the factory's"
        ))),
    }
}

/// Stores a new random management key on the card, in place of one that is known elsewhere. At no moment is the key that
/// is valid known nowhere: the new one is written behind the PIN before it becomes valid, and if the card then does not
/// say that it keeps it, the old one is made valid again, and what was behind the PIN before is written back.
fn protect_management_key(yubikey: &mut YubiKey, present: PresentKey, given: &Secret) -> Result<(), Fault> {
    let factory = MgmKey::get_default(yubikey).map_err(fault)?;
    let kind = factory.algorithm_id();
    let old = match present {
        PresentKey::Given => management_key(yubikey, given)?,
        PresentKey::Factory => factory,
    };
    let mut before = match yubikey.fetch_object(PRINTED) {
        Ok(object) => object,
        Err(Error::NotFound) => Zeroizing::default(),
        Err(error) => return Err(fault(error)),
    };
    if !before.is_empty() && before.first() != Some(&0x88) {
        return Err(Fault::Unsupported(
            "a stored management key: somebody else's data is where it belongs (object 5FC109); keep the present one"
                .to_owned(),
        ));
    }
    show_management_key(yubikey, &old)?;
    let mut bytes = Zeroizing::new([0; 24]);
    rand::fill(bytes.as_mut_slice()).map_err(|_| Fault::Unsupported("new keys without random numbers".to_owned()))?;
    let new = MgmKey::from_bytes(bytes.as_slice(), Some(kind)).map_err(fault)?;
    let mut stored = Zeroizing::new([&[0x88, 26, 0x89, 24], bytes.as_slice()].concat());
    yubikey.save_object(PRINTED, &mut stored).map_err(fault)?;
    let made = new.set_protected(yubikey).map_err(fault);
    let read_back = MgmKey::get_protected(yubikey).is_ok_and(|read| read.as_ref() == new.as_ref());
    if made.is_ok() && read_back && facts::is_protected(yubikey) {
        return Ok(());
    }
    // If the old one is still valid it is shown; if the new one is, it was shown by making it valid.
    if show_management_key(yubikey, &old).is_err() {
        let restored = show_management_key(yubikey, &new).and_then(|()| old.set_manual(yubikey, false).map_err(fault));
        restored.map_err(|fault| Fault::Refused {
            what: format!("its management key may be unknown now: {}", fault.describe()),
            reached: Reached::Nothing,
        })?;
    }
    yubikey.save_object(PRINTED, &mut before).map_err(fault)?;
    made.and(Err(Fault::Corrupt("the management key that it stored".to_owned())))
}

fn fits(name: &str, secret: &Secret) -> Result<(), Fault> {
    let bytes = secret.expose().len();
    if SECRET_BYTES.contains(&bytes) {
        return Ok(());
    }
    Err(Fault::PinMalformed(format!("a {name} has 6 to 8 bytes, this one has {bytes}")))
}

fn fits_as_new(name: &str, secret: &Secret, factory: &[u8]) -> Result<(), Fault> {
    fits(name, secret)?;
    if secret.expose() == factory {
        return Err(Fault::FactorySecret(name.to_owned()));
    }
    Ok(())
}

/// A card that does not tell how many tries are left for its PUK is taken to have one.
fn spends_no_last_try(secret: &'static str, tries: Tries, last_try: LastTry) -> Result<(), Fault> {
    match (secret, tries, last_try) {
        ("puk", Tries::Blocked, _) => Err(Fault::PukBlocked),
        (_, Tries::Blocked, _) => Err(Fault::PinBlocked),
        (_, Tries::Last, LastTry::Keep) | ("puk", Tries::Unknown, LastTry::Keep) => Err(Fault::LastTry { secret }),
        (_, Tries::Unknown | Tries::All | Tries::Fewer | Tries::Left(_) | Tries::Last, _) => Ok(()),
    }
}

fn puk_fault(error: Error) -> Fault {
    match (fault(error), error) {
        (Fault::PinBlocked, _) => Fault::PukBlocked,
        (_, Error::WrongPin { tries }) => Fault::PukIncorrect(Count { left: Some(tries), most: None }.tries()),
        (other, _) => other,
    }
}

/// Shows wrong secrets until there are no tries left.
fn block(mut show: impl FnMut(&[u8]) -> yubikey::Result<()>) -> Result<(), Fault> {
    for _ in 0..MANY {
        let mut wrong = [0; 8];
        rand::fill(&mut wrong).map_err(|_| Fault::Unsupported("a reset without random numbers".to_owned()))?;
        match show(&wrong).map_err(fault) {
            Err(Fault::PinBlocked) => return Ok(()),
            Ok(()) | Err(Fault::PinIncorrect) => {}
            Err(other) => return Err(other),
        }
    }
    Err(Fault::Unsupported("a reset: its secrets cannot be blocked".to_owned()))
}
