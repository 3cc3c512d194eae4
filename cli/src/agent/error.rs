//! Why the agent did not do it, and what the person can do about it.

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    path::PathBuf,
};

use signet_proto::{DOMAIN, Reason};
use tonic::Status;
use tonic_types::StatusExt;

use crate::prompt::PromptError;

/// The setting that `--agent` and `SIGNET_AGENT` give.
pub(super) const ADDRESS: &str = "the agent's address";
/// The setting that `-d` gives.
pub(super) const TRUST_DIR: &str = "the trust directory";
/// How the agent's last words begin if its configuration file is at fault; the file's path follows.
const CONFIGURATION: &str = "signet-agent: configuration ";

/// Why the agent did not do it.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The agent said no.
    #[error("{message}")]
    Refused {
        /// Decide by this.
        reason: Reason,
        /// The agent's sentence.
        message: String,
        /// Data of the reason; see [`Reason`].
        metadata: BTreeMap<String, String>,
    },
    /// This user has no agent now.
    #[error("no signet-agent runs for this user and state directory ({})", socket.display())]
    NotRunning {
        /// Where it would listen.
        socket: PathBuf,
    },
    /// This user has one, and it cannot be reached from here.
    #[error("signet-agent, pid {pid}, serves {} and cannot be reached: {cause}", state_dir.display())]
    Elsewhere {
        /// Its process.
        pid: i32,
        /// The state directory that it has locked.
        state_dir: PathBuf,
        /// What was tried.
        cause: String,
    },
    /// Nobody answers at a socket that was named, or the one who listens does not take connections.
    #[error("no agent answers at {}: {cause}", socket.display())]
    Unreachable {
        /// Where it was looked for.
        socket: PathBuf,
        /// What the system says.
        cause: String,
    },
    /// No agent could be started.
    #[error("cannot start signet-agent: {cause}")]
    Start {
        /// What happened, with the agent's last words.
        cause: String,
    },
    /// Somebody else's socket: nothing was sent.
    #[error("will not talk to {}: {why}", socket.display())]
    ForeignSocket {
        /// The socket.
        socket: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It answers nothing.
    #[error("signet-agent did not answer within {seconds} s")]
    TimedOut {
        /// How long it was waited for.
        seconds: u64,
    },
    /// An answer that this interface does not have: another version, or the connection broke.
    #[error("signet-agent: {what}")]
    Unexpected {
        /// What came instead.
        what: String,
    },
    /// A passphrase or PIN that nobody gave.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// Nothing says where the agent keeps its state.
    #[error("HOME is not set")]
    NoHome,
    /// A path or variable that cannot be used.
    #[error("{name} must be {wanted}: {}", value.display())]
    Setting {
        /// Variable or flag.
        name: &'static str,
        /// What it should be.
        wanted: &'static str,
        /// What it is.
        value: PathBuf,
    },
}

impl AgentError {
    /// A refusal that needs no agent, because it is known what the agent would say.
    pub(super) fn refused(reason: Reason, message: String, details: &[(&str, &str)]) -> Self {
        let metadata = details.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self::Refused { reason, message, metadata }
    }

