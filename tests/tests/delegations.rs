//! Delegations on a real notary-server: who may sign for what, given and taken by ours and by the real notary in turns.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use signet_tests::{Agent, Call, Finished, Stage};

const GUN: &str = "example.com/acme/app";

/// Who types a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Ours,
    Real,
}

use Program::{Ours, Real};

/// Who signs the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeper {
    /// The server, so that delegates need no key but their own.
    Server,
    /// Whoever publishes, with the collection's key: Notary's default, by which an agent judges every snapshot.
    Team,
}

/// Each case with a snapshot by either.
fn both<T: Copy>(cases: &[T]) -> Vec<(T, Keeper)> {
    cases.iter().flat_map(|case| [Keeper::Server, Keeper::Team].map(|keeper| (*case, keeper))).collect()
}

/// An administrator with the keys of a collection, and delegates with one key each; every person has a trust directory.
struct Team {
    stage: Stage,
    keeper: Keeper,
    _agent: Agent,
}

impl Team {
    fn new() -> Result<Self> {
        let stage = Stage::with_files()?;
        let agent = stage.home.start_agent()?;
        for name in ["one", "two", "three"] {
            stage.home.write(name, format!("content {name}"))?;
        }
        Ok(Self { stage, keeper: Keeper::Server, _agent: agent })
    }

    /// With a published collection whose snapshot the server signs.
    fn with_collection() -> Result<Self> {
        Self::with_snapshot_by(Keeper::Server)
    }

    fn with_snapshot_by(keeper: Keeper) -> Result<Self> {
        let team = Self { keeper, ..Self::new()? };
        let flag = match keeper {
            Keeper::Server => "--server-managed-snapshot",
            Keeper::Team => "",
        };
        team.admin(Ours, &format!("init {GUN} {flag} -p"))?.ok()?;
        Ok(team)
    }

    /// A command of one person by one of the programs; words are parted by spaces.
    fn say(&self, person: &str, program: Program, line: &str) -> Result<Call> {
        let trust = self.stage.home.path().join(person);
        let words = line.split_whitespace();
        match program {
            Ours => self.stage.signet_in(&trust, words),
            Real => Ok(self.stage.notary(&trust, words)),
        }
    }

    fn admin(&self, program: Program, line: &str) -> Result<Call> {
        self.say("admin", program, line)
    }

    fn openssl(&self, line: &str) -> Result<Finished> {
        self.stage.home.call("/usr/bin/openssl").args(line.split_whitespace()).ok()
    }

    /// A key in `NAME.key`, its certificate in `NAME.crt` and its public key in `NAME.pub`.
    fn credentials(&self, name: &str, algorithm: &str) -> Result<()> {
        self.openssl(&format!(
            "req -x509 -newkey {algorithm} -nodes -keyout {name}.key -out {name}.crt -days 400 -subj /CN={name}"
        ))?;
        self.openssl(&format!("pkey -in {name}.key -pubout -out {name}.pub"))?;
        Ok(())
    }

    /// A delegate: credentials, and the key in a trust directory of her own.
    fn delegate(&self, name: &str) -> Result<()> {
        self.credentials(name, "ec -pkeyopt ec_paramgen_curve:P-256")?;
        self.say(name, Ours, &format!("key import {name}.key -r user"))?.ok()?;
        match self.keeper {
            Keeper::Server => Ok(()),
            Keeper::Team => self.share_snapshot_key(name),
        }
    }

    fn share_snapshot_key(&self, name: &str) -> Result<()> {
        let keys = |person: &str| self.stage.home.path().join(person).join("private");
        for entry in fs::read_dir(keys("admin"))? {
            let file = entry?;
            if fs::read_to_string(file.path())?.contains("role: snapshot") {
                fs::copy(file.path(), keys(name).join(file.file_name()))?;
                return Ok(());
            }
        }
        bail!("admin has no snapshot key")
    }

    /// The canonical ID of a delegate's key.
    fn key_id(&self, name: &str) -> Result<String> {
        let folder = self.stage.home.path().join(name).join("private");
        for entry in fs::read_dir(folder)? {
            let file = entry?.path();
            if !fs::read_to_string(&file)?.contains("role: snapshot") {
                return Ok(file.file_stem().context("a name")?.to_string_lossy().into_owned());
            }
        }
        bail!("{name} has no key")
    }

    /// What a stranger with the real notary sees.
    fn stranger_sees(&self, line: &str) -> Result<Finished> {
        self.stage.stranger(line.split_whitespace())?.ok()
    }

    fn changes(&self, person: &str) -> Result<Vec<PathBuf>> {
        let folder = self.stage.home.path().join(person).join("tuf").join(GUN).join("changelist");
        let Ok(entries) = fs::read_dir(&folder) else { return Ok(Vec::new()) };
        let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        files.sort();
        Ok(files)
    }

    /// What is staged, in order, each file as it is; then nothing is.
    fn take_staged(&self, person: &str) -> Result<Vec<String>> {
        let mut taken = Vec::new();
        for file in self.changes(person)? {
            taken.push(fs::read_to_string(&file)?);
            fs::remove_file(file)?;
        }
        Ok(taken)
    }

    fn nothing_is_staged(&self, person: &str) -> Result<()> {
        let staged = self.changes(person)?;
        ensure!(staged.is_empty(), "staged: {staged:?}");
        Ok(())
    }
}

#[test]
fn a_delegate_signs_with_her_own_key_alone() -> Result<()> {
    for (admin, delegate) in [(Ours, Ours), (Ours, Real), (Real, Ours)] {
        let team = Team::new()?;
        match admin {
            Ours => team.admin(Ours, &format!("init {GUN} --server-managed-snapshot -p"))?.ok()?,
            Real => {
                team.admin(Real, &format!("init {GUN} -p"))?.ok()?;
                team.admin(Real, &format!("key rotate {GUN} snapshot -r"))?.ok()?
            }
        };
        team.delegate("ann")?;
        team.admin(admin, &format!("delegation add -p {GUN} targets/releases ann.crt --all-paths"))?.ok()?;

        team.say("ann", delegate, &format!("add {GUN} v1 one --roles targets/releases"))?.ok()?;
        team.say("ann", delegate, &format!("publish {GUN}"))?.ok()?;
        let seen = team.stranger_sees(&format!("list {GUN}"))?.stdout;
        ensure!(seen.contains("v1") && seen.contains("targets/releases"), "{admin:?} {delegate:?}\n{seen}");
        // Her key opens nothing else.
        team.say("ann", delegate, &format!("add {GUN} v2 two"))?.ok()?;
        team.say("ann", delegate, &format!("publish {GUN}"))?.refused()?;
        team.stranger_sees(&format!("list {GUN}"))?.never_says(&["v2"])?;
    }
    Ok(())
}

