#![allow(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use proptest::prelude::*;
use signet_tuf::{Digest, Expires, Gun, KeyName, Metadata, Role, Targets, Version, json, notary1};
use tempfile::TempDir;
use time::{Duration, macros::datetime};

use super::*;
use crate::{
    clock::FixedClock,
    guard::{Finding, Parent, Refusal, Shown, VersionFault},
    intent::{Intent, Mark},
    log::{leaf_hash, root_hash},
};

const GUN: &str = "example.com/acme/app";

struct Bench {
    dir: TempDir,
    ledger: Ledger,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let ledger = open(&dir.path().join("ledger.db")).expect("a new ledger");
        Self { dir, ledger }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("ledger.db")
    }

    /// What the next start sees after this one has gone without settling anything.
    async fn crash(self) -> Self {
        let Self { dir, ledger } = self;
        let mut grown = ledger.grown();
        drop(ledger);
        while grown.changed().await.is_ok() {}
        let ledger = open(&dir.path().join("ledger.db")).expect("the ledger again");
        Self { dir, ledger }
    }

    async fn decide(&self, intent: &Arc<Intent>, shown: Shown) -> Result<Grant, LedgerError> {
        self.decide_with(intent, shown, key(1), &[]).await
    }

    async fn decide_with(
        &self,
        intent: &Arc<Intent>,
        shown: Shown,
        key: KeyName,
        acknowledged: &[&str],
    ) -> Result<Grant, LedgerError> {
        self.ledger
            .decide(Ask {
                principal: owner(),
                intent: intent.clone(),
                shown: shown.into(),
                keys: vec![(key, Scheme::EcdsaSha256)],
                acknowledged: acknowledged.iter().map(|&code| code.to_owned()).collect(),
            })
            .await
    }

    async fn sign(&self, intent: &Arc<Intent>, shown: Shown) -> &'static str {
        let grant = self.decide(intent, shown).await.expect("granted");
        self.settle(grant.permits, Outcome::Signed).await;
        grant.decision
    }

    async fn settle(&self, permits: Vec<Permit>, outcome: Outcome) {
        for permit in permits {
            self.ledger.settle(permit, outcome, TriedAt::default()).await;
        }
    }

    async fn records(&self) -> Vec<BTreeMap<String, json::Value>> {
        let entries = self.ledger.read(0, 10_000).await.expect("records");
        let parse = |entry: Entry| match json::parse(&entry.body).expect("canonical JSON") {
            json::Value::Object(fields) => fields.into_iter().collect(),
            other => panic!("{other:?}"),
        };
        entries.into_iter().map(parse).collect()
    }

    async fn kinds(&self) -> Vec<String> {
        let kind = |fields: BTreeMap<String, json::Value>| match &fields["kind"] {
            json::Value::String(kind) => kind.clone(),
            other => panic!("{other:?}"),
        };
        self.records().await.into_iter().map(kind).collect()
    }
}

fn open(path: &Path) -> Result<Ledger, OpenError> {
    let clock = Arc::new(FixedClock(datetime!(2026-11-20 12:00 UTC)));
    Ledger::open(path, owner(), Limits { jump: 1000 }, clock, [7; 16]).map(|(ledger, _)| ledger)
}

fn owner() -> Principal {
    Principal::from_uid(1000)
}

fn key(n: u8) -> KeyName {
    KeyName::from_bytes([n; 32])
}

fn mark(version: u64, content: &str) -> Mark {
    Mark { version: Version::new(version).expect("a version"), digest: Digest::of(content.as_bytes()) }
}

/// Targets whose content differs with the expiry.
fn targets_of(gun: &str, role: &str, version: u64, content: i64) -> Arc<Intent> {
    let metadata = Metadata::Targets(Targets {
        version: Version::new(version).expect("a version"),
        expires: Expires::at(datetime!(2027-01-01 0:00 UTC).saturating_add(Duration::seconds(content))),
        targets: BTreeMap::new(),
        delegations: signet_tuf::Delegations::default(),
    });
    Intent::parse(Gun::parse(gun).expect("a GUN"), Role::parse(role).expect("a role"), &[], notary1::encode(&metadata))
        .expect("an intent")
        .into()
}

fn targets(version: u64, content: i64) -> Arc<Intent> {
    targets_of(GUN, "targets", version, content)
}

