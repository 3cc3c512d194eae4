//! Requests for certificates of root keys, read again by somebody else's reader.

use der::{Decode, Encode};
use signet_tuf::certificate_request::Template;
use signet_tuf::{Algorithm, Method, PublicKey};
use x509_cert::request::CertReq;

use crate::signer::Signer;

const GUN: &str = "example.com/acme/app";

fn template(gun: &str, signer: &Signer) -> Template {
    Template { gun: gun.parse().unwrap(), key: PublicKey::from_spki(signer.key.spki()).unwrap() }
}

fn assembled(wanted: &Template, signer: &Signer) -> CertReq {
    let text = wanted.assemble(&signer.sign(wanted.method(), &wanted.to_be_signed())).unwrap();
    assert!(text.starts_with("-----BEGIN CERTIFICATE REQUEST-----\n"), "{text}");
    assert!(text.ends_with("-----END CERTIFICATE REQUEST-----\n") && !text.contains('\r'), "{text}");
    let block = pem::parse(&text).unwrap();
    let request = CertReq::from_der(block.contents()).unwrap();
    assert_eq!(request.to_der().unwrap(), block.contents(), "a strict reader gets the same bytes again");
    assert_eq!(request.info.to_der().unwrap(), wanted.to_be_signed());
    request
}

#[test]
fn a_request_says_what_the_template_said() {
    const P256: &str = "1.2.840.10045.4.3.2";
    let long = format!("example.com/{}", "long/".repeat(48));
    let table = [
        (Algorithm::EcdsaP256, GUN, Method::Ecdsa, P256),
        (Algorithm::EcdsaP521, "é漢/a_b", Method::Ecdsa, P256),
        (Algorithm::Rsa(2048), long.trim_end_matches('/'), Method::RsaPkcs1v15, "1.2.840.113549.1.1.11"),
        (Algorithm::Ed25519, "a,CN=b+c", Method::EdDsa, "1.3.101.112"),
    ];
    for (algorithm, gun, method, signed_by) in table {
        let signer = Signer::new(algorithm);
        let wanted = template(gun, &signer);
        assert_eq!(wanted.method(), method, "{algorithm}");
        let request = assembled(&wanted, &signer);
        let names: Vec<_> = request.info.subject.iter().collect();
        assert_eq!(names.len(), 1, "{gun}");
        assert_eq!((names[0].oid.to_string().as_str(), names[0].value.value()), ("2.5.4.3", gun.as_bytes()));
        assert_eq!(request.info.public_key.to_der().unwrap(), signer.key.spki());
        assert_eq!(request.algorithm.oid.to_string(), signed_by);
    }
}

#[test]
fn a_request_asks_for_no_authority_and_no_extended_usage() {
    let signer = Signer::new(Algorithm::EcdsaP256);
    let request = assembled(&template(GUN, &signer), &signer);
    let attributes: Vec<_> = request.info.attributes.iter().collect();
    assert_eq!(attributes.len(), 1);
    assert_eq!(attributes[0].oid.to_string(), "1.2.840.113549.1.9.14");
    // RFC 5280: critical basicConstraints without cA, critical keyUsage of digitalSignature alone
    let wanted = "301e300c0603551d130101ff04023000300e0603551d0f0101ff040403020780";
    let values: Vec<_> = attributes[0].values.iter().map(|value| hex::encode(value.to_der().unwrap())).collect();
    assert_eq!(values, [wanted]);
}

#[test]
fn a_request_needs_the_key_s_own_signature() {
    let (signer, stranger) = (Signer::new(Algorithm::EcdsaP256), Signer::new(Algorithm::EcdsaP256));
    let (wanted, other) = (template(GUN, &signer), template("another", &signer));
    let by = |signer: &Signer, of: &Template| signer.sign(Method::Ecdsa, &of.to_be_signed());
    assert!(wanted.assemble(&by(&signer, &wanted)).is_ok());
    for signature in [by(&signer, &other), by(&stranger, &wanted), Vec::new()] {
        assert!(wanted.assemble(&signature).is_err());
    }
}
