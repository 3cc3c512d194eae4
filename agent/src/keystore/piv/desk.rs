//! The readers on the desk: which YubiKey is in which, told by PC/SC as they come and go.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pcsc::{Context, PNP_NOTIFICATION, ReaderState, Scope, State as Flags};
use tokio::sync::watch;
use yubikey::YubiKey;
use yubikey::reader::Context as YubikeyContext;

use super::card::leave;
use super::fault::{fault, trouble};

/// PC/SC tells changes at once; so often it is asked all the same.
const ROUND: Duration = Duration::from_secs(2);
/// pcscd is looked for so often while it is not there, at first and at last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(8);
/// A card that cannot be opened is tried again so often.
const RETRY: Duration = Duration::from_secs(1);
/// So often at most, if it does not seem to be a YubiKey.
const MOMENTS: u32 = 5;

/// Where YubiKeys are now.
#[derive(Debug, Default)]
pub(super) struct Readers(Mutex<BTreeMap<u32, Seat>>);

/// One YubiKey's stay in a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seat {
    reader: CString,
    /// Tells one stay from the next.
    stay: u64,
}

impl Readers {
    pub(super) fn seat(&self, serial: u32) -> Option<Seat> {
        self.lock().get(&serial).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Seat>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Opens the card in it, whichever that is by now.
    pub(super) fn open(&self) -> yubikey::Result<YubiKey> {
        let mut context = YubikeyContext::open()?;
        let name = self.reader.to_string_lossy();
        let reader = context.iter()?.find(|reader| reader.name() == name).ok_or(yubikey::Error::NotFound)?;
        // The crate panics at some answers; any card may give them.
        catch_unwind(AssertUnwindSafe(|| reader.open())).unwrap_or(Err(yubikey::Error::InvalidObject))
    }

    pub(super) fn reader(&self) -> String {
        self.reader.to_string_lossy().into_owned()
    }
}

/// What the desk tells: a YubiKey came or went.
pub(super) type OnChange = Box<dyn Fn(u32) + Send>;

/// Looks at the readers until it is dropped.
pub(super) struct Desk {
    shared: Arc<Shared>,
    /// True once all readers were looked at, or none can be.
    looked: watch::Receiver<bool>,
    started: Instant,
}

struct Shared {
    readers: Arc<Readers>,
    state: Mutex<Looking>,
    /// The desk is dropped, or somebody asks.
    stirred: Condvar,
}

#[derive(Default)]
struct Looking {
    /// Cancelled when the desk is dropped.
    waiting: Option<Context>,
    trouble: Option<String>,
    /// Why the card that came last cannot be opened.
    unopened: Option<String>,
    /// Somebody wants to know now.
    asked: bool,
    over: bool,
}

impl Desk {
    /// The desk, and the work of looking at it, which ends when the desk is dropped.
    pub(super) fn new(readers: Arc<Readers>, on_change: OnChange) -> (Self, impl FnOnce() + Send + 'static) {
        let shared = Arc::new(Shared { readers, state: Mutex::default(), stirred: Condvar::new() });
        let (sender, looked) = watch::channel(false);
        let watcher = Watcher { shared: Arc::clone(&shared), looked: sender, on_change, stays: 0 };
        (Self { shared, looked, started: Instant::now() }, move || watcher.run())
    }

    /// Waits until the readers were looked at for the first time, but not for long after the start.
    pub(super) async fn looked(&self, patience: Duration) {
        let patience = patience.saturating_sub(self.started.elapsed());
        let mut looked = self.looked.clone();
        drop(tokio::time::timeout(patience, looked.wait_for(|looked| *looked)).await);
    }

    /// Looks now, if readers could not be looked at before: pcscd may be there by now.
    pub(super) async fn look_again(&self, patience: Duration) {
        let mut looked = self.looked.clone();
        {
            let mut state = self.shared.state();
            if state.trouble.is_none() {
                return;
            }
            looked.mark_unchanged();
            state.asked = true;
        }
        self.shared.stirred.notify_all();
        drop(tokio::time::timeout(patience, looked.changed()).await);
    }

    /// Why readers cannot be looked at.
    pub(super) fn trouble(&self) -> Option<String> {
        let state = self.shared.state();
        let unseen = state.trouble.as_ref().map(|why| format!("no YubiKey can be seen: {why}"));
        unseen.or_else(|| state.unopened.clone())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.shared.state();
            state.over = true;
            state.waiting.take()
        };
        self.shared.stirred.notify_all();
        if let Some(Err(error)) = waiting.map(|context| context.cancel()) {
            tracing::debug!(%error, "SCardCancel");
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, Looking> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, unless the desk is dropped meanwhile; true if it is.
    fn is_over_within(&self, pause: Duration) -> bool {
        let waited = self.stirred.wait_timeout_while(self.state(), pause, |state| !state.over && !state.asked);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.asked = false;
        state.over
    }
}

struct Watcher {
    shared: Arc<Shared>,
    looked: watch::Sender<bool>,
    on_change: OnChange,
    stays: u64,
}

/// The readers as they were seen last. The first is no reader: it tells that readers come.
struct Seen {
    states: Vec<ReaderState>,
    /// What is in them, and how many cards had come and gone by then.
    cards: Vec<(Found, u32)>,
}

enum Found {
    Nothing,
    YubiKey(u32),
    /// Another card, or one that was looked at in vain.
    Other,
    /// In use by somebody who wants it alone, or not ready: to be tried again.
    Unopened {
        /// How often it was.
        tries: u32,
    },
}

impl Watcher {
    fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let ended = match Context::establish(Scope::System) {
                Ok(context) => {
                    pause = FIRST_PAUSE;
                    self.watch(&context)
                }
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                self.everything_went(trouble(error));
            }
            self.looked.send_replace(true);
            if self.shared.is_over_within(pause) {
                return;
            }
            pause = pause.saturating_mul(2).min(LAST_PAUSE);
        }
    }

