//! The thread that owns one token: the only one that logs in, logs out, and opens the token again when it was lost.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use signet_tuf::Algorithm;

use super::board::{Board, Presence};
use super::pin::{self, Refused};
use super::queue::{Reply, SWEEP};
use super::token::{Access, Facts, Fault, KeyObject, LoginState, Session, Token, Urgency};
use super::{KeyInfo, KeystoreError, LastTry, Place, Reached, Scope, Tries};
use crate::secret::Secret;

/// What an owner is asked.
pub(super) enum Command {
    /// Look whether the token is there.
    Look {
        reply: Reply<()>,
    },
    /// Read its keys again.
    Refresh {
        reply: Reply<()>,
    },
    Unlock {
        pin: Secret,
        scope: Scope,
        last_try: LastTry,
        reply: Reply<Vec<Place>>,
    },
    Lock {
        reply: Reply<()>,
    },
    /// A session was lost: open what can be opened.
    Heal {
        reply: std::sync::mpsc::SyncSender<Result<(), Fault>>,
    },
    Generate {
        algorithm: Algorithm,
        label: String,
        reply: Reply<KeyInfo>,
    },
}

/// Owns a token and, while an unlock lives, the PIN that worked.
pub(super) struct Owner<T: Token> {
    token: T,
    session: Option<T::Session>,
    board: Board,
    pin: Option<Held>,
    pin_file: PinFile,
    refused: Refused,
    looked: Option<Instant>,
    next_attempt: Instant,
    pause: Duration,
}

/// A PIN that worked, bound to the token that took it: another one with the same label must not see it.
struct Held {
    pin: Secret,
    serial: String,
}

/// A lasting unlock that needs nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PinFile {
    None,
    /// Used whenever the token comes.
    Armed(PathBuf),
    /// The token was locked by command: not used until it is unlocked by command.
    Disarmed(PathBuf),
}

/// The longest pause between two looks at an absent token that nobody asks for.
const MAX_PAUSE: Duration = Duration::from_secs(30);

impl<T: Token> Owner<T> {
    pub(super) fn new(token: T, board: Board, pin_file: Option<PathBuf>, refused: Refused) -> Self {
        let pin_file = pin_file.map_or(PinFile::None, PinFile::Armed);
        Self {
            token,
            session: None,
            board,
            pin: None,
            pin_file,
            refused,
            looked: None,
            next_attempt: Instant::now(),
            pause: SWEEP,
        }
    }

