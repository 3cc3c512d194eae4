//! `kill -9` of the agent at random moments, under load.
//!
//! The token lives in a process of its own: SoftHSM 2.6 empties its token file when it is killed inside C_Login, which says
//! nothing about the agent. `SIGNET_KILL_ROUNDS` says how often; 50 if it does not.
#![expect(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, reason = "counts and times of a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use signet_proto::v1::signing_client::SigningClient;
use signet_tests::{Event, Stage, Wire, wait_until};
use signet_tuf::{Digest, Envelope, Role};

const GUN: &str = "example.com/acme/load";
const STAGED_GUN: &str = "example.com/acme/staged";
const WRITERS: usize = 4;

/// Everything that clients were given: version and digest of `signed`.
type Released = Mutex<BTreeSet<(u64, String)>>;

#[test]
fn a_killed_agent_has_recorded_every_signature_that_it_gave_away() -> Result<()> {
    let (stage, _served) = Stage::with_served_token()?;
    let mut agent = stage.home.start_agent()?;
    let load = Load::prepare(&stage)?;
    let released = Released::default();
    for round in 0..rounds() {
        let before = locked(&released).len();
        let stop = AtomicBool::new(false);
        load.note("nobody came back yet".to_owned());
        std::thread::scope(|scope| -> Result<()> {
            for writer in 0..WRITERS {
                let (load, released, stop) = (&load, &released, &stop);
                scope.spawn(move || load.sign_until(stop, writer, round, released));
            }
            // Most die at work, some at birth.
            let at_work = || round % 4 == 3 || locked(&released).len() > before;
            let working = wait_until("a signature", Duration::from_secs(20), at_work);
            let moment = Instant::now();
            let life = random_part(Duration::from_millis(200));
            let outcome = wait_until("the moment of death", Duration::from_secs(10), || moment.elapsed() >= life);
            agent.kill();
            stop.store(true, Ordering::SeqCst);
            working.with_context(|| format!("round {round}: {}", load.noted())).and(outcome)
        })?;
        agent.restart().with_context(|| format!("after kill {round}"))?;
    }
    let record = stage.audit()?;
    assert_released_was_recorded(&record, &locked(&released));
    assert_one_content_per_version(&record);
    println!("{} kills, {} signatures given away, {} records", rounds(), locked(&released).len(), record.len());
    Ok(())
}

#[test]
fn a_killed_agent_loses_nothing_that_was_staged() -> Result<()> {
    let (stage, _served) = Stage::with_served_token()?;
    let mut agent = stage.home.start_agent()?;
    stage.signet(["init", STAGED_GUN])?.ok()?;
    stage.signet(["publish", STAGED_GUN])?.ok()?;
    // A named agent is not replaced: the client must live with its death.
    let named = format!("unix:{}", stage.home.sockets().first().context("no socket")?.display());
    let usual = publish_time(&stage)?;
    let mut published = 0_usize;
    let mut names = Vec::new();
    // A round takes a whole publish; a fifth of them is enough to meet every moment of it.
    for round in 0..rounds().div_ceil(5) {
        let name = format!("target-{round}-");
        let file = stage.home.write("file", &name)?;
        stage.signet(["add", STAGED_GUN, &name])?.args([&file]).ok()?;
        let publish = stage.signet(["publish", STAGED_GUN])?.env("SIGNET_AGENT", &named);
        let answer = std::thread::scope(|scope| {
            let client = scope.spawn(|| publish.finish());
            let moment = Instant::now();
            let life = random_part(usual * 5 / 4);
            let outcome = wait_until("the moment of death", Duration::from_secs(10), || moment.elapsed() >= life);
            agent.kill();
            let answer = client.join().map_err(|_| anyhow!("the client panicked"))??;
            outcome.map(|()| answer)
        })?;
        agent.restart().with_context(|| format!("after kill {round}"))?;
        names.push(name.clone());
        match answer.code {
            Some(0) => published += 1,
            Some(1..=9) => assert_staged_or_published(&stage, &name).with_context(|| answer.to_string())?,
            _ => anyhow::bail!("neither published nor plainly refused:\n{answer}"),
        }
    }
    stage.signet(["publish", STAGED_GUN])?.ok()?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    stage.stranger(["list", STAGED_GUN])?.ok()?.says(&names)?;
    let record = stage.audit()?;
    assert_one_content_per_version(&record);
    assert_server_serves_only_what_was_recorded(&stage, &record)?;
    println!("{} kills, {published} publishes went through all the same", rounds().div_ceil(5));
    Ok(())
}

fn publish_time(stage: &Stage) -> Result<Duration> {
    let file = stage.home.write("file", "measured")?;
    stage.signet(["add", STAGED_GUN, "measured"])?.args([&file]).ok()?;
    stage.signet(["publish", STAGED_GUN])?.elapsed()
}

