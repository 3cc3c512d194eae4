//! `NOTARY_AUTH`: base64 of `user:password`. What is wrong with it is said in Notary's words where it has any.

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{Credential, Secret};
use crate::secret::Passphrase;

/// The variable.
pub(super) const NAME: &str = "NOTARY_AUTH";

pub(super) fn read(text: &Passphrase) -> Option<Credential> {
    match decoded(text) {
        // Notary 0.7: goes on as nobody, and does not say why
        Ok((user, password)) if password.expose().is_empty() => {
            tracing::warn!("{NAME} has no password for {user}, and is passed over");
            None
        }
        Ok((user, password)) => {
            Some(Credential { secret: Secret::Password { user, password }, source: NAME.to_owned() })
        }
        Err(problem) => {
            tracing::error!("{problem}");
            None
        }
    }
}

fn decoded(text: &Passphrase) -> Result<(String, Passphrase), &'static str> {
    const BASE64: &str = "Could not base64-decode authentication string";
    // Go's decoder passes over line ends, which `base64` puts into long output
    let digits: Zeroizing<Vec<u8>> =
        Zeroizing::new(text.expose().iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect());
    let plain = Zeroizing::new(STANDARD.decode(digits.as_slice()).map_err(|_| BASE64)?);
    let plain = std::str::from_utf8(&plain).map_err(|_| "NOTARY_AUTH is not base64 of text in UTF-8")?;
    match plain.split_once(':') {
        None => Err("Malformatted authentication string; format must be <username>:<password>"),
        Some(("", _)) => Err("Authentication string with zero-length username"),
        Some((user, password)) => Ok((user.to_owned(), Passphrase::from(SecretString::from(password.trim())))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_read_as_notary_reads_them() {
        for (plain, wanted) in [
            ("alice:secret", Some(("alice", "secret"))),
            ("alice:a:b ", Some(("alice", "a:b"))),
            ("alice", None),
            (":secret", None),
            ("alice: ", Some(("alice", ""))),
        ] {
            let encoded = STANDARD.encode(plain);
            let (head, tail) = encoded.split_at(3);
            let read = decoded(&Passphrase::from(SecretString::from(format!("{head}\n{tail}\n"))));
            let read = read.as_ref().ok().map(|(user, password)| (user.as_str(), password.expose_text()));
            assert_eq!(read, wanted, "{plain}");
        }
    }

    #[test]
    fn what_is_no_base64_is_said_in_notarys_words() {
        let error = decoded(&Passphrase::from(SecretString::from("alice:secret"))).unwrap_err();
        assert_eq!(error, "Could not base64-decode authentication string");
        let error = decoded(&Passphrase::from(SecretString::from("/zph"))).unwrap_err();
        assert_eq!(error, "NOTARY_AUTH is not base64 of text in UTF-8");
    }

    #[test]
    fn who_has_no_password_is_nobody() {
        assert!(read(&Passphrase::from(SecretString::from(STANDARD.encode("alice:")))).is_none());
    }
}
