//! What is typed, read from `scenarios.txt`.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// A story that everybody plays.
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// Its number, two digits.
    pub(crate) number: String,
    pub(crate) steps: Vec<Step>,
    /// The row of the paper that says why it ends otherwise with ours.
    pub(crate) other_end: Option<String>,
}

/// One line of it.
pub(crate) struct Step {
    pub(crate) kind: Kind,
    pub(crate) words: String,
    /// What is typed, a line each; at a terminal `question => answer`.
    pub(crate) input: Vec<String>,
    pub(crate) difference: Option<Difference>,
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The program, with that trust directory.
    Program(String),
    /// The program, with that trust directory, at a terminal and without passphrases in the environment.
    Terminal(String),
    /// A shell; the same in all plays.
    Shell,
}

/// A difference that is meant.
pub(crate) struct Difference {
    pub(crate) what: What,
    /// Words of the row of docs/notary-compat.md that says so.
    pub(crate) row: String,
}

/// What differs between the programs alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The words of the failure; status and what stands before are the same.
    Words,
    /// Standard output; the status is the same.
    Output,
    /// The status.
    Status,
}

impl Scenario {
    /// All of them.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/matrix/scenarios.txt");
        let text = std::fs::read_to_string(&path)?;
        let mut scenarios = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            read_line(&mut scenarios, line).with_context(|| format!("{}:{number}: {line}", path.display()))?;
        }
        Ok(scenarios)
    }

    /// Every collection that is named, as it is written.
    pub(crate) fn collections(&self) -> Vec<String> {
        let programs = self.steps.iter().filter(|step| step.kind != Kind::Shell);
        let mut named: Vec<_> = programs
            .flat_map(|step| step.words.split_whitespace())
            .filter(|word| word.starts_with("$G"))
            .map(str::to_owned)
            .collect();
        named.sort();
        named.dedup();
        named
    }

    /// Rows of the paper that it shows.
    pub(crate) fn rows(&self) -> Vec<&str> {
        let rows = self.steps.iter().filter_map(|step| Some(step.difference.as_ref()?.row.as_str()));
        let mut rows: Vec<_> = rows.chain(self.other_end.as_deref()).collect();
        let mut seen = std::collections::BTreeSet::new();
        rows.retain(|row| seen.insert(*row));
        rows
    }
}

fn read_line(scenarios: &mut Vec<Scenario>, line: &str) -> Result<()> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(());
    }
    if let Some(name) = line.strip_prefix("== ") {
        let number = format!("{:02}", scenarios.len());
        scenarios.push(Scenario { name: name.to_owned(), number, steps: Vec::new(), other_end: None });
        return Ok(());
    }
    let scenario = scenarios.last_mut().context("a step before the first scenario")?;
    let (mark, rest) = line.split_once(' ').context("a mark and words")?;
    let step = |kind| Step { kind, words: rest.to_owned(), input: Vec::new(), difference: None };
    let last = scenario.steps.last_mut();
    match mark {
        ":" => scenario.steps.push(step(Kind::Shell)),
        "<" => last.context("input of nothing")?.input.push(rest.to_owned()),
        "=end" => scenario.other_end = Some(rest.to_owned()),
        "=words" | "=output" | "=status" => {
            let what = match mark {
                "=words" => What::Words,
                "=output" => What::Output,
                _ => What::Status,
            };
            let last = last.context("a difference of nothing")?;
            ensure!(last.difference.is_none(), "two differences");
            last.difference = Some(Difference { what, row: rest.to_owned() });
        }
        _ => {
            let (who, kind): (_, fn(String) -> Kind) = match (mark.strip_suffix('$'), mark.strip_suffix('%')) {
                (Some(who), _) => (who, Kind::Program),
                (_, Some(who)) => (who, Kind::Terminal),
                (None, None) => bail!("no such mark"),
            };
            let trust = if who.is_empty() { "trust" } else { who };
            scenario.steps.push(step(kind(trust.to_owned())));
        }
    }
    Ok(())
}
