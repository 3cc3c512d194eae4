//! What goes to standard output: lines and Go's tables.

use std::io::{self, Write};

use crate::{exit::CliError, log::visible};

/// Go's `tabwriter.NewWriter(w, 4, 4, 4, ' ', 0)`, as Notary calls it.
const MIN_WIDTH: usize = 4;
const PADDING: usize = 4;

/// Standard output, or memory in a test.
pub struct Output(Sink);

enum Sink {
    Stdout(io::Stdout),
    #[cfg(test)]
    Memory(Vec<u8>),
}

impl Output {
    /// The process's standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self(Sink::Stdout(io::stdout()))
    }

    /// Keeps what is written, for [`Output::written`].
    #[cfg(test)]
    #[must_use]
    pub const fn memory() -> Self {
        Self(Sink::Memory(Vec::new()))
    }

    /// What was written to memory.
    #[cfg(test)]
    #[must_use]
    pub fn written(&self) -> String {
        match &self.0 {
            Sink::Memory(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Sink::Stdout(_) => String::new(),
        }
    }

    /// Writes a line.
    ///
    /// # Errors
    /// [`CliError::Output`] if standard output is gone.
    pub fn line(&mut self, text: &str) -> Result<(), CliError> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// [`CliError::Output`] if standard output is gone.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        let written = match &mut self.0 {
            Sink::Stdout(stdout) => stdout.write_all(bytes).and_then(|()| stdout.flush()),
            #[cfg(test)]
            Sink::Memory(memory) => memory.write_all(bytes),
        };
        written.map_err(CliError::Output)
    }

    /// Writes one JSON document.
    ///
    /// # Errors
    /// [`CliError::Output`] if standard output is gone.
    pub fn json(&mut self, document: &serde_json::Value) -> Result<(), CliError> {
        self.line(&format!("{document:#}"))
    }

    /// Writes a table as Notary does: header, rule, rows.
    ///
    /// # Errors
    /// [`CliError::Output`] if standard output is gone.
    pub fn table(&mut self, header: &[&str], rows: &[Vec<String>]) -> Result<(), CliError> {
        self.bytes(table(header, rows).as_bytes())
    }
}

/// A table as Go's tabwriter lays it out, with Notary's rule under the header: a column is as wide as its longest cell in
/// characters, and four more; the last one is not padded. Control characters are shown as escapes, so that a name from a
/// server is one cell.
#[must_use]
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let rule = header.iter().map(|title| "-".repeat(title.len())).collect();
    let header = header.iter().map(|title| (*title).to_owned()).collect();
    let shown = rows.iter().map(|row| row.iter().map(|cell| visible(cell)).collect());
    let lines: Vec<Vec<String>> = [header, rule].into_iter().chain(shown).collect();
    let widths = widths(&lines);
    lines.iter().map(|line| laid_out(line, &widths)).collect()
}

fn widths(lines: &[Vec<String>]) -> Vec<usize> {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    (0..columns)
        .map(|column| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            longest.saturating_add(PADDING).max(MIN_WIDTH)
        })
        .collect()
}

fn laid_out(line: &[String], widths: &[usize]) -> String {
    let Some((last, padded)) = line.split_last() else { return "\n".to_owned() };
    let mut out: String = padded.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
    out.push_str(last);
    out.push('\n');
    out
}

/// At most `most` bytes of `text`, the beginning cut off and marked with three dots, as Notary does.
#[must_use]
pub fn cut_left(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let start = text.len().saturating_sub(most.saturating_sub(3));
    // Notary cuts characters in two; the first whole one is taken here.
    let start = (start..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    format!("...{}", text.get(start..).unwrap_or_default())
}

/// `text` in lines of at most `columns` bytes, broken at spaces; a word that is longer loses its beginning.
#[must_use]
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace().map(|word| cut_left(word, columns)) {
        match lines.last_mut() {
            Some(line) if line.len().saturating_add(word.len()) < columns => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// What a token tells, for JSON: null if it does not.
#[must_use]
pub fn told(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::{Output, cut_left, table, wrapped};

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
    }

    #[test]
    fn tables_are_those_of_go() {
        // Output of Debian's `notary key list`, key IDs shortened.
        let expected = concat!(
            "ROLE       GUN                          KEY ID    LOCATION\n",
            "----       ---                          ------    --------\n",
            "root                                    3f2a      /root/.notary/private\n",
            "targets    ...e.com/a/very/long/name    09bc      /root/.notary/private\n",
        );
        let rows = rows(&[
            &["root", "", "3f2a", "/root/.notary/private"],
            &["targets", "...e.com/a/very/long/name", "09bc", "/root/.notary/private"],
        ]);
        assert_eq!(table(&["ROLE", "GUN", "KEY ID", "LOCATION"], &rows), expected);
    }

    #[test]
    fn width_counts_characters_not_bytes() {
        let rows = rows(&[&["é漢", "1"], &["abc", "2"]]);
        assert_eq!(table(&["A", "B"], &rows), "A      B\n-      -\né漢     1\nabc    2\n");
    }

    #[test]
    fn a_name_cannot_forge_a_row() {
        let rows = rows(&[&["x\ny\tz", "1"]]);
        assert_eq!(table(&["A", "B"], &rows), "A          B\n-          -\nx\\ny\\tz    1\n");
    }

    #[test]
    fn long_text_loses_its_beginning() {
        for (text, most, expected) in
            [("abcdef", 6, "abcdef"), ("abcdefg", 6, "...efg"), ("aaaé漢é", 7, "...é"), ("", 3, "")]
        {
            assert_eq!(cut_left(text, most), expected, "{text}");
        }
    }

    #[test]
    fn lines_are_broken_at_spaces() {
        for (text, expected) in [
            ("one two three", &["one two", "three"][..]),
            ("12345678 9", &["12345678", "9"]),
            ("a 123456789 b", &["a", "...56789", "b"]),
            ("", &[]),
        ] {
            assert_eq!(wrapped(text, 8), expected, "{text}");
        }
    }

    #[test]
    fn output_keeps_what_a_test_wants_to_see() {
        let mut out = Output::memory();
        out.line("one").unwrap();
        out.bytes(b"two").unwrap();
        assert_eq!(out.written(), "one\ntwo");
    }
}
