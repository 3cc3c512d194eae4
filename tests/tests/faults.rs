//! What goes wrong around the programs: killed clients, killed agents, damaged files, wrong clocks, large loads.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use signet_tests::{Agent, BadServer, Call, PIN, SOFTHSM_MODULE, Stage, Validity};

const GUN: &str = "example.com/acme/app";
const MIB: u64 = 1 << 20;
const PARALLEL: usize = 64;
/// Every way in which a file gets or loses its name.
const NAMING: &str = "/^(rename|unlink|link)";
/// More files than any command here names.
const MANY: usize = 40;

// --- killed clients

#[test]
fn a_publish_killed_before_any_file_gets_its_name_loses_nothing() -> Result<()> {
    let (stage, _agent) = published()?;
    let mut names = Vec::new();
    let killed = killing(
        &stage,
        |round| {
            let (name, file) = (format!("target-{round}-"), stage.home.write("file", format!("content {round}"))?);
            stage.signet(["add", GUN, &name])?.args([&file]).ok()?;
            names.push(name);
            stage.signet(["publish", GUN])
        },
        |round| {
            let staged = stage.signet(["status", GUN])?.ok()?;
            if !staged.stdout.contains(&format!("target-{round}-")) {
                stage.stranger(["list", GUN])?.ok()?.says(&[&format!("target-{round}-")])?;
            }
            stage.notary(&stage.home.trust(), ["status", GUN]).ok().map(drop)
        },
    )?;
    assert!(killed > 4, "a publish names more files than {killed}");
    stage.signet(["publish", GUN])?.ok()?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    stage.stranger(["list", GUN])?.ok()?.says(&names)?;
    // What the killed left is swept up once nobody can still be writing it.
    let left = temporary(&stage.home.trust())?;
    assert!(!left.is_empty(), "nothing was interrupted");
    for file in &left {
        fs::File::options().write(true).open(file)?.set_modified(std::time::SystemTime::UNIX_EPOCH)?;
    }
    stage.signet(["publish", GUN])?.ok()?;
    assert_eq!(temporary(&stage.home.trust())?, Vec::<PathBuf>::new());
    Ok(())
}

#[test]
fn a_killed_init_can_be_repeated() -> Result<()> {
    let stage = Stage::with_files()?;
    let _agent = stage.home.start_agent()?;
    let gun = |round: usize| format!("example.com/acme/app-{round}");
    let killed = killing(
        &stage,
        |round| stage.signet(["init", &gun(round)]),
        |round| {
            let again = stage.signet(["init", &gun(round)])?.finish()?;
            if again.code != Some(0) {
                again.says(&["already has a collection"])?;
            }
            stage.signet(["publish", &gun(round)])?.ok()?;
            stage.stranger(["list", &gun(round)])?.ok().map(drop)
        },
    )?;
    assert!(killed > 1, "an init names more files than {killed}");
    Ok(())
}

#[test]
fn a_killed_add_stages_all_or_nothing() -> Result<()> {
    let (stage, _agent) = published()?;
    let file = stage.home.write("file", "content")?;
    let add = |round: usize| Ok(stage.signet(["add", GUN, &format!("target-{round}-")])?.args([&file]));
    let killed = killing(&stage, add, |_| stage.signet(["status", GUN])?.ok().map(drop))?;
    assert!(killed > 0);
    stage.signet(["publish", GUN])?.ok()?;
    Ok(())
}

/// Kills the round's command as it is about to name its first file, in the next round its second, until there is none
/// left; after each death `judge` looks.
fn killing(
    stage: &Stage,
    mut command: impl FnMut(usize) -> Result<Call>,
    judge: impl Fn(usize) -> Result<()>,
) -> Result<usize> {
    for round in 1..MANY {
        let inject = format!("inject={NAMING}:signal=KILL:when={round}");
        let trace = format!("trace={NAMING}");
        let log = stage.home.path().join("strace.log");
        let log = log.to_str().context("UTF-8")?;
        let args = ["-f", "-qq", "-o", log, "-e", &trace, "-e", &inject, "--"];
        let told = command(round)?.through("/usr/bin/strace", &args).finish()?;
        match told.code {
            Some(0) => return Ok(round.saturating_sub(1)),
            None | Some(137) => judge(round).with_context(|| format!("killed in round {round}"))?,
            Some(_) => anyhow::bail!("neither done nor killed:\n{told}"),
        }
    }
    anyhow::bail!("it names more than {MANY} files")
}

// --- killed agents

