//! Staged changes: one file each, in the folder that Notary uses too.

use std::{collections::BTreeMap, io, num::NonZero, os::fd::OwnedFd, path::PathBuf, thread, time::Instant};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat},
    io::Errno,
};
use signet_tuf::Digest;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{GunDir, HALF_WRITTEN, LOOK_AGAIN, TrustDirError, change::Change, disk, unreadable, unwritable};

/// A thread of its own would cost more than reading so few files.
const SMALL_SHARE: usize = 256;

/// A change and the file that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// The file's name.
    pub name: String,
    /// SHA-256 of the file.
    pub digest: Digest,
    /// The change.
    pub change: Change,
    stamp: Stamp,
}

impl Staged {
    /// A change that is not staged, to see what it would do.
    #[must_use]
    pub fn only_thought_of(change: Change) -> Self {
        let digest = Digest::of(change.to_file().as_bytes());
        Self { name: "not staged".to_owned(), digest, change, stamp: Stamp::default() }
    }
}

impl GunDir {
    pub(super) fn changelist(&self) -> PathBuf {
        self.base.join("changelist")
    }

    /// Everything that is staged, in the order in which it is applied: by file name.
    ///
    /// # Errors
    /// [`TrustDirError::CorruptChange`] names a file that is no change; [`TrustDirError::Unreadable`].
    pub fn changes(&self) -> Result<Vec<Staged>, TrustDirError> {
        let Some(folder) = Folder::open(self.changelist())? else { return Ok(Vec::new()) };
        let read = in_shares(&folder.names()?, |names| folder.read_all(names))?;
        Ok(read.into_iter().flatten().collect())
    }

    /// Stages changes, in this order.
    ///
    /// # Errors
    /// [`TrustDirError::Unwritable`].
    pub fn stage(&self, changes: &[Change], now: OffsetDateTime) -> Result<(), TrustDirError> {
        for (later, change) in (0_i128..).zip(changes) {
            let nanos = now.unix_timestamp_nanos().saturating_add(later);
            let name = format!("{nanos:020}_{}.change", Uuid::new_v4());
            disk::write_whole(&self.base, &self.changelist().join(name), &[change.to_file().as_bytes()])?;
        }
        Ok(())
    }

    /// Removes staged changes that are published, each only if it is still what was published. `staged` are changes as they
    /// were read; whatever is not touched since is not read again.
    ///
    /// # Errors
    /// [`TrustDirError::Unreadable`], [`TrustDirError::Unwritable`].
    pub fn unstage(&self, published: &[(String, Digest)], staged: &[Staged]) -> Result<(), TrustDirError> {
        let Some(folder) = Folder::open(self.changelist())? else { return Ok(()) };
        let known: BTreeMap<_, _> = staged.iter().map(|change| (change.name.as_str(), change)).collect();
        let remove = |(name, digest): &(String, Digest)| {
            let read = known.get(name.as_str()).filter(|staged| staged.digest == *digest);
            let untouched = read.is_some_and(|staged| folder.stamp(name) == Some(staged.stamp));
            if untouched || folder.read(name)?.is_some_and(|(bytes, _)| Digest::of(&bytes) == *digest) {
                folder.remove(name)?;
            }
            Ok(())
        };
        in_shares(published, |share| share.iter().try_for_each(remove)).map(drop)
    }
}

impl GunDir {
    /// Removes every staged change, also those that cannot be read.
    ///
    /// # Errors
    /// [`TrustDirError::Unreadable`], [`TrustDirError::Unwritable`].
    pub fn unstage_all(&self) -> Result<(), TrustDirError> {
        let Some(folder) = Folder::open(self.changelist())? else { return Ok(()) };
        folder.names()?.iter().try_for_each(|name| folder.remove(name))
    }
}

