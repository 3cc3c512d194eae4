//! A view of the file system of its own, in which a directory is a small disk or cannot be written.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::{Background, Call, Home, wait_until};

const BALLAST: &str = "ballast";

/// What a directory is in there.
#[derive(Debug, Clone, Copy)]
pub enum Mount<'a> {
    /// An empty disk of so many bytes.
    Disk {
        /// Where.
        at: &'a Path,
        /// Its size.
        bytes: u64,
    },
    /// What it was, and nobody can change it.
    ReadOnly {
        /// Which directory.
        at: &'a Path,
    },
}

/// A mount namespace; what is mounted goes with the last process in it. It takes no rights but a user namespace.
pub struct Mounts {
    keeper: Background,
}

impl Mounts {
    /// Mounts, in this order.
    pub fn new(home: &Home, mounts: &[Mount<'_>]) -> Result<Self> {
        let ready = home.path().join("mounted");
        let mut script = String::from("set -e\n");
        for mount in mounts {
            script.push_str(&mount.command());
        }
        script.push_str(&format!(": >{}\nexec sleep infinity\n", quoted(&ready)));
        let log = home.path().join("mounts.log");
        let args = ["--user", "--map-root-user", "--mount", "--", "/bin/sh", "-c", &script];
        let mut keeper = home.call("/usr/bin/unshare").args(args).background(&log)?;
        let mut gone = false;
        wait_until("the mounts", Duration::from_secs(20), || {
            gone = keeper.exited().is_some();
            gone || ready.exists()
        })?;
        if gone {
            let log = fs::read_to_string(log).unwrap_or_default();
            anyhow::bail!("this story needs `unshare --user --map-root-user --mount`, which said:\n{log}");
        }
        fs::remove_file(ready)?;
        Ok(Self { keeper })
    }

    /// The same call, made in there.
    #[must_use]
    pub fn inside(&self, call: &Call) -> Call {
        let target = self.keeper.pid().to_string();
        call.through("/usr/bin/nsenter", &["--target", &target, "--user", "--mount", "--preserve-credentials", "--"])
    }

    /// Where a path of in there is found from out here.
    #[must_use]
    pub fn seen(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.keeper.pid()));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Fills the disk at `path` until so many bytes are free.
    pub fn leave(&self, path: &Path, free_bytes: u64) -> Result<()> {
        self.make_room(path)?;
        let disk = rustix::fs::statvfs(self.seen(path))?;
        let available = disk.f_bavail.saturating_mul(disk.f_frsize);
        let mut ballast = File::create(self.seen(path).join(BALLAST))?;
        let zeros = vec![0; usize::try_from(available.saturating_sub(free_bytes))?];
        ballast.write_all(&zeros).with_context(|| format!("fill {}", path.display()))
    }

    /// Takes out what filled the disk.
    pub fn make_room(&self, path: &Path) -> Result<()> {
        match fs::remove_file(self.seen(path).join(BALLAST)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            Err(_) | Ok(()) => Ok(()),
        }
    }
}

impl Mount<'_> {
    fn command(self) -> String {
        match self {
            Self::Disk { at, bytes } => {
                format!("mount -t tmpfs -o size={bytes},mode=0700 story {}\n", quoted(at))
            }
            Self::ReadOnly { at } => {
                let at = quoted(at);
                // mount_namespaces(7): flags that came from outside are locked, so they must be named again.
                format!(
                    "mount --bind {at} {at}\nmount -o remount,bind,ro {at} || mount -o remount,bind,ro,nosuid,nodev {at}\n"
                )
            }
        }
    }
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}