#[test]
fn a_delegate_delegates_further_within_her_paths() -> Result<()> {
    for keeper in [Keeper::Server, Keeper::Team] {
        let team = Team::with_snapshot_by(keeper)?;
        for name in ["ann", "bob"] {
            team.delegate(name)?;
        }
        team.admin(Ours, &format!("delegation add -p {GUN} targets/a ann.crt --paths a/"))?.ok()?;
        team.say("ann", Ours, &format!("delegation list {GUN}"))?.ok()?;
        let outside = team.say("ann", Ours, &format!("delegation add {GUN} targets/a/b bob.crt --paths b/"))?;
        outside.refused()?.says(&["targets/a/b cannot have \"b/\"", "nothing was staged"])?;
        let all = team.say("ann", Ours, &format!("delegation add {GUN} targets/a/b bob.crt --all-paths"))?;
        all.refused()?.says(&["all paths"])?;
        team.nothing_is_staged("ann")?;
        team.say("ann", Ours, &format!("delegation add -p {GUN} targets/a/b bob.crt --paths a/b/"))?.ok()?;

        team.say("bob", Real, &format!("add -p {GUN} a/b/1 one --roles targets/a/b"))?.ok()?;
        team.say("bob", Ours, &format!("add -p {GUN} a/b/2 two --roles targets/a/b"))?.ok()?;
        let seen = team.stranger_sees(&format!("list {GUN}"))?.stdout;
        ensure!(seen.contains("a/b/1") && seen.contains("a/b/2"), "{seen}");
        // What the paths do not allow is published by neither, and named by ours.
        for (program, words) in [
            (Ours, "Could not add all targets: the paths of targets/a/b do not allow \"a/c\""),
            (Real, "Could not add all targets"),
        ] {
            team.say("bob", program, &format!("add {GUN} a/c one --roles targets/a/b"))?.ok()?;
            team.say("bob", program, &format!("publish {GUN}"))?.refused()?.says(&[words])?;
            ensure!(team.take_staged("bob")?.len() == 1);
        }
        lists_are_equal(&team, "bob")?;
    }
    Ok(())
}

#[test]
fn of_several_keys_either_signs_until_it_is_taken_away() -> Result<()> {
    for (program, keeper) in both(&[Ours, Real]) {
        let team = Team::with_snapshot_by(keeper)?;
        for name in ["ann", "bob"] {
            team.delegate(name)?;
        }
        team.admin(program, &format!("delegation add -p {GUN} targets/releases ann.crt bob.pub --all-paths"))?.ok()?;
        team.say("bob", Ours, &format!("add -p {GUN} by-bob one --roles targets/releases"))?.ok()?;
        team.say("ann", Ours, &format!("add -p {GUN} by-ann two --roles targets/releases"))?.ok()?;
        team.stranger_sees(&format!("list {GUN}"))?.says(&["by-ann", "by-bob"])?;

        let ann = team.key_id("ann")?;
        let removal = format!("delegation remove -p {GUN} targets/releases {ann}");
        team.admin(program, &removal)?.ok()?.says(&[&format!("with keys [{ann}], to repository")])?;
        // Ann was the last to sign, so nobody vouches for it now.
        team.stranger_sees(&format!("list {GUN}"))?.never_says(&["by-ann", "by-bob"])?;
        team.say("ann", Ours, &format!("list {GUN}"))?.ok()?.never_says(&["by-ann", "by-bob"])?;
        let again = team.say("ann", Ours, &format!("add {GUN} again one --roles targets/releases"))?;
        again.ok()?;
        team.say("ann", Ours, &format!("publish {GUN}"))?.refused()?;

        team.say("bob", program, &format!("witness -p {GUN} targets/releases"))?
            .ok()?
            .says(&["\t- targets/releases"])?;
        team.stranger_sees(&format!("list {GUN}"))?.says(&["by-ann", "by-bob"])?;
        lists_are_equal(&team, "bob")?;
    }
    Ok(())
}

#[test]
fn a_nested_delegation_is_removed_by_its_parent() -> Result<()> {
    for (program, keeper) in both(&[Ours, Real]) {
        let team = Team::with_snapshot_by(keeper)?;
        for name in ["ann", "bob"] {
            team.delegate(name)?;
        }
        team.admin(Ours, &format!("delegation add -p {GUN} targets/a ann.crt --all-paths"))?.ok()?;
        team.say("ann", Ours, &format!("delegation add -p {GUN} targets/a/b bob.crt --all-paths"))?.ok()?;
        team.say("bob", Ours, &format!("add -p {GUN} by-bob one --roles targets/a/b"))?.ok()?;
        team.say("ann", Ours, &format!("add -p {GUN} by-ann two --roles targets/a"))?.ok()?;
        team.stranger_sees(&format!("list {GUN}"))?.says(&["by-bob", "by-ann"])?;

        // What else is staged goes out with it.
        team.say("ann", program, &format!("delegation remove -y {GUN} targets/a/b"))?.ok()?;
        team.say("ann", program, &format!("add {GUN} too three --roles targets/a"))?.ok()?;
        team.say("ann", program, &format!("publish {GUN}"))?.ok()?;
        team.stranger_sees(&format!("list {GUN}"))?.says(&["by-ann", "too"])?.never_says(&["by-bob"])?;
        team.stranger_sees(&format!("delegation list {GUN}"))?.never_says(&["targets/a/b"])?;
        team.say("ann", Ours, &format!("list {GUN}"))?.ok()?.says(&["by-ann"])?.never_says(&["by-bob"])?;
        lists_are_equal(&team, "ann")?;
    }
    Ok(())
}

#[test]
fn delegations_are_removed_together_each_by_its_own_parent() -> Result<()> {
    let team = Team::with_snapshot_by(Keeper::Team)?;
    team.delegate("ann")?;
    team.admin(Ours, "key import ann.key -r user")?.ok()?;
    let roles = ["targets/a", "targets/a/b", "targets/a/b/c", "targets/a/b/d", "targets/e", "targets/f"];
    for role in roles {
        team.admin(Ours, &format!("delegation add {GUN} {role} ann.crt --all-paths"))?.ok()?;
        team.admin(Ours, &format!("add {GUN} of-{role} one --roles {role}"))?.ok()?;
    }
    team.admin(Ours, &format!("publish {GUN}"))?.ok()?;
    let named = |wanted: &[&str]| -> Result<()> {
        let snapshot = team.stage.server.metadata(GUN, "snapshot.json")?.context("no snapshot")?;
        let snapshot = String::from_utf8(snapshot)?;
        let listed = team.stranger_sees(&format!("list {GUN}"))?.stdout;
        for role in roles {
            let is_wanted = wanted.contains(&role);
            ensure!(snapshot.contains(&format!("\"{role}\":")) == is_wanted, "{role}\n{snapshot}");
            ensure!(listed.contains(&format!("of-{role} ")) == is_wanted, "{role}\n{listed}");
        }
        Ok(())
    };
    named(&roles)?;
    let remove = |line: &str| team.admin(Ours, &format!("delegation remove -y {GUN} {line}"))?.ok();
    remove("targets/a/b/c")?;
    remove("targets/e")?;
    team.admin(Ours, &format!("publish {GUN}"))?.ok()?;
    named(&["targets/a", "targets/a/b", "targets/a/b/d", "targets/f"])?;
    // A parent goes behind its child.
    for role in ["targets/a/b/d", "targets/a/b", "targets/a"] {
        remove(role)?;
    }
    team.admin(Ours, &format!("publish {GUN}"))?.ok()?;
    named(&["targets/f"])
}

