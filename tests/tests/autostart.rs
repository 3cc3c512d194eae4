//! An agent that nobody started.

use std::time::Duration;

use anyhow::Result;
use signet_tests::Stage;

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
fn it_knows_nothing_of_the_environment_it_came_from() -> Result<()> {
    let mut stage = Stage::with_files()?;
    stage.home.set("A_SECRET_OF_THE_SHELL", "do not tell");
    stage.signet(["init", GUN])?.ok()?;
    let socket = std::os::unix::net::UnixStream::connect(&stage.home.sockets()[0])?;
    let pid = rustix::net::sockopt::socket_peercred(socket)?.pid;
    let environment = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()))?;
    let environment = String::from_utf8_lossy(&environment).into_owned();
    for word in ["do not tell", "passphrase"] {
        assert!(!environment.contains(word), "{environment:?}");
    }
    assert_eq!(std::fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero()))?, std::path::Path::new("/"));
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
    let second = stage.home.call(signet_tests::binary("signet-agent")?).finish()?;
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
