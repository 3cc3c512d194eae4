//! Files that appear whole or not at all, for nobody but us.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{TrustDirError, unwritable};

/// Creates a directory and its parents, each for us alone.
pub(super) fn create_dirs(path: &Path) -> Result<(), TrustDirError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| unwritable(path, e))
}

/// Opens a file of ours for locking, or makes it.
pub(super) fn open_private(path: &Path) -> Result<File, TrustDirError> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    opened.map_err(|e| unwritable(path, e))
}

/// Puts `pieces`, one after the other, at `path`, whole or not at all; when this returns, they are on the disk.
///
/// The temporary file is in `scratch` (same file system), never beside the target: Notary takes every file of a changelist
/// for a change.
pub(super) fn write_whole(scratch: &Path, path: &Path, pieces: &[impl AsRef<[u8]>]) -> Result<(), TrustDirError> {
    let (prepared, file) = Prepared::write(scratch, path, pieces)?;
    file.sync_all().map_err(|e| unwritable(path, e))?;
    prepared.place()?;
    path.parent().map_or(Ok(()), sync_dir).map_err(|e| unwritable(path, e))
}

/// A file that is written and not yet in its place. Dropped, it is gone.
#[derive(Debug)]
#[must_use]
pub struct Prepared {
    temporary: PathBuf,
    path: PathBuf,
}

impl Prepared {
    /// Writes it and syncs nothing: once placed, a power cut may leave the file empty or as it was before.
    pub(super) fn write(
        scratch: &Path,
        path: &Path,
        pieces: &[impl AsRef<[u8]>],
    ) -> Result<(Self, File), TrustDirError> {
        create_dirs(scratch)?;
        create_dirs(path.parent().unwrap_or(scratch))?;
        let temporary = scratch.join(format!(".signet-{}.tmp", Uuid::new_v4()));
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let mut file = opened.map_err(|e| unwritable(path, e))?;
        let prepared = Self { temporary, path: path.to_owned() };
        let written = pieces.iter().try_for_each(|piece| file.write_all(piece.as_ref()));
        written.map_err(|e| unwritable(path, e)).map(|()| (prepared, file))
    }

    /// Puts it in the place of what is there.
    ///
    /// # Errors
    /// [`TrustDirError::Unwritable`].
    pub fn place(self) -> Result<(), TrustDirError> {
        fs::rename(&self.temporary, &self.path).map_err(|e| unwritable(&self.path, e))
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // once placed, nothing is there; best effort: what is left over is a hidden file that nobody reads
        drop(fs::remove_file(&self.temporary));
    }
}

/// Waits until a directory's entries are on disk.
fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
