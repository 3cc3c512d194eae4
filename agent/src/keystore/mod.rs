//! Keys, where they are: blocking sessions on threads of their own behind one asynchronous door.
//!
//! PINs, passphrases and decrypted keys never leave the threads behind [`Keystores`]. Nothing here decides whether a
//! signature may be made: it takes a [`Permit`], or it does not sign.

mod actor;
mod attestations;
mod board;
mod direct;
mod error;
mod events;
mod file;
mod files;
mod modulepath;
mod owner;
mod pin;
mod piv;
mod pkcs11;
mod place;
mod queue;
mod signer;
#[cfg(test)]
mod tests;
mod token;
mod trustdir;
mod unlock;
mod yubikey;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use signet_tuf::{Algorithm, Gun};

use self::actor::{Keystore, Setup};
use self::events::Events;
use self::file::FileRequest;
use self::pin::Refused;
use self::piv::{Yubikey, Yubikeys};
use self::pkcs11::{Module, Pkcs11Token};
use self::queue::ask;
use crate::caller::Connection;
use crate::config::{TokenConfig, YubikeysConfig};
use crate::ledger::Permit;
use crate::secret::Secret;

pub use attestations::Attestations;
pub use error::{KeystoreError, Reached, StartError};
pub use events::Event;
pub use file::Written;
pub use piv::{
    Attested, CardFacts, CardSetup, Count, NoSuchSlot, Origin, PinPolicy, PivOptions, PivSlot, SlotFacts, TouchPolicy,
};
pub use place::{KeyInfo, KeySelector, Listing, Located, Place, PlaceState, TokenInfo, Tries};
pub use queue::PATIENCE;
pub use trustdir::TrustDir;
pub use unlock::{LastTry, Scope};

/// The name of the file keystore in errors.
const FILES: &str = "the file keystore";

/// How long the end of the last [`Keystores`] waits for a token that is busy.
const FAREWELL: Duration = Duration::from_secs(5);

/// All keystores of the agent. Clones share them. When the last one is dropped, tokens are logged out and modules finalized;
/// a process must not exit before, because modules do not survive their own exit handlers.
#[derive(Debug, Clone)]
pub struct Keystores {
    shared: Arc<Shared>,
}

/// The senders are dropped first, which ends the threads; then the farewell waits for them.
#[derive(Debug)]
struct Shared {
    tokens: Vec<Arc<Keystore>>,
    yubikeys: Option<Yubikeys>,
    events: Events,
    attestations: Attestations,
    files: SyncSender<FileRequest>,
    _farewell: Farewell,
}

/// Nothing is ever sent: it disconnects when the last thread ends.
#[derive(Debug)]
struct Farewell(Mutex<Receiver<Infallible>>);

impl Drop for Farewell {
    fn drop(&mut self) {
        let running = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if running.recv_timeout(FAREWELL) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("a token is still busy, and is left as it is");
        }
    }
}

impl Keystores {
    /// Starts the threads of the configured tokens. An absent token is no error: it is opened in the background, now or
    /// when it comes.
    ///
    /// # Errors
    /// `Module` if a module's path is not safe to load from, `Duplicate`, `Thread`.
    pub fn start(
        tokens: &[TokenConfig],
        yubikeys: &YubikeysConfig,
        attestations: Attestations,
    ) -> Result<Self, StartError> {
        let mut served: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for (position, config) in tokens.iter().enumerate() {
            if tokens.iter().take(position).any(|earlier| earlier.name() == config.name()) {
                return Err(StartError::Duplicate(config.name().to_owned()));
            }
            let count = served.entry(modulepath::checked(&config.module)?).or_default();
            *count = count.saturating_add(1);
        }
        let modules: BTreeMap<_, _> = served.iter().map(|(path, count)| (path, Module::new(path, *count))).collect();

        let mut names: Vec<String> = tokens.iter().map(|token| token.name().to_owned()).collect();
        for serial in yubikeys.listed.iter().map(|listed| listed.serial.to_string()) {
            if names.contains(&serial) {
                return Err(StartError::Duplicate(serial));
            }
            names.push(serial);
        }
        let (running, ended) = sync_channel(0);
        let events = Events::new();
        let mut keystores = Vec::with_capacity(tokens.len());
        for config in tokens {
            let path = modulepath::checked(&config.module)?;
            if let Some(module) = modules.get(&path) {
                let token = Pkcs11Token::new(Arc::clone(module), config.select.clone());
                let setup = Setup {
                    name: config.name().to_owned(),
                    module: Some(path.clone()),
                    pin_file: config.pin_file.clone(),
                    refused: refused()?,
                    roles: config.roles.clone(),
                    sessions: config.sessions,
                    direct: config.sessions,
                    expected: true,
                    patience: PATIENCE,
                    events: events.clone(),
                };
                keystores.push(Arc::new(Keystore::start(setup, token, &running)?));
            }
        }
        let files = file::spawn(&running)?;
        let yubikeys = Yubikeys::start(yubikeys, names, &events, &running)?;
        let _farewell = Farewell(Mutex::new(ended));
        Ok(Self { shared: Arc::new(Shared { tokens: keystores, yubikeys, events, attestations, files, _farewell }) })
    }

