//! The guard, applied to what the store knows; what follows from a grant is written into the same batch.

use signet_tuf::{Gun, KeyName, Metadata, Role, Version};

use super::{LedgerError, Limits, Preview, Scheme};
use crate::{
    guard::{self, Decision, Finding, Line, Refusal, Shown, VersionFault},
    intent::{Intent, Mark},
    log::{Event, Subject},
    store::{Batch, BatchError, CollectionId, Origin},
};

type Stored<T> = Result<T, BatchError>;

pub(super) struct Judge<'a> {
    pub(super) batch: &'a Batch<'a>,
    pub(super) limits: Limits,
}

/// A lawful request: what is to be recorded with it.
pub(super) struct Verdict {
    pub(super) events: Vec<Event>,
    pub(super) granted: Event,
    pub(super) decision: Decision,
    pub(super) line: CollectionId,
    pub(super) notices: Vec<String>,
}

/// Where a request stands: its collection, known or new.
struct Standing {
    known: Option<CollectionId>,
    root1: signet_tuf::Digest,
    published_root: u64,
    line: Line,
}

impl Judge<'_> {
    /// Judges a request to sign, and writes its claim.
    pub(super) fn decide(
        &self,
        intent: &Intent,
        shown: &Shown,
        keys: &[(KeyName, Scheme)],
        acknowledged: &[String],
    ) -> Stored<Result<Verdict, Refusal>> {
        let standing = match self.standing(intent, shown)? {
            Ok(standing) => standing,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (decision, findings) = match self.lawful(intent, shown, &standing, keys, acknowledged)? {
            Ok(lawful) => lawful,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut events = Vec::new();
        let mut notices = Vec::new();
        let line = self.enter(intent, shown, &standing, &mut events, &mut notices)?;
        if decision != Decision::Repeat {
            self.batch.add_mark(line, &intent.role, intent.mark(), Origin::Granted)?;
        }
        if intent.role == Role::Root {
            self.batch.add_root(line, intent.mark())?;
        }
        let granted = Event::Granted {
            subject: subject(&intent.gun, standing.root1, &intent.role, intent.mark()),
            expires: intent.metadata.expires().to_string(),
            keys: keys.iter().map(|(key, _)| *key).collect(),
            decision: decision.as_str(),
            acknowledged: findings.iter().map(|finding| finding.as_str().to_owned()).collect(),
        };
        Ok(Ok(Verdict { events, granted, decision, line, notices }))
    }

    /// The verdict without its consequences.
    pub(super) fn preview(&self, intent: &Intent, shown: &Shown, acknowledged: &[String]) -> Stored<Preview> {
        Ok(match self.standing(intent, shown)? {
            Err(refusal) => Preview { next_version: 0, refusal: Some(refusal) },
            Ok(standing) => Preview {
                next_version: guard::next_free(&standing.line),
                refusal: self.lawful(intent, shown, &standing, &[], acknowledged)?.err(),
            },
        })
    }

    /// The server serves the newest root shown.
    pub(super) fn published(&self, gun: &Gun, shown: &Shown) -> Stored<Result<Vec<Event>, LedgerError>> {
        let (Some((id, root1)), Some(tip)) = (self.shown_collection(gun, shown)?, shown.chain.last()) else {
            return Ok(Err(Refusal::UnknownRoot.into()));
        };
        let (_, before) = self.batch.collection_facts(id)?;
        for root in &shown.chain {
            self.batch.add_root(id, *root)?;
        }
        if before >= tip.version.get() {
            return Ok(Ok(Vec::new()));
        }
        self.batch.publish(id, tip.version)?;
        Ok(Ok(vec![Event::Published { gun: gun.clone(), root1, root: tip.version }]))
    }

    /// A signed root may be given up while the server is still at the version before.
    pub(super) fn abandon(&self, gun: &Gun, mark: Mark, shown: &Shown) -> Stored<Result<Vec<Event>, LedgerError>> {
        let no = |why: String| Ok(Err(LedgerError::NothingToAbandon(why)));
        let (Some((id, root1)), Some(tip)) = (self.shown_collection(gun, shown)?, shown.chain.last()) else {
            return Ok(Err(Refusal::UnknownRoot.into()));
        };
        if tip.version.next() != Some(mark.version) {
            return no(format!(
                "root version {} cannot be abandoned: the server is at version {}",
                mark.version, tip.version
            ));
        }
        if self.batch.floor(id, &Role::Root)? != Some(mark) {
            return no(format!(
                "root version {} with SHA-256 {} is not the last one signed",
                mark.version, mark.digest
            ));
        }
        let (_, published) = self.batch.collection_facts(id)?;
        if published >= mark.version.get() {
            return no(format!("root version {} is published", mark.version));
        }
        if self.batch.in_flight(id, &Role::Root, mark.version)? {
            return no(format!("root version {} is being signed now", mark.version));
        }
        self.batch.abandon(id, &Role::Root, mark.version)?;
        Ok(Ok(vec![Event::Abandoned(subject(gun, root1, &Role::Root, mark))]))
    }

    /// By the first root shown, and no other: each later one is vouched for by the one before, but the first by
    /// itself alone, so an unknown first root proves nothing about a known second.
    fn shown_collection(&self, gun: &Gun, shown: &Shown) -> Stored<Option<(CollectionId, signet_tuf::Digest)>> {
        let Some(first) = shown.chain.first() else { return Ok(None) };
        match self.batch.collection_with_root(gun, *first)? {
            Some(id) => Ok(Some((id, self.batch.collection_facts(id)?.0))),
            None => Ok(None),
        }
    }

    fn standing(&self, intent: &Intent, shown: &Shown) -> Stored<Result<Standing, Refusal>> {
        let newest = match intent.role {
            Role::Root => shown.chain.last().copied(),
            Role::Targets | Role::Snapshot | Role::Timestamp | Role::Delegation(_) => {
                shown.current.as_ref().map(|(mark, _)| *mark)
            }
        };
        let (known, root1) = match self.shown_collection(&intent.gun, shown)? {
            Some((id, root1)) => (Some(id), root1),
            None => match first_root(intent, shown) {
                Some(root1) => (self.batch.collection(&intent.gun, &root1)?, root1),
                None => return Ok(Err(Refusal::UnknownRoot)),
            },
        };
        let (floor, published_root) = match known {
            Some(id) => (self.batch.floor(id, &intent.role)?, self.batch.collection_facts(id)?.1),
            None => (None, 0),
        };
        if shown.current_version > floor.map_or(0, |mark| mark.version.get()) {
            let (role, version) = (intent.role.clone(), shown.current_version);
            return Ok(Err(Refusal::UnknownCurrent { role, version }));
        }
        Ok(Ok(Standing { known, root1, published_root, line: Line { floor, shown: newest } }))
    }

    fn lawful(
        &self,
        intent: &Intent,
        shown: &Shown,
        standing: &Standing,
        keys: &[(KeyName, Scheme)],
        acknowledged: &[String],
    ) -> Stored<Result<(Decision, Vec<Finding>), Refusal>> {
        if let Err(stale) = fresh_root(intent, shown, standing) {
            return Ok(Err(stale));
        }
        for parent in guard::new_parents(&intent.metadata, shown) {
            let floor = match standing.known {
                Some(id) => self.batch.floor(id, &parent.role)?,
                None => None,
            };
            if let Err(stale) = guard::check_newest(parent, floor) {
                return Ok(Err(stale));
            }
        }
        let decision = match guard::check_version(&intent.role, &standing.line, intent.mark(), self.limits.jump) {
            Ok(decision) => decision,
            Err(fault) => return Ok(Err(fault.into())),
        };
        if let Err(published) = above_published_root(intent, standing, decision) {
            return Ok(Err(published));
        }
        let findings = self.findings(intent, standing, keys)?;
        Ok(guard::check_findings(&findings, acknowledged).map(|()| (decision, findings)))
    }

    fn findings(&self, intent: &Intent, standing: &Standing, keys: &[(KeyName, Scheme)]) -> Stored<Vec<Finding>> {
        let mut findings = Vec::new();
        if standing.known.is_none() && self.batch.other_is_published(&intent.gun, &standing.root1)? {
            findings.push(Finding::NewCollection);
        }
        // A root key lists itself in a certificate of the collection, and a delegate's key serves many
        // collections; but targets, snapshot and timestamp do not name their collection.
        if matches!(intent.role, Role::Targets | Role::Snapshot | Role::Timestamp) {
            for (key, _) in keys {
                if self.batch.key_used_elsewhere(*key, &intent.gun, &standing.root1)? {
                    findings.push(Finding::KeyOfAnotherCollection);
                    break;
                }
            }
        }
        Ok(findings)
    }

    /// Writes what the request has taught the ledger: the collection, its roots, a newer published version.
    fn enter(
        &self,
        intent: &Intent,
        shown: &Shown,
        standing: &Standing,
        events: &mut Vec<Event>,
        notices: &mut Vec<String>,
    ) -> Stored<CollectionId> {
        let id = match standing.known {
            Some(id) => id,
            None => {
                let how = if initialises(intent) { "initialised" } else { "adopted" };
                events.push(Event::Collection { gun: intent.gun.clone(), root1: standing.root1, how });
                if how == "adopted" {
                    notices.push(format!("collection {} is new to this agent and was adopted as shown", intent.gun));
                }
                self.batch.add_collection(&intent.gun, &standing.root1)?
            }
        };
        for root in &shown.chain {
            self.batch.add_root(id, *root)?;
        }
        if shown.current.is_some() {
            self.batch.publish(id, Version::FIRST)?;
        }
        if let Some(newest) = standing.line.shown
            && standing.line.floor.is_none_or(|floor| newest.version > floor.version)
        {
            self.batch.add_mark(id, &intent.role, newest, Origin::Adopted)?;
            events.push(Event::Adopted(subject(&intent.gun, standing.root1, &intent.role, newest)));
        }
        Ok(id)
    }
}

/// TUF 1.0.34 section 5.3: clients hold the newest root; keys of an older one must not sign for them.
fn fresh_root(intent: &Intent, shown: &Shown, standing: &Standing) -> Result<(), Refusal> {
    let Some(tip) = shown.chain.last() else { return Ok(()) };
    match Version::new(standing.published_root) {
        Some(published) if intent.role != Role::Root && tip.version < published => {
            Err(Refusal::StaleRoot { shown: tip.version, published })
        }
        _ => Ok(()),
    }
}

/// A root that is known to be out is not made a second time, even if the chain shown ends before it.
fn above_published_root(intent: &Intent, standing: &Standing, decision: Decision) -> Result<(), Refusal> {
    match Version::new(standing.published_root) {
        Some(last) if intent.role == Role::Root && decision != Decision::Repeat && intent.version() <= last => {
            Err(VersionFault::Rollback { role: Role::Root, asked: intent.version(), last }.into())
        }
        _ => Ok(()),
    }
}

fn initialises(intent: &Intent) -> bool {
    matches!(&intent.metadata, Metadata::Root(root) if root.version == Version::FIRST)
}

fn first_root(intent: &Intent, shown: &Shown) -> Option<signet_tuf::Digest> {
    if initialises(intent) {
        return Some(intent.digest);
    }
    shown.chain.first().filter(|mark| mark.version == Version::FIRST).map(|mark| mark.digest)
}

fn subject(gun: &Gun, root1: signet_tuf::Digest, role: &Role, mark: Mark) -> Subject {
    Subject { gun: gun.clone(), root1, role: role.clone(), version: mark.version, digest: mark.digest }
}
