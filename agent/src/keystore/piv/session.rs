//! A YubiKey as a token: what the agent's threads do with it.

use std::fmt;
use std::sync::Arc;

use signet_tuf::KeyName;
use yubikey::YubiKey;
use yubikey::piv::sign_data;

use super::card::Card;
use super::desk::Seat;
use super::fault::{IN_USE, fault, fault_after};
use super::secret::{SECRET_BYTES, show_pin};
use super::signature::{algorithm_id, block, from_card};
use super::{PinPolicy, facts, keys};
use crate::keystore::token::{Access, Facts, Fault, KeyObject, Login, LoginState, NewKey, Session, Token, Urgency};
use crate::keystore::{Reached, Tries};
use crate::ledger::{Purpose, Scheme};
use crate::secret::Secret;

/// A YubiKey that may be there.
#[derive(Clone)]
pub(in crate::keystore) struct YubikeyToken(Arc<Card>);

impl YubikeyToken {
    pub(in crate::keystore) fn new(card: Arc<Card>) -> Self {
        Self(card)
    }
}

impl fmt::Debug for YubikeyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "YubikeyToken({})", self.0.serial())
    }
}

impl Token for YubikeyToken {
    type Session = YubikeySession;

    const KEEPS_PIN_WHEN_ABSENT: bool = false;

    fn info(&mut self) -> Result<Facts, Fault> {
        let serial = self.0.serial();
        let reader = self.0.seat()?.reader();
        let (card, tries) = match self.0.visit_now(|yubikey| facts::read(yubikey, reader)) {
            Some(read) => {
                let card = read?;
                let tries = card.pin.tries();
                self.0.known().facts = Some((card.clone(), tries));
                (Some(card), tries)
            }
            // It waits to be touched; what it said last is good enough.
            None => match self.0.known().facts.clone() {
                Some((card, tries)) => (Some(card), tries),
                None => (None, Tries::Unknown),
            },
        };
        Ok(Facts {
            label: format!("YubiKey {serial}"),
            serial: serial.to_string(),
            model: card.as_ref().map(|card| format!("YubiKey, firmware {}", card.firmware)).unwrap_or_default(),
            login: Login::Required,
            tries,
            card,
        })
    }

    fn open_session(&mut self, _: Access) -> Result<YubikeySession, Fault> {
        Ok(YubikeySession { seat: self.0.seat()?, card: Arc::clone(&self.0) })
    }

    fn reset(&mut self, _: Urgency) -> Result<(), Fault> {
        Err(Fault::Absent)
    }
}

/// One stay of the card in a reader. It has no handle: the card is opened for each visit.
pub(in crate::keystore) struct YubikeySession {
    card: Arc<Card>,
    seat: Seat,
}

impl YubikeySession {
    /// Fails if the card was pulled since, even if it is back.
    fn stays(&self) -> Result<(), Fault> {
        let seat = self.card.seat()?;
        if seat == self.seat {
            return Ok(());
        }
        Err(Fault::Lost { what: "it was pulled".to_owned(), reached: Reached::Nothing })
    }

    /// Where the key is now: it is known by its public key, and may have been moved.
    fn find(&self, yubikey: &mut YubiKey, key: KeyName) -> Result<KeyObject, Fault> {
        let last = self.card.known().keys.iter().find(|known| known.public.name() == key).cloned();
        if let Some(slot) = last.as_ref().and_then(|last| last.slot.as_ref())
            && facts::tells_metadata(yubikey)
            && let Some(found) = keys::in_slot(yubikey, slot.slot)?
            && found.public.name() == key
        {
            return Ok(found);
        }
        if let Some(last) = last.filter(|_| !facts::tells_metadata(yubikey)) {
            // To look again would take seconds; a wrong key is noticed by its signature.
            return Ok(last);
        }
        let all = keys::all(yubikey)?;
        self.card.known().keys.clone_from(&all);
        all.into_iter().find(|found| found.public.name() == key).ok_or(Fault::NoKey)
    }
}

impl Session for YubikeySession {
    fn login_state(&mut self) -> Result<LoginState, Fault> {
        self.stays()?;
        let known = self.card.known();
        Ok(match &known.pin {
            Some((stay, _)) if *stay == self.seat => LoginState::LoggedIn,
            Some(_) | None if known.pin_is_spoilt => LoginState::Refused,
            Some(_) | None => LoginState::LoggedOut,
        })
    }

    fn login(&mut self, pin: &Secret) -> Result<(), Fault> {
        self.stays()?;
        let bytes = pin.expose().len();
        if !SECRET_BYTES.contains(&bytes) {
            return Err(Fault::PinMalformed(format!("it has {bytes} bytes, that of a YubiKey has 6 to 8")));
        }
        self.card.visit_during(&self.seat, |yubikey| {
            // What was told before may be old: somebody else may have spent tries.
            let told = self.card.known().facts.as_ref().map_or(Tries::Unknown, |(_, tries)| *tries);
            match facts::pin_tries(yubikey)? {
                Tries::Blocked => return Err(Fault::PinBlocked),
                Tries::Last if told != Tries::Last => return Err(Fault::LastTry { secret: "pin" }),
                Tries::Unknown | Tries::All | Tries::Fewer | Tries::Left(_) | Tries::Last => {}
            }
            yubikey.verify_pin(pin.expose()).map_err(fault)?;
            let mut known = self.card.known();
            known.pin = Some((self.seat.clone(), pin.clone()));
            known.pin_is_spoilt = false;
            Ok(())
        })
    }

    fn logout(&mut self) -> Result<(), Fault> {
        self.card.forget_pin();
        Ok(())
    }

    fn find_keys(&mut self) -> Result<Vec<KeyObject>, Fault> {
        self.stays()?;
        match self.card.visit_now(keys::all) {
            Some(found) => {
                let found = found?;
                self.card.known().keys.clone_from(&found);
                Ok(found)
            }
            None => Ok(self.card.known().keys.clone()),
        }
    }

    fn sign(&mut self, key: KeyName, scheme: Scheme, message: &[u8], purpose: &Purpose) -> Result<Vec<u8>, Fault> {
        self.card.visit_during(&self.seat, |yubikey| {
            let KeyObject { public, slot, .. } = self.find(yubikey, key)?;
            let facts = slot.ok_or(Fault::NoKey)?;
            let algorithm = public.algorithm();
            let (id, block) = (algorithm_id(algorithm)?, block(algorithm, scheme, message)?);
            if facts.pin != Some(PinPolicy::Never) {
                show_pin(&self.card, yubikey)?;
            }
            let touch = self.card.touch.await_for(facts.touch, purpose);
            let answer = sign_data(yubikey, &block, id, facts.slot.id().map_err(fault)?);
            match answer {
                Ok(answer) => {
                    touch.answered();
                    from_card(algorithm, &answer).ok_or_else(|| Fault::Refused {
                        what: "its answer is no signature".to_owned(),
                        reached: Reached::Unknown,
                    })
                }
                Err(yubikey::Error::AuthenticationError) if touch.is_over() => Err(Fault::TouchTimeout),
                // The PIN that was shown just now is not known any more.
                Err(yubikey::Error::AuthenticationError) => {
                    Err(Fault::Lost { what: IN_USE.to_owned(), reached: Reached::Nothing })
                }
                Err(error) => Err(fault_after(error, Reached::Unknown)),
            }
        })
    }

    fn generate_key_pair(&mut self, wanted: &NewKey) -> Result<KeyObject, Fault> {
        self.stays()?;
        self.card.make(wanted)
    }
}
