//! A maintainer with YubiKeys.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use signet_tests::{Desk, Stage, YUBIKEY_PIN, YUBIKEY_PUK, set_up, wait_until, yubikey_table};
use virtual_yubikey::{Fault, Mishap, Version};

const GUN: &str = "example.com/acme/app";
const GENERAL_AUTHENTICATE: u8 = 0x87;
const SOON: Duration = Duration::from_secs(10);
/// How long a person may have to wait for a YubiKey that is back.
const AGAIN: Duration = Duration::from_secs(5);

/// A person with the YubiKey 4711 for root and targets, set up, a finger on it, its PIN in a file.
fn with_one() -> Result<(Stage, Desk, virtual_yubikey::Yubikey)> {
    let stage = Stage::with_files()?;
    let desk = Desk::new(&stage.home, 2)?;
    let yubikey = desk.insert_set_up(&stage, 0, 4711)?;
    stage.signet(["agent", "stop"])?.ok()?;
    stage.home.agent_toml(&yubikey_table(&stage.home, 4711, &["root", "targets"]))?;
    Ok((stage, desk, yubikey))
}

#[test]
fn root_and_targets_are_on_two_yubikeys_and_everybody_reads_the_collection() -> Result<()> {
    let stage = Stage::with_files()?;
    let desk = Desk::new(&stage.home, 2)?;
    let root = desk.insert_set_up(&stage, 0, 4711)?;
    let targets = desk.insert_set_up(&stage, 2, 4712)?;
    stage.signet(["agent", "stop"])?.ok()?;
    let tables = [yubikey_table(&stage.home, 4711, &["root"]), yubikey_table(&stage.home, 4712, &["targets"])].concat();
    stage.home.agent_toml(&tables)?;
    let _agent = stage.home.start_agent()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", GUN, "v1", "-p"])?.args([&file]).ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["v1"])?;
    stage.signet(["key", "list"])?.ok()?.says(&["yubikey 4711/9c", "yubikey 4712/9c"])?;
    let places: Vec<String> = stage
        .audit()?
        .iter()
        .filter(|event| event.outcome == "signed")
        .map(|event| event.place.clone())
        .filter(|place| place.starts_with("yubikey:"))
        .collect();
    for yubikey in ["yubikey:4711/9c", "yubikey:4712/9c"] {
        ensure!(places.iter().any(|place| place == yubikey), "{places:?}");
    }
    let made = [&root, &targets].map(|yubikey| yubikey.card().counts.signatures);
    ensure!(made[0] >= 2 && made[1] >= 2, "{made:?}");
    stage.signet(["token", "drill"])?.ok()?.says(&["4711/9c: ok", "4712/9c: ok"])?;
    Ok(())
}

#[test]
fn who_waits_is_told_which_yubikey_to_touch_and_what_for() -> Result<()> {
    let (stage, _desk, yubikey) = with_one()?;
    let agent = stage.home.start_agent()?;
    stage.signet(["init", GUN])?.ok()?;
    yubikey.rest_finger(false);
    let watched = stage.home.path().join("watched");
    let watch = stage.signet(["token", "watch", "--json"])?.background(&watched)?;
    wait_until("the watch is open", SOON, || stage.signet(["token", "list"]).is_ok_and(|call| call.ok().is_ok()))?;
    let file = stage.home.write("file", "content")?;
    let publish = stage.signet(["add", GUN, "v1", "-p"])?.args([&file]);
    let told = thread::scope(|scope| {
        let touches = scope.spawn(|| {
            let mut touches = 0;
            while yubikey.blinks_within(Duration::from_secs(5)) {
                touches += i32::from(yubikey.touch());
                thread::sleep(Duration::from_millis(50));
            }
            touches
        });
        let told = publish.ok();
        ensure!(touches.join().is_ok_and(|touches| touches > 0), "it did not blink");
        told
    })?;
    let told = told.says(&[&format!("Touch YubiKey 4711 (targets of {GUN}), 15 seconds left")])?;
    ensure!(!told.stderr.contains("snapshot of"), "no touch is wanted for a file:\n{told}");
    ensure!(agent.log().contains("YubiKey waits to be touched serial=4711 role=\"targets\""), "{}", agent.log());
    drop(watch);
    let watched = fs::read_to_string(watched)?;
    ensure!(watched.contains("\"touch-wanted\"") || watched.contains("touch_wanted"), "{watched}");
    ensure!(watched.contains(GUN) && watched.contains("4711"), "{watched}");
    Ok(())
}

