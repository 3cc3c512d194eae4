//! The update against a server that serves what a test puts on its shelf.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use signet_tuf::{
    Delegations, Envelope, Expires, FileMeta, Gun, Hashes, KeyId, Metadata, Method, PublicKey, Role, RoleKeys, Root,
    Signature, Snapshot, Target, Targets, Timestamp, Version, certificate, notary1::Started,
};
use time::{Duration, OffsetDateTime, macros::datetime};

use super::{
    CollectionError, Document, RoleProblem, Trusted,
    build::Draft,
    cached::Aside,
    init::{self, NewCollection, Wish},
    link::Link,
    posting::must_be_served,
    search,
    update::{Purpose, Update},
};
use crate::{
    config::TrustPinning,
    context::{ServerSettings, SkipVerify},
    credentials::Credentials,
    server::{Access, Proxies, Server, ServerError, Unreachable},
    trustdir::{GunDir, TrustDirError, outbox::Outbox},
};

const NOW: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);
const P256_SPKI: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";

const GUN: &str = "example.com/app";

struct Key {
    pair: EcdsaKeyPair,
    public: PublicKey,
    /// Signed once: ECDSA is randomised, and every certificate has an ID of its own.
    certified: PublicKey,
}

impl Key {
    fn new() -> Self {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref()).unwrap();
        let spki = [hex::decode(P256_SPKI).unwrap(), pair.public_key().as_ref().to_vec()].concat();
        let public = PublicKey::from_spki(&spki).unwrap();
        let template = certificate::Template {
            subject: certificate::Subject::Collection(GUN.parse().unwrap()),
            key: public.clone(),
            not_before: NOW.saturating_sub(Duration::days(400)),
            not_after: NOW.saturating_add(Duration::days(4000)),
            serial: [7; 16],
        };
        let pem = template.assemble(&sign(&pair, &template.to_be_signed())).unwrap();
        Self { pair, public, certified: PublicKey::from_certificate_pem(&pem).unwrap() }
    }
}

fn sign(pair: &EcdsaKeyPair, message: &[u8]) -> Vec<u8> {
    pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
}

fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

fn in_days(days: i64) -> Expires {
    Expires::at(NOW.saturating_add(Duration::days(days)))
}

fn signed(metadata: Metadata, by: &[(&Key, KeyId)]) -> Document {
    let blank = Envelope::unsigned(metadata.clone());
    let signature = |(key, id): &(&Key, KeyId)| Signature {
        key_id: *id,
        method: Method::Ecdsa,
        sig: sign(&key.pair, blank.signed()),
    };
    let started = Started::with(blank.signed());
    Document::of(Envelope::unsigned(metadata).with_signatures(by.iter().map(signature).collect()), started).0
}

