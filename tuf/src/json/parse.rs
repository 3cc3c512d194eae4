//! The strict reader.

use super::members::Gathering;
use super::{Error, MAX_DEPTH, MAX_INTEGER, Path, Problem, Segment, Value};

/// Parses one JSON text.
///
/// # Errors
/// [`Error`] with the place of the first fault: duplicate members, numbers that are not integers or beyond 2^53,
/// strings that are not Unicode, nesting beyond [`MAX_DEPTH`], anything after the value, and whatever RFC 8259 forbids.
pub fn parse(text: &[u8]) -> Result<Value, Error> {
    parse_below(Vec::new(), text)
}

/// Parses one JSON text that stands at the place `base` in a larger document.
pub(crate) fn parse_below(base: Vec<Segment>, text: &[u8]) -> Result<Value, Error> {
    let mut reader = Reader::new(text);
    reader.document().map_err(|fault| {
        let inner = fault.trail.into_iter().rev();
        Error { path: Path::new(base.into_iter().chain(inner).collect()), problem: fault.problem }
    })
}

/// A fault on its way up: every level that it leaves adds its segment, innermost first.
pub(crate) struct Fault {
    problem: Problem,
    trail: Vec<Segment>,
}

impl Fault {
    fn inside(mut self, segment: Segment) -> Self {
        self.trail.push(segment);
        self
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self { problem, trail: Vec::new() }
    }
}

