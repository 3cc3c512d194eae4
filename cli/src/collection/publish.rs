//! Publishing: bring up to date, put the changes on top, sign, put away, post, record, tidy up.

use std::time::Duration;

use bytes::Bytes;
use signet_proto::v1;
use signet_tuf::{Digest, FileMeta, Gun, Role, Version, verify};
use time::OffsetDateTime;
use tokio::{
    join,
    time::{Instant, sleep},
    try_join,
};
use uuid::Uuid;

use super::{
    CollectionError, Document, Trusted,
    apply::apply,
    build::{Draft, Keyring},
    cached::{Ahead, Aside, cached_root},
    evidence::{NewCollection, Shown, Signer, Signing},
    init,
    link::Link,
    update::{Purpose, Update},
};
use crate::{
    agent::AgentError,
    config::TrustPinning,
    context::Context,
    server::{Edition, MAX_METADATA_BYTES, MAX_TIMESTAMP_BYTES, Server, ServerError},
    trustdir::{
        GunDir, TrustDirError,
        changelist::Staged,
        outbox::{Fate, Misfit, Outbox, Served},
    },
};

/// How often a lost race is run again.
const RACES: u32 = 5;
/// How long somebody else's version, signed by our agent, may take to show up on the server.
const CONTESTED: Duration = Duration::from_secs(5);
/// How often one publish may step aside for others of the same agent.
const STEPS_ASIDE: u32 = 40;

/// Publishes everything that is staged for a collection; makes the collection first if there is none anywhere.
///
/// # Errors
/// [`CollectionError`]; whatever it is, everything that is not published stays staged.
///
/// # Cancellation
/// At any point: what was signed waits in the outbox, and the next publish goes on from there.
pub async fn publish(context: &mut Context, gun: &Gun, now: OffsetDateTime) -> Result<(), CollectionError> {
    let dir = GunDir::new(&context.trust_dir, gun);
    let _lock = dir.lock().await?;
    let mut ahead = Some(Ahead::start(&dir));
    let link = Link::open(&context.server).await?;
    let (mut lost, mut aside) = (0_u32, 0_u32);
    let mut given_up = None;
    loop {
        let round = Round { dir: &dir, link: &link, server: link.online()?, now, given_up };
        match round.run(context, ahead.take()).await? {
            End::Done => return Ok(()),
            End::Again => {}
            End::Lost => {
                lost = lost.saturating_add(1);
                tracing::info!("somebody else published {gun} meanwhile; putting the changes on top of that");
            }
            End::Contested(role, version) => {
                aside = aside.saturating_add(1);
                if !round.shows_up(&role, version).await? {
                    given_up = Some(version);
                }
            }
        }
        if lost > RACES || aside > STEPS_ASIDE {
            return Err(CollectionError::Raced { gun: gun.to_string(), attempts: lost.saturating_add(aside) });
        }
        if lost > 0 {
            sleep(random_below(lost.saturating_mul(200))).await;
        }
    }
}

/// How a round ended.
#[derive(Debug)]
enum End {
    /// Nothing is left to publish.
    Done,
    /// Something was finished, and something is left.
    Again,
    /// Somebody else was faster.
    Lost,
    /// Somebody else has this version signed and not yet published.
    Contested(Role, Version),
}

/// The agent's keys. An outbox is dealt with even if they cannot be had.
type Listed = Result<Vec<v1::Key>, AgentError>;

enum Posted {
    /// And what was posted can be cached.
    Accepted(Aside),
    Lost,
}

/// One attempt.
struct Round<'a> {
    dir: &'a GunDir,
    link: &'a Link,
    server: &'a Server,
    now: OffsetDateTime,
    given_up: Option<Version>,
}

/// What the changes are put on.
enum State {
    /// The server has it.
    Published(Trusted),
    /// Only `init` has made it.
    Local(Trusted),
}

impl State {
    const fn trusted(&self) -> &Trusted {
        match self {
            Self::Published(trusted) | Self::Local(trusted) => trusted,
        }
    }

    /// SHA-256 of the published snapshot.
    fn base(&self) -> Option<Digest> {
        match self {
            Self::Published(trusted) => trusted.snapshot.as_ref().map(Document::wire_digest),
            Self::Local(_) => None,
        }
    }
}

