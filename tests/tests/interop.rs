//! Two programs, one trust directory: what one writes, the other reads, edits and publishes.

use anyhow::Result;
use signet_tests::Stage;

const GUN: &str = "docker.io/acme/app";
const ODD_NAMES: [&str; 9] =
    ["a < b", "a > b", "a & b", "say \"hi\"", "back\\slash", "café", "漢字", "with  two spaces", "<&>\"\\é漢 all"];

#[test]
fn signet_begins_and_the_real_notary_goes_on_with_the_same_keys() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    let trust = stage.home.trust();
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", GUN, "by-signet"])?.args([&file]).ok()?;
    stage.signet(["publish", GUN])?.ok()?;

    stage.notary(&trust, ["key", "list"]).ok()?.says(&["root", "targets", "snapshot"])?;
    stage.notary(&trust, ["add", GUN, "by-notary"]).args([&file]).ok()?;
    stage.notary(&trust, ["remove", GUN, "by-signet"]).ok()?;
    stage.notary(&trust, ["publish", GUN]).ok()?;
    stage.signet(["list", GUN])?.ok()?.says(&["by-notary"])?.never_says(&["by-signet"])?;

    stage.signet(["add", GUN, "by-signet-again"])?.args([&file]).ok()?;
    stage.signet(["publish", GUN])?.ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["by-notary", "by-signet-again"])?;
    stage.notary(&trust, ["list", GUN]).ok()?.says(&["by-notary", "by-signet-again"])?;
    Ok(())
}

#[test]
fn the_real_notary_begins_and_signet_goes_on_with_the_same_keys() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    let trust = stage.home.trust();
    let file = stage.home.write("file", "content")?;
    stage.notary(&trust, ["init", GUN]).ok()?;
    stage.notary(&trust, ["add", GUN, "by-notary"]).args([&file]).ok()?;
    stage.notary(&trust, ["publish", GUN]).ok()?;

    stage.signet(["list", GUN])?.ok()?.says(&["by-notary"])?;
    stage.signet(["key", "list"])?.ok()?.says(&["root", "targets", "snapshot"])?;
    stage.signet(["add", GUN, "by-signet"])?.args([&file]).ok()?;
    stage.signet(["publish", GUN])?.ok()?;

    stage.notary(&trust, ["add", GUN, "by-notary-again"]).args([&file]).ok()?;
    stage.notary(&trust, ["publish", GUN]).ok()?;
    stage.signet(["remove", GUN, "by-notary"])?.ok()?;
    stage.signet(["publish", GUN])?.ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["by-signet", "by-notary-again"])?.never_says(&["by-notary "])?;
    Ok(())
}

#[test]
fn what_was_published_is_known_to_both_without_the_server() -> Result<()> {
    for managed in [false, true] {
        let mut stage = Stage::with_files()?;
        let _agent = stage.home.start_agent()?;
        let file = stage.home.write("file", "content")?;
        stage.signet(["init", GUN])?.ok()?;
        if managed {
            stage.notary(&stage.home.trust(), ["key", "rotate", GUN, "snapshot", "-r"]).ok()?;
        }
        for name in ["first", "second"] {
            stage.signet(["add", GUN, name])?.args([&file]).ok()?;
            stage.signet(["publish", GUN])?.ok()?;
        }
        stage.server.stop();
        stage.signet(["list", GUN])?.ok()?.says(&["first", "second", "using cached timestamp"])?;
        stage.notary(&stage.home.trust(), ["list", GUN]).ok()?.says(&["first", "second"])?;
    }
    Ok(())
}

#[test]
fn what_one_program_stages_the_other_publishes() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    let trust = stage.home.trust();
    let file = stage.home.write("file", "content")?;
    stage.notary(&trust, ["init", GUN]).ok()?;
    stage.notary(&trust, ["add", GUN, "staged by notary"]).args([&file]).ok()?;
    stage.signet(["add", GUN, "staged by signet"])?.args([&file]).ok()?;
    // ours says more behind it
    let ours = stage.signet(["status", GUN])?.ok()?.stdout;
    let theirs = stage.notary(&trust, ["status", GUN]).ok()?.stdout;
    assert!(ours.starts_with(&theirs), "{ours}\n{theirs}");
    stage.signet(["publish", GUN])?.ok()?;
    stage.signet(["add", GUN, "staged by signet again"])?.args([&file]).ok()?;
    stage.notary(&trust, ["publish", GUN]).ok()?;
    let names = ["staged by notary", "staged by signet", "staged by signet again"];
    stage.stranger(["list", GUN])?.ok()?.says(&names)?;
    Ok(())
}

#[test]
fn lists_look_the_same() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    let trust = stage.home.trust();
    let file = stage.home.write("file", "content")?;
    stage.signet(["init", GUN])?.ok()?;
    for name in ODD_NAMES {
        stage.signet(["add", GUN, name])?.args([&file]).ok()?;
    }
    stage.signet(["publish", GUN])?.ok()?;
    for words in [&["list", GUN][..], &["lookup", GUN, "a < b"], &["key", "list"]] {
        let ours = stage.signet(words)?.ok()?.stdout;
        let theirs = stage.notary(&trust, words).ok()?.stdout;
        assert_eq!(ours, theirs, "{words:?}");
    }
    Ok(())
}

