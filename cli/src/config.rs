//! Notary's configuration file: `config.json` in the default trust directory, or the file that `-c` names.
//!
//! Member names are case-insensitive and unknown ones are ignored, as Notary's reader (viper) does.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use reqwest::Url;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{
    context::{ServerSettings, SkipVerify},
    credentials::Credentials,
    docker::Docker,
    environment::Environment,
    secret::Passphrases,
    server::Proxies,
};

/// Where notary-server is if nothing says so: Notary's default.
pub const DEFAULT_SERVER: &str = "https://notary-server:4443";

/// Whether the first root of an unknown collection is trusted as it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FirstUse {
    /// Trust on first use: Notary's default.
    #[default]
    Trust,
    /// `disable_tofu`: only pinned collections.
    Refuse,
}

/// Notary's `trust_pinning`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustPinning {
    /// What to do with a collection that nothing pins.
    pub first_use: FirstUse,
    /// GUN or `prefix*` to the key IDs of root certificates as root.json lists them.
    pub certs: BTreeMap<String, Vec<String>>,
    /// GUN prefix to a bundle of CA certificates; absolute paths.
    pub ca: BTreeMap<String, PathBuf>,
}

/// What flags say, before any file is read; a flag wins over the file.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `-c`.
    pub config_file: Option<PathBuf>,
    /// `-d`.
    pub trust_dir: Option<PathBuf>,
    /// `-s`.
    pub server: Option<String>,
    /// `--tlscacert`.
    pub ca: Option<PathBuf>,
    /// `--tlscert`.
    pub client_cert: Option<PathBuf>,
    /// `--tlskey`.
    pub client_key: Option<PathBuf>,
    /// `--docker`.
    pub surroundings: Surroundings,
}

/// Whose directories and variables count where neither flag nor file says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Surroundings {
    /// Notary's.
    #[default]
    Notarys,
    /// Those of Docker's client.
    Dockers,
}

/// What flags, file and defaults say together.
#[derive(Debug)]
pub struct Settings {
    /// Absolute.
    pub trust_dir: PathBuf,
    /// How to reach notary-server.
    pub server: ServerSettings,
    /// Which roots are trusted at first contact.
    pub pinning: TrustPinning,
    /// Whose variables hold the passphrases of the trust directory's keys.
    pub passphrases: Passphrases,
    /// Which roles are read if a command names none.
    pub reading: Reading,
}

/// Which roles are read if a command names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reading {
    /// The whole tree, from `targets`.
    #[default]
    Everything,
    /// `targets/releases` before `targets`, and no other: what Docker's client takes for released.
    Released,
}

/// Why a configuration file is not taken.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("error opening config file: {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Neither JSON nor TOML by its name.
    #[error("error opening config file: {} is neither .json nor .toml by its name", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// Not what its name says.
    #[error("error opening config file: {}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        problem: String,
    },
    /// Docker's client takes no other.
    #[error("valid https URL required for trust server, got {url}")]
    DockerServer {
        /// What the variable says.
        url: String,
    },
    /// There is no directory of Docker's client.
    #[error("--docker: there is neither HOME nor DOCKER_CONFIG in the environment")]
    NoDocker,
    /// A member of a wrong type.
    #[error("{}: invalid format for {member}: {wanted} wanted", path.display())]
    Member {
        /// The file.
        path: PathBuf,
        /// Its full name.
        member: String,
        /// What it should be.
        wanted: &'static str,
    },
}

impl ConfigError {
    /// What the person can do.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Unreadable { .. } => Some("name an existing, readable file with -c".to_owned()),
            Self::Format { .. } => Some("write the file as config.json or config.toml; YAML is not read".to_owned()),
            Self::DockerServer { .. } => {
                Some("set DOCKER_CONTENT_TRUST_SERVER to a URL that begins with https://, or give -s".to_owned())
            }
            Self::NoDocker => Some("set one of them, or leave --docker out".to_owned()),
            Self::Syntax { .. } | Self::Member { .. } => Some("correct the file, or name another with -c".to_owned()),
        }
    }
}

