//! What makes two people the same, one with ours, called as `notary`, and one with the real `notary`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use regex::Regex;

use crate::Finished;

/// Where the generated part of docs/notary-compat.md begins and ends.
pub const MARKS: (&str, &str) = ("<!-- the matrix begins -->\n", "<!-- the matrix ends -->\n");

/// Replaces what changes from person to person and from run to run by a word in brackets.
pub struct Mask {
    volatile: Vec<(Regex, &'static str)>,
}

impl Mask {
    /// Of people with these names; the names are equally long, so that tables are equally wide.
    pub fn of(names: &[&str]) -> Result<Self> {
        let names = format!(r"\b({})\b", names.join("|"));
        let volatile = [
            // Of two digests that are both wrong, the real one names one at random.
            (r"sha(256|512) checksum for \S+ did not match: expected [0-9a-f]+", "[CHECKSUM]"),
            (r"[0-9]{20}_[0-9a-f-]{36}\.change", "[CHANGE]"),
            (r"\b[0-9a-f]{64}\b", "[HEX]"),
            (r"ID [0-9a-f]{7}\b", "ID [HEX]"),
            (&names, "[TWIN]"),
        ];
        let volatile = volatile.into_iter().map(|(pattern, word)| Ok((Regex::new(pattern)?, word)));
        Ok(Self { volatile: volatile.collect::<Result<_>>()? })
    }

    /// The text without what changes.
    #[must_use]
    pub fn settled(&self, text: &str) -> String {
        self.volatile.iter().fold(text.to_owned(), |text, (regex, word)| regex.replace_all(&text, *word).into())
    }
}

/// What stands behind the usage, if there is a usage: the usage itself is each program's own.
#[must_use]
pub fn behind_the_usage(stdout: &str) -> Option<&str> {
    let (usage, behind) = stdout.split_at(stdout.find("\n* fatal:")?);
    usage.contains("Usage:").then_some(behind)
}

/// The paper about deliberate differences, without what is generated from the stories themselves.
pub fn compat_paper() -> Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a parent")?;
    let text = fs::read_to_string(root.join("docs/notary-compat.md"))?;
    let (before, rest) = text.split_once(MARKS.0).context("no generated part begins")?;
    let (_, after) = rest.split_once(MARKS.1).context("no generated part ends")?;
    Ok(format!("{before}{after}"))
}

/// What is said beside Notary's words is said in the form of its log.
pub fn log_lines_only(finished: &Finished) -> Result<()> {
    let form = Regex::new(r#"^time="[0-9TZ:+-]+" level=(debug|info|warning|error) msg=".*"$"#)?;
    let other = finished.stderr.lines().find(|line| !form.is_match(line));
    ensure!(other.is_none(), "not a log line:\n{finished}");
    Ok(())
}
