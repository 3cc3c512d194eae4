//! Soft tokens with a directory of their own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::Call;

/// SoftHSM's PKCS#11 module.
pub const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
/// OpenSC's module that writes down every call and passes it on to the one named by `PKCS11SPY`.
pub const SPY_MODULE: &str = "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so";

const SO_PIN: &str = "87654321";

/// A directory of soft tokens.
pub struct Softhsm {
    directory: TempDir,
}

impl Softhsm {
    /// No token yet.
    pub fn new() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("signet-hsm-").tempdir()?;
        let tokens = directory.path().join("tokens");
        fs::create_dir(&tokens)?;
        let this = Self { directory };
        fs::write(
            this.conf(),
            format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", tokens.display()),
        )?;
        Ok(this)
    }

    /// What `SOFTHSM2_CONF` must name.
    #[must_use]
    pub fn conf(&self) -> PathBuf {
        self.directory.path().join("softhsm2.conf")
    }

    /// Initialises a token.
    pub fn init_token(&self, label: &str, pin: &str) -> Result<()> {
        Call::new("/usr/bin/softhsm2-util", self.directory.path())
            .env("SOFTHSM2_CONF", self.conf())
            .args(["--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", SO_PIN])
            .ok()?;
        Ok(())
    }

    /// Takes all tokens away, as if they were pulled out; a module sees it when it is loaded again.
    pub fn pull(&self) -> Result<()> {
        fs::rename(self.tokens(), self.drawer()).context("pull the tokens")?;
        fs::create_dir(self.tokens()).context("leave an empty reader")
    }

    /// Puts them back.
    pub fn put_back(&self) -> Result<()> {
        fs::remove_dir(self.tokens()).context("take the empty reader away")?;
        fs::rename(self.drawer(), self.tokens()).context("put the tokens back")
    }

    /// The file in which [`SPY_MODULE`] notes its calls.
    #[must_use]
    pub fn spy_log(&self) -> PathBuf {
        self.directory.path().join("spy.log")
    }

    /// How often a login was sent to a token, as [`SPY_MODULE`] saw it.
    pub fn logins(&self) -> Result<usize> {
        let log = fs::read(self.spy_log()).context("read the spy's log")?;
        Ok(String::from_utf8_lossy(&log).lines().filter(|line| line.ends_with(": C_Login")).count())
    }

    /// The directory of all of it.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    fn tokens(&self) -> PathBuf {
        self.directory.path().join("tokens")
    }

    fn drawer(&self) -> PathBuf {
        self.directory.path().join("drawer")
    }
}
