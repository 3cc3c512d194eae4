//! Notary's key files: PEM with headers around PKCS#8, encrypted by PBES2.

use der::asn1::OctetStringRef;
use der::{Decode, Encode};
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{self, Kdf, Pbkdf2Params, Pbkdf2Prf, Salt};
use zeroize::Zeroizing;

use super::private::{PrivateKey, PrivateKeyError};
use crate::secret::Secret;

const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
const PLAIN: &str = "PRIVATE KEY";
/// Notary 0.7: convertTUFKeyToPKCS8Encrypted.
const NOTARY_ITERATIONS: u32 = 2048;
/// A file that asks for more would hold up everybody else for minutes.
const MAX_ITERATIONS: u32 = 10_000_000;

/// A key file, read but not decrypted.
pub(super) struct KeyFile {
    pub(super) role: Option<String>,
    pub(super) gun: Option<String>,
    body: Body,
}

enum Body {
    Encrypted(Vec<u8>),
    Plain(Zeroizing<Vec<u8>>),
}

/// Whether a key file wants a passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sealing {
    /// It does.
    Encrypted,
    /// It does not.
    Plain,
}

/// Why a key file cannot be decrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OpenError {
    WrongPassphrase,
    Corrupt(String),
}

impl KeyFile {
    /// Reads the envelope; says what is wrong with it otherwise.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let block = pem::parse(text).map_err(|error| format!("it is not PEM ({error})"))?;
        let header = |name| block.headers().get(name).filter(|value| !value.is_empty()).map(str::to_owned);
        let (role, gun) = (header("role"), header("gun"));
        let body = match block.tag() {
            ENCRYPTED => Body::Encrypted(block.into_contents()),
            PLAIN => Body::Plain(Zeroizing::new(block.into_contents())),
            // Notary 0.1 to 0.5 wrote OpenSSL's old PEM encryption.
            tag @ ("EC PRIVATE KEY" | "RSA PRIVATE KEY" | "ED25519 PRIVATE KEY") => {
                return Err(format!("`{tag}` is an old form: convert it with `notary key passwd`"));
            }
            tag => return Err(format!("it holds `{tag}`, not a private key")),
        };
        Ok(Self { role, gun, body })
    }

    pub(super) fn sealing(&self) -> Sealing {
        match self.body {
            Body::Encrypted(_) => Sealing::Encrypted,
            Body::Plain(_) => Sealing::Plain,
        }
    }

    /// Decrypts the key; a plain one is read whatever the passphrase.
    pub(super) fn open(&self, passphrase: &Secret) -> Result<PrivateKey, OpenError> {
        match &self.body {
            Body::Plain(der) => PrivateKey::from_pkcs8(der).map_err(|error| OpenError::Corrupt(error.to_string())),
            Body::Encrypted(der) => decrypt(der, passphrase),
        }
    }
}

fn decrypt(der: &[u8], passphrase: &Secret) -> Result<PrivateKey, OpenError> {
    let corrupt = |what: &str| OpenError::Corrupt(what.to_owned());
    let info = EncryptedPrivateKeyInfoRef::from_der(der)
        .map_err(|_| corrupt("it is not PKCS#8 encrypted by PBES2 with AES"))?;
    let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else {
        return Err(corrupt("it is encrypted by PBES1: convert it with `openssl pkcs8 -v2 aes-256-cbc`"));
    };
    match parameters.kdf.pbkdf2().map(|kdf| kdf.iteration_count) {
        Some(1..=MAX_ITERATIONS) => {}
        Some(count) => return Err(OpenError::Corrupt(format!("it asks for {count} iterations"))),
        None => return Err(corrupt("its key derivation is not PBKDF2")),
    }
    let mut buffer = Zeroizing::new(info.encrypted_data.as_bytes().to_vec());
    // A wrong passphrase shows as bad padding; by chance the padding is good, and then no PKCS#8 is found.
    let plain = parameters.decrypt_in_place(passphrase.expose(), &mut buffer).map_err(|error| {
        if error == pkcs8::pkcs5::Error::DecryptFailed {
            OpenError::WrongPassphrase
        } else {
            OpenError::Corrupt(error.to_string())
        }
    })?;
    PrivateKey::from_pkcs8(plain).map_err(|error| match error {
        PrivateKeyError::NotPkcs8 => OpenError::WrongPassphrase,
        PrivateKeyError::Malformed(_) | PrivateKeyError::Unsupported(_) => OpenError::Corrupt(error.to_string()),
    })
}

/// The text of a key file that the real `notary` opens.
pub(super) fn seal(key: &PrivateKey, passphrase: &Secret, role: Option<&str>, gun: Option<&str>) -> Option<String> {
    let (mut salt, mut iv) = ([0; 8], [0; 16]);
    aws_lc_rs::rand::fill(&mut salt).ok()?;
    aws_lc_rs::rand::fill(&mut iv).ok()?;
    // Notary 0.7 decrypts with HMAC-SHA1 whatever the file says.
    let kdf = Pbkdf2Params {
        salt: Salt::new(salt).ok()?,
        iteration_count: NOTARY_ITERATIONS,
        key_length: None,
        prf: Pbkdf2Prf::HmacWithSha1,
    };
    let parameters = pbes2::Parameters { kdf: Kdf::Pbkdf2(kdf), encryption: pbes2::EncryptionScheme::Aes256Cbc { iv } };
    let encrypted = parameters.encrypt(passphrase.expose(), key.pkcs8().as_slice()).ok()?;
    let info = EncryptedPrivateKeyInfoRef {
        encryption_algorithm: EncryptionScheme::Pbes2(parameters),
        encrypted_data: OctetStringRef::new(&encrypted).ok()?,
    };
    let mut block = pem::Pem::new(ENCRYPTED, info.to_der().ok()?);
    // Go's encoding/pem sorts headers by name.
    for (name, value) in [("gun", gun), ("role", role)] {
        if let Some(value) = value {
            block.headers_mut().add(name, value).ok()?;
        }
    }
    Some(pem::encode_config(&block, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF)))
}

#[cfg(test)]
mod tests {
    use signet_tuf::Algorithm;

    use super::{KeyFile, OpenError, PrivateKey, Sealing, seal};
    use crate::secret::Secret;

    fn secret(text: &str) -> Secret {
        Secret::from(text.as_bytes().to_vec())
    }

    #[test]
    fn a_sealed_key_opens_with_its_passphrase_only() {
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
        let text = seal(&key, &secret("correct"), Some("targets"), Some("example.com/x")).unwrap();
        let file = KeyFile::parse(text.as_bytes()).unwrap();
        assert_eq!(file.sealing(), Sealing::Encrypted);
        assert_eq!((file.role.as_deref(), file.gun.as_deref()), (Some("targets"), Some("example.com/x")));
        assert_eq!(file.open(&secret("correct")).unwrap().public().name(), key.public().name());
        // Each wrong passphrase meets good padding once in 256 times.
        for wrong in 0..600 {
            assert_eq!(file.open(&secret(&wrong.to_string())).unwrap_err(), OpenError::WrongPassphrase);
        }
    }

    #[test]
    fn what_is_not_a_key_file_is_said() {
        let cases: &[(&str, &str)] = &[
            ("", "not PEM"),
            ("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", "CERTIFICATE"),
            ("-----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\n", "notary key passwd"),
        ];
        for (text, why) in cases {
            let said = KeyFile::parse(text.as_bytes()).err().unwrap();
            assert!(said.contains(why), "{said}");
        }
    }
}