impl Round<'_> {
    async fn run(&self, context: &mut Context, ahead: Option<Ahead>) -> Result<End, CollectionError> {
        let staged = self.dir.changes()?;
        let (state, keys) = self.state(context, ahead).await?;
        if let Some(end) = self.settle_outbox(context, &state, &staged).await? {
            return Ok(end);
        }
        let (present, absent): (Vec<_>, Vec<_>) = keys?.into_iter().partition(init::is_present);
        // an ID that is none is no listed key's
        let ids = |keys: Vec<v1::Key>| keys.into_iter().filter_map(|key| key.key_id.parse().ok());
        let keyring = Keyring::new(ids(present), ids(absent));
        let draft = self.draft(&state, &staged, &keyring)?;
        let mut signer = self.signer(context, &state, self.dir.signing_time(self.now)?);
        let files = match self.sign(&mut signer, &state, draft).await? {
            Signed::Files(files) if files.is_empty() => {
                tracing::info!("nothing to publish for {}", self.dir.gun());
                // changes that change nothing are done
                self.dir.unstage(&contained(&staged), &staged)?;
                self.dir.forget_signings()?;
                return Ok(End::Done);
            }
            Signed::Files(files) => files,
            Signed::Contested(role, version) => return Ok(End::Contested(role, version)),
        };
        let outbox = Outbox { files, changes: contained(&staged), base: state.base() };
        self.dir.fill_outbox(&outbox)?;
        if !self.still_at(outbox.base).await? {
            self.dir.clear_outbox()?;
            return Ok(End::Lost);
        }
        match self.post(&outbox).await? {
            Posted::Lost => Ok(End::Lost),
            Posted::Accepted(aside) => {
                self.finish(context, &state, &outbox, &staged, aside).await?;
                Ok(End::Done)
            }
        }
    }

    // --- where we stand

    fn update<'u>(&'u self, pinning: &'u TrustPinning) -> Update<'u> {
        Update { link: self.link, dir: self.dir, pinning, now: self.now, purpose: Purpose::Publish }
    }

    /// What the changes are put on, and the agent's keys.
    async fn state(&self, context: &mut Context, ahead: Option<Ahead>) -> Result<(State, Listed), CollectionError> {
        let update = self.update(&context.pinning);
        let published = async {
            match update.run(ahead).await {
                Ok(trusted) => Ok(Some(trusted)),
                Err(CollectionError::Server(ServerError::NotFound { .. })) => Ok(None),
                Err(error) => Err(error),
            }
        };
        // server and agent, which may have to be started, work at the same time; an error of the server's waits for nobody
        let (published, mut keys) = try_join!(published, async { Ok(context.agent.keys().await) })?;
        if let Some(trusted) = published {
            return Ok((State::Published(trusted), keys));
        }
        if cached_root(self.dir)?.is_none() {
            tracing::info!(
                "No TUF data found locally or remotely - initializing repository {} for the first time",
                self.dir.gun()
            );
            let root_key = init::root_key(context).await?;
            if let init::RootKey::Found(id) = &root_key {
                tracing::info!("Root key found, using: {id}");
            }
            let wish = init::Wish { snapshot: init::SnapshotKey::Ours, new_collection: NewCollection::Ask };
            init::initialise(context, self.dir, self.server, root_key, wish, self.now).await?;
            keys = context.agent.keys().await;
        }
        Ok((State::Local(init::local(self.dir)?), keys))
    }

    /// Deals with what an earlier publish left: finishes it, posts it, or drops it. None: there is nothing left of it.
    async fn settle_outbox(
        &self,
        context: &mut Context,
        state: &State,
        staged: &[Staged],
    ) -> Result<Option<End>, CollectionError> {
        let outbox = match self.dir.outbox() {
            Ok(None) => return Ok(None),
            Ok(Some(outbox)) => outbox,
            Err(error @ TrustDirError::CorruptOutbox { .. }) => {
                tracing::warn!("{error}; signing anew what is staged");
                self.dir.clear_outbox()?;
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let gun = self.dir.gun();
        let aside = match outbox.fate(self.served(&outbox).await?, state.base(), staged) {
            Fate::Finish => {
                tracing::warn!("an earlier publish of {gun} had reached the server; finishing it");
                Aside::write(self.dir, &outbox.files).await
            }
            Fate::Post => {
                tracing::warn!("an earlier publish of {gun} was signed and not posted; posting it now");
                match self.post(&outbox).await {
                    Ok(Posted::Accepted(aside)) => aside,
                    Ok(Posted::Lost) => return Ok(Some(End::Lost)),
                    Err(CollectionError::Server(error @ ServerError::Rejected { .. })) => {
                        tracing::warn!("the server refused what an earlier publish had signed: {error}; signing anew");
                        return Ok(None);
                    }
                    Err(error) => return Err(error),
                }
            }
            Fate::Discard(why) => {
                let why = match why {
                    Misfit::Overtaken => "somebody else published meanwhile",
                    Misfit::Withdrawn => "a change in it was unstaged meanwhile",
                };
                tracing::warn!(
                    "an earlier publish of {gun} was signed and not posted, and {why}; signing anew what is staged"
                );
                self.dir.clear_outbox()?;
                return Ok(None);
            }
        };
        self.finish(context, state, &outbox, staged, aside).await?;
        Ok(Some(if self.dir.changes()?.is_empty() { End::Done } else { End::Again }))
    }

    /// Whether the server has every file of the outbox under its version.
    async fn served(&self, outbox: &Outbox) -> Result<Served, CollectionError> {
        for (role, wire) in &outbox.files {
            let Ok(document) = Document::parse(role, wire.clone()) else { return Ok(Served::No) };
            let edition = Edition::Version(document.version());
            match self.server.metadata(self.dir.gun(), role, edition, MAX_METADATA_BYTES).await {
                Ok(there) if there == *wire => {}
                Ok(_) | Err(ServerError::NotFound { .. }) => return Ok(Served::No),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Served::Yes)
    }

    // --- what is to be signed

    fn draft(&self, state: &State, staged: &[Staged], keyring: &Keyring) -> Result<Draft, CollectionError> {
        let trusted = state.trusted();
        let nothing = || CollectionError::Unsigned {
            gun: self.dir.gun().to_string(),
            role: Role::Root.to_string(),
            why: "there is no root".into(),
        };
        let mut draft = Draft::of(trusted, self.now).ok_or_else(nothing)?;
        for change in staged {
            apply(&mut draft, keyring, &change.change, self.now).map_err(|why| CollectionError::Change {
                what: described(change),
                path: self.dir.change_path(&change.name),
                why,
            })?;
        }
        if matches!(state, State::Local(_)) {
            draft.dirty.insert(Role::Targets);
            // a cache of something published elsewhere may name delegations that are not sent
            draft.files.retain(|role, _| !matches!(role, Role::Delegation(_)));
        }
        let root_key = draft.signers(&Role::Root).is_some_and(|(keys, role)| keyring.has_present(keys, &role));
        if !root_key && !trusted.expired.contains(&Role::Root) && draft.dirty.remove(&Role::Root) {
            tracing::warn!("root of {} is nearing expiry, and none of its keys is at hand to renew it", self.dir.gun());
        }
        for role in &trusted.expired {
            if draft.dirty.contains(role) {
                tracing::warn!("{role} of {} had expired and is renewed", self.dir.gun());
            }
        }
        let snapshot_is_ours =
            draft.signers(&Role::Snapshot).is_some_and(|(keys, role)| keyring.has_one_of(keys, &role));
        match snapshot_is_ours {
            true if !draft.dirty.is_empty() => drop(draft.dirty.insert(Role::Snapshot)),
            true => {}
            // the server signs it, anew whenever it has to
            false => drop(draft.dirty.remove(&Role::Snapshot)),
        }
        Ok(draft)
    }

    fn signer<'s>(&'s self, context: &'s mut Context, state: &State, since: OffsetDateTime) -> Signer<'s> {
        let trusted = state.trusted();
        Signer {
            context,
            dir: self.dir,
            link: self.link,
            chain: [&*trusted.roots_before, &[trusted.root.wire().clone()]].concat(),
            new_collection: NewCollection::Ask,
            since,
            given_up: self.given_up,
        }
    }

    /// Signs root, then targets and delegations from the top down, then snapshot.
    async fn sign(&self, signer: &mut Signer<'_>, state: &State, mut draft: Draft) -> Result<Signed, CollectionError> {
        let trusted = state.trusted();
        let since = signer.since;
        let mut files = Vec::new();
        if matches!(state, State::Local(_)) && !draft.dirty.contains(&Role::Root) {
            files.push((Role::Root, trusted.root.wire().clone()));
        }
        draft.files.insert(Role::Root, FileMeta::of(trusted.root.wire()));
        let mut wires: Vec<(Role, Bytes)> =
            trusted.targets.iter().map(|(role, document)| (role.clone(), document.wire().clone())).collect();
        for role in in_order(&draft) {
            let former = published(state, &role);
            let before = former.or_else(|| made_by_init(state, &role)).map(Document::version);
            let version = match before {
                None => Version::FIRST,
                Some(before) => before.next().ok_or_else(|| CollectionError::NoVersionLeft {
                    gun: self.dir.gun().to_string(),
                    role: role.to_string(),
                })?,
            };
            let delegating =
                if is_judged_by_parents(&role, &draft, former) { above(&wires, &role) } else { Vec::new() };
            let shown = Shown { delegating, current: vouched_for(&draft, &role, former) };
            let content = |version| draft.content(&role, version, since);
            let (document, file) = match signer.sign(&draft, &role, version, &shown, content).await? {
                Signing::Done(document, file) => (document, file),
                Signing::Contested(version) => return Ok(Signed::Contested(role, version)),
            };
            if role == Role::Root {
                signer.chain.push(document.wire().clone());
            }
            draft.files.insert(role.clone(), file);
            wires.retain(|(known, _)| *known != role);
            wires.push((role.clone(), document.wire().clone()));
            files.push((role, document.wire().clone()));
        }
        Ok(Signed::Files(files))
    }

    // --- out to the server

    /// Whether the server still serves the snapshot that the changes were put on. A server takes any higher version,
    /// whatever it was built on, so this keeps us from undoing what somebody else just published.
    async fn still_at(&self, base: Option<Digest>) -> Result<bool, CollectionError> {
        let gun = self.dir.gun();
        let wire = match self.server.metadata(gun, &Role::Timestamp, Edition::Current, MAX_TIMESTAMP_BYTES).await {
            Ok(wire) => wire,
            Err(ServerError::NotFound { .. }) => return Ok(base.is_none()),
            Err(error) => return Err(error.into()),
        };
        let timestamp = Document::parse(&Role::Timestamp, wire).ok();
        let named = timestamp.as_ref().and_then(Document::timestamp).and_then(|t| t.snapshot.hashes.sha256);
        Ok(named.map(Digest::from_bytes) == base)
    }

    async fn post(&self, outbox: &Outbox) -> Result<Posted, CollectionError> {
        let (posted, aside) =
            join!(self.server.publish(self.dir.gun(), &outbox.files), Aside::write(self.dir, &outbox.files));
        match posted {
            Ok(()) => {
                must_be_served(self.server, self.dir.gun(), outbox).await?;
                Ok(Posted::Accepted(aside))
            }
            Err(ServerError::Conflict { .. }) => {
                self.dir.clear_outbox()?;
                Ok(Posted::Lost)
            }
            Err(error @ ServerError::Rejected { .. }) => {
                self.dir.clear_outbox()?;
                Err(error.into())
            }
            Err(error) => {
                tracing::warn!("what was signed is kept, and the next publish posts it first");
                Err(error.into())
            }
        }
    }

    /// The server has it: record it, then unstage what it contains, then drop the outbox.
    async fn finish(
        &self,
        context: &mut Context,
        state: &State,
        outbox: &Outbox,
        staged: &[Staged],
        aside: Aside,
    ) -> Result<(), CollectionError> {
        let known = &state.trusted().root;
        let posted = outbox.files.iter().find(|(role, _)| *role == Role::Root);
        let posted = posted.and_then(|(role, wire)| Document::parse(role, wire.clone()).ok());
        // somebody else may have published a newer one since
        let posted = posted.filter(|root| root.version() > known.version());
        let mut signer = self.signer(context, state, self.now);
        signer.chain.extend(posted.as_ref().map(|root| root.wire().clone()));
        signer.published().await;
        self.dir.unstage(&outbox.changes, staged)?;
        self.dir.clear_outbox()?;
        self.dir.forget_signings()?;
        let root = posted.as_ref().unwrap_or(known);
        if let Err(error) = self.update(&context.pinning).keep_published(root, known, &outbox.files, aside).await {
            tracing::debug!("what was published is not cached: {error}");
        }
        Ok(())
    }

    /// Waits until a version that was signed earlier, here or by somebody else, is on the server; false if it does not come.
    async fn shows_up(&self, role: &Role, version: Version) -> Result<bool, CollectionError> {
        tracing::info!("{role} version {version} was signed earlier; waiting for it to reach the server");
        let since = Instant::now();
        while since.elapsed() < CONTESTED {
            match self.server.metadata(self.dir.gun(), role, Edition::Version(version), MAX_METADATA_BYTES).await {
                Ok(_) => return Ok(true),
                Err(ServerError::NotFound { .. }) => sleep(random_below(200)).await,
                Err(error) => return Err(error.into()),
            }
        }
        tracing::warn!("{role} version {version} was signed earlier and did not reach the server; skipping it");
        Ok(false)
    }
}

/// Reads one of the posted files back: whatever stands at the URL may say 200, and only the server can serve these bytes.
pub(super) async fn must_be_served(server: &Server, gun: &Gun, outbox: &Outbox) -> Result<(), CollectionError> {
    let Some((role, wire)) = outbox.files.iter().min_by_key(|(_, wire)| wire.len()) else { return Ok(()) };
    let lost = || CollectionError::Lost { gun: gun.to_string(), server: server.name().to_owned() };
    match server.metadata(gun, role, Edition::Hash(Digest::of(wire)), MAX_METADATA_BYTES).await {
        Ok(there) if there == *wire => Ok(()),
        Ok(_) | Err(ServerError::NotFound { .. } | ServerError::TooLarge { .. }) => Err(lost()),
        Err(error) => {
            tracing::warn!("what was posted could not be read back; it is kept, and the next publish looks again");
            Err(error.into())
        }
    }
}

enum Signed {
    Files(Vec<(Role, Bytes)>),
    Contested(Role, Version),
}

/// Dirty roles in the order of signing: root, targets, delegations from the top down, snapshot.
fn in_order(draft: &Draft) -> Vec<Role> {
    let (last, mut order): (Vec<_>, Vec<_>) = draft.dirty.iter().cloned().partition(|role| *role == Role::Snapshot);
    order.extend(last);
    order
}

fn published<'a>(state: &'a State, role: &Role) -> Option<&'a Document> {
    match state {
        State::Published(trusted) => document(trusted, role),
        State::Local(_) => None,
    }
}

