//! Notary's words for failures of which ours say more. Decided by the kind of the error, never by its text.

use super::CliError;
use crate::{
    collection::{CollectionError, root_certificate::CertificateProblem},
    server::{Permission, ServerError, Unreachable},
};

const OFFLINE: &str = "client is offline";
const UNAUTHORIZED: &str = "you are not authorized to perform this operation: server returned 401.";
const FORBIDDEN: &str = "unable to reach trust server at this time: 403.";

/// What Notary says to this; none if our message is Notary's, or if Notary's would mislead.
#[must_use]
pub const fn of_notary(error: &CliError) -> Option<&'static str> {
    match error {
        CliError::Server(error) => of_server(error),
        CliError::Collection(error) => of_collection(error),
        CliError::Agent(_)
        | CliError::TrustDir(_)
        | CliError::Config(_)
        | CliError::Prompt(_)
        | CliError::Output(_)
        | CliError::Usage { .. }
        | CliError::NotAtHand(_)
        | CliError::Aborted
        | CliError::Untrusted(_)
        | CliError::Failed { .. } => None,
    }
}

const fn of_server(error: &ServerError) -> Option<&'static str> {
    match error {
        // A proxy that fails is told as TLS trouble is: the server need not be offline.
        ServerError::Unreachable { cause: Unreachable::Proxy(_), .. } => None,
        ServerError::Unreachable { .. } => Some(OFFLINE),
        ServerError::Denied(refusal) => Some(match refusal.permission {
            Permission::Unauthorized => UNAUTHORIZED,
            Permission::Forbidden => FORBIDDEN,
        }),
        ServerError::TokenRefused(_)
        | ServerError::TokenAnswer { .. }
        | ServerError::Challenge { .. }
        | ServerError::Realm { .. }
        | ServerError::Prompt(_)
        | ServerError::Tls { .. }
        | ServerError::NotFound { .. }
        | ServerError::Conflict { .. }
        | ServerError::Rejected { .. }
        | ServerError::Status { .. }
        | ServerError::TooLarge { .. }
        | ServerError::Answer { .. }
        | ServerError::TokenServer(_)
        | ServerError::Url { .. }
        | ServerError::UserInUrl { .. }
        | ServerError::Certificate { .. }
        | ServerError::Setup { .. } => None,
    }
}

const fn of_collection(error: &CollectionError) -> Option<&'static str> {
    match error {
        CollectionError::Server(error) => of_server(error),
        CollectionError::Offline { .. } => Some(OFFLINE),
        CollectionError::Certificate { problem, .. } => of_certificate(problem),
        // Init says which keys it has made, and that must not be lost: its message stays whole.
        CollectionError::InitFailed { .. }
        | CollectionError::Agent(_)
        | CollectionError::Prompt(_)
        | CollectionError::Invalid { .. }
        | CollectionError::Untrusted { .. }
        | CollectionError::Pinned { .. }
        | CollectionError::TrustDir(_)
        | CollectionError::Unsigned { .. }
        | CollectionError::Raced { .. }
        | CollectionError::Lost { .. }
        | CollectionError::NotAcknowledged { .. }
        | CollectionError::Change { .. }
        | CollectionError::NoVersionLeft { .. }
        | CollectionError::NeverPublished { .. }
        | CollectionError::RootIsOut { .. }
        | CollectionError::RotationUnfinished { .. }
        | CollectionError::RotationIsOut { .. }
        | CollectionError::NoRotation { .. }
        | CollectionError::TooFewKeys { .. }
        | CollectionError::Exists { .. } => None,
    }
}

const fn of_certificate(problem: &CertificateProblem) -> Option<&'static str> {
    match problem {
        CertificateProblem::NoKey { .. } => {
            Some("error initializing repository with certificate: cannot find matching private key id")
        }
        CertificateProblem::OtherKey { .. } => Some("private key is nil or does not match public key"),
        // Notary makes such a collection, and nobody can read it.
        CertificateProblem::NoRootKey { .. }
        | CertificateProblem::Unreadable(_)
        | CertificateProblem::TooLarge
        | CertificateProblem::Unfit(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{CliError, CollectionError, ServerError, of_notary};
    use crate::server::{ProxyFailure, ProxyProblem, Unreachable};

    #[test]
    fn who_cannot_reach_the_server_is_offline() {
        let nobody = || ServerError::Unreachable { server: "h".into(), cause: Unreachable::Refused };
        let failure = ProxyFailure { proxy: "p".into(), variable: "HTTPS_PROXY", problem: ProxyProblem::Refused };
        let by_proxy = ServerError::Unreachable { server: "h".into(), cause: Unreachable::Proxy(Box::new(failure)) };
        let table: [(CliError, Option<&str>); 5] = [
            (nobody().into(), Some("client is offline")),
            (CollectionError::Server(nobody()).into(), Some("client is offline")),
            (CollectionError::Offline { cause: String::new() }.into(), Some("client is offline")),
            (by_proxy.into(), None),
            (CliError::failed("x"), None),
        ];
        for (error, words) in table {
            assert_eq!(of_notary(&error), words, "{error:?}");
        }
    }
}
