//! The usual stage: a server, a person and, if wanted, a token.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{Authority, CLIENT_MODULE, Call, Event, Home, NotaryServer, P11KitServer, SOFTHSM_MODULE, Softhsm};

/// The user PIN of tokens on the stage.
pub const PIN: &str = "648219";

const PASSPHRASES: [(&str, &str); 4] = [
    ("NOTARY_ROOT_PASSPHRASE", "root passphrase"),
    ("NOTARY_TARGETS_PASSPHRASE", "targets passphrase"),
    ("NOTARY_SNAPSHOT_PASSPHRASE", "snapshot passphrase"),
    ("NOTARY_DELEGATION_PASSPHRASE", "delegation passphrase"),
];

/// A notary-server and a person who knows the passphrases of her files.
pub struct Stage {
    /// Who vouches for the server.
    pub authority: Authority,
    /// The server.
    pub server: NotaryServer,
    /// The tokens; none until one is initialised.
    pub softhsm: Softhsm,
    /// The person's home.
    pub home: Home,
}

impl Stage {
    /// No token: every key is a file.
    pub fn with_files() -> Result<Self> {
        let authority = Authority::new("signet story")?;
        let server = NotaryServer::start(&authority)?;
        let softhsm = Softhsm::new()?;
        let mut home = Home::new()?;
        home.set("SOFTHSM2_CONF", softhsm.conf());
        for (name, value) in PASSPHRASES {
            home.set(name, value);
        }
        Ok(Self { authority, server, softhsm, home })
    }

    /// A token "release" for root and targets; its PIN lies in a file, so that it is always unlocked.
    pub fn with_token() -> Result<Self> {
        let stage = Self::with_locked_token()?;
        let pin = stage.home.write("pin", PIN)?;
        stage.home.agent_toml(&token_table(SOFTHSM_MODULE, Some(&pin)))?;
        Ok(stage)
    }

    /// A token "release" for root and targets whose PIN nobody has told the agent.
    pub fn with_locked_token() -> Result<Self> {
        let stage = Self::with_files()?;
        stage.softhsm.init_token("release", PIN)?;
        stage.home.agent_toml(&token_table(SOFTHSM_MODULE, None))?;
        Ok(stage)
    }

    /// The token "release" in a process of its own, which can be killed, and which outlives a killed agent.
    pub fn with_served_token() -> Result<(Self, P11KitServer)> {
        let mut stage = Self::with_files()?;
        stage.softhsm.init_token("release", PIN)?;
        let served = P11KitServer::start(&stage.softhsm, "release")?;
        let pin = stage.home.write("pin", PIN)?;
        stage.home.agent_toml(&token_table(CLIENT_MODULE, Some(&pin)))?;
        stage.home.set("P11_KIT_SERVER_ADDRESS", served.address());
        Ok((stage, served))
    }

    /// `signet` with the stage's server and trust directory.
    pub fn signet<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<Call> {
        self.signet_in(&self.home.trust(), args)
    }

    /// `signet` with another trust directory.
    pub fn signet_in<A: AsRef<OsStr>>(&self, trust: &Path, args: impl IntoIterator<Item = A>) -> Result<Call> {
        Ok(self.with_flags(self.home.signet::<&str>([])?, trust).args(args))
    }

    /// The real `notary` with the stage's server and that trust directory.
    pub fn notary<A: AsRef<OsStr>>(&self, trust: &Path, args: impl IntoIterator<Item = A>) -> Call {
        self.called(Path::new("/usr/bin/notary"), trust, args)
    }

    /// Any program that takes Notary's flags, with the stage's server and that trust directory.
    pub fn called<A: AsRef<OsStr>>(&self, program: &Path, trust: &Path, args: impl IntoIterator<Item = A>) -> Call {
        self.with_flags(self.home.call(program), trust).args(args)
    }

    /// The real `notary` with an empty trust directory: what a stranger sees.
    pub fn stranger<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<Call> {
        let trust = tempfile::Builder::new().prefix("stranger-").tempdir_in(self.home.path())?.keep();
        Ok(self.notary(&trust, args))
    }

    /// All records of the agent, oldest first.
    pub fn audit(&self) -> Result<Vec<Event>> {
        let everything = ["audit", "tail", "--json", "-n", "1000000"];
        Event::parse_lines(&self.home.signet(everything)?.ok()?.stdout)
    }

    /// The key in that place, as `signet key list --json` tells it.
    pub fn key_in(&self, place: &str) -> Result<Value> {
        let listed = self.signet(["key", "list", "--json"])?.ok()?.stdout;
        let keys: Vec<Value> = serde_json::from_str(&listed)?;
        let is_there = |key: &Value| {
            let places = key.get("places").and_then(Value::as_array);
            places.is_some_and(|places| places.iter().any(|found| found.get("uri").is_some_and(|uri| uri == place)))
        };
        keys.into_iter().find(is_there).with_context(|| format!("no key is in {place}:\n{listed}"))
    }

    /// Its ID.
    pub fn key_id_in(&self, place: &str) -> Result<String> {
        let key = self.key_in(place)?;
        Ok(key.get("key_id").and_then(Value::as_str).context("a key without an ID")?.to_owned())
    }

    fn with_flags(&self, call: Call, trust: &Path) -> Call {
        call.args(["-s", &self.server.url(), "--tlscacert"]).args([self.server.ca()]).args(["-d"]).args([trust])
    }
}

/// agent.toml with one token for root and targets.
#[must_use]
pub fn token_table(module: &str, pin_file: Option<&Path>) -> String {
    let pin_file = pin_file.map(|path| format!("pin-file = \"{}\"\n", path.display())).unwrap_or_default();
    format!("[[token]]\nmodule = \"{module}\"\nlabel = \"release\"\nroles = [\"root\", \"targets\"]\n{pin_file}")
}
