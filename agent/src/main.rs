//! `signet-agent`: reads its command line, hardens itself, runs.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use signet_agent::{daemon, harden};
use tracing_subscriber::EnvFilter;

/// The agent that holds keys and signs TUF metadata. Usually started by `signet`.
#[derive(Debug, Parser)]
#[command(name = "signet-agent", version)]
struct Args {
    /// Configuration file; without it the first of $XDG_CONFIG_HOME/signet/agent.toml and /etc/signet/agent.toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the ledger is; without it $SIGNET_STATE_DIR or $XDG_STATE_HOME/signet.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Where to listen; without it a name in $XDG_RUNTIME_DIR/signet that belongs to the ledger.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// End after so many seconds without a connection; 0: never.
    #[arg(long, value_name = "SECONDS")]
    idle_timeout: Option<u64>,
    /// Leave the caller's session; print `ready PATH` once the socket listens.
    #[arg(long)]
    background: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // cryptoki reports every mechanism that it does not know as an error, yubikey every card that it opens.
    let quiet = || EnvFilter::new("info,cryptoki=off,yubikey=off");
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_env("SIGNET_LOG").unwrap_or_else(|_| quiet()))
        .with_writer(io::stderr)
        .with_ansi(false)
        // It would tell standard error, which panics if that is on a full disk too.
        .log_internal_errors(false)
        .init();
    let background = args.background;
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = format!("signet-agent: {error}\n");
            // Its log may be on the disk that is full: then whoever started it is told by the pipe.
            let logged = io::stderr().write_all(text.as_bytes());
            if background && logged.is_err() {
                drop(io::stdout().write_all(text.as_bytes()));
            }
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<()> {
    harden::harden()?;
    let background = args.background;
    if background {
        // Already the leader of a session: then there is nothing to leave.
        if let Err(error) = rustix::process::setsid() {
            tracing::debug!(%error, "setsid");
        }
    }
    let options = daemon::Options {
        config: absolute(args.config)?,
        state_dir: absolute(args.state_dir)?,
        socket: absolute(args.socket)?,
        idle_timeout: args.idle_timeout,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(daemon::run(options, |socket| if background { say_ready(socket) } else { Ok(()) }));
    runtime.shutdown_background();
    Ok(result?)
}

fn say_ready(socket: &Path) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "ready {}", socket.display())?;
    stdout.flush()
}

fn absolute(path: Option<PathBuf>) -> io::Result<Option<PathBuf>> {
    path.map(std::path::absolute).transpose()
}
