//! What is asked: metadata that was parsed, and is canonical to the byte.

use bytes::Bytes;
use signet_tuf::{Digest, Gun, KeyId, Metadata, NameError, ParseError, Role, Version, notary1};

/// One content of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The version.
    pub version: Version,
    /// SHA-256 of `signed`.
    pub digest: Digest,
}

/// A request to sign one version of one role, understood.
#[derive(Debug, Clone)]
pub struct Intent {
    /// The collection's name.
    pub gun: Gun,
    /// The role.
    pub role: Role,
    /// Keys by ID, as root or the parent lists them; empty: every listed key that is at hand.
    pub keys: Vec<KeyId>,
    /// What the bytes say.
    pub metadata: Metadata,
    /// The bytes: `canonical(parse(signed)) == signed`.
    pub signed: Bytes,
    /// SHA-256 of the bytes.
    pub digest: Digest,
}

/// A request that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// The collection's name.
    #[error("gun: {0}")]
    Gun(#[source] NameError),
    /// The role's name.
    #[error("role: {0}")]
    Role(#[source] NameError),
    /// A key ID that is none.
    #[error("keys: `{0}` is not a key ID of 64 hex digits")]
    KeyId(String),
    /// The metadata.
    #[error("this is not metadata of role {role}: {source}")]
    Metadata {
        /// The role that was named.
        role: Role,
        /// Where and why.
        source: ParseError,
    },
    /// A dialect that this agent does not speak.
    #[error("pouf: the dialect is missing or unknown to this agent")]
    Pouf,
}

/// Whose metadata it is about.
///
/// # Errors
/// [`Malformed::Gun`], [`Malformed::Role`].
pub fn subject(gun: &str, role: &str) -> Result<(Gun, Role), Malformed> {
    Ok((Gun::parse(gun).map_err(Malformed::Gun)?, Role::parse(role).map_err(Malformed::Role)?))
}

impl Intent {
    /// Understands a request in Notary's dialect.
    ///
    /// # Errors
    /// [`Malformed`] says what and where.
    pub fn parse(gun: Gun, role: Role, keys: &[String], signed: impl Into<Bytes>) -> Result<Self, Malformed> {
        let signed = signed.into();
        let keys = keys
            .iter()
            .map(|key| key.parse().map_err(|_| Malformed::KeyId(key.chars().take(80).collect())))
            .collect::<Result<_, _>>()?;
        let metadata = match notary1::parse(&role, &signed) {
            Ok(metadata) => metadata,
            Err(source) => return Err(Malformed::Metadata { role, source }),
        };
        let digest = Digest::of(&signed);
        Ok(Self { gun, role, keys, metadata, signed, digest })
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> Version {
        self.metadata.version()
    }

    /// Version and digest.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { version: self.version(), digest: self.digest }
    }
}
