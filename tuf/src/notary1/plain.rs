//! Targets as every Notary writes them, read in one pass: there can be very many.
//!
//! Nothing is believed: what was read counts only if its canonical form is the text to the byte. Whatever is written in
//! another way, or is wrong, is left to the reader that says what and where.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::node::{Mode, Node, Trail};
use super::{Signature, decode, encode};
use crate::expires::Expires;
use crate::ids::Version;
use crate::json::{Reader, escape_for_wire};
use crate::metadata::{Hashes, Metadata, Target, Targets};

/// Reads canonical targets.
pub(super) fn signed(text: &[u8]) -> Option<Metadata> {
    let mut reader = Reader::new(text);
    let metadata = Metadata::Targets(targets(&mut reader, Mode::Strict)?);
    (encode(&metadata) == text).then_some(metadata)
}

/// Reads published targets: what they say, its canonical form and the signatures.
pub(super) fn published(wire: &[u8]) -> Option<(Metadata, Vec<u8>, Vec<Signature>)> {
    let mut reader = Reader::new(wire);
    reader.literal(br#"{"signed":"#)?;
    let start = reader.offset();
    let metadata = Metadata::Targets(targets(&mut reader, Mode::Tolerant)?);
    let read = wire.get(start..reader.offset())?;
    let canonical = encode(&metadata);
    let mut written = Vec::with_capacity(read.len());
    escape_for_wire(&canonical, &mut written);
    reader.literal(br#","signatures":"#)?;
    let signatures = reader.value().ok()?;
    let signatures = Node::new(&signatures, Trail::Top, Mode::Tolerant).items(decode::signature).ok()?;
    reader.literal(b"}")?;
    (written == read && reader.offset() == wire.len()).then_some((metadata, canonical, signatures))
}

fn targets(reader: &mut Reader<'_>, mode: Mode) -> Option<Targets> {
    reader.literal(br#"{"_type":"Targets","delegations":"#)?;
    let delegations = reader.value().ok()?;
    let delegations = decode::delegations(&Node::new(&delegations, Trail::Top, mode)).ok()?;
    reader.literal(br#","expires":"#)?;
    let expires = Expires::parse(&reader.text()?).ok()?;
    reader.literal(br#","targets":{"#)?;
    let mut targets = Vec::new();
    while reader.literal(b"}").is_none() {
        if !targets.is_empty() {
            reader.literal(b",")?;
        }
        targets.push((reader.text()?, target(reader, mode)?));
    }
    reader.literal(br#","version":"#)?;
    let version = Version::new(number(reader)?)?;
    reader.literal(b"}")?;
    Some(Targets { version, expires, targets: targets.into_iter().collect(), delegations })
}

fn target(reader: &mut Reader<'_>, mode: Mode) -> Option<Target> {
    reader.literal(b":{")?;
    let custom = match reader.literal(br#""custom":"#) {
        Some(()) => {
            let custom = reader.value().ok()?;
            reader.literal(b",")?;
            decode::custom(&Node::new(&custom, Trail::Top, mode)).ok()?
        }
        None => None,
    };
    reader.literal(br#""hashes":{"#)?;
    let sha256 = digest(reader, br#""sha256":"#)?;
    let name: &[u8] = if sha256.is_some() { br#","sha512":"# } else { br#""sha512":"# };
    let sha512 = digest(reader, name)?;
    reader.literal(br#"},"length":"#)?;
    let length = number(reader)?;
    reader.literal(b"}")?;
    (sha256.is_some() || sha512.is_some()).then_some(Target { length, hashes: Hashes { sha256, sha512 }, custom })
}

/// A digest under its name, if it is there.
#[expect(clippy::option_option, reason = "unreadable, absent, present")]
fn digest<const N: usize>(reader: &mut Reader<'_>, name: &[u8]) -> Option<Option<[u8; N]>> {
    if reader.literal(name).is_none() {
        return Some(None);
    }
    // the decoder wants room for whole groups of three
    let mut groups = [0; 66];
    let bytes = STANDARD.decode_slice(reader.text()?, &mut groups).ok()?;
    groups.get(..bytes)?.try_into().ok().map(Some)
}

fn number(reader: &mut Reader<'_>) -> Option<u64> {
    reader.integer().ok()?.try_into().ok()
}
