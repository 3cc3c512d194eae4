//! Placeholder of trustdir.

use thiserror::Error;

/// Why trustdir failed.
#[derive(Debug, Error)]
pub enum TrustDirError {}

impl TrustDirError {
    /// What the person can do.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        None
    }
}
