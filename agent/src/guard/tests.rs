//! The guard over collections that the real notary made.

#![allow(clippy::arithmetic_side_effects, reason = "a test fails by panicking")]

use bytes::Bytes;
use signet_tuf::{Digest, Envelope, Expires, FileMeta, Gun, KeyId, Metadata, Role, Version, notary1};
use time::{Duration, OffsetDateTime, macros::datetime};

use super::*;
use crate::intent::{Intent, Mark};

const GUN: &str = "example.com/acme/app";
const NOW: OffsetDateTime = datetime!(2026-11-21 12:00 UTC);

fn file(name: &str) -> Bytes {
    let path = format!("{}/../tuf/tests/data/notary/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}")).into()
}

fn roots(versions: &[u64]) -> Vec<Bytes> {
    versions.iter().map(|version| file(&format!("root/{version}.json"))).collect()
}

fn gun() -> Gun {
    Gun::parse(GUN).expect("a GUN")
}

fn role(name: &str) -> Role {
    Role::parse(name).expect("a role")
}

fn envelope(role_name: &str, name: &str) -> Envelope {
    Envelope::parse(&role(role_name), &file(name)).expect("an envelope")
}

fn intent(role_name: &str, metadata: &Metadata) -> Intent {
    Intent::parse(gun(), role(role_name), &[], notary1::encode(metadata)).expect("an intent")
}

fn asked(role_name: &str, name: &str) -> Intent {
    intent(role_name, envelope(role_name, name).metadata())
}

fn verify(role_name: &str, asked: Option<&Metadata>, bytes: &EvidenceBytes) -> Result<Shown, EvidenceFault> {
    let shown = verify_evidence(&gun(), &role(role_name), bytes)?;
    asked.map_or(Ok(()), |asked| check_chain_end(asked, &shown))?;
    Ok(shown)
}

fn evidence(root_chain: Vec<Bytes>) -> EvidenceBytes {
    EvidenceBytes { root_chain, ..EvidenceBytes::default() }
}

#[test]
fn a_collection_of_the_real_notary_is_believed() {
    let asked = asked("targets", "rotated/targets.json");
    let bytes = EvidenceBytes { current: file("rotated/targets.json"), ..evidence(roots(&[1, 2, 3, 4])) };
    let shown = verify("targets", Some(&asked.metadata), &bytes).expect("believed");
    assert_eq!(shown.chain.len(), 4);
    assert_eq!(shown.current.as_ref().map(|(mark, _)| *mark), Some(asked.mark()));
    let listed = listed_keys(&asked, &shown).expect("listed");
    assert_eq!(listed.role_keys.key_ids.len(), 1);
}

#[test]
fn a_root_chain_must_be_whole_and_of_this_name() {
    let fault = |chain: &[u64]| verify("targets", None, &evidence(roots(chain))).expect_err("a broken chain");
    for broken in [&[1, 3][..], &[2, 1], &[1, 1], &[4, 3]] {
        assert!(matches!(fault(broken), EvidenceFault::Unverified { .. }), "{broken:?}");
    }
    assert!(matches!(fault(&[]), EvidenceFault::RootsMissing));
    let other = Gun::parse("example.com/other").expect("a GUN");
    let foreign = verify_evidence(&other, &Role::Targets, &evidence(roots(&[1])));
    assert!(matches!(foreign, Err(EvidenceFault::Unverified { .. })));
}

#[test]
fn a_forged_document_is_named() {
    let mut forged = file("first/targets.json").to_vec();
    let at = forged.windows(9).position(|bytes| bytes == b"\"version\"").expect("a version");
    forged[at + 10] = b'9';
    let bytes = EvidenceBytes { current: forged.into(), ..evidence(roots(&[1])) };
    let error = verify("targets", None, &bytes).expect_err("forged").to_string();
    assert!(error.contains("targets does not verify"), "{error}");
    let bytes = EvidenceBytes { current: Bytes::from_static(b"{}"), ..evidence(roots(&[1])) };
    assert!(matches!(verify("targets", None, &bytes), Err(EvidenceFault::Unreadable { .. })));
}

#[test]
fn a_new_root_stands_on_the_one_before_and_both_may_sign() {
    let third = asked("root", "root/3.json");
    let shown = verify("root", Some(&third.metadata), &evidence(roots(&[1, 2]))).expect("a chain");
    let listed = listed_keys(&third, &shown).expect("listed");
    assert_eq!(listed.role_keys.key_ids.len(), 2, "the new key and the old one");
    for wrong in [&[1][..], &[1, 2, 3]] {
        let fault = verify("root", Some(&third.metadata), &evidence(roots(wrong)));
        assert!(matches!(fault, Err(EvidenceFault::ChainEnd { wanted: 2, .. })), "{wrong:?}");
    }
    let first = asked("root", "root/1.json");
    verify("root", Some(&first.metadata), &EvidenceBytes::default()).expect("the first needs nothing");
}