#[test]
fn two_of_a_delegation_s_keys_must_sign_if_that_is_wanted() -> Result<()> {
    for keeper in [Keeper::Server, Keeper::Team] {
        let team = Team::with_snapshot_by(keeper)?;
        for name in ["ann", "bob"] {
            team.delegate(name)?;
        }
        let add = |line: &str| team.admin(Ours, &format!("delegation add {GUN} {line}"));
        add("targets/both ann.crt --all-paths --threshold 2")?
            .refused()?
            .says(&["has 1 keys, of which 2 cannot sign"])?;
        team.nothing_is_staged("admin")?;
        let looked = add("targets/both ann.crt bob.crt --all-paths --threshold 2 --dry-run")?.ok()?;
        looked.says(&[
            "+ delegation targets/both",
            "~ threshold of targets/both: 1 to 2",
            "+ path \"\" of targets/both",
        ])?;
        team.nothing_is_staged("admin")?;
        add("-p targets/both ann.crt bob.crt --all-paths --threshold 2")?.ok()?;
        team.stranger_sees(&format!("delegation list {GUN}"))?.says(&["targets/both", "2"])?;

        // Ann alone is not enough, and is told whose key is missing; with Bob's key beside hers she is.
        let line = format!("add -p {GUN} v1 one -r targets/both");
        let refused = team.say("ann", Ours, &line)?.refused()?;
        refused.says(&["2 keys must sign it, and 1 of them are at hand", &team.key_id("bob")?])?;
        team.say("ann", Ours, "key import bob.key -r user")?.ok()?;
        team.say("ann", Ours, &format!("publish {GUN}"))?.ok()?;
        team.stranger_sees(&format!("list {GUN}"))?.says(&["v1", "targets/both"])?;

        // Back to one, which either gives.
        add("-p targets/both --threshold 1")?.ok()?;
        team.say("bob", Ours, &format!("add -p {GUN} v2 two -r targets/both"))?.ok()?;
        team.stranger_sees(&format!("list {GUN}"))?.says(&["v1", "v2"])?;
    }
    Ok(())
}

#[test]
fn a_look_at_a_change_stages_nothing() -> Result<()> {
    let team = Team::with_collection()?;
    team.delegate("ann")?;
    team.admin(Ours, &format!("delegation add -p {GUN} targets/a ann.crt --all-paths"))?.ok()?;
    team.admin(Ours, &format!("add -p {GUN} v1 one"))?.ok()?;
    for (line, words) in [
        ("add --dry-run G v2 two", "+ target \"v2\""),
        (
            "addhash --dry-run G v2 7 --sha256 0000000000000000000000000000000000000000000000000000000000000000",
            "+ target",
        ),
        ("remove --dry-run G v1", "- target \"v1\""),
        ("witness --dry-run G targets", "the same content"),
        ("delegation remove --dry-run G targets/a", "- delegation targets/a"),
        ("delegation add --dry-run G targets/b ann.pub --paths x/", "+ path \"x/\" of targets/b"),
    ] {
        team.admin(Ours, &line.replace('G', GUN))?.ok()?.says(&[words])?;
        team.nothing_is_staged("admin")?;
    }
    let purge = format!("delegation purge --dry-run {GUN} --key {}", team.key_id("ann")?);
    team.admin(Ours, &purge)?.ok()?.says(&["- key"])?;
    team.nothing_is_staged("admin")?;
    let unfit = team.admin(Ours, &format!("add --dry-run {GUN} v2 two -r targets/none"))?.refused()?;
    unfit.says(&["delegation does not exist"])?;
    Ok(())
}

#[test]
fn a_purge_takes_a_key_out_of_every_delegation() -> Result<()> {
    for (program, keeper) in both(&[Ours, Real]) {
        let team = Team::with_snapshot_by(keeper)?;
        for name in ["ann", "bob"] {
            team.delegate(name)?;
        }
        let both = "ann.crt bob.crt --all-paths";
        for role in ["targets/a", "targets/a/deep", "targets/b"] {
            team.admin(Ours, &format!("delegation add {GUN} {role} {both}"))?.ok()?;
        }
        // The nested one is the delegates' own business.
        let nested = team.take_staged("admin")?;
        ensure!(nested.len() == 6, "{nested:?}");
        for role in ["targets/a", "targets/b"] {
            team.admin(Ours, &format!("delegation add {GUN} {role} {both}"))?.ok()?;
        }
        team.admin(Ours, &format!("publish {GUN}"))?.ok()?;
        team.say("bob", Ours, &format!("delegation add -p {GUN} targets/a/deep {both}"))?.ok()?;

        let (ann, bob) = (team.key_id("ann")?, team.key_id("bob")?);
        let said = team.admin(program, &format!("delegation purge {GUN} --key {ann}"))?.ok()?;
        ensure!(said.stdout.contains(&format!("staged for next publish:\n\t- {ann}\n")), "{said}");
        let published = team.admin(program, &format!("publish {GUN}"))?.ok()?;
        let cannot =
            "role targets/a contains keys being purged but you do not have the necessary keys present to sign it";
        ensure!(published.stderr.contains(cannot), "{published}");
        team.say("bob", program, &format!("witness {GUN} targets/a"))?.ok()?;
        team.say("bob", program, &format!("delegation purge -p {GUN} --key {ann}"))?.ok()?;
        let listed = team.say("bob", Ours, &format!("delegation list {GUN}"))?.ok()?;
        ensure!(listed.stdout.matches(&bob).count() == 3 && !listed.stdout.contains(&ann), "{listed}");
        lists_are_equal(&team, "bob")?;
    }
    Ok(())
}

