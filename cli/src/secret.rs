//! Passphrases and PINs, and Notary's environment variables that may hold passphrases.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A passphrase or PIN; zeroized when dropped, never printed.
#[derive(Clone)]
pub struct Passphrase(SecretString);

impl Passphrase {
    /// The bytes, for the one message that carries them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
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

    use super::{EnvSecrets, Passphrase};

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
    fn a_passphrase_does_not_print() {
        let text = format!("{:?}", EnvSecrets { root: secret("correct horse"), ..EnvSecrets::default() });
        assert!(!text.contains("horse"), "{text}");
    }
}