    /// Every key that is in reach: tokens in the order of the configuration, then the files of `dir`. Tokens are read anew.
    pub async fn list(&self, dir: Option<&TrustDir>, connection: &Arc<Connection>) -> Listing {
        let mut listing = Listing::default();
        for token in self.all().await {
            if let Err(error) = token.refresh().await
                && (token.is_expected() || !matches!(error, KeystoreError::Absent { .. }))
            {
                listing.warnings.push(error.to_string());
            }
            listing.add(token.located(connection).await);
        }
        if let Some(dir) = dir {
            let (dir, connection) = (dir.clone(), Arc::clone(connection));
            match ask(&self.shared.files, FILES, |reply| FileRequest::List { dir, connection, reply }).await {
                Ok((located, warnings)) => {
                    listing.add(located);
                    listing.warnings.extend(warnings);
                }
                Err(error) => listing.warnings.push(error.to_string()),
            }
        }
        listing
    }

    /// The places of one key, tokens first, then the file. Answered from memory while tokens are healthy.
    pub async fn locate(
        &self,
        key: &KeySelector,
        dir: Option<&TrustDir>,
        connection: &Arc<Connection>,
    ) -> Vec<Located> {
        let mut places = Vec::new();
        for token in self.all().await {
            places.extend(token.located(connection).await.into_iter().filter(|located| key.matches(&located.info)));
        }
        if let Some(dir) = dir {
            let (key, dir, connection) = (*key, dir.clone(), Arc::clone(connection));
            let found =
                ask(&self.shared.files, FILES, |reply| FileRequest::Locate { key, dir, connection, reply }).await;
            match found {
                Ok(found) => places.extend(found),
                Err(error) => tracing::warn!(%error, "the trust directory cannot be read"),
            }
        }
        places
    }

    /// Signs the permit's bytes with the permit's key at one place. The signature has TUF's form: ECDSA as r and s.
    ///
    /// # Errors
    /// See [`KeystoreError::nothing_signed`] for what each means for the permit.
    ///
    /// # Panics
    /// On a runtime with a single thread.
    ///
    /// # Cancellation
    /// Dropped before a session took it, nothing is signed; after that a signature may be made and lost.
    pub async fn sign(
        &self,
        permit: &Permit,
        at: &Place,
        dir: Option<&TrustDir>,
        connection: &Arc<Connection>,
    ) -> Result<Vec<u8>, KeystoreError> {
        let path = match at {
            Place::Token { token, .. } | Place::Slot { token, .. } => {
                return self.token(token).await?.sign(permit, connection).await;
            }
            Place::File(path) => path.clone(),
        };
        let dir = dir.ok_or_else(|| KeystoreError::UnknownKey { key: permit.key().to_string() })?;
        ask(&self.shared.files, FILES, |reply| FileRequest::Sign {
            key: permit.key(),
            scheme: permit.scheme(),
            message: permit.message().clone(),
            path,
            dir: dir.clone(),
            connection: Arc::clone(connection),
            reply,
        })
        .await
    }

    /// Fails if a signature has been awaited by this task for longer than `patience` where [`Self::sign`] cannot
    /// give up: where a token is quick it signs in its caller's thread, and waits there if the token then hangs.
    ///
    /// # Errors
    /// `Failed`.
    pub fn overdue(&self, task: tokio::task::Id, patience: Duration) -> Result<(), KeystoreError> {
        self.shared.tokens.iter().try_for_each(|token| token.overdue(task, patience))
    }

