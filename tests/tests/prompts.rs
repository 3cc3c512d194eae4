//! A person at a terminal, once with ours, called as `notary`, and once with the real `notary`: the same questions, the same
//! answers, the same screen.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use regex::Regex;
use signet_tests::{Finished, Stage, binary};

const REAL: &str = "/usr/bin/notary";
const ROOT: (&str, &str) = ("new root key with ID", "the root's own");
const TARGETS: (&str, &str) = ("new targets key with ID", "of the targets");
const SNAPSHOT: (&str, &str) = ("new snapshot key with ID", "of the snapshot");

/// One person with each program; the names are equally long.
struct Pair {
    stage: Stage,
    ours: PathBuf,
}

impl Pair {
    fn new() -> Result<Self> {
        let stage = Stage::with_files()?;
        let ours = stage.home.path().join("notary");
        symlink(binary("signet")?, &ours)?;
        stage.home.write("file", "content")?;
        Ok(Self { stage, ours })
    }

    /// Both have a published collection, made with the passphrases above.
    fn published() -> Result<Self> {
        let pair = Self::new()?;
        let dialog: Vec<_> = [ROOT, TARGETS, SNAPSHOT].into_iter().flat_map(|asked| [asked, asked]).collect();
        pair.talk("init $G", &dialog)?;
        pair.talk("publish $G", &[("for targets key", TARGETS.1), ("for snapshot key", SNAPSHOT.1)])?;
        Ok(pair)
    }

    /// Both show the same screen and end alike. `$G` is the collection of each, `$T` the ID of its targets key.
    fn talk(&self, line: &str, dialog: &[(&str, &str)]) -> Result<Finished> {
        let [ours, real] = self.screens(line, dialog)?;
        ensure!(ours.code == real.code, "{line}: {:?}, the real one {:?}\n{ours}\n{real}", ours.code, real.code);
        let (mine, theirs) = (settled(&ours.stdout)?, settled(&real.stdout)?);
        ensure!(mine == theirs, "{line}\n[ours]\n{mine}\n[real]\n{theirs}");
        Ok(ours)
    }

    fn screens(&self, line: &str, dialog: &[(&str, &str)]) -> Result<[Finished; 2]> {
        Ok([self.screen("ours", &self.ours, line, dialog)?, self.screen("real", Path::new(REAL), line, dialog)?])
    }

    fn screen(&self, name: &str, program: &Path, line: &str, dialog: &[(&str, &str)]) -> Result<Finished> {
        let gun = format!("example.com/{name}");
        let key = self.targets_key(name).unwrap_or_default();
        let words = line.split_whitespace().map(|word| word.replace("$G", &gun).replace("$T", &key));
        let mut call = self.stage.called(program, Path::new(name), words);
        for role in ["ROOT", "TARGETS", "SNAPSHOT", "DELEGATION"] {
            call = call.without_env(&format!("NOTARY_{role}_PASSPHRASE"));
        }
        let mut terminal = call.on_terminal()?;
        for (question, answer) in dialog {
            if question.contains("yes/no") {
                terminal.answer(question, answer)?;
            } else {
                terminal.answer_hidden(question, answer)?;
            }
        }
        terminal.finish()
    }

    fn targets_key(&self, name: &str) -> Result<String> {
        for file in fs::read_dir(self.stage.home.path().join(name).join("private"))? {
            let path = file?.path();
            if fs::read_to_string(&path)?.contains("role: targets") {
                return Ok(path.file_stem().context("a name")?.to_string_lossy().into_owned());
            }
        }
        anyhow::bail!("{name} has no targets key")
    }
}

/// A screen without what differs between two people, and without the lines that are only logged.
fn settled(screen: &str) -> Result<String> {
    let volatile = [(r"\b[0-9a-f]{64}\b", "[HEX]"), (r"ID [0-9a-f]{7}\b", "ID [HEX]"), (r"\b(ours|real)\b", "[NAME]")];
    let text = volatile.into_iter().try_fold(screen.replace('\r', ""), |text, (pattern, word)| {
        anyhow::Ok(Regex::new(pattern)?.replace_all(&text, word).into_owned())
    })?;
    let logged = Regex::new(r"^\x1b\[[0-9]+m[A-Z]{4}\x1b\[0m")?;
    Ok(text.lines().filter(|line| !logged.is_match(line)).collect::<Vec<_>>().join("\n"))
}