impl Settings {
    /// Reads the configuration file and lays the flags over it.
    ///
    /// # Errors
    /// [`ConfigError`] if the file is not taken. A default file that does not exist is no error.
    pub fn load(flags: &Flags, environment: &Environment) -> Result<Self, ConfigError> {
        let default_trust_dir = default_trust_dir(environment);
        let file = match &flags.config_file {
            Some(path) => File::read(&environment.absolute(path))?,
            None => File::read_if_there(&default_trust_dir.join("config.json"))?,
        };
        let docker = Docker::of(flags.surroundings, environment)?;
        let url = match (&flags.server, &docker) {
            (Some(url), _) => Some(url.clone()),
            (None, Some(docker)) => docker.server()?,
            (None, None) => None,
        };
        let files_url = file.text(&["remote_server", "url"])?;
        let url = url.unwrap_or_else(|| files_url.clone().unwrap_or_else(|| DEFAULT_SERVER.to_owned()));
        // Notary's file means every server of Notary's; with --docker, what it says of one server is for no other.
        let file_counts = docker.is_none() || files_url.as_deref().is_some_and(|files| same_server(files, &url));
        if !file_counts && file.member(&["remote_server"]).is_some() {
            tracing::info!("--docker: remote_server in {} is for another server", file.path.display());
        }
        let beside_file = |path: PathBuf| file.path.parent().unwrap_or(Path::new("/")).join(path);
        let tls_path = |flag: &Option<PathBuf>, member: &str| -> Result<Option<PathBuf>, ConfigError> {
            match flag {
                Some(path) => Ok(Some(environment.absolute(path))),
                None if !file_counts => Ok(None),
                None => Ok(file.text(&["remote_server", member])?.map(|path| beside_file(PathBuf::from(path)))),
            }
        };
        let trust_dir = match (&flags.trust_dir, &docker) {
            (Some(path), _) => Some(path.clone()),
            (None, Some(docker)) => Some(docker.trust_dir()),
            (None, None) => file.text(&["trust_dir"])?.map(PathBuf::from),
        };
        let trust_dir = trust_dir.map_or(default_trust_dir, |path| environment.absolute(&path));
        let tls = docker.as_ref().map(|docker| docker.tls(&url)).unwrap_or_default();
        let client_cert = tls_path(&flags.client_cert, "tls_client_cert")?;
        let client_key = tls_path(&flags.client_key, "tls_client_key")?;
        // a certificate and its own key
        let (client_cert, client_key) = match (client_cert, client_key) {
            (None, None) => (tls.client_cert, tls.client_key),
            named => named,
        };
        let are_dockers = environment.docker().is_some_and(|docker| docker.join("trust") == trust_dir);
        Ok(Self {
            passphrases: if are_dockers { Passphrases::DockersToo } else { Passphrases::Notarys },
            reading: if docker.is_some() { Reading::Released } else { Reading::Everything },
            trust_dir,
            server: ServerSettings {
                url,
                ca: tls_path(&flags.ca, "root_ca")?.or(tls.ca),
                client_cert,
                client_key,
                skip_tls_verify: match file.flag(&["remote_server", "skiptlsverify"])? {
                    true if file_counts => SkipVerify::Yes,
                    true | false => SkipVerify::No,
                },
                proxies: Proxies::of(environment),
                // no setting: Notary's files have none
                credentials: Credentials::default(),
            },
            pinning: pinning(&file, environment)?,
        })
    }
}

/// Whether both URLs name the same scheme, host and port.
fn same_server(one: &str, other: &str) -> bool {
    let origin = |text: &str| Url::parse(text).map(|url| url.origin());
    matches!((origin(one), origin(other)), (Ok(one), Ok(other)) if one == other)
}

/// `~/.notary`, or `./.notary` without a home, as Notary does.
fn default_trust_dir(environment: &Environment) -> PathBuf {
    if environment.home().is_none() {
        let here = environment.absolute(Path::new(".notary"));
        tracing::warn!("cannot get current user home directory: environment variable not set");
        tracing::warn!("notary will use {} to store configuration and keys", here.display());
    }
    environment.absolute(&environment.home().unwrap_or_default().join(".notary"))
}