/// What one program stages is, byte for byte, what the other stages.
#[test]
fn both_stage_the_same_files() -> Result<()> {
    let team = Team::new()?;
    team.credentials("ann", "ec -pkeyopt ec_paramgen_curve:P-256")?;
    team.credentials("bob", "ec -pkeyopt ec_paramgen_curve:P-384")?;
    team.credentials("cid", "ec -pkeyopt ec_paramgen_curve:P-521")?;
    team.credentials("dot", "rsa:2048")?;
    team.say("maker", Real, "key generate ecdsa --role user --output made")?.ok()?;
    let id = "ab".repeat(32);
    let mut compared = 0;
    for line in [
        "delegation add $G targets/a made.pem --all-paths".to_owned(),
        "delegation add $G targets/a ann.crt --all-paths".into(),
        "delegation add $G targets/a ann.crt bob.pub cid.crt dot.crt".into(),
        "delegation add $G targets/a dot.pub cid.pub bob.crt --paths b,a/<&>é,漢,\"x,y\"".into(),
        "delegation add $G targets/a --paths a,b --paths c".into(),
        "delegation add $G targets/a --paths a --all-paths".into(),
        "delegation add $G targets/a/b-c/d_0 ann.crt --paths=a/".into(),
        "delegation remove $G targets/a -y".into(),
        format!("delegation remove $G targets/a {id}"),
        format!("delegation remove $G targets/a {id} {} --paths b,a", "cd".repeat(32)),
        format!("delegation remove $G targets/a {id} --all-paths"),
        "delegation remove $G targets/a --all-paths --paths a".into(),
        "delegation remove $G targets/a --paths b --paths a,c".into(),
        format!("delegation purge $G --key {id}"),
        format!("delegation purge $G --key {id},{} --key {}", "cd".repeat(32), "ef".repeat(32)),
        "witness $G targets".into(),
        "witness $G targets/a targets targets/b".into(),
    ] {
        let line = line.replace("$G", GUN);
        let (ours, real) = (team.say("ours", Ours, &line)?.ok()?, team.say("real", Real, &line)?.ok()?);
        ensure!(ours.stdout == real.stdout, "{line}\n{ours}\n{real}");
        let (mine, theirs) = (team.take_staged("ours")?, team.take_staged("real")?);
        ensure!(mine == theirs && !mine.is_empty(), "{line}\n{mine:#?}\n{theirs:#?}");
        compared += mine.len();
    }
    ensure!(compared > 20, "{compared}");
    Ok(())
}

#[test]
fn what_one_program_stages_the_other_publishes() -> Result<()> {
    for ((stager, publisher), keeper) in both(&[(Ours, Real), (Real, Ours)]) {
        let team = Team::with_snapshot_by(keeper)?;
        for name in ["ann", "bob"] {
            team.delegate(name)?;
        }
        let (ann, bob) = (team.key_id("ann")?, team.key_id("bob")?);
        let publish = format!("publish {GUN}");
        let listed = || Ok::<_, anyhow::Error>(team.stranger_sees(&format!("delegation list {GUN}"))?.stdout);
        for (line, words, gone) in [
            (format!("delegation add {GUN} targets/a ann.crt bob.pub --paths a/,b/"), vec!["a/", "b/", &ann, &bob], ""),
            (format!("delegation add {GUN} targets/a --all-paths"), vec!["\"\" <all paths>"], ""),
            (format!("delegation remove {GUN} targets/a --paths b/"), vec!["a/"], "b/"),
            (format!("delegation remove {GUN} targets/a {bob} --all-paths"), vec![&ann], &bob),
            (format!("delegation purge {GUN} --key {ann}"), vec!["targets/a"], &ann),
            (format!("delegation remove -y {GUN} targets/a"), vec!["No delegations present"], "targets/a"),
        ] {
            // as a script does: with -y for questions that ours asks and the real one does not
            let line = if stager == Ours && line.contains("remove") { format!("{line} -y") } else { line };
            team.admin(stager, &line)?.ok()?;
            team.admin(publisher, &publish)?.ok()?;
            team.nothing_is_staged("admin")?;
            let seen = listed()?;
            ensure!(words.iter().all(|word| seen.contains(word)), "{stager:?} {line}: {words:?}\n{seen}");
            ensure!(gone.is_empty() || !seen.contains(gone), "{stager:?} {line}: {gone}\n{seen}");
            lists_are_equal(&team, "admin")?;
        }
        team.admin(stager, &format!("witness {GUN} targets"))?.ok()?;
        let before = team.stage.server.version(GUN, "targets")?;
        team.admin(publisher, &publish)?.ok()?;
        ensure!(team.stage.server.version(GUN, "targets")? == before + 1);
    }
    Ok(())
}

fn lists_are_equal(team: &Team, person: &str) -> Result<()> {
    let line = format!("delegation list {GUN}");
    let (ours, real) = (team.say(person, Ours, &line)?.ok()?, team.say(person, Real, &line)?.ok()?);
    ensure!(ours.stdout == real.stdout, "{ours}\n{real}");
    Ok(())
}

/// What the real notary does with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Refuses,
    Takes,
}

use Verdict::{Refuses, Takes};

