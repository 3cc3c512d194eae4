//! New cards, lost PINs, keys from elsewhere, and what a card states about its keys.

use signet_tuf::Algorithm;
use virtual_yubikey::{Card, Fault, Mishap, Pcscd, Status, Version};

use super::{Desk, PIN, factory_key, slot, untouched};
use crate::config::{YubikeyConfig, YubikeysConfig};
use crate::keystore::tests::{Lab, alone, connection, eventually, scope, secret};
use crate::keystore::{
    Attestations, CardSetup, KeystoreError, Keystores, LastTry, Origin, PinPolicy, PivOptions, Place, TouchPolicy,
    Tries,
};

fn factory_setup() -> CardSetup {
    let none = || secret("");
    CardSetup {
        pin: none(),
        puk: none(),
        management_key: none(),
        new_pin: secret("271828"),
        new_puk: secret("31415926"),
        protect_management_key: true,
        factory: false,
        leave_defaults: false,
    }
}

#[test]
fn a_new_card_is_set_up_and_then_needs_its_pin_alone() {
    alone(async |lab: Lab| {
        let desk = Desk::new(&lab, 1);
        for (slot, version, serial) in [(0, Version(5, 7, 1), 57), (1, Version(5, 4, 3), 54)] {
            let yubikey = desk.insert(slot, version, serial).await;
            let token = serial.to_string();
            let left = CardSetup { new_puk: secret(""), protect_management_key: false, ..factory_setup() };
            let refused = desk.keystores.set_up(&token, left).await.unwrap_err();
            assert!(
                matches!(&refused, KeystoreError::FactorySecret { secrets, .. } if secrets == "PUK, management key"),
                "{refused:?}"
            );
            let short = CardSetup { new_pin: secret("1234"), ..factory_setup() };
            assert!(matches!(desk.keystores.set_up(&token, short).await, Err(KeystoreError::SecretMalformed { .. })));
            let same = CardSetup { new_pin: secret("123456"), ..factory_setup() };
            assert!(matches!(desk.keystores.set_up(&token, same).await, Err(KeystoreError::FactorySecret { .. })));
            assert_eq!(yubikey.card().counts.pins, 0, "nothing was tried");

            let (changed, then) = desk.keystores.set_up(&token, factory_setup()).await.unwrap();
            then.unwrap();
            assert_eq!(changed, ["pin", "puk", "management-key"]);
            let card = desk.token(serial).await.unwrap().card.unwrap();
            let defaults = (card.default_pin, card.default_puk, card.default_management_key);
            assert_eq!(defaults, (Some(false), Some(false), Some(false)));
            assert!(card.management_key_protected);
            assert_eq!((card.pin.left, card.puk.left), (Some(3), Some(3)));

            desk.unlock(serial, "271828").await.unwrap();
            let for_what = ("root", None);
            let options = Some(untouched());
            let made =
                desk.keystores.generate_on_token(&token, Algorithm::EcdsaP256, for_what, options, &desk.me).await;
            desk.sign(&made.unwrap()).await.unwrap();
            // a second time nothing is the factory's, and the present secrets are wanted
            let again = desk.keystores.set_up(&token, factory_setup()).await.unwrap_err();
            assert!(matches!(again, KeystoreError::SecretMalformed { .. }), "{again:?}");
            assert_eq!(yubikey.card().piv.pin.left, 3);

            // the management key that it keeps has one copy, and that is not touched
            let kept = yubikey.card().piv.management_key().to_vec();
            let present = CardSetup { pin: secret("271828"), puk: secret("31415926"), ..factory_setup() };
            let another = CardSetup { new_pin: secret("314159"), new_puk: secret("27182818"), ..present };
            let (changed, then) = desk.keystores.set_up(&token, another).await.unwrap();
            then.unwrap();
            assert_eq!(changed, ["pin", "puk"]);
            assert_eq!(yubikey.card().piv.management_key(), kept);

            let unblock = || {
                let (factory, new) = (secret("12345678"), secret("999999"));
                desk.keystores.unblock_pin(&token, factory, new, LastTry::Keep)
            };
            unblock().await.unwrap_err();
            desk.keystores.reset(&token).await.unwrap();
            unblock().await.expect("it was refused before, and is right again");
        }
    });
}

#[test]
fn what_an_old_card_does_not_tell_is_taken_on_a_person_s_word() {
    alone(async |lab: Lab| {
        let desk = Desk::new(&lab, 1);
        let yubikey = desk.insert(0, Version(4, 3, 5), 43).await;
        let refused = desk.keystores.set_up("43", factory_setup()).await.unwrap_err();
        assert!(matches!(refused, KeystoreError::SecretMalformed { .. }), "{refused:?}");
        assert_eq!(yubikey.card().counts.pins, 0);
        let on_my_word = CardSetup { factory: true, ..factory_setup() };
        let (changed, then) = desk.keystores.set_up("43", on_my_word).await.unwrap();
        then.unwrap();
        assert_eq!(changed.len(), 3);
        desk.unlock(43, "271828").await.unwrap();
    });
}

