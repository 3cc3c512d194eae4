//! Private keys of the card, and what it does with them.

use ed25519_dalek::Signer as _;
use p256::{ecdsa::signature::hazmat::PrehashSigner as _, elliptic_curve::sec1::ToSec1Point as _};
use rand::{Rng as _, rngs::ThreadRng};
use rsa::{BoxedUint, RsaPrivateKey, hazmat::rsa_decrypt_and_check, traits::PublicKeyParts as _};

use crate::tlv::{Template, tlv};

/// A key's algorithm, by its identifier. SP 800-78 table 6-2, and Yubico's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Algorithm {
    /// RSA, 3072 bits; since firmware 5.7.
    Rsa3072 = 0x05,
    /// RSA, 1024 bits.
    Rsa1024 = 0x06,
    /// RSA, 2048 bits.
    Rsa2048 = 0x07,
    /// ECDSA on P-256.
    EccP256 = 0x11,
    /// ECDSA on P-384.
    EccP384 = 0x14,
    /// RSA, 4096 bits; since firmware 5.7.
    Rsa4096 = 0x16,
    /// Ed25519; since firmware 5.7.
    Ed25519 = 0xe0,
}

impl Algorithm {
    pub(crate) fn of(identifier: u8) -> Option<Self> {
        let all =
            [Self::Rsa3072, Self::Rsa1024, Self::Rsa2048, Self::EccP256, Self::EccP384, Self::Rsa4096, Self::Ed25519];
        all.into_iter().find(|algorithm| *algorithm as u8 == identifier)
    }

    /// Whether it came with firmware 5.7.
    pub(crate) fn is_new(self) -> bool {
        matches!(self, Self::Rsa3072 | Self::Rsa4096 | Self::Ed25519)
    }

    fn rsa_bytes(self) -> Option<usize> {
        match self {
            Self::Rsa1024 => Some(128),
            Self::Rsa2048 => Some(256),
            Self::Rsa3072 => Some(384),
            Self::Rsa4096 => Some(512),
            Self::EccP256 | Self::EccP384 | Self::Ed25519 => None,
        }
    }
}

#[derive(Clone)]
pub(crate) enum Key {
    EccP256(p256::SecretKey),
    EccP384(p384::SecretKey),
    Ed25519(ed25519_dalek::SigningKey),
    Rsa(Algorithm, Box<RsaPrivateKey>),
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

impl Key {
    pub(crate) fn generate(algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::EccP256 => p256::SecretKey::from_slice(&random::<32>()).ok().map(Self::EccP256),
            Algorithm::EccP384 => p384::SecretKey::from_slice(&random::<48>()).ok().map(Self::EccP384),
            Algorithm::Ed25519 => Some(Self::Ed25519(ed25519_dalek::SigningKey::from_bytes(&random()))),
            Algorithm::Rsa1024 | Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 => {
                let bits = algorithm.rsa_bytes()?.checked_mul(8)?;
                // 1024 bits are too few for the library, but not for the card
                let key = RsaPrivateKey::new_unchecked(&mut rand::rng(), bits).ok()?;
                Some(Self::Rsa(algorithm, Box::new(key)))
            }
        }
    }

    /// The key of an IMPORT ASYMMETRIC KEY command.
    pub(crate) fn import(algorithm: Algorithm, template: &Template<'_>) -> Option<Self> {
        match algorithm {
            Algorithm::EccP256 => p256::SecretKey::from_slice(template.get(0x06)?).ok().map(Self::EccP256),
            Algorithm::EccP384 => p384::SecretKey::from_slice(template.get(0x06)?).ok().map(Self::EccP384),
            Algorithm::Ed25519 => {
                let seed = template.get(0x07)?.try_into().ok()?;
                Some(Self::Ed25519(ed25519_dalek::SigningKey::from_bytes(seed)))
            }
            Algorithm::Rsa1024 | Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 => {
                let prime = |tag| template.get(tag).map(BoxedUint::from_be_slice_vartime);
                let key = RsaPrivateKey::from_p_q(prime(0x01)?, prime(0x02)?, BoxedUint::from(65537_u64)).ok()?;
                (Some(key.size()) == algorithm.rsa_bytes()).then(|| Self::Rsa(algorithm, Box::new(key)))
            }
        }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::EccP256(_) => Algorithm::EccP256,
            Self::EccP384(_) => Algorithm::EccP384,
            Self::Ed25519(_) => Algorithm::Ed25519,
            Self::Rsa(algorithm, _) => *algorithm,
        }
    }

    /// The point of an elliptic curve; of RSA, modulus and exponent.
    pub(crate) fn public(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        match self {
            Self::EccP256(key) => (key.public_key().to_sec1_point(false).as_bytes().to_vec(), None),
            Self::EccP384(key) => (key.public_key().to_sec1_point(false).as_bytes().to_vec(), None),
            Self::Ed25519(key) => (key.verifying_key().as_bytes().to_vec(), None),
            Self::Rsa(_, key) => {
                let modulus = key.n().as_ref().to_be_bytes_trimmed_vartime();
                (AsRef::<[u8]>::as_ref(&modulus).to_vec(), Some(vec![1, 0, 1]))
            }
        }
    }

    /// What template 7F49 holds.
    pub(crate) fn public_template(&self) -> Vec<u8> {
        match self.public() {
            (point, None) => tlv(0x86, &point),
            (modulus, Some(exponent)) => [tlv(0x81, &modulus), tlv(0x82, &exponent)].concat(),
        }
    }

    /// What GENERAL AUTHENTICATE does with a challenge: a digest, a padded block for RSA, a message for Ed25519.
    pub(crate) fn sign(&self, challenge: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::EccP256(key) => {
                let digest = right_aligned::<32>(challenge)?;
                let signed: p256::ecdsa::DerSignature =
                    p256::ecdsa::SigningKey::from(key).sign_prehash(&digest).ok()?;
                Some(signed.as_bytes().to_vec())
            }
            Self::EccP384(key) => {
                let digest = right_aligned::<48>(challenge)?;
                let signed: p384::ecdsa::DerSignature =
                    p384::ecdsa::SigningKey::from(key).sign_prehash(&digest).ok()?;
                Some(signed.as_bytes().to_vec())
            }
            Self::Ed25519(key) => Some(key.sign(challenge).to_bytes().to_vec()),
            Self::Rsa(_, key) => {
                let size = key.size();
                let block = BoxedUint::from_be_slice(challenge, key.n_bits_precision()).ok()?;
                let blinding = None::<&mut ThreadRng>;
                let power = rsa_decrypt_and_check(key.as_ref(), blinding, &block).ok()?.to_be_bytes();
                let power: &[u8] = power.as_ref();
                (challenge.len() == size).then(|| power[power.len() - size..].to_vec())
            }
        }
    }
}

/// A digest that is shorter than the curve's field.
fn right_aligned<const N: usize>(digest: &[u8]) -> Option<[u8; N]> {
    let mut field = [0; N];
    let start = N.checked_sub(digest.len()).filter(|start| *start < N)?;
    field[start..].copy_from_slice(digest);
    Some(field)
}
