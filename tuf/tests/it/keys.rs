//! Keys, their IDs and their signatures.

use std::collections::BTreeSet;

use signet_tuf::{Algorithm, Envelope, KeyError, KeyType, Method, PublicKey, Role, verify};

use crate::fixture;
use crate::signer::Signer;

/// All keys of the fixtures.
fn keys() -> Vec<PublicKey> {
    let roots = (1..=4).map(fixture::root);
    let of_roots = roots.flat_map(|root| root.root().unwrap().keys.clone().into_values());
    let parents = ["targets", "targets/p384"].map(|name| fixture::envelope("delegated", name));
    let of_delegations =
        parents.into_iter().flat_map(|parent| parent.targets().unwrap().delegations.keys.clone().into_values());
    of_roots.chain(of_delegations).collect()
}

#[test]
fn every_kind_of_key_is_known() {
    let found: BTreeSet<(KeyType, Algorithm)> = keys().iter().map(|key| (key.key_type(), key.algorithm())).collect();
    let wanted = [
        (KeyType::Ecdsa, Algorithm::EcdsaP256),
        (KeyType::Ecdsa, Algorithm::EcdsaP384),
        (KeyType::Ecdsa, Algorithm::EcdsaP521),
        (KeyType::EcdsaX509, Algorithm::EcdsaP256),
        (KeyType::Rsa, Algorithm::Rsa(2048)),
        (KeyType::RsaX509, Algorithm::Rsa(2048)),
        (KeyType::RsaX509, Algorithm::Rsa(3072)),
        (KeyType::Ed25519, Algorithm::Ed25519),
    ];
    assert_eq!(found, wanted.into());
}

#[test]
fn canonical_ids_are_what_notary_prints() {
    let targets = fixture::envelope("delegated", "targets");
    let delegations = &targets.targets().unwrap().delegations;
    let listed = fixture::text("notary/delegation-list.txt");
    assert_eq!(delegations.roles.len(), 6);
    for role in &delegations.roles {
        let id = delegations.keys[&role.key_ids[0]].canonical_id().to_string();
        let row = listed.lines().find(|line| line.starts_with(&format!("{} ", role.name))).unwrap();
        assert!(row.contains(&id), "{id} is not in {row}");
    }
    let stored = fixture::text("notary/key-list.txt");
    for version in [1, 3, 4] {
        let envelope = fixture::root(version);
        let root = envelope.root().unwrap();
        let id = root.keys[&root.root.key_ids[0]].canonical_id().to_string();
        assert!(stored.lines().any(|line| line.starts_with("root ") && line.contains(&id)), "root {version}: {id}");
    }
}

#[test]
fn a_certificate_changes_the_id_but_not_the_name() {
    for key in keys() {
        let bare = PublicKey::from_spki(key.spki()).unwrap();
        assert_eq!(bare.name(), key.name());
        assert_eq!(bare.key_id(), key.canonical_id());
        assert_eq!(bare.key_id() == key.key_id(), key.certificate().is_none());
        assert_eq!(PublicKey::new(key.key_type(), key.public().to_vec()), Ok(key.clone()));
        if let Ok(text) = std::str::from_utf8(key.public()) {
            assert_eq!(PublicKey::from_certificate_pem(text), Ok(key));
        }
    }
}

#[test]
fn delegations_are_signed_by_their_keys_and_no_others() {
    for (parent, names) in
        [("targets", &["ecx", "p256", "p384", "p521", "rsa", "rsax"][..]), ("targets/p384", &["nested"][..])]
    {
        let parent_file = fixture::envelope("delegated", parent);
        let delegations = &parent_file.targets().unwrap().delegations;
        for name in names {
            let name = format!("{parent}/{name}");
            let envelope = fixture::envelope("delegated", &name);
            for role in &delegations.roles {
                let verdict = verify::signed_by(&delegations.keys, &role.role_keys(), &envelope);
                assert_eq!(verdict.is_ok(), role.name.as_str() == name, "{name} by {}", role.name);
            }
        }
    }
}

#[test]
fn a_signature_binds_key_method_and_every_byte() {
    for (directory, root_version) in [("first", 1), ("rotated", 4)] {
        let root = fixture::root(root_version);
        for name in ["targets", "snapshot", "timestamp"] {
            let envelope = fixture::envelope(directory, name);
            let signature = &envelope.signatures()[0];
            let key = &root.root().unwrap().keys[&signature.key_id];
            assert_eq!(key.verify(signature.method, envelope.signed(), &signature.sig), Ok(()));
            let mut other = envelope.signed().to_vec();
            other[20] ^= 1;
            assert!(key.verify(signature.method, &other, &signature.sig).is_err());
            let mut broken = signature.sig.clone();
            broken[7] ^= 1;
            assert!(key.verify(signature.method, envelope.signed(), &broken).is_err());
        }
    }
}

