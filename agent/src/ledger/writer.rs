//! The one writer: a thread that owns the store and handles what waits as one transaction.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::{
    Entry, Grant, Head, LedgerError, Limits, Op, Outcome, Permit, Preview, Purpose, Reply, Seq, Settlement,
    StatementAsk, TriedAt,
    judge::{Judge, Verdict},
    refusals::Refusals,
};
use crate::{
    caller::Principal,
    clock::Clock,
    intent::Intent,
    log::{self, Event, Frontier, Record},
    policy,
    store::{Batch, BatchError, NewPermit, Store, StoreError, StoredRecord},
};

/// Requests that share one transaction at most.
const BATCH: usize = 256;
/// Records whose bodies are hashed again at each start.
const TAIL: u64 = 1000;

pub(super) struct Writer {
    store: Store,
    id: [u8; 16],
    state: State,
    size: watch::Sender<u64>,
}

/// All but the store, so that a batch can borrow that.
struct State {
    owner: Principal,
    limits: Limits,
    clock: Arc<dyn Clock>,
    frontier: Frontier,
    refusals: Refusals,
    /// Outcomes whose batch could not be committed: written with the next one that can.
    unsettled: Vec<Settlement>,
    /// Outcomes of the batch that is being written.
    settled: Vec<Settlement>,
}

type Stored<T> = Result<T, BatchError>;

/// Sends an answer once the batch is durable, or the reason why it is not.
type Answer = Box<dyn FnOnce(Option<&str>)>;

impl Writer {
    pub(super) fn start(
        store: Store,
        id: [u8; 16],
        owner: Principal,
        limits: Limits,
        clock: Arc<dyn Clock>,
        size: watch::Sender<u64>,
    ) -> Result<Self, StoreError> {
        let state = State {
            owner,
            limits,
            clock,
            frontier: Frontier::default(),
            refusals: Refusals::default(),
            unsettled: Vec::new(),
            settled: Vec::new(),
        };
        let mut writer = Self { store, id, state, size };
        writer.load()?;
        writer.settle_abandoned()?;
        Ok(writer)
    }

    /// Rebuilds the tree and hashes the newest records again.
    fn load(&mut self) -> Result<(), StoreError> {
        let (leaves, tail) = self.read_log().map_err(|source| self.store.fault(source))?;
        let altered = tail.iter().find(|record| log::leaf_hash(&record.body) != record.leaf).map(|record| record.seq);
        let gap = tail.last().is_some_and(|record| record.seq.saturating_add(1) != len(&leaves));
        if let Some(seq) = altered.or_else(|| gap.then(|| len(&leaves))) {
            return Err(StoreError::Altered { path: self.store.path().to_owned(), seq });
        }
        for leaf in leaves {
            self.state.frontier.push(leaf);
        }
        Ok(())
    }

    fn read_log(&mut self) -> Stored<(Vec<log::Hash>, Vec<StoredRecord>)> {
        let batch = self.store.begin()?;
        let leaves = batch.leaves()?;
        let tail = batch.records(len(&leaves).saturating_sub(TAIL), TAIL)?;
        Ok((leaves, tail))
    }

    /// A grant without an outcome was in flight when the last run ended: whether its key signed is not known.
    fn settle_abandoned(&mut self) -> Result<(), StoreError> {
        let Self { store, state, id, .. } = self;
        let result = (|| {
            let batch = store.begin()?;
            let opened = Event::Opened { agent: env!("CARGO_PKG_VERSION").to_owned(), ledger: hex::encode(*id) };
            state.append(&batch, None, opened)?;
            for open in batch.open_permits()? {
                let (seq, key, at) = (Seq(open.seq), open.key, TriedAt::default());
                state.settle(&batch, &Settlement { seq, key, outcome: Outcome::Unknown, at })?;
            }
            batch.commit()
        })();
        result.map_err(|source| self.store.fault(source))
    }

    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Op>) {
        while let Some(first) = queue.blocking_recv() {
            let mut ops = vec![first];
            while ops.len() < BATCH
                && let Ok(op) = queue.try_recv()
            {
                ops.push(op);
            }
            self.handle(ops);
        }
    }

    /// All of it becomes durable, or none: an error of the store refuses every request of the batch.
    fn handle(&mut self, ops: Vec<Op>) {
        let before = self.state.frontier.clone();
        let mut waiting = ops.into_iter();
        let mut answers: Vec<Answer> = Vec::new();
        let result = self.transact(&mut waiting, &mut answers);
        let failure = result.err().map(|source| self.store.fault(source).to_string());
        if let Some(failure) = &failure {
            tracing::error!(%failure, "nothing can be recorded");
            self.state.frontier = before;
        }
        self.size.send_if_modified(|size| std::mem::replace(size, self.state.frontier.size()) != *size);
        let written = std::mem::take(&mut self.state.settled);
        if failure.is_some() {
            self.state.unsettled.extend(written);
        }
        for answer in answers {
            answer(failure.as_deref());
        }
        for op in waiting {
            if let Op::Settle(settlement) = op {
                self.state.unsettled.push(settlement);
                continue;
            }
            fail(op, failure.as_deref().unwrap_or_default());
        }
    }

    fn transact(&mut self, waiting: &mut impl Iterator<Item = Op>, answers: &mut Vec<Answer>) -> Stored<()> {
        let Self { store, state, id, .. } = self;
        let batch = store.begin()?;
        state.settle_late(&batch)?;
        for op in waiting {
            state.handle(&batch, *id, op, answers)?;
        }
        batch.commit()
    }
}

