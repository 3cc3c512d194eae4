//! Placeholder of server.

use thiserror::Error;

/// Why server failed.
#[derive(Debug, Error)]
pub enum ServerError {}

impl ServerError {
    /// What the person can do.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        None
    }
}
