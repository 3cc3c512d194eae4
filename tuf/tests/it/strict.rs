//! What is about to be signed is taken apart and must be exactly what we would write.

use signet_tuf::{Role, notary1};

use crate::fixture;

/// Replaces `from` by `to` in the signing form of a real file and expects how the message starts; `…` stands for a key ID.
fn refused(role: &str, directory: &str, table: &[(&str, &str, &str)]) {
    let file = if role == "root" { "1" } else { role };
    let wire = fixture::wire(directory, file);
    let envelope = signet_tuf::Envelope::parse(&fixture::role(role), &wire).unwrap();
    let signed = String::from_utf8(envelope.signed().to_vec()).unwrap();
    for (from, to, message) in table {
        let changed = signed.replacen(from, to, 1);
        assert_ne!(changed, signed, "{from} is not in the file");
        let error = notary1::parse(&fixture::role(role), changed.as_bytes()).unwrap_err();
        let error = error.to_string();
        let (start, end) = message.split_once('…').unwrap_or((message, ""));
        let as_expected = error.starts_with(start) && error.contains(end);
        assert!(as_expected, "{from} -> {to}\n  found    {error}\n  expected {message}");
    }
}

#[test]
fn targets_are_refused_with_the_place() {
    let plain = r#""plain/1.0":{"#;
    let custom = r#""with custom":{"custom":{"a":"#;
    refused(
        "targets",
        "first",
        &[
            (r#""_type":"Targets""#, r#""_type":"Root""#, "$.signed._type: the type is `Root`, expected `Targets`"),
            (r#""_type":"Targets""#, r#""_type":"targets""#, "$.signed._type: the type is `targets`"),
            (r#""_type":"Targets","#, "", "$.signed._type: the member is missing"),
            (r#"{"_type""#, r#"{"A":1,"_type""#, "$.signed.A: the member is not known here"),
            (r#""version":2"#, r#""version":2,"version":3"#, "$.signed.version: the member is there twice"),
            (r#""version":2"#, r#""version":2.0"#, "$.signed.version: the number is not a plain integer"),
            (r#""version":2"#, r#""version":-2"#, "$.signed.version: expected a whole number from 0 to 2^53"),
            (r#""version":2"#, r#""version":0"#, "$.signed.version: expected a version from 1 to 2^53 - 1"),
            (r#""version":2"#, r#""version":9007199254740992"#, "$.signed.version: expected a version from 1"),
            (r#""version":2"#, r#""version":9007199254740993"#, "$.signed.version: the number is beyond 2^53"),
            (r#""version":2"#, r#""version":"2""#, "$.signed.version: expected a whole number"),
            (r#""version":2"#, r#""version":null"#, "$.signed.version: expected a whole number"),
            (r#""version":2"#, r#""version": 2"#, "$.signed.version: not in canonical form"),
            (r#""version":2}"#, "\"version\":2}\n", "$.signed: not in canonical form"),
            (r#""version":2}"#, r#""version":2,"x":0}"#, "$.signed.x: the member is not known here"),
            (r#""delegations":{"keys":{},"roles":[]},"#, "", "$.signed.delegations: the member is missing"),
            (r#""roles":[]"#, r#""roles":null"#, "$.signed.delegations.roles: expected an array"),
            (r#""keys":{}"#, r#""keys":[]"#, "$.signed.delegations.keys: expected an object"),
            (r#""expires":"20"#, r#""expires":"x20"#, "$.signed.expires: `x20"),
            (r#"+01:00","targets""#, r#"","targets""#, "$.signed.expires: `"),
            (plain, r#""plain/1.0":{"custom":null,"#, r#"$.signed.targets["plain/1.0"]: not in canonical form"#),
            (plain, r#""plain/1.0":{"a":0,"#, r#"$.signed.targets["plain/1.0"].a: the member is not known here"#),
            (plain, r#""plain\/1.0":{"#, "$.signed.targets: not in canonical form"),
            (r#""plain/1.0":{"#, r#""a":0,"plain/1.0":{"#, "$.signed.targets: not in canonical form"),
            (r#""length":0"#, r#""length":-1"#, r#"$.signed.targets["plain/1.0"].length: expected a whole number"#),
            (r#""length":0"#, r#""length":"0""#, r#"$.signed.targets["plain/1.0"].length: expected a whole number"#),
            (
                r#""sha256":"LPJ"#,
                r#""md5":"","sha256":"LPJ"#,
                r#"$.signed.targets["< > & \" \\ é 漢 x"].hashes.md5: the member is not known"#,
            ),
            (
                r#""sha256":"LPJ"#,
                r#""sha256":"LP"#,
                r#"$.signed.targets["< > & \" \\ é 漢 x"].hashes.sha256: not standard base64"#,
            ),
            (r#"mCQ=""#, r#"mCR=""#, r#"$.signed.targets["< > & \" \\ é 漢 x"].hashes.sha256: not standard base64"#),
            (
                r#""sha256":"LPJN"#,
                r#""sha256":""#,
                r#"$.signed.targets["< > & \" \\ é 漢 x"].hashes.sha256: the digest has 29 bytes, expected 32"#,
            ),
            (
                custom,
                r#""with custom":{"custom":{"a":1.5,"b":"#,
                r#"$.signed.targets["with custom"].custom.a: the number is not"#,
            ),
            (
                custom,
                r#""with custom":{"custom":{"<":1,"a":"#,
                r#"$.signed.targets["with custom"].custom: custom data may not hold the character '<'"#,
            ),
            (
                r#"{"c":""#,
                r#"{"c":"&"#,
                r#"$.signed.targets["with custom"].custom: custom data may not hold the character '&'"#,
            ),
            (r#"{"c":""#, r#"{"c":"\n"#, r#"$.signed.targets["with custom"].custom.b.c: not in canonical form"#),
            (r#"{"c":""#, "{\"c\":\"\n", r#"$.signed.targets["with custom"].custom.b.c: unexpected byte 0x0a"#),
        ],
    );
}

#[test]
fn root_is_refused_with_the_place() {
    refused(
        "root",
        "root",
        &[
            (r#""private":null,"#, "", r#"$.signed.keys["…"].keyval.private: the member is missing"#),
            (r#""private":null"#, r#""private":"AA==""#, r#"$.signed.keys["…"].keyval.private: expected null"#),
            (r#""keytype":"ecdsa""#, r#""keytype":"dsa""#, r#"$.signed.keys["…"].keytype: `dsa` is not a key type"#),
            (
                r#""keytype":"ecdsa""#,
                r#""keytype":"ed25519""#,
                r#"$.signed.keys["…"].keyval.public: the public key cannot be decoded"#,
            ),
            (
                r#""keytype":"ecdsa""#,
                r#""keytype":"rsa""#,
                r#"$.signed.keys["…"].keyval.public: a key of type rsa cannot hold ecdsa-p256"#,
            ),
            (
                r#""consistent_snapshot":false"#,
                r#""consistent_snapshot":0"#,
                "$.signed.consistent_snapshot: expected true or false",
            ),
            (
                r#""roles":{"#,
                r#""roles":{"mirrors":{"keyids":[],"threshold":1},"#,
                "$.signed.roles.mirrors: the member is not known here",
            ),
            (r#""roles":{"root""#, r#""roles":{"root2""#, "$.signed.roles.root2: the member is not known here"),
            (r#""threshold":1"#, r#""threshold":-1"#, "$.signed.roles.root.threshold: expected a whole number"),
            (
                r#""threshold":1"#,
                r#""threshold":4294967296"#,
                "$.signed.roles.root.threshold: expected a threshold below 2^32",
            ),
            (r#""threshold":1"#, r#""threshold":true"#, "$.signed.roles.root.threshold: expected a whole number"),
            (r#""root":{"keyids":[""#, r#""root":{"keyids":["00",""#, "$.signed.roles.root.keyids[0]: "),
            (r#""root":{"keyids":[""#, r#""root":{"keyids":["x"#, "$.signed.roles.root.keyids[0]: `x"),
            (r#""root":{"keyids":[""#, r#""root":{"keyids":[1,""#, "$.signed.roles.root.keyids[0]: expected a string"),
        ],
    );
}

#[test]
fn a_key_under_another_id_is_refused() {
    let envelope = fixture::root(1);
    let signed = String::from_utf8(envelope.signed().to_vec()).unwrap();
    let (id, _) = envelope.root().unwrap().keys.first_key_value().unwrap();
    let (first, changed) = (id.to_string(), "0".repeat(64));
    let text = signed.replacen(&format!(r#""{first}":{{"keytype""#), &format!(r#""{changed}":{{"keytype""#), 1);
    let error = notary1::parse(&Role::Root, text.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), format!(r#"$.signed.keys["{changed}"]: the key's ID is {first}"#));
}

#[test]
fn an_upper_case_key_id_is_not_canonical() {
    let envelope = fixture::root(1);
    let signed = String::from_utf8(envelope.signed().to_vec()).unwrap();
    let id = envelope.root().unwrap().root.key_ids[0].to_string();
    let text = signed.replacen(&format!(r#"["{id}"]"#), &format!(r#"["{}"]"#, id.to_uppercase()), 1);
    let error = notary1::parse(&Role::Root, text.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "$.signed.roles.root.keyids[0]: not in canonical form from here on");
}

#[test]
fn delegations_are_refused_with_the_place() {
    refused(
        "targets",
        "delegated",
        &[
            (
                r#""name":"targets/"#,
                r#""name":"targets/../"#,
                "$.signed.delegations.roles[0].name: the character '.' is not allowed",
            ),
            (r#""name":"targets/"#, r#""name":"root/"#, "$.signed.delegations.roles[0].name: `root/"),
            (
                r#""name":"targets/"#,
                r#""name":"targets//"#,
                "$.signed.delegations.roles[0].name: the path segment `` is not allowed",
            ),
            (r#""paths":["#, r#""paths":[0,"#, "$.signed.delegations.roles[0].paths[0]: expected a string"),
            (r#""paths":[""],"#, r#""paths":[],"#, "$.signed.delegations.roles[0]: not in canonical form"),
            (
                r#""paths":["#,
                r#""path_hash_prefixes":[],"paths":["#,
                "$.signed.delegations.roles[0].path_hash_prefixes: the member is not known",
            ),
        ],
    );
}

#[test]
fn snapshot_and_timestamp_are_refused_with_the_place() {
    refused(
        "snapshot",
        "first",
        &[
            (r#""meta":{"#, r#""meta":{"mirrors":{},"#, "$.signed.meta.mirrors: `mirrors` is not a role"),
            (r#""meta":{"root""#, r#""meta":{"root.json""#, r#"$.signed.meta["root.json"]: `root.json` is not a role"#),
            (r#""meta":{"#, r#""meta":{"Targets/x":{},"#, r#"$.signed.meta["Targets/x"]: `Targets/x` is not a role"#),
            (r#"{"hashes":"#, r#"{"custom":{},"hashes":"#, "$.signed.meta.root.custom: the member is not known here"),
            (r#""hashes":{"#, r#""hashes":{},"hashe2":{"#, "$.signed.meta.root: not in canonical form"),
            (r#""meta""#, r#""mata""#, "$.signed.mata: the member is not known here"),
        ],
    );
    refused(
        "timestamp",
        "first",
        &[
            (r#""meta":{"#, r#""meta":{"root":{},"#, "$.signed.meta.root: the member is not known here"),
            (r#""meta":{"snapshot""#, r#""meta":{"snapshoT""#, "$.signed.meta.snapshoT: the member is not known here"),
            (
                r#""_type":"Timestamp""#,
                r#""_type":"Snapshot""#,
                "$.signed._type: the type is `Snapshot`, expected `Timestamp`",
            ),
        ],
    );
}
