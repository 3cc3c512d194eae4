//! Publishing: bring up to date, put the changes on top, sign, put away, post, record, tidy up.

use std::collections::BTreeMap;

use bytes::Bytes;
use signet_proto::v1;
use signet_tuf::{Digest, Expires, FileMeta, Gun, KeyId, PublicKey, Role, RoleKeys, Root, Version};
use time::OffsetDateTime;
use tokio::{time::sleep, try_join};

use super::{
    CollectionError, Document, Trusted,
    apply::{apply, keep_what_is_listed},
    build::{Draft, Keyring},
    cached::{Ahead, cached_root},
    errand::{self, Errand, KeptBy},
    evidence::{NewCollection, Shown, Signer, Signing, above, vouched_for},
    init,
    link::Link,
    posting::{Posted, random_below},
    rotate,
    update::{Purpose, Update},
};
use crate::{
    agent::AgentError,
    config::TrustPinning,
    context::Context,
    server::{Server, ServerError},
    trustdir::{GunDir, changelist::Staged, outbox::Outbox, rotation::Legacy},
};

/// How often a lost race is run again.
const RACES: u32 = 5;
/// How often one publish may step aside for others of the same agent.
const STEPS_ASIDE: u32 = 40;

/// A role that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Which.
    pub role: Role,
    /// Its version.
    pub version: Version,
    /// When it stops being valid.
    pub expires: Expires,
}

/// Publishes; if everything that is staged is wanted, makes the collection first if there is none anywhere.
///
/// # Errors
/// [`CollectionError`]; whatever it is, everything that is not published stays staged.
///
/// # Cancellation
/// At any point: what was signed waits in the outbox, and the next publish goes on from there.
pub async fn publish(
    context: &mut Context,
    gun: &Gun,
    errand: &Errand,
    now: OffsetDateTime,
) -> Result<Vec<Published>, CollectionError> {
    let dir = GunDir::new(&context.trust_dir, gun);
    let _lock = dir.lock().await?;
    let ahead = Ahead::start(&dir);
    let link = Link::open_for(&context.server, errand.access()).await?;
    locked(context, &dir, &link, errand, Some(ahead), now).await
}

