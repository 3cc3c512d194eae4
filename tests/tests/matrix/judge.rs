//! Comparing the four plays of a scenario.

use anyhow::Result;
use signet_tests::compat_paper;

use crate::play::{Answer, CASTS, Cast, Played};
use crate::scenario::{Scenario, Step, What};

/// What is thought of one scenario.
pub(crate) struct Verdict<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) faults: Vec<(Cast, String)>,
}

/// The four plays, in the order of the casts.
pub(crate) fn judge<'a>(scenario: &'a Scenario, plays: [Result<Played>; 4]) -> Verdict<'a> {
    let mut verdict = Verdict { scenario, faults: Vec::new() };
    undocumented(&mut verdict);
    let plays = plays.map(|played| played.map_err(|error| format!("{error:#}")));
    for (cast, played) in CASTS.into_iter().zip(&plays) {
        if let Err(error) = played {
            verdict.fault(cast, error.clone());
        }
    }
    if let [Ok(real), Ok(ours), turns @ ..] = &plays {
        compare_alone(&mut verdict, real, ours);
        for (cast, turn) in [Cast::OursFirst, Cast::RealFirst].into_iter().zip(turns) {
            if let Ok(turn) = turn {
                compare_in_turns(&mut verdict, cast, turn, real, ours);
            }
        }
        compare_ends(&mut verdict, &plays);
    }
    verdict
}

impl Verdict<'_> {
    /// Whether it went as it should.
    pub(crate) fn is_well(&self, cast: Cast) -> bool {
        self.faults.iter().all(|(other, _)| *other != cast)
    }

    fn fault(&mut self, cast: Cast, text: String) {
        self.faults.push((cast, format!("\n== {}, {cast:?}: {text}", self.scenario.name)));
    }
}

fn undocumented(verdict: &mut Verdict<'_>) {
    let paper = compat_paper().unwrap_or_default();
    for row in verdict.scenario.rows() {
        if !paper.contains(row) {
            verdict.fault(Cast::Ours, format!("docs/notary-compat.md does not say: {row}"));
        }
    }
}

fn compare_alone(verdict: &mut Verdict<'_>, real: &Played, ours: &Played) {
    let scenario = verdict.scenario;
    for ((step, real), ours) in scenario.steps.iter().zip(&real.answers).zip(&ours.answers) {
        let (Some(real), Some(ours)) = (real, ours) else { continue };
        if let Some(problem) = problem(step, real, ours) {
            verdict.fault(Cast::Ours, format!("{problem}\n[ours]\n{}\n[real]\n{}", ours.whole, real.whole));
        }
    }
}

/// What is wrong with two answers to a step.
fn problem(step: &Step, real: &Answer, ours: &Answer) -> Option<&'static str> {
    let Some(difference) = &step.difference else {
        return (alike(real) != alike(ours)).then_some("the programs answer differently");
    };
    let well = match difference.what {
        What::Status => real.code != ours.code,
        What::Output => real.code == ours.code && real.stdout != ours.stdout,
        What::Words => {
            let (before, words) = split(&real.stdout);
            let (our_before, our_words) = split(&ours.stdout);
            real.code == ours.code && before == our_before && words != our_words && !our_words.is_empty()
        }
    };
    (!well).then_some("the declared difference is not there, or not alone")
}

fn alike(answer: &Answer) -> (Option<i32>, &str) {
    (answer.code, &answer.stdout)
}

fn split(stdout: &str) -> (&str, &str) {
    stdout.split_at(stdout.find("\n* fatal:").unwrap_or(stdout.len()))
}

/// In turns, each program says what it says alone; where they differ, it may be for what the other did before.
fn compare_in_turns(verdict: &mut Verdict<'_>, cast: Cast, turn: &Played, real: &Played, ours: &Played) {
    for (at, answer) in turn.answers.iter().enumerate() {
        let Some(answer) = answer else { continue };
        let differs = verdict.scenario.steps.get(at).is_some_and(|step| step.difference.is_some());
        let (alone, other) = if answer.by_ours { (ours, real) } else { (real, ours) };
        let [alone, other] = [alone, other].map(|played| played.answers.get(at).and_then(Option::as_ref));
        let (Some(alone), Some(other)) = (alone, other) else { continue };
        if alike(answer) != alike(alone) && !(differs && alike(answer) == alike(other)) {
            verdict.fault(
                cast,
                format!(
                    "the same program alone said something else\n[in turns]\n{}\n[alone]\n{}",
                    answer.whole, alone.whole
                ),
            );
        }
    }
}

/// All end as the real one alone; where ours alone ends otherwise, who plays in turns ends like either.
fn compare_ends(verdict: &mut Verdict<'_>, plays: &[Result<Played, String>; 4]) {
    let [Ok(real), Ok(ours), ..] = plays else { return };
    let differs = verdict.scenario.other_end.is_some();
    if differs && ends_like(ours, real) {
        verdict.fault(Cast::Ours, "the declared other end is not there".to_owned());
    }
    for (cast, played) in CASTS.into_iter().zip(plays) {
        let Ok(played) = played else { continue };
        let is_well = ends_like(played, real) || (differs && ends_like(played, ours));
        if !is_well {
            let text = |played: &Played| -> String {
                played.end.iter().map(|(gun, seen)| format!("{gun}\n{}\n", seen.join("--\n"))).collect()
            };
            verdict.fault(cast, format!("the end\n{}\n[the real one alone]\n{}", text(played), text(real)));
        }
    }
}

/// Whether strangers with either program see what they see in the model's end, and the server has the same.
fn ends_like(played: &Played, model: &Played) -> bool {
    let mut pairs = played.end.iter().zip(&model.end);
    pairs.all(|((_, [by_real, by_ours, shape]), (_, [seen, _, model_shape]))| {
        by_real == seen && by_ours == seen && shape == model_shape
    })
}
