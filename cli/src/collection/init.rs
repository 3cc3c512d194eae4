//! A new collection: its keys, its first root, and empty targets, made here and published later.

use signet_proto::v1;
use signet_tuf::{Gun, PublicKey, Role, Version};
use time::OffsetDateTime;

pub use super::evidence::NewCollection;
use super::{
    CollectionError, Document, Trusted,
    build::{Draft, empty_targets, first_root},
    cached::cached_root,
    evidence::{Shown, Signer, Signing},
    link::Link,
};
use crate::{
    agent::{Opened, Place},
    context::Context,
    server::{Access, Edition, MAX_METADATA_BYTES, Server, ServerError},
    trustdir::{GunDir, TrustDirError},
};

/// What Notary's client makes.
pub(super) const ALGORITHM: &str = "ecdsa-p256";
/// Notary takes root keys as X.509 certificates of ECDSA or RSA keys only.
pub const NEVER_ROOT: &str = "ed25519";

/// Who signs the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SnapshotKey {
    /// A key of ours: Notary's default.
    #[default]
    Ours,
    /// A key that the server keeps.
    Servers,
}

/// How a collection is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// Who signs the snapshot.
    pub snapshot: SnapshotKey,
    /// Whether there may have been another one.
    pub new_collection: NewCollection,
}

/// The root key of a new collection.
#[derive(Debug, Clone)]
pub enum RootKey {
    /// One that is there: its canonical ID.
    Found(String),
    /// One that is there, with the certificate that somebody else made for it.
    Certified(PublicKey),
    /// One from elsewhere, which is stored only once the server was asked.
    Brought {
        /// The key.
        opened: Box<Opened>,
        /// The certificate that somebody else made for it; without it one is made here.
        certificate: Option<PublicKey>,
    },
    /// None is there.
    ToMake,
}

/// Looks for a root key: on a token first, then the smallest ID.
///
/// # Errors
/// [`CollectionError::Agent`].
pub async fn root_key(context: &mut Context) -> Result<RootKey, CollectionError> {
    let keys = context.agent.keys().await?;
    Ok(best(&keys).map_or(RootKey::ToMake, |key| RootKey::Found(key.key_id.clone())))
}

fn best(keys: &[v1::Key]) -> Option<&v1::Key> {
    let usable = keys.iter().filter(|key| why_not_root(key).is_none());
    usable.min_by_key(|key| (!on_token(key), key.key_id.as_str()))
}

/// Why a key cannot be the root key of a collection; nothing if it can.
#[must_use]
pub fn why_not_root(key: &v1::Key) -> Option<String> {
    if key.role != Role::Root.as_str() {
        return Some(format!("its role is {}", key.role));
    }
    if key.algorithm == NEVER_ROOT {
        return Some(format!("Notary takes no {NEVER_ROOT} keys for root"));
    }
    (!is_present(key)).then(|| "its token is not there".to_owned())
}

/// Makes a collection in the trust directory.
///
/// # Errors
/// [`CollectionError::Exists`]; [`CollectionError::InitFailed`] names the keys that were made before it stopped.
///
/// # Cancellation
/// Keys that were made stay, and the next `init` takes them.
pub async fn init(
    context: &mut Context,
    gun: &Gun,
    root_key: RootKey,
    wish: Wish,
    now: OffsetDateTime,
) -> Result<(), CollectionError> {
    let dir = GunDir::new(&context.trust_dir, gun);
    let _lock = dir.lock().await?;
    let link = Link::open_for(&context.server, Access::Write).await?;
    let server = link.online()?;
    must_be_new(&dir, server, wish).await?;
    initialise(context, &dir, server, root_key, wish, now).await
}

/// Whether the collection can be made; makes nothing.
///
/// # Errors
/// [`CollectionError::Exists`], or what the server says.
pub async fn look(context: &Context, gun: &Gun, wish: Wish) -> Result<(), CollectionError> {
    let link = Link::open(&context.server).await?;
    must_be_new(&GunDir::new(&context.trust_dir, gun), link.online()?, wish).await
}

