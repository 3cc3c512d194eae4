//! Ten people, one version.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use signet_tests::{PIN, SOFTHSM_MODULE, Stage};

const GUN: &str = "example.com/acme/app";
const CLIENTS: usize = 10;

#[test]
fn ten_clients_race_for_one_version_and_none_is_signed_twice() -> Result<()> {
    let stage = shared_token()?;
    let _agent = stage.home.start_agent()?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["publish", GUN])?.ok()?;

    let told = race(&stage, |client| stage.home.path().join(format!("trust-{client}")))?;
    assert_one_content_per_version(&stage)?;
    // Whoever was refused still has it staged and gets it out now.
    for (client, published) in told.iter().enumerate() {
        if !published {
            let trust = stage.home.path().join(format!("trust-{client}"));
            stage.signet_in(&trust, ["status", GUN])?.ok()?.says(&[&name_of(client)])?;
            stage.signet_in(&trust, ["publish", GUN])?.ok()?;
        }
    }
    let names: Vec<String> = (0..CLIENTS).map(name_of).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    stage.stranger(["list", GUN])?.ok()?.says(&names)?;
    Ok(())
}

#[test]
fn ten_clients_share_one_trust_directory_and_lose_nothing() -> Result<()> {
    let stage = shared_token()?;
    let _agent = stage.home.start_agent()?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["publish", GUN])?.ok()?;
    race(&stage, |_| stage.home.trust())?;
    assert_one_content_per_version(&stage)?;
    stage.signet(["publish", GUN])?.ok()?;
    let names: Vec<String> = (0..CLIENTS).map(name_of).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    stage.stranger(["list", GUN])?.ok()?.says(&names)?;
    Ok(())
}

/// All keys on the token, so that a client needs nothing but the agent.
fn shared_token() -> Result<Stage> {
    let stage = Stage::with_files()?;
    stage.softhsm.init_token("release", PIN)?;
    let pin = stage.home.write("pin", PIN)?;
    stage.home.agent_toml(&format!(
        "[[token]]\nmodule = \"{SOFTHSM_MODULE}\"\nlabel = \"release\"\n\
         roles = [\"root\", \"targets\", \"snapshot\"]\npin-file = \"{}\"\n",
        pin.display()
    ))?;
    Ok(stage)
}

fn name_of(client: usize) -> String {
    format!("from-client-{client}-")
}

/// Who was told that it is published; everybody else must have had a plain answer.
fn race(stage: &Stage, trust: impl Fn(usize) -> std::path::PathBuf) -> Result<Vec<bool>> {
    let mut calls = Vec::new();
    for client in 0..CLIENTS {
        let file = stage.home.write(&format!("file-{client}"), format!("content {client}"))?;
        calls.push(stage.signet_in(&trust(client), ["add", GUN, &name_of(client), "-p"])?.args([&file]));
    }
    let finished = std::thread::scope(|scope| {
        let clients: Vec<_> = calls.iter().map(|call| scope.spawn(|| call.finish())).collect();
        let join =
            |client: std::thread::ScopedJoinHandle<'_, _>| client.join().map_err(|_| anyhow!("a client panicked"))?;
        clients.into_iter().map(join).collect::<Result<Vec<_>>>()
    })?;
    for answer in &finished {
        let plain = answer.code == Some(0) || (answer.code == Some(1) && answer.stdout.contains("* fatal: "));
        assert!(plain, "neither published nor plainly refused:\n{answer}");
        assert!(!answer.stderr.contains("panicked"), "{answer}");
    }
    Ok(finished.iter().map(|answer| answer.code == Some(0)).collect())
}

fn assert_one_content_per_version(stage: &Stage) -> Result<()> {
    let mut contents = BTreeMap::new();
    for event in stage.audit()?.into_iter().filter(|event| event.kind == "granted") {
        let line = (event.gun, event.role, event.version);
        let first = contents.entry(line.clone()).or_insert_with(|| event.digest.clone());
        assert_eq!(*first, event.digest, "{line:?} was granted twice");
    }
    Ok(())
}