fn len<T>(items: &[T]) -> u64 {
    items.len() as u64
}

/// Holds an answer back until the commit. If the store fails before `fill`, the reply is sent as unavailable.
fn answer<T: 'static>(
    answers: &mut Vec<Answer>,
    reply: Reply<T>,
    result: Stored<Result<T, LedgerError>>,
) -> Stored<()> {
    let (result, outcome) = match result {
        Ok(result) => (result, Ok(())),
        Err(error) => (Err(LedgerError::Unavailable(error.to_string())), Err(error)),
    };
    answers.push(Box::new(move |failure| {
        let result = match failure {
            None => result,
            Some(failure) => Err(LedgerError::Unavailable(failure.to_owned())),
        };
        // Whoever asked may be gone; the record stands all the same.
        drop(reply.send(result));
    }));
    outcome
}

fn fail(op: Op, failure: &str) {
    let mut answers = Vec::new();
    let unavailable = || LedgerError::Unavailable(failure.to_owned());
    let done = match op {
        Op::Decide(_, reply) | Op::State(_, reply) => answer(&mut answers, reply, Ok(Err(unavailable()))),
        Op::Append { reply, .. } | Op::Published { reply, .. } | Op::Abandon { reply, .. } => {
            answer(&mut answers, reply, Ok(Err(unavailable())))
        }
        Op::Preview { reply, .. } => answer(&mut answers, reply, Ok(Err(unavailable()))),
        Op::Read { reply, .. } => answer(&mut answers, reply, Ok(Err(unavailable()))),
        Op::Head(reply) => answer(&mut answers, reply, Ok(Err(unavailable()))),
        Op::Leaves(reply) => answer(&mut answers, reply, Ok(Err(unavailable()))),
        Op::TokensOf(_, reply) => answer(&mut answers, reply, Ok(Err(unavailable()))),
        Op::Settle(_) | Op::Refuse(_) => Ok(()),
    };
    debug_assert!(done.is_ok(), "an answer that is given cannot fail");
    for answer in answers {
        answer(None);
    }
}

impl State {
    fn handle(&mut self, batch: &Batch<'_>, id: [u8; 16], op: Op, answers: &mut Vec<Answer>) -> Stored<()> {
        match op {
            Op::Decide(ask, reply) => {
                let result = self.decide(batch, &ask);
                answer(answers, reply, result)
            }
            Op::State(ask, reply) => {
                let result = self.state(batch, &ask);
                answer(answers, reply, result)
            }
            Op::Settle(settlement) => self.settle_once(batch, settlement),
            Op::Refuse(refused) => match self.refusals.admit(&refused, self.clock.now()) {
                Some(event) => self.append(batch, Some(refused.principal), event).map(drop),
                None => Ok(()),
            },
            Op::Append { principal, event, token, reply } => {
                let known = token.map_or(Ok(()), |(key, token)| batch.add_key_token(key, &token));
                let result = known.and_then(|()| self.append(batch, principal, event)).map(Ok);
                answer(answers, reply, result)
            }
            Op::TokensOf(key, reply) => answer(answers, reply, batch.tokens_of(key).map(Ok)),
            Op::Published { principal, gun, shown, reply } => {
                let result = self.judge(batch).published(&gun, &shown);
                let result = self.carry_out(batch, &principal, result);
                answer(answers, reply, result)
            }
            Op::Abandon { principal, gun, mark, shown, reply } => {
                let result = self.judge(batch).abandon(&gun, mark, &shown);
                let result = self.carry_out(batch, &principal, result);
                answer(answers, reply, result)
            }
            Op::Preview { intent, shown, acknowledged, reply } => {
                let result = self.judge(batch).preview(&intent, &shown, &acknowledged);
                answer(answers, reply, result.map(Ok::<Preview, LedgerError>))
            }
            Op::Read { from, limit, reply } => {
                let entries = |records: Vec<StoredRecord>| {
                    records.into_iter().map(|record| Entry { seq: record.seq, body: record.body }).collect()
                };
                answer(answers, reply, batch.records(from, limit).map(|records| Ok(entries(records))))
            }
            Op::Head(reply) => {
                let head = Head { ledger_id: id, size: self.frontier.size(), root: self.frontier.root() };
                answer(answers, reply, Ok(Ok(head)))
            }
            Op::Leaves(reply) => answer(answers, reply, batch.leaves().map(Ok)),
        }
    }

