//! A desk with virtual YubiKeys behind a pcscd of the story's own.

use anyhow::Result;
use virtual_yubikey::{Card, Pcscd, Version, Yubikey};

use crate::{Home, Stage};

/// The PIN of YubiKeys that were set up.
pub const YUBIKEY_PIN: &str = "271828";
/// Their PUK.
pub const YUBIKEY_PUK: &str = "31415926";

/// Readers where the home looks for them.
pub struct Desk {
    /// The daemon.
    pub pcscd: Pcscd,
}

impl Desk {
    /// Empty readers, two slots each.
    pub fn new(home: &Home, readers: usize) -> Result<Self> {
        Ok(Self { pcscd: Pcscd::start_at(home.path().join("pcscd.comm"), readers)? })
    }

    /// Puts a YubiKey of the newest firmware into a slot, as it comes from the shop.
    pub fn insert(&self, slot: usize, serial: u32) -> Result<Yubikey> {
        self.insert_version(slot, Version(5, 7, 1), serial)
    }

    /// The same with other firmware.
    pub fn insert_version(&self, slot: usize, version: Version, serial: u32) -> Result<Yubikey> {
        self.pcscd.insert(slot, Card::new(version, serial)?)
    }

    /// Puts one in and sets it up, with a finger on it; its PIN lies in a file.
    pub fn insert_set_up(&self, stage: &Stage, slot: usize, serial: u32) -> Result<Yubikey> {
        let yubikey = self.insert(slot, serial)?;
        set_up(stage, &yubikey)?;
        Ok(yubikey)
    }
}

/// Sets a YubiKey up as it comes from the shop, and leaves a finger on it; its PIN lies in a file.
pub fn set_up(stage: &Stage, yubikey: &Yubikey) -> Result<()> {
    yubikey.rest_finger(true);
    stage.home.write("yubikey.pin", YUBIKEY_PIN)?;
    let serial = yubikey.card().serial().to_string();
    let answers = format!("{YUBIKEY_PIN}\n{YUBIKEY_PUK}\n");
    stage.signet(["token", "setup", &serial])?.input(answers).ok()?;
    Ok(())
}

/// One `[[yubikey]]` of agent.toml, unlocked by the file that [`Desk::insert_set_up`] writes.
#[must_use]
pub fn yubikey_table(home: &Home, serial: u32, roles: &[&str]) -> String {
    let pin = home.path().join("yubikey.pin");
    format!("[[yubikey]]\nserial = {serial}\nroles = {roles:?}\npin-file = \"{}\"\n", pin.display())
}
