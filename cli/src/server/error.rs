//! Why the server did not do it: the network, TLS, or the server's own words.

use std::{path::PathBuf, time::Duration};

use thiserror::Error;

use super::Access;
use crate::{credentials::Who, prompt::PromptError};

const LOG_IN: &str =
    "say who you are: NOTARY_AUTH holds base64 of USER:PASSWORD, `docker login` keeps it, or a terminal asks for it";

/// Why a request to notary-server failed.
#[derive(Debug, Error)]
pub enum ServerError {
    /// Not the URL of a server.
    #[error("the trust server URL has to look like https://HOST:PORT, not `{url}`")]
    Url {
        /// As given.
        url: String,
    },
    /// A user name or a password in the URL of a server.
    #[error("the URL of {server} has a user name or a password in it")]
    UserInUrl {
        /// Host and port.
        server: String,
    },
    /// A certificate or key file that cannot be used.
    #[error("cannot use {}: {problem}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The HTTP client cannot be set up.
    #[error("cannot set up the connection: {cause}")]
    Setup {
        /// What it said.
        cause: String,
    },
    /// Nobody answers: the only kind of failure that counts as offline.
    #[error("could not reach {server}: {cause}")]
    Unreachable {
        /// Host and port.
        server: String,
        /// What happened.
        cause: Unreachable,
    },
    /// Somebody answers who is not the server that we trust, or who does not trust us.
    #[error("{}", tls_message(server, problem))]
    Tls {
        /// Host and port.
        server: String,
        /// What happened.
        problem: TlsProblem,
    },
    /// No such metadata.
    #[error("{server} does not have trust data for {gun}")]
    NotFound {
        /// Host and port.
        server: String,
        /// The collection.
        gun: String,
        /// Which file was asked for.
        what: String,
    },
    /// The server has this or a newer version already: somebody was faster.
    #[error("{server} has a newer version already: {text}")]
    Conflict {
        /// Host and port.
        server: String,
        /// The server's words.
        text: String,
    },
    /// The server looked at the request and refused it.
    #[error("{text}")]
    Rejected {
        /// Host and port.
        server: String,
        /// The server's words.
        text: String,
    },
    /// The server wants to know who we are, or does not let us.
    #[error(transparent)]
    Denied(Box<Refusal>),
    /// The token server gives us no token.
    #[error(transparent)]
    TokenRefused(Box<TokenRefusal>),
    /// The token server cannot be reached, or is not one that we trust.
    #[error(transparent)]
    TokenServer(Box<TokenServerFailure>),
    /// The token server's answer makes no sense.
    #[error("the token server {realm} answered something else than a token: {problem}")]
    TokenAnswer {
        /// Its URL.
        realm: String,
        /// What is wrong; nothing of the answer itself.
        problem: String,
    },
    /// The server wants what we cannot do.
    #[error("{server} wants to know who you are in a way that we do not know: {problem}")]
    Challenge {
        /// Host and port.
        server: String,
        /// What it wants.
        problem: String,
    },
    /// A token server that is not to see our secrets.
    #[error("{server} names {realm} as its token server: {problem}")]
    Realm {
        /// Host and port.
        server: String,
        /// Its URL.
        realm: String,
        /// Why not.
        problem: &'static str,
    },
    /// The person could not be asked who they are.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// Any other status.
    #[error("unable to reach trust server at this time: {status}.{}{text}", if text.is_empty() { "" } else { " " })]
    Status {
        /// Host and port.
        server: String,
        /// HTTP status.
        status: u16,
        /// The server's words.
        text: String,
    },
    /// More bytes than there may be.
    #[error("trust server returned a bad response: {what} of {server} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// Host and port.
        server: String,
        /// Which file.
        what: String,
        /// How large it may be.
        limit_bytes: u64,
    },
    /// An answer that makes no sense.
    #[error("trust server returned a bad response: {what} of {server}: {problem}")]
    Answer {
        /// Host and port.
        server: String,
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// How a server says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// 401: it does not know us, or not as somebody who may.
    Unauthorized,
    /// 403: it knows us, and we may not.
    Forbidden,
}

/// A server that does not let us.
#[derive(Debug, Error)]
#[error("{server} does not let {who} {} {gun} ({}){}{text}", access.verb(), permission.status(), colon(text))]
pub struct Refusal {
    /// Host and port.
    pub server: String,
    /// The collection.
    pub gun: String,
    /// What we wanted to do with it.
    pub access: Access,
    /// How it says no.
    pub permission: Permission,
    /// As whom we came.
    pub who: Who,
    /// The server's words.
    pub text: String,
}

/// A token server that gives us no token.
#[derive(Debug, Error)]
#[error("the token server {realm} refuses {who} a token for {scope}: it answers {status}{}{text}", colon(text))]
pub struct TokenRefusal {
    /// Its URL.
    pub realm: String,
    /// What was asked for.
    pub scope: String,
    /// HTTP status.
    pub status: u16,
    /// As whom we came.
    pub who: Who,
    /// Its words.
    pub text: String,
}