/// The same under a lock that is held already; what is cached was perhaps begun to be read before.
pub(super) async fn locked(
    context: &mut Context,
    dir: &GunDir,
    link: &Link,
    errand: &Errand,
    mut ahead: Option<Ahead>,
    now: OffsetDateTime,
) -> Result<Vec<Published>, CollectionError> {
    let gun = dir.gun();
    let (mut lost, mut aside) = (0_u32, 0_u32);
    let mut given_up = BTreeMap::new();
    let (mut stale_root, mut contested) = (None, None);
    loop {
        let round = Round { dir, link, server: link.online()?, errand, now, given_up: &given_up };
        match round.run(context, ahead.take()).await? {
            End::Done(published) => return Ok(published),
            End::Again => {}
            End::Lost => {
                lost = lost.saturating_add(1);
                tracing::info!("somebody else published {gun} meanwhile; putting the changes on top of that");
            }
            End::Overtaken(root, refusal) => {
                // the server still shows the same root: it does not know what the agent knows
                if stale_root == Some(root) {
                    return Err(refusal.into());
                }
                stale_root = Some(root);
                lost = lost.saturating_add(1);
            }
            End::Contested(role, version) => {
                aside = aside.saturating_add(1);
                // served and built upon by nobody: left behind by a delegation that was removed since
                let is_left_behind = contested.as_ref() == Some(&(role.clone(), version));
                if is_left_behind || !round.shows_up(&role, version).await? {
                    given_up.insert(role.clone(), version);
                }
                contested = Some((role, version));
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
pub(super) enum End {
    /// Nothing is left to publish.
    Done(Vec<Published>),
    /// Something was finished, and something is left.
    Again,
    /// Somebody else was faster.
    Lost,
    /// The agent knows of a newer root than the server's, of this version, and refuses.
    Overtaken(Version, AgentError),
    /// Somebody else has this version signed and not yet published.
    Contested(Role, Version),
}

/// The agent's keys. An outbox is dealt with even if they cannot be had.
type Listed = Result<Vec<v1::Key>, AgentError>;

/// One attempt.
pub(super) struct Round<'a> {
    pub(super) dir: &'a GunDir,
    pub(super) link: &'a Link,
    pub(super) server: &'a Server,
    pub(super) errand: &'a Errand,
    pub(super) now: OffsetDateTime,
    /// Contested versions that have shown up nowhere for a while, and are skipped.
    pub(super) given_up: &'a BTreeMap<Role, Version>,
}

/// What the changes are put on.
pub(super) enum State {
    /// The server has it.
    Published(Trusted),
    /// Only `init` has made it.
    Local(Trusted),
}

impl State {
    pub(super) const fn trusted(&self) -> &Trusted {
        match self {
            Self::Published(trusted) | Self::Local(trusted) => trusted,
        }
    }

    /// SHA-256 of the published snapshot.
    pub(super) fn base(&self) -> Option<Digest> {
        match self {
            Self::Published(trusted) => trusted.snapshot.as_ref().map(Document::wire_digest),
            Self::Local(_) => None,
        }
    }

    /// A role as the server has it.
    pub(super) fn published(&self, role: &Role) -> Option<&Document> {
        match self {
            Self::Published(trusted) => document(trusted, role),
            Self::Local(_) => None,
        }
    }

    /// The version that the next one follows.
    pub(super) fn before(&self, role: &Role) -> Option<Version> {
        document(self.trusted(), role).map(Document::version)
    }
}

impl Round<'_> {
    async fn run(&self, context: &mut Context, ahead: Option<Ahead>) -> Result<End, CollectionError> {
        let all = self.dir.changes()?;
        let (state, keys) = self.state(context, ahead).await?;
        if let Some(end) = self.settle_outbox(context, &state, &all).await? {
            return Ok(end);
        }
        if let (Errand::Rotate(rotation), State::Published(trusted)) = (self.errand, &state)
            && let Some(root) = trusted.root.root().filter(|root| rotation.is_in(root))
        {
            rotate::settle(context, self.dir, root).await?;
            return Ok(End::Done(Vec::new()));
        }
        let keyring = Keyring::of(keys?);
        let (first, staged) = self.chosen(&state, &all);
        let draft = self.draft(&state, &staged, &keyring)?;
        let mut signer = self.signer(context, &state, self.dir.signing_time(self.now)?);
        let (files, published) = match self.sign(&mut signer, &state, draft, &keyring).await? {
            Signed::Files(files, _) if files.is_empty() => {
                tracing::info!("nothing to publish for {}", self.dir.gun());
                // changes that change nothing are done
                self.dir.unstage(&contained(&staged), &all)?;
                self.dir.forget_signings()?;
                return Ok(End::Done(Vec::new()));
            }
            Signed::Files(files, published) => (files, published),
            Signed::Contested(role, version) => return Ok(End::Contested(role, version)),
            Signed::Overtaken(refusal) => return Ok(End::Overtaken(state.trusted().root.version(), *refusal)),
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
                self.finish(context, &state, &outbox, &all, aside).await?;
                Ok(if first == First::Published && *self.errand != Errand::First {
                    End::Again
                } else {
                    End::Done(published)
                })
            }
        }
    }

    /// The changes that go into this round. A renewal or a rotation needs something published: what `init` made goes first.
    fn chosen<'s>(&self, state: &State, all: &'s [Staged]) -> (First, Vec<(usize, &'s Staged)>) {
        match (state, self.errand) {
            (State::Local(_), Errand::First | Errand::Renew(_) | Errand::Rotate(_) | Errand::Intended { .. }) => {
                (First::Published, Vec::new())
            }
            (State::Local(_) | State::Published(_), errand) => (First::AsItIs, errand.changes(all)),
        }
    }

    // --- where we stand

    pub(super) fn update<'u>(&'u self, pinning: &'u TrustPinning) -> Update<'u> {
        Update { link: self.link, dir: self.dir, pinning, now: self.now, purpose: Purpose::Publish }
    }

    /// What the server has, if anything, and the agent's keys.
    pub(super) async fn published(
        &self,
        context: &mut Context,
        ahead: Option<Ahead>,
    ) -> Result<(Option<Trusted>, Listed), CollectionError> {
        let update = self.update(&context.pinning);
        let published = async {
            match update.run(ahead).await {
                Ok(trusted) => Ok(Some(trusted)),
                Err(CollectionError::Server(ServerError::NotFound { .. })) => Ok(None),
                Err(error) => Err(error),
            }
        };
        // server and agent, which may have to be started, work at the same time; an error of the server's waits for nobody
        try_join!(published, async { Ok(context.agent.keys().await) })
    }

    /// What the changes are put on, and the agent's keys.
    async fn state(&self, context: &mut Context, ahead: Option<Ahead>) -> Result<(State, Listed), CollectionError> {
        let (published, mut keys) = self.published(context, ahead).await?;
        if let Some(trusted) = published {
            return Ok((State::Published(trusted), keys));
        }
        if cached_root(self.dir)?.is_none() {
            if !self.errand.may_begin() {
                return Err(self.nowhere().into());
            }
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

    pub(super) fn nowhere(&self) -> ServerError {
        let (server, gun) = (self.server.name().to_owned(), self.dir.gun().to_string());
        ServerError::NotFound { server, gun, what: Role::Root.to_string() }
    }

    // --- what is to be signed

    pub(super) fn draft(
        &self,
        state: &State,
        staged: &[(usize, &Staged)],
        keyring: &Keyring,
    ) -> Result<Draft, CollectionError> {
        let trusted = state.trusted();
        let unsigned = |role: &Role, why: String| CollectionError::Unsigned {
            gun: self.dir.gun().to_string(),
            role: role.to_string(),
            why,
        };
        let mut draft = Draft::of(trusted, self.now).ok_or_else(|| unsigned(&Role::Root, "there is no root".into()))?;
        for (number, change) in staged {
            apply(&mut draft, keyring, &change.change, self.now).map_err(|why| CollectionError::Change {
                gun: self.dir.gun().to_string(),
                number: *number,
                what: described(change),
                why,
            })?;
        }
        match state {
            State::Local(_) => {
                draft.dirty.insert(Role::Targets);
                // a cache of something published elsewhere may name delegations that are not sent
                draft.files.retain(|role, _| !matches!(role, Role::Delegation(_)));
            }
            State::Published(_) => {
                let applied = self.errand.apply(&mut draft, keyring, trusted, self.now);
                applied.map_err(|(role, why)| unsigned(&role, why))?;
                if let Some(snapshot) = trusted.snapshot.as_ref().and_then(Document::snapshot) {
                    keep_what_is_listed(&mut draft, &snapshot.meta);
                }
            }
        }
        self.drop_what_cannot_be_renewed(&mut draft, trusted, keyring);
        let snapshot_is_ours = match self.errand.keeps_snapshot() {
            Some(by) => by == KeptBy::Us,
            None => draft.signers(&Role::Snapshot).is_some_and(|(keys, role)| keyring.has_one_of(keys, &role)),
        };
        match snapshot_is_ours {
            true if !draft.dirty.is_empty() => drop(draft.dirty.insert(Role::Snapshot)),
            true => {}
            // the server signs it, anew whenever it has to
            false => drop(draft.dirty.remove(&Role::Snapshot)),
        }
        match draft.dirty.iter().find_map(|role| Some((role, errand::too_few(&draft, keyring, role)?))) {
            Some((role, why)) => Err(unsigned(role, why)),
            None => Ok(draft),
        }
    }

    /// A root that is only near its end need not be renewed; what had expired is told.
    fn drop_what_cannot_be_renewed(&self, draft: &mut Draft, trusted: &Trusted, keyring: &Keyring) {
        let enough =
            |(keys, role): (&BTreeMap<KeyId, PublicKey>, RoleKeys)| keyring.present_of(keys, &role) >= role.threshold;
        let root_key = draft.signers(&Role::Root).is_some_and(enough);
        let is_rotated = matches!(self.errand, Errand::Rotate(_) | Errand::Intended { .. });
        if !root_key && !is_rotated && !trusted.expired.contains(&Role::Root) && draft.dirty.remove(&Role::Root) {
            tracing::warn!(
                "root of {} is nearing expiry, and not enough of its keys are at hand to renew it",
                self.dir.gun()
            );
        }
        for role in &trusted.expired {
            if draft.dirty.contains(role) {
                tracing::warn!("{role} of {} had expired and is renewed", self.dir.gun());
            }
        }
    }

    pub(super) fn signer<'s>(&'s self, context: &'s mut Context, state: &State, since: OffsetDateTime) -> Signer<'s> {
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
    async fn sign(
        &self,
        signer: &mut Signer<'_>,
        state: &State,
        mut draft: Draft,
        keyring: &Keyring,
    ) -> Result<Signed, CollectionError> {
        let trusted = state.trusted();
        let since = signer.since;
        let (mut files, mut published) = (Vec::new(), Vec::new());
        if matches!(state, State::Local(_)) && !draft.dirty.contains(&Role::Root) {
            files.push((Role::Root, trusted.root.wire().clone()));
        }
        draft.files.insert(Role::Root, FileMeta::of(trusted.root.wire()));
        let mut wires: Vec<(Role, Bytes)> =
            trusted.targets.iter().map(|(role, document)| (role.clone(), document.wire().clone())).collect();
        for role in in_order(&draft) {
            let former = state.published(&role);
            let version = self.next_version(state, &role)?;
            let delegating = above(&wires, &role, &draft, former);
            let keys = self.named_keys(signer, &role, keyring).await?;
            let shown = Shown { delegating, current: vouched_for(&draft, &role, former), keys };
            let reckoned = match (self.errand, &role) {
                (Errand::Rotate(rotation), Role::Root) => rotation.since,
                _ => since,
            };
            let content = |version| draft.content(&role, version, reckoned);
            let (document, file) = match signer.sign(&draft, &role, version, &shown, content).await? {
                Signing::Done(document, file) => (document, file),
                Signing::Contested(version) => return Ok(Signed::Contested(role, version)),
                Signing::Overtaken(refusal) => return Ok(Signed::Overtaken(refusal)),
            };
            if role == Role::Root {
                signer.chain.push(document.wire().clone());
            }
            draft.files.insert(role.clone(), file);
            wires.retain(|(known, _)| *known != role);
            wires.push((role.clone(), document.wire().clone()));
            files.push((role.clone(), document.wire().clone()));
            let expires = document.envelope().metadata().expires();
            published.push(Published { role, version: document.version(), expires });
        }
        Ok(Signed::Files(files, published))
    }

    /// The version after the one that is there.
    pub(super) fn next_version(&self, state: &State, role: &Role) -> Result<Version, CollectionError> {
        let Some(before) = state.before(role) else { return Ok(Version::FIRST) };
        before
            .next()
            .ok_or_else(|| CollectionError::NoVersionLeft { gun: self.dir.gun().to_string(), role: role.to_string() })
    }

    /// The keys that must all sign: none are named but for a root with other root keys, or for older clients.
    async fn named_keys(
        &self,
        signer: &mut Signer<'_>,
        role: &Role,
        keyring: &Keyring,
    ) -> Result<Vec<KeyId>, CollectionError> {
        let Errand::Rotate(rotation) = self.errand else { return Ok(Vec::new()) };
        let is_as_usual = rotation.role != Role::Root && rotation.legacy == Legacy::None;
        if is_as_usual || *role != Role::Root {
            return Ok(Vec::new());
        }
        if rotation.legacy != Legacy::None {
            signer.complete_chain().await?;
        }
        let roots: Vec<Root> = signer.roots().collect();
        let wanted = match rotation.legacy {
            Legacy::None => 1,
            // the version before signs in any case
            Legacy::Last(versions) => usize::try_from(versions).unwrap_or(usize::MAX).saturating_add(1),
            Legacy::All => usize::MAX,
        };
        let former = roots.get(roots.len().saturating_sub(wanted)..).unwrap_or_default();
        Ok(errand::root_signers(rotation, former, keyring))
    }
}

/// Whether a round publishes what `init` made, before it does what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Published,
    AsItIs,
}

enum Signed {
    Files(Vec<(Role, Bytes)>, Vec<Published>),
    Contested(Role, Version),
    /// By a root that somebody else has published.
    Overtaken(Box<AgentError>),
}

/// Dirty roles in the order of signing: root, targets, delegations from the top down, snapshot.
pub(super) fn in_order(draft: &Draft) -> Vec<Role> {
    let (last, mut order): (Vec<_>, Vec<_>) = draft.dirty.iter().cloned().partition(|role| *role == Role::Snapshot);
    order.extend(last);
    order
}

fn document<'a>(trusted: &'a Trusted, role: &Role) -> Option<&'a Document> {
    match role {
        Role::Root => Some(&trusted.root),
        Role::Snapshot => trusted.snapshot.as_ref(),
        Role::Targets | Role::Delegation(_) => trusted.targets.get(role).or_else(|| trusted.invalid.get(role)),
        Role::Timestamp => None,
    }
}

fn contained(staged: &[(usize, &Staged)]) -> Vec<(String, Digest)> {
    staged.iter().map(|(_, change)| (change.name.clone(), change.digest)).collect()
}

fn described(staged: &Staged) -> String {
    let change = &staged.change;
    let name = if change.path.is_empty() { String::new() } else { format!(" {:?}", change.path) };
    format!("`{} {}{name} in {}` ({})", change.action, change.kind, change.scope, staged.name)
}