fn root_chain(marks: &[Mark]) -> Shown {
    Shown { chain: marks.to_vec(), ..Shown::default() }
}

fn first_root() -> Shown {
    root_chain(&[mark(1, "root 1")])
}

fn serving(version: u64, content: i64) -> Shown {
    let served = targets(version, content);
    Shown { current: Some((served.mark(), served.metadata.clone())), ..first_root() }
}

fn gun() -> Gun {
    Gun::parse(GUN).expect("a GUN")
}

fn refusal<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> Refusal {
    match result {
        Err(LedgerError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn ten_requests_for_one_version_get_one_grant() {
    let bench = Bench::new();
    let intents: Vec<_> = (0..10).map(|content| targets(1, content)).collect();
    let results = futures_join(intents.iter().map(|intent| bench.decide(intent, first_root()))).await;
    let granted = results.iter().filter(|result| result.is_ok()).count();
    let conflicts = results
        .iter()
        .filter(|result| {
            matches!(result, Err(LedgerError::Refused(Refusal::Version(VersionFault::Conflict { next: 2, .. }))))
        })
        .count();
    assert_eq!((granted, conflicts), (1, 9));
}

async fn futures_join<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pinned: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = pinned.iter().map(|_| None).collect();
    std::future::poll_fn(move |cx| {
        for (future, slot) in pinned.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(cx)
            {
                *slot = Some(value);
            }
        }
        if done.iter().all(Option::is_some) {
            return std::task::Poll::Ready(done.drain(..).flatten().collect());
        }
        std::task::Poll::Pending
    })
    .await
}

#[tokio::test]
async fn the_same_bytes_again_are_a_repeat() {
    let bench = Bench::new();
    assert_eq!(bench.sign(&targets(1, 0), first_root()).await, "first");
    assert_eq!(bench.sign(&targets(1, 0), first_root()).await, "repeat");
    assert_eq!(bench.sign(&targets(2, 0), first_root()).await, "next");
    assert!(matches!(
        refusal(bench.decide(&targets(1, 0), first_root()).await),
        Refusal::Version(VersionFault::Rollback { .. })
    ));
}

#[tokio::test]
async fn a_version_that_was_not_signed_is_free_again() {
    let bench = Bench::new();
    let grant = bench.decide(&targets(1, 0), first_root()).await.expect("granted");
    let twin = bench.decide_with(&targets(1, 0), first_root(), key(2), &[]).await.expect("the other key");
    bench.settle(grant.permits, Outcome::NotSigned).await;
    refusal(bench.decide(&targets(1, 1), first_root()).await);
    bench.settle(twin.permits, Outcome::NotSigned).await;
    assert_eq!(bench.sign(&targets(1, 1), first_root()).await, "first");
}

#[tokio::test]
async fn a_version_that_may_have_been_signed_stays_claimed() {
    let bench = Bench::new();
    let grant = bench.decide(&targets(1, 0), first_root()).await.expect("granted");
    bench.settle(grant.permits, Outcome::Unknown).await;
    refusal(bench.decide(&targets(1, 1), first_root()).await);
    assert_eq!(bench.sign(&targets(1, 0), first_root()).await, "repeat");
}

#[tokio::test]
async fn a_crash_between_grant_and_outcome_keeps_the_claim_and_is_recorded() {
    let bench = Bench::new();
    let grant = bench.decide(&targets(1, 0), first_root()).await.expect("granted");
    let seq = grant.seq.0;
    drop(grant);
    let bench = bench.crash().await;
    refusal(bench.decide(&targets(1, 1), first_root()).await);
    let records = bench.records().await;
    let outcome = records.iter().find(|record| record["kind"] == json::Value::String("outcome".to_owned()));
    let outcome = outcome.expect("an outcome");
    assert_eq!(outcome["outcome"], json::Value::String("unknown".to_owned()));
    assert_eq!(outcome["of"], json::Value::Integer(i64::try_from(seq).expect("small")));
    assert_eq!(bench.sign(&targets(1, 0), first_root()).await, "repeat");
}

#[tokio::test]
async fn what_the_server_serves_is_adopted() {
    let bench = Bench::new();
    assert_eq!(bench.sign(&targets(4001, 1), serving(4000, 0)).await, "next");
    assert!(matches!(
        refusal(bench.decide(&targets(4000, 2), first_root()).await),
        Refusal::Version(VersionFault::Rollback { .. })
    ));
    let expected = ["opened", "collection", "adopted", "granted", "outcome"];
    assert_eq!(bench.kinds().await, expected);
}

#[tokio::test]
async fn a_lost_race_goes_on_above_the_winner() {
    let bench = Bench::new();
    bench.sign(&targets(1, 0), first_root()).await;
    bench.sign(&targets(2, 0), first_root()).await;
    assert!(matches!(
        refusal(bench.decide(&targets(2, 5), serving(2, 9)).await),
        Refusal::Version(VersionFault::Conflict { next: 3, .. })
    ));
    assert_eq!(bench.sign(&targets(3, 5), serving(2, 9)).await, "next");
}

#[tokio::test]
async fn a_published_version_is_named_only_to_a_ledger_that_knows_one_as_high() {
    let bench = Bench::new();
    let named = |version| Shown { current_version: version, ..first_root() };
    let unknown = |version| Refusal::UnknownCurrent { role: Role::Targets, version };
    assert_eq!(refusal(bench.decide(&targets(5, 0), named(4)).await), unknown(4));
    assert_eq!(bench.sign(&targets(5, 0), serving(4, 9)).await, "next");
    assert_eq!(bench.sign(&targets(6, 0), named(5)).await, "next");
    // signed here and not published
    assert_eq!(bench.sign(&targets(7, 0), named(5)).await, "next");
    assert_eq!(refusal(bench.decide(&targets(9, 0), named(8)).await), unknown(8));
    assert!(matches!(
        refusal(bench.decide(&targets(6, 1), named(5)).await),
        Refusal::Version(VersionFault::Rollback { .. })
    ));
}

#[tokio::test]
async fn an_unknown_collection_must_be_shown_from_its_first_root() {
    let bench = Bench::new();
    let later = root_chain(&[mark(5, "root 5")]);
    assert_eq!(refusal(bench.decide(&targets(1, 0), later.clone()).await), Refusal::UnknownRoot);
    let whole: Vec<Mark> = (1..=5).map(|version| mark(version, &format!("root {version}"))).collect();
    bench.sign(&targets(1, 0), root_chain(&whole)).await;
    assert_eq!(bench.sign(&targets(2, 0), later).await, "next");
}

#[tokio::test]
async fn a_known_root_behind_an_unknown_one_proves_nothing() {
    let bench = Bench::new();
    let known = root_chain(&[mark(1, "root 1"), mark(2, "root 2")]);
    bench.sign(&targets(1, 0), known).await;
    let forged = root_chain(&[mark(1, "forged"), mark(2, "root 2")]);
    bench.ledger.published(owner(), gun(), forged.clone()).await.expect_err("unknown");
    // the first root names the collection, so this is another one, with lines of its own
    assert_eq!(bench.sign(&targets(1, 1), forged).await, "first");
    let later = root_chain(&[mark(4, "forged"), mark(5, "root 2")]);
    assert_eq!(refusal(bench.decide(&targets(2, 0), later).await), Refusal::UnknownRoot);
}

/// A snapshot that may leave something out because of what targets lists at a version.
async fn left_out_by(bench: &Bench, version: u64, content: i64) -> Result<Grant, LedgerError> {
    let named = targets(version, content);
    let Metadata::Targets(says) = named.metadata.clone() else { panic!("targets") };
    let snapshot = Metadata::Snapshot(signet_tuf::Snapshot {
        version: Version::FIRST,
        expires: says.expires,
        meta: [Role::Root, Role::Targets].map(|role| (role, signet_tuf::FileMeta::of(b"a file"))).into(),
    });
    let asked = Intent::parse(gun(), Role::Snapshot, &[], notary1::encode(&snapshot)).expect("an intent").into();
    let parent = Parent { role: Role::Targets, mark: named.mark(), targets: says };
    bench.decide(&asked, Shown { parents: vec![parent], ..first_root() }).await
}

#[tokio::test]
async fn an_old_parent_does_not_show_what_a_snapshot_may_leave_out() {
    let bench = Bench::new();
    let stale = |shown: u64, known| Refusal::StaleParent {
        role: Role::Targets,
        shown: Version::new(shown).expect("a version"),
        known,
    };
    assert_eq!(refusal(left_out_by(&bench, 1, 0).await), stale(1, 0), "nothing is known of it");
    bench.sign(&targets(1, 0), first_root()).await;
    bench.sign(&targets(2, 0), first_root()).await;
    assert_eq!(refusal(left_out_by(&bench, 1, 0).await), stale(1, 2));
    assert_eq!(refusal(left_out_by(&bench, 2, 1).await), stale(2, 2), "another one of that number");
    left_out_by(&bench, 2, 0).await.expect("the newest");
}

#[tokio::test]
async fn the_tokens_of_a_key_are_remembered() {
    let bench = Bench::new();
    let grant = bench.decide(&targets(1, 0), first_root()).await.expect("granted");
    for permit in grant.permits {
        let at = TriedAt { place: "pkcs11:token=release".to_owned(), token: Some("release".to_owned()) };
        bench.ledger.settle(permit, Outcome::Signed, at).await;
    }
    let bench = bench.crash().await;
    assert_eq!(bench.ledger.tokens_of(key(1)).await.expect("known"), ["release"]);
    assert_eq!(bench.ledger.tokens_of(key(2)).await.expect("known"), [""; 0]);
}

#[tokio::test]
async fn a_second_collection_is_free_until_the_first_is_published() {
    let bench = Bench::new();
    bench.sign(&targets(1, 0), first_root()).await;
    let second = || root_chain(&[mark(1, "another root")]);
    bench.sign(&targets(1, 1), second()).await;
    bench.ledger.published(owner(), gun(), first_root()).await.expect("known");
    let third = || root_chain(&[mark(1, "a third root")]);
    assert_eq!(
        refusal(bench.decide_with(&targets(1, 2), third(), key(9), &[]).await),
        Refusal::Unacknowledged(vec![Finding::NewCollection])
    );
    bench.decide_with(&targets(1, 2), third(), key(9), &["new-collection"]).await.expect("acknowledged");
}

#[tokio::test]
async fn a_key_that_signs_for_another_collection_is_a_finding() {
    let bench = Bench::new();
    bench.sign(&targets(1, 0), first_root()).await;
    let other = targets_of("example.com/other", "targets", 2, 0);
    let shown = || root_chain(&[mark(1, "root of the other")]);
    assert_eq!(
        refusal(bench.decide(&other, shown()).await),
        Refusal::Unacknowledged(vec![Finding::KeyOfAnotherCollection])
    );
    bench.decide_with(&other, shown(), key(2), &[]).await.expect("its own key");
    // a delegate's key serves many collections
    bench.sign(&targets_of(GUN, "targets/releases", 1, 0), first_root()).await;
    bench.sign(&targets_of("example.com/other", "targets/releases", 1, 0), shown()).await;
}

#[tokio::test]
async fn keys_of_an_older_root_do_not_sign_once_a_newer_one_is_published() {
    let bench = Bench::new();
    let rotated = root_chain(&[mark(1, "root 1"), mark(2, "root 2")]);
    bench.sign(&targets(1, 0), rotated.clone()).await;
    bench.ledger.published(owner(), gun(), rotated.clone()).await.expect("known");
    assert!(matches!(refusal(bench.decide(&targets(2, 0), first_root()).await), Refusal::StaleRoot { .. }));
    bench.sign(&targets(2, 0), rotated).await;
}

#[tokio::test]
async fn only_the_owner_is_served() {
    let bench = Bench::new();
    let ask = Ask {
        principal: Principal::from_uid(1001),
        intent: targets(1, 0),
        shown: first_root().into(),
        keys: vec![(key(1), Scheme::EcdsaSha256)],
        acknowledged: vec![],
    };
    assert!(matches!(bench.ledger.decide(ask).await, Err(LedgerError::Denied(_))));
    assert!(bench.ledger.published(Principal::from_uid(1), gun(), first_root()).await.is_err());
    assert_eq!(bench.kinds().await, ["opened"]);
}

#[tokio::test]
async fn an_altered_record_is_noticed_at_the_next_start() {
    let bench = Bench::new();
    bench.sign(&targets(1, 0), first_root()).await;
    let path = bench.path();
    let bench = bench.crash().await;
    let Bench { dir, ledger } = bench;
    let mut grown = ledger.grown();
    drop(ledger);
    while grown.changed().await.is_ok() {}
    let connection = rusqlite::Connection::open(&path).expect("the file");
    connection
        .execute("UPDATE record SET body = CAST(replace(body, 'signed', 'stolen') AS BLOB) WHERE seq = 3", [])
        .expect("altered");
    drop(connection);
    let error = open(&path).expect_err("altered").to_string();
    assert!(error.contains("record 3 does not match"), "{error}");
    drop(dir);
}

#[tokio::test]
async fn the_head_is_the_hash_of_the_records() {
    let bench = Bench::new();
    for version in 1..20 {
        bench.sign(&targets(version, 0), first_root()).await;
    }
    let bench = bench.crash().await;
    let head = bench.ledger.head().await.expect("a head");
    let leaves: Vec<_> =
        bench.ledger.read(0, 10_000).await.expect("records").iter().map(|entry| leaf_hash(&entry.body)).collect();
    assert_eq!((head.size, head.root), (leaves.len() as u64, root_hash(&leaves)));
    assert_eq!(bench.ledger.leaves().await.expect("leaves"), leaves);
}

/// The same test in a process whose files may not grow: it signs until the ledger cannot, and a grant is never
/// given without its record.
#[test]
fn a_full_disk_grants_nothing() {
    const CHILD: &str = "SIGNET_TEST_FULL_DISK";
    if let Some(dir) = std::env::var_os(CHILD) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        return runtime.block_on(sign_until_full(Path::new(&dir)));
    }
    let dir = tempfile::tempdir().expect("a directory");
    let status = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 4000; exec \"$0\" --exact ledger::tests::a_full_disk_grants_nothing"])
        .arg(std::env::current_exe().expect("this test"))
        .env(CHILD, dir.path())
        .status()
        .expect("a shell");
    assert!(status.success());
    let granted: u64 = std::fs::read_to_string(dir.path().join("granted")).expect("a count").parse().expect("a number");
    let ledger = open(&dir.path().join("ledger.db")).expect("the ledger is whole");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let entries = runtime.block_on(ledger.read(0, 1_000_000)).expect("records");
    let recorded = entries.iter().filter(|entry| String::from_utf8_lossy(&entry.body).contains("\"granted\"")).count();
    assert!(granted > 10, "{granted} grants before the disk was full");
    assert_eq!(recorded as u64, granted);
}

