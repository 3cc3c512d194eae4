//! The tree of delegations: which role speaks for which target. Pure.

use std::collections::{BTreeMap, VecDeque};

use signet_tuf::{DelegatedRole, Delegations, KeyId, PublicKey, Role, Target, Targets};

/// Docker's role for what is released.
const RELEASES: &str = "targets/releases";

/// The metadata of `targets` and of the delegations that count.
pub type Tree<'a> = BTreeMap<&'a Role, &'a Targets>;

/// A role on the way down the tree, with the target names that it and all above it may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// The role.
    pub role: Role,
    /// Prefixes of names.
    pub paths: Vec<String>,
}

/// A target and the role that speaks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its size and digests.
    pub target: Target,
    /// Who says so.
    pub role: Role,
}

/// A delegation and what its parent says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted<'a> {
    /// The delegation.
    pub role: &'a DelegatedRole,
    /// Its parent's delegations, with their keys.
    pub delegations: &'a Delegations,
}

impl Visit {
    fn allows(&self, name: &str) -> bool {
        self.paths.iter().any(|path| name.starts_with(path.as_str()))
    }
}

/// Where every walk begins: `targets`, which may hold any name.
#[must_use]
pub fn top() -> Visit {
    Visit { role: Role::Targets, paths: vec![String::new()] }
}

/// The delegations of a role, each restricted to paths that its parents allow. Notary's `GetValidDelegations`.
#[must_use]
pub fn children(tree: &Tree<'_>, parent: &Visit) -> Vec<Visit> {
    let Some(targets) = tree.get(&parent.role) else {
        return Vec::new();
    };
    let visits = targets.delegations.roles.iter().map(|child| Visit {
        role: child.name.clone().into(),
        paths: child.paths.iter().filter(|path| parent.allows(path)).cloned().collect(),
    });
    visits.filter(|child| child.role.parent().as_ref() == Some(&parent.role)).collect()
}

/// How the parent lists a delegation.
#[must_use]
pub fn listed<'a>(tree: &Tree<'a>, role: &Role) -> Option<(&'a BTreeMap<KeyId, PublicKey>, &'a DelegatedRole)> {
    let parent = tree.get(&role.parent()?)?;
    let entry = parent.delegations.roles.iter().find(|entry| entry.name.as_str() == role.as_str())?;
    Some((&parent.delegations.keys, entry))
}

/// Every target, by name; the first role that has a name speaks for it. `roles` are roots of subtrees in order of priority;
/// empty means all, from `targets`.
#[must_use]
pub fn all(tree: &Tree<'_>, roles: &[Role]) -> Vec<Found> {
    let mut found = BTreeMap::new();
    for start in starts(roles) {
        walk(tree, None, start, &others(roles, start), |visit| {
            for (name, target) in tree.get(&visit.role).into_iter().flat_map(|targets| &targets.targets) {
                if visit.allows(name) && !found.contains_key(name) {
                    let item = Found { name: name.clone(), target: target.clone(), role: visit.role.clone() };
                    found.insert(name.clone(), item);
                }
            }
            Step::On
        });
    }
    found.into_values().collect()
}

/// The target of that name; the first role breadth-first speaks for it. `roles` are as in [`all`].
#[must_use]
pub fn one(tree: &Tree<'_>, roles: &[Role], name: &str) -> Option<Found> {
    starts(roles).iter().find_map(|start| {
        let mut found = None;
        walk(tree, Some(name), start, &[], |visit| {
            match tree.get(&visit.role).and_then(|targets| targets.targets.get(name)) {
                Some(target) => {
                    found = Some(Found { name: name.to_owned(), target: target.clone(), role: visit.role.clone() });
                    Step::Stop
                }
                None => Step::On,
            }
        });
        found
    })
}

