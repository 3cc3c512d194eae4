//! Which YubiKeys there are: `[yubikeys]`, and one `[[yubikey]]` for each that has something of its own.

use std::path::PathBuf;

use serde::Deserialize;
use signet_tuf::Role;

use super::TokenConfigError;

/// All YubiKeys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct YubikeysConfig {
    /// Which are served.
    pub serve: Serve,
    /// In the order in which they are tried.
    pub listed: Vec<YubikeyConfig>,
}

impl YubikeysConfig {
    pub(crate) fn serves_any(&self) -> bool {
        match self.serve {
            Serve::All => true,
            Serve::Listed => !self.listed.is_empty(),
            Serve::None => false,
        }
    }

    pub(crate) fn serves_all(&self) -> bool {
        self.serve == Serve::All
    }
}

/// `serve`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Serve {
    /// Whichever is plugged in.
    #[default]
    All,
    /// Those that are listed.
    Listed,
    /// None: PC/SC is left alone.
    None,
}

/// `[yubikeys]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct YubikeysSection {
    /// Which are served.
    pub serve: Serve,
}

/// `[[yubikey]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct YubikeyConfig {
    /// Its serial number, as printed on it.
    pub serial: u32,
    /// A file with the PIN: mode 0600, owned by the agent's user.
    pub pin_file: Option<PathBuf>,
    /// The roles whose new keys belong on it.
    pub roles: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Raw {
    serial: u32,
    pin_file: Option<PathBuf>,
    #[serde(default)]
    roles: Vec<String>,
}

impl TryFrom<Raw> for YubikeyConfig {
    type Error = TokenConfigError;

    fn try_from(raw: Raw) -> Result<Self, TokenConfigError> {
        for role in &raw.roles {
            Role::parse(role)?;
        }
        Ok(Self { serial: raw.serial, pin_file: raw.pin_file, roles: raw.roles })
    }
}

#[cfg(test)]
mod tests {
    use super::{Serve, YubikeyConfig, YubikeysSection};

    #[test]
    fn a_yubikey_is_known_by_its_number() {
        let parse = |text: &str| toml::from_str::<YubikeyConfig>(text);
        assert_eq!(parse("serial = 4711\nroles = [\"root\"]").unwrap().serial, 4711);
        assert!(parse("roles = []").is_err());
        assert!(parse("serial = \"4711\"").is_err());
        assert!(parse("serial = 1\nroles = [\"\"]").is_err());
        assert!(parse("serial = 1\npin = \"123456\"").is_err());
        assert_eq!(toml::from_str::<YubikeysSection>("serve = \"listed\"").unwrap().serve, Serve::Listed);
        assert!(toml::from_str::<YubikeysSection>("serve = \"some\"").is_err());
    }
}
