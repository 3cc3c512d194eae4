//! What a request shows: root chain, delegating metadata, the version that is published.
//!
//! All of it is verified here; whether the ledger knows the collection is the ledger's to say.

use std::collections::BTreeMap;

use bytes::Bytes;
use signet_tuf::{
    Envelope, FileMeta, Gun, KeyId, Metadata, ParseError, PublicKey, Role, RoleKeys, Root, Targets, Version,
    verify::{self, VerifyError},
};

use super::Refusal;
use crate::intent::{Intent, Mark};

/// Wire documents as they came.
#[derive(Debug, Clone, Default)]
pub struct EvidenceBytes {
    /// Root metadata, ascending.
    pub root_chain: Vec<Bytes>,
    /// From targets down to the direct parent; for a snapshot, to each parent of what it leaves out.
    pub delegating: Vec<Bytes>,
    /// The newest published version of the role.
    pub current: Bytes,
    /// Its number alone, if the ledger may know it; else 0.
    pub current_version: u64,
}

/// Evidence that holds together.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// Version and digest of each root shown, ascending.
    pub chain: Vec<Mark>,
    /// The roots themselves.
    pub roots: Vec<Root>,
    /// Those that list the delegation, or what a snapshot leaves out, each behind its own parent.
    pub parents: Vec<Parent>,
    /// The newest published version of the role.
    pub current: Option<(Mark, Metadata)>,
    /// The number that is said to be its, and proves nothing: the ledger must know one that is as high. 0 for none.
    pub current_version: u64,
}

/// A role that may list delegations, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Which.
    pub role: Role,
    /// Its version and digest.
    pub mark: Mark,
    /// What it says.
    pub targets: Targets,
}

impl Shown {
    /// The newest root shown.
    #[must_use]
    pub fn tip(&self) -> Option<&Root> {
        self.roots.last()
    }
}

/// Evidence that does not hold.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceFault {
    /// A document that cannot be read.
    #[error("evidence: {what} is not metadata: {source}")]
    Unreadable {
        /// Which document.
        what: String,
        /// Where and why.
        source: ParseError,
    },
    /// A document that does not verify.
    #[error("evidence: {what} does not verify: {source}")]
    Unverified {
        /// Which document.
        what: String,
        /// Why.
        source: VerifyError,
    },
    /// More of the root chain would be needed to judge.
    #[error("evidence: show the root metadata from version 1")]
    RootsMissing,
    /// The root chain does not end where the request begins.
    #[error("evidence: to sign root version {asked} the chain must end with version {wanted}")]
    ChainEnd {
        /// The version asked for.
        asked: Version,
        /// The version before.
        wanted: u64,
    },
    /// The parents shown are not those of the delegation.
    #[error("evidence: show targets and each delegation down to the parent of {role}")]
    Parents {
        /// The delegation.
        role: Role,
    },
    /// A parent that readers of the snapshot would not get.
    #[error("evidence: targets or a delegation is shown that the snapshot to be signed does not name")]
    NotNamed,
}

/// Verifies what is shown for a request about `role` of `gun`. For a root, [`check_chain_end`] has to follow, for a
/// snapshot [`listings`].
///
/// # Errors
/// [`EvidenceFault`] names the document and what is wrong with it.
pub fn verify(gun: &Gun, role: &Role, bytes: &EvidenceBytes) -> Result<Shown, EvidenceFault> {
    if *role == Role::Root {
        return chain(gun, bytes);
    }
    let mut shown = verify_roots(gun, bytes)?;
    if *role != Role::Snapshot {
        shown.parents = parents(role, &bytes.delegating, &shown)?;
    }
    shown.current_version = bytes.current_version;
    if !bytes.current.is_empty() {
        let envelope = read(role, &bytes.current)?;
        signed_for(role, &envelope, &shown)?;
        shown.current = Some((mark(&envelope), envelope.into_metadata()));
    }
    Ok(shown)
}

/// Verifies the roots that are shown; there must be some.
///
/// # Errors
/// [`EvidenceFault`].
pub fn verify_roots(gun: &Gun, bytes: &EvidenceBytes) -> Result<Shown, EvidenceFault> {
    let shown = chain(gun, bytes)?;
    if shown.roots.is_empty() { Err(EvidenceFault::RootsMissing) } else { Ok(shown) }
}

fn chain(gun: &Gun, bytes: &EvidenceBytes) -> Result<Shown, EvidenceFault> {
    let envelopes =
        bytes.root_chain.iter().map(|document| read(&Role::Root, document)).collect::<Result<Vec<_>, _>>()?;
    check_chain(gun, &envelopes)?;
    Ok(Shown {
        chain: envelopes.iter().map(mark).collect(),
        roots: envelopes.iter().filter_map(Envelope::root).cloned().collect(),
        ..Shown::default()
    })
}

