//! Staged changes applied to a draft, by Notary's rules and in its words. Pure.

use std::collections::{BTreeMap, BTreeSet};

use signet_tuf::{DelegatedRole, FileMeta, KeyId, PublicKey, Role, RoleKeys, Targets};
use time::OffsetDateTime;

use super::{
    build::{Draft, Keyring, canonical_ids, empty_targets},
    search,
};
use crate::trustdir::{change::Change, edit::Edit};

const ALL_DELEGATIONS: &str = "/*";

/// Applies one change.
///
/// # Errors
/// One sentence that says what it lacks.
pub(super) fn apply(draft: &mut Draft, keyring: &Keyring, change: &Change, now: OffsetDateTime) -> Result<(), String> {
    if let Some(start) = change.scope.strip_suffix(ALL_DELEGATIONS) {
        return purge(draft, keyring, start, change);
    }
    let role = match change.scope.as_str() {
        "root" => return Err(format!("type of root change not yet supported: {}", change.kind)),
        "snapshot" | "timestamp" => return Err(format!("scope not supported: {}", change.scope)),
        scope => Role::parse(scope).map_err(|e| e.to_string())?,
    };
    match (change.kind.as_str(), change.action.as_str()) {
        ("target", "create") => add_target(draft, keyring, role, change, now),
        ("target", "delete") => remove_target(draft, keyring, &role, &change.path),
        ("target", action) => Err(format!("action not yet supported: {action}")),
        ("delegation", "create" | "update") => change_delegation(draft, keyring, &role, change, now),
        ("delegation", "delete") => delete_delegation(draft, keyring, &role),
        ("delegation", action) => Err(format!("unsupported action against delegations: {action}")),
        ("witness", _) => witness(draft, role),
        _ => Err("only target meta and delegations changes supported".into()),
    }
}

// --- targets

fn add_target(
    draft: &mut Draft,
    keyring: &Keyring,
    role: Role,
    change: &Change,
    now: OffsetDateTime,
) -> Result<(), String> {
    let target = change.target()?;
    let signers = existing(draft, &role)?;
    if draft.targets.get(&role).and_then(|targets| targets.targets.get(&change.path)) == Some(&target) {
        return Ok(());
    }
    if draft.invalid.contains_key(&role) {
        return Err(needs_witness(&role));
    }
    must_sign(keyring, &signers)?;
    if !search::may_hold(&draft.tree(), &role, &change.path) {
        return Err(format!("Could not add all targets: the paths of {role} do not allow {:?}", change.path));
    }
    let targets = draft.targets.entry(role.clone()).or_insert_with(|| empty_targets(now));
    targets.targets.insert(change.path.clone(), target);
    draft.dirty.insert(role);
    Ok(())
}

fn remove_target(draft: &mut Draft, keyring: &Keyring, role: &Role, name: &str) -> Result<(), String> {
    let signers = existing(draft, role)?;
    if !draft.targets.get(role).is_some_and(|targets| targets.targets.contains_key(name)) {
        return Ok(());
    }
    must_sign(keyring, &signers)?;
    if let Some(targets) = draft.targets.get_mut(role) {
        targets.targets.remove(name);
        draft.dirty.insert(role.clone());
    }
    Ok(())
}

fn witness(draft: &mut Draft, role: Role) -> Result<(), String> {
    if !draft.targets.contains_key(&role) {
        let unknown = || invalid_role(&role, "this role is not known");
        let (keys, listed) = draft.signers(&role).ok_or_else(unknown)?;
        if canonical_ids(keys, &listed).count() < usize::try_from(listed.threshold).unwrap_or(usize::MAX) {
            let why = "role does not specify enough valid signing keys to meet its required threshold";
            return Err(invalid_role(&role, why));
        }
        let content = draft.invalid.remove(&role).ok_or_else(unknown)?;
        draft.targets.insert(role.clone(), content);
    }
    draft.dirty.insert(role);
    Ok(())
}

/// Who signs a role that must be listed already.
fn existing<'a>(draft: &'a Draft, role: &Role) -> Result<(&'a BTreeMap<KeyId, PublicKey>, RoleKeys), String> {
    if !role.holds_targets() {
        return Err(invalid_role(role, "cannot add targets to this role"));
    }
    draft.signers(role).ok_or_else(|| invalid_role(role, "delegation does not exist"))
}

fn must_sign(keyring: &Keyring, (keys, role): &(&BTreeMap<KeyId, PublicKey>, RoleKeys)) -> Result<(), String> {
    if keyring.has_one_of(keys, role) {
        return Ok(());
    }
    let ids: Vec<_> = canonical_ids(keys, role).map(|id| id.to_string()).collect();
    let ids = ids.join(", ");
    Err(format!("could not find necessary signing keys, at least one of these keys must be available: {ids}"))
}