#[test]
fn nobody_touches_it_and_nothing_is_lost() -> Result<()> {
    let (stage, _desk, yubikey) = with_one()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", GUN, "v1"])?.args([&file]).ok()?;
    yubikey.rest_finger(false);
    yubikey.set_patience(Duration::from_secs(1));
    let missed = stage.signet(["publish", GUN])?.fails_with(4)?;
    missed.says(&["4711 was not touched in time", "touch the token when it blinks"])?;
    stage.signet(["status", GUN])?.ok()?.says(&["v1"])?;
    yubikey.rest_finger(true);
    stage.signet(["publish", GUN])?.ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["v1"])?;
    Ok(())
}

#[test]
fn whoever_gives_up_waiting_leaves_the_agent_at_work() -> Result<()> {
    let (stage, _desk, yubikey) = with_one()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", GUN, "v1"])?.args([&file]).ok()?;
    yubikey.rest_finger(false);
    yubikey.set_patience(Duration::from_secs(3));
    let mut publish = stage.signet(["publish", GUN])?.background(&stage.home.path().join("publish.log"))?;
    ensure!(yubikey.blinks_within(SOON), "it does not blink");
    let pid = Pid::from_raw(i32::try_from(publish.pid())?).context("a process")?;
    // not SIGINT, which a shell may have told its background jobs to ignore
    kill_process(pid, Signal::TERM)?;
    wait_until("the client ends at once", Duration::from_secs(2), || publish.exited().is_some())?;
    // others are served while it still blinks
    stage.signet(["key", "list"])?.ok()?.says(&["yubikey 4711/9c"])?;
    wait_until("it blinks no more", SOON, || !yubikey.blinks())?;
    yubikey.rest_finger(true);
    stage.signet(["publish", GUN])?.ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["v1"])?;
    Ok(())
}

#[test]
fn a_yubikey_that_is_pulled_while_it_signs_is_named_and_works_when_it_is_back() -> Result<()> {
    let (stage, _desk, yubikey) = with_one()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", GUN, "v1", "-p"])?.args([&file]).ok()?;
    for mishap in [Mishap::PulledBefore, Mishap::PulledAfter] {
        let target = format!("{mishap:?}");
        stage.signet(["add", GUN, &target])?.args([&file]).ok()?;
        yubikey.card().faults.push(Fault { instruction: GENERAL_AUTHENTICATE, mishap, times: 1 });
        stage.signet(["publish", GUN])?.fails_with(4)?.says(&["4711", "insert"])?;
        stage.signet(["status", GUN])?.ok()?.says(&[&target])?;
        yubikey.plug();
        wait_until("it signs again", AGAIN, || {
            stage.signet(["publish", GUN]).is_ok_and(|publish| publish.ok().is_ok())
        })?;
        stage.stranger(["list", GUN])?.ok()?.says(&[&target])?;
    }
    Ok(())
}

#[test]
fn a_wrong_signature_never_leaves() -> Result<()> {
    let (stage, _desk, yubikey) = with_one()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", GUN, "v1"])?.args([&file]).ok()?;
    let mishap = Mishap::WrongAnswer;
    yubikey.card().faults.push(Fault { instruction: GENERAL_AUTHENTICATE, mishap, times: 1 });
    stage.signet(["publish", GUN])?.refused()?.says(&["yubikey:4711/", "does not verify"])?;
    stage.signet(["publish", GUN])?.ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["v1"])?;
    Ok(())
}

