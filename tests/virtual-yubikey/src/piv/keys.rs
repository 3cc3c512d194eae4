//! Slots: keys, what they want before they sign, and what is told of them.

use std::time::{Duration, Instant};

use super::{
    Piv,
    pin::{PinState, Secret},
};
use crate::{
    apdu::{Command, Status},
    attestation::Attestation,
    card::{Counts, Version},
    finger::{Finger, Touch},
    key::{Algorithm, Key},
    tlv::{Template, read, tlv, wide},
};

/// How long a touch counts for keys that remember it.
const REMEMBERED: Duration = Duration::from_secs(15);
const SIGNATURE: u8 = 0x9c;
const CARD_AUTHENTICATION: u8 = 0x9e;

/// When a key wants the PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PinPolicy {
    /// Never.
    Never = 1,
    /// Once after SELECT.
    Once = 2,
    /// By the command just before each signature.
    Always = 3,
}

/// When a key wants a touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TouchPolicy {
    /// Never.
    Never = 1,
    /// For each signature.
    Always = 2,
    /// Unless there was one in the last 15 seconds.
    Cached = 3,
}

/// What is in a slot.
#[derive(Clone)]
pub struct Slot {
    pub(crate) key: Key,
    /// When the key wants the PIN.
    pub pin_policy: PinPolicy,
    /// When it wants a touch.
    pub touch_policy: TouchPolicy,
    /// Whether it was made on the card.
    pub generated: bool,
}

impl Slot {
    /// The key's algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }
}

impl Piv {
    pub(super) fn generate(
        &mut self,
        command: &Command,
        version: Version,
        counts: &mut Counts,
    ) -> Result<Vec<u8>, Status> {
        self.managed()?;
        let id = slot_id(command.p2)?;
        let Some((0xac, template, _)) = read(&command.data) else { return Err(Status::WRONG_DATA) };
        let template = Template::read(template).ok_or(Status::WRONG_DATA)?;
        let algorithm = algorithm(template.byte(0x80).ok_or(Status::WRONG_DATA)?, version)?;
        let (pin_policy, touch_policy) = policies(id, &template)?;
        let key = Key::generate(algorithm).ok_or(Status::WRONG_DATA)?;
        counts.generated += 1;
        let public = wide(&[0x7f, 0x49], &key.public_template());
        self.slots.insert(id, Slot { key, pin_policy, touch_policy, generated: true });
        Ok(public)
    }

    /// Yubico's IMPORT ASYMMETRIC KEY.
    pub(super) fn import(&mut self, command: &Command, version: Version) -> Result<Vec<u8>, Status> {
        self.managed()?;
        let id = slot_id(command.p2)?;
        let template = Template::read(&command.data).ok_or(Status::WRONG_DATA)?;
        let (pin_policy, touch_policy) = policies(id, &template)?;
        let key = Key::import(algorithm(command.p1, version)?, &template).ok_or(Status::WRONG_DATA)?;
        self.slots.insert(id, Slot { key, pin_policy, touch_policy, generated: false });
        Ok(Vec::new())
    }

    /// GENERAL AUTHENTICATE with a key: a signature.
    pub(super) fn sign(
        &mut self,
        command: &Command,
        pin_is_fresh: bool,
        counts: &mut Counts,
        finger: &mut dyn Finger,
    ) -> Result<Vec<u8>, Status> {
        let Some((0x7c, template, _)) = read(&command.data) else { return Err(Status::WRONG_DATA) };
        let template = Template::read(template).ok_or(Status::WRONG_DATA)?;
        let slot = self.slots.get(&command.p2).ok_or(Status::WRONG_DATA)?;
        let challenge = template.get(0x81).filter(|_| template.get(0x82).is_some()).ok_or(Status::WRONG_DATA)?;
        if slot.algorithm() as u8 != command.p1 {
            return Err(Status::WRONG_DATA);
        }
        let verified = match slot.pin_policy {
            PinPolicy::Never => true,
            PinPolicy::Once => self.verified != PinState::No,
            PinPolicy::Always => pin_is_fresh,
        };
        let touched = match slot.touch_policy {
            TouchPolicy::Never => true,
            TouchPolicy::Always => false,
            TouchPolicy::Cached => self.touched.is_some_and(|touched| touched.elapsed() < REMEMBERED),
        };
        if !verified || (!touched && finger.touch() != Touch::Touched) {
            return Err(Status::SECURITY_NOT_SATISFIED);
        }
        if !touched {
            counts.touches += 1;
            self.touched = Some(Instant::now());
        }
        let signature = slot.key.sign(challenge).ok_or(Status::WRONG_DATA)?;
        counts.signatures += 1;
        Ok(tlv(0x7c, &tlv(0x82, &signature)))
    }

