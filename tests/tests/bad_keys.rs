//! Key files that are damaged, not what they say, or not files at all: each is named, none is used, and no other is lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use signet_proto::v1;
use signet_proto::v1::tokens_client::TokensClient;
use signet_tests::{Agent, Stage, Wire};

const GUN: &str = "example.com/acme/app";
const OTHER: &str = "example.com/acme/other";
const MIB: u64 = 1 << 20;

#[test]
fn a_key_file_that_is_no_key_is_named_and_signs_nothing() -> Result<()> {
    let (stage, _agent) = staged()?;
    let path = key_file(&stage, "role: targets")?;
    let whole = fs::read_to_string(&path)?;
    let head = whole.split("\n\n").next().context("headers")?.to_owned();
    let end = whole.trim_end().rsplit('\n').next().context("an end")?.to_owned();
    let snapshot = fs::read_to_string(key_file(&stage, "role: snapshot")?)?;
    let table = [
        ("nothing", String::new()),
        ("headers and no body", format!("{head}\n\n{end}\n")),
        ("headers and no end", format!("{head}\n\n")),
        ("no end", whole.replace(&end, "")),
        ("a body that is not base64", format!("{head}\n\n%%%%\n{end}\n")),
        ("a body that is no key", format!("{head}\n\nAAAA\n{end}\n")),
        ("the wrong one of two keys first", format!("{snapshot}\n{whole}")),
        ("zeros", "\0".repeat(whole.len())),
        ("another kind of PEM", whole.replace("ENCRYPTED PRIVATE KEY", "CERTIFICATE")),
    ];
    let before = stage.server.version(GUN, "targets")?;
    for (what, text) in table {
        fs::write(&path, text)?;
        refused_by_name(&stage, &path).with_context(|| what.to_owned())?;
        // The other keys are still there.
        stage.signet(["key", "list"])?.ok()?.says(&["root", "snapshot"])?;
    }
    assert_eq!(stage.server.version(GUN, "targets")?, before);
    works_again(&stage, &path, &whole)
}

#[test]
fn what_follows_a_key_does_no_harm_as_with_notary() -> Result<()> {
    let (stage, _agent) = staged()?;
    let path = key_file(&stage, "role: targets")?;
    let whole = fs::read_to_string(&path)?;
    let snapshot = fs::read_to_string(key_file(&stage, "role: snapshot")?)?;
    let file = stage.home.write("file", "content")?;
    for (round, tail) in ["trailing junk\n".to_owned(), "\0\0\0".to_owned(), snapshot].into_iter().enumerate() {
        fs::write(&path, format!("{whole}{tail}"))?;
        let (ours, theirs) = (format!("ours-{round}"), format!("theirs-{round}"));
        stage.signet(["add", GUN, &ours, "-p"])?.args([&file]).ok()?;
        stage.notary(&stage.home.trust(), ["add", GUN, &theirs, "-p"]).args([&file]).ok()?;
        stage.stranger(["list", GUN])?.ok()?.says(&[&ours, &theirs])?;
    }
    Ok(())
}

#[test]
fn what_is_not_a_file_under_a_keys_name_is_passed_over() -> Result<()> {
    let (stage, agent) = staged()?;
    let path = key_file(&stage, "role: targets")?;
    let whole = fs::read_to_string(&path)?;
    let aside = stage.home.path().join("aside.key");
    fs::rename(&path, &aside)?;
    // A pipe that nobody writes to must not hold up the agent, nor a file that fills its memory.
    stage.home.call("/usr/bin/mkfifo").args([&path]).ok()?;
    refused_in_time(&stage).context("a pipe")?;
    fs::remove_file(&path)?;
    fs::create_dir(&path)?;
    refused_in_time(&stage).context("a directory")?;
    fs::remove_dir(&path)?;
    std::os::unix::fs::symlink(&aside, &path)?;
    refused_in_time(&stage).context("a symbolic link")?;
    fs::remove_file(&path)?;
    std::os::unix::fs::symlink("/dev/zero", &path)?;
    refused_in_time(&stage).context("a device")?;
    fs::remove_file(&path)?;
    private_file(&path)?.set_len(4096 * MIB)?;
    refused_in_time(&stage).context("a file of 4 GiB")?;
    assert!(agent.peak_bytes() < 256 * MIB, "the agent took {} bytes", agent.peak_bytes());
    fs::remove_file(&path)?;
    private_file(&path)?;
    works_again(&stage, &path, &whole)
}