#[test]
fn an_agent_that_dies_between_any_two_commands_is_not_missed() -> Result<()> {
    let (stage, _served) = Stage::with_served_token()?;
    let mut agent = stage.home.start_agent()?;
    let file = stage.home.write("file", "content")?;
    let file = file.to_str().context("UTF-8")?;
    let job: [&[&str]; 10] = [
        &["init", GUN],
        &["publish", GUN],
        &["add", GUN, "first", file],
        &["publish", GUN],
        &["status", GUN],
        &["list", GUN],
        &["key", "list"],
        &["add", GUN, "second", file],
        &["remove", GUN, "first"],
        &["publish", GUN],
    ];
    for command in job {
        stage.signet(command)?.ok()?;
        agent.kill();
        agent.restart()?;
    }
    stage.stranger(["list", GUN])?.ok()?.says(&["second"])?.never_says(&["first"])?;
    // And if nobody restarts it, the next command does.
    agent.kill();
    stage.signet(["add", GUN, "third", file, "-p"])?.ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["second", "third"])?;
    stage.signet(["agent", "stop"])?.ok()?;
    Ok(())
}

// --- damaged files

#[test]
fn a_damaged_cache_is_said_and_downloaded_again() -> Result<()> {
    let (stage, _agent) = with_delegation()?;
    for role in ["timestamp", "snapshot", "targets", "targets/releases"] {
        let path = cached(&stage, role);
        let whole = fs::read(&path).with_context(|| path.display().to_string())?;
        for damage in damages(&whole) {
            fs::write(&path, &damage)?;
            let list = stage.signet(["list", GUN])?.ok()?;
            list.says(&["first", "released", path.to_str().context("UTF-8")?, "damaged"])?;
            assert_eq!(fs::read(&path)?, whole, "{role} was not healed");
            stage.signet(["list", GUN])?.ok()?.never_says(&["damaged"])?;
        }
    }
    Ok(())
}

#[test]
fn a_publish_heals_a_damaged_cache_too() -> Result<()> {
    let (stage, _agent) = with_delegation()?;
    let file = stage.home.write("file", "content")?;
    for role in ["timestamp", "snapshot", "targets", "targets/releases"] {
        let path = cached(&stage, role);
        fs::write(&path, b"{")?;
        let target = role.replace('/', "-");
        stage.signet(["add", GUN, &target, "-p"])?.args([&file]).ok()?;
        stage.stranger(["list", GUN])?.ok()?.says(&[&target, "released"])?;
        stage.signet(["list", GUN])?.ok()?;
    }
    Ok(())
}

#[test]
fn a_damaged_trusted_root_is_said_and_never_replaced() -> Result<()> {
    let (stage, _agent) = published()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["add", GUN, "first"])?.args([&file]).ok()?;
    let path = cached(&stage, "root");
    let whole = fs::read(&path)?;
    for damage in damages(&whole) {
        fs::write(&path, &damage)?;
        for command in [&["list", GUN][..], &["publish", GUN], &["lookup", GUN, "first"]] {
            stage.signet(command)?.refused()?.says(&[path.to_str().context("UTF-8")?, "backup"])?;
            assert_eq!(fs::read(&path)?, damage, "it was replaced");
        }
        stage.signet(["status", GUN])?.ok()?.says(&["first"])?;
    }
    fs::write(&path, &whole)?;
    stage.signet(["publish", GUN])?.ok()?;
    Ok(())
}

/// Empty, cut off, overwritten, and with one signature that is another.
fn damages(whole: &[u8]) -> Vec<Vec<u8>> {
    let half = whole.get(..whole.len() / 2).unwrap_or_default().to_vec();
    let text = String::from_utf8_lossy(whole);
    let (before, after) = text.split_once("\"sig\":\"").unwrap_or_default();
    let other = if after.starts_with('A') { 'B' } else { 'A' };
    let flipped = format!("{before}\"sig\":\"{other}{}", after.get(1..).unwrap_or_default());
    vec![Vec::new(), half, vec![0; whole.len()], flipped.into_bytes()]
}

// --- wrong clocks

