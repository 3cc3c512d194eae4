//! What a publication is for: what is staged, a renewal, or a rotation. Pure.

use std::collections::BTreeSet;

use signet_tuf::{KeyId, NEAR_EXPIRY, PublicKey, Role, RoleKeys, Root};
use time::OffsetDateTime;

use super::{
    Document, Trusted,
    build::{Draft, Keyring, canonical_ids},
};
use crate::{
    server::Access,
    trustdir::{changelist::Staged, rotation::Rotation},
};

/// What is to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errand {
    /// Everything that is staged but for these changes.
    Staged {
        /// The names of their files.
        skip: BTreeSet<String>,
    },
    /// What `init` made, and nothing that is staged.
    First,
    /// These roles with the same content and a new expiry; none: those that have expired or soon will.
    Renew(Vec<Role>),
    /// A root in which a role has other keys.
    Rotate(Rotation),
    /// The same with keys that are not made yet, to be looked at and not to be signed.
    Intended {
        /// root, targets, snapshot or timestamp.
        role: Role,
        /// How many keys are to sign; none: as many as now.
        threshold: Option<u32>,
        /// Who is to keep them.
        by: KeptBy,
    },
}

/// Who keeps a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptBy {
    /// The agent.
    Us,
    /// notary-server.
    Server,
}

impl Errand {
    /// Everything that is staged.
    #[must_use]
    pub const fn staged() -> Self {
        Self::Staged { skip: BTreeSet::new() }
    }

    /// The changes that belong to it, with their numbers in `status`.
    pub(super) fn changes<'a>(&self, staged: &'a [Staged]) -> Vec<(usize, &'a Staged)> {
        match self {
            Self::Staged { skip } => {
                staged.iter().enumerate().filter(|(_, change)| !skip.contains(&change.name)).collect()
            }
            Self::First | Self::Renew(_) | Self::Rotate(_) | Self::Intended { .. } => Vec::new(),
        }
    }

    /// The staged changes that may be published, if an earlier publication has signed them.
    pub(super) fn allowed(&self, staged: &[Staged]) -> Vec<Staged> {
        let is_allowed = |change: &&Staged| match self {
            Self::Staged { skip } => !skip.contains(&change.name),
            Self::First | Self::Renew(_) | Self::Rotate(_) | Self::Intended { .. } => true,
        };
        staged.iter().filter(is_allowed).cloned().collect()
    }

    /// What the server must let us do for it. Notary 0.7: a rotation wants everything.
    pub(super) const fn access(&self) -> Access {
        match self {
            Self::Staged { .. } | Self::First | Self::Renew(_) => Access::Write,
            Self::Rotate(_) | Self::Intended { .. } => Access::Admin,
        }
    }

    /// Whether it makes a collection that is nowhere yet, as Notary's `publish` does.
    pub(super) const fn may_begin(&self) -> bool {
        matches!(self, Self::Staged { .. })
    }

    /// What it does to a draft of what is published.
    ///
    /// # Errors
    /// The role that cannot be signed, and why.
    pub(super) fn apply(
        &self,
        draft: &mut Draft,
        keyring: &Keyring,
        trusted: &Trusted,
        now: OffsetDateTime,
    ) -> Result<(), (Role, String)> {
        match self {
            Self::Staged { .. } | Self::First => Ok(()),
            Self::Renew(roles) if roles.is_empty() => {
                renew_soon(draft, keyring, trusted, now);
                Ok(())
            }
            Self::Renew(roles) => roles.iter().try_for_each(|role| renew(draft, keyring, role)),
            Self::Rotate(rotation) => {
                rotate(draft, &rotation.role, rotation.role_keys());
                draft.root.keys.extend(rotation.keys.iter().map(|key| (key.key_id(), key.clone())));
                Ok(())
            }
            Self::Intended { role, threshold, .. } => {
                let now = draft.root.role_keys(role).map_or(1, |keys| keys.threshold);
                rotate(draft, role, RoleKeys { key_ids: Vec::new(), threshold: threshold.unwrap_or(now) });
                Ok(())
            }
        }
    }

    /// Who is to keep the snapshot key, if that changes in a way that the draft does not show.
    pub(super) fn keeps_snapshot(&self) -> Option<KeptBy> {
        match self {
            Self::Intended { role: Role::Snapshot, by, .. } => Some(*by),
            Self::Intended { .. } | Self::Staged { .. } | Self::First | Self::Renew(_) | Self::Rotate(_) => None,
        }
    }
}

