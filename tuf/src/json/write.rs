//! The canonical form, which is signed, and the wire form, which is published.

use super::{Members, Value};

/// OLPC canonical JSON: no whitespace, members sorted by bytes, only `"` and `\` escaped.
///
/// A control character stays raw, as the form demands; such a text is not JSON and [`super::parse`] refuses it.
#[must_use]
pub fn to_canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_canonical(value, &mut out);
    out
}

/// The same text as Go's `encoding/json` publishes it: `<`, `>`, `&`, U+2028 and U+2029 escaped in strings.
///
/// Control characters, which Go cannot publish at all, are escaped too, so that the result is always JSON.
#[must_use]
pub fn to_wire(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out, wire_string);
    out
}

/// Rewrites a canonical text, which must be free of control characters, in the wire form.
///
/// Outside of strings none of the escaped characters can occur, so that a scan of the bytes is enough.
pub(crate) fn escape_for_wire(canonical: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(canonical.len());
    wire_escapes(canonical, &mut out);
    out
}

/// Appends the canonical form of a value.
pub(crate) fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    write(value, out, canonical_string);
}

/// Appends the canonical form of a string.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    canonical_string(text, out);
}

fn write(value: &Value, out: &mut Vec<u8>, string: fn(&str, &mut Vec<u8>)) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::String(text) => string(text, out),
        Value::Array(items) => array(items, out, string),
        Value::Object(members) => object(members, out, string),
    }
}

fn array(items: &[Value], out: &mut Vec<u8>, string: fn(&str, &mut Vec<u8>)) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out, string);
    }
    out.push(b']');
}

fn object(members: &Members, out: &mut Vec<u8>, string: fn(&str, &mut Vec<u8>)) {
    out.push(b'{');
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(name, out);
        out.push(b':');
        write(value, out, string);
    }
    out.push(b'}');
}

fn canonical_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(plain) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        let (before, special) = rest.split_at(plain);
        out.extend_from_slice(before);
        out.push(b'\\');
        out.extend_from_slice(special.get(..1).unwrap_or_default());
        rest = special.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn wire_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    wire_escapes(&text.replace('\\', r"\\").replace('"', r#"\""#), out);
    out.push(b'"');
}

// Go 1.19 encoding/json: `compact` with `escape`
fn wire_escapes(text: &str, out: &mut Vec<u8>) {
    let is_special = |c: char| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}');
    let mut written = 0;
    for (at, special) in text.match_indices(is_special) {
        out.extend_from_slice(text.get(written..at).unwrap_or_default().as_bytes());
        for character in special.chars() {
            out.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes());
        }
        written = at.saturating_add(special.len());
    }
    out.extend_from_slice(text.get(written..).unwrap_or_default().as_bytes());
}
