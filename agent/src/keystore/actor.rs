//! One keystore: a configured token, the thread that owns it and the threads that sign on it.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use signet_tuf::{Algorithm, Gun};

use super::board::{self, Board, Presence};
use super::direct::Direct;
use super::owner::{Command, Owner, token_error};
use super::pin::Refused;
use super::queue::{Jobs, QUEUE, ask, ask_any, ask_within, silent};
use super::signer::{Job, Order, Signer};
use super::token::{Facts, Fault, Token};
use super::{KeyInfo, KeystoreError, LastTry, Located, Place, Scope, StartError, TokenInfo};
use crate::caller::Connection;
use crate::config::TokenConfig;
use crate::ledger::Permit;
use crate::secret::Secret;

/// How long a question about all keys waits for one token.
const GLANCE: Duration = Duration::from_secs(5);

/// The door to one token. Its threads end when it is dropped.
#[derive(Debug)]
pub(super) struct Keystore {
    board: Board,
    module: PathBuf,
    roles: Vec<String>,
    owner: SyncSender<Command>,
    /// Before the queue: its sessions are closed by the last signing thread, not by who drops this.
    direct: Arc<Direct>,
    jobs: Jobs<Job>,
}

/// Every thread of every keystore holds a sender while it runs.
pub(super) type Running = SyncSender<Infallible>;

impl Keystore {
    pub(super) fn start<T: Token>(config: &TokenConfig, token: T, running: &Running) -> Result<Self, StartError> {
        let name = config.name();
        let board = Board::new(name);
        let refused = Refused::new().ok_or_else(|| StartError::Thread(std::io::Error::other("no random numbers")))?;
        let (sender, inbox) = sync_channel(QUEUE);
        let owner = Owner::new(token.clone(), board.clone(), config.pin_file.clone(), refused);
        thread(&format!("token-{name}"), running, move || owner.run(&inbox))?;

        let signer = || Signer::new(token.clone(), board.clone(), sender.clone());
        let direct = Arc::new(Direct::new(board.clone(), (1..=config.sessions).map(|_| signer())));
        let jobs = Jobs::new();
        for number in 1..=config.sessions {
            let (signer, taker, direct) = (signer(), jobs.taker(), Arc::clone(&direct));
            thread(&format!("session-{number}-{name}"), running, move || {
                signer.run(&taker);
                drop(direct);
            })?;
        }
        Ok(Self { module: config.module.clone(), roles: config.roles.clone(), owner: sender, direct, jobs, board })
    }

    pub(super) fn name(&self) -> &str {
        self.board.name()
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
        ask(&self.owner, self.name(), |reply| Command::Refresh { reply }).await
    }

    pub(super) async fn sign(&self, permit: &Permit, connection: &Arc<Connection>) -> Result<Vec<u8>, KeystoreError> {
        let order = Order {
            key: permit.key(),
            scheme: permit.scheme(),
            message: permit.message().clone(),
            connection: Arc::clone(connection),
        };
        match self.direct.sign(order) {
            Ok(signed) => signed,
            Err(order) => ask_any(&self.jobs, self.name(), |reply| Job { order, reply }).await,
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
        ask(&self.owner, self.name(), |reply| Command::Lock { reply }).await
    }

    pub(super) async fn generate(
        &self,
        algorithm: Algorithm,
        role: &str,
        gun: Option<&Gun>,
        connection: &Arc<Connection>,
    ) -> Result<KeyInfo, KeystoreError> {
        self.refresh().await?;
        if !self.board.state().admits(connection) {
            return Err(token_error(&self.board, Fault::NotLoggedIn));
        }
        let label = board::label(role, gun);
        ask(&self.owner, self.name(), |reply| Command::Generate { algorithm, label, reply }).await
    }

    pub(super) async fn info(&self) -> TokenInfo {
        self.look().await;
        let state = self.board.state();
        let facts = state.facts.clone();
        let text = |read: fn(&Facts) -> &String| facts.as_ref().map(read).cloned().unwrap_or_default();
        TokenInfo {
            name: self.name().to_owned(),
            label: text(|facts| &facts.label),
            serial: text(|facts| &facts.serial),
            model: text(|facts| &facts.model),
            module: self.module.clone(),
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
