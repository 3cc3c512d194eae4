//! Disks that are full or cannot be written: the message names the file, and nothing is lost.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use signet_tests::{Agent, Call, Finished, Mount, Mounts, Stage};

const GUN: &str = "example.com/acme/app";
const PAGE: u64 = 4096;
/// More than any of the commands here writes.
const ENOUGH: u64 = 64;
const DISK: u64 = 8 << 20;

#[test]
fn a_full_disk_under_the_trust_directory_loses_nothing_at_any_write() -> Result<()> {
    let stage = Stage::with_files()?;
    let trust = stage.home.trust();
    fs::create_dir(&trust)?;
    let mounts = Mounts::new(&stage.home, &[Mount::Disk { at: &trust, bytes: DISK }])?;
    let _agent = agent_inside(&stage, &mounts)?;
    let file = stage.home.write("file", "content")?;
    let run = |args: &[&str]| -> Result<Call> { Ok(mounts.inside(&stage.signet(args)?)) };
    let keys = || keys_of(&mounts, &trust);
    let full = filling(&mounts, &trust, &run(&["init", GUN])?, &|told| {
        // What was made is used by the next `init`.
        let _known = keys()?;
        names_a_file(told, &trust)
    })?;
    assert!(full > 0, "the disk was never full");
    let after_init = keys()?;
    assert!(after_init.len() >= 3, "{after_init:?}");

    filling(&mounts, &trust, &run(&["add", GUN, "first"])?.args([&file]), &|told| names_a_file(told, &trust))?;
    let full = filling(&mounts, &trust, &run(&["publish", GUN])?, &|told| {
        run(&["status", GUN])?.ok()?.says(&["first"])?;
        names_a_file(told, &trust)
    })?;
    assert!(full > 1, "publish met a full disk only {full} times");
    run(&["add", GUN, "second"])?.args([&file]).ok()?;
    filling(&mounts, &trust, &run(&["publish", GUN])?, &|told| {
        run(&["status", GUN])?.ok()?.says(&["second"])?;
        names_a_file(told, &trust)
    })?;
    assert_eq!(keys()?, after_init, "keys came or went");
    stage.stranger(["list", GUN])?.ok()?.says(&["first", "second"])?;
    assert_eq!(leftovers(&mounts.seen(&trust))?, BTreeSet::new());
    Ok(())
}

#[test]
fn a_full_disk_under_the_ledger_signs_nothing_and_recovers_by_itself() -> Result<()> {
    let stage = Stage::with_files()?;
    let state = stage.home.state();
    fs::create_dir_all(&state)?;
    let mounts = Mounts::new(&stage.home, &[Mount::Disk { at: &state, bytes: DISK }])?;
    // The log of an agent that was started on the way is on that disk too.
    mounts.inside(&stage.signet(["agent", "start"])?).ok()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["publish", GUN])?.ok()?;
    stage.signet(["add", GUN, "first"])?.args([&file]).ok()?;
    let before = stage.server.version(GUN, "targets")?;
    let full = filling(&mounts, &state, &stage.signet(["publish", GUN])?, &|told| {
        assert_eq!(stage.server.version(GUN, "targets")?, before, "published without a record");
        stage.signet(["status", GUN])?.ok()?.says(&["first"])?;
        names_a_file(told, &state)
    })?;
    assert!(full > 0, "the ledger never met a full disk");
    stage.stranger(["list", GUN])?.ok()?.says(&["first"])?;
    assert_every_published_version_is_recorded(&stage)?;
    stage.signet(["agent", "stop"])?.ok()?;
    Ok(())
}

#[test]
fn an_agent_that_cannot_make_its_ledger_says_where_and_starts_once_there_is_room() -> Result<()> {
    let stage = Stage::with_files()?;
    let state = stage.home.state();
    fs::create_dir_all(&state)?;
    let mounts = Mounts::new(&stage.home, &[Mount::Disk { at: &state, bytes: DISK }])?;
    let start = mounts.inside(&stage.signet(["agent", "start"])?);
    let full = filling(&mounts, &state, &start, &|told| names_a_file(told, &state))?;
    assert!(full > 0, "the disk was never full");
    stage.signet(["agent", "status"])?.ok()?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["agent", "stop"])?.ok()?;
    Ok(())
}

