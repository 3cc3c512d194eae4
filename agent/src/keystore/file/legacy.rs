//! OpenSSL's old PEM encryption, which Notary 0.1 to 0.5 wrote: `Proc-Type` and `DEK-Info` headers (RFC 1421), a key from
//! MD5 over passphrase and salt (EVP_BytesToKey). Only read: what is written again is PKCS#8.

use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use md5::{Digest, Md5};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// How a block is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Encryption {
    cipher: Cipher,
    iv: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cipher {
    Des,
    TripleDes,
    Aes128,
    Aes192,
    Aes256,
}

impl Encryption {
    /// Reads a `DEK-Info` header, such as `AES-256-CBC,` and 32 hex digits.
    pub(super) fn parse(dek_info: &str) -> Result<Self, String> {
        let (name, iv) = dek_info.split_once(',').ok_or("its DEK-Info header has no IV")?;
        let cipher = match name.trim() {
            "DES-CBC" => Cipher::Des,
            "DES-EDE3-CBC" => Cipher::TripleDes,
            "AES-128-CBC" => Cipher::Aes128,
            "AES-192-CBC" => Cipher::Aes192,
            "AES-256-CBC" => Cipher::Aes256,
            other => return Err(format!("its cipher {other:?} is not known here")),
        };
        let iv = hex::decode(iv.trim()).map_err(|_| "the IV in its DEK-Info header is not hexadecimal")?;
        if iv.len() != cipher.block_bytes() {
            return Err("the IV in its DEK-Info header has the wrong length".to_owned());
        }
        Ok(Self { cipher, iv })
    }

    /// The content; none if the passphrase is wrong, which shows as bad padding and by chance does not.
    pub(super) fn decrypt(&self, data: &[u8], passphrase: &Secret) -> Option<Zeroizing<Vec<u8>>> {
        let key = self.key(passphrase)?;
        match self.cipher {
            Cipher::Des => decrypt::<Decryptor<des::Des>>(&key, &self.iv, data),
            Cipher::TripleDes => decrypt::<Decryptor<des::TdesEde3>>(&key, &self.iv, data),
            Cipher::Aes128 => decrypt::<Decryptor<aes::Aes128>>(&key, &self.iv, data),
            Cipher::Aes192 => decrypt::<Decryptor<aes::Aes192>>(&key, &self.iv, data),
            Cipher::Aes256 => decrypt::<Decryptor<aes::Aes256>>(&key, &self.iv, data),
        }
    }

    /// OpenSSL's EVP_BytesToKey with MD5, one round, and the first eight bytes of the IV as salt.
    fn key(&self, passphrase: &Secret) -> Option<Zeroizing<Vec<u8>>> {
        let salt = self.iv.get(..8)?;
        let mut key = Zeroizing::new(Vec::with_capacity(48));
        let mut last = Zeroizing::new(Vec::new());
        while key.len() < self.cipher.key_bytes() {
            let mut hash = Md5::new();
            hash.update(last.as_slice());
            hash.update(passphrase.expose());
            hash.update(salt);
            last = Zeroizing::new(hash.finalize().to_vec());
            key.extend_from_slice(&last);
        }
        key.truncate(self.cipher.key_bytes());
        Some(key)
    }
}

fn decrypt<C: KeyIvInit + BlockModeDecrypt>(key: &[u8], iv: &[u8], data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(data.to_vec());
    let length = C::new_from_slices(key, iv).ok()?.decrypt_padded::<Pkcs7>(&mut buffer).ok()?.len();
    buffer.truncate(length);
    Some(buffer)
}

impl Cipher {
    const fn key_bytes(self) -> usize {
        match self {
            Self::Des => 8,
            Self::Aes128 => 16,
            Self::TripleDes | Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }

    const fn block_bytes(self) -> usize {
        match self {
            Self::Des | Self::TripleDes => 8,
            Self::Aes128 | Self::Aes192 | Self::Aes256 => 16,
        }
    }
}