#[test]
fn a_key_has_a_spare_and_a_copy_and_each_is_said_when_it_signs() -> Result<()> {
    let stage = Stage::with_files()?;
    let desk = Desk::new(&stage.home, 2)?;
    let first = desk.insert_set_up(&stage, 0, 4711)?;
    let spare = desk.insert_set_up(&stage, 2, 4712)?;
    stage.signet(["agent", "stop"])?.ok()?;
    let tables = [yubikey_table(&stage.home, 4711, &[]), yubikey_table(&stage.home, 4712, &[])].concat();
    stage.home.agent_toml(&tables)?;
    let mut agent = stage.home.start_agent()?;
    let pem = stage.home.path().join("root.pem");
    let make = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"];
    stage.home.call("/usr/bin/openssl").args(make).args([&pem]).ok()?;
    let import = |serial: &str, flags: &[&str]| {
        let words = ["key", "import", "-r", "root", "--token", serial];
        stage.signet(words)?.args(flags).args([&pem]).ok()
    };
    import("4711", &["--keep-file"])?;
    import("4712", &["--slot", "9d"])?.says(&["only"])?;
    stage.signet(["init", GUN])?.ok()?;
    let listed = stage.signet(["key", "list"])?.ok()?;
    listed.says(&["yubikey 4711/9c", "yubikey 4712/9d", "private"])?;

    let file = stage.home.write("file", "content")?;
    stage.signet(["add", GUN, "v1", "-p"])?.args([&file]).ok()?;
    stage.signet(["token", "drill"])?.ok()?.says(&["4711/9c: ok", "4712/9d: ok"])?;
    first.pull();
    wait_until("it is gone", SOON, || {
        stage.signet(["token", "list"]).is_ok_and(|list| list.ok().is_ok_and(|said| said.stdout.contains("absent")))
    })?;
    let drilled = stage.signet(["token", "drill"])?.fails_with(4)?;
    drilled.says(&["4712/9d: ok", "4711"])?;
    drop(spare);
    wait_until("both are gone", SOON, || {
        let list = stage.signet(["token", "list"]).and_then(|list| list.ok());
        list.is_ok_and(|said| said.stdout.matches(", absent").count() == 2)
    })?;
    let another = "example.com/acme/second";
    let fallen = stage.signet(["init", another])?.ok()?;
    fallen.says(&["4711 is absent", "signed in its place"])?;
    agent.stop()?;
    stage.home.agent_toml(&format!("[keys]\nfallback = \"refuse\"\n{tables}"))?;
    agent.restart()?;
    stage.signet(["init", "example.com/acme/third"])?.fails_with(4)?.says(&["4711"])?;
    Ok(())
}

#[test]
fn a_root_moves_from_a_file_to_a_yubikey_and_to_another() -> Result<()> {
    let (stage, desk, yubikey) = with_one()?;
    stage.home.agent_toml(&yubikey_table(&stage.home, 4711, &[]))?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", GUN, "v1", "-p"])?.args([&file]).ok()?;
    let rotate = |args: &[&str]| Ok::<_, anyhow::Error>(stage.signet(["key", "rotate", GUN])?.args(args));
    rotate(&["root", "-y", "--token", "4711"])?.ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["v1"])?;
    stage.signet(["status", GUN])?.ok()?.says(&["on YubiKey 4711, slot 9c"])?;
    let spare = desk.insert_set_up(&stage, 2, 4712)?;
    let tables = [4711, 4712].map(|serial| yubikey_table(&stage.home, serial, &[])).concat();
    stage.home.agent_toml(&tables)?;
    stage.signet(["agent", "stop"])?.ok()?;
    // Nobody touches it: no key is lost, and the key that was made takes over when somebody does.
    yubikey.rest_finger(false);
    yubikey.set_patience(Duration::from_secs(1));
    rotate(&["root", "-y", "--token", "4712"])?.refused()?.says(&["4711 was not touched in time"])?;
    ensure!(stage.server.version(GUN, "root")? == 2);
    yubikey.rest_finger(true);
    let made = stage.key_id_in("yubikey:4712/9c")?;
    rotate(&["root", "--resume"])?.ok()?;
    ensure!(stage.server.version(GUN, "root")? == 3);
    stage.stranger(["list", GUN])?.ok()?.says(&["v1"])?;
    drop(spare);
    let short = made.get(..7).context("a key ID")?;
    wait_until("it is gone", SOON, || {
        let words = format!("nobody: {short} (insert token 4712)");
        stage.signet(["status", GUN]).and_then(|call| call.ok()).is_ok_and(|said| said.stdout.contains(&words))
    })?;
    Ok(())
}

