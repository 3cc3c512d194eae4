//! Other programs look at a YubiKey that Signet manages.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use signet_tests::{Call, Desk, Mount, Mounts, Stage, YUBIKEY_PIN, libykcs11, set_up, ykman};
use virtual_yubikey::{READER, Version, Yubikey};

const GUN: &str = "example.com/acme/app";
const FACTORY_PIN: &str = "123456";
const NEW_PIN: &str = "141421";
/// `notary` looks for Yubico's module here, too, and needs nothing else of this directory.
const NOTARYS_MODULE: &str = "/usr/local/lib/libykcs11.so";

/// A person with the YubiKey 4711, set up, a finger on it, its PIN told to the agent; a root key that Signet made is in 9c.
fn with_root_key(version: Version) -> Result<(Stage, Desk, Yubikey)> {
    let stage = Stage::with_files()?;
    let desk = Desk::new(&stage.home, 1)?;
    let yubikey = desk.insert_version(0, version, 4711)?;
    set_up(&stage, &yubikey)?;
    make_root_key(&stage, YUBIKEY_PIN)?;
    Ok((stage, desk, yubikey))
}

#[test]
fn ykman_sees_what_signet_did_and_warns_of_nothing_any_more() -> Result<()> {
    let stage = Stage::with_files()?;
    let desk = Desk::new(&stage.home, 1)?;
    let yubikey = desk.insert(0, 4711)?;
    let warnings = ["Using default PIN!", "Using default PUK!", "Using default Management key!"];
    ask_ykman(&stage, &["info"])?.ok()?.says(&warnings)?;
    set_up(&stage, &yubikey)?;
    make_root_key(&stage, YUBIKEY_PIN)?;
    let info = ask_ykman(&stage, &["info"])?.ok()?.never_says(&["WARNING", "default"])?;
    info.says(&["Slot 9C", "ECCP256", "CN=root", "Management key is stored on the YubiKey, protected by PIN"])?;
    Ok(())
}

#[test]
fn ykman_and_signet_read_the_same_attestation() -> Result<()> {
    let (stage, _desk, _yubikey) = with_root_key(Version(5, 7, 1))?;
    let id = stage.key_id_in("yubikey:4711/9c")?;
    let (ours, theirs) = (stage.home.path().join("ours.pem"), stage.home.path().join("theirs.pem"));
    // the agent was told no anchors
    stage.signet(["token", "attest", &id, "-o"])?.args([&ours]).fails_with(7)?;
    ask_ykman(&stage, &["keys", "attest", "9c"])?.args([&theirs]).ok()?;
    // each time it is signed anew; openssl reads the first certificate, which is the key's
    let words = ["x509", "-noout", "-text", "-certopt", "no_sigdump", "-in"];
    let [ours, theirs] = [ours, theirs].map(|path| stage.home.call("/usr/bin/openssl").args(words).args([path]).ok());
    let theirs = theirs?.says(&["YubiKey PIV Attestation 9c", "1.3.6.1.4.1.41482.3.8"])?;
    assert_eq!(ours?.stdout, theirs.stdout);
    Ok(())
}

#[test]
fn a_pin_that_ykman_changed_is_asked_for_and_the_old_one_costs_one_try() -> Result<()> {
    let (stage, _desk, yubikey) = with_root_key(Version(5, 7, 1))?;
    let drill = stage.signet(["token", "drill"])?;
    drill.ok()?;
    ask_ykman(&stage, &["access", "change-pin", "--pin", YUBIKEY_PIN, "--new-pin", NEW_PIN])?.ok()?;
    drill.fails_with(4)?.says(&["incorrect"])?;
    for _ in 0..3 {
        drill.fails_with(4)?.says(&["locked", "signet agent unlock 4711"])?;
    }
    assert_eq!(yubikey.card().piv.pin.left, 2);
    unlock(&stage, NEW_PIN)?;
    drill.ok()?;
    assert_eq!(yubikey.card().piv.pin.left, 3);
    Ok(())
}

#[test]
fn a_key_that_ykman_made_is_listed_with_its_role_and_signs() -> Result<()> {
    let (stage, _desk, yubikey) = with_root_key(Version(5, 7, 1))?;
    let public = stage.home.path().join("public.pem");
    let make = ["keys", "generate", "--pin", YUBIKEY_PIN, "--algorithm", "ECCP256", "9d"];
    ask_ykman(&stage, &make)?.args([&public]).ok()?;
    let certify = ["certificates", "generate", "--pin", YUBIKEY_PIN, "--subject", "CN=targets", "9d"];
    ask_ykman(&stage, &certify)?.args([&public]).ok()?;
    let key = stage.key_in("yubikey:4711/9d")?;
    assert_eq!(key["role"], "targets", "{key}");
    let before = yubikey.card().counts.signatures;
    let id = key["key_id"].as_str().context("a key without an ID")?;
    stage.signet(["token", "drill", id])?.ok()?.says(&["4711/9d: ok"])?;
    assert_eq!(yubikey.card().counts.signatures, before + 1);
    Ok(())
}

#[test]
fn yubico_piv_tool_and_the_agent_take_turns() -> Result<()> {
    let (stage, _desk, yubikey) = with_root_key(Version(5, 7, 1))?;
    let drill = stage.signet(["token", "drill"])?;
    let tool = stage.home.call("/usr/bin/yubico-piv-tool");
    for words in [&["-a", "status"][..], &["-a", "verify-pin", "-P", YUBIKEY_PIN]] {
        drill.ok()?;
        tool.clone().args(words).ok()?;
        drill.ok()?;
    }
    assert_eq!(yubikey.card().piv.pin.left, 3);
    Ok(())
}

