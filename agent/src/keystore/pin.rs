//! PINs: the ones a token refused, so that they are never sent twice, and the ones that stand in files.

use std::collections::HashSet;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;
use rustix::fs::{FileType, Mode, OFlags};

use super::trustdir::distrust;
use crate::secret::Secret;

/// Longer than any PIN; a larger file is no PIN file.
const MAX_BYTES: u64 = 256;
/// Nobody mistypes a PIN in more ways than this; who does is guessing.
const MAX_REFUSED: usize = 64;

/// The PINs that tokens refused, as keyed hashes whose key ends with the process. Clones share them.
#[derive(Clone)]
pub(super) struct Refused {
    key: hmac::Key,
    tags: Arc<Mutex<HashSet<Vec<u8>>>>,
}

impl Refused {
    /// `None` if the system gives no random numbers.
    pub(super) fn new() -> Option<Self> {
        let mut secret = zeroize::Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(secret.as_mut_slice()).ok()?;
        Some(Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_slice()), tags: Arc::default() })
    }

    pub(super) fn contains(&self, serial: &str, pin: &Secret) -> bool {
        self.tags().contains(&self.tag(serial, pin))
    }

    pub(super) fn insert(&self, serial: &str, pin: &Secret) {
        let tag = self.tag(serial, pin);
        self.tags().insert(tag);
    }

    /// The PIN is another now: what was wrong may be right.
    pub(super) fn clear(&self) {
        self.tags().clear();
    }

    /// So many different PINs were wrong that somebody is guessing.
    pub(super) fn is_full(&self) -> bool {
        self.tags().len() >= MAX_REFUSED
    }

    fn tags(&self) -> MutexGuard<'_, HashSet<Vec<u8>>> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tag(&self, serial: &str, pin: &Secret) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.key);
        // The serial number has no NUL in it, so the two parts cannot run into each other.
        for part in [serial.as_bytes(), &[0], pin.expose()] {
            context.update(part);
        }
        context.sign().as_ref().to_vec()
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refused({})", self.tags().len())
    }
}

/// Reads a PIN file: 0600, ours, one line. Says why not otherwise.
pub(super) fn read_file(path: &Path) -> Result<Secret, String> {
    let said = |why: &str| format!("PIN file {}: {why}", path.display());
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| said(&errno.to_string()))?;
    let stat = rustix::fs::fstat(&file).map_err(|errno| said(&errno.to_string()))?;
    if let Some(why) = distrust(&stat) {
        return Err(said(&why));
    }
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(said("it is not a file"));
    }
    if stat.st_mode & 0o077 != 0 {
        return Err(said(&format!("others can read it (mode {:04o}): `chmod 600` it", stat.st_mode & 0o7777)));
    }
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(512));
    std::fs::File::from(file).take(MAX_BYTES).read_to_end(&mut bytes).map_err(|error| said(&error.to_string()))?;
    let pin: Vec<u8> = bytes.iter().copied().take_while(|byte| !matches!(byte, b'\n' | b'\r')).collect();
    if pin.is_empty() { Err(said("it is empty")) } else { Ok(Secret::from(pin)) }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::{Refused, read_file};
    use crate::secret::Secret;

    #[test]
    fn a_refused_pin_is_known_for_its_token_only() {
        let refused = Refused::new().unwrap();
        let pin = Secret::from(b"1234".to_vec());
        refused.insert("a", &pin);
        assert!(refused.contains("a", &pin));
        assert!(!refused.contains("b", &pin));
        assert!(!refused.contains("a", &Secret::from(b"12345".to_vec())));
    }

    #[test]
    fn a_pin_file_is_for_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("pin");
        fs::write(&path, "123456\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_file(&path).unwrap().expose(), b"123456");
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert!(read_file(&path).unwrap_err().contains(&format!("{mode:04o}")));
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        symlink(&path, home.path().join("link")).unwrap();
        assert!(read_file(&home.path().join("link")).is_err());
        fs::write(&path, "").unwrap();
        assert!(read_file(&path).unwrap_err().contains("empty"));
    }
}
