//! Asking the agent for a signature: what the request stands on, and which version is the next free one.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::resume_unwind,
};

use bytes::Bytes;
use signet_proto::{Reason, v1};
use signet_tuf::{
    Digest, Envelope, FileMeta, Gun, KeyId, Metadata, Method, Role, Root, Signature, Version, notary1::Started, verify,
};
use time::OffsetDateTime;
use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    CollectionError, Document,
    build::{Draft, canonical_ids},
    link::Link,
};
use crate::{
    agent::AgentError,
    context::Context,
    prompt::Answer,
    server::{Edition, MAX_METADATA_BYTES, ServerError},
    trustdir::GunDir,
};

/// How many versions may turn out to be taken before we give up.
const MAX_TRIES: u32 = 16;

/// Whether a second collection under a known GUN is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NewCollection {
    /// A person is asked.
    #[default]
    Ask,
    /// `--new-collection`.
    Accept,
}

/// What is larger is only named where the agent may know it.
const LARGE_BYTES: usize = 256 << 10;

/// What a request shows, beside its own bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown<'a> {
    /// Wire bytes of those that list the role, or what a snapshot leaves out.
    pub(super) delegating: Vec<Bytes>,
    /// The role's newest published version.
    pub(super) current: Option<&'a Document>,
    /// The keys that must all sign; empty: as many of the role's as are at hand.
    pub(super) keys: Vec<KeyId>,
}

/// How the newest published version is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Current {
    /// By its version: an agent whose ledger knows one as high needs no more.
    Named,
    Whole,
}

impl Shown<'_> {
    /// The agent compares snapshots; of large targets it only wants to know how new they are.
    fn first(&self, role: &Role) -> Current {
        let large = self.current.is_some_and(|document| document.wire().len() >= LARGE_BYTES);
        if large && role.holds_targets() { Current::Named } else { Current::Whole }
    }
}

/// What became of a wish for a signature.
#[derive(Debug)]
pub(super) enum Signing {
    /// Signed and verified, and what a snapshot says of it.
    Done(Box<Document>, FileMeta),
    /// The version was signed for somebody else, who may be publishing it right now.
    Contested(Version),
    /// Somebody else has published a newer root since ours was read.
    Overtaken(Box<AgentError>),
}

/// Asks the agent, again and again until a version is free.
pub(super) struct Signer<'a> {
    pub(super) context: &'a mut Context,
    pub(super) dir: &'a GunDir,
    pub(super) link: &'a Link,
    /// Wire bytes of the roots that lead to the keys.
    pub(super) chain: Vec<Bytes>,
    pub(super) new_collection: NewCollection,
    /// The time by which expiries are reckoned.
    pub(super) since: OffsetDateTime,
    /// Contested versions that have shown up nowhere for a while, and are skipped.
    pub(super) given_up: &'a BTreeMap<Role, Version>,
}

