//! What is inside a `SubjectPublicKeyInfo`.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P521_SHA256_ASN1, ParsedPublicKey};
use der::asn1::{ObjectIdentifier, UintRef};
use der::{Decode, Reader, SliceReader};
use spki::SubjectPublicKeyInfoRef;

use super::{Algorithm, KeyError};

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

/// Notary refuses less, aws-lc does not verify more.
pub(super) const RSA_BITS: std::ops::RangeInclusive<u32> = 2048..=8192;

/// RFC 8410: the `SubjectPublicKeyInfo` of an Ed25519 key, up to the key itself.
pub(super) const ED25519_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The algorithm of a `SubjectPublicKeyInfo` that is sound: strict DER, a point on its curve, a modulus of an allowed size.
///
/// One key has one such encoding, so that two names are two keys.
pub(super) fn algorithm_of(spki: &[u8]) -> Result<Algorithm, KeyError> {
    let info = SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| KeyError::Encoding)?;
    let key = info.subject_public_key.as_bytes().ok_or(KeyError::Encoding)?;
    match info.algorithm.oid {
        EC_PUBLIC_KEY => {
            let curve = info.algorithm.parameters_oid().map_err(|_| KeyError::Unsupported)?;
            on_curve(curve, key)
        }
        RSA_ENCRYPTION => {
            // Go: "x509: RSA key missing NULL parameters"
            let parameters = info.algorithm.parameters.ok_or(KeyError::Encoding)?;
            if !parameters.is_null() {
                return Err(KeyError::Encoding);
            }
            let bits = rsa_bits(key).map_err(|_| KeyError::Encoding)?;
            if RSA_BITS.contains(&bits) { Ok(Algorithm::Rsa(bits)) } else { Err(KeyError::RsaBits(bits)) }
        }
        ED25519 if info.algorithm.parameters.is_none() && key.len() == 32 => Ok(Algorithm::Ed25519),
        ED25519 => Err(KeyError::Encoding),
        _ => Err(KeyError::Unsupported),
    }
}

/// Whether it is an RSA key that Notary finds too short.
pub(crate) fn is_short_rsa(spki: &[u8]) -> bool {
    matches!(algorithm_of(spki), Err(KeyError::RsaBits(bits)) if bits < *RSA_BITS.start())
}

/// Takes uncompressed points only, as Go does.
fn on_curve(curve: ObjectIdentifier, point: &[u8]) -> Result<Algorithm, KeyError> {
    let (algorithm, verifier) = match curve {
        P256 => (Algorithm::EcdsaP256, &ECDSA_P256_SHA256_ASN1),
        P384 => (Algorithm::EcdsaP384, &ECDSA_P384_SHA256_ASN1),
        P521 => (Algorithm::EcdsaP521, &ECDSA_P521_SHA256_ASN1),
        _ => return Err(KeyError::Unsupported),
    };
    let is_uncompressed = point.first() == Some(&4);
    let parsed = ParsedPublicKey::new(verifier, point);
    if is_uncompressed && parsed.is_ok() { Ok(algorithm) } else { Err(KeyError::Encoding) }
}

/// The size of the modulus in RFC 8017 `RSAPublicKey`.
fn rsa_bits(key: &[u8]) -> der::Result<u32> {
    let mut reader = SliceReader::new(key)?;
    let modulus = reader.sequence(|inner| {
        let modulus = UintRef::decode(inner)?;
        UintRef::decode(inner)?;
        Ok::<_, der::Error>(modulus)
    })?;
    reader.finish()?;
    let unused = modulus.as_bytes().first().map_or(0, |byte| byte.leading_zeros());
    let bits = u32::try_from(modulus.as_bytes().len()).unwrap_or(u32::MAX).saturating_mul(8);
    Ok(bits.saturating_sub(unused))
}