    /// Logs in to a token. Returns the places of its keys. While another unlock lives the PIN is compared, not sent; a PIN
    /// that the token refused before is not sent again.
    ///
    /// # Errors
    /// `SecretIncorrect`, `LastTry`, `PinBlocked`, `Absent`, `UnknownToken`, `Failed`.
    pub async fn unlock_token(
        &self,
        token: &str,
        pin: Secret,
        scope: Scope,
        last_try: LastTry,
    ) -> Result<Vec<Place>, KeystoreError> {
        self.token(token).await?.unlock(pin, scope, last_try).await
    }

    /// Ends all unlocks of one token, or of everything. Keys that are not written yet stay with their connection.
    ///
    /// # Errors
    /// `UnknownToken`, `Failed`.
    pub async fn lock(&self, token: Option<&str>) -> Result<(), KeystoreError> {
        if let Some(token) = token {
            return self.token(token).await?.lock().await;
        }
        let mut locked = ask(&self.shared.files, FILES, |reply| FileRequest::Lock { reply }).await;
        for token in self.all().await {
            locked = locked.and(token.lock().await);
        }
        locked
    }

    /// Forgets every PIN and passphrase that a person entered; what stands in files may be used on.
    pub async fn forget(&self) {
        for token in self.all().await {
            token.forget();
        }
        if let Err(error) = ask(&self.shared.files, FILES, |reply| FileRequest::Lock { reply }).await {
            tracing::error!(%error, "passphrases are not forgotten");
        }
    }

    /// The configured tokens, as they are now.
    pub async fn tokens(&self) -> Vec<TokenInfo> {
        if let Some(yubikeys) = &self.shared.yubikeys {
            yubikeys.look_again().await;
        }
        let mut tokens = Vec::new();
        for token in self.all().await {
            tokens.push(token.info().await);
        }
        tokens
    }

    /// Makes a key on a token. It cannot leave it.
    ///
    /// # Errors
    /// `Locked`, `NotSupported`, `Absent`, `UnknownToken`, `Failed`.
    pub async fn generate_on_token(
        &self,
        token: &str,
        algorithm: Algorithm,
        (role, gun): (&str, Option<&Gun>),
        piv: Option<PivOptions>,
        connection: &Arc<Connection>,
    ) -> Result<KeyInfo, KeystoreError> {
        writable(role)?;
        self.token(token).await?.generate(algorithm, (role, gun), piv, connection).await
    }

    /// What happens to tokens from now on.
    #[must_use]
    pub fn events(&self) -> tokio::sync::broadcast::Receiver<Event> {
        self.shared.events.listen()
    }

    /// Whether that is the name of a YubiKey.
    #[must_use]
    pub fn is_yubikey(&self, token: &str) -> bool {
        self.shared.yubikeys.as_ref().is_some_and(|yubikeys| yubikeys.knows(token))
    }

    /// Why no YubiKey can be seen, if none can.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.shared.yubikeys.as_ref().and_then(Yubikeys::trouble)
    }

    /// Tokens in the order of the configuration, then YubiKeys.
    async fn all(&self) -> Vec<Arc<Keystore>> {
        let yubikeys = self.yubikeys().await.into_iter().map(|yubikey| yubikey.keystore);
        self.shared.tokens.iter().cloned().chain(yubikeys).collect()
    }

    async fn yubikeys(&self) -> Vec<Yubikey> {
        match &self.shared.yubikeys {
            Some(yubikeys) => yubikeys.all().await,
            None => Vec::new(),
        }
    }

    async fn token(&self, name: &str) -> Result<Arc<Keystore>, KeystoreError> {
        let all = self.all().await;
        let found = all.iter().find(|token| token.name() == name).cloned();
        found.ok_or_else(|| KeystoreError::UnknownToken {
            token: name.to_owned(),
            configured: all.iter().map(|token| token.name().to_owned()).collect(),
        })
    }
}

/// No PIN was refused yet.
fn refused() -> Result<Refused, StartError> {
    Refused::new().ok_or_else(|| StartError::Thread(std::io::Error::other("no random numbers")))
}

/// A role must fit into a PEM header and into the first word of a label.
fn writable(role: &str) -> Result<(), KeystoreError> {
    let fits = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    if (1..256).contains(&role.len()) && role.bytes().all(fits) {
        return Ok(());
    }
    let what =
        "a role name that is empty, longer than 255 bytes, or has spaces, colons or other than ASCII letters in it";
    Err(KeystoreError::NotSupported { place: "a keystore".to_owned(), what: what.to_owned() })
}
