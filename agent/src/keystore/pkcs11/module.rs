//! A PKCS#11 module: loaded and initialised once, in one place, for all tokens that are reached through it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};

use super::fault::fault;
use crate::keystore::Reached;
use crate::keystore::token::{Fault, Urgency};

/// A module is not started anew more often than this.
const MIN_RESET: Duration = Duration::from_secs(1);
/// Nor more often than this if that would disturb another token.
const MIN_SHARED_RESET: Duration = Duration::from_secs(5);
/// Nor more often than this while nobody asks.
const MIN_IDLE_RESET: Duration = Duration::from_secs(30);

/// One module. Calls into it share a read lock; starting it anew and making objects take the write lock, so no other
/// call is in flight then.
#[derive(Debug)]
pub(in crate::keystore) struct Module {
    path: PathBuf,
    tokens: usize,
    loaded: RwLock<Loaded>,
    one_at_a_time: Option<Mutex<()>>,
    last_reset: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Loaded {
    library: Option<Pkcs11>,
    initialized: Option<Generation>,
    next: u64,
}

/// One life of a module, between C_Initialize and C_Finalize. Sessions of another life are void, and their handles may
/// mean other sessions now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation(u64);

/// The module while no other thread calls it.
///
/// SoftHSM 2.6 writes a new object once per attribute, and lets a search in another thread read it in between: the object
/// is then taken for a damaged one, and its C_GenerateKeyPair fails.
pub(super) struct Alone<'a>(RwLockWriteGuard<'a, Loaded>);

impl Alone<'_> {
    pub(super) fn generation(&self) -> Option<Generation> {
        self.0.initialized
    }
}

/// The module while nobody can finalize it.
pub(super) struct Running<'a> {
    loaded: RwLockReadGuard<'a, Loaded>,
    _turn: Option<MutexGuard<'a, ()>>,
}

impl Running<'_> {
    pub(super) fn pkcs11(&self) -> Result<&Pkcs11, Fault> {
        self.loaded.library.as_ref().ok_or(Fault::Absent)
    }

    pub(super) fn generation(&self) -> Option<Generation> {
        self.loaded.initialized
    }
}

impl Module {
    /// A module that serves `tokens` configured tokens. Nothing is loaded yet.
    pub(in crate::keystore) fn new(path: &Path, tokens: usize) -> Arc<Self> {
        Arc::new(Self {
            path: path.to_owned(),
            tokens,
            loaded: RwLock::default(),
            one_at_a_time: is_p11_kit(path).then(Mutex::default),
            last_reset: Mutex::default(),
        })
    }

    /// The module, loaded and initialised.
    pub(super) fn running(&self) -> Result<Running<'_>, Fault> {
        let loaded = self.now();
        if loaded.generation().is_some() {
            return Ok(loaded);
        }
        drop(loaded);
        self.initialize()?;
        Ok(self.now())
    }

    /// The module as it is.
    pub(super) fn now(&self) -> Running<'_> {
        let turn = self.one_at_a_time.as_ref().map(|turns| turns.lock().unwrap_or_else(PoisonError::into_inner));
        Running { loaded: self.loaded.read().unwrap_or_else(PoisonError::into_inner), _turn: turn }
    }

    /// The module as it is, once every call that is in flight has ended.
    pub(super) fn alone(&self) -> Alone<'_> {
        Alone(self.exclusive())
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, Loaded> {
        self.loaded.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn initialize(&self) -> Result<(), Fault> {
        let mut loaded = self.exclusive();
        if loaded.initialized.is_some() {
            return Ok(());
        }
        if loaded.library.is_none() {
            loaded.library = Some(Pkcs11::new(&self.path).map_err(fault)?);
        }
        loaded.initialize()
    }

    /// C_Finalize and C_Initialize, unless that was done just now. Sees tokens that were made since, and servers that came
    /// back; every session of the module is void afterwards.
    pub(super) fn reset(&self, urgency: Urgency) -> Result<(), Fault> {
        let pause = match urgency {
            Urgency::Idle if self.tokens > 1 => return Err(Fault::Absent),
            Urgency::Idle => MIN_IDLE_RESET,
            Urgency::Asked if self.tokens > 1 => MIN_SHARED_RESET,
            Urgency::Asked => MIN_RESET,
        };
        let mut last = self.last_reset.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| last.elapsed() < pause) {
            return Err(Fault::Absent);
        }
        *last = Some(Instant::now());
        let mut loaded = self.exclusive();
        loaded.finalize();
        if loaded.library.is_none() {
            loaded.library = Some(Pkcs11::new(&self.path).map_err(fault)?);
        }
        loaded.initialize()
    }
}

/// p11-kit 0.24 sends the calls of all threads through one socket. If the server dies while several wait, only the one that
/// reads learns it, and the others wait for ever. Its server works on one call at a time anyway, so nothing is lost by
/// sending one at a time.
fn is_p11_kit(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains("p11-kit"))
}

impl Loaded {
    fn initialize(&mut self) -> Result<(), Fault> {
        let library = self.library.as_ref().ok_or(Fault::Absent)?;
        match library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(fault(error)),
        }
        self.next = self.next.wrapping_add(1);
        self.initialized = Some(Generation(self.next));
        Ok(())
    }

    fn finalize(&mut self) {
        self.initialized = None;
        if let Some(library) = self.library.clone()
            && let Err(error) = library.finalize()
        {
            tracing::debug!(%error, "a PKCS#11 module did not finalize");
        }
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        if self.initialized.is_some() {
            self.finalize();
        }
    }
}

/// A session that was opened in an earlier life of the module.
pub(super) fn stale() -> Fault {
    Fault::Lost { what: "the module was started anew".to_owned(), reached: Reached::Nothing }
}
