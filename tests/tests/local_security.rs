//! What other users of the machine, and other programs of the same user, can and cannot do.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::process::Signal;
use signet_proto::v1;
use signet_proto::v1::signing_client::SigningClient;
use signet_proto::v1::tokens_client::TokensClient;
use signet_tests::{Home, Mount, Mounts, PIN, SOFTHSM_MODULE, Stage, Wire, wait_until};
use tonic::transport::Channel;

const GUN: &str = "example.com/acme/app";
/// Debian's `nobody`.
const NOBODY: u32 = 65534;
/// What the agent's HTTP/2 says at trace level about every frame that reaches it.
const FRAME_CAME: &str = "framed_read: received";

// --- the socket

#[test]
fn a_socket_directory_that_others_could_use_is_refused_by_client_and_agent() -> Result<()> {
    let stage = Stage::with_files()?;
    let runtime = stage.home.runtime();
    let elsewhere = stage.home.path().join("elsewhere");
    fs::create_dir(&elsewhere)?;
    fs::set_permissions(&elsewhere, Permissions::from_mode(0o700))?;
    let refused = || -> Result<()> {
        let place = runtime.to_str().context("UTF-8")?;
        stage.signet(["init", GUN])?.refused()?.says(&[place])?.never_says(&["passphrase"])?;
        let agent = stage.home.call(stage.home.program("signet-agent")?).finish()?;
        assert_ne!(agent.code, Some(0), "{agent}");
        agent.says(&[place])?;
        assert!(stage.home.sockets().is_empty());
        Ok(())
    };
    symlink(&elsewhere, &runtime)?;
    refused().context("a symbolic link")?;
    fs::remove_file(&runtime)?;
    fs::write(&runtime, "")?;
    refused().context("a file")?;
    fs::remove_file(&runtime)?;
    for mode in [0o755, 0o770, 0o777, 0o1777] {
        fs::create_dir(&runtime)?;
        fs::set_permissions(&runtime, Permissions::from_mode(mode))?;
        refused().with_context(|| format!("mode {mode:o}"))?;
        fs::remove_dir(&runtime)?;
    }
    stage.signet(["init", GUN])?.ok()?;
    Ok(())
}

#[test]
fn a_socket_directory_of_another_user_is_refused_by_client_and_agent() -> Result<()> {
    let stage = Stage::with_files()?;
    let runtime = stage.home.runtime();
    fs::create_dir(&runtime)?;
    fs::set_permissions(&runtime, Permissions::from_mode(0o700))?;
    std::os::unix::fs::chown(&runtime, Some(NOBODY), None).context("this story plays two users: run it as root")?;
    let words = [runtime.to_str().context("UTF-8")?, "belongs to"];
    stage.signet(["init", GUN])?.refused()?.says(&words)?;
    let agent = stage.home.call(stage.home.program("signet-agent")?).finish()?;
    assert_ne!(agent.code, Some(0), "{agent}");
    agent.says(&words)?;
    Ok(())
}

#[test]
fn an_agent_of_another_user_is_told_nothing() -> Result<()> {
    let stage = Stage::with_files()?;
    let mut theirs = Home::new()?;
    theirs.set("SIGNET_LOG", "trace");
    theirs.give_to(NOBODY)?;
    let agent = theirs.start_agent()?;
    let socket = theirs.sockets().first().context("no socket")?.clone();
    // In a directory like /tmp anybody can leave a name that leads there.
    let common = stage.home.path().join("common");
    fs::create_dir(&common)?;
    fs::set_permissions(&common, Permissions::from_mode(0o1777))?;
    let bait = common.join("agent.sock");
    symlink(&socket, &bait)?;
    for named in [&bait, &socket] {
        let address = format!("unix:{}", named.display());
        let told = stage.signet(["init", GUN])?.env("SIGNET_AGENT", &address).refused()?;
        told.says(&["65534", "nothing was sent", named.to_str().context("UTF-8")?])?;
    }
    // It has met a connection, and not one frame on it.
    let log = agent.log();
    assert!(log.contains("connection accepted") && !log.contains(FRAME_CAME), "{log}");
    // Its own user is heard, so that the log could have shown it.
    theirs.signet(["agent", "status"])?.ok()?;
    wait_until("the log of a request", std::time::Duration::from_secs(5), || agent.log().contains(FRAME_CAME))
}

#[test]
fn an_agent_serves_nobody_but_its_user() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    let socket = stage.home.sockets().first().context("no socket")?.clone();
    // As if the directory had been opened by mistake.
    fs::set_permissions(stage.home.path(), Permissions::from_mode(0o755))?;
    fs::set_permissions(stage.home.path().join("run"), Permissions::from_mode(0o755))?;
    fs::set_permissions(stage.home.runtime(), Permissions::from_mode(0o755))?;
    let mut theirs = Home::new()?;
    theirs.give_to(NOBODY)?;
    let address = format!("unix:{}", socket.display());
    theirs.signet(["--agent", &address, "key", "list"])?.refused()?.says(&[socket.to_str().context("UTF-8")?])?;
    Ok(())
}