/// Files that are no delegate's key, a piece of what is said, and whether the real notary refuses the file as well.
#[test]
fn what_is_no_delegate_s_key_is_refused_and_stages_nothing() -> Result<()> {
    let team = Team::with_collection()?;
    team.credentials("ann", "ec -pkeyopt ec_paramgen_curve:P-256")?;
    team.credentials("bob", "rsa:2048")?;
    team.credentials("ed", "ed25519")?;
    team.credentials("short", "rsa:1024")?;
    team.credentials("koblitz", "ec -pkeyopt ec_paramgen_curve:secp256k1")?;
    team.openssl("req -x509 -new -key ann.key -sha1 -subj /CN=sha1 -days 400 -out sha1.crt")?;
    team.openssl("req -x509 -new -key ann.key -subj /CN=old -days 400 -out today.crt")?;
    let openssl = |name: &str, days: &str| -> Result<Finished> {
        let line = format!("req -x509 -new -key ann.key -subj /CN={name} -days 30 -out {name}.crt");
        team.stage.home.call("/usr/bin/openssl").args(line.split_whitespace()).by_clock(days).ok()
    };
    openssl("old", "-60d")?;
    openssl("early", "+3d")?;
    openssl("soon", "+0")?;
    let home = &team.stage.home;
    let text = |name: &str| Ok::<_, anyhow::Error>(fs::read_to_string(home.path().join(name))?);
    let (ann, bob) = (text("ann.crt")?, text("bob.crt")?);
    home.write("empty.pem", "")?;
    home.write("text.pem", "no certificate\n")?;
    home.write("binary.pem", [0_u8, 159, 146, 150].as_slice())?;
    home.write("half.pem", ann.get(..ann.len() / 2).unwrap_or_default())?;
    home.write("junk.pem", format!("{ann}and more\n"))?;
    home.write("damaged.pem", ann.replacen("MII", "AAA", 1))?;
    // openssl's self-signed certificates say that they may sign others
    home.write("two.pem", format!("{ann}{bob}"))?;
    team.openssl("req -x509 -new -key bob.key -subj /CN=ann -days 400 -out namesake.crt")?;
    home.write("namesakes.pem", format!("{ann}{}", text("namesake.crt")?))?;
    home.write("with-key.pem", format!("{ann}{}", text("ann.key")?))?;
    home.write("half-behind.pem", format!("{ann}{}", bob.get(..bob.len() / 2).unwrap_or_default()))?;
    home.write("pubs.pem", format!("{}{}", text("ann.pub")?, text("bob.pub")?))?;
    fs::write(home.path().join("large.pem"), vec![b'a'; 3 << 20])?;
    fs::create_dir(home.path().join("folder"))?;
    for (file, words, real) in [
        ("none.pem", "file for public key does not exist: none.pem", Refuses),
        ("folder", "unable to read public key from file: folder", Refuses),
        ("empty.pem", "no valid public key found", Refuses),
        ("text.pem", "no valid public key found", Refuses),
        ("binary.pem", "no valid public key found", Refuses),
        ("half.pem", "damaged", Refuses),
        ("junk.pem", "something follows its last PEM block", Takes),
        ("damaged.pem", "could not parse provided certificate", Refuses),
        ("two.pem", "more than one key", Takes),
        ("namesakes.pem", "more than one key", Takes),
        ("pubs.pem", "more than one key", Takes),
        ("with-key.pem", "unsupported PEM block type \"PRIVATE KEY\"", Takes),
        ("half-behind.pem", "damaged", Takes),
        ("large.pem", "larger than 1 MiB", Refuses),
        ("ann.key", "unsupported PEM block type \"PRIVATE KEY\", expected CERTIFICATE or PUBLIC KEY", Refuses),
        ("old.crt", "invalid certificate: certificate with CN old is expired", Refuses),
        ("early.crt", "invalid certificate: certificate with CN early is expired", Refuses),
        ("sha1.crt", "invalid certificate: certificate with CN sha1 uses invalid SHA1 signature algorithm", Refuses),
        ("short.crt", "invalid certificate: RSA bit length is too short", Refuses),
        ("short.pub", "1024 bits", Takes),
        ("ed.crt", "certificate with CN ed holds no key that Notary knows", Refuses),
        ("ed.pub", "unknown public key format", Refuses),
        ("koblitz.crt", "holds no key that Notary knows", Refuses),
        ("koblitz.pub", "unknown public key format", Refuses),
    ] {
        // A good one before it and one behind it change nothing.
        let said = team.admin(Ours, &format!("delegation add {GUN} targets/a ann.crt {file} bob.crt --all-paths"))?;
        let said = said.refused()?.says(&[words, file, "nothing was staged"])?;
        ensure!(said.stderr.lines().count() == 2, "one message and one remedy:\n{said}");
        team.nothing_is_staged("admin")?;
        let said = team.say("real", Real, &format!("delegation add {GUN} targets/a {file}"))?.finish()?;
        let found = if said.code == Some(0) { Takes } else { Refuses };
        ensure!(found == real, "the real one: {file} {found:?}\n{said}");
        team.take_staged("real")?;
    }
    // Near its end it is only said, and what explains a certificate or vouches for it is no junk.
    let explained = format!("Certificate:\n    Data: of ann\n{ann}");
    home.write("explained.pem", explained)?;
    for (file, words) in [("soon.crt", "certificate with CN soon is near expiry"), ("explained.pem", "with keys [")] {
        team.admin(Ours, &format!("delegation add {GUN} targets/a {file}"))?.ok()?.says(&[words])?;
        team.admin(Real, &format!("delegation add {GUN} targets/a {file}"))?.ok()?.says(&[words])?;
        let staged = team.take_staged("admin")?;
        ensure!(staged.len() == 2 && staged.first() == staged.last(), "{staged:?}");
    }
    Ok(())
}

#[test]
fn of_a_chain_the_first_certificate_is_taken_and_that_is_said() -> Result<()> {
    let team = Team::new()?;
    team.credentials("ca", "ec -pkeyopt ec_paramgen_curve:P-384")?;
    team.credentials("other", "ec -pkeyopt ec_paramgen_curve:P-384")?;
    team.openssl("req -x509 -new -key other.key -subj /CN=ca -days 400 -out namesake.crt")?;
    // Each one signed by the one before.
    for (name, key, above) in [
        ("mid", "rsa:2048", "-CA ca.crt -CAkey ca.key"),
        ("ann", "ec -pkeyopt ec_paramgen_curve:P-256", "-CA mid.crt -CAkey mid.key -addext basicConstraints=CA:FALSE"),
    ] {
        let line =
            format!("req -x509 -newkey {key} -nodes -keyout {name}.key -out {name}.crt -days 400 -subj /CN={name}");
        team.openssl(&format!("{line} {above}"))?;
    }
    let read = |name: &str| fs::read_to_string(team.stage.home.path().join(format!("{name}.crt")));
    let line = format!("delegation add {GUN} targets/a chain.pem");
    let pass = |names: &[&str]| -> Result<()> {
        let texts = names.iter().map(|name| read(name)).collect::<std::io::Result<String>>()?;
        team.stage.home.write("chain.pem", texts)?;
        Ok(())
    };
    for (chain, passed) in [(&["ann", "mid"][..], 1), (&["ann", "mid", "ca"], 2), (&["mid", "ca"], 1)] {
        pass(chain)?;
        team.admin(Ours, &line)?
            .ok()?
            .says(&["only the first certificate is taken", &format!("{passed} more behind it are passed over")])?;
        team.admin(Real, &line)?.ok()?;
        let staged = team.take_staged("admin")?;
        ensure!(staged.len() == 2 && staged.first() == staged.last(), "{staged:?}");
    }
    // An authority that has nothing to do with the first one, or only its issuer's name, is another key.
    for several in [
        &["ann", "ca"][..],
        &["ann", "mid", "other"],
        &["ann", "mid", "namesake"],
        &["mid", "namesake"],
        &["mid", "ann"],
    ] {
        pass(several)?;
        team.admin(Ours, &line)?.refused()?.says(&["chain.pem", "it holds more than one key", "nothing was staged"])?;
        team.nothing_is_staged("admin")?;
    }
    Ok(())
}

