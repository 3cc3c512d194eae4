//! Sorts what the HTTP client says into who failed: the network, a proxy, or TLS.

use std::{error::Error, fmt::Write, io};

use rustls::{AlertDescription, CertificateError};

use super::{
    ServerError,
    error::{ProxyFailure, ProxyProblem, TlsProblem, Unreachable},
    proxy::Proxy,
};

/// What hyper-util calls every failure to get through a proxy; it names them only in words.
const TUNNEL: &str = "tunnel error";

/// Who failed on the way to `server`, where `proxy` stands before it.
pub(super) fn network(server: &str, cause: &reqwest::Error, proxy: Option<&Proxy>) -> ServerError {
    let server = server.to_owned();
    let text = chain(cause);
    let tls = find::<rustls::Error>(cause).map(tls_problem);
    if let Some(proxy) = proxy
        && let Some(problem) = proxy_problem(cause, &text, tls.as_ref())
    {
        return ServerError::Unreachable { server, cause: through(proxy, problem) };
    }
    if let Some(problem) = tls {
        return ServerError::Tls { server, problem };
    }
    let cause = match refused(cause) {
        true => Unreachable::Refused,
        // hyper-util names this one only in words
        false if text.contains("dns error") => Unreachable::UnknownHost,
        false => Unreachable::Other(text),
    };
    ServerError::Unreachable { server, cause }
}

/// A proxy that failed.
pub(super) fn through(proxy: &Proxy, problem: ProxyProblem) -> Unreachable {
    Unreachable::Proxy(Box::new(ProxyFailure { proxy: proxy.to_string(), variable: proxy.variable, problem }))
}

/// None if it was not the proxy that failed, but somebody behind it.
fn proxy_problem(cause: &reqwest::Error, text: &str, tls: Option<&TlsProblem>) -> Option<ProxyProblem> {
    let in_tunnel = text.contains(TUNNEL);
    if !cause.is_connect() || (tls.is_some() && !in_tunnel) {
        return None;
    }
    Some(if text.contains("proxy authorization required") {
        ProxyProblem::WantsPassword
    } else if text.contains("tunnel error: unsuccessful") {
        ProxyProblem::Unwilling
    } else if refused(cause) {
        ProxyProblem::Refused
    } else if text.contains("dns error") {
        ProxyProblem::UnknownHost
    } else {
        ProxyProblem::Other(text.to_owned())
    })
}

fn refused(cause: &reqwest::Error) -> bool {
    find::<io::Error>(cause).is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused)
}

/// The first cause of that type.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>() {
            // io::Error::source skips the error that it wraps
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
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

#[cfg(test)]
mod tests {
    use super::*;

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
