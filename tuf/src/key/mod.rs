//! Public keys and the names that dialects give them.

mod kind;
mod spki;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::ids::{KeyId, KeyName, sha256};
use crate::signature::{self, BadSignature};
use crate::x509::{Certificate, CertificateError};

pub use kind::{Algorithm, AlgorithmError, KeyType, Method, MethodError};
pub(crate) use spki::is_short_rsa;
use spki::{ED25519_HEAD, algorithm_of};

/// Why bytes are not a usable public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a `SubjectPublicKeyInfo`, or one with a malformed key inside.
    #[error("the public key cannot be decoded")]
    Encoding,
    /// An algorithm or curve that no dialect uses.
    #[error("the public key's algorithm is not supported: use ECDSA on P-256, P-384 or P-521, RSA or Ed25519")]
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
    key_id: KeyId,
    canonical_id: KeyId,
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
            KeyType::Ed25519 => ([ED25519_HEAD.as_slice(), &public].concat(), Vec::new()),
            KeyType::EcdsaX509 | KeyType::RsaX509 => {
                let text = std::str::from_utf8(&public).map_err(|_| CertificateError::NotPem)?;
                let certificates = Certificate::bundle(text)?;
                let leaf = certificates.first().ok_or(CertificateError::NotPem)?;
                (leaf.spki().to_vec(), certificates)
            }
        };
        let algorithm = algorithm_of(&spki)?;
        if algorithm.key_type() != key_type.plain() {
            return Err(KeyError::Mismatch { key_type, algorithm });
        }
        let key_id = notary_id(key_type, &public);
        let canonical_id = match key_type {
            KeyType::EcdsaX509 | KeyType::RsaX509 => notary_id(key_type.plain(), &spki),
            KeyType::Ecdsa | KeyType::Rsa | KeyType::Ed25519 => key_id,
        };
        Ok(Self { key_type, public, spki, algorithm, certificates, key_id, canonical_id })
    }

    /// The bare key in a `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_spki(spki: &[u8]) -> Result<Self, KeyError> {
        let key_type = algorithm_of(spki)?.key_type();
        let public = match key_type {
            KeyType::Ed25519 => spki.strip_prefix(&ED25519_HEAD).ok_or(KeyError::Encoding)?,
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
        self.key_id
    }

    /// The ID that Notary names the private key by: that of the bare key.
    #[must_use]
    pub fn canonical_id(&self) -> KeyId {
        self.canonical_id
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
    pub fn verify(&self, method: Method, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
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
    let text = format!(r#"{{"keytype":"{key_type}","keyval":{{"private":null,"public":"{public}"}}}}"#);
    KeyId::from_bytes(sha256(text.as_bytes()))
}
