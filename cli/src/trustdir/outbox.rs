//! What was signed and is not yet known to be published: the exact bytes, on disk before the server sees them.
//!
//! The directory appears whole by one rename. A crash before it leaves everything staged; a crash after it leaves the same
//! bytes to be posted again, or to be found on the server.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use signet_tuf::{Digest, Role};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{GunDir, TrustDirError, disk, read_if_there, remove_if_there, unreadable, unwritable};
use crate::trustdir::changelist::Staged;

const FORMAT: u32 = 1;
const UNFINISHED: &str = ".outbox-";
/// No command writes one file for so long.
const LEFT_OVER: std::time::Duration = std::time::Duration::from_secs(600);
/// How long a retry counts as the same publish.
const RETRY: Duration = Duration::hours(12);

/// Signed files, what they contain and what they stand on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbox {
    /// The wire bytes of each role, in the order of upload.
    pub files: Vec<(Role, Vec<u8>)>,
    /// Name and SHA-256 of the change files that they contain.
    pub changes: Vec<(String, Digest)>,
    /// SHA-256 of the snapshot on which the changes were put; none for a collection's first publication.
    pub base: Option<Digest>,
}

/// What becomes of an outbox that is found at the start of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The server has these bytes: only tidying up is left.
    Finish,
    /// They still fit: post them.
    Post,
    /// They do not fit any more: sign anew.
    Discard(Misfit),
}

/// Why an outbox does not fit any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// Somebody else published meanwhile.
    Overtaken,
    /// A change in it was unstaged or changed meanwhile.
    Withdrawn,
}

/// Whether the server has the bytes of an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// All of them.
    Yes,
    /// Not all of them.
    No,
}

impl Outbox {
    /// Decides what becomes of it. `base` is the SHA-256 of the snapshot that the server serves now.
    #[must_use]
    pub fn fate(&self, served: Served, base: Option<Digest>, staged: &[Staged]) -> Fate {
        let still_staged =
            |(name, digest): &(String, Digest)| staged.iter().any(|s| s.name == *name && s.digest == *digest);
        match served {
            Served::Yes => Fate::Finish,
            Served::No if !self.changes.iter().all(still_staged) => Fate::Discard(Misfit::Withdrawn),
            Served::No if self.base != base => Fate::Discard(Misfit::Overtaken),
            Served::No => Fate::Post,
        }
    }
}

/// What a publish has begun and not finished.
#[derive(Serialize, Deserialize, Default)]
struct Unfinished {
    /// Seconds since 1970-01-01T00:00:00Z.
    since: Option<i64>,
    /// SHA-256 of the `signed` bytes that went to the agent.
    signed: BTreeSet<String>,
}

#[derive(Serialize, Deserialize)]
struct Index {
    format: u32,
    base: Option<String>,
    files: Vec<IndexedFile>,
    changes: Vec<IndexedChange>,
}

#[derive(Serialize, Deserialize)]
struct IndexedFile {
    role: String,
    file: String,
    sha256: String,
}

#[derive(Serialize, Deserialize)]
struct IndexedChange {
    name: String,
    sha256: String,
}

impl GunDir {
    fn outbox_path(&self) -> PathBuf {
        self.base.join("outbox")
    }

