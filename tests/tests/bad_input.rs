//! Bad input: the message names the thing, the status is 1, nothing is lost.

use anyhow::Result;
use signet_tests::{Authority, Call, NotaryServer, Stage, Validity};

const GUN: &str = "example.com/acme/app";

#[test]
fn a_gun_with_control_characters() -> Result<()> {
    let stage = Stage::with_files()?;
    for gun in ["bad\u{1}gun", "bad\ngun", "bad\u{7f}gun"] {
        stage.signet(["init", gun])?.refused()?.says(&["is not a GUN", "a GUN looks like"])?.never_says(&[gun])?;
    }
    Ok(())
}

#[test]
fn an_unknown_server() -> Result<()> {
    let mut stage = Stage::with_files()?;
    stage.server.stop();
    let url = stage.server.url();
    stage.signet(["init", GUN])?.refused()?.says(&[&url])?;
    stage.signet(["list", GUN])?.refused()?.says(&[&url])?;
    Ok(())
}

#[test]
fn an_unknown_server_loses_nothing_that_is_staged() -> Result<()> {
    let (mut stage, _agent) = staged()?;
    let url = stage.server.url();
    stage.server.stop();
    stage.signet(["publish", GUN])?.refused()?.says(&[&url])?;
    assert_still_staged(&stage)
}

#[test]
fn an_expired_server_certificate() -> Result<()> {
    let (mut stage, _agent) = staged()?;
    stage.server = NotaryServer::start_with(&stage.authority, Validity::Expired)?;
    stage.signet(["publish", GUN])?.refused()?.says(&["expired", "certificate"])?.never_says(&["offline"])?;
    assert_still_staged(&stage)
}

#[test]
fn a_server_of_another_authority() -> Result<()> {
    let (mut stage, _agent) = staged()?;
    let ca = stage.home.write("the-usual-ca.crt", stage.authority.pem())?;
    stage.server = NotaryServer::start(&Authority::new("somebody else")?)?;
    let call = stage.home.signet(["-s", &stage.server.url(), "--tlscacert"])?.args([&ca]).args(["-d"]);
    call.args([stage.home.trust()])
        .args(["publish", GUN])
        .refused()?
        .says(&["certificate", "the-usual-ca.crt", "--tlscacert"])?
        .never_says(&["offline"])?;
    assert_still_staged(&stage)
}

#[test]
fn a_ca_file_that_is_not_there() -> Result<()> {
    let stage = Stage::with_files()?;
    let call = stage.home.signet(["-s", &stage.server.url(), "--tlscacert", "/nowhere/ca.crt", "list", GUN])?;
    call.refused()?.says(&["/nowhere/ca.crt"])?;
    Ok(())
}

#[test]
fn a_corrupt_key_file() -> Result<()> {
    let (stage, _agent) = staged()?;
    let targets_key = key_file(&stage, "role: targets")?;
    let whole = std::fs::read(&targets_key)?;
    let half = whole.get(..whole.len() / 2).unwrap_or_default();
    std::fs::write(&targets_key, half)?;
    let name = targets_key.file_name().unwrap_or_default().to_string_lossy().into_owned();
    stage.signet(["publish", GUN])?.refused()?.says(&[&name])?;
    assert_still_staged(&stage)?;
    std::fs::write(&targets_key, whole)?;
    stage.signet(["publish", GUN])?.ok()?;
    Ok(())
}

#[test]
fn a_key_file_that_is_another_key_than_its_name_says() -> Result<()> {
    let (stage, _agent) = staged()?;
    let targets_key = key_file(&stage, "role: targets")?;
    std::fs::copy(key_file(&stage, "role: snapshot")?, &targets_key)?;
    let name = targets_key.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let publish = stage.signet(["publish", GUN])?.env("NOTARY_TARGETS_PASSPHRASE", "snapshot passphrase");
    publish.refused()?.says(&[&name])?;
    assert_still_staged(&stage)
}

#[test]
fn an_unknown_key_in_agent_toml() -> Result<()> {
    let stage = Stage::with_files()?;
    stage.home.agent_toml("[agent]\nidle-timeout-sekonds = 5\n")?;
    agent_refuses(&stage, &["agent.toml", "idle-timeout-sekonds"])?;
    // Whoever needs an agent is told why there is none.
    stage.signet(["init", GUN])?.refused()?.says(&["agent.toml", "idle-timeout-sekonds"])?;
    Ok(())
}

#[test]
fn an_agent_toml_that_is_not_toml() -> Result<()> {
    let stage = Stage::with_files()?;
    stage.home.agent_toml("[[token\n")?;
    agent_refuses(&stage, &["agent.toml"])
}

#[test]
fn a_module_that_others_may_change() -> Result<()> {
    let stage = Stage::with_files()?;
    stage.home.agent_toml("[[token]]\nmodule = \"/tmp/module.so\"\nlabel = \"x\"\n")?;
    agent_refuses(&stage, &["/tmp"])
}