    /// The reason of a refusal.
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused { reason, .. } => Some(*reason),
            Self::NotRunning { .. }
            | Self::Elsewhere { .. }
            | Self::Unreachable { .. }
            | Self::Start { .. }
            | Self::ForeignSocket { .. }
            | Self::TimedOut { .. }
            | Self::Unexpected { .. }
            | Self::Prompt(_)
            | Self::NoHome
            | Self::Setting { .. } => None,
        }
    }

    /// A refusal's data, for example `next` of a version conflict; nothing if it is empty.
    #[must_use]
    pub fn detail(&self, name: &str) -> Option<&str> {
        match self {
            Self::Refused { metadata, .. } => metadata.get(name).map(String::as_str).filter(|text| !text.is_empty()),
            Self::NotRunning { .. }
            | Self::Elsewhere { .. }
            | Self::Unreachable { .. }
            | Self::Start { .. }
            | Self::ForeignSocket { .. }
            | Self::TimedOut { .. }
            | Self::Unexpected { .. }
            | Self::Prompt(_)
            | Self::NoHome
            | Self::Setting { .. } => None,
        }
    }

    /// What the person can do.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Refused { reason, .. } => self.remedy_of(*reason),
            Self::NotRunning { .. } => Some("signet agent start".to_owned()),
            Self::Elsewhere { pid, .. } => Some(format!(
                "repeat it with the XDG_RUNTIME_DIR that the agent was started with, or end it: kill {pid}"
            )),
            Self::Unreachable { .. } => {
                Some("start one there, or leave out --agent and SIGNET_AGENT to use your own".to_owned())
            }
            Self::Start { cause } if cause.contains(CONFIGURATION) => Some("correct it and repeat".to_owned()),
            Self::Start { .. } => Some("signet agent start --foreground shows what it does".to_owned()),
            Self::ForeignSocket { .. } => {
                Some("nothing was sent; find out who made it, and remove it or name another with --agent".to_owned())
            }
            Self::TimedOut { .. } => Some("look at signet agent status, and at agent.log beside its ledger".to_owned()),
            Self::Unexpected { .. } => {
                Some("repeat it; if it stays, compare the versions in signet agent status".to_owned())
            }
            Self::Prompt(error) => error.remedy(),
            Self::NoHome => Some("set it, or SIGNET_STATE_DIR".to_owned()),
            Self::Setting { name, wanted, .. } => Some(match *name {
                ADDRESS => format!("give --agent or SIGNET_AGENT as {wanted}"),
                TRUST_DIR => "give another one with -d".to_owned(),
                variable => format!("set {variable} to {wanted}"),
            }),
        }
    }

    fn remedy_of(&self, reason: Reason) -> Option<String> {
        let detail = |name| self.detail(name).unwrap_or("?");
        let text = match reason {
            Reason::UnknownCaller => "run it as the user whose agent it is".to_owned(),
            Reason::MalformedMetadata => match self.detail("path") {
                Some(path) => format!("correct {path}"),
                None => return None,
            },
            Reason::RequestTooLarge => {
                format!(
                    "raise max-request-bytes ({}) under [agent] in agent.toml and start the agent again",
                    detail("limit_bytes")
                )
            }
            Reason::UnknownKey => "signet key list shows the keys, signet agent status the tokens".to_owned(),
            Reason::UnsafePath => {
                format!("make {} yours, and not writable for others", detail("path"))
            }
            Reason::CorruptKey => match self.detail("path") {
                Some(path) => format!("restore {path} from a backup, or take it out of the directory"),
                None => return None,
            },
            Reason::DeniedByPolicy => "ask who administers the agent".to_owned(),
            Reason::ApprovalsMissing => {
                format!("{} more must approve proposal {}, then repeat", detail("missing"), detail("proposal"))
            }
            Reason::VersionRollback => format!(
                "version {} was signed before: check that -s names the right server, and that it was not restored from an old backup",
                detail("last")
            ),
            Reason::VersionJump => format!(
                "the last version is {}, the highest allowed {}: check that -s names the right server",
                detail("last"),
                detail("highest")
            ),
            Reason::VersionConflict => format!(
                "publish what was signed, take version {}, or give up a root that never got out: signet ledger abandon GUN",
                detail("next")
            ),
            Reason::EvidenceMissing => {
                "show the whole chain of roots; the server must serve every <N>.root.json".to_owned()
            }
            Reason::EvidenceRejected => {
                "what the server serves does not verify: check -s, and the cache in the trust directory".to_owned()
            }
            Reason::KeyNotListed => "rotate the role to a key that you have, or use the one it lists".to_owned(),
            Reason::NeedsAcknowledgement => format!("look at it, then repeat and accept: {}", detail("findings")),
            Reason::KeyLocked => match self.detail("token") {
                Some(token) => format!("signet agent unlock {}", quoted(token)),
                None => return None,
            },
            Reason::SecretIncorrect => return self.detail("tries").and_then(after_a_wrong_secret),
            Reason::LastPinTry if self.detail("secret") == Some("puk") => {
                format!(
                    "if you are sure of the PUK: signet token pin unblock {} --spend-last-try",
                    quoted(detail("token"))
                )
            }
            Reason::LastPinTry => {
                format!("if you are sure of the PIN: signet agent unlock {} --spend-last-try", quoted(detail("token")))
            }
            Reason::PinBlocked => format!(
                "unblock token {} with its SO PIN; a YubiKey with its PUK: signet token pin unblock {}",
                detail("token"),
                quoted(detail("token"))
            ),
            Reason::PukBlocked => format!(
                "its keys still sign while the PIN is known; else only a reset helps: signet token reset {}",
                quoted(detail("token"))
            ),
            Reason::ManagementKey => format!(
                "store it on the YubiKey with signet token setup {}, or give --management-key-file",
                quoted(detail("token"))
            ),
            Reason::SlotOccupied => "choose another slot, or --overwrite: the key in it is destroyed then".to_owned(),
            Reason::FactorySecret => format!(
                "replace what is the factory's: signet token setup {}; --factory if the YubiKey does not tell",
                quoted(detail("token"))
            ),
            Reason::NotAttested => "make a key on a YubiKey: signet key generate --token SERIAL".to_owned(),
            Reason::TokenAbsent => format!("insert token {} and repeat", detail("token")),
            Reason::TokenFailed => "signet agent status shows the token's trouble".to_owned(),
            Reason::NotSupported => "choose another algorithm, or another place: --file, --token NAME".to_owned(),
            Reason::LedgerUnavailable => {
                "look at the disk of the agent's state directory: signet agent status".to_owned()
            }
            Reason::TouchTimeout => "repeat, and touch the token when it blinks".to_owned(),
            Reason::Busy => "repeat in a moment".to_owned(),
            Reason::Internal => match self.detail("request_id") {
                Some(id) => format!("report it, with request {id} in agent.log"),
                None => "report it, with the end of agent.log".to_owned(),
            },
        };
        Some(text)
    }
}

