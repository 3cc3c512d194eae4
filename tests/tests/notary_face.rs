//! Ours, called as `notary`, and the real `notary`, side by side: the same words in equal states. Standard output and status
//! are the same, except where docs/notary-compat.md says otherwise; `golden/like_notary.txt` holds the ordinary day.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use regex::Regex;
use signet_tests::{Finished, Mask, Stage, binary, compat_paper, log_lines_only};
use signet_tuf::PublicKey;

const USAGE: &str = "Usage:";

/// How the two answers must compare.
#[derive(Debug, Clone, Copy)]
enum Same {
    /// Standard output and status.
    Everything,
    /// Status, that there is a usage, and all that stands behind it: the usage itself is ours.
    BehindTheUsage,
}

/// Two people with the same history, one with each program.
struct Twins {
    stage: Stage,
    ours: PathBuf,
    mask: Mask,
    /// Variables that are not set.
    without: Vec<String>,
    differences: Vec<String>,
}

/// What makes a person one of the two; the names are equally long, so that tables are equally wide.
struct Twin<'a> {
    program: &'a Path,
    name: &'static str,
}

impl Twins {
    fn new() -> Result<Self> {
        let stage = Stage::with_files()?;
        let ours = stage.home.path().join("notary");
        symlink(binary("signet")?, &ours)?;
        stage.home.write("file", "content")?;
        stage.home.write("other", "other content")?;
        stage.home.write("not.json", "no json")?;
        let mask = Mask::of(&["ours", "real"])?;
        Ok(Self { stage, ours, mask, without: Vec::new(), differences: Vec::new() })
    }

    fn openssl(&self, line: &str) -> Result<Finished> {
        self.stage.home.call("/usr/bin/openssl").args(line.split_whitespace()).ok()
    }

    /// The ID of the public key in a file.
    fn key_in(&self, file: &str) -> Result<String> {
        let text = fs::read_to_string(self.stage.home.path().join(file))?;
        let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
        Ok(PublicKey::from_spki(&STANDARD.decode(body)?)?.canonical_id().to_string())
    }

    /// The ID of a twin's key, while there is only one.
    fn only_key(&self, name: &str) -> Result<String> {
        let folder = self.stage.home.path().join(name).join("private");
        let Ok(mut files) = fs::read_dir(folder) else { return Ok(String::new()) };
        let Some(file) = files.next() else { return Ok(String::new()) };
        Ok(file?.path().file_stem().context("a name")?.to_string_lossy().into_owned())
    }