fn pinning(file: &File, environment: &Environment) -> Result<TrustPinning, ConfigError> {
    let first_use = match file.flag(&["trust_pinning", "disable_tofu"])? {
        true => FirstUse::Refuse,
        false => FirstUse::Trust,
    };
    let mut certs = BTreeMap::new();
    for (gun, ids) in file.table(&["trust_pinning", "certs"])? {
        let wrong = || file.wrong("trust_pinning.certs", "an array of key IDs for each GUN");
        let ids = ids.as_array().ok_or_else(wrong)?;
        let ids = ids.iter().map(|id| id.as_str().map(str::to_owned)).collect::<Option<_>>().ok_or_else(wrong)?;
        certs.insert(gun.clone(), ids);
    }
    let mut ca = BTreeMap::new();
    for (prefix, path) in file.table(&["trust_pinning", "ca"])? {
        let path = path.as_str().ok_or_else(|| file.wrong("trust_pinning.ca", "a path for each GUN prefix"))?;
        // Notary 0.7: relative to the working directory, unlike the paths of remote_server.
        ca.insert(prefix.clone(), environment.absolute(Path::new(path)));
    }
    Ok(TrustPinning { first_use, certs, ca })
}

/// A parsed file; `path` also when there is none.
struct File {
    path: PathBuf,
    members: Map<String, Value>,
}

impl File {
    fn read(path: &Path) -> Result<Self, ConfigError> {
        let parse = parser(path)?;
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        match parse(&text) {
            Ok(Value::Object(members)) => Ok(Self { path: path.to_owned(), members }),
            Ok(_) => Err(ConfigError::Syntax { path: path.to_owned(), problem: "no object at the top".to_owned() }),
            Err(problem) => Err(ConfigError::Syntax { path: path.to_owned(), problem }),
        }
    }

    fn read_if_there(path: &Path) -> Result<Self, ConfigError> {
        match Self::read(path) {
            Err(ConfigError::Unreadable { path, source }) if source.kind() == io::ErrorKind::NotFound => {
                tracing::debug!("Configuration file not found, using defaults");
                Ok(Self { path, members: Map::new() })
            }
            done => done,
        }
    }

    fn member(&self, names: &[&str]) -> Option<&Value> {
        let (last, tables) = names.split_last()?;
        let mut table = &self.members;
        for name in tables {
            table = ignoring_case(table, name)?.as_object()?;
        }
        ignoring_case(table, last).filter(|value| !value.is_null())
    }

    fn text(&self, names: &[&str]) -> Result<Option<String>, ConfigError> {
        match self.member(names) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(_) => Err(self.wrong(&names.join("."), "text")),
        }
    }

    /// Accepts what Go's `strconv.ParseBool` takes from a string, as viper does.
    fn flag(&self, names: &[&str]) -> Result<bool, ConfigError> {
        match self.member(names) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if ["1", "t", "true"].contains(&text.to_ascii_lowercase().as_str()) => Ok(true),
            Some(Value::String(text)) if ["", "0", "f", "false"].contains(&text.to_ascii_lowercase().as_str()) => {
                Ok(false)
            }
            Some(_) => Err(self.wrong(&names.join("."), "true or false")),
        }
    }

    fn table(&self, names: &[&str]) -> Result<impl Iterator<Item = (&String, &Value)>, ConfigError> {
        match self.member(names) {
            None => Ok(None.into_iter().flatten()),
            Some(Value::Object(table)) => Ok(Some(table.iter()).into_iter().flatten()),
            Some(_) => Err(self.wrong(&names.join("."), "a table")),
        }
    }

    fn wrong(&self, member: &str, wanted: &'static str) -> ConfigError {
        ConfigError::Member { path: self.path.clone(), member: member.to_owned(), wanted }
    }
}

type Parse = fn(&str) -> Result<Value, String>;

