//! URLs of servers: which are talked to, and how they are shown.

use reqwest::Url;

use super::ServerError;

/// The base URL of a server, as people give it.
///
/// # Errors
/// [`ServerError::Url`], [`ServerError::UserInUrl`]: the HTTP client would send these with every request, past the gate.
pub(super) fn base(text: &str) -> Result<Url, ServerError> {
    let not_a_server = || ServerError::Url { url: without_user(text) };
    let url = Url::parse(text).map_err(|_| not_a_server())?;
    if !is_http(&url) {
        return Err(not_a_server());
    }
    if url == clean(&url) { Ok(url) } else { Err(ServerError::UserInUrl { server: name(&url) }) }
}

/// Whether HTTP can be spoken with it.
pub(super) fn is_http(url: &Url) -> bool {
    ["http", "https"].contains(&url.scheme()) && url.has_host()
}

/// Without user name and password.
pub(super) fn clean(url: &Url) -> Url {
    let mut url = url.clone();
    // both fail only for URLs without a host, and these have no user name
    let _no_host = url.set_username("").and_then(|()| url.set_password(None));
    url
}

/// For people.
pub(super) fn shown(url: &Url) -> String {
    clean(url).into()
}

/// Host and port.
pub(super) fn name(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// What need not be a URL, without what may be a user name and a password in it.
#[must_use]
pub fn without_user(text: &str) -> String {
    let Some((before, rest)) = text.rsplit_once('@') else { return text.to_owned() };
    match before.split_once("://") {
        Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => format!("{scheme}://{rest}"),
        Some(_) | None => rest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_in_a_url_is_refused_and_not_repeated() {
        for text in ["https://al:pw@h:1/x", "http://al:pw@h:1", "https://pw@h:1"] {
            let error = base(text).unwrap_err();
            assert!(matches!(&error, ServerError::UserInUrl { server } if server == "h:1"), "{text}: {error}");
            let told = format!("{error} {}", error.remedy().unwrap());
            assert!(!told.contains("pw") && !told.contains("al:"), "{told}");
        }
        for text in ["ftp://al:pw@h", "al:pw@h", "https://al:p w@h:x", "https://al:pw/pw@h", "al:pw://pw@h"] {
            let error = base(text).unwrap_err();
            assert!(matches!(&error, ServerError::Url { url } if !url.contains("pw")), "{text}: {error}");
        }
        assert_eq!(base("https://@h:1/x").unwrap().as_str(), "https://h:1/x");
    }
}
