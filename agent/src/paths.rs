//! Where the agent keeps its state and its socket.

use std::{
    fs, io,
    os::unix::{ffi::OsStrExt, fs::DirBuilderExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use signet_tuf::Digest;

/// The parts of the environment that say where things are.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `HOME`
    pub home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`
    pub config_home: Option<PathBuf>,
    /// `XDG_STATE_HOME`
    pub state_home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`
    pub runtime_dir: Option<PathBuf>,
    /// `SIGNET_STATE_DIR`
    pub signet_state_dir: Option<PathBuf>,
}

/// A place that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// Nothing says where home is.
    #[error("neither SIGNET_STATE_DIR, XDG_STATE_HOME nor HOME is set to an absolute path: give --state-dir")]
    NoHome,
    /// A directory that is not ours alone.
    #[error("{} must not be used: {why}", path.display())]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// The system says no.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Environment {
    /// Reads the process's environment; relative paths do not count (XDG Base Directory Specification).
    #[must_use]
    pub fn of_process() -> Self {
        let path = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Self {
            home: path("HOME"),
            config_home: path("XDG_CONFIG_HOME"),
            state_home: path("XDG_STATE_HOME"),
            runtime_dir: path("XDG_RUNTIME_DIR"),
            signet_state_dir: path("SIGNET_STATE_DIR"),
        }
    }

    /// The state directory.
    ///
    /// # Errors
    /// [`PathError::NoHome`].
    pub fn state_dir(&self) -> Result<PathBuf, PathError> {
        let in_home = || self.home.as_ref().map(|home| home.join(".local/state/signet"));
        self.signet_state_dir
            .clone()
            .or_else(|| self.state_home.as_ref().map(|dir| dir.join("signet")))
            .or_else(in_home)
            .ok_or(PathError::NoHome)
    }

    /// Configuration files, the first that exists counts.
    #[must_use]
    pub fn config_files(&self) -> Vec<PathBuf> {
        let user = self.config_home.clone().or_else(|| self.home.as_ref().map(|home| home.join(".config")));
        user.into_iter().chain([PathBuf::from("/etc")]).map(|dir| dir.join("signet/agent.toml")).collect()
    }

    /// The socket of the agent that serves the ledger in `state_dir`: no two state directories share one.
    #[must_use]
    pub fn socket(&self, state_dir: &Path, uid: u32) -> PathBuf {
        let ours = |dir: &PathBuf| fs::metadata(dir).is_ok_and(|found| found.is_dir() && found.uid() == uid);
        let dir = match self.runtime_dir.as_ref().filter(|dir| ours(dir)) {
            Some(dir) => dir.join("signet"),
            None => PathBuf::from(format!("/tmp/signet-{uid}")),
        };
        let digest = Digest::of(state_dir.as_os_str().as_bytes()).to_string();
        dir.join(format!("agent-{}.sock", digest.get(..16).unwrap_or(&digest)))
    }
}

/// Checks that nobody but root and this user can change a file that tells the agent what to load.
///
/// # Errors
/// [`PathError::Unsafe`] says what is wrong with it; [`PathError::Io`] if it cannot be looked at.
pub fn trusted_file(path: &Path, uid: u32) -> Result<(), PathError> {
    let found = fs::metadata(path).map_err(|source| PathError::Io { path: path.to_owned(), source })?;
    let unsafe_because = |why| Err(PathError::Unsafe { path: path.to_owned(), why });
    if found.uid() != uid && found.uid() != 0 {
        return unsafe_because("it belongs to another user");
    }
    if found.mode() & 0o022 != 0 {
        return unsafe_because("others can write it: chmod go-w");
    }
    Ok(())
}

/// Makes a directory for this user alone, or checks that it is one: a real directory, ours, 0700.
///
/// # Errors
/// [`PathError::Unsafe`] says what is wrong with it.
pub fn private_dir(path: &Path, uid: u32) -> Result<(), PathError> {
    let io = |source| PathError::Io { path: path.to_owned(), source };
    if let Some(parent) = path.parent()
        && !parent.exists()
    {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(io)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(io(error)),
    }
    let unsafe_because = |why| Err(PathError::Unsafe { path: path.to_owned(), why });
    let found = fs::symlink_metadata(path).map_err(io)?;
    if !found.is_dir() {
        return unsafe_because("it is not a directory");
    }
    if found.uid() != uid {
        return unsafe_because("it belongs to another user");
    }
    if found.mode() & 0o077 != 0 {
        return unsafe_because("others have rights in it: chmod 0700");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn uid() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    #[test]
    fn the_state_directory_is_found_in_order() {
        let mut environment = Environment { home: Some("/home/me".into()), ..Environment::default() };
        assert_eq!(environment.state_dir().unwrap(), Path::new("/home/me/.local/state/signet"));
        environment.state_home = Some("/state".into());
        assert_eq!(environment.state_dir().unwrap(), Path::new("/state/signet"));
        environment.signet_state_dir = Some("/mine".into());
        assert_eq!(environment.state_dir().unwrap(), Path::new("/mine"));
        assert!(Environment::default().state_dir().is_err());
    }

    #[test]
    fn two_state_directories_have_two_sockets() {
        let environment = Environment::default();
        let (one, other) = (environment.socket(Path::new("/a"), 7), environment.socket(Path::new("/b"), 7));
        assert_ne!(one, other);
        assert_eq!(one.parent(), Some(Path::new("/tmp/signet-7")));
    }

    #[test]
    fn a_file_that_others_can_write_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("agent.toml");
        fs::write(&file, "").unwrap();
        for (mode, trusted) in [(0o600, true), (0o644, true), (0o664, false), (0o646, false)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(trusted_file(&file, uid()).is_ok(), trusted, "{mode:o}");
        }
        assert!(matches!(trusted_file(&temp.path().join("none"), uid()), Err(PathError::Io { .. })));
    }

    #[test]
    fn a_directory_that_others_could_use_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let (open, link, file) = (temp.path().join("open"), temp.path().join("link"), temp.path().join("file"));
        private_dir(&temp.path().join("new/deep"), uid()).unwrap();
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        symlink(temp.path().join("new"), &link).unwrap();
        fs::write(&file, "").unwrap();
        for path in [&open, &link, &file] {
            assert!(matches!(private_dir(path, uid()), Err(PathError::Unsafe { .. })), "{}", path.display());
        }
        assert!(private_dir(&temp.path().join("new"), uid() + 1).is_err());
    }
}
