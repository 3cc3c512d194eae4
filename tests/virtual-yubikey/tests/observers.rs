//! The virtual YubiKey, as programs see it that know the real one.

use std::{fs, path::PathBuf, process::Command, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use virtual_yubikey::{Algorithm, Card, Fault, Mishap, Pcscd, Status, Version, Yubikey};

const GENERAL_AUTHENTICATE: u8 = 0x87;
const SOON: Duration = Duration::from_secs(10);

/// A desk with one reader.
struct Desk {
    pcscd: Pcscd,
    papers: tempfile::TempDir,
}

impl Desk {
    fn new() -> Result<Self> {
        let papers = tempfile::tempdir()?;
        fs::write(papers.path().join("message"), "root.json")?;
        Ok(Self { pcscd: Pcscd::start(1)?, papers })
    }

    fn paper(&self, name: &str) -> PathBuf {
        self.papers.path().join(name)
    }

    /// yubico-piv-tool; files are named by `@name`.
    fn tool(&self, words: &str) -> Result<String> {
        said(self.pcscd.command("yubico-piv-tool").args(self.words(words)))
    }

    fn words(&self, words: &str) -> Vec<String> {
        let word = |word: &str| match word.strip_prefix('@') {
            Some(name) => self.paper(name).display().to_string(),
            None => word.to_owned(),
        };
        words.split_whitespace().map(word).collect()
    }

    fn openssl(&self, words: &str) -> Result<String> {
        said(Command::new("openssl").args(self.words(words)))
    }

    /// Makes a key in 9c; its public half is the paper "public".
    fn generate(&self, policies: &str) -> Result<()> {
        self.tool(&format!("-a generate -s 9c -A ECCP256 {policies} -o @public")).map(drop)
    }

    fn sign(&self) -> Result<()> {
        let sign = "-a verify-pin -P 123456 --sign -s 9c -A ECCP256 -H SHA256 -i @message -o @signature";
        self.tool(sign)?;
        self.openssl("dgst -sha256 -verify @public -signature @signature @message").map(drop)
    }
}

/// What a program says, if it succeeds.
fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    ensure!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    Ok(said)
}

fn touched_once(yubikey: &Yubikey) -> bool {
    yubikey.blinks_within(SOON) && yubikey.touch()
}

fn firmware_5_4() -> Result<Card> {
    Card::new(Version(5, 4, 3), 4711)
}

#[test]
fn a_key_is_made_and_signs_when_it_is_touched() -> Result<()> {
    let desk = Desk::new()?;
    let yubikey = desk.pcscd.insert(0, firmware_5_4()?)?;
    desk.generate("--pin-policy=once --touch-policy=always")?;
    thread::scope(|scope| {
        let touched = scope.spawn(|| touched_once(&yubikey));
        desk.sign()?;
        ensure!(touched.join().is_ok_and(|touched| touched), "it did not blink");
        Ok(())
    })?;
    ensure!(!yubikey.touch(), "it blinks no more");
    let card = yubikey.card();
    assert_eq!((card.counts.touches, card.counts.signatures), (1, 1));
    assert_eq!(card.piv.slots[&0x9c].algorithm(), Algorithm::EccP256);
    Ok(())
}

#[test]
fn nobody_touches_it() -> Result<()> {
    let desk = Desk::new()?;
    let yubikey = desk.pcscd.insert(0, firmware_5_4()?)?;
    desk.generate("--touch-policy=always")?;
    yubikey.set_patience(Duration::from_millis(300));
    desk.sign().unwrap_err();
    yubikey.rest_finger(true);
    desk.sign()?;
    assert_eq!(yubikey.card().counts.signatures, 1);
    Ok(())
}

#[test]
fn what_was_made_on_it_is_attested() -> Result<()> {
    let desk = Desk::new()?;
    let card = firmware_5_4()?;
    fs::write(desk.paper("root.der"), card.attestation_root())?;
    let yubikey = desk.pcscd.insert(0, card)?;
    for algorithm in ["ECCP256", "ECCP384", "RSA2048"] {
        desk.tool(&format!("-a generate -s 9a -A {algorithm} -o @public"))?;
        desk.tool("-a attest -s 9a -o @attestation.pem")?;
        desk.tool("-a read-certificate -s f9 -o @intermediate.pem")?;
        desk.openssl("x509 -inform DER -in @root.der -out @root.pem")?;
        desk.openssl("verify -CAfile @root.pem -untrusted @intermediate.pem @attestation.pem")?;
        let attested = desk.openssl("x509 -in @attestation.pem -noout -pubkey")?;
        assert_eq!(attested.trim(), fs::read_to_string(desk.paper("public"))?.trim(), "{algorithm}");
    }
    desk.openssl("ecparam -name prime256v1 -genkey -noout -out @mine.pem")?;
    desk.tool("-a import-key -s 9d -i @mine.pem")?;
    desk.tool("-a attest -s 9d").unwrap_err();
    assert!(!yubikey.card().piv.slots[&0x9d].generated);
    Ok(())
}

