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

/// Puts `pieces`, one after the other, at `path`, whole or not at all; when this returns, they are on the disk.
///
/// The temporary file is in `scratch` (same file system), never beside the target: Notary takes every file of a changelist
/// for a change.
pub(super) fn write_whole(scratch: &Path, path: &Path, pieces: &[impl AsRef<[u8]>]) -> Result<(), TrustDirError> {
    put(scratch, path, |temporary| {
        write_new(temporary, pieces)?.sync_all()?;
        fs::rename(temporary, path)?;
        path.parent().map_or(Ok(()), sync_dir)
    })
}

/// As [`write_whole`], for what can be had again: a power cut may leave the file empty or as it was before.
pub(super) fn replace(scratch: &Path, path: &Path, bytes: &[u8]) -> Result<(), TrustDirError> {
    put(scratch, path, |temporary| {
        write_new(temporary, &[bytes])?;
        fs::rename(temporary, path)
    })
}

fn put(scratch: &Path, path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), TrustDirError> {
    create_dirs(scratch)?;
    create_dirs(path.parent().unwrap_or(scratch))?;
    let temporary = scratch.join(format!(".signet-{}.tmp", Uuid::new_v4()));
    write(&temporary).map_err(|error| {
        // best effort: what is left over is a hidden file that nobody reads
        drop(fs::remove_file(&temporary));
        unwritable(path, error)
    })
}

fn write_new(path: &Path, pieces: &[impl AsRef<[u8]>]) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    pieces.iter().try_for_each(|piece| file.write_all(piece.as_ref()))?;
    Ok(file)
}

/// Waits until a directory's entries are on disk.
fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
