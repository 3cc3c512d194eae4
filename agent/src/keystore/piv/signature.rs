//! What a card is given to sign, and what its answer means.

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use aws_lc_rs::rand;
use der::Decode;
use der::asn1::UintRef;
use signet_tuf::Algorithm;
use yubikey::piv::AlgorithmId;

use crate::keystore::token::Fault;
use crate::ledger::Scheme;

/// RFC 8017 §9.2, note 1: what stands before a SHA-256 digest.
const SHA256_PREFIX: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];
/// RSASSA-PSS in TUF: as long as the digest.
const SALT: usize = SHA256_OUTPUT_LEN;

/// The algorithm as the card calls it.
pub(super) fn algorithm_id(algorithm: Algorithm) -> Result<AlgorithmId, Fault> {
    match algorithm {
        Algorithm::EcdsaP256 => Ok(AlgorithmId::EccP256),
        Algorithm::EcdsaP384 => Ok(AlgorithmId::EccP384),
        Algorithm::Rsa(2048) => Ok(AlgorithmId::Rsa2048),
        Algorithm::Rsa(3072) => Ok(AlgorithmId::Rsa3072),
        Algorithm::Rsa(4096) => Ok(AlgorithmId::Rsa4096),
        Algorithm::Ed25519 => Err(Fault::Unsupported(
            "ed25519: the card wants whole messages, and the driver breaks at messages above 1 kB, as metadata is"
                .to_owned(),
        )),
        Algorithm::EcdsaP521 | Algorithm::Rsa(_) => Err(Fault::Unsupported(algorithm.to_string())),
    }
}

