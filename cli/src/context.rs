//! What every command stands on: where things are, who is asked, where output goes.

use std::{path::PathBuf, sync::Arc};

use crate::{
    agent::{self, Address, socket},
    args::Globals,
    config::{Settings, TrustPinning},
    environment::Environment,
    exit::{CliError, Face},
    prompt::Prompt,
    render::Output,
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
        let prompt = Prompt::new(environment.secrets());
        let environment = Arc::new(environment);
        Ok(Self {
            face,
            agent: agent::Client::new(address, settings.trust_dir.clone(), prompt.clone(), environment),
            trust_dir: settings.trust_dir,
            server: settings.server,
            out: Output::stdout(),
            prompt,
            pinning: settings.pinning,
        })
    }
}