#[test]
fn a_delegation_stands_on_its_parents() {
    let nested = "targets/p384/nested";
    let parents = || vec![file("delegated/targets.json"), file("delegated/targets/p384.json")];
    let show = |delegating| EvidenceBytes { delegating, ..evidence(roots(&[1])) };
    let asked = asked(nested, "delegated/targets/p384/nested.json");
    let shown = verify(nested, Some(&asked.metadata), &show(parents())).expect("parents");
    assert!(!listed_keys(&asked, &shown).expect("listed").role_keys.key_ids.is_empty());
    let [targets, p384] = parents().try_into().expect("two");
    let wrong =
        [vec![], vec![targets.clone()], vec![p384.clone(), targets.clone()], vec![targets.clone(), targets, p384]];
    for delegating in wrong {
        verify(nested, Some(&asked.metadata), &show(delegating)).expect_err("not the parents");
    }
}

#[test]
fn a_key_that_is_not_listed_signs_nothing() {
    let mut asked = asked("targets", "first/targets.json");
    let shown = verify("targets", Some(&asked.metadata), &evidence(roots(&[1]))).expect("a root");
    let stranger = KeyId::from_bytes([7; 32]);
    asked.keys = vec![stranger];
    let refusal = listed_keys(&asked, &shown).expect_err("not listed");
    assert_eq!(refusal, Refusal::KeyNotListed { key: stranger, role: Role::Targets });
}

#[test]
fn expiry_has_bounds() {
    let Metadata::Targets(mut targets) = envelope("targets", "first/targets.json").metadata().clone() else {
        panic!("targets")
    };
    let mut verdict = |days| {
        targets.expires = Expires::at(NOW.saturating_add(Duration::days(days)));
        check_content(&intent("targets", &Metadata::Targets(targets.clone())), None, &[], NOW)
    };
    assert_eq!(verdict(3 * 365), Ok(()));
    assert!(matches!(verdict(0), Err(ContentFault::Expired { .. })));
    assert!(matches!(verdict(-1), Err(ContentFault::Expired { .. })));
    assert!(matches!(verdict(1101), Err(ContentFault::ExpiryTooFar { days: 1100, .. })));
}

#[test]
fn a_root_whose_threshold_cannot_be_met_is_not_signed() {
    let Metadata::Root(mut root) = envelope("root", "root/1.json").metadata().clone() else { panic!("a root") };
    root.expires = Expires::at(NOW.saturating_add(Duration::days(3650)));
    let mut verdict = |threshold| {
        root.targets.threshold = threshold;
        Intent::parse(gun(), Role::Root, &[], notary1::encode(&Metadata::Root(root.clone())))
            .map(|intent| check_content(&intent, None, &[], NOW).is_ok())
            .unwrap_or(false)
    };
    assert!(verdict(1));
    assert!(!verdict(2));
    assert!(!verdict(0));
}

/// The published snapshot of the delegated collection, and the one after it without some roles and with other files.
fn snapshots(without: &[&str], other: &[(&str, &Bytes)]) -> (Metadata, Intent) {
    let before = envelope("snapshot", "delegated/snapshot.json").metadata().clone();
    let Metadata::Snapshot(mut snapshot) = before.clone() else { panic!("a snapshot") };
    snapshot.version = Version::new(snapshot.version.get() + 1).expect("a version");
    snapshot.expires = Expires::at(NOW.saturating_add(Duration::days(365)));
    for name in without {
        snapshot.meta.remove(&role(name)).expect("it was there");
    }
    for (name, wire) in other {
        snapshot.meta.insert(role(name), FileMeta::of(wire));
    }
    (before, intent("snapshot", &Metadata::Snapshot(snapshot)))
}

fn delegated(name: &str) -> Parent {
    let file = envelope(name, &format!("delegated/{name}.json"));
    let mark = Mark { version: file.metadata().version(), digest: file.digest() };
    Parent { role: role(name), mark, targets: file.targets().cloned().expect("targets") }
}

/// The same without what it lists.
fn purged(name: &str) -> Parent {
    let mut parent = delegated(name);
    parent.targets.delegations.roles.clear();
    parent
}

#[test]
fn a_snapshot_hides_no_delegation_that_is_still_listed() {
    let (nested, p384, p256) = ("targets/p384/nested", "targets/p384", "targets/p256");
    let table = [
        // left out, shown, the first that may not be left out
        (&[p256][..], vec![], Some(p256)),
        (&[p256], vec![delegated("targets")], Some(p256)),
        (&[p256], vec![purged("targets")], None),
        // only the direct parent shows anything
        (&[p256], vec![purged(p384)], Some(p256)),
        (&[nested], vec![], Some(nested)),
        (&[nested], vec![delegated("targets")], Some(nested)),
        (&[nested], vec![purged("targets")], Some(nested)),
        (&[nested], vec![delegated("targets"), delegated(p384)], Some(nested)),
        (&[nested], vec![delegated("targets"), purged(p384)], None),
        // each one by its own parent
        (&[nested, p256], vec![delegated("targets"), purged(p384)], Some(p256)),
        (&[nested, p256], vec![purged("targets"), delegated(p384)], Some(nested)),
        (&[nested, p256], vec![purged("targets"), purged(p384)], None),
        // with its parent
        (&[p384, nested], vec![purged("targets")], None),
        (&[p384, nested], vec![delegated("targets")], Some(p384)),
    ];
    for (without, parents, dropped) in table {
        let (before, asked) = snapshots(without, &[]);
        let wanted = match dropped {
            Some(name) => Err(ContentFault::DroppedFromSnapshot { delegation: role(name) }),
            None => Ok(()),
        };
        assert_eq!(check_content(&asked, Some(&before), &parents, NOW), wanted, "{without:?} {parents:?}");
    }
}

