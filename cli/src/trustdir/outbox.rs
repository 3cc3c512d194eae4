//! What was signed and is not yet known to be published: the exact bytes, on disk before the server sees them.
//!
//! One file, which appears whole by one rename. A crash before it leaves everything staged; a crash after it leaves the
//! same bytes to be posted again, or to be found on the server.

use std::{
    collections::BTreeSet,
    fs, iter,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use signet_tuf::{Digest, Role};

use super::{GunDir, TrustDirError, disk, read_if_there, remove_if_there, unreadable, unwritable};
use crate::trustdir::changelist::Staged;

const FORMAT: u32 = 1;
/// No command writes one file for so long.
const LEFT_OVER: std::time::Duration = std::time::Duration::from_secs(600);

/// Signed files, what they contain and what they stand on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbox {
    /// The wire bytes of each role, in the order of upload.
    pub files: Vec<(Role, Bytes)>,
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
        let staged: BTreeSet<_> = staged.iter().map(|change| (change.name.as_str(), change.digest)).collect();
        let still_staged = |(name, digest): &(String, Digest)| staged.contains(&(name.as_str(), *digest));
        match served {
            Served::Yes => Fate::Finish,
            Served::No if !self.changes.iter().all(still_staged) => Fate::Discard(Misfit::Withdrawn),
            Served::No if self.base != base => Fate::Discard(Misfit::Overtaken),
            Served::No => Fate::Post,
        }
    }
}

/// The first line of the file, as JSON. The wire bytes of the roles follow it, in this order and with nothing between.
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
    bytes: usize,
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
    /// [`TrustDirError::Unwritable`]; then the outbox is what it was.
    pub fn fill_outbox(&self, outbox: &Outbox) -> Result<(), TrustDirError> {
        let path = self.outbox_path();
        let pieces = encode(outbox).map_err(|error| unwritable(&path, error.into()))?;
        disk::write_whole(&self.base, &path, &pieces)
    }

    /// The signed files that are put away, if any.
    ///
    /// # Errors
    /// [`TrustDirError::CorruptOutbox`] if they are not what was put away; [`TrustDirError::Unreadable`].
    pub fn outbox(&self) -> Result<Option<Outbox>, TrustDirError> {
        let path = self.outbox_path();
        let Some(bytes) = read_if_there(&path)? else { return Ok(None) };
        decode(&bytes).map(Some).map_err(|problem| TrustDirError::CorruptOutbox { path, problem })
    }

    /// Drops the outbox. One that a power cut brings back is finished by the next publish: the server has it.
    ///
    /// # Errors
    /// [`TrustDirError::Unwritable`].
    pub fn clear_outbox(&self) -> Result<(), TrustDirError> {
        remove_if_there(&self.outbox_path())
    }
}

/// The pieces that follow one another in the file.
fn encode(outbox: &Outbox) -> serde_json::Result<Vec<Bytes>> {
    let file = |(role, wire): &(Role, Bytes)| IndexedFile {
        role: role.to_string(),
        bytes: wire.len(),
        sha256: Digest::of(wire).to_string(),
    };
    let change = |(name, sha256): &(String, Digest)| IndexedChange { name: name.clone(), sha256: sha256.to_string() };
    let index = Index {
        format: FORMAT,
        base: outbox.base.map(|digest| digest.to_string()),
        files: outbox.files.iter().map(file).collect(),
        changes: outbox.changes.iter().map(change).collect(),
    };
    let mut first = serde_json::to_vec(&index)?;
    first.push(b'\n');
    let wires = outbox.files.iter().map(|(_, wire)| wire.clone());
    Ok(iter::once(first.into()).chain(wires).collect())
}

/// Reads what [`encode`] wrote, or says what is wrong with it.
fn decode(bytes: &[u8]) -> Result<Outbox, String> {
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("it has no index")?;
    let (line, rest) = bytes.split_at(end);
    let index: Index = serde_json::from_slice(line).map_err(|error| format!("its index is damaged: {error}"))?;
    if index.format != FORMAT {
        return Err(format!("format {} is not known", index.format));
    }
    let mut rest = rest.strip_prefix(b"\n").unwrap_or(rest);
    let mut files = Vec::with_capacity(index.files.len());
    for IndexedFile { role, bytes, sha256 } in index.files {
        let (wire, others) = rest.split_at_checked(bytes).ok_or_else(|| format!("{role} is cut off"))?;
        if Digest::of(wire) != digest(&sha256)? {
            return Err(format!("{role} was changed"));
        }
        files.push((Role::parse(&role).map_err(|error| error.to_string())?, Bytes::copy_from_slice(wire)));
        rest = others;
    }
    if !rest.is_empty() {
        return Err(format!("{} bytes follow its end", rest.len()));
    }
    let changes = index.changes.into_iter().map(|change| Ok((change.name, digest(&change.sha256)?)));
    Ok(Outbox {
        files,
        changes: changes.collect::<Result<_, String>>()?,
        base: index.base.as_deref().map(digest).transpose()?,
    })
}

