//! Public keys and the names that dialects give them.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use der::asn1::{ObjectIdentifier, UintRef};
use der::{Decode, Encode, Reader, SliceReader};
use spki::SubjectPublicKeyInfoRef;

use crate::ids::{KeyId, KeyName, sha256};
use crate::signature::{self, BadSignature};
use crate::x509::{Certificate, CertificateError};

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
/// Notary refuses less, aws-lc does not verify more.
const RSA_BITS: std::ops::RangeInclusive<u32> = 2048..=8192;
/// RFC 8410: the `SubjectPublicKeyInfo` of an Ed25519 key, up to the key itself.
const ED25519_SPKI_HEAD: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Why bytes are not a usable public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a `SubjectPublicKeyInfo`, or one with a malformed key inside.
    #[error("the public key cannot be decoded")]
    Encoding,
    /// An algorithm or curve that no dialect uses.
    #[error(
        "the public key's algorithm is not supported: use ECDSA on P-256, P-384 or P-521, RSA or Ed25519"
    )]
    Unsupported,
    /// An RSA modulus that is too short or too long.
    #[error("the RSA key has {0} bits, 2048 to 8192 are allowed")]
    RsaBits(u32),
    /// The key inside is not of the type that was named.
    #[error("a key of type {key_type} cannot hold {algorithm}")]
    Mismatch {
        /// The type that was named.
        key_type: KeyType,
        /// What the bytes hold.
        algorithm: Algorithm,
    },
    /// The certificate around the key cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// What kind of key metadata says a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyType {
    /// An elliptic-curve key.
    Ecdsa,
    /// An elliptic-curve key inside a certificate.
    EcdsaX509,
    /// An RSA key.
    Rsa,
    /// An RSA key inside a certificate.
    RsaX509,
    /// An Ed25519 key.
    Ed25519,
}

impl KeyType {
    const ALL: [Self; 5] = [
        Self::Ecdsa,
        Self::EcdsaX509,
        Self::Rsa,
        Self::RsaX509,
        Self::Ed25519,
    ];

    /// Notary's spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ecdsa => "ecdsa",
            Self::EcdsaX509 => "ecdsa-x509",
            Self::Rsa => "rsa",
            Self::RsaX509 => "rsa-x509",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The type of that spelling.
    #[must_use]
    pub fn from_wire(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|key_type| key_type.as_str() == text)
    }

    /// The type of the same key without a certificate around it.
    const fn plain(self) -> Self {
        match self {
            Self::Ecdsa | Self::EcdsaX509 => Self::Ecdsa,
            Self::Rsa | Self::RsaX509 => Self::Rsa,
            Self::Ed25519 => Self::Ed25519,
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no signing method.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a signing method")]
pub struct MethodError(String);

/// How a signature was made; the digest is always SHA-256 (Ed25519 has its own).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// ECDSA, `r` and `s` padded to the field's size.
    Ecdsa,
    /// RSASSA-PSS with a salt of 32 bytes.
    RsaPss,
    /// RSASSA-PKCS1-v1_5.
    RsaPkcs1v15,
    /// Ed25519.
    EdDsa,
}

impl Method {
    const ALL: [Self; 4] = [Self::Ecdsa, Self::RsaPss, Self::RsaPkcs1v15, Self::EdDsa];

    /// Notary's spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ecdsa => "ecdsa",
            Self::RsaPss => "rsapss",
            Self::RsaPkcs1v15 => "rsapkcs1v15",
            Self::EdDsa => "eddsa",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Method {
    type Err = MethodError;

    /// Reads a spelling in any letter case, as Notary does.
    fn from_str(text: &str) -> Result<Self, MethodError> {
        let lower = text.to_lowercase();
        Self::ALL
            .into_iter()
            .find(|method| method.as_str() == lower)
            .ok_or_else(|| MethodError(text.to_owned()))
    }
}

/// A text that names no key algorithm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a key algorithm: use ecdsa-p256, ecdsa-p384, ecdsa-p521, rsa-2048 or ed25519"
)]
pub struct AlgorithmError(String);

/// The algorithm and size of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256.
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// ECDSA on P-521.
    EcdsaP521,
    /// RSA with a modulus of so many bits.
    Rsa(u32),
    /// Ed25519.
    Ed25519,
}

impl Algorithm {
    /// How metadata names a bare key of this algorithm.
    #[must_use]
    pub const fn key_type(self) -> KeyType {
        match self {
            Self::EcdsaP256 | Self::EcdsaP384 | Self::EcdsaP521 => KeyType::Ecdsa,
            Self::Rsa(_) => KeyType::Rsa,
            Self::Ed25519 => KeyType::Ed25519,
        }
    }