    /// Puts signed files away; when this returns, they are on disk.
    ///
    /// # Errors
    /// [`TrustDirError::Unwritable`]; then there is no outbox.
    pub fn fill_outbox(&self, outbox: &Outbox) -> Result<(), TrustDirError> {
        disk::create_dirs(&self.base)?;
        let folder = self.base.join(format!("{UNFINISHED}{}", Uuid::new_v4()));
        disk::create_dirs(&folder)?;
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            disk::write_synced(&path, bytes).map_err(|e| unwritable(&path, e))
        };
        for (role, wire) in &outbox.files {
            put(&file_name(role), wire)?;
        }
        put("index.json", index(outbox).as_bytes())?;
        let target = self.outbox_path();
        disk::sync_dir(&folder)
            .and_then(|()| fs::rename(&folder, &target))
            .and_then(|()| disk::sync_dir(&self.base))
            .map_err(|e| unwritable(&target, e))
    }

    /// The signed files that are put away, if any.
    ///
    /// # Errors
    /// [`TrustDirError::CorruptOutbox`] if they are not what was put away; [`TrustDirError::Unreadable`].
    pub fn outbox(&self) -> Result<Option<Outbox>, TrustDirError> {
        let folder = self.outbox_path();
        match fs::exists(&folder) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => return Err(unreadable(&folder, error)),
        }
        let corrupt = |problem: String| TrustDirError::CorruptOutbox { path: folder.clone(), problem };
        let Some(bytes) = read_if_there(&folder.join("index.json"))? else {
            return Err(corrupt("index.json is missing".into()));
        };
        let index: Index = serde_json::from_slice(&bytes).map_err(|e| corrupt(format!("index.json: {e}")))?;
        if index.format != FORMAT {
            return Err(corrupt(format!("format {} is not known", index.format)));
        }
        let mut files = Vec::new();
        for entry in &index.files {
            let role = Role::parse(&entry.role).map_err(|e| corrupt(e.to_string()))?;
            let Some(wire) = read_if_there(&folder.join(file_name(&role)))? else {
                return Err(corrupt(format!("{} is missing", entry.file)));
            };
            if Digest::of(&wire).to_string() != entry.sha256 {
                return Err(corrupt(format!("{} was changed", entry.file)));
            }
            files.push((role, wire));
        }
        let digest = |text: &str| text.parse::<Digest>().map_err(|e| corrupt(e.to_string()));
        let changes = index.changes.iter().map(|change| Ok((change.name.clone(), digest(&change.sha256)?)));
        let changes = changes.collect::<Result<_, TrustDirError>>()?;
        let base = index.base.as_deref().map(digest).transpose()?;
        Ok(Some(Outbox { files, changes, base }))
    }

    /// Drops the outbox and the memory of what was signed for it.
    ///
    /// # Errors
    /// [`TrustDirError::Unwritable`].
    pub fn clear_outbox(&self) -> Result<(), TrustDirError> {
        let folder = self.outbox_path();
        let away = self.base.join(format!("{UNFINISHED}{}", Uuid::new_v4()));
        match fs::rename(&folder, &away) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unwritable(&folder, error)),
        }
        disk::sync_dir(&self.base).map_err(|e| unwritable(&self.base, e))?;
        fs::remove_dir_all(&away).map_err(|e| unwritable(&away, e))
    }

    fn unfinished_path(&self) -> PathBuf {
        self.base.join(".signet.unfinished")
    }

    fn unfinished(&self) -> Result<Unfinished, TrustDirError> {
        let bytes = read_if_there(&self.unfinished_path())?.unwrap_or_default();
        // a hint, not a record: without it a retry takes the next version
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    fn keep_unfinished(&self, unfinished: &Unfinished) -> Result<(), TrustDirError> {
        let text = serde_json::json!(unfinished).to_string();
        disk::write_whole(&self.base, &self.unfinished_path(), text.as_bytes())
    }

    /// The time by which expiries are reckoned: that of an unfinished publish of the last hours, so that a retry asks for
    /// the same bytes and burns no version; otherwise `now`.
    ///
    /// # Errors
    /// [`TrustDirError::Unreadable`], [`TrustDirError::Unwritable`].
    pub fn signing_time(&self, now: OffsetDateTime) -> Result<OffsetDateTime, TrustDirError> {
        let mut unfinished = self.unfinished()?;
        let since = unfinished.since.and_then(|since| OffsetDateTime::from_unix_timestamp(since).ok());
        if let Some(since) = since
            && since <= now
            && now < since.saturating_add(RETRY)
        {
            return Ok(since);
        }
        unfinished.since = Some(now.unix_timestamp());
        self.keep_unfinished(&unfinished)?;
        Ok(now)
    }

    /// Remembers that these bytes go to the agent from here, so that a later publish knows its own unfinished work.
    ///
    /// # Errors
    /// [`TrustDirError::Unreadable`], [`TrustDirError::Unwritable`].
    pub fn remember_signing(&self, digest: Digest) -> Result<(), TrustDirError> {
        let mut unfinished = self.unfinished()?;
        if unfinished.signed.insert(digest.to_string()) {
            self.keep_unfinished(&unfinished)?;
        }
        Ok(())
    }

    /// The digests that were remembered and not forgotten.
    ///
    /// # Errors
    /// [`TrustDirError::Unreadable`].
    pub fn signings(&self) -> Result<BTreeSet<String>, TrustDirError> {
        Ok(self.unfinished()?.signed)
    }

    /// Forgets what was signed: it is published.
    ///
    /// # Errors
    /// [`TrustDirError::Unwritable`].
    pub fn forget_signings(&self) -> Result<(), TrustDirError> {
        remove_if_there(&self.unfinished_path())
    }
}

