//! Several processes in one trust directory, ours and the real `notary` among them.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, anyhow};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use signet_tests::{Agent, Call, Finished, Stage, wait_until};

const GUN: &str = "example.com/acme/app";
const ROUNDS: usize = 6;

#[test]
fn notary_and_signet_stage_side_by_side_while_signet_publishes() -> Result<()> {
    let (stage, _agent) = published()?;
    let stop = AtomicBool::new(false);
    let trust = stage.home.trust();
    let file = stage.home.write("file", "content")?;
    std::thread::scope(|scope| -> Result<()> {
        let publishing = scope.spawn(|| -> Result<usize> {
            let mut published = 0;
            while !stop.load(Ordering::SeqCst) {
                unbroken(stage.signet(["publish", GUN])?.ok()?)?;
                published += 1;
            }
            Ok(published)
        });
        let reading = scope.spawn(|| -> Result<()> {
            while !stop.load(Ordering::SeqCst) {
                for command in [&["status", GUN][..], &["list", GUN], &["key", "list"]] {
                    unbroken(stage.signet(command)?.ok()?)?;
                }
                stage.notary(&trust, ["key", "list"]).ok()?;
            }
            Ok(())
        });
        let staging = [
            scope.spawn(|| stage_each("ours", |name| Ok(stage.signet(["add", GUN, name])?.args([&file])))),
            scope.spawn(|| stage_each("theirs", |name| Ok(stage.notary(&trust, ["add", GUN, name]).args([&file])))),
        ];
        let staged: Vec<_> = staging.into_iter().map(|thread| thread.join()).collect();
        stop.store(true, Ordering::SeqCst);
        for thread in staged {
            thread.map_err(|_| anyhow!("a thread panicked"))??;
        }
        reading.join().map_err(|_| anyhow!("a reader panicked"))??;
        assert!(
            publishing.join().map_err(|_| anyhow!("a publisher panicked"))?? > 1,
            "nothing was published meanwhile"
        );
        Ok(())
    })?;
    stage.signet(["publish", GUN])?.ok()?;
    let names: Vec<String> = (0..ROUNDS).flat_map(|round| [named("ours", round), named("theirs", round)]).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    stage.stranger(["list", GUN])?.ok()?.says(&names)?;
    Ok(())
}

#[test]
fn notary_and_signet_publish_at_the_same_moment_and_nothing_is_lost() -> Result<()> {
    let (stage, _agent) = published()?;
    let trust = stage.home.trust();
    let file = stage.home.write("file", "content")?;
    let mut names = Vec::new();
    for round in 0..ROUNDS {
        for who in ["ours", "theirs"] {
            names.push(named(who, round));
            stage.signet(["add", GUN, &named(who, round)])?.args([&file]).ok()?;
        }
        let (ours, theirs) = (stage.signet(["publish", GUN])?, stage.notary(&trust, ["publish", GUN]));
        let told = at_once(&[ours, theirs])?;
        for answer in told {
            // Notary does not run a lost race again; we do.
            assert!(matches!(answer.code, Some(0 | 1)), "{answer}");
            unbroken(answer)?;
        }
    }
    stage.signet(["publish", GUN])?.ok()?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    stage.stranger(["list", GUN])?.ok()?.says(&names)?;
    stage.signet(["status", GUN])?.ok()?.says(&["No unpublished changes"])?;
    // Both still work alone.
    stage.signet(["add", GUN, "last-ours", "-p"])?.args([&file]).ok()?;
    stage.notary(&trust, ["add", GUN, "last-theirs", "-p"]).args([&file]).ok()?;
    stage.stranger(["list", GUN])?.ok()?.says(&["last-ours", "last-theirs"])?;
    Ok(())
}

#[test]
fn keys_that_notary_makes_meanwhile_are_seen_whole_or_not_at_all() -> Result<()> {
    let (stage, _agent) = published()?;
    let trust = stage.home.trust();
    let before = key_files(&stage)?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| -> Result<()> {
        let listing = scope.spawn(|| -> Result<()> {
            while !stop.load(Ordering::SeqCst) {
                unbroken(stage.signet(["key", "list"])?.ok()?)?;
            }
            Ok(())
        });
        let making = [
            scope.spawn(|| {
                (0..ROUNDS).try_for_each(|_| stage.notary(&trust, ["key", "generate", "ecdsa"]).ok().map(drop))
            }),
            scope.spawn(|| (0..ROUNDS).try_for_each(|_| stage.signet(["key", "generate", "ecdsa"])?.ok().map(drop))),
        ];
        let made: Vec<_> = making.into_iter().map(|thread| thread.join()).collect();
        stop.store(true, Ordering::SeqCst);
        for thread in made {
            thread.map_err(|_| anyhow!("a thread panicked"))??;
        }
        listing.join().map_err(|_| anyhow!("a reader panicked"))?
    })?;
    let after = key_files(&stage)?;
    assert_eq!(after.len(), before.len() + 2 * ROUNDS, "a key was lost");
    let new: Vec<&str> = after.difference(&before).map(String::as_str).collect();
    // Notary shortens long IDs, so only ours is asked for all of them.
    stage.signet(["key", "list"])?.ok()?.says(&new)?;
    stage.notary(&trust, ["key", "list"]).ok()?;
    Ok(())
}