/// What has expired or soon will, as far as its keys are at hand.
fn renew_soon(draft: &mut Draft, keyring: &Keyring, trusted: &Trusted, now: OffsetDateTime) {
    let soon =
        |document: &Document| document.envelope().metadata().expires().instant() < now.saturating_add(NEAR_EXPIRY);
    let documents = trusted.targets.iter().map(|(role, document)| (role.clone(), document));
    let snapshot = trusted.snapshot.iter().map(|document| (Role::Snapshot, document));
    let root = std::iter::once((Role::Root, &trusted.root));
    for (role, document) in root.chain(documents).chain(snapshot) {
        if !soon(document) {
            continue;
        }
        match is_ours(draft, keyring, &role) {
            true => drop(draft.dirty.insert(role)),
            // the server renews its own
            false if role == Role::Snapshot => {}
            false => {
                draft.dirty.remove(&role);
                tracing::warn!("{role} has expired or soon will, and not enough of its keys are at hand to renew it");
            }
        }
    }
}

fn renew(draft: &mut Draft, keyring: &Keyring, role: &Role) -> Result<(), (Role, String)> {
    let refused = |why: &str| Err((role.clone(), why.to_owned()));
    match role {
        Role::Timestamp => return refused("the server signs it, anew whenever it has to"),
        Role::Targets | Role::Delegation(_) if !draft.targets.contains_key(role) => {
            return refused("nothing is published of it that counts: `witness` renews a delegation whose keys changed");
        }
        Role::Root | Role::Targets | Role::Snapshot | Role::Delegation(_) => {}
    }
    if !is_ours(draft, keyring, role) {
        return refused(if *role == Role::Snapshot { "the server signs it" } else { "its keys are not at hand" });
    }
    draft.dirty.insert(role.clone());
    Ok(())
}

fn is_ours(draft: &Draft, keyring: &Keyring, role: &Role) -> bool {
    draft.signers(role).is_some_and(|(keys, listed)| keyring.present_of(keys, &listed) >= listed.threshold)
}

/// Replaces the keys of a role in root. What signs the role is signed anew with them. As Notary does, certificates of former root
/// keys stay listed, and other keys that no role names any more go.
fn rotate(draft: &mut Draft, role: &Role, keys: RoleKeys) {
    let root = &mut draft.root;
    let listed = match role {
        Role::Root => &mut root.root,
        Role::Targets => &mut root.targets,
        Role::Snapshot => &mut root.snapshot,
        Role::Timestamp => &mut root.timestamp,
        Role::Delegation(_) => return,
    };
    let former = std::mem::replace(listed, keys).key_ids;
    if *role != Role::Root {
        let roles = [&root.root, &root.targets, &root.snapshot, &root.timestamp];
        let named: BTreeSet<KeyId> = roles.into_iter().flat_map(|role| role.key_ids.clone()).collect();
        root.keys.retain(|id, _| named.contains(id) || !former.contains(id));
    }
    draft.dirty.insert(Role::Root);
    if matches!(role, Role::Targets | Role::Snapshot) {
        draft.dirty.insert(role.clone());
    }
}

/// Which keys sign the root of a rotation: new root keys, all that are at hand of the root before, and those of older roots
/// that were asked for.
pub(super) fn root_signers(rotation: &Rotation, former: &[Root], keyring: &Keyring) -> Vec<KeyId> {
    let mut ids = if rotation.role == Role::Root { rotation.role_keys().key_ids } else { Vec::new() };
    for root in former {
        for id in &root.root.key_ids {
            let key = root.keys.get(id).map(PublicKey::canonical_id);
            if key.is_some_and(|key| keyring.is_present(key)) && !ids.contains(id) {
                ids.push(*id);
            }
        }
    }
    ids
}