fn read(role: &Role, document: &Bytes) -> Result<Envelope, EvidenceFault> {
    Envelope::parse_shared(role, document)
        .map_err(|source| EvidenceFault::Unreadable { what: role.to_string(), source })
}

fn mark(envelope: &Envelope) -> Mark {
    Mark { version: envelope.metadata().version(), digest: envelope.digest() }
}

fn check_chain(gun: &Gun, envelopes: &[Envelope]) -> Result<(), EvidenceFault> {
    let Some(first) = envelopes.first() else { return Ok(()) };
    let unverified = |source| EvidenceFault::Unverified { what: "the root chain".to_owned(), source };
    if first.metadata().version() == Version::FIRST {
        verify::first_root(gun, first).map_err(unverified)?;
    }
    verify::root_chain(gun, envelopes).map_err(unverified)
}

/// The chain must end with the version before the root that is asked for.
///
/// # Errors
/// [`EvidenceFault::ChainEnd`].
pub fn check_chain_end(asked: &Metadata, shown: &Shown) -> Result<(), EvidenceFault> {
    let Metadata::Root(Root { version, .. }) = asked else { return Ok(()) };
    let wanted = version.get().saturating_sub(1);
    let end = shown.chain.last().map_or(0, |mark| mark.version.get());
    if end == wanted { Ok(()) } else { Err(EvidenceFault::ChainEnd { asked: *version, wanted }) }
}

fn parents(role: &Role, documents: &[Bytes], shown: &Shown) -> Result<Vec<Parent>, EvidenceFault> {
    let lineage = lineage(role);
    if documents.len() != lineage.len() {
        return Err(EvidenceFault::Parents { role: role.clone() });
    }
    let mut so_far = Shown { roots: shown.roots.clone(), ..Shown::default() };
    for (document, role) in documents.iter().zip(lineage) {
        let parent = parent(role, document, &so_far)?;
        so_far.parents.push(parent);
    }
    Ok(so_far.parents)
}

fn parent(role: Role, document: &Bytes, shown: &Shown) -> Result<Parent, EvidenceFault> {
    let envelope = read(&role, document)?;
    signed_for(&role, &envelope, shown)?;
    match envelope.targets().cloned() {
        Some(targets) => Ok(Parent { mark: mark(&envelope), role, targets }),
        None => Err(EvidenceFault::Parents { role }),
    }
}

/// Verifies the parents that are shown for a snapshot. They carry no names: each one is the file that the snapshot to be
/// signed names, since that is what its readers get, and no other shows what they will find listed.
///
/// # Errors
/// [`EvidenceFault`].
pub fn listings(asked: &Metadata, bytes: &EvidenceBytes, mut shown: Shown) -> Result<Shown, EvidenceFault> {
    let Metadata::Snapshot(snapshot) = asked else { return Ok(shown) };
    for document in &bytes.delegating {
        let file = FileMeta::of(document);
        let is_it = |role: &Role, named| role.holds_targets() && verify::file_is(named, &file).is_ok();
        let mut verified = Vec::new();
        let mut fault = EvidenceFault::NotNamed;
        // delegations with the same keys can be equal files
        for (role, _) in snapshot.meta.iter().filter(|(role, named)| is_it(role, named)) {
            match parent(role.clone(), document, &shown) {
                Ok(parent) => verified.push(parent),
                Err(unverified) => fault = unverified,
            }
        }
        if verified.is_empty() {
            return Err(fault);
        }
        shown.parents.append(&mut verified);
    }
    Ok(shown)
}

/// The parents that a snapshot would bring to its readers. Of the others the snapshot that is published vouches for being
/// the newest.
pub fn new_parents<'a>(asked: &'a Metadata, shown: &'a Shown) -> impl Iterator<Item = &'a Parent> {
    let after = match asked {
        Metadata::Snapshot(snapshot) => Some(snapshot),
        Metadata::Root(_) | Metadata::Targets(_) | Metadata::Timestamp(_) => None,
    };
    let before = match &shown.current {
        Some((_, Metadata::Snapshot(before))) => Some(before),
        Some((_, Metadata::Root(_) | Metadata::Targets(_) | Metadata::Timestamp(_))) | None => None,
    };
    let is_new = move |parent: &&Parent| {
        after.is_some_and(|after| {
            before.is_none_or(|before| before.meta.get(&parent.role) != after.meta.get(&parent.role))
        })
    };
    shown.parents.iter().filter(is_new)
}

