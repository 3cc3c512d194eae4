//! Signing in the asker's own thread, on tokens that answer at once.
//!
//! To wake a signing thread and to be woken by it takes as long as a signature of a token in memory. Tokens that take
//! their time are left to the threads: there an asker can give up, and a touch is waited for.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::{Id, block_in_place, try_id};

use super::KeystoreError;
use super::actor::Alarm;
use super::board::Board;
use super::signer::{Order, Signer};
use super::token::Token;

/// A token whose last signature took longer is not asked here.
const AT_ONCE: Duration = Duration::from_millis(1);

type Hand = Box<dyn FnMut(&Order) -> Result<Vec<u8>, KeystoreError> + Send>;

/// Sessions that askers take, use and put back.
pub(super) struct Direct {
    board: Board,
    state: Mutex<State>,
}

struct State {
    free: Vec<Hand>,
    /// Which task has awaited a signature since when. A task awaits one at a time.
    busy: Vec<(Instant, Option<Id>)>,
}

impl Direct {
    pub(super) fn new<T: Token>(board: Board, signers: impl Iterator<Item = Signer<T>>) -> Self {
        let hand = |mut signer: Signer<T>| -> Hand { Box::new(move |order| signer.sign(order)) };
        Self { board, state: Mutex::new(State { free: signers.map(hand).collect(), busy: Vec::new() }) }
    }

    /// Signs here and now; gives the order back if that is for a signing thread to do.
    pub(super) fn sign(&self, order: Order) -> Result<Result<Vec<u8>, KeystoreError>, Order> {
        if !self.board.signs_within(AT_ONCE) {
            return Err(order);
        }
        let task = try_id();
        let mut state = self.state();
        let Some(mut hand) = state.free.pop() else { return Err(order) };
        state.busy.push((Instant::now(), task));
        drop(state);
        // A token that was quick may hang: everybody else goes on, and who waits is told.
        let signed = block_in_place(|| {
            let _alarm = Alarm;
            hand(&order)
        });
        let mut state = self.state();
        if let Some(mine) = state.busy.iter().position(|(_, whose)| *whose == task) {
            state.busy.swap_remove(mine);
        }
        state.free.push(hand);
        Ok(signed)
    }

    /// Whether a task has awaited its signature for so long.
    pub(super) fn keeps_waiting(&self, task: Id, patience: Duration) -> bool {
        self.state().busy.iter().any(|(since, whose)| *whose == Some(task) && since.elapsed() > patience)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct").field("board", &self.board).finish_non_exhaustive()
    }
}
