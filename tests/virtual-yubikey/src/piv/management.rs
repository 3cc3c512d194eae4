//! The management key: who may make keys and write objects.

use aes::{Aes128, Aes192, Aes256};
use cipher::{Block, BlockCipherEncrypt, KeyInit};
use des::TdesEde3;

use crate::{
    apdu::{Command, Status},
    card::Version,
    finger::{Finger, Touch},
    key::random,
    tlv::{Template, read, tlv},
};

const DEFAULT: [u8; 24] = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Cipher {
    Tdes = 0x03,
    Aes128 = 0x08,
    Aes192 = 0x0a,
    Aes256 = 0x0c,
}

impl Cipher {
    /// P1 of 0 means the oldest one. SP 800-78 table 6-2.
    fn of(identifier: u8) -> Option<Self> {
        match identifier {
            0 | 0x03 => Some(Self::Tdes),
            0x08 => Some(Self::Aes128),
            0x0a => Some(Self::Aes192),
            0x0c => Some(Self::Aes256),
            _ => None,
        }
    }

    fn key_bytes(self) -> usize {
        match self {
            Self::Tdes | Self::Aes192 => 24,
            Self::Aes128 => 16,
            Self::Aes256 => 32,
        }
    }

    fn block_bytes(self) -> usize {
        if self == Self::Tdes { 8 } else { 16 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Login {
    No,
    /// The card asked this, and knows what it will accept.
    Challenged {
        accepts: [u8; 16],
    },
    Yes,
}

pub(super) struct Management {
    cipher: Cipher,
    key: Vec<u8>,
    wants_touch: bool,
    login: Login,
}

impl Management {
    pub(super) fn fresh(version: Version) -> Self {
        let cipher = if version >= Version(5, 7, 0) { Cipher::Aes192 } else { Cipher::Tdes };
        Self { cipher, key: DEFAULT.to_vec(), wants_touch: false, login: Login::No }
    }

    pub(super) fn is_logged_in(&self) -> bool {
        self.login == Login::Yes
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    pub(super) fn log_out(&mut self) {
        self.login = Login::No;
    }

    /// GENERAL AUTHENTICATE with the management key: mutual, or of the host alone.
    pub(super) fn authenticate(&mut self, command: &Command, finger: &mut dyn Finger) -> Result<Vec<u8>, Status> {
        let Some((0x7c, template, _)) = read(&command.data) else { return Err(Status::WRONG_DATA) };
        let template = Template::read(template).ok_or(Status::WRONG_DATA)?;
        if Cipher::of(command.p1) != Some(self.cipher) {
            return Err(Status::WRONG_DATA);
        }
        let block = self.cipher.block_bytes();
        let login = std::mem::replace(&mut self.login, Login::No);
        match (template.get(0x80), template.get(0x81), template.get(0x82)) {
            // mutual: the card sends a nonce encrypted, and wants it back in the clear
            (Some([]), _, _) => {
                let nonce = random();
                self.login = Login::Challenged { accepts: nonce };
                Ok(answer(0x80, &self.encrypt(&nonce[..block])?))
            }
            (Some(witness), Some(challenge), _) if challenge.len() == block => {
                self.accept(login, witness, finger)?;
                Ok(answer(0x82, &self.encrypt(challenge)?))
            }
            // single: the card sends a nonce in the clear, and wants it back encrypted
            (None, Some([]), _) => {
                let nonce: [u8; 16] = random();
                let mut accepts = [0; 16];
                accepts[..block].copy_from_slice(&self.encrypt(&nonce[..block])?);
                self.login = Login::Challenged { accepts };
                Ok(answer(0x81, &nonce[..block]))
            }
            (None, None, Some(response)) => self.accept(login, response, finger).map(|()| Vec::new()),
            _ => Err(Status::WRONG_DATA),
        }
    }

    fn accept(&mut self, login: Login, response: &[u8], finger: &mut dyn Finger) -> Result<(), Status> {
        let Login::Challenged { accepts } = login else { return Err(Status::CONDITIONS) };
        let right = response == &accepts[..self.cipher.block_bytes()];
        if !right || (self.wants_touch && finger.touch() != Touch::Touched) {
            return Err(Status::SECURITY_NOT_SATISFIED);
        }
        self.login = Login::Yes;
        Ok(())
    }

    /// Yubico's SET MANAGEMENT KEY.
    pub(super) fn set(&mut self, command: &Command, version: Version) -> Result<(), Status> {
        if !self.is_logged_in() {
            return Err(Status::SECURITY_NOT_SATISFIED);
        }
        let [cipher, 0x9b, length, key @ ..] = command.data.as_slice() else { return Err(Status::WRONG_DATA) };
        let cipher = Cipher::of(*cipher).ok_or(Status::WRONG_DATA)?;
        let known = cipher == Cipher::Tdes || version >= Version(5, 4, 0);
        if !known || key.len() != cipher.key_bytes() || usize::from(*length) != key.len() {
            return Err(Status::WRONG_DATA);
        }
        self.wants_touch = match command.p2 {
            0xff => false,
            0xfe => true,
            _ => return Err(Status::WRONG_P1_P2),
        };
        (self.cipher, self.key) = (cipher, key.to_vec());
        Ok(())
    }

    /// What GET METADATA tells of slot 9B.
    pub(super) fn metadata(&self) -> Vec<u8> {
        let touch = if self.wants_touch { 2 } else { 1 };
        [tlv(1, &[self.cipher as u8]), tlv(2, &[0, touch]), tlv(5, &[u8::from(self.key == DEFAULT)])].concat()
    }

    fn encrypt(&self, block: &[u8]) -> Result<Vec<u8>, Status> {
        match self.cipher {
            Cipher::Tdes => encrypt::<TdesEde3>(&self.key, block),
            Cipher::Aes128 => encrypt::<Aes128>(&self.key, block),
            Cipher::Aes192 => encrypt::<Aes192>(&self.key, block),
            Cipher::Aes256 => encrypt::<Aes256>(&self.key, block),
        }
    }
}

fn encrypt<C: BlockCipherEncrypt + KeyInit>(key: &[u8], block: &[u8]) -> Result<Vec<u8>, Status> {
    let cipher = C::new_from_slice(key).map_err(|_| Status::WRONG_DATA)?;
    let mut block = Block::<C>::try_from(block).map_err(|_| Status::WRONG_DATA)?;
    cipher.encrypt_block(&mut block);
    Ok(block.to_vec())
}

fn answer(tag: u8, value: &[u8]) -> Vec<u8> {
    tlv(0x7c, &tlv(tag, value))
}