#[test]
fn a_key_of_another_collection_is_not_used_for_this_one() -> Result<()> {
    let (stage, _agent) = staged()?;
    stage.signet(["init", OTHER])?.ok()?;
    stage.signet(["publish", OTHER])?.ok()?;
    let (mine, theirs) = (key_of(&stage, GUN)?, key_of(&stage, OTHER)?);
    let whole = fs::read_to_string(&mine)?;
    // Under the name of ours lies the key of the other collection.
    fs::copy(&theirs, &mine)?;
    refused_by_name(&stage, &mine)?;
    // And without any of ours, theirs is not taken in its place.
    fs::remove_file(&mine)?;
    stage.signet(["publish", GUN])?.refused()?.never_says(&["panicked"])?;
    stage.signet(["status", GUN])?.ok()?.says(&["first"])?;
    private_file(&mine)?;
    works_again(&stage, &mine, &whole)
}

#[test]
fn a_passphrase_of_ten_megabytes_is_only_wrong() -> Result<()> {
    let (stage, agent) = staged()?;
    let wire = Wire::prepare(&stage, OTHER)?;
    let key = key_file(&stage, "role: targets")?;
    let request = v1::UnlockRequest {
        what: Some(v1::unlock_request::What::Key(key.file_stem().context("a name")?.to_string_lossy().into_owned())),
        trust_dir: stage.home.trust().to_str().context("UTF-8")?.to_owned(),
        secret: vec![b'x'; 10 << 20],
        scope: v1::UnlockScope::Connection.into(),
        spend_last_try: false,
    };
    let told = tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let refused = TokensClient::new(wire.connect().await?).unlock(request).await;
        anyhow::Ok(refused.map(drop).expect_err("ten megabytes open nothing"))
    })?;
    assert!(!told.message().contains("xxxx"), "{told}");
    assert!(agent.peak_bytes() < 256 * MIB, "the agent took {} bytes", agent.peak_bytes());
    // Nor is there one on standard input that stops the client for long or is repeated.
    let mut endless = vec![b'y'; 10 << 20];
    endless.push(b'\n');
    let publish = stage.signet(["publish", GUN])?.without_env("NOTARY_TARGETS_PASSPHRASE").input(endless);
    publish.limit(Duration::from_secs(20)).refused()?.never_says(&["yyyy", "panicked"])?;
    stage.signet(["publish", GUN])?.ok()?;
    Ok(())
}

// --- the stage

/// A published collection with one more target staged.
fn staged() -> Result<(Stage, Agent)> {
    let stage = Stage::with_files()?;
    let agent = stage.home.start_agent()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["publish", GUN])?.ok()?;
    stage.signet(["add", GUN, "first"])?.args([&file]).ok()?;
    Ok((stage, agent))
}

fn refused_by_name(stage: &Stage, path: &Path) -> Result<()> {
    let name = path.file_name().context("a name")?.to_string_lossy().into_owned();
    stage.signet(["publish", GUN])?.refused()?.says(&[&name])?.never_says(&["panicked", "BEGIN"])?;
    stage.signet(["status", GUN])?.ok()?.says(&["first"])?;
    Ok(())
}

fn refused_in_time(stage: &Stage) -> Result<()> {
    let limit = Duration::from_secs(20);
    stage.signet(["publish", GUN])?.limit(limit).refused()?.never_says(&["panicked"])?;
    stage.signet(["key", "list"])?.limit(limit).ok()?.says(&["root", "snapshot"])?;
    Ok(())
}

fn works_again(stage: &Stage, path: &Path, whole: &str) -> Result<()> {
    fs::write(path, whole)?;
    stage.signet(["publish", GUN])?.ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["first"])?;
    Ok(())
}

fn private_file(path: &Path) -> Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    Ok(fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?)
}

fn key_files(stage: &Stage) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(stage.home.trust().join("private"))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

fn key_file(stage: &Stage, header: &str) -> Result<PathBuf> {
    let found =
        key_files(stage)?.into_iter().find(|path| fs::read_to_string(path).is_ok_and(|text| text.contains(header)));
    found.with_context(|| format!("no key file with {header:?}"))
}

/// The targets key of a collection.
fn key_of(stage: &Stage, gun: &str) -> Result<PathBuf> {
    let gun = format!("gun: {gun}\n");
    let found = key_files(stage)?
        .into_iter()
        .find(|path| fs::read_to_string(path).is_ok_and(|text| text.contains("role: targets") && text.contains(&gun)));
    found.with_context(|| format!("no targets key with {gun:?}"))
}
