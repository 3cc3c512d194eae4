//! Rotation: a role gets other keys. They are remembered before anything is signed, and what they replace is deleted
//! only after the server has accepted them.

use bytes::Bytes;
use signet_proto::v1;
use signet_tuf::{Envelope, Gun, KeyId, NEAR_EXPIRY, PublicKey, Role, RoleKeys, Root};
use time::OffsetDateTime;

use super::{
    CollectionError, Document, Trusted,
    abandon::{SignedRoot, abandoned_if_signed, published_roots},
    build::{Draft, Keyring, canonical_ids},
    cached::cached_root,
    errand::Errand,
    init::ALGORITHM,
    link::Link,
    publish::{Published, locked},
    update::{Purpose, Update},
};
use crate::{
    agent::Place,
    context::Context,
    server::{Access, Server, ServerError},
    trustdir::{
        GunDir, TrustDirError,
        rotation::{Legacy, Rotation},
    },
};

/// The keys that a role is to have.
#[derive(Debug, Clone)]
pub enum NewKeys {
    /// One that is made now.
    Made(Place),
    /// Keys that are at hand.
    AtHand(Vec<v1::Key>),
    /// A key at hand, in a certificate of its owner's; for root.
    Certified(Vec<PublicKey>),
    /// One that the server makes and keeps.
    Servers,
}

/// A rotation as it is wanted.
#[derive(Debug, Clone)]
pub struct Wish {
    /// root, targets, snapshot or timestamp.
    pub role: Role,
    /// Its new keys.
    pub keys: NewKeys,
    /// How many of them must sign; none: as many as now.
    pub threshold: Option<u32>,
    /// Which older keys sign a root too.
    pub legacy: Legacy,
}

/// Gives a role other keys and publishes that.
///
/// # Errors
/// [`CollectionError`]; what was begun can be finished with [`resume`], or undone with [`abort`].
///
/// # Cancellation
/// At any point, likewise.
pub async fn rotate(
    context: &mut Context,
    gun: &Gun,
    wish: Wish,
    now: OffsetDateTime,
) -> Result<Vec<Published>, CollectionError> {
    let dir = GunDir::new(&context.trust_dir, gun);
    let _lock = dir.lock().await?;
    if let Some(begun) = dir.rotation()? {
        return Err(CollectionError::RotationUnfinished { gun: gun.to_string(), role: begun.role.to_string() });
    }
    let link = Link::open_for(&context.server, Access::Admin).await?;
    let rotation = begin(context, &dir, &link, wish, now).await?;
    dir.begin_rotation(&rotation)?;
    locked(context, &dir, &link, &Errand::Rotate(rotation), None, now).await
}

/// Finishes a rotation that was begun: with the same keys, and the same bytes if they were signed.
///
/// # Errors
/// [`CollectionError::NoRotation`]; [`CollectionError::RotationUnfinished`] names another role than `role`.
///
/// # Cancellation
/// At any point: it can be done again.
pub async fn resume(
    context: &mut Context,
    gun: &Gun,
    role: &Role,
    now: OffsetDateTime,
) -> Result<Vec<Published>, CollectionError> {
    let dir = GunDir::new(&context.trust_dir, gun);
    let _lock = dir.lock().await?;
    let rotation = begun(&dir, role)?;
    let link = Link::open_for(&context.server, Access::Admin).await?;
    locked(context, &dir, &link, &Errand::Rotate(rotation), None, now).await
}

