//! Key files of Notary before 0.4, moved to where they are since: `root_keys/ID.key` and `tuf_keys/GUN/ID.key`, in 0.1 with the
//! role behind the ID. Directory and name become headers.
//!
//! The new file is on the disk before the old one goes, so a crash in between leaves both, and the next look removes the old
//! one. What cannot be moved stays, and is named.

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use signet_tuf::KeyId;
use zeroize::Zeroizing;

use super::codec::{self, KeyFile};
use super::folder::{self, Existing};
use crate::keystore::KeystoreError;
use crate::keystore::trustdir::{self, TrustDir};

/// Where Notary before 0.4 kept keys, below `private`.
const FOLDERS: [&str; 2] = ["root_keys", "tuf_keys"];
/// No collection's name has so many parts.
const MAX_DEPTH: usize = 64;
const MAX_BYTES: u64 = 64 * 1024;
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Moves what is there to be moved; says what was left, one sentence each.
pub(super) fn migrate(dir: &TrustDir) -> Vec<String> {
    let mut move_ = Move { dir, left: Vec::new() };
    for name in FOLDERS {
        match rustix::fs::openat(dir.private(), name, DIRECTORY, Mode::empty()) {
            Ok(folder) => {
                move_.folder(&folder, &dir.private_path().join(name), &mut Vec::new());
                remove_if_empty(&dir.private(), name);
            }
            Err(Errno::NOENT) => {}
            Err(errno) => move_.leave(&dir.private_path().join(name), &errno.to_string()),
        }
    }
    move_.left
}

struct Move<'a> {
    dir: &'a TrustDir,
    left: Vec<String>,
}

/// A key file under an old name.
struct Old {
    id: KeyId,
    role: Option<String>,
    gun: Option<String>,
}

impl Move<'_> {
    fn leave(&mut self, path: &Path, why: &str) {
        self.left.push(format!("the old key file {} was not moved: {why}", path.display()));
    }

    /// `parts` are those of the collection's name so far.
    fn folder(&mut self, folder: &OwnedFd, path: &Path, parts: &mut Vec<String>) {
        let trusted = rustix::fs::fstat(folder).ok().and_then(|stat| trustdir::distrust(&stat));
        if let Some(why) = trusted {
            return self.leave(path, &why);
        }
        let entries = match Dir::read_from(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
            Ok(entries) => entries,
            Err(errno) => return self.leave(path, &errno.to_string()),
        };
        for entry in entries {
            let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_string_lossy().into_owned();
            if name == "." || name == ".." {
                continue;
            }
            let inner = path.join(&name);
            let kind = rustix::fs::statat(folder, name.as_str(), AtFlags::SYMLINK_NOFOLLOW)
                .map(|stat| FileType::from_raw_mode(stat.st_mode));
            match kind {
                Ok(FileType::Directory) if parts.len() < MAX_DEPTH => {
                    match rustix::fs::openat(folder, name.as_str(), DIRECTORY, Mode::empty()) {
                        Ok(below) => {
                            parts.push(name.clone());
                            self.folder(&below, &inner, parts);
                            parts.pop();
                            remove_if_empty(folder, &name);
                        }
                        Err(errno) => self.leave(&inner, &errno.to_string()),
                    }
                }
                Ok(FileType::RegularFile) => {
                    if let Err(why) = self.file(folder, &inner, &name, parts) {
                        self.leave(&inner, &why);
                    }
                }
                Ok(_) => self.leave(&inner, "it is neither a file nor a directory"),
                Err(errno) => self.leave(&inner, &errno.to_string()),
            }
        }
    }

    fn file(&self, folder: &OwnedFd, path: &Path, name: &str, parts: &[String]) -> Result<(), String> {
        let old = Old::parse(name, parts).ok_or("its name is not that of a key")?;
        let text = read(folder, name)?;
        let inside = KeyFile::parse(&text)?;
        let (role, gun) = (old.role.or(inside.role), old.gun.or(inside.gun));
        let mut headers: Vec<(&str, &str)> = gun.iter().map(|gun| ("gun", gun.as_str())).collect();
        headers.extend(role.iter().map(|role| ("role", role.as_str())));
        let moved = codec::relabelled(&text, &headers)?;
        match folder::store(self.dir, old.id, &moved, Existing::Forbidden) {
            Ok(()) => {}
            Err(KeystoreError::KeyExists { path }) if self.is_there(old.id, &moved) => {
                tracing::debug!("{} is there already", path.display());
            }
            Err(error) => return Err(error.to_string()),
        }
        rustix::fs::unlinkat(folder, name, AtFlags::empty())
            .and_then(|()| rustix::fs::fsync(folder))
            .map_err(|errno| errno.to_string())?;
        tracing::info!("moved {} to {}", path.display(), folder::path_of(self.dir, old.id).display());
        Ok(())
    }

    /// Whether the same key under the same passphrase stands there: what a crash left.
    fn is_there(&self, id: KeyId, moved: &str) -> bool {
        let body = |text: &str| pem::parse(text).map(pem::Pem::into_contents).ok();
        let there = folder::load_text(self.dir, id).ok().and_then(|(_, text)| body(&String::from_utf8_lossy(&text)));
        there.is_some() && there == body(moved)
    }
}

