//! The environment variables, read once at the start.

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use secrecy::SecretString;

use crate::secret::{EnvSecrets, Passphrase};

/// A snapshot of the process's environment and working directory.
#[derive(Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    cwd: PathBuf,
}

impl Environment {
    /// Reads the process's environment.
    #[must_use]
    pub fn read() -> Self {
        Self { variables: env::vars_os().collect(), cwd: env::current_dir().unwrap_or_default() }
    }

    /// An environment of these variables, and a working directory.
    #[cfg(test)]
    #[must_use]
    pub fn of(cwd: &str, variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Self { variables, cwd: cwd.into() }
    }

    /// The value of a variable; an empty one counts as unset, as in the XDG specification and in Notary.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The value of a variable as a path.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.value(name).map(PathBuf::from)
    }

    /// The home directory.
    #[must_use]
    pub fn home(&self) -> Option<PathBuf> {
        self.path("HOME")
    }

    /// `path`, made absolute; `~/` is the home directory.
    #[must_use]
    pub fn absolute(&self, path: &std::path::Path) -> PathBuf {
        match (path.strip_prefix("~"), self.home()) {
            (Ok(rest), Some(home)) => self.cwd.join(home).join(rest),
            _ => self.cwd.join(path),
        }
    }

    /// The variables whose name passes.
    pub fn only<'a>(&'a self, keep: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = (&'a OsStr, &'a OsStr)> {
        self.variables
            .iter()
            .filter(move |(name, _)| name.to_str().is_some_and(&keep))
            .map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// The value of a variable that holds a secret.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<Passphrase> {
        Some(Passphrase::from(SecretString::from(self.value(name)?.to_str()?)))
    }

    /// Notary's passphrases.
    #[must_use]
    pub fn secrets(&self) -> EnvSecrets {
        EnvSecrets {
            root: self.secret("NOTARY_ROOT_PASSPHRASE"),
            targets: self.secret("NOTARY_TARGETS_PASSPHRASE"),
            snapshot: self.secret("NOTARY_SNAPSHOT_PASSPHRASE"),
            delegation: self.secret("NOTARY_DELEGATION_PASSPHRASE"),
        }
    }
}
