//! How a server wants to be told who is there: the header `WWW-Authenticate` of a 401.

use std::collections::BTreeMap;

use reqwest::{
    Url,
    header::{HeaderMap, WWW_AUTHENTICATE},
};

use super::address;

/// One way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A token of another server, RFC 6750.
    Bearer(Bearer),
    /// User name and password, RFC 7617.
    Basic,
}

/// Where tokens come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bearer {
    /// The token server. The HTTP client would make an Authorization of a user name in it.
    pub(super) realm: Url,
    /// By which name it knows the server that wants the token.
    pub(super) service: Option<String>,
}

/// Scheme and parameters, both in lower case but for values.
#[derive(Debug, Default, PartialEq, Eq)]
struct Offer {
    scheme: String,
    parameters: BTreeMap<String, String>,
}

impl Challenge {
    /// The way that we take of those that are offered; none if nothing is. A token is preferred to a password.
    ///
    /// # Errors
    /// What is wrong, if there are offers and none can be taken.
    pub(super) fn choose(headers: &HeaderMap) -> Result<Option<Self>, String> {
        let offers = offers(headers);
        let mut problem = None;
        for offer in offers.iter().filter(|offer| offer.scheme == "bearer") {
            match offer.bearer() {
                Ok(bearer) => return Ok(Some(Self::Bearer(bearer))),
                Err(wrong) => problem = Some(wrong),
            }
        }
        if offers.iter().any(|offer| offer.scheme == "basic") {
            return Ok(Some(Self::Basic));
        }
        match (problem, offers.first()) {
            (Some(problem), _) => Err(problem),
            (None, Some(other)) => Err(format!("it wants `{}`, and we know Bearer and Basic", other.scheme)),
            (None, None) => Ok(None),
        }
    }
}

/// What a server says against a token (RFC 6750 §3.1), if it says something: `invalid_token`, `insufficient_scope`.
pub(super) fn complaint(headers: &HeaderMap) -> Option<String> {
    offers(headers).into_iter().find_map(|mut offer| {
        let error = offer.parameters.remove("error")?;
        Some(match offer.parameters.remove("error_description") {
            Some(description) => format!("{error}: {description}"),
            None => error,
        })
    })
}

impl Offer {
    fn bearer(&self) -> Result<Bearer, String> {
        let realm = self.parameters.get("realm").map(String::as_str).unwrap_or_default();
        let url = Url::parse(realm).ok().filter(address::is_http).map(|url| address::clean(&url));
        let realm = url.ok_or_else(|| {
            format!("it names `{}` as its token server, which is no URL", address::without_user(realm))
        })?;
        let service = self.parameters.get("service").filter(|service| !service.is_empty()).cloned();
        Ok(Bearer { realm, service })
    }
}

fn offers(headers: &HeaderMap) -> Vec<Offer> {
    headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).flat_map(parsed).collect()
}

/// RFC 9110 §11.6.1: challenges and their parameters are all separated by commas, so a word without `=` begins a challenge.
fn parsed(header: &str) -> Vec<Offer> {
    let mut found: Vec<Offer> = Vec::new();
    for piece in pieces(header) {
        let (before, value) = piece.split_once('=').map_or((piece.as_str(), None), |(name, value)| (name, Some(value)));
        let mut words = before.split_whitespace();
        let name = match (words.next(), words.next(), value) {
            (Some(scheme), name, _) if name.is_some() || value.is_none() => {
                found.push(Offer { scheme: scheme.to_ascii_lowercase(), parameters: BTreeMap::new() });
                name
            }
            (name, _, _) => name,
        };
        if let (Some(name), Some(value), Some(offer)) = (name, value, found.last_mut()) {
            offer.parameters.insert(name.to_ascii_lowercase(), unquoted(value.trim()));
        }
    }
    found
}

/// What stands between commas outside quotes.
fn pieces(header: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for char in header.chars() {
        if char == ',' && !quoted {
            pieces.push(String::new());
            continue;
        }
        if char == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && char == '\\' && !escaped;
        if let Some(piece) = pieces.last_mut() {
            piece.push(char);
        }
    }
    pieces.retain(|piece| !piece.trim().is_empty());
    pieces
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut chars = inner.chars();
    let mut text = String::new();
    while let Some(char) = chars.next() {
        match char {
            '\\' => text.extend(chars.next()),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap())).collect()
    }

    fn bearer(realm: &str, service: Option<&str>) -> Option<Challenge> {
        let realm = Url::parse(realm).unwrap();
        Some(Challenge::Bearer(Bearer { realm, service: service.map(str::to_owned) }))
    }

    #[test]
    fn the_way_in_is_found_in_what_servers_write() {
        let full = r#"Bearer realm="https://a/t?x=1",service="n, o",scope="repository:g:push,pull""#;
        let table: [(&[&str], Option<Challenge>); 10] = [
            (&[full], bearer("https://a/t?x=1", Some("n, o"))),
            (&["bearer  Realm=\"https://a/\" , service=notary"], bearer("https://a/", Some("notary"))),
            (&[r#"Basic realm="x", Bearer realm="https://a/""#], bearer("https://a/", None)),
            (&[r#"Basic realm="x""#, r#"Bearer realm="https://a/""#], bearer("https://a/", None)),
            (&[r#"Bearer realm="https://a/",service="say \"x\"""#], bearer("https://a/", Some("say \"x\""))),
            (&[r#"Bearer realm="https://al:pw@a/""#], bearer("https://a/", None)),
            (&[r#"Basic realm="a=b, c""#], Some(Challenge::Basic)),
            (&["Negotiate, Basic"], Some(Challenge::Basic)),
            (&[r#"Bearer realm="nowhere", Basic realm="x""#], Some(Challenge::Basic)),
            (&[], None),
        ];
        for (values, wanted) in table {
            assert_eq!(Challenge::choose(&headers(values)), Ok(wanted), "{values:?}");
        }
    }

    #[test]
    fn a_way_that_cannot_be_taken_is_named() {
        for (value, word) in [
            ("Negotiate", "negotiate"),
            ("Bearer", "``"),
            (r#"Bearer realm="/auth""#, "/auth"),
            (r#"Bearer realm="ftp://a/""#, "ftp://a/"),
            (r#"Bearer realm="https://""#, "https://"),
            (r#"Bearer realm="ftp://al:pw@a""#, "ftp://a"),
        ] {
            let problem = Challenge::choose(&headers(&[value])).unwrap_err();
            assert!(!problem.contains("pw"), "{problem}");
            assert!(problem.contains(word), "{value}: {problem}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_token_is_read() {
        let table = [
            (r#"Bearer realm="https://a/",error="invalid_token""#, Some("invalid_token")),
            (
                r#"Bearer error="insufficient_scope",error_description="no, not you""#,
                Some("insufficient_scope: no, not you"),
            ),
            (r#"Bearer realm="https://a/""#, None),
        ];
        for (value, wanted) in table {
            assert_eq!(complaint(&headers(&[value])).as_deref(), wanted);
        }
    }
}
