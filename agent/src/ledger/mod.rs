//! The reference monitor: one writer that judges, records, and only then grants.
//!
//! Owns the ledger's file through one thread. Requests that wait share a transaction and its sync; no reply
//! leaves before the commit. It never touches a key.

mod judge;
mod permit;
mod refusals;
mod statement;
#[cfg(test)]
mod tests;
mod writer;

use std::{path::Path, sync::Arc};

use signet_tuf::{Digest, Gun, KeyName, Version};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    caller::Principal,
    clock::Clock,
    guard::{Refusal, Shown},
    intent::{Intent, Mark},
    log::{Event, Hash},
    policy::Denied,
    store::{Store, StoreError},
};

pub use permit::{Permit, Purpose, Scheme, Seq};
pub use statement::{Statement, StatementAsk};

/// Requests that wait for the writer; more are refused as busy.
const QUEUE: usize = 256;

/// A request, ready to be judged.
#[derive(Debug)]
pub struct Ask {
    /// Who asks.
    pub principal: Principal,
    /// What for.
    pub intent: Arc<Intent>,
    /// What was shown, verified.
    pub shown: Arc<Shown>,
    /// The keys that would sign, present and unlocked.
    pub keys: Vec<(KeyName, Scheme)>,
    /// Findings acknowledged for these bytes.
    pub acknowledged: Vec<String>,
}

/// Leave to sign.
#[derive(Debug)]
pub struct Grant {
    /// One for each key.
    pub permits: Vec<Permit>,
    /// "first", "next" or "repeat".
    pub decision: &'static str,
    /// Where the grant stands in the log.
    pub seq: Seq,
    /// Sentences for the person who waits.
    pub notices: Vec<String>,
}

/// What became of a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The key has signed.
    Signed,
    /// It is proved that it has not.
    NotSigned,
    /// It may have.
    Unknown,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::NotSigned => "not-signed",
            Self::Unknown => "unknown",
        }
    }
}

/// Where a key was tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TriedAt {
    /// As it stands in the record.
    pub place: String,
    /// The token's configured name; none for a file.
    pub token: Option<String>,
}

/// A request that was refused before it could be judged, for the record.
#[derive(Debug, Clone)]
pub struct RefusedRequest {
    /// Who asked.
    pub principal: Principal,
    /// What was asked: "sign", "certify", ...
    pub request: &'static str,
    /// As the caller wrote it.
    pub gun: String,
    /// As the caller wrote it.
    pub role: String,
    /// Version and digest, if the metadata could be read.
    pub content: Option<Mark>,
    /// The reason on the wire.
    pub reason: &'static str,
}

/// Why there is no grant.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Policy.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The guard.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nothing of this kind to abandon.
    #[error("{0}")]
    NothingToAbandon(String),
    /// The ledger's file cannot be written: nothing is signed.
    #[error("nothing can be recorded, so nothing is signed: {0}")]
    Unavailable(String),
    /// Too much waits.
    #[error("{QUEUE} requests wait already: try again")]
    Busy,
}

/// The ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The writer's thread.
    #[error("the ledger's thread cannot be started: {0}")]
    Thread(#[source] std::io::Error),
}

/// What the guard would say.
#[derive(Debug, Clone)]
pub struct Preview {
    /// Lowest free version.
    pub next_version: u64,
    /// The refusal, if there would be one.
    pub refusal: Option<Refusal>,
}

/// The tree's size and hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The ledger's ID.
    pub ledger_id: [u8; 16],
    /// Number of records.
    pub size: u64,
    /// Merkle tree hash.
    pub root: Hash,
}

/// A record as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Position.
    pub seq: u64,
    /// Canonical JSON.
    pub body: Vec<u8>,
}

type Reply<T> = oneshot::Sender<Result<T, LedgerError>>;

/// The end of a permit.
struct Settlement {
    seq: Seq,
    key: KeyName,
    outcome: Outcome,
    at: TriedAt,
}

/// What the writer is asked.
enum Op {
    Decide(Box<Ask>, Reply<Grant>),
    State(Box<StatementAsk>, Reply<Grant>),
    Settle(Settlement),
    Refuse(RefusedRequest),
    Append { principal: Option<Principal>, event: Event, token: Option<(KeyName, String)>, reply: Reply<u64> },
    TokensOf(KeyName, Reply<Vec<String>>),
    Published { principal: Principal, gun: Gun, shown: Box<Shown>, reply: Reply<u64> },
    Abandon { principal: Principal, gun: Gun, mark: Mark, shown: Box<Shown>, reply: Reply<u64> },
    Preview { intent: Arc<Intent>, shown: Arc<Shown>, acknowledged: Vec<String>, reply: Reply<Preview> },
    Read { from: u64, limit: u64, reply: Reply<Vec<Entry>> },
    Head(Reply<Head>),
    Leaves(Reply<Vec<Hash>>),
}

/// Rules that configuration may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How far above the reference a version may be; root: always 1.
    pub jump: u64,
}

/// The door to the writer. Clones share it.
#[derive(Debug, Clone)]
pub struct Ledger {
    ops: mpsc::Sender<Op>,
    id: [u8; 16],
    grown: watch::Receiver<u64>,
}

/// Resolves when the writer's thread has ended.
pub type WriterEnded = oneshot::Receiver<()>;

