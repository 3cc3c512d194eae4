//! Verification of one signature, in the forms that Notary puts on the wire.

use aws_lc_rs::signature as aws;
use der::Encode;
use der::asn1::UintRef;

use crate::key::{Algorithm, Method, PublicKey};

/// A signature that does not belong to the message and the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not valid")]
pub struct BadSignature;

/// Checks one signature; the digest is always SHA-256.
///
/// ECDSA signatures are `r` and `s`, each padded to the size of the curve's field.
pub(crate) fn verify(key: &PublicKey, method: Method, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    match (key.algorithm(), method) {
        (Algorithm::EcdsaP256, Method::Ecdsa) => ecdsa(&aws::ECDSA_P256_SHA256_ASN1, key, message, signature),
        (Algorithm::EcdsaP384, Method::Ecdsa) => ecdsa(&aws::ECDSA_P384_SHA256_ASN1, key, message, signature),
        (Algorithm::EcdsaP521, Method::Ecdsa) => ecdsa(&aws::ECDSA_P521_SHA256_ASN1, key, message, signature),
        (Algorithm::Rsa(_), Method::RsaPss) => check(&aws::RSA_PSS_2048_8192_SHA256, key.spki(), message, signature),
        (Algorithm::Rsa(_), Method::RsaPkcs1v15) => {
            check(&aws::RSA_PKCS1_2048_8192_SHA256, key.spki(), message, signature)
        }
        (Algorithm::Ed25519, Method::EdDsa) => check(&aws::ED25519, key.public(), message, signature),
        (
            Algorithm::EcdsaP256 | Algorithm::EcdsaP384 | Algorithm::EcdsaP521 | Algorithm::Rsa(_) | Algorithm::Ed25519,
            Method::Ecdsa | Method::RsaPss | Method::RsaPkcs1v15 | Method::EdDsa,
        ) => Err(BadSignature),
    }
}

/// The size in bytes of `r` and of `s`; none for keys that are not elliptic-curve keys.
pub(crate) fn field_bytes(algorithm: Algorithm) -> Option<usize> {
    match algorithm {
        Algorithm::EcdsaP256 => Some(32),
        Algorithm::EcdsaP384 => Some(48),
        Algorithm::EcdsaP521 => Some(66),
        Algorithm::Rsa(_) | Algorithm::Ed25519 => None,
    }
}

/// Encodes `r` and `s` as RFC 3279 `Ecdsa-Sig-Value`.
pub(crate) fn ecdsa_to_der(algorithm: Algorithm, raw: &[u8]) -> Option<Vec<u8>> {
    #[derive(der::Sequence)]
    struct SigValue<'a> {
        r: UintRef<'a>,
        s: UintRef<'a>,
    }
    let size = field_bytes(algorithm)?;
    let (r, s) = raw.split_at_checked(size).filter(|(_, s)| s.len() == size)?;
    SigValue { r: UintRef::new(r).ok()?, s: UintRef::new(s).ok()? }.to_der().ok()
}

fn ecdsa(
    algorithm: &'static aws::EcdsaVerificationAlgorithm,
    key: &PublicKey,
    message: &[u8],
    signature: &[u8],
) -> Result<(), BadSignature> {
    let der = ecdsa_to_der(key.algorithm(), signature).ok_or(BadSignature)?;
    check(algorithm, key.spki(), message, &der)
}

fn check(
    algorithm: &'static dyn aws::VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), BadSignature> {
    aws::UnparsedPublicKey::new(algorithm, key).verify(message, signature).map_err(|_| BadSignature)
}
