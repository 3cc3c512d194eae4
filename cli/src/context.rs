//! What every command stands on: where things are, who is asked, where output goes.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    agent::{self, Address, socket},
    args::Globals,
    config::{Reading, Settings, TrustPinning},
    credentials::Credentials,
    environment::Environment,
    exit::{CliError, Face},
    prompt::Prompt,
    render::Output,
    server::Proxies,
};

/// The surroundings of one command.
pub struct Context {
    /// As what the program was called.
    pub face: Face,
    /// Absolute path of the trust directory.
    pub trust_dir: PathBuf,
    /// How to reach notary-server.
    pub server: ServerSettings,
    /// The signing agent; connects at first use.
    pub agent: agent::Client,
    /// Standard output.
    pub out: Output,
    /// Questions to the person at the terminal.
    pub prompt: Prompt,
    /// Which roots are trusted at first contact.
    pub pinning: TrustPinning,
    /// Which roles are read if a command names none.
    pub reading: Reading,
}

/// Whether the server's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SkipVerify {
    /// It is checked.
    #[default]
    No,
    /// Notary's `skipTLSVerify`: it is not.
    Yes,
}

/// How to reach notary-server.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Base URL; may have a path.
    pub url: String,
    /// The only CA that is trusted, if one is named.
    pub ca: Option<PathBuf>,
    /// Client certificate, PEM.
    pub client_cert: Option<PathBuf>,
    /// Key of the client certificate, PEM.
    pub client_key: Option<PathBuf>,
    /// Whether the server's certificate is checked.
    pub skip_tls_verify: SkipVerify,
    /// Which proxies stand before it.
    pub proxies: Proxies,
    /// Who we are to it.
    pub credentials: Credentials,
}

impl Context {
    /// Puts the parts together; touches no network and no agent.
    ///
    /// # Errors
    /// [`CliError`] if the configuration file or the agent's address is wrong.
    pub fn build(face: Face, globals: &Globals, environment: Environment) -> Result<Self, CliError> {
        let settings = Settings::load(&globals.flags(), &environment)?;
        let named = globals.agent.as_deref().or_else(|| environment.value("SIGNET_AGENT"));
        let address = match named {
            Some(text) => Address::Named(socket::named(text, &environment)?),
            None => Address::Own,
        };
        let prompt = Prompt::new(environment.secrets(settings.passphrases));
        let environment = Arc::new(environment);
        let trust_dir = resolved(&settings.trust_dir);
        let credentials = Credentials::new(Arc::clone(&environment), prompt.clone());
        Ok(Self {
            face,
            agent: agent::Client::new(address, trust_dir.clone(), prompt.clone(), environment),
            trust_dir,
            server: ServerSettings { credentials, ..settings.server },
            out: Output::stdout(),
            prompt,
            pinning: settings.pinning,
            reading: settings.reading,
        })
    }
}

/// `path` without symbolic links, as far as it exists: the agent follows none, but its owner may have made one.
fn resolved(path: &Path) -> PathBuf {
    let existing = path.ancestors().find_map(|ancestor| {
        let rest = path.strip_prefix(ancestor).ok()?;
        Some((fs::canonicalize(ancestor).ok()?, rest))
    });
    match existing {
        Some((real, rest)) if rest.as_os_str().is_empty() => real,
        Some((real, rest)) => real.join(rest),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::resolved;

    #[test]
    fn a_trust_directory_is_known_by_its_real_path() {
        let base = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(base.path()).unwrap();
        let (real, link) = (base.join("real"), base.join("link"));
        fs::create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        for (given, expected) in [
            (real.clone(), real.clone()),
            (link.clone(), real.clone()),
            (link.join("not/yet"), real.join("not/yet")),
            (base.join("not/yet"), base.join("not/yet")),
        ] {
            assert_eq!(resolved(&given), expected, "{}", given.display());
        }
    }
}