    /// What both say; `$G` in `line` is a collection of each one's own, `$K` the ID of its only key, `$H` an ID of nothing.
    fn say(&self, line: &str, input: &str) -> Result<(Finished, Finished)> {
        let answer = |twin: Twin<'_>| {
            let gun = format!("example.com/{}", twin.name);
            let key = self.only_key(twin.name)?;
            let words = line.split_whitespace();
            let words = words.map(|word| word.replace("$G", &gun).replace("$K", &key).replace("$H", &"ab".repeat(32)));
            let call = self.stage.called(twin.program, Path::new(twin.name), words).input(input);
            self.without.iter().fold(call, |call, name| call.without_env(name)).finish()
        };
        let ours = answer(Twin { program: &self.ours, name: "ours" })?;
        log_lines_only(&ours)?;
        Ok((ours, answer(Twin { program: Path::new("/usr/bin/notary"), name: "real" })?))
    }

    fn compare(&mut self, same: Same, line: &str, (ours, real): &(Finished, Finished)) {
        let seen = |finished: &Finished| (finished.code, self.part(same, &finished.stdout));
        if seen(ours) != seen(real) {
            self.differences.push(format!("[ours, {line}]\n{ours}\n[real]\n{real}"));
        }
    }

    fn part(&self, same: Same, stdout: &str) -> (bool, String) {
        let settled = self.mask.settled(stdout);
        match (same, settled.find("\n* fatal:")) {
            (Same::BehindTheUsage, Some(at)) => {
                let (usage, behind) = settled.split_at(at);
                (usage.contains(USAGE), behind.to_owned())
            }
            (Same::Everything | Same::BehindTheUsage, _) => (false, settled),
        }
    }

    /// Both answer alike.
    fn alike(&mut self, lines: &[&str]) -> Result<()> {
        for line in lines {
            let answers = self.say(line, "")?;
            self.compare(Same::Everything, line, &answers);
        }
        Ok(())
    }

    /// Both answer alike to a person who types `input`.
    fn alike_when_told(&mut self, line: &str, input: &str) -> Result<()> {
        let answers = self.say(line, input)?;
        self.compare(Same::Everything, line, &answers);
        Ok(())
    }

    /// Status and all before the failure are the same; the words of the failure differ, which the paper says in `row`.
    fn alike_but_for_the_words(&mut self, row: &str, lines: &[&str]) -> Result<()> {
        ensure!(compat_paper()?.contains(row), "docs/notary-compat.md does not say: {row}");
        for line in lines {
            let (ours, real) = self.say(line, "")?;
            let [(mine, my_words), (theirs, their_words)] = [&ours, &real].map(|finished| {
                let settled = self.part(Same::Everything, &finished.stdout).1;
                let at = settled.find("\n* fatal:").unwrap_or(settled.len());
                let (before, words) = settled.split_at(at);
                ((finished.code, before.to_owned()), words.to_owned())
            });
            ensure!(my_words != their_words, "this is no difference: {line}\n{ours}\n{real}");
            if mine != theirs || my_words.is_empty() {
                self.differences.push(format!("[ours, {line}]\n{ours}\n[real]\n{real}"));
            }
        }
        Ok(())
    }

    fn end(self) -> Result<()> {
        ensure!(
            self.differences.is_empty(),
            "{} differences:\n{}",
            self.differences.len(),
            self.differences.join("\n")
        );
        Ok(())
    }
}

#[test]
fn wrong_words_are_answered_alike() -> Result<()> {
    let mut twins = Twins::new()?;
    for line in [
        "init",
        "status",
        "publish",
        "list",
        "lookup",
        "lookup $G",
        "add",
        "add $G a",
        "addhash $G a 1",
        "addhash $G a",
        "reset",
        "reset $G",
        "verify $G",
        "delete",
        "key list extra",
        "key generate ecdsa ecdsa",
        "key export extra",
        "key import",
        "key remove",
        "key passwd",
        "witness",
        "witness $G",
        "delegation list",
        "delegation list $G extra",
        "delegation add",
        "delegation add $G",
        "delegation add $G targets/a",
        "delegation remove",
        "delegation remove $G",
        "delegation purge",
        "delegation purge $G",
        "delegation purge $G extra --key $H",
    ] {
        let answers = twins.say(line, "")?;
        ensure!(answers.0.code == Some(1), "{}", answers.0);
        ensure!(answers.0.stdout.contains(USAGE), "the usage comes first:\n{}", answers.0);
        twins.compare(Same::BehindTheUsage, line, &answers);
    }
    twins.end()
}

#[test]
fn unknown_words_and_flags_are_answered_alike() -> Result<()> {
    let twins = Twins::new()?;
    for line in [
        "nonsense",
        "list $G --nonsense",
        "delegation add $G targets/a --nonsense",
        "witness $G a -z",
        "list $G -z",
        "remove",
        "remove $G",
        "key list --nonsense=1",
    ] {
        let (ours, real) = twins.say(line, "")?;
        // Here the real one gives no usage.
        let ours_behind = twins.part(Same::BehindTheUsage, &ours.stdout).1;
        let real_behind = twins.part(Same::BehindTheUsage, &real.stdout).1;
        ensure!((ours.code, &ours_behind) == (real.code, &real_behind), "{line}\n{ours}\n{real}");
    }
    Ok(())
}

