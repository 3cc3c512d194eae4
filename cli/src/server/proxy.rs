//! Which proxy stands between us and a server, by the rules of Go, since scripts set what Notary reads:
//! `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, upper case before lower case (golang.org/x/net/http/httpproxy).

use std::{fmt, net::IpAddr, sync::Arc};

use reqwest::Url;

use crate::environment::Environment;

/// What the environment says about proxies.
#[derive(Debug, Clone, Default)]
pub struct Proxies(Arc<Rules>);

#[derive(Debug, Default)]
struct Rules {
    http: Option<Proxy>,
    https: Option<Proxy>,
    except: Vec<Exception>,
}

/// One proxy.
#[derive(Clone)]
pub(super) struct Proxy {
    url: Url,
    /// The variable that names it.
    pub(super) variable: &'static str,
}

/// Who is reached directly: an entry of `NO_PROXY`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Exception {
    Everybody,
    Network { address: IpAddr, bits: u8 },
    Address { address: IpAddr, port: Option<u16> },
    Domain { suffix: String, itself: Itself, port: Option<u16> },
}

/// Whether a domain of `NO_PROXY` means the domain and what is below it, or only what is below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Itself {
    Too,
    Not,
}

impl Proxies {
    /// What these variables say.
    #[must_use]
    pub fn of(environment: &Environment) -> Self {
        let first = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| Some((name, environment.value(name)?.to_string_lossy().into_owned())))
        };
        // A CGI program's HTTP_PROXY is the header `Proxy` of a stranger's request
        let cgi = environment.value("REQUEST_METHOD").is_some();
        let http = first(["HTTP_PROXY", "http_proxy"]).filter(|_| !cgi);
        Self(Arc::new(Rules {
            http: http.and_then(|(variable, text)| Proxy::parse(variable, &text)),
            https: first(["HTTPS_PROXY", "https_proxy"]).and_then(|(variable, text)| Proxy::parse(variable, &text)),
            except: first(["NO_PROXY", "no_proxy"]).map(|(_, text)| exceptions(&text)).unwrap_or_default(),
        }))
    }

    /// The proxy for a URL; none if it is reached directly.
    pub(super) fn for_url(&self, url: &Url) -> Option<&Proxy> {
        let proxy = match url.scheme() {
            "http" => self.0.http.as_ref(),
            "https" => self.0.https.as_ref(),
            _ => None,
        }?;
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
        let address = host.parse::<IpAddr>().ok();
        // Go: this machine is never reached through a proxy
        if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return None;
        }
        let port = url.port_or_known_default();
        (!self.0.except.iter().any(|exception| exception.meets(host, address, port))).then_some(proxy)
    }
}

impl Proxy {
    fn parse(variable: &'static str, text: &str) -> Option<Self> {
        let usable = |text: &str| {
            let url = Url::parse(text).ok()?;
            (["http", "https", "socks5", "socks5h"].contains(&url.scheme()) && url.has_host()).then_some(url)
        };
        let url = usable(text).or_else(|| usable(&format!("http://{text}")));
        if url.is_none() {
            // its value may have a password in it
            tracing::warn!("{variable} is not the URL of a proxy and is passed over");
        }
        Some(Self { url: url?, variable })
    }

    /// The URL with user name and password, for the one who connects.
    pub(super) fn with_secrets(&self) -> Url {
        self.url.clone()
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.url.scheme(), self.url.host_str().unwrap_or_default())?;
        self.url.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn exceptions(text: &str) -> Vec<Exception> {
    text.split(',').filter_map(|entry| Exception::parse(&entry.trim().to_lowercase())).collect()
}

impl Exception {
    fn parse(entry: &str) -> Option<Self> {
        if entry == "*" {
            return Some(Self::Everybody);
        }
        if let Some((address, bits)) = entry.split_once('/')
            && let (Ok(address), Ok(bits)) = (address.parse::<IpAddr>(), bits.parse::<u8>())
            && bits <= width(address)
        {
            return Some(Self::Network { address, bits });
        }
        let (host, port) = match entry.rsplit_once(':') {
            // an IPv6 address has colons of its own
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port.parse().ok()?)),
            _ => (entry, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains('/') {
            return None;
        }
        if let Ok(address) = host.parse() {
            return Some(Self::Address { address, port });
        }
        let (name, itself) = match host.strip_prefix("*.").or_else(|| host.strip_prefix('.')) {
            Some(name) => (name, Itself::Not),
            None => (host, Itself::Too),
        };
        // as a URL would write it: names of other scripts in Punycode
        let name = Url::parse(&format!("http://{name}/")).ok()?.host_str()?.to_owned();
        Some(Self::Domain { suffix: format!(".{name}"), itself, port })
    }

