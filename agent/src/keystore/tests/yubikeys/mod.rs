//! Virtual YubiKeys behind the real pcscd.

mod setup;

use std::sync::Arc;
use std::time::Duration;

use signet_tuf::{Algorithm, Method};
use virtual_yubikey::{Card, Fault, Mishap, Pcscd, Status, Version, Yubikey};

use super::{Lab, alone, connection, eventually, permit, scope, secret};
use crate::caller::Connection;
use crate::config::{YubikeyConfig, YubikeysConfig};
use crate::keystore::{
    Attestations, Event, KeyInfo, KeySelector, KeystoreError, Keystores, LastTry, Origin, PinPolicy, PivOptions, Place,
    PlaceState, Reached, TokenInfo, TouchPolicy, Tries,
};

const GENERAL_AUTHENTICATE: u8 = 0x87;
const PIN: &str = "123456";

/// The management key as the factory sets it. Only tests use it.
fn factory_key() -> Option<crate::secret::Secret> {
    Some(crate::secret::Secret::from([1, 2, 3, 4, 5, 6, 7, 8].repeat(3)))
}

/// A desk with readers, and keystores that look at them.
struct Desk {
    pcscd: Pcscd,
    keystores: Keystores,
    me: Arc<Connection>,
}

impl Desk {
    fn new(lab: &Lab, readers: usize) -> Self {
        let pcscd = Pcscd::start_at(lab.path("pcscd.comm"), readers).unwrap();
        Self { pcscd, keystores: keystores(), me: connection() }
    }

    /// Puts one in, and waits until the agent knows it.
    async fn insert(&self, slot: usize, version: Version, serial: u32) -> Yubikey {
        let yubikey = self.pcscd.insert(slot, Card::new(version, serial).unwrap()).unwrap();
        self.present(serial).await;
        yubikey
    }

    async fn present(&self, serial: u32) {
        eventually("the YubiKey is seen", async || self.token(serial).await.is_some_and(|token| token.present)).await;
    }

    async fn remembers_a_pin(&self) -> bool {
        self.keystores.yubikeys().await.iter().any(|yubikey| yubikey.card.remembers_a_pin())
    }

    async fn token(&self, serial: u32) -> Option<TokenInfo> {
        self.keystores.tokens().await.into_iter().find(|token| token.name == serial.to_string())
    }

    async fn unlock(&self, serial: u32, pin: &str) -> Result<(), KeystoreError> {
        let scope = scope(&self.me);
        self.keystores.unlock_token(&serial.to_string(), secret(pin), scope, LastTry::Keep).await.map(drop)
    }

    async fn generate(&self, serial: u32, options: PivOptions) -> Result<KeyInfo, KeystoreError> {
        self.generate_with(serial, Algorithm::EcdsaP256, options).await
    }

    async fn generate_with(
        &self,
        serial: u32,
        algorithm: Algorithm,
        options: PivOptions,
    ) -> Result<KeyInfo, KeystoreError> {
        let options = PivOptions { management_key: options.management_key.clone().or_else(factory_key), ..options };
        let for_what = ("root", None);
        self.keystores.generate_on_token(&serial.to_string(), algorithm, for_what, Some(options), &self.me).await
    }

    async fn place(&self, key: &KeyInfo) -> (Place, PlaceState) {
        let selector = KeySelector { name: key.name, canonical: key.key_id };
        let found = self.keystores.locate(&selector, None, &self.me).await;
        assert_eq!(found.len(), 1, "{found:?}");
        (found[0].place.clone(), found[0].state)
    }

    async fn sign(&self, key: &KeyInfo) -> Result<(), KeystoreError> {
        let public = key.public.as_ref().unwrap();
        let (place, _) = self.place(key).await;
        let signature = self.keystores.sign(&permit(public, b"signed"), &place, None, &self.me).await?;
        public.verify(public.method(), b"signed", &signature).expect("a good signature");
        Ok(())
    }
}

fn keystores() -> Keystores {
    Keystores::start(&[], &YubikeysConfig::default(), Attestations::default()).unwrap()
}

fn slot(name: &str, touch: TouchPolicy) -> PivOptions {
    PivOptions { slot: Some(name.parse().unwrap()), touch: Some(touch), ..PivOptions::default() }
}

fn untouched() -> PivOptions {
    PivOptions { touch: Some(TouchPolicy::Never), ..PivOptions::default() }
}