/// What a token's word about its tries means for the person who gave a wrong PIN or PUK.
fn after_a_wrong_secret(tries: &str) -> Option<String> {
    let text = match tries {
        "unknown" => return None,
        "all" => "the token has not counted it",
        "fewer" => "the token counts wrong PINs: be sure before you repeat",
        "last" => "one more wrong PIN blocks the token",
        "none" | "0" => "the token is blocked now: unblock it with its SO PIN or PUK",
        "1" => "one try is left: another wrong one blocks it",
        "untried" => "it was not tried, so no try was spent",
        number => return Some(format!("{number} tries are left: be sure before you repeat")),
    };
    Some(text.to_owned())
}

impl From<Status> for AgentError {
    fn from(status: Status) -> Self {
        let Some(info) = status.get_details_error_info().filter(|info| info.domain == DOMAIN) else {
            return Self::Unexpected { what: in_words(&status) };
        };
        match info.reason.parse() {
            Ok(reason) => {
                Self::Refused { reason, message: status.message().to_owned(), metadata: sorted(info.metadata) }
            }
            Err(unknown) => Self::Unexpected { what: format!("{} ({unknown})", status.message()) },
        }
    }
}

fn sorted(metadata: HashMap<String, String>) -> BTreeMap<String, String> {
    metadata.into_iter().collect()
}

