//! The canonical form, which is signed, and the wire form, which is published.

use std::collections::BTreeMap;

use super::Value;

/// OLPC canonical JSON: no whitespace, members sorted by bytes, only `"` and `\` escaped.
///
/// A control character stays raw, as the form demands; such a text is not JSON and [`super::parse`] refuses it.
#[must_use]
pub fn to_canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out, canonical_string);
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

fn object(members: &BTreeMap<String, Value>, out: &mut Vec<u8>, string: fn(&str, &mut Vec<u8>)) {
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
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn wire_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    wire_escapes(&text.replace('\\', r"\\").replace('"', r#"\""#), out);
    out.push(b'"');
}

// Go 1.19 encoding/json: `compact` with `escape`
fn wire_escapes(text: &str, out: &mut Vec<u8>) {
    let mut buffer = [0; 4];
    for character in text.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes());
            }
            _ => out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes()),
        }
    }
}
