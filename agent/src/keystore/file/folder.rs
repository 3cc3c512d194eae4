//! The `private` folder of a trust directory: what is in it, read anew each time, and how a key file is written.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;
use signet_tuf::KeyId;
use zeroize::Zeroizing;

use super::codec::{KeyFile, Sealing};
use super::migrate::migrate;
use crate::keystore::KeystoreError;
use crate::keystore::trustdir::{self, DirId, TrustDir};

const SUFFIX: &str = ".key";
/// A key of 8192 bits takes a tenth of this.
const MAX_BYTES: u64 = 64 * 1024;
/// More trust directories than this are not remembered at once.
const MAX_REMEMBERED: usize = 64;

/// What the outside of a key file tells.
#[derive(Debug, Clone)]
pub(super) struct Outside {
    pub(super) id: KeyId,
    pub(super) role: Option<String>,
    pub(super) gun: Option<String>,
    pub(super) sealing: Sealing,
}

/// The outsides of key files that did not change since they were read. The real `notary` works in the same folder, and
/// rewrites files in place, so each file is looked at each time; it is only parsed again if it changed.
#[derive(Debug, Default)]
pub(super) struct Folders(HashMap<DirId, HashMap<KeyId, Remembered>>);

/// A file as it was when it was read, or why it cannot be used.
type Remembered = (Stamp, Result<Outside, String>);

/// Changes whenever the file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: i64,
    changed: (i64, u64),
}

impl Folders {
    /// All key files of a folder, and what is wrong with the ones that cannot be used.
    pub(super) fn read(&mut self, dir: &TrustDir) -> Result<(Vec<Outside>, Vec<String>), KeystoreError> {
        if self.0.len() > MAX_REMEMBERED {
            self.0.clear();
        }
        let mut known = self.0.remove(&dir.identity()).unwrap_or_default();
        let (mut found, mut outsides, mut warnings) = (HashMap::new(), Vec::new(), migrate(dir));
        for id in names(dir)? {
            let stamp = match rustix::fs::statat(dir.private(), file_name(id), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => Stamp::of(&stat),
                // Notary replaces a file by removing and writing it.
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(trustdir::io_error(&path_of(dir, id), errno)),
            };
            let remembered = known.remove(&id).filter(|(seen, _)| *seen == stamp).map(|(_, outside)| outside);
            let outside = remembered.unwrap_or_else(|| outside(dir, id));
            match &outside {
                Ok(outside) => outsides.push(outside.clone()),
                Err(why) => warnings.push(why.clone()),
            }
            found.insert(id, (stamp, outside));
        }
        self.0.insert(dir.identity(), found);
        outsides.sort_by_key(|outside| outside.id);
        warnings.sort();
        Ok((outsides, warnings))
    }
}

impl Stamp {
    fn of(stat: &Stat) -> Self {
        Self { inode: stat.st_ino, bytes: stat.st_size, changed: (stat.st_ctime, stat.st_ctime_nsec) }
    }
}

fn outside(dir: &TrustDir, id: KeyId) -> Result<Outside, String> {
    let file = load(dir, id).map_err(|error| error.to_string())?;
    Ok(Outside { id, sealing: file.sealing(), role: file.role, gun: file.gun })
}

/// The absolute path of a key's file.
pub(super) fn path_of(dir: &TrustDir, id: KeyId) -> PathBuf {
    dir.private_path().join(file_name(id))
}

/// The key that a path of this folder belongs to.
pub(super) fn id_of(dir: &TrustDir, path: &std::path::Path) -> Option<KeyId> {
    if path.parent() == Some(dir.private_path()) { path.file_name().and_then(id_of_name) } else { None }
}

fn file_name(id: KeyId) -> String {
    format!("{id}{SUFFIX}")
}

fn id_of_name(name: &OsStr) -> Option<KeyId> {
    let stem = name.to_str()?.strip_suffix(SUFFIX)?;
    // Notary writes lower case, and would take another file for another key.
    if stem.bytes().any(|byte| byte.is_ascii_uppercase()) { None } else { KeyId::from_str(stem).ok() }
}

fn names(dir: &TrustDir) -> Result<Vec<KeyId>, KeystoreError> {
    let failed = |errno| trustdir::io_error(dir.private_path(), errno);
    let mut names = Vec::new();
    for entry in Dir::read_from(dir.private()).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        names.extend(id_of_name(OsStr::from_bytes(entry.file_name().to_bytes())));
    }
    Ok(names)
}