#[test]
fn what_a_snapshot_leaves_out_is_judged_by_the_parents_that_it_names() {
    let (targets, p384) = (file("delegated/targets.json"), file("delegated/targets/p384.json"));
    let nested = file("delegated/targets/p384/nested.json");
    let show = |asked: &Intent, delegating: &[&Bytes]| {
        let delegating = delegating.iter().map(|&wire| wire.clone()).collect();
        let current = file("delegated/snapshot.json");
        let bytes = EvidenceBytes { delegating, current, ..evidence(roots(&[1])) };
        listings(&asked.metadata, &bytes, verify("snapshot", None, &bytes)?)
    };
    let names = |shown: &Shown| shown.parents.iter().map(|parent| parent.role.to_string()).collect::<Vec<_>>();
    let (_, asked) = snapshots(&["targets/p256"], &[]);
    let shown = show(&asked, &[&targets, &p384, &nested]).expect("verified");
    assert_eq!(names(&shown), ["targets", "targets/p384", "targets/p384/nested"]);
    assert_eq!(shown.parents[1], delegated("targets/p384"));
    assert_eq!(new_parents(&asked.metadata, &shown).count(), 0, "the published snapshot names them");
    assert_eq!(names(&show(&asked, &[]).expect("nothing")), [""; 0]);
    // an earlier version, however well it is signed, is not what readers of this snapshot get
    let earlier = file("first/targets.json");
    assert!(matches!(show(&asked, &[&earlier]), Err(EvidenceFault::NotNamed)));
    assert!(matches!(show(&asked, &[&file("delegated/snapshot.json")]), Err(EvidenceFault::NotNamed)));
    // behind its own parent
    for wrong in [&[&p384][..], &[&p384, &targets], &[&targets, &nested]] {
        assert!(matches!(show(&asked, wrong), Err(EvidenceFault::Parents { .. })));
    }
    // a file under a name whose keys have not signed it
    let (_, asked) = snapshots(&["targets/p256", "targets/p384/nested", "targets/rsa"], &[("targets/p384", &nested)]);
    assert!(matches!(show(&asked, &[&targets, &nested]), Err(EvidenceFault::Unverified { .. })));
    // equal files are those of every role whose keys have signed them
    let (_, asked) = snapshots(&["targets/p256"], &[("targets/rsa", &p384)]);
    assert_eq!(names(&show(&asked, &[&targets, &p384]).expect("verified")), ["targets", "targets/p384"]);
    // an old parent that the snapshot names is told from the newest by what was signed
    let (_, asked) = snapshots(&["targets/p256"], &[("targets", &earlier)]);
    let shown = show(&asked, &[&earlier]).expect("verified");
    let [old] = new_parents(&asked.metadata, &shown).collect::<Vec<_>>().try_into().expect("it is new there");
    let newest = delegated("targets").mark;
    assert!(old.mark.version < newest.version);
    assert!(matches!(check_newest(old, Some(newest)), Err(Refusal::StaleParent { .. })));
}

#[test]
fn a_new_parent_is_what_was_signed_last_or_newer() {
    let parent = delegated("targets");
    let floor = |version: u64, digest| Mark { version: Version::new(version).expect("a version"), digest };
    let version = parent.mark.version.get();
    let other = Digest::of(b"other");
    for (floor, is_newest) in [
        (None, false),
        (Some(parent.mark), true),
        (Some(floor(version, other)), false),
        (Some(floor(version - 1, other)), true),
        (Some(floor(version + 1, other)), false),
    ] {
        assert_eq!(check_newest(&parent, floor).is_ok(), is_newest, "{floor:?}");
    }
}

#[test]
fn metadata_of_another_role_is_no_intent() {
    let snapshot = envelope("snapshot", "first/snapshot.json");
    assert!(Intent::parse(gun(), Role::Targets, &[], snapshot.signed().to_vec()).is_err());
    let mut spaced = snapshot.signed().to_vec();
    spaced.push(b' ');
    assert!(Intent::parse(gun(), Role::Snapshot, &[], spaced).is_err(), "not canonical");
    assert_eq!(asked("snapshot", "first/snapshot.json").digest, Digest::of(snapshot.signed()));
}