// --- files that say what to load

#[test]
fn an_agent_toml_beside_a_trust_directory_is_ignored() -> Result<()> {
    let stage = Stage::with_files()?;
    let trust = stage.home.trust();
    fs::create_dir(&trust)?;
    fs::set_permissions(&trust, Permissions::from_mode(0o700))?;
    let evil = "[[token]]\nmodule = \"/tmp/evil.so\"\nlabel = \"evil\"\n";
    for place in
        ["agent.toml", "signet/agent.toml", ".signet/agent.toml", "trust/agent.toml", "trust/signet/agent.toml"]
    {
        stage.home.write(place, evil)?;
    }
    stage.signet(["init", GUN])?.directory(&trust).ok()?;
    stage.signet(["agent", "status"])?.ok()?.says(&["defaults", "No tokens"])?.never_says(&["evil"])?;
    // In the place that counts it is read: the story could have failed.
    stage.signet(["agent", "stop"])?.ok()?;
    stage.home.agent_toml(evil)?;
    stage.signet(["key", "list"])?.refused()?.says(&["/tmp/evil.so"])?;
    Ok(())
}

#[test]
fn a_configuration_that_others_may_change_is_refused() -> Result<()> {
    let stage = Stage::with_files()?;
    let path = stage.home.agent_toml("[agent]\nidle-timeout-seconds = 5\n")?;
    for mode in [0o660, 0o602, 0o666] {
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        stage.signet(["init", GUN])?.refused()?.says(&[path.to_str().context("UTF-8")?, "chmod"])?;
    }
    fs::set_permissions(&path, Permissions::from_mode(0o644))?;
    stage.signet(["init", GUN])?.ok()?;
    Ok(())
}

#[test]
fn a_module_is_loaded_only_from_where_nobody_else_can_write() -> Result<()> {
    let stage = Stage::with_files()?;
    stage.softhsm.init_token("release", PIN)?;
    // In a user namespace that somebody else makes, the directory / belongs to nobody.
    anyhow::ensure!(rustix::process::geteuid().is_root(), "this story needs a / that belongs to root: run it as root");
    // A directory that is not below /tmp, where everybody can write.
    let mounts = Mounts::new(&stage.home, &[Mount::Disk { at: Path::new("/mnt"), bytes: 16 << 20 }])?;
    let seen = |path: &str| mounts.seen(Path::new(path));
    fs::create_dir_all(seen("/mnt/opt/lib"))?;
    fs::copy(SOFTHSM_MODULE, seen("/mnt/opt/lib/module.so"))?;
    symlink("/mnt/opt/lib/module.so", seen("/mnt/link.so"))?;
    for module in ["/mnt/opt/lib/module.so", "/mnt/link.so"] {
        stage.home.agent_toml(&format!("[[token]]\nmodule = \"{module}\"\nlabel = \"release\"\n"))?;
        for (what, usual) in
            [("/mnt/opt/lib/module.so", 0o644), ("/mnt/opt/lib", 0o755), ("/mnt/opt", 0o755), ("/mnt", 0o755)]
        {
            for extra in [0o020, 0o002, 0o1002] {
                fs::set_permissions(seen(what), Permissions::from_mode(usual | extra))?;
                let agent = mounts.inside(&stage.home.call(stage.home.program("signet-agent")?)).finish()?;
                assert_ne!(agent.code, Some(0), "{what} {extra:o}: {agent}");
                agent.says(&[module, "can be written by others"])?;
            }
            fs::set_permissions(seen(what), Permissions::from_mode(usual))?;
        }
        let call = mounts.inside(&stage.home.call(stage.home.program("signet-agent")?));
        stage.home.start_agent_as(call)?.stop()?;
    }
    Ok(())
}

#[test]
fn a_trust_directory_that_others_may_change_gives_no_keys() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    stage.signet(["init", GUN])?.ok()?;
    let trust = stage.home.trust();
    let key = trust.join("private").join(format!("{}.key", targets_key(&stage)?));
    for (path, usual) in [(trust.clone(), 0o700), (trust.join("private"), 0o700), (key, 0o600)] {
        for extra in [0o020, 0o002] {
            fs::set_permissions(&path, Permissions::from_mode(usual | extra))?;
            let told = stage.signet(["publish", GUN])?.refused()?;
            told.says(&[path.to_str().context("UTF-8")?, "chmod"]).with_context(|| format!("{extra:o}"))?;
        }
        fs::set_permissions(&path, Permissions::from_mode(usual))?;
    }
    stage.signet(["publish", GUN])?.ok()?;
    Ok(())
}

// --- what a process shows of its secrets