#[test]
fn a_blocked_pin_is_unblocked_by_the_puk_and_a_blocked_puk_by_nobody() {
    alone(async |lab: Lab| {
        let desk = Desk::new(&lab, 1);
        let yubikey = desk.insert(0, Version(5, 7, 1), 4711).await;
        let keystores = &desk.keystores;
        desk.unlock(4711, PIN).await.unwrap();
        let key = desk.generate(4711, untouched()).await.unwrap();
        let change = |old: &str, new: &str, last| keystores.change_pin("4711", secret(old), secret(new), last);
        change(PIN, "271828", LastTry::Keep).await.unwrap();
        assert!(matches!(desk.sign(&key).await, Err(KeystoreError::Locked { .. })), "unlocks are over");
        change(PIN, "999999", LastTry::Keep).await.unwrap_err();
        change("111111", "999999", LastTry::Keep).await.unwrap_err();
        let kept = change("222222", "999999", LastTry::Keep).await.unwrap_err();
        assert!(matches!(kept, KeystoreError::LastTry { .. }), "{kept:?}");
        change("222222", "999999", LastTry::Spend).await.unwrap_err();
        assert_eq!(yubikey.card().piv.pin.left, 0);
        let blocked = desk.unlock(4711, "271828").await.unwrap_err();
        assert!(matches!(blocked, KeystoreError::PinBlocked { .. }), "{blocked:?}");

        let unblock = |puk: &str, new: &str, last| keystores.unblock_pin("4711", secret(puk), secret(new), last);
        let wrong = unblock("00000000", "654321", LastTry::Keep).await.unwrap_err();
        assert!(matches!(wrong, KeystoreError::SecretIncorrect { tries: Tries::Left(2), .. }), "{wrong:?}");
        unblock("12345678", "654321", LastTry::Keep).await.unwrap();
        desk.unlock(4711, "654321").await.unwrap();
        desk.sign(&key).await.unwrap();

        for wrong in ["00000000", "00000000", "00000001", "00000002"] {
            unblock(wrong, "654321", LastTry::Keep).await.unwrap_err();
        }
        assert_eq!(yubikey.card().piv.puk.left, 1, "a refused PUK is not sent again");
        let kept = unblock("12345678", "654321", LastTry::Keep).await.unwrap_err();
        assert!(matches!(kept, KeystoreError::LastTry { .. }), "{kept:?}");
        unblock("00000003", "654321", LastTry::Spend).await.unwrap_err();
        let blocked = unblock("12345678", "654321", LastTry::Spend).await.unwrap_err();
        assert!(matches!(blocked, KeystoreError::PukBlocked { .. }), "{blocked:?}");
        // its keys still sign
        desk.sign(&key).await.unwrap();

        keystores.reset("4711").await.unwrap();
        let token = desk.token(4711).await.unwrap();
        assert!(token.slots.is_empty() && token.card.unwrap().default_pin == Some(true));
        change(PIN, "271828", LastTry::Keep).await.expect("it was refused before, and is right again");
    });
}

#[test]
fn a_set_up_that_is_cut_short_says_what_was_done_and_loses_no_key() {
    alone(async |lab: Lab| {
        let desk = Desk::new(&lab, 1);
        let yubikey = desk.insert(0, Version(5, 7, 1), 4711).await;
        let factory = yubikey.card().piv.management_key().to_vec();
        // PUT DATA, then SET MANAGEMENT KEY
        for (instruction, done) in [(0xdb, "pin, puk"), (0xff, "pin, puk")] {
            let mishap = Mishap::Status(Status(0x6581));
            yubikey.card().faults.push(Fault { instruction, mishap, times: 1 });
            let (changed, then) = desk.keystores.set_up("4711", factory_setup()).await.unwrap();
            assert_eq!(changed.join(", "), done);
            let error = then.unwrap_err();
            assert!(matches!(&error, KeystoreError::HalfDone { done: said, .. } if said == done), "{error:?}");
            assert!(error.to_string().contains("got a new pin, puk"), "{error}");
            assert_eq!(yubikey.card().piv.management_key(), factory, "the old key is still valid");
            desk.keystores.reset("4711").await.unwrap();
        }
        let (changed, then) = desk.keystores.set_up("4711", factory_setup()).await.unwrap();
        then.unwrap();
        assert_eq!(changed.len(), 3);
        assert_ne!(yubikey.card().piv.management_key(), factory);
    });
}

