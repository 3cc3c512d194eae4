//! A private key in memory, and its PKCS#8 forms: Notary's own, OpenSSL's, and what RFC 5958 says.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self as aws, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair, RsaKeyPair,
};
use der::asn1::{Any, AnyRef, BitStringRef, OctetStringRef, SetOfVec, UintRef};
use der::oid::ObjectIdentifier;
use der::{Decode, Encode, Sequence, Tag, Tagged};
use ed25519_dalek::Signer;
use p384::ecdsa::signature::hazmat::PrehashSigner;
use signet_tuf::{Algorithm, PublicKey};
use spki::{AlgorithmIdentifier, AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use zeroize::Zeroizing;

use crate::ledger::Scheme;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// RFC 8410.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// Notary 0.7: `oidPublicKeyED25519`, with public key and Go's private key (seed and public key again) as content.
const NOTARY_ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11591.15.1");

/// A private key that can sign. Its secrets are wiped when it is dropped.
pub(in crate::keystore) struct PrivateKey {
    signer: Signing,
    public: PublicKey,
    pkcs8: Zeroizing<Vec<u8>>,
}

/// What a private key consists of, where a token takes it apart.
pub(in crate::keystore) enum Components {
    /// Of an elliptic-curve key, as long as the curve's field.
    Scalar(Zeroizing<Vec<u8>>),
    /// Of an RSA key with the exponent 65537, big-endian.
    Primes(Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>),
}

/// RFC 8017 §A.1.2.
#[derive(Sequence)]
struct RsaPrivateKey<'a> {
    version: u8,
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
    private_exponent: UintRef<'a>,
    prime1: UintRef<'a>,
    prime2: UintRef<'a>,
    exponent1: UintRef<'a>,
    exponent2: UintRef<'a>,
    coefficient: UintRef<'a>,
}

enum Signing {
    P256(EcdsaKeyPair),
    P384(p384::ecdsa::SigningKey),
    P521(p521::ecdsa::SigningKey),
    Rsa(RsaKeyPair),
    Ed25519(ed25519_dalek::SigningKey),
}

/// Why there is no private key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PrivateKeyError {
    /// Not even the outermost structure: after decryption, most likely a wrong passphrase.
    #[error("it is not a private key")]
    NotPkcs8,
    #[error("{0}")]
    Malformed(&'static str),
    #[error("{0}")]
    Unsupported(String),
}

/// RFC 5958. Notary writes version 1 without the public key that the version promises, so the version tells nothing.
#[derive(Sequence)]
struct Pkcs8<'a> {
    version: u8,
    algorithm: AlgorithmIdentifierRef<'a>,
    private_key: &'a OctetStringRef,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    attributes: Option<SetOfVec<Any>>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    public_key: Option<BitStringRef<'a>>,
}

/// RFC 8017 A.1.1.
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

