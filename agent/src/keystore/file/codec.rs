//! Key files: PEM with headers. Notary's are PKCS#8 encrypted by PBES2; those of OpenSSL and of old versions are read too.

use der::asn1::OctetStringRef;
use der::{Decode, Encode};
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{self, Kdf, Pbkdf2Params, Pbkdf2Prf, Salt};
use zeroize::Zeroizing;

use super::legacy::Encryption;
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
    Pbes2(Vec<u8>),
    Legacy(Form, Encryption, Vec<u8>),
    Plain(Form, Zeroizing<Vec<u8>>),
}

/// What is inside the encryption, if there is any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// RFC 5958.
    Pkcs8,
    /// RFC 5915, an elliptic-curve key.
    Sec1,
    /// RFC 8017, an RSA key.
    Pkcs1,
    /// Notary's Ed25519 key before 0.6.
    NotaryEd25519,
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
        let block = first_key(text)?;
        let header = |name| block.headers().get(name).filter(|value| !value.is_empty()).map(str::to_owned);
        let (role, gun) = (header("role"), header("gun"));
        let legacy = header("DEK-Info").map(|info| Encryption::parse(&info)).transpose()?;
        if header("Proc-Type").is_some_and(|kind| kind.contains("ENCRYPTED")) && legacy.is_none() {
            return Err("it is encrypted, and its DEK-Info header is missing".to_owned());
        }
        let form = match block.tag() {
            ENCRYPTED => None,
            PLAIN => Some(Form::Pkcs8),
            "EC PRIVATE KEY" => Some(Form::Sec1),
            "RSA PRIVATE KEY" => Some(Form::Pkcs1),
            "ED25519 PRIVATE KEY" => Some(Form::NotaryEd25519),
            tag => return Err(format!("it holds `{tag}`, not a private key")),
        };
        let content = block.into_contents();
        if content.is_empty() {
            return Err("it has a header and no body".to_owned());
        }
        let body = match (form, legacy) {
            (None, _) => Body::Pbes2(content),
            (Some(form), Some(encryption)) => Body::Legacy(form, encryption, content),
            (Some(form), None) => Body::Plain(form, Zeroizing::new(content)),
        };
        Ok(Self { role, gun, body })
    }

    pub(super) fn sealing(&self) -> Sealing {
        match self.body {
            Body::Pbes2(_) | Body::Legacy(..) => Sealing::Encrypted,
            Body::Plain(..) => Sealing::Plain,
        }
    }

    /// Decrypts the key; a plain one is read whatever the passphrase.
    pub(super) fn open(&self, passphrase: &Secret) -> Result<PrivateKey, OpenError> {
        match &self.body {
            Body::Plain(form, der) => form.read(der).map_err(|error| OpenError::Corrupt(error.to_string())),
            Body::Pbes2(der) => decrypt(der, passphrase),
            Body::Legacy(form, encryption, data) => {
                let plain = encryption.decrypt(data, passphrase).ok_or(OpenError::WrongPassphrase)?;
                form.read(&plain).map_err(of_decrypted)
            }
        }
    }
}

impl Form {
    fn read(self, der: &[u8]) -> Result<PrivateKey, PrivateKeyError> {
        match self {
            Self::Pkcs8 => PrivateKey::from_pkcs8(der),
            Self::Sec1 => PrivateKey::from_sec1(der),
            Self::Pkcs1 => PrivateKey::from_pkcs1(der),
            Self::NotaryEd25519 => PrivateKey::from_notary_ed25519(der),
        }
    }
}

/// The key of a text. `openssl ecparam` writes the curve before it. As for Notary the first key counts, and what is around it is
/// a comment: the file's name says which key is meant, and is checked.
fn first_key(text: &[u8]) -> Result<pem::Pem, String> {
    // the error repeats lines of the file
    let blocks = pem::parse_many(text).map_err(|_| "it is not PEM, or damaged")?;
    let first = blocks.into_iter().find(|block| block.tag() != "EC PARAMETERS");
    first.ok_or_else(|| "it is not PEM, or holds no key".to_owned())
}

/// What was decrypted and is no key was decrypted with a wrong passphrase.
fn of_decrypted(error: PrivateKeyError) -> OpenError {
    match error {
        PrivateKeyError::NotPkcs8 => OpenError::WrongPassphrase,
        PrivateKeyError::Malformed(_) | PrivateKeyError::Unsupported(_) => OpenError::Corrupt(error.to_string()),
    }
}