#[test]
fn a_client_whose_clock_is_years_off_is_told_so() -> Result<()> {
    let (stage, _agent) = published()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["add", GUN, "first"])?.args([&file]).ok()?;
    let before = stage.server.version(GUN, "targets")?;
    // Without TLS, whose certificates would be the first to be out of time.
    let plain = BadServer::before(&stage.server, |_| None)?;
    let trust = stage.home.trust();
    let unencrypted = |args: &[&str]| -> Result<Call> {
        Ok(stage.home.signet(["-s", &plain.url(), "-d"])?.args([&trust]).args(args))
    };
    for years in ["+20y", "-20y"] {
        for command in [&["list", GUN][..], &["publish", GUN]] {
            stage.signet(command)?.by_clock(years).refused()?.says(&["certificate", "clock"])?;
        }
    }
    unencrypted(&["list", GUN])?.by_clock("+20y").refused()?.says(&["expired", "clock"])?;
    for years in ["+20y", "-20y"] {
        unencrypted(&["publish", GUN])?.by_clock(years).refused()?.says(&["expired", "clock"])?;
        stage.signet(["status", GUN])?.by_clock(years).ok()?.says(&["first"])?;
    }
    // Staged by a clock that is wrong, published by one that is right.
    stage.signet(["add", GUN, "second"])?.args([&file]).by_clock("+20y").ok()?;
    stage.signet(["publish", GUN])?.ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["first", "second"])?;
    assert_eq!(stage.server.version(GUN, "targets")?, before.saturating_add(1), "a wrong clock burned a version");
    Ok(())
}

#[test]
fn an_agent_whose_clock_is_years_off_signs_nothing_and_is_well_afterwards() -> Result<()> {
    let (stage, mut agent) = published()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["add", GUN, "first"])?.args([&file]).ok()?;
    let before = stage.server.version(GUN, "targets")?;
    for years in ["+20y", "-20y"] {
        agent.stop()?;
        let wrong = stage.home.call(stage.home.program("signet-agent")?).by_clock(years);
        agent = stage.home.start_agent_as(wrong)?;
        stage.signet(["publish", GUN])?.refused()?.says(&["clock"])?;
        stage.signet(["status", GUN])?.ok()?.says(&["first"])?;
    }
    agent.stop()?;
    let _right = stage.home.start_agent()?;
    stage.signet(["publish", GUN])?.ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["first"])?;
    assert_eq!(stage.server.version(GUN, "targets")?, before.saturating_add(1), "a wrong clock burned a version");
    Ok(())
}

// --- large loads

#[test]
fn sixty_four_collections_are_published_at_once_by_one_agent() -> Result<()> {
    let stage = Stage::with_files()?;
    stage.softhsm.init_token("release", PIN)?;
    let pin = stage.home.write("pin", PIN)?;
    stage.home.agent_toml(&format!(
        "[[token]]\nmodule = \"{SOFTHSM_MODULE}\"\nlabel = \"release\"\n\
         roles = [\"root\", \"targets\", \"snapshot\"]\npin-file = \"{}\"\n",
        pin.display()
    ))?;
    let _agent = stage.home.start_agent()?;
    let gun = |number: usize| format!("example.com/acme/app-{number}");
    stage.signet(["init", &gun(0)])?.ok()?;
    let file = stage.home.write("file", "content")?;
    let limit = Duration::from_secs(120);
    let all = |call: &dyn Fn(usize) -> Result<Call>| -> Result<()> {
        let calls = (0..PARALLEL).map(call).collect::<Result<Vec<_>>>()?;
        std::thread::scope(|scope| {
            let running: Vec<_> = calls.iter().map(|call| scope.spawn(|| call.ok())).collect();
            for one in running {
                one.join().map_err(|_| anyhow!("a thread panicked"))??;
            }
            Ok(())
        })
    };
    let begun = Instant::now();
    all(&|number| Ok(stage.signet(["add", &gun(number), "first"])?.args([&file]).args(["-p"]).limit(limit)))?;
    println!("{PARALLEL} new collections made and published at once: {:?}", begun.elapsed());
    for number in [0, 1, PARALLEL / 2, PARALLEL - 1] {
        stage.stranger(["list", &gun(number)])?.ok()?.says(&["first"])?;
    }
    let published =
        (0..PARALLEL).filter(|number| stage.server.version(&gun(*number), "targets").is_ok_and(|it| it > 0));
    assert_eq!(published.count(), PARALLEL);
    Ok(())
}

#[test]
fn fifty_megabytes_of_targets_are_published_and_listed() -> Result<()> {
    let (stage, agent) = published()?;
    let limit = Duration::from_secs(300);
    let file = stage.home.write("file", "content")?;
    let padding = "x".repeat(1 << 20);
    let custom = stage.home.write("custom", format!("{{\"padding\":\"{padding}\"}}"))?;
    let first = stage.signet(["add", GUN, "large-00", "--custom"])?.args([&custom, &file]);
    first.ok()?;
    many_like_it(&stage, 47)?;
    for round in ["first", "again"] {
        let begun = Instant::now();
        let told = stage.signet(["publish", GUN])?.limit(limit).ok()?;
        println!(
            "publish {round}: {:?}, client {} MiB, agent {} MiB, file {} MiB",
            begun.elapsed(),
            told.peak_bytes / MIB,
            agent.peak_bytes() / MIB,
            stage.server.metadata(GUN, "targets.json")?.unwrap_or_default().len() / (1 << 20),
        );
        stage.signet(["add", GUN, "small"])?.args([&file]).ok()?;
    }
    let begun = Instant::now();
    let told = stage.signet(["list", GUN])?.limit(limit).ok()?.says(&["large-00", "large-47", "small"])?;
    println!("list: {:?}, client {} MiB", begun.elapsed(), told.peak_bytes / MIB);
    Ok(())
}

