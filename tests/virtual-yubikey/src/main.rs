//! YubiKeys to try things with by hand: `virtual-yubikey SOCKET SERIAL[:VERSION]...`
//!
//! Starts a pcscd that listens at SOCKET, which programs find by `PCSCLITE_CSOCK_NAME=SOCKET`, and puts the YubiKeys into
//! its readers, all as they come from the shop. Then takes commands, one on a line: `touch` (whichever blinks), `pull SERIAL`,
//! `plug SERIAL`, `rest` (a finger lies on all of them), `lift`. Ends with its standard input.

use std::{
    io::{self, BufRead, Write},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use virtual_yubikey::{Card, Pcscd, Version, Yubikey};

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let socket: PathBuf = words.next().context("virtual-yubikey SOCKET SERIAL[:VERSION]...")?.into();
    let cards = words.map(|word| card(&word)).collect::<Result<Vec<_>>>()?;
    // a reader has two slots
    let pcscd = Pcscd::start_at(std::path::absolute(socket)?, cards.len().div_ceil(2))?;
    let yubikeys = cards.into_iter().enumerate().map(|(slot, card)| pcscd.insert(slot, card));
    let yubikeys = yubikeys.collect::<Result<Vec<_>>>()?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "PCSCLITE_CSOCK_NAME={}", pcscd.socket().display())?;
    for line in io::stdin().lock().lines() {
        if let Err(error) = obey(&line?, &yubikeys) {
            writeln!(stdout, "{error}")?;
        }
    }
    Ok(())
}

fn card(word: &str) -> Result<Card> {
    let (serial, version) = word.split_once(':').unwrap_or((word, "5.7.1"));
    let parts = version.split('.').map(str::parse).collect::<Result<Vec<u8>, _>>();
    let [major, minor, patch] = parts?[..] else { bail!("{version} is no version") };
    Card::new(Version(major, minor, patch), serial.parse()?)
}

fn obey(line: &str, yubikeys: &[Yubikey]) -> Result<()> {
    let (verb, serial) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    let named = || yubikeys.iter().find(|yubikey| yubikey.card().serial().to_string() == serial).context("which one?");
    match verb {
        "" => {}
        "touch" => drop(yubikeys.iter().map(Yubikey::touch).collect::<Vec<_>>()),
        "pull" => named()?.pull(),
        "plug" => named()?.plug(),
        "rest" | "lift" => yubikeys.iter().for_each(|yubikey| yubikey.rest_finger(verb == "rest")),
        other => bail!("touch, pull SERIAL, plug SERIAL, rest, lift; not {other}"),
    }
    Ok(())
}
