//! Passphrases, PINs and management keys, and Notary's environment variables that may hold passphrases.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// A passphrase or PIN; zeroized when dropped, never printed.
#[derive(Clone)]
pub struct Passphrase(SecretString);

impl Passphrase {
    /// The bytes, for the one message that carries them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }

    /// The text, for the one header or form that carries it.
    #[must_use]
    pub fn expose_text(&self) -> &str {
        self.0.expose_secret()
    }

    /// Without white space around it, as Notary takes what a person types.
    #[must_use]
    pub fn trimmed(&self) -> Self {
        Self(SecretString::from(self.0.expose_secret().trim()))
    }

    /// Whether both are the same.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl From<SecretString> for Passphrase {
    fn from(secret: SecretString) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The management key of a YubiKey; zeroized when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ManagementKey(Zeroizing<Vec<u8>>);

impl ManagementKey {
    /// Reads 32, 48 or 64 hex digits. SP 800-78-4: keys of AES-128, of AES-192 and 3DES, of AES-256.
    #[must_use]
    pub fn from_hex(digits: &Passphrase) -> Option<Self> {
        let key = Zeroizing::new(hex::decode(digits.expose()).ok()?);
        [16, 24, 32].contains(&key.len()).then_some(Self(key))
    }

    /// The bytes, for the one message that carries them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ManagementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Whose variables hold passphrases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passphrases {
    /// `NOTARY_*_PASSPHRASE`.
    Notarys,
    /// And behind them `DOCKER_CONTENT_TRUST_*_PASSPHRASE`: the keys are those of Docker's client.
    DockersToo,
}

/// What `NOTARY_*_PASSPHRASE` say.
#[derive(Debug, Default)]
pub struct EnvSecrets {
    /// `NOTARY_ROOT_PASSPHRASE`.
    pub root: Option<Passphrase>,
    /// `NOTARY_TARGETS_PASSPHRASE`.
    pub targets: Option<Passphrase>,
    /// `NOTARY_SNAPSHOT_PASSPHRASE`.
    pub snapshot: Option<Passphrase>,
    /// `NOTARY_DELEGATION_PASSPHRASE`.
    pub delegation: Option<Passphrase>,
}

impl EnvSecrets {
    /// Notary 0.7: a base role has its own variable or none, every other role has the delegations' one.
    #[must_use]
    pub fn of_role(&self, role: &str) -> Option<&Passphrase> {
        match role {
            "root" => self.root.as_ref(),
            "targets" => self.targets.as_ref(),
            "snapshot" => self.snapshot.as_ref(),
            "timestamp" => None,
            _ => self.delegation.as_ref(),
        }
    }
}

/// The variable that serves a role.
#[must_use]
pub fn variable(role: &str) -> Option<&'static str> {
    match role {
        "root" => Some("NOTARY_ROOT_PASSPHRASE"),
        "targets" => Some("NOTARY_TARGETS_PASSPHRASE"),
        "snapshot" => Some("NOTARY_SNAPSHOT_PASSPHRASE"),
        "timestamp" => None,
        _ => Some("NOTARY_DELEGATION_PASSPHRASE"),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::{EnvSecrets, ManagementKey, Passphrase};

    fn secret(text: &str) -> Option<Passphrase> {
        Some(Passphrase::from(SecretString::from(text)))
    }

    fn text(passphrase: &Passphrase) -> &str {
        std::str::from_utf8(passphrase.expose()).unwrap()
    }

    #[test]
    fn each_role_reads_its_own_variable() {
        let environment =
            EnvSecrets { root: secret("r"), targets: secret("t"), snapshot: secret("s"), delegation: secret("d") };
        for (role, expected) in [
            ("root", Some("r")),
            ("targets", Some("t")),
            ("snapshot", Some("s")),
            ("timestamp", None),
            ("targets/releases", Some("d")),
            ("delegation", Some("d")),
            ("user", Some("d")),
            ("", Some("d")),
        ] {
            assert_eq!(environment.of_role(role).map(text), expected, "{role}");
        }
        let only_delegation = EnvSecrets { delegation: secret("d"), ..EnvSecrets::default() };
        assert!(only_delegation.of_role("root").is_none());
    }

    #[test]
    fn a_management_key_is_hex_of_a_known_length() {
        for (digits, expected) in [
            ("0102030405060708".repeat(2), Some(16)),
            ("0102030405060708".repeat(3), Some(24)),
            ("AbCdEf0405060708".repeat(4), Some(32)),
            ("0102030405060708".to_owned(), None),
            ("0102030405060708".repeat(5), None),
            ("010203040506070g".repeat(3), None),
            (String::new(), None),
        ] {
            let key = ManagementKey::from_hex(&secret(&digits).unwrap());
            assert_eq!(key.as_ref().map(|key| key.expose().len()), expected, "{digits}");
            assert!(!format!("{key:?}").contains('1'), "{key:?}");
        }
    }

    #[test]
    fn a_passphrase_does_not_print() {
        let text = format!("{:?}", EnvSecrets { root: secret("correct horse"), ..EnvSecrets::default() });
        assert!(!text.contains("horse"), "{text}");
    }
}