impl Signer<'_> {
    /// Signs a role at `version` or, except for root, the next free version above it.
    pub(super) async fn sign(
        &mut self,
        draft: &Draft,
        role: &Role,
        mut version: Version,
        shown: &Shown<'_>,
        content: impl Fn(Version) -> Option<Metadata>,
    ) -> Result<Signing, CollectionError> {
        for _ in 0..MAX_TRIES {
            let metadata = content(version).ok_or_else(|| self.unsigned(role, "there is nothing to sign"))?;
            match self.sign_once(draft, role, metadata, shown).await {
                Ok((document, file)) => return Ok(Signing::Done(Box::new(document), file)),
                Err(CollectionError::Agent(refusal)) => {
                    if is_overtaken(role, &refusal) {
                        return Ok(Signing::Overtaken(Box::new(refusal)));
                    }
                    if self.is_foreign(&refusal)? && self.given_up.get(role).is_none_or(|given_up| *given_up < version)
                    {
                        return Ok(Signing::Contested(version));
                    }
                    let Some(next) = next_version(role, version, &refusal) else { return Err(refusal.into()) };
                    tracing::debug!("{role} version {version} is taken, trying version {next}");
                    version = next;
                }
                Err(error) => return Err(error),
            }
        }
        Err(self.unsigned(role, "every version that was tried is taken"))
    }

    async fn sign_once(
        &mut self,
        draft: &Draft,
        role: &Role,
        metadata: Metadata,
        shown: &Shown<'_>,
    ) -> Result<(Document, FileMeta), CollectionError> {
        let encoded = spawn_blocking(|| Envelope::unsigned(metadata));
        let signers = self.signers(draft, role);
        // the agent would ask for what is locked, but only after it has read metadata that can be large
        self.context.agent.unlock_signers(&signers).await?;
        let unsigned = joined(encoded).await;
        let signed = unsigned.signed().clone();
        let started = spawn_blocking(move || Started::with(&signed));
        let digest = unsigned.digest();
        self.dir.remember_signing(digest, self.since)?;
        let mut current = shown.first(role);
        let mut request = v1::SignRequest {
            pouf: v1::Pouf::Notary1.into(),
            gun: self.dir.gun().to_string(),
            role: role.to_string(),
            keys: shown.keys.iter().map(KeyId::to_string).collect(),
            signed: unsigned.signed().clone(),
            evidence: Some(self.evidence(shown, current)),
            acknowledged: Vec::new(),
            trust_dir: String::new(),
        };
        let response = loop {
            let refusal = match self.context.agent.sign(request.clone(), &signers).await {
                Ok(response) => break response,
                Err(refusal) => refusal,
            };
            match refusal.reason() {
                Some(Reason::EvidenceMissing)
                    if current == Current::Named && refusal.detail("missing") == Some("current") =>
                {
                    current = Current::Whole;
                    request.evidence = Some(self.evidence(shown, current));
                }
                Some(Reason::EvidenceMissing) if self.complete_chain().await? => {
                    request.evidence = Some(self.evidence(shown, current));
                }
                Some(Reason::NeedsAcknowledgement) if request.acknowledged.is_empty() => {
                    request.acknowledged = self.acknowledge(&refusal, digest)?;
                }
                Some(_) | None => return Err(refusal.into()),
            }
        };
        let envelope = self.assemble(draft, role, unsigned, response)?;
        Ok(Document::of(envelope, joined(started).await))
    }

    fn evidence(&self, shown: &Shown<'_>, current: Current) -> v1::Evidence {
        let whole = shown.current.filter(|_| current == Current::Whole);
        let named = shown.current.filter(|_| current == Current::Named);
        v1::Evidence {
            root_chain: self.chain.clone(),
            delegating: shown.delegating.clone(),
            current: whole.map(|document| document.wire().clone()).unwrap_or_default(),
            current_version: named.map_or(0, |document| document.version().get()),
        }
    }

    fn assemble(
        &self,
        draft: &Draft,
        role: &Role,
        unsigned: Envelope,
        response: v1::SignResponse,
    ) -> Result<Envelope, CollectionError> {
        let signatures = response.signatures.iter().map(signature).collect::<Result<Vec<_>, _>>();
        let signatures = signatures.map_err(|why| self.unsigned(role, &why))?;
        let envelope = unsigned.with_signatures(signatures);
        let (keys, listed) = draft.signers(role).ok_or_else(|| self.unsigned(role, "no role lists its keys"))?;
        verify::signed_by(keys, &listed, &envelope).map_err(|problem| {
            let missing: Vec<_> = response
                .missing
                .iter()
                .map(|key| format!("key {} {}", key.key_id, reason_words(&key.reason)))
                .collect();
            self.unsigned(role, &format!("{problem} ({})", missing.join("; ")))
        })?;
        if *role == Role::Root
            && let Some(previous) = self.roots().last()
        {
            verify::next_root(self.dir.gun(), &previous, &envelope)
                .map_err(|problem| self.unsigned(role, &format!("it would not follow the root before: {problem}")))?;
        }
        Ok(envelope)
    }

    /// Fetches the roots before those that are shown; false if there are none, or the server never had one of them.
    pub(super) async fn complete_chain(&mut self) -> Result<bool, CollectionError> {
        let oldest = self.chain.first().and_then(|wire| Document::parse(&Role::Root, wire.clone()).ok());
        let Some(oldest) = oldest.map(|root| root.version()).filter(|version| *version > Version::FIRST) else {
            return Ok(false);
        };
        let mut roots = Vec::new();
        let mut version = Version::FIRST;
        while version < oldest {
            let edition = Edition::Version(version);
            match self.link.metadata(self.dir.gun(), &Role::Root, edition, MAX_METADATA_BYTES).await {
                Ok(wire) => roots.push(wire),
                Err(ServerError::NotFound { .. }) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            let Some(next) = version.next() else { break };
            version = next;
        }
        roots.append(&mut self.chain);
        self.chain = roots;
        Ok(true)
    }

    /// The keys that may sign for a role, a root's former ones among them: canonical IDs.
    fn signers(&self, draft: &Draft, role: &Role) -> Vec<String> {
        let now = draft.signers(role).map(|(keys, listed)| canonical_ids(keys, &listed).collect::<Vec<_>>());
        let former = if *role == Role::Root { self.roots().last() } else { None };
        let former = former.map(|root| canonical_ids(&root.keys, &root.root).collect::<Vec<_>>());
        let mut ids: Vec<KeyId> = now.into_iter().chain(former).flatten().collect();
        ids.sort_unstable();
        ids.dedup();
        ids.iter().map(KeyId::to_string).collect()
    }

    /// The roots that are shown, oldest first.
    pub(super) fn roots(&self) -> impl Iterator<Item = Root> + '_ {
        let read = |wire: &Bytes| Document::parse(&Role::Root, wire.clone()).ok()?.root().cloned();
        self.chain.iter().filter_map(read)
    }

    fn acknowledge(
        &mut self,
        refusal: &AgentError,
        digest: Digest,
    ) -> Result<Vec<v1::Acknowledgement>, CollectionError> {
        let findings: Vec<_> = refusal.detail("findings").unwrap_or_default().split(',').map(str::trim).collect();
        let agreed = self.new_collection == NewCollection::Accept && findings == ["new-collection"];
        if !agreed {
            let question = format!("{refusal}\nAre you sure you want to proceed?  (yes/no)  ");
            if self.context.prompt.confirm(&question)? == Answer::No {
                return Err(CollectionError::NotAcknowledged {
                    gun: self.dir.gun().to_string(),
                    findings: refusal.to_string(),
                });
            }
        }
        let acknowledgement =
            |finding: &str| v1::Acknowledgement { finding: finding.to_owned(), digest: digest.as_bytes().to_vec() };
        Ok(findings.into_iter().map(acknowledgement).collect())
    }

    /// Whether the version was signed with content that did not come from this trust directory.
    fn is_foreign(&self, refusal: &AgentError) -> Result<bool, CollectionError> {
        let Some(digest) = refusal.detail("digest") else { return Ok(false) };
        let ours = self.dir.signings()?;
        Ok(!digest.parse().is_ok_and(|digest| ours.contains(&digest)))
    }

    /// Tells the agent which root the server accepted. What is published stays published if the agent cannot hear it.
    pub(super) async fn published(&mut self) {
        let gun: Gun = self.dir.gun().clone();
        let told = loop {
            let evidence = self.evidence(&Shown::default(), Current::Whole);
            match self.context.agent.published(&gun, evidence).await {
                Err(refusal) if refusal.reason() == Some(Reason::EvidenceMissing) => {
                    match self.complete_chain().await {
                        Ok(true) => {}
                        Ok(false) | Err(_) => break Err(refusal),
                    }
                }
                told => break told,
            }
        };
        if let Err(error) = told {
            tracing::warn!("{gun} is published, but the agent could not record it: {error}");
        }
    }

    fn unsigned(&self, role: &Role, why: &str) -> CollectionError {
        CollectionError::Unsigned { gun: self.dir.gun().to_string(), role: role.to_string(), why: why.to_owned() }
    }
}

