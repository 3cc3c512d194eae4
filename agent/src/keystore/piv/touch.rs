//! Waiting for a touch: who is told, and when.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::TouchPolicy;
use crate::keystore::events::{Event, Events};
use crate::ledger::Purpose;

/// A YubiKey waits so long to be touched.
pub(super) const WAIT: Duration = Duration::from_secs(15);
/// A key that remembers a touch remembers it so long.
const MEMORY: Duration = Duration::from_secs(15);
/// A card that has not answered by then waits for a finger.
const ANSWERS_AT_ONCE: Duration = Duration::from_millis(400);

/// The touches of one YubiKey.
pub(super) struct Touch {
    serial: u32,
    events: Events,
    last: Mutex<Option<Instant>>,
}

/// A signature that may wait for a touch. When it is dropped, whoever was told is told that it is over.
pub(super) struct Awaited<'a> {
    touch: &'a Touch,
    purpose: Purpose,
    since: Instant,
    /// The key may want a touch.
    may_wait: bool,
    told: Told,
}

enum Told {
    Nobody,
    Already,
    /// A thread tells it soon, unless it is stopped.
    Soon(SyncSender<()>, thread::JoinHandle<bool>),
}

impl Touch {
    pub(super) fn new(serial: u32, events: Events) -> Self {
        Self { serial, events, last: Mutex::default() }
    }

    /// Tells that a signature is about to be made. To be called right before it is.
    pub(super) fn await_for(&self, policy: Option<TouchPolicy>, purpose: &Purpose) -> Awaited<'_> {
        let told = match policy {
            Some(TouchPolicy::Never | TouchPolicy::Default) => Told::Nobody,
            Some(TouchPolicy::Cached) if self.is_remembered() => self.tell_soon(purpose),
            Some(TouchPolicy::Always | TouchPolicy::Cached) => {
                tell(&self.events, self.serial, purpose, WAIT, false);
                Told::Already
            }
            None => self.tell_soon(purpose),
        };
        let may_wait = !matches!(policy, Some(TouchPolicy::Never | TouchPolicy::Default));
        Awaited { touch: self, purpose: purpose.clone(), since: Instant::now(), may_wait, told }
    }

    fn is_remembered(&self) -> bool {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() < MEMORY)
    }

    fn tell_soon(&self, purpose: &Purpose) -> Told {
        let (stop, stopped) = sync_channel(1);
        let (serial, events, purpose) = (self.serial, self.events.clone(), purpose.clone());
        let started = thread::Builder::new().name("touch".to_owned()).spawn(move || {
            let waits = stopped.recv_timeout(ANSWERS_AT_ONCE) == Err(RecvTimeoutError::Timeout);
            if waits {
                tell(&events, serial, &purpose, WAIT.saturating_sub(ANSWERS_AT_ONCE), true);
            }
            waits
        });
        started.map_or(Told::Nobody, |thread| Told::Soon(stop, thread))
    }
}

fn tell(events: &Events, serial: u32, purpose: &Purpose, left: Duration, perhaps: bool) {
    let Purpose { gun, role } = purpose;
    tracing::info!(serial, role, gun, seconds = left.as_secs(), perhaps, "YubiKey waits to be touched");
    events.tell(Event::TouchWanted {
        token: serial.to_string(),
        purpose: purpose.clone(),
        seconds: left.as_secs(),
        perhaps,
    });
}

impl Awaited<'_> {
    /// The signature was made: if that took a touch, it is remembered.
    pub(super) fn answered(&self) {
        if self.may_wait {
            *self.touch.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }

    /// Whether a refusal that came now means that nobody touched it.
    pub(super) fn is_over(&self) -> bool {
        self.may_wait && self.since.elapsed() > ANSWERS_AT_ONCE
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        let told = match std::mem::replace(&mut self.told, Told::Nobody) {
            Told::Nobody => false,
            Told::Already => true,
            Told::Soon(stop, thread) => {
                drop(stop);
                thread.join().unwrap_or(false)
            }
        };
        if told {
            let purpose = self.purpose.clone();
            self.touch.events.tell(Event::TouchEnded { token: self.touch.serial.to_string(), purpose });
        }
    }
}
