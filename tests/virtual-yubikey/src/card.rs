//! The card: applets, command chaining, answers in pieces, and mishaps on demand.

use std::{thread, time::Duration};

use crate::{
    apdu::{Command, Status},
    attestation::Attestation,
    finger::{Finger, Touch},
    piv::Piv,
    tlv::tlv,
};

const SELECT: u8 = 0xa4;
const GET_RESPONSE: u8 = 0xc0;

/// The whole identifier; clients select by its first five bytes. SP 800-73 part 1, section 2.2.
pub(crate) const PIV: &[u8] = &[0xa0, 0, 0, 3, 8, 0, 0, 0x10, 0, 1, 0];
const MANAGEMENT: &[u8] = &[0xa0, 0, 0, 5, 0x27, 0x47, 0x11, 0x17];
const OTP: &[u8] = &[0xa0, 0, 0, 5, 0x27, 0x20, 1];

/// A YubiKey 5 on USB: T=1 is offered, and the historical bytes say "YubiKey".
const ATR: &[u8] = &[
    0x3b, 0xfd, 0x13, 0x00, 0x00, 0x81, 0x31, 0xfe, 0x15, 0x80, 0x73, 0xc0, 0x21, 0xc0, 0x57, 0x59, 0x75, 0x62, 0x69,
    0x4b, 0x65, 0x79, 0x40,
];

/// A firmware version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u8, pub u8, pub u8);

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// The card answers with this status word, and does nothing.
    Status(Status),
    /// The card is pulled before it has done anything.
    PulledBefore,
    /// The card is pulled when it is done, and nobody hears the answer.
    PulledAfter,
    /// The card takes its time.
    Slow(Duration),
    /// The card's answer is wrong: its last byte is another.
    WrongAnswer,
}

/// A mishap with a command.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// The command's instruction byte.
    pub instruction: u8,
    /// What happens.
    pub mishap: Mishap,
    /// How often.
    pub times: u32,
}

/// What the card has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// APDUs received.
    pub commands: u64,
    /// Applets selected.
    pub selects: u64,
    /// PINs compared.
    pub pins: u64,
    /// Touches waited for and given.
    pub touches: u64,
    /// Keys made.
    pub generated: u64,
    /// Signatures made.
    pub signatures: u64,
    /// Resets and power cycles.
    pub resets: u64,
}

/// The state of one YubiKey.
pub struct Card {
    version: Version,
    serial: u32,
    /// The PIV applet.
    pub piv: Piv,
    /// What will go wrong.
    pub faults: Vec<Fault>,
    /// What was done.
    pub counts: Counts,
    selected: Applet,
    chain: Option<Command>,
    waiting: Vec<u8>,
    attestation: Attestation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Applet {
    None,
    Piv,
    Management,
    Otp,
}

/// How a command ends.
pub(crate) enum Reply {
    Answer(Vec<u8>),
    Pulled,
}

impl Card {
    /// A YubiKey as it comes from the shop.
    ///
    /// # Errors
    /// If no attestation chain can be made.
    pub fn new(version: Version, serial: u32) -> anyhow::Result<Self> {
        let attestation = Attestation::new(serial)?;
        Ok(Self {
            version,
            serial,
            piv: Piv::fresh(version, &attestation),
            faults: Vec::new(),
            counts: Counts::default(),
            selected: Applet::None,
            chain: None,
            waiting: Vec::new(),
            attestation,
        })
    }

    /// The serial number.
    #[must_use]
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// The certificate at the top of the attestation chain, DER.
    #[must_use]
    pub fn attestation_root(&self) -> Vec<u8> {
        self.attestation.root().to_vec()
    }

    pub(crate) fn atr() -> &'static [u8] {
        ATR
    }

    /// A reset or a power cycle: nobody is logged in, and nothing is selected.
    pub(crate) fn reset(&mut self) {
        self.counts.resets += 1;
        self.selected = Applet::None;
        self.chain = None;
        self.waiting.clear();
        self.piv.reset();
    }

    pub(crate) fn transmit(&mut self, bytes: &[u8], finger: &mut dyn Finger) -> Reply {
        self.counts.commands += 1;
        let Some(command) = Command::parse(bytes) else { return Reply::Answer(word(Status::WRONG_LENGTH)) };
        if command.instruction == GET_RESPONSE {
            let waits = !self.waiting.is_empty();
            return Reply::Answer(if waits { self.piece(command.limit) } else { word(Status::CONDITIONS) });
        }
        self.waiting.clear();
        let Some(command) = self.chained(command) else { return Reply::Answer(word(Status::OK)) };
        let mishap = self.mishap(command.instruction);
        match mishap {
            Some(Mishap::Status(status)) => return Reply::Answer(word(status)),
            Some(Mishap::PulledBefore) => return Reply::Pulled,
            Some(Mishap::Slow(pause)) => thread::sleep(pause),
            Some(Mishap::PulledAfter | Mishap::WrongAnswer) | None => {}
        }
        let mut finger = Watched { finger, pulled: false };
        let answer = self.execute(&command, &mut finger);
        if finger.pulled || mishap == Some(Mishap::PulledAfter) {
            return Reply::Pulled;
        }
        Reply::Answer(match answer {
            Ok(mut data) => {
                if mishap == Some(Mishap::WrongAnswer)
                    && let Some(last) = data.last_mut()
                {
                    *last ^= 1;
                }
                self.waiting = data;
                self.piece(command.limit)
            }
            Err(status) => word(status),
        })
    }

