//! What kinds of keys there are, and how they sign.

use std::fmt;
use std::str::FromStr;

use super::spki::RSA_BITS;

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
    const ALL: [Self; 5] = [Self::Ecdsa, Self::EcdsaX509, Self::Rsa, Self::RsaX509, Self::Ed25519];

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
        Self::ALL.into_iter().find(|key_type| key_type.as_str() == text)
    }

    /// The type of the same key without a certificate around it.
    pub(super) const fn plain(self) -> Self {
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
        Self::ALL.into_iter().find(|method| method.as_str() == lower).ok_or_else(|| MethodError(text.to_owned()))
    }
}

/// A text that names no key algorithm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a key algorithm: use ecdsa-p256, ecdsa-p384, ecdsa-p521, rsa-2048 or ed25519")]
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
                let bits = other.strip_prefix("rsa-").and_then(|bits| bits.parse().ok());
                let bits = bits.filter(|bits| RSA_BITS.contains(bits) && bits % 8 == 0);
                bits.map(Self::Rsa).ok_or_else(|| AlgorithmError(other.to_owned()))
            }
        }
    }
}
