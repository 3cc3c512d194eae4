//! The delegations of a collection as they will be after the next publication, as far as that is known here: the cached
//! metadata with the staged changes on top. It warns people in time; what counts is judged when changes are applied.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use signet_tuf::{DelegatedRole, Delegations, KeyId, PublicKey, Role};

use super::{Document, search::is_below};
use crate::trustdir::{GunDir, change::Change, edit::Edit};

/// How a parent lists a delegation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Its keys: canonical ID by the ID in metadata.
    pub keys: BTreeMap<KeyId, KeyId>,
    /// How many of them must sign.
    pub threshold: u32,
    /// Prefixes of the names that it may hold.
    pub paths: Vec<String>,
}

/// What is to be expected of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prospect<'a> {
    /// It is listed so.
    There(&'a Listed),
    /// Nobody lists it.
    Absent,
    /// Nothing is cached that could tell.
    Unknown,
}

/// What is known of all delegations.
#[derive(Debug, Default)]
pub struct Outlook {
    listed: BTreeMap<Role, Listed>,
    /// Roles whose cached metadata was read, so that they list nothing else.
    read: BTreeSet<Role>,
}

impl Outlook {
    /// What is cached and staged. What cannot be read is not known.
    #[must_use]
    pub fn of(dir: &GunDir) -> Self {
        let mut outlook = Self::default();
        outlook.read_cache(dir);
        match dir.changes() {
            Ok(staged) => staged.iter().for_each(|staged| outlook.follow(&staged.change)),
            Err(error) => {
                tracing::debug!("what is staged is not looked at: {error}");
                return Self::default();
            }
        }
        outlook
    }

    /// What is known of a delegation.
    #[must_use]
    pub fn prospect(&self, role: &Role) -> Prospect<'_> {
        if let Some(listed) = self.listed.get(role) {
            return Prospect::There(listed);
        }
        match role.parent() {
            Some(parent) if self.read.contains(&parent) => Prospect::Absent,
            Some(Role::Targets) | None => Prospect::Unknown,
            Some(parent) => match self.prospect(&parent) {
                Prospect::Absent => Prospect::Absent,
                Prospect::There(_) | Prospect::Unknown => Prospect::Unknown,
            },
        }
    }

    /// The first role on the way to `role`, itself left out, that nobody lists.
    #[must_use]
    pub fn missing_above(&self, role: &Role) -> Option<Role> {
        let mut way: Vec<Role> = std::iter::successors(role.parent(), Role::parent).collect();
        way.reverse();
        way.into_iter().find(|above| *above != Role::Targets && self.prospect(above) == Prospect::Absent)
    }

    /// Whether a delegation may get that path: all that is known above it must allow it.
    #[must_use]
    pub fn allows(&self, role: &Role, path: &str) -> bool {
        let above = std::iter::successors(role.parent(), Role::parent);
        above
            .filter_map(|above| self.listed.get(&above))
            .all(|listed| listed.paths.iter().any(|allowed| path.starts_with(allowed.as_str())))
    }

    /// Whether any delegation lists a key with that canonical ID.
    #[must_use]
    pub fn knows_key(&self, id: &str) -> bool {
        self.listed.values().any(|listed| listed.has_key(id))
    }

    /// Whether something is known of the collection at all.
    #[must_use]
    pub fn is_informed(&self) -> bool {
        self.read.contains(&Role::Targets)
    }

    /// Every delegation that is known.
    pub fn delegations(&self) -> impl Iterator<Item = (&Role, &Listed)> {
        self.listed.iter()
    }

    fn read_cache(&mut self, dir: &GunDir) {
        let mut waiting = VecDeque::from([Role::Targets]);
        while let Some(holder) = waiting.pop_front() {
            let cached = dir.cached(&holder).ok().flatten().and_then(|wire| Document::parse(&holder, wire).ok());
            let Some(targets) = cached.as_ref().and_then(Document::targets) else { continue };
            for entry in &targets.delegations.roles {
                let role = Role::Delegation(entry.name.clone());
                if entry.name.parent() == holder && !self.listed.contains_key(&role) {
                    self.listed.insert(role.clone(), Listed::of(&targets.delegations, entry));
                    waiting.push_back(role);
                }
            }
            self.read.insert(holder);
        }
    }

    /// Follows a staged change as far as it can be understood.
    fn follow(&mut self, change: &Change) {
        if change.kind != "delegation" {
            return;
        }
        let edit = || Edit::parse(change.json()).ok();
        if let Some(start) = change.scope.strip_suffix("/*") {
            let gone = edit().unwrap_or_default().remove_keys;
            let below = self.listed.iter_mut().filter(|(role, _)| role.as_str().starts_with(&format!("{start}/")));
            below.for_each(|(_, listed)| listed.drop_keys(&gone));
            return;
        }
        let Ok(role @ Role::Delegation(_)) = Role::parse(&change.scope) else { return };
        match (change.action.as_str(), edit()) {
            ("delete", _) => {
                self.listed.retain(|known, _| *known != role && !is_below(known, &role));
                self.read.retain(|known| *known != role && !is_below(known, &role));
            }
            ("create", Some(edit)) if edit.threshold > 0 || self.listed.contains_key(&role) => {
                if self.prospect(&role) == Prospect::Absent {
                    // it is new, so it lists nothing yet
                    self.read.insert(role.clone());
                }
                let listed = self.listed.entry(role).or_default();
                // the threshold of a delegation that is there stays
                listed.threshold = if listed.threshold == 0 { edit.threshold } else { listed.threshold };
                listed.take(&edit);
            }
            (_, Some(edit)) => {
                if let Some(listed) = self.listed.get_mut(&role) {
                    let is_changed = change.action == "update" && edit.threshold > 0;
                    listed.threshold = if is_changed { edit.threshold } else { listed.threshold };
                    listed.take(&edit);
                }
            }
            (_, None) => {}
        }
    }
}

