//! The environment variables, read once at the start.

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use secrecy::SecretString;

use crate::secret::{EnvSecrets, Passphrase, Passphrases};

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

    /// The directory of Docker's client: `$DOCKER_CONFIG`, else `~/.docker`.
    #[must_use]
    pub fn docker(&self) -> Option<PathBuf> {
        let directory = self.path("DOCKER_CONFIG").or_else(|| Some(self.home()?.join(".docker")));
        directory.map(|directory| self.absolute(&directory))
    }

    /// The passphrases that variables hold: Notary's, and behind them Docker's if these are asked, too.
    #[must_use]
    pub fn secrets(&self, passphrases: Passphrases) -> EnvSecrets {
        let secret = |name: &str| self.secret(name);
        let behind = |name: &str| match passphrases {
            Passphrases::Notarys => None,
            Passphrases::DockersToo => secret(name),
        };
        // docker/cli trust: the passphrase of the repository is that of every role but root
        let of_repository = || behind("DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE");
        EnvSecrets {
            root: secret("NOTARY_ROOT_PASSPHRASE").or_else(|| behind("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE")),
            targets: secret("NOTARY_TARGETS_PASSPHRASE").or_else(of_repository),
            snapshot: secret("NOTARY_SNAPSHOT_PASSPHRASE").or_else(of_repository),
            delegation: secret("NOTARY_DELEGATION_PASSPHRASE").or_else(of_repository),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_passphrases_stand_behind_notarys_and_only_where_docker_is_meant() {
        let everything = [
            ("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", "docker root"),
            ("DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", "docker repository"),
            ("NOTARY_TARGETS_PASSPHRASE", "notary targets"),
        ];
        for (passphrases, role, expected) in [
            (Passphrases::Notarys, "root", None),
            (Passphrases::Notarys, "targets", Some("notary targets")),
            (Passphrases::DockersToo, "root", Some("docker root")),
            (Passphrases::DockersToo, "targets", Some("notary targets")),
            (Passphrases::DockersToo, "snapshot", Some("docker repository")),
            (Passphrases::DockersToo, "alice", Some("docker repository")),
            (Passphrases::DockersToo, "timestamp", None),
        ] {
            let secrets = Environment::of("/", &everything).secrets(passphrases);
            let found = secrets.of_role(role).map(|found| String::from_utf8_lossy(found.expose()).into_owned());
            assert_eq!(found.as_deref(), expected, "{passphrases:?} {role}");
        }
    }

    #[test]
    fn dockers_directory_is_where_docker_has_it() {
        for (variables, expected) in [
            (&[("HOME", "/home/a")][..], Some("/home/a/.docker")),
            (&[("HOME", "/home/a"), ("DOCKER_CONFIG", "ci")], Some("/build/ci")),
            (&[("HOME", "/home/a"), ("DOCKER_CONFIG", "")], Some("/home/a/.docker")),
            (&[], None),
        ] {
            assert_eq!(Environment::of("/build", variables).docker(), expected.map(PathBuf::from), "{variables:?}");
        }
    }
}
