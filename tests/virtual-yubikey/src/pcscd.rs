//! A pcscd of one's own: its own socket and readers, any number of them on one machine, without root.
//!
//! Where pcscd listens is compiled into it, but it takes a socket that is handed to it as systemd does; libpcsclite asks
//! where `PCSCLITE_CSOCK_NAME` says.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rand::RngExt as _;
use tempfile::TempDir;

use crate::{card::Card, vpcd::Yubikey};

/// The name of the first reader; PC/SC adds the numbers of reader and slot.
pub const READER: &str = "Yubico YubiKey OTP+FIDO+CCID";

const DRIVER: &str = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so";
/// vpcd keeps its slots in a fixed array.
const SLOTS: usize = 2;
const START: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(5);

/// A running pcscd with empty readers.
pub struct Pcscd {
    directory: TempDir,
    socket: PathBuf,
    slots: Vec<SocketAddr>,
    process: Option<Child>,
}

impl Pcscd {
    /// Starts one with this many readers, two slots each.
    ///
    /// # Errors
    /// If there is no pcscd, no vpcd driver or no free port.
    pub fn start(readers: usize) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("pcscd-").tempdir()?;
        let socket = directory.path().join("pcscd.comm");
        Self::start_in(directory, socket, readers)
    }

    /// The same, for a process that has been told already where it listens.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_at(socket: PathBuf, readers: usize) -> Result<Self> {
        Self::start_in(tempfile::Builder::new().prefix("pcscd-").tempdir()?, socket, readers)
    }

    fn start_in(directory: TempDir, socket: PathBuf, readers: usize) -> Result<Self> {
        fs::create_dir(directory.path().join("readers"))?;
        let mut this = Self { directory, socket, slots: Vec::new(), process: None };
        for number in 0..readers {
            this.add_reader(number)?;
        }
        this.restart()?;
        Ok(this)
    }

    /// What `PCSCLITE_CSOCK_NAME` must name.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    /// What it wrote down, APDUs too.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// A command that finds its readers here.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("PCSCLITE_CSOCK_NAME", self.socket()).current_dir(self.directory.path());
        command
    }

    /// Puts a YubiKey into a slot, and waits until pcscd has seen it.
    ///
    /// # Errors
    /// If there is no such slot, or the card is not seen.
    pub fn insert(&self, slot: usize, card: Card) -> Result<Yubikey> {
        let seen = self.cards_seen();
        let reader = *self.slots.get(slot).context("no such slot")?;
        let yubikey = Yubikey::new(card, reader)?;
        yubikey.plug();
        self.wait("the card was not seen", || self.cards_seen() > seen)?;
        Ok(yubikey)
    }

    /// Kills it.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.kill());
            drop(process.wait());
        }
    }

    /// Starts it again, at the same place and with the same readers.
    ///
    /// # Errors
    /// If it does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        drop(fs::remove_file(self.socket()));
        let log = File::create(self.directory.path().join("log"))?;
        let socket = UnixListener::bind(self.socket())?;
        let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec /usr/sbin/pcscd \"$@\"";
        // prctl(2) PR_SET_PDEATHSIG: a test that is killed takes it with it
        let child = Command::new("/usr/bin/setpriv")
            .args([
                "--pdeathsig",
                "KILL",
                "/bin/sh",
                "-c",
                script,
                "pcscd",
                "--foreground",
                "--debug",
                "--apdu",
                "--config",
            ])
            .arg(self.directory.path().join("readers"))
            .stdin(Stdio::from(OwnedFd::from(socket)))
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("pcscd does not start: is it installed?")?;
        self.process = Some(child);
        self.wait("pcscd is not ready", || self.log().contains("daemon ready"))
    }

    /// Each copy of the driver serves two slots, and equal names would be taken for one reader.
    fn add_reader(&mut self, number: usize) -> Result<()> {
        ensure!(fs::exists(DRIVER)?, "{DRIVER} is missing: install vsmartcard-vpcd");
        let port = free_ports()?;
        let (name, driver) = if number == 0 {
            (READER.to_owned(), PathBuf::from(DRIVER))
        } else {
            let copy = self.directory.path().join(format!("libifdvpcd{number}.so"));
            fs::copy(DRIVER, &copy)?;
            (format!("{READER} #{number}"), copy)
        };
        let entry = format!(
            "FRIENDLYNAME \"{name}\"\nDEVICENAME /dev/null:{port:#x}\nLIBPATH {}\nCHANNELID {port:#x}\n",
            driver.display()
        );
        fs::write(self.directory.path().join("readers").join(format!("vpcd{number}")), entry)?;
        let slots = (port..).take(SLOTS).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        self.slots.extend(slots);
        Ok(())
    }

    fn cards_seen(&self) -> usize {
        self.log().matches("Card ATR:").count()
    }

    fn wait(&self, trouble: &str, ready: impl Fn() -> bool) -> Result<()> {
        let since = Instant::now();
        while !ready() {
            if since.elapsed() > START {
                bail!("{trouble}: {}", self.log());
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Pcscd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Neighbours that are both free: vpcd listens on one for each slot. Not among those that the system gives to clients.
fn free_ports() -> Result<u16> {
    const PORTS: std::ops::Range<u16> = 10_000..32_000;
    for _ in 0..64 {
        let port = rand::rng().random_range(PORTS);
        let both = [port, port + 1].map(|port| TcpListener::bind(("0.0.0.0", port)));
        if both.iter().all(std::result::Result::is_ok) {
            return Ok(port);
        }
    }
    bail!("no two free ports")
}