impl PrivateKey {
    pub(super) fn generate(algorithm: Algorithm) -> Result<Self, PrivateKeyError> {
        const FAILED: PrivateKeyError = PrivateKeyError::Malformed("the key could not be generated");
        let ec = |algorithm: &'static EcdsaSigningAlgorithm| {
            let pair = EcdsaKeyPair::generate(algorithm).map_err(|_| FAILED)?;
            Self::from_pkcs8(pair.to_pkcs8v1().map_err(|_| FAILED)?.as_ref())
        };
        match algorithm {
            Algorithm::EcdsaP256 => ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::EcdsaP384 => ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::EcdsaP521 => ec(&ECDSA_P521_SHA512_FIXED_SIGNING),
            Algorithm::Rsa(bits) => {
                let size = match bits {
                    2048 => KeySize::Rsa2048,
                    3072 => KeySize::Rsa3072,
                    4096 => KeySize::Rsa4096,
                    _ => return Err(PrivateKeyError::Unsupported(format!("{algorithm}: use 2048, 3072 or 4096 bits"))),
                };
                let pair = RsaKeyPair::generate(size).map_err(|_| FAILED)?;
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| FAILED)?;
                Self::from_pkcs8(der.as_ref())
            }
            Algorithm::Ed25519 => {
                let mut seed = Zeroizing::new([0; 32]);
                aws_lc_rs::rand::fill(seed.as_mut_slice()).map_err(|_| FAILED)?;
                Self::ed25519(&seed)
            }
        }
    }

    /// Reads PKCS#8 from Notary, OpenSSL or this library. Bytes after the structure are ignored, as Go does.
    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self, PrivateKeyError> {
        let (info, _) = Pkcs8::from_der_partial(der).map_err(|_| PrivateKeyError::NotPkcs8)?;
        let content = info.private_key.as_bytes();
        match info.algorithm.oid {
            EC_PUBLIC_KEY => {
                let curve = info
                    .algorithm
                    .parameters_oid()
                    .map_err(|_| PrivateKeyError::Malformed("its curve is not named"))?;
                Self::ec(curve, content)
            }
            RSA => Self::rsa(content),
            // RFC 8410 §7: the seed is an OCTET STRING inside the OCTET STRING.
            ED25519 => <&OctetStringRef>::from_der(content)
                .ok()
                .and_then(|inner| inner.as_bytes().try_into().ok())
                .ok_or(PrivateKeyError::Malformed("its Ed25519 seed is not 32 bytes"))
                .and_then(Self::ed25519),
            NOTARY_ED25519 => Self::from_notary_ed25519(content),
            other => Err(PrivateKeyError::Unsupported(format!("keys of type {other}"))),
        }
    }

    /// Reads an elliptic-curve key as RFC 5915 has it, with its curve named inside.
    pub(super) fn from_sec1(der: &[u8]) -> Result<Self, PrivateKeyError> {
        let sec1 = sec1::EcPrivateKey::from_der(der).map_err(|_| PrivateKeyError::NotPkcs8)?;
        let curve = sec1.parameters.and_then(|parameters| parameters.named_curve());
        Self::ec(curve.ok_or(PrivateKeyError::Malformed("its curve is not named"))?, der)
    }

    /// Reads an RSA key as RFC 8017 has it.
    pub(super) fn from_pkcs1(der: &[u8]) -> Result<Self, PrivateKeyError> {
        // Whether it is one at all shows in its outermost structure.
        let (any, _) = AnyRef::from_der_partial(der).map_err(|_| PrivateKeyError::NotPkcs8)?;
        if any.tag() != Tag::Sequence {
            return Err(PrivateKeyError::NotPkcs8);
        }
        Self::rsa(der)
    }

    /// Reads 96 bytes: public key, seed, public key.
    pub(super) fn from_notary_ed25519(content: &[u8]) -> Result<Self, PrivateKeyError> {
        let seed = content.get(32..64).filter(|_| content.len() == 96).and_then(|seed| seed.try_into().ok());
        let key = Self::ed25519(seed.ok_or(PrivateKeyError::Malformed("its Ed25519 key is not 96 bytes"))?)?;
        if content.get(..32) == Some(key.public.public()) && content.get(64..) == Some(key.public.public()) {
            Ok(key)
        } else {
            Err(PrivateKeyError::Malformed("its Ed25519 public key does not belong to its private key"))
        }
    }

    fn ec(curve: ObjectIdentifier, sec1_der: &[u8]) -> Result<Self, PrivateKeyError> {
        const MALFORMED: PrivateKeyError = PrivateKeyError::Malformed("its elliptic-curve key is malformed");
        let sec1 = sec1::EcPrivateKey::from_der(sec1_der).map_err(|_| MALFORMED)?;
        let (signer, point) = match curve {
            P256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &ec_pkcs8(0, curve, sec1_der)?)
                    .map_err(|_| MALFORMED)?;
                let point = pair.public_key().as_ref().to_vec();
                (Signing::P256(pair), point)
            }
            P384 => {
                let scalar = padded::<48>(sec1.private_key).ok_or(MALFORMED)?;
                let key = p384::ecdsa::SigningKey::from_slice(scalar.as_slice()).map_err(|_| MALFORMED)?;
                let point = key.verifying_key().to_sec1_point(false).as_bytes().to_vec();
                (Signing::P384(key), point)
            }
            P521 => {
                let scalar = padded::<66>(sec1.private_key).ok_or(MALFORMED)?;
                let key = p521::ecdsa::SigningKey::from_slice(scalar.as_slice()).map_err(|_| MALFORMED)?;
                let point = p521::ecdsa::VerifyingKey::from(&key).to_sec1_point(false).as_bytes().to_vec();
                (Signing::P521(key), point)
            }
            other => return Err(PrivateKeyError::Unsupported(format!("the curve {other}"))),
        };
        if sec1.public_key.is_some_and(|stored| stored != point) {
            return Err(PrivateKeyError::Malformed("its public key does not belong to its private key"));
        }
        let size = point.len().saturating_sub(1) / 2;
        let mut scalar = Zeroizing::new(vec![0; size.saturating_sub(sec1.private_key.len())]);
        scalar.extend_from_slice(sec1.private_key);
        // Go's x509.MarshalECPrivateKey: curve and public key are both written.
        let notary_sec1 = Zeroizing::new(
            sec1::EcPrivateKey {
                private_key: &scalar,
                parameters: Some(sec1::EcParameters::NamedCurve(curve)),
                public_key: Some(&point),
            }
            .to_der()
            .map_err(|_| MALFORMED)?,
        );
        // Notary 0.7: convertTUFKeyToPKCS8 writes version 1 for ECDSA.
        let pkcs8 = ec_pkcs8(1, curve, &notary_sec1)?;
        Ok(Self { signer, public: ec_public(curve, &point).ok_or(MALFORMED)?, pkcs8 })
    }

    fn rsa(pkcs1: &[u8]) -> Result<Self, PrivateKeyError> {
        const MALFORMED: PrivateKeyError =
            PrivateKeyError::Malformed("its RSA key is malformed, or shorter than 2048 bits");
        let pair = RsaKeyPair::from_der(pkcs1).map_err(|_| MALFORMED)?;
        let public = pair.public_key();
        let public = rsa_public(
            public.modulus().big_endian_without_leading_zero(),
            public.exponent().big_endian_without_leading_zero(),
        );
        // Notary 0.7: version 0, and no NULL beside the object identifier.
        let pkcs8 = encode(0, RSA, None, pkcs1)?;
        Ok(Self { signer: Signing::Rsa(pair), public: public.ok_or(MALFORMED)?, pkcs8 })
    }

    fn ed25519(seed: &[u8; 32]) -> Result<Self, PrivateKeyError> {
        let signer = ed25519_dalek::SigningKey::from_bytes(seed);
        let point = signer.verifying_key().to_bytes();
        let mut content = Zeroizing::new(Vec::with_capacity(96));
        for part in [&point, seed, &point] {
            content.extend_from_slice(part);
        }
        let pkcs8 = encode(0, NOTARY_ED25519, None, &content)?;
        let public = ed25519_public(&point).ok_or(PrivateKeyError::Malformed("its Ed25519 key is malformed"))?;
        Ok(Self { signer: Signing::Ed25519(signer), public, pkcs8 })
    }

    /// Taken apart; `None` for keys that no token takes.
    pub(in crate::keystore) fn components(&self) -> Option<Components> {
        let (info, _) = Pkcs8::from_der_partial(&self.pkcs8).ok()?;
        let content = info.private_key.as_bytes();
        let owned = |bytes: &[u8]| Zeroizing::new(bytes.to_vec());
        match self.signer {
            Signing::P256(_) | Signing::P384(_) => {
                let sec1 = sec1::EcPrivateKey::from_der(content).ok()?;
                Some(Components::Scalar(owned(sec1.private_key)))
            }
            Signing::Rsa(_) => {
                let key = RsaPrivateKey::from_der(content).ok()?;
                let usual = key.public_exponent.as_bytes() == [1, 0, 1];
                usual.then(|| Components::Primes(owned(key.prime1.as_bytes()), owned(key.prime2.as_bytes())))
            }
            Signing::P521(_) | Signing::Ed25519(_) => None,
        }
    }

    pub(in crate::keystore) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// PKCS#8 as Notary writes it.
    pub(super) fn pkcs8(&self) -> &Zeroizing<Vec<u8>> {
        &self.pkcs8
    }

    /// Signs in TUF's form; `None` if the key has another scheme.
    pub(super) fn sign(&self, scheme: Scheme, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match (&self.signer, scheme) {
            (Signing::P256(pair), Scheme::EcdsaSha256) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            (Signing::P384(key), Scheme::EcdsaSha256) => {
                let signature: p384::ecdsa::Signature = key.sign_prehash(&prehash(message)).ok()?;
                Some(signature.to_bytes().to_vec())
            }
            (Signing::P521(key), Scheme::EcdsaSha256) => {
                let signature: p521::ecdsa::Signature = key.sign_prehash(&prehash(message)).ok()?;
                Some(signature.to_bytes().to_vec())
            }
            (Signing::Rsa(pair), Scheme::RsaPssSha256) => rsa_sign(pair, &aws::RSA_PSS_SHA256, message),
            (Signing::Rsa(pair), Scheme::RsaPkcs1Sha256) => rsa_sign(pair, &aws::RSA_PKCS1_SHA256, message),
            (Signing::Ed25519(key), Scheme::Ed25519) => Some(key.sign(message).to_bytes().to_vec()),
            (
                Signing::P256(_) | Signing::P384(_) | Signing::P521(_) | Signing::Rsa(_) | Signing::Ed25519(_),
                Scheme::EcdsaSha256 | Scheme::RsaPssSha256 | Scheme::RsaPkcs1Sha256 | Scheme::Ed25519,
            ) => None,
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("public", &self.public.name()).finish_non_exhaustive()
    }
}

