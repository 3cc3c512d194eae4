//! `key rotate`, `renew`, `publish --skip` and `--dry-run`, before the real notary-server and read by the real notary; and the
//! original failing at what ours does not.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use signet_tests::{Answer, BadServer, Call, Stage, wait_until};

const GUN: &str = "docker.io/acme/app";

/// A published collection with one target.
fn published() -> Result<Stage> {
    let stage = Stage::with_files()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", "-p", GUN, "one"])?.args([&file]).ok()?;
    Ok(stage)
}

fn rotate(stage: &Stage, args: &[&str]) -> Result<Call> {
    Ok(stage.signet(["key", "rotate", GUN])?.args(args))
}

/// The files of a trust directory's keys of a role.
fn key_files(trust: &Path, role: &str) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(trust.join("private"))? {
        let path = entry?.path();
        if fs::read_to_string(&path)?.contains(&format!("role: {role}\n")) {
            found.insert(path.file_stem().context("a name")?.to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

/// The `signed` part that the server serves of a role.
fn served(stage: &Stage, role: &str) -> Result<Value> {
    let bytes = stage.server.metadata(GUN, &format!("{role}.json"))?.context("no such metadata")?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn each_role_is_rotated_and_everybody_follows() -> Result<()> {
    let stage = published()?;
    let trust = stage.home.trust();
    let follower = stage.home.path().join("follower");
    stage.notary(&follower, ["list", GUN]).ok()?;
    let staged = stage.home.write("staged", "content")?;
    stage.signet(["add", GUN, "staged"])?.args([&staged]).ok()?;
    let targets_before = key_files(&trust, "targets")?;

    for (args, version) in [
        (&["targets"][..], 2),
        (&["snapshot"], 3),
        (&["snapshot", "--server-managed"], 4),
        (&["snapshot"], 5),
        (&["timestamp", "-r"], 6),
        (&["root", "--yes"], 7),
    ] {
        let said = format!("Successfully rotated {} key for repository {GUN}\n", args.first().context("a role")?);
        assert_eq!(rotate(&stage, args)?.ok()?.stdout, said);
        assert_eq!(stage.server.version(GUN, "root")?, version, "{args:?}");
        stage.notary(&follower, ["list", GUN]).ok()?.says(&["one"])?.never_says(&["staged"])?;
        stage.stranger(["list", GUN])?.ok()?.says(&["one"])?;
        stage.signet(["list", GUN])?.ok()?.says(&["one"])?;
    }
    let root = served(&stage, "root")?;
    assert_eq!(root.pointer("/signatures").and_then(Value::as_array).map(Vec::len), Some(2), "old and new key sign");
    assert!(key_files(&trust, "targets")?.is_disjoint(&targets_before), "the replaced key is gone");
    assert_eq!(key_files(&trust, "root")?.len(), 2, "root keys stay");
    stage.signet(["publish", GUN])?.ok()?;
    stage.notary(&follower, ["list", GUN]).ok()?.says(&["one", "staged"])?;
    Ok(())
}

#[test]
fn a_failed_rotation_loses_no_key_where_the_original_loses_it() -> Result<()> {
    // The original deletes the targets key before it asks for the root key's passphrase.
    let theirs = Stage::with_files()?;
    let trust = theirs.home.path().join("theirs");
    theirs.notary(&trust, ["init", "-p", GUN]).ok()?;
    let before = key_files(&trust, "targets")?;
    theirs.notary(&trust, ["key", "rotate", GUN, "targets"]).env("NOTARY_ROOT_PASSPHRASE", "wrong").refused()?;
    assert!(key_files(&trust, "targets")?.is_disjoint(&before), "the original has been mended: say so in the docs");

    let stage = published()?;
    let trust = stage.home.trust();
    let before = key_files(&trust, "targets")?;
    stage.signet(["agent", "stop"])?.ok()?;
    rotate(&stage, &["targets"])?.env("NOTARY_ROOT_PASSPHRASE", "wrong").refused()?.says(&["passphrase"])?;
    assert!(key_files(&trust, "targets")?.is_superset(&before));
    assert_eq!(stage.server.version(GUN, "root")?, 1);
    // A second one is not begun beside it, and the everyday work goes on.
    rotate(&stage, &["targets"])?.refused()?.says(&["not finished", "--resume", "--abort"])?;
    rotate(&stage, &["snapshot", "--resume"])?.refused()?.says(&["targets"])?;
    let file = stage.home.path().join("file");
    stage.signet(["add", "-p", GUN, "two"])?.args([&file]).ok()?;

    let made = key_files(&trust, "targets")?;
    rotate(&stage, &["targets", "--resume"])?.ok()?.says(&["Successfully rotated targets key"])?;
    assert_eq!(key_files(&trust, "targets")?, &made - &before, "finished with the key that was made first");
    stage.stranger(["list", GUN])?.ok()?.says(&["one", "two"])?;
    rotate(&stage, &["targets", "--resume"])?.refused()?.says(&["no rotation"])?;
    Ok(())
}

#[test]
fn a_rotation_that_the_server_refused_is_repeated_or_undone() -> Result<()> {
    for ending in ["--resume", "--abort"] {
        let stage = published()?;
        let trust = stage.home.trust();
        let before = key_files(&trust, "targets")?;
        for answer in ["500 Internal Server Error", "503 Service Unavailable"] {
            let refuses = move |request: &str| {
                let down = Answer::Http { status: answer, header: String::new(), body: b"down".to_vec() };
                (request.starts_with("POST") && request.ends_with("/tuf/")).then_some(down)
            };
            let front = BadServer::before(&stage.server, refuses)?;
            let through = |args: &[&str]| -> Result<Call> {
                Ok(stage
                    .home
                    .signet(["-s", &front.url(), "-d"])?
                    .args([&trust])
                    .args(["key", "rotate", GUN])
                    .args(args))
            };
            let first = answer.starts_with("500");
            through(if first { &["root", "-y"] } else { &["root", "--resume"] })?.refused()?.says(&[&answer[..3]])?;
        }
        assert_eq!(stage.server.version(GUN, "root")?, 1);
        assert!(key_files(&trust, "targets")?.is_superset(&before));
        let ended = rotate(&stage, &["root", ending])?.ok()?;
        let file = stage.home.path().join("file");
        if ending == "--resume" {
            assert_eq!(stage.server.version(GUN, "root")?, 2);
        } else {
            ended.says(&["Gave up the rotation of the root key", "stays"])?;
            assert_eq!(stage.server.version(GUN, "root")?, 1);
            let abandoned = stage.audit()?.iter().filter(|event| event.kind == "abandoned").count();
            assert_eq!(abandoned, 1);
        }
        stage.signet(["add", "-p", GUN, "two"])?.args([&file]).ok()?;
        rotate(&stage, &["root", "-y"])?.ok()?;
        stage.stranger(["list", GUN])?.ok()?.says(&["one", "two"])?;
    }
    Ok(())
}

#[test]
fn a_publish_finishes_a_rotation_that_was_signed() -> Result<()> {
    let stage = published()?;
    let trust = stage.home.trust();
    let before = key_files(&trust, "targets")?;
    let refuses = |request: &str| {
        let down = Answer::Http { status: "502 Bad Gateway", header: String::new(), body: b"down".to_vec() };
        (request.starts_with("POST") && request.ends_with("/tuf/")).then_some(down)
    };
    let front = BadServer::before(&stage.server, refuses)?;
    let rotated = stage.home.signet(["-s", &front.url(), "-d"])?.args([&trust]).args(["key", "rotate", GUN, "targets"]);
    rotated.refused()?.says(&["502"])?;
    assert!(key_files(&trust, "targets")?.is_superset(&before));
    stage.signet(["publish", GUN])?.ok()?.says(&["posting it now"])?;
    assert_eq!(stage.server.version(GUN, "root")?, 2);
    assert!(key_files(&trust, "targets")?.is_disjoint(&before), "the old key went with it");
    rotate(&stage, &["targets", "--resume"])?.refused()?.says(&["no rotation"])?;
    stage.stranger(["list", GUN])?.ok()?.says(&["one"])?;
    Ok(())
}

#[test]
fn a_rotation_that_reached_the_server_is_finished_and_not_undone() -> Result<()> {
    let stage = published()?;
    let trust = stage.home.trust();
    let before = key_files(&trust, "targets")?;
    // The server takes it, and the client never hears so.
    let posted = Arc::new(AtomicBool::new(false));
    let deaf = Arc::clone(&posted);
    let mischief = move |request: &str| {
        let is_read_back = deaf.load(Ordering::SeqCst) && request.starts_with("GET");
        if request.starts_with("POST") && request.ends_with("/tuf/") {
            deaf.store(true, Ordering::SeqCst);
        }
        is_read_back.then(|| Answer::Http { status: "502 Bad Gateway", header: String::new(), body: Vec::new() })
    };
    let front = BadServer::before(&stage.server, mischief)?;
    let through = stage.home.signet(["-s", &front.url(), "-d"])?.args([&trust]);
    through.args(["key", "rotate", GUN, "targets"]).refused()?.says(&["could not be read back"])?;
    assert_eq!(stage.server.version(GUN, "root")?, 2);
    assert!(key_files(&trust, "targets")?.is_superset(&before));
    rotate(&stage, &["targets", "--abort"])?.refused()?.says(&["is published", "--resume"])?;
    rotate(&stage, &["targets", "--resume"])?.ok()?.says(&["had reached the server"])?;
    assert!(key_files(&trust, "targets")?.is_disjoint(&before));
    assert_eq!(stage.server.version(GUN, "root")?, 2);
    stage.stranger(["list", GUN])?.ok()?.says(&["one"])?;
    Ok(())
}

#[test]
fn who_rotates_while_others_publish_disturbs_nobody() -> Result<()> {
    let stage = published()?;
    let _agent = stage.home.start_agent()?;
    let (trust, other) = (stage.home.trust(), stage.home.path().join("other"));
    stage.home.call("/bin/cp").args(["-a"]).args([&trust, &other]).ok()?;
    let file = stage.home.path().join("file");
    let names: Vec<String> = (0..6).map(|number| format!("n{number}")).collect();
    thread::scope(|scope| -> Result<()> {
        let publishing = scope.spawn(|| {
            names.iter().try_for_each(|name| stage.signet(["add", "-p", GUN, name])?.args([&file]).ok().map(drop))
        });
        for role in [&["root", "-y"][..], &["timestamp", "-r"], &["root", "-y"]] {
            stage.signet_in(&other, ["key", "rotate", GUN])?.args(role).ok()?;
        }
        publishing.join().map_err(|_| anyhow!("a publisher panicked"))?
    })?;
    assert_eq!(stage.server.version(GUN, "root")?, 4);
    let all: Vec<&str> = names.iter().map(String::as_str).chain(["one"]).collect();
    stage.stranger(["list", GUN])?.ok()?.says(&all)?;
    Ok(())
}

#[test]
fn what_init_made_is_published_before_it_is_rotated() -> Result<()> {
    let stage = Stage::with_files()?;
    stage.signet(["init", GUN])?.ok()?;
    rotate(&stage, &["snapshot", "-r"])?.ok()?;
    assert_eq!(stage.server.version(GUN, "root")?, 2);
    stage.stranger(["list", GUN])?.ok()?.says(&["No targets"])?;
    stage.signet(["key", "rotate", "docker.io/acme/other", "targets"])?.refused()?.says(&["init"])?;
    Ok(())
}

#[test]
fn roles_and_keys_that_cannot_be_rotated_are_named() -> Result<()> {
    let stage = published()?;
    for (args, words) in [
        (&["targets", "-r"][..], "does not permit the server managing the targets key"),
        (&["root", "-r"], "does not permit the server managing the root key"),
        (&["timestamp"], "does not permit the client managing the timestamp key"),
        (&["targets/releases"], "does not currently permit rotating the targets/releases key"),
        (&["nobody"], "does not currently permit rotating the nobody key"),
        (&["targets", "--to", "abcdef0"], "No key with ID abcdef0"),
        (&["targets", "--threshold", "2"], "wants 2 different keys"),
        (&["root", "--legacy", "-7", "-y"], "makes no sense"),
    ] {
        rotate(&stage, args)?.refused()?.says(&[words])?;
    }
    assert_eq!(stage.server.version(GUN, "root")?, 1);
    assert_eq!(key_files(&stage.home.trust(), "targets")?.len(), 1, "nothing was made");
    Ok(())
}

#[test]
fn a_threshold_is_kept_and_what_is_missing_is_named() -> Result<()> {
    let stage = published()?;
    let trust = stage.home.trust();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let made = stage.signet(["key", "generate", "-r", "targets", "-g", GUN])?.ok()?.stdout;
        let id = made.split("keyID: ").nth(1).and_then(|rest| rest.split_whitespace().next());
        ids.push(id.context("no key ID")?.to_owned());
    }
    rotate(&stage, &["targets", "--to", &ids.join(","), "--threshold", "2"])?.ok()?;
    let targets = served(&stage, "targets")?;
    assert_eq!(targets.pointer("/signatures").and_then(Value::as_array).map(Vec::len), Some(2));
    let file = stage.home.path().join("file");
    stage.signet(["add", "-p", GUN, "two"])?.args([&file]).ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["one", "two"])?;

    let absent = ids.last().context("a key")?;
    let path = trust.join("private").join(format!("{absent}.key"));
    let away = stage.home.path().join("away");
    fs::rename(&path, &away)?;
    stage.signet(["add", GUN, "three"])?.args([&file]).ok()?;
    let refused = stage.signet(["publish", GUN])?.refused()?;
    refused.says(&["2 keys must sign it, and 1 of them are at hand", absent])?;
    fs::rename(&away, &path)?;
    stage.signet(["publish", GUN])?.ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["three"])?;
    // Another rotation keeps the threshold, and so wants two keys.
    rotate(&stage, &["targets"])?.refused()?.says(&["wants 2 different keys"])?;
    Ok(())
}

#[test]
fn keys_from_files_take_over() -> Result<()> {
    let stage = published()?;
    let trust = stage.home.trust();
    let made = |role: &str, name: &str| -> Result<String> {
        let prefix = stage.home.path().join(name);
        let call = stage.notary(&trust, ["key", "generate", "ecdsa", "-r", role, "-o"]).args([&prefix]);
        call.env("NOTARY_DELEGATION_PASSPHRASE", "root passphrase").ok()?;
        Ok(format!("{}-key.pem", prefix.display()))
    };
    // `notary key generate -o` knows no passphrase but that of a key without a role.
    let (root, targets) = (made("root", "new-root")?, made("targets", "new-targets")?);
    let passphrase = |call: Call| call.env("NOTARY_TARGETS_PASSPHRASE", "root passphrase");
    passphrase(rotate(&stage, &["targets", "-k", &targets])?).ok()?;
    passphrase(rotate(&stage, &["root", "-y", "--key", &root])?).ok()?;
    assert_eq!(stage.server.version(GUN, "root")?, 3);
    // the same file again: the key is here, and is in use
    passphrase(rotate(&stage, &["root", "-y", "-k", &root])?).ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["one"])?;

    let plain = stage.home.path().join("plain.pem");
    let openssl = ["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"];
    stage.home.call("/usr/bin/openssl").args(openssl).args([&plain]).ok()?;
    let plain = plain.display().to_string();
    rotate(&stage, &["root", "-y", "-k", &plain])?.refused()?.says(&["only encrypted root keys"])?;
    rotate(&stage, &["targets", "-k", &plain])?.ok()?;
    let id = key_files(&trust, "snapshot")?.pop_first().context("a snapshot key")?;
    rotate(&stage, &["targets", "--to", &id])?.refused()?.says(&["its role is snapshot"])?;
    rotate(&stage, &["targets", "--rootcert", &plain])?.refused()?.says(&["only root keys"])?;
    stage.stranger(["list", GUN])?.ok()?.says(&["one"])?;
    Ok(())
}

