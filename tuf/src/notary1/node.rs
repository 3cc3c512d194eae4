//! A JSON value together with its place, so that every refusal says where.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{ParseError, Problem};
use crate::json::{MAX_INTEGER, Members, Path, Segment, Value};

/// How much is forgiven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// For what is about to be signed: exactly the known members.
    Strict,
    /// For what others made: unknown members are passed over, empty collections may be `null` or absent, as Go reads them.
    Tolerant,
}

/// The way from the top of the document to a value; lives on the stack, becomes a [`Path`] only in an error.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trail<'a> {
    Top,
    Member(&'a Self, &'a str),
    Item(&'a Self, usize),
}

impl Trail<'_> {
    fn path(&self) -> Path {
        let mut segments = Vec::new();
        let mut here = self;
        loop {
            match here {
                Self::Top => break,
                Self::Member(above, name) => {
                    segments.push(Segment::Member((*name).to_owned()));
                    here = above;
                }
                Self::Item(above, index) => {
                    segments.push(Segment::Item(*index));
                    here = above;
                }
            }
        }
        segments.reverse();
        Path::new(segments)
    }
}

/// A value and its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a> {
    value: &'a Value,
    trail: Trail<'a>,
    mode: Mode,
}

impl<'a> Node<'a> {
    pub(super) fn new(value: &'a Value, trail: Trail<'a>, mode: Mode) -> Self {
        Self { value, trail, mode }
    }

    pub(super) fn value(&self) -> &'a Value {
        self.value
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) fn refuse(&self, problem: impl Into<Problem>) -> ParseError {
        ParseError { path: self.trail.path(), problem: problem.into() }
    }

    pub(super) fn is_null(&self) -> bool {
        *self.value == Value::Null
    }

    pub(super) fn bool(&self) -> Result<bool, ParseError> {
        match self.value {
            Value::Bool(flag) => Ok(*flag),
            Value::Null | Value::Integer(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
                Err(self.refuse(Problem::Expected("true or false")))
            }
        }
    }

    /// A whole number from 0 to 2^53.
    pub(super) fn natural(&self) -> Result<u64, ParseError> {
        match self.value {
            Value::Integer(number) if (0..=MAX_INTEGER).contains(number) => Ok(number.unsigned_abs()),
            Value::Integer(_)
            | Value::Null
            | Value::Bool(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => Err(self.refuse(Problem::Expected("a whole number from 0 to 2^53"))),
        }
    }

    pub(super) fn text(&self) -> Result<&'a str, ParseError> {
        match self.value {
            Value::String(text) => Ok(text),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Array(_) | Value::Object(_) => {
                Err(self.refuse(Problem::Expected("a string")))
            }
        }
    }

    pub(super) fn bytes(&self) -> Result<Vec<u8>, ParseError> {
        STANDARD.decode(self.text()?).map_err(|_| self.refuse(Problem::Base64))
    }

    /// The same into `place`, as far as there is room; returns how many bytes there are.
    pub(super) fn bytes_into(&self, place: &mut [u8]) -> Result<usize, ParseError> {
        let text = self.text()?;
        // The decoder wants room for whole groups of three. Metadata can have many thousand digests.
        let mut groups = [0; 66];
        if let Ok(bytes) = STANDARD.decode_slice(text, &mut groups)
            && let (Some(bytes), Some(place)) = (groups.get(..bytes), place.get_mut(..bytes))
        {
            place.copy_from_slice(bytes);
            return Ok(bytes.len());
        }
        self.bytes().map(|bytes| bytes.len())
    }

    /// Reads every item of an array.
    pub(super) fn items<T>(&self, read: impl Fn(&Node<'_>) -> Result<T, ParseError>) -> Result<Vec<T>, ParseError> {
        let items = match self.value {
            Value::Array(items) => items.as_slice(),
            Value::Null if self.mode == Mode::Tolerant => &[],
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::String(_) | Value::Object(_) => {
                return Err(self.refuse(Problem::Expected("an array")));
            }
        };
        let nodes = items.iter().enumerate();
        nodes.map(|(index, value)| read(&Node::new(value, Trail::Item(&self.trail, index), self.mode))).collect()
    }

    /// Reads every member of an object whose member names are data; those that `read` has no use for are left out.
    pub(super) fn entries<K: Ord, T>(
        &self,
        read: impl Fn(&str, &Node<'_>) -> Result<Option<(K, T)>, ParseError>,
    ) -> Result<BTreeMap<K, T>, ParseError> {
        if self.is_null() && self.mode == Mode::Tolerant {
            return Ok(BTreeMap::new());
        }
        let members = self.members()?.iter();
        let read = |(name, value): (&str, &Value)| {
            read(name, &Node::new(value, Trail::Member(&self.trail, name), self.mode)).transpose()
        };
        members.filter_map(read).collect()
    }

    /// An object of the members `known`.
    pub(super) fn object(self, known: &'static [&'static str]) -> Result<Object<'a>, ParseError> {
        let members = self.members()?;
        for (name, value) in members.iter() {
            if known.contains(&name) {
                continue;
            }
            let member = Node::new(value, Trail::Member(&self.trail, name), self.mode);
            if self.mode == Mode::Strict {
                return Err(member.refuse(Problem::UnknownMember));
            }
            if let Some(meant) = known.iter().find(|known| go_folds_alike(known, name)) {
                return Err(member.refuse(Problem::Misspelt(meant)));
            }
        }
        Ok(Object { node: self, members })
    }

    fn members(&self) -> Result<&'a Members, ParseError> {
        match self.value {
            Value::Object(members) => Ok(members),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::String(_) | Value::Array(_) => {
                Err(self.refuse(Problem::Expected("an object")))
            }
        }
    }
}

/// An object whose member names are fixed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object<'a> {
    node: Node<'a>,
    members: &'a Members,
}

impl<'a> Object<'a> {
    /// A member that must be there.
    pub(super) fn member<'b>(&'b self, name: &'static str) -> Result<Node<'b>, ParseError> {
        self.optional(name).ok_or_else(|| {
            let trail = Trail::Member(&self.node.trail, name);
            ParseError { path: trail.path(), problem: Problem::Missing }
        })
    }

    /// A member that may be missing.
    pub(super) fn optional<'b>(&'b self, name: &'static str) -> Option<Node<'b>> {
        let value: &'a Value = self.members.get(name)?;
        Some(Node::new(value, Trail::Member(&self.node.trail, name), self.node.mode))
    }

    /// A collection: where Go's reading is tolerated, a missing one is an empty one.
    pub(super) fn collection<'b>(&'b self, name: &'static str) -> Result<Node<'b>, ParseError> {
        match (self.optional(name), self.node.mode) {
            (None, Mode::Tolerant) => {
                Ok(Node::new(&Value::Null, Trail::Member(&self.node.trail, name), self.node.mode))
            }
            (None, Mode::Strict) => self.member(name),
            (Some(node), Mode::Tolerant | Mode::Strict) => Ok(node),
        }
    }
}

/// Whether Go's `encoding/json` would take `name` for the field `known`: it ignores case, by Unicode's simple folding.
fn go_folds_alike(known: &str, name: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    known.chars().map(fold).eq(name.chars().map(fold))
}