fn needs_witness(role: &Role) -> String {
    format!("{role} is published without enough valid signatures; `witness` it first, if all that it holds is right")
}

fn invalid_role(role: &Role, why: &str) -> String {
    format!("tuf: invalid role {role}. {why}")
}

// --- delegations

fn change_delegation(
    draft: &mut Draft,
    keyring: &Keyring,
    role: &Role,
    change: &Change,
    now: OffsetDateTime,
) -> Result<(), String> {
    let Role::Delegation(name) = role else {
        return Err(invalid_role(role, "not a valid delegated role"));
    };
    let edit = Edit::parse(change.json())?;
    let parent = name.parent();
    must_sign(keyring, &existing(draft, &parent)?)?;
    let way =
        search::visit_of(&draft.tree(), &parent).ok_or_else(|| invalid_role(role, "delegation does not exist"))?;
    let outside = |path: &&String| !way.paths.iter().any(|allowed| path.starts_with(allowed.as_str()));
    if edit.add_paths.iter().any(|path| outside(&path)) {
        return Err(invalid_role(role, "invalid paths to add to role"));
    }
    let holder = draft.targets.entry(parent.clone()).or_insert_with(|| empty_targets(now));
    let known = holder.delegations.roles.iter().find(|entry| entry.name == *name).cloned();
    let mut entry = match (known, change.action.as_str(), edit.threshold) {
        (Some(entry), "update", threshold @ 1..) => DelegatedRole { threshold, ..entry },
        (Some(entry), _, _) => entry,
        (None, "create", threshold @ 1..) => {
            DelegatedRole { name: name.clone(), key_ids: Vec::new(), paths: Vec::new(), threshold }
        }
        (None, _, _) => return Err(invalid_role(role, "delegation does not exist")),
    };
    let keys = &mut holder.delegations.keys;
    let is_removed = |key: &PublicKey| edit.remove_keys.contains(&key.canonical_id().to_string());
    entry.key_ids.retain(|id| keys.get(id).is_none_or(|key| !is_removed(key)));
    for key in edit.add_keys {
        if !entry.key_ids.contains(&key.key_id()) {
            entry.key_ids.push(key.key_id());
        }
        keys.insert(key.key_id(), key);
    }
    entry.paths.retain(|path| !edit.clear_paths && !edit.remove_paths.contains(path));
    for path in edit.add_paths {
        if !entry.paths.contains(&path) {
            entry.paths.push(path);
        }
    }
    warn_if_unusable(&entry);
    match holder.delegations.roles.iter_mut().find(|known| known.name == *name) {
        Some(known) => *known = entry,
        None => holder.delegations.roles.push(entry),
    }
    drop_unused_keys(holder);
    draft.dirty.insert(parent);
    Ok(())
}

fn delete_delegation(draft: &mut Draft, keyring: &Keyring, role: &Role) -> Result<(), String> {
    let Some(parent) = role.parent() else {
        return Err(invalid_role(role, "not a valid delegated role"));
    };
    must_sign(keyring, &existing(draft, &parent)?)?;
    if draft.invalid.contains_key(&parent) {
        return Err(needs_witness(&parent));
    }
    draft.targets.remove(role);
    draft.invalid.remove(role);
    draft.files.remove(role);
    draft.dirty.remove(role);
    let Some(holder) = draft.targets.get_mut(&parent) else {
        return Ok(());
    };
    let before = holder.delegations.roles.len();
    holder.delegations.roles.retain(|entry| entry.name.as_str() != role.as_str());
    if holder.delegations.roles.len() != before {
        drop_unused_keys(holder);
        draft.dirty.insert(parent);
    }
    Ok(())
}

/// What is removed and made anew in one publication is listed all the while, so the snapshot goes on naming what is published
/// of it; whoever has its keys now may stand by that.
pub(super) fn keep_what_is_listed(draft: &mut Draft, published: &BTreeMap<Role, FileMeta>) {
    for (role, file) in published {
        if !draft.files.contains_key(role) && draft.signers(role).is_some() {
            draft.files.insert(role.clone(), file.clone());
        }
    }
}

