//! The matrix: each scenario is played by the real `notary` alone, by ours, called as `notary`, alone, and by both in turns
//! in one trust directory, once with ours and once with the real one at the first step. What they say must be the same, and so must be
//! what strangers see in the end. `scenarios.txt` holds the scenarios and says how they are written.
//!
//! docs/notary-compat.md has the result; `SIGNET_BLESS=1` writes it anew.

mod judge;
mod play;
mod scenario;
mod shape;
mod table;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use anyhow::{Context, Result, ensure};

use judge::Verdict;
use play::{CASTS, Theatre};
use scenario::Scenario;

/// More than there are cores: half of the time is waiting.
const THREADS: usize = 4;

#[test]
fn both_programs_do_the_same_alone_and_in_turns() -> Result<()> {
    let mut scenarios = Scenario::all()?;
    ensure!(scenarios.len() >= 30, "{} scenarios", scenarios.len());
    if let Ok(only) = std::env::var("SIGNET_MATRIX_ONLY") {
        scenarios.retain(|scenario| scenario.name.contains(&only));
    }
    let theatre = Theatre::open()?;
    let verdicts = played(&theatre, &scenarios)?;
    let faults: Vec<_> =
        verdicts.iter().flat_map(|verdict| verdict.faults.iter().map(|(_, text)| text.as_str())).collect();
    // past the test's capture: the matrix is shown when all is well, too
    std::io::stdout().write_all(table::on_screen(&verdicts).as_bytes())?;
    ensure!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    table::compare_with_paper(&table::in_paper(&verdicts))
}

/// Every scenario with every cast, and what is to be thought of it.
fn played<'a>(theatre: &Theatre, scenarios: &'a [Scenario]) -> Result<Vec<Verdict<'a>>> {
    let jobs: Vec<_> = scenarios.iter().flat_map(|scenario| CASTS.map(|cast| (scenario, cast))).collect();
    let (next, (sender, receiver)) = (AtomicUsize::new(0), mpsc::sync_channel(jobs.len()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let (sender, next, jobs) = (sender.clone(), &next, &jobs);
            scope.spawn(move || {
                let job = || {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    Some((number, *jobs.get(number)?))
                };
                while let Some((number, (scenario, cast))) = job() {
                    sender.send((number, theatre.play(scenario, cast))).unwrap_or_default();
                }
            });
        }
    });
    drop(sender);
    let mut results = receiver.into_iter().collect::<BTreeMap<_, _>>().into_values();
    let mut next = || results.next().context("a play that was not played");
    scenarios.iter().map(|scenario| Ok(judge::judge(scenario, [next()?, next()?, next()?, next()?]))).collect()
}
