//! Certificates that others made for root keys: what may be published, and what readers then count.

use signet_tuf::root_certificate::{RootCertificateError, parse};
use signet_tuf::verify::{self, VerifyError};
use signet_tuf::{Algorithm, BlocksError, KeyError, Metadata, PublicKey};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::chain::root;
use crate::fixture::gun;
use crate::paper::{Issues, Paper, SHA1, rsa_spki};
use crate::signer::{Signer, signed};

pub(crate) const NOW: OffsetDateTime = datetime!(2027-06-01 12:00 UTC);
const GUN: &str = "example.com/acme/app";

/// Whether it counts for those who read the root now, and for those who ask who signed its successor.
fn readers(signer: &mut Signer, pem: &str) -> [bool; 2] {
    signer.key = PublicKey::from_certificate_pem(pem).unwrap();
    let envelope = signed(&Metadata::Root(root(1, 1, &[signer])), &[signer]);
    [verify::current_root(&gun(), &envelope, NOW), verify::first_root(&gun(), &envelope)].map(|verdict| {
        let nobody = Err(VerifyError::NoRootCertificate { gun: gun() });
        assert!(verdict == Ok(()) || verdict == nobody, "{verdict:?}");
        verdict.is_ok()
    })
}

/// One chain: what stands in the file, what is wrong with it, and what both readers say.
type Row = (String, Result<(), RootCertificateError>, [bool; 2]);

#[test]
fn what_is_published_is_what_readers_take() {
    use RootCertificateError as E;
    let mut signer = Signer::new(Algorithm::EcdsaP256);
    let leaf = || Paper::of(&signer, GUN, Issues::Nothing);
    let ca = || Paper::of(&signer, "acme", Issues::Certificates);
    let (good, middle) = (leaf().pem(), ca().pem());
    let (early, late) = (leaf().not_before, leaf().not_after);
    let (second, tomorrow) = (Duration::SECOND, NOW + Duration::DAY);
    let behind = |paper: Paper<'_>| format!("{good}{middle}{}", paper.pem());
    let named = |name| Paper { name, ..leaf() }.pem();
    let other = |name: &str| Err(E::OtherName { found: name.to_owned(), gun: gun() });
    let hours = |from, to| (NOW + Duration::hours(from), NOW + Duration::hours(to));
    let (from, to) = hours(12, 6);
    let table: Vec<Row> = vec![
        (good.clone(), Ok(()), [true, true]),
        (behind(ca()), Ok(()), [true, true]),
        (named("example.com/acme/*"), Ok(()), [true, true]),
        (named("example.com/other/*"), other("example.com/other/*"), [false, false]),
        (named("example.com/acme"), other("example.com/acme"), [false, false]),
        (named(""), other(""), [false, false]),
        // the leaf
        (leaf().during(tomorrow, late).pem(), Ok(()), [true, true]),
        (
            leaf().during(tomorrow + second, late).pem(),
            Err(E::NotYetValid { position: 1, at: tomorrow + second }),
            [false, true],
        ),
        (leaf().during(early, NOW).pem(), Ok(()), [true, true]),
        (leaf().during(early, NOW - second).pem(), Err(E::Expired { position: 1, at: NOW - second }), [false, true]),
        (leaf().during(from, to).pem(), Err(E::Window { position: 1 }), [false, false]),
        (Paper { algorithm: SHA1, ..leaf() }.pem(), Err(E::Sha1 { position: 1 }), [false, false]),
        // authorities behind it, which a reader of the successor takes as they are
        (behind(ca().during(tomorrow, late)), Ok(()), [true, true]),
        (
            behind(ca().during(tomorrow + second, late)),
            Err(E::NotYetValid { position: 3, at: tomorrow + second }),
            [false, true],
        ),
        (behind(ca().during(early, NOW)), Ok(()), [true, true]),
        (behind(ca().during(early, NOW - second)), Err(E::Expired { position: 3, at: NOW - second }), [false, true]),
        (behind(ca().during(from, to)), Err(E::Window { position: 3 }), [false, true]),
        (behind(Paper { algorithm: SHA1, ..ca() }), Err(E::Sha1 { position: 3 }), [false, true]),
        (behind(Paper { spki: rsa_spki(255), ..ca() }), Err(E::ShortRsa { position: 3 }), [false, true]),
        (behind(Paper { spki: rsa_spki(256), ..ca() }), Ok(()), [true, true]),
        // who is an authority
        (middle.clone(), Err(E::Authority), [false, false]),
        (format!("{middle}{good}"), Err(E::Authority), [false, false]),
        (format!("{good}{good}"), Err(E::NotAnAuthority { position: 2 }), [false, false]),
        (behind(leaf()), Err(E::NotAnAuthority { position: 3 }), [false, false]),
    ];
    for (row, (pem, wanted, readable)) in table.into_iter().enumerate() {
        assert_eq!(parse(&pem, &gun(), NOW).map(drop), wanted, "row {row}");
        assert_eq!(readers(&mut signer, &pem), readable, "row {row}");
    }
}

