//! What must hold inside one file, whoever signed it.

use signet_tuf::verify::{VerifyError, structure};
use signet_tuf::{KeyId, Metadata, Role, Root, Snapshot, Targets, Timestamp};

use crate::fixture::{self, role};

#[test]
fn real_files_are_sound() {
    for (role, wire) in fixture::all() {
        let envelope = signet_tuf::Envelope::parse(&role, &wire).unwrap();
        assert_eq!(structure(&role, envelope.metadata()), Ok(()), "{role}");
    }
}

#[test]
fn metadata_of_another_role_is_refused() {
    let envelope = fixture::envelope("first", "snapshot");
    let verdict = structure(&Role::Timestamp, envelope.metadata());
    assert_eq!(verdict, Err(VerifyError::WrongRole { role: Role::Timestamp }));
}

#[test]
fn a_root_that_cannot_be_signed_is_refused() {
    let unknown = KeyId::from_bytes([7; 32]);
    let changed = |change: fn(&mut Root)| {
        let mut root = fixture::root(1).root().unwrap().clone();
        change(&mut root);
        structure(&Role::Root, &Metadata::Root(root))
    };
    let table = [
        (
            changed(|root| root.targets.threshold = 2),
            VerifyError::TooFewKeys { role: Role::Targets, keys: 1, threshold: 2 },
        ),
        (
            changed(|root| {
                root.snapshot.key_ids.push(root.snapshot.key_ids[0]);
                root.snapshot.threshold = 2;
            }),
            VerifyError::TooFewKeys { role: Role::Snapshot, keys: 1, threshold: 2 },
        ),
        (
            changed(|root| root.timestamp.key_ids.clear()),
            VerifyError::TooFewKeys { role: Role::Timestamp, keys: 0, threshold: 1 },
        ),
        (changed(|root| root.root.threshold = 0), VerifyError::ZeroThreshold { role: Role::Root }),
        (
            changed(|root| root.root.key_ids.push(KeyId::from_bytes([7; 32]))),
            VerifyError::MissingKey { role: Role::Root, key_id: unknown },
        ),
    ];
    for (verdict, error) in table {
        assert_eq!(verdict, Err(error));
    }
}

#[test]
fn delegations_that_do_not_hang_together_are_refused() {
    let changed = |parent: &str, change: fn(&mut Targets)| {
        let mut targets = fixture::envelope("delegated", "targets").targets().unwrap().clone();
        change(&mut targets);
        structure(&role(parent), &Metadata::Targets(targets))
    };
    let unknown = KeyId::from_bytes([7; 32]);
    let first = "targets/p256".parse().unwrap();
    assert_eq!(changed("targets", |_| ()), Ok(()));
    assert_eq!(
        changed("targets/a", |_| ()),
        Err(VerifyError::NotAChild { parent: role("targets/a"), name: "targets/p256".parse().unwrap() })
    );
    assert_eq!(
        changed("targets", |targets| targets.delegations.roles[0].name = "targets/a/b".parse().unwrap()),
        Err(VerifyError::NotAChild { parent: Role::Targets, name: "targets/a/b".parse().unwrap() })
    );
    assert_eq!(
        changed("targets", |targets| {
            let again = targets.delegations.roles[0].clone();
            targets.delegations.roles.push(again);
        }),
        Err(VerifyError::ListedTwice { name: first })
    );
    assert_eq!(
        changed("targets", |targets| targets.delegations.roles[0].threshold = 0),
        Err(VerifyError::ZeroThreshold { role: role("targets/p256") })
    );
    assert_eq!(
        changed("targets", |targets| targets.delegations.roles[0].key_ids.push(KeyId::from_bytes([7; 32]))),
        Err(VerifyError::MissingKey { role: role("targets/p256"), key_id: unknown })
    );
    // readers skip such a delegation, the file is lawful
    assert_eq!(changed("targets", |targets| targets.delegations.roles[0].key_ids.clear()), Ok(()));
}

#[test]
fn snapshot_and_timestamp_must_name_their_files() {
    let snapshot = |change: fn(&mut Snapshot)| {
        let mut snapshot = fixture::envelope("first", "snapshot").snapshot().unwrap().clone();
        change(&mut snapshot);
        structure(&Role::Snapshot, &Metadata::Snapshot(snapshot))
    };
    let missing = |role| Err(VerifyError::MissingFile { role });
    assert_eq!(snapshot(|s| s.meta.retain(|role, _| *role != Role::Root)), missing(Role::Root));
    assert_eq!(snapshot(|s| s.meta.retain(|role, _| *role != Role::Targets)), missing(Role::Targets));
    assert_eq!(snapshot(|s| s.meta.get_mut(&Role::Targets).unwrap().hashes.sha256 = None), missing(Role::Targets));
    assert_eq!(snapshot(|s| s.meta.get_mut(&Role::Targets).unwrap().hashes.sha512 = None), Ok(()));
    let mut timestamp: Timestamp = fixture::envelope("first", "timestamp").timestamp().unwrap().clone();
    timestamp.snapshot.hashes.sha256 = None;
    assert_eq!(structure(&Role::Timestamp, &Metadata::Timestamp(timestamp)), missing(Role::Snapshot));
}