/// Undoes a rotation that the server does not have: the root that was signed for it is given up. The new keys stay; their
/// canonical IDs are returned.
///
/// # Errors
/// [`CollectionError::NoRotation`]; [`CollectionError::RotationIsOut`] if the server has it.
///
/// # Cancellation
/// At any point: it can be done again.
pub async fn abort(
    context: &mut Context,
    gun: &Gun,
    role: &Role,
    now: OffsetDateTime,
) -> Result<Vec<KeyId>, CollectionError> {
    let dir = GunDir::new(&context.trust_dir, gun);
    let _lock = dir.lock().await?;
    let rotation = begun(&dir, role)?;
    let link = Link::open(&context.server).await?;
    let server = link.online()?;
    let pinning = context.pinning.clone();
    let update = Update { link: &link, dir: &dir, pinning: &pinning, now, purpose: Purpose::Publish };
    let trusted = match update.run(None).await {
        Ok(trusted) => Some(trusted),
        Err(CollectionError::Server(ServerError::NotFound { .. })) => None,
        Err(error) => return Err(error),
    };
    if trusted.as_ref().and_then(|trusted| trusted.root.root()).is_some_and(|root| rotation.is_in(root)) {
        return Err(CollectionError::RotationIsOut { gun: gun.to_string(), role: role.to_string() });
    }
    drop_outbox(&dir, &rotation)?;
    if let Some(root) = trusted.as_ref().and_then(|trusted| signed(trusted, &rotation, now)) {
        let chain = published_roots(server, gun, root).await?;
        if let Some(record) = abandoned_if_signed(context, &dir, root, chain).await? {
            tracing::info!("gave up root version {} of {gun}, record {record}", root.version);
        }
    }
    dir.forget_signings()?;
    dir.end_rotation()?;
    Ok(rotation.keys.iter().map(PublicKey::canonical_id).collect())
}

/// What is signed for a rotation and waits to be posted must not be posted any more.
fn drop_outbox(dir: &GunDir, rotation: &Rotation) -> Result<(), CollectionError> {
    let is_of_it = |(role, wire): &(Role, Bytes)| {
        let document = Document::parse(role, wire.clone()).ok();
        document.as_ref().and_then(Document::root).is_some_and(|root| rotation.is_in(root))
    };
    match dir.outbox() {
        Ok(Some(outbox)) if !outbox.files.iter().any(is_of_it) => Ok(()),
        Ok(None) => Ok(()),
        Ok(Some(_)) | Err(TrustDirError::CorruptOutbox { .. }) => Ok(dir.clear_outbox()?),
        Err(error) => Err(error.into()),
    }
}

/// The root that a rotation has signed, or would sign now: always the same bytes.
fn signed(trusted: &Trusted, rotation: &Rotation, now: OffsetDateTime) -> Option<SignedRoot> {
    let mut draft = Draft::of(trusted, now)?;
    let errand = Errand::Rotate(rotation.clone());
    errand.apply(&mut draft, &Keyring::default(), trusted, now).ok()?;
    let version = trusted.root.version().next()?;
    let content = draft.content(&Role::Root, version, rotation.since)?;
    Some(SignedRoot { version, digest: Envelope::unsigned(content).digest() })
}

fn begun(dir: &GunDir, role: &Role) -> Result<Rotation, CollectionError> {
    let gun = dir.gun().to_string();
    let rotation = dir.rotation()?.ok_or_else(|| CollectionError::NoRotation { gun: gun.clone() })?;
    match rotation.role == *role {
        true => Ok(rotation),
        false => Err(CollectionError::RotationUnfinished { gun, role: rotation.role.to_string() }),
    }
}

/// Everything is looked at before a key is made.
async fn begin(
    context: &mut Context,
    dir: &GunDir,
    link: &Link,
    wish: Wish,
    now: OffsetDateTime,
) -> Result<Rotation, CollectionError> {
    let server = link.online()?;
    let trusted = current(context, dir, link, now).await?;
    let keyring = Keyring::of(context.agent.keys().await?);
    let count = Count { given: wish.keys.count(), threshold: wish.threshold };
    let (root, present, threshold) = can_be_signed(dir.gun(), &trusted, &keyring, &wish.role, count)?;
    let keys = made(context, dir, server, &wish, root, now).await?;
    let kept = |id: &KeyId| keys.iter().any(|key| key.canonical_id() == *id);
    let replaced = canonical_ids(&root.keys, present).filter(|id| !kept(id)).collect();
    let since = now.replace_nanosecond(0).unwrap_or(now);
    Ok(Rotation { role: wish.role, keys, threshold, replaced, legacy: wish.legacy, since })
}

