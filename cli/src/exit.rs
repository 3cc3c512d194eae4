//! The one error type of commands and its text for people; [`code`] has the exit codes, [`words`] Notary's texts.

pub mod code;
pub mod words;

use std::{
    ffi::OsStr,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use thiserror::Error;

use crate::{
    agent::AgentError, collection::CollectionError, config::ConfigError, log::visible, prompt::PromptError,
    server::ServerError, trustdir::TrustDirError,
};

/// Why a command failed. `Display` is the message, [`CliError::remedy`] what to do about it.
#[derive(Debug, Error)]
pub enum CliError {
    /// The agent, or the way to it.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// notary-server, or the way to it.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The trust directory.
    #[error(transparent)]
    TrustDir(#[from] TrustDirError),
    /// Metadata of a collection.
    #[error(transparent)]
    Collection(#[from] CollectionError),
    /// The configuration file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A question that got no answer.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// Standard output is gone.
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
    /// Words that make no command.
    #[error("{message}")]
    Usage {
        /// What is wrong with them.
        message: String,
        /// How the command is used.
        usage: String,
    },
    /// A key that does not sign now.
    #[error("{0}")]
    NotAtHand(String),
    /// A person said no.
    #[error("Aborting action.")]
    Aborted,
    /// Content or a name that the collection does not vouch for. Notary's words.
    #[error("{0}")]
    Untrusted(String),
    /// The command's own refusal.
    #[error("{message}")]
    Failed {
        /// What is wrong, naming the thing.
        message: String,
        /// What to do about it.
        remedy: Option<String>,
    },
}

impl CliError {
    /// The command's own refusal, without a remedy (Notary's texts).
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), remedy: None }
    }

    /// The command's own refusal and what to do about it.
    #[must_use]
    pub fn with_remedy(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), remedy: Some(remedy.into()) }
    }

    /// The same in Notary's words, behind words that Notary puts before every failure of a command.
    #[must_use]
    pub fn as_notary_after(&self, head: &str) -> Self {
        let words = words::of_notary(self).map_or_else(|| self.to_string(), str::to_owned);
        Self::Failed { message: format!("{head}{words}"), remedy: self.remedy() }
    }

    /// What the person can do, if anything is known.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Agent(error) => error.remedy(),
            Self::Server(error) => error.remedy(),
            Self::TrustDir(error) => error.remedy(),
            Self::Collection(error) => error.remedy(),
            Self::Config(error) => error.remedy(),
            Self::Prompt(error) => error.remedy(),
            Self::Failed { remedy, .. } => remedy.clone(),
            Self::Output(_) | Self::Usage { .. } | Self::NotAtHand(_) | Self::Aborted | Self::Untrusted(_) => None,
        }
    }
}

/// As what the program was called, which decides how it reports failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// `notary`: everything on standard output, `* fatal:` before the message.
    Notary,
    /// `signet`: failures on standard error.
    Signet,
}

impl Face {
    /// The face for the program's own name, argument 0.
    #[must_use]
    pub fn of(program: &OsStr) -> Self {
        match Path::new(program).file_name() {
            Some(name) if name == "notary" => Self::Notary,
            _ => Self::Signet,
        }
    }

    /// The program's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Notary => "notary",
            Self::Signet => "signet",
        }
    }

    /// Says why a command failed.
    #[must_use]
    pub fn report(self, error: &CliError, stdout: &mut impl Write, stderr: &mut impl Write) -> ExitCode {
        // A reader that has seen enough (head) is not to be told, and there may be nobody left to tell.
        if !matches!(error, CliError::Output(cause) if cause.kind() == io::ErrorKind::BrokenPipe) {
            drop(match self {
                Self::Notary => as_notary(error, stdout),
                Self::Signet => as_signet(error, stderr),
            });
        }
        match self {
            Self::Notary => ExitCode::FAILURE,
            Self::Signet => ExitCode::from(error.exit().number()),
        }
    }
}

/// Notary's two lines, and its usage before them. What Notary would not say goes into the log.
fn as_notary(error: &CliError, stdout: &mut impl Write) -> io::Result<()> {
    if let CliError::Usage { usage, .. } = error {
        stdout.write_all(usage.as_bytes())?;
    }
    if !matches!(error, CliError::Aborted) {
        // Notary 0.7: no empty line after a question
        writeln!(stdout)?;
    }
    let ours = lines(&error.to_string());
    let notary = words::of_notary(error);
    writeln!(stdout, "* fatal: {}", notary.unwrap_or(&ours))?;
    stdout.flush()?;
    if notary.is_some_and(|words| words != ours) {
        tracing::error!("{ours}");
    }
    if let Some(remedy) = error.remedy() {
        tracing::warn!("{}", lines(&remedy));
    }
    Ok(())
}

fn as_signet(error: &CliError, stderr: &mut impl Write) -> io::Result<()> {
    writeln!(stderr, "signet: {}", lines(&error.to_string()))?;
    let more = if let CliError::Usage { usage, .. } = error {
        Some(usage.trim_end().to_owned()).filter(|usage| !usage.is_empty())
    } else {
        error.remedy().map(|remedy| format!("  {}", lines(&remedy)))
    };
    more.map_or(Ok(()), |text| writeln!(stderr, "{text}"))
}

/// Control characters, which a server may have sent, do not reach the terminal.
fn lines(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, io};

    use super::{CliError, Face};

    fn said(face: Face, error: &CliError) -> (String, String) {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let _code = face.report(error, &mut stdout, &mut stderr);
        (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    #[test]
    fn the_name_decides_the_face() {
        for (program, face) in [
            ("notary", Face::Notary),
            ("/usr/local/bin/notary", Face::Notary),
            ("signet", Face::Signet),
            ("./notary-x", Face::Signet),
            ("", Face::Signet),
        ] {
            assert_eq!(Face::of(OsStr::new(program)), face, "{program}");
        }
    }

    #[test]
    fn notary_says_fatal_on_standard_output() {
        let (stdout, stderr) = said(Face::Notary, &CliError::failed("no such GUN"));
        assert_eq!((stdout.as_str(), stderr.as_str()), ("\n* fatal: no such GUN\n", ""));
        assert_eq!(said(Face::Notary, &CliError::Aborted).0, "* fatal: Aborting action.\n");
    }

    #[test]
    fn signet_says_message_and_remedy_on_standard_error() {
        let (stdout, stderr) = said(Face::Signet, &CliError::with_remedy("no such GUN", "see signet list"));
        assert_eq!((stdout.as_str(), stderr.as_str()), ("", "signet: no such GUN\n  see signet list\n"));
    }

    #[test]
    fn usage_stands_before_notary_s_error_and_after_ours() {
        let usage = || CliError::Usage { message: "a GUN is wanted".into(), usage: "Usage: list <GUN>\n".into() };
        assert_eq!(said(Face::Notary, &usage()).0, "Usage: list <GUN>\n\n* fatal: a GUN is wanted\n");
        assert_eq!(said(Face::Signet, &usage()).1, "signet: a GUN is wanted\nUsage: list <GUN>\n");
    }

    #[test]
    fn a_server_cannot_draw_on_the_terminal() {
        let (_, stderr) = said(Face::Signet, &CliError::failed("a\u{1b}[2J\nb"));
        assert_eq!(stderr, "signet: a\\u{1b}[2J\nb\n");
    }

    #[test]
    fn a_closed_pipe_is_not_reported() {
        let closed = CliError::Output(io::ErrorKind::BrokenPipe.into());
        assert_eq!(said(Face::Signet, &closed), (String::new(), String::new()));
    }
}
