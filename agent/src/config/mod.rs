//! `agent.toml`: few keys, each with a default; an unknown one is an error.

mod token;
mod yubikeys;

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use signet_tuf::Role;

use crate::paths::{PathError, trusted_file};

pub use token::{TokenConfig, TokenConfigError, TokenSelector};
pub use yubikeys::{Serve, YubikeyConfig, YubikeysConfig, YubikeysSection};

/// Largest request by default: targets of 50 MB, and those of the version before as evidence.
const MAX_REQUEST_BYTES: usize = 128 << 20;
const JUMP_LIMIT: u64 = 1000;

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The process.
    pub agent: AgentConfig,
    /// All keys.
    pub keys: KeysConfig,
    /// Where keys were made.
    pub attestation: AttestationConfig,
    /// Version rules.
    pub guard: GuardConfig,
    /// PKCS#11 tokens, in the order in which they are tried.
    pub token: Vec<TokenConfig>,
    /// YubiKeys as such.
    pub yubikeys: YubikeysSection,
    /// YubiKeys, in the order in which they are tried.
    pub yubikey: Vec<YubikeyConfig>,
}

/// `[agent]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AgentConfig {
    /// End after so long without a connection; 0: never.
    pub idle_timeout_seconds: u64,
    /// Largest request: metadata and evidence together.
    pub max_request_bytes: usize,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self { idle_timeout_seconds: 0, max_request_bytes: MAX_REQUEST_BYTES }
    }
}

/// `[keys]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct KeysConfig {
    /// What to do when a key's token is absent and a key file is there.
    pub fallback: Fallback,
    /// A PIN or passphrase entered with `signet agent unlock` is forgotten after so long; 0: when it is locked.
    pub unlock_seconds: u64,
    /// Roles that sign only with keys that were made on a token that attests so, and that want a touch every time.
    #[serde(deserialize_with = "roles")]
    pub attested_roles: Vec<String>,
}

/// Role names; a misspelt one must not be a rule that never holds.
fn roles<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    for name in &names {
        Role::parse(name).map_err(serde::de::Error::custom)?;
    }
    Ok(names)
}

/// `[attestation]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AttestationConfig {
    /// PEM files with the certificates that attestation chains must end at.
    pub anchors: Vec<PathBuf>,
}

/// `fallback`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fallback {
    /// Use the file and say so.
    #[default]
    Notice,
    /// Do not sign.
    Refuse,
}

/// `[guard]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GuardConfig {
    /// How far above the last version a version may be; root: always 1.
    pub jump_limit: u64,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self { jump_limit: JUMP_LIMIT }
    }
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else could have written it.
    #[error("configuration {0}")]
    Untrusted(#[source] PathError),
    /// The file does not say what a configuration may say.
    #[error("configuration {}: {source}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, key and what would be right.
        source: Box<toml::de::Error>,
    },
}

impl Config {
    /// Reads `named`, which must be there, or else the first of `candidates` that is. The file is named in the answer.
    ///
    /// # Errors
    /// [`ConfigError`]; a file that is there is never passed over.
    pub fn load(
        named: Option<&Path>,
        candidates: &[PathBuf],
        uid: u32,
    ) -> Result<(Self, Option<PathBuf>), ConfigError> {
        if let Some(path) = named {
            return Ok((Self::read(path, uid)?, Some(path.to_owned())));
        }
        for path in candidates {
            match Self::read(path, uid) {
                Err(ConfigError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                read => return Ok((read?, Some(path.clone()))),
            }
        }
        Ok((Self::default(), None))
    }

    fn read(path: &Path, uid: u32) -> Result<Self, ConfigError> {
        trusted_file(path, uid).map_err(|error| match error {
            PathError::Io { path, source } => ConfigError::Unreadable { path, source },
            other @ (PathError::Unsafe { .. } | PathError::NoHome) => ConfigError::Untrusted(other),
        })?;
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|source| ConfigError::Invalid { path: path.to_owned(), source: source.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_example_is_loaded_and_says_the_defaults() {
        let example = parse(include_str!("../../../docs/agent.toml")).expect("the example is valid");
        let default = Config::default();
        assert_eq!(example.agent.max_request_bytes, default.agent.max_request_bytes);
        assert_eq!(example.agent.idle_timeout_seconds, default.agent.idle_timeout_seconds);
        assert_eq!(example.keys.fallback, default.keys.fallback);
        assert_eq!(example.guard.jump_limit, default.guard.jump_limit);
        assert_eq!(example.token.len(), 1);
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = parse("[agent]\nidle-timeout = 3").expect_err("unknown");
        assert!(error.contains("idle-timeout") && error.contains("idle-timeout-seconds"), "{error}");
    }

    #[test]
    fn a_role_that_wants_attested_keys_is_a_role() {
        assert_eq!(parse("[keys]\nattested-roles = [\"root\"]").expect("a role").keys.attested_roles, ["root"]);
        for name in ["Root", "roots", ""] {
            assert!(parse(&format!("[keys]\nattested-roles = [\"{name}\"]")).is_err(), "{name}");
        }
    }

    #[test]
    fn a_named_file_must_be_there_and_a_candidate_need_not() {
        let missing = PathBuf::from("/nonexistent/agent.toml");
        assert!(Config::load(Some(&missing), &[], 0).is_err());
        assert!(matches!(Config::load(None, &[missing], 0), Ok((_, None))));
    }

    #[test]
    fn fuzz_config() {
        let words: [&[u8]; 16] = [
            b"[agent]\n",
            b"[[token]]\n",
            b"[keys]\n",
            b"[guard]\n",
            b"max-request-bytes = ",
            b"idle-timeout-seconds = ",
            b"jump-limit = ",
            b"sessions = ",
            b"roles = [",
            b"\"\"",
            b"'''",
            b"\"\"\"",
            b"-1",
            b"18446744073709551616",
            b"1979-05-27",
            b"\\u0000",
        ];
        let example = include_str!("../../../docs/agent.toml").as_bytes().to_vec();
        let token =
            b"[[token]]\nmodule = \"/usr/lib/m.so\"\nserial = \"1\"\nsessions = 3\nroles = [\"root\"]\n".to_vec();
        let language = signet_fuzz::Language { seeds: vec![example, token], words: words.to_vec() };
        signet_fuzz::fuzz("agent-config", &language, |input| {
            let text = std::str::from_utf8(input).map_err(|error| error.to_string());
            let Ok(config) = text.and_then(parse) else { return };
            for token in &config.token {
                assert!((1..=64).contains(&token.sessions) && !token.name().is_empty(), "{token:?}");
            }
        });
    }
}
