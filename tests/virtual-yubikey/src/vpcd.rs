//! The cable between a card and vpcd, the virtual reader driver of vsmartcard.
//!
//! TCP; a message in either direction is its length in two bytes, big endian, and that many bytes. From the reader: one
//! byte is a control (0 power off, 1 power on, 2 reset, 4 send the ATR; only the last is answered), more is a command
//! APDU, which is answered with one response APDU. A closed connection is a card that was pulled.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::net::sockopt::{set_socket_linger, set_tcp_nodelay, set_tcp_quickack};

use crate::{
    card::{Card, Reply},
    finger::{Finger, Touch},
};

/// pcscd looks every 400 ms. A card that is back before two looks was never seen to be gone, and after a reset that
/// failed in between its slot stays empty for ever.
const ABSENCE: Duration = Duration::from_millis(900);
/// Before a connection that was lost is made anew.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a YubiKey blinks.
const PATIENCE: Duration = Duration::from_secs(15);

/// A YubiKey with its cable in somebody's hand. Dropped, it is pulled.
pub struct Yubikey {
    cable: Arc<Cable>,
    thread: Option<JoinHandle<()>>,
}

struct Cable {
    reader: SocketAddr,
    card: Mutex<Card>,
    hand: Mutex<Hand>,
    moved: Condvar,
    stream: Mutex<Option<TcpStream>>,
}

/// What the person does, and sees.
struct Hand {
    plugged: bool,
    /// Counts up with every pull, which ends a touch that is waited for.
    pulls: u64,
    pulled_at: Option<Instant>,
    /// Whether a finger lies on it all the time.
    rests: bool,
    touches: bool,
    blinks: bool,
    patience: Duration,
    gone: bool,
}

impl Yubikey {
    /// A YubiKey for the reader at this address, still in the hand.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn new(card: Card, reader: SocketAddr) -> io::Result<Self> {
        let hand = Hand {
            plugged: false,
            pulls: 0,
            pulled_at: None,
            rests: false,
            touches: false,
            blinks: false,
            patience: PATIENCE,
            gone: false,
        };
        let cable = Arc::new(Cable {
            reader,
            card: Mutex::new(card),
            hand: Mutex::new(hand),
            moved: Condvar::new(),
            stream: Mutex::new(None),
        });
        let its = Arc::clone(&cable);
        let thread = thread::Builder::new().name("yubikey".to_owned()).spawn(move || its.run())?;
        Ok(Self { cable, thread: Some(thread) })
    }

    /// The card. Waits while a command is being executed, a touch too.
    pub fn card(&self) -> MutexGuard<'_, Card> {
        lock(&self.cable.card)
    }

    /// Puts it in. pcscd sees that at its next look, within 400 ms.
    pub fn plug(&self) {
        self.cable.change(|hand| hand.plugged = true);
    }

    /// Pulls it, in the middle of a command too.
    pub fn pull(&self) {
        self.cable.pull();
    }

    /// Leaves a finger on it, or takes it away: what wants a touch has it at once.
    pub fn rest_finger(&self, rests: bool) {
        self.cable.change(|hand| hand.rests = rests);
    }

    /// Touches it. False if it did not blink; then nothing happens.
    #[must_use]
    pub fn touch(&self) -> bool {
        let mut blinked = false;
        self.cable.change(|hand| {
            blinked = hand.blinks;
            hand.touches |= blinked;
        });
        blinked
    }

    /// Whether it blinks.
    #[must_use]
    pub fn blinks(&self) -> bool {
        lock(&self.cable.hand).blinks
    }

    /// Waits until it blinks; false if it does not in that time.
    #[must_use]
    pub fn blinks_within(&self, limit: Duration) -> bool {
        let waited = self.cable.moved.wait_timeout_while(lock(&self.cable.hand), limit, |hand| !hand.blinks);
        waited.unwrap_or_else(PoisonError::into_inner).0.blinks
    }

    /// Sets how long it blinks; 15 seconds if nothing else is said.
    pub fn set_patience(&self, patience: Duration) {
        self.cable.change(|hand| hand.patience = patience);
    }
}