#[test]
fn every_algorithm_signs_in_any_slot() {
    alone(async |lab: Lab| {
        let desk = Desk::new(&lab, 1);
        let _yubikey = desk.insert(0, Version(5, 7, 1), 4711).await;
        desk.unlock(4711, PIN).await.unwrap();
        let algorithms = [
            ("9a", Algorithm::EcdsaP256),
            ("9c", Algorithm::EcdsaP384),
            ("9d", Algorithm::Rsa(2048)),
            ("9e", Algorithm::Rsa(3072)),
            ("82", Algorithm::EcdsaP256),
            ("95", Algorithm::EcdsaP256),
        ];
        for (name, algorithm) in algorithms {
            let key = desk.generate_with(4711, algorithm, slot(name, TouchPolicy::Never)).await.unwrap();
            assert_eq!(desk.place(&key).await.0.to_string(), format!("yubikey:4711/{name}"));
            let (_, facts) = &key.slots[0];
            let expected = (Some(PinPolicy::Once), Some(TouchPolicy::Never), Some(Origin::Generated));
            assert_eq!((facts.pin, facts.touch, facts.origin), expected);
            desk.sign(&key).await.unwrap();
        }
        let refused = desk.generate_with(4711, Algorithm::Ed25519, untouched()).await.unwrap_err();
        assert!(matches!(&refused, KeystoreError::NotSupported { what, .. } if what.contains("1 kB")), "{refused}");
        let token = desk.token(4711).await.unwrap();
        assert_eq!(token.slots.len(), algorithms.len());
    });
}

#[test]
fn certificates_are_signed_with_rsa_too() {
    alone(async |lab: Lab| {
        let desk = Desk::new(&lab, 1);
        let _yubikey = desk.insert(0, Version(5, 4, 3), 4711).await;
        desk.unlock(4711, PIN).await.unwrap();
        let key = desk.generate_with(4711, Algorithm::Rsa(2048), untouched()).await.unwrap();
        let public = key.public.clone().unwrap();
        let scheme = crate::ledger::Scheme::RsaPkcs1Sha256;
        let permit = crate::ledger::Permit::for_test(public.name(), scheme, b"certificate");
        let (place, _) = desk.place(&key).await;
        let signature = desk.keystores.sign(&permit, &place, None, &desk.me).await.unwrap();
        public.verify(Method::RsaPkcs1v15, b"certificate", &signature).unwrap();
    });
}

#[test]
fn what_firmware_cannot_do_is_said() {
    alone(async |lab: Lab| {
        let desk = Desk::new(&lab, 1);
        let _old = desk.insert(0, Version(4, 3, 5), 43).await;
        let _newer = desk.insert(1, Version(5, 4, 3), 54).await;
        for serial in [43, 54] {
            desk.unlock(serial, PIN).await.unwrap();
            let refused = desk.generate_with(serial, Algorithm::Rsa(4096), untouched()).await.unwrap_err();
            assert!(refused.to_string().contains("firmware 5.7"), "{refused}");
        }
        let old = desk.token(43).await.unwrap();
        let card = old.card.unwrap();
        assert_eq!((card.default_pin, card.default_puk, card.puk.left, card.pin.left), (None, None, None, Some(3)));
        assert_eq!(old.tries, Tries::Left(3));
        let card = desk.token(54).await.unwrap().card.unwrap();
        assert_eq!((card.default_pin, card.default_management_key, card.puk.left), (Some(true), Some(true), Some(3)));
        // what it does not tell is not taken for free
        let refused = desk.generate(43, slot("9c", TouchPolicy::Never)).await.unwrap_err();
        assert!(matches!(refused, KeystoreError::SlotOccupied { certain: false, .. }), "{refused}");
        let options = PivOptions { overwrite: true, ..slot("9c", TouchPolicy::Never) };
        let key = desk.generate(43, options).await.unwrap();
        assert_eq!(key.slots[0].1.touch, Some(TouchPolicy::Never), "by attestation");
        desk.sign(&key).await.unwrap();
        let refused = desk.generate(43, slot("9c", TouchPolicy::Never)).await.unwrap_err();
        assert!(matches!(refused, KeystoreError::SlotOccupied { certain: true, .. }), "{refused}");
    });
}

