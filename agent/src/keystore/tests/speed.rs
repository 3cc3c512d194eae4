//! How fast signatures are, beside the bare token in the same process: a part of `make bench`.

use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;

use super::{PIN, SOFTHSM, alone, connection, key_on, permit, secret, token};
use crate::caller::Connection;
use crate::keystore::{Keystores, Place, TrustDir};

const SIGNATURES: u32 = 4000;

async fn rate(
    keystores: &Keystores,
    public: &signet_tuf::PublicKey,
    place: &Place,
    dir: Option<&TrustDir>,
    connection: &Arc<Connection>,
    askers: u32,
) -> f64 {
    let each = SIGNATURES.checked_div(askers).unwrap();
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..askers {
        let (keystores, public, place) = (keystores.clone(), public.clone(), place.clone());
        let (dir, connection) = (dir.cloned(), Arc::clone(connection));
        tasks.spawn(async move {
            for _ in 0..each {
                keystores.sign(&permit(&public, b"message"), &place, dir.as_ref(), &connection).await.unwrap();
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    f64::from(SIGNATURES) / started.elapsed().as_secs_f64()
}

#[test]
#[ignore = "a measurement for make bench: it asserts nothing"]
fn signatures_in_a_second() {
    alone(async |lab| {
        lab.make_token("speed");
        let keystores = Keystores::start(&[token("speed")]).unwrap();
        let connection = connection();
        let key = key_on(&keystores, "speed", &connection).await;
        let (public, place) = (key.public.clone().unwrap(), key.places[0].0.clone());
        for askers in [1, 4, 8] {
            let rate = rate(&keystores, &public, &place, None, &connection, askers).await;
            println!("token, {askers} at once: {rate:.0} signatures/s");
        }

        let dir = TrustDir::open(&lab.path("trust")).unwrap();
        let made = keystores
            .generate_in_file(&dir, signet_tuf::Algorithm::EcdsaP256, "root", None, &connection)
            .await
            .unwrap();
        let id = made.key_id.to_string();
        let file = keystores.set_passphrase(&dir, &id, None, secret("secret"), &connection).await.unwrap();
        for askers in [1, 8] {
            let rate =
                rate(&keystores, file.public.as_ref().unwrap(), &file.places[0].0, Some(&dir), &connection, askers)
                    .await;
            println!("file, {askers} at once: {rate:.0} signatures/s");
        }

        // The module is initialised already, by the keystore: this is the same process.
        let pkcs11 = Pkcs11::new(SOFTHSM).unwrap();
        drop(pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)));
        for threads in [1_u32, 4] {
            let slot = pkcs11.get_slots_with_initialized_token().unwrap()[0];
            let each = SIGNATURES / threads;
            let started = Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        let session = pkcs11.open_ro_session(slot).unwrap();
                        drop(session.login(UserType::User, Some(&AuthPin::new(PIN.into()))));
                        let private = session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)]).unwrap()[0];
                        for _ in 0..each {
                            let hash = digest(&SHA256, b"message");
                            session.sign(&Mechanism::Ecdsa, private, hash.as_ref()).unwrap();
                        }
                    });
                }
            });
            let rate = f64::from(SIGNATURES) / started.elapsed().as_secs_f64();
            println!("bare C_Sign, {threads} threads: {rate:.0} signatures/s");
        }
    });
}
