//! Rotations and publications that stop half-way: what is finished, undone or withheld is that and nothing else.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use signet_tests::{Answer, BadServer, Call, Desk, Stage, yubikey_table};

const GUN: &str = "docker.io/acme/app";

/// A published collection with one target.
fn published() -> Result<Stage> {
    let stage = Stage::with_files()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", "-p", GUN, "one"])?.args([&file]).ok()?;
    Ok(stage)
}

/// Stands before the server and answers every publication so.
fn refusing(stage: &Stage, status: &'static str) -> Result<BadServer> {
    BadServer::before(&stage.server, move |request: &str| {
        let down = Answer::Http { status, header: String::new(), body: b"down".to_vec() };
        (request.starts_with("POST") && request.ends_with("/tuf/")).then_some(down)
    })
}

fn through(stage: &Stage, front: &BadServer, args: &[&str]) -> Result<Call> {
    Ok(stage.home.signet(["-s", &front.url(), "-d"])?.args([&stage.home.trust()]).args(args))
}

fn add(stage: &Stage, name: &str) -> Result<()> {
    let file = stage.home.path().join("file");
    stage.signet(["add", GUN, name])?.args([&file]).ok().map(drop)
}

fn abandoned(stage: &Stage) -> Result<usize> {
    Ok(stage.audit()?.iter().filter(|event| event.kind == "abandoned").count())
}

fn root_signatures(stage: &Stage) -> Result<usize> {
    let root: Value = serde_json::from_slice(&stage.server.metadata(GUN, "root.json")?.context("no root")?)?;
    Ok(root.pointer("/signatures").and_then(Value::as_array).map_or(0, Vec::len))
}

#[test]
fn what_is_skipped_stays_even_if_an_earlier_publish_has_signed_it() -> Result<()> {
    for (skip, stays, goes) in [("0", "two", ["three", "four"]), ("2", "four", ["two", "three"])] {
        let stage = published()?;
        add(&stage, "two")?;
        let front = refusing(&stage, "502 Bad Gateway")?;
        through(&stage, &front, &["publish", GUN])?.refused()?.says(&["is kept"])?;
        add(&stage, "three")?;
        add(&stage, "four")?;
        stage.signet(["publish", GUN, "--skip", skip])?.ok()?;
        stage.stranger(["list", GUN])?.ok()?.says(&goes)?.never_says(&[stays])?;
        stage.signet(["status", GUN])?.ok()?.says(&[stays])?.never_says(&goes)?;
    }
    Ok(())
}

#[test]
fn a_rotation_of_which_nothing_was_signed_is_undone() -> Result<()> {
    let stage = Stage::with_files()?;
    let desk = Desk::new(&stage.home, 2)?;
    let yubikey = desk.insert_set_up(&stage, 0, 4711)?;
    stage.signet(["agent", "stop"])?.ok()?;
    stage.home.agent_toml(&yubikey_table(&stage.home, 4711, &["root"]))?;
    stage.home.write("file", "content")?;
    stage.signet(["init", "-p", GUN])?.ok()?;
    yubikey.rest_finger(false);
    yubikey.set_patience(Duration::from_secs(1));
    stage.signet(["key", "rotate", GUN, "targets"])?.refused()?.says(&["was not touched in time"])?;
    yubikey.rest_finger(true);
    stage.signet(["key", "rotate", GUN, "targets", "--abort"])?.ok()?.says(&["Gave up the rotation"])?;
    add(&stage, "two")?;
    stage.signet(["publish", GUN])?.ok()?;
    stage.signet(["key", "rotate", GUN, "targets"])?.ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["two"])?;
    Ok(())
}

