//! One keystore: a configured token, the thread that owns it and the threads that sign on it.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use signet_tuf::{Algorithm, Gun};

use super::board::{self, Board, Presence};
use super::direct::Direct;
use super::events::Events;
use super::owner::{Command, Owner, token_error};
use super::pin::Refused;
use super::piv::PivOptions;
use super::queue::{Jobs, QUEUE, ask, ask_any, ask_within, silent};
use super::signer::{Job, Order, Signer};
use super::token::{Facts, Fault, KeyObject, NewKey, Token};
use super::{KeyInfo, KeystoreError, LastTry, Located, Place, Scope, StartError, TokenInfo};
use crate::caller::Connection;
use crate::ledger::Permit;
use crate::secret::Secret;

/// How long a question about all keys waits for one token.
const GLANCE: Duration = Duration::from_secs(5);

/// The door to one token. Its threads end when it is dropped.
#[derive(Debug)]
pub(super) struct Keystore {
    board: Board,
    module: Option<PathBuf>,
    roles: Vec<String>,
    expected: bool,
    has_pin_file: bool,
    patience: Duration,
    owner: SyncSender<Command>,
    /// Before the queue: its sessions are closed by the last signing thread, not by who drops this.
    direct: Arc<Direct>,
    jobs: Jobs<Job>,
}

/// Every thread of every keystore holds a sender while it runs.
pub(super) type Running = SyncSender<Infallible>;

/// What a keystore is started with.
pub(super) struct Setup {
    pub(super) name: String,
    /// Of a PKCS#11 token.
    pub(super) module: Option<PathBuf>,
    pub(super) pin_file: Option<PathBuf>,
    /// PINs that it refused.
    pub(super) refused: Refused,
    pub(super) roles: Vec<String>,
    /// Threads that sign, each with a session.
    pub(super) sessions: usize,
    /// Sessions for askers who sign in their own threads.
    pub(super) direct: usize,
    /// Whether its absence is worth a word.
    pub(super) expected: bool,
    /// A token that takes longer for a signature hangs.
    pub(super) patience: Duration,
    pub(super) events: Events,
}

impl Keystore {
    pub(super) fn start<T: Token>(setup: Setup, token: T, running: &Running) -> Result<Self, StartError> {
        let name = setup.name;
        let board = Board::new(&name, setup.events);
        let (sender, inbox) = sync_channel(QUEUE);
        let has_pin_file = setup.pin_file.is_some();
        let owner = Owner::new(token.clone(), board.clone(), setup.pin_file, setup.refused);
        thread(&format!("token-{name}"), running, move || owner.run(&inbox))?;

        let signer = || Signer::new(token.clone(), board.clone(), sender.clone());
        let direct = Arc::new(Direct::new(board.clone(), (0..setup.direct).map(|_| signer())));
        let jobs = Jobs::new();
        for number in 1..=setup.sessions {
            let (signer, taker, direct) = (signer(), jobs.taker(), Arc::clone(&direct));
            thread(&format!("session-{number}-{name}"), running, move || {
                signer.run(&taker);
                drop(direct);
            })?;
        }
        let (module, roles, expected, patience) = (setup.module, setup.roles, setup.expected, setup.patience);
        Ok(Self { module, roles, expected, has_pin_file, patience, owner: sender, direct, jobs, board })
    }

    pub(super) fn name(&self) -> &str {
        self.board.name()
    }

    /// Whether somebody expects it to be here.
    pub(super) fn is_expected(&self) -> bool {
        self.expected
    }

    /// Has its owner look at it now: it may have come or gone.
    pub(super) fn wake(&self) {
        if let Err(error) = self.owner.try_send(Command::Wake) {
            tracing::debug!(token = self.name(), %error, "its owner is busy, and looks later");
        }
    }

    /// Unlocks are over, and what was no PIN may be one now.
    pub(super) fn pin_replaced(&self, new: Option<Secret>) {
        self.board.state().unlocks.clear();
        if self.owner.try_send(Command::PinReplaced { new }).is_err() {
            tracing::error!(token = self.name(), "its owner does not answer: it does not know that the PIN is another");
        }
    }

    /// Has a PIN forgotten that a person entered.
    pub(super) fn forget(&self) {
        if !self.has_pin_file {
            // From here on nobody signs, even if its owner is held up by a token that hangs.
            self.board.state().unlocks.clear();
        }
        if self.owner.try_send(Command::Forget).is_err() {
            tracing::error!(token = self.name(), "its owner does not answer: its PIN is not forgotten");
        }
    }

    /// The keys that are or were on the token. A token that is not known to be here is looked for first.
    pub(super) async fn located(&self, connection: &Arc<Connection>) -> Vec<Located> {
        if self.board.state().presence != Presence::Here {
            self.look().await;
        }
        self.board.located(connection)
    }

