//! The agent's own record, as `signet audit tail --json` shows it.

use anyhow::{Context, Result};
use serde_json::Value;

/// One record; fields that its kind does not have are empty.
#[derive(Debug, Clone)]
pub struct Event {
    /// Position in the log.
    pub seq: u64,
    /// "granted", "refused", ...
    pub kind: String,
    /// The collection's name.
    pub gun: String,
    /// The role.
    pub role: String,
    /// The version.
    pub version: u64,
    /// SHA-256 of `signed`, hex.
    pub digest: String,
    /// What became of a grant.
    pub outcome: String,
    /// Where a key is.
    pub place: String,
}

impl Event {
    /// Reads one record a line.
    pub(crate) fn parse_lines(text: &str) -> Result<Vec<Self>> {
        text.lines().map(|line| Self::parse(line).with_context(|| format!("record {line}"))).collect()
    }

    fn parse(line: &str) -> Result<Self> {
        let record: Value = serde_json::from_str(line)?;
        let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |name: &str| record.get(name).and_then(Value::as_u64);
        Ok(Self {
            seq: number("seq").context("a record without seq")?,
            kind: text("kind"),
            gun: text("gun"),
            role: text("role"),
            version: number("version").unwrap_or_default(),
            digest: text("digest"),
            outcome: text("outcome"),
            place: text("place"),
        })
    }
}