    /// Serves commands until the last sender is gone.
    pub(super) fn run(mut self, inbox: &Receiver<Command>) {
        let mut swept = Instant::now();
        self.watch();
        loop {
            match inbox.recv_timeout(SWEEP.saturating_sub(swept.elapsed()).max(Duration::from_millis(1))) {
                Ok(command) => self.serve(command),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if swept.elapsed() >= SWEEP {
                self.sweep();
                self.watch();
                swept = Instant::now();
            }
        }
        self.log_out();
    }

    fn serve(&mut self, command: Command) {
        match command {
            Command::Look { reply } => reply.send(self.look().map_err(|fault| self.error(fault))),
            Command::Refresh { reply } => reply.send(self.refresh()),
            Command::Unlock { pin, scope, last_try, reply } => reply.send(self.unlock(pin, scope, last_try)),
            Command::Lock { reply } => {
                if let PinFile::Armed(path) = &self.pin_file {
                    self.pin_file = PinFile::Disarmed(path.clone());
                }
                self.board.state().unlocks.clear();
                self.log_out();
                reply.send(Ok(()));
            }
            Command::Heal { reply } => drop(reply.send(self.ensure(Urgency::Asked))),
            Command::Generate { algorithm, label, reply } => reply.send(self.generate(algorithm, &label)),
        }
    }

    /// Logs out once nobody's unlock lives.
    fn sweep(&mut self) {
        let lives = self.board.state().unlocks.sweep();
        if !lives && self.pin.is_some() {
            self.log_out();
        }
    }

    /// Notices a token that went, and one that came, while nobody asks.
    fn watch(&mut self) {
        let here = self.session.is_some();
        if !here && Instant::now() < self.next_attempt {
            return;
        }
        if self.ensure(Urgency::Idle).is_ok() {
            self.pause = SWEEP;
        } else {
            self.next_attempt = Instant::now().checked_add(self.pause).unwrap_or(self.next_attempt);
            self.pause = self.pause.saturating_mul(2).min(MAX_PAUSE);
        }
    }

    /// Every question about any key ends here while the token is absent, so it is not looked for each time.
    fn look(&mut self) -> Result<(), Fault> {
        if self.session.is_none() && self.looked.is_some_and(|looked| looked.elapsed() < SWEEP) {
            return Err(Fault::Absent);
        }
        let seen = self.ensure(Urgency::Asked);
        self.looked = Some(Instant::now());
        seen
    }

    /// An open session, logged in if an unlock lives.
    fn ensure(&mut self, urgency: Urgency) -> Result<(), Fault> {
        let healthy = self.session.as_mut().map(Session::login_state);
        let done = match healthy {
            Some(Ok(LoginState::LoggedOut)) if self.pin.is_some() => self.log_in_again(),
            Some(Ok(LoginState::LoggedIn | LoginState::LoggedOut)) => Ok(()),
            Some(Err(_)) | None => self.open(urgency),
        };
        if let Err(fault) = &done {
            self.lose(fault);
        }
        done
    }

    fn open(&mut self, urgency: Urgency) -> Result<(), Fault> {
        self.session = None;
        let opened = self.token.open_session(Access::ReadOnly).or_else(|fault| {
            // Started anew, the module may see what it did not see. If it was so just now, the first answer stands.
            if !fault.heals() || self.token.reset(urgency).is_err() {
                return Err(fault);
            }
            self.token.open_session(Access::ReadOnly)
        });
        let mut session = opened?;
        let facts = self.token.info()?;
        let keys = session.find_keys()?;
        self.session = Some(session);
        self.forget_other_token(&facts);
        {
            let mut state = self.board.state();
            state.presence = Presence::Here;
            state.trouble = None;
            state.keys = keys;
            state.facts = Some(facts);
            state.next_epoch();
        }
        tracing::info!(token = self.board.name(), "token is here");
        if self.pin.is_some() { self.log_in_again() } else { self.use_pin_file() }
    }

    fn lose(&mut self, fault: &Fault) {
        self.session = None;
        let mut state = self.board.state();
        if state.presence == Presence::Here {
            tracing::warn!(token = self.board.name(), why = fault.describe(), "token is gone");
        }
        state.presence = Presence::Gone;
        state.trouble = Some(fault.describe());
        state.next_epoch();
    }

    /// A PIN and its unlocks belong to one token, not to whatever answers to its label.
    fn forget_other_token(&mut self, facts: &Facts) {
        if self.pin.as_ref().is_some_and(|held| held.serial != facts.serial) {
            tracing::warn!(token = self.board.name(), "another token of that name: its unlocks are over");
            self.pin = None;
            self.board.state().unlocks.clear();
        }
    }

    /// After a loss: logs in with the PIN that worked, never with the last try.
    fn log_in_again(&mut self) -> Result<(), Fault> {
        let Some(held) = &self.pin else { return Ok(()) };
        let tries = self.token.info()?.tries;
        let logged_in = match (tries, &mut self.session) {
            (Tries::Last | Tries::Blocked, _) => Err(Fault::PinBlocked),
            (Tries::Unknown | Tries::All | Tries::Fewer, Some(session)) => session.login(&held.pin),
            (Tries::Unknown | Tries::All | Tries::Fewer, None) => Err(Fault::Absent),
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

    fn use_pin_file(&mut self) -> Result<(), Fault> {
        let PinFile::Armed(path) = self.pin_file.clone() else { return Ok(()) };
        let unlocked = match pin::read_file(&path) {
            Ok(pin) => self.log_in(pin, LastTry::Keep).map_err(|error| format!("PIN file {}: {error}", path.display())),
            Err(why) => Err(why),
        };
        let mut state = self.board.state();
        match unlocked {
            Ok(()) => state.unlocks.add(Scope::Lasting),
            Err(why) => {
                tracing::warn!(token = self.board.name(), why, "the PIN file does not unlock the token");
                state.trouble = Some(why);
            }
        }
        Ok(())
    }

    fn unlock(&mut self, pin: Secret, scope: Scope, last_try: LastTry) -> Result<Vec<Place>, KeystoreError> {
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
            if held.pin.ct_eq(&pin) {
                return Ok(());
            }
            self.guard_against_guessing()?;
            self.refused.insert(&serial, &pin);
            return Err(incorrect(self, tries));
        }
        match (tries, last_try) {
            (Tries::Blocked, _) => return Err(KeystoreError::PinBlocked { token: self.board.name().to_owned() }),
            (Tries::All | Tries::Fewer | Tries::Last | Tries::Unknown, _)
                if pin.is_empty() || self.refused.contains(&serial, &pin) =>
            {
                return Err(incorrect(self, tries));
            }
            (Tries::Last, LastTry::Keep) => return Err(KeystoreError::LastTry { token: self.board.name().to_owned() }),
            (Tries::Last, LastTry::Spend) | (Tries::All | Tries::Fewer | Tries::Unknown, _) => {}
        }
        self.guard_against_guessing()?;
        match self.send_pin(&pin) {
            Ok(()) => {
                self.pin = Some(Held { pin, serial });
                self.board.state().next_epoch();
                self.read_keys().map_err(|fault| self.error(fault))
            }
            Err(Fault::PinIncorrect) => {
                self.refused.insert(&serial, &pin);
                let tries = self.read_tries();
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
        if !self.refused.is_full() {
            return Ok(());
        }
        Err(KeystoreError::Failed {
            token: self.board.name().to_owned(),
            what: "too many different PINs were wrong: restart the agent to try others".to_owned(),
            reached: Reached::Nothing,
        })
    }

    fn read_tries(&mut self) -> Tries {
        let Ok(facts) = self.token.info() else { return Tries::Unknown };
        let tries = facts.tries;
        self.board.state().facts = Some(facts);
        tries
    }

    fn read_keys(&mut self) -> Result<(), Fault> {
        let session = self.session.as_mut().ok_or(Fault::Absent)?;
        let keys = session.find_keys()?;
        let facts = self.token.info()?;
        let mut state = self.board.state();
        state.keys = keys;
        state.facts = Some(facts);
        Ok(())
    }

    fn refresh(&mut self) -> Result<(), KeystoreError> {
        self.ensure(Urgency::Asked).and_then(|()| self.read_keys()).map_err(|fault| self.error(fault))
    }

    fn log_out(&mut self) {
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

    fn generate(&mut self, algorithm: Algorithm, label: &str) -> Result<KeyInfo, KeystoreError> {
        self.ensure(Urgency::Asked).map_err(|fault| self.error(fault))?;
        let made = self
            .token
            .open_session(Access::ReadWrite)
            .and_then(|mut session| session.generate_key_pair(algorithm, label));
        let made: KeyObject = made.map_err(|fault| self.error(fault))?;
        self.read_keys().map_err(|fault| self.error(fault))?;
        Ok(self.board.info(&made))
    }

    fn described(&self) -> String {
        format!("token `{}`", self.board.name())
    }

    fn error(&self, fault: Fault) -> KeystoreError {
        token_error(&self.board, fault)
    }
}

/// A fault of a token in the words of the keystore.
pub(super) fn token_error(board: &Board, fault: Fault) -> KeystoreError {
    let token = board.name().to_owned();
    match fault {
        Fault::Absent => KeystoreError::Absent { token },
        Fault::NotLoggedIn => {
            let place = Place::Token { token: token.clone(), uri: format!("token `{token}`") };
            KeystoreError::Locked { key: String::new(), place, token: Some(token), role: None }
        }
        Fault::PinIncorrect => {
            KeystoreError::SecretIncorrect { place: format!("token `{token}`"), tries: board.state().tries() }
        }
        Fault::PinBlocked => KeystoreError::PinBlocked { token },
        Fault::Unsupported(what) => KeystoreError::NotSupported { place: format!("token `{token}`"), what },
        Fault::Lost { what, reached } | Fault::Refused { what, reached } => {
            KeystoreError::Failed { token, what, reached }
        }
        other @ (Fault::AlreadyLoggedIn | Fault::NoKey | Fault::Corrupt(_) | Fault::Unsafe(_)) => {
            KeystoreError::Failed { token, what: other.describe(), reached: Reached::Nothing }
        }
    }
}
