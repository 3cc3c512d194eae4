//! All YubiKeys: those of the configuration, and whichever are plugged in.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::card::Card;
use super::desk::{Desk, Readers};
use super::session::YubikeyToken;
use crate::config::{YubikeyConfig, YubikeysConfig};
use crate::keystore::actor::{Keystore, Running, Setup, thread};
use crate::keystore::events::Events;
use crate::keystore::token::Fault;
use crate::keystore::{KeystoreError, Reached, StartError, refused};

/// How long a question waits for the first look at the readers.
const FIRST_LOOK: Duration = Duration::from_secs(3);
/// So long a change waits for its turn, and then for the card: it may wait for a touch, or make a key of 4 096 bits.
const CHANGE: Duration = Duration::from_secs(120);
/// A YubiKey that does not sign within this time hangs: it waits 15 seconds to be touched.
const PATIENCE: Duration = Duration::from_secs(25);

/// Keystores that come with their cards.
pub(in crate::keystore) struct Yubikeys {
    desk: Desk,
    served: Arc<Served>,
}

/// A YubiKey that is or was here.
#[derive(Clone)]
pub(in crate::keystore) struct Yubikey {
    pub(in crate::keystore) keystore: Arc<Keystore>,
    pub(in crate::keystore) card: Arc<Card>,
    changes: Arc<Semaphore>,
}

struct Served {
    config: YubikeysConfig,
    /// Of tokens that are configured: a YubiKey that is used through PKCS#11 is not served twice.
    names: Vec<String>,
    events: Events,
    running: Running,
    readers: Arc<Readers>,
    known: Mutex<Vec<(u32, Yubikey)>>,
}

impl Yubikeys {
    /// Starts to look at the readers, unless the configuration wants no YubiKeys.
    pub(in crate::keystore) fn start(
        config: &YubikeysConfig,
        names: Vec<String>,
        events: &Events,
        running: &Running,
    ) -> Result<Option<Self>, StartError> {
        if !config.serves_any() {
            return Ok(None);
        }
        let served = Arc::new(Served {
            config: config.clone(),
            names,
            events: events.clone(),
            running: running.clone(),
            readers: Arc::default(),
            known: Mutex::default(),
        });
        config.listed.iter().try_for_each(|listed| served.add(listed, true))?;
        let (told, readers) = (Arc::clone(&served), Arc::clone(&served.readers));
        let (desk, look) = Desk::new(readers, Box::new(move |serial| told.changed(serial)));
        thread("yubikeys", running, look)?;
        Ok(Some(Self { desk, served }))
    }

    /// In the order of the configuration, then as they came.
    pub(in crate::keystore) async fn all(&self) -> Vec<Yubikey> {
        self.desk.looked(FIRST_LOOK).await;
        self.served.known().iter().map(|(_, yubikey)| yubikey.clone()).collect()
    }

    /// Looks now, if no reader could be looked at before.
    pub(in crate::keystore) async fn look_again(&self) {
        self.desk.look_again(FIRST_LOOK).await;
    }

    pub(in crate::keystore) fn knows(&self, name: &str) -> bool {
        self.served.known().iter().any(|(serial, _)| serial.to_string() == name)
    }

    /// Why none can be seen.
    pub(in crate::keystore) fn trouble(&self) -> Option<String> {
        self.desk.trouble()
    }
}

impl fmt::Debug for Yubikeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yubikeys").finish_non_exhaustive()
    }
}

impl Yubikey {
    /// Works on the card in a thread for that, and reads the card again. One at a time: a card that hangs takes one thread.
    pub(in crate::keystore) async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Card) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, KeystoreError> {
        let turn = tokio::time::timeout(CHANGE, Arc::clone(&self.changes).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or(KeystoreError::Busy)?;
        let card = Arc::clone(&self.card);
        let working = tokio::task::spawn_blocking(move || {
            let done = work(&card);
            drop(turn);
            done
        });
        let refused = |what: String| Err(Fault::Refused { what, reached: Reached::Unknown });
        let done = match tokio::time::timeout(CHANGE, working).await {
            Ok(Ok(done)) => done,
            Ok(Err(panic)) => refused(panic.to_string()),
            Err(_) => refused("it does not answer, and whether it did what it was asked is unknown".to_owned()),
        };
        // What was done is done, whether or not it can be seen.
        if let Err(error) = self.keystore.refresh().await {
            tracing::debug!(token = self.keystore.name(), %error, "after a change");
        }
        done.map_err(|fault| self.keystore.error(fault))
    }
}

impl Served {
    fn known(&self) -> MutexGuard<'_, Vec<(u32, Yubikey)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A YubiKey came or went.
    fn changed(&self, serial: u32) {
        let known = self.known().iter().find(|(known, _)| *known == serial).map(|(_, yubikey)| yubikey.clone());
        match known {
            Some(yubikey) => yubikey.keystore.wake(),
            None if self.config.serves_all() && !self.names.contains(&serial.to_string()) => {
                let unlisted = YubikeyConfig { serial, pin_file: None, roles: Vec::new() };
                if let Err(error) = self.add(&unlisted, false) {
                    tracing::error!(serial, %error, "the YubiKey cannot be served");
                }
            }
            None => tracing::info!(serial, "YubiKey is not configured, and not served"),
        }
    }

    /// `expected`: the configuration names it.
    fn add(&self, config: &YubikeyConfig, expected: bool) -> Result<(), StartError> {
        let (refused, refused_puks) = (refused()?, refused()?);
        let secrets = (refused.clone(), refused_puks);
        let card = Arc::new(Card::new(config.serial, Arc::clone(&self.readers), secrets, self.events.clone()));
        let setup = Setup {
            name: config.serial.to_string(),
            module: None,
            pin_file: config.pin_file.clone(),
            refused,
            roles: config.roles.clone(),
            // The card does one thing at a time, and may wait for a touch: nobody signs in a thread of its own.
            sessions: 1,
            direct: 0,
            expected,
            patience: PATIENCE,
            events: self.events.clone(),
        };
        let keystore = Keystore::start(setup, YubikeyToken::new(Arc::clone(&card)), &self.running)?;
        self.known().push((
            config.serial,
            Yubikey { keystore: Arc::new(keystore), card, changes: Arc::new(Semaphore::new(1)) },
        ));
        Ok(())
    }
}
