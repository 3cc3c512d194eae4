//! The memory of a publish that is not finished: since when, and what went to the agent.
//!
//! A hint, not a record: lost, a retry takes the next version. So it is not synced to the disk.

use std::{collections::BTreeSet, path::PathBuf};

use serde::{Deserialize, Serialize};
use signet_tuf::Digest;
use time::{Duration, OffsetDateTime};

use super::{GunDir, TrustDirError, disk, read_if_there, remove_if_there};

/// How long a retry counts as the same publish.
const RETRY: Duration = Duration::hours(12);

/// What a publish has begun and not finished.
#[derive(Serialize, Deserialize, Default)]
struct Unfinished {
    /// Seconds since 1970-01-01T00:00:00Z.
    since: Option<i64>,
    /// SHA-256 of the `signed` bytes that went to the agent.
    signed: BTreeSet<String>,
}

impl GunDir {
    fn unfinished_path(&self) -> PathBuf {
        self.base.join(".signet.unfinished")
    }

    fn unfinished(&self) -> Result<Unfinished, TrustDirError> {
        let bytes = read_if_there(&self.unfinished_path())?.unwrap_or_default();
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    fn keep_unfinished(&self, unfinished: &Unfinished) -> Result<(), TrustDirError> {
        let text = serde_json::json!(unfinished).to_string();
        disk::replace(&self.base, &self.unfinished_path(), text.as_bytes())
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
