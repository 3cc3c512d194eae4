//! From JSON values to metadata.

use std::collections::BTreeMap;

use super::node::{Mode, Node, Object};
use super::{ParseError, Problem, Signature};
use crate::expires::Expires;
use crate::ids::{KeyId, Version};
use crate::json::Value;
use crate::key::{KeyType, Method, PublicKey};
use crate::metadata::{
    DelegatedRole, Delegations, FileMeta, Hashes, Metadata, RoleKeys, Root, Snapshot, Target, Targets, Timestamp,
};
use crate::names::{DelegationName, NameError, Role};

/// Reads the `signed` part of metadata of `role`.
pub(super) fn metadata(role: &Role, node: &Node<'_>) -> Result<Metadata, ParseError> {
    match role {
        Role::Root => root(node).map(Metadata::Root),
        Role::Targets | Role::Delegation(_) => targets(node).map(Metadata::Targets),
        Role::Snapshot => snapshot(node).map(Metadata::Snapshot),
        Role::Timestamp => timestamp(node).map(Metadata::Timestamp),
    }
}

/// Reads one member of `signatures`.
pub(super) fn signature(node: &Node<'_>) -> Result<Signature, ParseError> {
    let object = node.object(&["keyid", "method", "sig"])?;
    let method = object.member("method")?;
    Ok(Signature {
        key_id: key_id(&object.member("keyid")?)?,
        method: method.text()?.parse::<Method>().map_err(|error| method.refuse(error))?,
        sig: object.member("sig")?.bytes()?,
    })
}

fn root(node: &Node<'_>) -> Result<Root, ParseError> {
    let object = node.object(&["_type", "consistent_snapshot", "expires", "keys", "roles", "version"])?;
    of_type(&object, "Root")?;
    let roles_node = object.member("roles")?;
    let roles = roles_node.object(&["root", "snapshot", "targets", "timestamp"])?;
    Ok(Root {
        version: version(&object)?,
        expires: expires(&object)?,
        consistent_snapshot: object.member("consistent_snapshot")?.bool()?,
        keys: keys(&object.collection("keys")?)?,
        root: role_keys(&roles.member("root")?)?,
        targets: role_keys(&roles.member("targets")?)?,
        snapshot: role_keys(&roles.member("snapshot")?)?,
        timestamp: role_keys(&roles.member("timestamp")?)?,
    })
}

fn targets(node: &Node<'_>) -> Result<Targets, ParseError> {
    let object = node.object(&["_type", "delegations", "expires", "targets", "version"])?;
    of_type(&object, "Targets")?;
    Ok(Targets {
        version: version(&object)?,
        expires: expires(&object)?,
        targets: object.collection("targets")?.entries(|name, node| Ok(Some((name.to_owned(), target(node)?))))?,
        delegations: delegations(&object.collection("delegations")?)?,
    })
}

fn snapshot(node: &Node<'_>) -> Result<Snapshot, ParseError> {
    let object = node.object(&["_type", "expires", "meta", "version"])?;
    of_type(&object, "Snapshot")?;
    let meta = object.collection("meta")?.entries(|name, node| match (Role::parse(name), node.mode()) {
        (Ok(role), Mode::Strict | Mode::Tolerant) => Ok(Some((role, file_meta(node)?))),
        (Err(_), Mode::Tolerant) => Ok(None),
        (Err(error), Mode::Strict) => Err(node.refuse(error)),
    })?;
    Ok(Snapshot { version: version(&object)?, expires: expires(&object)?, meta })
}

fn timestamp(node: &Node<'_>) -> Result<Timestamp, ParseError> {
    let object = node.object(&["_type", "expires", "meta", "version"])?;
    of_type(&object, "Timestamp")?;
    let meta_node = object.member("meta")?;
    let meta = meta_node.object(&["snapshot"])?;
    Ok(Timestamp {
        version: version(&object)?,
        expires: expires(&object)?,
        snapshot: file_meta(&meta.member("snapshot")?)?,
    })
}

fn of_type(object: &Object<'_>, wanted: &'static str) -> Result<(), ParseError> {
    let node = object.member("_type")?;
    match node.text()? {
        found if found == wanted => Ok(()),
        found => Err(node.refuse(Problem::WrongType { wanted, found: found.to_owned() })),
    }
}

fn version(object: &Object<'_>) -> Result<Version, ParseError> {
    let node = object.member("version")?;
    Version::new(node.natural()?).ok_or_else(|| node.refuse(Problem::Expected("a version from 1 to 2^53 - 1")))
}

fn expires(object: &Object<'_>) -> Result<Expires, ParseError> {
    let node = object.member("expires")?;
    Expires::parse(node.text()?).map_err(|error| node.refuse(error))
}

fn keys(node: &Node<'_>) -> Result<BTreeMap<KeyId, PublicKey>, ParseError> {
    node.entries(|name, node| listed_key(name, node).map(Some))
}

fn listed_key(name: &str, node: &Node<'_>) -> Result<(KeyId, PublicKey), ParseError> {
    let id = listed_id(name, node)?;
    let key = public_key(node)?;
    // Notary: "key ID is not valid for key content"
    match key.key_id() {
        own if own == id => Ok((id, key)),
        own => Err(node.refuse(Problem::WrongKeyId(own))),
    }
}

fn listed_id(name: &str, node: &Node<'_>) -> Result<KeyId, ParseError> {
    name.parse().map_err(|error: crate::IdError| node.refuse(error))
}