#[test]
fn a_collection_s_life_reads_alike() -> Result<()> {
    let mut twins = Twins::new()?;
    twins.alike(&[
        "key list",
        "status $G",
        "list $G",
        "init $G",
        "publish $G",
        "list $G",
        "key list",
        "init -p $G-2",
        "list $G-2",
        "lookup $G-2 a",
        "add $G a file",
        "add $G a file",
        "add $G a other",
        "status $G",
        "publish $G",
        "list $G",
        "lookup $G a",
        "verify $G a -i other",
        "verify $G a -i file",
        "remove $G a -p",
        "list $G",
        "verify $G a -i other",
        "add $G a file -r root",
        "add $G a file -r targets/nobody",
        "status $G",
    ])?;
    twins.alike_but_for_the_words("the change is named, too", &["publish $G"])?;
    twins.alike(&["status $G", "reset $G --all", "add $G-3 a file -p", "list $G-3", "publish $G-4", "key list"])?;
    twins.alike_when_told("verify $G-3 a", "content")?;
    twins.alike_when_told("verify $G-3 a", "")?;
    twins.alike_but_for_the_words(
        "our own words for the same failure",
        &[
            "verify $G-3 a -i no-such-file",
            "verify $G-3 a -i file -o no/such/place",
            "add $G a no-such-file",
            "add $G a file --custom no-such-file",
            "add $G a file --custom not.json",
        ],
    )?;
    twins.alike(&["status $G"])?;
    twins.end()
}

#[test]
fn delegations_read_alike() -> Result<()> {
    let mut twins = Twins::new()?;
    let nobody = "ab".repeat(32);
    // One delegate hands her certificate to both.
    twins.openssl("req -x509 -newkey rsa:2048 -nodes -keyout ann.key -out ann.crt -days 400 -subj /CN=ann")?;
    twins.openssl("pkey -in ann.key -pubout -out ann.pub")?;
    twins.openssl("req -x509 -newkey ed25519 -nodes -keyout ed.key -out ed.crt -days 400 -subj /CN=ed")?;
    twins.openssl("req -x509 -new -key ann.key -sha1 -subj /CN=sha -days 400 -out sha1.crt")?;
    let ann = twins.key_in("ann.pub")?;
    twins.alike(&[
        "delegation list $G",
        "init $G -p",
        "delegation list $G",
        "delegation add $G targets/a ann.crt --all-paths",
        "delegation add $G targets/b ann.pub --paths z,b/,a",
        "delegation add $G targets/b --paths more",
        "status $G",
        "publish $G",
        "delegation list $G",
        "delegation add $G targets/b other --paths x",
        "delegation add $G targets/b none.crt",
        "delegation add $G targets/b sha1.crt",
        "delegation add $G targets/b ann.key",
        "delegation add $G targets/B ann.crt",
        "delegation add $G root ann.crt",
        "delegation remove $G targets/B",
        "delegation remove $G root --all-paths",
        "delegation remove $G targets/b --paths z,a",
        &format!("delegation remove $G targets/b {nobody}"),
        &format!("delegation remove $G targets/a {ann} --all-paths -p"),
        "delegation list $G",
        &format!("delegation purge $G --key {ann},{nobody}"),
        "status $G",
        "publish $G",
        "delegation list $G",
        "witness $G targets targets/a",
        "reset $G --all",
        "witness -p $G targets",
        "delegation remove -y $G targets/a",
        "delegation remove --yes -p $G targets/b",
        "delegation list $G",
    ])?;
    for said in ["no\n", "", "maybe\n", "yes please\n", "YES\n", "y\n"] {
        twins.alike_when_told("delegation remove $G targets/a", said)?;
    }
    twins.alike(&["status $G"])?;
    twins.alike_but_for_the_words("one line, and nothing is staged", &["delegation add $G targets/a ed.crt"])?;
    twins.stage.server.stop();
    twins.alike(&[
        "delegation list $G",
        "delegation list $G-none",
        "delegation add $G targets/c ann.crt",
        "witness $G targets -p",
    ])?;
    twins.end()
}