async fn sign_until_full(dir: &Path) {
    let ledger = open(&dir.join("ledger.db")).expect("a new ledger");
    let mut granted = 0_u64;
    let failure = loop {
        let ask = Ask {
            principal: owner(),
            intent: targets(granted + 1, 0),
            shown: first_root().into(),
            keys: vec![(key(1), Scheme::EcdsaSha256)],
            acknowledged: vec![],
        };
        match ledger.decide(ask).await {
            Ok(_) => granted += 1,
            Err(failure) => break failure,
        }
    };
    assert!(matches!(failure, LedgerError::Unavailable(_)), "{failure}");
    let (before, again) = (ledger.head().await, ledger.append(None, Event::Locked { token: "x".repeat(9999) }).await);
    assert!(matches!(again, Err(LedgerError::Unavailable(_))), "{again:?}");
    assert_eq!(ledger.head().await.ok(), before.ok(), "what was not written is not counted");
    std::fs::write(dir.join("granted"), granted.to_string()).expect("a small file");
}

mod abandon {
    use signet_tuf::{PublicKey, RoleKeys, Root};

    use super::*;

    fn root(version: u64, days: i64) -> Arc<Intent> {
        let generated =
            aws_lc_rs::signature::EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING)
                .expect("a key");
        let spki = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::PublicKeyX509Der>::as_der(
            aws_lc_rs::signature::KeyPair::public_key(&generated),
        )
        .expect("an encoding");
        let key = PublicKey::from_spki(spki.as_ref()).expect("a public key");
        let role = RoleKeys { key_ids: vec![key.key_id()], threshold: 1 };
        let metadata = Metadata::Root(Root {
            version: Version::new(version).expect("a version"),
            expires: Expires::at(datetime!(2027-01-01 0:00 UTC).saturating_add(Duration::days(days))),
            consistent_snapshot: false,
            keys: [(key.key_id(), key)].into(),
            root: role.clone(),
            targets: role.clone(),
            snapshot: role.clone(),
            timestamp: role,
        });
        Intent::parse(Gun::parse(GUN).expect("a GUN"), Role::Root, &[], notary1::encode(&metadata))
            .expect("an intent")
            .into()
    }

    #[tokio::test]
    async fn a_signed_root_that_never_got_out_can_be_given_up() {
        let bench = Bench::new();
        let (first, second, instead) = (root(1, 0), root(2, 0), root(2, 1));
        bench.sign(&first, Shown::default()).await;
        let server = || root_chain(&[first.mark()]);
        bench.sign(&second, server()).await;
        refusal(bench.decide(&instead, server()).await);
        let Mark { version, digest } = second.mark();
        bench.ledger.abandon(owner(), gun(), version, digest, server()).await.expect("abandoned");
        let grant = bench.decide(&instead, server()).await.expect("free again");
        // what was signed before does not keep the new claim
        bench.settle(grant.permits, Outcome::NotSigned).await;
        assert_eq!(bench.sign(&second, server()).await, "next");
        assert!(bench.kinds().await.contains(&"abandoned".to_owned()));
    }

    #[tokio::test]
    async fn a_root_that_got_out_cannot() {
        let bench = Bench::new();
        let (first, second) = (root(1, 0), root(2, 0));
        bench.sign(&first, Shown::default()).await;
        bench.sign(&second, root_chain(&[first.mark()])).await;
        let Mark { version, digest } = second.mark();
        let both = root_chain(&[first.mark(), second.mark()]);
        let abandon = |shown| bench.ledger.abandon(owner(), gun(), version, digest, shown);
        assert!(matches!(abandon(both.clone()).await, Err(LedgerError::NothingToAbandon(_))));
        bench.ledger.published(owner(), gun(), both).await.expect("known");
        assert!(matches!(abandon(root_chain(&[first.mark()])).await, Err(LedgerError::NothingToAbandon(_))));
    }

    #[tokio::test]
    async fn a_root_that_is_known_to_be_out_is_not_made_again() {
        let bench = Bench::new();
        let (first, theirs, ours) = (root(1, 0), root(2, 0), root(2, 1));
        bench.sign(&first, Shown::default()).await;
        let published = root_chain(&[first.mark(), theirs.mark()]);
        bench.ledger.published(owner(), gun(), published.clone()).await.expect("known");
        let verdict = refusal(bench.decide(&ours, root_chain(&[first.mark()])).await);
        assert!(matches!(verdict, Refusal::Version(VersionFault::Rollback { .. })), "{verdict:?}");
        assert_eq!(bench.sign(&root(3, 0), published).await, "next");
    }

    #[tokio::test]
    async fn a_root_without_gaps_only() {
        let bench = Bench::new();
        let first = root(1, 0);
        bench.sign(&first, Shown::default()).await;
        assert_eq!(bench.sign(&first, Shown::default()).await, "repeat");
        let verdict = refusal(bench.decide(&root(3, 0), root_chain(&[first.mark()])).await);
        assert!(matches!(verdict, Refusal::Version(VersionFault::Jump { .. })));
    }
}

