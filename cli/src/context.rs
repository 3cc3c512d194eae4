//! What every command stands on: where things are, who is asked, where output goes.

use std::path::PathBuf;

use crate::{agent, config::TrustPinning, prompt::Prompt, render::Output};

/// The surroundings of one command.
pub struct Context {
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
