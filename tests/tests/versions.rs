//! Client and agent of different versions.

use anyhow::{Context, Result};
use signet_tests::{OtherAgent, Stage, binary};

const GUN: &str = "example.com/acme/app";
const OTHER_VERSION: &str = "9.8.7";

#[test]
fn another_version_of_the_agent_is_said_by_every_command_that_needs_it() -> Result<()> {
    let stage = Stage::with_files()?;
    let named = other_agent(&stage)?;
    let ours = env!("CARGO_PKG_VERSION");
    for args in [&["init", GUN][..], &["key", "list"], &["agent", "status"]] {
        let told = stage.signet(args)?.env("SIGNET_AGENT", &named.0).finish()?;
        assert_ne!((args[0], told.code), ("init", Some(0)), "{told}");
        told.says(&[OTHER_VERSION, ours, "signet agent stop"])?.never_says(&["panicked"])?;
    }
    Ok(())
}

#[test]
fn what_an_agent_of_another_version_does_not_serve_is_refused_plainly() -> Result<()> {
    let stage = Stage::with_files()?;
    let named = other_agent(&stage)?;
    let told = stage.signet(["key", "list"])?.env("SIGNET_AGENT", &named.0).refused()?;
    told.says(&["signet-agent"])?.never_says(&["Unimplemented"])?;
    Ok(())
}

#[test]
fn the_same_version_is_nothing_to_talk_about() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    for args in [&["init", GUN][..], &["key", "list"]] {
        stage.signet(args)?.ok()?.never_says(&["version"])?;
    }
    Ok(())
}

#[test]
fn both_programs_tell_the_same_version() -> Result<()> {
    let stage = Stage::with_files()?;
    let ours = env!("CARGO_PKG_VERSION");
    stage.home.signet(["--version"])?.ok()?.says(&[ours])?;
    stage.home.call(binary("signet-agent")?).args(["--version"]).ok()?.says(&[ours])?;
    let _agent = stage.home.start_agent()?;
    stage.signet(["agent", "status", "--json"])?.ok()?.says(&[&format!("\"version\":\"{ours}\"")])?;
    Ok(())
}

/// The agent, and how a client names it.
fn other_agent(stage: &Stage) -> Result<(String, OtherAgent)> {
    let socket = stage.home.runtime().join("other.sock");
    let agent = OtherAgent::start(&socket, OTHER_VERSION)?;
    Ok((format!("unix:{}", socket.to_str().context("UTF-8")?), agent))
}
