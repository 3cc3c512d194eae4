//! An agent that nobody started.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use anyhow::Result;
use signet_tests::{Home, Stage, binary, wait_until};

const GUN: &str = "example.com/acme/app";

#[test]
fn a_command_substitution_returns_at_once_though_an_agent_was_started() -> Result<()> {
    let stage = Stage::with_files()?;
    let (url, ca, trust) = (stage.server.url(), stage.server.ca(), stage.home.trust());
    let script = format!(
        "x=$(signet -s {url} --tlscacert {} -d {} init {GUN} 2>&1); echo \"status $?, said: $x\"",
        ca.display(),
        trust.display()
    );
    let limit = Duration::from_secs(30);
    stage.home.call("/bin/sh").args(["-c", &script]).limit(limit).ok()?.says(&["status 0"])?;
    stage.signet(["agent", "status"])?.ok()?;
    Ok(())
}

#[test]
fn a_ci_step_with_inherited_pipes_ends_at_once_and_its_end_is_not_the_agents() -> Result<()> {
    let stage = Stage::with_files()?;
    let (url, ca, trust) = (stage.server.url(), stage.server.ca(), stage.home.trust());
    // A runner reads the step's output by pipes until the last writer is gone; the step passes them on.
    let step = format!(
        "exec 8>&1 9>&2; for command in init publish; do signet -s {url} --tlscacert {} -d {} $command {GUN} 2>&1 | cat || exit; done",
        ca.display(),
        trust.display()
    );
    stage.home.call("/bin/sh").args(["-c", &step]).limit(Duration::from_secs(30)).ok()?.says(&["published"])?;
    // And it ends the step's process group and session: the agent is in neither.
    let told = stage.signet(["agent", "status", "--json"])?.ok()?;
    let status: serde_json::Value = serde_json::from_str(&told.stdout)?;
    let pid = status.get("pid").and_then(serde_json::Value::as_u64).ok_or_else(|| anyhow::anyhow!("no pid"))?;
    // proc_pid_stat(5): after the name in brackets come state, parent, process group and session.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let own = pid.to_string();
    assert_eq!(after_name.get(2..4), Some([own.as_str(), own.as_str()].as_slice()), "{stat}");
    Ok(())
}

#[test]
fn the_same_agent_serves_every_command() -> Result<()> {
    let stage = Stage::with_files()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    let sockets = stage.home.sockets();
    assert_eq!(sockets.len(), 1);
    stage.signet(["add", GUN, "first", "-p"])?.args([&file]).ok()?;
    assert_eq!(stage.home.sockets(), sockets);
    stage.stranger(["list", GUN])?.ok()?.says(&["first"])?;
    Ok(())
}

#[test]
fn an_idle_agent_ends_by_itself_and_leaves_its_ledger_tidy() -> Result<()> {
    let stage = Stage::with_files()?;
    stage.signet(["agent", "start", "--idle-timeout", "1"])?.ok()?;
    stage.signet(["init", GUN])?.ok()?;
    wait_until("the end of an idle agent", Duration::from_secs(20), || stage.home.sockets().is_empty())?;
    // Everything is in the one file then: a copy of it is a backup.
    let journal = stage.home.state().join("ledger.db-wal");
    wait_until("the ledger is closed", Duration::from_secs(10), || !journal.exists())?;
    let before = stage.audit()?;
    assert!(before.iter().any(|event| event.kind == "granted" && event.role == "root"), "{before:?}");
    Ok(())
}

#[test]
fn a_command_that_meets_an_agent_at_its_end_starts_another() -> Result<()> {
    let meet = |round: u32| -> Result<()> {
        let home = Home::new()?;
        home.signet(["agent", "start", "--idle-timeout", "1"])?.ok()?;
        let begun = Instant::now();
        // From just before its end to just after it.
        let moment = Duration::from_millis(980) + Duration::from_millis(4) * round;
        wait_until("the moment", Duration::from_secs(5), || begun.elapsed() >= moment)?;
        home.signet(["-d"])?.args([home.trust()]).args(["key", "list"]).ok()?;
        Ok(())
    };
    std::thread::scope(|scope| {
        let rounds: Vec<_> = (0..12).map(|round| scope.spawn(move || meet(round))).collect();
        rounds.into_iter().try_for_each(|round| round.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?)
    })
}