/// Looks whether a role could get so many new keys now; makes nothing and publishes nothing.
///
/// # Errors
/// As [`rotate`], as far as it can be known before there are new keys.
pub async fn look(
    context: &mut Context,
    gun: &Gun,
    role: &Role,
    count: Count,
    now: OffsetDateTime,
) -> Result<(), CollectionError> {
    let dir = GunDir::new(&context.trust_dir, gun);
    if let Some(begun) = dir.rotation()? {
        return Err(CollectionError::RotationUnfinished { gun: gun.to_string(), role: begun.role.to_string() });
    }
    let link = Link::open(&context.server).await?;
    link.online()?;
    let pinning = context.pinning.clone();
    let update = Update { link: &link, dir: &dir, pinning: &pinning, now, purpose: Purpose::Publish };
    let trusted = match update.run(None).await {
        Err(CollectionError::Server(ServerError::NotFound { .. })) if cached_root(&dir)?.is_some() => return Ok(()),
        trusted => trusted?,
    };
    let keyring = Keyring::of(context.agent.keys().await?);
    can_be_signed(gun, &trusted, &keyring, role, count).map(drop)
}

/// How many new keys there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// So many.
    pub given: usize,
    /// How many of them are to sign; none: as many as now.
    pub threshold: Option<u32>,
}

/// The root, who signs the role now, and how many of its new keys must.
fn can_be_signed<'t>(
    gun: &Gun,
    trusted: &'t Trusted,
    keyring: &Keyring,
    role: &Role,
    Count { given, threshold }: Count,
) -> Result<(&'t Root, &'t RoleKeys, u32), CollectionError> {
    let unsigned = |why: String| unsigned(gun, &Role::Root, why);
    let root = trusted.root.root().ok_or_else(|| unsigned("there is no root".into()))?;
    if keyring.present_of(&root.keys, &root.root) < root.root.threshold {
        return Err(unsigned(missing(root, keyring)));
    }
    let present = root.role_keys(role).ok_or_else(|| unsigned(format!("it has no role {role}")))?;
    let threshold = threshold.unwrap_or(present.threshold);
    if given < usize::try_from(threshold).unwrap_or(usize::MAX) {
        let (gun, role) = (gun.to_string(), role.to_string());
        return Err(CollectionError::TooFewKeys { gun, role, threshold, given });
    }
    Ok((root, present, threshold))
}

/// What the server has; what only `init` has made is published first.
async fn current(
    context: &mut Context,
    dir: &GunDir,
    link: &Link,
    now: OffsetDateTime,
) -> Result<Trusted, CollectionError> {
    let pinning = context.pinning.clone();
    let update = Update { link, dir, pinning: &pinning, now, purpose: Purpose::Publish };
    match update.run(None).await {
        Err(CollectionError::Server(ServerError::NotFound { .. })) if cached_root(dir)?.is_some() => {
            tracing::info!("{} is not published yet; publishing what init made first", dir.gun());
            locked(context, dir, link, &Errand::First, None, now).await?;
            update.run(None).await
        }
        trusted => trusted,
    }
}

impl NewKeys {
    fn count(&self) -> usize {
        match self {
            Self::Made(_) | Self::Servers => 1,
            Self::AtHand(keys) => keys.len(),
            Self::Certified(keys) => keys.len(),
        }
    }
}

async fn made(
    context: &mut Context,
    dir: &GunDir,
    server: &Server,
    wish: &Wish,
    root: &Root,
    now: OffsetDateTime,
) -> Result<Vec<PublicKey>, CollectionError> {
    let gun = dir.gun();
    let at_hand = match &wish.keys {
        NewKeys::Servers => return Ok(vec![server.rotate_key(gun, &wish.role).await?]),
        NewKeys::Certified(keys) => return Ok(keys.clone()),
        NewKeys::AtHand(keys) => keys.clone(),
        NewKeys::Made(place) => {
            let of = (wish.role != Role::Root).then_some(gun);
            let key = context.agent.generate(&wish.role, of, place.clone(), ALGORITHM).await?;
            tracing::info!("made the {} key {}", wish.role, key.key_id);
            vec![key]
        }
    };
    let staying = staying(root, &wish.role, &at_hand, now);
    let mut keys = Vec::with_capacity(at_hand.len());
    for key in at_hand {
        match staying.iter().find(|known| known.canonical_id().to_string() == key.key_id) {
            Some(known) => keys.push((*known).clone()),
            None => {
                let key = context.agent.with_public(key).await?;
                keys.push(public(context, gun, &wish.role, &key, now).await?);
            }
        }
    }
    Ok(keys)
}