/// The real notary stages a key that is none, says that it failed, and publishes it with the next change.
#[test]
fn an_ed25519_certificate_poisons_the_real_notary_only() -> Result<()> {
    let team = Team::with_collection()?;
    team.credentials("ed", "ed25519")?;
    team.delegate("ann")?;
    let line = format!("delegation add {GUN} targets/a ed.crt --all-paths");
    team.admin(Ours, &line)?.refused()?.says(&["ed.crt", "CN ed", "ECDSA", "nothing was staged"])?;
    team.nothing_is_staged("admin")?;
    team.admin(Real, &line)?.refused()?;
    ensure!(team.changes("admin")?.len() == 2, "the real one staged keys and paths");
    let publish = format!("publish {GUN}");
    let said = team.admin(Ours, &publish)?.refused()?;
    said.says(&["`create delegation in targets/a`", "a key of it is null", "everything stays staged"])?;
    team.admin(Real, &publish)?.ok()?;
    // Now the collection has a key without type and content; it stays readable, and the next publication is without it.
    team.admin(Ours, &format!("list {GUN}"))?.ok()?;
    let listed = team.admin(Ours, &format!("delegation list {GUN} --json"))?.ok()?;
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout)?;
    ensure!(listed.pointer("/0/keys") == Some(&serde_json::json!([])), "{listed}");
    team.admin(Ours, &format!("delegation add -p {GUN} targets/a ann.crt"))?.ok()?;
    team.say("ann", Ours, &format!("add -p {GUN} v1 one --roles targets/a"))?.ok()?;
    team.stranger_sees(&format!("list {GUN}"))?.says(&["v1"])?;
    lists_are_equal(&team, "admin")
}

#[test]
fn a_delegation_without_a_parent_is_refused_when_it_is_staged() -> Result<()> {
    let team = Team::with_collection()?;
    team.delegate("ann")?;
    let nested = format!("delegation add {GUN} targets/a/b ann.crt --all-paths");
    team.admin(Ours, &nested)?.refused()?.says(&[
        "targets/a does not exist",
        &format!("delegation add {GUN} targets/a PEM --all-paths"),
        "nothing was staged",
    ])?;
    team.admin(Ours, &format!("delegation add {GUN} targets/a/b/c ann.crt"))?
        .refused()?
        .says(&["targets/a does not exist"])?;
    let paths = format!("delegation add {GUN} targets/a --paths x");
    team.admin(Ours, &paths)?.refused()?.says(&["targets/a does not exist, and a new delegation needs a key"])?;
    team.nothing_is_staged("admin")?;
    // The real one finds out when it publishes, and then nothing goes out.
    team.admin(Real, &nested)?.ok()?;
    team.admin(Real, &format!("add {GUN} v1 one"))?.ok()?;
    team.admin(Real, &format!("publish {GUN}"))?
        .refused()?
        .says(&["tuf: invalid role targets/a. delegation does not exist"])?;
    team.take_staged("admin")?;
    // A key counts once, in whatever it is handed in.
    let twice = team.admin(Ours, &format!("delegation add {GUN} targets/x ann.crt ann.pub"))?.ok()?;
    let ann = team.key_id("ann")?;
    twice.says(&["ann.pub holds a key that was named before", &format!("with keys [{ann}], to")])?;
    team.take_staged("admin")?;
    // What is staged counts, and what nothing is known of is not refused.
    team.admin(Ours, &format!("delegation add {GUN} targets/a ann.crt --paths a/"))?.ok()?;
    team.admin(Ours, &nested)?.refused()?.says(&["the paths above it do not allow it"])?;
    team.admin(Ours, &nested.replace("--all-paths", "--paths a/b"))?.ok()?;
    team.say("ann", Ours, &nested)?.ok()?;
    Ok(())
}

#[test]
fn bad_words_stage_nothing() -> Result<()> {
    let team = Team::with_collection()?;
    team.delegate("ann")?;
    let long = format!("targets/{}", "a".repeat(248));
    for (line, words) in [
        ("delegation add $G targets/A ann.crt", "tuf: invalid role targets/A. invalid delegation role name"),
        ("delegation add $G releases ann.crt", "invalid delegation role name"),
        ("delegation add $G targets ann.crt", "invalid delegation role name"),
        ("delegation add $G targets/ ann.crt", "invalid delegation role name"),
        ("delegation add $G targets/a/../b ann.crt", "invalid delegation role name"),
        ("delegation add $G snapshot ann.crt", "invalid delegation role name"),
        ("delegation add $G $LONG ann.crt", "at most 255 are allowed"),
        ("delegation add $G targets/a", "Usage"),
        ("delegation add $G targets/a ann.crt --paths=", "an empty path stands for every name"),
        ("delegation add $G targets/a ann.crt --paths a,,b", "say --all-paths"),
        ("delegation add $G targets/a ann.crt --paths \"a", "is not a list"),
        ("delegation remove $G targets/A", "invalid delegation name targets/A"),
        ("delegation remove $G targets", "invalid delegation name targets"),
        ("delegation remove $G targets/a 123", "invalid key ID provided: 123"),
        ("delegation remove $G targets/a --paths=", "an empty path stands for every name"),
        ("delegation purge $G --key 123", "invalid key ID provided: 123"),
        ("delegation purge $G", "--key"),
        ("witness $G", "ROLE"),
        ("witness $G targets/a snapshot", "tuf: invalid role snapshot. this role cannot be witnessed"),
        ("witness $G nonsense", "tuf: invalid role nonsense."),
    ] {
        let call = team.admin(Ours, &line.replace("$G", GUN).replace("$LONG", &long))?;
        let said = call.finish()?;
        ensure!(said.code != Some(0) && said.stderr.contains(words), "{words}\n{said}");
        team.nothing_is_staged("admin")?;
    }
    // What is not there is staged, as the real one does, and said.
    let nobody = "ab".repeat(32);
    team.admin(Ours, &format!("delegation add -p {GUN} targets/a ann.crt --paths a,a"))?
        .ok()?
        .says(&["is named twice"])?;
    for (line, words) in [
        (format!("delegation remove {GUN} targets/a {nobody}"), format!("targets/a has no key {nobody}")),
        (format!("delegation remove {GUN} targets/b --all-paths"), "has no delegation targets/b".into()),
        (format!("delegation remove {GUN} targets/a --paths b"), "targets/a has no path".into()),
        (format!("delegation purge {GUN} --key {nobody}"), format!("the collection has no key {nobody}")),
        (format!("witness {GUN} targets/b"), "has no delegation targets/b".into()),
    ] {
        team.admin(Ours, &line)?.ok()?.says(&[&words])?;
        ensure!(team.take_staged("admin")?.len() == 1, "{line}");
    }
    // The ID in metadata is not the one that removes.
    let listed = team.admin(Ours, &format!("delegation list {GUN} --json"))?.ok()?.stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed)?;
    let in_metadata = listed.pointer("/0/keys/0/metadata_key_id").and_then(|id| id.as_str()).context("no ID")?;
    let ann = team.key_id("ann")?;
    let said = team.admin(Ours, &format!("delegation remove {GUN} targets/a {in_metadata}"))?.ok()?;
    said.says(&[&format!("its key is {ann}")])?;
    Ok(())
}

