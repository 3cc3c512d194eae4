//! JSON as TUF needs it: a strict reader and two writers.
//!
//! The reader refuses everything on which two JSON libraries could disagree. [`to_canonical`] writes what is signed,
//! [`to_wire`] writes what is published.

mod members;
mod parse;
mod path;
mod write;

pub use members::Members;
pub use parse::parse;
pub(crate) use parse::{Reader, parse_below};
pub use path::{Path, Segment};
pub(crate) use write::{escape_for_wire, is_wire_form, write_canonical, write_text};
pub use write::{to_canonical, to_wire};

/// The largest magnitude of a number: beyond it float64 readers round.
pub const MAX_INTEGER: i64 = 1 << 53;
/// How deeply arrays and objects may nest.
pub const MAX_DEPTH: usize = 128;

/// A JSON value without floats and without duplicate members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number, at most 2^53 in magnitude when it was parsed.
    Integer(i64),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Self>),
    /// An object, sorted by the bytes of its member names.
    Object(Members),
}

/// JSON that was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Error {
    /// The place in the document.
    pub path: Path,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a JSON text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The text ends too early.
    #[error("the JSON text ends too early")]
    Truncated,
    /// A byte that does not belong there.
    #[error("unexpected byte {byte:#04x} at offset {offset}")]
    Unexpected {
        /// The byte.
        byte: u8,
        /// Its position, from zero.
        offset: usize,
    },
    /// The same member twice in one object.
    #[error("the member is there twice")]
    DuplicateMember,
    /// A number with a fraction or an exponent, or `-0`.
    #[error("the number is not a plain integer")]
    NotAnInteger,
    /// A number beyond 2^53, which float64 readers round.
    #[error("the number is beyond 2^53")]
    TooLarge,
    /// Bytes that are not UTF-8.
    #[error("the string is not UTF-8")]
    NotUtf8,
    /// Half of a UTF-16 surrogate pair.
    #[error("the string holds half of a surrogate pair")]
    LoneSurrogate,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}