    /// The method that Notary signs with.
    #[must_use]
    pub const fn method(self) -> Method {
        match self {
            Self::EcdsaP256 | Self::EcdsaP384 | Self::EcdsaP521 => Method::Ecdsa,
            Self::Rsa(_) => Method::RsaPss,
            Self::Ed25519 => Method::EdDsa,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EcdsaP256 => f.write_str("ecdsa-p256"),
            Self::EcdsaP384 => f.write_str("ecdsa-p384"),
            Self::EcdsaP521 => f.write_str("ecdsa-p521"),
            Self::Rsa(bits) => write!(f, "rsa-{bits}"),
            Self::Ed25519 => f.write_str("ed25519"),
        }
    }
}

impl FromStr for Algorithm {
    type Err = AlgorithmError;

    /// Reads what `Display` writes, and `ecdsa` for P-256 and `rsa` for 2048 bits.
    fn from_str(text: &str) -> Result<Self, AlgorithmError> {
        match text {
            "ecdsa" | "ecdsa-p256" => Ok(Self::EcdsaP256),
            "ecdsa-p384" => Ok(Self::EcdsaP384),
            "ecdsa-p521" => Ok(Self::EcdsaP521),
            "rsa" => Ok(Self::Rsa(2048)),
            "ed25519" => Ok(Self::Ed25519),
            other => {
                let bits = other
                    .strip_prefix("rsa-")
                    .and_then(|bits| bits.parse().ok());
                let bits = bits.filter(|bits| RSA_BITS.contains(bits) && bits % 8 == 0);
                bits.map(Self::Rsa)
                    .ok_or_else(|| AlgorithmError(other.to_owned()))
            }
        }
    }
}

/// A public key as metadata lists it.
///
/// Two keys are equal if metadata would list them alike; compare [`PublicKey::name`] to see whether the key inside is the same.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    key_type: KeyType,
    public: Vec<u8>,
    spki: Vec<u8>,
    algorithm: Algorithm,
    certificates: Vec<Certificate>,
}

impl PublicKey {
    /// Reads a key as metadata holds it, after base64.
    ///
    /// `public` is the DER of a `SubjectPublicKeyInfo` for plain ECDSA and RSA keys, the PEM text of the certificate (and its
    /// intermediates) for x509 types, 32 raw bytes for Ed25519.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn new(key_type: KeyType, public: Vec<u8>) -> Result<Self, KeyError> {
        let (spki, certificates) = match key_type {
            KeyType::Ecdsa | KeyType::Rsa => (public.clone(), Vec::new()),
            KeyType::Ed25519 => ([ED25519_SPKI_HEAD.as_slice(), &public].concat(), Vec::new()),
            KeyType::EcdsaX509 | KeyType::RsaX509 => {
                let text = std::str::from_utf8(&public).map_err(|_| CertificateError::NotPem)?;
                let certificates = Certificate::bundle(text)?;
                let leaf = certificates.first().ok_or(CertificateError::NotPem)?;
                (leaf.spki().to_vec(), certificates)
            }
        };
        let algorithm = algorithm_of(&spki)?;
        if algorithm.key_type() != key_type.plain() {
            return Err(KeyError::Mismatch {
                key_type,
                algorithm,
            });
        }
        Ok(Self {
            key_type,
            public,
            spki,
            algorithm,
            certificates,
        })
    }

    /// The bare key in a `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_spki(spki: &[u8]) -> Result<Self, KeyError> {
        let key_type = algorithm_of(spki)?.key_type();
        let public = match key_type {
            KeyType::Ed25519 => spki
                .strip_prefix(&ED25519_SPKI_HEAD)
                .ok_or(KeyError::Encoding)?,
            KeyType::Ecdsa | KeyType::Rsa | KeyType::EcdsaX509 | KeyType::RsaX509 => spki,
        };
        Self::new(key_type, public.to_vec())
    }

    /// The key in a certificate, as an x509 type; the text is kept as it is.
    ///
    /// # Errors
    /// [`KeyError`]; Ed25519 certificates are [`KeyError::Unsupported`], Notary has no type for them.
    pub fn from_certificate_pem(text: &str) -> Result<Self, KeyError> {
        let certificates = Certificate::bundle(text)?;
        let leaf = certificates.first().ok_or(CertificateError::NotPem)?;
        let key_type = match algorithm_of(leaf.spki())?.key_type() {
            KeyType::Ecdsa | KeyType::EcdsaX509 => KeyType::EcdsaX509,
            KeyType::Rsa | KeyType::RsaX509 => KeyType::RsaX509,
            KeyType::Ed25519 => return Err(KeyError::Unsupported),
        };
        Self::new(key_type, text.as_bytes().to_vec())
    }

    /// The type that metadata names.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The bytes that metadata holds, before base64.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// The key's ID in Notary's metadata.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        notary_id(self.key_type, &self.public)
    }

    /// The ID that Notary names the private key by: that of the bare key.
    #[must_use]
    pub fn canonical_id(&self) -> KeyId {
        match self.key_type {
            KeyType::EcdsaX509 | KeyType::RsaX509 => notary_id(self.key_type.plain(), &self.spki),
            KeyType::Ecdsa | KeyType::Rsa | KeyType::Ed25519 => self.key_id(),
        }
    }

    /// The DER of the key's `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Signet's name for the key.
    #[must_use]
    pub fn name(&self) -> KeyName {
        KeyName::from_bytes(sha256(&self.spki))
    }

    /// The method to name when signing with this key.
    #[must_use]
    pub fn method(&self) -> Method {
        self.algorithm.method()
    }

    /// The algorithm and size.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The certificate around the key, for x509 types.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificates.first()
    }

    /// The certificate around the key and those that follow it, for x509 types.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Checks a signature of this key over `message`.
    ///
    /// # Errors
    /// [`BadSignature`] if it is not one, or if the method is not one of this key's.
    pub fn verify(
        &self,
        method: Method,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        signature::verify(self, method, message, signature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.key_type, self.key_id())
    }
}