    /// Yubico's ATTEST.
    pub(super) fn attest(
        &self,
        id: u8,
        version: Version,
        serial: u32,
        attestation: &Attestation,
    ) -> Result<Vec<u8>, Status> {
        let slot = self.slots.get(&id).ok_or(Status::REFERENCE_NOT_FOUND)?;
        let made_here = slot.generated.then(|| attestation.attest(id, slot, version, serial));
        made_here.flatten().ok_or(Status::WRONG_DATA)
    }

    /// Yubico's GET METADATA.
    pub(super) fn metadata(&self, id: u8) -> Result<Vec<u8>, Status> {
        let of_secret = |secret: &Secret| {
            [tlv(1, &[0xff]), tlv(5, &[u8::from(secret.default)]), tlv(6, &[secret.tries, secret.left])].concat()
        };
        match id {
            0x80 => Ok(of_secret(&self.pin)),
            0x81 => Ok(of_secret(&self.puk)),
            0x9b => Ok(self.management.metadata()),
            _ => {
                let slot = self.slots.get(&id).ok_or(Status::REFERENCE_NOT_FOUND)?;
                let origin = if slot.generated { 1 } else { 2 };
                Ok([
                    tlv(1, &[slot.algorithm() as u8]),
                    tlv(2, &[slot.pin_policy as u8, slot.touch_policy as u8]),
                    tlv(3, &[origin]),
                    tlv(4, &slot.key.public_template()),
                ]
                .concat())
            }
        }
    }

    /// Yubico's MOVE KEY; to slot FF, away with it.
    pub(super) fn move_key(&mut self, command: &Command) -> Result<Vec<u8>, Status> {
        self.managed()?;
        let gone = command.p1 == 0xff;
        if !gone && (slot_id(command.p1).is_err() || self.slots.contains_key(&command.p1)) {
            return Err(Status::WRONG_P1_P2);
        }
        let slot = self.slots.remove(&command.p2).ok_or(Status::REFERENCE_NOT_FOUND)?;
        if !gone {
            self.slots.insert(command.p1, slot);
        }
        Ok(Vec::new())
    }
}

fn slot_id(id: u8) -> Result<u8, Status> {
    if matches!(id, 0x9a | SIGNATURE | 0x9d | CARD_AUTHENTICATION | 0x82..=0x95) {
        Ok(id)
    } else {
        Err(Status::WRONG_SLOT)
    }
}

fn algorithm(identifier: u8, version: Version) -> Result<Algorithm, Status> {
    let known = |algorithm: &Algorithm| !algorithm.is_new() || version >= Version(5, 7, 0);
    Algorithm::of(identifier).filter(known).ok_or(Status::WRONG_DATA)
}

/// What the template asks for, or what the slot does by itself.
fn policies(id: u8, template: &Template<'_>) -> Result<(PinPolicy, TouchPolicy), Status> {
    let pin = match (template.byte(0xaa).unwrap_or(0), id) {
        (1, _) | (0, CARD_AUTHENTICATION) => PinPolicy::Never,
        (3, _) | (0, SIGNATURE) => PinPolicy::Always,
        (0 | 2, _) => PinPolicy::Once,
        _ => return Err(Status::WRONG_DATA),
    };
    let touch = match template.byte(0xab).unwrap_or(0) {
        0 | 1 => TouchPolicy::Never,
        2 => TouchPolicy::Always,
        3 => TouchPolicy::Cached,
        _ => return Err(Status::WRONG_DATA),
    };
    Ok((pin, touch))
}
