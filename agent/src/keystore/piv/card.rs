//! One YubiKey, told apart by its serial number: visited when it is wanted, and left as it was.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use yubikey::YubiKey;

use super::desk::{Readers, Seat};
use super::fault::fault;
use super::touch::Touch;
use crate::keystore::events::Events;
use crate::keystore::pin::Refused;
use crate::keystore::token::{Fault, KeyObject};
use crate::keystore::{Reached, Tries};
use crate::secret::Secret;

use super::CardFacts;

/// pcscd looks at its readers every 400 ms.
const NOTICED: Duration = Duration::from_millis(800);
const LOOK: Duration = Duration::from_millis(20);

/// A YubiKey, there or not.
pub(in crate::keystore) struct Card {
    serial: u32,
    readers: Arc<Readers>,
    /// Held while it is visited: while it waits to be touched nobody else can be served.
    turn: Mutex<()>,
    known: Mutex<Known>,
    pub(super) touch: Touch,
    /// Shared with who logs in.
    pub(super) refused_pins: Refused,
    pub(super) refused_puks: Refused,
}

/// What the crate panics at.
pub(super) const NONSENSE: &str = "its answer makes no sense";

/// What is known without a visit.
#[derive(Default)]
pub(super) struct Known {
    /// The PIN that the card took during this stay.
    pub(super) pin: Option<(Seat, Secret)>,
    /// That PIN was refused later: it was changed elsewhere.
    pub(super) pin_is_spoilt: bool,
    pub(super) keys: Vec<KeyObject>,
    pub(super) facts: Option<(CardFacts, Tries)>,
}

impl Card {
    pub(super) fn new(
        serial: u32,
        readers: Arc<Readers>,
        (refused_pins, refused_puks): (Refused, Refused),
        events: Events,
    ) -> Self {
        let touch = Touch::new(serial, events);
        Self { serial, readers, turn: Mutex::default(), known: Mutex::default(), touch, refused_pins, refused_puks }
    }

    pub(super) fn serial(&self) -> u32 {
        self.serial
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::keystore) fn forget_pin(&self) {
        let mut known = self.known();
        known.pin = None;
        known.pin_is_spoilt = false;
    }

    /// Whether a PIN is remembered.
    #[cfg(test)]
    pub(in crate::keystore) fn remembers_a_pin(&self) -> bool {
        self.known().pin.is_some()
    }

    /// The reader it is in.
    pub(super) fn seat(&self) -> Result<Seat, Fault> {
        self.readers.seat(self.serial).ok_or(Fault::Absent)
    }

    /// Opens the card, works with it, and leaves it as it is. Waits for its turn.
    pub(super) fn visit<T>(&self, work: impl FnOnce(&mut YubiKey) -> Result<T, Fault>) -> Result<T, Fault> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.work(work)
    }

    /// The same, if it is still the stay that is meant when its turn comes.
    pub(super) fn visit_during<T>(
        &self,
        stay: &Seat,
        work: impl FnOnce(&mut YubiKey) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.seat()? != *stay {
            return Err(Fault::Lost { what: "it was pulled".to_owned(), reached: Reached::Nothing });
        }
        self.work(work)
    }

    /// The same if nobody else is served now; `None` otherwise.
    pub(super) fn visit_now<T>(&self, work: impl FnOnce(&mut YubiKey) -> Result<T, Fault>) -> Option<Result<T, Fault>> {
        let _turn = match self.turn.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(self.work(work))
    }

    /// A card that does not answer was perhaps pulled just now: PC/SC tells that a moment later. If its private key was
    /// asked, that stands.
    fn explained(&self, seat: &Seat, fault: Fault) -> Fault {
        let asked = Instant::now();
        while matches!(fault, Fault::Lost { reached: Reached::Nothing, .. }) && asked.elapsed() < NOTICED {
            if self.readers.seat(self.serial).as_ref() != Some(seat) {
                return Fault::Absent;
            }
            thread::sleep(LOOK);
        }
        fault
    }

    fn work<T>(&self, work: impl FnOnce(&mut YubiKey) -> Result<T, Fault>) -> Result<T, Fault> {
        let seat = self.seat()?;
        let mut yubikey = seat.open().map_err(|error| self.explained(&seat, fault(error)))?;
        if yubikey.serial().0 != self.serial {
            leave(yubikey);
            return Err(Fault::Absent);
        }
        // The crate panics at some answers that no card should give; that must not end the agent.
        let worked = catch_unwind(AssertUnwindSafe(|| work(&mut yubikey)));
        leave(yubikey);
        let nonsense = |_| Err(Fault::Refused { what: NONSENSE.to_owned(), reached: Reached::Unknown });
        worked.unwrap_or_else(nonsense).map_err(|fault| self.explained(&seat, fault))
    }
}

/// Dropped instead, the handle would reset the card for everybody who uses it.
pub(super) fn leave(yubikey: YubiKey) {
    if let Err((_, error)) = yubikey.disconnect(pcsc::Disposition::LeaveCard) {
        tracing::debug!(%error, "a YubiKey went before it was left");
    }
}