/// Why the keys at hand are too few for a role that wants several; nothing if they are enough.
pub(super) fn too_few(draft: &Draft, keyring: &Keyring, role: &Role) -> Option<String> {
    let (keys, listed) = draft.signers(role)?;
    let present = keyring.present_of(keys, &listed);
    // the keys of an intended rotation are not made yet
    if listed.threshold <= 1 || present >= listed.threshold || listed.key_ids.is_empty() {
        return None;
    }
    let missing = canonical_ids(keys, &listed).filter(|id| !keyring.is_present(*id));
    let missing: Vec<String> = missing.map(|id| id.to_string()).collect();
    Some(format!(
        "{} keys must sign it, and {present} of them are at hand; missing: {}",
        listed.threshold,
        missing.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        collection::build::sample::{NOW, draft},
        sample::{A, B, key},
        trustdir::rotation::Legacy,
    };

    fn only(keys: &[&str]) -> RoleKeys {
        RoleKeys { key_ids: keys.iter().map(|spki| key(spki).key_id()).collect(), threshold: 1 }
    }

    #[test]
    fn replaced_keys_go_unless_another_role_names_them() {
        for (role, dirty) in [
            (Role::Root, &["root"][..]),
            (Role::Targets, &["root", "targets"]),
            (Role::Snapshot, &["root", "snapshot"]),
            (Role::Timestamp, &["root"]),
        ] {
            let mut draft = draft();
            rotate(&mut draft, &role, only(&[B]));
            assert_eq!(draft.root.role_keys(&role), Some(&only(&[B])));
            assert_eq!(draft.dirty.iter().map(Role::to_string).collect::<Vec<_>>(), dirty);
            assert!(draft.root.keys.contains_key(&key(A).key_id()), "the other roles name it");
        }
        for (last, stays) in [(Role::Timestamp, false), (Role::Root, true)] {
            let mut draft = draft();
            let roles = [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp];
            for role in roles.iter().filter(|role| **role != last).chain([&last]) {
                rotate(&mut draft, role, only(&[B]));
            }
            assert_eq!(draft.root.keys.contains_key(&key(A).key_id()), stays, "a former root key stays listed");
        }
    }

    #[test]
    fn a_new_root_is_signed_by_new_and_former_keys_that_are_at_hand() {
        let rotation = Rotation {
            role: Role::Root,
            keys: vec![key(B)],
            threshold: 1,
            replaced: vec![key(A).canonical_id()],
            legacy: Legacy::None,
            since: NOW,
        };
        let former = [draft().root];
        let with = |spki: &[&str]| Keyring::new(spki.iter().map(|spki| key(spki).canonical_id()), []);
        assert_eq!(root_signers(&rotation, &former, &with(&[A])), only(&[B, A]).key_ids);
        assert_eq!(root_signers(&rotation, &former, &with(&[])), only(&[B]).key_ids);
        assert_eq!(root_signers(&rotation, &[], &with(&[A])), only(&[B]).key_ids);
    }

    #[test]
    fn only_what_can_be_signed_is_renewed() {
        let nobody = Keyring::default();
        let everybody = Keyring::new([key(A).canonical_id()], []);
        for (role, keyring, why) in [
            (Role::Targets, &everybody, None),
            (Role::Root, &everybody, None),
            (Role::Targets, &nobody, Some("not at hand")),
            (Role::Snapshot, &nobody, Some("the server signs it")),
            (Role::Timestamp, &everybody, Some("the server signs it")),
            ("targets/a".parse().unwrap(), &everybody, Some("nothing is published")),
        ] {
            let mut draft = draft();
            let renewed = renew(&mut draft, keyring, &role);
            match why {
                None => assert!(renewed.is_ok() && draft.dirty.contains(&role), "{role}"),
                Some(why) => assert!(renewed.unwrap_err().1.contains(why), "{role}"),
            }
        }
    }

    #[test]
    fn too_few_keys_for_a_threshold_are_named() {
        let mut draft = draft();
        draft.root.keys.insert(key(B).key_id(), key(B));
        draft.root.targets = RoleKeys { threshold: 2, ..only(&[A, B]) };
        let one = Keyring::new([key(A).canonical_id()], []);
        let why = too_few(&draft, &one, &Role::Targets).unwrap();
        assert!(why.ends_with(&key(B).canonical_id().to_string()), "{why}");
        let both = Keyring::new([key(A).canonical_id(), key(B).canonical_id()], []);
        assert_eq!(too_few(&draft, &both, &Role::Targets), None);
        assert_eq!(too_few(&draft, &Keyring::default(), &Role::Root), None, "one key is the agent's to miss");
    }
}
