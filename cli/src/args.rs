//! The command line: Notary's words and flags, and ours.

use std::{ffi::OsString, path::PathBuf};

use clap::{
    Args, Parser, Subcommand,
    builder::{OsStringValueParser, TypedValueParser},
};
use tracing::Level;

use crate::{
    commands::{
        add::AddArgs, addhash::AddHashArgs, agent::AgentArgs, audit::AuditArgs, completion::CompletionArgs,
        delegation::DelegationArgs, delete::DeleteArgs, init::InitArgs, key::KeyArgs, ledger::LedgerArgs,
        list::ListArgs, lookup::LookupArgs, publish::PublishArgs, remove::RemoveArgs, renew::RenewArgs,
        reset::ResetArgs, status::StatusArgs, token::TokenArgs, verify::VerifyArgs, version::VersionArgs,
        witness::WitnessArgs,
    },
    config::{Flags, Surroundings},
};

/// Signs and verifies collections of content with keys that an agent holds. The commands are Notary's.
#[derive(Debug, Parser)]
#[command(
    name = "signet",
    disable_version_flag = true,
    arg_required_else_help = true,
    // As in Notary, the last one counts: scripts put their flags behind those of an alias.
    args_override_self = true,
    max_term_width = 100,
    after_help = "What the exit status means: help exit-codes"
)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub globals: Globals,
    /// Print the version number
    #[arg(long)]
    pub version: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Flags of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Globals {
    /// Path to the configuration file to use (json, toml)
    #[arg(short = 'c', long = "configFile", alias = "config-file", global = true, value_name = "PATH", value_parser = path())]
    pub config_file: Option<PathBuf>,
    /// Directory where the trust data is persisted to [default: ~/.notary]
    #[arg(short = 'd', long = "trustDir", alias = "trust-dir", global = true, value_name = "DIR", value_parser = path())]
    pub trust_dir: Option<PathBuf>,
    /// Remote trust server location [default: https://notary-server:4443]
    #[arg(short = 's', long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// Trust certs signed only by this CA
    #[arg(long, global = true, value_name = "PATH", value_parser = path())]
    pub tlscacert: Option<PathBuf>,
    /// Path to TLS certificate file
    #[arg(long, global = true, value_name = "PATH", value_parser = path())]
    pub tlscert: Option<PathBuf>,
    /// Path to TLS key file
    #[arg(long, global = true, value_name = "PATH", value_parser = path())]
    pub tlskey: Option<PathBuf>,
    /// Work as Docker's client: its trust directory, its server ($DOCKER_CONTENT_TRUST_SERVER) and TLS files; read
    /// targets/releases before targets
    #[arg(long, global = true)]
    pub docker: bool,
    /// The signing agent, unix:PATH [default: $SIGNET_AGENT, else your own, which is started]
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub agent: Option<OsString>,
    /// Debug output
    #[arg(short = 'D', long, global = true)]
    pub debug: bool,
    /// Verbose output
    #[arg(short = 'v', long, global = true)]
    pub verbose: bool,
}

impl Globals {
    /// How much is logged.
    #[must_use]
    pub const fn level(&self) -> Level {
        match (self.debug, self.verbose) {
            (true, _) => Level::DEBUG,
            (false, true) => Level::INFO,
            (false, false) => Level::WARN,
        }
    }

    /// What lies over the configuration file. Empty values count as not given, as in Notary.
    #[must_use]
    pub fn flags(&self) -> Flags {
        let path = |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        Flags {
            config_file: path(&self.config_file),
            trust_dir: path(&self.trust_dir),
            server: self.server.clone().filter(|url| !url.is_empty()),
            ca: path(&self.tlscacert),
            client_cert: path(&self.tlscert),
            client_key: path(&self.tlskey),
            surroundings: if self.docker { Surroundings::Dockers } else { Surroundings::Notarys },
        }
    }
}

/// Paths may be empty here: scripts pass -d "$DIR" whether it is set or not.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Initialise a collection: root, targets and snapshot
    Init(InitArgs),
    /// Stage the addition of a target
    Add(AddArgs),
    /// Stage the addition of a target by its size and digests
    Addhash(AddHashArgs),
    /// Stage the removal of a target
    Remove(RemoveArgs),
    /// Show what is staged, when roles expire and who can sign them
    Status(StatusArgs),
    /// Take staged changes back
    Reset(ResetArgs),
    /// Sign and publish what is staged
    Publish(PublishArgs),
    /// Sign anew what has expired or soon will
    Renew(RenewArgs),
    /// List the targets of a collection
    List(ListArgs),
    /// Look one target up
    Lookup(LookupArgs),
    /// Verify data against a target
    Verify(VerifyArgs),
    /// List and change who may sign for which names
    Delegation(DelegationArgs),
    /// Mark roles to be signed again as they are
    Witness(WitnessArgs),
    /// Delete the trust data of a collection; keys stay
    Delete(DeleteArgs),
    /// List and make keys
    Key(KeyArgs),
    /// List, set up and watch tokens
    Token(TokenArgs),
    /// Start, stop, lock and unlock the signing agent
    Agent(AgentArgs),
    /// Read what the agent recorded
    Audit(AuditArgs),
    /// Correct what the agent remembers
    Ledger(LedgerArgs),
    /// Print a shell's completion script
    Completion(CompletionArgs),
    /// Print the version number
    Version(VersionArgs),
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};
    use tracing::Level;

    use super::{Cli, Command};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_and_after_the_command() {
        for line in [
            &["notary", "-s", "https://h", "-d", "dir", "-D", "key", "list"][..],
            &["notary", "key", "list", "-s", "https://h", "-d", "dir", "-D"],
            &["notary", "key", "-shttps://h", "list", "--trustDir=dir", "--debug"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            assert_eq!(cli.globals.server.as_deref(), Some("https://h"), "{line:?}");
            assert_eq!(cli.globals.flags().trust_dir, Some("dir".into()));
            assert_eq!(cli.globals.level(), Level::DEBUG);
            assert!(matches!(cli.command, Some(Command::Key(_))));
        }
    }

    #[test]
    fn of_a_flag_given_twice_the_last_one_counts() {
        for line in [&["notary", "-s", "a", "-s", "b", "version"][..], &["notary", "-s", "a", "key", "list", "-s", "b"]]
        {
            assert_eq!(Cli::try_parse_from(line).unwrap().globals.server.as_deref(), Some("b"), "{line:?}");
        }
        let Some(Command::List(list)) =
            Cli::try_parse_from(["notary", "list", "g", "-r", "a", "-r", "b"]).unwrap().command
        else {
            panic!("not list")
        };
        assert!(format!("{list:?}").contains(r#"["a", "b"]"#), "{list:?}");
    }

    #[test]
    fn an_empty_flag_counts_as_not_given() {
        let cli = Cli::try_parse_from(["notary", "-s", "", "-d", "", "version"]).unwrap();
        assert_eq!(cli.globals.flags().server, None);
        assert_eq!(cli.globals.flags().trust_dir, None);
    }
}