#[test]
fn who_undoes_a_rotation_leaves_the_roots_of_others_alone() -> Result<()> {
    let stage = published()?;
    let other = stage.home.path().join("other");
    stage.home.call("/bin/cp").args(["-a"]).args([&stage.home.trust(), &other]).ok()?;
    stage.signet(["agent", "stop"])?.ok()?;
    stage.signet(["key", "rotate", GUN, "targets"])?.env("NOTARY_ROOT_PASSPHRASE", "wrong").refused()?;
    let front = refusing(&stage, "502 Bad Gateway")?;
    let theirs = stage.home.signet(["-s", &front.url(), "-d"])?.args([&other]);
    theirs.args(["key", "rotate", GUN, "timestamp", "-r"]).refused()?;

    stage.signet(["key", "rotate", GUN, "targets", "--abort"])?.ok()?;
    assert_eq!(abandoned(&stage)?, 0, "the root that was signed is the other's");
    stage.signet_in(&other, ["key", "rotate", GUN, "timestamp", "--resume"])?.ok()?;
    assert_eq!(stage.server.version(GUN, "root")?, 2);
    stage.signet(["key", "rotate", GUN, "targets"])?.ok()?;
    assert_eq!(stage.server.version(GUN, "root")?, 3);
    stage.stranger(["list", GUN])?.ok()?.says(&["one"])?;
    Ok(())
}

#[test]
fn what_was_undone_is_never_published() -> Result<()> {
    for ledger_is_lost in [false, true] {
        let stage = published()?;
        let front = refusing(&stage, "502 Bad Gateway")?;
        through(&stage, &front, &["key", "rotate", GUN, "targets"])?.refused()?;
        if ledger_is_lost {
            stage.signet(["agent", "stop"])?.ok()?;
            fs::rename(stage.home.state(), stage.home.path().join("lost"))?;
        }
        stage.signet(["key", "rotate", GUN, "targets", "--abort"])?.ok()?;
        add(&stage, "two")?;
        stage.signet(["publish", GUN])?.ok()?.never_says(&["posting it now"])?;
        assert_eq!(stage.server.version(GUN, "root")?, 1);
        stage.stranger(["list", GUN])?.ok()?.says(&["one", "two"])?;
    }
    Ok(())
}

#[test]
fn a_rotation_is_finished_days_later_with_the_same_root() -> Result<()> {
    let stage = published()?;
    let _agent = stage.home.start_agent()?;
    let front = refusing(&stage, "400 Bad Request")?;
    through(&stage, &front, &["key", "rotate", GUN, "targets"])?.refused()?;
    add(&stage, "two")?;
    stage.signet(["publish", GUN])?.ok()?;
    // Without TLS, since the certificates of the stage live for a day.
    let plain = BadServer::before(&stage.server, |_| None)?;
    through(&stage, &plain, &["key", "rotate", GUN, "targets", "--resume"])?.by_clock("+5d").ok()?;
    assert_eq!(stage.server.version(GUN, "root")?, 2);
    let granted = stage.audit()?.into_iter().filter(|event| event.kind == "granted" && event.role == "root");
    let second: std::collections::BTreeSet<String> =
        granted.filter(|event| event.version == 2).map(|event| event.digest).collect();
    assert_eq!(second.len(), 1, "version 2 of root has one content");
    stage.stranger(["list", GUN])?.ok()?.says(&["one", "two"])?;
    Ok(())
}

#[test]
fn a_deleted_collection_takes_its_rotation_with_it() -> Result<()> {
    let stage = published()?;
    stage.signet(["agent", "stop"])?.ok()?;
    stage.signet(["key", "rotate", GUN, "targets"])?.env("NOTARY_ROOT_PASSPHRASE", "wrong").refused()?;
    stage.signet(["delete", "--remote", GUN])?.ok()?.says(&["a rotation that is not finished"])?;
    stage.signet(["init", "-p", GUN, "--new-collection"])?.ok()?;
    stage.signet(["key", "rotate", GUN, "snapshot"])?.ok()?;

    // Deleted by somebody else, it can still be undone here.
    stage.signet(["agent", "stop"])?.ok()?;
    stage.signet(["key", "rotate", GUN, "targets"])?.env("NOTARY_ROOT_PASSPHRASE", "wrong").refused()?;
    let other = stage.home.path().join("other");
    stage.signet_in(&other, ["delete", "--remote", GUN])?.ok()?;
    stage.signet(["key", "rotate", GUN, "targets", "--abort"])?.ok()?;
    Ok(())
}

