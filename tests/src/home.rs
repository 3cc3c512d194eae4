//! One person's home directory and environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::net::sockopt::socket_peercred;
use rustix::process::{Signal, kill_process};
use tempfile::TempDir;

use crate::{Agent, Call, binary};

/// A home with nothing in it, and the environment that goes with it.
pub struct Home {
    directory: TempDir,
    env: BTreeMap<OsString, OsString>,
    owner: Option<Owner>,
}

/// Another user than the one who runs the story, with copies of the programs.
struct Owner {
    uid: u32,
    programs: PathBuf,
}

impl Home {
    /// An empty home with all XDG directories inside it.
    pub fn new() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("signet-home-").tempdir()?;
        let mut this = Self { directory, env: BTreeMap::new(), owner: None };
        let path = this.path().to_owned();
        for (name, place) in [
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_STATE_HOME", ".local/state"),
            ("XDG_CACHE_HOME", ".cache"),
            ("XDG_DATA_HOME", ".local/share"),
            ("XDG_RUNTIME_DIR", "run"),
        ] {
            let place = path.join(place);
            fs::create_dir_all(&place)?;
            fs::set_permissions(&place, fs::Permissions::from_mode(0o700))?;
            this.set(name, &place);
        }
        // No YubiKey but the story's own.
        this.set("PCSCLITE_CSOCK_NAME", path.join("pcscd.comm"));
        this.set("HOME", &path);
        this.set("LANG", "C.UTF-8");
        let programs = binary("signet")?.parent().context("signet has no directory")?.to_owned();
        this.set("PATH", format!("{}:/usr/bin:/bin", programs.display()));
        Ok(this)
    }

    /// The home directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The trust directory used unless a story says otherwise.
    #[must_use]
    pub fn trust(&self) -> PathBuf {
        self.path().join("trust")
    }

    /// Sets a variable for everything run from now on.
    pub fn set(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.env.insert(name.into(), value.as_ref().to_owned());
    }

    /// Writes a file below the home, with its directories, mode 0600.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.path().join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }

    /// Writes agent.toml.
    pub fn agent_toml(&self, text: &str) -> Result<PathBuf> {
        self.write(".config/signet/agent.toml", text)
    }

    /// Gives the home with all that is in it to another user: whatever is called in it from now on is called by that user.
    pub fn give_to(&mut self, uid: u32) -> Result<()> {
        if !rustix::process::geteuid().is_root() {
            bail!("this story plays two users: run it as root");
        }
        let programs = self.path().join("programs");
        fs::create_dir(&programs)?;
        for name in ["signet", "signet-agent"] {
            fs::copy(binary(name)?, programs.join(name))?;
        }
        self.set("PATH", format!("{}:/usr/bin:/bin", programs.display()));
        give(self.path(), uid)?;
        self.owner = Some(Owner { uid, programs });
        Ok(())
    }

    /// The path of `signet` or `signet-agent` for whoever lives here.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        self.owner.as_ref().map_or_else(|| binary(name), |owner| Ok(owner.programs.join(name)))
    }

    /// Any program, in this home.
    #[must_use]
    pub fn call(&self, program: impl AsRef<OsStr>) -> Call {
        let call = Call::new(program, self.path()).envs(&self.env);
        match &self.owner {
            Some(owner) => call.by(owner.uid),
            None => call,
        }
    }

    /// `signet`, with no flags but those given.
    pub fn signet<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<Call> {
        Ok(self.call(self.program("signet")?).args(args))
    }

    /// Starts `signet-agent` and waits until it listens.
    pub fn start_agent(&self) -> Result<Agent> {
        self.start_agent_as(self.call(self.program("signet-agent")?))
    }

    /// Starts an agent by that call and waits until it listens.
    pub fn start_agent_as(&self, call: Call) -> Result<Agent> {
        Agent::start(call, self.runtime(), self.path().join("agent.log"))
    }

    /// The sockets in the runtime directory, whether or not somebody listens.
    #[must_use]
    pub fn sockets(&self) -> Vec<PathBuf> {
        crate::agent::sockets(&self.runtime())
    }

    /// The agent's state directory.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.path().join(".local/state/signet")
    }

    /// The directory of the agent's socket.
    #[must_use]
    pub fn runtime(&self) -> PathBuf {
        self.path().join("run/signet")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // An agent that `signet` started is nobody's child.
        for socket in self.sockets() {
            let peer = UnixStream::connect(socket).ok().and_then(|stream| socket_peercred(stream).ok());
            if let Some(peer) = peer {
                kill_process(peer.pid, Signal::KILL).unwrap_or_default();
            }
        }
    }
}

fn give(path: &Path, uid: u32) -> Result<()> {
    std::os::unix::fs::lchown(path, Some(uid), Some(uid))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), uid)?;
        }
    }
    Ok(())
}
