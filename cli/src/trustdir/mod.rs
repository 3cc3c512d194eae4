//! One collection's part of a trust directory, laid out as Notary does, and shared with it.
//!
//! `tuf/<GUN>/metadata` holds verified downloads, `changelist` what is staged, `outbox` what is signed and not yet known to be
//! published. Files appear whole (temporary file, fsync, rename): the real `notary` may read at any moment.

mod cache;
pub mod change;
pub mod changelist;
mod disk;
pub mod edit;
pub mod outbox;
pub mod rotation;
pub mod unfinished;

pub use self::disk::Prepared;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use signet_tuf::Gun;
use thiserror::Error;
use tokio::time::{Instant, sleep};

/// How long another publish of the same collection may hold the lock.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long the pause is before a file is looked at again.
pub const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long another program, such as the real `notary`, may take to write a file that it has created under its name.
pub const HALF_WRITTEN: Duration = Duration::from_millis(500);

/// The directory of one collection.
#[derive(Debug, Clone)]
pub struct GunDir {
    base: PathBuf,
    gun: Gun,
}

/// Held while one of our publishes works on a collection; dropped, it is free again.
#[derive(Debug)]
#[must_use]
pub struct Lock {
    _file: File,
}

impl GunDir {
    /// The directory of `gun` in the trust directory; touches nothing.
    #[must_use]
    pub fn new(trust_dir: &Path, gun: &Gun) -> Self {
        Self { base: trust_dir.join("tuf").join(gun.as_str()), gun: gun.clone() }
    }

    /// The collection.
    #[must_use]
    pub const fn gun(&self) -> &Gun {
        &self.gun
    }

    /// Waits until no other publish of ours works on the collection.
    ///
    /// # Errors
    /// [`TrustDirError::Unwritable`], or [`TrustDirError::Busy`] after ten minutes.
    pub async fn lock(&self) -> Result<Lock, TrustDirError> {
        disk::create_dirs(&self.base)?;
        let path = self.lock_path();
        let mut file = disk::open_private(&path)?;
        let since = Instant::now();
        let mut told = false;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if is_still(&file, &path) => break,
                // whoever held it has deleted the collection, and the lock with it
                Ok(()) => {
                    disk::create_dirs(&self.base)?;
                    file = disk::open_private(&path)?;
                    continue;
                }
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(unwritable(&path, error.into())),
            }
            if since.elapsed() > PATIENCE {
                return Err(TrustDirError::Busy { gun: self.gun.to_string(), path });
            }
            if !told && since.elapsed() > Duration::from_secs(1) {
                tracing::warn!("waiting for another command that works on {} in this trust directory", self.gun);
                told = true;
            }
            sleep(LOOK_AGAIN).await;
        }
        outbox::sweep(&self.base)?;
        Ok(Lock { _file: file })
    }
}

impl GunDir {
    /// Removes what is known of the collection and what is staged for it; other collections below its name stay.
    ///
    /// # Errors
    /// [`TrustDirError::Unwritable`], [`TrustDirError::Busy`].
    pub async fn delete(&self) -> Result<(), TrustDirError> {
        let lock = self.lock().await?;
        self.clear_outbox()?;
        self.forget_signings()?;
        self.end_rotation()?;
        for folder in [self.metadata_dir(), self.changelist()] {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unwritable(&folder, error)),
                Ok(()) | Err(_) => {}
            }
        }
        remove_if_there(&self.lock_path())?;
        drop(lock);
        // what is not empty belongs to another collection, or is the trust directory's own
        let parts = self.gun.as_str().split('/').count();
        for folder in self.base.ancestors().take(parts) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn lock_path(&self) -> PathBuf {
        self.base.join(".signet.lock")
    }
}

