//! `agent start|status|stop|unlock|lock`.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use clap::{Args, Subcommand};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use signet_proto::v1;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::secret_file;
use crate::{
    agent::{
        AgentError, agent_client, answered, skew,
        socket::Link,
        start,
        token::{self, LastTry},
        tokens_client,
        unlock::{TokenUnlock, unlock_token, unlock_token_asking},
    },
    context::Context,
    exit::CliError,
    render::table,
};

/// How long an agent may take to settle what is under way.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_PAUSE: Duration = Duration::from_millis(20);
/// Nothing to stop and nothing unlocked: not a failure.
const NONE_RUNS: &str = "No signet-agent runs.";

/// Arguments of `agent`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct AgentArgs {
    /// What to do.
    #[command(subcommand)]
    command: AgentCommand,
}

#[derive(Debug, Subcommand)]
enum AgentCommand {
    /// Start your agent; back when it is ready
    Start(StartArgs),
    /// Show the agent, its ledger and its tokens
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Stop the agent; back when it is gone
    Stop,
    /// Unlock a token until it is locked again
    Unlock(UnlockArgs),
    /// Lock a token, or everything
    Lock {
        /// Label, serial number or PKCS#11 URI
        token: Option<String>,
    },
}

#[derive(Debug, Args)]
struct StartArgs {
    /// Stay in the foreground
    #[arg(long)]
    foreground: bool,
    /// agent.toml to use
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// End after so many seconds without a request; 0: never
    #[arg(long, value_name = "SECONDS")]
    idle_timeout: Option<u64>,
}

#[derive(Debug, Args)]
struct UnlockArgs {
    /// Label, serial number or PKCS#11 URI; needed if there are several
    token: Option<String>,
    /// Read the PIN from this file; - is standard input
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// Go on although a wrong PIN would block the token
    #[arg(long)]
    spend_last_try: bool,
}

/// Runs `agent`.
///
/// # Errors
/// [`CliError`]
pub async fn run(context: &mut Context, args: AgentArgs) -> Result<(), CliError> {
    match args.command {
        AgentCommand::Start(args) => start_agent(context, &args).await,
        AgentCommand::Status { json } => status(context, json.into()).await,
        AgentCommand::Stop => stop(context).await,
        AgentCommand::Unlock(args) => unlock(context, args).await,
        AgentCommand::Lock { token } => lock(context, token.unwrap_or_default()).await,
    }
}

