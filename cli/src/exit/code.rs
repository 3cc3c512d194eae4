//! Exit codes: few, by what the caller can do, and decided by the kind of the error, never by its text.
//!
//! Called as `notary`, the program knows only 0 and 1, as Notary does.

use signet_proto::Reason;

use super::CliError;
use crate::{
    agent::AgentError,
    collection::{CollectionError, root_certificate::CertificateProblem},
    prompt::PromptError,
    server::ServerError,
    trustdir::TrustDirError,
};

/// How a command ended, by what the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// None of the others.
    Failed,
    /// Words that make no command.
    Usage,
    /// The agent understood the request and will not sign it.
    Refused,
    /// A key, its passphrase or its token is not at hand.
    KeyNotAtHand,
    /// The way to the server.
    ServerUnreachable,
    /// The server answered, and not with what was asked for.
    ServerRefused,
    /// Metadata or content that cannot be trusted.
    NotTrusted,
    /// The way to the agent, or to its ledger.
    AgentUnavailable,
    /// A person was asked and said no.
    Declined,
    /// Somebody else than the server that is trusted, or a server that does not trust us.
    Tls,
    /// The server, or its token server, does not let us.
    NotAuthorized,
    /// The server does not have the repository.
    UnknownRepository,
}

impl Exit {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Failed,
        Self::Usage,
        Self::Refused,
        Self::KeyNotAtHand,
        Self::ServerUnreachable,
        Self::ServerRefused,
        Self::NotTrusted,
        Self::AgentUnavailable,
        Self::Declined,
        Self::Tls,
        Self::NotAuthorized,
        Self::UnknownRepository,
    ];

    /// The number that the process ends with.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::KeyNotAtHand => 4,
            Self::ServerUnreachable => 5,
            Self::ServerRefused => 6,
            Self::NotTrusted => 7,
            Self::AgentUnavailable => 8,
            Self::Declined => 9,
            Self::Tls => 10,
            Self::NotAuthorized => 11,
            Self::UnknownRepository => 12,
        }
    }

    /// What it means, for people.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Failed => "it was not done: a file, a setting, a staged change",
            Self::Usage => "the command line makes no sense",
            Self::Refused => "the agent understood the request and will not sign it",
            Self::KeyNotAtHand => "a key, its passphrase or PIN, or its token is not at hand",
            Self::ServerUnreachable => "the server, its token server, or the proxy before one cannot be reached",
            Self::ServerRefused => "the server answered, and did not do it",
            Self::NotTrusted => "metadata or content cannot be trusted",
            Self::AgentUnavailable => "the agent cannot be reached or started, or cannot record",
            Self::Declined => "a person was asked and said no",
            Self::Tls => "TLS failed: a certificate is not trusted, here or there",
            Self::NotAuthorized => "the server wants to know who you are, or does not let you",
            Self::UnknownRepository => "the server does not have the repository",
        }
    }
}

/// The table of `help exit-codes`.
#[must_use]
pub fn table() -> String {
    let line = |number: u8, meaning: &str| format!("  {number:>2}  {meaning}\n");
    let rows: String = Exit::ALL.iter().map(|exit| line(exit.number(), exit.meaning())).collect();
    format!("Exit codes of signet:\n{}{rows}Called as notary, it ends with 0 or 1.\n", line(0, "it was done"))
}

impl CliError {
    /// How a command ends that failed with this.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Agent(error) => of_agent(error),
            Self::Server(error) => of_server(error),
            Self::Collection(error) => of_collection(error),
            Self::Prompt(error) => of_prompt(error),
            Self::TrustDir(TrustDirError::CorruptRoot { .. }) | Self::Untrusted(_) => Exit::NotTrusted,
            Self::TrustDir(_) | Self::Config(_) | Self::Output(_) | Self::Failed { .. } => Exit::Failed,
            Self::Usage { .. } => Exit::Usage,
            Self::NotAtHand(_) => Exit::KeyNotAtHand,
            Self::Aborted => Exit::Declined,
        }
    }
}

fn of_agent(error: &AgentError) -> Exit {
    match error {
        AgentError::Refused { reason, .. } => of_reason(*reason),
        AgentError::Prompt(error) => of_prompt(error),
        AgentError::NotRunning { .. }
        | AgentError::Elsewhere { .. }
        | AgentError::Unreachable { .. }
        | AgentError::Start { .. }
        | AgentError::ForeignSocket { .. }
        | AgentError::TimedOut { .. }
        | AgentError::Unexpected { .. } => Exit::AgentUnavailable,
        AgentError::NoHome | AgentError::Setting { .. } => Exit::Failed,
    }
}

const fn of_reason(reason: Reason) -> Exit {
    match reason {
        Reason::MalformedMetadata
        | Reason::RequestTooLarge
        | Reason::DeniedByPolicy
        | Reason::ApprovalsMissing
        | Reason::VersionRollback
        | Reason::VersionJump
        | Reason::VersionConflict
        | Reason::EvidenceMissing
        | Reason::EvidenceRejected
        | Reason::KeyNotListed
        | Reason::SlotOccupied
        | Reason::FactorySecret
        | Reason::NotAttested
        | Reason::NeedsAcknowledgement => Exit::Refused,
        Reason::UnknownKey
        | Reason::CorruptKey
        | Reason::KeyLocked
        | Reason::SecretIncorrect
        | Reason::LastPinTry
        | Reason::PinBlocked
        | Reason::PukBlocked
        | Reason::ManagementKey
        | Reason::TokenAbsent
        | Reason::TokenFailed
        | Reason::NotSupported
        | Reason::TouchTimeout => Exit::KeyNotAtHand,
        Reason::UnknownCaller | Reason::LedgerUnavailable | Reason::Busy | Reason::Internal => Exit::AgentUnavailable,
        Reason::UnsafePath => Exit::Failed,
    }
}