#[test]
fn a_slot_is_not_overwritten_unasked() {
    alone(async |lab: Lab| {
        let desk = Desk::new(&lab, 1);
        let _yubikey = desk.insert(0, Version(5, 7, 1), 4711).await;
        desk.unlock(4711, PIN).await.unwrap();
        let first = desk.generate(4711, untouched()).await.unwrap();
        let second = desk.generate(4711, untouched()).await.unwrap();
        let places = [desk.place(&first).await.0, desk.place(&second).await.0].map(|place| place.to_string());
        assert_eq!(places, ["yubikey:4711/9c", "yubikey:4711/9a"]);
        let refused = desk.generate(4711, slot("9c", TouchPolicy::Never)).await.unwrap_err();
        assert!(matches!(refused, KeystoreError::SlotOccupied { certain: true, .. }), "{refused}");
        desk.sign(&first).await.unwrap();
        let options = PivOptions { overwrite: true, ..slot("9c", TouchPolicy::Never) };
        desk.generate(4711, options).await.unwrap();
        let selector = KeySelector { name: first.name, canonical: first.key_id };
        assert!(desk.keystores.locate(&selector, None, &desk.me).await.is_empty());
    });
}

#[test]
fn a_wrong_or_missing_management_key_makes_nothing() {
    alone(async |lab: Lab| {
        let desk = Desk::new(&lab, 1);
        let yubikey = desk.insert(0, Version(5, 7, 1), 4711).await;
        desk.unlock(4711, PIN).await.unwrap();
        let options = PivOptions { management_key: Some(secret(&"x".repeat(24))), ..untouched() };
        let refused = desk.generate(4711, options).await.unwrap_err();
        assert!(matches!(refused, KeystoreError::ManagementKey { wrong: true, .. }), "{refused}");
        let options = PivOptions { management_key: Some(secret("short")), ..untouched() };
        assert!(desk.generate(4711, options).await.unwrap_err().to_string().contains("16, 24 or 32"));
        let none = desk.keystores.generate_on_token("4711", Algorithm::EcdsaP256, ("root", None), None, &desk.me);
        let refused = none.await.unwrap_err();
        assert!(matches!(refused, KeystoreError::ManagementKey { wrong: false, .. }), "{refused}");
        assert_eq!(yubikey.card().counts.generated, 0);
    });
}

#[test]
fn two_are_told_apart_and_keys_stay_with_theirs() {
    alone(async |lab: Lab| {
        let desk = Desk::new(&lab, 2);
        let first = desk.insert(0, Version(5, 7, 1), 100).await;
        let second = desk.insert(2, Version(5, 4, 3), 200).await;
        for serial in [100, 200] {
            desk.unlock(serial, PIN).await.unwrap();
        }
        let one = desk.generate(100, untouched()).await.unwrap();
        let two = desk.generate(200, untouched()).await.unwrap();
        desk.sign(&one).await.unwrap();
        desk.sign(&two).await.unwrap();
        assert_eq!((first.card().counts.signatures, second.card().counts.signatures), (1, 1));
        first.pull();
        eventually("it is gone", async || desk.place(&one).await.1 == PlaceState::Absent).await;
        desk.sign(&two).await.unwrap();
        // a key is absent, not forgotten
        assert_eq!(desk.place(&one).await.0.to_string(), "yubikey:100/9c");
    });
}

#[test]
fn a_pulled_card_is_locked_when_it_comes_back_and_works_again() {
    alone(async |lab: Lab| {
        let desk = Desk::new(&lab, 1);
        let yubikey = desk.insert(0, Version(5, 7, 1), 4711).await;
        let mut events = desk.keystores.events();
        desk.unlock(4711, PIN).await.unwrap();
        let key = desk.generate(4711, untouched()).await.unwrap();
        yubikey.card().faults.push(Fault { instruction: GENERAL_AUTHENTICATE, mishap: Mishap::PulledBefore, times: 1 });
        let refused = desk.sign(&key).await.unwrap_err();
        let expected = KeystoreError::Absent { token: "4711".to_owned(), reached: Reached::Unknown };
        assert_eq!(refused.to_string(), expected.to_string());
        assert!(!refused.nothing_signed());
        yubikey.plug();
        let started = std::time::Instant::now();
        eventually("it is back", async || desk.place(&key).await.1 == PlaceState::Locked).await;
        println!("seen after {} ms", started.elapsed().as_millis());
        assert!(!desk.remembers_a_pin().await);
        assert!(matches!(desk.sign(&key).await, Err(KeystoreError::Locked { .. })));
        desk.unlock(4711, PIN).await.unwrap();
        desk.sign(&key).await.unwrap();
        assert!(desk.remembers_a_pin().await);
        desk.keystores.lock(Some("4711")).await.unwrap();
        assert!(!desk.remembers_a_pin().await);
        let mut told = Vec::new();
        while let Ok(event) = events.try_recv() {
            told.push(event);
        }
        let token = || "4711".to_owned();
        assert_eq!(told, [Event::Removed { token: token() }, Event::Inserted { token: token() }]);
    });
}

