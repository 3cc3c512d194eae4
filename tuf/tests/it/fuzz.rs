//! Broken JSON and broken metadata.

use der::Decode;
use signet_fuzz::{JSON, Language, fuzz};
use signet_tuf::{
    Algorithm, Envelope, Gun, PublicKey, Role, blocks, certificate_request, json, notary1, root_certificate, verify,
};
use x509_cert::request::CertReqInfo;

use crate::fixture;
use crate::root_certificate::NOW;
use crate::signer::Signer;

fn language() -> Language {
    let mut seeds: Vec<Vec<u8>> = fixture::all().into_iter().map(|(_, wire)| wire).collect();
    seeds.extend(
        fixture::all()
            .into_iter()
            .filter_map(|(role, wire)| Some(Envelope::parse(&role, &wire).ok()?.signed().to_vec())),
    );
    let mut words = JSON.to_vec();
    words.extend([
        &b"\"signed\":"[..],
        b"\"signatures\":",
        b"\"_type\":\"Root\"",
        b"\"_type\":\"Targets\"",
        b"\"version\":0",
        b"\"version\":2147483647",
        b"\"expires\":\"9999-12-31T23:59:59Z\"",
        b"\"expires\":\"2026-02-30T00:00:00+25:00\"",
        b"\"threshold\":0",
        b"\"keyids\":[]",
        b"\"private\":\"\"",
        b"\"targets/a\"",
        b"\"custom\":",
        b"\"paths\":[\"\"]",
        b"\\u003c",
        b"\xe2\x80\xa8",
    ]);
    Language { seeds, words }
}

const ROLES: [&str; 5] = ["root", "targets", "targets/a", "snapshot", "timestamp"];

#[test]
fn fuzz_canonical_json() {
    fuzz("canonical-json", &language(), |input| {
        let Ok(value) = json::parse(input) else { return };
        let (canonical, wire) = (json::to_canonical(&value), json::to_wire(&value));
        assert_eq!(json::parse(&wire).as_ref(), Ok(&value), "the wire form says the same");
        match json::parse(&canonical) {
            Ok(again) => assert_eq!(again, value, "the canonical form says the same"),
            // a control character stays raw in the canonical form, which then is no JSON
            Err(error) => assert!(canonical.iter().any(|byte| *byte < 0x20), "{error}"),
        }
    });
}

#[test]
fn fuzz_metadata() {
    let roles = ROLES.map(|role| role.parse::<Role>().unwrap());
    fuzz("metadata", &language(), |input| {
        for role in &roles {
            if let Ok(metadata) = notary1::parse(role, input) {
                assert_eq!(notary1::encode(&metadata), input, "what is signed is what was parsed");
                let unsigned = [b" {\"signed\":", input, b",\"signatures\":[]}"].concat();
                let general = Envelope::parse(role, &unsigned).expect("what is signed can be published");
                assert_eq!(general.metadata(), &metadata, "the general reader reads the same");
                drop(verify::structure(role, &metadata));
            }
            // a blank in front is the general reader's business
            let general = Envelope::parse(role, &[b" ", input].concat()).ok();
            assert_eq!(Envelope::parse(role, input).ok(), general, "both readers read the same");
            if let Some(envelope) = general {
                let again = Envelope::parse(role, &envelope.to_wire());
                assert_eq!(again.as_ref(), Ok(&envelope), "the wire form says the same");
                drop(verify::structure(role, envelope.metadata()));
            }
        }
    });
}

#[test]
fn fuzz_root_certificates() {
    let seeds = ["leaf", "wildcard", "two-names", "ca"].map(|name| fixture::text(&format!("certificates/{name}.crt")));
    let [leaf, .., ca] = &seeds;
    let seeds = seeds.iter().chain([&format!("{leaf}{ca}")]).map(|text| text.as_bytes().to_vec()).collect();
    let words = vec![&b"-----BEGIN CERTIFICATE-----\n"[..], b"-----END CERTIFICATE-----\n", b"a: b\n\n", b"\r\n", b" "];
    fuzz("root-certificates", &Language { seeds, words }, |input| {
        drop(blocks(input));
        let Ok(text) = std::str::from_utf8(input) else { return };
        let Ok(key) = root_certificate::parse(text, &fixture::gun(), NOW) else { return };
        let kept = std::str::from_utf8(key.public()).expect("PEM is text");
        assert_eq!(
            root_certificate::parse(kept, &fixture::gun(), NOW).as_ref(),
            Ok(&key),
            "what is kept says the same"
        );
        assert_eq!(PublicKey::new(key.key_type(), key.public().to_vec()).as_ref(), Ok(&key), "a root can list it");
    });
}

#[test]
fn fuzz_certificate_requests() {
    let key = Signer::new(Algorithm::EcdsaP256).key;
    let seeds = ["example.com/acme/app", "é漢/a_b"].map(|gun| gun.as_bytes().to_vec()).to_vec();
    let words = vec![&b","[..], b"CN=", b"+", b"*", b"\\", b"\"", b"\0"];
    fuzz("certificate-requests", &Language { seeds, words }, |input| {
        let Some(gun) = std::str::from_utf8(input).ok().and_then(|text| text.parse::<Gun>().ok()) else { return };
        let template = certificate_request::Template { gun, key: key.clone() };
        let request = CertReqInfo::from_der(&template.to_be_signed()).expect("others can read it");
        let names: Vec<&[u8]> = request.subject.iter().map(|name| name.value.value()).collect();
        assert_eq!(names, [input], "it names the collection and nothing else");
    });
}
