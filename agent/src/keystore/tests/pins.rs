//! A token is never harmed: no PIN is sent that was refused, no last try is spent unasked.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::{PIN, alone, connection, eventually, key_on, permit, scope, secret, start, token};
use crate::config::TokenConfig;
use crate::keystore::{KeystoreError, LastTry, PlaceState, Scope, Tries};

const COUNT_LOW: &str = "user PIN count low";
const FINAL_TRY: u64 = 0x0002_0000;
const LOCKED: u64 = 0x0004_0000;

#[test]
fn a_refused_pin_is_not_sent_again() {
    alone(async |lab| {
        lab.make_token("pins");
        let keystores = start(&[token("pins")]).unwrap();
        let unlock = async |pin: &str| {
            keystores.unlock_token("pins", secret(pin), Scope::Lasting(None), LastTry::Keep).await.map(drop)
        };
        let refused = unlock("000000").await;
        assert!(matches!(refused, Err(KeystoreError::SecretIncorrect { tries: Tries::Fewer, .. })), "{refused:?}");
        assert!(lab.flags("pins").contains(COUNT_LOW));

        // Another process logs in well, which clears the flag; a try sent from here would raise it again.
        lab.pkcs11_tool("pins", &["--list-objects"]);
        assert!(!lab.flags("pins").contains(COUNT_LOW));
        for _ in 0..10 {
            let refused = unlock("000000").await;
            assert!(matches!(refused, Err(KeystoreError::SecretIncorrect { .. })), "{refused:?}");
        }
        assert!(!lab.flags("pins").contains(COUNT_LOW));
        unlock(PIN).await.unwrap();
    });
}

#[test]
fn a_wrong_pin_beside_a_living_unlock_does_not_reach_the_token() {
    alone(async |lab| {
        lab.make_token("pins");
        let keystores = start(&[token("pins")]).unwrap();
        keystores.unlock_token("pins", secret(PIN), Scope::Lasting(None), LastTry::Keep).await.unwrap();
        for wrong in ["000000", "111111"] {
            let refused = keystores.unlock_token("pins", secret(wrong), Scope::Lasting(None), LastTry::Keep).await;
            assert!(matches!(refused, Err(KeystoreError::SecretIncorrect { tries: Tries::All, .. })), "{refused:?}");
        }
        assert!(!lab.flags("pins").contains(COUNT_LOW));
    });
}