#[test]
fn it_leaves_no_core_file() -> Result<()> {
    let stage = Stage::with_files()?;
    let agent = stage.home.start_agent()?;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", agent.pid()))?;
    let core: Vec<&str> = limits.lines().filter(|line| line.starts_with("Max core file size")).collect();
    let words: Vec<&str> = core.iter().flat_map(|line| line.split_whitespace()).skip(4).collect();
    assert_eq!(words, ["0", "0", "bytes"], "{limits}");
    Ok(())
}

#[test]
fn it_knows_nothing_of_the_environment_it_came_from() -> Result<()> {
    let mut stage = Stage::with_files()?;
    // A program in the agent's place writes down how it was started, and becomes the agent.
    let witness = stage.home.path().join("witness");
    let programs = stage.home.path().join("programs");
    std::fs::create_dir(&programs)?;
    std::fs::copy(binary("signet")?, programs.join("signet"))?;
    let script = format!(
        "#!/bin/sh\n{{ env; pwd -P; readlink /proc/self/fd/*; }} >{} 2>/dev/null\nexec {} \"$@\"\n",
        witness.display(),
        binary("signet-agent")?.display()
    );
    let agent = stage.home.write("programs/signet-agent", script)?;
    std::fs::set_permissions(agent, std::fs::Permissions::from_mode(0o700))?;
    stage.home.set("A_SECRET_OF_THE_SHELL", "do not tell");
    let url = stage.server.url();
    let open = stage.home.write("open-file", "")?;
    let command = format!(
        "exec 7<{}; {}/signet -s {url} --tlscacert {} -d {} init {GUN}",
        open.display(),
        programs.display(),
        stage.server.ca().display(),
        stage.home.trust().display()
    );
    stage.home.call("/bin/sh").args(["-c", &command]).ok()?;

    let seen = std::fs::read_to_string(witness)?;
    assert!(seen.contains("XDG_RUNTIME_DIR="), "the witness saw nothing: {seen}");
    for word in ["do not tell", "passphrase", "open-file"] {
        assert!(!seen.contains(word), "{word:?} came through:\n{seen}");
    }
    assert!(seen.lines().any(|line| line == "/"), "it does not stand in /:\n{seen}");
    Ok(())
}

#[test]
fn an_agent_that_has_just_started_knows_its_token() -> Result<()> {
    let stage = Stage::with_token()?;
    stage.signet(["init", GUN])?.ok()?;
    for round in 0..4 {
        stage.signet(["agent", "stop"])?.ok()?;
        let file = stage.home.write("file", format!("content {round}"))?;
        stage.signet(["add", GUN, "first", "-p"])?.args([&file]).ok()?;
    }
    Ok(())
}

#[test]
fn start_status_stop() -> Result<()> {
    let stage = Stage::with_files()?;
    stage.signet(["agent", "start"])?.ok()?;
    stage.signet(["agent", "status"])?.ok()?;
    stage.signet(["agent", "stop"])?.ok()?;
    assert!(stage.home.sockets().iter().all(|socket| std::os::unix::net::UnixStream::connect(socket).is_err()));
    Ok(())
}

#[test]
fn a_second_agent_names_the_first() -> Result<()> {
    let stage = Stage::with_files()?;
    let agent = stage.home.start_agent()?;
    let second = stage.home.call(binary("signet-agent")?).finish()?;
    assert_ne!(second.code, Some(0), "{second}");
    second.says(&[&agent.pid().to_string()])?;
    Ok(())
}

#[test]
fn a_named_agent_that_does_not_answer_is_not_replaced() -> Result<()> {
    let stage = Stage::with_files()?;
    let nowhere = stage.home.path().join("nowhere.sock");
    let named = format!("unix:{}", nowhere.display());
    stage.signet(["--agent", &named, "init", GUN])?.refused()?.says(&["nowhere.sock"])?;
    stage.signet(["init", GUN])?.env("SIGNET_AGENT", &named).refused()?.says(&["nowhere.sock"])?;
    assert!(stage.home.sockets().is_empty());
    Ok(())
}