#[test]
fn at_the_same_moment_nothing_worse_happens_than_that_it_is_said() -> Result<()> {
    let (stage, _desk, yubikey) = with_root_key(Version(5, 7, 1))?;
    let drill = stage.signet(["token", "drill"])?;
    let log = stage.home.path().join("tool.log");
    let script = "while yubico-piv-tool -a verify-pin -P \"$0\"; do :; done";
    let mut tool = stage.home.call("/bin/sh").args(["-c", script, YUBIKEY_PIN]).background(&log)?;
    for _ in 0..20 {
        let drilled = drill.finish()?;
        if drilled.code != Some(0) {
            drilled.says(&["another program used it at the same moment"])?;
        }
    }
    ensure!(tool.exited().is_none(), "it failed beside the agent:\n{}", fs::read_to_string(&log)?);
    tool.kill();
    drill.ok()?;
    assert_eq!(yubikey.card().piv.pin.left, 3);
    Ok(())
}

#[test]
fn the_same_key_signs_through_yubicos_pkcs11_module() -> Result<()> {
    let (stage, _desk, yubikey) = with_root_key(Version(5, 4, 3))?;
    let id = stage.key_id_in("yubikey:4711/9c")?;
    stage.signet(["agent", "stop"])?.ok()?;
    let module = libykcs11()?;
    let slots = stage.home.call("/usr/bin/pkcs11-tool").args(["--module"]).args([&module]).args(["-L"]);
    slots.ok()?.says(&["YubiKey PIV #4711", "serial num         : 4711"])?;
    let (module, pin) = (module.display(), stage.home.path().join("yubikey.pin"));
    let token = format!("[[token]]\nmodule = \"{module}\"\nserial = \"4711\"\npin-file = \"{}\"\n", pin.display());
    stage.home.agent_toml(&format!("[yubikeys]\nserve = \"none\"\n{token}"))?;
    let _agent = stage.home.start_agent()?;
    let before = yubikey.card().counts.signatures;
    stage.signet(["token", "drill", &id])?.ok()?.says(&["pkcs11:", "serial=4711", "id=%02: ok"])?;
    assert_eq!(yubikey.card().counts.signatures, before + 1);
    // the module shows the key that attests the others, too
    stage.signet(["token", "drill"])?.ok()?.never_says(&["Attestation"])?;
    Ok(())
}

#[test]
fn the_real_notary_reads_the_role_that_signet_wrote_and_spends_no_try() -> Result<()> {
    let (stage, _desk, yubikey) = with_root_key(Version(5, 4, 3))?;
    let id = stage.key_id_in("yubikey:4711/9c")?;
    let mounts = with_notarys_module(&stage)?;
    let listed = mounts.inside(&stage.stranger(["key", "list"])?).ok()?;
    let line = listed.stdout.lines().find(|line| line.contains(&id)).unwrap_or_default();
    ensure!(line.starts_with("root ") && line.trim_end().ends_with(" yubikey"), "{listed}");
    assert_eq!(yubikey.card().piv.pin.left, 3);
    Ok(())
}

#[test]
fn the_real_notary_signs_with_the_root_key_that_signet_made() -> Result<()> {
    let stage = Stage::with_files()?;
    let desk = Desk::new(&stage.home, 1)?;
    let yubikey = desk.insert_version(0, Version(5, 4, 3), 4711)?;
    yubikey.rest_finger(true);
    // notary tries the factory's PIN first
    stage.signet(["token", "setup", "4711", "--leave-defaults"])?.input("\n\n").ok()?;
    make_root_key(&stage, FACTORY_PIN)?;
    let id = stage.key_id_in("yubikey:4711/9c")?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN, "--root", &id])?.ok()?;
    stage.signet(["add", GUN, "by-signet", "-p"])?.args([&file]).ok()?;
    let (before, version) = (yubikey.card().counts.signatures, stage.server.version(GUN, "root")?);
    let mounts = with_notarys_module(&stage)?;
    let rotate = stage.stranger(["key", "rotate", GUN, "snapshot", "-r"])?;
    mounts.inside(&rotate).ok()?.says(&["Please touch the attached Yubikey"])?;
    assert_eq!(stage.server.version(GUN, "root")?, version + 1);
    ensure!(yubikey.card().counts.signatures > before, "it did not sign");
    stage.signet(["add", GUN, "by-signet-again", "-p"])?.args([&file]).ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["by-signet", "by-signet-again"])?;
    Ok(())
}

/// A view of the file system in which `notary` finds Yubico's module.
fn with_notarys_module(stage: &Stage) -> Result<Mounts> {
    let module = Path::new(NOTARYS_MODULE);
    let at = module.parent().context("a directory")?;
    let mounts = Mounts::new(&stage.home, &[Mount::Disk { at, bytes: 1 << 20 }])?;
    fs::copy(libykcs11()?, mounts.seen(module))?;
    Ok(mounts)
}

fn make_root_key(stage: &Stage, pin: &str) -> Result<()> {
    unlock(stage, pin)?;
    stage.signet(["key", "generate", "--token", "4711", "--slot", "9c"])?.ok()?;
    Ok(())
}

/// `ykman piv`
fn ask_ykman(stage: &Stage, words: &[&str]) -> Result<Call> {
    let reader = format!("{READER} 00 00");
    Ok(stage.home.call(ykman()?).args(["--reader", &reader, "piv"]).args(words))
}

fn unlock(stage: &Stage, pin: &str) -> Result<()> {
    let pin = stage.home.write("pin", pin)?;
    stage.signet(["agent", "unlock", "4711", "--pin-file"])?.args([&pin]).ok()?;
    Ok(())
}
