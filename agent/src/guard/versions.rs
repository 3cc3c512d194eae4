//! Version rules: never older, never twice, never too far.

use signet_tuf::{Digest, Role, Version};

use super::Decision;
use crate::intent::Mark;

/// Notary's server keeps versions as 32-bit integers, and a client that has seen a version refuses lower ones: a
/// version near the top locks a collection for ever.
const HIGHEST: u64 = (1 << 31) - 2;

/// What is known of a line when a version is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Line {
    /// Newest version that was signed, claimed by a grant in flight, or adopted.
    pub floor: Option<Mark>,
    /// Newest version shown and verified.
    pub shown: Option<Mark>,
}

impl Line {
    fn reference(&self) -> Option<Version> {
        self.floor.map(|mark| mark.version).max(self.shown.map(|mark| mark.version))
    }
}

/// A version that must not be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionFault {
    /// Older than what was signed or published.
    #[error("version {asked} of {role} is older than version {last}, which was signed or published before")]
    Rollback {
        /// The role.
        role: Role,
        /// The version asked for.
        asked: Version,
        /// The reference.
        last: Version,
    },
    /// The same version with other bytes.
    #[error("version {asked} of {role} was signed before with other content (SHA-256 {digest})")]
    Conflict {
        /// The role.
        role: Role,
        /// The version asked for.
        asked: Version,
        /// What was signed or published.
        digest: Digest,
        /// The next version that is free.
        next: u64,
    },
    /// Too far above.
    #[error("version {asked} of {role} is too far above {last}: the highest that may be signed now is {highest}")]
    Jump {
        /// The role.
        role: Role,
        /// The version asked for.
        asked: Version,
        /// The reference, 0 if there is none.
        last: u64,
        /// The highest lawful version.
        highest: u64,
    },
}

/// The lowest version that is free.
#[must_use]
pub fn next_free(line: &Line) -> u64 {
    line.reference().map_or(1, |version| version.get().saturating_add(1))
}

/// Judges one version of one line.
///
/// # Errors
/// [`VersionFault`]: rollback, conflict or jump.
pub fn check(role: &Role, line: &Line, asked: Mark, jump_limit: u64) -> Result<Decision, VersionFault> {
    let Some(reference) = line.reference() else {
        return within(role, asked, 0, jump_limit).map(|()| Decision::First);
    };
    if asked.version < reference {
        return Err(VersionFault::Rollback { role: role.clone(), asked: asked.version, last: reference });
    }
    if asked.version > reference {
        return within(role, asked, reference.get(), jump_limit).map(|()| Decision::Next);
    }
    // After a lost race ours and the server's differ at one version: ours was signed here, so only ours is repeated.
    let known = line.floor.filter(|mark| mark.version == asked.version).or(line.shown);
    match known {
        Some(mark) if mark == asked => Ok(Decision::Repeat),
        Some(mark) => Err(VersionFault::Conflict {
            role: role.clone(),
            asked: asked.version,
            digest: mark.digest,
            next: next_free(line),
        }),
        None => Ok(Decision::Next),
    }
}

/// TUF 1.0.34 section 5.3: a client takes root N+1 only, so root has no gaps; other roles may skip.
fn within(role: &Role, asked: Mark, last: u64, jump_limit: u64) -> Result<(), VersionFault> {
    let step = if *role == Role::Root { 1 } else { jump_limit };
    let highest = last.saturating_add(step).min(HIGHEST);
    if asked.version.get() <= highest {
        return Ok(());
    }
    Err(VersionFault::Jump { role: role.clone(), asked: asked.version, last, highest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(version: u64, content: &str) -> Mark {
        Mark { version: Version::new(version).expect("a version"), digest: Digest::of(content.as_bytes()) }
    }

    fn word(result: Result<Decision, VersionFault>) -> &'static str {
        match result {
            Ok(decision) => decision.as_str(),
            Err(VersionFault::Rollback { .. }) => "rollback",
            Err(VersionFault::Conflict { .. }) => "conflict",
            Err(VersionFault::Jump { .. }) => "jump",
        }
    }

    #[test]
    fn each_rule_has_its_lawful_neighbour() {
        let none = None;
        let table = [
            // role, floor, shown, asked, verdict
            (Role::Targets, none, none, mark(1, "a"), "first"),
            (Role::Targets, none, none, mark(1000, "a"), "first"),
            (Role::Targets, none, none, mark(1001, "a"), "jump"),
            (Role::Targets, none, Some(mark(4000, "a")), mark(4001, "b"), "next"),
            (Role::Targets, none, Some(mark(4000, "a")), mark(4000, "a"), "repeat"),
            (Role::Targets, none, Some(mark(4000, "a")), mark(3999, "b"), "rollback"),
            (Role::Targets, Some(mark(5, "a")), none, mark(5, "a"), "repeat"),
            (Role::Targets, Some(mark(5, "a")), none, mark(5, "b"), "conflict"),
            (Role::Targets, Some(mark(5, "a")), none, mark(4, "a"), "rollback"),
            (Role::Targets, Some(mark(5, "a")), none, mark(6, "b"), "next"),
            (Role::Targets, Some(mark(5, "a")), none, mark(1005, "b"), "next"),
            (Role::Targets, Some(mark(5, "a")), none, mark(1006, "b"), "jump"),
            // a lost race: the server has another version 5; ours may be repeated, and theirs not signed too
            (Role::Targets, Some(mark(5, "a")), Some(mark(5, "x")), mark(5, "a"), "repeat"),
            (Role::Targets, Some(mark(5, "a")), Some(mark(5, "x")), mark(5, "x"), "conflict"),
            (Role::Targets, Some(mark(5, "a")), Some(mark(5, "x")), mark(5, "b"), "conflict"),
            (Role::Targets, Some(mark(5, "a")), Some(mark(7, "x")), mark(6, "b"), "rollback"),
            (Role::Targets, Some(mark(5, "a")), Some(mark(7, "x")), mark(8, "b"), "next"),
            // an old document shown does not lower the floor
            (Role::Targets, Some(mark(5, "a")), Some(mark(2, "x")), mark(3, "b"), "rollback"),
            (Role::Root, none, none, mark(1, "a"), "first"),
            (Role::Root, none, none, mark(2, "a"), "jump"),
            (Role::Root, Some(mark(1, "a")), none, mark(2, "b"), "next"),
            (Role::Root, Some(mark(1, "a")), none, mark(3, "b"), "jump"),
            (Role::Root, none, Some(mark(6, "a")), mark(7, "b"), "next"),
            (Role::Root, Some(mark(2, "a")), Some(mark(1, "a")), mark(2, "b"), "conflict"),
            // versions that would lock every client out
            (Role::Targets, Some(mark(HIGHEST, "a")), none, mark(HIGHEST + 1, "b"), "jump"),
            (Role::Targets, none, none, mark((1 << 53) - 1, "b"), "jump"),
        ];
        for (role, floor, shown, asked, verdict) in table {
            let line = Line { floor, shown };
            assert_eq!(word(check(&role, &line, asked, 1000)), verdict, "{role} {line:?} {asked:?}");
        }
    }

    #[test]
    fn a_conflict_names_the_next_free_version() {
        let line = Line { floor: Some(mark(5, "a")), shown: Some(mark(3, "x")) };
        assert!(matches!(check(&Role::Targets, &line, mark(5, "b"), 10), Err(VersionFault::Conflict { next: 6, .. })));
        assert_eq!(next_free(&Line::default()), 1);
    }
}