#[test]
fn a_root_key_that_only_gets_company_keeps_its_certificate() -> Result<()> {
    let stage = published()?;
    let listed = || -> Result<BTreeSet<String>> {
        let root = served(&stage, "root")?;
        let ids = root.pointer("/signed/roles/root/keyids").and_then(Value::as_array).context("no key IDs")?;
        Ok(ids.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    };
    let first = key_files(&stage.home.trust(), "root")?.pop_first().context("a root key")?;
    let before = listed()?;
    stage.signet(["key", "generate"])?.ok()?;
    let both = key_files(&stage.home.trust(), "root")?.into_iter().collect::<Vec<_>>().join(",");
    rotate(&stage, &["root", "-y", "--to", &both])?.ok()?;
    let after = listed()?;
    assert!(after.len() == 2 && after.is_superset(&before), "{before:?} {after:?}");
    rotate(&stage, &["root", "-y", "--to", &first])?.ok()?;
    assert_eq!(listed()?, before, "alone again, it is still known by that certificate");
    rotate(&stage, &["root", "-y", "--to", &first])?.ok()?;
    assert!(listed()?.is_disjoint(&before), "the same key alone gets a new certificate");
    stage.stranger(["list", GUN])?.ok()?.says(&["one"])?;
    Ok(())
}

#[test]
fn old_clients_follow_a_root_that_older_keys_signed_too() -> Result<()> {
    let stage = published()?;
    let roots = |stage: &Stage| -> Result<usize> {
        Ok(served(stage, "root")?.pointer("/signatures").and_then(Value::as_array).map_or(0, Vec::len))
    };
    rotate(&stage, &["root", "-y"])?.ok()?;
    rotate(&stage, &["root", "-y"])?.ok()?;
    assert_eq!(roots(&stage)?, 2);
    rotate(&stage, &["root", "-y", "--legacy", "1"])?.ok()?;
    assert_eq!(roots(&stage)?, 3);
    rotate(&stage, &["root", "-y", "-l", "-1"])?.ok()?;
    assert_eq!(roots(&stage)?, 5);
    stage.stranger(["list", GUN])?.ok()?.says(&["one"])?;
    Ok(())
}

#[test]
fn expired_metadata_locks_the_original_out_and_is_renewed_by_ours() -> Result<()> {
    const SECONDS_LEFT: i64 = 30;
    const THREE_YEARS: i64 = 3 * 365 * 86_400;
    let stage = Stage::with_files()?;
    let trust = stage.home.trust();
    let file = stage.home.write("file", "content")?;
    let front = BadServer::before(&stage.server, |_| None)?;
    let past = format!("{}", SECONDS_LEFT - THREE_YEARS);
    let then = |args: &[&str]| -> Result<Call> {
        Ok(stage.home.signet(["-s", &front.url(), "-d"])?.args([&trust]).args(args).by_clock(&past))
    };
    let _agent = stage.home.start_agent()?;
    then(&["init", GUN])?.ok()?;
    then(&["add", GUN, "one"])?.args([&file]).ok()?;
    then(&["publish", GUN])?.ok()?;
    stage.signet(["list", GUN])?.ok()?.says(&["one", "nearing expiry"])?;
    let theirs = stage.home.path().join("theirs");
    wait_until("the end of targets", Duration::from_secs(60), || {
        stage.notary(&theirs, ["list", GUN]).finish().is_ok_and(|listed| listed.code != Some(0))
    })?;
    for command in [&["list", GUN][..], &["publish", GUN], &["witness", "-p", GUN, "targets"]] {
        stage.notary(&trust, command).refused()?.says(&["expired"])?;
    }
    stage.signet(["list", GUN])?.refused()?.says(&["expired", "renew"])?;

    // Who has seen nothing before is shown nothing that has expired.
    let newcomer = stage.home.path().join("newcomer");
    stage.signet_in(&newcomer, ["publish", GUN])?.refused()?.says(&["500"])?;
    stage.signet(["renew", GUN, "--dry-run"])?.ok()?.says(&["targets version 3 (now 2)", "the same content"])?;
    assert_eq!(stage.server.version(GUN, "targets")?, 2);
    let renewed = stage.signet(["renew", GUN])?.ok()?;
    renewed.says(&["Renewed for repository", "targets version 3", "snapshot version 3"])?;
    stage.notary(&theirs, ["list", GUN]).ok()?.says(&["one"])?;
    stage.signet(["renew", GUN])?.ok()?.says(&["Nothing of", "has to be renewed"])?;
    stage.signet(["renew", GUN, "targets"])?.ok()?.says(&["targets version 4"])?.never_says(&["root"])?;
    for (role, words) in
        [("timestamp", "the server signs it"), ("targets/nobody", "nothing is published"), ("x", "role")]
    {
        stage.signet(["renew", GUN, role])?.refused()?.says(&[words])?;
    }
    Ok(())
}

#[test]
fn a_change_that_fails_is_named_and_the_rest_is_published() -> Result<()> {
    let stage = published()?;
    let file = stage.home.path().join("file");
    stage.signet(["add", GUN, "two"])?.args([&file]).ok()?;
    stage.signet(["add", "-r", "targets/nobody", GUN, "bad"])?.args([&file]).ok()?;
    stage.signet(["add", GUN, "three"])?.args([&file]).ok()?;
    let refused = stage.signet(["publish", GUN])?.refused()?;
    refused.says(&["bad", "targets/nobody", "--skip 1"])?;
    stage.signet(["publish", "--skip", "7", GUN])?.refused()?.says(&["no staged change has the number 7"])?;
    stage.signet(["publish", "--skip", "1", GUN])?.ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["one", "two", "three"])?;
    stage.signet(["status", GUN])?.ok()?.says(&["bad"])?.never_says(&["two", "three"])?;
    Ok(())
}