#[test]
fn large_targets_are_shown_only_to_an_agent_that_does_not_know_them() -> Result<()> {
    let (stage, mut agent) = published()?;
    let file = stage.home.write("file", "content")?;
    let custom = stage.home.write("custom", format!("{{\"padding\":\"{}\"}}", "x".repeat(1 << 20)))?;
    stage.signet(["add", GUN, "large", "-p", "--custom"])?.args([&custom, &file]).ok()?;
    agent.stop()?;
    // enough for what is signed, too little for what is published beside it
    let config = stage.home.agent_toml("[agent]\nmax-request-bytes = 1572864\n")?;
    let mut agent = stage.home.start_agent()?;
    stage.signet(["add", GUN, "known", "-p"])?.args([&file]).ok()?;
    agent.stop()?;
    fs::remove_dir_all(stage.home.state())?;
    let mut agent = stage.home.start_agent()?;
    stage.signet(["add", GUN, "new", "-p"])?.args([&file]).refused()?.says(&["1572864"])?;
    agent.stop()?;
    fs::remove_file(config)?;
    let _agent = stage.home.start_agent()?;
    stage.signet(["publish", GUN])?.ok()?;
    let told: Vec<_> = stage.audit()?.into_iter().filter(|event| event.role == "targets").collect();
    let told: Vec<_> = told.iter().map(|event| (event.kind.as_str(), event.version)).collect();
    assert!(told.starts_with(&[("refused", 0), ("adopted", 4), ("granted", 5)]), "{told:?}");
    stage.signet(["list", GUN])?.ok()?.says(&["large", "known", "new"]).map(drop)
}

/// Stages copies of the one change that is staged, under the names `large-01` and so on.
fn many_like_it(stage: &Stage, count: usize) -> Result<()> {
    let changelist = stage.home.trust().join("tuf").join(GUN).join("changelist");
    let first = fs::read_dir(&changelist)?.next().context("a staged change")??;
    let name = first.file_name().to_string_lossy().into_owned();
    let (time, rest) = name.split_once('_').context("time and UUID in the name")?;
    let (time, content) = (time.parse::<u64>()?, fs::read_to_string(first.path())?);
    for number in 1..=count {
        let at = time.saturating_add(u64::try_from(number)?);
        let content = content.replace("large-00", &format!("large-{number:02}"));
        fs::write(changelist.join(format!("{at:020}_{rest}")), content)?;
    }
    Ok(())
}

// --- the stage

fn published() -> Result<(Stage, Agent)> {
    let stage = Stage::with_files()?;
    let agent = stage.home.start_agent()?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["publish", GUN])?.ok()?;
    Ok((stage, agent))
}

/// Targets in a delegation too, and all roles in the cache.
fn with_delegation() -> Result<(Stage, Agent)> {
    let (stage, agent) = published()?;
    let file = stage.home.write("file", "content")?;
    let trust = stage.home.trust();
    let delegate = stage.authority.server(Validity::Current)?;
    let certificate = stage.home.write("delegate.crt", delegate.certificate)?;
    let key = stage.home.write("delegate.key", delegate.key)?;
    // The real notary delegates; what is signed after that is ours.
    stage.notary(&trust, ["key", "import", "--role", "targets/releases"]).args([&key]).ok()?;
    let delegation = ["delegation", "add", GUN, "targets/releases", "--all-paths", "-p"];
    stage.notary(&trust, delegation).args([&certificate]).ok()?;
    stage.signet(["add", GUN, "first"])?.args([&file]).ok()?;
    stage.signet(["add", GUN, "released", "-r", "targets/releases", "-p"])?.args([&file]).ok()?;
    stage.signet(["list", GUN])?.ok()?.says(&["first", "released"])?;
    Ok((stage, agent))
}

fn cached(stage: &Stage, role: &str) -> PathBuf {
    stage.home.trust().join("tuf").join(GUN).join("metadata").join(format!("{role}.json"))
}

fn temporary(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(temporary(&path)?);
        } else if path.to_string_lossy().ends_with(".tmp") {
            found.push(path);
        }
    }
    Ok(found)
}