#[test]
fn every_flag_of_the_real_one_is_known() -> Result<()> {
    let twins = Twins::new()?;
    let shown = Regex::new(r"^ +(?:(-\w), )?(--[\w-]+)(?: |$)")?;
    let flags = |help: &str| -> Vec<String> {
        let found = help.lines().filter_map(|line| shown.captures(line));
        found
            .flat_map(|found| {
                [found.get(1), found.get(2)].into_iter().flatten().map(|m| m.as_str().to_owned()).collect::<Vec<_>>()
            })
            .collect()
    };
    let verb = Regex::new(r"^  ([a-z]+) ")?;
    let mut waiting = vec![String::new()];
    let mut asked = 0;
    while let Some(verbs) = waiting.pop() {
        let (ours, real) = twins.say(&format!("{verbs} --help"), "")?;
        // Cobra's own help on itself and its shells' scripts.
        let is_cobras = verbs.starts_with(" help") || verbs.starts_with(" completion");
        if is_cobras {
            continue;
        }
        asked += 1;
        let known = flags(&ours.stdout);
        for flag in flags(&real.stdout) {
            ensure!(known.contains(&flag), "{verbs} {flag}\n{ours}\n{real}");
        }
        let listed = real.stdout.lines().skip_while(|line| !line.starts_with("Available Commands"));
        let listed = listed.skip(1).take_while(|line| line.starts_with(' '));
        waiting.extend(listed.filter_map(|line| Some(format!("{verbs} {}", verb.captures(line)?.get(1)?.as_str()))));
    }
    ensure!(asked > 20, "only {asked} commands were found");
    Ok(())
}

#[test]
fn bad_digests_and_sizes_are_refused_alike() -> Result<()> {
    let mut twins = Twins::new()?;
    let digest = "ab".repeat(32);
    for line in [
        format!("addhash $G a ten --sha256 {digest}"),
        format!("addhash $G a 99999999999999999999 --sha256 {digest}"),
        "addhash $G a 1 --sha256 abc".to_owned(),
        "addhash $G a 1 --sha512 abcd".to_owned(),
        format!("addhash $G a 1 --sha256 {}", "zz".repeat(32)),
    ] {
        twins.alike_but_for_the_words("our own words for the same failure", &[&line])?;
    }
    twins.alike(&["status $G", &format!("addhash $G a 1 --sha256 {digest}"), "status $G"])?;
    twins.end()
}

#[test]
fn without_a_server_they_answer_alike() -> Result<()> {
    let mut twins = Twins::new()?;
    twins.alike(&["init $G", "add $G a file -p", "list $G"])?;
    twins.stage.server.stop();
    twins.alike(&[
        "list $G",
        "lookup $G a",
        "lookup $G none",
        "verify $G a -i file",
        "status $G",
        "add $G b file",
        "add $G c file -p",
        "publish $G",
        "status $G",
        "remove $G a",
        "list $G-none",
        "verify $G-none a -i file",
        "key list",
        "init $G-none",
    ])?;
    let (ours, real) = twins.say("key list", "")?;
    ensure!(compat_paper()?.contains("the server is asked first"), "docs/notary-compat.md does not say it");
    ensure!(!ours.stdout.contains("-none") && real.stdout.contains("-none"), "{ours}\n{real}");
    twins.end()
}

#[test]
fn keys_are_made_and_missed_alike() -> Result<()> {
    let mut twins = Twins::new()?;
    twins.alike(&[
        "key generate",
        "key generate -r user",
        "key generate -r targets/a",
        "key list",
        "key remove 123",
    ])?;
    twins.alike_but_for_the_words("RSA and Ed25519 as well", &["key generate nonsense"])?;
    let nobody = "ab".repeat(32);
    twins.alike_when_told(&format!("key remove {nobody}"), "yes\n")?;
    twins.alike_but_for_the_words(
        "our own words for the same failure",
        &["key generate -o no/such/dir", "key import no-such-file", "key export -o no/such/dir/file"],
    )?;
    twins.end()
}

#[test]
fn a_key_is_removed_alike() -> Result<()> {
    let mut twins = Twins::new()?;
    twins.alike(&["key generate", "key list"])?;
    for said in ["no\n", "", "maybe\n", "yes\n"] {
        twins.alike_when_told("key remove $K", said)?;
        twins.alike(&["key list"])?;
    }
    twins.end()
}

#[test]
fn without_a_passphrase_both_give_up() -> Result<()> {
    let mut twins = Twins::new()?;
    ["ROOT", "TARGETS", "SNAPSHOT"].iter().for_each(|role| twins.without.push(format!("NOTARY_{role}_PASSPHRASE")));
    twins.alike_but_for_the_words("that there is nobody to ask", &["key generate", "init $G"])?;
    twins.alike(&["key list"])?;
    twins.end()
}

