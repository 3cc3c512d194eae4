//! What both keystores promise alike, as one table.

use std::sync::Arc;

use signet_tuf::{Algorithm, Gun};

use super::{Lab, PIN, alone, connection, eventually, permit, scope, secret, start, token};
use crate::caller::Connection;
use crate::keystore::{KeyInfo, KeySelector, KeystoreError, Keystores, LastTry, Place, PlaceState, Scope, TrustDir};
use crate::ledger::{Permit, Scheme};

const TOKEN: &str = "behaviour";

/// Where the table is played.
#[derive(Clone, Copy, Debug)]
enum Home {
    Token,
    File,
}

struct Rig {
    home: Home,
    keystores: Keystores,
    dir: TrustDir,
}

impl Rig {
    fn new(lab: &Lab, home: Home) -> Self {
        let dir = TrustDir::open(&lab.path(&format!("{home:?}"))).unwrap();
        let tokens = match home {
            Home::Token => vec![token(TOKEN)],
            Home::File => Vec::new(),
        };
        Self { home, keystores: start(&tokens).unwrap(), dir }
    }

    async fn unlock(&self, key: &str, with: &str, scope: Scope) -> Result<(), KeystoreError> {
        match self.home {
            Home::Token => self.keystores.unlock_token(TOKEN, secret(with), scope, LastTry::Keep).await.map(drop),
            Home::File => self.keystores.unlock_file(&self.dir, key, secret(with), scope).await.map(drop),
        }
    }

    /// A key that stands in its place, locked with the PIN.
    async fn key(&self, algorithm: Algorithm, gun: Option<&Gun>) -> Result<KeyInfo, KeystoreError> {
        let maker = connection();
        match self.home {
            Home::Token => {
                self.unlock("", PIN, scope(&maker)).await?;
                self.keystores.generate_on_token(TOKEN, algorithm, ("targets", gun), None, &maker).await
            }
            Home::File => {
                let made = self.keystores.generate_in_file(&self.dir, algorithm, "targets", gun, &maker).await?;
                let id = made.key_id.to_string();
                self.keystores.set_passphrase(&self.dir, &id, None, secret(PIN), &maker).await.map(|(info, _)| info)
            }
        }
    }

    async fn locate(&self, key: &KeyInfo, connection: &Arc<Connection>) -> (Place, PlaceState) {
        let selector = KeySelector { name: key.name, canonical: key.key_id };
        let found = self.keystores.locate(&selector, Some(&self.dir), connection).await;
        assert_eq!(found.len(), 1, "{found:?}");
        (found[0].place.clone(), found[0].state)
    }

    async fn sign(&self, permit: &Permit, at: &Place, connection: &Arc<Connection>) -> Result<Vec<u8>, KeystoreError> {
        self.keystores.sign(permit, at, Some(&self.dir), connection).await
    }
}

async fn on_both(lab: Lab, story: impl AsyncFn(&Rig)) {
    lab.make_token(TOKEN);
    for home in [Home::Token, Home::File] {
        println!("on {home:?}");
        story(&Rig::new(&lab, home)).await;
    }
}

#[test]
fn every_algorithm_signs_what_verifies() {
    alone(async |lab| {
        on_both(lab, async |rig| {
            let mut algorithms =
                vec![Algorithm::EcdsaP256, Algorithm::EcdsaP384, Algorithm::Rsa(2048), Algorithm::Ed25519];
            if matches!(rig.home, Home::File) {
                algorithms.push(Algorithm::EcdsaP521);
            }
            let connection = connection();
            for algorithm in algorithms {
                let key = rig.key(algorithm, None).await.unwrap();
                let public = key.public.clone().unwrap();
                assert_eq!(public.algorithm(), algorithm);
                rig.unlock(&key.key_id.to_string(), PIN, scope(&connection)).await.unwrap();
                let (place, state) = rig.locate(&key, &connection).await;
                assert_eq!(state, PlaceState::Ready, "{algorithm}");
                let signature = rig.sign(&permit(&public, b"message"), &place, &connection).await.unwrap();
                public.verify(public.method(), b"message", &signature).unwrap();
            }
        })
        .await;
    });
}

