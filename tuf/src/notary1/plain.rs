//! Targets as every Notary writes them, read in one pass: there can be very many.
//!
//! Nothing is believed: what was read counts only if its canonical form is the text to the byte, target by target. Whatever
//! is written in another way, or is wrong, is left to the reader that says what and where.

use std::collections::BTreeMap;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::encode::{listed_target, targets as write_targets};
use super::node::{Mode, Node, Trail};
use super::{Signature, decode};
use crate::expires::Expires;
use crate::ids::Version;
use crate::json::{Reader, is_wire_form};
use crate::metadata::{Hashes, Metadata, Target, Targets};

/// Reads canonical targets.
pub(super) fn signed(text: &[u8]) -> Option<Metadata> {
    let mut reader = Reader::new(text);
    let mut proof = Proof::new(text, 1);
    let metadata = targets(&mut reader, &mut proof, Mode::Strict)?;
    (proof.form == Form::Canonical && reader.offset() == text.len()).then_some(metadata)
}

/// Published targets.
pub(super) struct Published {
    pub(super) metadata: Metadata,
    /// Where the canonical form stands, unless something in it is escaped.
    pub(super) canonical: Option<Range<usize>>,
    pub(super) signatures: Vec<Signature>,
}

/// Reads published targets.
pub(super) fn published(wire: &[u8]) -> Option<Published> {
    let mut reader = Reader::new(wire);
    let mut proof = Proof::new(wire, 2);
    reader.literal(br#"{"signed":"#)?;
    let start = reader.offset();
    let metadata = targets(&mut reader, &mut proof, Mode::Tolerant)?;
    let canonical = (proof.form == Form::Canonical).then_some(start..reader.offset());
    reader.literal(br#","signatures":"#)?;
    let signatures = reader.value_inside(1).ok()?;
    let signatures = Node::new(&signatures, Trail::Top, Mode::Tolerant).items(decode::signature).ok()?;
    reader.literal(b"}")?;
    (reader.offset() == wire.len()).then_some(Published { metadata, canonical, signatures })
}

/// How a text that says the right thing is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Canonical,
    /// As it is published, with escapes that the canonical form does not have.
    Wire,
}

/// Compares what was read with its canonical form, piece by piece.
struct Proof<'a> {
    text: &'a [u8],
    /// How many objects the members of `signed` are in.
    depth: usize,
    form: Form,
    written: Vec<u8>,
}

impl<'a> Proof<'a> {
    const fn new(text: &'a [u8], depth: usize) -> Self {
        Self { text, depth, form: Form::Canonical, written: Vec::new() }
    }

    fn target(&mut self, start: usize, end: usize, name: &str, target: &Target) -> Option<()> {
        self.written.clear();
        listed_target(name, target, &mut self.written);
        let form = form_of(self.text.get(start..end)?, &self.written)?;
        self.note(form);
        Some(())
    }

    /// Everything but the targets, which stand from `from` to `to` and are not in `content` yet.
    fn frame(&mut self, start: usize, [from, to]: [usize; 2], end: usize, content: &Targets) -> Option<()> {
        let read = [self.text.get(start..from)?, self.text.get(to..end)?].concat();
        self.written.clear();
        write_targets(content, &mut self.written);
        let form = form_of(&read, &self.written)?;
        self.note(form);
        Some(())
    }

    fn note(&mut self, form: Form) {
        if form == Form::Wire {
            self.form = Form::Wire;
        }
    }
}

fn form_of(read: &[u8], canonical: &[u8]) -> Option<Form> {
    if read == canonical {
        return Some(Form::Canonical);
    }
    is_wire_form(read, canonical).then_some(Form::Wire)
}

fn targets(reader: &mut Reader<'_>, proof: &mut Proof<'_>, mode: Mode) -> Option<Metadata> {
    let start = reader.offset();
    reader.literal(br#"{"_type":"Targets","delegations":"#)?;
    let delegations = reader.value_inside(proof.depth).ok()?;
    let delegations = decode::delegations(&Node::new(&delegations, Trail::Top, mode)).ok()?;
    reader.literal(br#","expires":"#)?;
    let expires = Expires::parse(&reader.text()?).ok()?;
    reader.literal(br#","targets":{"#)?;
    let from = reader.offset();
    let mut targets: Vec<(String, Target)> = Vec::new();
    let mut to = from;
    while reader.literal(b"}").is_none() {
        if !targets.is_empty() {
            reader.literal(b",")?;
        }
        let start = reader.offset();
        let name = reader.text()?;
        let target = target(reader, proof.depth.saturating_add(2), mode)?;
        proof.target(start, reader.offset(), &name, &target)?;
        if targets.last().is_some_and(|(before, _)| *before >= name) {
            return None;
        }
        targets.push((name, target));
        to = reader.offset();
    }
    reader.literal(br#","version":"#)?;
    let version = Version::new(number(reader)?)?;
    reader.literal(b"}")?;
    let mut content = Targets { version, expires, targets: BTreeMap::new(), delegations };
    proof.frame(start, [from, to], reader.offset(), &content)?;
    content.targets = targets.into_iter().collect();
    Some(Metadata::Targets(content))
}

/// A target, whose members are in as many objects as `depth` says.
fn target(reader: &mut Reader<'_>, depth: usize, mode: Mode) -> Option<Target> {
    reader.literal(b":{")?;
    let custom = match reader.literal(br#""custom":"#) {
        Some(()) => {
            let custom = reader.value_inside(depth).ok()?;
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