#[test]
fn an_unreadable_config() -> Result<()> {
    let stage = Stage::with_files()?;
    let directory = stage.home.path().display().to_string();
    let broken = stage.home.write("broken.json", "{ \"trust_dir\": ")?.display().to_string();
    for path in ["/nowhere/config.json", &directory, &broken] {
        stage.home.signet(["-c", path, "status", GUN])?.refused()?.says(&[path])?;
    }
    Ok(())
}

#[test]
fn an_unwritable_trust_directory() -> Result<()> {
    let stage = Stage::with_files()?;
    let file = stage.home.write("file", "content")?;
    // Not even root can write there.
    for trust in ["/proc/signet-trust", "/dev/null/trust"] {
        let trust = std::path::Path::new(trust);
        let said = [trust.to_str().unwrap_or_default()];
        stage.signet_in(trust, ["init", GUN])?.refused()?.says(&said)?;
        stage.signet_in(trust, ["add", GUN, "first"])?.args([&file]).refused()?.says(&said)?;
    }
    Ok(())
}

#[test]
fn a_trust_directory_that_everybody_may_change() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let (stage, _agent) = staged()?;
    std::fs::set_permissions(stage.home.trust(), std::fs::Permissions::from_mode(0o777))?;
    let trust = stage.home.trust().display().to_string();
    stage.signet(["publish", GUN])?.refused()?.says(&[&trust])?;
    std::fs::set_permissions(stage.home.trust(), std::fs::Permissions::from_mode(0o700))?;
    assert_still_staged(&stage)
}

#[test]
fn a_file_that_is_not_there() -> Result<()> {
    let stage = Stage::with_files()?;
    stage.signet(["add", GUN, "first", "/nowhere/file"])?.refused()?.says(&["/nowhere/file"])?;
    stage.signet(["status", GUN])?.ok()?.never_says(&["first"])?;
    Ok(())
}

#[test]
fn a_file_that_vanished_between_add_and_publish_was_measured_at_add() -> Result<()> {
    let (stage, _agent) = staged()?;
    std::fs::remove_file(stage.home.path().join("file"))?;
    stage.signet(["publish", GUN])?.ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["first"])?;
    Ok(())
}

#[test]
fn a_role_that_may_not_hold_targets() -> Result<()> {
    let stage = Stage::with_files()?;
    let file = stage.home.write("file", "content")?;
    for role in ["root", "snapshot", "timestamp", "nonsense"] {
        let add = stage.signet(["add", GUN, "first", "-r", role])?;
        // notary add GUN TARGET FILE: flags may stand anywhere.
        add.args([&file]).refused()?.says(&[role])?;
    }
    stage.signet(["status", GUN])?.ok()?.says(&["No unpublished changes"])?;
    Ok(())
}

#[test]
fn a_request_over_the_size_limit() -> Result<()> {
    let stage = Stage::with_files()?;
    stage.home.agent_toml("[agent]\nmax-request-bytes = 8192\n")?;
    let _agent = stage.home.start_agent()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    for number in 0..60 {
        stage.signet(["add", GUN, &format!("target-{number:0>100}")])?.args([&file]).ok()?;
    }
    stage.signet(["publish", GUN])?.refused()?.says(&["8192"])?;
    stage.signet(["status", GUN])?.ok()?.says(&["target-"])?;
    Ok(())
}

#[test]
fn a_command_that_notary_does_not_know() -> Result<()> {
    let stage = Stage::with_files()?;
    stage.signet(["frobnicate"])?.refused()?.says(&["frobnicate"])?;
    stage.signet(["add", GUN])?.refused()?.says(&["Usage"])?;
    Ok(())
}

/// A published collection with one more target staged.
fn staged() -> Result<(Stage, signet_tests::Agent)> {
    let stage = Stage::with_files()?;
    let agent = stage.home.start_agent()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["publish", GUN])?.ok()?;
    stage.signet(["add", GUN, "first"])?.args([&file]).ok()?;
    Ok((stage, agent))
}

fn assert_still_staged(stage: &Stage) -> Result<()> {
    stage.signet(["status", GUN])?.ok()?.says(&["first"])?;
    Ok(())
}

fn key_file(stage: &Stage, header: &str) -> Result<std::path::PathBuf> {
    for entry in std::fs::read_dir(stage.home.trust().join("private"))? {
        let path = entry?.path();
        if std::fs::read_to_string(&path)?.contains(header) {
            return Ok(path);
        }
    }
    anyhow::bail!("no key file with {header:?}")
}

fn agent_refuses(stage: &Stage, words: &[&str]) -> Result<()> {
    let call: Call = stage.home.call(signet_tests::binary("signet-agent")?);
    let answer = call.finish()?;
    assert_ne!(answer.code, Some(0), "{answer}");
    answer.says(words)?;
    Ok(())
}