    fn judge<'a>(&self, batch: &'a Batch<'a>) -> Judge<'a> {
        Judge { batch, limits: self.limits }
    }

    fn append(&mut self, batch: &Batch<'_>, principal: Option<Principal>, event: Event) -> Stored<u64> {
        let seq = self.frontier.size();
        let body = Record { seq, time: self.clock.now(), principal, event }.encode();
        let leaf = log::leaf_hash(&body);
        batch.append(seq, &body, &leaf)?;
        self.frontier.push(leaf);
        Ok(seq)
    }

    /// Policy first, then the guard: a stranger learns no versions.
    fn decide(&mut self, batch: &Batch<'_>, ask: &super::Ask) -> Stored<Result<Grant, LedgerError>> {
        if let Err(denied) = policy::decide(&self.owner, &ask.principal) {
            return Ok(Err(denied.into()));
        }
        let verdict = match self.judge(batch).decide(&ask.intent, &ask.shown, &ask.keys, &ask.acknowledged)? {
            Ok(verdict) => verdict,
            Err(refusal) => return Ok(Err(refusal.into())),
        };
        let Verdict { events, granted, decision, line, notices } = verdict;
        for event in events {
            self.append(batch, Some(ask.principal.clone()), event)?;
        }
        let seq = self.append(batch, Some(ask.principal.clone()), granted)?;
        let mut permits = Vec::with_capacity(ask.keys.len());
        for (key, scheme) in &ask.keys {
            batch.add_permit(&NewPermit {
                seq,
                key: *key,
                line: Some((line, &ask.intent.role, ask.intent.version())),
            })?;
            let Intent { gun, role, signed, .. } = ask.intent.as_ref();
            let purpose = Purpose { gun: gun.to_string(), role: role.to_string() };
            permits.push(Permit::grant(Seq(seq), *key, *scheme, signed.clone(), purpose));
        }
        Ok(Ok(Grant { permits, decision: decision.as_str(), seq: Seq(seq), notices }))
    }

    fn state(&mut self, batch: &Batch<'_>, ask: &StatementAsk) -> Stored<Result<Grant, LedgerError>> {
        if let Err(denied) = policy::decide(&self.owner, &ask.principal) {
            return Ok(Err(denied.into()));
        }
        let (event, purpose) = ask.statement.recorded(ask.key, signet_tuf::Digest::of(&ask.message));
        let seq = self.append(batch, Some(ask.principal.clone()), event)?;
        batch.add_permit(&NewPermit { seq, key: ask.key, line: None })?;
        let permit = Permit::grant(Seq(seq), ask.key, ask.scheme, ask.message.clone(), purpose);
        Ok(Ok(Grant { permits: vec![permit], decision: "first", seq: Seq(seq), notices: Vec::new() }))
    }

    fn carry_out(
        &mut self,
        batch: &Batch<'_>,
        principal: &Principal,
        judged: Stored<Result<Vec<Event>, LedgerError>>,
    ) -> Stored<Result<u64, LedgerError>> {
        if let Err(denied) = policy::decide(&self.owner, principal) {
            return Ok(Err(denied.into()));
        }
        let events = match judged? {
            Ok(events) => events,
            Err(error) => return Ok(Err(error)),
        };
        let mut last = self.frontier.size().saturating_sub(1);
        for event in events {
            last = self.append(batch, Some(principal.clone()), event)?;
        }
        Ok(Ok(last))
    }

    /// Outcomes of batches that failed.
    fn settle_late(&mut self, batch: &Batch<'_>) -> Stored<()> {
        let mut written = Ok(());
        for settlement in std::mem::take(&mut self.unsettled) {
            if written.is_ok() {
                written = self.settle_once(batch, settlement);
            } else {
                self.settled.push(settlement);
            }
        }
        written
    }

    /// Kept until its batch is on the disk: an outcome is not lost to another request's failure.
    fn settle_once(&mut self, batch: &Batch<'_>, settlement: Settlement) -> Stored<()> {
        let written = self.settle(batch, &settlement);
        self.settled.push(settlement);
        written
    }

    fn settle(&mut self, batch: &Batch<'_>, settlement: &Settlement) -> Stored<()> {
        let Settlement { seq, key, outcome, at } = settlement;
        if !batch.settle(seq.0, *key, outcome.as_str())? {
            return Ok(());
        }
        let place = at.place.clone();
        self.append(batch, None, Event::Outcome { of: seq.0, key: *key, outcome: outcome.as_str(), place })?;
        match (outcome, &at.token) {
            (Outcome::Signed, Some(token)) => batch.add_key_token(*key, token),
            (Outcome::NotSigned, _) => batch.release(seq.0, *key),
            (Outcome::Signed | Outcome::Unknown, _) => Ok(()),
        }
    }
}
