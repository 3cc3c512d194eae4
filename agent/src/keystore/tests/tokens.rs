//! Tokens: found by what they say of themselves, with keys that others made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signet_tuf::{Algorithm, KeyName};
use tokio::task::JoinSet;

use super::{
    Lab, PIN, SOFTHSM, alone, connection, eventually, key_on, permit, run, scope, secret, start, succeed, token,
};
use crate::config::{TokenConfig, TokenSelector};
use crate::keystore::{KeystoreError, LastTry, PlaceState, StartError};
use crate::ledger::{Permit, Scheme};

#[test]
fn a_token_that_comes_later_works_without_a_restart() {
    alone(async |lab| {
        let keystores = start(&[token("later")]).unwrap();
        let connection = connection();
        let info = &keystores.tokens().await[0];
        assert!(!info.present);
        let absent = keystores.unlock_token("later", secret(PIN), scope(&connection), LastTry::Keep).await;
        assert!(matches!(absent, Err(KeystoreError::Absent { .. })), "{absent:?}");
        assert!(keystores.list(None, &connection).await.warnings[0].contains("`later` is absent"));

        lab.make_token("later");
        eventually("the token is seen", async || keystores.tokens().await[0].present).await;
        let key = key_on(&keystores, "later", &connection).await;
        let permit = permit(key.public.as_ref().unwrap(), b"message");
        keystores.sign(&permit, &key.places[0].0, None, &connection).await.unwrap();
    });
}

#[test]
fn two_tokens_of_one_module_do_not_disturb_each_other() {
    alone(async |lab| {
        lab.make_token("one");
        lab.make_token("two");
        let keystores = start(&[token("one"), token("two"), token("absent")]).unwrap();
        let connection = connection();
        let one = key_on(&keystores, "one", &connection).await;
        let two = key_on(&keystores, "two", &connection).await;
        // Looking for the absent one starts the module anew, under the feet of the other two.
        assert!(!keystores.tokens().await[2].present);
        for key in [&one, &two] {
            let permit = permit(key.public.as_ref().unwrap(), b"message");
            let signature = keystores.sign(&permit, &key.places[0].0, None, &connection).await.unwrap();
            let public = key.public.as_ref().unwrap();
            public.verify(public.method(), b"message", &signature).unwrap();
        }
        keystores.lock(Some("one")).await.unwrap();
        let found = keystores.list(None, &connection).await;
        let states: Vec<_> = found.keys.iter().map(|key| key.places[0].1).collect();
        assert_eq!(states, [PlaceState::Locked, PlaceState::Ready]);
    });
}

#[test]
fn keys_are_made_while_others_look_for_theirs() {
    const KEYS: usize = 40;
    alone(async |lab| {
        lab.make_token("shared");
        let keystores = start(&[token("shared")]).unwrap();
        let connection = connection();
        let key = key_on(&keystores, "shared", &connection).await;
        let done = Arc::new(AtomicBool::new(false));
        let mut askers = JoinSet::new();
        for _ in 0..3 {
            let (keystores, connection, place) = (keystores.clone(), Arc::clone(&connection), key.places[0].0.clone());
            let done = Arc::clone(&done);
            askers.spawn(async move {
                let absent = Permit::for_test(KeyName::from_bytes([7; 32]), Scheme::EcdsaSha256, b"message");
                while !done.load(Ordering::Relaxed) {
                    let asked = keystores.sign(&absent, &place, None, &connection).await;
                    assert!(matches!(asked, Err(KeystoreError::UnknownKey { .. })), "{asked:?}");
                }
            });
        }
        for _ in 1..KEYS {
            keystores
                .generate_on_token("shared", Algorithm::EcdsaP256, ("targets", None), None, &connection)
                .await
                .unwrap();
        }
        done.store(true, Ordering::Relaxed);
        while let Some(asker) = askers.join_next().await {
            asker.unwrap();
        }
        let listed = lab.pkcs11_tool("shared", &["--list-objects", "--type", "privkey"]);
        assert_eq!(listed.matches("Private Key Object").count(), KEYS);
        assert_eq!(keystores.list(None, &connection).await.keys.len(), KEYS);
    });
}