impl Old {
    fn parse(name: &str, parts: &[String]) -> Option<Self> {
        let stem = name.strip_suffix(".key")?;
        let (id, role) = stem.split_once('_').map_or((stem, None), |(id, role)| (id, Some(role.to_owned())));
        let gun = (!parts.is_empty()).then(|| parts.join("/"));
        Some(Self { id: id.parse().ok()?, role: role.filter(|role| !role.is_empty()), gun })
    }
}

fn read(folder: &OwnedFd, name: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::openat(folder, name, flags, Mode::empty()).map_err(|errno| errno.to_string())?;
    let stat = rustix::fs::fstat(&file).map_err(|errno| errno.to_string())?;
    if let Some(why) = trustdir::distrust(&stat) {
        return Err(why);
    }
    let mut text = Zeroizing::new(Vec::new());
    std::fs::File::from(file).take(MAX_BYTES).read_to_end(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

/// A folder in which something was left stays.
fn remove_if_empty(parent: &impl AsFd, name: &str) {
    if let Err(errno) = rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        tracing::debug!(%errno, name, "an old folder of keys stays");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use signet_tuf::Algorithm;

    use super::super::private::PrivateKey;
    use super::*;
    use crate::secret::Secret;

    fn key_text() -> (KeyId, String) {
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
        let passphrase = Secret::from(b"passphrase".to_vec());
        (key.public().canonical_id(), codec::seal(&key, &passphrase, None, None).unwrap())
    }

    fn put(dir: &TrustDir, name: &str, text: &str) -> PathBuf {
        let path = dir.private_path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn directory_and_name_become_headers() {
        let home = tempfile::tempdir().unwrap();
        let dir = TrustDir::open(&home.path().join("trust")).unwrap();
        let (root, root_text) = key_text();
        let (targets, targets_text) = key_text();
        put(&dir, &format!("root_keys/{root}_root.key"), &root_text);
        put(&dir, &format!("tuf_keys/example.com/a/{targets}_targets.key"), &targets_text);
        assert_eq!(migrate(&dir), Vec::<String>::new());
        for (id, role, gun) in [(root, "root", None), (targets, "targets", Some("example.com/a"))] {
            let file = folder::load(&dir, id).unwrap();
            assert_eq!((file.role.as_deref(), file.gun.as_deref()), (Some(role), gun));
            assert!(file.open(&Secret::from(b"passphrase".to_vec())).is_ok());
        }
        assert!(!dir.private_path().join("root_keys").exists() && !dir.private_path().join("tuf_keys").exists());
    }

    #[test]
    fn a_crash_between_both_files_is_harmless_and_another_file_is_never_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let dir = TrustDir::open(&home.path().join("trust")).unwrap();
        let (id, text) = key_text();
        let old = put(&dir, &format!("tuf_keys/g/{id}_targets.key"), &text);
        assert!(migrate(&dir).is_empty());
        let moved = fs::read(folder::path_of(&dir, id)).unwrap();
        put(&dir, &format!("tuf_keys/g/{id}_targets.key"), &text);
        assert!(migrate(&dir).is_empty(), "the old file of a crash is removed");
        assert!(!old.exists());
        assert_eq!(fs::read(folder::path_of(&dir, id)).unwrap(), moved);

        let (_, other) = key_text();
        put(&dir, &format!("tuf_keys/g/{id}_targets.key"), &other);
        let left = migrate(&dir);
        assert!(left.len() == 1 && left[0].contains(&id.to_string()) && old.exists(), "{left:?}");
        assert_eq!(fs::read(folder::path_of(&dir, id)).unwrap(), moved);
    }

    #[test]
    fn what_is_no_key_stays_and_is_named() {
        let home = tempfile::tempdir().unwrap();
        let dir = TrustDir::open(&home.path().join("trust")).unwrap();
        let (id, text) = key_text();
        let kept = [
            put(&dir, "root_keys/notes.txt", "notes"),
            put(&dir, "root_keys/short.key", &text),
            put(&dir, &format!("root_keys/{id}_root.key"), "garbage"),
        ];
        let link = dir.private_path().join("tuf_keys");
        std::os::unix::fs::symlink(home.path(), &link).unwrap();
        let left = migrate(&dir);
        assert_eq!(left.len(), 4, "{left:?}");
        for path in kept.iter().chain([&link]) {
            assert!(path.symlink_metadata().is_ok(), "{}", path.display());
            assert!(left.iter().any(|sentence| sentence.contains(path.to_str().unwrap())), "{left:?}");
        }
    }
}