/// Every delegation whose parent counts, breadth first, as its parent lists it: also those that have not signed anything.
#[must_use]
pub fn delegations<'a>(tree: &Tree<'a>) -> Vec<Granted<'a>> {
    let mut granted = Vec::new();
    walk(tree, None, &Role::Targets, &[], |visit| {
        if let Some(targets) = tree.get(&visit.role) {
            let delegations = &targets.delegations;
            granted.extend(delegations.roles.iter().map(|role| Granted { role, delegations }));
        }
        Step::On
    });
    granted
}

/// The targets that Docker's client takes for released: those of `targets/releases`, and of `targets` where that has none.
#[must_use]
pub fn released(tree: &Tree<'_>) -> Vec<Found> {
    let releases = Role::parse(RELEASES).ok();
    let roles: Vec<Role> = releases.into_iter().chain([Role::Targets]).collect();
    // docker/cli trust: what another role says first is passed over, not looked for further down
    all(tree, &roles).into_iter().filter(|found| roles.contains(&found.role)).collect()
}

/// The way to a role and the paths that are left for it; none if no parent lists it.
#[must_use]
pub fn visit_of(tree: &Tree<'_>, role: &Role) -> Option<Visit> {
    match role.parent() {
        None => (*role == Role::Targets).then(top),
        Some(parent) => children(tree, &visit_of(tree, &parent)?).into_iter().find(|child| child.role == *role),
    }
}

/// Whether a role may hold a name: every path on the way down to it must allow it.
#[must_use]
pub fn may_hold(tree: &Tree<'_>, role: &Role, name: &str) -> bool {
    visit_of(tree, role).is_some_and(|visit| visit.allows(name))
}

enum Step {
    On,
    Stop,
}

/// Notary's `WalkTargets`: breadth first, into the subtree of `start`, past `skip`.
fn walk(tree: &Tree<'_>, name: Option<&str>, start: &Role, skip: &[Role], mut visit: impl FnMut(&Visit) -> Step) {
    let mut waiting = VecDeque::from([top()]);
    while let Some(next) = waiting.pop_front() {
        if !tree.contains_key(&next.role) {
            continue;
        }
        if is_below(start, &next.role) {
            waiting.extend(children(tree, &next));
            continue;
        }
        let wanted = next.role == *start || is_below(&next.role, start);
        if !wanted || skip.contains(&next.role) || name.is_some_and(|name| !next.allows(name)) {
            continue;
        }
        match visit(&next) {
            Step::Stop => return,
            Step::On => waiting.extend(children(tree, &next)),
        }
    }
}

/// Whether a role is anywhere below another one.
#[must_use]
pub fn is_below(role: &Role, ancestor: &Role) -> bool {
    role.as_str().strip_prefix(ancestor.as_str()).is_some_and(|rest| rest.starts_with('/'))
}

fn starts(roles: &[Role]) -> &[Role] {
    if roles.is_empty() { &[Role::Targets] } else { roles }
}

fn others(roles: &[Role], start: &Role) -> Vec<Role> {
    roles.iter().filter(|role| *role != start).cloned().collect()
}

#[cfg(test)]
mod tests {
    use signet_tuf::{Delegations, Expires, Hashes, Version};
    use time::macros::datetime;

    use super::*;
    fn targets(names: &[&str], delegations: &[(&str, &[&str])]) -> Targets {
        let target = |name: &&str| {
            let target = Target { length: 1, hashes: Hashes::of(b"x"), custom: None };
            ((*name).to_owned(), target)
        };
        let role = |(name, paths): &(&str, &[&str])| DelegatedRole {
            name: name.parse().unwrap(),
            key_ids: vec![],
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            threshold: 1,
        };
        Targets {
            version: Version::FIRST,
            expires: Expires::at(datetime!(2030-01-01 0:00 UTC)),
            targets: names.iter().map(target).collect(),
            delegations: Delegations { keys: BTreeMap::new(), roles: delegations.iter().map(role).collect() },
        }
    }

