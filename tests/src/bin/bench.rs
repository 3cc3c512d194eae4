//! How long the main job takes, beside the real `notary`: same server, same steps, taking turns.
//!
//! Times are of whole commands, from start to exit, with an agent that runs. What changes from machine to machine is the
//! times; what is compared is the ratio to `notary` in the same run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use signet_tests::{Call, Stage};

/// Odd, so that the median is one of them. `SIGNET_BENCH_RUNS` changes it.
const RUNS: usize = 15;
const MANY: usize = 10_000;

/// What is measured, in the order in which it is done to a collection.
const STEPS: [&str; 5] =
    ["init", "publish of 1 target", "publish of 10 000 targets", "publish of 1 on 10 000", "list of 10 000"];

type Command<'a> = Box<dyn Fn(&[&str]) -> Result<Call> + 'a>;

/// One who does the job.
struct Contender<'a> {
    name: &'static str,
    trust: PathBuf,
    command: Command<'a>,
    taken: [Vec<Duration>; STEPS.len()],
}

fn main() -> Result<()> {
    let runs = std::env::var("SIGNET_BENCH_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    let files = Stage::with_files()?;
    let token = Stage::with_token()?;
    let _agents = (files.home.start_agent()?, token.home.start_agent()?);
    let notary = files.home.path().join("notary");
    let mut contenders = [
        Contender::new("notary 0.7, key files", notary.clone(), |words| Ok(files.notary(&notary, words))),
        Contender::new("signet, key files", files.home.trust(), |words| files.signet(words)),
        Contender::new("signet, SoftHSM token", token.home.trust(), |words| token.signet(words)),
    ];
    let file = files.home.write("file", "content")?;
    for contender in &contenders {
        contender.job(&["key", "generate", "ecdsa"])?.ok()?;
    }
    for run in 0..runs {
        for step in 0..STEPS.len() {
            for (turn, contender) in contenders.iter_mut().enumerate() {
                contender.step(step, &format!("example.com/bench/{turn}-{run}"), &file)?;
            }
        }
    }
    report(&mut contenders, runs);
    Ok(())
}

fn report(contenders: &mut [Contender<'_>], runs: usize) {
    println!("{runs} runs, taking turns; milliseconds: median (least to most), and the median's ratio to notary's");
    for (step, title) in STEPS.iter().enumerate() {
        println!("{title}");
        let mut notary = None;
        for contender in contenders.iter_mut() {
            let Some(taken) = contender.taken.get_mut(step) else { continue };
            taken.sort();
            let at = |index: usize| taken.get(index).map_or(0.0, |taken| taken.as_secs_f64() * 1000.0);
            let median = at(runs / 2);
            let ratio = median / *notary.get_or_insert(median);
            let (least, most) = (at(0), at(runs.saturating_sub(1)));
            println!("  {:<24}{median:>9.1}  ({least:.1} to {most:.1}){ratio:>9.2}", contender.name);
        }
    }
}

impl<'a> Contender<'a> {
    fn new(name: &'static str, trust: PathBuf, command: impl Fn(&[&str]) -> Result<Call> + 'a) -> Self {
        Self { name, trust, command: Box::new(command), taken: Default::default() }
    }

    fn job(&self, words: &[&str]) -> Result<Call> {
        (self.command)(words)
    }

    /// Prepares a step, which is not timed, and takes it, which is.
    fn step(&mut self, step: usize, gun: &str, file: &Path) -> Result<()> {
        let words: &[&str] = match step {
            0 => &["init", gun],
            1 => {
                // the first publish sends root as well: the everyday one is measured
                self.job(&["publish", gun])?.ok()?;
                self.job(&["add", gun, "one"])?.args([file]).ok()?;
                &["publish", gun]
            }
            2 => {
                self.stage_many(gun, file)?;
                &["publish", gun]
            }
            3 => {
                self.job(&["add", gun, "one-more"])?.args([file]).ok()?;
                &["publish", gun]
            }
            _ => &["list", gun],
        };
        let taken = self.job(words)?.limit(Duration::from_secs(300)).elapsed()?;
        self.taken.get_mut(step).context("a step")?.push(taken);
        Ok(())
    }

    /// Ten thousand times `add` would take hours: one is staged, and its file is copied under other names.
    fn stage_many(&self, gun: &str, file: &Path) -> Result<()> {
        self.job(&["add", gun, "many-00000"])?.args([file]).ok()?;
        let changelist = self.trust.join("tuf").join(gun).join("changelist");
        let first = fs::read_dir(&changelist)?.next().context("a staged change")??;
        let name = first.file_name().to_string_lossy().into_owned();
        let (time, rest) = name.split_once('_').context("time and UUID in the name")?;
        let time: u64 = time.parse()?;
        let content = fs::read_to_string(first.path())?;
        for number in 1..MANY {
            let at = time.saturating_add(u64::try_from(number)?);
            let content = content.replace("many-00000", &format!("many-{number:05}"));
            fs::write(changelist.join(format!("{at:020}_{rest}")), content)?;
        }
        Ok(())
    }
}
