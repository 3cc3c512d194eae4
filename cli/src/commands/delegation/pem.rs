//! The files that delegates hand in: a certificate or a public key, PEM.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::Path,
};

use pem::Pem;
use signet_tuf::{BlocksError, Certificate, KeyError, KeyType, Lifetime, PublicKey, UnfitCertificate, blocks};
use time::OffsetDateTime;

use super::chain::vouches_for;
use crate::exit::CliError;

/// No chain of certificates is larger.
const MAX_BYTES: u64 = 1 << 20;

/// The keys in these files, each one once.
///
/// # Errors
/// [`CliError`] names the first file that holds none, or more than one.
pub(super) fn public_keys(files: &[impl AsRef<Path>], now: OffsetDateTime) -> Result<Vec<PublicKey>, CliError> {
    let mut keys: Vec<PublicKey> = Vec::new();
    for file in files {
        let file = file.as_ref();
        let key = public_key(&read(file)?, now).map_err(|problem| problem.of(file))?;
        if keys.iter().any(|known| known.canonical_id() == key.canonical_id()) {
            tracing::warn!("{} holds a key that was named before; it counts once", file.display());
        } else {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// What is wrong with a file, in Notary's words where it has some, and what to do about it.
struct Unusable {
    what: String,
    remedy: Option<String>,
}

impl Unusable {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: None }
    }

    fn with(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: Some(remedy.into()) }
    }

    fn of(self, file: &Path) -> CliError {
        let usual = "give a certificate or a public key of ECDSA or RSA, PEM";
        let remedy = self.remedy.as_deref().unwrap_or(usual);
        let message =
            format!("unable to parse valid public key certificate from PEM file {}: {}", file.display(), self.what);
        CliError::with_remedy(message, format!("{remedy}; nothing was staged"))
    }
}

fn read(file: &Path) -> Result<Vec<u8>, CliError> {
    let opened = File::open(file).map_err(|error| {
        if error.kind() == ErrorKind::NotFound {
            let message = format!("file for public key does not exist: {}", file.display());
            return CliError::with_remedy(message, "check the path; nothing was staged");
        }
        unreadable(file, &error.to_string())
    })?;
    let mut bytes = Vec::new();
    opened.take(MAX_BYTES.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| unreadable(file, &e.to_string()))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(unreadable(file, "it is larger than 1 MiB"));
    }
    Ok(bytes)
}

fn unreadable(file: &Path, why: &str) -> CliError {
    let remedy = format!("{why}; nothing was staged");
    CliError::with_remedy(format!("unable to read public key from file: {}", file.display()), remedy)
}

/// Notary takes the first block and is silent about the rest; here the rest must be the chain of the first.
fn public_key(text: &[u8], now: OffsetDateTime) -> Result<PublicKey, Unusable> {
    let blocks = blocks(text).map_err(|error| {
        let remedy = match error {
            BlocksError::Damaged(_) => "copy the file again, whole",
            BlocksError::TrailingText => "take out what does not belong there",
        };
        Unusable::with(error.to_string(), remedy)
    })?;
    let (first, rest) = blocks.split_first().ok_or_else(|| Unusable::new("no valid public key found"))?;
    let key = match first.tag() {
        "CERTIFICATE" => of_certificate(first, now)?,
        "PUBLIC KEY" => of_spki(first)?,
        other => return Err(unsupported(other)),
    };
    let mut chain: Vec<Certificate> = certificate(first).into_iter().collect();
    for block in rest {
        let above = certificate(block).filter(|above| chain.iter().any(|below| vouches_for(above, below)));
        match (block.tag(), above) {
            ("CERTIFICATE", Some(above)) => chain.push(above),
            ("CERTIFICATE" | "PUBLIC KEY", _) => {
                return Err(Unusable::with(
                    "it holds more than one key",
                    "put each certificate or public key into a file of its own and name all of them",
                ));
            }
            (other, _) => return Err(unsupported(other)),
        }
    }
    if !rest.is_empty() {
        let (taken, left) = (key.canonical_id(), rest.len());
        tracing::warn!("only the first certificate is taken, key {taken}; {left} more behind it are passed over");
    }
    Ok(key)
}

fn unsupported(tag: &str) -> Unusable {
    let what = format!("unsupported PEM block type {tag:?}, expected CERTIFICATE or PUBLIC KEY");
    if tag.ends_with("PRIVATE KEY") {
        return Unusable::with(what, "a private key stays with its owner: ask for the public key or a certificate");
    }
    Unusable::new(what)
}