fn parser(path: &Path) -> Result<Parse, ConfigError> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => Ok(|text| serde_json::from_str(text).map_err(|error| error.to_string())),
        Some("toml") => Ok(|text| toml::from_str(text).map_err(|error| error.to_string())),
        _ => Err(ConfigError::Format { path: path.to_owned() }),
    }
}

fn ignoring_case<'a>(table: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    table.iter().find(|(member, _)| member.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::{ConfigError, DEFAULT_SERVER, FirstUse, Flags, Reading, Settings, Surroundings};
    use crate::{context::SkipVerify, environment::Environment, secret::Passphrases};

    fn home_with(name: &str, text: &str) -> (tempfile::TempDir, Environment) {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".notary")).unwrap();
        fs::write(home.path().join(".notary").join(name), text).unwrap();
        let environment = Environment::of("/some/dir", &[("HOME", home.path().to_str().unwrap())]);
        (home, environment)
    }

    #[test]
    fn nothing_configured_gives_notarys_defaults() {
        let environment = Environment::of("/some/dir", &[("HOME", "/nowhere/home")]);
        let settings = Settings::load(&Flags::default(), &environment).unwrap();
        assert_eq!(settings.trust_dir, PathBuf::from("/nowhere/home/.notary"));
        assert_eq!(settings.server.url, DEFAULT_SERVER);
        assert_eq!(settings.server.skip_tls_verify, SkipVerify::No);
        assert_eq!(settings.pinning.first_use, FirstUse::Trust);
    }

    #[test]
    fn without_a_home_the_working_directory_serves() {
        let settings = Settings::load(&Flags::default(), &Environment::of("/some/dir", &[])).unwrap();
        assert_eq!(settings.trust_dir, PathBuf::from("/some/dir/.notary"));
    }

    const EVERYTHING: &str = r#"{ "Trust_Dir": "~/.docker/trust", "other": 1,
      "REMOTE_SERVER": { "URL": "https://h:4443", "root_ca": "ca.crt", "tls_client_cert": "/abs/c.crt", "skipTLSVerify": true },
      "trust_pinning": { "disable_tofu": "true", "certs": { "Docker.io/App": ["ab", "cd"] }, "ca": { "docker.io/": "bundle.pem" } } }"#;

    #[test]
    fn member_names_ignore_case_and_paths_follow_notarys_rules() {
        let (home, environment) = home_with("config.json", EVERYTHING);
        let settings = Settings::load(&Flags::default(), &environment).unwrap();
        assert_eq!(settings.trust_dir, home.path().join(".docker/trust"));
        assert_eq!(settings.server.url, "https://h:4443");
        assert_eq!(settings.server.ca, Some(home.path().join(".notary/ca.crt")));
        assert_eq!(settings.server.client_cert, Some(PathBuf::from("/abs/c.crt")));
        assert_eq!(settings.server.skip_tls_verify, SkipVerify::Yes);
        assert_eq!(settings.pinning.first_use, FirstUse::Refuse);
        assert_eq!(settings.pinning.certs["Docker.io/App"], ["ab", "cd"]);
        assert_eq!(settings.pinning.ca["docker.io/"], PathBuf::from("/some/dir/bundle.pem"));
    }

    #[test]
    fn flags_win_over_the_file() {
        let (_home, environment) = home_with("config.json", EVERYTHING);
        let flags = Flags {
            trust_dir: Some("keys".into()),
            server: Some("https://other".to_owned()),
            ca: Some("ca.pem".into()),
            ..Flags::default()
        };
        let settings = Settings::load(&flags, &environment).unwrap();
        assert_eq!(settings.trust_dir, PathBuf::from("/some/dir/keys"));
        assert_eq!(settings.server.url, "https://other");
        assert_eq!(settings.server.ca, Some(PathBuf::from("/some/dir/ca.pem")));
    }

    #[test]
    fn docker_has_directories_and_a_server_of_its_own_and_flags_win() {
        let home = tempfile::tempdir().unwrap();
        let tls = home.path().join(".docker/tls/trust.example.com:4443");
        fs::create_dir_all(&tls).unwrap();
        for name in ["ca.crt", "client.cert", "client.key"] {
            fs::write(tls.join(name), "").unwrap();
        }
        let variables =
            |url: &'static str| [("HOME", home.path().to_str().unwrap()), ("DOCKER_CONTENT_TRUST_SERVER", url)];
        let docker = Flags { surroundings: Surroundings::Dockers, ..Flags::default() };
        let load = |url, flags: &Flags| Settings::load(flags, &Environment::of("/some/dir", &variables(url)));
        let settings = load("https://trust.example.com:4443", &docker).unwrap();
        assert_eq!(settings.trust_dir, home.path().join(".docker/trust"));
        assert_eq!(settings.server.url, "https://trust.example.com:4443");
        assert_eq!(settings.server.ca, Some(tls.join("ca.crt")));
        assert_eq!(settings.server.client_cert, Some(tls.join("client.cert")));
        assert_eq!(settings.server.client_key, Some(tls.join("client.key")));
        assert_eq!((settings.passphrases, settings.reading), (Passphrases::DockersToo, Reading::Released));

        let flags = Flags { server: Some("https://h".into()), trust_dir: Some("t".into()), ..docker.clone() };
        let settings = load("http://plain", &flags).unwrap();
        assert_eq!((settings.server.url.as_str(), settings.server.ca), ("https://h", None));
        assert_eq!((settings.trust_dir, settings.passphrases), ("/some/dir/t".into(), Passphrases::Notarys));

        let refused = load("http://plain", &docker).unwrap_err();
        assert_eq!(refused.to_string(), "valid https URL required for trust server, got http://plain");
        let refused = load("http://al:pw@plain", &docker).unwrap_err();
        assert_eq!(refused.to_string(), "valid https URL required for trust server, got http://plain");
        let settings = load("https://trust.example.com:4443", &Flags::default()).unwrap();
        assert_eq!((settings.server.url.as_str(), settings.reading), (DEFAULT_SERVER, Reading::Everything));
    }

    #[test]
    fn with_docker_what_notarys_file_says_of_another_server_does_not_count() {
        let file = r#"{"remote_server":{"url":"https://lab:4443","root_ca":"lab.crt","tls_client_cert":"lab.cert","tls_client_key":"lab.key","skipTLSVerify":true}}"#;
        let (home, environment) = home_with("config.json", file);
        let notary = |name: &str| Some(home.path().join(".notary").join(name));
        let tls = home.path().join(".docker/tls/trust.example.com");
        fs::create_dir_all(&tls).unwrap();
        for name in ["ca.crt", "client.cert", "client.key"] {
            fs::write(tls.join(name), "").unwrap();
        }
        let there = |name: &str| Some(tls.join(name));
        let flags = |server: &str| Flags {
            surroundings: Surroundings::Dockers,
            server: Some(server.to_owned()),
            ..Flags::default()
        };
        let load = |flags: &Flags| Settings::load(flags, &environment).unwrap().server;

        let other = load(&flags("https://trust.example.com"));
        assert_eq!(other.skip_tls_verify, SkipVerify::No);
        assert_eq!(other.ca, there("ca.crt"));
        assert_eq!((other.client_cert, other.client_key), (there("client.cert"), there("client.key")));
        for url in ["https://lab:4443", "https://lab:4443/x"] {
            let lab = load(&flags(url));
            assert_eq!((lab.skip_tls_verify, lab.ca), (SkipVerify::Yes, notary("lab.crt")), "{url}");
            assert_eq!((lab.client_cert, lab.client_key), (notary("lab.cert"), notary("lab.key")));
        }
        for url in ["https://lab", "http://lab:4443", "https://other:4443"] {
            assert_eq!(load(&flags(url)).skip_tls_verify, SkipVerify::No, "{url}");
        }
        // as Notary has it
        let notarys = load(&Flags { surroundings: Surroundings::Notarys, ..flags("https://other") });
        assert_eq!((notarys.skip_tls_verify, notarys.ca), (SkipVerify::Yes, notary("lab.crt")));
        // a certificate of one's own, and its own key
        let named = load(&Flags { client_cert: Some("/c".into()), ..flags("https://trust.example.com") });
        assert_eq!((named.client_cert, named.client_key), (Some("/c".into()), None));
    }

    #[test]
    fn dockers_passphrases_count_wherever_its_keys_are_named() {
        let environment = Environment::of("/some/dir", &[("HOME", "/nowhere/home")]);
        for (trust_dir, expected) in [
            (Some("~/.docker/trust"), Passphrases::DockersToo),
            (Some("/nowhere/home/.docker/trust"), Passphrases::DockersToo),
            (Some("trust"), Passphrases::Notarys),
            (None, Passphrases::Notarys),
        ] {
            let flags = Flags { trust_dir: trust_dir.map(PathBuf::from), ..Flags::default() };
            assert_eq!(Settings::load(&flags, &environment).unwrap().passphrases, expected, "{trust_dir:?}");
        }
    }

    #[test]
    fn toml_says_the_same() {
        let (home, environment) = home_with("n.toml", "trust_dir = 'a'\n[remote_server]\nurl = 'https://t'\n");
        let flags = Flags { config_file: Some(home.path().join(".notary/n.toml")), ..Flags::default() };
        let settings = Settings::load(&flags, &environment).unwrap();
        assert_eq!(settings.trust_dir, PathBuf::from("/some/dir/a"));
        assert_eq!(settings.server.url, "https://t");
    }

    #[test]
    fn bad_files_are_refused_by_name() {
        for (name, text, fragment) in [
            ("config.json", "{", "config.json: EOF"),
            ("config.json", "[]", "no object at the top"),
            ("config.json", r#"{"trust_pinning":{"certs":{"a":"b"}}}"#, "invalid format for trust_pinning.certs"),
            ("config.json", r#"{"trust_dir":7}"#, "invalid format for trust_dir: text wanted"),
            ("config.json", r#"{"remote_server":{"skipTLSVerify":"maybe"}}"#, "true or false wanted"),
            ("c.yaml", "trust_dir: a", "c.yaml is neither .json nor .toml"),
            ("c", "", "c is neither .json nor .toml"),
        ] {
            let (home, environment) = home_with(name, text);
            let flags = Flags { config_file: Some(home.path().join(".notary").join(name)), ..Flags::default() };
            let error = Settings::load(&flags, &environment).unwrap_err();
            assert!(error.to_string().contains(fragment), "{name} {text}: {error}");
            assert!(error.remedy().is_some());
        }
    }

    #[test]
    fn a_named_file_must_exist() {
        let environment = Environment::of("/some/dir", &[("HOME", "/nowhere")]);
        let flags = Flags { config_file: Some("gone.json".into()), ..Flags::default() };
        let error = Settings::load(&flags, &environment).unwrap_err();
        assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
        assert!(error.to_string().contains("/some/dir/gone.json"));
    }

    #[test]
    fn fuzz_config() {
        let json = br#"{"trust_dir":"~/t","remote_server":{"url":"https://h:4443","root_ca":"ca.crt","skipTLSVerify":false},"trust_pinning":{"disable_tofu":false,"certs":{"a/*":["00"]},"ca":{"b/":"c"}}}"#;
        let mut words = signet_fuzz::JSON.to_vec();
        words.extend([
            &b"\"trust_dir\":"[..],
            b"\"remote_server\":",
            b"\"trust_pinning\":",
            b"\"certs\":",
            b"\"CA\":",
            b"~/",
        ]);
        let language = signet_fuzz::Language { seeds: vec![json.to_vec()], words };
        let (home, environment) = home_with("config.json", "{}");
        signet_fuzz::fuzz("client-config", &language, |input| {
            fs::write(home.path().join(".notary/config.json"), input).unwrap();
            if let Ok(settings) = Settings::load(&Flags::default(), &environment) {
                assert!(settings.trust_dir.is_absolute() && !settings.server.url.is_empty(), "{settings:?}");
            }
        });
    }
}
