//! What the server has of a collection, without key IDs, signatures and times.

use anyhow::{Context, Result};
use serde_json::Value;
use signet_tests::NotaryServer;

const ROLES: [&str; 4] = ["root", "targets", "snapshot", "timestamp"];

/// Roles, thresholds, kinds of keys, numbers of signatures, versions, targets and delegations, a line each.
pub(crate) fn shape(server: &NotaryServer, gun: &str) -> Result<String> {
    let Some(root) = load(server, gun, "root")? else { return Ok("nothing\n".to_owned()) };
    let mut lines = Vec::new();
    for role in ROLES {
        let keys = at(&root, &format!("/signed/roles/{role}"))?;
        lines.push(format!("{role}: {}", described(keys, at(&root, "/signed/keys")?)?));
    }
    lines.push(signed("root", &root)?);
    // The server signs snapshot and timestamp when it is asked, so their versions are not the client's doing.
    describe_targets(server, gun, "targets", &mut lines)?;
    Ok(lines.join("\n") + "\n")
}

fn describe_targets(server: &NotaryServer, gun: &str, role: &str, lines: &mut Vec<String>) -> Result<()> {
    let Some(document) = load(server, gun, role)? else {
        lines.push(format!("{role} is not published"));
        return Ok(());
    };
    lines.push(signed(role, &document)?);
    for (name, target) in at(&document, "/signed/targets")?.as_object().into_iter().flatten() {
        lines.push(format!("{role} has {name}: {target}"));
    }
    let keys = at(&document, "/signed/delegations/keys")?;
    for delegation in at(&document, "/signed/delegations/roles")?.as_array().into_iter().flatten() {
        let name = at(delegation, "/name")?.as_str().context("a name")?;
        let paths = delegation.get("paths").cloned().unwrap_or_default();
        lines.push(format!("{name}: {}, paths {paths}", described(delegation, keys)?));
        describe_targets(server, gun, name, lines)?;
    }
    Ok(())
}

fn load(server: &NotaryServer, gun: &str, role: &str) -> Result<Option<Value>> {
    let bytes = server.metadata(gun, &format!("{role}.json"))?;
    Ok(bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose()?)
}

fn signed(role: &str, document: &Value) -> Result<String> {
    let signatures = at(document, "/signatures")?.as_array().map_or(0, Vec::len);
    Ok(format!("{role} version {}, {signatures} signatures", at(document, "/signed/version")?))
}

fn described(role: &Value, keys: &Value) -> Result<String> {
    // a role that lost its last key has `null` here
    let ids = at(role, "/keyids")?.as_array().map(Vec::as_slice).unwrap_or_default();
    let kind = |id: &Value| keys.get(id.as_str()?)?.get("keytype")?.as_str();
    let mut kinds: Vec<_> = ids.iter().map(|id| kind(id).unwrap_or("?")).collect();
    kinds.sort_unstable();
    Ok(format!("{} of {}", at(role, "/threshold")?, kinds.join(" ")))
}

fn at<'a>(value: &'a Value, pointer: &str) -> Result<&'a Value> {
    value.pointer(pointer).with_context(|| format!("no {pointer} in {value}"))
}
