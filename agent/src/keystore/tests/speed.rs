//! How fast signatures are, beside the bare token in the same process: a part of `make bench`.

use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use signet_tuf::PublicKey;

use super::{PIN, SOFTHSM, alone, connection, key_on, permit, secret, start, token};
use crate::caller::Connection;
use crate::keystore::{Keystores, Place, TrustDir};

const ROUNDS: usize = 15;
const SIGNATURES: u32 = 4000;

/// A key that is asked for through the agent's handle.
struct Asked<'a> {
    keystores: &'a Keystores,
    public: PublicKey,
    place: Place,
    dir: Option<&'a TrustDir>,
    connection: &'a Arc<Connection>,
}

impl Asked<'_> {
    /// Signatures a second, by so many askers at once.
    async fn rate(&self, askers: u32) -> f64 {
        let started = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..askers {
            let (keystores, public, place) = (self.keystores.clone(), self.public.clone(), self.place.clone());
            let (dir, connection) = (self.dir.cloned(), Arc::clone(self.connection));
            tasks.spawn(async move {
                for _ in 0..SIGNATURES.checked_div(askers).unwrap() {
                    keystores.sign(&permit(&public, b"message"), &place, dir.as_ref(), &connection).await.unwrap();
                }
            });
        }
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
        per_second(started)
    }
}

/// The same key, by C_SignInit and C_Sign alone, in so many threads with a session each.
fn bare_rate(module: &Pkcs11, threads: u32) -> f64 {
    let slot = module.get_slots_with_initialized_token().unwrap()[0];
    let sessions: Vec<_> = (0..threads)
        .map(|_| {
            let session = module.open_ro_session(slot).unwrap();
            drop(session.login(UserType::User, Some(&AuthPin::new(PIN.into()))));
            let key = session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)]).unwrap()[0];
            (session, key)
        })
        .collect();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for (session, key) in sessions {
            scope.spawn(move || {
                for _ in 0..SIGNATURES.checked_div(threads).unwrap() {
                    let hash = digest(&SHA256, b"message");
                    session.sign(&Mechanism::Ecdsa, key, hash.as_ref()).unwrap();
                }
            });
        }
    });
    per_second(started)
}

fn per_second(since: Instant) -> f64 {
    f64::from(SIGNATURES) / since.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

#[test]
#[ignore = "a measurement for make bench: it asserts nothing"]
fn signatures_in_a_second() {
    alone(async |lab| {
        lab.make_token("speed");
        let keystores = start(&[token("speed")]).unwrap();
        let connection = connection();
        let key = key_on(&keystores, "speed", &connection).await;
        let asked = Asked {
            keystores: &keystores,
            public: key.public.clone().unwrap(),
            place: key.places[0].0.clone(),
            dir: None,
            connection: &connection,
        };
        // The module is initialised already, by the keystore: this is the same process.
        let module = Pkcs11::new(SOFTHSM).unwrap();
        drop(module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)));

        println!("signatures a second, SoftHSM P-256, medians of {ROUNDS} rounds taking turns");
        for at_once in [1, 2, 4, 8] {
            let (mut handle, mut bare) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                bare.push(tokio::task::block_in_place(|| bare_rate(&module, at_once)));
                handle.push(asked.rate(at_once).await);
            }
            let (handle, bare) = (median(handle), median(bare));
            println!("  {at_once} at once: handle {handle:.0}, bare C_Sign {bare:.0}, ratio {:.2}", handle / bare);
        }

        let dir = TrustDir::open(&lab.path("trust")).unwrap();
        let made = keystores
            .generate_in_file(&dir, signet_tuf::Algorithm::EcdsaP256, "root", None, &connection)
            .await
            .unwrap();
        let id = made.key_id.to_string();
        let (file, _) = keystores.set_passphrase(&dir, &id, None, secret("secret"), &connection).await.unwrap();
        let (public, place) = (file.public.clone().unwrap(), file.places[0].0.clone());
        let asked = Asked { keystores: &keystores, public, place, dir: Some(&dir), connection: &connection };
        println!("signatures a second, key file: {:.0}", asked.rate(4).await);
    });
}
