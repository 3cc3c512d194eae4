//! Which tokens there are: one `[[token]]` of the configuration, parsed.

use std::path::PathBuf;

use serde::Deserialize;
use signet_tuf::{NameError, Role};

use crate::uri::{Pkcs11Uri, UriError};

/// Sessions of a token, unless the configuration says otherwise.
const DEFAULT_SESSIONS: usize = 4;
/// More sessions than this help no token that exists.
const MAX_SESSIONS: usize = 64;

/// One configured token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct TokenConfig {
    /// The PKCS#11 module, an absolute path.
    pub module: PathBuf,
    /// Which of the module's tokens.
    pub select: TokenSelector,
    /// A file with the user PIN: mode 0600, owned by the agent's user.
    pub pin_file: Option<PathBuf>,
    /// Threads that sign, 1 to 64, each with a session; as many sessions again serve in the callers' threads.
    pub sessions: usize,
    /// The roles whose new keys belong on this token.
    pub roles: Vec<String>,
}

impl TokenConfig {
    /// The token's name in commands, messages and the log: what it was selected by.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.select {
            TokenSelector::Label(text) | TokenSelector::Serial(text) => text,
            TokenSelector::Uri(uri) => uri.token.as_deref().or(uri.serial.as_deref()).unwrap_or_else(|| uri.as_str()),
        }
    }
}

/// What a token is recognised by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSelector {
    /// `CK_TOKEN_INFO.label`.
    Label(String),
    /// `CK_TOKEN_INFO.serialNumber`.
    Serial(String),
    /// Several attributes at once.
    Uri(Pkcs11Uri),
}

impl TokenSelector {
    pub(crate) fn matches(&self, label: &str, serial: &str, manufacturer: &str, model: &str) -> bool {
        let agrees = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        match self {
            Self::Label(wanted) => wanted == label,
            Self::Serial(wanted) => wanted == serial,
            Self::Uri(uri) => {
                agrees(&uri.token, label)
                    && agrees(&uri.serial, serial)
                    && agrees(&uri.manufacturer, manufacturer)
                    && agrees(&uri.model, model)
            }
        }
    }
}

/// What is wrong with a `[[token]]`.
#[derive(Debug, thiserror::Error)]
pub enum TokenConfigError {
    /// None or several of label, serial and uri.
    #[error("a token needs exactly one of `label`, `serial` and `uri`, and not an empty one")]
    Selector,
    /// The URI.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// A role that no metadata has.
    #[error("`roles` of a token: {0}")]
    Role(#[from] NameError),
    /// The number of sessions.
    #[error("`sessions` of a token is 1 to {MAX_SESSIONS}, not {0}")]
    Sessions(usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Raw {
    module: PathBuf,
    label: Option<String>,
    serial: Option<String>,
    uri: Option<String>,
    pin_file: Option<PathBuf>,
    sessions: Option<usize>,
    #[serde(default)]
    roles: Vec<String>,
}

impl TryFrom<Raw> for TokenConfig {
    type Error = TokenConfigError;

    fn try_from(raw: Raw) -> Result<Self, TokenConfigError> {
        let select = match (raw.label, raw.serial, raw.uri) {
            (Some(label), None, None) if !label.is_empty() => TokenSelector::Label(label),
            (None, Some(serial), None) if !serial.is_empty() => TokenSelector::Serial(serial),
            (None, None, Some(uri)) => TokenSelector::Uri(uri.parse()?),
            (..) => return Err(TokenConfigError::Selector),
        };
        let sessions = raw.sessions.unwrap_or(DEFAULT_SESSIONS);
        if !(1..=MAX_SESSIONS).contains(&sessions) {
            return Err(TokenConfigError::Sessions(sessions));
        }
        for role in &raw.roles {
            Role::parse(role)?;
        }
        Ok(Self { module: raw.module, select, pin_file: raw.pin_file, sessions, roles: raw.roles })
    }
}

#[cfg(test)]
mod tests {
    use super::{TokenConfig, TokenSelector};

    #[test]
    fn a_token_is_selected_in_exactly_one_way() {
        let parse = |text: &str| toml::from_str::<TokenConfig>(text);
        let token = parse("module = \"/usr/lib/x.so\"\nserial = \"1\"").unwrap();
        assert_eq!((token.select, token.sessions), (TokenSelector::Serial("1".into()), 4));
        assert!(parse("module = \"/x.so\"").is_err());
        assert!(parse("module = \"/x.so\"\nlabel = \"a\"\nserial = \"1\"").is_err());
        assert!(parse("module = \"/x.so\"\nlabel = \"a\"\nsessions = 0").is_err());
        assert!(parse("module = \"/x.so\"\nlabel = \"a\"\npin = \"1234\"").is_err());
    }
}