#[test]
fn an_agent_that_was_started_on_the_way_shows_no_passphrase() -> Result<()> {
    let mut stage = Stage::with_files()?;
    stage.home.set("SIGNET_LOG", "trace");
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", GUN, "first", "-p"])?.args([&file]).ok()?;
    let status = stage.signet(["agent", "status", "--json"])?.ok()?;
    let pid = serde_json::from_str::<serde_json::Value>(&status.stdout)?;
    let pid = pid.get("pid").and_then(serde_json::Value::as_u64).context("a pid")?;
    let log = fs::read(stage.home.state().join("agent.log"))?;
    assert!(log.len() > 10_000, "this is no log of trace level");
    let mut places = vec![("log".to_owned(), log)];
    for place in ["environ", "cmdline"] {
        match fs::read(format!("/proc/{pid}/{place}")) {
            // To anybody but root it is not shown at all.
            Err(error) if place == "environ" && error.kind() == std::io::ErrorKind::PermissionDenied => {}
            shown => places.push((place.to_owned(), shown?)),
        }
    }
    for entry in fs::read_dir(stage.home.state())? {
        let path = entry?.path();
        places.push((path.display().to_string(), fs::read(&path)?));
    }
    for (place, bytes) in places {
        for secret in ["root passphrase", "targets passphrase", "snapshot passphrase", "NOTARY_"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret:?} is in the agent's {place}");
        }
    }
    Ok(())
}

#[test]
fn no_other_program_of_the_same_user_looks_into_the_agent() -> Result<()> {
    let mut home = Home::new()?;
    // Root may look into every process; anybody else is who this is about.
    if rustix::process::geteuid().is_root() {
        home.give_to(NOBODY)?;
    }
    let agent = home.start_agent()?;
    let pid = agent.pid().to_string();
    let environ = format!("/proc/{pid}/environ");
    home.call("/bin/cat").args([&environ]).refused()?.says(&["Permission denied"])?;
    home.call("/bin/cat").args([format!("/proc/{pid}/mem")]).refused()?.says(&["Permission denied"])?;
    let traced = home.call("/usr/bin/strace").args(["-p", &pid]).refused()?;
    traced.says(&["Operation not permitted"])?;
    // A process that does not defend itself shows its environment.
    let log = home.path().join("sleep.log");
    let sleeper = home.call("/bin/sleep").args(["60"]).background(&log)?;
    let shown = || home.call("/bin/cat").args([format!("/proc/{}/environ", sleeper.pid())]).finish();
    wait_until("sleep shows its environment", std::time::Duration::from_secs(5), || {
        shown().is_ok_and(|told| told.stdout.contains("XDG_RUNTIME_DIR"))
    })
}

#[test]
fn an_agent_that_crashes_leaves_no_core() -> Result<()> {
    let home = Home::new()?;
    let mut agent = home.start_agent()?;
    let status = agent.end_by(Signal::ABORT)?;
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()), "{status}");
    assert!(!status.core_dumped(), "{status}");
    Ok(())
}

// --- an unlock is for one connection

#[test]
fn a_connection_does_not_profit_from_what_another_has_unlocked() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    let wire = Wire::prepare(&stage, GUN)?;
    let (trust, key) = (stage.home.trust().to_str().context("UTF-8")?.to_owned(), targets_key(&stage)?);
    let request = |version: u64, name: &str| v1::SignRequest {
        trust_dir: trust.clone(),
        ..wire.request(wire.targets(version, name))
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let (ours, other) = (wire.connect().await?, wire.connect().await?);
        let locked = SigningClient::new(ours.clone()).sign(request(3, "a")).await.expect_err("it is locked");
        assert!(locked.message().contains("locked"), "{locked}");
        unlock(&ours, &trust, &key, "targets passphrase").await?;
        let refused = SigningClient::new(other.clone()).sign(request(3, "b")).await.expect_err("not its unlock");
        assert_eq!(refused.code(), locked.code(), "{refused}");
        SigningClient::new(ours.clone()).sign(request(3, "a")).await?;
        drop(ours);
        let late =
            SigningClient::new(wire.connect().await?).sign(request(4, "c")).await.expect_err("it is locked again");
        assert_eq!(late.code(), locked.code(), "{late}");
        Ok(())
    })
}

async fn unlock(channel: &Channel, trust_dir: &str, key: &str, passphrase: &str) -> Result<()> {
    let request = v1::UnlockRequest {
        what: Some(v1::unlock_request::What::Key(key.to_owned())),
        trust_dir: trust_dir.to_owned(),
        secret: passphrase.as_bytes().to_vec(),
        scope: v1::UnlockScope::Connection.into(),
        spend_last_try: false,
    };
    TokensClient::new(channel.clone()).unlock(request).await?;
    Ok(())
}

/// The ID of the file with the targets key.
fn targets_key(stage: &Stage) -> Result<String> {
    for entry in fs::read_dir(stage.home.trust().join("private"))? {
        let path = entry?.path();
        if fs::read_to_string(&path)?.contains("role: targets") {
            return Ok(path.file_stem().context("a name")?.to_string_lossy().into_owned());
        }
    }
    anyhow::bail!("no targets key")
}
