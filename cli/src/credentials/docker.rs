//! What `docker login` keeps: `config.json` in `$DOCKER_CONFIG` or `~/.docker`, and the credential helpers that it names.
//!
//! As Docker does, whoever cannot read it says so and goes on without it.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;
use signet_tuf::Gun;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{Credential, Proof, Purpose, Secret, helper};
use crate::{environment::Environment, secret::Passphrase};

/// Docker's name for Docker Hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// Docker's name for Docker Hub's notary-server.
const HUBS_SERVER: &str = "https://notary.docker.io";

#[derive(Deserialize, Default)]
#[serde(default)]
struct Config {
    auths: BTreeMap<String, Option<Entry>>,
    #[serde(rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(rename = "credsStore")]
    store: String,
}

#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    identitytoken: String,
}

/// The credential that Docker would use for the server or, where Docker's words name the server, for the registry.
pub(super) async fn find(environment: &Environment, purpose: &Purpose) -> Option<Credential> {
    let file = path(environment)?;
    let config = read(&file)?;
    for name in names(environment, purpose) {
        if let Some(program) = config.helper(&name) {
            match helper::ask(environment, program, &name).await {
                Ok(Some(secret)) => {
                    let source = format!("{}, for {name}", helper::program(program));
                    return Some(Credential { secret, source });
                }
                Ok(None) => tracing::info!("{} knows nobody for {name}", helper::program(program)),
                Err(error) => {
                    tracing::warn!("{} names a credential helper that does not help: {error}", file.display());
                }
            }
        }
        if let Some((found, entry)) = config.entry(&name) {
            match entry.secret() {
                Ok(Some(secret)) => {
                    return Some(Credential { secret, source: format!("{}, for {name}", file.display()) });
                }
                Ok(None) => {}
                Err(problem) => tracing::warn!("{}: the entry of {found} in `auths` {problem}", file.display()),
            }
        }
        tracing::info!("{} has no user for {name}", file.display());
    }
    None
}

fn path(environment: &Environment) -> Option<PathBuf> {
    Some(environment.docker()?.join("config.json"))
}

fn read(file: &Path) -> Option<Config> {
    let text = match fs::read(file) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::info!("there is no {}", file.display());
            return None;
        }
        Err(error) => {
            tracing::warn!("Docker's configuration is passed over: {}: {error}", file.display());
            return None;
        }
    };
    match serde_json::from_slice(&text) {
        Ok(config) => Some(config),
        Err(error) => {
            // serde's own text may show what stands there
            let (line, column) = (error.line(), error.column());
            tracing::warn!(
                "Docker's configuration is passed over: {} is not what Docker writes, at line {line} column {column}",
                file.display()
            );
            None
        }
    }
}

/// By which names Docker may know the server.
fn names(environment: &Environment, purpose: &Purpose) -> Vec<String> {
    let registry = registry(&purpose.gun);
    let mut names = vec![purpose.server.clone()];
    if registry != purpose.server && is_registrys(environment, purpose, registry) {
        names.push(registry.to_owned());
    }
    names
}

/// A registry's password is for the registry: it goes elsewhere only where Docker, too, would send it, and that is by https
/// and to a server with the right certificate.
fn is_registrys(environment: &Environment, purpose: &Purpose, registry: &str) -> bool {
    let is = |url: &str| Url::parse(url).is_ok_and(|url| url.origin() == purpose.base.origin());
    let host = hostname(registry).rsplit_once(':').map_or(hostname(registry), |(host, _)| host);
    let dockers = environment.value("DOCKER_CONTENT_TRUST_SERVER").and_then(|url| url.to_str());
    match purpose.proof {
        Proof::Nothing => false,
        Proof::Certificate => {
            dockers.is_some_and(is)
                || (registry == DOCKER_HUB && is(HUBS_SERVER))
                || purpose.base.host_str() == Some(host)
        }
    }
}

/// The registry of a collection, as Docker files it.
fn registry(gun: &Gun) -> &str {
    match gun.as_str().split_once('/') {
        Some(("docker.io", _)) | None => DOCKER_HUB,
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        Some(_) => DOCKER_HUB,
    }
}

/// Docker's `ConvertToHostname`.
fn hostname(name: &str) -> &str {
    let name = name.strip_prefix("https://").or_else(|| name.strip_prefix("http://")).unwrap_or(name);
    name.split('/').next().unwrap_or(name)
}

impl Config {
    fn helper(&self, name: &str) -> Option<&str> {
        let own = self.helpers.get(name).or_else(|| self.helpers.get(hostname(name)));
        own.map(String::as_str).or(Some(self.store.as_str())).filter(|program| !program.is_empty())
    }

    fn entry(&self, name: &str) -> Option<(&str, &Entry)> {
        let exact = self.auths.get_key_value(name);
        let alike = || self.auths.iter().find(|(other, _)| hostname(other) == hostname(name));
        let (found, entry) = exact.or_else(alike)?;
        Some((found, entry.as_ref()?))
    }
}

