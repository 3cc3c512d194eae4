//! The update: from the cached root as trust anchor to verified targets. Only verified bytes are cached.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use signet_tuf::{
    Digest, FileMeta, KeyId, NEAR_EXPIRY, PublicKey, Role, RoleKeys, Root, Timestamp,
    verify::{self, VerifyError},
};
use time::OffsetDateTime;

use super::{
    CollectionError, Document, RoleProblem, Trusted,
    cached::{Ahead, Aside, cached_root, claimed_version, is_damaged, matching},
    link::Link,
    search,
};
use crate::{
    config::TrustPinning,
    server::{Edition, MAX_TIMESTAMP_BYTES, ServerError},
    trustdir::{GunDir, TrustDirError},
};

/// How often root and snapshot may disagree because somebody publishes at this moment.
const ATTEMPTS: u32 = 3;

/// What the collection is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Everything must be valid now; without a server the cache will do.
    Read,
    /// Expired metadata is tolerated, because publishing makes it anew; the server must answer.
    Publish,
}

/// One update of one collection.
#[derive(Debug)]
pub struct Update<'a> {
    /// The way to the server.
    pub link: &'a Link,
    /// The collection's directory.
    pub dir: &'a GunDir,
    /// Which roots are trusted at first contact.
    pub pinning: &'a TrustPinning,
    /// What time it is.
    pub now: OffsetDateTime,
    /// What the collection is wanted for.
    pub purpose: Purpose,
}

/// Who signs a role, and what was known of it before.
struct Signers<'a> {
    keys: &'a BTreeMap<KeyId, PublicKey>,
    role: RoleKeys,
    former: Option<(&'a BTreeMap<KeyId, PublicKey>, RoleKeys)>,
}

