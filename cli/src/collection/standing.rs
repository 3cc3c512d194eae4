//! How a collection stands, as far as this trust directory knows: versions, expiries, and who can sign what from here.
//!
//! Read from the cache; the server is not asked.

use std::collections::BTreeMap;

use signet_proto::v1;
use signet_tuf::{Expires, KeyId, PublicKey, Role, RoleKeys, Version, verify};
use time::OffsetDateTime;

use super::{CollectionError, Document, build::canonical_ids, cached::cached_root, search};
use crate::trustdir::GunDir;

/// One role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleStanding {
    /// Which.
    pub role: Role,
    /// What is cached of it; none if nothing is, or if it is not valid.
    pub known: Option<Known>,
    /// How many keys must sign it.
    pub threshold: u32,
    /// The keys that may.
    pub signers: Vec<SignerStanding>,
}

/// What is known of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its version.
    pub version: Version,
    /// When it stops being valid.
    pub expires: Expires,
    /// Whole days until then; negative if it is over.
    pub days_left: i64,
}

/// One key of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerStanding {
    /// Its canonical ID.
    pub key: KeyId,
    /// Where it is; empty if the agent does not know it.
    pub places: Vec<v1::Place>,
}

impl SignerStanding {
    /// Whether it can sign now, perhaps after somebody was asked for its passphrase or PIN.
    #[must_use]
    pub fn is_at_hand(&self) -> bool {
        self.places.iter().any(|place| place.state() != v1::PlaceState::Absent)
    }

    /// The token that has to be inserted for it, if that is what is missing.
    #[must_use]
    pub fn absent_token(&self) -> Option<&str> {
        if self.is_at_hand() {
            return None;
        }
        self.places.iter().find(|place| place.state() == v1::PlaceState::Absent).map(|place| place.token.as_str())
    }
}

/// How the collection of `dir` stands, root first; empty if nothing is known of it. `keys` are the agent's.
///
/// # Errors
/// [`CollectionError::TrustDir`] for a cache that cannot be read.
pub fn standing(dir: &GunDir, keys: &[v1::Key], now: OffsetDateTime) -> Result<Vec<RoleStanding>, CollectionError> {
    let Some(document) = cached_root(dir)? else { return Ok(Vec::new()) };
    let Some(root) = document.root() else { return Ok(Vec::new()) };
    let look = Look { dir, keys, now };
    let mut roles = vec![look.role(&Role::Root, &root.keys, &root.root, Some(&document))];
    let mut tree = BTreeMap::new();
    for role in [Role::Targets, Role::Snapshot, Role::Timestamp] {
        let Some(listed) = root.role_keys(&role) else { continue };
        let cached = look.cached(&role, &root.keys, listed)?;
        roles.push(look.role(&role, &root.keys, listed, cached.as_ref()));
        if let (Role::Targets, Some(cached)) = (&role, cached) {
            tree.insert(role, cached);
        }
    }
    look.delegations(&mut tree, &search::top(), &mut roles)?;
    Ok(roles)
}

struct Look<'a> {
    dir: &'a GunDir,
    keys: &'a [v1::Key],
    now: OffsetDateTime,
}

impl Look<'_> {
    fn role(
        &self,
        role: &Role,
        keys: &BTreeMap<KeyId, PublicKey>,
        listed: &RoleKeys,
        document: Option<&Document>,
    ) -> RoleStanding {
        let known = document.map(|document| {
            let expires = document.envelope().metadata().expires();
            let seconds = expires.instant().unix_timestamp().saturating_sub(self.now.unix_timestamp());
            let days_left = seconds.div_euclid(86_400);
            Known { version: document.version(), expires, days_left }
        });
        let mut ids: Vec<KeyId> = canonical_ids(keys, listed).collect();
        ids.sort_unstable();
        ids.dedup();
        let signers = ids.into_iter().map(|key| SignerStanding { key, places: self.places(key) }).collect();
        RoleStanding { role: role.clone(), known, threshold: listed.threshold, signers }
    }

    fn places(&self, key: KeyId) -> Vec<v1::Place> {
        let id = key.to_string();
        self.keys.iter().find(|known| known.key_id == id).map(|known| known.places.clone()).unwrap_or_default()
    }

    /// What is cached of a role, if its keys vouch for it.
    fn cached(
        &self,
        role: &Role,
        keys: &BTreeMap<KeyId, PublicKey>,
        listed: &RoleKeys,
    ) -> Result<Option<Document>, CollectionError> {
        let document = self.dir.cached(role)?.and_then(|wire| Document::parse(role, wire).ok());
        Ok(document.filter(|document| verify::signed_by(keys, listed, document.envelope()).is_ok()))
    }

    /// The delegations below a role, parents before children.
    fn delegations(
        &self,
        tree: &mut BTreeMap<Role, Document>,
        parent: &search::Visit,
        roles: &mut Vec<RoleStanding>,
    ) -> Result<(), CollectionError> {
        let children = search::children(&as_tree(tree), parent);
        for child in children {
            let listed =
                search::listed(&as_tree(tree), &child.role).map(|(keys, entry)| (keys.clone(), entry.role_keys()));
            let Some((keys, listed)) = listed else { continue };
            let cached = self.cached(&child.role, &keys, &listed)?;
            roles.push(self.role(&child.role, &keys, &listed, cached.as_ref()));
            if let Some(document) = cached {
                tree.insert(child.role.clone(), document);
                self.delegations(tree, &child, roles)?;
            }
        }
        Ok(())
    }
}

fn as_tree(documents: &BTreeMap<Role, Document>) -> search::Tree<'_> {
    documents.iter().filter_map(|(role, document)| Some((role, document.targets()?))).collect()
}

/// Whether notary-server keeps a role's keys, as far as can be told: it always keeps those of timestamp.
#[must_use]
pub fn is_servers(standing: &RoleStanding) -> bool {
    let nobody_here = standing.signers.iter().all(|signer| signer.places.is_empty());
    match standing.role {
        Role::Timestamp => true,
        Role::Snapshot => nobody_here,
        Role::Root | Role::Targets | Role::Delegation(_) => false,
    }
}