#[test]
fn the_last_key_is_taken_away_only_by_who_means_it() -> Result<()> {
    let team = Team::with_collection()?;
    team.delegate("ann")?;
    team.delegate("bob")?;
    let (ann, bob) = (team.key_id("ann")?, team.key_id("bob")?);
    team.admin(Ours, &format!("delegation add -p {GUN} targets/a ann.crt bob.crt --all-paths"))?.ok()?;
    // One of two leaves one, and nobody is asked.
    team.admin(Ours, &format!("delegation remove {GUN} targets/a {ann}"))?.ok()?.never_says(&["Are you sure"])?;
    // What is staged counts.
    let last = format!("delegation remove {GUN} targets/a {bob}");
    let asked = "targets/a is left with 0 of the 1 keys that must sign";
    for answer in ["no\n", "", "maybe\n"] {
        let said = team.admin(Ours, &last)?.input(answer).refused()?;
        said.says(&[asked, "Are you sure you want to remove them? (yes/no)", "Aborting action."])?;
        ensure!(team.changes("admin")?.len() == 1);
    }
    team.admin(Ours, &last)?.input("yes\n").ok()?.says(&[asked])?;
    ensure!(team.changes("admin")?.len() == 2);
    team.admin(Ours, &format!("reset {GUN} -n 1"))?.ok()?;
    team.admin(Ours, &format!("{last} -y"))?.ok()?.says(&[asked])?.never_says(&["Are you sure"])?;
    team.admin(Ours, &format!("publish {GUN}"))?.ok()?.says(&["fewer keys than its threshold"])?;
    // The whole role goes only with a yes, as the real one asks.
    let whole = format!("delegation remove {GUN} targets/a");
    team.admin(Ours, &whole)?.input("no\n").refused()?.says(&["remove all data for this delegation?"])?;
    team.nothing_is_staged("admin")?;
    team.admin(Ours, &whole)?.input("y\n").ok()?.says(&["Forced removal"])?;
    Ok(())
}

/// Docker's arrangement: a role for each signer, and `targets/releases` with everybody's key.
#[test]
fn docker_s_roles_are_made_and_read() -> Result<()> {
    for keeper in [Keeper::Server, Keeper::Team] {
        let team = Team::with_snapshot_by(keeper)?;
        team.delegate("ann")?;
        team.delegate("bob")?;
        for name in ["ann", "bob"] {
            for role in [format!("targets/{name}"), "targets/releases".to_owned()] {
                team.admin(Ours, &format!("delegation add {GUN} {role} {name}.pub --all-paths"))?.ok()?;
            }
        }
        team.admin(Ours, &format!("publish {GUN}"))?.ok()?;
        let roles = "--roles targets/releases --roles targets";
        for (name, program, tag, file) in [("ann", Ours, "1.0", "one"), ("bob", Real, "1.1", "two")] {
            let line = format!("add -p {GUN} {tag} {file} --roles targets/{name},targets/releases");
            team.say(name, program, &line)?.ok()?;
        }
        let ours = team.say("ann", Ours, &format!("list {GUN} {roles}"))?.ok()?.stdout;
        ensure!(ours == team.stranger_sees(&format!("list {GUN} {roles}"))?.stdout, "{ours}");
        ensure!(ours.matches("targets/releases").count() == 2, "{ours}");
        let signed = team.say("ann", Ours, &format!("lookup {GUN} 1.1 -r targets/bob --json"))?.ok()?;
        signed.says(&["\"role\": \"targets/bob\""])?;
        team.say("ann", Ours, &format!("lookup {GUN} 1.1 -r targets/ann"))?.refused()?;
        team.say("ann", Ours, &format!("verify {GUN} 1.1 -r targets/releases -q -i two"))?.ok()?;
        team.say("ann", Ours, &format!("verify {GUN} 1.1 -r targets/releases -q -i one"))?.refused()?;
    }
    Ok(())
}

#[test]
fn a_delegation_that_was_removed_is_made_anew() -> Result<()> {
    let team = Team::with_collection()?;
    team.delegate("ann")?;
    team.delegate("bob")?;
    let add = |name: &str| format!("delegation add -p {GUN} targets/a {name}.crt --all-paths");
    team.admin(Ours, &add("ann"))?.ok()?;
    for file in ["one", "two"] {
        team.say("ann", Ours, &format!("add -p {GUN} {file} {file} --roles targets/a"))?.ok()?;
    }
    team.admin(Ours, &format!("delegation remove -y -p {GUN} targets/a"))?.ok()?;
    team.stranger_sees(&format!("list {GUN}"))?.never_says(&["one", "two"])?;
    team.admin(Ours, &add("bob"))?.ok()?;
    // The server still has what Ann signed, and Bob has to say that he stands by it.
    let add = format!("add {GUN} three three --roles targets/a");
    team.say("bob", Ours, &add)?.ok()?;
    let refused = team.say("bob", Ours, &format!("publish {GUN}"))?.refused()?;
    refused.says(&["targets/a is published without enough valid signatures", "`witness` it first"])?;
    team.say("bob", Real, &format!("publish {GUN}"))?.refused()?.says(&["trust server rejected operation."])?;
    team.take_staged("bob")?;
    for line in [format!("witness {GUN} targets/a"), format!("remove {GUN} one --roles targets/a"), add] {
        team.say("bob", Ours, &line)?.ok()?;
    }
    team.say("bob", Ours, &format!("publish {GUN}"))?.ok()?;
    team.stranger_sees(&format!("list {GUN}"))?.says(&["two", "three"])?.never_says(&["one"])?;
    Ok(())
}

/// By the team's snapshot nothing of it is there, but the server has it, and a version is signed once.
#[test]
fn a_delegation_that_the_snapshot_left_out_begins_without_content() -> Result<()> {
    let team = Team::with_snapshot_by(Keeper::Team)?;
    team.delegate("ann")?;
    team.delegate("bob")?;
    let add = |name: &str| format!("delegation add -p {GUN} targets/a {name}.crt --all-paths");
    team.admin(Ours, &add("ann"))?.ok()?;
    for file in ["one", "two"] {
        team.say("ann", Ours, &format!("add -p {GUN} {file} {file} --roles targets/a"))?.ok()?;
    }
    team.admin(Ours, &format!("delegation remove -y -p {GUN} targets/a"))?.ok()?;
    team.admin(Ours, &add("bob"))?.ok()?;
    team.say("bob", Ours, &format!("add -p {GUN} three three --roles targets/a"))?.ok()?;
    team.stranger_sees(&format!("list {GUN}"))?.says(&["three"])?.never_says(&["one", "two"])?;
    team.say("bob", Real, &format!("add -p {GUN} two two --roles targets/a"))?.ok()?;
    team.stranger_sees(&format!("list {GUN}"))?.says(&["two", "three"])?.never_says(&["one"])?;
    Ok(())
}