/// A collection's owner and the server in one.
struct House {
    gun: Gun,
    root_key: Key,
    key: Key,
    root: Document,
    shelf: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    server: Server,
    trust_dir: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let gun: Gun = GUN.parse().unwrap();
        let (root_key, key) = (Key::new(), Key::new());
        let root = root(1, &root_key, &key, &[&root_key]);
        let shelf = Arc::new(Mutex::new(BTreeMap::new()));
        let settings = ServerSettings {
            url: serve(Arc::clone(&shelf)),
            ca: None,
            client_cert: None,
            client_key: None,
            skip_tls_verify: SkipVerify::No,
            proxies: Proxies::default(),
            credentials: Credentials::default(),
        };
        let server = Server::new(&settings, Access::Write).unwrap();
        let house = Self { gun, root_key, key, root, shelf, server, trust_dir: tempfile::tempdir().unwrap() };
        house.put_root(&house.root);
        house
    }

    fn dir(&self) -> GunDir {
        GunDir::new(self.trust_dir.path(), &self.gun)
    }

    fn put(&self, name: &str, wire: &[u8]) {
        let path = format!("/v2/{}/_trust/tuf/{name}.json", self.gun);
        self.shelf.lock().unwrap().insert(path, wire.to_vec());
    }

    fn put_root(&self, root: &Document) {
        self.put("root", root.wire());
        self.put(&format!("{}.root", root.version()), root.wire());
        self.put(&format!("root.{}", root.wire_digest()), root.wire());
    }

    fn targets(&self, number: u64, expires: Expires, by: &Key) -> Document {
        let target = Target { length: 1, hashes: Hashes::of(b"x"), custom: None };
        let targets = Targets {
            version: version(number),
            expires,
            targets: [(format!("v{number}"), target)].into(),
            delegations: Delegations::default(),
        };
        signed(Metadata::Targets(targets), &[(by, by.public.key_id())])
    }

    /// Publishes targets with a snapshot and a timestamp of the same version.
    fn publish(&self, targets: &Document, root: &Document) {
        let by = [(&self.key, self.key.public.key_id())];
        let meta = [(Role::Root, FileMeta::of(root.wire())), (Role::Targets, FileMeta::of(targets.wire()))].into();
        let snapshot = Snapshot { version: targets.version(), expires: in_days(1000), meta };
        let snapshot = signed(Metadata::Snapshot(snapshot), &by);
        let timestamp =
            Timestamp { version: targets.version(), expires: in_days(14), snapshot: FileMeta::of(snapshot.wire()) };
        self.put("timestamp", signed(Metadata::Timestamp(timestamp), &by).wire());
        self.put(&format!("snapshot.{}", snapshot.wire_digest()), snapshot.wire());
        self.put(&format!("targets.{}", targets.wire_digest()), targets.wire());
    }

    fn publish_version(&self, number: u64) {
        self.publish(&self.targets(number, in_days(1000), &self.key), &self.root);
    }

    async fn update_at(&self, purpose: Purpose, now: OffsetDateTime) -> Result<Trusted, CollectionError> {
        let link = Link::Online(self.server.clone());
        let (dir, pinning) = (self.dir(), TrustPinning::default());
        Update { link: &link, dir: &dir, pinning: &pinning, now, purpose }.run(None).await
    }

    async fn read(&self) -> Result<Trusted, CollectionError> {
        self.update_at(Purpose::Read, NOW).await
    }
}

fn root(number: u64, root_key: &Key, key: &Key, signers: &[&Key]) -> Document {
    let one = |key: &PublicKey| RoleKeys { key_ids: vec![key.key_id()], threshold: 1 };
    let root = Root {
        version: version(number),
        expires: in_days(3000),
        consistent_snapshot: false,
        keys: [&root_key.certified, &key.public].map(|key| (key.key_id(), key.clone())).into(),
        root: one(&root_key.certified),
        targets: one(&key.public),
        snapshot: one(&key.public),
        timestamp: one(&key.public),
    };
    let by: Vec<_> = signers.iter().map(|key| (*key, key.certified.key_id())).collect();
    signed(Metadata::Root(root), &by)
}

fn serve(shelf: Arc<Mutex<BTreeMap<String, Vec<u8>>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                request.push(byte[0]);
            }
            let request = String::from_utf8(request).unwrap();
            let path = request.split(' ').nth(1).unwrap_or_default();
            let found = shelf.lock().unwrap().get(path).cloned();
            let status = if found.is_some() { "200 OK" } else { "404 Not Found" };
            let body = found.unwrap_or_default();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&body).unwrap();
        }
    });
    url
}

