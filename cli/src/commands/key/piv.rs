//! Flags that say where and how a YubiKey keeps a key.

use std::path::PathBuf;

use clap::Args;

use crate::{agent::PivOptions, commands::secret_file, exit::CliError};

/// Flags of a key that goes to a YubiKey.
#[derive(Debug, Default, Args)]
pub(super) struct PivArgs {
    /// Slot of a YubiKey: 9a, 9c, 9d, 9e, 82 to 95 [default: the first free one of 9c, 9a, 9d, 9e, 82 to 95]
    #[arg(long, value_name = "SLOT", requires = "token")]
    slot: Option<String>,
    /// Whether a YubiKey wants to be touched for a signature [default: always]
    #[arg(long, value_name = "POLICY", value_parser = ["always", "cached", "never"], requires = "token")]
    touch: Option<String>,
    /// When a YubiKey wants its PIN [default: once]
    #[arg(long, value_name = "POLICY", value_parser = ["once", "always", "never"], requires = "token")]
    pin: Option<String>,
    /// Destroy the key that the YubiKey's slot holds
    #[arg(long, requires = "token")]
    overwrite: bool,
    /// File with the YubiKey's management key in hex, if it is not stored on it behind the PIN; - is standard input
    #[arg(long, value_name = "FILE", requires = "token")]
    management_key_file: Option<PathBuf>,
}

impl PivArgs {
    /// What was chosen.
    ///
    /// # Errors
    /// [`CliError`] if the management key cannot be read.
    pub(super) fn options(&self) -> Result<PivOptions, CliError> {
        Ok(PivOptions {
            slot: self.slot.as_deref().unwrap_or_default().to_ascii_lowercase(),
            pin_policy: self.pin.clone().unwrap_or_default(),
            touch_policy: self.touch.clone().unwrap_or_default(),
            management_key: self.management_key_file.as_deref().map(secret_file::management_key).transpose()?,
            overwrite: self.overwrite,
        })
    }

    /// The slot that was named.
    pub(super) fn slot(&self) -> Option<&str> {
        self.slot.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use clap::{Parser, error::ErrorKind};

    use super::{PivArgs, PivOptions};
    use crate::args::Cli;

    #[test]
    fn flags_of_a_yubikey_want_a_token() {
        for flags in ["--slot 9c", "--touch always", "--pin once", "--overwrite", "--management-key-file f"] {
            for verb in ["generate", "import x.pem"] {
                let line = format!("signet key {verb} {flags}");
                let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::MissingRequiredArgument, "{line}");
                Cli::try_parse_from(format!("{line} --token 4711").split(' ')).unwrap();
            }
        }
        for line in ["--touch sometimes", "--pin sometimes", "--file --slot 9c"] {
            let line = format!("signet key generate --token 4711 {line}");
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn what_is_not_said_is_the_agents_to_choose() {
        assert_eq!(PivArgs::default().options().unwrap(), PivOptions::default());
        let args = PivArgs { slot: Some("9C".to_owned()), touch: Some("never".to_owned()), ..PivArgs::default() };
        let options = args.options().unwrap();
        assert_eq!((options.slot.as_str(), options.touch_policy.as_str()), ("9c", "never"));
    }
}
