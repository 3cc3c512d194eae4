//! The PIV applet. SP 800-73 part 2, and Yubico's extensions.

mod keys;
mod management;
mod objects;
mod pin;

use std::{collections::BTreeMap, time::Instant};

pub use self::{
    keys::{PinPolicy, Slot, TouchPolicy},
    pin::Secret,
};
use self::{management::Management, pin::PinState};
use crate::{
    apdu::{Command, Status},
    attestation::Attestation,
    card::{Counts, Version},
    finger::Finger,
};

/// Where the attestation certificate of slot F9 is.
const ATTESTATION_OBJECT: u32 = 0x005f_ff01;

/// What the applet holds, and who is logged in.
pub struct Piv {
    /// The user's PIN.
    pub pin: Secret,
    /// What unblocks the PIN.
    pub puk: Secret,
    management: Management,
    /// The keys, by slot.
    pub slots: BTreeMap<u8, Slot>,
    /// The data objects, by tag.
    pub objects: BTreeMap<u32, Vec<u8>>,
    verified: PinState,
    touched: Option<Instant>,
}

impl Piv {
    /// The management key, for whoever looks where it must not be.
    #[must_use]
    pub fn management_key(&self) -> &[u8] {
        self.management.key()
    }

    pub(crate) fn fresh(version: Version, attestation: &Attestation) -> Self {
        Self {
            pin: Secret::pin(),
            puk: Secret::puk(),
            management: Management::fresh(version),
            slots: BTreeMap::new(),
            objects: [(ATTESTATION_OBJECT, attestation.object())].into(),
            verified: PinState::default(),
            touched: None,
        }
    }

    /// After SELECT nobody is logged in.
    pub(crate) fn reset_session(&mut self) {
        self.verified = PinState::default();
        self.management.log_out();
    }

    pub(crate) fn reset(&mut self) {
        self.reset_session();
        self.touched = None;
    }

    pub(crate) fn execute(
        &mut self,
        command: &Command,
        version: Version,
        serial: u32,
        attestation: &Attestation,
        counts: &mut Counts,
        finger: &mut dyn Finger,
    ) -> Result<Vec<u8>, Status> {
        let Version(major, minor, patch) = version;
        let fresh = self.verified.take_freshness();
        match command.instruction {
            0x20 => self.verify(command, counts),
            0x24 => self.change_reference_data(command),
            0x2c => self.reset_retry_counter(command),
            0x47 => self.generate(command, version, counts),
            0x87 if command.p2 == 0x9b => self.management.authenticate(command, finger),
            0x87 => self.sign(command, fresh, counts, finger),
            0xcb => self.get_data(&command.data),
            0xdb => self.put_data(&command.data),
            0xf6 if version >= Version(5, 7, 0) => self.move_key(command),
            0xf7 if version >= Version(5, 3, 0) => self.metadata(command.p2),
            0xf8 if version >= Version(5, 0, 0) => Ok(serial.to_be_bytes().to_vec()),
            0xf9 if version >= Version(4, 3, 0) => self.attest(command.p1, version, serial, attestation),
            0xfa => self.set_pin_retries(command),
            0xfb => self.factory_reset(version, attestation),
            0xfd => Ok(vec![major, minor, patch]),
            0xfe => self.import(command, version),
            0xff => self.management.set(command, version).map(|()| Vec::new()),
            _ => Err(Status::UNKNOWN_INSTRUCTION),
        }
    }

    /// Only with PIN and PUK blocked; what Yubico put there stays.
    fn factory_reset(&mut self, version: Version, attestation: &Attestation) -> Result<Vec<u8>, Status> {
        if self.pin.left != 0 || self.puk.left != 0 {
            return Err(Status::CONDITIONS);
        }
        *self = Self::fresh(version, attestation);
        Ok(Vec::new())
    }

    fn managed(&self) -> Result<(), Status> {
        if self.management.is_logged_in() { Ok(()) } else { Err(Status::SECURITY_NOT_SATISFIED) }
    }
}
