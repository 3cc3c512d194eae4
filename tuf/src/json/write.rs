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
pub(crate) fn escape_for_wire(canonical: &[u8], out: &mut Vec<u8>) {
    // Go 1.19 encoding/json: `compact` with `escape`
    let mut rest = canonical;
    while let Some(plain) = wire_special(rest) {
        let (before, special) = rest.split_at(plain);
        out.extend_from_slice(before);
        rest = match special {
            [0xe2, 0x80, 0xa8, after @ ..] => escaped(0x2028, after, out),
            [0xe2, 0x80, 0xa9, after @ ..] => escaped(0x2029, after, out),
            [byte @ 0xe2, after @ ..] => {
                out.push(*byte);
                after
            }
            [byte, after @ ..] => escaped(u16::from(*byte), after, out),
            [] => break,
        };
    }
    out.extend_from_slice(rest);
}

/// Whether `wire` is what [`escape_for_wire`] makes of a canonical text. Mostly nothing is to be escaped.
pub(crate) fn is_wire_form(wire: &[u8], canonical: &[u8]) -> bool {
    if wire_special(canonical).is_none() {
        return wire == canonical;
    }
    let mut written = Vec::with_capacity(wire.len());
    escape_for_wire(canonical, &mut written);
    wire == written
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
    escape_for_wire(text.replace('\\', r"\\").replace('"', r#"\""#).as_bytes(), out);
    out.push(b'"');
}

fn escaped<'a>(character: u16, after: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    out.extend_from_slice(format!("\\u{character:04x}").as_bytes());
    after
}

/// Where the first byte is that Go escapes, or that begins U+2028 or U+2029 and others.
fn wire_special(text: &[u8]) -> Option<usize> {
    const AT_ONCE: usize = 64;
    let is_special = |byte: u8| matches!(byte, 0..=0x1f | b'<' | b'>' | b'&' | 0xe2);
    // Metadata is long and has few of them; without an early end the compiler looks at many bytes at once.
    let is_plain = |chunk: &&[u8]| !chunk.iter().fold(false, |found, byte| found | is_special(*byte));
    let plain = text.chunks_exact(AT_ONCE).take_while(is_plain).count().saturating_mul(AT_ONCE);
    let near = text.get(plain..).unwrap_or_default().iter().position(|byte| is_special(*byte));
    near.map(|near| plain.saturating_add(near))
}

#[cfg(test)]
mod tests {
    use super::escape_for_wire;

    #[test]
    fn a_character_is_escaped_wherever_it_is() {
        for (character, written) in [
            ("<", r"\u003c"),
            (">", r"\u003e"),
            ("&", r"\u0026"),
            ("\n", r"\u000a"),
            ("\u{2028}", r"\u2028"),
            ("\u{2029}", r"\u2029"),
            ("\u{2027}", "\u{2027}"),
            ("\u{7f}", "\u{7f}"),
            ("\u{202a}", "\u{202a}"),
            ("漢", "漢"),
        ] {
            for before in 0..200 {
                let text = |middle: &str| format!("{}{middle}b{middle}", "a".repeat(before));
                let mut out = Vec::new();
                escape_for_wire(text(character).as_bytes(), &mut out);
                assert_eq!(String::from_utf8(out).unwrap(), text(written), "{before}");
            }
        }
    }
}
