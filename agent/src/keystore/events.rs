//! What happens to tokens, told to whoever listens.

use tokio::sync::broadcast;

use super::Tries;
use crate::ledger::Purpose;

/// Who listens too slowly misses the oldest ones.
const KEPT: usize = 256;

/// Something that happened to a token. `token` is its configured name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It is here.
    Inserted {
        /// Which.
        token: String,
    },
    /// It is gone.
    Removed {
        /// Which.
        token: String,
    },
    /// It waits to be touched for a signature.
    TouchWanted {
        /// Which.
        token: String,
        /// What is signed.
        purpose: Purpose,
        /// So long it will wait.
        seconds: u64,
        /// It may not want to be touched at all.
        perhaps: bool,
    },
    /// It waits no more.
    TouchEnded {
        /// Which.
        token: String,
        /// What was signed.
        purpose: Purpose,
    },
    /// A wrong PIN was tried.
    TriesLeft {
        /// Which.
        token: String,
        /// How many are left.
        tries: Tries,
    },
}

/// The place where events are told. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Events(broadcast::Sender<Event>);

impl Events {
    pub(super) fn new() -> Self {
        Self(broadcast::channel(KEPT).0)
    }

    pub(super) fn tell(&self, event: Event) {
        // Nobody needs to listen.
        drop(self.0.send(event));
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}