    /// Follows the readers until pcscd goes.
    fn watch(&mut self, context: &Context) -> Result<(), pcsc::Error> {
        {
            let mut state = self.shared.state();
            if state.over {
                return Ok(());
            }
            state.waiting = Some(context.clone());
            state.trouble = None;
        }
        let mut seen = Seen::new();
        loop {
            for (reader, mut card) in seen.list(context)? {
                self.went(&reader, &mut card);
            }
            match context.get_status_change(seen.patience(), &mut seen.states) {
                Ok(()) | Err(pcsc::Error::Timeout) => {}
                Err(pcsc::Error::Cancelled) => return Ok(()),
                // A reader went since they were listed: list them again.
                Err(pcsc::Error::UnknownReader) => continue,
                Err(error) => return Err(error),
            }
            for (state, (card, moves)) in seen.states.iter_mut().zip(&mut seen.cards).skip(1) {
                self.look(state, card, *moves);
                *moves = state.event_count();
            }
            seen.states.iter_mut().for_each(ReaderState::sync_current_state);
            self.looked.send_replace(true);
            if self.shared.state().over {
                return Ok(());
            }
        }
    }

    /// What one reader's state means.
    fn look(&mut self, state: &ReaderState, card: &mut Found, moves: u32) {
        let present = state.event_state().contains(Flags::PRESENT) && !is_gone(state.event_state());
        if !present || state.event_count() != moves {
            self.went(state.name(), card);
        }
        if present && matches!(card, Found::Nothing | Found::Unopened { .. }) {
            self.came(state.name(), card);
        }
    }

    fn came(&mut self, reader: &CStr, card: &mut Found) {
        self.stays = self.stays.saturating_add(1);
        self.shared.state().unopened = None;
        let tries = if let Found::Unopened { tries } = card { *tries } else { 0 };
        let seat = Seat { reader: reader.to_owned(), stay: self.stays };
        *card = match seat.open() {
            Ok(yubikey) => {
                let serial = yubikey.serial().0;
                leave(yubikey);
                tracing::info!(serial, reader = seat.reader(), "YubiKey inserted");
                self.shared.readers.lock().insert(serial, seat);
                (self.on_change)(serial);
                Found::YubiKey(serial)
            }
            // It speaks another protocol; but a card that is being reset seems to, for a moment.
            Err(yubikey::Error::PcscError { inner: Some(pcsc::Error::ProtoMismatch) }) if tries >= MOMENTS => {
                Found::Other
            }
            Err(error @ yubikey::Error::PcscError { .. }) => {
                let why = fault(error).describe();
                tracing::debug!(reader = seat.reader(), why, "a card cannot be opened");
                self.shared.state().unopened = Some(format!("the card in {} cannot be opened: {why}", seat.reader()));
                return *card = Found::Unopened { tries: tries.saturating_add(1) };
            }
            Err(error) => {
                tracing::debug!(reader = seat.reader(), %error, "a card is no YubiKey with PIV");
                Found::Other
            }
        };
    }

    fn went(&self, reader: &CStr, card: &mut Found) {
        let Found::YubiKey(serial) = std::mem::replace(card, Found::Nothing) else { return };
        let mut readers = self.shared.readers.lock();
        // The same YubiKey may be in another reader by now.
        if readers.get(&serial).is_some_and(|seat| *seat.reader == *reader) {
            readers.remove(&serial);
            drop(readers);
            tracing::info!(serial, "YubiKey removed");
            (self.on_change)(serial);
        }
    }

    fn everything_went(&self, why: String) {
        {
            let mut state = self.shared.state();
            state.waiting = None;
            state.trouble = Some(why);
        }
        let readers = std::mem::take(&mut *self.shared.readers.lock());
        for serial in readers.into_keys() {
            tracing::info!(serial, "YubiKey removed with its reader");
            (self.on_change)(serial);
        }
    }
}

impl Seen {
    fn new() -> Self {
        Self {
            states: vec![ReaderState::new(PNP_NOTIFICATION().to_owned(), Flags::UNAWARE)],
            cards: vec![(Found::Nothing, 0)],
        }
    }

    /// Adds readers that are new, and gives back those that went, with what was in them.
    fn list(&mut self, context: &Context) -> Result<Vec<(CString, Found)>, pcsc::Error> {
        let names = match context.list_readers_owned() {
            Err(pcsc::Error::NoReadersAvailable) => Vec::new(),
            names => names?,
        };
        let mut gone = Vec::new();
        for at in (1..self.states.len()).rev() {
            let name = self.states.get(at).map(|state| state.name().to_owned());
            if let Some(name) = name.filter(|name| !names.contains(name)) {
                drop(self.states.remove(at));
                gone.push((name, self.cards.remove(at).0));
            }
        }
        for name in names {
            if !self.states.iter().any(|state| *state.name() == *name) {
                self.states.push(ReaderState::new(name, Flags::UNAWARE));
                self.cards.push((Found::Nothing, 0));
            }
        }
        Ok(gone)
    }

    /// How long to wait for a change.
    fn patience(&self) -> Duration {
        // The first question about a reader is answered at once.
        if self.states.iter().skip(1).any(|state| state.current_state() == Flags::UNAWARE) {
            Duration::ZERO
        } else if self.cards.iter().any(|(card, _)| matches!(card, Found::Unopened { .. })) {
            RETRY
        } else {
            ROUND
        }
    }
}

fn is_gone(flags: Flags) -> bool {
    flags.intersects(Flags::UNKNOWN | Flags::IGNORE | Flags::UNAVAILABLE)
}