#[test]
fn wrong_pins_are_counted_until_the_puk_helps() -> Result<()> {
    let desk = Desk::new()?;
    let yubikey = desk.pcscd.insert(0, firmware_5_4()?)?;
    for left in [2, 1, 0] {
        desk.tool("-a verify-pin -P 654321").unwrap_err();
        assert_eq!(yubikey.card().piv.pin.left, left);
    }
    desk.tool("-a verify-pin -P 123456").unwrap_err();
    desk.tool("-a unblock-pin -P 12345678 -N 271828")?;
    desk.tool("-a verify-pin -P 271828")?;
    let pin = yubikey.card().piv.pin.clone();
    assert_eq!((pin.left, pin.default), (3, false));
    desk.tool("-a change-puk -P 87654321 -N 11111111").unwrap_err();
    assert_eq!(yubikey.card().piv.puk.left, 2);
    desk.tool("-a reset").unwrap_err();
    {
        let mut card = yubikey.card();
        (card.piv.pin.left, card.piv.puk.left) = (0, 0);
    }
    desk.tool("-a reset")?;
    desk.tool("-a verify-pin -P 123456").map(drop)
}

#[test]
fn each_firmware_has_its_algorithms_and_management_key() -> Result<()> {
    for version in [Version(4, 3, 5), Version(5, 4, 3)] {
        let desk = Desk::new()?;
        let yubikey = desk.pcscd.insert(0, Card::new(version, 1)?)?;
        let Version(major, minor, patch) = version;
        ensure!(desk.tool("-a version")?.contains(&format!("{major}.{minor}.{patch}")));
        for (name, algorithm) in [("ECCP384", Algorithm::EccP384), ("RSA2048", Algorithm::Rsa2048)] {
            desk.tool(&format!("-a generate -s 9a -A {name}"))?;
            assert_eq!(yubikey.card().piv.slots[&0x9a].algorithm(), algorithm);
        }
    }
    // since 5.7 the factory's management key is for AES, which this program does not try
    let desk = Desk::new()?;
    let _yubikey = desk.pcscd.insert(0, Card::new(Version(5, 7, 1), 1)?)?;
    desk.generate("").unwrap_err();
    let desk = Desk::new()?;
    let yubikey = desk.pcscd.insert(0, firmware_5_4()?)?;
    let key = "00112233445566778899aabbccddeeff0011223344556677";
    desk.tool(&format!("-a set-mgm-key -n {key}"))?;
    desk.generate("").unwrap_err();
    desk.tool(&format!("-a generate -s 9c -A ECCP256 -k{key}"))?;
    assert_eq!(yubikey.card().counts.generated, 1);
    Ok(())
}

#[test]
fn four_are_told_apart() -> Result<()> {
    let pcscd = Pcscd::start(2)?;
    let cards = [100, 101, 102, 103].into_iter().enumerate();
    let cards = cards.map(|(slot, serial)| pcscd.insert(slot, Card::new(Version(5, 7, 1), serial)?));
    let yubikeys: Vec<_> = cards.collect::<Result<_>>()?;
    let readers = said(pcscd.command("yubico-piv-tool").args(["-a", "list-readers"]))?;
    let readers: Vec<_> = readers.lines().collect();
    assert_eq!(readers.len(), yubikeys.len(), "{readers:?}");
    for (reader, yubikey) in readers.iter().zip(&yubikeys) {
        let status = said(pcscd.command("yubico-piv-tool").args(["-r", reader, "-a", "status"]))?;
        let serial = yubikey.card().serial();
        ensure!(status.contains(&format!("Serial Number:\t{serial}")), "{reader}: {status}");
    }
    Ok(())
}

#[test]
fn it_is_pulled_and_put_back() -> Result<()> {
    let desk = Desk::new()?;
    let yubikey = desk.pcscd.insert(0, firmware_5_4()?)?;
    desk.generate("--touch-policy=always")?;
    thread::scope(|scope| {
        scope.spawn(|| {
            if yubikey.blinks_within(SOON) {
                yubikey.pull();
            }
        });
        desk.sign().unwrap_err();
    });
    desk.tool("-a status").unwrap_err();
    yubikey.plug();
    yubikey.rest_finger(true);
    let back = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(100));
        desk.sign().is_ok()
    });
    ensure!(back, "it is not seen again");
    Ok(())
}

#[test]
fn mishaps_happen_as_often_as_they_shall() -> Result<()> {
    let desk = Desk::new()?;
    let yubikey = desk.pcscd.insert(0, firmware_5_4()?)?;
    desk.generate("")?;
    for mishap in [Mishap::Status(Status(0x6f00)), Mishap::WrongAnswer, Mishap::PulledBefore, Mishap::PulledAfter] {
        let before = yubikey.card().counts.signatures;
        yubikey.card().faults.push(Fault { instruction: GENERAL_AUTHENTICATE, mishap, times: 1 });
        desk.sign().unwrap_err();
        let made = yubikey.card().counts.signatures - before;
        assert_eq!(made, u64::from(matches!(mishap, Mishap::WrongAnswer | Mishap::PulledAfter)), "{mishap:?}");
        yubikey.plug();
        let well = (0..100).any(|_| {
            desk.sign().is_ok() || {
                thread::sleep(Duration::from_millis(100));
                false
            }
        });
        ensure!(well, "{mishap:?} goes on");
    }
    Ok(())
}

#[test]
fn pcscd_comes_back() -> Result<()> {
    let mut desk = Desk::new()?;
    let _yubikey = desk.pcscd.insert(0, firmware_5_4()?)?;
    desk.tool("-a status")?;
    desk.pcscd.kill();
    desk.tool("-a status").unwrap_err();
    desk.pcscd.restart()?;
    let back = (0..100).any(|_| {
        desk.tool("-a status").is_ok() || {
            thread::sleep(Duration::from_millis(100));
            false
        }
    });
    ensure!(back, "the card is not seen again");
    Ok(())
}
