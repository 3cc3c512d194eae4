//! Trust directories: Notary's `-d`, checked before anything in it is believed.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::KeystoreError;

/// The folder of the key files.
const PRIVATE: &str = "private";
/// Notary makes its directories for the owner alone.
const OWNER_ONLY: u32 = 0o700;

/// A trust directory that belongs to us and that nobody else can write. It holds the directory open, so that what was
/// checked is what is used.
#[derive(Debug, Clone)]
pub struct TrustDir {
    path: PathBuf,
    private_path: PathBuf,
    private: Arc<OwnedFd>,
    identity: DirId,
}

/// A directory, whatever its path is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct DirId(u64, u64);

impl TrustDir {
    /// Opens a trust directory and its `private` folder; what does not exist is made, for its owner alone.
    ///
    /// # Errors
    /// `UnsafePath` if it is not absolute, a symbolic link, of another owner, or writable by others; `Io`.
    pub fn open(path: &Path) -> Result<Self, KeystoreError> {
        let path = normal(path)?;
        if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            make(&path)?;
        }
        let dir = rustix::fs::open(&path, DIRECTORY, Mode::empty()).map_err(|errno| not_a_directory(&path, errno))?;
        check(&dir, &path)?;

        let private_path = path.join(PRIVATE);
        match rustix::fs::mkdirat(&dir, PRIVATE, Mode::from_raw_mode(OWNER_ONLY)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(io_error(&private_path, errno)),
        }
        let private = rustix::fs::openat(&dir, PRIVATE, DIRECTORY, Mode::empty())
            .map_err(|errno| not_a_directory(&private_path, errno))?;
        let identity = check(&private, &private_path)?;
        Ok(Self { path, private_path, private: Arc::new(private), identity })
    }

    /// Its path, as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn private_path(&self) -> &Path {
        &self.private_path
    }

    pub(super) fn private(&self) -> BorrowedFd<'_> {
        self.private.as_fd()
    }

    pub(super) fn identity(&self) -> DirId {
        self.identity
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The path without a trailing slash, which would make the kernel follow a symbolic link.
fn normal(path: &Path) -> Result<PathBuf, KeystoreError> {
    if !path.is_absolute() {
        return Err(unsafe_path(path, "a trust directory is named by its absolute path"));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(unsafe_path(path, "it has `..` in it: name it without"));
    }
    Ok(path.components().collect())
}

fn make(path: &Path) -> Result<(), KeystoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(OWNER_ONLY)
        .create(path)
        .map_err(|source| KeystoreError::Io { path: path.to_owned(), source })
}

fn check(dir: &OwnedFd, path: &Path) -> Result<DirId, KeystoreError> {
    let stat = rustix::fs::fstat(dir).map_err(|errno| io_error(path, errno))?;
    if let Some(why) = distrust(&stat) {
        return Err(unsafe_path(path, &why));
    }
    Ok(DirId(stat.st_dev, stat.st_ino))
}

/// Why a file or directory must not be believed: somebody else could have written it.
pub(super) fn distrust(stat: &rustix::fs::Stat) -> Option<String> {
    let euid = rustix::process::geteuid().as_raw();
    if stat.st_uid != euid {
        return Some(format!("it belongs to uid {}, not to uid {euid}", stat.st_uid));
    }
    if stat.st_mode & 0o022 != 0 {
        let mode = stat.st_mode & 0o7777;
        return Some(format!("others can write it (mode {mode:04o}): remove that with `chmod go-w`"));
    }
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory | FileType::RegularFile => None,
        FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => Some("it is neither a file nor a directory".to_owned()),
    }
}

fn not_a_directory(path: &Path, errno: Errno) -> KeystoreError {
    match errno {
        // O_DIRECTORY with O_NOFOLLOW answers ENOTDIR for a symbolic link, ELOOP on some kernels.
        Errno::LOOP | Errno::NOTDIR => {
            unsafe_path(path, "it is a symbolic link or not a directory: name the directory itself")
        }
        other => io_error(path, other),
    }
}

fn unsafe_path(path: &Path, why: &str) -> KeystoreError {
    KeystoreError::UnsafePath { path: path.to_owned(), why: why.to_owned() }
}

pub(super) fn io_error(path: &Path, errno: Errno) -> KeystoreError {
    KeystoreError::Io { path: path.to_owned(), source: errno.into() }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::{KeystoreError, TrustDir};

    fn refused(path: &Path) -> String {
        match TrustDir::open(path) {
            Err(KeystoreError::UnsafePath { why, .. }) => why,
            other => panic!("{}: {other:?}", path.display()),
        }
    }

    #[test]
    fn a_new_directory_is_for_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b");
        TrustDir::open(&path).unwrap();
        for made in ["a", "a/b", "a/b/private"] {
            let mode = fs::metadata(home.path().join(made)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{made}");
        }
    }

    #[test]
    fn a_directory_that_others_write_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("trust");
        TrustDir::open(&path).unwrap();
        fs::set_permissions(path.join("private"), Permissions::from_mode(0o770)).unwrap();
        assert!(refused(&path).contains("0770"));
        fs::set_permissions(path.join("private"), Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o707)).unwrap();
        assert!(refused(&path).contains("0707"));
    }

    #[test]
    fn a_symbolic_link_is_refused_even_with_a_slash() {
        let home = tempfile::tempdir().unwrap();
        let real = home.path().join("real");
        TrustDir::open(&real).unwrap();
        symlink(&real, home.path().join("link")).unwrap();
        assert!(refused(&home.path().join("link")).contains("symbolic link"));
        assert!(refused(&home.path().join("link/")).contains("symbolic link"));

        let other = home.path().join("other");
        fs::create_dir(&other).unwrap();
        symlink(real.join("private"), other.join("private")).unwrap();
        assert!(refused(&other).contains("symbolic link"));
    }

    #[test]
    fn a_path_that_is_not_plain_is_refused() {
        assert!(refused(Path::new("trust")).contains("absolute"));
        assert!(refused(Path::new("/tmp/../tmp/x")).contains(".."));
    }
}
