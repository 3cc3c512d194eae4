//! Metadata files that the real notary made, byte for byte.

use signet_tuf::{
    Delegations, Digest, Envelope, Expires, Hashes, Metadata, ParseError, Role, Target, Targets, Version, json, notary1,
};
use time::macros::datetime;

use crate::fixture;

#[test]
fn the_wire_form_is_go_s_to_the_byte() {
    for (role, wire) in fixture::all() {
        let envelope = Envelope::parse(&role, &wire).unwrap();
        assert_eq!(String::from_utf8(envelope.to_wire()).unwrap(), String::from_utf8(wire).unwrap(), "{role}");
    }
}

#[test]
fn the_signing_form_is_parsed_strictly_and_encoded_again() {
    for (role, wire) in fixture::all() {
        let envelope = Envelope::parse(&role, &wire).unwrap();
        let metadata = notary1::parse(&role, envelope.signed()).unwrap();
        assert_eq!(&metadata, envelope.metadata(), "{role}");
        assert_eq!(notary1::encode(&metadata), *envelope.signed(), "{role}");
        assert_eq!(envelope.digest(), Digest::of(envelope.signed()));
        let again = Envelope::unsigned(metadata).with_signatures(envelope.signatures().to_vec());
        assert_eq!(again.to_wire(), wire, "{role}");
    }
}

