//! Who logs in to a token, and when: the PIN guard. No PIN is sent that was refused, and no last try is spent unasked.

use super::{Held, Owner, PinFile};
use crate::keystore::events::Event;
use crate::keystore::pin;
use crate::keystore::piv::FACTORY_PIN;
use crate::keystore::token::{Facts, Fault, Session, Token, Urgency};
use crate::keystore::{KeystoreError, LastTry, Place, Reached, Scope, Tries};
use crate::secret::Secret;

/// Whether a PIN that is forgotten is wrong by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoilt {
    Yes,
    No,
}

/// Wrong PINs that are compared with the one that works; then nobody joins until the token is locked.
const MAX_GUESSES: u32 = 64;

impl<T: Token> Owner<T> {
    pub(super) fn unlock(&mut self, pin: Secret, scope: Scope, last_try: LastTry) -> Result<Vec<Place>, KeystoreError> {
        self.ensure(Urgency::Asked).map_err(|fault| self.error(fault))?;
        if !self.board.state().needs_no_login() {
            self.log_in(pin, last_try)?;
        }
        let mut state = self.board.state();
        state.unlocks.add(scope);
        state.trouble = None;
        drop(state);
        if let PinFile::Disarmed(path) = &self.pin_file {
            self.pin_file = PinFile::Armed(path.clone());
        }
        Ok(self.board.places())
    }

    /// Logs in, or compares with the PIN that did. The token sees no PIN twice that it refused once.
    fn log_in(&mut self, pin: Secret, last_try: LastTry) -> Result<(), KeystoreError> {
        let Facts { serial, tries, .. } = self.token.info().map_err(|fault| self.error(fault))?;
        let incorrect = |owner: &Self, tries| KeystoreError::SecretIncorrect { place: owner.described(), tries };
        if let Some(held) = &self.pin {
            if self.guesses >= MAX_GUESSES {
                return Err(self.too_many("too many PINs were wrong: lock the token, then unlock it"));
            }
            if held.pin.ct_eq(&pin) {
                return Ok(());
            }
            // The token never saw this one, so it is not refused for good; but nobody guesses here without end.
            self.guesses = self.guesses.saturating_add(1);
            return Err(incorrect(self, tries));
        }
        match (tries, last_try) {
            (Tries::Blocked, _) => return Err(KeystoreError::PinBlocked { token: self.board.name().to_owned() }),
            (Tries::All | Tries::Fewer | Tries::Left(_) | Tries::Last | Tries::Unknown, _)
                if pin.is_empty() || self.refused.contains(&serial, &pin) =>
            {
                return Err(incorrect(self, tries));
            }
            (Tries::Last, LastTry::Keep) => {
                return Err(KeystoreError::LastTry { token: self.board.name().to_owned(), secret: "pin" });
            }
            (Tries::Last, LastTry::Spend) | (Tries::All | Tries::Fewer | Tries::Left(_) | Tries::Unknown, _) => {}
        }
        self.guard_against_guessing()?;
        match self.send_pin(&pin) {
            Ok(()) => {
                self.pin = Some(Held { pin, serial });
                self.guesses = 0;
                self.board.state().next_epoch();
                self.read_keys().map_err(|fault| self.error(fault))
            }
            Err(Fault::PinIncorrect) => {
                self.refused.insert(&serial, &pin);
                let tries = self.read_tries();
                self.board.tell(|token| Event::TriesLeft { token, tries });
                Err(incorrect(self, tries))
            }
            Err(fault) => {
                self.read_tries();
                Err(self.error(fault))
            }
        }
    }

    fn send_pin(&mut self, pin: &Secret) -> Result<(), Fault> {
        let session = self.session.as_mut().ok_or(Fault::Absent)?;
        match session.login(pin) {
            // Somebody else in this process is logged in: that proves nothing about this PIN.
            Err(Fault::AlreadyLoggedIn) => session.logout().and_then(|()| session.login(pin)),
            other => other,
        }
    }

    fn guard_against_guessing(&self) -> Result<(), KeystoreError> {
        if self.refused.is_full() {
            return Err(self.too_many("too many different PINs were wrong: restart the agent to try others"));
        }
        Ok(())
    }

    fn too_many(&self, what: &str) -> KeystoreError {
        let token = self.board.name().to_owned();
        KeystoreError::Failed { token, what: what.to_owned(), reached: Reached::Nothing }
    }

