//! From metadata to the canonical form.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::expires::Expires;
use crate::ids::{KeyId, Version};
use crate::json::{self, Value};
use crate::key::PublicKey;
use crate::metadata::{
    DelegatedRole, Delegations, FileMeta, Hashes, Metadata, RoleKeys, Root, Snapshot, Target, Targets, Timestamp,
};

/// The canonical `signed` part: the bytes to sign.
#[must_use]
pub fn encode(metadata: &Metadata) -> Vec<u8> {
    json::to_canonical(&match metadata {
        Metadata::Root(content) => root(content),
        Metadata::Targets(content) => targets(content),
        Metadata::Snapshot(content) => snapshot(content),
        Metadata::Timestamp(content) => timestamp(content),
    })
}

fn root(root: &Root) -> Value {
    let roles = object([
        ("root", role_keys(&root.root)),
        ("snapshot", role_keys(&root.snapshot)),
        ("targets", role_keys(&root.targets)),
        ("timestamp", role_keys(&root.timestamp)),
    ]);
    object([
        ("_type", text("Root")),
        ("consistent_snapshot", Value::Bool(root.consistent_snapshot)),
        ("expires", expires(root.expires)),
        ("keys", keys(&root.keys)),
        ("roles", roles),
        ("version", version(root.version)),
    ])
}

fn targets(targets: &Targets) -> Value {
    let listed = targets.targets.iter().map(|(name, content)| (name.clone(), target(content)));
    object([
        ("_type", text("Targets")),
        ("delegations", delegations(&targets.delegations)),
        ("expires", expires(targets.expires)),
        ("targets", Value::Object(listed.collect())),
        ("version", version(targets.version)),
    ])
}

fn snapshot(snapshot: &Snapshot) -> Value {
    let meta = snapshot.meta.iter().map(|(role, file)| (role.to_string(), file_meta(file)));
    object([
        ("_type", text("Snapshot")),
        ("expires", expires(snapshot.expires)),
        ("meta", Value::Object(meta.collect())),
        ("version", version(snapshot.version)),
    ])
}

fn timestamp(timestamp: &Timestamp) -> Value {
    object([
        ("_type", text("Timestamp")),
        ("expires", expires(timestamp.expires)),
        ("meta", object([("snapshot", file_meta(&timestamp.snapshot))])),
        ("version", version(timestamp.version)),
    ])
}

fn role_keys(role: &RoleKeys) -> Value {
    object([("keyids", key_ids(&role.key_ids)), ("threshold", Value::Integer(i64::from(role.threshold)))])
}

fn delegations(delegations: &Delegations) -> Value {
    let roles = delegations.roles.iter().map(delegated_role).collect();
    object([("keys", keys(&delegations.keys)), ("roles", Value::Array(roles))])
}

fn delegated_role(role: &DelegatedRole) -> Value {
    let paths = match role.paths.as_slice() {
        [] => None,
        paths => Some(("paths", Value::Array(paths.iter().map(|path| text(path)).collect()))),
    };
    let members = [
        ("keyids", key_ids(&role.key_ids)),
        ("name", text(role.name.as_str())),
        ("threshold", Value::Integer(i64::from(role.threshold))),
    ];
    object(members.into_iter().chain(paths))
}

fn key_ids(ids: &[KeyId]) -> Value {
    Value::Array(ids.iter().map(|id| text(&id.to_string())).collect())
}

fn keys(keys: &BTreeMap<KeyId, PublicKey>) -> Value {
    Value::Object(keys.iter().map(|(id, key)| (id.to_string(), public_key(key))).collect())
}

fn public_key(key: &PublicKey) -> Value {
    let value = object([("private", Value::Null), ("public", bytes(key.public()))]);
    object([("keytype", text(key.key_type().as_str())), ("keyval", value)])
}

fn target(target: &Target) -> Value {
    let custom = target.custom.clone().filter(|custom| *custom != Value::Null).map(|custom| ("custom", custom));
    let members = [("hashes", hashes(&target.hashes)), ("length", number(target.length))];
    object(members.into_iter().chain(custom))
}

fn file_meta(file: &FileMeta) -> Value {
    object([("hashes", hashes(&file.hashes)), ("length", number(file.length))])
}

fn hashes(hashes: &Hashes) -> Value {
    let sha256 = hashes.sha256.as_ref().map(|digest| ("sha256", bytes(digest)));
    let sha512 = hashes.sha512.as_ref().map(|digest| ("sha512", bytes(digest)));
    object(sha256.into_iter().chain(sha512))
}

fn version(version: Version) -> Value {
    number(version.get())
}

fn expires(expires: Expires) -> Value {
    Value::String(expires.to_string())
}

/// Numbers beyond the range of JSON saturate; the strict reader refuses them.
fn number(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn bytes(bytes: &[u8]) -> Value {
    Value::String(STANDARD.encode(bytes))
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn object<'a>(members: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
