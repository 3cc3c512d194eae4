//! From metadata to the canonical form, without a detour over JSON values: metadata can be large.
//!
//! Members are written in the order of their names, as [`json::to_canonical`] would.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::ids::KeyId;
use crate::json::{self, Value};
use crate::key::PublicKey;
use crate::metadata::{
    DelegatedRole, Delegations, FileMeta, Hashes, Metadata, RoleKeys, Root, Snapshot, Target, Targets, Timestamp,
};

/// The canonical `signed` part: the bytes to sign.
#[must_use]
pub fn encode(metadata: &Metadata) -> Vec<u8> {
    let mut out = Vec::with_capacity(room(metadata));
    match metadata {
        Metadata::Root(content) => root(content, &mut out),
        Metadata::Targets(content) => targets(content, &mut out),
        Metadata::Snapshot(content) => snapshot(content, &mut out),
        Metadata::Timestamp(content) => timestamp(content, &mut out),
    }
    out
}

/// Enough bytes for most metadata.
fn room(metadata: &Metadata) -> usize {
    match metadata {
        // name, length and two digests of each
        Metadata::Targets(content) => content.targets.len().saturating_mul(256).saturating_add(4096),
        Metadata::Root(_) | Metadata::Snapshot(_) | Metadata::Timestamp(_) => 4096,
    }
}

/// An object that is being written.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    next: u8,
}

impl<'a> Object<'a> {
    fn open(out: &'a mut Vec<u8>) -> Self {
        Self { out, next: b'{' }
    }

    /// Begins a member; its value is to be written next.
    fn member(&mut self, name: &str) -> &mut Vec<u8> {
        self.separate();
        json::write_text(name, self.out);
        self.out.push(b':');
        self.out
    }

    /// A member whose name needs no escapes.
    fn known(&mut self, name: &'static str) -> &mut Vec<u8> {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    fn separate(&mut self) {
        self.out.push(self.next);
        self.next = b',';
    }

    fn close(self) {
        if self.next == b'{' {
            self.out.push(b'{');
        }
        self.out.push(b'}');
    }
}

fn array<T>(items: &[T], out: &mut Vec<u8>, write: impl Fn(&T, &mut Vec<u8>)) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}

fn root(root: &Root, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    json::write_text("Root", object.known("_type"));
    flag(root.consistent_snapshot, object.known("consistent_snapshot"));
    json::write_text(&root.expires.to_string(), object.known("expires"));
    keys(&root.keys, object.known("keys"));
    let mut roles = Object::open(object.known("roles"));
    role_keys(&root.root, roles.known("root"));
    role_keys(&root.snapshot, roles.known("snapshot"));
    role_keys(&root.targets, roles.known("targets"));
    role_keys(&root.timestamp, roles.known("timestamp"));
    roles.close();
    number(root.version.get(), object.known("version"));
    object.close();
}

pub(super) fn targets(targets: &Targets, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    json::write_text("Targets", object.known("_type"));
    delegations(&targets.delegations, object.known("delegations"));
    json::write_text(&targets.expires.to_string(), object.known("expires"));
    let mut listed = Object::open(object.known("targets"));
    for (name, content) in &targets.targets {
        listed.separate();
        listed_target(name, content, listed.out);
    }
    listed.close();
    number(targets.version.get(), object.known("version"));
    object.close();
}

fn snapshot(snapshot: &Snapshot, out: &mut Vec<u8>) {
    let files: BTreeMap<&str, &FileMeta> = snapshot.meta.iter().map(|(role, file)| (role.as_str(), file)).collect();
    let mut object = Object::open(out);
    json::write_text("Snapshot", object.known("_type"));
    json::write_text(&snapshot.expires.to_string(), object.known("expires"));
    let mut meta = Object::open(object.known("meta"));
    for (role, file) in files {
        file_meta(file, meta.member(role));
    }
    meta.close();
    number(snapshot.version.get(), object.known("version"));
    object.close();
}

fn timestamp(timestamp: &Timestamp, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    json::write_text("Timestamp", object.known("_type"));
    json::write_text(&timestamp.expires.to_string(), object.known("expires"));
    let mut meta = Object::open(object.known("meta"));
    file_meta(&timestamp.snapshot, meta.known("snapshot"));
    meta.close();
    number(timestamp.version.get(), object.known("version"));
    object.close();
}

fn role_keys(role: &RoleKeys, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    key_ids(&role.key_ids, object.known("keyids"));
    number(u64::from(role.threshold), object.known("threshold"));
    object.close();
}

fn delegations(delegations: &Delegations, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    keys(&delegations.keys, object.known("keys"));
    array(&delegations.roles, object.known("roles"), delegated_role);
    object.close();
}

fn delegated_role(role: &DelegatedRole, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    key_ids(&role.key_ids, object.known("keyids"));
    json::write_text(role.name.as_str(), object.known("name"));
    if !role.paths.is_empty() {
        array(&role.paths, object.known("paths"), |path, out| json::write_text(path, out));
    }
    number(u64::from(role.threshold), object.known("threshold"));
    object.close();
}

fn key_ids(ids: &[KeyId], out: &mut Vec<u8>) {
    array(ids, out, |id, out| json::write_text(&id.to_string(), out));
}

fn keys(keys: &BTreeMap<KeyId, PublicKey>, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    for (id, key) in keys {
        public_key(key, object.member(&id.to_string()));
    }
    object.close();
}

fn public_key(key: &PublicKey, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    json::write_text(key.key_type().as_str(), object.known("keytype"));
    let mut value = Object::open(object.known("keyval"));
    json::write_canonical(&Value::Null, value.known("private"));
    bytes(key.public(), value.known("public"));
    value.close();
    object.close();
}

/// A target and its name, as they stand among others.
pub(super) fn listed_target(name: &str, content: &Target, out: &mut Vec<u8>) {
    json::write_text(name, out);
    out.push(b':');
    target(content, out);
}

fn target(target: &Target, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    if let Some(custom) = target.custom.as_ref().filter(|custom| **custom != Value::Null) {
        json::write_canonical(custom, object.known("custom"));
    }
    hashes(&target.hashes, object.known("hashes"));
    number(target.length, object.known("length"));
    object.close();
}

fn file_meta(file: &FileMeta, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    hashes(&file.hashes, object.known("hashes"));
    number(file.length, object.known("length"));
    object.close();
}

fn hashes(hashes: &Hashes, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    if let Some(digest) = &hashes.sha256 {
        bytes(digest, object.known("sha256"));
    }
    if let Some(digest) = &hashes.sha512 {
        bytes(digest, object.known("sha512"));
    }
    object.close();
}

fn flag(flag: bool, out: &mut Vec<u8>) {
    json::write_canonical(&Value::Bool(flag), out);
}

/// Numbers beyond the range of JSON saturate; the strict reader refuses them.
fn number(number: u64, out: &mut Vec<u8>) {
    json::write_canonical(&Value::Integer(i64::try_from(number).unwrap_or(i64::MAX)), out);
}

fn bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    let encoded = bytes.len().div_ceil(3).saturating_mul(4);
    out.resize(start.saturating_add(encoded), 0);
    let written = out.get_mut(start..).map(|place| STANDARD.encode_slice(bytes, place));
    debug_assert_eq!(written, Some(Ok(encoded)), "base64 is as long as it says");
    out.push(b'"');
}