/// What the role lists already of its new keys, to be listed as it is: a root key that only gets company keeps its
/// certificate, by which readers may have pinned it. If the keys are the very same, or its certificate ends soon, it gets
/// another.
fn staying<'a>(root: &'a Root, role: &Role, new: &[v1::Key], now: OffsetDateTime) -> Vec<&'a PublicKey> {
    let Some(listed) = root.role_keys(role) else { return Vec::new() };
    let known: Vec<&PublicKey> = listed.key_ids.iter().filter_map(|id| root.keys.get(id)).collect();
    let is_new = |key: &v1::Key| !known.iter().any(|known| known.canonical_id().to_string() == key.key_id);
    if new.len() == known.len() && !new.iter().any(is_new) {
        return Vec::new();
    }
    let lasts = |key: &&PublicKey| {
        key.certificate().is_none_or(|certificate| certificate.not_after() > now.saturating_add(NEAR_EXPIRY))
    };
    known.into_iter().filter(lasts).collect()
}

/// A key as root lists it.
async fn public(
    context: &mut Context,
    gun: &Gun,
    role: &Role,
    key: &v1::Key,
    now: OffsetDateTime,
) -> Result<PublicKey, CollectionError> {
    let parsed = if *role == Role::Root {
        PublicKey::from_certificate_pem(&context.agent.certify(&key.key_id, gun, now).await?)
    } else {
        PublicKey::from_spki(&key.spki)
    };
    parsed.map_err(|error| unsigned(gun, role, format!("key {}: {error}", key.key_id)))
}

/// Ends a rotation that a published root has: keys that nothing names any more are deleted, root keys never.
pub(super) async fn settle(context: &mut Context, dir: &GunDir, root: &Root) -> Result<(), CollectionError> {
    let Some(rotation) = dir.rotation()?.filter(|rotation| rotation.is_in(root)) else { return Ok(()) };
    let named: Vec<KeyId> = root.keys.values().map(PublicKey::canonical_id).collect();
    let unused = rotation.replaced.iter().filter(|id| rotation.role != Role::Root && !named.contains(id));
    let keys = context.agent.keys().await?;
    for id in unused {
        let is_it = |key: &&v1::Key| {
            let of_here = key.role == rotation.role.as_str() && key.gun == dir.gun().as_str();
            of_here && key.key_id == id.to_string()
        };
        if let Some(key) = keys.iter().find(is_it) {
            delete(context, key).await;
        }
    }
    Ok(dir.end_rotation()?)
}

/// The rotation stands, whatever becomes of the old key.
async fn delete(context: &mut Context, key: &v1::Key) {
    for place in &key.places {
        if place.kind() != v1::PlaceKind::File {
            tracing::warn!("the {} key {} signs no more and stays on token {}", key.role, key.key_id, place.token);
            continue;
        }
        match context.agent.delete(&key.key_id, &place.uri).await {
            Ok(()) => tracing::info!("deleted the {} key {}, which signs no more", key.role, key.key_id),
            Err(error) => {
                tracing::warn!("the {} key {} signs no more and was not deleted: {error}", key.role, key.key_id)
            }
        }
    }
}

fn missing(root: &Root, keyring: &Keyring) -> String {
    let ids = canonical_ids(&root.keys, &root.root).filter(|id| !keyring.is_present(*id)).map(|id| id.to_string());
    format!("{} of its keys must sign; missing: {}", root.root.threshold, ids.collect::<Vec<_>>().join(", "))
}

fn unsigned(gun: &Gun, role: &Role, why: String) -> CollectionError {
    CollectionError::Unsigned { gun: gun.to_string(), role: role.to_string(), why }
}
