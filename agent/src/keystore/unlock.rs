//! Who may use what was unlocked, and for how long.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::caller::Connection;

/// How long an unlock lives.
#[derive(Debug, Clone)]
pub enum Scope {
    /// As long as one client's connection.
    Connection(Weak<Connection>),
    /// Until it is locked again, the agent ends, or this moment comes.
    Lasting(Option<Instant>),
}

impl Scope {
    /// Lasting, but no longer than so many seconds; 0: without a limit.
    #[must_use]
    pub fn lasting(seconds: u64) -> Self {
        let limit = (seconds > 0).then(|| Instant::now().checked_add(Duration::from_secs(seconds)));
        Self::Lasting(limit.flatten())
    }
}

/// What to do when one PIN try is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastTry {
    /// Keep it, and say so.
    Keep,
    /// The caller knows, and spends it.
    Spend,
}

/// The unlocks of one token or key file that live at the same time.
#[derive(Debug, Default)]
pub(super) struct Unlocks {
    lasting: Option<Lasting>,
    connections: Vec<Weak<Connection>>,
}

/// An unlock for everybody.
#[derive(Debug, Clone, Copy)]
struct Lasting {
    until: Option<Instant>,
}

impl Lasting {
    fn lives(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

impl Unlocks {
    pub(super) fn add(&mut self, scope: Scope) {
        match scope {
            Scope::Lasting(until) => self.lasting = Some(Lasting { until }),
            Scope::Connection(connection) => {
                if !self.connections.iter().any(|known| known.ptr_eq(&connection)) {
                    self.connections.push(connection);
                }
            }
        }
    }

    /// Forgets connections that are gone. True while any unlock lives.
    pub(super) fn sweep(&mut self) -> bool {
        self.connections.retain(|connection| connection.strong_count() > 0);
        self.is_lasting() || !self.connections.is_empty()
    }

    pub(super) fn admits(&self, connection: &Arc<Connection>) -> bool {
        self.is_lasting() || self.connections.iter().any(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(connection)))
    }

    pub(super) fn is_lasting(&self) -> bool {
        self.lasting.is_some_and(|lasting| lasting.lives())
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Scope, Unlocks};
    use crate::caller::{Connection, Principal};

    #[test]
    fn an_unlock_ends_with_its_connection() {
        let (mine, other) =
            (Arc::new(Connection::new(Principal::from_uid(1))), Arc::new(Connection::new(Principal::from_uid(1))));
        let mut unlocks = Unlocks::default();
        unlocks.add(Scope::Connection(Arc::downgrade(&mine)));
        assert!(unlocks.admits(&mine));
        assert!(!unlocks.admits(&other));
        assert!(unlocks.sweep());
        drop(mine);
        assert!(!unlocks.sweep());
    }

    #[test]
    fn a_lasting_unlock_is_for_everyone() {
        let any = Arc::new(Connection::new(Principal::from_uid(1)));
        let mut unlocks = Unlocks::default();
        unlocks.add(Scope::Lasting(None));
        assert!(unlocks.admits(&any) && unlocks.sweep() && unlocks.is_lasting());
        unlocks.clear();
        assert!(!unlocks.admits(&any));
    }

    #[test]
    fn a_lasting_unlock_may_have_an_end() {
        let any = Arc::new(Connection::new(Principal::from_uid(1)));
        let mut unlocks = Unlocks::default();
        unlocks.add(Scope::Lasting(Some(std::time::Instant::now())));
        assert!(!unlocks.admits(&any) && !unlocks.sweep());
        unlocks.add(Scope::lasting(3600));
        assert!(unlocks.admits(&any) && unlocks.sweep());
        assert!(matches!(Scope::lasting(0), Scope::Lasting(None)));
    }
}