impl Update<'_> {
    /// Brings the collection up to date; what is cached was perhaps begun to be read before.
    ///
    /// # Errors
    /// [`CollectionError::Server`] with `NotFound` if the server does not have it; [`CollectionError::Invalid`],
    /// [`CollectionError::Untrusted`] and [`CollectionError::Pinned`] if what it has cannot be trusted.
    pub async fn run(&self, mut ahead: Option<Ahead>) -> Result<Trusted, CollectionError> {
        let former = cached_root(self.dir)?;
        let mut edition = Edition::Current;
        let mut attempt = 1;
        loop {
            let ahead = ahead.take().unwrap_or_else(|| Ahead::start(self.dir));
            let (root, before) = self.root(former.as_ref(), edition).await?;
            let used = root.version();
            match self.below(root, former.as_ref(), ahead).await {
                Ok(Below::Complete(trusted)) => return Ok(Trusted { roots_before: before, ..*trusted }),
                Ok(Below::OtherRoot(named)) if attempt < ATTEMPTS => {
                    attempt = attempt.saturating_add(1);
                    edition = named.map_or(Edition::Current, Edition::Hash);
                }
                Ok(Below::OtherRoot(_)) => return Err(self.invalid(&Role::Snapshot, RoleProblem::OtherRoot)),
                // a key may have been rotated since the root was asked for
                Err(error) if attempt < ATTEMPTS && is_unsigned(&error) => {
                    attempt = attempt.saturating_add(1);
                    edition = Edition::Current;
                    if self.root(former.as_ref(), edition).await?.0.version() == used {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Caches what was just published as far as the server names it: the next command need not download it.
    ///
    /// # Errors
    /// As [`Update::run`]. What is not cached then is downloaded when it is wanted.
    pub(super) async fn keep_published(
        &self,
        root: &Document,
        before: &Document,
        files: &[(Role, Bytes)],
        aside: Aside,
    ) -> Result<(), CollectionError> {
        let keys = root.root().ok_or_else(|| self.invalid(&Role::Root, wrong(&Role::Root)))?;
        let signers = top_level(keys, before.root(), &Role::Snapshot);
        let (timestamp, failure) = self.timestamp(keys, before.root()).await?;
        failure.map_or(Ok(()), Err)?;
        let named = timestamp.snapshot;
        let ours =
            files.iter().find(|(role, wire)| *role == Role::Snapshot && verify::file_matches(&named, wire).is_ok());
        let snapshot = match ours {
            Some((role, wire)) => self.verified(role, wire.clone(), &signers)?,
            None => self.file(&Role::Snapshot, &named, &signers).await?,
        };
        let meta = &snapshot.snapshot().ok_or_else(|| self.invalid(&Role::Snapshot, wrong(&Role::Snapshot)))?.meta;
        let is_named =
            |role: &Role, wire: &Bytes| meta.get(role).is_some_and(|it| verify::file_matches(it, wire).is_ok());
        if !is_named(&Role::Root, root.wire()) {
            return Ok(());
        }
        self.cache(&Role::Root, root)?;
        // our own snapshot names our own files
        let is_ours = |role: &Role| files.iter().any(|(posted, wire)| posted == role && is_named(role, wire));
        aside.keep(|role| ours.is_some() || is_ours(role))?;
        Ok(())
    }

    async fn below(&self, root: Document, former: Option<&Document>, ahead: Ahead) -> Result<Below, CollectionError> {
        let keys = root.root().ok_or_else(|| self.invalid(&Role::Root, wrong(&Role::Root)))?.clone();
        let before = former.and_then(Document::root);
        let mut expired = Vec::new();
        self.note_expiry(&Role::Root, &root, &mut expired)?;
        let (timestamp, failure) = self.timestamp(&keys, before).await?;
        let snapshot = self.snapshot(&keys, before, &timestamp, &mut expired).await?;
        if let Some(failure) = failure {
            if !expired.contains(&Role::Snapshot) {
                return Err(failure.into());
            }
            tracing::warn!(
                "the snapshot has expired, and {} signs no timestamp until there is another",
                self.link.name()
            );
        }
        let files = &snapshot.snapshot().ok_or_else(|| self.invalid(&Role::Snapshot, wrong(&Role::Snapshot)))?.meta;
        let named = files.get(&Role::Root).ok_or_else(|| self.invalid(&Role::Root, RoleProblem::NotInSnapshot))?;
        if verify::file_matches(named, root.wire()).is_err() {
            return Ok(Below::OtherRoot(named.hashes.sha256.map(Digest::from_bytes)));
        }
        let mut trusted = Trusted {
            root,
            roots_before: Vec::new(),
            snapshot: Some(snapshot.clone()),
            targets: BTreeMap::new(),
            invalid: BTreeMap::new(),
            expired,
        };
        self.targets(&keys, before, files, ahead, &mut trusted).await?;
        Ok(Below::Complete(Box::new(trusted)))
    }

    // --- timestamp and snapshot

    /// What the server has signed last. If it fails to say so itself, that was found by its number, and why it failed comes
    /// with it: notary-server does so while a snapshot of the client's has expired.
    async fn timestamp(
        &self,
        root: &Root,
        before: Option<&Root>,
    ) -> Result<(Timestamp, Option<ServerError>), CollectionError> {
        let role = Role::Timestamp;
        let signers = top_level(root, before, &role);
        let gun = self.dir.gun();
        let downloaded = self.link.metadata(gun, &role, Edition::Current, MAX_TIMESTAMP_BYTES).await;
        let mut failure = None;
        let document = match downloaded {
            Ok(wire) => {
                let document = self.verified(&role, wire, &signers)?;
                self.not_older(&role, &document, &signers)?;
                // the server signs timestamps: an expired one is nobody's to renew but its own
                self.must_be_current(&role, &document)?;
                document
            }
            Err(error) if error.is_outage() && self.purpose == Purpose::Read => {
                let Some(cached) = self.known(&role, &signers)? else { return Err(error.into()) };
                tell(&error);
                tracing::warn!(
                    "Error while downloading remote metadata, using cached timestamp - this might not be the latest version available remotely"
                );
                let document = self.verified(&role, cached.wire().clone(), &signers)?;
                self.must_be_current(&role, &document)?;
                document
            }
            Err(error) if error.is_failure() => {
                // it may have expired, so whoever has seen none before could be shown any old one
                let Some(known) = self.known(&role, &signers)? else { return Err(error.into()) };
                let newest = self.link.newest_timestamp(gun, known.version()).await?;
                let Some(wire) = newest else { return Err(error.into()) };
                failure = Some(error);
                let document = self.verified(&role, wire, &signers)?;
                self.not_older(&role, &document, &signers)?;
                document
            }
            Err(error) => return Err(error.into()),
        };
        self.cache(&role, &document)?;
        let timestamp = document.timestamp().cloned().ok_or_else(|| self.invalid(&role, wrong(&role)))?;
        Ok((timestamp, failure))
    }

    async fn snapshot(
        &self,
        root: &Root,
        before: Option<&Root>,
        timestamp: &Timestamp,
        expired: &mut Vec<Role>,
    ) -> Result<Document, CollectionError> {
        let role = Role::Snapshot;
        let signers = top_level(root, before, &role);
        let document = self.file(&role, &timestamp.snapshot, &signers).await?;
        self.note_expiry(&role, &document, expired)?;
        Ok(document)
    }

    // --- targets and delegations

    async fn targets(
        &self,
        root: &Root,
        before: Option<&Root>,
        files: &BTreeMap<Role, FileMeta>,
        ahead: Ahead,
        trusted: &mut Trusted,
    ) -> Result<(), CollectionError> {
        let role = Role::Targets;
        let named = files.get(&role).ok_or_else(|| self.invalid(&role, RoleProblem::NotInSnapshot))?;
        let signers = top_level(root, before, &role);
        let document = match ahead.document(named).await {
            Some(document) => {
                self.verify(&role, &document, &signers)?;
                document
            }
            None => self.file(&role, named, &signers).await?,
        };
        self.note_expiry(&role, &document, &mut trusted.expired)?;
        trusted.targets.insert(role, document);
        let mut waiting = VecDeque::from(search::children(&trusted.tree(), &search::top()));
        while let Some(visit) = waiting.pop_front() {
            let Some(named) = files.get(&visit.role).cloned() else { continue };
            if self.delegation(&visit, &named, trusted).await? {
                // pre-order: parents before children, siblings in the order of their parent
                for child in search::children(&trusted.tree(), &visit).into_iter().rev() {
                    waiting.push_front(child);
                }
            }
        }
        Ok(())
    }

    /// Loads one delegation; false if it does not count.
    async fn delegation(
        &self,
        visit: &search::Visit,
        named: &FileMeta,
        trusted: &mut Trusted,
    ) -> Result<bool, CollectionError> {
        let role = &visit.role;
        let listed = search::listed(&trusted.tree(), role).map(|(keys, entry)| (keys.clone(), entry.role_keys()));
        let Some((keys, listed)) = listed else { return Ok(false) };
        let signers = Signers { keys: &keys, role: listed.clone(), former: None };
        let (document, origin) = self.document(role, named).await?;
        verify::structure(role, document.envelope().metadata()).map_err(|e| self.invalid(role, e.into()))?;
        if origin == Origin::Server {
            self.not_older(role, &document, &signers)?;
        }
        if let Err(problem) = verify::signed_by(&keys, &listed, document.envelope()) {
            tracing::warn!("Error getting {role}: {problem}");
            trusted.invalid.insert(role.clone(), document);
            return Ok(false);
        }
        if origin == Origin::Server {
            self.cache(role, &document)?;
        }
        if let Err(problem) = verify::unexpired(document.envelope().metadata(), self.now) {
            if self.purpose == Purpose::Read {
                tracing::warn!("Error getting {role}: {problem}");
                return Ok(false);
            }
            trusted.expired.push(role.clone());
        }
        self.warn_if_soon(role, &document);
        trusted.targets.insert(role.clone(), document);
        Ok(true)
    }

    // --- what is common to all roles

    /// A file whose digest is known: from the cache if that is it, else from the server.
    async fn file(&self, role: &Role, named: &FileMeta, signers: &Signers<'_>) -> Result<Document, CollectionError> {
        let (document, origin) = self.document(role, named).await?;
        self.verify(role, &document, signers)?;
        if origin == Origin::Server {
            self.not_older(role, &document, signers)?;
            self.cache(role, &document)?;
        }
        Ok(document)
    }

    async fn document(&self, role: &Role, named: &FileMeta) -> Result<(Document, Origin), CollectionError> {
        if let Some(wire) = self.dir.cached(role)?
            && let Ok(document) = matching(role, named, wire)
        {
            return Ok((document, Origin::Cache));
        }
        let Some(sha256) = named.hashes.sha256 else {
            return Err(self.invalid(role, VerifyError::NoDigest.into()));
        };
        let edition = Edition::Hash(Digest::from_bytes(sha256));
        let wire = match self.link.metadata(self.dir.gun(), role, edition, named.length).await {
            Ok(wire) => wire,
            // the collection is there, so a missing file is the server's inconsistency
            Err(ServerError::NotFound { server, what, .. }) => {
                let problem =
                    "trust data unavailable: other metadata names a file that the server does not have".into();
                return Err(ServerError::Answer { server, what, problem }.into());
            }
            Err(error) => return Err(error.into()),
        };
        let document = matching(role, named, wire).map_err(|problem| self.invalid(role, problem))?;
        Ok((document, Origin::Server))
    }

    fn verified(&self, role: &Role, wire: Bytes, signers: &Signers<'_>) -> Result<Document, CollectionError> {
        let document = self.parse(role, wire)?;
        self.verify(role, &document, signers)?;
        Ok(document)
    }

    fn verify(&self, role: &Role, document: &Document, signers: &Signers<'_>) -> Result<(), CollectionError> {
        verify::structure(role, document.envelope().metadata())
            .and_then(|()| verify::signed_by(signers.keys, &signers.role, document.envelope()))
            .map_err(|e| self.invalid(role, e.into()))
    }

    /// The cached document of a role, if its signers of now or of before vouch for it.
    fn known(&self, role: &Role, signers: &Signers<'_>) -> Result<Option<Document>, TrustDirError> {
        let cached = self.dir.cached(role)?.and_then(|wire| Document::parse(role, wire).ok());
        Ok(cached.filter(|document| {
            let envelope = document.envelope();
            let former = signers.former.as_ref();
            verify::signed_by(signers.keys, &signers.role, envelope).is_ok()
                || former.is_some_and(|(keys, role)| verify::signed_by(keys, role, envelope).is_ok())
        }))
    }

    /// The cached version is verified only if it claims to be the newer one: metadata can be large.
    fn not_older(&self, role: &Role, found: &Document, signers: &Signers<'_>) -> Result<(), CollectionError> {
        let claimed = self.dir.cached(role)?.and_then(|wire| claimed_version(&wire));
        if claimed.is_none_or(|claimed| claimed <= found.version().get()) {
            return Ok(());
        }
        match self.known(role, signers)?.as_ref().map(Document::version) {
            Some(known) if found.version() < known => {
                Err(self.invalid(role, RoleProblem::Rollback { found: found.version(), known }))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn cache(&self, role: &Role, document: &Document) -> Result<(), CollectionError> {
        let cached = self.dir.cached(role)?;
        if cached.as_deref() == Some(document.wire()) {
            return Ok(());
        }
        if cached.is_some_and(|cached| is_damaged(role, &cached, document)) {
            let path = self.dir.metadata_path(role);
            let path = path.display();
            tracing::warn!(
                "the cached {role} metadata {path} is damaged or was never published; the server's replaces it"
            );
        }
        match (self.dir.keep(role, document.wire()), self.purpose) {
            // as Notary 0.7 does: what was verified can be read, only the next rollback cannot be noticed
            (Err(error), Purpose::Read) => tracing::warn!("{error}; this version will not be remembered"),
            (kept, _) => kept?,
        }
        Ok(())
    }

    fn must_be_current(&self, role: &Role, document: &Document) -> Result<(), CollectionError> {
        match verify::unexpired(document.envelope().metadata(), self.now) {
            Err(VerifyError::Expired { at }) => Err(self.invalid(role, RoleProblem::Expired { at })),
            Err(problem) => Err(self.invalid(role, problem.into())),
            Ok(()) => Ok(()),
        }
    }

    fn note_expiry(&self, role: &Role, document: &Document, expired: &mut Vec<Role>) -> Result<(), CollectionError> {
        match (self.must_be_current(role, document), self.purpose) {
            (Err(error), Purpose::Read) => return Err(error),
            (Err(_), Purpose::Publish) => expired.push(role.clone()),
            (Ok(()), _) => self.warn_if_soon(role, document),
        }
        Ok(())
    }

    fn warn_if_soon(&self, role: &Role, document: &Document) {
        if document.envelope().metadata().expires().instant() < self.now.saturating_add(NEAR_EXPIRY) {
            let metadata = if *role == Role::Root { "" } else { " metadata" };
            tracing::warn!("{role}{metadata} is nearing expiry, you should re-sign the role metadata");
        }
    }

    pub(super) fn parse(&self, role: &Role, wire: Bytes) -> Result<Document, CollectionError> {
        Document::parse(role, wire).map_err(|e| self.invalid(role, e.into()))
    }

    pub(super) fn invalid(&self, role: &Role, problem: RoleProblem) -> CollectionError {
        let (server, gun) = (self.link.name().into(), self.dir.gun().as_str().into());
        CollectionError::Invalid { server, gun, role: role.as_str().into(), problem }
    }
}

/// Where a file came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// They are cached already, and so was their version.
    Cache,
    Server,
}

enum Below {
    Complete(Box<Trusted>),
    /// The snapshot names a root with this SHA-256, not the one that was fetched.
    OtherRoot(Option<Digest>),
}

/// Names an outage that is read past. One of the server itself was told when it was looked for.
pub(super) fn tell(outage: &ServerError) {
    if !outage.is_offline() {
        tracing::warn!("{outage}");
    }
}

fn top_level<'a>(root: &'a Root, before: Option<&'a Root>, role: &Role) -> Signers<'a> {
    let none = || RoleKeys { key_ids: Vec::new(), threshold: 0 };
    let listed = |root: &Root| root.role_keys(role).cloned().unwrap_or_else(none);
    Signers { keys: &root.keys, role: listed(root), former: before.map(|root| (&root.keys, listed(root))) }
}

/// Whether metadata is not signed by the keys that root lists.
fn is_unsigned(error: &CollectionError) -> bool {
    matches!(error, CollectionError::Invalid { problem: RoleProblem::Verify(VerifyError::Threshold { .. }), .. })
}

pub(super) fn wrong(role: &Role) -> RoleProblem {
    VerifyError::WrongRole { role: role.clone() }.into()
}
