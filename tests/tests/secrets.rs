//! Wrong passphrases and PINs: said once, burning neither versions nor tries.

use anyhow::Result;
use signet_tests::{PIN, SOFTHSM_MODULE, SPY_MODULE, Stage, token_table};

const GUN: &str = "example.com/acme/app";

#[test]
fn a_wrong_passphrase_burns_no_version_and_loses_nothing() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", GUN, "first", "-p"])?.args([&file]).ok()?;
    let before = stage.server.version(GUN, "targets")?;
    stage.signet(["add", GUN, "second"])?.args([&file]).ok()?;
    stage
        .signet(["publish", GUN])?
        .env("NOTARY_TARGETS_PASSPHRASE", "not this one")
        .refused()?
        .never_says(&["not this one", "targets passphrase"])?;
    stage.signet(["status", GUN])?.ok()?.says(&["second"])?;
    stage.signet(["publish", GUN])?.ok()?;
    assert_eq!(stage.server.version(GUN, "targets")?, before + 1);
    Ok(())
}

#[test]
fn without_passphrase_and_terminal_nothing_hangs() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", GUN, "first"])?.args([&file]).ok()?;
    stage.signet(["publish", GUN])?.without_env("NOTARY_TARGETS_PASSPHRASE").refused()?;
    stage.signet(["status", GUN])?.ok()?.says(&["first"])?;
    Ok(())
}

#[test]
fn an_unlock_ends_with_the_connection_that_made_it() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", GUN, "first", "-p"])?.args([&file]).ok()?;
    stage.signet(["add", GUN, "second"])?.args([&file]).ok()?;
    stage.signet(["publish", GUN])?.without_env("NOTARY_TARGETS_PASSPHRASE").refused()?;
    Ok(())
}

#[test]
fn the_pin_of_a_locked_token_is_asked_at_the_terminal() -> Result<()> {
    let stage = Stage::with_locked_token()?;
    let _agent = stage.home.start_agent()?;
    let mut terminal = stage.signet(["init", GUN])?.on_terminal()?;
    terminal.answer_hidden("release", PIN)?;
    let seen = terminal.finish()?;
    assert_eq!(seen.code, Some(0), "{seen}");
    seen.says(&["release"])?.never_says(&[PIN])?;
    stage.signet(["key", "list"])?.ok()?.says(&["release"])?;
    Ok(())
}

#[test]
fn passphrases_of_new_keys_are_asked_at_the_terminal_as_notary_asks_them() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    let mut init = stage.signet(["init", GUN])?;
    for role in ["ROOT", "TARGETS", "SNAPSHOT"] {
        init = init.without_env(&format!("NOTARY_{role}_PASSPHRASE"));
    }
    let mut terminal = init.on_terminal()?;
    for role in ["root", "targets", "snapshot"] {
        let passphrase = format!("typed for {role}");
        terminal.answer_hidden(&format!("Enter passphrase for new {role} key with ID "), &passphrase)?;
        terminal.answer_hidden(&format!("Repeat passphrase for new {role} key with ID "), &passphrase)?;
    }
    let seen = terminal.finish()?;
    assert_eq!(seen.code, Some(0), "{seen}");
    seen.says(&["You are about to create a new root signing key passphrase."])?.never_says(&["typed for"])?;
    // The real notary opens the files with what was typed.
    let trust = stage.home.trust();
    let mut publish = stage.notary(&trust, ["publish", GUN]);
    for role in ["root", "targets", "snapshot"] {
        publish = publish.env(&format!("NOTARY_{}_PASSPHRASE", role.to_uppercase()), format!("typed for {role}"));
    }
    publish.ok()?;
    Ok(())
}

#[test]
fn a_refused_pin_is_not_sent_to_the_token_again() -> Result<()> {
    let mut stage = Stage::with_locked_token()?;
    stage.home.agent_toml(&token_table(SPY_MODULE, None))?;
    stage.home.set("PKCS11SPY", SOFTHSM_MODULE);
    stage.home.set("PKCS11SPY_OUTPUT", stage.softhsm.spy_log());
    let _agent = stage.home.start_agent()?;
    let wrong = stage.home.write("wrong", "111111")?;
    for _ in 0..5 {
        stage
            .signet(["agent", "unlock", "release", "--pin-file"])?
            .args([&wrong])
            .refused()?
            .says(&["release"])?
            .never_says(&["111111"])?;
    }
    assert_eq!(stage.softhsm.logins()?, 1, "one wrong PIN costs one try, however often it is repeated");
    let right = stage.home.write("right", PIN)?;
    stage.signet(["agent", "unlock", "release", "--pin-file"])?.args([&right]).ok()?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["publish", GUN])?.ok()?;
    Ok(())
}

#[test]
fn a_wrong_pin_file_is_tried_once_and_said() -> Result<()> {
    let mut stage = Stage::with_locked_token()?;
    let wrong = stage.home.write("wrong", "111111")?;
    stage.home.agent_toml(&token_table(SPY_MODULE, Some(&wrong)))?;
    stage.home.set("PKCS11SPY", SOFTHSM_MODULE);
    stage.home.set("PKCS11SPY_OUTPUT", stage.softhsm.spy_log());
    let agent = stage.home.start_agent()?;
    for _ in 0..3 {
        stage.signet(["init", GUN])?.refused()?.says(&["release"])?;
    }
    assert_eq!(stage.softhsm.logins()?, 1);
    assert!(!agent.log().contains("111111"));
    Ok(())
}

#[test]
fn no_secret_is_in_the_agents_log_state_or_command_line() -> Result<()> {
    let mut stage = Stage::with_token()?;
    stage.home.set("SIGNET_LOG", "trace");
    let agent = stage.home.start_agent()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["-D", "init", GUN])?.ok()?;
    stage.signet(["-D", "add", GUN, "first", "-p"])?.args([&file]).ok()?.never_says(&[PIN, "snapshot passphrase"])?;
    let command_line = std::fs::read(format!("/proc/{}/cmdline", agent.pid()))?;
    let mut places = vec![("log", agent.log().into_bytes()), ("command line", command_line)];
    for entry in std::fs::read_dir(stage.home.state())? {
        places.push(("state", std::fs::read(entry?.path()).unwrap_or_default()));
    }
    for (place, bytes) in places {
        for secret in [PIN, "root passphrase", "targets passphrase", "snapshot passphrase"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret:?} is in the agent's {place}");
        }
    }
    Ok(())
}