#[test]
fn pcscd_may_end_and_come_back() {
    alone(async |lab: Lab| {
        let mut desk = Desk::new(&lab, 1);
        let _yubikey = desk.insert(0, Version(5, 7, 1), 4711).await;
        desk.unlock(4711, PIN).await.unwrap();
        let key = desk.generate(4711, untouched()).await.unwrap();
        desk.pcscd.kill();
        eventually("it is gone", async || desk.place(&key).await.1 == PlaceState::Absent).await;
        let is_said = async || desk.keystores.trouble().is_some_and(|why| why.contains("apt install pcscd"));
        eventually("the reason is said", is_said).await;
        desk.pcscd.restart().unwrap();
        eventually("it is back", async || desk.place(&key).await.1 == PlaceState::Locked).await;
        assert_eq!(desk.keystores.trouble(), None);
        desk.unlock(4711, PIN).await.unwrap();
        desk.sign(&key).await.unwrap();
    });
}

#[test]
fn other_programs_use_the_card_beside_us() {
    alone(async |lab: Lab| {
        let desk = Desk::new(&lab, 1);
        let yubikey = desk.insert(0, Version(5, 4, 3), 4711).await;
        desk.unlock(4711, PIN).await.unwrap();
        let key = desk.generate(4711, untouched()).await.unwrap();
        for _ in 0..3 {
            desk.sign(&key).await.unwrap();
            let mut tool = desk.pcscd.command("yubico-piv-tool");
            assert!(tool.args(["-a", "status"]).status().unwrap().success());
        }
        // moved by somebody else, it is found by its public key
        {
            let mut card = yubikey.card();
            let moved = card.piv.slots.remove(&0x9c).unwrap();
            card.piv.slots.insert(0x83, moved);
        }
        desk.sign(&key).await.unwrap();
        yubikey.card().piv.slots.clear();
        assert!(matches!(desk.sign(&key).await, Err(KeystoreError::UnknownKey { .. })));
    });
}

#[test]
fn a_program_that_wants_the_card_alone_is_waited_for_by_nobody() {
    alone(async |lab: Lab| {
        let desk = Desk::new(&lab, 1);
        let _yubikey = desk.insert(0, Version(5, 7, 1), 4711).await;
        desk.unlock(4711, PIN).await.unwrap();
        let key = desk.generate(4711, untouched()).await.unwrap();
        let context = pcsc::Context::establish(pcsc::Scope::System).unwrap();
        let reader = context
            .list_readers_owned()
            .unwrap()
            .into_iter()
            .find(|reader| context.connect(reader, pcsc::ShareMode::Shared, pcsc::Protocols::T1).is_ok());
        let connect = || context.connect(reader.as_ref().unwrap(), pcsc::ShareMode::Exclusive, pcsc::Protocols::T1);
        let card = connect().expect("the agent keeps no handle");
        let refused = desk.sign(&key).await.unwrap_err();
        assert!(refused.to_string().contains("another program has it for itself"), "{refused}");
        assert!(refused.nothing_signed());
        assert_eq!(desk.place(&key).await.1, PlaceState::Ready, "it is still here, and unlocked");
        card.disconnect(pcsc::Disposition::LeaveCard).map_err(|(_, error)| error).unwrap();
        desk.sign(&key).await.unwrap();
    });
}