fn of_certificate(block: &Pem, now: OffsetDateTime) -> Result<PublicKey, Unusable> {
    let unread =
        |why: &dyn ToString| Unusable::new(format!("could not parse provided certificate: {}", why.to_string()));
    let certificate = Certificate::from_der(block.contents()).map_err(|e| unread(&e))?;
    let name = certificate.common_name();
    let lifetime = certificate.fit_at(now).map_err(|why| {
        let (from, to) = (certificate.not_before().date(), certificate.not_after().date());
        let remedy = match why {
            UnfitCertificate::ShortRsa => "ask for a certificate of an RSA key of 2048 to 8192 bits".to_owned(),
            UnfitCertificate::Window
            | UnfitCertificate::Sha1(_)
            | UnfitCertificate::Expired(_)
            | UnfitCertificate::Early(_) => {
                format!("it is valid from {from} to {to}; ask for a certificate that is valid now, signed with SHA-256")
            }
        };
        Unusable::with(format!("invalid certificate: {why}"), remedy)
    })?;
    // Notary 0.7 keeps the first certificate alone, encoded anew
    let key = PublicKey::from_certificate_pem(&certificate.to_pem()).map_err(|error| match error {
        KeyError::RsaBits(_) => Unusable::new(error.to_string()),
        KeyError::Unsupported | KeyError::Encoding | KeyError::Mismatch { .. } | KeyError::Certificate(_) => {
            Unusable::with(
                format!("certificate with CN {name} holds no key that Notary knows"),
                "Notary reads certificates of ECDSA (P-256, P-384, P-521) and RSA keys only: ask for one of these",
            )
        }
    })?;
    if lifetime == Lifetime::NearExpiry {
        tracing::warn!("certificate with CN {name} is near expiry");
    }
    Ok(key)
}

fn of_spki(block: &Pem) -> Result<PublicKey, Unusable> {
    let key = PublicKey::from_spki(block.contents()).map_err(|error| match error {
        KeyError::Unsupported => Unusable::with("unknown public key format", error.to_string()),
        KeyError::RsaBits(_) => Unusable::with("RSA bit length is too short", error.to_string()),
        KeyError::Encoding | KeyError::Mismatch { .. } | KeyError::Certificate(_) => {
            Unusable::new(format!("unable to parse pem encoded public key: {error}"))
        }
    })?;
    if key.key_type() == KeyType::Ed25519 {
        let remedy = "Notary reads public keys of ECDSA (P-256, P-384, P-521) and RSA only: ask for one of these";
        return Err(Unusable::with("unknown public key format", remedy));
    }
    Ok(key)
}