impl Entry {
    fn secret(&self) -> Result<Option<Secret>, &'static str> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Secret::IdentityToken(secret(&self.identitytoken))));
        }
        if self.auth.is_empty() {
            let both = !self.username.is_empty() && !self.password.is_empty();
            return Ok(both.then(|| Secret::Password { user: self.username.clone(), password: secret(&self.password) }));
        }
        let plain = Zeroizing::new(STANDARD.decode(&self.auth).map_err(|_| "is not base64")?);
        let plain = std::str::from_utf8(&plain).map_err(|_| "is not base64 of text")?;
        match plain.split_once(':') {
            Some((user, password)) if !user.is_empty() => {
                let password = secret(password.trim_matches('\0'));
                Ok(Some(Secret::Password { user: user.to_owned(), password }))
            }
            _ => Err("is not base64 of user:password"),
        }
    }
}

fn secret(text: &str) -> Passphrase {
    Passphrase::from(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purpose(server: &str, gun: &str) -> Purpose {
        Purpose {
            base: Url::parse(&format!("https://{server}/")).unwrap(),
            proof: Proof::Certificate,
            server: server.to_owned(),
            reader: None,
            gun: gun.parse().unwrap(),
        }
    }

    fn who(config: &str, variables: &[(&str, &str)], purpose: &Purpose) -> Option<String> {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".docker")).unwrap();
        fs::write(home.path().join(".docker/config.json"), config).unwrap();
        let mut all = vec![("HOME", home.path().to_str().unwrap())];
        all.extend_from_slice(variables);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let found = runtime.block_on(find(&Environment::of("/", &all), purpose))?;
        Some(match found.secret {
            Secret::Password { user, password } => format!("{user}:{}", password.expose_text()),
            Secret::IdentityToken(token) => format!("<token>:{}", token.expose_text()),
        })
    }

    #[test]
    fn an_entry_is_found_as_docker_finds_it() {
        // base64 of a:b
        let plain = r#"{"auths":{"n.example:4443":{"auth":"YTpi"}}}"#;
        let table = [
            (plain, "n.example:4443", "g.example/app", Some("a:b")),
            (plain, "n.example", "g.example/app", None),
            (r#"{"auths":{"https://n.example/v1/":{"auth":"YTpi"}}}"#, "n.example", "g/app", Some("a:b")),
            (r#"{"auths":{"n":{"username":"u","password":"p"}}}"#, "n", "g/app", Some("u:p")),
            (r#"{"auths":{"n":{"auth":"YTpi","identitytoken":"t"}}}"#, "n", "g/app", Some("<token>:t")),
            (r#"{"auths":{"n":{}},"credsStore":""}"#, "n", "g/app", None),
            (r#"{"auths":{"n":null}}"#, "n", "g/app", None),
            (r#"{"auths":{"n":{"auth":"%"}}}"#, "n", "g/app", None),
            (r#"{"auths":{"n":{"auth":"YQ=="}}}"#, "n", "g/app", None),
            ("{", "n", "g/app", None),
            (r#"{"auths":5}"#, "n", "g/app", None),
        ];
        for (config, server, gun, wanted) in table {
            assert_eq!(who(config, &[], &purpose(server, gun)).as_deref(), wanted, "{config} {server}");
        }
    }

    #[test]
    fn a_registrys_password_goes_only_where_docker_sends_it() {
        let config =
            r#"{"auths":{"r.example:5000":{"auth":"YTpi"},"https://index.docker.io/v1/":{"auth":"YzpkZA=="}}}"#;
        let elsewhere: &[(&str, &str)] = &[("DOCKER_CONTENT_TRUST_SERVER", "https://n.example")];
        let table = [
            ("n.example", "r.example:5000/app", &[][..], None),
            ("n.example", "r.example:5000/app", elsewhere, Some("a:b")),
            ("r.example:4443", "r.example:5000/app", &[], Some("a:b")),
            ("notary.docker.io", "docker.io/library/app", &[], Some("c:dd")),
            ("n.example", "docker.io/library/app", &[], None),
            ("n.example", "library/app", elsewhere, Some("c:dd")),
            ("n.example:443", "library/app", elsewhere, Some("c:dd")),
            ("n.example:4443", "library/app", elsewhere, None),
            ("evil.example", "library/app", elsewhere, None),
            ("evil.example", "r.example:5000/app", elsewhere, None),
            ("notary.docker.io:4443", "docker.io/library/app", &[], None),
        ];
        for (server, gun, variables, wanted) in table {
            let purpose = purpose(server, gun);
            assert_eq!(who(config, variables, &purpose).as_deref(), wanted, "{server} {gun}");
            // plain http, or a certificate that nobody checks
            let pretended = Purpose { proof: Proof::Nothing, ..purpose };
            assert_eq!(who(config, variables, &pretended), None, "{server} {gun}");
        }
    }
}