#[test]
fn one_key_named_twice_is_one_key() -> Result<()> {
    let stage = published()?;
    let made = stage.signet(["key", "generate", "-r", "targets", "-g", GUN])?.ok()?.stdout;
    let id = made.split("keyID: ").nth(1).and_then(|rest| rest.split_whitespace().next()).context("no key ID")?;
    let twice = format!("{id},{}", id.get(..10).context("a long ID")?);
    let rotate = ["key", "rotate", GUN, "targets", "--to", &twice];
    stage.signet(rotate)?.args(["--threshold", "2"]).refused()?.says(&["wants 2 different keys"])?;
    stage.signet(rotate)?.ok()?;
    let root: Value = serde_json::from_slice(&stage.server.metadata(GUN, "root.json")?.context("no root")?)?;
    assert_eq!(root.pointer("/signed/roles/targets/keyids").and_then(Value::as_array).map(Vec::len), Some(1));
    Ok(())
}

#[test]
fn older_keys_sign_the_root_of_every_rotation_that_asks_for_it() -> Result<()> {
    for program in ["ours", "theirs"] {
        let stage = published()?;
        stage.signet(["key", "rotate", GUN, "root", "-y"])?.ok()?;
        stage.signet(["key", "rotate", GUN, "root", "-y"])?.ok()?;
        let args = ["key", "rotate", GUN, "targets", "-l", "-1"];
        match program {
            "ours" => stage.signet(args)?.ok()?,
            _ => stage.notary(&stage.home.trust(), args).ok()?,
        };
        assert_eq!(root_signatures(&stage)?, 3, "{program}");
        stage.stranger(["list", GUN])?.ok()?.says(&["one"])?;
    }
    Ok(())
}

#[test]
fn a_key_file_is_not_taken_in_for_a_rotation_that_cannot_be() -> Result<()> {
    let stage = published()?;
    let prefix = stage.home.path().join("new");
    let made = stage.notary(&stage.home.trust(), ["key", "generate", "ecdsa", "-r", "targets", "-o"]).args([&prefix]);
    made.env("NOTARY_DELEGATION_PASSPHRASE", "targets passphrase").ok()?;
    let before = stage.signet(["key", "list"])?.ok()?.stdout;
    let file = format!("{}-key.pem", prefix.display());
    let rotate = |gun: &str| stage.signet(["key", "rotate", gun, "targets", "-k", &file]);
    rotate("docker.io/acme/nobody")?.refused()?;
    rotate(GUN)?.args(["--threshold", "2"]).refused()?;
    assert_eq!(stage.signet(["key", "list"])?.ok()?.stdout, before);
    Ok(())
}

#[test]
fn a_root_near_its_end_hinders_nobody_who_cannot_renew_it() -> Result<()> {
    let stage = Stage::with_files()?;
    let file = stage.home.write("file", "content")?;
    let front = BadServer::before(&stage.server, |_| None)?;
    // Ten years less a hundred days ago.
    let long_ago = "-3550d";
    let agent = stage.home.call(stage.home.program("signet-agent")?).by_clock(long_ago);
    let mut agent = stage.home.start_agent_as(agent)?;
    through(&stage, &front, &["init", GUN])?.by_clock(long_ago).ok()?;
    agent.stop()?;
    let _agent = stage.home.start_agent()?;
    let private = stage.home.trust().join("private");
    let is_root = |path: &std::path::Path| fs::read_to_string(path).is_ok_and(|text| text.contains("role: root\n"));
    let mut files = fs::read_dir(&private)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|path| is_root(path));
    fs::rename(files.first().context("a root key")?, stage.home.path().join("root.key"))?;
    stage.signet(["add", "-p", GUN, "one"])?.args([&file]).ok()?.says(&["nearing expiry"])?;
    let before = stage.server.version(GUN, "snapshot")?;
    stage.signet(["publish", GUN])?.ok()?;
    assert_eq!(stage.server.version(GUN, "snapshot")?, before, "there was nothing to publish");
    stage.signet(["add", "-p", GUN, "two"])?.args([&file]).ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["one", "two"])?;
    Ok(())
}

#[test]
fn a_damaged_outbox_or_rotation_hides_nothing_that_is_staged() -> Result<()> {
    let stage = published()?;
    add(&stage, "two")?;
    let collection = stage.home.trust().join("tuf").join(GUN);
    for name in ["outbox", ".signet.rotation"] {
        fs::write(collection.join(name), "damaged")?;
        stage.signet(["status", GUN])?.ok()?.says(&["two", "is damaged"])?;
        stage.signet(["publish", "--dry-run", GUN])?.ok()?.says(&["+ target \"two\""])?;
        fs::remove_file(collection.join(name))?;
    }
    Ok(())
}