fn made_by_init<'a>(state: &'a State, role: &Role) -> Option<&'a Document> {
    match state {
        State::Published(_) => None,
        State::Local(trusted) => document(trusted, role),
    }
}

fn document<'a>(trusted: &'a Trusted, role: &Role) -> Option<&'a Document> {
    match role {
        Role::Root => Some(&trusted.root),
        Role::Snapshot => trusted.snapshot.as_ref(),
        Role::Targets | Role::Delegation(_) => trusted.targets.get(role).or_else(|| trusted.invalid.get(role)),
        Role::Timestamp => None,
    }
}

/// The published version of a role, if its keys of now vouch for it: a delegation may have got others meanwhile.
fn vouched_for<'a>(draft: &Draft, role: &Role, former: Option<&'a Document>) -> Option<&'a Document> {
    let counts = |document: &&Document| match (role, draft.signers(role)) {
        (Role::Delegation(_), Some((keys, listed))) => verify::signed_by(keys, &listed, document.envelope()).is_ok(),
        (Role::Delegation(_), None) => false,
        (Role::Root | Role::Targets | Role::Snapshot | Role::Timestamp, _) => true,
    };
    former.filter(counts)
}

/// Whether the agent wants to see who lists what: for a delegation, and for a snapshot that leaves one out.
fn is_judged_by_parents(role: &Role, draft: &Draft, former: Option<&Document>) -> bool {
    let before = former.and_then(Document::snapshot);
    match role {
        Role::Snapshot => before.is_some_and(|before| before.meta.keys().any(|file| !draft.files.contains_key(file))),
        Role::Root | Role::Targets | Role::Timestamp | Role::Delegation(_) => true,
    }
}

/// The wire bytes of targets, then of each delegation on the way to the role's parent. With a snapshot goes targets,
/// to show which delegations are no longer listed.
fn above(wires: &[(Role, Bytes)], role: &Role) -> Vec<Bytes> {
    let mut way = Vec::new();
    let mut next = if *role == Role::Snapshot { Some(Role::Targets) } else { role.parent() };
    while let Some(parent) = next {
        way.extend(wires.iter().find(|(known, _)| *known == parent).map(|(_, wire)| wire.clone()));
        next = parent.parent();
    }
    way.reverse();
    way
}

fn contained(staged: &[Staged]) -> Vec<(String, Digest)> {
    staged.iter().map(|change| (change.name.clone(), change.digest)).collect()
}

fn described(staged: &Staged) -> String {
    let change = &staged.change;
    let name = if change.path.is_empty() { String::new() } else { format!(" {:?}", change.path) };
    format!("`{} {}{name} in {}` ({})", change.action, change.kind, change.scope, staged.name)
}

fn random_below(millis: u32) -> Duration {
    let (random, _) = Uuid::new_v4().as_u64_pair();
    Duration::from_millis(random.checked_rem(u64::from(millis)).unwrap_or(0))
}