/// A token server that no question gets to.
#[derive(Debug, Error)]
#[error("{server} wants a token of {realm}: {cause}")]
pub struct TokenServerFailure {
    /// Host and port of the server that wants the token.
    pub server: String,
    /// The token server's URL.
    pub realm: String,
    /// [`ServerError::Unreachable`] or [`ServerError::Tls`], of the token server.
    pub cause: ServerError,
}

/// Why nobody answers.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unreachable {
    /// Nothing listens there.
    #[error("connection refused")]
    Refused,
    /// The name is not known.
    #[error("no such host")]
    UnknownHost,
    /// No answer in time.
    #[error("no answer within {} seconds", .0.as_secs())]
    Timeout(Duration),
    /// The proxy before it failed.
    #[error(transparent)]
    Proxy(Box<ProxyFailure>),
    /// Something else.
    #[error("{0}")]
    Other(String),
}

/// A proxy that does not bring us to the server.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the proxy {proxy} {problem}")]
pub struct ProxyFailure {
    /// Its URL without user name and password.
    pub proxy: String,
    /// The variable that names it.
    pub variable: &'static str,
    /// What is wrong.
    pub problem: ProxyProblem,
}

/// What is wrong with a proxy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProxyProblem {
    /// Nothing listens there.
    #[error("refuses connections")]
    Refused,
    /// Its name is not known.
    #[error("has a name that is not known")]
    UnknownHost,
    /// 407.
    #[error("wants a user name and a password, or others than it was given (407)")]
    WantsPassword,
    /// It answers, and does not connect us.
    #[error("does not connect to that server")]
    Unwilling,
    /// Something else.
    #[error("fails: {0}")]
    Other(String),
}

/// Why TLS failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsProblem {
    /// The certificate leads to no CA that we trust.
    UnknownCa {
        /// The file of the CA that we trust; none: the system's.
        trusted: Option<PathBuf>,
    },
    /// It is no longer valid.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// It is for other hosts.
    WrongName,
    /// The server wants a client certificate, or another one.
    ClientCertificate,
    /// The server does not speak TLS.
    NotTls,
    /// Something else.
    Other(String),
}

fn tls_message(server: &str, problem: &TlsProblem) -> String {
    match problem {
        TlsProblem::UnknownCa { trusted: None } => {
            format!("the certificate of {server} is not signed by a CA that you trust")
        }
        TlsProblem::UnknownCa { trusted: Some(file) } => {
            format!("the certificate of {server} is not signed by the CA in {}", file.display())
        }
        TlsProblem::Expired => format!("the certificate of {server} has expired"),
        TlsProblem::NotYetValid => format!("the certificate of {server} is not valid yet"),
        TlsProblem::WrongName => format!("the certificate of {server} is for another host"),
        TlsProblem::ClientCertificate => format!("{server} does not accept our client certificate, or wants one"),
        TlsProblem::NotTls => format!("{server} does not speak TLS"),
        TlsProblem::Other(text) => format!("TLS with {server} failed: {text}"),
    }
}

impl ServerError {
    /// What the person can do.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Url { .. } => Some("give the server with -s or in the configuration file".into()),
            Self::UserInUrl { .. } => Some(
                "leave them out: they would be sent with every request, and stand in logs; NOTARY_AUTH holds base64 of USER:PASSWORD".into(),
            ),
            Self::Certificate { .. } => Some(
                "check --tlscacert, --tlscert and --tlskey: --tlscert and --tlskey are given together, a certificate and its own key".into(),
            ),
            Self::Unreachable { cause, .. } => Some(match cause {
                Unreachable::UnknownHost => "check the host name given with -s".into(),
                Unreachable::Proxy(failure) => failure.remedy(),
                Unreachable::Refused | Unreachable::Timeout(_) | Unreachable::Other(_) => {
                    "check the server given with -s, and that it runs".into()
                }
            }),
            Self::Tls { problem, .. } => tls_remedy(problem),
            Self::NotFound { gun, .. } => {
                Some(format!("check the name and the server, or create it with `init {gun}`"))
            }
            Self::Denied(refusal) => Some(refusal.remedy()),
            Self::TokenRefused(refusal) => Some(refusal.remedy()),
            Self::TokenServer(failure) => Some(failure.remedy()),
            Self::TokenAnswer { .. } => Some("tell the operator of the token server".into()),
            Self::Challenge { .. } => Some("tell its operator that tokens (Bearer) and passwords (Basic) are known".into()),
            Self::Realm { .. } => {
                Some("no user name or password was sent there; use https with -s, or tell the server's operator".into())
            }
            Self::Prompt(error) => error.remedy(),
            Self::Conflict { .. } => Some("publish again".into()),
            Self::Rejected { server, .. } => {
                Some(format!("these are the words of {server}; what is staged stays staged"))
            }
            Self::Status { server, status: 413, .. } => Some(format!(
                "{server}, or a proxy before it, takes no upload of this size: its operator must raise the limit; what is staged stays staged"
            )),
            Self::Status { server, status: 500..=599, .. } => {
                Some(format!("{server} fails, or a proxy before it: try again later, or tell its operator"))
            }
            Self::Status { server, .. } => Some(format!("{server} answers as no notary-server does: check -s")),
            Self::TooLarge { .. } | Self::Answer { .. } => {
                Some("check that the server given with -s is a notary-server".into())
            }
            Self::Setup { .. } => None,
        }
    }

    /// Whether nobody was there to answer.
    #[must_use]
    pub const fn is_offline(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether the server, or what stands before it, cannot serve right now. A token server that cannot be reached counts:
    /// whoever can keep us from it can keep us from the server, too, and so reading loses nothing that it had.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        if let Self::TokenServer(failure) = self {
            return failure.cause.is_offline();
        }
        self.is_offline() || self.is_failure()
    }

    /// Whether somebody answered that it cannot be done.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        matches!(self, Self::Status { status: 500..=599, .. })
    }
}