#[test]
fn a_role_can_want_keys_that_are_attested() -> Result<()> {
    let stage = Stage::with_files()?;
    let desk = Desk::new(&stage.home, 1)?;
    let card = virtual_yubikey::Card::new(Version(5, 7, 1), 4711)?;
    let der = stage.home.write("anchor.der", card.attestation_root())?;
    let anchor = stage.home.path().join("anchor.pem");
    let convert = stage.home.call("/usr/bin/openssl").args(["x509", "-inform", "DER", "-in"]).args([&der]);
    convert.args(["-out"]).args([&anchor]).ok()?;
    let yubikey = desk.pcscd.insert(0, card)?;
    set_up(&stage, &yubikey)?;
    stage.signet(["agent", "stop"])?.ok()?;
    let rule = "[keys]\nattested-roles = [\"root\"]\n";
    let anchors = format!("[attestation]\nanchors = [\"{}\"]\n", anchor.display());
    stage.home.agent_toml(&[rule, &anchors, &yubikey_table(&stage.home, 4711, &[])].concat())?;
    let _agent = stage.home.start_agent()?;
    // a file attests nothing
    stage.signet(["init", GUN])?.fails_with(3)?.says(&["attestation", "role root"])?;
    // and a key that wants no touch is not enough
    stage.signet(["key", "generate", "--token", "4711", "--slot", "9a", "--touch", "never"])?.ok()?;
    let keys = stage.signet(["key", "list", "--json"])?.ok()?;
    keys.says(&["\"attestation\": \"verified\"", "\"touch_policy\": \"never\""])?;
    let id = stage.key_id_in("yubikey:4711/9a")?;
    let second = "example.com/acme/second";
    stage.signet(["init", second, "--root", &id])?.fails_with(3)?.says(&["touched every time"])?;
    stage.signet(["key", "generate", "--token", "4711", "--slot", "9c"])?.ok()?;
    let id = stage.key_id_in("yubikey:4711/9c")?;
    stage.signet(["token", "attest", &id])?.ok()?.says(&["5.7.1", "always", "made on a YubiKey"])?;
    stage.signet(["init", "example.com/acme/third", "--root", &id])?.ok()?;
    Ok(())
}

#[test]
fn no_log_knows_a_secret() -> Result<()> {
    let stage = Stage::with_files()?;
    let mut agent_call = stage.home.call(stage.home.program("signet-agent")?);
    agent_call = agent_call.env("SIGNET_LOG", "trace");
    let agent = stage.home.start_agent_as(agent_call)?;
    let desk = Desk::new(&stage.home, 1)?;
    let yubikey = desk.insert_set_up(&stage, 0, 4711)?;
    let pem = stage.home.path().join("root.pem");
    let make = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"];
    stage.home.call("/usr/bin/openssl").args(make).args([&pem]).ok()?;
    let pin = stage.home.path().join("yubikey.pin");
    stage.signet(["agent", "unlock", "4711", "--pin-file"])?.args([&pin]).ok()?;
    let imported = stage.signet(["-D", "key", "import", "-r", "root", "--token", "4711"])?.args([&pem]).ok()?;
    let generated = stage.signet(["-D", "key", "generate", "--token", "4711", "-r", "targets", "-g", GUN])?.ok()?;
    let drilled = stage.signet(["-D", "token", "drill"])?.ok()?;
    let logs = [agent.log(), imported.stderr, generated.stderr, drilled.stderr].concat();
    ensure!(logs.contains("TRACE"), "nothing is traced");
    let der = stage.home.call("/usr/bin/openssl").args(["pkey", "-outform", "DER", "-in"]).args([&pem]);
    let scalar = stage.home.path().join("scalar.der");
    der.args(["-out"]).args([&scalar]).ok()?;
    let scalar = fs::read(scalar)?;
    let scalar = scalar.windows(32).nth(36).context("a scalar")?.to_vec();
    let management_key = yubikey.card().piv.management_key().to_vec();
    let secrets = [YUBIKEY_PIN.as_bytes().to_vec(), YUBIKEY_PUK.as_bytes().to_vec(), management_key, scalar];
    for secret in secrets {
        for form in forms(&secret) {
            ensure!(!logs.contains(&form), "the log knows a secret as {form}");
        }
    }
    Ok(())
}

#[test]
fn a_pin_is_forgotten_when_the_agent_is_told_to_or_its_time_is_over() -> Result<()> {
    let stage = Stage::with_files()?;
    let desk = Desk::new(&stage.home, 1)?;
    let _yubikey = desk.insert_set_up(&stage, 0, 4711)?;
    stage.signet(["agent", "stop"])?.ok()?;
    stage.home.agent_toml("[keys]\nunlock-seconds = 3\n")?;
    let agent = stage.home.start_agent()?;
    let pin = stage.home.path().join("yubikey.pin");
    let unlocked = || -> Result<bool> {
        Ok(stage.signet(["token", "list", "--json"])?.ok()?.stdout.contains("\"unlocked\": true"))
    };
    stage.signet(["agent", "unlock", "4711", "--pin-file"])?.args([&pin]).ok()?;
    ensure!(unlocked()?, "it is not unlocked");
    let pid = Pid::from_raw(i32::try_from(agent.pid())?).context("a process")?;
    kill_process(pid, Signal::HUP)?;
    wait_until("it is locked", SOON, || unlocked().is_ok_and(|unlocked| !unlocked))?;
    stage.signet(["agent", "unlock", "4711", "--pin-file"])?.args([&pin]).ok()?;
    ensure!(unlocked()?, "it is not unlocked");
    wait_until("its time is over", SOON, || unlocked().is_ok_and(|unlocked| !unlocked))?;
    Ok(())
}