fn certificate(block: &Pem) -> Option<Certificate> {
    Some(block).filter(|block| block.tag() == "CERTIFICATE").and_then(|it| Certificate::from_der(it.contents()).ok())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::trustdir::edit::Edit;

    const NOW: OffsetDateTime = datetime!(2030-01-01 0:00 UTC);
    // a throw-away key, self-signed until 2081; as openssl makes it, it says that it may sign others
    const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBcjCCARmgAwIBAgIUWN6LoVxTff/OPD4k2bDfOgKJwbkwCgYIKoZIzj0EAwIw
DjEMMAoGA1UEAwwDYW5uMCAXDTI2MTEyMTE4NTU1MloYDzIwODEwODI0MTg1NTUy
WjAOMQwwCgYDVQQDDANhbm4wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARW0o4m
ndTIBikDfxca7/PDTC/FIqv4a3cRk3kjAKVvGrje2FDSta88FRW6VhFCRvu4RMFf
qTvhUno7nnrpHWaXo1MwUTAdBgNVHQ4EFgQUUWShCqq6ETDy97Bu8HQ5dKtzTxww
HwYDVR0jBBgwFoAUUWShCqq6ETDy97Bu8HQ5dKtzTxwwDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNHADBEAiBZORKLUVErFTioNEDKGfBecVlISQOjv7F/nxu9
PTgJbAIgI+L8CxYDiaVdUdTcR6ZO1wYLrf5TSu2G8O+6+cWrq0k=
-----END CERTIFICATE-----
";
    // made likewise: of somebody else, and of somebody else with the same name
    const BOB: &str = "\
-----BEGIN CERTIFICATE-----
MIIBcjCCARmgAwIBAgIUQv34BmfpxlWQaH+XAy+mezZeSN8wCgYIKoZIzj0EAwIw
DjEMMAoGA1UEAwwDYm9iMCAXDTI2MTEyMTE5NDE0MloYDzIwODEwODI0MTk0MTQy
WjAOMQwwCgYDVQQDDANib2IwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARHQd8y
cA1eDsvsdoP4t/+uJCKfiUsh5tCx9W4ktFd0eUi9Td968jZ1p03GMwxX4yY2kt4H
xUrupAozMCdoVebvo1MwUTAdBgNVHQ4EFgQU0op9dqYX9wJ66SAK62tVIrhsSYUw
HwYDVR0jBBgwFoAU0op9dqYX9wJ66SAK62tVIrhsSYUwDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNHADBEAiBm2MgmnFfQoQtxacG4S6oSqNLm8HCEcO/b2OEQ
/PvBpAIgWNB2KH9W2P+mwH8mxnopzYU86hktcs7+OxhrBxRvqAs=
-----END CERTIFICATE-----
";
    const ANOTHER_ANN: &str = "\
-----BEGIN CERTIFICATE-----
MIIBczCCARmgAwIBAgIUPYATVKcAbo1xJ1E1tI8UFRLwcM0wCgYIKoZIzj0EAwIw
DjEMMAoGA1UEAwwDYW5uMCAXDTI2MTEyMTE5NDE0MloYDzIwODEwODI0MTk0MTQy
WjAOMQwwCgYDVQQDDANhbm4wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARoYVii
tqi25Qz2P3zEou7Tm4WBiN6m16kDmru/aSzTUMvZlXqMa+k9z0Yfzlt6VLFnwk44
ZXwxBpQd685NGgIgo1MwUTAdBgNVHQ4EFgQUKE55gUEl1xXsNfOhuKvO08RnfR0w
HwYDVR0jBBgwFoAUKE55gUEl1xXsNfOhuKvO08RnfR0wDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNIADBFAiB8T2ZK25j4p1uoh36YcUjRIn8YEOW8ormp7YB2
hGaqPgIhAN6D3pPPpQ/qAzm/eSIXgpS09CluLEvasvcRTnWV38kt
-----END CERTIFICATE-----
";
    const PUBLIC_KEY: &str = "\
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEpFf1E06PtIG2la/G85wVMVAWHqaD
6HwYl5YftRVHzDDur12tRSqkr5S29GLy+x9ejdy3qy989TFHWgSFYfPWDA==
-----END PUBLIC KEY-----
";

    fn read(text: &str) -> Result<PublicKey, String> {
        public_key(text.as_bytes(), NOW).map_err(|problem| problem.what)
    }

    #[test]
    fn the_form_of_the_file_makes_no_other_key() {
        let key = read(CERTIFICATE).unwrap();
        assert_eq!(key.public(), CERTIFICATE.as_bytes());
        let windows = CERTIFICATE.replace('\n', "\r\n");
        let explained = format!("Certificate of ann\n{CERTIFICATE}\n\n");
        let chain = format!("{CERTIFICATE}{CERTIFICATE}");
        for text in [windows.as_str(), &explained, &chain, CERTIFICATE.trim_end()] {
            assert_eq!(read(text).unwrap(), key, "{text}");
        }
        let named = PUBLIC_KEY.replacen("KEY-----\n", "KEY-----\nrole: user\n\n", 1);
        assert_eq!(read(&named).unwrap(), read(PUBLIC_KEY).unwrap());
    }

    #[test]
    fn more_than_one_key_is_not_taken_for_one() {
        for text in [
            format!("{PUBLIC_KEY}{PUBLIC_KEY}"),
            format!("{CERTIFICATE}{PUBLIC_KEY}"),
            format!("{PUBLIC_KEY}{CERTIFICATE}"),
            format!("{CERTIFICATE}{BOB}"),
            format!("{CERTIFICATE}{ANOTHER_ANN}"),
            format!("{CERTIFICATE}{CERTIFICATE}{BOB}"),
        ] {
            assert_eq!(read(&text).unwrap_err(), "it holds more than one key", "{text}");
        }
    }

    #[test]
    fn fuzz_delegate_files() {
        let words =
            [&b"-----BEGIN "[..], b"-----END ", b"CERTIFICATE", b"PUBLIC KEY", b"PRIVATE KEY", b"-----\n", b"\r\n"];
        let seeds = [CERTIFICATE, PUBLIC_KEY].map(|text| text.as_bytes().to_vec()).to_vec();
        signet_fuzz::fuzz("delegate_files", &signet_fuzz::Language { seeds, words: words.to_vec() }, |input| {
            let Ok(key) = public_key(input, NOW) else { return };
            let edit = Edit::add_keys(vec![key]);
            assert_eq!(Edit::parse(edit.to_json().as_bytes()).unwrap(), edit, "what is staged can be applied");
        });
    }
}