/// Why the trust directory cannot be used.
#[derive(Debug, Error)]
pub enum TrustDirError {
    /// A file or directory cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file or directory cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Unwritable {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A staged change that makes no sense.
    #[error("the staged change {} cannot be read: {problem}", path.display())]
    CorruptChange {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The root that everything is trusted by is damaged.
    #[error("the trusted root {} cannot be used: {problem}", path.display())]
    CorruptRoot {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Signed files that were changed after they were put away.
    #[error("the outbox {} is damaged: {problem}", path.display())]
    CorruptOutbox {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A rotation that was begun and cannot be read.
    #[error("the unfinished rotation {} is damaged: {problem}", path.display())]
    CorruptRotation {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Another command holds the collection.
    #[error("another command works on {gun} in this trust directory: {} is locked", path.display())]
    Busy {
        /// The collection.
        gun: String,
        /// The lock.
        path: PathBuf,
    },
}

impl TrustDirError {
    /// What the person can do.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { .. } => "make it readable for you, or give another trust directory with -d".into(),
            Self::Unwritable { .. } => "make it writable for you, or give another trust directory with -d".into(),
            Self::CorruptChange { .. } => {
                "look at the file, and remove it if it is not wanted; nothing was published".into()
            }
            Self::CorruptRoot { path, .. } => format!(
                "restore {} from a backup; without it the collection would be trusted anew at first sight",
                path.display()
            ),
            Self::CorruptOutbox { .. } => "publish again: what is staged is signed anew".into(),
            Self::CorruptRotation { path, .. } => {
                format!("remove {} and rotate again; the keys that were made are in `key list`", path.display())
            }
            Self::Busy { .. } => "wait for it, or end it".into(),
        })
    }
}

fn unreadable(path: &Path, source: io::Error) -> TrustDirError {
    TrustDirError::Unreadable { path: path.to_owned(), source }
}

fn unwritable(path: &Path, source: io::Error) -> TrustDirError {
    TrustDirError::Unwritable { path: path.to_owned(), source }
}

/// Whether the open file is the one at that path.
fn is_still(file: &File, path: &Path) -> bool {
    match (rustix::fs::fstat(file), rustix::fs::stat(path)) {
        (Ok(open), Ok(there)) => (open.st_dev, open.st_ino) == (there.st_dev, there.st_ino),
        (Ok(_) | Err(_), _) => false,
    }
}

/// A file's bytes, or none if there is no such file.
fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, TrustDirError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(unreadable(path, error)),
    }
}

/// Removes a file; one that is gone already is fine.
fn remove_if_there(path: &Path) -> Result<(), TrustDirError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unwritable(path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_publish_waits_for_the_first() {
        let trust_dir = tempfile::tempdir().unwrap();
        let dir = GunDir::new(trust_dir.path(), &"a/b".parse().unwrap());
        let first = dir.lock().await.unwrap();
        let mut second = Box::pin(dir.lock());
        let waited = tokio::time::timeout(Duration::from_millis(120), &mut second).await;
        assert!(waited.is_err());
        drop(first);
        assert!(second.await.is_ok());
    }

    #[tokio::test]
    async fn a_deleted_collection_leaves_nothing_and_its_neighbours() {
        let trust_dir = tempfile::tempdir().unwrap();
        let dir = |gun: &str| GunDir::new(trust_dir.path(), &gun.parse().unwrap());
        let (outer, inner) = (dir("a/b"), dir("a/b/c"));
        let role = signet_tuf::Role::Root;
        outer.keep(&role, b"outer").unwrap();
        inner.keep(&role, b"inner").unwrap();
        let held = outer.lock().await.unwrap();
        let mut waiting = Box::pin(outer.lock());
        assert!(tokio::time::timeout(Duration::from_millis(80), &mut waiting).await.is_err());
        drop(held);
        outer.delete().await.unwrap();
        assert_eq!(outer.cached(&role).unwrap(), None);
        assert_eq!(inner.cached(&role).unwrap().as_deref(), Some(b"inner".as_slice()));
        let lock = waiting.await.unwrap();
        assert!(outer.lock_path().exists(), "the lock that is held is the one that others see");
        drop(lock);
        outer.delete().await.unwrap();
        inner.delete().await.unwrap();
        assert!(!trust_dir.path().join("tuf/a").exists() && trust_dir.path().join("tuf").exists());
    }
}