/// Takes keys out of every delegation below `start` whose parent we can sign.
fn purge(draft: &mut Draft, keyring: &Keyring, start: &str, change: &Change) -> Result<(), String> {
    if (change.kind.as_str(), change.action.as_str()) != ("delegation", "update") {
        return Err("only wildcard roles can be used in a purge".into());
    }
    let gone = Edit::parse(change.json())?.remove_keys;
    let below = |role: &Role| role.as_str() == start || role.as_str().starts_with(&format!("{start}/"));
    let holders: Vec<Role> = draft.targets.keys().filter(|role| below(role)).cloned().collect();
    for role in holders {
        let is_ours = draft.signers(&role).is_some_and(|(keys, listed)| keyring.has_one_of(keys, &listed));
        let Some(holder) = draft.targets.get_mut(&role) else { continue };
        let keys = &holder.delegations.keys;
        let listed = |id: &KeyId| keys.get(id).is_some_and(|key| gone.contains(&key.canonical_id().to_string()));
        let candidates: BTreeSet<KeyId> = keys.keys().copied().filter(|id| listed(id)).collect();
        if candidates.is_empty() {
            continue;
        }
        if !is_ours {
            tracing::warn!(
                "role {role} contains keys being purged but you do not have the necessary keys present to sign it; keys will not be purged from {role} or its immediate children"
            );
            continue;
        }
        holder.delegations.keys.retain(|id, _| !candidates.contains(id));
        for entry in &mut holder.delegations.roles {
            entry.key_ids.retain(|id| !candidates.contains(id));
            warn_if_unusable(entry);
        }
        draft.dirty.insert(role);
    }
    Ok(())
}

fn warn_if_unusable(entry: &DelegatedRole) {
    if entry.key_ids.len() < usize::try_from(entry.threshold).unwrap_or(usize::MAX) {
        tracing::warn!(
            "role {} has fewer keys than its threshold of {}; it will not be usable until keys are added to it",
            entry.name,
            entry.threshold
        );
    }
}

fn drop_unused_keys(holder: &mut Targets) {
    let used: BTreeSet<KeyId> = holder.delegations.roles.iter().flat_map(|entry| entry.key_ids.clone()).collect();
    holder.delegations.keys.retain(|id, _| used.contains(id));
}

#[cfg(test)]
mod tests {
    use signet_tuf::{Hashes, Target};

    use super::*;
    use crate::{
        collection::build::sample::{NOW, draft},
        sample::{A, B, key},
        trustdir::change::Data,
    };

    fn keyring(keys: &[&str]) -> Keyring {
        Keyring::new(keys.iter().map(|spki| key(spki).canonical_id()), [])
    }

    fn change(action: &str, kind: &str, scope: &str, path: &str, data: &str) -> Change {
        let data = Data::Json(data.into());
        Change { action: action.into(), scope: scope.into(), kind: kind.into(), path: path.into(), data }
    }

    fn add(scope: &str, path: &str) -> Change {
        let target = Target { length: 3, hashes: Hashes::of(b"abc"), custom: None };
        Change::add_target(scope, path, &target)
    }

