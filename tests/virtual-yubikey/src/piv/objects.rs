//! Data objects: certificates, and whatever else was put there.

use super::{Piv, pin::PinState};
use crate::{
    apdu::Status,
    card::PIV,
    tlv::{read, tlv, wide},
};

const DISCOVERY: u32 = 0x7e;
/// Printed information, fingerprints, face, iris.
const BEHIND_THE_PIN: [u32; 4] = [0x005f_c109, 0x005f_c103, 0x005f_c108, 0x005f_c121];
const LARGEST: usize = 3063;

impl Piv {
    pub(super) fn get_data(&self, data: &[u8]) -> Result<Vec<u8>, Status> {
        let (object, _) = object(data)?;
        if object == DISCOVERY {
            return Ok(tlv(0x7e, &[tlv(0x4f, PIV), wide(&[0x5f, 0x2f], &[0x40, 0x00])].concat()));
        }
        if BEHIND_THE_PIN.contains(&object) && self.verified == PinState::No {
            return Err(Status::SECURITY_NOT_SATISFIED);
        }
        self.objects.get(&object).map(|content| tlv(0x53, content)).ok_or(Status::FILE_NOT_FOUND)
    }

    pub(super) fn put_data(&mut self, data: &[u8]) -> Result<Vec<u8>, Status> {
        self.managed()?;
        let (object, rest) = object(data)?;
        match read(rest) {
            Some((0x53, [], _)) => drop(self.objects.remove(&object)),
            Some((0x53, content, _)) if content.len() <= LARGEST => {
                self.objects.insert(object, content.to_vec());
            }
            Some((0x53, ..)) => return Err(Status::WRONG_LENGTH),
            _ => return Err(Status::WRONG_DATA),
        }
        Ok(Vec::new())
    }
}

/// The tag of the object that is meant, and what follows.
fn object(data: &[u8]) -> Result<(u32, &[u8]), Status> {
    match read(data) {
        Some((0x5c, tag, rest)) if (1..=3).contains(&tag.len()) => {
            Ok((tag.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)), rest))
        }
        _ => Err(Status::WRONG_DATA),
    }
}
