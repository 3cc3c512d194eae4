//! The dialect of Notary 1.
//!
//! What is signed is the canonical form of `signed`; what is published is the [`Envelope`]'s wire form. The server hashes its own
//! re-serialisation of what it got, so that the wire form must be Go's to the byte.

pub mod certificate;
pub mod certificate_request;
mod decode;
mod encode;
mod envelope;
mod node;
mod plain;
pub mod root_certificate;
mod wire;

pub use encode::encode;
pub use envelope::{Envelope, Signature};
pub use wire::Started;

use crate::expires::ExpiresError;
use crate::ids::{IdError, KeyId};
use crate::json::{self, Path, Segment, Value};
use crate::key::{KeyError, MethodError};
use crate::metadata::Metadata;
use crate::names::{NameError, Role};
use node::{Mode, Node, Trail};

/// Metadata that was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct ParseError {
    /// The place in the document.
    pub path: Path,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a piece of metadata.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The text is not strict JSON.
    #[error(transparent)]
    Json(#[from] json::Problem),
    /// A member that must be there is not.
    #[error("the member is missing")]
    Missing,
    /// A member that this dialect does not know; servers would drop it and break the signature.
    #[error("the member is not known here")]
    UnknownMember,
    /// A member that Go would take for another one.
    #[error("the member would be read as `{0}`")]
    Misspelt(&'static str),
    /// A value of another type.
    #[error("expected {0}")]
    Expected(&'static str),
    /// Metadata of another role.
    #[error("the type is `{found}`, expected `{wanted}`")]
    WrongType {
        /// The type that the role needs.
        wanted: &'static str,
        /// The type that is there.
        found: String,
    },
    /// Not the canonical form.
    #[error("not in canonical form from here on")]
    NotCanonical,
    /// A malformed name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A malformed identifier.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A malformed time.
    #[error(transparent)]
    Expires(#[from] ExpiresError),
    /// Not padded standard base64.
    #[error("not standard base64 with padding")]
    Base64,
    /// A key type that this dialect does not know.
    #[error("`{0}` is not a key type")]
    KeyType(String),
    /// A malformed key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A key under an ID that is not its own.
    #[error("the key's ID is {0}")]
    WrongKeyId(KeyId),
    /// An unknown signing method.
    #[error(transparent)]
    Method(#[from] MethodError),
    /// A digest of the wrong size.
    #[error("the digest has {found} bytes, expected {wanted}")]
    DigestSize {
        /// The size of such a digest in bytes.
        wanted: usize,
        /// The size found.
        found: usize,
    },
    /// Neither `sha256` nor `sha512` is there.
    #[error("there is no sha256 or sha512 digest")]
    NoDigest,
    /// A character that custom data cannot hold: Go would sign other bytes than it publishes.
    #[error("custom data may not hold the character {0:?}")]
    CustomCharacter(char),
}

impl From<json::Error> for ParseError {
    fn from(error: json::Error) -> Self {
        Self { path: error.path, problem: error.problem.into() }
    }
}

/// Parses what is about to be signed: the canonical `signed` part of metadata of `role`.
///
/// Paths in errors are those of the whole document, such as `$.signed.version`.
///
/// # Errors
/// [`ParseError`] if any member is missing, unknown or of the wrong type, or if [`encode`] would not give the same bytes again.
pub fn parse(role: &Role, signed: &[u8]) -> Result<Metadata, ParseError> {
    if role.holds_targets()
        && let Some(metadata) = plain::signed(signed)
    {
        return Ok(metadata);
    }
    let value = json::parse_below(base(), signed)?;
    let trail = Trail::Member(&Trail::Top, "signed");
    let metadata = match decode::metadata(role, &Node::new(&value, trail, Mode::Strict)) {
        Ok(metadata) if encode(&metadata) == signed => return Ok(metadata),
        // of several faults the one in the form is named first
        refused => {
            same_bytes(signed, &json::to_canonical(&value))?;
            refused?
        }
    };
    same_bytes(signed, &encode(&metadata))?;
    Ok(metadata)
}

/// Parses the custom data of a target.
///
/// # Errors
/// [`ParseError`] for anything but strict JSON, and for characters that Notary's clients cannot publish in custom data.
pub fn custom(text: &[u8]) -> Result<Value, ParseError> {
    let value = json::parse(text)?;
    decode::custom(&Node::new(&value, Trail::Top, Mode::Strict)).map(|custom| custom.unwrap_or(Value::Null))
}

fn base() -> Vec<Segment> {
    vec![Segment::Member("signed".to_owned())]
}

/// Names the place where `signed` first differs from what we would write: where a reader of the common part would stop.
fn same_bytes(signed: &[u8], ours: &[u8]) -> Result<(), ParseError> {
    if signed == ours {
        return Ok(());
    }
    let common = signed.iter().zip(ours).take_while(|(theirs, ours)| theirs == ours).count();
    let path = match json::parse_below(base(), signed.get(..common).unwrap_or(signed)) {
        Ok(_) => Path::new(base()),
        Err(error) => error.path,
    };
    Err(ParseError { path, problem: Problem::NotCanonical })
}
