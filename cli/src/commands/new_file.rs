//! Files that a command makes beside the trust directory; none that is there is overwritten.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use crate::exit::CliError;

/// Mode of a file for its owner alone.
pub(super) const OWNERS: u32 = 0o600;

/// Writes a file that was not there, and waits until it is on the disk.
pub(super) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // half a file is worse than none
        drop(fs::remove_file(path));
    }
    written
}

/// Says which file cannot be written.
pub(super) fn failed(path: &Path, error: &io::Error) -> CliError {
    let is_there = error.kind() == io::ErrorKind::AlreadyExists;
    let remedy = if is_there { "give another name with -o" } else { "check the path given with -o" };
    CliError::with_remedy(format!("cannot write {}: {error}", path.display()), remedy)
}