/// True if the key's file is there.
pub(super) fn exists(dir: &TrustDir, id: KeyId) -> bool {
    rustix::fs::statat(dir.private(), file_name(id), AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// Reads a key file, if nobody else could have written it.
pub(super) fn load(dir: &TrustDir, id: KeyId) -> Result<KeyFile, KeystoreError> {
    load_text(dir, id).map(|(file, _)| file)
}

/// The same, with the text itself.
pub(super) fn load_text(dir: &TrustDir, id: KeyId) -> Result<(KeyFile, Zeroizing<Vec<u8>>), KeystoreError> {
    let path = path_of(dir, id);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::openat(dir.private(), file_name(id), flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOENT => KeystoreError::UnknownKey { key: id.to_string() },
        Errno::LOOP => KeystoreError::UnsafePath { path: path.clone(), why: "it is a symbolic link".to_owned() },
        other => trustdir::io_error(&path, other),
    })?;
    let stat = rustix::fs::fstat(&file).map_err(|errno| trustdir::io_error(&path, errno))?;
    if let Some(why) = trustdir::distrust(&stat) {
        return Err(KeystoreError::UnsafePath { path, why });
    }
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(KeystoreError::UnsafePath { path, why: "it is not a file".to_owned() });
    }
    let mut text = Zeroizing::new(Vec::new());
    let read = std::fs::File::from(file).take(MAX_BYTES).read_to_end(&mut text);
    read.map_err(|source| KeystoreError::Io { path: path.clone(), source })?;
    let file = KeyFile::parse(&text).map_err(|why| KeystoreError::CorruptKey { path, why })?;
    Ok((file, text))
}

/// Removes a key file; when this returns, it is gone from the disk.
pub(super) fn remove(dir: &TrustDir, id: KeyId) -> Result<(), KeystoreError> {
    let failed = |errno| trustdir::io_error(&path_of(dir, id), errno);
    rustix::fs::unlinkat(dir.private(), file_name(id), AtFlags::empty()).map_err(failed)?;
    rustix::fs::fsync(dir.private()).map_err(failed)
}

/// What may stand under the file's name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// Nothing: the key is new.
    Forbidden,
    /// The same key under another passphrase.
    Replaced,
}

/// Writes a key file so that a crash leaves either none, the old one or the new one.
pub(super) fn store(dir: &TrustDir, id: KeyId, text: &str, existing: Existing) -> Result<(), KeystoreError> {
    let path = path_of(dir, id);
    let failed = |errno| trustdir::io_error(&path, errno);
    let temporary = temporary_name()?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    let file = rustix::fs::openat(dir.private(), &temporary, flags, mode).map_err(failed)?;
    let stored = write(file, text)
        .map_err(|source| KeystoreError::Io { path: path.clone(), source })
        .and_then(|()| put(dir, &temporary, id, existing));
    if stored.is_err() {
        if let Err(error) = rustix::fs::unlinkat(dir.private(), &temporary, AtFlags::empty()) {
            tracing::warn!(%error, temporary, "a temporary file stays in the trust directory");
        }
        return stored;
    }
    rustix::fs::fsync(dir.private()).map_err(failed)
}

fn write(file: OwnedFd, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::from(file);
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn put(dir: &TrustDir, temporary: &str, id: KeyId, existing: Existing) -> Result<(), KeystoreError> {
    let (private, name) = (dir.private(), file_name(id));
    let renamed = match existing {
        Existing::Replaced => rustix::fs::renameat(private, temporary, private, &name),
        Existing::Forbidden => {
            match rustix::fs::renameat_with(private, temporary, private, &name, RenameFlags::NOREPLACE) {
                // File systems without RENAME_NOREPLACE, NFS for one: link(2) never replaces either.
                Err(Errno::INVAL | Errno::NOSYS) => {
                    rustix::fs::linkat(private, temporary, private, &name, AtFlags::empty())
                        .and_then(|()| rustix::fs::unlinkat(private, temporary, AtFlags::empty()))
                }
                other => other,
            }
        }
    };
    renamed.map_err(|errno| match errno {
        Errno::EXIST => KeystoreError::KeyExists { path: path_of(dir, id) },
        other => trustdir::io_error(&path_of(dir, id), other),
    })
}

/// A name that Notary does not take for a key.
fn temporary_name() -> Result<String, KeystoreError> {
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| KeystoreError::Busy)?;
    Ok(format!(".signet-{}.tmp", hex::encode(random)))
}
