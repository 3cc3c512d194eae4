//! The thread that owns one token: the only one that logs in, logs out, and opens the token again when it was lost.

mod login;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use self::login::Spoilt;
use super::board::{Board, Presence};
use super::events::Event;
use super::pin::Refused;
use super::queue::{Reply, SWEEP};
use super::token::{Access, Facts, Fault, KeyObject, LoginState, NewKey, Session, Token, Urgency};
use super::{KeyInfo, KeystoreError, LastTry, Place, Reached, Scope};
use crate::secret::Secret;

/// What an owner is asked.
pub(super) enum Command {
    /// Look whether the token is there.
    Look {
        reply: Reply<()>,
    },
    /// Look whether it came or went.
    Wake,
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
    /// The PIN was replaced by us, by this one if a person chose it.
    PinReplaced {
        new: Option<Secret>,
    },
    /// Forget a PIN that a person entered.
    Forget,
    /// A session was lost: open what can be opened.
    Heal {
        reply: std::sync::mpsc::SyncSender<Result<(), Fault>>,
    },
    Generate {
        wanted: NewKey,
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
    guesses: u32,
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
            guesses: 0,
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
            Command::Wake => {
                (self.next_attempt, self.pause) = (Instant::now(), SWEEP);
                self.watch();
            }
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
            Command::PinReplaced { new } => self.pin_replaced(new.as_ref()),
            Command::Forget => {
                // One that stands in a file needs nobody to enter it again.
                if !matches!(self.pin_file, PinFile::Armed(_)) {
                    self.board.state().unlocks.clear();
                    self.log_out();
                }
            }
            Command::Heal { reply } => drop(reply.send(self.ensure(Urgency::Asked))),
            Command::Generate { wanted, reply } => reply.send(self.generate(&wanted)),
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
            Some(Ok(LoginState::LoggedOut)) if self.pin.is_some() && T::KEEPS_PIN_WHEN_ABSENT => self.log_in_again(),
            Some(Ok(state @ (LoginState::LoggedOut | LoginState::Refused))) if self.pin.is_some() => {
                self.forget_pin(if state == LoginState::Refused { Spoilt::Yes } else { Spoilt::No });
                Ok(())
            }
            Some(Ok(LoginState::LoggedIn | LoginState::LoggedOut | LoginState::Refused)) => Ok(()),
            Some(Err(_)) | None => self.open(urgency),
        };
        if let Err(fault) = &done {
            self.lose(fault);
        }
        done
    }

    fn open(&mut self, urgency: Urgency) -> Result<(), Fault> {
        if !T::KEEPS_PIN_WHEN_ABSENT {
            self.forget_pin(Spoilt::No);
        }
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
        self.board.tell(|token| Event::Inserted { token });
        if self.pin.is_some() { self.log_in_again() } else { self.use_pin_file() }
    }

    fn lose(&mut self, fault: &Fault) {
        if !T::KEEPS_PIN_WHEN_ABSENT {
            self.forget_pin(Spoilt::No);
        }
        self.session = None;
        let mut state = self.board.state();
        if state.presence == Presence::Here {
            tracing::warn!(token = self.board.name(), why = fault.describe(), "token is gone");
            self.board.tell(|token| Event::Removed { token });
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

    fn generate(&mut self, wanted: &NewKey) -> Result<KeyInfo, KeystoreError> {
        self.ensure(Urgency::Asked).map_err(|fault| self.error(fault))?;
        let made = self.token.open_session(Access::ReadWrite).and_then(|mut session| session.generate_key_pair(wanted));
        let made: KeyObject = made.map_err(|fault| self.error(fault))?;
        if let Err(fault) = self.read_keys() {
            tracing::warn!(
                token = self.board.name(),
                why = fault.describe(),
                "a new key was made, and is not seen yet"
            );
        }
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
        Fault::Absent => KeystoreError::Absent { token, reached: Reached::Nothing },
        Fault::NotLoggedIn => {
            let place = Place::Token { token: token.clone(), uri: format!("token `{token}`") };
            KeystoreError::Locked { key: String::new(), place, token: Some(token), role: None }
        }
        Fault::PinIncorrect => {
            KeystoreError::SecretIncorrect { place: format!("token `{token}`"), tries: board.state().tries() }
        }
        Fault::PinMalformed(why) => KeystoreError::SecretMalformed { place: format!("token `{token}`"), why },
        Fault::PinBlocked => KeystoreError::PinBlocked { token },
        Fault::LastTry { secret } => KeystoreError::LastTry { token, secret },
        Fault::PukIncorrect(tries) => {
            KeystoreError::SecretIncorrect { place: format!("the PUK of YubiKey {token}"), tries }
        }
        Fault::PukBlocked => KeystoreError::PukBlocked { token },
        Fault::FactorySecret(secrets) => KeystoreError::FactorySecret { token, secrets },
        Fault::TouchTimeout => KeystoreError::TouchTimeout { token },
        Fault::SlotOccupied { slot, certain } => KeystoreError::SlotOccupied { token, slot, certain },
        Fault::ManagementKey { wrong } => KeystoreError::ManagementKey { token, wrong },
        Fault::Unsupported(what) => KeystoreError::NotSupported { place: format!("token `{token}`"), what },
        Fault::Lost { what, reached } | Fault::Refused { what, reached } => {
            KeystoreError::Failed { token, what, reached }
        }
        other @ (Fault::AlreadyLoggedIn | Fault::NoKey | Fault::Corrupt(_) | Fault::Unsafe(_)) => {
            KeystoreError::Failed { token, what: other.describe(), reached: Reached::Nothing }
        }
    }
}