#[test]
fn rsa_signs_certificates_by_pkcs1() {
    alone(async |lab| {
        on_both(lab, async |rig| {
            let key = rig.key(Algorithm::Rsa(2048), None).await.unwrap();
            let public = key.public.clone().unwrap();
            let connection = connection();
            rig.unlock(&key.key_id.to_string(), PIN, scope(&connection)).await.unwrap();
            let (place, _) = rig.locate(&key, &connection).await;
            let permit = Permit::for_test(public.name(), Scheme::RsaPkcs1Sha256, b"certificate");
            let signature = rig.sign(&permit, &place, &connection).await.unwrap();
            public.verify(signet_tuf::Method::RsaPkcs1v15, b"certificate", &signature).unwrap();
        })
        .await;
    });
}

#[test]
fn a_key_tells_its_role_and_collection() {
    alone(async |lab| {
        on_both(lab, async |rig| {
            let gun: Gun = "example.com/acme/app".parse().unwrap();
            let key = rig.key(Algorithm::EcdsaP256, Some(&gun)).await.unwrap();
            let listing = rig.keystores.list(Some(&rig.dir), &connection()).await;
            assert_eq!(listing.warnings, Vec::<String>::new());
            assert_eq!(listing.keys.len(), 1);
            let listed = &listing.keys[0];
            assert_eq!((listed.role.as_deref(), listed.gun.as_deref()), (Some("targets"), Some(gun.as_str())));
            assert_eq!((listed.key_id, listed.name), (key.key_id, key.name));
        })
        .await;
    });
}

#[test]
fn a_locked_key_says_so_and_signs_nothing() {
    alone(async |lab| {
        on_both(lab, async |rig| {
            let key = rig.key(Algorithm::EcdsaP256, None).await.unwrap();
            let stranger = connection();
            let (place, state) = rig.locate(&key, &stranger).await;
            assert_eq!(state, PlaceState::Locked);
            let permit = permit(key.public.as_ref().unwrap(), b"message");
            let error = rig.sign(&permit, &place, &stranger).await.unwrap_err();
            assert!(error.nothing_signed());
            let KeystoreError::Locked { place: named, role, token, .. } = error else { panic!("{error:?}") };
            assert_eq!((named, role.as_deref()), (place, Some("targets")));
            assert_eq!(token.is_some(), matches!(rig.home, Home::Token));
        })
        .await;
    });
}

#[test]
fn an_unlock_is_for_its_connection_and_ends_with_it() {
    alone(async |lab| {
        on_both(lab, async |rig| {
            let key = rig.key(Algorithm::EcdsaP256, None).await.unwrap();
            let permit = permit(key.public.as_ref().unwrap(), b"message");
            let (mine, other) = (connection(), connection());
            rig.unlock(&key.key_id.to_string(), PIN, scope(&mine)).await.unwrap();
            let (place, _) = rig.locate(&key, &mine).await;
            rig.sign(&permit, &place, &mine).await.unwrap();
            let refused = rig.sign(&permit, &place, &other).await;
            assert!(matches!(refused, Err(KeystoreError::Locked { .. })), "{refused:?}");

            drop(mine);
            let refused = rig.sign(&permit, &place, &other).await;
            assert!(matches!(refused, Err(KeystoreError::Locked { .. })), "{refused:?}");
            rig.unlock(&key.key_id.to_string(), PIN, scope(&other)).await.unwrap();
            rig.sign(&permit, &place, &other).await.unwrap();
        })
        .await;
    });
}

#[test]
fn a_lasting_unlock_serves_everybody_until_it_is_locked() {
    alone(async |lab| {
        on_both(lab, async |rig| {
            let key = rig.key(Algorithm::EcdsaP256, None).await.unwrap();
            let permit = permit(key.public.as_ref().unwrap(), b"message");
            rig.unlock(&key.key_id.to_string(), PIN, Scope::Lasting(None)).await.unwrap();
            let anybody = connection();
            let (place, state) = rig.locate(&key, &anybody).await;
            assert_eq!(state, PlaceState::Ready);
            rig.sign(&permit, &place, &anybody).await.unwrap();
            rig.keystores.lock(None).await.unwrap();
            let refused = rig.sign(&permit, &place, &anybody).await;
            assert!(matches!(refused, Err(KeystoreError::Locked { .. })), "{refused:?}");
        })
        .await;
    });
}

#[test]
fn a_wrong_secret_unlocks_nothing() {
    alone(async |lab| {
        on_both(lab, async |rig| {
            let key = rig.key(Algorithm::EcdsaP256, None).await.unwrap();
            let connection = connection();
            for wrong in ["000000", "", PIN.trim_end_matches('8')] {
                let refused = rig.unlock(&key.key_id.to_string(), wrong, scope(&connection)).await;
                assert!(matches!(refused, Err(KeystoreError::SecretIncorrect { .. })), "{wrong}: {refused:?}");
            }
            assert_eq!(rig.locate(&key, &connection).await.1, PlaceState::Locked);
        })
        .await;
    });
}

