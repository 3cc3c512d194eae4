//! A drill: which places of keys can still sign.

use signet_proto::v1;
use tonic::Streaming;

use super::{
    AgentError, Client, answered, tokens_client,
    touch::{self, Watch},
    unlock,
};
use crate::log::visible;

/// A drill under way.
pub struct Drill {
    results: Streaming<v1::DrillResult>,
    watch: Watch,
}

impl Drill {
    /// The next place; none after the last.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn next(&mut self) -> Result<Option<v1::DrillResult>, AgentError> {
        let result = async { self.results.message().await.map(tonic::Response::new) };
        self.watch.during(answered(result)).await
    }
}

impl Client {
    /// Begins a drill of these keys; asks for what is locked first. What stays locked fails in the drill. `key` is the
    /// canonical ID of the only one; empty: every key on a token.
    ///
    /// # Errors
    /// [`AgentError`]
    pub async fn drill(&mut self, key: &str, keys: &[v1::Key]) -> Result<Drill, AgentError> {
        let trust_dir = self.trust_dir()?;
        let channel = self.channel().await?;
        for locked in unlock::locked(keys) {
            match unlock::unlock(&channel, &self.prompt, &trust_dir, &locked).await {
                Ok(()) => {}
                Err(error @ (AgentError::Refused { .. } | AgentError::Prompt(_))) => {
                    tracing::warn!("{}", visible(&error.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        let touched = touch::touchable(keys, keys.iter().map(|key| key.key_id.as_str()));
        let mut watch = Watch::open(&channel, touched).await;
        let request = v1::DrillRequest { key: key.to_owned(), trust_dir };
        let results = watch.during(answered(tokens_client(&channel).drill(request))).await?;
        Ok(Drill { results, watch })
    }
}

/// Why a place did not sign; none if it did.
#[must_use]
pub fn refusal(result: &v1::DrillResult) -> Option<AgentError> {
    if result.signed {
        return None;
    }
    let details = [("token", result.token.as_str()), ("key_id", &result.key_id)];
    Some(match result.reason.parse() {
        Ok(reason) => AgentError::refused(reason, result.message.clone(), &details),
        Err(unknown) => AgentError::Unexpected { what: format!("{} ({unknown})", result.message) },
    })
}

#[cfg(test)]
mod tests {
    use signet_proto::{Reason, v1};

    use super::refusal;

    #[test]
    fn a_place_that_did_not_sign_says_why_and_what_to_do() {
        let result = |signed, reason: &str| v1::DrillResult {
            signed,
            reason: reason.to_owned(),
            message: "it is not there".to_owned(),
            token: "4711".to_owned(),
            ..v1::DrillResult::default()
        };
        assert!(refusal(&result(true, "")).is_none());
        let error = refusal(&result(false, "TOKEN_ABSENT")).unwrap();
        assert_eq!((error.reason(), error.to_string().as_str()), (Some(Reason::TokenAbsent), "it is not there"));
        assert_eq!(error.remedy().as_deref(), Some("insert token 4711 and repeat"));
        let error = refusal(&result(false, "NOT_INVENTED_YET")).unwrap();
        assert!(error.to_string().contains("it is not there"), "{error}");
    }
}
