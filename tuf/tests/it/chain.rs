//! Thresholds, root chains and the files they vouch for.

use std::collections::BTreeMap;

use signet_tuf::verify::{self, VerifyError};
use signet_tuf::{
    Algorithm, Envelope, Expires, FileMeta, Gun, KeyId, Metadata, PublicKey, Role, RoleKeys, Root, Signature, Version,
};
use time::macros::datetime;

use crate::fixture::{self, gun};
use crate::signer::{Signer, signed};

fn real_chain() -> Vec<Envelope> {
    (1..=4).map(fixture::root).collect()
}

/// A root of these keys, all of which serve every role.
pub(crate) fn root(version: u64, threshold: u32, signers: &[&Signer]) -> Root {
    let keys: BTreeMap<KeyId, PublicKey> = signers.iter().map(|s| (s.key.key_id(), s.key.clone())).collect();
    let role = RoleKeys { key_ids: signers.iter().map(|s| s.key.key_id()).collect(), threshold };
    Root {
        version: Version::new(version).unwrap(),
        expires: Expires::at(datetime!(2030-01-01 00:00 UTC)),
        consistent_snapshot: false,
        keys,
        root: role.clone(),
        targets: role.clone(),
        snapshot: role.clone(),
        timestamp: role,
    }
}

fn root_signer() -> Signer {
    Signer::new(Algorithm::EcdsaP256).certified(&gun(), 1)
}

fn too_few(wanted: u32, valid: u32) -> Result<(), VerifyError> {
    Err(VerifyError::Threshold { wanted, valid })
}

#[test]
fn a_real_rotation_is_followed() {
    let chain = real_chain();
    assert_eq!(verify::root_chain(&gun(), &chain), Ok(()));
    assert_eq!(verify::root_chain(&gun(), &chain[2..]), Ok(()));
    // the third is signed by the old key and the new one
    assert_eq!(chain[2].signatures().len(), 2);
    let now = datetime!(2027-01-01 00:00 UTC);
    assert_eq!(verify::current_root(&gun(), &chain[3], now), Ok(()));
}

#[test]
fn real_files_hang_together() {
    for (directory, version) in [("first", 1), ("delegated", 1), ("rotated", 4)] {
        let root_file = fixture::root(version);
        let root = root_file.root().unwrap();
        for name in ["targets", "snapshot", "timestamp"] {
            let role = fixture::role(name);
            let envelope = fixture::envelope(directory, name);
            assert_eq!(
                verify::signed_by(&root.keys, root.role_keys(&role).unwrap(), &envelope),
                Ok(()),
                "{directory} {name}"
            );
            // the root role's keys are others
            assert_eq!(verify::signed_by(&root.keys, &root.root, &envelope), too_few(1, 0));
        }
        let timestamp = fixture::envelope(directory, "timestamp");
        let snapshot_meta = &timestamp.timestamp().unwrap().snapshot;
        assert_eq!(verify::file_matches(snapshot_meta, &fixture::wire(directory, "snapshot")), Ok(()));
        let snapshot = fixture::envelope(directory, "snapshot");
        for (role, meta) in &snapshot.snapshot().unwrap().meta {
            let wire = match role {
                Role::Root => fixture::wire("root", &version.to_string()),
                // the delegations did not change in between
                Role::Delegation(name) => fixture::wire("delegated", name.as_str()),
                Role::Targets | Role::Snapshot | Role::Timestamp => fixture::wire(directory, role.as_str()),
            };
            assert_eq!(verify::file_matches(meta, &wire), Ok(()), "{directory} {role}");
            assert_eq!(FileMeta::of(&wire), *meta);
        }
    }
}

#[test]
fn a_gap_in_the_chain_is_refused() {
    let chain = real_chain();
    let gap = |previous, found| {
        Err(VerifyError::VersionGap { previous: Version::new(previous).unwrap(), found: Version::new(found).unwrap() })
    };
    let skipped = [chain[0].clone(), chain[2].clone()];
    assert_eq!(verify::root_chain(&gun(), &skipped), gap(1, 3));
    let repeated = [chain[0].clone(), chain[0].clone()];
    assert_eq!(verify::root_chain(&gun(), &repeated), gap(1, 1));
    let backwards = [chain[1].clone(), chain[0].clone()];
    assert_eq!(verify::root_chain(&gun(), &backwards), gap(2, 1));
    assert_eq!(verify::root_chain(&gun(), &[]), Err(VerifyError::EmptyChain));
}

