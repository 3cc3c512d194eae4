//! Why the server did not do it: the network, TLS, or the server's own words.

use std::{error::Error, fmt::Write, io, path::PathBuf, time::Duration};

use rustls::{AlertDescription, CertificateError};
use serde::Deserialize;
use serde_json::Value;
use signet_tuf::Gun;
use thiserror::Error;

/// Why a request to notary-server failed.
#[derive(Debug, Error)]
pub enum ServerError {
    /// Not the URL of a server.
    #[error("the trust server URL has to look like https://HOST:PORT, not `{url}`")]
    Url {
        /// As given.
        url: String,
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
    /// The server wants to know who we are.
    #[error("you are not authorized to perform this operation: server returned 401.")]
    Unauthorized {
        /// Host and port.
        server: String,
    },
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
    /// Something else.
    #[error("{0}")]
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
            Self::Certificate { .. } => Some(
                "check --tlscacert, --tlscert and --tlskey: --tlscert and --tlskey are given together, a certificate and its own key".into(),
            ),
            Self::Unreachable { cause, .. } => Some(match cause {
                Unreachable::UnknownHost => "check the host name given with -s".into(),
                Unreachable::Refused | Unreachable::Timeout(_) | Unreachable::Other(_) => {
                    "check the server given with -s, and that it runs".into()
                }
            }),
            Self::Tls { problem, .. } => tls_remedy(problem),
            Self::NotFound { gun, .. } => {
                Some(format!("check the name and the server, or create it with `init {gun}`"))
            }
            Self::Unauthorized { server } => {
                Some(format!("{server} wants authentication, which this version of signet does not do yet"))
            }
            Self::Conflict { .. } => Some("publish again".into()),
            Self::Rejected { server, .. } => {
                Some(format!("these are the words of {server}; what is staged stays staged"))
            }
            Self::Status { server, status: 403, .. } => {
                Some(format!("{server} knows you and does not let you do this: ask its operator for access"))
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

    /// Whether the server, or what stands before it, cannot serve right now.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
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

/// Sorts what reqwest says into who failed: the network or TLS.
pub(super) fn network(server: &str, cause: &reqwest::Error) -> ServerError {
    let server = server.to_owned();
    let mut next: Option<&(dyn Error + 'static)> = Some(cause);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return ServerError::Tls { server, problem: tls_problem(tls) };
        }
        next = match error.downcast_ref::<io::Error>() {
            Some(io) if io.kind() == io::ErrorKind::ConnectionRefused => {
                return ServerError::Unreachable { server, cause: Unreachable::Refused };
            }
            // io::Error::source skips the error that it wraps
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    let text = chain(cause);
    // hyper-util names this one only in words
    let cause = if text.contains("dns error") { Unreachable::UnknownHost } else { Unreachable::Other(text) };
    ServerError::Unreachable { server, cause }
}

fn tls_problem(error: &rustls::Error) -> TlsProblem {
    #[expect(clippy::wildcard_enum_match_arm, reason = "rustls's enums are open; the rest is shown in its words")]
    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer => TlsProblem::UnknownCa { trusted: None },
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsProblem::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TlsProblem::NotYetValid,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsProblem::WrongName
            }
            other => TlsProblem::Other(other.to_string()),
        },
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::UnsupportedCertificate,
        ) => TlsProblem::ClientCertificate,
        rustls::Error::InvalidMessage(_) => TlsProblem::NotTls,
        other => TlsProblem::Other(other.to_string()),
    }
}

/// An error and its causes, in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            // writing to a String cannot fail
            let _infallible = write!(text, ": {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<OneError>,
}

#[derive(Deserialize)]
struct OneError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    detail: Value,
}

/// What a status other than 200 means, with the server's own text shown whole.
pub(super) fn refusal(server: &str, gun: &Gun, what: String, status: u16, body: &[u8]) -> ServerError {
    let server = server.to_owned();
    let errors = serde_json::from_slice::<Errors>(body).map(|body| body.errors).unwrap_or_default();
    let text = errors.iter().map(said).collect::<Vec<_>>().join("; ");
    let has = |code: &str| errors.iter().any(|error| error.code == code);
    match status {
        404 => ServerError::NotFound { server, gun: gun.to_string(), what },
        401 => ServerError::Unauthorized { server },
        400 if has("VERSION") => ServerError::Conflict { server, text },
        // two publishes met in the server's database
        500 if has("UPDATING") => ServerError::Conflict { server, text },
        400 if text.is_empty() => ServerError::Rejected { server, text: "trust server rejected operation.".into() },
        400 => ServerError::Rejected { server, text },
        _ => ServerError::Status { server, status, text },
    }
}