/// A killed client may have reached the server before it died; then nothing is staged any more.
fn assert_staged_or_published(stage: &Stage, name: &str) -> Result<()> {
    let staged = stage.signet(["status", STAGED_GUN])?.ok()?;
    if !staged.stdout.contains(name) {
        stage.stranger(["list", STAGED_GUN])?.ok()?.says(&[name])?;
    }
    Ok(())
}

fn assert_server_serves_only_what_was_recorded(stage: &Stage, record: &[Event]) -> Result<()> {
    let granted: BTreeSet<(&str, u64, &str)> = record
        .iter()
        .filter(|event| event.kind == "granted" && event.gun == STAGED_GUN)
        .map(|event| (event.role.as_str(), event.version, event.digest.as_str()))
        .collect();
    for (name, role) in [("root", Role::Root), ("targets", Role::Targets), ("snapshot", Role::Snapshot)] {
        for version in 1..=stage.server.version(STAGED_GUN, name)? {
            // Versions that never got out are gaps.
            let Some(bytes) = stage.server.metadata(STAGED_GUN, &format!("{version}.{name}.json"))? else {
                continue;
            };
            let digest = Envelope::parse(&role, &bytes)?.digest().to_string();
            assert!(granted.contains(&(name, version, &digest)), "{name} version {version} has no record");
        }
    }
    Ok(())
}

fn assert_released_was_recorded(record: &[Event], released: &BTreeSet<(u64, String)>) {
    let granted: BTreeSet<(u64, String)> = record
        .iter()
        .filter(|event| event.kind == "granted" && event.gun == GUN && event.role == "targets")
        .map(|event| (event.version, event.digest.clone()))
        .collect();
    let missing: Vec<_> = released.difference(&granted).collect();
    assert!(missing.is_empty(), "given away and not recorded: {missing:?}");
}

fn assert_one_content_per_version(record: &[Event]) {
    let mut contents = BTreeMap::new();
    for event in record.iter().filter(|event| event.kind == "granted") {
        let line = (&event.gun, &event.role, event.version);
        let first = contents.entry(line).or_insert(&event.digest);
        assert_eq!(*first, &event.digest, "{line:?} was granted twice");
    }
}

/// Four writers that want the same versions with different contents.
struct Load {
    wire: Wire,
    last: Mutex<String>,
    runtime: tokio::runtime::Runtime,
}

impl Load {
    fn prepare(stage: &Stage) -> Result<Self> {
        Ok(Self {
            wire: Wire::prepare(stage, GUN)?,
            last: Mutex::default(),
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?,
        })
    }

    /// Signs version after version until the agent is dead; a refusal means that another writer was faster.
    fn sign_until(&self, stop: &AtomicBool, writer: usize, round: usize, released: &Released) {
        self.runtime.block_on(async {
            let Ok(channel) = self.wire.connect().await else {
                return;
            };
            let mut client = SigningClient::new(channel).max_decoding_message_size(64 << 20);
            let mut version = locked(released).last().map_or(3, |(version, _)| version + 1);
            while !stop.load(Ordering::SeqCst) {
                let signed = self.wire.targets(version, &format!("writer-{writer}-round-{round}"));
                let digest = Digest::of(signed.as_bytes()).to_string();
                match client.sign(self.wire.request(signed)).await {
                    Ok(reply) => {
                        assert!(!reply.get_ref().signatures.is_empty(), "a grant without a signature");
                        locked(released).insert((version, digest));
                        version += 1;
                    }
                    Err(refusal) if is_taken(&refusal) => version += 1,
                    // No ErrorInfo: it is not the agent who speaks, it is dead.
                    Err(status) if status.details().is_empty() => {
                        return self.note(format!("writer {writer}, version {version}, lost the agent: {status}"));
                    }
                    // The token is still being opened.
                    Err(refusal) => {
                        self.note(format!("writer {writer}, version {version}: {refusal}"));
                        tokio::task::yield_now().await;
                    }
                }
            }
        });
    }

    /// What a writer met last, for whoever asks why nothing was signed.
    fn note(&self, what: String) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    fn noted(&self) -> String {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn is_taken(refusal: &tonic::Status) -> bool {
    refusal.code() == tonic::Code::AlreadyExists || refusal.message().contains("older than version")
}

fn locked(released: &Released) -> std::sync::MutexGuard<'_, BTreeSet<(u64, String)>> {
    released.lock().unwrap_or_else(PoisonError::into_inner)
}

fn rounds() -> usize {
    std::env::var("SIGNET_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(50)
}

fn random_part(whole: Duration) -> Duration {
    whole.mul_f64(f64::from(RandomState::new().build_hasher().finish() as u16) / f64::from(u16::MAX))
}