/// The same key file under the same passphrase, with these headers: for a key that is stored or exported as it is.
pub(super) fn relabelled(text: &[u8], headers: &[(&str, &str)]) -> Result<String, String> {
    let found = first_key(text)?;
    let kept = ["Proc-Type", "DEK-Info"].into_iter().filter_map(|name| Some((name, found.headers().get(name)?)));
    let headers: Vec<_> = kept.chain(headers.iter().copied()).collect();
    labelled(found.tag(), found.contents(), &headers).ok_or_else(|| "a header of it is not one line".to_owned())
}

/// PEM with headers. The pem crate writes no value with a colon, which the GUN of a registry with a port has; it reads them.
fn labelled(tag: &str, contents: &[u8], headers: &[(&str, &str)]) -> Option<String> {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    let text = pem::encode_config(&pem::Pem::new(tag, contents), config);
    if headers.is_empty() {
        return Some(text);
    }
    if headers.iter().any(|(_, value)| value.contains(['\n', '\r'])) {
        return None;
    }
    let (begin, body) = text.split_once('\n')?;
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    Some(format!("{begin}\n{lines}\n{body}"))
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
    PrivateKey::from_pkcs8(plain).map_err(of_decrypted)
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
    // Go's encoding/pem sorts headers by name.
    let headers: Vec<_> =
        [("gun", gun), ("role", role)].into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    labelled(ENCRYPTED, &info.to_der().ok()?, &headers)
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
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
        let good = seal(&key, &secret("correct"), Some("root"), None).unwrap();
        let cases: &[(&str, &str)] = &[
            ("", "not PEM"),
            ("garbage", "not PEM"),
            ("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", "CERTIFICATE"),
            ("-----BEGIN PRIVATE KEY-----\nrole: root\n\n-----END PRIVATE KEY-----\n", "no body"),
            (&good[..good.len() / 2], "not PEM"),
            (
                "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAA==\n-----END EC PRIVATE KEY-----\n",
                "DEK-Info",
            ),
            ("-----BEGIN EC PRIVATE KEY-----\nDEK-Info: RC2-CBC,00\n\nAA==\n-----END EC PRIVATE KEY-----\n", "RC2"),
            (
                "-----BEGIN EC PRIVATE KEY-----\nDEK-Info: AES-256-CBC,00\n\nAA==\n-----END EC PRIVATE KEY-----\n",
                "length",
            ),
        ];
        for (text, why) in cases {
            let said = KeyFile::parse(text.as_bytes()).err().unwrap();
            assert!(said.contains(why), "{why}: {said}");
        }
        assert!(KeyFile::parse(format!("a comment\n{good}\nanother\n").as_bytes()).is_ok());
    }

    /// The real openssl, with its answer.
    fn openssl(args: &[&str]) -> Vec<u8> {
        let output = std::process::Command::new("openssl").args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    #[test]
    fn every_form_that_openssl_writes_is_read() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
        let (ec, rsa) = (path("ec"), path("rsa"));
        openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-out", &ec]);
        openssl(&["genrsa", "-out", &rsa, "2048"]);
        for (source, convert) in [
            // curve first, then the key
            (&ec, &["ec", "-in"][..]),
            (&ec, &["pkcs8", "-topk8", "-nocrypt", "-in"]),
            (&ec, &["pkcs8", "-topk8", "-passout", "pass:correct", "-in"]),
            (&ec, &["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:correct", "-in"]),
            (
                &ec,
                &["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1", "-passout", "pass:correct", "-in"],
            ),
            (&ec, &["ec", "-aes-128-cbc", "-passout", "pass:correct", "-in"]),
            (&ec, &["ec", "-aes-192-cbc", "-passout", "pass:correct", "-in"]),
            (&ec, &["ec", "-aes-256-cbc", "-passout", "pass:correct", "-in"]),
            (&ec, &["ec", "-des3", "-passout", "pass:correct", "-in"]),
            (&rsa, &["rsa", "-traditional", "-in"]),
            (&rsa, &["rsa", "-in"]),
            (&rsa, &["rsa", "-traditional", "-aes256", "-passout", "pass:correct", "-in"]),
            (&rsa, &["rsa", "-traditional", "-des3", "-passout", "pass:correct", "-in"]),
            (&rsa, &["pkcs8", "-topk8", "-passout", "pass:correct", "-in"]),
        ] {
            let public = openssl(&["pkey", "-in", source, "-pubout", "-outform", "DER"]);
            let text = openssl(&[convert, &[source]].concat());
            let file = KeyFile::parse(&text).unwrap();
            let key = file.open(&secret("correct")).unwrap();
            assert_eq!(key.public().spki(), public, "{convert:?}");
            if file.sealing() == Sealing::Encrypted {
                for wrong in 0..20 {
                    assert_eq!(
                        file.open(&secret(&wrong.to_string())).unwrap_err(),
                        OpenError::WrongPassphrase,
                        "{convert:?}"
                    );
                }
            }
        }
        let text = std::fs::read(&ec).unwrap();
        assert!(String::from_utf8_lossy(&text).contains("EC PARAMETERS"));
        assert!(KeyFile::parse(&text).unwrap().open(&secret("")).is_ok());
    }

    #[test]
    fn a_relabelled_file_opens_as_before() {
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
        let text = seal(&key, &secret("correct"), Some("targets"), Some("example.com/x")).unwrap();
        let other = super::relabelled(text.as_bytes(), &[("path", "x"), ("role", "user")]).unwrap();
        let file = KeyFile::parse(other.as_bytes()).unwrap();
        assert_eq!((file.role.as_deref(), file.gun.as_deref()), (Some("user"), None));
        assert!(file.open(&secret("correct")).is_ok() && other.contains("path: x\n"));
    }

    #[test]
    fn a_collection_at_a_port_is_a_label_and_a_second_line_is_none() {
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
        let gun = "registry.example.com:5000/x";
        let text = seal(&key, &secret("correct"), Some("targets"), Some(gun)).unwrap();
        assert!(text.starts_with(&format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\ngun: {gun}\nrole: targets\n\n")));
        let file = KeyFile::parse(text.as_bytes()).unwrap();
        assert_eq!((file.role.as_deref(), file.gun.as_deref()), (Some("targets"), Some(gun)));
        let other = super::relabelled(text.as_bytes(), &[("gun", gun)]).unwrap();
        assert_eq!(KeyFile::parse(other.as_bytes()).unwrap().gun.as_deref(), Some(gun));
        assert!(super::relabelled(text.as_bytes(), &[("role", "user\nrole: root")]).is_err());
    }

    #[test]
    fn what_is_wrong_with_a_file_repeats_nothing_of_it() {
        // a blank line in the middle makes a header of what stands above it
        let text = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n\nAAAA\n-----END PRIVATE KEY-----\n";
        let why = KeyFile::parse(text.as_bytes()).err().unwrap();
        assert!(!why.contains("c2VjcmV0"), "{why}");
    }

    #[test]
    fn fuzz_key_files() {
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
        let ed25519 = PrivateKey::generate(Algorithm::Ed25519).unwrap();
        let sealed = seal(&key, &secret("correct"), Some("targets"), Some("example.com/x")).unwrap().into_bytes();
        let plain = |tag: &str, der: &[u8]| pem::encode(&pem::Pem::new(tag, der)).into_bytes();
        let old = b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,000102030405060708090A0B0C0D0E0F\n\nAAAAAAAAAAAAAAAAAAAAAA==\n-----END EC PRIVATE KEY-----\n";
        let seeds = vec![
            sealed,
            plain("PRIVATE KEY", key.pkcs8()),
            plain("PRIVATE KEY", ed25519.pkcs8()),
            plain("EC PRIVATE KEY", key.pkcs8().get(27..).unwrap()),
            old.to_vec(),
        ];
        let words: [&[u8]; 14] = [
            b"-----BEGIN ",
            b"-----END ",
            b"PRIVATE KEY-----\n",
            b"ENCRYPTED ",
            b"EC PARAMETERS",
            b"role: root\n",
            b"gun: a\n",
            b"path: ../x\n",
            b"Proc-Type: 4,ENCRYPTED\n",
            b"DEK-Info: DES-EDE3-CBC,0011223344556677\n",
            b"\n\n",
            b"\r\n",
            b"====",
            b"\0",
        ];
        let language = signet_fuzz::Language { seeds, words: words.to_vec() };
        signet_fuzz::fuzz("key-files", &language, |input| {
            let Ok(file) = KeyFile::parse(input) else { return };
            // a header that was read may be one that cannot be written
            let Ok(relabelled) = super::relabelled(input, &[("role", "user")]) else { return };
            let again = KeyFile::parse(relabelled.as_bytes()).unwrap();
            assert_eq!((again.role.as_deref(), again.sealing()), (Some("user"), file.sealing()));
            // a million rounds of PBKDF2 are lawful, and would be all that is tried
            if matches!(file.body, super::Body::Pbes2(_)) {
                return;
            }
            if let Ok(key) = file.open(&secret("correct")) {
                let written = PrivateKey::from_pkcs8(key.pkcs8()).unwrap();
                assert_eq!(written.public().name(), key.public().name(), "what is written is what was read");
            }
        });
    }
}