#[test]
fn a_pin_file_that_cannot_be_right_is_not_tried() {
    alone(async |lab: Lab| {
        use std::os::unix::fs::PermissionsExt;
        let file = lab.path("pin");
        std::fs::write(&file, "271828\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let pcscd = Pcscd::start_at(lab.path("pcscd.comm"), 1).unwrap();
        let listed = vec![YubikeyConfig { serial: 4711, pin_file: Some(file), roles: Vec::new() }];
        let config = YubikeysConfig { listed, ..YubikeysConfig::default() };
        let keystores = Keystores::start(&[], &config, Attestations::default()).unwrap();
        let desk = Desk { pcscd, keystores, me: connection() };
        let yubikey = desk.insert(0, Version(5, 7, 1), 4711).await;
        assert!(desk.token(4711).await.unwrap().trouble.unwrap().contains("still the factory's"));
        assert_eq!(yubikey.card().counts.pins, 0);
        // the PIN of the file is chosen, and unlocks at once
        let (_, then) = desk.keystores.set_up("4711", factory_setup()).await.unwrap();
        then.unwrap();
        eventually("it is unlocked", async || desk.token(4711).await.is_some_and(|token| token.unlocked)).await;
        // another is chosen, and the file's is never shown
        let (old, new) = (secret("271828"), secret("999999"));
        desk.keystores.change_pin("4711", old, new, LastTry::Keep).await.unwrap();
        yubikey.pull();
        eventually("it is gone", async || desk.token(4711).await.is_some_and(|token| !token.present)).await;
        yubikey.plug();
        eventually("it is back", async || desk.token(4711).await.is_some_and(|token| token.present)).await;
        assert!(!desk.token(4711).await.unwrap().unlocked);
        assert_eq!(yubikey.card().piv.pin.left, 3);
    });
}

#[test]
fn a_pin_is_not_forgotten_because_others_guess() {
    alone(async |lab: Lab| {
        let desk = Desk::new(&lab, 1);
        let yubikey = desk.insert(0, Version(5, 7, 1), 4711).await;
        desk.unlock(4711, PIN).await.unwrap();
        let key = desk.generate(4711, untouched()).await.unwrap();
        yubikey.card().piv.pin.left = 1;
        assert!(matches!(desk.sign(&key).await, Err(KeystoreError::Locked { .. })), "the last try is not spent");
        assert_eq!(yubikey.card().piv.pin.left, 1);
        assert!(matches!(desk.unlock(4711, PIN).await, Err(KeystoreError::LastTry { .. })));
        let (pin, scope) = (secret(PIN), scope(&desk.me));
        desk.keystores.unlock_token("4711", pin, scope, LastTry::Spend).await.expect("it is still the right one");
        desk.sign(&key).await.unwrap();
    });
}

#[test]
fn keys_come_from_elsewhere_and_certificates_tell_what_they_are_for() {
    alone(async |lab: Lab| {
        let desk = Desk::new(&lab, 1);
        let _yubikey = desk.insert(0, Version(5, 7, 1), 57).await;
        let _old = desk.insert(1, Version(4, 3, 5), 43).await;
        let openssl = |arguments: &[&str]| {
            let output = std::process::Command::new("openssl").args(arguments).output().unwrap();
            assert!(output.status.success());
            output.stdout
        };
        let keys = [
            ("82", openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])),
            ("83", openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"])),
            ("84", openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])),
        ];
        for serial in [57, 43] {
            let token = serial.to_string();
            let import = |name: &str, pem: &[u8]| {
                let (pem, none) = (crate::secret::Secret::from(pem.to_vec()), secret(""));
                let options = PivOptions { management_key: factory_key(), ..slot(name, TouchPolicy::Never) };
                let options = PivOptions { overwrite: serial == 43, ..options };
                desk.keystores.import_on_token(&token, (pem, none), ("root", None), options, &desk.me)
            };
            // not before it is unlocked
            assert!(matches!(import("82", &keys[0].1).await, Err(KeystoreError::Locked { .. })));
            desk.unlock(serial, PIN).await.unwrap();
            for (name, pem) in &keys {
                let key = import(name, pem).await.unwrap();
                let public = key.public.clone().unwrap();
                let slot = name.parse().unwrap();
                let template = signet_tuf::certificate::Template {
                    subject: signet_tuf::certificate::Subject::Role("targets".to_owned(), "example.com/a".parse().ok()),
                    key: public.clone(),
                    not_before: time::OffsetDateTime::UNIX_EPOCH,
                    not_after: time::OffsetDateTime::UNIX_EPOCH,
                    serial: [1; 16],
                };
                let body = template.to_be_signed();
                let scheme = match public.algorithm() {
                    Algorithm::Rsa(_) => crate::ledger::Scheme::RsaPkcs1Sha256,
                    Algorithm::EcdsaP256 | Algorithm::EcdsaP384 | Algorithm::EcdsaP521 | Algorithm::Ed25519 => {
                        crate::ledger::Scheme::EcdsaSha256
                    }
                };
                let permit = crate::ledger::Permit::for_test(public.name(), scheme, &body);
                let place = Place::Slot { token: token.clone(), slot };
                // an old card does not show it yet, and signs for it when it is named by its certificate
                if serial == 57 {
                    let signature = desk.keystores.sign(&permit, &place, None, &desk.me).await.unwrap();
                    let der = template.assemble_der(&signature).unwrap();
                    desk.keystores.write_certificate(&token, slot, der, factory_key()).await.unwrap();
                    let seen = desk.token(serial).await.unwrap();
                    let (info, facts) = seen.slots.iter().find(|(_, facts)| facts.slot == slot).unwrap();
                    assert_eq!((info.role.as_deref(), info.gun.as_deref()), (Some("targets"), Some("example.com/a")));
                    assert_eq!(facts.origin, Some(Origin::Imported));
                    assert!(facts.certificate.as_ref().unwrap().contains("CN=targets"));
                    desk.sign(&key).await.unwrap();
                    let unattested = desk.keystores.attest(&token, slot, &public).await.unwrap_err();
                    assert!(matches!(unattested, KeystoreError::NotSupported { .. }), "{unattested:?}");
                }
            }
        }
    });
}