const fn of_prompt(error: &PromptError) -> Exit {
    match error {
        PromptError::NoPassphrase { .. }
        | PromptError::NoPin { .. }
        | PromptError::Exhausted { .. }
        | PromptError::TooManyAttempts => Exit::KeyNotAtHand,
        PromptError::NoAnswer => Exit::Declined,
        PromptError::Io(_) | PromptError::Misfit(_) => Exit::Failed,
    }
}

const fn of_server(error: &ServerError) -> Exit {
    match error {
        ServerError::TokenServer(failure) => of_server(&failure.cause),
        ServerError::Unreachable { .. } => Exit::ServerUnreachable,
        ServerError::Tls { .. } => Exit::Tls,
        ServerError::Denied(_)
        | ServerError::TokenRefused(_)
        | ServerError::TokenAnswer { .. }
        | ServerError::Challenge { .. }
        | ServerError::Realm { .. } => Exit::NotAuthorized,
        ServerError::NotFound { .. } => Exit::UnknownRepository,
        ServerError::Conflict { .. }
        | ServerError::Rejected { .. }
        | ServerError::Status { .. }
        | ServerError::TooLarge { .. }
        | ServerError::Answer { .. } => Exit::ServerRefused,
        ServerError::Prompt(error) => of_prompt(error),
        ServerError::Url { .. }
        | ServerError::UserInUrl { .. }
        | ServerError::Certificate { .. }
        | ServerError::Setup { .. } => Exit::Failed,
    }
}

fn of_collection(error: &CollectionError) -> Exit {
    match error {
        CollectionError::Server(error) => of_server(error),
        CollectionError::Agent(error) => of_agent(error),
        CollectionError::Prompt(error) => of_prompt(error),
        CollectionError::Offline { .. } => Exit::ServerUnreachable,
        CollectionError::Invalid { .. }
        | CollectionError::Untrusted { .. }
        | CollectionError::Pinned { .. }
        | CollectionError::TrustDir(TrustDirError::CorruptRoot { .. }) => Exit::NotTrusted,
        CollectionError::Unsigned { .. } => Exit::KeyNotAtHand,
        CollectionError::Raced { .. } | CollectionError::Lost { .. } => Exit::ServerRefused,
        CollectionError::NotAcknowledged { .. } => Exit::Declined,
        CollectionError::InitFailed { source, .. } => of_collection(source),
        CollectionError::Certificate { problem, .. } => of_certificate(problem),
        CollectionError::TrustDir(_)
        | CollectionError::Change { .. }
        | CollectionError::NoVersionLeft { .. }
        | CollectionError::NeverPublished { .. }
        | CollectionError::RootIsOut { .. }
        | CollectionError::RotationUnfinished { .. }
        | CollectionError::RotationIsOut { .. }
        | CollectionError::NoRotation { .. }
        | CollectionError::TooFewKeys { .. }
        | CollectionError::Exists { .. } => Exit::Failed,
    }
}

const fn of_certificate(problem: &CertificateProblem) -> Exit {
    match problem {
        CertificateProblem::NoKey { .. } | CertificateProblem::NoRootKey { .. } => Exit::KeyNotAtHand,
        CertificateProblem::Unreadable(_)
        | CertificateProblem::TooLarge
        | CertificateProblem::Unfit(_)
        | CertificateProblem::OtherKey { .. } => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        credentials::Who,
        server::{Access, Permission, Refusal, TlsProblem, Unreachable},
    };

    #[test]
    fn every_way_to_end_has_a_number_of_its_own() {
        let numbers: Vec<u8> = Exit::ALL.iter().map(|exit| exit.number()).collect();
        assert_eq!(numbers, (1..=12).collect::<Vec<u8>>());
    }

    #[test]
    fn the_exit_code_says_what_the_caller_can_do() {
        let refused = |reason| AgentError::Refused { reason, message: String::new(), metadata: BTreeMap::new() };
        let nobody = || ServerError::Unreachable { server: "h".into(), cause: Unreachable::Refused };
        let denied = ServerError::Denied(Box::new(Refusal {
            server: "h".into(),
            gun: "g".into(),
            access: Access::Write,
            permission: Permission::Unauthorized,
            who: Who::Nobody,
            text: String::new(),
        }));
        let unknown = ServerError::NotFound { server: "h".into(), gun: "g".into(), what: "root".into() };
        let tls = ServerError::Tls { server: "h".into(), problem: TlsProblem::Expired };
        let table: [(CliError, Exit); 15] = [
            (CliError::failed("x"), Exit::Failed),
            (CliError::Usage { message: String::new(), usage: String::new() }, Exit::Usage),
            (refused(Reason::VersionConflict).into(), Exit::Refused),
            (CollectionError::Agent(refused(Reason::DeniedByPolicy)).into(), Exit::Refused),
            (refused(Reason::TokenAbsent).into(), Exit::KeyNotAtHand),
            (PromptError::TooManyAttempts.into(), Exit::KeyNotAtHand),
            (nobody().into(), Exit::ServerUnreachable),
            (CollectionError::Server(nobody()).into(), Exit::ServerUnreachable),
            (denied.into(), Exit::NotAuthorized),
            (unknown.into(), Exit::UnknownRepository),
            (tls.into(), Exit::Tls),
            (CollectionError::Pinned { why: String::new() }.into(), Exit::NotTrusted),
            (refused(Reason::LedgerUnavailable).into(), Exit::AgentUnavailable),
            (CliError::NotAtHand(String::new()), Exit::KeyNotAtHand),
            (CliError::Aborted, Exit::Declined),
        ];
        for (error, exit) in table {
            assert_eq!(error.exit(), exit, "{error:?}");
        }
    }
}
