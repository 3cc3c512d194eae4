//! How work reaches the threads of a keystore, and answers come back.

use std::collections::VecDeque;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{KeystoreError, Reached};

/// What waits in a queue at most.
pub(super) const QUEUE: usize = 256;
/// How often ended unlocks are looked for, and tokens looked at.
pub(super) const SWEEP: Duration = Duration::from_secs(1);
/// A token that did not answer by then will not: longer than any touch that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The way back to one asker.
#[derive(Debug)]
pub(super) struct Reply<T> {
    sender: oneshot::Sender<Result<T, KeystoreError>>,
    taken: Taken,
}

/// When a thread began with a request, if it did.
type Taken = Arc<OnceLock<Instant>>;

impl<T> Reply<T> {
    pub(super) fn send(self, answer: Result<T, KeystoreError>) {
        // An asker that is gone needs no answer.
        drop(self.sender.send(answer));
    }

    /// Begins with the request. False if the asker is gone: nothing should be signed for nobody.
    pub(super) fn begin(&self) -> bool {
        // In this order: an asker that finds that nobody has begun is gone before.
        self.taken.get_or_init(Instant::now);
        !self.sender.is_closed()
    }
}

/// Puts a request into a thread's inbox and waits for its answer.
pub(super) async fn ask<T, R>(
    inbox: &SyncSender<R>,
    name: &str,
    request: impl FnOnce(Reply<T>) -> R,
) -> Result<T, KeystoreError> {
    ask_within(PATIENCE, inbox, name, request).await
}

/// The same, for questions that can go without an answer.
pub(super) async fn ask_within<T, R>(
    patience: Duration,
    inbox: &SyncSender<R>,
    name: &str,
    request: impl FnOnce(Reply<T>) -> R,
) -> Result<T, KeystoreError> {
    let (sender, answer) = oneshot::channel();
    match inbox.try_send(request(Reply { sender, taken: Taken::default() })) {
        Ok(()) => wait(patience, name, answer).await,
        Err(TrySendError::Full(_)) => Err(KeystoreError::Busy),
        Err(TrySendError::Disconnected(_)) => Err(ended(name)),
    }
}

/// Puts a job into a shared queue and waits for its answer: so long until a thread begins with it, and so long again until
/// that is done. One that nobody began with will not be done.
pub(super) async fn ask_any<T, R>(
    patience: Duration,
    jobs: &Jobs<R>,
    name: &str,
    request: impl FnOnce(Reply<T>) -> R,
) -> Result<T, KeystoreError> {
    let (sender, mut answer) = oneshot::channel();
    let taken = Taken::default();
    if !jobs.push(request(Reply { sender, taken: Arc::clone(&taken) })) {
        return Err(KeystoreError::Busy);
    }
    match tokio::time::timeout(patience, &mut answer).await {
        Ok(answer) => return answer.unwrap_or_else(|_| Err(ended(name))),
        Err(_) if taken.get().is_none() => {
            answer.close();
            // It may have begun in this instant.
            if taken.get().is_none() {
                return Err(KeystoreError::Busy);
            }
        }
        Err(_) => {}
    }
    let since = taken.get().map_or(Duration::ZERO, Instant::elapsed);
    match tokio::time::timeout(patience.saturating_sub(since), answer).await {
        Ok(answer) => answer.unwrap_or_else(|_| Err(ended(name))),
        Err(_) => Err(silent(name, patience)),
    }
}

async fn wait<T>(
    patience: Duration,
    name: &str,
    answer: oneshot::Receiver<Result<T, KeystoreError>>,
) -> Result<T, KeystoreError> {
    match tokio::time::timeout(patience, answer).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(ended(name)),
        Err(_) => Err(silent(name, patience)),
    }
}

/// A token that does not answer.
pub(super) fn silent(name: &str, patience: Duration) -> KeystoreError {
    failed(name, format!("no answer within {} seconds", patience.as_secs()))
}

fn ended(name: &str) -> KeystoreError {
    failed(name, "its thread ended: restart the agent".to_owned())
}

fn failed(name: &str, what: String) -> KeystoreError {
    KeystoreError::Failed { token: name.to_owned(), what, reached: Reached::Unknown }
}

/// A bounded queue that several threads serve.
#[derive(Debug)]
pub(super) struct Jobs<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    more: Condvar,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<T>,
    open: bool,
}

/// The end at which jobs are taken.
#[derive(Debug)]
pub(super) struct Taker<T>(Arc<Shared<T>>);

impl<T> Jobs<T> {
    pub(super) fn new() -> Self {
        let state = Mutex::new(State { waiting: VecDeque::new(), open: true });
        Self(Arc::new(Shared { state, more: Condvar::new() }))
    }

    pub(super) fn taker(&self) -> Taker<T> {
        Taker(Arc::clone(&self.0))
    }

    /// False if the queue is full.
    fn push(&self, job: T) -> bool {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.waiting.len() >= QUEUE {
            return false;
        }
        state.waiting.push_back(job);
        drop(state);
        self.0.more.notify_one();
        true
    }
}

impl<T> Drop for Jobs<T> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).open = false;
        self.0.more.notify_all();
    }
}

impl<T> Taker<T> {
    /// The next job, however long that takes; `None` once the queue is closed and empty.
    pub(super) fn take(&self) -> Option<T> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(job) = state.waiting.pop_front() {
                return Some(job);
            }
            if !state.open {
                return None;
            }
            state = self.0.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Jobs, QUEUE};

    #[test]
    fn a_full_queue_takes_no_more() {
        let jobs = Jobs::new();
        for job in 0..QUEUE {
            assert!(jobs.push(job));
        }
        assert!(!jobs.push(QUEUE));
        assert_eq!(jobs.taker().take(), Some(0));
        assert!(jobs.push(QUEUE));
    }

    #[test]
    fn a_closed_queue_is_emptied_first() {
        let jobs = Jobs::new();
        let taker = jobs.taker();
        assert!(jobs.push(1));
        drop(jobs);
        assert_eq!((taker.take(), taker.take()), (Some(1), None));
    }
}