impl Listed {
    fn of(delegations: &Delegations, entry: &DelegatedRole) -> Self {
        let key = |id: &KeyId| Some((*id, delegations.keys.get(id)?.canonical_id()));
        let keys = entry.key_ids.iter().filter_map(key).collect();
        Self { keys, threshold: entry.threshold, paths: entry.paths.clone() }
    }

    /// Whether it has a key with that canonical ID.
    #[must_use]
    pub fn has_key(&self, id: &str) -> bool {
        self.keys.values().any(|known| known.to_string() == id)
    }

    /// Takes keys out, by canonical ID.
    pub fn drop_keys(&mut self, gone: &[String]) {
        self.keys.retain(|_, id| !gone.contains(&id.to_string()));
    }

    /// Whether it has fewer keys than must sign.
    #[must_use]
    pub fn is_short_of_keys(&self) -> bool {
        self.keys.len() < usize::try_from(self.threshold).unwrap_or(usize::MAX)
    }

    fn take(&mut self, edit: &Edit) {
        self.drop_keys(&edit.remove_keys);
        self.keys.extend(edit.add_keys.iter().map(|key: &PublicKey| (key.key_id(), key.canonical_id())));
        self.paths.retain(|path| !edit.clear_paths && !edit.remove_paths.contains(path));
        self.paths.extend(edit.add_paths.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use signet_tuf::{Envelope, Expires, Metadata, Targets, Version};
    use time::{Duration, OffsetDateTime, macros::datetime};

    use super::*;
    use crate::sample::{A, B, key};

    const NOW: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

    fn role(name: &str) -> Role {
        name.parse().unwrap()
    }

    fn cache(dir: &GunDir, holder: &str, delegations: &[&str]) {
        let entry = |name: &&str| DelegatedRole {
            name: name.parse().unwrap(),
            key_ids: vec![key(A).key_id()],
            paths: vec!["a/".into()],
            threshold: 1,
        };
        let content = Targets {
            version: Version::FIRST,
            expires: Expires::at(datetime!(2030-01-01 0:00 UTC)),
            targets: BTreeMap::new(),
            delegations: Delegations {
                keys: if delegations.is_empty() { BTreeMap::new() } else { [(key(A).key_id(), key(A))].into() },
                roles: delegations.iter().map(entry).collect(),
            },
        };
        dir.keep(&role(holder), &Envelope::unsigned(Metadata::Targets(content)).to_wire()).unwrap();
    }

    fn prospect(outlook: &Outlook, name: &str) -> char {
        match outlook.prospect(&role(name)) {
            Prospect::There(_) => '+',
            Prospect::Absent => '-',
            Prospect::Unknown => '?',
        }
    }

    #[test]
    fn what_is_cached_and_staged_tells_which_roles_will_be_there() {
        let trust = tempfile::tempdir().unwrap();
        let dir = GunDir::new(trust.path(), &"g".parse().unwrap());
        let outlook = Outlook::of(&dir);
        assert_eq!((prospect(&outlook, "targets/a"), outlook.is_informed()), ('?', false));
        cache(&dir, "targets", &["targets/a", "targets/b"]);
        cache(&dir, "targets/b", &[]);
        let add = |name: &str, edit: Edit| Change::add_to_delegation(name, &edit);
        let new = |name: &str| add(name, Edit::add_keys(vec![key(B)]));
        let changes = [
            new("targets/c"),
            new("targets/c/d"),
            new("targets/x"),
            Change::remove_delegation("targets/x"),
            add("targets/paths", Edit::add_paths(vec!["p".into()])),
        ];
        dir.stage(&changes, NOW).unwrap();
        let outlook = Outlook::of(&dir);
        let found: Vec<_> = [
            "targets/a",
            "targets/a/unread",
            "targets/b/none",
            "targets/none",
            "targets/none/deeper",
            "targets/c",
            "targets/c/d",
            "targets/c/none",
            "targets/x",
            "targets/paths",
        ]
        .map(|name| prospect(&outlook, name))
        .into();
        assert_eq!(found, ['+', '?', '-', '-', '-', '+', '+', '-', '-', '-']);
        assert_eq!(outlook.missing_above(&role("targets/none/deeper/still")), Some(role("targets/none")));
        assert_eq!(outlook.missing_above(&role("targets/a/unread")), None);
        assert!(outlook.allows(&role("targets/a/n"), "a/1") && !outlook.allows(&role("targets/a/n"), "b"));
        assert!(outlook.allows(&role("targets/n"), "anything"));
    }

    #[test]
    fn keys_are_counted_after_what_is_staged() {
        let trust = tempfile::tempdir().unwrap();
        let dir = GunDir::new(trust.path(), &"g".parse().unwrap());
        cache(&dir, "targets", &["targets/a"]);
        let (a, b) = (key(A).canonical_id().to_string(), key(B).canonical_id().to_string());
        let take = |scope: &str, id: &str| Change::take_from_delegation(scope, &Edit::remove_keys(vec![id.to_owned()]));
        let add = |spki: &str| Change::add_to_delegation("targets/a", &Edit::add_keys(vec![key(spki)]));
        let table: [(&[Change], usize); 4] =
            [(&[], 1), (&[add(B)], 2), (&[take("targets/a", &a)], 1), (&[take("targets/*", &b)], 0)];
        for (round, (changes, keys)) in (0..).zip(table) {
            dir.stage(changes, NOW + Duration::seconds(round)).unwrap();
            let outlook = Outlook::of(&dir);
            let Prospect::There(listed) = outlook.prospect(&role("targets/a")) else { panic!("{changes:?}") };
            assert_eq!((listed.keys.len(), listed.is_short_of_keys()), (keys, keys == 0), "{changes:?}");
            assert_eq!(outlook.knows_key(&a) || outlook.knows_key(&b), keys > 0);
        }
    }
}