fn digest(text: &str) -> Result<Digest, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

/// Removes the temporary files that crashes left. Only under the lock.
pub(super) fn sweep(base: &Path) -> Result<(), TrustDirError> {
    let entries = fs::read_dir(base).map_err(|e| unreadable(base, e))?;
    for entry in entries {
        let entry = entry.map_err(|e| unreadable(base, e))?;
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        if name.starts_with(".signet-") && name.ends_with(".tmp") && is_left_over(&path) {
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

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::trustdir::change::Change;

    fn dir(trust_dir: &tempfile::TempDir) -> GunDir {
        GunDir::new(trust_dir.path(), &"g".parse().unwrap())
    }

    fn outbox(staged: &[Staged]) -> Outbox {
        Outbox {
            files: vec![
                ("targets".parse().unwrap(), Bytes::from_static(b"t2")),
                ("targets/a".parse().unwrap(), Bytes::from_static(b"a1")),
            ],
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
        dir.fill_outbox(&outbox(&[])).unwrap();
        let whole = fs::read(dir.outbox_path()).unwrap();
        let refused = |bytes: &[u8], what: &str| {
            fs::write(dir.outbox_path(), bytes).unwrap();
            assert!(matches!(dir.outbox(), Err(TrustDirError::CorruptOutbox { .. })), "{what}");
        };
        for end in 0..whole.len() {
            refused(&whole[..end], &format!("cut off after {end} bytes"));
        }
        let content = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for at in content..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            refused(&bytes, &format!("byte {at} is another"));
        }
        refused(&[&whole[..], b"x"].concat(), "something follows");
        refused(
            &String::from_utf8_lossy(&whole).replace("\"format\":1", "\"format\":9").into_bytes(),
            "another format",
        );
        fs::write(dir.outbox_path(), whole).unwrap();
        assert_eq!(dir.outbox().unwrap(), Some(outbox(&[])));
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
        versions: Vec<Bytes>,
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
                let files = vec![("targets".parse().unwrap(), content.clone().into())];
                let changes = staged.iter().map(|s| (s.name.clone(), s.digest)).collect();
                let outbox = Outbox { files, changes, base: shelf.newest() };
                go_on(Step::Signed)?;
                if last == Step::HalfPutAway {
                    fs::write(dir.base.join(".signet-half.tmp"), "{").unwrap();
                    return None;
                }
                dir.fill_outbox(&outbox).unwrap();
                go_on(Step::PutAway)?;
                shelf.versions.push(content.into());
                outbox
            }
        };
        go_on(Step::Posted)?;
        if last == Step::HalfUnstaged {
            dir.unstage(&outbox.changes[..1], &staged).unwrap();
            return None;
        }
        dir.unstage(&outbox.changes, &staged).unwrap();
        go_on(Step::Unstaged)?;
        dir.clear_outbox().unwrap();
        go_on(Step::Cleared)
    }

    #[test]
    fn a_crash_at_any_step_publishes_every_change_once() {
        use Step::{Cleared, HalfPutAway, HalfUnstaged, Posted, PutAway, Signed, Unstaged};
        for crash in [Signed, HalfPutAway, PutAway, Posted, HalfUnstaged, Unstaged, Cleared] {
            let trust_dir = tempfile::tempdir().unwrap();
            let dir = dir(&trust_dir);
            disk::create_dirs(&dir.base).unwrap();
            let mut shelf = Shelf { versions: vec![Bytes::from_static(b"before")] };
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
        let mut shelf = Shelf { versions: vec![Bytes::from_static(b"before")] };
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
    fn fuzz_outbox() {
        let empty = Outbox { files: vec![], changes: vec![], base: None };
        let seeds = vec![encode(&outbox(&[])).unwrap().concat(), encode(&empty).unwrap().concat()];
        let mut words = signet_fuzz::JSON.to_vec();
        words.extend([&b"\"format\":1"[..], b"\"bytes\":", b"\"sha256\":", b"\"base\":null", b"\"role\":\"targets/\""]);
        signet_fuzz::fuzz("outbox", &signet_fuzz::Language { seeds, words }, |input| {
            let Ok(outbox) = decode(input) else { return };
            assert_eq!(decode(&encode(&outbox).unwrap().concat()).unwrap(), outbox);
        });
    }
}