#[test]
fn of_a_flag_given_twice_the_last_one_counts_for_both() -> Result<()> {
    let mut twins = Twins::new()?;
    twins.alike(&["-s https://127.0.0.1:1 list $G", "-s https://127.0.0.1:1 key list", "-d elsewhere key list"])?;
    twins.end()
}

#[test]
fn bad_settings_are_refused_alike() -> Result<()> {
    let mut twins = Twins::new()?;
    let lines = ["-c no-such-file.json list $G", "--tlscert file list $G", "--tlskey file list $G"];
    twins.alike_but_for_the_words("our own words for the same failure", &lines)?;
    twins.end()
}

#[test]
fn version_has_notarys_form() -> Result<()> {
    let twins = Twins::new()?;
    let heads = |finished: &Finished| -> Vec<String> {
        finished.stdout.lines().map(|line| line.split_inclusive(':').next().unwrap_or_default().to_owned()).collect()
    };
    for line in ["version", "--version"] {
        let (ours, real) = twins.say(line, "")?;
        assert_eq!((ours.code, heads(&ours)), (real.code, heads(&real)), "{line}");
    }
    Ok(())
}

/// The differences that can be run: the words, a piece of the row that gives the reason, and the two statuses.
const DIFFERENCES: [(&str, &str, i32, i32); 13] = [
    ("list $G extra", "words that are too many are refused", 1, 0),
    ("key nonsense", "an unknown word after `key` or `delegation` is refused", 1, 0),
    ("reset $G -n 7", "it is named, and nothing is reset", 1, 0),
    ("addhash $G a -1 --sha256 $H", "nothing is that small", 1, 1),
    ("key generate rsa", "RSA and Ed25519 as well", 0, 1),
    ("init $G", "the old collection goes on working", 1, 0),
    ("key import not.json", "`key import` of a file without a key succeeds", 1, 0),
    ("delegation nonsense", "an unknown word after `key` or `delegation` is refused", 1, 0),
    ("delegation add $G targets/a --paths a,,b", "an empty path has to be said", 1, 0),
    ("delegation add $G targets/a/b ann.pub", "refused when it is staged, if that is known", 1, 0),
    ("delegation add $G targets/a two.pem", "more than one key in a file is refused", 1, 0),
    ("delegation purge $G --key 123", "what is no key ID is refused", 1, 0),
    ("witness $G snapshot", "`witness` of what cannot be witnessed is refused", 1, 0),
];

#[test]
fn root_keys_and_certificates_from_files_are_answered_alike() -> Result<()> {
    let mut twins = Twins::new()?;
    twins.openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout plain.key -out root.crt -subj /CN=a",
    )?;
    twins.alike(&["init $G --rootkey plain.key"])?;
    let words = "errors of Go's libraries";
    twins.alike_but_for_the_words(words, &["init $G --rootkey nowhere", "init $G --rootcert nowhere"])?;
    let row = "`init --rootcert` takes the first certificate of the file";
    // an authority's certificate of another name: the real one looks for the key first
    twins.alike_but_for_the_words(row, &["init $G --rootcert root.crt"])?;
    twins.end()
}

#[test]
fn every_difference_stands_in_the_papers() -> Result<()> {
    let twins = Twins::new()?;
    twins.openssl("genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-256 -out ann.key")?;
    twins.openssl("pkey -in ann.key -pubout -out ann.pub")?;
    let key = fs::read_to_string(twins.stage.home.path().join("ann.pub"))?;
    twins.stage.home.write("two.pem", format!("{key}{key}"))?;
    twins.say("init $G -p", "")?;
    let paper = compat_paper()?;
    for (line, row, ours_code, real_code) in DIFFERENCES {
        ensure!(paper.contains(row), "docs/notary-compat.md does not say: {row}");
        let (ours, real) = twins.say(line, "")?;
        ensure!((ours.code, real.code) == (Some(ours_code), Some(real_code)), "{line}\n{ours}\n{real}");
        ensure!(ours.stdout != real.stdout, "this is no difference: {line}\n{ours}\n{real}");
    }
    Ok(())
}
