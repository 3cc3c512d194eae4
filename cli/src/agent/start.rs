//! Starting signet-agent: a clean environment, no inherited descriptors, and back when it listens.

use std::{
    env,
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::AgentError;
use crate::environment::Environment;

/// How long an agent may take until it listens: it verifies the end of its log first.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How much of the agent's last words is shown.
const WORDS: u64 = 2048;

/// What an agent is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Where its ledger and `agent.log` are.
    pub state_dir: PathBuf,
    /// Where it listens.
    pub socket: PathBuf,
    /// agent.toml, if one was named.
    pub config: Option<PathBuf>,
    /// Ends by itself after so many seconds without a request; 0: never.
    pub idle_timeout_seconds: Option<u64>,
}

impl Launch {
    /// The agent's arguments.
    #[must_use]
    pub fn arguments(&self) -> Vec<std::ffi::OsString> {
        let mut arguments = vec!["--state-dir".into(), self.state_dir.clone().into_os_string()];
        arguments.extend(["--socket".into(), self.socket.clone().into_os_string()]);
        if let Some(config) = &self.config {
            arguments.extend(["--config".into(), config.clone().into_os_string()]);
        }
        if let Some(seconds) = self.idle_timeout_seconds {
            arguments.extend(["--idle-timeout".into(), seconds.to_string().into()]);
        }
        arguments
    }
}

/// Whether a variable of ours is the agent's business.
#[must_use]
pub fn passes(name: &str) -> bool {
    const NAMES: [&str; 10] = [
        "HOME",
        "PATH",
        "USER",
        "LANG",
        "TZ",
        "SOFTHSM2_CONF",
        "P11_KIT_SERVER_ADDRESS",
        "PCSCLITE_CSOCK_NAME",
        "SIGNET_STATE_DIR",
        "SIGNET_LOG",
    ];
    NAMES.contains(&name) || name.starts_with("LC_") || name.starts_with("XDG_")
}

/// The agent's program: beside this one, else on `PATH`.
#[must_use]
pub fn program() -> PathBuf {
    let beside = env::current_exe().ok().and_then(|path| Some(path.parent()?.join("signet-agent")));
    beside.filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from("signet-agent"))
}

/// Starts an agent in the background and waits until it listens.
///
/// # Errors
/// [`AgentError::Start`] with what the agent said last. Another process may have won the race: look for its agent then.
pub async fn start(launch: &Launch, environment: &Environment) -> Result<(), AgentError> {
    let failed = |cause: String| AgentError::Start { cause };
    let log = Log::open(&launch.state_dir).map_err(failed)?;
    let mut child = spawn(launch, environment, &log).map_err(failed)?;
    match timeout(READY_TIMEOUT, is_ready(&mut child)).await {
        Ok(Ok(Ready::Yes)) => Ok(()),
        Ok(Ok(Ready::Ended { status, said })) => {
            let words = if said.is_empty() { log.last_words() } else { format!(":\n{said}") };
            Err(failed(format!("it ended with {status}{words}")))
        }
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => {
            let seconds = READY_TIMEOUT.as_secs();
            Err(failed(format!("it does not listen after {seconds} s{}", log.last_words())))
        }
    }
}

fn spawn(launch: &Launch, environment: &Environment, log: &Log) -> Result<Child, String> {
    let program = program();
    let stderr = log.file.try_clone().map_err(|error| error.to_string())?;
    // Whoever waits for the end of a pipe of ours must not wait for the agent: x=$(signet publish ...).
    close_fds::set_fds_cloexec_threadsafe(3, &[]);
    // The agent leaves our session itself. As the leader of a process group it could not (setsid(2): EPERM).
    Command::new(&program)
        .args(launch.arguments())
        .arg("--background")
        .env_clear()
        .envs(environment.only(passes))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))
}

enum Ready {
    Yes,
    /// It ended, and said this because it could not write its log.
    Ended {
        status: ExitStatus,
        said: String,
    },
}

