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
    let mut out = Vec::new();
    match metadata {
        Metadata::Root(content) => root(content, &mut out),
        Metadata::Targets(content) => targets(content, &mut out),
        Metadata::Snapshot(content) => snapshot(content, &mut out),
        Metadata::Timestamp(content) => timestamp(content, &mut out),
    }
    out
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
        self.out.push(self.next);
        self.next = b',';
        json::write_text(name, self.out);
        self.out.push(b':');
        self.out
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
    json::write_text("Root", object.member("_type"));
    flag(root.consistent_snapshot, object.member("consistent_snapshot"));
    json::write_text(&root.expires.to_string(), object.member("expires"));
    keys(&root.keys, object.member("keys"));
    let mut roles = Object::open(object.member("roles"));
    role_keys(&root.root, roles.member("root"));
    role_keys(&root.snapshot, roles.member("snapshot"));
    role_keys(&root.targets, roles.member("targets"));
    role_keys(&root.timestamp, roles.member("timestamp"));
    roles.close();
    number(root.version.get(), object.member("version"));
    object.close();
}

fn targets(targets: &Targets, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    json::write_text("Targets", object.member("_type"));
    delegations(&targets.delegations, object.member("delegations"));
    json::write_text(&targets.expires.to_string(), object.member("expires"));
    let mut listed = Object::open(object.member("targets"));
    for (name, content) in &targets.targets {
        target(content, listed.member(name));
    }
    listed.close();
    number(targets.version.get(), object.member("version"));
    object.close();
}

fn snapshot(snapshot: &Snapshot, out: &mut Vec<u8>) {
    let files: BTreeMap<&str, &FileMeta> = snapshot.meta.iter().map(|(role, file)| (role.as_str(), file)).collect();
    let mut object = Object::open(out);
    json::write_text("Snapshot", object.member("_type"));
    json::write_text(&snapshot.expires.to_string(), object.member("expires"));
    let mut meta = Object::open(object.member("meta"));
    for (role, file) in files {
        file_meta(file, meta.member(role));
    }
    meta.close();
    number(snapshot.version.get(), object.member("version"));
    object.close();
}

fn timestamp(timestamp: &Timestamp, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    json::write_text("Timestamp", object.member("_type"));
    json::write_text(&timestamp.expires.to_string(), object.member("expires"));
    let mut meta = Object::open(object.member("meta"));
    file_meta(&timestamp.snapshot, meta.member("snapshot"));
    meta.close();
    number(timestamp.version.get(), object.member("version"));
    object.close();
}

fn role_keys(role: &RoleKeys, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    key_ids(&role.key_ids, object.member("keyids"));
    number(u64::from(role.threshold), object.member("threshold"));
    object.close();
}

fn delegations(delegations: &Delegations, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    keys(&delegations.keys, object.member("keys"));
    array(&delegations.roles, object.member("roles"), delegated_role);
    object.close();
}

fn delegated_role(role: &DelegatedRole, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    key_ids(&role.key_ids, object.member("keyids"));
    json::write_text(role.name.as_str(), object.member("name"));
    if !role.paths.is_empty() {
        array(&role.paths, object.member("paths"), |path, out| json::write_text(path, out));
    }
    number(u64::from(role.threshold), object.member("threshold"));
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
    json::write_text(key.key_type().as_str(), object.member("keytype"));
    let mut value = Object::open(object.member("keyval"));
    json::write_canonical(&Value::Null, value.member("private"));
    bytes(key.public(), value.member("public"));
    value.close();
    object.close();
}

fn target(target: &Target, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    if let Some(custom) = target.custom.as_ref().filter(|custom| **custom != Value::Null) {
        json::write_canonical(custom, object.member("custom"));
    }
    hashes(&target.hashes, object.member("hashes"));
    number(target.length, object.member("length"));
    object.close();
}

fn file_meta(file: &FileMeta, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    hashes(&file.hashes, object.member("hashes"));
    number(file.length, object.member("length"));
    object.close();
}

fn hashes(hashes: &Hashes, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    if let Some(digest) = &hashes.sha256 {
        bytes(digest, object.member("sha256"));
    }
    if let Some(digest) = &hashes.sha512 {
        bytes(digest, object.member("sha512"));
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
    json::write_text(&STANDARD.encode(bytes), out);
}