#[test]
fn a_delegation_that_changes_hands_in_one_publication_is_witnessed() -> Result<()> {
    for keeper in [Keeper::Server, Keeper::Team] {
        let team = Team::with_snapshot_by(keeper)?;
        team.delegate("ann")?;
        team.delegate("bob")?;
        let add = |name: &str| format!("delegation add -p {GUN} targets/a {name}.crt --all-paths");
        team.admin(Ours, &add("ann"))?.ok()?;
        team.say("ann", Ours, &format!("add -p {GUN} one one --roles targets/a"))?.ok()?;
        team.admin(Ours, &format!("delegation remove -y {GUN} targets/a"))?.ok()?;
        team.admin(Ours, &add("bob"))?.ok()?;
        team.stranger_sees(&format!("list {GUN}"))?.never_says(&["one"])?;
        let three = format!("add -p {GUN} three three --roles targets/a");
        team.say("bob", Ours, &three)?.refused()?.says(&["`witness` it first"])?;
        team.take_staged("bob")?;
        team.say("bob", Ours, &format!("witness -p {GUN} targets/a"))?.ok()?;
        team.say("bob", Ours, &three)?.ok()?;
        team.stranger_sees(&format!("list {GUN}"))?.says(&["one", "three"])?;
    }
    Ok(())
}

/// The real notary signs the file's text as it is; only what is canonical already survives that.
#[test]
fn custom_data_is_put_into_canonical_form_or_refused() -> Result<()> {
    let team = Team::new()?;
    for gun in ["ours", "real"] {
        team.admin(Ours, &format!("init -p {gun}"))?.ok()?;
    }
    let home = &team.stage.home;
    for (text, canonical) in [
        (r#"{"b": 1, "a": [ true, null ]}"#, r#"{"a":[true,null],"b":1}"#),
        (r#""\u00e9\/""#, "\"é/\""),
        (r#"{"a":{"d":"x","c":-9007199254740991}}"#, r#"{"a":{"c":-9007199254740991,"d":"x"}}"#),
    ] {
        home.write("custom.json", text)?;
        team.admin(Ours, "add ours a one --custom custom.json -p")?.ok()?;
        let listed = team.admin(Ours, "lookup ours a --json")?.ok()?.stdout;
        let found: serde_json::Value = serde_json::from_str(&listed)?;
        let custom: serde_json::Value = serde_json::from_str(canonical)?;
        ensure!(found.get("custom") == Some(&custom), "{text}\n{listed}");
        let published = team.stage.server.metadata("ours", "targets.json")?.context("no targets")?;
        let published = String::from_utf8(published)?;
        ensure!(published.contains(&format!("\"custom\":{canonical}")), "{text}\n{published}");
        // Another client edits the role, and what it publishes is good.
        team.admin(Real, "add ours b two -p")?.ok()?;
        team.stranger_sees("list ours")?.says(&["a", "b"])?;
        // The same file, given to the real one.
        team.admin(Real, "add real a one --custom custom.json")?.ok()?;
        let refused = team.admin(Real, "publish real")?.finish()?;
        ensure!(refused.code != Some(0), "the real one published it: {text}\n{refused}");
        team.admin(Real, "reset real --all")?.ok()?;
        for line in ["remove ours a -p", "remove ours b -p"] {
            team.admin(Ours, line)?.ok()?;
        }
    }
    for (text, why) in [
        ("{\"a\": 1.5}", "$.a: the number is not a plain integer"),
        ("{\"a\": 1e3}", "not a plain integer"),
        ("{\"a\": 9007199254740993}", "beyond 2^53"),
        ("{\"a\": \"<b>\"}", "'<'"),
        ("{\"a\": \"R&D\"}", "'&'"),
        ("{\"a>\": 1}", "'>'"),
        ("{\"a\": \"\\u0007\"}", "'\\u{7}'"),
        ("{\"a\": \"\\n\"}", "'\\n'"),
        ("{\"a\": \"\\u2028\"}", "'\\u{2028}'"),
        ("{\"a\": 1, \"a\": 2}", "there twice"),
        ("{\"a\": 1} x", "not JSON"),
        ("{\"a\": \"\\ud800\"}", "surrogate"),
    ] {
        home.write("custom.json", text)?;
        let hash = "ab".repeat(32);
        for line in ["add ours a one".to_owned(), format!("addhash ours a 3 --sha256 {hash}")] {
            let said = team.admin(Ours, &format!("{line} --custom custom.json"))?.refused()?;
            said.says(&["custom.json", why, "nothing was staged"])?;
        }
        team.admin(Ours, "status ours")?.ok()?.says(&["No unpublished changes"])?;
    }
    Ok(())
}

#[test]
fn what_is_deleted_is_said_and_keys_stay() -> Result<()> {
    let team = Team::with_collection()?;
    team.delegate("ann")?;
    team.admin(Ours, &format!("delegation add -p {GUN} targets/a ann.crt --all-paths"))?.ok()?;
    team.admin(Ours, &format!("add {GUN} v1 one"))?.ok()?;
    team.admin(Ours, &format!("list {GUN}"))?.ok()?;
    let keys = team.admin(Ours, "key list")?.ok()?.stdout;
    let said = team.admin(Ours, &format!("delete {GUN}"))?.ok()?;
    said.says(&["1 staged change", "metadata of root, targets, snapshot, timestamp", "private keys stay"])?;
    team.stranger_sees(&format!("delegation list {GUN}"))?.says(&["targets/a"])?;
    team.admin(Ours, &format!("list {GUN}"))?.ok()?;
    let said = team.admin(Ours, &format!("delete {GUN} --remote"))?.ok()?;
    said.says(&["everything that 127.0.0.1:", "private keys stay"])?;
    team.stage.stranger(["list", GUN])?.refused()?;
    ensure!(keys == team.admin(Ours, "key list")?.ok()?.stdout);
    ensure!(!Path::new(&team.stage.home.path().join("admin/tuf").join(GUN)).exists());
    if team.admin(Ours, &format!("list {GUN}"))?.finish()?.code == Some(0) {
        bail!("the collection is still there");
    }
    Ok(())
}