async fn start_agent(context: &mut Context, args: &StartArgs) -> Result<(), CliError> {
    let launch = context.agent.launch(args.config.as_deref(), args.idle_timeout)?;
    if context.agent.socket()? != launch.socket {
        let remedy = "unset SIGNET_AGENT and leave out --agent to start your own";
        return Err(CliError::with_remedy("another agent is named, which is not started from here", remedy));
    }
    match context.agent.running().await {
        Ok(link) => return context.out.line(&format!("signet-agent runs already{}", with_pid(&link))),
        // one that does not listen yet is waited for
        Err(AgentError::NotRunning { .. } | AgentError::Elsewhere { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    if args.foreground {
        let cause = Command::new(start::program()).args(launch.arguments()).exec();
        return Err(AgentError::Start { cause: cause.to_string() }.into());
    }
    let link = context.agent.start(&launch).await?;
    context.out.line(&format!("signet-agent started{}", with_pid(&link)))
}

fn with_pid(link: &Link) -> String {
    link.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default()
}

enum Form {
    Human,
    Json,
}

impl From<bool> for Form {
    fn from(json: bool) -> Self {
        if json { Self::Json } else { Self::Human }
    }
}

async fn status(context: &mut Context, form: Form) -> Result<(), CliError> {
    let link = context.agent.running().await?;
    let status = answered(agent_client(&link.channel).status(v1::StatusRequest {})).await?;
    skew::warn(&status);
    let tokens = token::listed(&link.channel).await?.tokens;
    match form {
        Form::Human => context.out.bytes(in_words(&status, &tokens, &link.socket).as_bytes()),
        Form::Json => context.out.line(&in_json(&status, &tokens, &link.socket).to_string()),
    }
}

fn in_words(status: &v1::StatusResponse, tokens: &[v1::Token], socket: &Path) -> String {
    let config = match (status.config_file.as_str(), config_changed(status)) {
        ("", _) => "defaults".to_owned(),
        (file, false) => file.to_owned(),
        (file, true) => format!("{file}, changed since the agent started: restart it to use it, signet agent stop"),
    };
    let idle = match status.idle_timeout_seconds {
        0 => "runs until it is stopped".to_owned(),
        seconds => format!("ends after {seconds} s without a request"),
    };
    let head = format!(
        "signet-agent {}, pid {}, since {}\n  socket  {}\n  state   {}\n  config  {config}\n  ledger  {}, {} records\n  hash    {}\n  life    {idle}\n",
        status.version,
        status.pid,
        instant(status.started),
        socket.display(),
        status.state_dir,
        status.ledger_id,
        status.records,
        hex::encode(&status.root_hash),
    );
    if tokens.is_empty() {
        return format!("{head}\nNo tokens configured.\n");
    }
    let rows: Vec<Vec<String>> = tokens
        .iter()
        .map(|token| {
            let trouble = token.trouble.clone();
            vec![token.name.clone(), token.serial.clone(), state(token).to_owned(), tries(token).to_owned(), trouble]
        })
        .collect();
    format!("{head}\n{}", table(&["TOKEN", "SERIAL", "STATE", "PIN TRIES", "TROUBLE"], &rows))
}

/// Whether agent.toml was written, or removed, after the agent had read it.
fn config_changed(status: &v1::StatusResponse) -> bool {
    let written = fs::metadata(&status.config_file).and_then(|about| about.modified()).map(OffsetDateTime::from);
    !status.config_file.is_empty() && written.map_or(true, |at| at.unix_timestamp() > status.started)
}

fn in_json(status: &v1::StatusResponse, tokens: &[v1::Token], socket: &Path) -> serde_json::Value {
    let tokens: Vec<_> = tokens
        .iter()
        .map(|token| {
            json!({
                "name": token.name, "label": token.label, "serial": token.serial, "model": token.model,
                "module": token.module, "present": token.present, "unlocked": token.unlocked,
                "tries": tries(token), "trouble": token.trouble,
            })
        })
        .collect();
    let rules: serde_json::Map<_, _> =
        status.generate.iter().map(|rule| (rule.role.clone(), json!(rule.token))).collect();
    json!({
        "version": status.version, "pid": status.pid, "started": instant(status.started),
        "socket": socket.display().to_string(), "state_dir": status.state_dir, "config_file": status.config_file,
        "config_changed": config_changed(status),
        "ledger_id": status.ledger_id, "records": status.records, "root_hash": hex::encode(&status.root_hash),
        "idle_timeout_seconds": status.idle_timeout_seconds, "max_request_bytes": status.max_request_bytes,
        "generate": rules, "tokens": tokens,
    })
}

fn instant(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

/// Whether a token is there, and whether it signs, in one word.
pub(super) const fn state(token: &v1::Token) -> &'static str {
    match (token.present, token.unlocked) {
        (false, _) => "absent",
        (true, false) => "locked",
        (true, true) => "unlocked",
    }
}

/// What a token tells about the tries of its PIN, in one word.
pub(super) fn tries(token: &v1::Token) -> &'static str {
    match token.tries() {
        v1::TriesLeft::Unknown => "unknown",
        v1::TriesLeft::All => "all",
        v1::TriesLeft::Fewer => "fewer",
        v1::TriesLeft::Last => "last",
        v1::TriesLeft::None => "none",
    }
}

async fn stop(context: &mut Context) -> Result<(), CliError> {
    let link = match context.agent.running().await {
        Ok(link) => link,
        Err(AgentError::NotRunning { .. }) => return context.out.line(NONE_RUNS),
        Err(error) => return Err(error.into()),
    };
    let status = answered(agent_client(&link.channel).status(v1::StatusRequest {})).await?;
    // The kernel's word for who made the socket; under socket activation that is another process than the agent.
    let pid = link.pid.filter(|pid| u32::try_from(*pid) == Ok(status.pid)).and_then(Pid::from_raw);
    let Some(pid) = pid else {
        let remedy = "stop it there: systemctl --user stop signet-agent";
        return Err(CliError::with_remedy(
            "the agent was started by a service manager, or in another container",
            remedy,
        ));
    };
    kill_process(pid, Signal::TERM)
        .map_err(|error| CliError::failed(format!("cannot stop signet-agent, pid {}: {error}", status.pid)))?;
    let socket = link.socket.clone();
    drop(link);
    gone(&socket, pid).await?;
    context.out.line(&format!("signet-agent stopped, pid {}", status.pid))
}

async fn gone(socket: &Path, pid: Pid) -> Result<(), CliError> {
    let wait = async {
        while socket.exists() || rustix::process::test_kill_process(pid).is_ok() {
            tokio::time::sleep(STOP_PAUSE).await;
        }
    };
    tokio::time::timeout(STOP_TIMEOUT, wait).await.map_err(|_| {
        let message = format!("signet-agent still runs after {} s", STOP_TIMEOUT.as_secs());
        CliError::with_remedy(message, "what it does stands in agent.log in its state directory")
    })
}

async fn unlock(context: &mut Context, args: UnlockArgs) -> Result<(), CliError> {
    let link = context.agent.link().await?;
    let token = match args.token {
        Some(token) => token,
        None => only_token(&link).await?,
    };
    let last_try = if args.spend_last_try { LastTry::Spend } else { LastTry::Keep };
    let how = TokenUnlock { token: &token, scope: v1::UnlockScope::Lasting, last_try };
    match args.pin_file {
        Some(file) => unlock_token(&link.channel, how, &secret_file::first_line(&file, "PIN")?).await?,
        None => unlock_token_asking(&link.channel, &context.prompt, how).await?,
    }
    context.out.line(&format!("Unlocked token {token}"))
}

async fn only_token(link: &Link) -> Result<String, CliError> {
    let tokens = token::listed(&link.channel).await?.tokens;
    match tokens.as_slice() {
        [token] => Ok(token.name.clone()),
        [] => Err(CliError::with_remedy("the agent has no token", "configure one in agent.toml and restart the agent")),
        several => {
            let names: Vec<&str> = several.iter().map(|token| token.name.as_str()).collect();
            Err(CliError::failed(format!("the agent has several tokens, name one: {}", names.join(", "))))
        }
    }
}

async fn lock(context: &mut Context, token: String) -> Result<(), CliError> {
    let said = if token.is_empty() { "Locked everything".to_owned() } else { format!("Locked token {token}") };
    let link = match context.agent.running().await {
        Ok(link) => link,
        Err(AgentError::NotRunning { .. }) => return context.out.line(NONE_RUNS),
        Err(error) => return Err(error.into()),
    };
    answered(tokens_client(&link.channel).lock(v1::LockRequest { token })).await?;
    context.out.line(&said)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use signet_proto::v1;

    use super::{in_json, in_words};

    fn status() -> v1::StatusResponse {
        v1::StatusResponse {
            version: "0.1.0".to_owned(),
            pid: 4711,
            started: 1_790_000_000,
            state_dir: "/s".to_owned(),
            ledger_id: "ab".to_owned(),
            records: 12,
            root_hash: vec![0xcd; 2],
            ..v1::StatusResponse::default()
        }
    }

    #[test]
    fn status_says_who_where_and_what() {
        let expected = "signet-agent 0.1.0, pid 4711, since 2026-09-21T14:13:20Z\n  socket  /r/a.sock\n  state   /s\n  config  defaults\n  ledger  ab, 12 records\n  hash    cdcd\n  life    runs until it is stopped\n\nNo tokens configured.\n";
        assert_eq!(in_words(&status(), &[], Path::new("/r/a.sock")), expected);
    }

    #[test]
    fn a_configuration_that_changed_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let written =
            time::OffsetDateTime::from(file.as_file().metadata().unwrap().modified().unwrap()).unix_timestamp();
        for (started, changed) in [(written - 1, true), (written + 1, false)] {
            let config_file = file.path().display().to_string();
            let status = v1::StatusResponse { started, config_file, ..status() };
            assert_eq!(in_words(&status, &[], Path::new("/a")).contains("changed since"), changed);
            assert_eq!(in_json(&status, &[], Path::new("/a"))["config_changed"], changed);
        }
    }

    #[test]
    fn a_token_in_trouble_is_shown() {
        let token = v1::Token { name: "release".to_owned(), trouble: "no module".to_owned(), ..v1::Token::default() };
        let words = in_words(&status(), std::slice::from_ref(&token), Path::new("/a"));
        assert!(words.contains("release              absent    unknown      no module\n"), "{words}");
        let json = in_json(&status(), &[token], Path::new("/a"));
        assert_eq!(json["tokens"][0]["present"], false);
        assert_eq!(json["root_hash"], "cdcd");
    }
}