#[test]
fn a_change_file_that_notary_has_half_written_is_read_when_it_is_whole() -> Result<()> {
    let (stage, _agent) = published()?;
    let file = stage.home.write("file", "content")?;
    stage.signet(["add", GUN, "first"])?.args([&file]).ok()?;
    let folder = stage.home.trust().join("tuf").join(GUN).join("changelist");
    let path = fs::read_dir(&folder)?.next().ok_or_else(|| anyhow!("nothing staged"))??.path();
    let whole = fs::read(&path)?;
    // Notary creates the file under its name and writes it then.
    fs::write(&path, whole.get(..whole.len() / 2).unwrap_or_default())?;
    let watched = watch(&path)?;
    let status = stage.signet(["status", GUN])?;
    std::thread::scope(|scope| -> Result<()> {
        let asked = scope.spawn(|| status.ok());
        // Long enough that the client has met the half, well below its patience.
        wait_until_read(&watched)?;
        fs::write(&path, &whole)?;
        asked.join().map_err(|_| anyhow!("a thread panicked"))??.says(&["first"])?;
        Ok(())
    })?;
    // One that stays broken is named.
    fs::write(&path, "{\"action\":")?;
    stage.signet(["status", GUN])?.refused()?.says(&[path.to_str().unwrap_or_default(), "remove"])?;
    Ok(())
}

#[test]
fn a_root_that_notary_is_writing_anew_is_not_trusted_anew() -> Result<()> {
    let (stage, _agent) = published()?;
    stage.signet(["list", GUN])?.ok()?;
    let path = stage.home.trust().join("tuf").join(GUN).join("metadata/root.json");
    let whole = fs::read(&path)?;
    // Notary removes the file and writes it then.
    fs::write(&path, whole.get(..whole.len() / 2).unwrap_or_default())?;
    let watched = watch(&path)?;
    let list = stage.signet(["list", GUN])?;
    std::thread::scope(|scope| -> Result<()> {
        let asked = scope.spawn(|| list.ok());
        wait_until_read(&watched)?;
        fs::write(&path, &whole)?;
        asked.join().map_err(|_| anyhow!("a thread panicked"))??;
        Ok(())
    })
}

/// Watches a file that is going to be read.
fn watch(path: &Path) -> Result<OwnedFd> {
    let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    inotify::add_watch(&watch, path, WatchFlags::ACCESS)?;
    Ok(watch)
}

fn wait_until_read(watch: &OwnedFd) -> Result<()> {
    let mut event = [0; 256];
    wait_until("the client has begun", Duration::from_secs(5), || rustix::io::read(watch, &mut event).is_ok())
}

fn stage_each(who: &str, add: impl Fn(&str) -> Result<Call>) -> Result<()> {
    (0..ROUNDS).try_for_each(|round| add(&named(who, round))?.ok().map(drop))
}

fn named(who: &str, round: usize) -> String {
    format!("{who}-{round}-")
}

/// Nothing that looks like a half-read file.
fn unbroken(told: Finished) -> Result<()> {
    told.never_says(&["panicked", "damaged", "cannot be read", "not whole"]).map(drop)
}

fn at_once(calls: &[Call]) -> Result<Vec<Finished>> {
    std::thread::scope(|scope| {
        let running: Vec<_> = calls.iter().map(|call| scope.spawn(|| call.finish())).collect();
        running.into_iter().map(|one| one.join().map_err(|_| anyhow!("a thread panicked"))?).collect()
    })
}

fn key_files(stage: &Stage) -> Result<BTreeSet<String>> {
    let mut ids = BTreeSet::new();
    for entry in fs::read_dir(stage.home.trust().join("private"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        ids.extend(name.strip_suffix(".key").map(str::to_owned));
    }
    Ok(ids)
}

fn published() -> Result<(Stage, Agent)> {
    let stage = Stage::with_files()?;
    let agent = stage.home.start_agent()?;
    stage.signet(["init", GUN])?.ok()?;
    stage.signet(["publish", GUN])?.ok()?;
    Ok((stage, agent))
}