#[test]
fn only_the_methods_of_a_key_are_taken() {
    let table = [
        (Algorithm::EcdsaP256, &[Method::Ecdsa][..], 64),
        (Algorithm::EcdsaP521, &[Method::Ecdsa], 132),
        (Algorithm::Rsa(2048), &[Method::RsaPss, Method::RsaPkcs1v15], 256),
        (Algorithm::Ed25519, &[Method::EdDsa], 64),
    ];
    for (algorithm, own, size) in table {
        let signer = Signer::new(algorithm);
        assert_eq!(signer.key.algorithm(), algorithm);
        assert_eq!(signer.key.method(), own[0]);
        for method in [Method::Ecdsa, Method::RsaPss, Method::RsaPkcs1v15, Method::EdDsa] {
            let signature = signer.sign(method, b"message");
            assert_eq!(signature.len(), size);
            assert_eq!(
                signer.key.verify(method, b"message", &signature).is_ok(),
                own.contains(&method),
                "{algorithm} {method}"
            );
        }
        // neither padding nor truncation goes unnoticed
        let signature = signer.sign(own[0], b"message");
        assert!(signer.key.verify(own[0], b"message", &signature[1..]).is_err());
        assert!(signer.key.verify(own[0], b"message", &[&[0], signature.as_slice()].concat()).is_err());
        assert!(signer.key.verify(own[0], b"message", &[]).is_err());
        let (r, s) = signature.split_at(size / 2);
        assert!(signer.key.verify(own[0], b"message", &[r, &[0], s].concat()).is_err());
    }
}

#[test]
fn a_signature_in_der_is_refused() {
    let envelope = fixture::envelope("delegated", "targets/p384");
    let parent = fixture::envelope("delegated", "targets");
    let signature = &envelope.signatures()[0];
    let key = &parent.targets().unwrap().delegations.keys[&signature.key_id];
    assert_eq!(signature.sig.len(), 96);
    assert!(key.verify(Method::Ecdsa, envelope.signed(), &signature.sig).is_ok());
    let half = |bytes: &[u8]| {
        let sign = if bytes[0] >= 0x80 { &[0][..] } else { &[] };
        [&[0x02, u8::try_from(sign.len() + bytes.len()).unwrap()], sign, bytes].concat()
    };
    let halves = [half(&signature.sig[..48]), half(&signature.sig[48..])].concat();
    let der = [&[0x30, u8::try_from(halves.len()).unwrap()], halves.as_slice()].concat();
    assert!(key.verify(Method::Ecdsa, envelope.signed(), &der).is_err());
}

#[test]
fn keys_that_no_dialect_takes_are_refused() {
    let p256 = Signer::new(Algorithm::EcdsaP256).key;
    let rsa = Signer::new(Algorithm::Rsa(2048)).key;
    let spki = p256.spki().to_vec();
    let mut off_curve = spki.clone();
    *off_curve.last_mut().unwrap() ^= 1;
    // the same point in 33 bytes: SEQUENCE, algorithm, BIT STRING
    let mut compressed = [&[0x30, 0x39], &spki[2..23], &[0x03, 0x22, 0x00], &[0x02], &spki[27..59]].concat();
    compressed[26] |= spki[90] & 1;
    let long_form = [&[0x30, 0x81], &spki[1..]].concat();
    let not_null = {
        let mut spki = rsa.spki().to_vec();
        let start = spki.windows(2).position(|pair| pair == [0x05, 0x00]).unwrap();
        spki[start] = 0x04;
        spki
    };
    let without_null = {
        let whole = rsa.spki();
        let start = whole.windows(2).position(|pair| pair == [0x05, 0x00]).unwrap();
        let mut spki = [&whole[..start], &whole[start + 2..]].concat();
        spki[3] -= 2;
        spki[5] -= 2;
        spki
    };
    let mut p224 = spki.clone();
    p224[22] = 9;
    let mismatch = |key_type, algorithm| Err(KeyError::Mismatch { key_type, algorithm });
    let table = [
        (KeyType::Ecdsa, Vec::new(), Err(KeyError::Encoding)),
        (KeyType::Ecdsa, [spki.as_slice(), &[0]].concat(), Err(KeyError::Encoding)),
        (KeyType::Ecdsa, off_curve, Err(KeyError::Encoding)),
        (KeyType::Ecdsa, compressed, Err(KeyError::Encoding)),
        (KeyType::Ecdsa, p224, Err(KeyError::Unsupported)),
        (KeyType::Ecdsa, long_form, Err(KeyError::Encoding)),
        (KeyType::Rsa, without_null, Err(KeyError::Encoding)),
        (KeyType::Rsa, not_null, Err(KeyError::Encoding)),
        (KeyType::Ecdsa, rsa.spki().to_vec(), mismatch(KeyType::Ecdsa, Algorithm::Rsa(2048))),
        (KeyType::Rsa, spki.clone(), mismatch(KeyType::Rsa, Algorithm::EcdsaP256)),
        (KeyType::Ed25519, vec![1; 31], Err(KeyError::Encoding)),
        (KeyType::Ed25519, spki, Err(KeyError::Encoding)),
        (KeyType::EcdsaX509, b"no PEM".to_vec(), Err(KeyError::Certificate(signet_tuf::CertificateError::NotPem))),
        (KeyType::EcdsaX509, vec![0xff], Err(KeyError::Certificate(signet_tuf::CertificateError::NotPem))),
    ];
    for (key_type, public, verdict) in table {
        assert_eq!(PublicKey::new(key_type, public.clone()), verdict, "{key_type} {}", hex::encode(public));
    }
    let rsa_certificate = Signer::new(Algorithm::Rsa(2048)).certificate(&fixture::gun(), 1);
    let verdict = PublicKey::new(KeyType::EcdsaX509, rsa_certificate.into_bytes());
    assert_eq!(verdict, mismatch(KeyType::EcdsaX509, Algorithm::Rsa(2048)));
    let ed25519_certificate = Signer::new(Algorithm::Ed25519).certificate(&fixture::gun(), 1);
    assert_eq!(PublicKey::from_certificate_pem(&ed25519_certificate), Err(KeyError::Unsupported));
}

