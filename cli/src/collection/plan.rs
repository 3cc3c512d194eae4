//! What a command would sign and publish. Signs nothing, makes nothing, posts nothing.

use std::collections::BTreeMap;

use signet_tuf::{Expires, Gun, KeyId, Role, Version, diff};
use time::OffsetDateTime;

use super::{
    CollectionError,
    build::{Keyring, canonical_ids},
    cached::cached_root,
    errand::Errand,
    init,
    link::Link,
    publish::{Round, State, in_order},
};
use crate::{
    context::Context,
    trustdir::{GunDir, change::Change, changelist::Staged},
};

/// What would be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Where the collection stands.
    pub stands: Stands,
    /// An earlier publication is signed and would be posted before.
    pub outbox: bool,
    /// The roles that would be signed, in this order.
    pub roles: Vec<PlannedRole>,
}

/// Where a collection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// The server has it.
    Published,
    /// Only `init` has made it: this would publish it.
    Local,
    /// It is nowhere: this would make it.
    Nowhere,
}

/// What would become of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRole {
    /// Which.
    pub role: Role,
    /// The version that is there.
    pub before: Option<Version>,
    /// The version that would follow, if nobody publishes meanwhile.
    pub version: Version,
    /// When it would stop being valid.
    pub expires: Expires,
    /// The keys that would sign, by canonical ID.
    pub keys: Vec<KeyId>,
    /// How many must.
    pub threshold: u32,
    /// What would be in it that was not, and the reverse.
    pub changes: Vec<diff::Change>,
}

/// Finds out what `publish` would do, if `more` were staged too.
///
/// # Errors
/// As `publish`, as far as it can be known before anything is signed.
pub async fn plan(
    context: &mut Context,
    gun: &Gun,
    errand: &Errand,
    more: Vec<Change>,
    now: OffsetDateTime,
) -> Result<Plan, CollectionError> {
    let dir = GunDir::new(&context.trust_dir, gun);
    let link = Link::open(&context.server).await?;
    let given_up = BTreeMap::new();
    let round = Round { dir: &dir, link: &link, server: link.online()?, errand, now, given_up: &given_up };
    // a damaged one is signed anew
    let outbox = matches!(dir.outbox(), Ok(Some(_)));
    let (published, keys) = round.published(context, None).await?;
    let keyring = Keyring::of(keys?);
    let (stands, state) = match published {
        Some(trusted) => (Stands::Published, State::Published(trusted)),
        None if cached_root(&dir)?.is_some() => (Stands::Local, State::Local(init::local(&dir)?)),
        None if errand.may_begin() => return Ok(Plan { stands: Stands::Nowhere, outbox, roles: Vec::new() }),
        None => return Err(round.nowhere().into()),
    };
    let roles = round.planned(&state, &keyring, more)?;
    Ok(Plan { stands, outbox, roles })
}

impl Round<'_> {
    fn planned(
        &self,
        state: &State,
        keyring: &Keyring,
        more: Vec<Change>,
    ) -> Result<Vec<PlannedRole>, CollectionError> {
        let mut all = self.dir.changes()?;
        all.extend(more.into_iter().map(Staged::only_thought_of));
        let draft = self.draft(state, &self.errand.changes(&all), keyring)?;
        let mut roles = Vec::new();
        for role in in_order(&draft) {
            let version = self.next_version(state, &role)?;
            let Some(content) = draft.content(&role, version, self.now) else { continue };
            let before = state.published(&role).map(|document| document.envelope().metadata());
            let (keys, threshold) = match draft.signers(&role) {
                Some((keys, listed)) => (canonical_ids(keys, &listed).collect(), listed.threshold),
                None => (Vec::new(), 0),
            };
            roles.push(PlannedRole {
                before: state.before(&role),
                version,
                expires: content.expires(),
                keys: keys.into_iter().filter(|key| keyring.is_present(*key)).collect(),
                threshold,
                changes: diff::diff(before, &content),
                role,
            });
        }
        Ok(roles)
    }
}