#[test]
fn who_joins_an_unlock_must_know_the_secret_too() {
    alone(async |lab| {
        on_both(lab, async |rig| {
            let key = rig.key(Algorithm::EcdsaP256, None).await.unwrap();
            let id = key.key_id.to_string();
            let (first, second) = (connection(), connection());
            rig.unlock(&id, PIN, scope(&first)).await.unwrap();
            let refused = rig.unlock(&id, "000000", scope(&second)).await;
            assert!(matches!(refused, Err(KeystoreError::SecretIncorrect { .. })), "{refused:?}");
            assert_eq!(rig.locate(&key, &second).await.1, PlaceState::Locked);
            assert_eq!(rig.locate(&key, &first).await.1, PlaceState::Ready);
            rig.unlock(&id, PIN, scope(&second)).await.unwrap();
            assert_eq!(rig.locate(&key, &second).await.1, PlaceState::Ready);
        })
        .await;
    });
}

#[test]
fn a_key_signs_only_by_its_own_scheme() {
    alone(async |lab| {
        on_both(lab, async |rig| {
            let key = rig.key(Algorithm::EcdsaP256, None).await.unwrap();
            let connection = connection();
            rig.unlock(&key.key_id.to_string(), PIN, scope(&connection)).await.unwrap();
            let (place, _) = rig.locate(&key, &connection).await;
            let permit = Permit::for_test(key.name.unwrap(), Scheme::RsaPssSha256, b"message");
            let error = rig.sign(&permit, &place, &connection).await.unwrap_err();
            assert!(matches!(error, KeystoreError::NotSupported { .. }), "{error:?}");
            assert!(error.nothing_signed());
        })
        .await;
    });
}

#[test]
fn a_key_that_is_not_there_is_unknown() {
    alone(async |lab| {
        on_both(lab, async |rig| {
            let here = rig.key(Algorithm::EcdsaP256, None).await.unwrap();
            let connection = connection();
            rig.unlock(&here.key_id.to_string(), PIN, scope(&connection)).await.unwrap();
            let (place, _) = rig.locate(&here, &connection).await;
            let elsewhere = signet_tuf::KeyName::from_bytes([7; 32]);
            let permit = Permit::for_test(elsewhere, Scheme::EcdsaSha256, b"message");
            let error = rig.sign(&permit, &place, &connection).await.unwrap_err();
            assert!(matches!(error, KeystoreError::UnknownKey { .. }), "{error:?}");
            assert!(error.nothing_signed());
        })
        .await;
    });
}

#[test]
fn eight_sign_at_once() {
    alone(async |lab| {
        on_both(lab, async |rig| {
            let key = rig.key(Algorithm::EcdsaP256, None).await.unwrap();
            let public = key.public.clone().unwrap();
            let connection = connection();
            rig.unlock(&key.key_id.to_string(), PIN, scope(&connection)).await.unwrap();
            let (place, _) = rig.locate(&key, &connection).await;
            let mut tasks = tokio::task::JoinSet::new();
            for number in 0..8_u8 {
                let (keystores, dir, place) = (rig.keystores.clone(), rig.dir.clone(), place.clone());
                let (public, connection) = (public.clone(), Arc::clone(&connection));
                tasks.spawn(async move {
                    for round in 0..25_u8 {
                        let message = [number, round];
                        let signed = keystores.sign(&permit(&public, &message), &place, Some(&dir), &connection).await;
                        public.verify(public.method(), &message, &signed.unwrap()).unwrap();
                    }
                });
            }
            while let Some(task) = tasks.join_next().await {
                task.unwrap();
            }
        })
        .await;
    });
}

#[test]
fn an_asker_that_leaves_does_not_hold_up_the_next() {
    alone(async |lab| {
        on_both(lab, async |rig| {
            let key = rig.key(Algorithm::EcdsaP256, None).await.unwrap();
            let connection = connection();
            rig.unlock(&key.key_id.to_string(), PIN, scope(&connection)).await.unwrap();
            let (place, _) = rig.locate(&key, &connection).await;
            let permit = permit(key.public.as_ref().unwrap(), b"message");
            // It has asked once, and leaves before the answer.
            drop(tokio::time::timeout(std::time::Duration::ZERO, rig.sign(&permit, &place, &connection)).await);
            eventually("the next signature", async || rig.sign(&permit, &place, &connection).await.is_ok()).await;
        })
        .await;
    });
}