/// What the server serves cannot be replaced by a first root, so no wish gets past it; a copy here can be given up.
pub(super) async fn must_be_new(dir: &GunDir, server: &Server, wish: Wish) -> Result<(), CollectionError> {
    let exists = |place: String| CollectionError::Exists { gun: dir.gun().to_string(), place };
    match server.metadata(dir.gun(), &Role::Root, Edition::Current, MAX_METADATA_BYTES).await {
        Ok(_) => return Err(exists(server.name().to_owned())),
        Err(ServerError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    match (wish.new_collection, dir.cached(&Role::Root)?) {
        (NewCollection::Ask, Some(_)) => Err(exists(dir.metadata_path(&Role::Root).display().to_string())),
        (NewCollection::Ask, None) | (NewCollection::Accept, _) => Ok(()),
    }
}

/// The same under a lock that is held already, for a `publish` that finds no collection anywhere.
pub(super) async fn initialise(
    context: &mut Context,
    dir: &GunDir,
    server: &Server,
    root_key: RootKey,
    wish: Wish,
    now: OffsetDateTime,
) -> Result<(), CollectionError> {
    let mut made = Vec::new();
    match make(context, dir, server, root_key, wish, now, &mut made).await {
        Err(source) if !made.is_empty() => Err(CollectionError::InitFailed { source: Box::new(source), made }),
        result => result,
    }
}

async fn make(
    context: &mut Context,
    dir: &GunDir,
    server: &Server,
    root_key: RootKey,
    wish: Wish,
    now: OffsetDateTime,
    made: &mut Vec<String>,
) -> Result<(), CollectionError> {
    let gun = dir.gun();
    // the server first: nothing is made if it cannot be reached
    let timestamp = server.public_key(gun, &Role::Timestamp).await?;
    let servers_snapshot = match wish.snapshot {
        SnapshotKey::Servers => Some(server.public_key(gun, &Role::Snapshot).await?),
        SnapshotKey::Ours => None,
    };
    let (root, certificate) = match root_key {
        RootKey::Found(id) => (id, None),
        RootKey::Certified(certificate) => (certificate.canonical_id().to_string(), Some(certificate)),
        RootKey::Brought { opened, certificate } => {
            let key = context.agent.keep(&opened).await?;
            made.push(format!("root {}", key.key_id));
            (key.key_id, certificate)
        }
        RootKey::ToMake => {
            let key = context.agent.generate(&Role::Root, None, Place::Rule, ALGORITHM).await?;
            made.push(format!("root {}", key.key_id));
            (key.key_id, None)
        }
    };
    let targets = own_key(context, dir, &Role::Targets, wish, made).await?;
    let snapshot = match servers_snapshot {
        Some(key) => key,
        None => own_key(context, dir, &Role::Snapshot, wish, made).await?,
    };
    let root = match certificate {
        Some(certificate) => certificate,
        None => {
            let made = context.agent.certify(&root, gun, now).await?;
            PublicKey::from_certificate_pem(&made).map_err(|e| unusable(gun, &Role::Root, &e.to_string()))?
        }
    };
    let keys =
        [(&Role::Root, root), (&Role::Targets, targets), (&Role::Snapshot, snapshot), (&Role::Timestamp, timestamp)];
    let draft = Draft {
        root: first_root(keys, now),
        targets: [(Role::Targets, empty_targets(now))].into(),
        files: [].into(),
        invalid: [].into(),
        dirty: [].into(),
    };
    let documents = sign(context, dir, draft, wish, now).await?;
    keep(dir, &documents)?;
    Ok(())
}

/// A key for a role of this collection: one that an earlier `init` made and no root lists, or a new one. A second collection
/// under the same name gets keys of its own: targets do not say which collection they belong to.
async fn own_key(
    context: &mut Context,
    dir: &GunDir,
    role: &Role,
    wish: Wish,
    made: &mut Vec<String>,
) -> Result<PublicKey, CollectionError> {
    let gun = dir.gun();
    let former = cached_root(dir)?;
    let listed = |key: &v1::Key| {
        let root = former.as_ref().and_then(Document::root);
        root.is_some_and(|root| root.keys.values().any(|known| known.canonical_id().to_string() == key.key_id))
    };
    let keys = context.agent.keys().await?;
    let reusable = |key: &v1::Key| {
        let of_this_role = key.role == role.as_str() && key.gun == gun.as_str();
        wish.new_collection == NewCollection::Ask && of_this_role && is_present(key) && !listed(key)
    };
    let orphan = keys.into_iter().find(reusable);
    let key = match orphan {
        Some(key) => {
            tracing::info!("using the {role} key {} of an earlier init", key.key_id);
            context.agent.with_public(key).await?
        }
        None => {
            let key = context.agent.generate(role, Some(gun), Place::Rule, ALGORITHM).await?;
            made.push(format!("{role} {}", key.key_id));
            key
        }
    };
    PublicKey::from_spki(&key.spki).map_err(|e| unusable(gun, role, &e.to_string()))
}

async fn sign(
    context: &mut Context,
    dir: &GunDir,
    mut draft: Draft,
    wish: Wish,
    now: OffsetDateTime,
) -> Result<Vec<(Role, Document)>, CollectionError> {
    // the first versions stand on nothing published: there is nothing to ask a server for
    let link = Link::Offline {
        server: String::new(),
        cause: crate::server::Unreachable::Other("nothing is published yet".into()),
    };
    let given_up = std::collections::BTreeMap::new();
    let mut signer = Signer {
        context,
        dir,
        link: &link,
        chain: Vec::new(),
        new_collection: wish.new_collection,
        since: now,
        given_up: &given_up,
    };
    let mut documents = Vec::new();
    let roles: &[Role] = match wish.snapshot {
        SnapshotKey::Ours => &[Role::Root, Role::Targets, Role::Snapshot],
        SnapshotKey::Servers => &[Role::Root, Role::Targets],
    };
    for role in roles {
        let content = |version| match role {
            Role::Root => Some(signet_tuf::Metadata::Root(draft.root.clone())),
            Role::Targets | Role::Snapshot | Role::Timestamp | Role::Delegation(_) => draft.content(role, version, now),
        };
        let signing = signer.sign(&draft, role, Version::FIRST, &Shown::default(), content).await?;
        let Signing::Done(document, file) = signing else {
            return Err(unusable(dir.gun(), role, "version 1 was signed before"));
        };
        if *role == Role::Root {
            signer.chain.push(document.wire().clone());
        }
        draft.files.insert(role.clone(), file);
        documents.push((role.clone(), *document));
    }
    Ok(documents)
}

/// Root comes last: with it the collection is there.
fn keep(dir: &GunDir, documents: &[(Role, Document)]) -> Result<(), TrustDirError> {
    dir.clear_outbox()?;
    dir.forget_signings()?;
    dir.end_rotation()?;
    dir.forget(&Role::Timestamp)?;
    dir.forget(&Role::Snapshot)?;
    documents.iter().rev().try_for_each(|(role, document)| dir.keep(role, document.wire()))
}

/// A collection that `init` made and nobody published yet.
pub(super) fn local(dir: &GunDir) -> Result<Trusted, CollectionError> {
    let gun = dir.gun();
    let unusable = |role: &Role, why: &str| unusable(gun, role, why);
    let root = cached_root(dir)?.ok_or_else(|| unusable(&Role::Root, "repository has not been initialized"))?;
    let cached = |role: &Role| -> Result<Option<Document>, CollectionError> {
        let Some(wire) = dir.cached(role)? else { return Ok(None) };
        let document = Document::parse(role, wire).map_err(|e| unusable(role, &format!("the cached metadata: {e}")))?;
        let keys = root.root().and_then(|root| Some((&root.keys, root.role_keys(role)?)));
        let Some((keys, listed)) = keys else { return Ok(None) };
        signet_tuf::verify::signed_by(keys, listed, document.envelope())
            .map_err(|e| unusable(role, &format!("the cached metadata: {e}")))?;
        Ok(Some(document))
    };
    let targets = cached(&Role::Targets)?.ok_or_else(|| unusable(&Role::Targets, "the cached metadata is missing"))?;
    // a snapshot of another collection, or none, is no loss: it is signed anew
    let snapshot = cached(&Role::Snapshot).unwrap_or_default();
    Ok(Trusted {
        root,
        roots_before: Vec::new(),
        snapshot,
        targets: [(Role::Targets, targets)].into(),
        invalid: [].into(),
        expired: Vec::new(),
    })
}

fn unusable(gun: &Gun, role: &Role, why: &str) -> CollectionError {
    CollectionError::Unsigned { gun: gun.to_string(), role: role.to_string(), why: why.to_owned() }
}

fn on_token(key: &v1::Key) -> bool {
    key.places.iter().any(|place| place.kind() != v1::PlaceKind::File && place.state() != v1::PlaceState::Absent)
}

/// Whether a key is at hand, locked or not.
pub(super) fn is_present(key: &v1::Key) -> bool {
    key.places.iter().any(|place| place.state() != v1::PlaceState::Absent)
}

#[cfg(test)]
mod tests {
    use signet_proto::v1;

    use super::best;

    #[test]
    fn the_root_key_is_one_that_notary_takes_and_rather_on_a_token() {
        let key = |id: &str, algorithm: &str, kind: v1::PlaceKind, state: v1::PlaceState| v1::Key {
            key_id: id.to_owned(),
            algorithm: algorithm.to_owned(),
            role: "root".to_owned(),
            places: vec![v1::Place { kind: kind.into(), state: state.into(), ..v1::Place::default() }],
            ..v1::Key::default()
        };
        let (file, token) = (v1::PlaceKind::File, v1::PlaceKind::Pkcs11);
        let (ready, absent) = (v1::PlaceState::Ready, v1::PlaceState::Absent);
        let mut keys = vec![key("1", "ed25519", token, ready), key("2", "rsa-2048", token, absent)];
        assert!(best(&keys).is_none());
        for (id, kind) in [("4", file), ("3", file), ("5", token)] {
            keys.push(key(id, "ecdsa-p256", kind, ready));
            assert_eq!(best(&keys).map(|key| key.key_id.as_str()), Some(id), "each is better than those before");
        }
    }
}
