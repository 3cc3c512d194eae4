//! User name and password, asked in Notary's words.

use super::{Prompt, PromptError};
use crate::secret::Passphrase;

impl Prompt {
    /// Who the person is; none if nobody sits there or no name is typed.
    ///
    /// # Errors
    /// [`PromptError::Io`] if the terminal fails, [`PromptError::NoAnswer`] if the input ends at the password.
    pub fn login(&self) -> Result<Option<(String, Passphrase)>, PromptError> {
        let mut state = self.state();
        if !state.person.is_there() {
            return Ok(None);
        }
        let user = state.person.line("Enter username: ")?.trim().to_owned();
        if user.is_empty() {
            return Ok(None);
        }
        let password = state.person.secret("Enter password: ")?.trimmed();
        Ok((!password.expose().is_empty()).then_some((user, password)))
    }
}