    /// Has the token looked for. Whatever the owner answers is on the board; a module that hangs holds nobody up.
    async fn look(&self) {
        drop(ask_within(GLANCE, &self.owner, self.name(), |reply| Command::Look { reply }).await);
    }

    /// Reads the keys from the token. Fails if it is absent.
    pub(super) async fn refresh(&self) -> Result<(), KeystoreError> {
        ask_within(self.patience, &self.owner, self.name(), |reply| Command::Refresh { reply }).await
    }

    pub(super) fn error(&self, fault: Fault) -> KeystoreError {
        token_error(&self.board, fault)
    }

    pub(super) async fn sign(&self, permit: &Permit, connection: &Arc<Connection>) -> Result<Vec<u8>, KeystoreError> {
        let order = Order {
            key: permit.key(),
            scheme: permit.scheme(),
            message: permit.message().clone(),
            purpose: Arc::clone(permit.purpose()),
            connection: Arc::clone(connection),
        };
        match self.direct.sign(order) {
            Ok(signed) => signed,
            Err(order) => ask_any(self.patience, &self.jobs, self.name(), |reply| Job { order, reply }).await,
        }
    }

    pub(super) fn overdue(&self, task: tokio::task::Id, patience: Duration) -> Result<(), KeystoreError> {
        if self.direct.keeps_waiting(task, patience) { Err(silent(self.name(), patience)) } else { Ok(()) }
    }

    pub(super) async fn unlock(
        &self,
        pin: Secret,
        scope: Scope,
        last_try: LastTry,
    ) -> Result<Vec<Place>, KeystoreError> {
        ask(&self.owner, self.name(), |reply| Command::Unlock { pin, scope, last_try, reply }).await
    }

    pub(super) async fn lock(&self) -> Result<(), KeystoreError> {
        self.board.state().unlocks.clear();
        ask(&self.owner, self.name(), |reply| Command::Lock { reply }).await
    }

    pub(super) async fn generate(
        &self,
        algorithm: Algorithm,
        (role, gun): (&str, Option<&Gun>),
        piv: Option<PivOptions>,
        connection: &Arc<Connection>,
    ) -> Result<KeyInfo, KeystoreError> {
        self.admit(connection).await?;
        let wanted = NewKey { algorithm, label: board::label(role, gun), piv };
        ask(&self.owner, self.name(), |reply| Command::Generate { wanted, reply }).await
    }

    /// Fails if the token is absent, or locked for this connection.
    pub(super) async fn admit(&self, connection: &Arc<Connection>) -> Result<(), KeystoreError> {
        self.refresh().await?;
        if self.board.state().admits(connection) { Ok(()) } else { Err(self.error(Fault::NotLoggedIn)) }
    }

    /// One of its keys.
    pub(super) fn describe(&self, key: &KeyObject) -> KeyInfo {
        self.board.info(key)
    }

    pub(super) async fn info(&self) -> TokenInfo {
        if self.module.is_some() {
            self.look().await;
        } else {
            // Other programs use a YubiKey too: what it tells is asked anew.
            drop(ask_within(GLANCE, &self.owner, self.name(), |reply| Command::Refresh { reply }).await);
        }
        let slots = self.board.slots();
        let state = self.board.state();
        let facts = state.facts.clone();
        let text = |read: fn(&Facts) -> &String| facts.as_ref().map(read).cloned().unwrap_or_default();
        TokenInfo {
            name: self.name().to_owned(),
            label: text(|facts| &facts.label),
            serial: text(|facts| &facts.serial),
            model: text(|facts| &facts.model),
            module: self.module.clone(),
            card: facts.as_ref().and_then(|facts| facts.card.clone()),
            slots,
            present: state.presence == Presence::Here,
            unlocked: state.presence == Presence::Here && (state.unlocks.is_lasting() || state.needs_no_login()),
            tries: state.tries(),
            trouble: state.trouble.clone(),
            roles: self.roles.clone(),
        }
    }
}

/// Starts a thread of a keystore. If it dies, the process does: an agent that only half works is worse than none, and its
/// story is safe against crashes.
pub(super) fn thread(name: &str, running: &Running, body: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
    let running = running.clone();
    // A thread's name cannot hold a NUL, a configured label can.
    let started = std::thread::Builder::new().name(name.replace('\0', "")).spawn(move || {
        let alarm = Alarm;
        body();
        drop(alarm);
        drop(running);
    });
    started.map(drop).map_err(StartError::Thread)
}

/// A keystore that panicked is not to be asked again.
pub(super) struct Alarm;

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a keystore thread panicked: the agent ends");
            std::process::abort();
        }
    }
}
