//! Child processes that cannot outlive the story.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal};

use crate::{Terminal, wait_until};

const LIBFAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
const LIMIT: Duration = Duration::from_secs(60);

/// A command to be run with exactly the environment given.
#[derive(Clone)]
pub struct Call {
    program: OsString,
    args: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
    directory: PathBuf,
    input: Vec<u8>,
    limit: Duration,
    user: Option<u32>,
}

impl Call {
    /// A command in `directory`, with an empty environment and empty input.
    pub fn new(program: impl AsRef<OsStr>, directory: &Path) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: BTreeMap::new(),
            directory: directory.to_owned(),
            input: Vec::new(),
            limit: LIMIT,
            user: None,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Adds a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.insert(name.into(), value.as_ref().to_owned());
        self
    }

    /// Adds variables.
    #[must_use]
    pub fn envs(mut self, variables: &BTreeMap<OsString, OsString>) -> Self {
        self.env.extend(variables.clone());
        self
    }

    /// Takes a variable out.
    #[must_use]
    pub fn without_env(mut self, name: &str) -> Self {
        self.env.remove(OsStr::new(name));
        self
    }

    /// What the command reads on its standard input.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// The working directory.
    #[must_use]
    pub fn directory(mut self, directory: &Path) -> Self {
        directory.clone_into(&mut self.directory);
        self
    }

    /// How long the command may take, the closing of its output included.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Made by another user; only root can do that.
    #[must_use]
    pub fn by(mut self, uid: u32) -> Self {
        self.user = Some(uid);
        self
    }

    /// By another clock: `+20y` is twenty years ahead, `+0 x20` runs twenty times as fast, timers included.
    #[must_use]
    pub fn by_clock(&self, clock: &str) -> Self {
        // Not by faketime(1), which would stand between the story and the process that it started.
        let call = self.clone().env("LD_PRELOAD", LIBFAKETIME).env("FAKETIME", clock);
        if clock.contains('x') { call } else { call.env("FAKETIME_DONT_FAKE_MONOTONIC", "1") }
    }

    /// The same call, made by `program` with `args` before it.
    #[must_use]
    pub fn through(&self, program: &str, args: &[&str]) -> Self {
        let mut call = self.clone();
        let inner = std::mem::replace(&mut call.program, program.into());
        call.args.splice(0..0, args.iter().map(OsString::from).chain([inner]));
        call
    }

    /// Runs to the end; a non-zero status is an answer, not an error.
    pub fn finish(&self) -> Result<Finished> {
        let mut child = self
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {self}"))?;
        let stdout = Drain::new(child.stdout.take());
        let stderr = Drain::new(child.stderr.take());
        let mut child = Background { child, name: self.to_string() };
        if let Some(mut stdin) = child.child.stdin.take() {
            // A command that does not read its input is no fault of the story.
            if let Err(error) = stdin.write_all(&self.input)
                && error.kind() != std::io::ErrorKind::BrokenPipe
            {
                return Err(error).with_context(|| format!("write to {self}"));
            }
        }
        // A daemon that kept the pipe open would be seen here: `x=$(command)` waits for exactly this.
        let mut peak_bytes = 0;
        let over = wait_until(&format!("the end of {self}"), self.limit, || {
            peak_bytes = peak_bytes.max(child.peak_bytes());
            stdout.at_end() && stderr.at_end() && child.exited().is_some()
        });
        let finished =
            |code| Finished { call: self.to_string(), code, stdout: stdout.text(), stderr: stderr.text(), peak_bytes };
        if let Err(error) = over {
            let running = if child.exited().is_some() { "ended, but its output is still held open" } else { "running" };
            child.kill();
            bail!("{error}; it was {running}:\n{}", finished(None));
        }
        let status = child.exited().ok_or_else(|| anyhow!("{self} has no status"))?;
        Ok(finished(status.code()))
    }

    /// Runs to the end and wants status 0.
    pub fn ok(&self) -> Result<Finished> {
        let finished = self.finish()?;
        if finished.code != Some(0) {
            bail!("should have succeeded:\n{finished}");
        }
        Ok(finished)
    }

    /// Runs to the end and wants one of the statuses that say that it was not done.
    pub fn refused(&self) -> Result<Finished> {
        let finished = self.finish()?;
        if !matches!(finished.code, Some(1..=12)) {
            bail!("should have been refused with a status from 1 to 12:\n{finished}");
        }
        Ok(finished)
    }

    /// Runs to the end and wants this status.
    pub fn fails_with(&self, code: i32) -> Result<Finished> {
        let finished = self.finish()?;
        if finished.code != Some(code) {
            bail!("should have ended with status {code}:\n{finished}");
        }
        Ok(finished)
    }

    /// Runs to the end, wants status 0, and says how long it took.
    pub fn elapsed(&self) -> Result<Duration> {
        let start = Instant::now();
        let output = self.command().stdin(Stdio::null()).output().with_context(|| format!("start {self}"))?;
        let elapsed = start.elapsed();
        if !output.status.success() {
            bail!("{self}: {}\n{}", output.status, String::from_utf8_lossy(&output.stdout));
        }
        Ok(elapsed)
    }

    /// Starts on a terminal of its own, at which a person sits.
    pub fn on_terminal(&self) -> Result<Terminal> {
        let mut call = self.clone();
        // Its session's controlling terminal is what its standard input is.
        call.args.splice(0..0, ["--ctty".into(), "--wait".into(), std::mem::take(&mut call.program)]);
        call.program = "/usr/bin/setsid".into();
        Terminal::open(&self.to_string(), call.command(), self.limit)
    }

    /// Starts in the background; all output goes to `log`.
    pub fn background(&self, log: &Path) -> Result<Background> {
        let file = File::options().create(true).append(true).open(log)?;
        let child = self
            .command()
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("start {self}"))?;
        Ok(Background { child, name: self.to_string() })
    }

    pub(crate) fn command(&self) -> Command {
        // prctl(2) PR_SET_PDEATHSIG: even a story that is killed takes its processes with it.
        let mut command = Command::new("/usr/bin/setpriv");
        if let Some(user) = self.user {
            command.args([format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()]);
        }
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&self.program)
            .args(&self.args)
            .env_clear()
            .envs(&self.env)
            .current_dir(&self.directory);
        command
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Path::new(&self.program).file_name().unwrap_or(&self.program);
        write!(f, "{}", name.to_string_lossy())?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", arg.to_string_lossy()))
    }
}