fn rsa_sign(pair: &RsaKeyPair, encoding: &'static dyn aws::RsaEncoding, message: &[u8]) -> Option<Vec<u8>> {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), message, &mut signature).ok()?;
    Some(signature)
}

/// SHA-256 with zeros before it. The number is the same, and long enough for crate ecdsa, which wants at least half of the
/// curve's size (33 bytes for P-521).
fn prehash(message: &[u8]) -> [u8; 40] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, message);
    let mut padded = [0; 40];
    for (to, from) in padded.iter_mut().skip(8).zip(digest.as_ref()) {
        *to = *from;
    }
    padded
}

fn padded<const SIZE: usize>(scalar: &[u8]) -> Option<Zeroizing<[u8; SIZE]>> {
    let mut padded = Zeroizing::new([0; SIZE]);
    let missing = SIZE.checked_sub(scalar.len())?;
    padded.get_mut(missing..)?.copy_from_slice(scalar);
    Some(padded)
}

fn ec_pkcs8(version: u8, curve: ObjectIdentifier, sec1: &[u8]) -> Result<Zeroizing<Vec<u8>>, PrivateKeyError> {
    encode(version, EC_PUBLIC_KEY, Some(&curve), sec1)
}

fn encode(
    version: u8,
    oid: ObjectIdentifier,
    curve: Option<&ObjectIdentifier>,
    content: &[u8],
) -> Result<Zeroizing<Vec<u8>>, PrivateKeyError> {
    let encoded = || -> der::Result<Vec<u8>> {
        let parameters = curve.map(AnyRef::from);
        let private_key = OctetStringRef::new(content)?;
        Pkcs8 {
            version,
            algorithm: AlgorithmIdentifier { oid, parameters },
            private_key,
            attributes: None,
            public_key: None,
        }
        .to_der()
    };
    encoded().map(Zeroizing::new).map_err(|_| PrivateKeyError::Malformed("it cannot be encoded"))
}

