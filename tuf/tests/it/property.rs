//! Any metadata survives the way to the signing form, to the wire and back.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use signet_tuf::json::{MAX_INTEGER, Value};
use signet_tuf::{
    DelegatedRole, Delegations, Envelope, Expires, FileMeta, Hashes, KeyId, Metadata, Method, Role, Signature, Target,
    Targets, Version,
    notary1::{self, Started},
};
use time::{OffsetDateTime, UtcOffset};

/// What a target may be called: anything without control characters, with those that need an escape made likely.
const NAMES: &str = "([<>&\"\\\\\u{2028}\u{2029}é漢 /]|\\PC){1,6}";

proptest! {
    #[test]
    fn the_signing_form_reads_back_as_the_same_metadata(targets in targets()) {
        let metadata = Metadata::Targets(targets);
        let signed = notary1::encode(&metadata);
        prop_assert_eq!(notary1::parse(&Role::Targets, &signed), Ok(metadata));
    }

    #[test]
    fn the_wire_form_reads_back_as_the_same_file(targets in targets(), signatures in vec(signature(), 0..3)) {
        let envelope = Envelope::unsigned(Metadata::Targets(targets)).with_signatures(signatures);
        let wire = envelope.to_wire();
        prop_assert!(!wire.iter().any(|byte| b"<>&".contains(byte)));
        let again = Envelope::parse(&Role::Targets, &wire).unwrap();
        prop_assert_eq!(again.to_wire(), wire.as_slice());
        let started = Started::with(envelope.signed()).finish(envelope.signatures());
        prop_assert_eq!(started, (wire.clone(), FileMeta::of(&wire)));
        // a blank in front is the general reader's business
        prop_assert_eq!(&Envelope::parse(&Role::Targets, &[b" ", wire.as_slice()].concat()).unwrap(), &again);
        prop_assert_eq!(again, envelope);
    }

    #[test]
    fn an_expiry_is_written_as_it_was_read(seconds in 0_i64..200_000_000_000, nanosecond in 0_u32..1_000_000_000, minutes in -1439_i32..1440) {
        let offset = UtcOffset::from_whole_seconds(minutes * 60).unwrap();
        let instant = OffsetDateTime::from_unix_timestamp(seconds).unwrap().replace_nanosecond(nanosecond).unwrap();
        let format = &time::format_description::well_known::Rfc3339;
        let read = Expires::parse(&instant.to_offset(offset).format(format).unwrap()).unwrap();
        prop_assert_eq!(read.instant(), instant);
        prop_assert_eq!(Expires::parse(&read.to_string()), Ok(read));
    }
}

fn targets() -> impl Strategy<Value = Targets> {
    let version = (1_u64..1 << 53).prop_map(|number| Version::new(number).unwrap());
    let expires =
        (0_i64..200_000_000_000).prop_map(|seconds| Expires::at(OffsetDateTime::from_unix_timestamp(seconds).unwrap()));
    let roles = vec(delegated_role(), 0..3).prop_map(|roles| Delegations { roles, ..Delegations::default() });
    (version, expires, btree_map(NAMES, target(), 0..4), roles)
        .prop_map(|(version, expires, targets, delegations)| Targets { version, expires, targets, delegations })
}

fn target() -> impl Strategy<Value = Target> {
    let custom = option::of(prop_oneof![
        (-MAX_INTEGER..=MAX_INTEGER).prop_map(Value::Integer),
        "[a-zé\"\\\\]{0,4}".prop_map(Value::String),
        btree_map("[a-c]", any::<bool>().prop_map(Value::Bool), 0..3).prop_map(|members| Value::Object(members.into())),
    ]);
    let content = any::<[u8; 4]>();
    (0..=MAX_INTEGER.unsigned_abs(), content, any::<bool>(), custom).prop_map(|(length, content, both, custom)| {
        let all = Hashes::of(&content);
        let hashes = if both { all } else { Hashes { sha512: None, ..all } };
        Target { length, hashes, custom }
    })
}

fn delegated_role() -> impl Strategy<Value = DelegatedRole> {
    let name = "targets/[-a-z0-9_]{1,4}(/[a-z]{1,2})?".prop_map(|name| name.parse().unwrap());
    (name, vec(key_id(), 0..3), vec(NAMES, 0..3), any::<u32>())
        .prop_map(|(name, key_ids, paths, threshold)| DelegatedRole { name, key_ids, paths, threshold })
}

fn signature() -> impl Strategy<Value = Signature> {
    let method = prop_oneof![Just(Method::Ecdsa), Just(Method::RsaPss), Just(Method::RsaPkcs1v15), Just(Method::EdDsa)];
    (key_id(), method, vec(any::<u8>(), 0..80)).prop_map(|(key_id, method, sig)| Signature { key_id, method, sig })
}

fn key_id() -> impl Strategy<Value = KeyId> {
    any::<[u8; 32]>().prop_map(KeyId::from_bytes)
}