/// A status that is no refusal. What the transport has to say stands at the end of its chain of causes.
fn in_words(status: &Status) -> String {
    let mut cause = status.source();
    while let Some(deeper) = cause.and_then(Error::source) {
        cause = Some(deeper);
    }
    match (cause, status.message()) {
        (Some(cause), _) => format!("the connection broke: {cause}"),
        (None, "") => status.code().to_string(),
        (None, message) => format!("{message} ({:?})", status.code()),
    }
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |char: char| char.is_alphanumeric() || "-_./:=".contains(char);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use signet_proto::{DOMAIN, Reason};
    use tonic::{Code, Status};
    use tonic_types::{ErrorDetails, StatusExt};

    use super::{ADDRESS, AgentError, TRUST_DIR};

    fn refusal(domain: &str, reason: &str, metadata: &[(&str, &str)]) -> AgentError {
        let metadata: HashMap<String, String> =
            metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let details = ErrorDetails::with_error_info(reason, domain, metadata);
        AgentError::from(Status::with_error_details(Code::FailedPrecondition, "the agent's words", details))
    }

    #[test]
    fn every_reason_arrives_with_its_data() {
        for reason in Reason::ALL {
            let error = refusal(DOMAIN, reason.as_str(), &[("token", "release"), ("next", "7"), ("path", "")]);
            assert_eq!(error.reason(), Some(*reason));
            assert_eq!(error.detail("next"), Some("7"));
            assert_eq!(error.detail("path"), None);
            assert_eq!(error.to_string(), "the agent's words");
        }
    }

    #[test]
    fn remedies_name_the_thing() {
        for (reason, metadata, fragment) in [
            (Reason::VersionConflict, ("next", "8"), "take version 8"),
            (Reason::LastPinTry, ("token", "release"), "signet agent unlock release --spend-last-try"),
            (Reason::LastPinTry, ("token", "my token"), "unlock 'my token' --spend"),
            (Reason::LastPinTry, ("secret", "puk"), "signet token pin unblock"),
            (Reason::SecretIncorrect, ("tries", "fewer"), "counts wrong PINs"),
            (Reason::SecretIncorrect, ("tries", "2"), "2 tries are left"),
            (Reason::SecretIncorrect, ("tries", "1"), "one try is left"),
            (Reason::SecretIncorrect, ("tries", "0"), "blocked now"),
            (Reason::SecretIncorrect, ("tries", "untried"), "no try was spent"),
            (Reason::TokenAbsent, ("token", "release"), "insert token release"),
            (Reason::RequestTooLarge, ("limit_bytes", "1024"), "max-request-bytes (1024) under [agent]"),
            (Reason::NeedsAcknowledgement, ("findings", "new-collection"), "new-collection"),
            (Reason::CorruptKey, ("path", "/a/b.key"), "restore /a/b.key"),
        ] {
            let remedy = refusal(DOMAIN, reason.as_str(), &[metadata]).remedy().unwrap();
            assert!(remedy.contains(fragment), "{reason}: {remedy}");
        }
    }

    #[test]
    fn what_keeps_the_agent_from_starting_has_a_remedy() {
        let setting = |name, wanted| AgentError::Setting { name, wanted, value: "x".into() };
        let start = |cause: &str| AgentError::Start { cause: cause.to_owned() };
        for (error, remedy) in [
            (AgentError::NoHome, "set it, or SIGNET_STATE_DIR"),
            (setting("SIGNET_STATE_DIR", "an absolute path"), "set SIGNET_STATE_DIR to an absolute path"),
            (setting(ADDRESS, "unix:PATH"), "give --agent or SIGNET_AGENT as unix:PATH"),
            (setting(TRUST_DIR, "UTF-8"), "give another one with -d"),
            (start("it ended with 1:\nsignet-agent: configuration /c/agent.toml: no"), "correct it and repeat"),
            (start("it ended with 1"), "signet agent start --foreground shows what it does"),
        ] {
            assert_eq!(error.remedy().as_deref(), Some(remedy), "{error}");
        }
    }

    #[test]
    fn a_stranger_s_answer_is_no_refusal() {
        for (domain, reason) in [("elsewhere", "BUSY"), (DOMAIN, "NOT_INVENTED_YET")] {
            let error = refusal(domain, reason, &[]);
            assert_eq!(error.reason(), None, "{domain} {reason}");
            assert!(error.to_string().contains("the agent's words"));
        }
        let bare = AgentError::from(Status::unimplemented("unknown service"));
        assert_eq!(bare.to_string(), "signet-agent: unknown service (Unimplemented)");
    }
}
