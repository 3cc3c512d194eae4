//! The body of an answer, never longer than it may be.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Response, header::CONTENT_LENGTH};
use tokio::time::timeout;

/// The longest text of an error that is shown.
pub(super) const MAX_ERROR_BYTES: u64 = 64 << 10;

/// Why there is no body.
#[derive(Debug)]
pub(super) enum Unread {
    TooLarge,
    Stalled,
    Failed(reqwest::Error),
}

/// Reads to the end, in chunks, each of which may take as long as `stall`. Who bounds the whole does it around this.
pub(super) async fn read(mut response: Response, limit_bytes: u64, stall: Duration) -> Result<Bytes, Unread> {
    if announced(&response).is_some_and(|bytes| bytes > limit_bytes) {
        return Err(Unread::TooLarge);
    }
    let mut body = Vec::new();
    loop {
        let chunk = timeout(stall, response.chunk()).await.map_err(|_| Unread::Stalled)?;
        let Some(chunk) = chunk.map_err(Unread::Failed)? else { return Ok(body.into()) };
        body.extend_from_slice(&chunk);
        if u64::try_from(body.len()).unwrap_or(u64::MAX) > limit_bytes {
            return Err(Unread::TooLarge);
        }
    }
}

/// How long the server says that it is.
fn announced(response: &Response) -> Option<u64> {
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