#[test]
fn a_new_root_needs_the_old_key_and_its_own() {
    let chain = real_chain();
    let old = chain[1].root().unwrap();
    let (by_old, by_new): (Vec<Signature>, Vec<Signature>) =
        chain[2].signatures().iter().cloned().partition(|signature| old.root.key_ids.contains(&signature.key_id));
    assert_eq!((by_old.len(), by_new.len()), (1, 1));
    for signatures in [by_old, by_new] {
        let half = Envelope::unsigned(chain[2].metadata().clone()).with_signatures(signatures);
        assert_eq!(verify::next_root(&gun(), old, &half), too_few(1, 0));
    }
}

#[test]
fn a_root_of_another_collection_is_refused() {
    let other: Gun = "example.com/acme/other".parse().unwrap();
    assert_eq!(verify::root_chain(&other, &real_chain()), Err(VerifyError::NoRootCertificate { gun: other.clone() }));
    let timestamp = fixture::envelope("first", "timestamp");
    assert_eq!(verify::first_root(&gun(), &timestamp), Err(VerifyError::WrongRole { role: Role::Root }));
}

/// Whether the key in a certificate counts as a root key: then its missing signature is missed.
fn counts(gun: &Gun, certificate: &str) -> bool {
    let stranger = Signer::new(Algorithm::EcdsaP256);
    let key = PublicKey::from_certificate_pem(certificate).unwrap();
    let mut content = root(1, 1, &[&stranger]);
    content.root.key_ids = vec![key.key_id()];
    content.keys.insert(key.key_id(), key);
    let verdict = verify::first_root(gun, &signed(&Metadata::Root(content), &[&stranger]));
    if verdict == too_few(1, 0) {
        return true;
    }
    assert_eq!(verdict, Err(VerifyError::NoRootCertificate { gun: gun.clone() }));
    false
}

#[test]
fn a_common_name_may_end_in_a_star() {
    let certificate = fixture::text("certificates/wildcard.crt");
    let table = [
        ("example.com/acme/app", true),
        ("example.com/acme/a/b", true),
        ("example.com/acme", false),
        ("example.com/other", false),
        ("x/example.com/acme/app", false),
    ];
    for (gun, expected) in table {
        assert_eq!(counts(&gun.parse().unwrap(), &certificate), expected, "{gun}");
    }
}

#[test]
fn the_last_of_several_common_names_counts() {
    let certificate = fixture::text("certificates/two-names.crt");
    assert!(counts(&gun(), &certificate));
    assert!(!counts(&"another".parse().unwrap(), &certificate));
}

#[test]
fn a_bundle_is_one_leaf_and_then_authorities() {
    let [leaf, ca, sha1] = ["leaf", "ca", "sha1"].map(|name| fixture::text(&format!("certificates/{name}.crt")));
    let backwards = {
        let signer = Signer::new(Algorithm::EcdsaP256);
        let mut template = crate::signer::template(&gun(), &signer.key, 1);
        std::mem::swap(&mut template.not_before, &mut template.not_after);
        template.assemble(&signer.sign(template.method(), &template.to_be_signed())).unwrap()
    };
    let table = [
        (leaf.clone(), true),
        (format!("{leaf}{ca}"), true),
        (format!("{leaf}{ca}{ca}"), true),
        (format!("{ca}{leaf}"), false),
        (format!("{leaf}{leaf}"), false),
        (ca, false),
        (sha1, false),
        (backwards, false),
    ];
    for (index, (bundle, expected)) in table.iter().enumerate() {
        assert_eq!(counts(&gun(), bundle), *expected, "row {index}");
    }
}

#[test]
fn a_root_key_without_a_certificate_does_not_count() {
    let bare = Signer::new(Algorithm::EcdsaP256);
    let alone = signed(&Metadata::Root(root(1, 1, &[&bare])), &[&bare]);
    assert_eq!(verify::first_root(&gun(), &alone), Err(VerifyError::NoRootCertificate { gun: gun() }));
    let certified = root_signer();
    let content = Metadata::Root(root(1, 2, &[&bare, &certified]));
    let both = signed(&content, &[&bare, &certified]);
    assert_eq!(verify::first_root(&gun(), &both), too_few(2, 1));
}

