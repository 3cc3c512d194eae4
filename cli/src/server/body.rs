//! The body of an answer, never longer than it may be.

use bytes::Bytes;
use reqwest::{Response, header::CONTENT_LENGTH};

/// The longest text of an error that is shown.
pub(super) const MAX_ERROR_BYTES: u64 = 64 << 10;

/// Why there is no body.
#[derive(Debug)]
pub(super) enum Unread {
    TooLarge,
    Failed(reqwest::Error),
}

/// Reads to the end, in chunks. The caller bounds the time.
pub(super) async fn read(mut response: Response, limit_bytes: u64) -> Result<Bytes, Unread> {
    if announced(&response).is_some_and(|bytes| bytes > limit_bytes) {
        return Err(Unread::TooLarge);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Unread::Failed)? {
        body.extend_from_slice(&chunk);
        if u64::try_from(body.len()).unwrap_or(u64::MAX) > limit_bytes {
            return Err(Unread::TooLarge);
        }
    }
    Ok(body.into())
}

/// How long the server says that it is.
pub(super) fn announced(response: &Response) -> Option<u64> {
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