impl Ledger {
    /// Opens the ledger's file, verifies its log, records what the last run left unsettled, and starts the writer.
    ///
    /// # Errors
    /// [`OpenError`] if the file cannot be used or does not match its hashes.
    pub fn open(
        path: &Path,
        owner: Principal,
        limits: Limits,
        clock: Arc<dyn Clock>,
        new_id: [u8; 16],
    ) -> Result<(Self, WriterEnded), OpenError> {
        let store = Store::open(path, new_id)?;
        let id = store.ledger_id().map_err(|source| store.fault(source))?;
        let (size, grown) = watch::channel(0);
        let writer = writer::Writer::start(store, id, owner, limits, clock, size)?;
        let (ops, queue) = mpsc::channel(QUEUE);
        let (ended, has_ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("ledger".to_owned()).spawn(move || {
            writer.run(queue);
            drop(ended);
        });
        match thread {
            Ok(_) => Ok((Self { ops, id, grown }, has_ended)),
            Err(error) => Err(OpenError::Thread(error)),
        }
    }

    /// The ledger's ID.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Changes whenever records were added: the number of records.
    #[must_use]
    pub fn grown(&self) -> watch::Receiver<u64> {
        self.grown.clone()
    }

    /// Judges a request and records the verdict; the grant is durable when this returns.
    ///
    /// # Errors
    /// [`LedgerError`]; nothing is claimed then.
    ///
    /// # Cancellation
    /// The verdict is recorded all the same, and its permits are settled as unknown at the next start.
    pub async fn decide(&self, ask: Ask) -> Result<Grant, LedgerError> {
        self.ask(|reply| Op::Decide(Box::new(ask), reply)).await
    }

    /// Records leave to sign what the agent has built by itself.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn state(&self, ask: StatementAsk) -> Result<Grant, LedgerError> {
        self.ask(|reply| Op::State(Box::new(ask), reply)).await
    }

    /// Records what became of a permit. It is not waited for: the grant was durable already.
    pub async fn settle(&self, permit: Permit, outcome: Outcome, at: TriedAt) {
        let op = Op::Settle(Settlement { seq: permit.seq(), key: permit.key(), outcome, at });
        if self.ops.send(op).await.is_err() {
            tracing::error!(seq = permit.seq().0, "the ledger is gone, an outcome was not recorded");
        }
    }

    /// Records a refusal. If there is no room, it is only counted in the log file: refusals never delay grants.
    pub fn refuse(&self, refused: RefusedRequest) {
        if let Err(error) = self.ops.try_send(Op::Refuse(refused)) {
            tracing::warn!(%error, "a refusal was not recorded");
        }
    }

    /// Records an event; durable when this returns.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`].
    pub async fn append(&self, principal: Option<Principal>, event: Event) -> Result<u64, LedgerError> {
        self.ask(|reply| Op::Append { principal, event, token: None, reply }).await
    }

    /// Records that a key was made on a token, which is missed from now on when it is absent.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`].
    pub async fn key_made(
        &self,
        principal: Principal,
        event: Event,
        token: Option<(KeyName, String)>,
    ) -> Result<u64, LedgerError> {
        self.ask(|reply| Op::Append { principal: Some(principal), event, token, reply }).await
    }

    /// The tokens that a key is known to be on.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`].
    pub async fn tokens_of(&self, key: KeyName) -> Result<Vec<String>, LedgerError> {
        self.ask(|reply| Op::TokensOf(key, reply)).await
    }

    /// Records that the server serves the collection with the newest root shown.
    ///
    /// # Errors
    /// [`LedgerError`] if the collection is unknown.
    pub async fn published(&self, principal: Principal, gun: Gun, shown: Shown) -> Result<u64, LedgerError> {
        self.ask(|reply| Op::Published { principal, gun, shown: Box::new(shown), reply }).await
    }

    /// Gives up a signed root that never got out.
    ///
    /// # Errors
    /// [`LedgerError::NothingToAbandon`] says why it cannot be.
    pub async fn abandon(
        &self,
        principal: Principal,
        gun: Gun,
        version: Version,
        digest: Digest,
        shown: Shown,
    ) -> Result<u64, LedgerError> {
        let mark = Mark { version, digest };
        self.ask(|reply| Op::Abandon { principal, gun, mark, shown: Box::new(shown), reply }).await
    }

    /// What would be decided? Claims nothing.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`].
    pub async fn preview(
        &self,
        intent: Arc<Intent>,
        shown: Arc<Shown>,
        acknowledged: Vec<String>,
    ) -> Result<Preview, LedgerError> {
        self.ask(|reply| Op::Preview { intent, shown, acknowledged, reply }).await
    }

    /// Up to `limit` records from `from` on.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`].
    pub async fn read(&self, from: u64, limit: u64) -> Result<Vec<Entry>, LedgerError> {
        self.ask(|reply| Op::Read { from, limit, reply }).await
    }

    /// Size and hash of the log.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`].
    pub async fn head(&self) -> Result<Head, LedgerError> {
        self.ask(Op::Head).await
    }

    /// All leaf hashes.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`].
    pub async fn leaves(&self) -> Result<Vec<Hash>, LedgerError> {
        self.ask(Op::Leaves).await
    }

    async fn ask<T>(&self, op: impl FnOnce(Reply<T>) -> Op) -> Result<T, LedgerError> {
        let (reply, answer) = oneshot::channel();
        self.ops.try_send(op(reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => LedgerError::Busy,
            mpsc::error::TrySendError::Closed(_) => gone(),
        })?;
        answer.await.map_err(|_| gone())?
    }
}

fn gone() -> LedgerError {
    LedgerError::Unavailable("the ledger's writer has ended".to_owned())
}
