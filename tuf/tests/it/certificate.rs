//! The certificates of root keys: ours are built like Notary's.

use der::{Decode, Encode};
use signet_tuf::certificate::{Subject, Template};
use signet_tuf::{Algorithm, Certificate, Method, PublicKey};
use time::macros::datetime;

use crate::fixture;
use crate::signer::{Signer, template};

#[test]
fn the_same_fields_give_the_bytes_that_notary_signed() {
    for version in [1, 3, 4] {
        let envelope = fixture::root(version);
        let root = envelope.root().unwrap();
        let key = &root.keys[&root.root.key_ids[0]];
        let text = std::str::from_utf8(key.public()).unwrap();
        let block = pem::parse(text).unwrap();
        let theirs = x509_cert::Certificate::from_der(block.contents()).unwrap();
        let serial = theirs.tbs_certificate().serial_number().as_bytes();
        let mut padded = [0; 16];
        let digits = serial.strip_prefix(&[0]).unwrap_or(serial);
        padded[16 - digits.len()..].copy_from_slice(digits);
        let certificate = key.certificate().unwrap();
        let ours = Template {
            subject: Subject::Collection(fixture::gun()),
            key: PublicKey::from_spki(key.spki()).unwrap(),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
            serial: padded,
        };
        assert_eq!(
            hex::encode(ours.to_be_signed()),
            hex::encode(theirs.tbs_certificate().to_der().unwrap()),
            "root {version}"
        );
    }
}

#[test]
fn a_certificate_says_what_the_template_said() {
    let gun = "é漢/a_b".parse().unwrap();
    for algorithm in [Algorithm::EcdsaP256, Algorithm::EcdsaP521, Algorithm::Rsa(2048), Algorithm::Ed25519] {
        let signer = Signer::new(algorithm);
        let text = signer.certificate(&gun, 0xff);
        assert!(text.starts_with("-----BEGIN CERTIFICATE-----\n") && text.ends_with("-----END CERTIFICATE-----\n"));
        assert!(!text.contains('\r'));
        let bundle = Certificate::bundle(&text).unwrap();
        assert_eq!(bundle.len(), 1);
        assert_eq!(bundle[0].common_name(), gun.as_str());
        assert_eq!(bundle[0].not_before(), datetime!(2026-01-01 00:00 UTC));
        assert_eq!(bundle[0].not_after(), datetime!(2056-01-01 00:00 UTC));
        assert_eq!(bundle[0].spki(), signer.key.spki());
        assert!(!bundle[0].is_ca() && bundle[0].fit().is_ok());
    }
}

#[test]
fn a_certificate_needs_the_key_s_own_signature() {
    let signer = Signer::new(Algorithm::EcdsaP256);
    let wanted = template(&fixture::gun(), &signer.key, 1);
    let other = template(&fixture::gun(), &signer.key, 2);
    assert_eq!(wanted.method(), Method::Ecdsa);
    let signature = signer.sign(Method::Ecdsa, &other.to_be_signed());
    assert!(other.assemble(&signature).is_ok());
    assert!(wanted.assemble(&signature).is_err());
    let stranger = Signer::new(Algorithm::EcdsaP256);
    assert!(wanted.assemble(&stranger.sign(Method::Ecdsa, &wanted.to_be_signed())).is_err());
}

#[test]
fn a_strict_reader_gets_the_same_bytes_again() {
    for algorithm in [Algorithm::EcdsaP256, Algorithm::EcdsaP521, Algorithm::Rsa(2048), Algorithm::Ed25519] {
        let text = Signer::new(algorithm).certificate(&fixture::gun(), 7);
        let block = pem::parse(&text).unwrap();
        let parsed = x509_cert::Certificate::from_der(block.contents()).unwrap();
        let body = parsed.tbs_certificate();
        assert_eq!(parsed.to_der().unwrap(), block.contents(), "{algorithm}");
        assert_eq!(body.signature(), parsed.signature_algorithm());
        assert_eq!(body.issuer(), body.subject());
        assert_eq!(body.extensions().unwrap().len(), 3);
    }
}

#[test]
fn what_is_not_a_certificate_is_refused() {
    let good = Signer::new(Algorithm::EcdsaP256).certificate(&fixture::gun(), 1);
    let other_block = good.replace("CERTIFICATE", "PUBLIC KEY");
    let broken = good.replacen("MII", "MIJ", 1);
    for text in ["", "garbage", other_block.as_str(), broken.as_str()] {
        assert!(Certificate::bundle(text).is_err(), "{text}");
    }
    assert_eq!(Certificate::bundle(&format!("preface\n{good}\n{good}")).unwrap().len(), 2);
}