/// The block that the card's private key is applied to.
pub(super) fn block(algorithm: Algorithm, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, Fault> {
    let hash = digest(&SHA256, message);
    match (algorithm, scheme) {
        (Algorithm::EcdsaP256 | Algorithm::EcdsaP384, Scheme::EcdsaSha256) => Ok(hash.as_ref().to_vec()),
        (Algorithm::Rsa(bits), Scheme::RsaPkcs1Sha256) => pkcs1(bytes(bits), hash.as_ref()),
        (Algorithm::Rsa(bits), Scheme::RsaPssSha256) => {
            let mut salt = [0; SALT];
            rand::fill(&mut salt).map_err(|_| Fault::Unsupported("signing without random numbers".to_owned()))?;
            pss(bytes(bits), hash.as_ref(), &salt)
        }
        (
            Algorithm::EcdsaP256 | Algorithm::EcdsaP384 | Algorithm::EcdsaP521 | Algorithm::Rsa(_) | Algorithm::Ed25519,
            Scheme::EcdsaSha256 | Scheme::RsaPkcs1Sha256 | Scheme::RsaPssSha256 | Scheme::Ed25519,
        ) => Err(Fault::Unsupported(format!("the scheme {scheme:?} with a key of type {algorithm}"))),
    }
}

/// The card's answer in TUF's form: ECDSA as r and s, each of the curve's size.
pub(super) fn from_card(algorithm: Algorithm, answer: &[u8]) -> Option<Vec<u8>> {
    let size = match algorithm {
        Algorithm::EcdsaP256 => 32,
        Algorithm::EcdsaP384 => 48,
        Algorithm::EcdsaP521 | Algorithm::Rsa(_) | Algorithm::Ed25519 => return Some(answer.to_vec()),
    };
    let Pair { r, s } = Pair::from_der(answer).ok()?;
    Some([padded(r.as_bytes(), size)?, padded(s.as_bytes(), size)?].concat())
}

/// RFC 3279 `Ecdsa-Sig-Value`.
#[derive(der::Sequence)]
struct Pair<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

fn padded(number: &[u8], size: usize) -> Option<Vec<u8>> {
    let zeros = size.checked_sub(number.len())?;
    Some([vec![0; zeros], number.to_vec()].concat())
}

fn bytes(bits: u32) -> usize {
    usize::try_from(bits / 8).unwrap_or(0)
}

fn too_short() -> Fault {
    Fault::Unsupported("an RSA key that is too short for SHA-256".to_owned())
}

/// EMSA-PKCS1-v1_5, RFC 8017 §9.2.
fn pkcs1(size: usize, hash: &[u8]) -> Result<Vec<u8>, Fault> {
    let content = [&SHA256_PREFIX, hash].concat();
    let padding = size.checked_sub(content.len()).and_then(|rest| rest.checked_sub(3)).ok_or_else(too_short)?;
    Ok([vec![0, 1], vec![0xff; padding], vec![0], content].concat())
}

/// EMSA-PSS with SHA-256 and MGF1, RFC 8017 §9.1.1; the modulus has a multiple of eight bits.
fn pss(size: usize, hash: &[u8], salt: &[u8]) -> Result<Vec<u8>, Fault> {
    let zeros = [0; 8];
    let h = digest(&SHA256, &[&zeros, hash, salt].concat());
    let mask_length = size.checked_sub(SHA256_OUTPUT_LEN).and_then(|rest| rest.checked_sub(1)).ok_or_else(too_short)?;
    let padding = mask_length.checked_sub(salt.len()).and_then(|rest| rest.checked_sub(1)).ok_or_else(too_short)?;
    let mut db = [vec![0; padding], vec![1], salt.to_vec()].concat();
    for (byte, mask) in db.iter_mut().zip(mgf1(h.as_ref(), mask_length)) {
        *byte ^= mask;
    }
    // emBits is one less than the modulus has
    if let Some(first) = db.first_mut() {
        *first &= 0x7f;
    }
    Ok([&db, h.as_ref(), &[0xbc]].concat())
}

/// RFC 8017 §B.2.1.
fn mgf1(seed: &[u8], length: usize) -> Vec<u8> {
    let blocks = (0_u32..).flat_map(|counter| {
        let block = digest(&SHA256, &[seed, &counter.to_be_bytes()].concat());
        block.as_ref().to_vec()
    });
    blocks.take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_signature_are_filled_up_to_the_curve_s_size() {
        // r = 1, s = 0x80
        let der = [0x30, 0x07, 0x02, 0x01, 0x01, 0x02, 0x02, 0x00, 0x80];
        let raw = from_card(Algorithm::EcdsaP256, &der).unwrap();
        assert_eq!(raw.len(), 64);
        assert_eq!((raw[31], raw[63]), (1, 0x80));
        assert_eq!(raw.iter().map(|byte| usize::from(*byte)).sum::<usize>(), 0x81);
        assert_eq!(from_card(Algorithm::EcdsaP384, &der).unwrap().len(), 96);
        for bad in [&[][..], &[0x30, 0x01, 0x02], &[0x30, 0x03, 0x02, 0x01, 0x01], &[&der[..], &[0]].concat()] {
            assert_eq!(from_card(Algorithm::EcdsaP256, bad), None, "{bad:?}");
        }
        // a number that is longer than the curve
        let long = [&[0x30, 0x26, 0x02, 0x21, 0x01][..], &[0; 32], &[0x02, 0x01, 0x01]].concat();
        assert_eq!(from_card(Algorithm::EcdsaP256, &long), None);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(block(Algorithm::EcdsaP256, Scheme::RsaPssSha256, b"m").is_err());
        assert!(block(Algorithm::Rsa(256), Scheme::RsaPssSha256, b"m").is_err());
        assert!(block(Algorithm::Rsa(256), Scheme::RsaPkcs1Sha256, b"m").is_err());
        assert!(algorithm_id(Algorithm::Ed25519).is_err());
        assert!(algorithm_id(Algorithm::Rsa(1024)).is_err());
        assert_eq!(block(Algorithm::Rsa(2048), Scheme::RsaPssSha256, b"m").unwrap().len(), 256);
        assert_eq!(block(Algorithm::Rsa(2048), Scheme::RsaPkcs1Sha256, b"m").unwrap().len(), 256);
    }
}