#[test]
fn names_with_every_awkward_character_survive() {
    let envelope = fixture::envelope("first", "targets");
    let names: Vec<&str> = envelope.targets().unwrap().targets.keys().map(String::as_str).collect();
    assert_eq!(names, ["< > & \" \\ é 漢 x", "line\u{2028}sep\u{2029}", "plain/1.0", "with custom"]);
    let custom = envelope.targets().unwrap().targets["with custom"].custom.clone().unwrap();
    assert_eq!(json::to_canonical(&custom), "{\"a\":[1,-2,true,null],\"b\":{\"c\":\"\\\"\\\\ é漢\"}}".as_bytes());
    // the signing form has them raw, the wire form escaped
    assert!(String::from_utf8(envelope.signed().to_vec()).unwrap().contains(r#""< > & \" \\ é 漢 x""#));
}

#[test]
fn an_expiry_in_local_time_is_kept_as_it_is() {
    let envelope = fixture::envelope("first", "targets");
    let text = envelope.metadata().expires().to_string();
    assert!(text.ends_with("+01:00") && text.contains('.'), "{text}");
}

#[test]
fn an_upper_case_method_is_written_in_lower_case() {
    let wire = String::from_utf8(fixture::wire("first", "targets")).unwrap();
    let shouted = wire.replace(r#""method":"ecdsa""#, r#""method":"ECDSA""#);
    assert_ne!(shouted, wire);
    let envelope = Envelope::parse(&Role::Targets, shouted.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(envelope.to_wire()).unwrap(), wire);
}

#[test]
fn unknown_members_stay_in_the_signing_form() {
    let wire = String::from_utf8(fixture::wire("first", "targets")).unwrap();
    let extended = wire.replacen(r#""version":2"#, r#""version":2,"x":[{"y":null}]"#, 1).replacen('{', r#"{"z":1,"#, 1);
    let envelope = Envelope::parse(&Role::Targets, extended.as_bytes()).unwrap();
    assert!(envelope.signed().ends_with(br#""version":2,"x":[{"y":null}]}"#));
    assert_eq!(envelope.metadata(), fixture::envelope("first", "targets").metadata());
}

#[test]
fn empty_collections_may_be_null_or_absent() {
    let wire = String::from_utf8(fixture::wire("first", "targets")).unwrap();
    let delegations = r#""delegations":{"keys":{},"roles":[]},"#;
    for loose in ["", r#""delegations":null,"#, r#""delegations":{"keys":null,"roles":null},"#] {
        let envelope = Envelope::parse(&Role::Targets, wire.replace(delegations, loose).as_bytes()).unwrap();
        assert!(envelope.targets().unwrap().delegations.roles.is_empty());
    }
}

#[test]
fn a_member_that_go_would_take_for_another_is_refused() {
    for name in ["Version", "VERSION", "ver\u{17f}ion"] {
        let wire = String::from_utf8(fixture::wire("first", "targets")).unwrap();
        let twofold = wire.replacen(r#""version":2"#, &format!(r#""version":2,"{name}":9"#), 1);
        let error = Envelope::parse(&Role::Targets, twofold.as_bytes()).unwrap_err();
        assert!(error.to_string().ends_with("the member would be read as `version`"), "{error}");
    }
}

#[test]
fn a_file_of_another_role_is_refused() {
    let wire = fixture::wire("first", "snapshot");
    let error = Envelope::parse(&Role::Timestamp, &wire).unwrap_err();
    assert_eq!(error.to_string(), "$.signed._type: the type is `Snapshot`, expected `Timestamp`");
    assert!(matches!(fixture::envelope("first", "snapshot").metadata(), Metadata::Snapshot(_)));
}

#[test]
fn a_malformed_file_is_refused_with_the_place() {
    let table = [
        (r#""signatures":[{"#, r#""signatures":[{"sig":"","#, "$.signatures[0].sig: the member is there twice"),
        (r#""method":"ecdsa""#, r#""method":"dsa""#, "$.signatures[0].method: `dsa` is not a signing method"),
        (r#""method":"ecdsa","#, "", "$.signatures[0].method: the member is missing"),
        (r#""sig":""#, r#""sig":"*"#, "$.signatures[0].sig: not standard base64 with padding"),
        (r#"{"keyid":""#, r#"{"keyid":"0"#, "$.signatures[0].keyid: `"),
        (r#""signatures":["#, r#""signatures":[7,"#, "$.signatures[0]: expected an object"),
        (r#","signatures":"#, r#","signature":"#, "$.signatures: the member is missing"),
        (r#"{"signed":{"#, r#"{"signed":[{"#, "$.signed: "),
    ];
    let wire = String::from_utf8(fixture::wire("first", "targets")).unwrap();
    for (from, to, message) in table {
        let text = wire.replacen(from, to, 1);
        assert_ne!(text, wire);
        let error: ParseError = Envelope::parse(&Role::Targets, text.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with(message), "{error}");
    }
}

#[test]
fn custom_data_is_refused_where_go_clients_would_break_it() {
    let sorted = notary1::custom(br#" {"b": [1, null], "a": "x"} "#).unwrap();
    assert_eq!(json::to_canonical(&sorted), br#"{"a":"x","b":[1,null]}"#);
    let table = [
        (r#"{"a":1.5}"#, "$.a: the number is not a plain integer"),
        (r#"{"a":"<"}"#, "$: custom data may not hold the character '<'"),
        (r#"{"a&b":1}"#, "$: custom data may not hold the character '&'"),
        (r#"["\u2028"]"#, "$: custom data may not hold the character '\\u{2028}'"),
        (r#"["\n"]"#, "$: custom data may not hold the character '\\n'"),
        ("{", "$: the JSON text ends too early"),
    ];
    for (text, message) in table {
        assert_eq!(notary1::custom(text.as_bytes()).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn targets_out_of_order_are_read_but_not_signed() {
    let target = |length| Target { length, hashes: Hashes::of(b"abc"), custom: None };
    let content = Targets {
        version: Version::FIRST,
        expires: Expires::at(datetime!(2030-01-01 0:00 UTC)),
        targets: [("a".to_owned(), target(1)), ("b".to_owned(), target(2))].into(),
        delegations: Delegations::default(),
    };
    let signed = String::from_utf8(notary1::encode(&Metadata::Targets(content))).unwrap();
    let published = |signed: &str| format!(r#"{{"signed":{signed},"signatures":[]}}"#);
    let (first, second) = (signed.find(r#""a":"#).unwrap(), signed.find(r#","b":"#).unwrap());
    let end = signed.find(r#"},"version""#).unwrap();
    let (head, a, b, tail) = (&signed[..first], &signed[first..second], &signed[second + 1..end], &signed[end..]);
    let swapped = format!("{head}{b},{a}{tail}");
    assert!(notary1::parse(&Role::Targets, swapped.as_bytes()).is_err());
    let envelope = Envelope::parse(&Role::Targets, published(&swapped).as_bytes()).unwrap();
    assert_eq!(*envelope.signed(), signed);
    let twice = format!("{head}{a},{a}{tail}");
    assert!(notary1::parse(&Role::Targets, twice.as_bytes()).is_err());
    assert!(Envelope::parse(&Role::Targets, published(&twice).as_bytes()).is_err());
}

#[test]
fn custom_data_may_nest_as_deep_as_in_any_other_form() {
    for levels in 118..=json::MAX_DEPTH {
        let custom = (1..levels).fold(json::Value::Array(vec![]), |inner, _| json::Value::Array(vec![inner]));
        let target = Target { length: 1, hashes: Hashes::of(b"a"), custom: Some(custom) };
        let content = Targets {
            version: Version::FIRST,
            expires: Expires::at(datetime!(2030-01-01 0:00 UTC)),
            targets: [("a".to_owned(), target)].into(),
            delegations: Delegations::default(),
        };
        let signed = String::from_utf8(notary1::encode(&Metadata::Targets(content))).unwrap();
        assert_eq!(
            notary1::parse(&Role::Targets, signed.as_bytes()).is_ok(),
            json::parse(signed.as_bytes()).is_ok(),
            "{levels}"
        );
        let wire = format!(r#"{{"signed":{signed},"signatures":[]}}"#);
        let plain = Envelope::parse(&Role::Targets, wire.as_bytes());
        assert_eq!(plain.is_ok(), json::parse(wire.as_bytes()).is_ok(), "{levels}");
        assert_eq!(plain.is_ok(), Envelope::parse(&Role::Targets, format!(" {wire}").as_bytes()).is_ok(), "{levels}");
    }
}