#[test]
fn under_notarys_name_it_answers_word_for_word_and_adds_only_a_remedy() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    let trust = stage.home.trust();
    let file = stage.home.write("file", "content")?;
    let other = stage.home.write("other", "other content")?;
    let (file, other) = (file.display().to_string(), other.display().to_string());
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["add", GUN, "first", &file, "-p"])?.ok()?;
    let link = stage.home.path().join("notary");
    std::os::unix::fs::symlink(signet_tests::binary("signet")?, &link)?;
    let mut differences = Vec::new();
    for words in [
        &["lookup", GUN, "first"][..],
        &["lookup", GUN, "missing"],
        &["verify", GUN, "first", "-i", &file],
        &["verify", GUN, "first", "-i", &file, "-q"],
        &["verify", GUN, "first", "-i", &other],
        &["verify", GUN, "missing", "-i", &file],
        &["list", "example.com/nobody/knows"],
        &["publish", GUN],
        &["add", GUN, "x", &file],
        &["status", GUN],
        &["remove", GUN, "x"],
        &["add", GUN, "x", &file, "-r", "snapshot"],
        &["publish", GUN],
    ] {
        let ours = stage.called(&link, &trust, words).finish()?;
        let mut theirs = stage.notary(&trust, words).finish()?;
        // Of two hashes that are both wrong, notary names one at random: it is asked until it names the one we name.
        for _ in 0..32 {
            if !theirs.stdout.contains(", sha512 checksum") {
                break;
            }
            theirs = stage.notary(&trust, words).finish()?;
        }
        if (ours.code, without_remedy(&ours.stdout)) != (theirs.code, theirs.stdout.clone()) {
            differences.push(format!("{ours}\n{theirs}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    Ok(())
}

#[test]
fn odd_names_survive_both_programs() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    let trust = stage.home.trust();
    stage.signet(["init", GUN])?.ok()?;
    publish_odd_names(&stage, "first")?;
    let file = stage.home.write("file", "content")?;
    stage.notary(&trust, ["add", GUN, "and <one> more"]).args([&file]).ok()?;
    stage.notary(&trust, ["publish", GUN]).ok()?;
    publish_odd_names(&stage, "second")?;
    Ok(())
}

#[test]
fn odd_names_survive_a_server_that_makes_the_snapshot_itself() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    let trust = stage.home.trust();
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["publish", GUN])?.ok()?;
    stage.notary(&trust, ["key", "rotate", GUN, "snapshot", "-r"]).ok()?;
    // The server hashes its own re-serialisation: one byte of difference and nobody can read the collection.
    publish_odd_names(&stage, "first")?;
    publish_odd_names(&stage, "second")?;
    Ok(())
}

#[test]
fn a_target_with_custom_data_keeps_it() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    let trust = stage.home.trust();
    let file = stage.home.write("file", "content")?;
    let custom = stage.home.write("custom.json", r#"{"a":1,"built-by":"ci"}"#)?;
    stage.notary(&trust, ["init", GUN]).ok()?;
    stage.notary(&trust, ["add", GUN, "theirs"]).args([&file]).args(["--custom"]).args([&custom]).ok()?;
    stage.notary(&trust, ["publish", GUN]).ok()?;
    stage.signet(["add", GUN, "ours"])?.args([&file]).args(["--custom"]).args([&custom]).ok()?;
    stage.signet(["publish", GUN])?.ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["theirs", "ours"])?;
    let targets = stage.server.metadata(GUN, "targets.json")?.unwrap_or_default();
    let count = String::from_utf8(targets)?.matches(r#""custom":{"a":1,"built-by":"ci"}"#).count();
    assert_eq!(count, 2);
    Ok(())
}

/// A failure's text up to the line of `* fatal:`; what follows is advice that Notary does not give.
fn without_remedy(stdout: &str) -> String {
    let Some((before, failure)) = stdout.split_once("* fatal: ") else { return stdout.to_owned() };
    let message = failure.lines().next().unwrap_or_default();
    format!("{before}* fatal: {message}\n")
}

fn publish_odd_names(stage: &Stage, content: &str) -> Result<()> {
    let file = stage.home.write("odd", content)?;
    for name in ODD_NAMES {
        stage.signet(["add", GUN, name])?.args([&file]).ok()?;
    }
    stage.signet(["publish", GUN])?.ok()?;
    for name in ODD_NAMES {
        stage.stranger(["verify", GUN, name, "-i"])?.args([&file]).ok()?.says(&[content])?;
        stage.signet(["verify", GUN, name, "-i"])?.args([&file]).ok()?.says(&[content])?;
    }
    Ok(())
}