#[test]
fn what_was_made_on_a_card_is_attested_up_to_an_anchor() {
    alone(async |lab: Lab| {
        let pcscd = Pcscd::start_at(lab.path("pcscd.comm"), 1).unwrap();
        let card = Card::new(Version(5, 7, 1), 4711).unwrap();
        let anchor = lab.path("anchor.pem");
        let pem = |der: Vec<u8>| pem::encode(&pem::Pem::new("CERTIFICATE", der));
        std::fs::write(&anchor, pem(card.attestation_root())).unwrap();
        let stranger = lab.path("stranger.pem");
        std::fs::write(&stranger, pem(Card::new(Version(5, 7, 1), 1).unwrap().attestation_root())).unwrap();
        let with = |anchors: &[std::path::PathBuf]| Attestations::open(lab.path("attestations"), anchors).unwrap();
        let start = |anchors| Keystores::start(&[], &YubikeysConfig::default(), with(anchors)).unwrap();
        let desk = Desk { pcscd, keystores: start(std::slice::from_ref(&anchor)), me: connection() };
        let _yubikey = desk.pcscd.insert(0, card).unwrap();
        desk.present(4711).await;
        desk.unlock(4711, PIN).await.unwrap();
        let key = desk.generate(4711, slot("9c", TouchPolicy::Always)).await.unwrap();
        let public = key.public.clone().unwrap();
        let kept = desk.keystores.keep_attestation("4711", "9c".parse().unwrap(), &public).await.unwrap();
        assert!(kept.anchor.is_ok(), "{kept:?}");
        assert_eq!((kept.serial, kept.firmware.as_deref()), (Some(4711), Some("5.7.1")));
        assert_eq!((kept.pin, kept.touch), (Some(PinPolicy::Once), Some(TouchPolicy::Always)));

        assert_eq!(with(std::slice::from_ref(&anchor)).of(&public), Some(kept.clone()), "it is read again");
        assert!(with(&[stranger]).of(&public).unwrap().anchor.is_err());
        assert!(with(&[]).of(&public).unwrap().anchor.unwrap_err().contains("[attestation]"));
        // a chain does not vouch for another key, and no chain survives a change
        let other = desk.generate(4711, slot("9a", TouchPolicy::Always)).await.unwrap();
        let (chain, _) = desk.keystores.attest("4711", "9a".parse().unwrap(), &other.public.unwrap()).await.unwrap();
        assert!(with(std::slice::from_ref(&anchor)).keep(&public, &chain).is_err());
        let path = lab.path("attestations").join(format!("{}.pem", public.name()));
        let mut blocks = pem::parse_many(std::fs::read(&path).unwrap()).unwrap();
        let mut leaf = blocks.remove(0).into_contents();
        let last = leaf.len() - 1;
        leaf[last] ^= 1;
        let forged = [pem::Pem::new("CERTIFICATE", leaf), blocks.remove(0)];
        std::fs::write(&path, pem::encode_many(&forged)).unwrap();
        assert!(with(&[anchor]).of(&public).unwrap().anchor.is_err());
        assert!(Attestations::open(lab.path("x"), &[lab.path("nothing.pem")]).unwrap_err().contains("nothing.pem"));
    });
}
