//! What an operation may do at the server.

/// What an operation may do at the server, and so what a token is asked for. Greater ones include smaller ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Read; as nobody, if the server lets nobody read.
    Read,
    /// Read and publish.
    Write,
    /// Everything: rotate the server's keys, delete.
    Admin,
}

impl Access {
    /// Notary 0.7: the client asks for these actions, whatever the server's challenge names.
    pub(super) const fn actions(self) -> &'static str {
        match self {
            Self::Read => "pull",
            Self::Write => "push,pull",
            Self::Admin => "*",
        }
    }

    /// For people: what the server does not let somebody do.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "publish",
            Self::Admin => "administer",
        }
    }
}