    /// After a loss: logs in with the PIN that worked, never with the last try.
    pub(super) fn log_in_again(&mut self) -> Result<(), Fault> {
        let Some(held) = &self.pin else { return Ok(()) };
        let tries = self.token.info()?.tries;
        let logged_in = match (tries, &mut self.session) {
            (Tries::Last | Tries::Blocked, _) => Err(Fault::PinBlocked),
            (Tries::Unknown | Tries::All | Tries::Fewer | Tries::Left(_), Some(session)) => session.login(&held.pin),
            (Tries::Unknown | Tries::All | Tries::Fewer | Tries::Left(_), None) => Err(Fault::Absent),
        };
        match logged_in {
            Ok(()) | Err(Fault::AlreadyLoggedIn) => {
                self.board.state().next_epoch();
                self.read_keys()
            }
            Err(fault) if fault.heals() => Err(fault),
            Err(fault) => {
                // The PIN was changed, or is in danger: whoever wants the token says it again.
                if fault == Fault::PinIncorrect {
                    self.refused.insert(&held.serial, &held.pin);
                }
                self.pin = None;
                let mut state = self.board.state();
                state.unlocks.clear();
                state.trouble = Some(fault.describe());
                state.next_epoch();
                Ok(())
            }
        }
    }

    /// What was wrong may be right now; a file that holds something else is wrong from now on.
    pub(super) fn pin_replaced(&mut self, new: Option<&Secret>) {
        self.forget_pin(Spoilt::No);
        self.refused.clear();
        let PinFile::Armed(path) = self.pin_file.clone() else { return };
        let Ok(in_file) = pin::read_file(&path) else { return };
        if new.is_some_and(|new| new.ct_eq(&in_file)) {
            if let Err(fault) = self.ensure(Urgency::Idle).and_then(|()| self.use_pin_file()) {
                self.lose(&fault);
            }
            return;
        }
        let serial = self.board.state().facts.as_ref().map(|facts| facts.serial.clone());
        if let Some(serial) = serial {
            self.refused.insert(&serial, &in_file);
        }
    }

    /// The card says that its PIN is the factory's, and this is another.
    fn cannot_be(&self, pin: &Secret) -> bool {
        let state = self.board.state();
        let card = state.facts.as_ref().and_then(|facts| facts.card.as_ref());
        card.is_some_and(|card| card.default_pin == Some(true)) && pin.expose() != FACTORY_PIN
    }

    pub(super) fn use_pin_file(&mut self) -> Result<(), Fault> {
        let PinFile::Armed(path) = self.pin_file.clone() else { return Ok(()) };
        let unlocked = match pin::read_file(&path) {
            Ok(pin) if self.cannot_be(&pin) => {
                Err(format!("PIN file {}: the PIN is still the factory's, and was not tried", path.display()))
            }
            Ok(pin) => self.log_in(pin, LastTry::Keep).map_err(|error| format!("PIN file {}: {error}", path.display())),
            Err(why) => Err(why),
        };
        let mut state = self.board.state();
        match unlocked {
            Ok(()) => state.unlocks.add(Scope::Lasting(None)),
            Err(why) => {
                tracing::warn!(token = self.board.name(), why, "the PIN file does not unlock the token");
                state.trouble = Some(why);
            }
        }
        Ok(())
    }

    /// The unlocks that it gave are over.
    pub(super) fn forget_pin(&mut self, spoilt: Spoilt) {
        let Some(held) = self.pin.take() else { return };
        if spoilt == Spoilt::Yes {
            self.refused.insert(&held.serial, &held.pin);
        }
        if let Some(session) = &mut self.session
            && let Err(fault) = session.logout()
        {
            tracing::debug!(token = self.board.name(), why = fault.describe(), "logout failed");
        }
        let mut state = self.board.state();
        state.unlocks.clear();
        state.next_epoch();
    }

    pub(super) fn log_out(&mut self) {
        if self.pin.take().is_none() {
            return;
        }
        if let Some(session) = &mut self.session
            && let Err(fault) = session.logout()
        {
            tracing::debug!(token = self.board.name(), why = fault.describe(), "logout failed");
        }
        self.board.state().next_epoch();
    }

    fn read_tries(&mut self) -> Tries {
        let Ok(facts) = self.token.info() else { return Tries::Unknown };
        let tries = facts.tries;
        self.board.state().facts = Some(facts);
        tries
    }
}
