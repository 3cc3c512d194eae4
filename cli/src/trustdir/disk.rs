//! Files that appear whole or not at all, for nobody but us.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
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

/// Puts `bytes` at `path`: temporary file in `scratch` (same file system), fsync, rename, fsync of the directory.
///
/// The temporary file is never beside the target: Notary takes every file of a changelist for a change.
pub(super) fn write_whole(scratch: &Path, path: &Path, bytes: &[u8]) -> Result<(), TrustDirError> {
    let parent = path.parent().unwrap_or(scratch);
    create_dirs(scratch)?;
    create_dirs(parent)?;
    let temporary = scratch.join(format!(".signet-{}.tmp", Uuid::new_v4()));
    let result =
        write_synced(&temporary, bytes).and_then(|()| fs::rename(&temporary, path)).and_then(|()| sync_dir(parent));
    result.map_err(|error| {
        // best effort: what is left over is a hidden file that nobody reads
        drop(fs::remove_file(&temporary));
        unwritable(path, error)
    })
}

/// Writes a new file and waits until it is on disk.
pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Waits until a directory's entries are on disk.
pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
