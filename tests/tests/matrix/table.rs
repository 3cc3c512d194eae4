//! The matrix on the screen and in docs/notary-compat.md.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use signet_tests::MARKS;

use crate::judge::Verdict;
use crate::play::CASTS;
use crate::scenario::{Kind, Scenario};

/// A line for each scenario: name, then the four casts.
pub(crate) fn on_screen(verdicts: &[Verdict<'_>]) -> String {
    let width = verdicts.iter().map(|verdict| verdict.scenario.name.len()).max().unwrap_or_default();
    let mut text = format!("{:width$}  notary  ours  ours first  notary first\n", "");
    for verdict in verdicts {
        let [real, ours, ours_first, real_first] = CASTS.map(|cast| if verdict.is_well(cast) { "same" } else { "NOT" });
        let real = if real == "same" { "-" } else { real };
        let name = &verdict.scenario.name;
        text += &format!("{name:width$}  {real:6}  {ours:4}  {ours_first:10}  {real_first}\n");
    }
    text
}

/// The generated part of the paper.
pub(crate) fn in_paper(verdicts: &[Verdict<'_>]) -> String {
    let mut text = "| scenario | commands | alone | in turns, ours first | in turns, `notary` first |\n\
                    |---|---|---|---|---|\n"
        .to_owned();
    for verdict in verdicts {
        let [_, ours, ours_first, real_first] =
            CASTS.map(|cast| if verdict.is_well(cast) { "same" } else { "not the same" });
        let rows = verdict.scenario.rows();
        let ours = if rows.is_empty() { ours.to_owned() } else { format!("same, except: {}", rows.join("; ")) };
        let (name, verbs) = (&verdict.scenario.name, verbs(verdict.scenario));
        text += &format!("| {name} | {verbs} | {ours} | {ours_first} | {real_first} |\n");
    }
    text
}

/// The commands in the order of their first use.
fn verbs(scenario: &Scenario) -> String {
    let mut verbs: Vec<String> = Vec::new();
    for step in scenario.steps.iter().filter(|step| step.kind != Kind::Shell) {
        let mut words = step.words.split_whitespace().skip_while(|word| word.starts_with('-') || is_value(word));
        let Some(verb) = words.next() else { continue };
        let verb = match (verb, words.next()) {
            ("key" | "delegation", Some(second)) => format!("`{verb} {second}`"),
            _ => format!("`{verb}`"),
        };
        if !verbs.contains(&verb) {
            verbs.push(verb);
        }
    }
    verbs.join(", ")
}

/// What stands behind a flag before the verb.
fn is_value(word: &str) -> bool {
    word.contains(['.', ':', '/'])
}

/// The paper has this table, or gets it when it is blessed.
pub(crate) fn compare_with_paper(table: &str) -> Result<()> {
    if std::env::var_os("SIGNET_MATRIX_ONLY").is_some() {
        return Ok(());
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a parent")?.join("docs/notary-compat.md");
    let text = fs::read_to_string(&path)?;
    let (before, rest) = text.split_once(MARKS.0).context("no generated part begins")?;
    let (found, after) = rest.split_once(MARKS.1).context("no generated part ends")?;
    if std::env::var_os("SIGNET_BLESS").is_some() {
        return Ok(fs::write(path, format!("{before}{}{table}{}{after}", MARKS.0, MARKS.1))?);
    }
    ensure!(found == table, "the matrix in docs/notary-compat.md is stale; SIGNET_BLESS=1 writes it anew:\n{table}");
    Ok(())
}
