//! Tokens that are absent, go and come back.

use std::time::Duration;

use anyhow::Result;
use signet_tests::{PIN, SOFTHSM_MODULE, Stage, token_table, wait_until};

const GUN: &str = "example.com/acme/app";
/// How long a person may have to wait for a token that is back.
const AGAIN: Duration = Duration::from_secs(5);

#[test]
fn the_agent_runs_without_its_token_and_says_so() -> Result<()> {
    let stage = Stage::with_files()?;
    stage.home.agent_toml(&token_table(SOFTHSM_MODULE, None))?;
    let _agent = stage.home.start_agent()?;
    stage.signet(["agent", "status"])?.ok()?.says(&["release", "absent"])?;
    let pin = stage.home.write("pin", PIN)?;
    stage.signet(["agent", "unlock", "release", "--pin-file"])?.args([&pin]).refused()?.says(&["release"])?;
    Ok(())
}

#[test]
fn a_publish_without_the_token_names_it_and_keeps_everything_staged() -> Result<()> {
    let stage = Stage::with_token()?;
    let mut agent = stage.home.start_agent()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", GUN, "first", "-p"])?.args([&file]).ok()?;
    let before = stage.server.version(GUN, "targets")?;
    agent.stop()?;
    stage.softhsm.pull()?;
    agent.restart()?;
    stage.signet(["add", GUN, "second"])?.args([&file]).ok()?;
    stage.signet(["publish", GUN])?.refused()?.says(&["release"])?;
    stage.signet(["status", GUN])?.ok()?.says(&["second"])?;
    agent.stop()?;
    stage.softhsm.put_back()?;
    agent.restart()?;
    stage.signet(["publish", GUN])?.ok()?;
    assert_eq!(stage.server.version(GUN, "targets")?, before + 1);
    Ok(())
}

#[test]
fn a_token_that_was_pulled_and_put_back_signs_again_by_itself() -> Result<()> {
    let (stage, mut served) = Stage::with_served_token()?;
    let _agent = stage.home.start_agent()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", GUN, "first", "-p"])?.args([&file]).ok()?;
    let before = stage.server.version(GUN, "targets")?;

    served.pull()?;
    stage.signet(["add", GUN, "second"])?.args([&file]).ok()?;
    stage.signet(["publish", GUN])?.refused()?.says(&["release"])?;
    assert_eq!(stage.server.version(GUN, "targets")?, before);

    served.put_back()?;
    let publish = stage.signet(["publish", GUN])?;
    wait_until("a publish after the token is back", AGAIN, || publish.ok().is_ok())?;
    stage.stranger(["list", GUN])?.ok()?.says(&["first", "second"])?;
    Ok(())
}

#[test]
fn a_token_pulled_and_put_back_between_two_signatures_is_not_even_noticed() -> Result<()> {
    let (stage, mut served) = Stage::with_served_token()?;
    let _agent = stage.home.start_agent()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", GUN, "first", "-p"])?.args([&file]).ok()?;
    // Once: a module is started anew at most once a second.
    served.pull()?;
    served.put_back()?;
    stage.signet(["add", GUN, "second", "-p"])?.args([&file]).ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["first", "second"])?;
    Ok(())
}

#[test]
fn two_tokens_serve_two_roles() -> Result<()> {
    let stage = Stage::with_files()?;
    let pin = stage.home.write("pin", PIN)?;
    let mut config = String::new();
    for (label, role) in [("offline", "root"), ("online", "targets")] {
        stage.softhsm.init_token(label, PIN)?;
        config.push_str(&format!(
            "[[token]]\nmodule = \"{SOFTHSM_MODULE}\"\nlabel = \"{label}\"\nroles = [\"{role}\"]\npin-file = \"{}\"\n",
            pin.display()
        ));
    }
    stage.home.agent_toml(&config)?;
    let _agent = stage.home.start_agent()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", GUN, "first", "-p"])?.args([&file]).ok()?;
    let keys = stage.signet(["key", "list"])?.ok()?.stdout;
    let line = |role: &str| keys.lines().find(|line| line.starts_with(role)).unwrap_or_default().to_owned();
    assert!(line("root").contains("offline"), "{keys}");
    assert!(line("targets").contains("online"), "{keys}");
    stage.stranger(["list", GUN])?.ok()?.says(&["first"])?;
    Ok(())
}