#[test]
fn a_threshold_of_two_needs_two_different_keys() {
    let (first, second) = (root_signer(), root_signer());
    let content = Metadata::Root(root(1, 2, &[&first, &second]));
    assert_eq!(verify::first_root(&gun(), &signed(&content, &[&first, &second])), Ok(()));
    assert_eq!(verify::first_root(&gun(), &signed(&content, &[&first])), too_few(2, 1));
    assert_eq!(verify::first_root(&gun(), &signed(&content, &[&first, &first])), too_few(2, 1));
    assert_eq!(verify::first_root(&gun(), &signed(&content, &[])), too_few(2, 0));
}

#[test]
fn the_same_key_under_two_ids_counts_once() {
    let first = root_signer();
    let message_key = first.key.clone();
    let again = first.certified(&gun(), 2);
    assert_ne!(message_key.key_id(), again.key.key_id());
    let mut content = root(1, 2, &[&again]);
    content.root.key_ids.push(message_key.key_id());
    content.keys.insert(message_key.key_id(), message_key.clone());
    let content = Metadata::Root(content);
    let by_one = signed(&content, &[&again]);
    let mut twice = by_one.signatures().to_vec();
    twice.push(Signature { key_id: message_key.key_id(), ..twice[0].clone() });
    let by_both = Envelope::unsigned(content).with_signatures(twice);
    assert_eq!(verify::first_root(&gun(), &by_both), too_few(2, 1));
    let listed = by_both.root().unwrap();
    assert_eq!(verify::signed_by(&listed.keys, &listed.root, &by_both), too_few(2, 1));
}

#[test]
fn a_threshold_of_zero_is_never_met() {
    let signer = root_signer();
    let content = root(1, 0, &[&signer]);
    let envelope = signed(&Metadata::Root(content.clone()), &[&signer]);
    assert_eq!(verify::signed_by(&content.keys, &content.root, &envelope), too_few(0, 1));
}

#[test]
fn a_rotation_needs_the_old_threshold() {
    let (first, second, third) = (root_signer(), root_signer(), root_signer());
    let old = root(1, 2, &[&first, &second]);
    let new = Metadata::Root(root(2, 1, &[&third]));
    assert_eq!(verify::next_root(&gun(), &old, &signed(&new, &[&first, &second, &third])), Ok(()));
    assert_eq!(verify::next_root(&gun(), &old, &signed(&new, &[&first, &third])), too_few(2, 1));
    assert_eq!(verify::next_root(&gun(), &old, &signed(&new, &[&first, &second])), too_few(1, 0));
}

#[test]
fn what_has_expired_is_refused() {
    let signer = root_signer();
    let content = Metadata::Root(root(1, 1, &[&signer]));
    let at = content.expires();
    assert_eq!(verify::unexpired(&content, at.instant()), Ok(()));
    let later = at.instant() + time::Duration::NANOSECOND;
    assert_eq!(verify::unexpired(&content, later), Err(VerifyError::Expired { at }));
    let envelope = signed(&content, &[&signer]);
    assert_eq!(verify::current_root(&gun(), &envelope, later), Err(VerifyError::Expired { at }));
    // the certificate starts on 2026-01-01, one day of leeway
    assert_eq!(verify::current_root(&gun(), &envelope, datetime!(2025-12-31 00:00 UTC)), Ok(()));
    let early = verify::current_root(&gun(), &envelope, datetime!(2025-12-30 23:59:59 UTC));
    assert_eq!(early, Err(VerifyError::NoRootCertificate { gun: gun() }));
}

#[test]
fn a_file_of_other_bytes_is_refused() {
    let meta = FileMeta::of(b"hello");
    assert_eq!(verify::file_matches(&meta, b"hello"), Ok(()));
    assert_eq!(verify::file_matches(&meta, b"hell"), Err(VerifyError::Length { wanted: 5, found: 4 }));
    assert_eq!(verify::file_matches(&meta, b"hullo"), Err(VerifyError::Digest { algorithm: "sha256" }));
    let mut only_512 = meta.clone();
    only_512.hashes.sha256 = None;
    assert_eq!(verify::file_matches(&only_512, b"hello"), Ok(()));
    assert_eq!(verify::file_matches(&only_512, b"hullo"), Err(VerifyError::Digest { algorithm: "sha512" }));
    only_512.hashes.sha512 = None;
    assert_eq!(verify::file_matches(&only_512, b"hello"), Err(VerifyError::NoDigest));
}