#[test]
fn another_card_in_the_same_reader_is_another_card() {
    alone(async |lab: Lab| {
        let desk = Desk::new(&lab, 1);
        let first = desk.insert(0, Version(5, 7, 1), 4711).await;
        desk.unlock(4711, PIN).await.unwrap();
        let key = desk.generate(4711, untouched()).await.unwrap();
        drop(first);
        eventually("it is gone", async || desk.place(&key).await.1 == PlaceState::Absent).await;
        // the virtual reader wants to see that its slot is empty
        tokio::time::sleep(Duration::from_secs(1)).await;
        let second = desk.insert(0, Version(5, 7, 1), 4799).await;
        let refused = desk.sign(&key).await.unwrap_err();
        assert!(matches!(&refused, KeystoreError::Absent { token, .. } if token == "4711"), "{refused:?}");
        assert!(matches!(desk.unlock(4711, PIN).await, Err(KeystoreError::Absent { .. })));
        assert_eq!(second.card().counts.pins, 0, "no PIN is shown to it");
    });
}

#[test]
fn no_pin_is_guessed_and_no_last_try_spent() {
    alone(async |lab: Lab| {
        let desk = Desk::new(&lab, 1);
        let yubikey = desk.insert(0, Version(5, 7, 1), 4711).await;
        assert_eq!(yubikey.card().counts.pins, 0, "nothing was tried");
        let malformed = desk.unlock(4711, "1234").await.unwrap_err();
        assert!(matches!(malformed, KeystoreError::SecretMalformed { .. }), "{malformed}");
        let wrong = desk.unlock(4711, "111111").await.unwrap_err();
        assert!(matches!(wrong, KeystoreError::SecretIncorrect { tries: Tries::Left(2), .. }), "{wrong:?}");
        desk.unlock(4711, "111111").await.unwrap_err();
        assert_eq!(yubikey.card().counts.pins, 1, "a refused PIN is not sent twice");
        let wrong = desk.unlock(4711, "222222").await.unwrap_err();
        assert!(matches!(wrong, KeystoreError::SecretIncorrect { tries: Tries::Last, .. }), "{wrong:?}");
        let kept = desk.unlock(4711, PIN).await.unwrap_err();
        assert!(matches!(kept, KeystoreError::LastTry { .. }), "{kept:?}");
        assert_eq!(yubikey.card().piv.pin.left, 1);
        assert_eq!(yubikey.card().counts.pins, 2);
        let spent = desk.keystores.unlock_token("4711", secret(PIN), scope(&desk.me), LastTry::Spend).await;
        spent.unwrap();
        assert_eq!(yubikey.card().piv.pin.left, 3);
    });
}

