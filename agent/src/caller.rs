//! Who is calling: the authenticated peer of one connection.

use std::fmt;

/// The name of a caller in policy and in the log, for example `uid:1000`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal(String);

impl Principal {
    /// The owner of a Unix process.
    #[must_use]
    pub fn from_uid(uid: u32) -> Self {
        Self(format!("uid:{uid}"))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One client connection. An `Arc` of it lives exactly as long as the connection, and an unlock made for it
/// keeps a `Weak`: when the client goes, its unlocks are over.
#[derive(Debug)]
pub struct Connection {
    principal: Principal,
}

impl Connection {
    /// A connection of an authenticated peer.
    #[must_use]
    pub fn new(principal: Principal) -> Self {
        Self { principal }
    }

    /// Whose connection it is.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }
}