#[test]
fn the_form_of_the_file_makes_no_other_key() {
    let mut signer = Signer::new(Algorithm::EcdsaP256);
    let [leaf, ca] = [Issues::Nothing, Issues::Certificates].map(|issues| Paper::of(&signer, GUN, issues).pem());
    let chain = format!("{leaf}{ca}");
    let key = parse(&chain, &gun(), NOW).unwrap();
    assert_eq!(key.public(), chain.as_bytes());
    assert_eq!(readers(&mut signer, &chain), [true, true]);
    let header = chain.replace("CERTIFICATE-----\nMI", "CERTIFICATE-----\nfriendlyName: root\n\nMI");
    assert_ne!(header, chain);
    for text in [
        header,
        chain.replace('\n', "\r\n"),
        chain.replacen('\n', "\n\n", 1),
        format!("subject=CN = {GUN}\n{leaf}issuer\n{ca}\n"),
        chain.trim_end().to_owned(),
    ] {
        assert_eq!(parse(&text, &gun(), NOW).as_ref(), Ok(&key), "{text}");
        // Notary computes the key's ID anew, so that nobody's signature would be this one's
        assert_eq!(readers(&mut signer, &text), [false, false], "{text}");
    }
}

#[test]
fn what_is_no_chain_of_certificates_is_refused() {
    use RootCertificateError as E;
    let signer = Signer::new(Algorithm::EcdsaP256);
    let leaf = Paper::of(&signer, GUN, Issues::Nothing);
    let good = leaf.pem();
    let ed25519 = Paper { spki: Signer::new(Algorithm::Ed25519).key.spki().to_vec(), ..leaf.clone() };
    let short = Paper { spki: rsa_spki(128), ..leaf.clone() };
    let table = [
        (String::new(), E::NotPem),
        ("and so on".to_owned(), E::NotPem),
        (format!("{good}and so on"), E::Blocks(BlocksError::TrailingText)),
        (format!("{good}-----BEGIN CERT"), E::Blocks(BlocksError::Damaged("a block has no end"))),
        (good.replacen("MI", "!!", 1), E::Blocks(BlocksError::Damaged("a block is not base64"))),
        (format!("{good}{}", good.replace("CERTIFICATE", "PRIVATE KEY")), E::OtherBlock("PRIVATE KEY".to_owned())),
        (ed25519.pem(), E::Key(KeyError::Unsupported)),
        (short.pem(), E::Key(KeyError::RsaBits(1024))),
    ];
    for (text, wanted) in table {
        assert_eq!(parse(&text, &gun(), NOW), Err(wanted), "{text}");
    }
    let broken = parse(&good.replacen("MI", "MJ", 1), &gun(), NOW);
    assert!(matches!(broken, Err(E::Certificate(_))), "{broken:?}");
}