pub(crate) struct Reader<'a> {
    text: &'a [u8],
    offset: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, offset: 0, depth: 0 }
    }

    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    /// The next value, inside as many objects as `depth` says: they were gone past by [`Reader::literal`].
    pub(crate) fn value_inside(&mut self, depth: usize) -> Result<Value, Fault> {
        self.depth = depth;
        self.value()
    }

    /// Goes past `expected`, if it is what comes next.
    pub(crate) fn literal(&mut self, expected: &[u8]) -> Option<()> {
        let rest = self.text.get(self.offset..)?;
        if !rest.starts_with(expected) {
            return None;
        }
        self.offset = self.offset.saturating_add(expected.len());
        Some(())
    }

    /// A string, if one comes next.
    pub(crate) fn text(&mut self) -> Option<String> {
        if self.peek() != Some(b'"') {
            return None;
        }
        self.string().ok()
    }

    fn document(&mut self) -> Result<Value, Fault> {
        let value = self.value()?;
        match self.next_token() {
            None => Ok(value),
            Some(_) => Err(self.unexpected().into()),
        }
    }

    pub(crate) fn value(&mut self) -> Result<Value, Fault> {
        match self.next_token() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => Ok(Value::Integer(self.integer()?)),
            Some(b'n') => self.word(b"null", Value::Null),
            Some(b't') => self.word(b"true", Value::Bool(true)),
            Some(b'f') => self.word(b"false", Value::Bool(false)),
            Some(_) | None => Err(self.unexpected().into()),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, Fault>) -> Result<Value, Fault> {
        if self.depth >= MAX_DEPTH {
            return Err(Problem::TooDeep.into());
        }
        self.depth = self.depth.saturating_add(1);
        self.skip();
        let value = read(self)?;
        self.depth = self.depth.saturating_sub(1);
        Ok(value)
    }

    fn object(&mut self) -> Result<Value, Fault> {
        let mut members = Gathering::default();
        if self.next_token() == Some(b'}') {
            self.skip();
            return Ok(Value::Object(members.finish()));
        }
        loop {
            if self.next_token() != Some(b'"') {
                return Err(self.unexpected().into());
            }
            let name = self.string()?;
            if members.contains(&name) {
                return Err(Fault::from(Problem::DuplicateMember).inside(Segment::Member(name)));
            }
            match self.member_value() {
                Ok(value) => members.add(name, value),
                Err(fault) => return Err(fault.inside(Segment::Member(name))),
            }
            if self.ends_with(b'}')? {
                return Ok(Value::Object(members.finish()));
            }
        }
    }

    fn member_value(&mut self) -> Result<Value, Fault> {
        if self.next_token() != Some(b':') {
            return Err(self.unexpected().into());
        }
        self.skip();
        self.value()
    }

    fn array(&mut self) -> Result<Value, Fault> {
        let mut items = Vec::new();
        if self.next_token() == Some(b']') {
            self.skip();
            return Ok(Value::Array(items));
        }
        loop {
            let item = self.value().map_err(|fault| fault.inside(Segment::Item(items.len())))?;
            items.push(item);
            if self.ends_with(b']')? {
                return Ok(Value::Array(items));
            }
        }
    }

    /// Reads what follows an item: a comma, or the closing byte.
    fn ends_with(&mut self, closing: u8) -> Result<bool, Problem> {
        match self.next_token() {
            Some(b',') => {
                self.skip();
                Ok(false)
            }
            Some(byte) if byte == closing => {
                self.skip();
                Ok(true)
            }
            Some(_) | None => Err(self.unexpected()),
        }
    }

    fn word(&mut self, word: &'static [u8], value: Value) -> Result<Value, Fault> {
        for expected in word {
            if self.peek() != Some(*expected) {
                return Err(self.unexpected().into());
            }
            self.skip();
        }
        Ok(value)
    }

    pub(crate) fn integer(&mut self) -> Result<i64, Problem> {
        let negative = self.peek() == Some(b'-');
        if negative {
            self.skip();
        }
        let magnitude = self.magnitude()?;
        if matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return Err(Problem::NotAnInteger);
        }
        match (negative, magnitude) {
            (true, 0) => Err(Problem::NotAnInteger),
            (true, magnitude) => Ok(magnitude.saturating_neg()),
            (false, magnitude) => Ok(magnitude),
        }
    }

    fn magnitude(&mut self) -> Result<i64, Problem> {
        if self.peek() == Some(b'0') {
            self.skip();
            return match self.peek() {
                Some(b'0'..=b'9') => Err(self.unexpected()),
                Some(_) | None => Ok(0),
            };
        }
        let mut magnitude: i64 = 0;
        let start = self.offset;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            magnitude = magnitude.saturating_mul(10).saturating_add(i64::from(digit.saturating_sub(b'0')));
            self.skip();
        }
        if self.offset == start {
            return Err(self.unexpected());
        }
        if magnitude > MAX_INTEGER && !matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return Err(Problem::TooLarge);
        }
        Ok(magnitude)
    }

    fn string(&mut self) -> Result<String, Problem> {
        self.skip();
        let mut bytes = Vec::new();
        loop {
            let rest = self.text.get(self.offset..).unwrap_or_default();
            let plain = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f)).unwrap_or(rest.len());
            bytes.extend_from_slice(rest.get(..plain).unwrap_or_default());
            self.offset = self.offset.saturating_add(plain);
            match self.peek() {
                Some(b'"') => {
                    self.skip();
                    return String::from_utf8(bytes).map_err(|_| Problem::NotUtf8);
                }
                Some(b'\\') => {
                    self.skip();
                    let character = self.escape()?;
                    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(_) | None => return Err(self.unexpected()),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Problem> {
        let character = match self.peek() {
            Some(b'u') => {
                self.skip();
                return self.unicode_escape();
            }
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(_) | None => return Err(self.unexpected()),
        };
        self.skip();
        Ok(character)
    }

    fn unicode_escape(&mut self) -> Result<char, Problem> {
        let first = self.four_digits()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(u32::from(first)).ok_or(Problem::LoneSurrogate);
        }
        for expected in [b'\\', b'u'] {
            if self.peek() != Some(expected) {
                return Err(Problem::LoneSurrogate);
            }
            self.skip();
        }
        let pair = [first, self.four_digits()?];
        match char::decode_utf16(pair).next() {
            Some(Ok(character)) => Ok(character),
            Some(Err(_)) | None => Err(Problem::LoneSurrogate),
        }
    }

    fn four_digits(&mut self) -> Result<u16, Problem> {
        let mut number: u16 = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16)).and_then(|d| u16::try_from(d).ok());
            let Some(digit) = digit else {
                return Err(self.unexpected());
            };
            number = number.wrapping_shl(4) | digit;
            self.skip();
        }
        Ok(number)
    }

    fn next_token(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.skip();
        }
        self.peek()
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.offset).copied()
    }

    fn skip(&mut self) {
        self.offset = self.offset.saturating_add(1);
    }

    fn unexpected(&self) -> Problem {
        match self.peek() {
            Some(byte) => Problem::Unexpected { byte, offset: self.offset },
            None => Problem::Truncated,
        }
    }
}