#[test]
fn a_short_rsa_key_is_refused() {
    // openssl genrsa 1024 | openssl rsa -pubout -outform DER
    let spki = hex::decode(RSA_1024).unwrap();
    assert_eq!(PublicKey::from_spki(&spki), Err(KeyError::RsaBits(1024)));
}

#[test]
fn algorithms_and_methods_read_what_they_write() {
    for algorithm in [
        Algorithm::EcdsaP256,
        Algorithm::EcdsaP384,
        Algorithm::EcdsaP521,
        Algorithm::Rsa(2048),
        Algorithm::Rsa(4096),
        Algorithm::Ed25519,
    ] {
        assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
    }
    assert_eq!("ecdsa".parse(), Ok(Algorithm::EcdsaP256));
    assert_eq!("rsa".parse(), Ok(Algorithm::Rsa(2048)));
    for bad in ["", "rsa-1024", "rsa-2049", "rsa-9000", "ecdsa-p224", "ED25519"] {
        assert!(bad.parse::<Algorithm>().is_err(), "{bad}");
    }
    assert_eq!("RSAPSS".parse(), Ok(Method::RsaPss));
    assert!("rsa".parse::<Method>().is_err());
}

#[test]
fn a_key_of_an_unknown_type_is_refused_in_a_file() {
    let wire = fixture::text("notary/root/1.json").replacen(r#""keytype":"ecdsa""#, r#""keytype":"dsa""#, 1);
    let error = Envelope::parse(&Role::Root, wire.as_bytes()).unwrap_err();
    assert!(error.to_string().ends_with(".keytype: `dsa` is not a key type"), "{error}");
}

#[test]
fn a_delegate_s_key_that_nobody_can_use_is_none() {
    // As the real client publishes it for an Ed25519 certificate.
    let empty = r#""ee3b8956cf5c4a7ad24516ebf675687eb533d8ba92fa65f84d037cf7fbc88202":{"keytype":"","keyval":{"private":null,"public":null}}"#;
    let useless = r#"["ee3b8956cf5c4a7ad24516ebf675687eb533d8ba92fa65f84d037cf7fbc88202"]"#;
    let file = |key: &str| {
        let roles = format!(r#"[{{"keyids":{useless},"name":"targets/a","paths":[""],"threshold":1}}]"#);
        let signed = format!(
            r#"{{"_type":"Targets","delegations":{{"keys":{{{key}}},"roles":{roles}}},"expires":"2029-11-20T18:11:17Z","targets":{{}},"version":3}}"#
        );
        (format!(r#"{{"signed":{signed},"signatures":[]}}"#), signed)
    };
    let other = empty.replace(r#""keytype":"""#, r#""keytype":"dsa""#);
    let broken =
        empty.replace(r#""keytype":"""#, r#""keytype":"ecdsa""#).replace(r#""public":null"#, r#""public":"AAAA""#);
    for key in [empty, &other, &broken] {
        let (wire, signed) = file(key);
        let envelope = Envelope::parse(&Role::Targets, wire.as_bytes()).unwrap();
        let delegations = &envelope.targets().unwrap().delegations;
        assert!(delegations.keys.is_empty() && delegations.roles[0].key_ids.is_empty(), "{key}");
        assert_eq!(verify::structure(&Role::Targets, envelope.metadata()), Ok(()), "{key}");
        assert_eq!(envelope.signed(), signed.as_bytes(), "what is signed is the file's");
        assert!(signet_tuf::notary1::parse(&Role::Targets, signed.as_bytes()).is_err(), "{key} is not signed again");
    }
    // An ID without any key is a fault of the file.
    let (wire, _) = file("");
    let envelope = Envelope::parse(&Role::Targets, wire.as_bytes()).unwrap();
    assert!(verify::structure(&Role::Targets, envelope.metadata()).is_err());
}

const RSA_1024: &str = "30819f300d06092a864886f70d010101050003818d0030818902818100b892a9fc5bf17c4a6924aa8edbd7f123d039c9f65f616977256b212d4156f723e91538cc91cff694dec3a70986d5fdbd2b5a88b311ad44c76150153e349d0cf313e6633e1c81d15176e5e19b4c94db2f7ffceaee81e23d458c71a2b8cc585a80c876656346b1c577a4059b565914fe882adec6dd42346d1e8b2f41541d9f68ed0203010001";