#[test]
fn what_would_be_done_is_shown_and_nothing_is() -> Result<()> {
    let stage = published()?;
    let file = stage.home.write("new", "other content")?;
    stage.signet(["add", GUN, "one"])?.args([&file]).ok()?;
    stage.signet(["add", GUN, "two"])?.args([&file]).ok()?;
    let state = |stage: &Stage| -> Result<(String, Vec<String>)> {
        let keys = stage.signet(["key", "list"])?.ok()?.stdout;
        let records = stage.audit()?.iter().map(|event| event.kind.clone()).collect();
        Ok((keys, records))
    };
    let before = state(&stage)?;
    let shown = stage.signet(["publish", "--dry-run", GUN])?.ok()?;
    shown.says(&[
        "targets version 3 (now 2)",
        "~ target \"one\", 13 bytes",
        "+ target \"two\", 13 bytes",
        "snapshot version 3",
    ])?;
    let json = stage.signet(["publish", "--dry-run", "--json", GUN])?.ok()?.stdout;
    let plan: Value = serde_json::from_str(&json)?;
    assert_eq!(text(&plan, "/roles/0/role"), "targets");
    rotate(&stage, &["targets", "--dry-run"])?.ok()?.says(&[
        "root version 2 (now 1)",
        "a new targets key is made",
        "- key",
    ])?;
    rotate(&stage, &["snapshot", "-r", "--dry-run"])?.ok()?.says(&["the server makes a new snapshot key"])?;
    rotate(&stage, &["root", "--dry-run"])?.ok()?.says(&["the old root key signs too"])?;
    stage.signet(["publish", "--dry-run", "docker.io/acme/new"])?.ok()?.says(&["made first"])?;
    let after = state(&stage)?;
    ensure!(after == before, "a dry run did something: {before:?} {after:?}");
    assert_eq!(stage.server.version(GUN, "targets")?, 2);
    assert_eq!(stage.server.version("docker.io/acme/new", "root")?, 0);
    Ok(())
}