/// Removes what crashes left: outboxes that never were or are no more, and old temporary files. Only under the lock.
pub(super) fn sweep(base: &Path) -> Result<(), TrustDirError> {
    let entries = fs::read_dir(base).map_err(|e| unreadable(base, e))?;
    for entry in entries {
        let entry = entry.map_err(|e| unreadable(base, e))?;
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        if name.starts_with(UNFINISHED) {
            fs::remove_dir_all(&path).map_err(|e| unwritable(&path, e))?;
        } else if name.starts_with(".signet-") && name.ends_with(".tmp") && is_left_over(&path) {
            remove_if_there(&path)?;
        }
    }
    Ok(())
}

/// Old enough that no command can still be writing it.
fn is_left_over(path: &Path) -> bool {
    let age = fs::metadata(path).and_then(|file| file.modified()).ok().and_then(|since| since.elapsed().ok());
    age.is_some_and(|age| age > LEFT_OVER)
}

/// No slash in a file name; delegation names have no dots, so two roles never share one.
fn file_name(role: &Role) -> String {
    format!("{}.json", role.as_str().replace('/', "."))
}

fn index(outbox: &Outbox) -> String {
    let index = Index {
        format: FORMAT,
        base: outbox.base.map(|digest| digest.to_string()),
        files: outbox
            .files
            .iter()
            .map(|(role, wire)| IndexedFile {
                role: role.to_string(),
                file: file_name(role),
                sha256: Digest::of(wire).to_string(),
            })
            .collect(),
        changes: outbox
            .changes
            .iter()
            .map(|(name, digest)| IndexedChange { name: name.clone(), sha256: digest.to_string() })
            .collect(),
    };
    serde_json::json!(index).to_string()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::trustdir::changelist::Change;

    fn dir(trust_dir: &tempfile::TempDir) -> GunDir {
        GunDir::new(trust_dir.path(), &"g".parse().unwrap())
    }

    fn outbox(staged: &[Staged]) -> Outbox {
        Outbox {
            files: vec![("targets".parse().unwrap(), b"t2".to_vec()), ("targets/a".parse().unwrap(), b"a1".to_vec())],
            changes: staged.iter().map(|s| (s.name.clone(), s.digest)).collect(),
            base: Some(Digest::of(b"snapshot 1")),
        }
    }

    #[test]
    fn what_is_put_away_is_what_comes_out() {
        let trust_dir = tempfile::tempdir().unwrap();
        let dir = dir(&trust_dir);
        assert_eq!(dir.outbox().unwrap(), None);
        dir.stage(&[Change::remove_target("targets", "x")], datetime!(2026-01-01 0:00 UTC)).unwrap();
        let outbox = outbox(&dir.changes().unwrap());
        dir.fill_outbox(&outbox).unwrap();
        assert_eq!(dir.outbox().unwrap(), Some(outbox));
        dir.clear_outbox().unwrap();
        dir.clear_outbox().unwrap();
        assert_eq!(dir.outbox().unwrap(), None);
    }

    #[test]
    fn a_changed_outbox_is_never_posted() {
        let trust_dir = tempfile::tempdir().unwrap();
        let dir = dir(&trust_dir);
        for (file, content) in [("targets.json", "t3"), ("index.json", "{}"), ("index.json", "")] {
            dir.clear_outbox().unwrap();
            dir.fill_outbox(&outbox(&[])).unwrap();
            fs::write(dir.outbox_path().join(file), content).unwrap();
            assert!(matches!(dir.outbox(), Err(TrustDirError::CorruptOutbox { .. })), "{file} {content}");
        }
    }

    #[test]
    fn the_fate_of_an_outbox_follows_from_what_is_served_and_staged() {
        let trust_dir = tempfile::tempdir().unwrap();
        let dir = dir(&trust_dir);
        dir.stage(&[Change::remove_target("targets", "x")], datetime!(2026-01-01 0:00 UTC)).unwrap();
        let staged = dir.changes().unwrap();
        let outbox = outbox(&staged);
        let same = Some(Digest::of(b"snapshot 1"));
        let moved = Some(Digest::of(b"snapshot 2"));
        let table = [
            (Served::Yes, same, staged.as_slice(), Fate::Finish),
            (Served::Yes, moved, &[], Fate::Finish),
            (Served::No, same, &staged, Fate::Post),
            (Served::No, moved, &staged, Fate::Discard(Misfit::Overtaken)),
            (Served::No, None, &staged, Fate::Discard(Misfit::Overtaken)),
            (Served::No, same, &[], Fate::Discard(Misfit::Withdrawn)),
        ];
        for (served, base, staged, fate) in table {
            assert_eq!(outbox.fate(served, base, staged), fate, "{served:?} {base:?} {staged:?}");
        }
    }

    /// A server that keeps every version it was ever sent.
    #[derive(Default)]
    struct Shelf {
        versions: Vec<Vec<u8>>,
    }

    impl Shelf {
        fn newest(&self) -> Option<Digest> {
            self.versions.last().map(|bytes| Digest::of(bytes))
        }
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    enum Step {
        Signed,
        HalfPutAway,
        PutAway,
        Posted,
        HalfUnstaged,
        Unstaged,
        HalfCleared,
        Cleared,
    }

    /// Publishes like `publish` does, and dies after `last`.
    fn publish_until(dir: &GunDir, shelf: &mut Shelf, last: Step) -> Option<()> {
        let go_on = |step: Step| (step < last).then_some(());
        sweep(&dir.base).unwrap();
        let staged = dir.changes().unwrap();
        let put_away = dir.outbox().unwrap();
        let left = put_away.filter(|outbox| {
            let served = outbox.files.iter().all(|(_, wire)| shelf.versions.contains(wire));
            match outbox.fate(if served { Served::Yes } else { Served::No }, shelf.newest(), &staged) {
                Fate::Finish => true,
                Fate::Post => {
                    shelf.versions.extend(outbox.files.iter().map(|(_, wire)| wire.clone()));
                    true
                }
                Fate::Discard(why) => panic!("{why:?}"),
            }
        });
        let outbox = match left {
            Some(outbox) => outbox,
            None if staged.is_empty() => return Some(()),
            None => {
                let names: Vec<_> = staged.iter().map(|s| s.change.path.clone()).collect();
                let content = format!("version {} with {names:?}", shelf.versions.len()).into_bytes();
                let files = vec![("targets".parse().unwrap(), content.clone())];
                let changes = staged.iter().map(|s| (s.name.clone(), s.digest)).collect();
                let outbox = Outbox { files, changes, base: shelf.newest() };
                go_on(Step::Signed)?;
                if last == Step::HalfPutAway {
                    fs::create_dir(dir.base.join(".outbox-half")).unwrap();
                    return None;
                }
                dir.fill_outbox(&outbox).unwrap();
                go_on(Step::PutAway)?;
                shelf.versions.push(content);
                outbox
            }
        };
        go_on(Step::Posted)?;
        if last == Step::HalfUnstaged {
            dir.unstage(&outbox.changes[..1]).unwrap();
            return None;
        }
        dir.unstage(&outbox.changes).unwrap();
        go_on(Step::Unstaged)?;
        if last == Step::HalfCleared {
            fs::rename(dir.outbox_path(), dir.base.join(".outbox-half")).unwrap();
            return None;
        }
        dir.clear_outbox().unwrap();
        go_on(Step::Cleared)
    }

    #[test]
    fn a_crash_at_any_step_publishes_every_change_once() {
        use Step::{Cleared, HalfCleared, HalfPutAway, HalfUnstaged, Posted, PutAway, Signed, Unstaged};
        for crash in [Signed, HalfPutAway, PutAway, Posted, HalfUnstaged, Unstaged, HalfCleared, Cleared] {
            let trust_dir = tempfile::tempdir().unwrap();
            let dir = dir(&trust_dir);
            disk::create_dirs(&dir.base).unwrap();
            let mut shelf = Shelf { versions: vec![b"before".to_vec()] };
            let now = datetime!(2026-01-01 0:00 UTC);
            dir.stage(&["a", "b"].map(|path| Change::remove_target("targets", path)), now).unwrap();
            publish_until(&dir, &mut shelf, crash);
            for _ in 0..2 {
                publish_until(&dir, &mut shelf, Cleared);
            }
            let published: Vec<_> = shelf.versions.iter().map(|bytes| String::from_utf8_lossy(bytes)).collect();
            assert_eq!(published, ["before", r#"version 1 with ["a", "b"]"#], "{crash:?}");
            assert_eq!(dir.changes().unwrap(), [], "{crash:?}");
            assert_eq!(dir.outbox().unwrap(), None, "{crash:?}");
        }
    }

    #[test]
    fn what_is_staged_after_a_crash_waits_for_what_was_signed() {
        let trust_dir = tempfile::tempdir().unwrap();
        let dir = dir(&trust_dir);
        disk::create_dirs(&dir.base).unwrap();
        let mut shelf = Shelf { versions: vec![b"before".to_vec()] };
        dir.stage(&[Change::remove_target("targets", "a")], datetime!(2026-01-01 0:00 UTC)).unwrap();
        publish_until(&dir, &mut shelf, Step::PutAway);
        dir.stage(&[Change::remove_target("targets", "b")], datetime!(2026-01-02 0:00 UTC)).unwrap();
        for _ in 0..2 {
            publish_until(&dir, &mut shelf, Step::Cleared);
        }
        let published: Vec<_> = shelf.versions.iter().map(|bytes| String::from_utf8_lossy(bytes)).collect();
        assert_eq!(published, ["before", r#"version 1 with ["a"]"#, r#"version 2 with ["b"]"#]);
        assert_eq!(dir.changes().unwrap(), []);
    }

    #[test]
    fn an_unfinished_outbox_is_swept_away() {
        let trust_dir = tempfile::tempdir().unwrap();
        let dir = dir(&trust_dir);
        dir.fill_outbox(&outbox(&[])).unwrap();
        fs::rename(dir.outbox_path(), dir.base.join(".outbox-half")).unwrap();
        sweep(&dir.base).unwrap();
        assert!(!dir.base.join(".outbox-half").exists());
    }

    #[test]
    fn a_retry_reckons_from_the_first_attempt() {
        let trust_dir = tempfile::tempdir().unwrap();
        let dir = dir(&trust_dir);
        let first = datetime!(2026-01-01 0:00 UTC);
        let table = [(0, 0), (1, 0), (11, 0), (13, 13), (14, 13), (12, 12)];
        for (hours, counts_from) in table {
            let now = first + Duration::hours(hours);
            assert_eq!(dir.signing_time(now).unwrap(), first + Duration::hours(counts_from), "{hours}");
        }
        dir.forget_signings().unwrap();
        let now = first + Duration::hours(13);
        assert_eq!(dir.signing_time(now).unwrap(), now);
    }

    #[test]
    fn own_signings_are_known_until_they_are_published() {
        let trust_dir = tempfile::tempdir().unwrap();
        let dir = dir(&trust_dir);
        for content in [b"a", b"b", b"a"] {
            dir.remember_signing(Digest::of(content)).unwrap();
        }
        let all = BTreeSet::from([Digest::of(b"a").to_string(), Digest::of(b"b").to_string()]);
        assert_eq!(dir.signings().unwrap(), all);
        dir.forget_signings().unwrap();
        assert_eq!(dir.signings().unwrap(), BTreeSet::new());
    }
}
