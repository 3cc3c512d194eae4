//! A running `signet-agent` that can be killed at any moment.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

use crate::{Background, Call, wait_until};

const START: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(20);

/// An agent in the foreground of its home.
pub struct Agent {
    call: Call,
    runtime: PathBuf,
    log: PathBuf,
    process: Background,
}

impl Agent {
    pub(crate) fn start(call: Call, runtime: PathBuf, log: PathBuf) -> Result<Self> {
        let process = launch(&call, &runtime, &log)?;
        Ok(Self { call, runtime, log, process })
    }

    /// What the agent has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGKILL: nothing is flushed, nothing is said.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again after its end.
    pub fn restart(&mut self) -> Result<()> {
        self.process = launch(&self.call, &self.runtime, &self.log)?;
        Ok(())
    }

    /// SIGTERM; wants an orderly end with status 0.
    pub fn stop(&mut self) -> Result<()> {
        let status = self.process.terminate(STOP)?;
        if !status.success() {
            bail!("signet-agent ended with {status}:\n{}", self.log());
        }
        Ok(())
    }

    /// The most memory that it has had at once.
    #[must_use]
    pub fn peak_bytes(&self) -> u64 {
        self.process.peak_bytes()
    }

    /// Sends a signal, and waits for the end.
    pub fn end_by(&mut self, signal: Signal) -> Result<ExitStatus> {
        rustix::process::kill_process(Pid::from_raw(i32::try_from(self.pid())?).context("a process")?, signal)?;
        let mut ended = None;
        wait_until("the end of signet-agent after a signal", STOP, || {
            ended = self.process.exited();
            ended.is_some()
        })?;
        ended.context("signet-agent has no status")
    }

    /// The process ID.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("[signet-agent]\n{}", self.log());
        }
    }
}

fn launch(call: &Call, runtime: &Path, log: &Path) -> Result<Background> {
    let mut process = call.background(log)?;
    let mut gone = false;
    wait_until("signet-agent listens", START, || {
        gone = process.exited().is_some();
        gone || sockets(runtime).iter().any(|socket| UnixStream::connect(socket).is_ok())
    })?;
    if gone {
        bail!("signet-agent ended at once:\n{}", fs::read_to_string(log).unwrap_or_default());
    }
    Ok(process)
}

pub(crate) fn sockets(runtime: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(runtime).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket())).map(|entry| entry.path()).collect()
}
