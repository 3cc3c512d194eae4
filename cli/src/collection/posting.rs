//! Out to the server, and what an earlier publication left unfinished there.

use std::time::Duration;

use signet_tuf::{Digest, Gun, Role, Version};
use tokio::{
    join,
    time::{Instant, sleep},
};
use uuid::Uuid;

use super::{
    CollectionError, Document,
    cached::{Aside, claimed_version},
    publish::{End, Round, State},
    rotate,
};
use crate::{
    context::Context,
    server::{Edition, MAX_METADATA_BYTES, MAX_TIMESTAMP_BYTES, Server, ServerError},
    trustdir::{
        TrustDirError,
        changelist::Staged,
        outbox::{Fate, Misfit, Outbox, Served},
    },
};

/// How long somebody else's version, signed by our agent, may take to show up on the server.
const CONTESTED: Duration = Duration::from_secs(5);

pub(super) enum Posted {
    /// And what was posted can be cached.
    Accepted(Aside),
    Lost,
}

impl Round<'_> {
    /// Deals with what an earlier publish left: finishes it, posts it, or drops it. None: there is nothing left of it.
    pub(super) async fn settle_outbox(
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
        let allowed = self.errand.allowed(staged);
        let aside = match outbox.fate(self.served(&outbox).await?, state.base(), &allowed) {
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
                    Misfit::Withdrawn => "a change in it was unstaged meanwhile, or is skipped",
                };
                tracing::warn!(
                    "an earlier publish of {gun} was signed and not posted, and {why}; signing anew what is staged"
                );
                self.dir.clear_outbox()?;
                return Ok(None);
            }
        };
        self.finish(context, state, &outbox, staged, aside).await?;
        Ok(Some(if self.errand.may_begin() && self.dir.changes()?.is_empty() {
            End::Done(Vec::new())
        } else {
            End::Again
        }))
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

    /// Whether the server still serves the snapshot that the changes were put on. A server takes any higher version,
    /// whatever it was built on, so this keeps us from undoing what somebody else just published.
    pub(super) async fn still_at(&self, base: Option<Digest>) -> Result<bool, CollectionError> {
        let gun = self.dir.gun();
        let wire = match self.server.metadata(gun, &Role::Timestamp, Edition::Current, MAX_TIMESTAMP_BYTES).await {
            Ok(wire) => wire,
            Err(ServerError::NotFound { .. }) => return Ok(base.is_none()),
            Err(error) if error.is_failure() => {
                let known = self.dir.cached(&Role::Timestamp)?.and_then(|wire| claimed_version(&wire));
                let known = known.and_then(Version::new).unwrap_or(Version::FIRST);
                self.link.newest_timestamp(gun, known).await?.ok_or(error)?
            }
            Err(error) => return Err(error.into()),
        };
        let timestamp = Document::parse(&Role::Timestamp, wire).ok();
        let named = timestamp.as_ref().and_then(Document::timestamp).and_then(|t| t.snapshot.hashes.sha256);
        Ok(named.map(Digest::from_bytes) == base)
    }

    pub(super) async fn post(&self, outbox: &Outbox) -> Result<Posted, CollectionError> {
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
                // what fitted before somebody else published fits no more
                let is_overtaken = matches!(self.still_at(outbox.base).await, Ok(false));
                self.dir.clear_outbox()?;
                if is_overtaken { Ok(Posted::Lost) } else { Err(error.into()) }
            }
            Err(error) => {
                tracing::warn!("what was signed is kept, and the next publish posts it first");
                Err(error.into())
            }
        }
    }

    /// The server has it: record it, then unstage what it contains, then drop the outbox.
    pub(super) async fn finish(
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
        let Some(root) = root.root() else { return Ok(()) };
        if let Err(error) = rotate::settle(context, self.dir, root).await {
            tracing::warn!("the rotation is published, and its old keys are not put away: {error}");
        }
        Ok(())
    }

    /// Waits until a version that was signed earlier, here or by somebody else, is on the server; false if it does not come.
    pub(super) async fn shows_up(&self, role: &Role, version: Version) -> Result<bool, CollectionError> {
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

pub(super) fn random_below(millis: u32) -> Duration {
    let (random, _) = Uuid::new_v4().as_u64_pair();
    Duration::from_millis(random.checked_rem(u64::from(millis)).unwrap_or(0))
}
