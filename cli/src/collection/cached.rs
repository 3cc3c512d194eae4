//! What is cached of a collection: the trusted root, and documents that count only as far as other metadata names them.

use std::{fs, panic::resume_unwind, thread, time::Instant};

use bytes::Bytes;
use serde::Deserialize;
use signet_tuf::{FileMeta, ParseError, Role, verify};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{Document, RoleProblem};
use crate::trustdir::{GunDir, HALF_WRITTEN, LOOK_AGAIN, Prepared, TrustDirError};

/// What takes longer to read and hash than to start a thread.
const LARGE_BYTES: u64 = 256 << 10;

/// The root that this trust directory trusts.
///
/// # Errors
/// [`TrustDirError::CorruptRoot`] if it is damaged; it is never replaced silently.
pub(super) fn cached_root(dir: &GunDir) -> Result<Option<Document>, TrustDirError> {
    let since = Instant::now();
    loop {
        let found = whole_root(dir);
        // Notary removes the file and writes it anew: without it, or with half of it, it is looked at again.
        let settled = match &found {
            Ok(Some(_)) => true,
            Ok(None) => !dir.metadata_path(&Role::Timestamp).exists(),
            Err(_) => false,
        };
        if settled || since.elapsed() > HALF_WRITTEN {
            return found;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

fn whole_root(dir: &GunDir) -> Result<Option<Document>, TrustDirError> {
    let Some(wire) = dir.cached(&Role::Root)? else {
        return Ok(None);
    };
    let corrupt = |problem: String| TrustDirError::CorruptRoot { path: dir.metadata_path(&Role::Root), problem };
    let document = Document::parse(&Role::Root, wire).map_err(|e| corrupt(e.to_string()))?;
    verify::structure(&Role::Root, document.envelope().metadata())
        .and_then(|()| verify::first_root(dir.gun(), document.envelope()))
        .map_err(|e| corrupt(e.to_string()))?;
    Ok(Some(document))
}

/// Parses bytes that have the size and the digests that other metadata names.
pub(super) fn matching(role: &Role, named: &FileMeta, wire: Bytes) -> Result<Document, RoleProblem> {
    if u64::try_from(wire.len()).unwrap_or(u64::MAX) < LARGE_BYTES {
        verify::file_matches(named, &wire)?;
        return Ok(Document::parse(role, wire)?);
    }
    let (document, found) = read_and_hash(role, wire);
    verify::file_is(named, &found)?;
    Ok(document?)
}

/// Both at once.
fn read_and_hash(role: &Role, wire: Bytes) -> (Result<Document, ParseError>, FileMeta) {
    thread::scope(|scope| {
        let found = scope.spawn(|| FileMeta::of(&wire));
        let document = Document::parse(role, wire.clone());
        (document, found.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// The cached targets, read while the server is asked what is new, if they are large.
pub struct Ahead(Option<JoinHandle<Option<(Document, FileMeta)>>>);

impl Ahead {
    /// Begins to read.
    #[must_use]
    pub fn start(dir: &GunDir) -> Self {
        let path = dir.metadata_path(&Role::Targets);
        let large = fs::metadata(path).is_ok_and(|file| file.len() >= LARGE_BYTES);
        let dir = dir.clone();
        Self(large.then(|| {
            spawn_blocking(move || {
                let (document, found) = read_and_hash(&Role::Targets, dir.cached(&Role::Targets).ok()??);
                Some((document.ok()?, found))
            })
        }))
    }

    /// The document, if it is the one that the snapshot names.
    pub(super) async fn document(self, named: &FileMeta) -> Option<Document> {
        let (document, found) = self.0?.await.ok()??;
        verify::file_is(named, &found).is_ok().then_some(document)
    }
}

/// What is posted, written beside the cache while the server looks at it.
#[derive(Default)]
pub(super) struct Aside(Vec<(Role, Prepared)>);

impl Aside {
    /// Writes everything below root. What cannot be written can be downloaded.
    pub(super) async fn write(dir: &GunDir, files: &[(Role, Bytes)]) -> Self {
        let (dir, files) = (dir.clone(), files.to_vec());
        let written = spawn_blocking(move || {
            let below_root = files.into_iter().filter(|(role, _)| *role != Role::Root);
            below_root.map(|(role, wire)| dir.prepare(&role, &wire).map(|prepared| (role, prepared))).collect()
        });
        let written: Result<_, TrustDirError> = written.await.unwrap_or_else(|lost| resume_unwind(lost.into_panic()));
        written.map(Self).unwrap_or_else(|error| {
            tracing::debug!("what is published will not be cached: {error}");
            Self::default()
        })
    }

    /// Caches it as far as it is wanted.
    ///
    /// # Errors
    /// [`TrustDirError::Unwritable`].
    pub(super) fn keep(self, wanted: impl Fn(&Role) -> bool) -> Result<(), TrustDirError> {
        self.0.into_iter().filter(|(role, _)| wanted(role)).try_for_each(|(_, prepared)| prepared.place())
    }
}

/// The version that a metadata file names, whoever made it.
pub(super) fn claimed_version(wire: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct File {
        signed: Signed,
    }
    #[derive(Deserialize)]
    struct Signed {
        version: u64,
    }
    serde_json::from_slice::<File>(wire).ok().map(|file| file.signed.version)
}

/// A version has one content: a cached file without a version, or with other bytes under the same one, is damaged. Only a
/// root may get other signatures.
pub(super) fn is_damaged(role: &Role, cached: &[u8], found: &Document) -> bool {
    *role != Role::Root && claimed_version(cached).is_none_or(|claimed| claimed == found.version().get())
}