fn public_key(node: &Node<'_>) -> Result<PublicKey, ParseError> {
    let object = node.object(&["keytype", "keyval"])?;
    let type_node = object.member("keytype")?;
    let type_text = type_node.text()?;
    let key_type =
        KeyType::from_wire(type_text).ok_or_else(|| type_node.refuse(Problem::KeyType(type_text.to_owned())))?;
    let value_node = object.member("keyval")?;
    let value = value_node.object(&["private", "public"])?;
    let private = value.collection("private")?;
    if !private.is_null() {
        return Err(private.refuse(Problem::Expected("null")));
    }
    let public = value.member("public")?;
    PublicKey::new(key_type, public.bytes()?).map_err(|error| public.refuse(error))
}

fn role_keys(node: &Node<'_>) -> Result<RoleKeys, ParseError> {
    let object = node.object(&["keyids", "threshold"])?;
    Ok(RoleKeys { key_ids: object.collection("keyids")?.items(key_id)?, threshold: threshold(&object)? })
}

pub(super) fn delegations(node: &Node<'_>) -> Result<Delegations, ParseError> {
    if node.is_null() && node.mode() == Mode::Tolerant {
        return Ok(Delegations::default());
    }
    let object = node.object(&["keys", "roles"])?;
    let listed = delegates(&object.collection("keys")?)?;
    let is_usable = |id: &KeyId| listed.get(id).is_none_or(Option::is_some);
    let roles = object.collection("roles")?.items(|node| {
        let mut role = delegated_role(node)?;
        role.key_ids.retain(is_usable);
        Ok(role)
    })?;
    Ok(Delegations { keys: listed.iter().filter_map(|(id, key)| Some((*id, key.clone()?))).collect(), roles })
}

/// The keys of delegations, by the IDs under which they are listed. Notary's client publishes a key without type and content
/// when it is given a certificate that it has no type for. In what others made, a key that nobody can use is none; then only
/// its delegations lack one, and not the whole collection is lost.
fn delegates(node: &Node<'_>) -> Result<BTreeMap<KeyId, Option<PublicKey>>, ParseError> {
    node.entries(|name, node| match (listed_key(name, node), node.mode()) {
        (Ok((id, key)), Mode::Strict | Mode::Tolerant) => Ok(Some((id, Some(key)))),
        (Err(ParseError { problem: Problem::KeyType(_) | Problem::Key(_), .. }), Mode::Tolerant) => {
            Ok(Some((listed_id(name, node)?, None)))
        }
        (Err(error), Mode::Strict | Mode::Tolerant) => Err(error),
    })
}

fn delegated_role(node: &Node<'_>) -> Result<DelegatedRole, ParseError> {
    let object = node.object(&["keyids", "name", "paths", "threshold"])?;
    let name = object.member("name")?;
    let paths = match object.optional("paths") {
        Some(paths) => paths.items(|path| path.text().map(str::to_owned))?,
        None => Vec::new(),
    };
    Ok(DelegatedRole {
        name: DelegationName::parse(name.text()?).map_err(|error: NameError| name.refuse(error))?,
        key_ids: object.collection("keyids")?.items(key_id)?,
        paths,
        threshold: threshold(&object)?,
    })
}

fn key_id(node: &Node<'_>) -> Result<KeyId, ParseError> {
    node.text()?.parse().map_err(|error: crate::IdError| node.refuse(error))
}

fn threshold(object: &Object<'_>) -> Result<u32, ParseError> {
    let node = object.member("threshold")?;
    u32::try_from(node.natural()?).map_err(|_| node.refuse(Problem::Expected("a threshold below 2^32")))
}

fn target(node: &Node<'_>) -> Result<Target, ParseError> {
    let object = node.object(&["custom", "hashes", "length"])?;
    Ok(Target {
        length: object.member("length")?.natural()?,
        hashes: hashes(&object.member("hashes")?)?,
        custom: object.optional("custom").map(|node| custom(&node)).transpose()?.flatten(),
    })
}

fn file_meta(node: &Node<'_>) -> Result<FileMeta, ParseError> {
    let object = node.object(&["hashes", "length"])?;
    Ok(FileMeta { length: object.member("length")?.natural()?, hashes: hashes(&object.member("hashes")?)? })
}

fn hashes(node: &Node<'_>) -> Result<Hashes, ParseError> {
    let object = node.object(&["sha256", "sha512"])?;
    let hashes = Hashes {
        sha256: object.optional("sha256").map(|node| digest(&node)).transpose()?,
        sha512: object.optional("sha512").map(|node| digest(&node)).transpose()?,
    };
    match hashes {
        Hashes { sha256: None, sha512: None } => Err(node.refuse(Problem::NoDigest)),
        Hashes { .. } => Ok(hashes),
    }
}

fn digest<const N: usize>(node: &Node<'_>) -> Result<[u8; N], ParseError> {
    let mut digest = [0; N];
    match node.bytes_into(&mut digest)? {
        found if found == N => Ok(digest),
        found => Err(node.refuse(Problem::DigestSize { wanted: N, found })),
    }
}

/// Go holds custom data as raw text, reads `null` as absent, and writes the text into the signing form as it is: what the wire
/// form escapes would be signed in its escaped form by the next Go client.
pub(super) fn custom(node: &Node<'_>) -> Result<Option<Value>, ParseError> {
    if node.is_null() {
        return Ok(None);
    }
    match escaped_character(node.value()) {
        Some(character) if node.mode() == Mode::Strict => Err(node.refuse(Problem::CustomCharacter(character))),
        Some(_) | None => Ok(Some(node.value().clone())),
    }
}

fn escaped_character(value: &Value) -> Option<char> {
    let in_text = |text: &str| {
        text.chars()
            .find(|c| c.is_ascii_control() && *c != '\u{7f}' || matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}'))
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Integer(_) => None,
        Value::String(text) => in_text(text),
        Value::Array(items) => items.iter().find_map(escaped_character),
        Value::Object(members) => {
            members.iter().find_map(|(name, value)| in_text(name).or_else(|| escaped_character(value)))
        }
    }
}
