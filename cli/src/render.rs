//! What goes to standard output: lines and Go's tables.

use std::io::{self, Write};

use crate::exit::CliError;

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

    /// Writes a table as Notary does: header, rule, rows.
    ///
    /// # Errors
    /// [`CliError::Output`] if standard output is gone.
    pub fn table(&mut self, header: &[&str], rows: &[Vec<String>]) -> Result<(), CliError> {
        self.bytes(table(header, rows).as_bytes())
    }
}

/// A table as Go's `tabwriter.NewWriter(w, 4, 4, 4, ' ', 0)` lays it out, with Notary's rule under the header.
#[must_use]
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let _skeleton = (header, rows);
    String::new()
}