impl Drop for Yubikey {
    fn drop(&mut self) {
        self.cable.change(|hand| hand.gone = true);
        self.cable.pull();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Cable {
    fn change(&self, change: impl FnOnce(&mut Hand)) {
        change(&mut lock(&self.hand));
        self.moved.notify_all();
    }

    fn pull(&self) {
        self.change(|hand| {
            hand.plugged = false;
            hand.pulls += 1;
            hand.pulled_at = Some(Instant::now());
        });
        if let Some(mut stream) = lock(&self.stream).take() {
            // Debian's vpcd takes an end of the stream in place of an answer for an empty answer. The length of an answer,
            // and then a reset of the connection, it reports as what it is.
            drop(stream.write_all(&[0, 2]));
            drop(stream.shutdown(Shutdown::Read));
        }
    }

    fn run(&self) {
        while let Some(pulls) = self.plugged() {
            if self.serve(pulls).is_err() {
                thread::sleep(PAUSE);
            }
            lock(&self.stream).take();
            lock(&self.card).reset();
        }
    }

    /// Waits until it is in the reader, and tells how often it was pulled before; None if it never will be.
    fn plugged(&self) -> Option<u64> {
        loop {
            let waited = self.moved.wait_while(lock(&self.hand), |hand| !hand.plugged && !hand.gone);
            let hand = waited.unwrap_or_else(PoisonError::into_inner);
            if hand.gone {
                return None;
            }
            match hand.pulled_at.and_then(|pulled| ABSENCE.checked_sub(pulled.elapsed())) {
                None => return Some(hand.pulls),
                Some(left) => {
                    drop(hand);
                    thread::sleep(left);
                }
            }
        }
    }

    /// One stay in the reader, until the next pull.
    fn serve(&self, pulls: u64) -> io::Result<()> {
        let mut stream = TcpStream::connect(self.reader)?;
        set_tcp_nodelay(&stream, true)?;
        // the last close resets the connection
        set_socket_linger(&stream, Some(Duration::ZERO))?;
        *lock(&self.stream) = Some(stream.try_clone()?);
        while self.is_in(pulls) {
            let message = read_message(&mut stream)?;
            let answer = match message.as_slice() {
                [4] => Card::atr().to_vec(),
                [1] => continue,
                [0 | 2] => {
                    lock(&self.card).reset();
                    continue;
                }
                [] | [_] => return Err(io::Error::other("vpcd sent an unknown control")),
                command => {
                    let reply = lock(&self.card).transmit(command, &mut Asked { cable: self, pulls });
                    match reply {
                        Reply::Answer(answer) => answer,
                        Reply::Pulled => {
                            if self.is_in(pulls) {
                                self.pull();
                            }
                            return Ok(());
                        }
                    }
                }
            };
            let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
            match lock(&self.stream).as_mut() {
                Some(stream) => stream.write_all(&[&length.to_be_bytes()[..], &answer].concat())?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn is_in(&self, pulls: u64) -> bool {
        lock(&self.hand).pulls == pulls
    }
}

/// vpcd writes length and message one by one: with acknowledgements delayed, every command would take 40 ms.
fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    set_tcp_quickack(&*stream, true)?;
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    set_tcp_quickack(&*stream, true)?;
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// The person, asked by one command.
struct Asked<'a> {
    cable: &'a Cable,
    pulls: u64,
}

impl Finger for Asked<'_> {
    fn touch(&mut self) -> Touch {
        let mut hand = lock(&self.cable.hand);
        hand.blinks = true;
        hand.touches = false;
        self.cable.moved.notify_all();
        let patience = hand.patience;
        let waits = |hand: &mut Hand| hand.pulls == self.pulls && !hand.touches && !hand.rests;
        let waited = self.cable.moved.wait_timeout_while(hand, patience, waits);
        let (mut hand, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let touch = match (hand.pulls == self.pulls, hand.touches || hand.rests) {
            (false, _) => Touch::Pulled,
            (true, true) => Touch::Touched,
            (true, false) => Touch::TimedOut,
        };
        hand.blinks = false;
        self.cable.moved.notify_all();
        touch
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