/// The published version of a role, if its keys of now vouch for it: a delegation may have got others meanwhile.
pub(super) fn vouched_for<'a>(draft: &Draft, role: &Role, former: Option<&'a Document>) -> Option<&'a Document> {
    let counts = |document: &&Document| match (role, draft.signers(role)) {
        (Role::Delegation(_), Some((keys, listed))) => verify::signed_by(keys, &listed, document.envelope()).is_ok(),
        (Role::Delegation(_), None) => false,
        (Role::Root | Role::Targets | Role::Snapshot | Role::Timestamp, _) => true,
    };
    former.filter(counts)
}

/// The wire bytes of those that list a role, each behind its own parent: for a delegation, targets and the delegations on
/// the way to its direct parent; for a snapshot, all that no longer list what it leaves out.
pub(super) fn above(wires: &[(Role, Bytes)], role: &Role, draft: &Draft, former: Option<&Document>) -> Vec<Bytes> {
    let mut way = BTreeSet::new();
    for direct in judges(role, draft, former) {
        way.extend(std::iter::successors(Some(direct), Role::parent));
    }
    let wire = |parent: Role| wires.iter().find(|(known, _)| *known == parent).map(|(_, wire)| wire.clone());
    // a name is sorted behind what it begins with
    way.into_iter().filter_map(wire).collect()
}

