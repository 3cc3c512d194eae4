//! Who may use what was unlocked, and for how long.

use std::sync::{Arc, Weak};

use crate::caller::Connection;

/// How long an unlock lives.
#[derive(Debug, Clone)]
pub enum Scope {
    /// As long as one client's connection.
    Connection(Weak<Connection>),
    /// Until it is locked again or the agent ends.
    Lasting,
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
    lasting: bool,
    connections: Vec<Weak<Connection>>,
}

impl Unlocks {
    pub(super) fn add(&mut self, scope: Scope) {
        match scope {
            Scope::Lasting => self.lasting = true,
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
        self.lasting || self.connections.iter().any(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(connection)))
    }

    pub(super) fn is_lasting(&self) -> bool {
        self.lasting
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
        unlocks.add(Scope::Lasting);
        assert!(unlocks.admits(&any) && unlocks.sweep() && unlocks.is_lasting());
        unlocks.clear();
        assert!(!unlocks.admits(&any));
    }
}