#[derive(Debug, Clone)]
enum Step {
    Sign { version: u64, content: i64, outcome: Option<Outcome> },
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        Just(Some(Outcome::Signed)),
        Just(Some(Outcome::NotSigned)),
        Just(Some(Outcome::Unknown)),
        Just(None)
    ];
    let sign =
        (1..5u64, 0..3i64, outcome).prop_map(|(version, content, outcome)| Step::Sign { version, content, outcome });
    proptest::collection::vec(prop_oneof![9 => sign, 1 => Just(Step::Crash)], 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens, in whatever order: of each version at most one content may have been signed, and no
    /// version below one that may have been signed is granted.
    #[test]
    fn any_interleaving_signs_one_content_for_a_version(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async move {
            let mut bench = Bench::new();
            let mut perhaps_signed: BTreeMap<u64, Digest> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Crash => bench = bench.crash().await,
                    Step::Sign { version, content, outcome } => {
                        let intent = targets(version, content);
                        let Ok(grant) = bench.decide(&intent, first_root()).await else { continue };
                        if outcome != Some(Outcome::NotSigned) {
                            let known = perhaps_signed.entry(version).or_insert(intent.digest);
                            prop_assert_eq!(*known, intent.digest);
                            prop_assert!(perhaps_signed.range(version + 1..).next().is_none());
                        }
                        match outcome {
                            Some(outcome) => bench.settle(grant.permits, outcome).await,
                            None => drop(grant),
                        }
                    }
                }
            }
            Ok(())
        })?;
    }
}
