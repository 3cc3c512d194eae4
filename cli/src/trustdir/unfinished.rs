//! The memory of a publish that is not finished: since when, and what went to the agent.
//!
//! A hint, not a record: lost, a retry takes the next version. So it is not synced to the disk.

use std::{collections::BTreeSet, fs::OpenOptions, io::Write, path::PathBuf};

use signet_tuf::Digest;
use time::{Duration, OffsetDateTime};

use super::{GunDir, Prepared, TrustDirError, read_if_there, remove_if_there, unwritable};

/// How long a retry counts as the same publish.
const RETRY: Duration = Duration::hours(12);

/// What a publish has begun and not finished. In the file, each stands on a line of its own.
#[derive(Default)]
struct Unfinished {
    /// Seconds since 1970-01-01T00:00:00Z.
    since: Option<i64>,
    /// SHA-256 of the `signed` bytes that went to the agent.
    signed: BTreeSet<Digest>,
}

impl Unfinished {
    /// Whatever is not a line of ours is passed over: a power cut may have left half of one.
    fn parse(text: &str) -> Self {
        let since = text.lines().find_map(|line| line.parse().ok());
        Self { since, signed: text.lines().filter_map(|line| line.parse().ok()).collect() }
    }
}

impl GunDir {
    fn unfinished_path(&self) -> PathBuf {
        self.base.join(".signet.unfinished")
    }

    fn unfinished(&self) -> Result<Unfinished, TrustDirError> {
        let bytes = read_if_there(&self.unfinished_path())?.unwrap_or_default();
        Ok(Unfinished::parse(&String::from_utf8_lossy(&bytes)))
    }

    /// The time by which expiries are reckoned: that of an unfinished publish of the last hours, so that a retry asks for
    /// the same bytes and burns no version; otherwise `now`.
    ///
    /// # Errors
    /// [`TrustDirError::Unreadable`].
    pub fn signing_time(&self, now: OffsetDateTime) -> Result<OffsetDateTime, TrustDirError> {
        let since = self.unfinished()?.since.and_then(|since| OffsetDateTime::from_unix_timestamp(since).ok());
        Ok(since.filter(|since| *since <= now && now < since.saturating_add(RETRY)).unwrap_or(now))
    }

    /// Remembers that these bytes go to the agent from here, so that a later publish knows its own unfinished work, and
    /// the time by which their expiry was reckoned.
    ///
    /// # Errors
    /// [`TrustDirError::Unreadable`], [`TrustDirError::Unwritable`].
    pub fn remember_signing(&self, digest: Digest, since: OffsetDateTime) -> Result<(), TrustDirError> {
        let Unfinished { since: known, mut signed } = self.unfinished()?;
        let since = since.unix_timestamp();
        if known == Some(since) && signed.contains(&digest) {
            return Ok(());
        }
        let path = self.unfinished_path();
        if known == Some(since) {
            let opened = OpenOptions::new().append(true).open(&path);
            let appended = opened.and_then(|mut file| file.write_all(format!("\n{digest}\n").as_bytes()));
            return appended.map_err(|error| unwritable(&path, error));
        }
        signed.insert(digest);
        let digests: String = signed.iter().map(|digest| format!("{digest}\n")).collect();
        Prepared::write(&self.base, &path, &[format!("{since}\n{digests}")])?.0.place()
    }

    /// The digests that were remembered and not forgotten.
    ///
    /// # Errors
    /// [`TrustDirError::Unreadable`].
    pub fn signings(&self) -> Result<BTreeSet<Digest>, TrustDirError> {
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

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn dir(trust_dir: &tempfile::TempDir) -> GunDir {
        GunDir::new(trust_dir.path(), &"g".parse().unwrap())
    }

    #[test]
    fn a_retry_reckons_from_the_first_attempt() {
        let trust_dir = tempfile::tempdir().unwrap();
        let dir = dir(&trust_dir);
        let first = datetime!(2026-01-01 0:00 UTC);
        let table = [(0, 0), (1, 0), (11, 0), (13, 13), (14, 13), (12, 12)];
        for (hours, counts_from) in table {
            let now = first + Duration::hours(hours);
            let since = dir.signing_time(now).unwrap();
            assert_eq!(since, first + Duration::hours(counts_from), "{hours}");
            dir.remember_signing(Digest::of(b"a"), since).unwrap();
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
            dir.remember_signing(Digest::of(content), datetime!(2026-01-01 0:00 UTC)).unwrap();
        }
        let all = BTreeSet::from([Digest::of(b"a"), Digest::of(b"b")]);
        assert_eq!(dir.signings().unwrap(), all);
        dir.forget_signings().unwrap();
        assert_eq!(dir.signings().unwrap(), BTreeSet::new());
    }
}
