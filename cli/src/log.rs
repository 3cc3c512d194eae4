//! Log lines on stderr, in the form of Notary's. Write them with `tracing::warn!("...")`, `info!`, `debug!`.