fn problem(result: Result<Trusted, CollectionError>) -> (String, RoleProblem) {
    match result {
        Err(CollectionError::Invalid { role, problem, .. }) => (role.into(), problem),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_verified_is_cached_as_it_came() {
    let house = House::new();
    house.publish_version(2);
    let trusted = house.read().await.unwrap();
    assert_eq!(search::all(&trusted.tree(), &[])[0].name, "v2");
    assert_eq!(house.dir().cached(&Role::Targets).unwrap().as_ref(), Some(trusted.targets[&Role::Targets].wire()));
    assert_eq!(house.dir().cached(&Role::Root).unwrap().as_ref(), Some(house.root.wire()));
}

#[tokio::test]
async fn rollback_is_refused() {
    let house = House::new();
    house.publish_version(3);
    house.read().await.unwrap();
    house.publish_version(2);
    let (role, problem) = problem(house.read().await);
    let rollback = RoleProblem::Rollback { found: version(2), known: version(3) };
    assert_eq!((role.as_str(), problem), ("timestamp", rollback));
}

#[tokio::test]
async fn expired_targets_stop_a_reader_and_are_renewed_by_a_publish() {
    let house = House::new();
    house.publish(&house.targets(2, in_days(-1), &house.key), &house.root);
    let (role, problem) = problem(house.read().await);
    assert!(role == "targets" && matches!(problem, RoleProblem::Expired { .. }), "{role} {problem}");
    let trusted = house.update_at(Purpose::Publish, NOW).await.unwrap();
    assert_eq!(trusted.expired, [Role::Targets]);
    let draft = Draft::of(&trusted, NOW).unwrap();
    assert_eq!(draft.dirty.into_iter().collect::<Vec<_>>(), [Role::Targets]);
}

#[tokio::test]
async fn root_is_renewed_half_a_year_before_its_end() {
    let house = House::new();
    house.publish_version(2);
    let trusted = house.read().await.unwrap();
    let near = NOW + Duration::days(3000 - 180);
    let dirty = |now| Draft::of(&trusted, now).unwrap().dirty.contains(&Role::Root);
    assert!(!dirty(NOW) && dirty(near));
}

#[tokio::test]
async fn only_the_listed_key_counts() {
    let house = House::new();
    house.publish(&house.targets(2, in_days(1), &Key::new()), &house.root);
    let (role, problem) = problem(house.read().await);
    assert!(role == "targets" && matches!(problem, RoleProblem::Verify(_)), "{role} {problem}");
    assert_eq!(house.dir().cached(&Role::Targets).unwrap(), None, "what is not verified is not cached");
}

#[tokio::test]
async fn a_file_that_is_not_the_named_one_is_refused() {
    let house = House::new();
    let targets = house.targets(2, in_days(1), &house.key);
    house.publish(&targets, &house.root);
    let mut other = targets.wire().to_vec();
    other.push(b' ');
    house.put(&format!("targets.{}", targets.wire_digest()), &other);
    assert!(matches!(house.read().await, Err(CollectionError::Server(ServerError::TooLarge { .. }))));
    other.truncate(targets.wire().len() - 1);
    house.put(&format!("targets.{}", targets.wire_digest()), &other);
    assert_eq!(problem(house.read().await).0, "targets");
}

#[tokio::test]
async fn roots_are_followed_one_by_one() {
    let house = House::new();
    house.publish_version(2);
    house.read().await.unwrap();
    let (second, third) = (Key::new(), Key::new());
    let root2 = root(2, &second, &house.key, &[&house.root_key, &second]);
    let root3 = root(3, &third, &house.key, &[&second, &third]);
    house.put_root(&root2);
    house.put_root(&root3);
    house.publish(&house.targets(3, in_days(9), &house.key), &root3);
    let trusted = house.read().await.unwrap();
    assert_eq!(trusted.root.version(), version(3));
    assert_eq!(house.dir().cached(&Role::Root).unwrap().as_ref(), Some(root3.wire()));
}

#[tokio::test]
async fn a_root_that_its_predecessor_did_not_sign_is_refused() {
    let house = House::new();
    house.publish_version(2);
    house.read().await.unwrap();
    let thief = Key::new();
    for number in [1, 2] {
        let stolen = root(number, &thief, &house.key, &[&thief]);
        house.put_root(&stolen);
        house.publish(&house.targets(3, in_days(9), &house.key), &stolen);
        let result = house.read().await;
        assert!(matches!(result, Err(CollectionError::Untrusted { .. })), "{number}: {result:?}");
        assert_eq!(house.dir().cached(&Role::Root).unwrap().as_ref(), Some(house.root.wire()));
    }
}

#[tokio::test]
async fn a_snapshot_that_names_another_root_is_refused() {
    let house = House::new();
    let other = root(1, &house.root_key, &Key::new(), &[&house.root_key]);
    house.publish(&house.targets(2, in_days(9), &house.key), &other);
    let result = house.read().await;
    assert!(matches!(result, Err(CollectionError::Server(ServerError::NotFound { .. }))), "{result:?}");
}

#[tokio::test]
async fn a_damaged_trust_anchor_is_never_replaced() {
    let house = House::new();
    house.publish_version(2);
    house.read().await.unwrap();
    house.dir().keep(&Role::Root, b"{").unwrap();
    for purpose in [Purpose::Read, Purpose::Publish] {
        let result = house.update_at(purpose, NOW).await;
        assert!(matches!(result, Err(CollectionError::TrustDir(TrustDirError::CorruptRoot { .. }))), "{result:?}");
    }
    assert_eq!(house.dir().cached(&Role::Root).unwrap().as_deref(), Some(b"{".as_slice()));
}

#[tokio::test]
async fn without_a_server_a_valid_cache_will_do_for_reading() {
    let house = House::new();
    house.publish_version(2);
    let (dir, pinning) = (house.dir(), TrustPinning::default());
    let link = Link::Offline { server: "h:1".into(), cause: Unreachable::Refused };
    let update = |purpose, now| Update { link: &link, dir: &dir, pinning: &pinning, now, purpose };
    let nothing = update(Purpose::Read, NOW).run(None).await;
    assert!(matches!(nothing, Err(CollectionError::Server(ServerError::Unreachable { .. }))), "{nothing:?}");
    house.read().await.unwrap();
    assert!(update(Purpose::Read, NOW).run(None).await.is_ok());
    assert!(update(Purpose::Publish, NOW).run(None).await.is_err());
    let (role, problem) = problem(update(Purpose::Read, NOW + Duration::days(15)).run(None).await);
    assert!(role == "timestamp" && matches!(problem, RoleProblem::Expired { .. }), "{role} {problem}");
}

#[tokio::test]
async fn no_wish_replaces_what_the_server_serves() {
    let house = House::new();
    let dir = house.dir();
    let result = async |new_collection| {
        let wish = Wish { new_collection, ..Wish::default() };
        init::must_be_new(&dir, &house.server, wish).await
    };
    for wish in [NewCollection::Ask, NewCollection::Accept] {
        let refusal = result(wish).await;
        assert!(matches!(refusal, Err(CollectionError::Exists { .. })), "{wish:?}: {refusal:?}");
    }
    house.shelf.lock().unwrap().clear();
    dir.keep(&Role::Root, house.root.wire()).unwrap();
    assert!(matches!(result(NewCollection::Ask).await, Err(CollectionError::Exists { .. })));
    assert!(result(NewCollection::Accept).await.is_ok(), "only a copy here");
}

#[tokio::test]
async fn a_publication_counts_when_the_server_serves_it() {
    let house = House::new();
    let targets = house.targets(1, in_days(1000), &house.key);
    let files = vec![(Role::Targets, targets.wire().clone())];
    let outbox = Outbox { files, changes: Vec::new(), base: None };
    let result = async || must_be_served(&house.server, &house.gun, &outbox).await;
    assert!(matches!(result().await, Err(CollectionError::Lost { .. })), "nothing is there");
    let name = format!("targets.{}", targets.wire_digest());
    house.put(&name, b"<html>");
    assert!(matches!(result().await, Err(CollectionError::Lost { .. })), "something else is there");
    house.put(&name, targets.wire());
    assert!(result().await.is_ok());
}

#[tokio::test]
async fn what_was_published_is_cached_only_as_the_server_names_it() {
    let house = House::new();
    let newer = root(2, &house.root_key, &house.key, &[&house.root_key]);
    let (old, new) = (house.targets(1, in_days(1000), &house.key), house.targets(2, in_days(1000), &house.key));
    house.publish(&old, &house.root);
    house.read().await.unwrap();
    house.put_root(&newer);
    house.publish(&old, &newer);
    house.read().await.unwrap();
    let link = Link::Online(house.server.clone());
    let (dir, pinning) = (house.dir(), TrustPinning::default());
    let update = Update { link: &link, dir: &dir, pinning: &pinning, now: NOW, purpose: Purpose::Publish };
    let files = [(Role::Root, house.root.wire().clone()), (Role::Targets, new.wire().clone())];
    let cached = |role: &Role| dir.cached(role).unwrap().unwrap();

    // somebody else has published a root since
    update.keep_published(&house.root, &newer, &files, Aside::write(&dir, &files).await).await.unwrap();
    assert_eq!(cached(&Role::Root), newer.wire());
    // the server has other targets
    update.keep_published(&newer, &newer, &files, Aside::write(&dir, &files).await).await.unwrap();
    assert_eq!(cached(&Role::Targets), old.wire());
    house.publish(&new, &newer);
    update.keep_published(&newer, &newer, &files, Aside::write(&dir, &files).await).await.unwrap();
    assert_eq!(cached(&Role::Targets), new.wire());
    assert_eq!(cached(&Role::Root), newer.wire());
}