fn tls_remedy(problem: &TlsProblem) -> Option<String> {
    Some(match problem {
        TlsProblem::UnknownCa { .. } => "give its CA with --tlscacert".into(),
        TlsProblem::Expired => "the server's operator must renew it; check this machine's clock too".into(),
        TlsProblem::NotYetValid => "check this machine's clock".into(),
        TlsProblem::WrongName => "use the name that stands in the certificate with -s".into(),
        TlsProblem::ClientCertificate => {
            "give a certificate with --tlscert and --tlskey that the server's CA signed".into()
        }
        TlsProblem::NotTls => "use http:// with -s if that is meant".into(),
        TlsProblem::Other(_) => return None,
    })
}

impl Permission {
    const fn status(self) -> u16 {
        match self {
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
        }
    }
}

impl Refusal {
    fn remedy(&self) -> String {
        let Self { server, who, .. } = self;
        let operator = format!("ask the operator of {server} to let you {} {}", self.access.verb(), self.gun);
        match (self.permission, who) {
            (_, Who::Nobody) => LOG_IN.to_owned(),
            (Permission::Forbidden, _) => operator,
            // RFC 6750 §3.1: the token was good, and not enough
            (Permission::Unauthorized, _) if self.text.contains("insufficient_scope") => operator,
            (Permission::Unauthorized, _) if self.text.contains("invalid_token") => {
                format!("{server} does not believe its token server: tell its operator; check this machine's clock too")
            }
            (Permission::Unauthorized, who) => format!("check the password of {who}, or {operator}"),
        }
    }
}

impl TokenRefusal {
    /// Whether it depends on who asks.
    pub(super) const fn is_personal(&self) -> bool {
        matches!(self.status, 400 | 401 | 403)
    }

    fn remedy(&self) -> String {
        match &self.who {
            _ if self.status >= 500 => "the token server fails: try again later, or tell its operator".to_owned(),
            _ if (300..400).contains(&self.status) => {
                "a redirection is not followed, since it could lead a password elsewhere: tell its operator".to_owned()
            }
            Who::Nobody => LOG_IN.to_owned(),
            Who::User { .. } => format!("check the password of {}", self.who),
            Who::Bearer { source } => format!("log in again: the identity token of {source} is no longer good"),
        }
    }
}

impl TokenServerFailure {
    fn remedy(&self) -> String {
        let operator = format!("tell the operator of {}, who names that token server", self.server);
        if let ServerError::Unreachable { cause: Unreachable::Proxy(failure), .. } = &self.cause {
            return failure.remedy();
        }
        let ServerError::Tls { problem, .. } = &self.cause else { return format!("try again later, or {operator}") };
        match problem {
            TlsProblem::UnknownCa { .. } => {
                "give a file with the CAs of both, the server and its token server, with --tlscacert".to_owned()
            }
            TlsProblem::Expired | TlsProblem::NotYetValid => format!("check this machine's clock, or {operator}"),
            TlsProblem::ClientCertificate | TlsProblem::WrongName | TlsProblem::NotTls | TlsProblem::Other(_) => {
                operator
            }
        }
    }
}

impl ProxyFailure {
    fn remedy(&self) -> String {
        let Self { variable, .. } = self;
        match self.problem {
            ProxyProblem::WantsPassword => format!("put them into {variable}: http://USER:PASSWORD@HOST:PORT"),
            ProxyProblem::Unwilling => {
                format!("ask its operator, or except the server from {variable} with NO_PROXY")
            }
            ProxyProblem::Refused | ProxyProblem::UnknownHost | ProxyProblem::Other(_) => {
                format!("check {variable}; NO_PROXY names servers that are reached without it")
            }
        }
    }
}

/// Before words, if there are any.
const fn colon(text: &str) -> &'static str {
    if text.is_empty() { "" } else { ": " }
}