    fn delegate(scope: &str, spki: &str, paths: &str) -> [Change; 2] {
        let keys = format!(
            r#"{{"threshold":1,"add_keys":[{{"keytype":"ecdsa","keyval":{{"public":"{spki}","private":null}}}}]}}"#
        );
        [
            change("create", "delegation", scope, "", &keys),
            change("create", "delegation", scope, "", &format!(r#"{{"add_paths":{paths}}}"#)),
        ]
    }

    fn run(draft: &mut Draft, keyring: &Keyring, changes: &[Change]) -> Result<(), String> {
        changes.iter().try_for_each(|change| apply(draft, keyring, change, NOW))
    }

    fn dirty(draft: &Draft) -> Vec<String> {
        draft.dirty.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_target_comes_and_goes() {
        let (mut draft, keyring) = (draft(), keyring(&[A]));
        run(&mut draft, &keyring, &[add("targets", "a<b")]).unwrap();
        assert_eq!(draft.targets[&Role::Targets].targets["a<b"].length, 3);
        assert_eq!(dirty(&draft), ["targets"]);
        draft.dirty.clear();
        run(&mut draft, &keyring, &[add("targets", "a<b"), Change::remove_target("targets", "absent")]).unwrap();
        assert_eq!(dirty(&draft), [""; 0], "nothing to do is no change");
        run(&mut draft, &keyring, &[Change::remove_target("targets", "a<b")]).unwrap();
        assert!(draft.targets[&Role::Targets].targets.is_empty());
        assert_eq!(dirty(&draft), ["targets"]);
    }

    #[test]
    fn delegations_are_made_as_notary_makes_them() {
        let (mut draft, keyring) = (draft(), keyring(&[A, B]));
        run(&mut draft, &keyring, &delegate("targets/r", B, r#"["r/"]"#)).unwrap();
        run(&mut draft, &keyring, &[add("targets/r", "r/1")]).unwrap();
        assert_eq!(dirty(&draft), ["targets", "targets/r"]);
        let entry = draft.targets[&Role::Targets].delegations.roles[0].clone();
        assert_eq!((entry.key_ids, entry.paths, entry.threshold), (vec![key(B).key_id()], vec!["r/".to_owned()], 1));
        // Notary stages a threshold of 1 with every key; of a delegation that is there only a change of its own counts
        for (action, after) in [("update", 3), ("create", 3), ("update", 1)] {
            let data = format!(r#"{{"threshold":{}}}"#, if action == "create" { 1 } else { after });
            run(&mut draft, &keyring, &[change(action, "delegation", "targets/r", "", &data)]).unwrap();
            assert_eq!(draft.targets[&Role::Targets].delegations.roles[0].threshold, after);
        }
        let id = key(B).canonical_id();
        run(&mut draft, &keyring, &[change("update", "delegation", "targets/r", "", r#"{"clear_paths":true}"#)])
            .unwrap();
        run(
            &mut draft,
            &keyring,
            &[change("update", "delegation", "targets/*", "", &format!(r#"{{"remove_keys":["{id}"]}}"#))],
        )
        .unwrap();
        let delegations = &draft.targets[&Role::Targets].delegations;
        assert!(
            delegations.keys.is_empty()
                && delegations.roles[0].key_ids.is_empty()
                && delegations.roles[0].paths.is_empty()
        );
        run(&mut draft, &keyring, &[change("delete", "delegation", "targets/r", "", "")]).unwrap();
        assert!(draft.targets[&Role::Targets].delegations.roles.is_empty());
        assert_eq!(dirty(&draft), ["targets"]);
    }

    #[test]
    fn what_cannot_be_applied_says_why() {
        let nested = r#"{"threshold":1}"#;
        let table: &[(&[Change], &str)] = &[
            (&[add("targets/absent", "x")], "delegation does not exist"),
            (&[add("snapshot", "x")], "scope not supported: snapshot"),
            (&[change("create", "role", "root", "root", "{}")], "type of root change not yet supported: role"),
            (&[change("update", "witness", "targets/x", "", "")], "this role is not known"),
            (&[change("update", "target", "targets", "x", "")], "action not yet supported: update"),
            (&[change("create", "wish", "targets", "x", "")], "only target meta and delegations"),
            (&[change("create", "target", "targets", "x", "")], "$"),
            (&[change("create", "target", "targets", "x", r#"{"length":1.5,"hashes":{}}"#)], "length"),
            (&[change("create", "target", "targets", "x", r#"{"length":1,"hashes":{}}"#)], "no digest"),
            (&[change("create", "delegation", "targets/a/b", "", nested)], "delegation does not exist"),
            (&[change("create", "delegation", "targets/a", "", r#"{"add_keys":[null],"threshold":1}"#)], "null"),
        ];
        for (changes, text) in table {
            let error = run(&mut draft(), &keyring(&[A]), changes).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
        let mut outside = delegate("targets/r", B, r#"["r/"]"#).to_vec();
        outside.push(add("targets/r", "other"));
        assert!(run(&mut draft(), &keyring(&[A, B]), &outside).unwrap_err().starts_with("Could not add all targets"));
        let error = run(&mut draft(), &keyring(&[B]), &[add("targets", "x")]).unwrap_err();
        assert!(error.ends_with(&key(A).canonical_id().to_string()), "{error}");
    }

    #[test]
    fn an_invalid_delegation_is_healed_by_witness_only() {
        let (mut draft, keyring) = (draft(), keyring(&[A, B]));
        run(&mut draft, &keyring, &delegate("targets/r", B, r#"[""]"#)).unwrap();
        let role: Role = "targets/r".parse().unwrap();
        draft.invalid.insert(role.clone(), empty_targets(NOW));
        draft.files.insert("targets/r/below".parse().unwrap(), FileMeta::of(b"a file"));
        let below = change("delete", "delegation", "targets/r/below", "", "");
        for refused in [add("targets/r", "x"), below] {
            assert!(run(&mut draft, &keyring, &[refused]).unwrap_err().contains("witness"));
        }
        assert_eq!(draft.files.len(), 1, "only a parent that counts shows what is listed no longer");
        let witness = change("update", "witness", "targets/r", "", "");
        run(&mut draft, &keyring, &[witness, add("targets/r", "x")]).unwrap();
        assert!(draft.targets[&role].targets.contains_key("x") && draft.dirty.contains(&role));
    }
}
