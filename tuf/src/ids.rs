//! Fixed-size identifiers and the version number.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256};

/// A text that is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an identifier of 64 hexadecimal digits")]
pub struct IdError(String);

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes the raw 32 bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The raw 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut digits = [0; 64];
                hex::encode_to_slice(self.0, &mut digits).map_err(|_| fmt::Error)?;
                f.write_str(str::from_utf8(&digits).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let mut bytes = [0; 32];
                match hex::decode_to_slice(text, &mut bytes) {
                    Ok(()) => Ok(Self(bytes)),
                    Err(_) => Err(IdError(text.to_owned())),
                }
            }
        }
    };
}

identifier!(
    /// A dialect's name for a key, as it stands in metadata.
    KeyId
);
identifier!(
    /// Signet's own name for a key: the SHA-256 of its `SubjectPublicKeyInfo`, whatever the dialect.
    KeyName
);
identifier!(
    /// A SHA-256 digest.
    Digest
);

impl Digest {
    /// The SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha256(bytes))
    }
}

/// The SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hashing = Context::new(&SHA256);
    hashing.update(bytes);
    finished(hashing)
}

/// A digest whose algorithm has `N` bytes.
pub(crate) fn finished<const N: usize>(hashing: Context) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(hashing.finish().as_ref());
    out
}

/// A metadata version, from 1 to 2^53 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

impl Version {
    /// The first version of any role.
    pub const FIRST: Self = Self(1);
    // Notary's verifiers read numbers through float64
    const MAX: u64 = (1 << 53) - 1;

    /// A version, if the number is in range.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if number >= 1 && number <= Self::MAX { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The version after this one, unless this is the last there can be.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        Self::new(self.0.saturating_add(1))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_64_hex_digits() {
        let id: KeyId = "0a".repeat(32).parse().unwrap();
        assert_eq!(id.to_string(), "0a".repeat(32));
        for bad in ["", "0a", &"0g".repeat(32), &"0a".repeat(33)] {
            assert!(bad.parse::<KeyId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_version_stays_in_range() {
        assert_eq!(Version::new(0), None);
        assert_eq!(Version::new(1), Some(Version::FIRST));
        assert_eq!(Version::FIRST.next(), Version::new(2));
        let last = Version::new((1 << 53) - 1).unwrap();
        assert_eq!(last.next(), None);
        assert_eq!(Version::new(1 << 53), None);
    }
}