async fn is_ready(child: &mut Child) -> io::Result<Ready> {
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        let mut stdout = BufReader::new(stdout).take(WORDS);
        stdout.read_line(&mut said).await?;
        if said.starts_with("ready ") {
            return Ok(Ready::Yes);
        }
        stdout.read_to_string(&mut said).await?;
    }
    Ok(Ready::Ended { status: child.wait().await?, said: said.trim().to_owned() })
}

/// `agent.log`, from where it ends now.
struct Log {
    path: PathBuf,
    file: File,
    start: u64,
}

impl Log {
    fn open(state_dir: &Path) -> Result<Self, String> {
        let path = state_dir.join("agent.log");
        let told = |error: io::Error| format!("{}: {error}", path.display());
        DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(told)?;
        let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o600).custom_flags(nofollow).open(&path).map_err(told)?;
        let start = file.metadata().map_err(told)?.len();
        Ok(Self { path, file, start })
    }

    /// What was written since, for a person; empty if nothing was.
    fn last_words(&self) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            let end = file.metadata()?.len();
            file.seek(SeekFrom::Start(self.start.max(end.saturating_sub(WORDS))))?;
            let mut words = Vec::new();
            file.take(WORDS).read_to_end(&mut words)?;
            Ok(words)
        };
        let words = String::from_utf8_lossy(&read().unwrap_or_default()).trim().to_owned();
        // Before its last sentence stand log lines, which explain nothing.
        let last = words.find("signet-agent: ").and_then(|at| words.get(at..)).unwrap_or(&words);
        if last.is_empty() { String::new() } else { format!(":\n{last}") }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write, os::unix::fs::PermissionsExt};

    use super::{Launch, Log, passes};
    use crate::environment::Environment;

    #[test]
    fn only_known_variables_reach_the_agent() {
        let variables = [
            ("HOME", true),
            ("LC_ALL", true),
            ("XDG_RUNTIME_DIR", true),
            ("SOFTHSM2_CONF", true),
            ("NOTARY_ROOT_PASSPHRASE", false),
            ("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", false),
            ("LD_PRELOAD", false),
            ("SSH_AUTH_SOCK", false),
            ("SIGNET_AGENT", false),
        ];
        let environment = Environment::of("/", &variables.map(|(name, _)| (name, "value")));
        let passed: Vec<_> = environment.only(passes).map(|(name, _)| name.to_str().unwrap()).collect();
        for (name, expected) in variables {
            assert_eq!(passed.contains(&name), expected, "{name}");
        }
    }

    #[test]
    fn what_is_not_said_is_not_passed() {
        let mut launch =
            Launch { state_dir: "/s".into(), socket: "/r/a.sock".into(), config: None, idle_timeout_seconds: None };
        assert_eq!(launch.arguments(), ["--state-dir", "/s", "--socket", "/r/a.sock"]);
        launch.config = Some("/c/agent.toml".into());
        launch.idle_timeout_seconds = Some(0);
        assert_eq!(launch.arguments()[4..], ["--config", "/c/agent.toml", "--idle-timeout", "0"]);
    }

    #[test]
    fn last_words_are_those_of_this_start() {
        let base = tempfile::tempdir().unwrap();
        let state_dir = base.path().join("state");
        Log::open(&state_dir).unwrap().file.write_all(b"long ago\n").unwrap();
        let mut log = Log::open(&state_dir).unwrap();
        assert_eq!(log.last_words(), "");
        log.file.write_all(b"INFO starting\n").unwrap();
        assert_eq!(log.last_words(), ":\nINFO starting");
        log.file.write_all(b"signet-agent: cannot open ledger\n").unwrap();
        assert_eq!(log.last_words(), ":\nsignet-agent: cannot open ledger");
        let mode = fs::metadata(&log.path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }

    #[test]
    fn an_unwritable_state_directory_is_named() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("file");
        fs::write(&file, "").unwrap();
        let Err(error) = Log::open(&file.join("state")) else { panic!("opened") };
        assert!(error.contains("file/state/agent.log"), "{error}");
    }
}