/// What a command left behind.
pub struct Finished {
    pub(crate) call: String,
    /// The exit status; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The most memory it had at once, as far as that was seen.
    pub peak_bytes: u64,
}

impl Finished {
    /// Wants all of `words` somewhere in what was said.
    pub fn says(self, words: &[&str]) -> Result<Self> {
        for word in words {
            if !self.stdout.contains(word) && !self.stderr.contains(word) {
                bail!("should have said {word:?}:\n{self}");
            }
        }
        Ok(self)
    }

    /// Wants none of `words` in what was said.
    pub fn never_says(self, words: &[&str]) -> Result<Self> {
        for word in words {
            if self.stdout.contains(word) || self.stderr.contains(word) {
                bail!("should not have said {word:?}:\n{self}");
            }
        }
        Ok(self)
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, code, stdout, stderr, .. } = self;
        write!(f, "$ {call}\n[status {code:?}]\n[stdout]\n{stdout}\n[stderr]\n{stderr}")
    }
}

/// A process that is killed when this value goes.
pub struct Background {
    child: Child,
    name: String,
}

impl Background {
    pub(crate) fn of(child: Child, name: &str) -> Self {
        Self { child, name: name.to_owned() }
    }

    /// The process ID.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that the process has had at once.
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        // proc_pid_status(5): VmHWM in kB; a process that has ended has none.
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.unwrap_or_default().saturating_mul(1024)
    }

    /// The status, once the process has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        // Both fail only if the process is gone already.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        let pid = Pid::from_child(&self.child);
        rustix::process::kill_process(pid, Signal::TERM)?;
        let name = self.name.clone();
        wait_until(&format!("the end of {name} after SIGTERM"), limit, || self.exited().is_some())?;
        self.exited().ok_or_else(|| anyhow!("{name} has no status"))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads to the end on a thread of its own; what came so far can be had at any moment.
pub(crate) struct Drain {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Drain {
    pub(crate) fn new(stream: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let Some(mut stream) = stream else { return };
            let mut buffer = [0; 4096];
            while let Ok(count) = stream.read(&mut buffer) {
                let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else { return };
                sink.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(chunk);
            }
        });
        Self { bytes, reader }
    }

    pub(crate) fn at_end(&self) -> bool {
        self.reader.is_finished()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}