/// One error in Notary's words.
fn said(error: &OneError) -> String {
    let kind = error.detail.get("Name").and_then(Value::as_str);
    let inner = error.detail.get("Error").and_then(|e| e.get("Msg")).and_then(Value::as_str);
    let prefix = match kind {
        Some("ErrValidation") => "An error occurred during validation",
        Some("ErrBadRoot") => "The root metadata is invalid",
        Some("ErrBadTargets") => "The targets metadata is invalid",
        Some("ErrBadSnapshot") => "The snapshot metadata is invalid",
        Some("ErrBadHierarchy") => "Metadata hierarchy is incomplete",
        Some(_) | None => "",
    };
    match (prefix, inner) {
        ("", _) | (_, None) => {
            let detail = match &error.detail {
                Value::Null => String::new(),
                Value::String(text) => format!(" ({text})"),
                other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                    format!(" ({other})")
                }
            };
            format!("trust server rejected operation: {}: {}{detail}", error.code, error.message)
        }
        (prefix, Some(text)) => format!("{prefix}: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> ServerError {
        refusal("h:1", &"g".parse().unwrap(), "targets".into(), status, body.as_bytes())
    }

    #[test]
    fn the_servers_words_are_notarys() {
        let detail = |name: &str, text: &str| {
            format!(
                r#"{{"errors":[{{"code":"INVALID_UPDATE","message":"m","detail":{{"Name":"{name}","Error":{{"Msg":"{text}"}}}}}}]}}"#
            )
        };
        let table = [
            (400, detail("ErrBadTargets", "x"), "The targets metadata is invalid: x"),
            (400, detail("ErrBadRoot", "x"), "The root metadata is invalid: x"),
            (400, detail("ErrBadSnapshot", "x"), "The snapshot metadata is invalid: x"),
            (400, detail("ErrBadHierarchy", "x"), "Metadata hierarchy is incomplete: x"),
            (400, detail("ErrValidation", "rpc"), "An error occurred during validation: rpc"),
            (
                400,
                r#"{"errors":[{"code":"INVALID_ROLE","message":"no","detail":"releases"}]}"#.into(),
                "trust server rejected operation: INVALID_ROLE: no (releases)",
            ),
            (400, "garbage".into(), "trust server rejected operation."),
            (401, String::new(), "you are not authorized to perform this operation: server returned 401."),
            (404, String::new(), "h:1 does not have trust data for g"),
            (503, String::new(), "unable to reach trust server at this time: 503."),
            (302, String::new(), "unable to reach trust server at this time: 302."),
        ];
        for (status, body, text) in table {
            assert_eq!(refused(status, &body).to_string(), text);
        }
    }

    #[test]
    fn a_lost_race_is_told_apart() {
        let version = r#"{"errors":[{"code":"VERSION","message":"m","detail":{}}]}"#;
        let updating = r#"{"errors":[{"code":"UPDATING","message":"m","detail":null}]}"#;
        assert!(matches!(refused(400, version), ServerError::Conflict { .. }));
        assert!(matches!(refused(500, updating), ServerError::Conflict { .. }));
        assert!(matches!(refused(500, "{}"), ServerError::Status { status: 500, .. }));
    }

    #[test]
    fn tls_trouble_is_never_offline() {
        let table = [
            (
                rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer),
                TlsProblem::UnknownCa { trusted: None },
            ),
            (rustls::Error::InvalidCertificate(CertificateError::Expired), TlsProblem::Expired),
            (rustls::Error::InvalidCertificate(CertificateError::NotValidForName), TlsProblem::WrongName),
            (rustls::Error::AlertReceived(AlertDescription::CertificateRequired), TlsProblem::ClientCertificate),
        ];
        for (error, problem) in table {
            assert_eq!(tls_problem(&error), problem);
            assert!(!ServerError::Tls { server: "h".into(), problem }.is_offline());
        }
    }
}
