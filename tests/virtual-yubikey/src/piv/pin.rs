//! PIN and PUK.

use super::Piv;
use crate::{
    apdu::{Command, Status},
    card::Counts,
};

const PIN: u8 = 0x80;
const PUK: u8 = 0x81;
const BYTES: usize = 8;
const SHORTEST: usize = 6;
const TRIES: u8 = 3;

/// A PIN or a PUK, padded to eight bytes, and the tries that are left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    value: [u8; BYTES],
    /// Tries after a right one.
    pub tries: u8,
    /// Tries now.
    pub left: u8,
    /// Whether it is the one that every YubiKey comes with.
    pub default: bool,
}

impl Secret {
    pub(super) fn pin() -> Self {
        Self { value: *b"123456\xff\xff", tries: TRIES, left: TRIES, default: true }
    }

    pub(super) fn puk() -> Self {
        Self { value: *b"12345678", tries: TRIES, left: TRIES, default: true }
    }

    /// Compares, and counts.
    fn check(&mut self, candidate: &[u8]) -> Result<(), Status> {
        if self.left == 0 {
            return Err(Status::BLOCKED);
        }
        if self.value == candidate {
            self.left = self.tries;
            return Ok(());
        }
        self.left -= 1;
        Err(if self.left == 0 { Status::BLOCKED } else { Status::tries_left(self.left) })
    }

    fn set(&mut self, value: &[u8]) -> Result<(), Status> {
        if value.iter().take_while(|byte| **byte != 0xff).count() < SHORTEST {
            return Err(Status::WRONG_DATA);
        }
        self.value = value.try_into().map_err(|_| Status::WRONG_DATA)?;
        self.left = self.tries;
        self.default = false;
        Ok(())
    }
}

/// Whether the PIN was verified since SELECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum PinState {
    #[default]
    No,
    Yes,
    /// By the command just before this one: good for keys that want it every time.
    JustNow,
}

impl PinState {
    /// Every command but one ends the freshness.
    pub(super) fn take_freshness(&mut self) -> bool {
        let fresh = *self == Self::JustNow;
        if fresh {
            *self = Self::Yes;
        }
        fresh
    }
}

impl Piv {
    pub(super) fn verify(&mut self, command: &Command, counts: &mut Counts) -> Result<Vec<u8>, Status> {
        match (command.p1, command.p2, command.data.as_slice()) {
            (0xff, PIN, _) => {
                self.verified = PinState::No;
                Ok(Vec::new())
            }
            (_, PIN, []) => match (self.verified, self.pin.left) {
                (PinState::Yes | PinState::JustNow, _) => Ok(Vec::new()),
                (PinState::No, 0) => Err(Status::BLOCKED),
                (PinState::No, left) => Err(Status::tries_left(left)),
            },
            (_, PIN, pin) if pin.len() == BYTES => {
                counts.pins += 1;
                self.verified = PinState::No;
                self.pin.check(pin)?;
                self.verified = PinState::JustNow;
                Ok(Vec::new())
            }
            (_, PIN, _) => Err(Status::WRONG_DATA),
            _ => Err(Status::REFERENCE_NOT_FOUND),
        }
    }

    pub(super) fn change_reference_data(&mut self, command: &Command) -> Result<Vec<u8>, Status> {
        let (old, new) = halves(&command.data)?;
        let secret = match command.p2 {
            PIN => &mut self.pin,
            PUK => &mut self.puk,
            _ => return Err(Status::REFERENCE_NOT_FOUND),
        };
        secret.check(old)?;
        secret.set(new)?;
        if command.p2 == PIN {
            self.verified = PinState::Yes;
        }
        Ok(Vec::new())
    }

    pub(super) fn reset_retry_counter(&mut self, command: &Command) -> Result<Vec<u8>, Status> {
        if command.p2 != PIN {
            return Err(Status::REFERENCE_NOT_FOUND);
        }
        let (puk, new) = halves(&command.data)?;
        self.puk.check(puk)?;
        self.pin.set(new).map(|()| Vec::new())
    }

    /// Yubico's SET PIN RETRIES: both secrets are the default ones afterwards.
    pub(super) fn set_pin_retries(&mut self, command: &Command) -> Result<Vec<u8>, Status> {
        self.managed()?;
        if self.verified == PinState::No {
            return Err(Status::SECURITY_NOT_SATISFIED);
        }
        if command.p1 == 0 || command.p2 == 0 {
            return Err(Status::WRONG_DATA);
        }
        self.pin = Secret { tries: command.p1, left: command.p1, ..Secret::pin() };
        self.puk = Secret { tries: command.p2, left: command.p2, ..Secret::puk() };
        self.verified = PinState::No;
        Ok(Vec::new())
    }
}

fn halves(data: &[u8]) -> Result<(&[u8], &[u8]), Status> {
    if data.len() == 2 * BYTES { Ok(data.split_at(BYTES)) } else { Err(Status::WRONG_DATA) }
}