#[test]
fn guessing_ends() {
    alone(async |lab| {
        lab.make_token("pins");
        let keystores = start(&[token("pins")]).unwrap();
        keystores.unlock_token("pins", secret(PIN), Scope::Lasting(None), LastTry::Keep).await.unwrap();
        let mut refused = 0;
        for guess in 0..1000 {
            let guess = secret(&format!("{guess:06}"));
            match keystores.unlock_token("pins", guess, Scope::Lasting(None), LastTry::Keep).await {
                Err(KeystoreError::SecretIncorrect { .. }) => refused += 1,
                Err(KeystoreError::Failed { what, .. }) => {
                    assert!(what.contains("lock the token"), "{what}");
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(refused < 100, "{refused}");
        // Even the right one is not told any more, until the token was locked; and the token has counted nothing.
        keystores.unlock_token("pins", secret(PIN), Scope::Lasting(None), LastTry::Keep).await.unwrap_err();
        assert!(!lab.flags("pins").contains(COUNT_LOW));
        keystores.lock(None).await.unwrap();
        keystores.unlock_token("pins", secret(PIN), Scope::Lasting(None), LastTry::Keep).await.unwrap();
    });
}

#[test]
fn the_last_try_is_kept_unless_it_is_given() {
    alone(async |lab| {
        lab.make_token("pins");
        lab.raise_flag("pins", FINAL_TRY);
        let keystores = start(&[token("pins")]).unwrap();
        assert_eq!(keystores.tokens().await[0].tries, Tries::Last);
        for pin in [PIN, "000000"] {
            let kept = keystores.unlock_token("pins", secret(pin), Scope::Lasting(None), LastTry::Keep).await;
            assert!(matches!(kept, Err(KeystoreError::LastTry { .. })), "{kept:?}");
        }
        assert!(!lab.flags("pins").contains(COUNT_LOW), "a PIN was sent");
        keystores.unlock_token("pins", secret(PIN), Scope::Lasting(None), LastTry::Spend).await.unwrap();
    });
}

#[test]
fn a_blocked_pin_is_said_and_not_tried() {
    alone(async |lab| {
        lab.make_token("pins");
        lab.raise_flag("pins", LOCKED);
        let keystores = start(&[token("pins")]).unwrap();
        for last_try in [LastTry::Keep, LastTry::Spend] {
            let blocked = keystores.unlock_token("pins", secret("000000"), Scope::Lasting(None), last_try).await;
            assert!(matches!(blocked, Err(KeystoreError::PinBlocked { .. })), "{blocked:?}");
        }
        assert!(!lab.flags("pins").contains(COUNT_LOW), "a PIN was sent");
    });
}

#[test]
fn the_token_is_logged_out_when_the_last_connection_goes() {
    alone(async |lab| {
        lab.make_token("pins");
        let keystores = start(&[token("pins")]).unwrap();
        let (first, second) = (connection(), connection());
        key_on(&keystores, "pins", &first).await;
        keystores.unlock_token("pins", secret(PIN), scope(&second), LastTry::Keep).await.unwrap();
        drop(first);
        drop(second);
        // While somebody is logged in, a wrong PIN is only compared; afterwards it is sent, once, and the token counts.
        let mut guesses = 0;
        eventually("a wrong PIN reaches the token", async || {
            guesses += 1;
            let wrong = secret(&format!("{guesses:06}"));
            let refused = keystores.unlock_token("pins", wrong, Scope::Lasting(None), LastTry::Keep).await;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            matches!(refused, Err(KeystoreError::SecretIncorrect { tries: Tries::Fewer, .. }))
        })
        .await;
    });
}

fn with_pin_file(path: &std::path::Path) -> TokenConfig {
    TokenConfig { pin_file: Some(path.to_owned()), ..token("pins") }
}

#[test]
fn a_pin_file_is_a_lasting_unlock() {
    alone(async |lab| {
        lab.make_token("pins");
        let pin_file = lab.path("pin");
        fs::write(&pin_file, format!("{PIN}\n")).unwrap();
        fs::set_permissions(&pin_file, Permissions::from_mode(0o600)).unwrap();
        let keystores = start(&[with_pin_file(&pin_file)]).unwrap();
        eventually("unlocked by its PIN file", async || keystores.tokens().await[0].unlocked).await;
        let anybody = connection();
        let key = keystores
            .generate_on_token("pins", signet_tuf::Algorithm::EcdsaP256, ("targets", None), None, &anybody)
            .await
            .unwrap();
        assert_eq!(key.places[0].1, PlaceState::Ready);

        // Locked by command it stays locked, whatever the file says.
        keystores.lock(Some("pins")).await.unwrap();
        keystores.list(None, &anybody).await;
        let permit = permit(key.public.as_ref().unwrap(), b"message");
        let refused = keystores.sign(&permit, &key.places[0].0, None, &anybody).await;
        assert!(matches!(refused, Err(KeystoreError::Locked { .. })), "{refused:?}");
    });
}

#[test]
fn a_pin_file_that_does_not_unlock_is_trouble_and_not_repeated() {
    alone(async |lab| {
        lab.make_token("pins");
        let pin_file = lab.path("pin");
        fs::write(&pin_file, "000000").unwrap();
        fs::set_permissions(&pin_file, Permissions::from_mode(0o600)).unwrap();
        let keystores = start(&[with_pin_file(&pin_file)]).unwrap();
        let info = &keystores.tokens().await[0];
        assert!(info.present && !info.unlocked);
        assert!(info.trouble.as_deref().unwrap().contains("incorrect"), "{info:?}");
        assert_eq!(info.tries, Tries::Fewer);
        lab.pkcs11_tool("pins", &["--list-objects"]);
        keystores.list(None, &connection()).await;
        assert!(!lab.flags("pins").contains(COUNT_LOW), "the PIN was sent again");
    });
}

#[test]
fn a_pin_file_that_others_read_is_not_used() {
    alone(async |lab| {
        lab.make_token("pins");
        let pin_file = lab.path("pin");
        fs::write(&pin_file, PIN).unwrap();
        fs::set_permissions(&pin_file, Permissions::from_mode(0o644)).unwrap();
        let keystores = start(&[with_pin_file(&pin_file)]).unwrap();
        let info = &keystores.tokens().await[0];
        assert!(info.present && !info.unlocked);
        assert!(info.trouble.as_deref().unwrap().contains("chmod 600"), "{info:?}");
    });
}