    /// The whole command, once its last part has come.
    fn chained(&mut self, command: Command) -> Option<Command> {
        let begun = self.chain.take().filter(|begun| begun.head() == command.head());
        let data = [begun.map(|begun| begun.data).unwrap_or_default(), command.data.clone()].concat();
        let command = Command { data, ..command };
        if command.chained {
            self.chain = Some(command);
            return None;
        }
        Some(command)
    }

    /// As much of the answer as fits.
    fn piece(&mut self, limit: usize) -> Vec<u8> {
        let rest = self.waiting.split_off(self.waiting.len().min(limit));
        let piece = std::mem::replace(&mut self.waiting, rest);
        let status = if self.waiting.is_empty() { Status::OK } else { Status::more(self.waiting.len()) };
        [piece, word(status)].concat()
    }

    fn mishap(&mut self, instruction: u8) -> Option<Mishap> {
        let fault = self.faults.iter_mut().find(|fault| fault.instruction == instruction && fault.times > 0)?;
        fault.times -= 1;
        Some(fault.mishap)
    }

    fn execute(&mut self, command: &Command, finger: &mut dyn Finger) -> Result<Vec<u8>, Status> {
        let Version(major, minor, patch) = self.version;
        if command.instruction == SELECT {
            return self.select(command);
        }
        match (self.selected, command.instruction, command.p1) {
            (Applet::Piv, ..) => {
                self.piv.execute(command, self.version, self.serial, &self.attestation, &mut self.counts, finger)
            }
            (Applet::Management, 0x1d, 0) => Ok(self.device_information()),
            (Applet::Otp, 0x01, 0x10) => Ok(self.serial.to_be_bytes().to_vec()),
            (Applet::Otp, 0x03, _) => Ok(vec![major, minor, patch, 0, 0, 0]),
            (Applet::None | Applet::Management | Applet::Otp, ..) => Err(Status::UNKNOWN_INSTRUCTION),
        }
    }

    fn select(&mut self, command: &Command) -> Result<Vec<u8>, Status> {
        self.counts.selects += 1;
        if command.p1 != 4 {
            return Err(Status::WRONG_P1_P2);
        }
        let Version(major, minor, patch) = self.version;
        let identifier = command.data.as_slice();
        let (applet, answer) = if identifier.len() >= 5 && PIV.starts_with(identifier) {
            let properties = [tlv(0x4f, &PIV[5..]), tlv(0x79, &tlv(0x4f, &PIV[..5]))].concat();
            (Applet::Piv, tlv(0x61, &properties))
        } else if identifier == MANAGEMENT {
            (Applet::Management, format!("Virtual mgr - FW version {major}.{minor}.{patch}").into_bytes())
        } else if identifier.starts_with(OTP) {
            (Applet::Otp, vec![major, minor, patch, 0, 0, 0])
        } else {
            return Err(Status::FILE_NOT_FOUND);
        };
        self.selected = applet;
        self.piv.reset_session();
        Ok(answer)
    }

    /// What the management applet's READ CONFIG tells.
    fn device_information(&self) -> Vec<u8> {
        let Version(major, minor, patch) = self.version;
        let usb_applets: [u8; 2] = [0x02, 0x3f];
        let fields = [
            tlv(0x01, &usb_applets),
            tlv(0x02, &self.serial.to_be_bytes()),
            tlv(0x03, &usb_applets),
            tlv(0x04, &[1]),
            tlv(0x05, &[major, minor, patch]),
            tlv(0x06, &[0, 0]),
            tlv(0x07, &[0x0f]),
            tlv(0x08, &[0]),
            tlv(0x0a, &[0]),
        ]
        .concat();
        let length = u8::try_from(fields.len()).unwrap_or(u8::MAX);
        [vec![length], fields].concat()
    }
}

/// Notes that the card was pulled while it waited.
struct Watched<'a> {
    finger: &'a mut dyn Finger,
    pulled: bool,
}

impl Finger for Watched<'_> {
    fn touch(&mut self) -> Touch {
        let touch = self.finger.touch();
        self.pulled |= touch == Touch::Pulled;
        touch
    }
}

fn word(status: Status) -> Vec<u8> {
    status.0.to_be_bytes().to_vec()
}
