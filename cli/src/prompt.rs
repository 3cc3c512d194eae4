//! Questions to the person at the terminal: passphrases, PINs, yes or no.

use thiserror::Error;

/// A person's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// `y` or `yes`, in any case.
    Yes,
    /// Everything else.
    No,
}

/// Asks. Clones share what was answered.
#[derive(Clone, Default)]
pub struct Prompt {}

impl Prompt {
    /// Writes `question` as it is and reads a line of standard input.
    ///
    /// # Errors
    /// [`PromptError::Io`] if the terminal or standard input fails.
    pub fn confirm(&mut self, question: &str) -> Result<Answer, PromptError> {
        let _skeleton = question;
        Ok(Answer::No)
    }
}

/// Why nobody answered.
#[derive(Debug, Error)]
pub enum PromptError {
    /// Reading or writing failed.
    #[error("cannot read the answer: {0}")]
    Io(#[from] std::io::Error),
}