/// The public key of a point on a named curve.
pub(in crate::keystore) fn ec_public(curve: ObjectIdentifier, point: &[u8]) -> Option<PublicKey> {
    public_key(EC_PUBLIC_KEY, Some(AnyRef::from(&curve)), point)
}

/// The public key of modulus and exponent, both big-endian.
pub(in crate::keystore) fn rsa_public(modulus: &[u8], exponent: &[u8]) -> Option<PublicKey> {
    let key = RsaPublicKey { modulus: UintRef::new(modulus).ok()?, exponent: UintRef::new(exponent).ok()? };
    public_key(RSA, Some(AnyRef::NULL), &key.to_der().ok()?)
}

/// The public key of a point on edwards25519.
pub(in crate::keystore) fn ed25519_public(point: &[u8]) -> Option<PublicKey> {
    public_key(ED25519, None, point)
}

fn public_key(oid: ObjectIdentifier, parameters: Option<AnyRef<'_>>, bits: &[u8]) -> Option<PublicKey> {
    let spki = SubjectPublicKeyInfoRef {
        algorithm: AlgorithmIdentifier { oid, parameters },
        subject_public_key: BitStringRef::from_bytes(bits).ok()?,
    };
    PublicKey::from_spki(&spki.to_der().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use signet_tuf::Algorithm;

    use super::{PrivateKey, Scheme};

    #[test]
    fn every_algorithm_signs_what_verifies_and_survives_its_encoding() {
        let cases = [
            (Algorithm::EcdsaP256, Scheme::EcdsaSha256, 64),
            (Algorithm::EcdsaP384, Scheme::EcdsaSha256, 96),
            (Algorithm::EcdsaP521, Scheme::EcdsaSha256, 132),
            (Algorithm::Rsa(2048), Scheme::RsaPssSha256, 256),
            (Algorithm::Ed25519, Scheme::Ed25519, 64),
        ];
        for (algorithm, scheme, bytes) in cases {
            let key = PrivateKey::generate(algorithm).unwrap();
            let again = PrivateKey::from_pkcs8(key.pkcs8()).unwrap();
            assert_eq!(key.public().name(), again.public().name(), "{algorithm}");
            assert_eq!(key.pkcs8(), again.pkcs8(), "{algorithm}");
            assert_eq!(key.public().algorithm(), algorithm);
            let signature = again.sign(scheme, b"message").unwrap();
            assert_eq!(signature.len(), bytes, "{algorithm}");
            key.public().verify(algorithm.method(), b"message", &signature).unwrap();
            assert!(key.public().verify(algorithm.method(), b"other", &signature).is_err(), "{algorithm}");
        }
    }

    #[test]
    fn a_key_signs_only_by_its_own_scheme() {
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
        for scheme in [Scheme::Ed25519, Scheme::RsaPssSha256, Scheme::RsaPkcs1Sha256] {
            assert_eq!(key.sign(scheme, b"message"), None);
        }
    }

    #[test]
    fn a_private_key_does_not_print() {
        let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
        let shown = format!("{key:?}");
        assert!(shown.len() < 150 && shown.contains("public"), "{shown}");
    }
}