#[test]
fn a_token_is_selected_by_serial_or_uri() {
    alone(async |lab| {
        lab.make_token("named one");
        let keystores = start(&[token("named one")]).unwrap();
        let serial = keystores.tokens().await[0].serial.clone();
        let uri = format!("pkcs11:token=named%20one;serial={serial};model=SoftHSM%20v2");
        for select in [TokenSelector::Serial(serial), TokenSelector::Uri(uri.parse().unwrap())] {
            let keystores = start(&[TokenConfig { select, ..token("") }]).unwrap();
            let info = &keystores.tokens().await[0];
            assert!(info.present, "{info:?}");
            assert_eq!(info.label, "named one");
        }
    });
}

#[test]
fn what_cannot_be_configured_is_refused() {
    let twice = start(&[token("a"), token("a")]);
    assert!(matches!(twice, Err(StartError::Duplicate(name)) if name == "a"));
    let relative = TokenConfig { module: "libsofthsm2.so".into(), ..token("a") };
    assert!(matches!(start(&[relative]), Err(StartError::Module { .. })));
}

#[test]
fn an_unknown_token_names_the_known_ones() {
    alone(async |_| {
        let keystores = start(&[token("a"), token("b")]).unwrap();
        let unknown = keystores.lock(Some("c")).await.unwrap_err();
        assert_eq!(unknown.to_string(), "no token `c` is configured; there are: a, b");
    });
}

#[test]
fn a_key_cannot_leave_the_token_and_carries_its_name() {
    alone(async |lab| {
        lab.make_token("made");
        let keystores = start(&[token("made")]).unwrap();
        let key = key_on(&keystores, "made", &connection()).await;
        let objects = lab.pkcs11_tool("made", &["--list-objects", "--type", "privkey"]);
        assert!(objects.contains("sensitive, always sensitive, never extractable, local"), "{objects}");
        assert!(objects.contains(&key.name.unwrap().to_string()), "{objects}");
        assert!(objects.contains("label:      targets"), "{objects}");
    });
}

fn foreign_key(lab: &Lab, id: &str, label: &str, kind: &str) {
    lab.pkcs11_tool("foreign", &["--keypairgen", "--key-type", kind, "--id", id, "--label", label]);
}

#[test]
fn keys_that_others_made_are_found() {
    alone(async |lab| {
        lab.make_token("foreign");
        foreign_key(&lab, "01", "my signing key", "EC:prime256v1");
        foreign_key(&lab, "02", "targets/releases example.com/x", "rsa:2048");
        let keystores = start(&[token("foreign")]).unwrap();
        let connection = connection();
        keystores.unlock_token("foreign", secret(PIN), scope(&connection), LastTry::Keep).await.unwrap();
        let keys = keystores.list(None, &connection).await.keys;
        assert_eq!(keys.len(), 2);
        for key in &keys {
            let public = key.public.as_ref().unwrap();
            let wanted = match public.algorithm() {
                Algorithm::EcdsaP256 => (None, None),
                Algorithm::EcdsaP384 | Algorithm::EcdsaP521 | Algorithm::Rsa(_) | Algorithm::Ed25519 => {
                    (Some("targets/releases".to_owned()), Some("example.com/x".to_owned()))
                }
            };
            assert_eq!((key.role.clone(), key.gun.clone()), wanted);
            let signature =
                keystores.sign(&permit(public, b"message"), &key.places[0].0, None, &connection).await.unwrap();
            public.verify(public.method(), b"message", &signature).unwrap();
        }
    });
}

#[test]
fn a_key_is_known_by_its_certificate_alone() {
    alone(async |lab| {
        lab.make_token("foreign");
        // A PIV applet seen through PKCS#11: private key and certificate share CKA_ID, no public key object.
        let (key, certificate) = (lab.path("key.pem"), lab.path("certificate.pem"));
        let (key, certificate) = (key.to_str().unwrap(), certificate.to_str().unwrap());
        let subject = ["-subj", "/CN=root", "-addext", "basicConstraints=critical,CA:FALSE"];
        let make = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
        succeed(run("openssl", make.iter().chain(&subject).chain(&["-keyout", key, "-out", certificate])));
        for (file, kind) in [(key, "privkey"), (certificate, "cert")] {
            lab.pkcs11_tool("foreign", &["--write-object", file, "--type", kind, "--id", "09", "--label", "root"]);
        }
        lab.pkcs11_tool("foreign", &["--keypairgen", "--key-type", "EC:secp384r1", "--id", "0a", "--label", "other"]);
        lab.pkcs11_tool("foreign", &["--delete-object", "--type", "pubkey", "--id", "0a"]);

        let keystores = start(&[token("foreign")]).unwrap();
        let connection = connection();
        keystores.unlock_token("foreign", secret(PIN), scope(&connection), LastTry::Keep).await.unwrap();
        let keys = keystores.list(None, &connection).await.keys;
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].role.as_deref(), Some("root"));
        let public = keys[0].public.as_ref().unwrap();
        let signature =
            keystores.sign(&permit(public, b"message"), &keys[0].places[0].0, None, &connection).await.unwrap();
        public.verify(public.method(), b"message", &signature).unwrap();
    });
}

