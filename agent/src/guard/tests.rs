//! The guard over collections that the real notary made.

#![allow(clippy::arithmetic_side_effects, reason = "a test fails by panicking")]

use bytes::Bytes;
use signet_tuf::{Digest, Envelope, Expires, Gun, KeyId, Metadata, Role, Version, notary1};
use time::{Duration, OffsetDateTime, macros::datetime};

use super::*;
use crate::intent::Intent;

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

#[test]
fn a_snapshot_hides_no_delegation_that_is_still_listed() {
    let before = envelope("snapshot", "delegated/snapshot.json").metadata().clone();
    let Metadata::Snapshot(mut snapshot) = before.clone() else { panic!("a snapshot") };
    snapshot.version = Version::new(snapshot.version.get() + 1).expect("a version");
    snapshot.expires = Expires::at(NOW.saturating_add(Duration::days(365)));
    let dropped = role("targets/p256");
    snapshot.meta.remove(&dropped).expect("it was there");
    let asked = intent("snapshot", &Metadata::Snapshot(snapshot));
    let parent = envelope("targets", "delegated/targets.json").targets().cloned().expect("targets");
    let mut purged = parent.clone();
    purged.delegations.roles.retain(|delegated| delegated.name.as_str() != "targets/p256");
    let hidden = Err(ContentFault::DroppedFromSnapshot { delegation: dropped });
    assert_eq!(check_content(&asked, Some(&before), &[], NOW), hidden);
    assert_eq!(check_content(&asked, Some(&before), &[parent], NOW), hidden);
    assert_eq!(check_content(&asked, Some(&before), &[purged], NOW), Ok(()));
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
