//! Cached metadata: the exact bytes that were downloaded and verified, or made by `init`.

use std::path::PathBuf;

use bytes::Bytes;
use signet_tuf::Role;

use super::{
    GunDir, TrustDirError,
    disk::{self, Prepared},
    read_if_there, remove_if_there,
};

impl GunDir {
    /// Where verified metadata is kept.
    #[must_use]
    pub fn metadata_dir(&self) -> PathBuf {
        self.base.join("metadata")
    }

    /// Where metadata of a role is kept.
    #[must_use]
    pub fn metadata_path(&self, role: &Role) -> PathBuf {
        self.metadata_dir().join(format!("{role}.json"))
    }

    /// The cached bytes of a role.
    ///
    /// # Errors
    /// [`TrustDirError::Unreadable`].
    pub fn cached(&self, role: &Role) -> Result<Option<Bytes>, TrustDirError> {
        Ok(read_if_there(&self.metadata_path(role))?.map(Into::into))
    }

    /// Keeps verified bytes of a role. What rollbacks are noticed by is synced to the disk; the rest is named by its digest
    /// in the timestamp, and is downloaded again if it is lost.
    ///
    /// # Errors
    /// [`TrustDirError::Unwritable`].
    pub fn keep(&self, role: &Role, wire: &[u8]) -> Result<(), TrustDirError> {
        let path = self.metadata_path(role);
        match role {
            Role::Root | Role::Timestamp => disk::write_whole(&self.base, &path, &[wire]),
            Role::Snapshot | Role::Targets | Role::Delegation(_) => self.prepare(role, wire)?.place(),
        }
    }

    /// Writes what may be kept later, without keeping it: for large metadata, while there is something to wait for.
    ///
    /// # Errors
    /// [`TrustDirError::Unwritable`].
    pub fn prepare(&self, role: &Role, wire: &[u8]) -> Result<Prepared, TrustDirError> {
        Prepared::write(&self.base, &self.metadata_path(role), &[wire]).map(|(prepared, _file)| prepared)
    }

    /// Drops the cached bytes of a role.
    ///
    /// # Errors
    /// [`TrustDirError::Unwritable`].
    pub fn forget(&self, role: &Role) -> Result<(), TrustDirError> {
        remove_if_there(&self.metadata_path(role))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn the_layout_and_the_modes_are_notarys() {
        let trust_dir = tempfile::tempdir().unwrap();
        let dir = GunDir::new(trust_dir.path(), &"example.com/acme".parse().unwrap());
        let role = "targets/releases".parse().unwrap();
        assert_eq!(dir.cached(&role).unwrap(), None);
        dir.keep(&role, b"x").unwrap();
        let path = trust_dir.path().join("tuf/example.com/acme/metadata/targets/releases.json");
        assert_eq!(fs::read(&path).unwrap(), b"x");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(trust_dir.path().join("tuf")).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(dir.cached(&role).unwrap().as_deref(), Some(b"x".as_slice()));
        dir.forget(&role).unwrap();
        dir.forget(&role).unwrap();
        assert_eq!(dir.cached(&role).unwrap(), None);
    }
}
