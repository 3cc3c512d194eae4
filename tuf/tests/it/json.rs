//! The reader and the two writers.

use proptest::prelude::*;
use signet_tuf::json::{self, MAX_INTEGER, Value, parse, to_canonical, to_wire};

use crate::fixture;

/// Where the four implementations differ and we do as Go does: text is never normalised, members are sorted by bytes.
const AS_GO_DOES: [&str; 10] = [
    "065-jcs-unicode",
    "067-jcs-weird",
    "096-gib-6.string-1.no-unnecessary-escapes",
    "111-edge-prefix-keys",
    "117-edge-nfd",
    "118-edge-nfd-key",
    "119-edge-nfc-nfd-keys",
    "120-edge-hangul-jamo",
    "122-edge-angstrom-sign",
    "125-edge-astral-key-order",
];

/// Where they agree and we refuse all the same: all four keep the last of several members of one name.
const DUPLICATES: [&str; 2] = ["128-edge-dup-keys", "129-edge-dup-keys-nested"];

#[test]
fn canonical_form_is_what_others_agree_on() {
    for vector in vectors().iter().filter(|vector| vector["verdict"] == "agree") {
        let name = field(vector, "name");
        let parsed = parse(field(vector, "input").as_bytes());
        if DUPLICATES.contains(&name) {
            assert_eq!(parsed.unwrap_err().problem, json::Problem::DuplicateMember, "{name}");
        } else {
            assert_eq!(hex::encode(to_canonical(&parsed.unwrap())), field(vector, "output"), "{name}");
        }
    }
}

#[test]
fn what_nobody_reads_is_refused() {
    for vector in vectors().iter().filter(|vector| vector["verdict"] == "error") {
        assert!(parse(field(vector, "input").as_bytes()).is_err(), "{}", field(vector, "name"));
    }
}

#[test]
fn where_others_differ_we_do_as_go_does_or_refuse() {
    let vectors = vectors();
    let differing: Vec<_> = vectors.iter().filter(|vector| vector["verdict"] == "differ").collect();
    assert_eq!(differing.len(), 29);
    for vector in differing {
        let name = field(vector, "name");
        match parse(field(vector, "input").as_bytes()) {
            Ok(value) => {
                assert!(AS_GO_DOES.contains(&name), "{name} is accepted");
                assert_eq!(hex::encode(to_canonical(&value)), field(vector, "go"), "{name}");
            }
            Err(error) => assert!(!AS_GO_DOES.contains(&name), "{name}: {error}"),
        }
    }
}

#[test]
fn a_fault_is_named_with_its_place() {
    let table = [
        (r#"{"a":1,"b":{"c d":[0,{"e":1,"e":2}]}}"#, r#"$.b["c d"][1].e: the member is there twice"#),
        (r#"{"a":[1,2.0]}"#, "$.a[1]: the number is not a plain integer"),
        (r#"{"a":1e3}"#, "$.a: the number is not a plain integer"),
        (r#"{"a":-0}"#, "$.a: the number is not a plain integer"),
        (r#"[9007199254740993]"#, "$[0]: the number is beyond 2^53"),
        (r#"[-9007199254740993]"#, "$[0]: the number is beyond 2^53"),
        (r#"[99999999999999999999999]"#, "$[0]: the number is beyond 2^53"),
        (r#"[99999999999999999999999.5]"#, "$[0]: the number is not a plain integer"),
        (r#"{"a":"\ud800"}"#, "$.a: the string holds half of a surrogate pair"),
        (r#"{"a":"\ud800\u0041"}"#, "$.a: the string holds half of a surrogate pair"),
        (r#"{"a":"\udc00"}"#, "$.a: the string holds half of a surrogate pair"),
        ("{\"a\":\"\n\"}", "$.a: unexpected byte 0x0a at offset 6"),
        (r#"{"a":tru}"#, "$.a: unexpected byte 0x7d at offset 8"),
        (r#"{"a":01}"#, "$.a: unexpected byte 0x31 at offset 6"),
        (r#"{"a":-}"#, "$.a: unexpected byte 0x7d at offset 6"),
        (r#"{"a":{"b""#, "$.a.b: the JSON text ends too early"),
        (r#"{"a":1,}"#, "$: unexpected byte 0x7d at offset 7"),
        (r#"{} {}"#, "$: unexpected byte 0x7b at offset 3"),
        ("", "$: the JSON text ends too early"),
    ];
    for (text, message) in table {
        assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), message, "{text}");
    }
    assert_eq!(parse(b"[\"\xff\"]").unwrap_err().to_string(), "$[0]: the string is not UTF-8");
}

#[test]
fn nesting_ends_at_the_limit() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(parse(nested(json::MAX_DEPTH).as_bytes()).is_ok());
    let error = parse(nested(json::MAX_DEPTH + 1).as_bytes()).unwrap_err();
    assert_eq!(error.problem, json::Problem::TooDeep);
    assert!(parse("[".repeat(1_000_000).as_bytes()).is_err());
}

#[test]
fn the_wire_form_escapes_what_go_escapes() {
    let value = Value::String("<>& \u{2028}\u{2029} \"\\/ é漢\u{7f}\u{1f}\n".into());
    let wire = String::from_utf8(to_wire(&value)).unwrap();
    assert_eq!(wire, "\"\\u003c\\u003e\\u0026 \\u2028\\u2029 \\\"\\\\/ é漢\u{7f}\\u001f\\u000a\"");
    let canonical = String::from_utf8(to_canonical(&value)).unwrap();
    assert_eq!(canonical, "\"<>& \u{2028}\u{2029} \\\"\\\\/ é漢\u{7f}\u{1f}\n\"");
}

proptest! {
    #[test]
    fn the_wire_form_reads_back_as_the_same_value(value in values(".{0,8}")) {
        prop_assert_eq!(parse(&to_wire(&value)), Ok(value));
    }

    #[test]
    fn the_canonical_form_is_a_fixed_point(value in values("\\PC{0,8}")) {
        let canonical = to_canonical(&value);
        let parsed = parse(&canonical).unwrap();
        prop_assert_eq!(&parsed, &value);
        prop_assert_eq!(to_canonical(&parsed), canonical);
    }

    #[test]
    fn whatever_is_accepted_means_the_same_to_another_reader(text in r#"([\[\]{},:]|"[a-b\\u0-9d]{0,7}"|-?[0-9.e+]{1,3}|null|true| ){0,12}"#) {
        if let Ok(value) = parse(text.as_bytes()) {
            let theirs: serde_json::Value = serde_json::from_str(&text).unwrap();
            let ours: serde_json::Value = serde_json::from_slice(&to_wire(&value)).unwrap();
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(value) = parse(&bytes) {
            prop_assert_eq!(parse(&to_wire(&value)), Ok(value));
        }
    }
}

/// Any value, with strings of the pattern.
fn values(strings: &'static str) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-MAX_INTEGER..=MAX_INTEGER).prop_map(Value::Integer),
        strings.prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::btree_map(strings, inner, 0..6).prop_map(|members| Value::Object(members.into())),
        ]
    })
}

fn vectors() -> Vec<serde_json::Value> {
    serde_json::from_slice(&fixture::bytes("canonical-json.json")).unwrap()
}

fn field<'a>(vector: &'a serde_json::Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap()
}