/// The direct parents that the agent wants to see.
fn judges(role: &Role, draft: &Draft, former: Option<&Document>) -> Vec<Role> {
    match (role, former.and_then(Document::snapshot)) {
        (Role::Snapshot, Some(before)) => {
            let left_out = before.meta.keys().filter(|role| !draft.files.contains_key(role));
            left_out.filter_map(Role::parent).filter(|parent| draft.files.contains_key(parent)).collect()
        }
        (Role::Root | Role::Targets | Role::Snapshot | Role::Timestamp | Role::Delegation(_), _) => {
            role.parent().into_iter().collect()
        }
    }
}

/// What a thread has worked out.
async fn joined<T>(work: JoinHandle<T>) -> T {
    work.await.unwrap_or_else(|lost| resume_unwind(lost.into_panic()))
}

/// Whether the agent knows of a newer published root than the one that was read.
fn is_overtaken(role: &Role, refusal: &AgentError) -> bool {
    match refusal.reason() {
        Some(Reason::EvidenceRejected) => refusal.detail("published").is_some(),
        Some(Reason::VersionRollback) => *role == Role::Root,
        Some(_) | None => false,
    }
}

/// The version to try after a refusal; none if another version would not help. Root has no gaps.
fn next_version(role: &Role, tried: Version, refusal: &AgentError) -> Option<Version> {
    let number = |name: &str| refusal.detail(name)?.parse().ok().and_then(Version::new);
    let reason = refusal.reason()?;
    let next = if reason == Reason::VersionConflict {
        number("next").or_else(|| tried.next())
    } else if reason == Reason::VersionRollback {
        // asked for the last version itself, the agent tells whose content it is
        number("last")
    } else {
        None
    };
    next.filter(|next| *next > tried && *role != Role::Root)
}

fn signature(from: &v1::Signature) -> Result<Signature, String> {
    let key_id: KeyId = from.key_id.parse().map_err(|e| format!("the agent answered with a malformed key ID: {e}"))?;
    let method: Method = from.method.parse().map_err(|e| format!("the agent answered with {e}"))?;
    Ok(Signature { key_id, method, sig: from.sig.clone() })
}

fn reason_words(reason: &str) -> String {
    match reason.parse() {
        Ok(Reason::UnknownKey) => "is not at hand".into(),
        Ok(Reason::KeyLocked) => "is locked".into(),
        Ok(Reason::TokenAbsent) => "is on a token that is not there".into(),
        Ok(_) | Err(_) => format!("did not sign: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_published_root_overtakes() {
        let refused = |reason, name: &str| AgentError::Refused {
            reason,
            message: String::new(),
            metadata: [(name.to_owned(), "2".to_owned())].into(),
        };
        let table = [
            (Role::Targets, refused(Reason::EvidenceRejected, "published"), true),
            (Role::Targets, refused(Reason::EvidenceRejected, ""), false),
            (Role::Root, refused(Reason::VersionRollback, "last"), true),
            (Role::Targets, refused(Reason::VersionRollback, "last"), false),
            (Role::Root, refused(Reason::VersionConflict, "digest"), false),
        ];
        for (role, refusal, overtaken) in table {
            assert_eq!(is_overtaken(&role, &refusal), overtaken, "{role} {refusal:?}");
        }
    }

    #[test]
    fn a_taken_version_leads_to_the_next_free_one() {
        let refused = |reason, name: &str, value: &str| AgentError::Refused {
            reason,
            message: String::new(),
            metadata: [(name.to_owned(), value.to_owned())].into(),
        };
        let tried = Version::new(3).unwrap();
        let table = [
            ("targets", refused(Reason::VersionConflict, "next", "5"), Some(5)),
            ("targets", refused(Reason::VersionConflict, "", ""), Some(4)),
            ("targets/a", refused(Reason::VersionRollback, "last", "8"), Some(8)),
            ("snapshot", refused(Reason::VersionRollback, "last", "2"), None),
            ("snapshot", refused(Reason::VersionRollback, "", ""), None),
            ("targets", refused(Reason::VersionJump, "last", "8"), None),
            ("root", refused(Reason::VersionConflict, "next", "5"), None),
        ];
        for (role, refusal, next) in table {
            let got = next_version(&role.parse().unwrap(), tried, &refusal).map(Version::get);
            assert_eq!(got, next, "{role} {refusal:?}");
        }
    }
}
