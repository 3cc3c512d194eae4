//! The main job: keys on a token, a collection on the server, the real `notary` as its reader.

use anyhow::Result;
use signet_tests::{PIN, Stage};

const GUN: &str = "example.com/acme/app";

#[test]
fn a_collection_signed_on_a_token_is_verified_by_the_real_notary() -> Result<()> {
    let stage = Stage::with_token()?;
    let _agent = stage.home.start_agent()?;
    let app = stage.home.write("app", "the app, version 1")?;
    let manual = stage.home.write("manual", "how to use it")?;

    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["key", "list"])?.ok()?.says(&["root", "targets", "release"])?;
    stage.signet(["add", GUN, "app-1.0"])?.args([&app]).ok()?.says(&["Addition of target \"app-1.0\""])?;
    stage.signet(["add", GUN, "manual"])?.args([&manual]).ok()?;
    stage.signet(["status", GUN])?.ok()?.says(&["app-1.0", "manual"])?;
    stage
        .signet(["publish", GUN])?
        .ok()?
        .says(&["Successfully published changes for repository example.com/acme/app"])?;
    stage.signet(["status", GUN])?.ok()?.says(&["No unpublished changes for example.com/acme/app"])?;

    stage.stranger(["list", GUN])?.ok()?.says(&["app-1.0", "manual", "targets"])?;
    stage.stranger(["verify", GUN, "app-1.0", "-i"])?.args([&app]).ok()?.says(&["the app, version 1"])?;
    stage.stranger(["verify", GUN, "app-1.0", "-i"])?.args([&manual]).refused()?;
    stage.signet(["list", GUN])?.ok()?.says(&["app-1.0", "manual"])?;
    stage.signet(["lookup", GUN, "manual"])?.ok()?.says(&["manual sha256:"])?;
    stage.signet(["verify", GUN, "app-1.0", "-i"])?.args([&app]).ok()?.says(&["the app, version 1"])?;
    stage.signet(["verify", GUN, "app-1.0", "-i"])?.args([&manual]).refused()?;
    Ok(())
}

#[test]
fn no_private_key_of_root_or_targets_is_in_a_file() -> Result<()> {
    let stage = Stage::with_token()?;
    let _agent = stage.home.start_agent()?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["publish", GUN])?.ok()?;
    for entry in std::fs::read_dir(stage.home.trust().join("private"))? {
        let text = std::fs::read_to_string(entry?.path())?;
        assert!(text.contains("role: snapshot"), "a key file that should not be there:\n{text}");
    }
    Ok(())
}

#[test]
fn a_locked_token_signs_nothing_and_loses_nothing() -> Result<()> {
    let stage = Stage::with_locked_token()?;
    let _agent = stage.home.start_agent()?;
    let pin = stage.home.write("pin", PIN)?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["agent", "unlock", "release", "--pin-file"])?.args([&pin]).ok()?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", GUN, "first"])?.args([&file]).ok()?;
    stage.signet(["publish", GUN])?.ok()?;
    let before = stage.server.version(GUN, "targets")?;

    stage.signet(["agent", "lock"])?.ok()?;
    stage.signet(["add", GUN, "second"])?.args([&file]).ok()?;
    stage.signet(["publish", GUN])?.refused()?.says(&["release", "signet agent unlock"])?;
    assert_eq!(stage.server.version(GUN, "targets")?, before);
    stage.signet(["status", GUN])?.ok()?.says(&["second"])?;

    stage.signet(["agent", "unlock", "release", "--pin-file"])?.args([&pin]).ok()?;
    stage.signet(["publish", GUN])?.ok()?;
    assert_eq!(stage.server.version(GUN, "targets")?, before + 1, "the refusal has burnt no version");
    stage.stranger(["list", GUN])?.ok()?.says(&["first", "second"])?;
    Ok(())
}

#[test]
fn the_record_shows_every_signature() -> Result<()> {
    let stage = Stage::with_token()?;
    let _agent = stage.home.start_agent()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    for name in ["first", "second"] {
        stage.signet(["add", GUN, name, "-p"])?.args([&file]).ok()?;
    }
    let record = stage.audit()?;
    for (role, version) in [("root", 1), ("targets", stage.server.version(GUN, "targets")?)] {
        let digest = stage.server.digest(GUN, role)?;
        let granted = record.iter().any(|event| {
            event.kind == "granted"
                && event.gun == GUN
                && event.role == role
                && event.version == version
                && event.digest == digest
        });
        assert!(granted, "{role} version {version} is on the server and not in the record:\n{record:#?}");
    }
    stage.signet(["audit", "tail"])?.ok()?.says(&["granted", "targets", GUN])?;
    Ok(())
}

#[test]
fn a_collection_is_initialised_once() -> Result<()> {
    let stage = Stage::with_token()?;
    let _agent = stage.home.start_agent()?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["publish", GUN])?.ok()?;
    // Another trust directory knows nothing of it; the agent does.
    let elsewhere = stage.home.path().join("elsewhere");
    stage.signet_in(&elsewhere, ["init", GUN])?.refused()?;
    Ok(())
}