#[test]
fn what_is_wrong_is_named() -> Result<()> {
    let stage = Stage::with_files()?;
    stage.signet(["token", "list"])?.ok()?.says(&["pcscd does not answer", "apt install pcscd"])?;
    stage.signet(["key", "generate", "--token", "4711"])?.fails_with(4)?.says(&["4711"])?;
    let desk = Desk::new(&stage.home, 1)?;
    let yubikey = desk.insert(0, 4711)?;
    let listed = stage.signet(["token", "list"])?.ok()?;
    listed.says(&["the PIN is the factory's", "the PUK is the factory's", "the management key is the factory's"])?;
    stage.signet(["token", "setup", "4712"])?.refused()?.says(&["there is no YubiKey 4712"])?;
    stage.signet(["token", "setup", "4711"])?.input("12345\n").refused()?.says(&["6 to 8"])?;
    stage.signet(["token", "setup", "4711"])?.input("123456\n").refused()?.says(&["factory"])?;
    let short = stage.home.write("short.pin", "1234")?;
    let refused = stage.signet(["agent", "unlock", "4711", "--pin-file"])?.args([&short]).refused()?;
    refused.says(&["6 to 8", "not tried"])?;
    ensure!(yubikey.card().piv.pin.left == 3, "a try was spent");
    let key = stage.home.write("management.key", "00".repeat(24))?;
    let pin = stage.home.write("pin", "123456")?;
    stage.signet(["agent", "unlock", "4711", "--pin-file"])?.args([&pin]).ok()?;
    let wrong = ["key", "generate", "--token", "4711", "--management-key-file"];
    stage.signet(wrong)?.args([&key]).refused()?.says(&["management key", "another one"])?;
    stage.signet(["key", "generate", "--token", "4711"])?.refused()?.says(&["management key", "token setup 4711"])?;
    ensure!(yubikey.card().counts.generated == 0, "a key was made");
    stage.signet(["key", "generate", "--slot", "9c"])?.fails_with(2)?;
    stage.signet(["token", "reset", "4711", "--confirm", "4712"])?.refused()?.says(&["4712", "4711"])?;
    Ok(())
}

#[test]
fn a_lost_pin_costs_no_key() -> Result<()> {
    let (stage, _desk, yubikey) = with_one()?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["agent", "lock"])?.ok()?;
    for (wrong, says) in [("111111", "2"), ("222222", "one more wrong PIN")] {
        let file = stage.home.write("wrong.pin", wrong)?;
        stage.signet(["agent", "unlock", "4711", "--pin-file"])?.args([&file]).refused()?.says(&[says])?;
    }
    let file = stage.home.write("wrong.pin", "333333")?;
    let unlock = || Ok::<_, anyhow::Error>(stage.signet(["agent", "unlock", "4711", "--pin-file"])?.args([&file]));
    unlock()?.refused()?.says(&["--spend-last-try"])?;
    ensure!(yubikey.card().piv.pin.left == 1, "the last try was spent");
    unlock()?.args(["--spend-last-try"]).refused()?;
    unlock()?.refused()?.says(&["blocked"])?;
    let unblock = stage.signet(["token", "pin", "unblock", "4711"])?;
    unblock.input("00000000\n654321\n").refused()?.says(&["PUK", "2"])?;
    let unblock = stage.signet(["token", "pin", "unblock", "4711"])?;
    unblock.input(format!("{YUBIKEY_PUK}\n654321\n")).ok()?;
    let changed = stage.signet(["token", "pin", "change", "4711"])?;
    changed.input(format!("654321\n{YUBIKEY_PIN}\n")).ok()?;
    let pin = stage.home.path().join("yubikey.pin");
    stage.signet(["agent", "unlock", "4711", "--pin-file"])?.args([&pin]).ok()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["add", GUN, "v1", "-p"])?.args([&file]).ok()?;
    Ok(())
}

/// How a log might write bytes down.
fn forms(secret: &[u8]) -> Vec<String> {
    let numbers = secret.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    let mut forms = vec![hex::encode(secret), hex::encode_upper(secret), numbers];
    if secret.is_ascii() {
        forms.extend(String::from_utf8(secret.to_vec()));
    }
    forms
}