    fn sample() -> BTreeMap<Role, Targets> {
        [
            ("targets", targets(&["top", "both"], &[("targets/b", &["b/", "both", "x"]), ("targets/a", &[""])])),
            ("targets/a", targets(&["both", "x", "b/1", "only-a"], &[("targets/a/c", &["c/"])])),
            ("targets/a/c", targets(&["c/1", "outside"], &[])),
            ("targets/b", targets(&["b/1", "x", "forbidden"], &[("targets/b/d", &["b/d/", "e/"])])),
            ("targets/b/d", targets(&["b/d/1", "e/1"], &[])),
        ]
        .map(|(name, targets)| (name.parse().unwrap(), targets))
        .into()
    }

    #[test]
    fn the_first_role_breadth_first_speaks_for_a_name() {
        let sample = sample();
        let tree: Tree<'_> = sample.iter().collect();
        let table = [
            ("top", Some("targets")),
            ("both", Some("targets")),
            ("x", Some("targets/b")),
            ("b/1", Some("targets/b")),
            ("only-a", Some("targets/a")),
            ("c/1", Some("targets/a/c")),
            ("b/d/1", Some("targets/b/d")),
            ("outside", None),
            ("forbidden", None),
            ("e/1", None),
            ("absent", None),
        ];
        let listed: BTreeMap<_, _> = all(&tree, &[]).into_iter().map(|f| (f.name, f.role)).collect();
        for (name, role) in table {
            let role = role.map(|role| role.parse().unwrap());
            assert_eq!(one(&tree, &[], name).map(|found| found.role), role, "{name}");
            assert_eq!(listed.get(name).cloned(), role, "{name}");
        }
        assert_eq!(listed.len(), 7);
    }

    #[test]
    fn named_roles_come_first_and_do_not_overlap() {
        let sample = sample();
        let tree: Tree<'_> = sample.iter().collect();
        let roles = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<Role>>();
        let speaker = |names: &[&str], target: &str| {
            all(&tree, &roles(names)).into_iter().find(|f| f.name == target).map(|f| f.role.to_string())
        };
        assert_eq!(speaker(&["targets/a", "targets/b"], "x").as_deref(), Some("targets/a"));
        assert_eq!(speaker(&["targets/a"], "top"), None);
        assert_eq!(speaker(&["targets/a", "targets"], "both").as_deref(), Some("targets/a"));
        assert_eq!(speaker(&["targets/a", "targets"], "top").as_deref(), Some("targets"));
        assert_eq!(speaker(&["targets/a/c"], "c/1").as_deref(), Some("targets/a/c"));
        assert_eq!(speaker(&["targets/absent"], "c/1"), None);
        let first =
            |names: &[&str], target: &str| one(&tree, &roles(names), target).map(|found| found.role.to_string());
        assert_eq!(first(&["targets/a", "targets/b"], "x").as_deref(), Some("targets/a"));
        assert_eq!(first(&["targets/b", "targets/a"], "x").as_deref(), Some("targets/b"));
        assert_eq!(first(&["targets/a"], "top"), None);
        assert_eq!(first(&["targets/a", "targets"], "top").as_deref(), Some("targets"));
    }

    #[test]
    fn delegations_are_listed_as_their_parents_have_them() {
        let sample = sample();
        let tree: Tree<'_> = sample.iter().filter(|(role, _)| role.as_str() != "targets/b").collect();
        let names: Vec<_> = delegations(&tree).iter().map(|granted| granted.role.name.to_string()).collect();
        assert_eq!(names, ["targets/b", "targets/a", "targets/a/c"], "what only an invalid parent lists is left out");
    }

    #[test]
    fn a_role_may_hold_what_every_path_on_the_way_allows() {
        let sample = sample();
        let tree: Tree<'_> = sample.iter().collect();
        let table = [
            ("targets", "anything", true),
            ("targets/a", "anything", true),
            ("targets/b", "b/2", true),
            ("targets/b", "c/2", false),
            ("targets/a/c", "c/2", true),
            ("targets/a/c", "d", false),
            ("targets/b/d", "e/1", false),
        ];
        for (role, name, allowed) in table {
            assert_eq!(may_hold(&tree, &role.parse().unwrap(), name), allowed, "{role} {name}");
        }
    }
}