#[test]
fn a_home_that_cannot_be_written_can_still_be_read() -> Result<()> {
    let stage = Stage::with_files()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", GUN, "first", "-p"])?.args([&file]).ok()?;
    stage.signet(["add", GUN, "second"])?.args([&file]).ok()?;
    stage.signet(["list", GUN])?.ok()?;
    stage.signet(["agent", "stop"])?.ok()?;
    let trust = stage.home.trust();
    let (before, keys) = (files_below(&trust)?, keys_below(&trust)?);
    let state = stage.home.state();
    let mounts = Mounts::new(&stage.home, &[Mount::ReadOnly { at: &trust }, Mount::ReadOnly { at: &state }])?;
    let run = |args: &[&str]| -> Result<Call> { Ok(mounts.inside(&stage.signet(args)?)) };
    run(&["list", GUN])?.ok()?.says(&["first"])?;
    run(&["status", GUN])?.ok()?.says(&["second"])?;
    run(&["lookup", GUN, "first"])?.ok()?;
    names_a_file(run(&["add", GUN, "third"])?.args([&file]).refused()?, &trust)?;
    names_a_file(run(&["publish", GUN])?.refused()?, &trust)?;
    names_a_file(run(&["remove", GUN, "first"])?.refused()?, &trust)?;
    // There is no agent, and none can be started: its ledger could not be written.
    names_a_file(run(&["init", "example.com/acme/new"])?.refused()?, stage.home.path())?;
    names_a_file(run(&["key", "list"])?.refused()?, &state)?;
    drop(mounts);
    assert_eq!((files_below(&trust)?, keys_below(&trust)?), (before, keys));
    stage.signet(["publish", GUN])?.ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["first", "second"])?;
    Ok(())
}

#[test]
fn a_trust_directory_that_cannot_be_written_is_fine_for_the_agent_that_reads_keys() -> Result<()> {
    let stage = Stage::with_files()?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["agent", "stop"])?.ok()?;
    let trust = stage.home.trust();
    let mounts = Mounts::new(&stage.home, &[Mount::ReadOnly { at: &trust }])?;
    let _agent = agent_inside(&stage, &mounts)?;
    mounts.inside(&stage.signet(["key", "list"])?).ok()?.says(&["root", "targets"])?;
    names_a_file(mounts.inside(&stage.signet(["key", "generate", "ecdsa"])?).refused()?, &trust)?;
    Ok(())
}

/// Runs `call` with nothing free, then with a page, then with two, until it succeeds; each failure is shown to `judge`.
/// Answers how often it failed.
fn filling(mounts: &Mounts, disk: &Path, call: &Call, judge: &dyn Fn(Finished) -> Result<()>) -> Result<u64> {
    for pages in 0..ENOUGH {
        mounts.leave(disk, pages.saturating_mul(PAGE))?;
        let told = call.finish()?;
        if told.code == Some(0) {
            mounts.make_room(disk)?;
            return Ok(pages);
        }
        assert!(matches!(told.code, Some(1..=9)), "{told}");
        judge(told).with_context(|| format!("with {pages} pages free"))?;
    }
    anyhow::bail!("{call} still fails with {ENOUGH} pages free")
}

fn names_a_file(told: Finished, below: &Path) -> Result<()> {
    let below = below.to_str().context("UTF-8")?;
    told.says(&[below])?.never_says(&["panicked"])?;
    Ok(())
}

fn agent_inside(stage: &Stage, mounts: &Mounts) -> Result<Agent> {
    stage.home.start_agent_as(mounts.inside(&stage.home.call(stage.home.program("signet-agent")?)))
}

fn keys_of(mounts: &Mounts, trust: &Path) -> Result<BTreeSet<String>> {
    keys_below(&mounts.seen(trust))
}

/// The key files, each of which must be whole.
fn keys_below(trust: &Path) -> Result<BTreeSet<String>> {
    let mut keys = BTreeSet::new();
    let Ok(entries) = fs::read_dir(trust.join("private")) else { return Ok(keys) };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "key") {
            let text = fs::read_to_string(&path)?;
            assert!(text.trim_end().ends_with("PRIVATE KEY-----"), "{} is not whole:\n{text}", path.display());
            keys.insert(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    Ok(keys)
}

/// Temporary files.
fn leftovers(directory: &Path) -> Result<BTreeSet<String>> {
    Ok(files_below(directory)?.into_iter().filter(|name| name.contains(".tmp")).collect())
}

fn files_below(directory: &Path) -> Result<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            files.extend(files_below(&entry.path())?.into_iter().map(|below| format!("{name}/{below}")));
        } else {
            files.insert(name);
        }
    }
    Ok(files)
}

fn assert_every_published_version_is_recorded(stage: &Stage) -> Result<()> {
    let record = stage.audit()?;
    for role in ["root", "targets", "snapshot"] {
        let (version, digest) = (stage.server.version(GUN, role)?, stage.server.digest(GUN, role)?);
        let recorded = record.iter().any(|event| {
            event.kind == "granted" && event.role == role && event.version == version && event.digest == digest
        });
        assert!(recorded, "{role} version {version} has no record");
    }
    Ok(())
}
