//! A token behind a socket: p11-kit's server can be killed and started again, as a token can be pulled and put back.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::{Background, Call, SOFTHSM_MODULE, Softhsm, wait_until};

/// The PKCS#11 module that talks to the server named by `P11_KIT_SERVER_ADDRESS`.
pub const CLIENT_MODULE: &str = "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so";

const START: Duration = Duration::from_secs(10);

/// A server in front of one soft token.
pub struct P11KitServer {
    directory: TempDir,
    serve: Call,
    process: Option<Background>,
}

impl P11KitServer {
    /// Serves the token of that label.
    pub fn start(softhsm: &Softhsm, label: &str) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("signet-p11-").tempdir()?;
        let serve = Call::new("/usr/bin/p11-kit", directory.path())
            .env("SOFTHSM2_CONF", softhsm.conf())
            .env("XDG_RUNTIME_DIR", directory.path())
            .env("PATH", "/usr/bin:/bin")
            .args(["server", "--foreground", "--name"])
            .args([directory.path().join("token")])
            .args(["--provider", SOFTHSM_MODULE, &format!("pkcs11:token={label}")]);
        let mut this = Self { directory, serve, process: None };
        this.put_back()?;
        Ok(this)
    }

    /// The value of `P11_KIT_SERVER_ADDRESS`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("unix:path={}", self.socket().display())
    }

    /// Kills the server: the token is gone in the middle of whatever it does.
    pub fn pull(&mut self) -> Result<()> {
        // Its children serve one connection each and would live on.
        if let Some(process) = &mut self.process {
            kill_children(process.pid());
            process.kill();
        }
        self.process = None;
        std::fs::remove_file(self.socket())?;
        Ok(())
    }

    /// Starts the server again.
    pub fn put_back(&mut self) -> Result<()> {
        let log = self.directory.path().join("log");
        self.process = Some(self.serve.background(&log)?);
        let socket = self.socket();
        wait_until("p11-kit server listens", START, || UnixStream::connect(&socket).is_ok())
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("token")
    }
}

impl Drop for P11KitServer {
    fn drop(&mut self) {
        if let Some(process) = &self.process {
            kill_children(process.pid());
        }
    }
}

fn kill_children(parent: u32) {
    let list = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    let children = list.split_whitespace().filter_map(|pid| pid.parse().ok());
    for pid in children.filter_map(rustix::process::Pid::from_raw) {
        // It fails only if the child is gone already.
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap_or_default();
    }
}