#[test]
fn new_passphrases_are_asked_until_they_will_do() -> Result<()> {
    let pair = Pair::new()?;
    let (root, targets, snapshot) = (ROOT.0, TARGETS.0, SNAPSHOT.0);
    let dialog = [
        (root, "short"),
        (root, ROOT.1),
        (root, "something else"),
        ROOT,
        ROOT,
        (targets, "1234567"),
        TARGETS,
        TARGETS,
        (snapshot, "  padded with spaces  "),
        (snapshot, "padded with spaces"),
    ];
    pair.talk("init $G", &dialog)?;
    Ok(())
}

#[test]
fn a_wrong_passphrase_is_asked_again() -> Result<()> {
    let pair = Pair::published()?;
    pair.talk("add $G first file", &[])?;
    let dialog = [("for targets key", "wrong once"), ("for targets key", TARGETS.1), ("for snapshot key", SNAPSHOT.1)];
    pair.talk("publish $G", &dialog)?;
    pair.talk("list $G", &[])?;
    Ok(())
}

#[test]
fn four_wrong_passphrases_are_enough() -> Result<()> {
    let pair = Pair::published()?;
    let wrong = [("for targets key", "wrong"); 4];
    let [ours, real] = pair.screens("key passwd $T", &wrong)?;
    ensure!(ours.code == Some(1) && real.code == Some(1), "{ours}\n{real}");
    let [(mine, my_words), (theirs, their_words)] = [&ours, &real].map(|seen| {
        let screen = settled(&seen.stdout).unwrap_or_default();
        screen
            .split_once("\n* fatal: ")
            .map(|(before, words)| (before.to_owned(), words.to_owned()))
            .unwrap_or_default()
    });
    assert_eq!(mine, theirs);
    ensure!(my_words.contains("password invalid"), "{my_words}");
    ensure!(their_words.contains("could not retrieve"), "no difference any more: {their_words}");

    pair.talk("add $G first file", &[])?;
    let publish = pair.screen("ours", &pair.ours, "publish $G", &wrong)?;
    ensure!(publish.code == Some(1), "{publish}");
    publish.says(&["password invalid"])?;
    pair.talk("status $G", &[])?;
    Ok(())
}

#[test]
fn a_passphrase_is_changed_after_the_old_one() -> Result<()> {
    let pair = Pair::published()?;
    let (old, new) = ("for targets key", "new targets key");
    let changed = "changed for good";
    pair.talk("key passwd $T", &[(old, "wrong"), (old, TARGETS.1), (new, changed), (new, changed)])?;
    pair.talk("add $G first file", &[])?;
    pair.talk("publish $G", &[(old, changed), ("for snapshot key", SNAPSHOT.1)])?;
    Ok(())
}

#[test]
fn a_key_is_removed_only_by_yes() -> Result<()> {
    let pair = Pair::published()?;
    for answer in ["", "no", "nonsense", "y", "yes"] {
        pair.talk("key remove $T", &[("(yes/no)", answer)])?;
        let left = ["ours", "real"].map(|name| pair.targets_key(name).is_ok());
        ensure!(left[0] == left[1], "{answer:?}: {left:?}");
        if !left[0] {
            break;
        }
    }
    ensure!(pair.targets_key("ours").is_err(), "the key is still there");
    Ok(())
}

#[test]
fn a_generated_key_gets_a_passphrase_of_its_own() -> Result<()> {
    let pair = Pair::new()?;
    let asked = ("new user key with ID", "of the user");
    pair.talk("key generate ecdsa -r user", &[asked, asked])?;
    pair.talk("key list", &[])?;
    Ok(())
}
