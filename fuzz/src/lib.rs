//! Broken input without end, for code that reads what others wrote.
//!
//! A fuzz target is a test beside the code: seeds, words of its language, and a body that panics if a property does not
//! hold. The driver mutates seeds without looking at coverage, since that would need a nightly toolchain and this one is
//! pinned; the same bodies fit cargo-fuzz.
//!
//! `SIGNET_FUZZ_SECONDS` says how long each target runs (1 without it), `SIGNET_FUZZ_SEED` repeats a run.

mod random;

use std::{
    fs,
    hash::{BuildHasher, Hasher, RandomState},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::{Duration, Instant},
};

use random::Random;

/// No input of this size may take longer; a reader that does can be held up by whoever writes to it.
const SLOW: Duration = Duration::from_secs(5);
/// Longer inputs find nothing that shorter ones do not.
const MAX_BYTES: usize = 64 * 1024;

/// What is known of the input that a target reads.
#[derive(Debug, Clone, Default)]
pub struct Language {
    /// Well-formed inputs, and inputs that once broke something; each is tried as it is first.
    pub seeds: Vec<Vec<u8>>,
    /// Words that mean something.
    pub words: Vec<&'static [u8]>,
}

/// Words of JSON, and numbers at the edges.
pub const JSON: [&[u8]; 24] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"null",
    b"true",
    b"{}",
    b"[]",
    b"\"\"",
    b"\\u0000",
    b"\\ud800",
    b"0",
    b"-1",
    b"1.5",
    b"1e9",
    b"9007199254740992",
    b"9223372036854775807",
    b"18446744073709551616",
    b" ",
    b"\n",
];

/// Tries broken input until the time is over.
///
/// # Panics
/// If the body does, or takes too long. The input is in the message and in a file, and should become a seed.
pub fn fuzz(name: &str, language: &Language, body: impl Fn(&[u8])) {
    let number = |variable: &str| std::env::var(variable).ok().and_then(|text| text.parse::<u64>().ok());
    let time = Duration::from_secs(number("SIGNET_FUZZ_SECONDS").unwrap_or(1));
    let seed = number("SIGNET_FUZZ_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let mut random = Random::new(seed);
    for input in &language.seeds {
        attempt(name, seed, input, &body);
    }
    let (started, mut tried) = (Instant::now(), 0_u64);
    while started.elapsed() < time {
        attempt(name, seed, &mutant(language, &mut random), &body);
        tried = tried.saturating_add(1);
    }
    println!("{name}: {tried} inputs in {} s, seed {seed}", time.as_secs());
}

#[expect(clippy::panic, reason = "this is how a test fails")]
fn attempt(name: &str, seed: u64, input: &[u8], body: &impl Fn(&[u8])) {
    let started = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| body(input)));
    let taken = started.elapsed();
    if result.is_ok() && taken < SLOW {
        return;
    }
    let path = std::env::temp_dir().join(format!("signet-fuzz-{name}"));
    let kept = fs::write(&path, input).map_or_else(|error| error.to_string(), |()| path.display().to_string());
    let shown = input.escape_ascii();
    eprintln!("{name}: seed {seed}, the input is in {kept}, and is b\"{shown}\"");
    match result {
        Err(panic) => resume_unwind(panic),
        Ok(()) => panic!("{name}: took {taken:?}"),
    }
}

/// One of the seeds, broken in a few places.
fn mutant(language: &Language, random: &mut Random) -> Vec<u8> {
    let mut input = random.one_of(&language.seeds).cloned().unwrap_or_default();
    for _ in 0..=random.below(6) {
        mutate(&mut input, language, random);
    }
    input.truncate(MAX_BYTES);
    input
}

fn mutate(input: &mut Vec<u8>, language: &Language, random: &mut Random) {
    let at = random.below(input.len().saturating_add(1));
    let end = at.saturating_add(random.below(32)).min(input.len());
    match random.below(8) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1_u8.wrapping_shl(u32::try_from(random.below(8)).unwrap_or(0));
            }
        }
        1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = random.byte();
            }
        }
        2 => drop(input.drain(at..end)),
        3 => input.truncate(at),
        4 => {
            let copy = input.get(at..end).unwrap_or_default().to_vec();
            drop(input.splice(at..at, copy));
        }
        5 => {
            let other = random.one_of(&language.seeds).cloned().unwrap_or_default();
            let from = random.below(other.len().saturating_add(1));
            let to = from.saturating_add(random.below(256)).min(other.len());
            drop(input.splice(at..at, other.get(from..to).unwrap_or_default().to_vec()));
        }
        6 => drop(input.splice(at..end, random.one_of(&language.words).copied().unwrap_or_default().to_vec())),
        _ => drop(input.splice(at..at, random.one_of(&language.words).copied().unwrap_or_default().to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeSet, panic};

    use super::{Language, Random, fuzz, mutant};

    fn language() -> Language {
        Language { seeds: vec![b"{\"a\":1}".to_vec(), b"[true]".to_vec()], words: vec![b"null"] }
    }

    #[test]
    fn a_seed_repeats_a_run() {
        let inputs = |seed| {
            let mut random = Random::new(seed);
            (0..100).map(|_| mutant(&language(), &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(inputs(7), inputs(7));
        assert_ne!(inputs(7), inputs(8));
        assert!(inputs(7).into_iter().collect::<BTreeSet<_>>().len() > 80);
    }

    #[test]
    fn a_body_that_panics_fails_the_target() {
        let failed = panic::catch_unwind(|| fuzz("driver-panics", &language(), |input| assert!(input.len() < 9)));
        assert!(failed.is_err());
    }

    #[test]
    fn seeds_are_tried_as_they_are() {
        let seen = RefCell::new(Vec::new());
        fuzz("driver-seeds", &language(), |input| {
            if seen.borrow().len() < 2 {
                seen.borrow_mut().push(input.to_vec());
            }
        });
        assert_eq!(seen.into_inner(), language().seeds);
    }
}