/// Whether a parent that a snapshot would bring to its readers is the newest. An older one, from before a delegation was
/// made, would hide it; its size and digests, which are all that a snapshot says of it, do not tell its age.
///
/// # Errors
/// [`Refusal::StaleParent`] unless it is what was signed here last, or newer.
pub fn check_newest(parent: &Parent, floor: Option<Mark>) -> Result<(), Refusal> {
    match floor {
        Some(floor) if parent.mark == floor || parent.mark.version > floor.version => Ok(()),
        Some(_) | None => Err(Refusal::StaleParent {
            role: parent.role.clone(),
            shown: parent.mark.version,
            known: floor.map_or(0, |floor| floor.version.get()),
        }),
    }
}

/// The roles above a delegation, targets first.
fn lineage(role: &Role) -> Vec<Role> {
    let mut above: Vec<Role> = std::iter::successors(role.parent().filter(|_| is_delegation(role)), |parent| {
        parent.parent().filter(|_| is_delegation(parent))
    })
    .collect();
    above.reverse();
    above
}

fn is_delegation(role: &Role) -> bool {
    matches!(role, Role::Delegation(_))
}

/// Top-level roles: by the newest root shown, or by an older one, since a published version may be older than
/// the rotation of its key. Delegations: by their direct parent.
fn signed_for(role: &Role, envelope: &Envelope, shown: &Shown) -> Result<(), EvidenceFault> {
    let unverified = |source| EvidenceFault::Unverified { what: role.to_string(), source };
    if is_delegation(role) {
        let delegated = delegated_keys(role, shown).ok_or_else(|| EvidenceFault::Parents { role: role.clone() })?;
        return verify::signed_by(&delegated.keys, &delegated.role_keys, envelope).map_err(unverified);
    }
    let mut first_failure = None;
    for root in shown.roots.iter().rev() {
        let Some(role_keys) = root.role_keys(role) else { continue };
        match verify::signed_by(&root.keys, role_keys, envelope) {
            Ok(()) => return Ok(()),
            Err(failure) => first_failure = first_failure.or(Some(failure)),
        }
    }
    match first_failure {
        Some(source) if shown.roots.first().is_some_and(|root| root.version == Version::FIRST) => {
            Err(unverified(source))
        }
        _ => Err(EvidenceFault::RootsMissing),
    }
}

/// The keys that root or the parent lists for a role.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Keys by the ID under which they are listed.
    pub keys: BTreeMap<KeyId, PublicKey>,
    /// The role's own IDs and threshold.
    pub role_keys: RoleKeys,
}

fn delegated_keys(role: &Role, shown: &Shown) -> Option<Listed> {
    let parent = role.parent()?;
    let delegations = &shown.parents.iter().find(|shown| shown.role == parent)?.targets.delegations;
    let delegated = delegations.roles.iter().find(|delegated| delegated.name.as_str() == role.as_str())?;
    let role_keys = RoleKeys { key_ids: delegated.key_ids.clone(), threshold: delegated.threshold };
    Some(Listed { keys: delegations.keys.clone(), role_keys })
}

/// The keys that may sign what is asked. Root: those of the new version and of every root shown (rotation, and
/// older roots for clients that lag behind). Others: those of the newest root, or of the parent.
///
/// # Errors
/// [`Refusal::KeyNotListed`] for an asked key that is not among them; [`Refusal::UnknownRoot`] without a root.
pub fn listed_keys(intent: &Intent, shown: &Shown) -> Result<Listed, Refusal> {
    let listed = match (&intent.role, &intent.metadata) {
        (Role::Root, Metadata::Root(root)) => keys_of_roots(root, &shown.roots),
        (Role::Delegation(_), _) => delegated_keys(&intent.role, shown).ok_or(Refusal::UnknownRoot)?,
        (role, _) => {
            let tip = shown.tip().ok_or(Refusal::UnknownRoot)?;
            let role_keys = tip.role_keys(role).ok_or(Refusal::UnknownRoot)?.clone();
            Listed { keys: tip.keys.clone(), role_keys }
        }
    };
    match intent.keys.iter().find(|key| !listed.role_keys.key_ids.contains(key)) {
        Some(key) => Err(Refusal::KeyNotListed { key: *key, role: intent.role.clone() }),
        None => Ok(listed),
    }
}

fn keys_of_roots(new: &Root, before: &[Root]) -> Listed {
    let mut listed =
        Listed { keys: BTreeMap::new(), role_keys: RoleKeys { key_ids: Vec::new(), threshold: new.root.threshold } };
    for root in std::iter::once(new).chain(before.iter().rev()) {
        for id in &root.root.key_ids {
            if let Some(key) = root.keys.get(id)
                && !listed.role_keys.key_ids.contains(id)
            {
                listed.keys.insert(*id, key.clone());
                listed.role_keys.key_ids.push(*id);
            }
        }
    }
    listed
}
