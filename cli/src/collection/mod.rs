//! Placeholder of collection.

use thiserror::Error;

/// Why collection failed.
#[derive(Debug, Error)]
pub enum CollectionError {}

impl CollectionError {
    /// What the person can do.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        None
    }
}
