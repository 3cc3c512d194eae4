//! Signing on a token with a session of one's own, and the threads that do nothing else.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Instant;

use bytes::Bytes;
use signet_tuf::KeyName;

use super::board::{Board, Presence};
use super::owner::{Command, token_error};
use super::queue::{Reply, Taker};
use super::token::{Access, Fault, LoginState, Session, Token};
use super::{KeystoreError, Located, Reached};
use crate::caller::Connection;
use crate::ledger::{Purpose, Scheme};

/// One signature to make.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) key: KeyName,
    pub(super) scheme: Scheme,
    pub(super) message: Bytes,
    pub(super) purpose: Arc<Purpose>,
    pub(super) connection: Arc<Connection>,
}

/// An order to a signing thread.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) order: Order,
    pub(super) reply: Reply<Vec<u8>>,
}

/// A session, opened when the first order comes.
pub(super) struct Signer<T: Token> {
    token: T,
    board: Board,
    owner: SyncSender<Command>,
    session: Option<(u64, T::Session)>,
}

impl<T: Token> Signer<T> {
    pub(super) fn new(token: T, board: Board, owner: SyncSender<Command>) -> Self {
        Self { token, board, owner, session: None }
    }

    /// Serves jobs until the queue is closed.
    pub(super) fn run(mut self, jobs: &Taker<Job>) {
        while let Some(job) = jobs.take() {
            if job.reply.begin() {
                let signed = self.sign(&job.order);
                job.reply.send(signed);
            }
        }
    }

    /// Signs; after a loss, once more. That is safe: the permit allows exactly these bytes, however often.
    pub(super) fn sign(&mut self, order: &Order) -> Result<Vec<u8>, KeystoreError> {
        let started = Instant::now();
        let first = match self.attempt(order) {
            Ok(signature) => {
                self.board.note_pace(started.elapsed());
                return Ok(signature);
            }
            Err(Failure::Refused(error)) => return Err(error),
            Err(Failure::Fault(fault)) => fault,
        };
        if !first.heals() {
            return Err(token_error(&self.board, first));
        }
        self.session = None;
        let second = self.heal().map_err(Failure::Fault).and_then(|()| self.attempt(order));
        second.map_err(|failure| {
            let error = match failure {
                Failure::Refused(error) => error,
                Failure::Fault(fault) => {
                    self.session = None;
                    token_error(&self.board, fault)
                }
            };
            // The second attempt proves nothing about the first.
            if first.reached() == Reached::Unknown {
                let (token, what) = (self.board.name().to_owned(), first.describe());
                if matches!(error, KeystoreError::Absent { .. }) {
                    return KeystoreError::Absent { token, reached: Reached::Unknown };
                }
                return KeystoreError::Failed { token, what, reached: Reached::Unknown };
            }
            error
        })
    }

    fn attempt(&mut self, order: &Order) -> Result<Vec<u8>, Failure> {
        let epoch = self.admit(order)?;
        let session = self.session_of(epoch)?;
        session.sign(order.key, order.scheme, &order.message, &order.purpose).map_err(|fault| {
            if fault == Fault::NoKey {
                return Failure::Refused(KeystoreError::UnknownKey { key: order.key.to_string() });
            }
            Failure::Fault(fault)
        })
    }

    /// Whether this connection may sign now. Asked before every signature: its unlock may be over.
    fn admit(&self, order: &Order) -> Result<u64, Failure> {
        let state = self.board.state();
        match state.presence {
            Presence::Unknown | Presence::Gone => Err(Failure::Fault(Fault::Absent)),
            Presence::Here if state.admits(&order.connection) => Ok(state.epoch),
            Presence::Here => {
                drop(state);
                Err(Failure::Refused(locked(&self.board, order)))
            }
        }
    }

    fn session_of(&mut self, epoch: u64) -> Result<&mut T::Session, Fault> {
        let current = self.session.take().filter(|(of, _)| *of == epoch).map(|(_, session)| session);
        let session = match current {
            Some(session) => session,
            None => {
                let mut session = self.token.open_session(Access::ReadOnly)?;
                // Private objects are only seen after login: without it, a key would seem not to exist.
                if session.login_state()? == LoginState::LoggedOut && !self.board.state().needs_no_login() {
                    return Err(Fault::NotLoggedIn);
                }
                session
            }
        };
        Ok(&mut self.session.insert((epoch, session)).1)
    }

    /// Has the owner open the token again, or learns why it cannot.
    fn heal(&self) -> Result<(), Fault> {
        let (reply, answer) = sync_channel(1);
        let ended = |_| Fault::Refused { what: "its owner ended".to_owned(), reached: Reached::Nothing };
        self.owner.send(Command::Heal { reply }).map_err(|_| ended(()))?;
        answer.recv().map_err(|_| ended(()))?
    }
}

enum Failure {
    Refused(KeystoreError),
    Fault(Fault),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A key of a token that wants its PIN.
fn locked(board: &Board, order: &Order) -> KeystoreError {
    let located = board.located(&order.connection).into_iter().find(|located| located.info.name == Some(order.key));
    let token = Some(board.name().to_owned());
    match located {
        Some(Located { place, info, .. }) => {
            KeystoreError::Locked { key: order.key.to_string(), place, token, role: info.role }
        }
        None => KeystoreError::UnknownKey { key: order.key.to_string() },
    }
}
