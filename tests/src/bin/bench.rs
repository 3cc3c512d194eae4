//! How long `publish` of one staged target takes, beside the real `notary`: same server, same kind of keys, taking turns.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use signet_tests::{Call, Stage};

const RUNS: usize = 15;
const GUN: &str = "example.com/bench/app";

type Command<'a> = Box<dyn Fn(&[&str]) -> Result<Call> + 'a>;

/// One contender: how to add a file, and how to publish it.
struct Contender<'a> {
    name: &'static str,
    command: Command<'a>,
    taken: Vec<Duration>,
}

fn main() -> Result<()> {
    let files = Stage::with_files()?;
    let token = Stage::with_token()?;
    let _agents = (files.home.start_agent()?, token.home.start_agent()?);
    let notary_dir = files.home.path().join("notary");
    let mut contenders = [
        Contender::new("notary 0.7, key files", |words| Ok(files.notary(&notary_dir, words))),
        Contender::new("signet, key files", |words| files.signet_in(&files.home.trust(), words)),
        Contender::new("signet, SoftHSM token", |words| token.signet(words)),
    ];
    for (turn, contender) in contenders.iter().enumerate() {
        contender.run(&["init", &gun(turn)])?.ok()?;
        contender.run(&["publish", &gun(turn)])?.ok()?;
    }
    let file = files.home.write("file", "content")?;
    for run in 0..RUNS {
        for (turn, contender) in contenders.iter_mut().enumerate() {
            contender.publish(&gun(turn), &format!("target-{run}"), &file)?;
        }
    }
    println!("publish of one target, {RUNS} runs each, taking turns (milliseconds):");
    println!("{:<24}{:>8}{:>8}{:>8}", "", "median", "least", "most");
    for contender in &mut contenders {
        contender.taken.sort();
        let at = |index: usize| contender.taken.get(index).map_or(0, Duration::as_millis);
        println!("{:<24}{:>8}{:>8}{:>8}", contender.name, at(RUNS / 2), at(0), at(RUNS - 1));
    }
    Ok(())
}

impl<'a> Contender<'a> {
    fn new(name: &'static str, command: impl Fn(&[&str]) -> Result<Call> + 'a) -> Self {
        Self { name, command: Box::new(command), taken: Vec::new() }
    }

    fn run(&self, words: &[&str]) -> Result<Call> {
        (self.command)(words)
    }

    fn publish(&mut self, gun: &str, target: &str, file: &Path) -> Result<()> {
        self.run(&["add", gun, target])?.args([file]).ok()?;
        let taken = self.run(&["publish", gun])?.elapsed()?;
        self.taken.push(taken);
        Ok(())
    }
}

fn gun(turn: usize) -> String {
    format!("{GUN}-{turn}")
}