#[test]
fn a_pin_that_was_changed_elsewhere_is_shown_once() {
    alone(async |lab: Lab| {
        let desk = Desk::new(&lab, 1);
        let yubikey = desk.insert(0, Version(5, 7, 1), 4711).await;
        desk.unlock(4711, PIN).await.unwrap();
        let key = desk.generate(4711, untouched()).await.unwrap();
        let mut tool = desk.pcscd.command("yubico-piv-tool");
        tool.args(["-a", "change-pin", "-P", PIN, "-N", "654321"]);
        assert!(tool.status().unwrap().success());
        let refused = desk.sign(&key).await.unwrap_err();
        assert!(matches!(refused, KeystoreError::SecretIncorrect { .. }), "{refused:?}");
        for _ in 0..3 {
            let refused = desk.sign(&key).await.unwrap_err();
            assert!(matches!(refused, KeystoreError::Locked { .. }), "{refused:?}");
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        assert_eq!(yubikey.card().piv.pin.left, 2);
        assert!(matches!(desk.unlock(4711, PIN).await, Err(KeystoreError::SecretIncorrect { .. })));
        assert_eq!(yubikey.card().piv.pin.left, 2, "it is known to be wrong");
        desk.unlock(4711, "654321").await.unwrap();
        desk.sign(&key).await.unwrap();
    });
}

#[test]
fn who_must_touch_is_told_and_only_then() {
    alone(async |lab: Lab| {
        let desk = Desk::new(&lab, 1);
        let yubikey = desk.insert(0, Version(5, 7, 1), 4711).await;
        desk.unlock(4711, PIN).await.unwrap();
        let quiet = desk.generate(4711, slot("9a", TouchPolicy::Never)).await.unwrap();
        let key = desk.generate(4711, slot("9c", TouchPolicy::Always)).await.unwrap();
        let cached = desk.generate(4711, slot("9d", TouchPolicy::Cached)).await.unwrap();
        let mut events = desk.keystores.events();
        desk.sign(&quiet).await.unwrap();
        assert!(events.try_recv().is_err(), "nothing is said");

        yubikey.rest_finger(true);
        desk.sign(&cached).await.unwrap();
        assert!(matches!(events.recv().await, Ok(Event::TouchWanted { .. })));
        assert!(matches!(events.recv().await, Ok(Event::TouchEnded { .. })));
        yubikey.rest_finger(false);
        desk.sign(&cached).await.unwrap();
        assert!(events.try_recv().is_err(), "it remembers the touch");

        let (signed, ()) = tokio::join!(desk.sign(&key), async {
            let told = events.recv().await.unwrap();
            assert!(matches!(told, Event::TouchWanted { seconds: 15, perhaps: false, .. }), "{told:?}");
            eventually("it blinks", async || yubikey.blinks()).await;
            // what needs no card is answered meanwhile
            assert!(desk.token(4711).await.is_some_and(|token| token.present && token.slots.len() == 3));
            assert!(yubikey.touch());
        });
        signed.unwrap();
        assert!(matches!(events.recv().await, Ok(Event::TouchEnded { .. })));

        yubikey.set_patience(Duration::from_secs(1));
        let missed = desk.sign(&key).await.unwrap_err();
        assert!(matches!(missed, KeystoreError::TouchTimeout { .. }), "{missed:?}");
        assert!(missed.nothing_signed());
        assert!(matches!(events.recv().await, Ok(Event::TouchWanted { .. })));
        assert!(matches!(events.recv().await, Ok(Event::TouchEnded { .. })));
    });
}

#[test]
fn a_card_that_hangs_or_lies_is_noticed() {
    alone(async |lab: Lab| {
        let desk = Desk::new(&lab, 1);
        let yubikey = desk.insert(0, Version(5, 7, 1), 4711).await;
        desk.unlock(4711, PIN).await.unwrap();
        let key = desk.generate(4711, untouched()).await.unwrap();
        let fault = |mishap| Fault { instruction: GENERAL_AUTHENTICATE, mishap, times: 1 };

        yubikey.card().faults.push(fault(Mishap::Status(Status(0x6f00))));
        let refused = desk.sign(&key).await.unwrap_err();
        assert!(matches!(refused, KeystoreError::Failed { reached: Reached::Nothing, .. }), "{refused:?}");

        yubikey.card().faults.push(fault(Mishap::WrongAnswer));
        let public = key.public.clone().unwrap();
        let (place, _) = desk.place(&key).await;
        // the last byte of the answer is another: s is wrong
        let signature = desk.keystores.sign(&permit(&public, b"signed"), &place, None, &desk.me).await.unwrap();
        public.verify(public.method(), b"signed", &signature).unwrap_err();

        yubikey.card().faults.push(fault(Mishap::Slow(Duration::from_secs(30))));
        let started = std::time::Instant::now();
        let silent = desk.sign(&key).await.unwrap_err();
        assert!(matches!(silent, KeystoreError::Failed { reached: Reached::Unknown, .. }), "{silent:?}");
        assert!(started.elapsed() < Duration::from_secs(29), "{:?}", started.elapsed());
        assert!(desk.token(4711).await.is_some_and(|token| token.present), "others are answered");
    });
}

#[test]
fn a_pin_file_unlocks_whenever_the_card_comes() {
    alone(async |lab: Lab| {
        use std::os::unix::fs::PermissionsExt;
        let file = lab.path("pin");
        std::fs::write(&file, format!("{PIN}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let pcscd = Pcscd::start_at(lab.path("pcscd.comm"), 1).unwrap();
        let listed = vec![YubikeyConfig { serial: 4711, pin_file: Some(file), roles: Vec::new() }];
        let config = YubikeysConfig { listed, ..YubikeysConfig::default() };
        let desk = Desk {
            pcscd,
            keystores: Keystores::start(&[], &config, Attestations::default()).unwrap(),
            me: connection(),
        };
        let absent = desk.token(4711).await.unwrap();
        assert!(!absent.present);
        let yubikey = desk.insert(0, Version(5, 7, 1), 4711).await;
        eventually("it is unlocked", async || desk.token(4711).await.is_some_and(|token| token.unlocked)).await;
        let key = desk.generate(4711, untouched()).await.unwrap();
        yubikey.pull();
        eventually("it is gone", async || desk.place(&key).await.1 == PlaceState::Absent).await;
        yubikey.plug();
        eventually("it is back", async || desk.place(&key).await.1 == PlaceState::Ready).await;
        desk.sign(&key).await.unwrap();
    });
}