/// Does `work` on shares of `all` in as many threads as there are processors: a release may stage ten thousand targets.
fn in_shares<T: Sync, R: Send>(
    all: &[T],
    work: impl Fn(&[T]) -> Result<R, TrustDirError> + Sync,
) -> Result<Vec<R>, TrustDirError> {
    if all.len() <= SMALL_SHARE {
        return Ok(vec![work(all)?]);
    }
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let share = all.len().div_ceil(workers).max(SMALL_SHARE);
    thread::scope(|scope| {
        let workers: Vec<_> = all.chunks(share).map(|share| scope.spawn(|| work(share))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// The folder of the changes, held open: a path is walked once, not for every file.
struct Folder {
    path: PathBuf,
    descriptor: OwnedFd,
}

impl Folder {
    fn open(path: PathBuf) -> Result<Option<Self>, TrustDirError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(descriptor) => Ok(Some(Self { path, descriptor })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(unreadable(&path, errno.into())),
        }
    }

    /// The names of its files, sorted.
    fn names(&self) -> Result<Vec<String>, TrustDirError> {
        let failed = |errno: Errno| unreadable(&self.path, errno.into());
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.descriptor).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type() != FileType::Directory && name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn read_all(&self, names: &[String]) -> Result<Vec<Staged>, TrustDirError> {
        let mut staged = Vec::with_capacity(names.len());
        for name in names {
            // one that is gone meanwhile was unstaged by somebody else
            staged.extend(self.staged(name)?);
        }
        Ok(staged)
    }

    /// A staged change. Notary creates the file under its name and writes it then: one that is cut off is read again.
    fn staged(&self, name: &str) -> Result<Option<Staged>, TrustDirError> {
        let since = Instant::now();
        loop {
            let Some((bytes, stamp)) = self.read(name)? else { return Ok(None) };
            match serde_json::from_slice(&bytes) {
                Ok(change) => {
                    return Ok(Some(Staged { name: name.to_owned(), digest: Digest::of(&bytes), change, stamp }));
                }
                Err(error) if error.is_eof() && since.elapsed() < HALF_WRITTEN => thread::sleep(LOOK_AGAIN),
                Err(error) => {
                    let path = self.path.join(name);
                    return Err(TrustDirError::CorruptChange { path, problem: error.to_string() });
                }
            }
        }
    }

    /// The bytes of a file; none if it is not there.
    fn read(&self, name: &str) -> Result<Option<(Vec<u8>, Stamp)>, TrustDirError> {
        let failed = |error: io::Error| unreadable(&self.path.join(name), error);
        let open =
            |flags| rustix::fs::openat(&self.descriptor, name, OFlags::RDONLY | OFlags::CLOEXEC | flags, Mode::empty());
        // A file that is removed soon need not note when it was read; only its owner may say so.
        let opened = match open(OFlags::NOATIME) {
            Err(Errno::PERM) => open(OFlags::empty()),
            opened => opened,
        };
        let file = match opened {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(failed(errno.into())),
        };
        let stat = rustix::fs::fstat(&file).map_err(|errno| failed(errno.into()))?;
        let size = usize::try_from(stat.st_size).unwrap_or(0);
        let mut bytes = Vec::with_capacity(size.saturating_add(1));
        loop {
            match rustix::io::read(&file, rustix::buffer::spare_capacity(&mut bytes)) {
                Ok(0) => break,
                // all that there was, and less than there was room for
                Ok(_) if (size..bytes.capacity()).contains(&bytes.len()) => break,
                Ok(_) => bytes.reserve(1),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(failed(errno.into())),
            }
        }
        Ok(Some((bytes, Stamp::of(&stat))))
    }

    fn stamp(&self, name: &str) -> Option<Stamp> {
        rustix::fs::statat(&self.descriptor, name, AtFlags::empty()).ok().map(|stat| Stamp::of(&stat))
    }

    fn remove(&self, name: &str) -> Result<(), TrustDirError> {
        match rustix::fs::unlinkat(&self.descriptor, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(unwritable(&self.path.join(name), errno.into())),
        }
    }
}

/// Changes whenever the file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Stamp {
    inode: u64,
    bytes: i64,
    changed: (i64, u64),
}

impl Stamp {
    fn of(stat: &Stat) -> Self {
        Self { inode: stat.st_ino, bytes: stat.st_size, changed: (stat.st_ctime, stat.st_ctime_nsec) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05.000000006 UTC);

    fn dir(trust_dir: &tempfile::TempDir) -> GunDir {
        GunDir::new(trust_dir.path(), &"g".parse().unwrap())
    }

    #[test]
    fn changes_are_read_in_the_order_they_were_staged() {
        let trust_dir = tempfile::tempdir().unwrap();
        let dir = dir(&trust_dir);
        assert_eq!(dir.changes().unwrap(), []);
        let changes = ["z", "a", "m"].map(|path| Change::remove_target("targets", path));
        dir.stage(&changes, NOW).unwrap();
        let staged = dir.changes().unwrap();
        assert_eq!(staged.iter().map(|s| s.change.clone()).collect::<Vec<_>>(), changes);
        assert!(staged[0].name.starts_with("01767323045000000006_") && staged[0].name.ends_with(".change"));
    }

    #[test]
    fn many_changes_keep_their_order() {
        let trust_dir = tempfile::tempdir().unwrap();
        let dir = dir(&trust_dir);
        let paths: Vec<String> = (0..3 * SMALL_SHARE).map(|number| number.to_string()).collect();
        dir.stage(&paths.iter().map(|path| Change::remove_target("targets", path)).collect::<Vec<_>>(), NOW).unwrap();
        let staged = dir.changes().unwrap();
        assert_eq!(staged.iter().map(|s| s.change.path.clone()).collect::<Vec<_>>(), paths);
        let all: Vec<_> = staged.iter().map(|s| (s.name.clone(), s.digest)).collect();
        dir.unstage(&all, &staged).unwrap();
        assert_eq!(dir.changes().unwrap(), []);
    }

    #[test]
    fn a_corrupt_change_is_named() {
        let trust_dir = tempfile::tempdir().unwrap();
        let dir = dir(&trust_dir);
        dir.stage(&[Change::remove_target("targets", "a")], NOW).unwrap();
        let path = dir.changelist().join("00_x.change");
        for content in ["", "{", r#"{"action":"create"}"#, r#"{"action":"a","role":"r","type":"t","data":"?"}"#] {
            fs::write(&path, content).unwrap();
            let error = dir.changes().unwrap_err();
            assert!(error.to_string().contains("00_x.change"), "{error}");
        }
    }

    #[test]
    fn only_what_was_published_is_unstaged() {
        let trust_dir = tempfile::tempdir().unwrap();
        let dir = dir(&trust_dir);
        dir.stage(&["a", "b", "c"].map(|path| Change::remove_target("targets", path)), NOW).unwrap();
        let staged = dir.changes().unwrap();
        let published: Vec<_> = staged[..2].iter().map(|s| (s.name.clone(), s.digest)).collect();
        fs::write(dir.changelist().join(&staged[1].name), Change::remove_target("targets", "new").to_file()).unwrap();
        dir.unstage(&published, &staged).unwrap();
        dir.unstage(&published, &[]).unwrap();
        let left: Vec<_> = dir.changes().unwrap().into_iter().map(|s| s.change.path).collect();
        assert_eq!(left, ["new", "c"]);
    }
}