#[test]
fn a_public_key_without_its_private_key_is_no_key() {
    alone(async |lab| {
        lab.make_token("foreign");
        foreign_key(&lab, "01", "targets", "EC:prime256v1");
        foreign_key(&lab, "02", "snapshot", "EC:prime256v1");
        lab.pkcs11_tool("foreign", &["--delete-object", "--type", "privkey", "--id", "01"]);
        let keystores = start(&[token("foreign")]).unwrap();
        let connection = connection();
        keystores.unlock_token("foreign", secret(PIN), scope(&connection), LastTry::Keep).await.unwrap();
        let keys = keystores.list(None, &connection).await.keys;
        assert_eq!(keys.iter().map(|key| key.role.as_deref().unwrap()).collect::<Vec<_>>(), ["snapshot"]);
    });
}

#[test]
fn what_the_token_cannot_make_is_said() {
    alone(async |lab| {
        lab.make_token("made");
        let keystores = start(&[token("made")]).unwrap();
        let connection = connection();
        let locked = keystores.generate_on_token("made", Algorithm::EcdsaP256, ("root", None), None, &connection).await;
        assert!(matches!(locked, Err(KeystoreError::Locked { .. })), "{locked:?}");
        keystores.unlock_token("made", secret(PIN), scope(&connection), LastTry::Keep).await.unwrap();
        for algorithm in [Algorithm::EcdsaP521, Algorithm::Rsa(8192)] {
            let refused = keystores.generate_on_token("made", algorithm, ("root", None), None, &connection).await;
            assert!(matches!(refused, Err(KeystoreError::NotSupported { .. })), "{refused:?}");
        }
        let spaced =
            keystores.generate_on_token("made", Algorithm::EcdsaP256, ("two words", None), None, &connection).await;
        assert!(matches!(spaced, Err(KeystoreError::NotSupported { .. })), "{spaced:?}");
    });
}

#[test]
fn a_key_in_two_places_is_listed_once_token_first() {
    alone(async |lab| {
        lab.make_token("one");
        lab.make_token("two");
        let key = lab.path("key.pem");
        let key = key.to_str().unwrap();
        succeed(run("openssl", ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key]));
        let public = lab.path("public.der");
        let public = public.to_str().unwrap();
        succeed(run("openssl", ["pkey", "-in", key, "-pubout", "-outform", "DER", "-out", public]));
        for label in ["one", "two"] {
            for (file, kind) in [(key, "privkey"), (public, "pubkey")] {
                let common = ["--module", SOFTHSM, "--token-label", label, "--login", "--pin", PIN];
                let write = ["--write-object", file, "--type", kind, "--id", "01", "--label", "root", "--usage-sign"];
                succeed(run("pkcs11-tool", common.iter().chain(&write)));
            }
        }
        let keystores = start(&[token("two"), token("one")]).unwrap();
        let listing = keystores.list(None, &connection()).await;
        assert_eq!(listing.keys.len(), 1);
        let places: Vec<_> = listing.keys[0].places.iter().map(|(place, _)| place.to_string()).collect();
        assert!(places[0].starts_with("pkcs11:token=two;") && places[1].starts_with("pkcs11:token=one;"), "{places:?}");
        let spki = std::fs::read(public).unwrap();
        let name = KeyName::from_bytes(*signet_tuf::Digest::of(&spki).as_bytes());
        assert_eq!(listing.keys[0].name, Some(name));
    });
}