    fn meets(&self, host: &str, address: Option<IpAddr>, port: Option<u16>) -> bool {
        let port_meets = |wanted: &Option<u16>| wanted.is_none() || *wanted == port;
        match self {
            Self::Everybody => true,
            Self::Network { address: network, bits } => address.is_some_and(|address| within(address, *network, *bits)),
            Self::Address { address: only, port } => {
                address.is_some_and(|address| address.to_canonical() == only.to_canonical()) && port_meets(port)
            }
            Self::Domain { suffix, itself, port } => {
                let is_it = *itself == Itself::Too && suffix.strip_prefix('.') == Some(host);
                (is_it || host.ends_with(suffix.as_str())) && port_meets(port)
            }
        }
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    let address = if network.is_ipv4() { address.to_canonical() } else { address };
    let rest = u32::from(width(network).saturating_sub(bits));
    let prefix = |address: IpAddr| number(address).checked_shr(rest).unwrap_or(0);
    address.is_ipv4() == network.is_ipv4() && prefix(address) == prefix(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let proxies = Proxies::of(&Environment::of("/", variables));
        proxies.for_url(&Url::parse(url).unwrap()).map(ToString::to_string)
    }

    #[test]
    fn a_proxy_is_chosen_as_go_chooses() {
        type Case = (&'static [(&'static str, &'static str)], &'static str, Option<&'static str>);
        let table: [Case; 16] = [
            (&[], "https://n", None),
            (&[("HTTPS_PROXY", "http://p:1")], "https://n:4443", Some("http://p:1")),
            (&[("https_proxy", "http://p:1")], "https://n", Some("http://p:1")),
            (&[("HTTPS_PROXY", "http://a"), ("https_proxy", "http://b")], "https://n", Some("http://a")),
            (&[("HTTPS_PROXY", ""), ("https_proxy", "http://b")], "https://n", Some("http://b")),
            (&[("HTTPS_PROXY", "p:1")], "https://n", Some("http://p:1")),
            (&[("HTTPS_PROXY", "https://p")], "https://n", Some("https://p")),
            (&[("HTTPS_PROXY", "socks5://p:1")], "https://n", Some("socks5://p:1")),
            (&[("HTTPS_PROXY", "http://u:secret@p:1")], "https://n", Some("http://p:1")),
            (&[("HTTPS_PROXY", "::")], "https://n", None),
            (&[("HTTP_PROXY", "http://p")], "https://n", None),
            (&[("HTTP_PROXY", "http://p")], "http://n", Some("http://p")),
            (&[("HTTP_PROXY", "http://p"), ("REQUEST_METHOD", "GET")], "http://n", None),
            (&[("ALL_PROXY", "http://p")], "http://n", None),
            (&[("HTTPS_PROXY", "http://p")], "https://localhost:1", None),
            (&[("HTTPS_PROXY", "http://p")], "https://127.8.0.1:1", None),
        ];
        for (variables, url, wanted) in table {
            assert_eq!(chosen(variables, url).as_deref(), wanted, "{variables:?} {url}");
        }
    }

    #[test]
    fn who_is_excepted_is_reached_directly() {
        for (except, url, direct) in [
            ("*", "https://n", true),
            ("n.example", "https://n.example", true),
            ("n.example", "https://a.n.example:1", true),
            ("n.example", "https://xn.example", false),
            (".n.example", "https://n.example", false),
            (".n.example", "https://a.n.example", true),
            ("*.n.example", "https://a.n.example", true),
            ("x, N.Example ,y", "https://n.example", true),
            ("n.example:4443", "https://n.example:4443", true),
            ("n.example:4443", "https://n.example", false),
            ("n.example:443", "https://n.example", true),
            ("10.0.0.0/8", "https://10.1.2.3", true),
            ("10.0.0.0/8", "https://11.1.2.3", false),
            ("0.0.0.0/0", "https://11.1.2.3", true),
            ("10.0.0.0/33", "https://10.0.0.0", false),
            ("10.1.2.3", "https://10.1.2.3:9", true),
            ("10.1.2.3:9", "https://10.1.2.3:8", false),
            ("2001:db8::/32", "https://[2001:db8::1]", true),
            ("[2001:db8::1]:9", "https://[2001:db8::1]:9", true),
            ("2001:db8::1", "https://[2001:db8::1]:9", true),
            (":443", "https://n", false),
            ("bücher.example", "https://bücher.example", true),
        ] {
            let found = chosen(&[("HTTPS_PROXY", "http://p"), ("NO_PROXY", except)], url);
            assert_eq!(found.is_none(), direct, "{except} {url}");
        }
    }

    #[test]
    fn the_password_of_a_proxy_is_not_shown() {
        let proxies = Proxies::of(&Environment::of("/", &[("HTTPS_PROXY", "http://u:secret@p:1")]));
        assert!(!format!("{proxies:?}").contains("secret"));
    }
}