/// SHA-256 of the canonical JSON of the key, which holds nothing that would need an escape.
fn notary_id(key_type: KeyType, public: &[u8]) -> KeyId {
    let public = STANDARD.encode(public);
    let text =
        format!(r#"{{"keytype":"{key_type}","keyval":{{"private":null,"public":"{public}"}}}}"#);
    KeyId::from_bytes(sha256(text.as_bytes()))
}

fn algorithm_of(spki: &[u8]) -> Result<Algorithm, KeyError> {
    let info = SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| KeyError::Encoding)?;
    if info.to_der().map_err(|_| KeyError::Encoding)? != spki {
        return Err(KeyError::Encoding);
    }
    let key = info
        .subject_public_key
        .as_bytes()
        .ok_or(KeyError::Encoding)?;
    match info.algorithm.oid {
        EC_PUBLIC_KEY => {
            let curve = info
                .algorithm
                .parameters_oid()
                .map_err(|_| KeyError::Unsupported)?;
            on_curve(curve, key)
        }
        RSA_ENCRYPTION => {
            // Go: "x509: RSA key missing NULL parameters"
            let parameters = info.algorithm.parameters.ok_or(KeyError::Encoding)?;
            if !parameters.is_null() {
                return Err(KeyError::Encoding);
            }
            let bits = rsa_bits(key).map_err(|_| KeyError::Encoding)?;
            if RSA_BITS.contains(&bits) {
                Ok(Algorithm::Rsa(bits))
            } else {
                Err(KeyError::RsaBits(bits))
            }
        }
        ED25519 if info.algorithm.parameters.is_none() && key.len() == 32 => Ok(Algorithm::Ed25519),
        ED25519 => Err(KeyError::Encoding),
        _ => Err(KeyError::Unsupported),
    }
}

/// Takes uncompressed points only, as Go does.
fn on_curve(curve: ObjectIdentifier, point: &[u8]) -> Result<Algorithm, KeyError> {
    let (algorithm, verifier) = match curve {
        P256 => (
            Algorithm::EcdsaP256,
            &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1,
        ),
        P384 => (
            Algorithm::EcdsaP384,
            &aws_lc_rs::signature::ECDSA_P384_SHA256_ASN1,
        ),
        P521 => (
            Algorithm::EcdsaP521,
            &aws_lc_rs::signature::ECDSA_P521_SHA256_ASN1,
        ),
        _ => return Err(KeyError::Unsupported),
    };
    let is_uncompressed = point.first() == Some(&4);
    let parsed = aws_lc_rs::signature::ParsedPublicKey::new(verifier, point);
    if is_uncompressed && parsed.is_ok() {
        Ok(algorithm)
    } else {
        Err(KeyError::Encoding)
    }
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
    let unused = modulus
        .as_bytes()
        .first()
        .map_or(0, |byte| byte.leading_zeros());
    let bits = u32::try_from(modulus.as_bytes().len())
        .unwrap_or(u32::MAX)
        .saturating_mul(8);
    Ok(bits.saturating_sub(unused))
}
