//! The house has floors: `use` points down, or sideways without going in circles, never up.

#![allow(clippy::panic, clippy::expect_used, clippy::arithmetic_side_effects, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Top to bottom. A module that is not here has no place yet: give it one.
const FLOORS: [&[&str]; 6] = [
    &["daemon"],
    &["listen", "rpc"],
    &["sign"],
    &["ledger", "keystore"],
    &["store", "policy", "guard", "log", "intent", "caller", "config", "paths", "secret", "harden", "uri"],
    &["clock"],
];

/// All that a keystore may know of the ledger.
const PERMIT: [&str; 3] = ["Permit", "Purpose", "Scheme"];

/// A crate, and the only files that may name it.
const CONFINED: [(&str, &[&str]); 5] = [
    ("tonic", &["rpc/", "listen"]),
    ("cryptoki", &["keystore/pkcs11"]),
    ("pcsc", &["keystore/piv"]),
    ("yubikey", &["keystore/piv"]),
    ("rusqlite", &["store/"]),
];

#[test]
fn imports_never_point_up() {
    for import in imports() {
        let (from, to) = (floor(&import.from), floor(&import.to));
        assert!(from <= to, "{import} points up from floor {} to floor {}", 5 - from, 5 - to);
    }
}

#[test]
fn imports_on_one_floor_do_not_go_in_circles() {
    let mut sideways: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for import in imports() {
        if floor(&import.from) == floor(&import.to) && import.from != import.to {
            sideways.entry(import.from).or_default().insert(import.to);
        }
    }
    for start in sideways.keys() {
        let mut reached = BTreeSet::new();
        let mut waiting: Vec<&String> = sideways.get(start).into_iter().flatten().collect();
        while let Some(module) = waiting.pop() {
            assert_ne!(module, start, "{start} uses itself by way of others: {sideways:?}");
            if reached.insert(module) {
                waiting.extend(sideways.get(module).into_iter().flatten());
            }
        }
    }
}

#[test]
fn a_keystore_knows_of_the_ledger_only_the_permit() {
    for import in imports() {
        assert!(!(import.from == "ledger" && import.to == "keystore"), "{import}: the ledger touches no key");
        if import.from == "keystore" && import.to == "ledger" {
            assert!(PERMIT.contains(&import.item.as_str()), "{import}: a keystore may know only {PERMIT:?}");
        }
    }
}

#[test]
fn each_outside_world_is_named_in_one_place() {
    for (name, allowed) in CONFINED {
        for (path, text) in sources() {
            let here = path.display().to_string();
            if here.contains("/tests") {
                continue;
            }
            let named = text.contains(&format!("{name}::"));
            let may = allowed.iter().any(|prefix| here.starts_with(prefix));
            assert!(may || !named, "{here} names {name}; only {allowed:?} may");
        }
    }
}

struct Import {
    path: PathBuf,
    from: String,
    to: String,
    item: String,
}

impl std::fmt::Display for Import {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "src/{}: crate::{}::{}", self.path.display(), self.to, self.item)
    }
}

fn floor(module: &str) -> usize {
    let found = FLOORS.iter().position(|floor| floor.contains(&module));
    found.unwrap_or_else(|| panic!("the module {module} has no floor: give it one in this test and in lib.rs"))
}

fn imports() -> Vec<Import> {
    let mut all = Vec::new();
    for (path, text) in sources() {
        let from = module_of(&path);
        for part in text.split("crate::").skip(1) {
            for (to, item) in heads(part) {
                all.push(Import { path: path.clone(), from: from.clone(), to, item });
            }
        }
    }
    assert!(all.len() > 10, "the imports of the agent were not found");
    all
}

/// The modules named by what follows `crate::`, each with the first item named in it.
fn heads(text: &str) -> Vec<(String, String)> {
    let Some(group) = text.strip_prefix('{') else { return vec![head(text)] };
    let mut depth = 0_usize;
    let end = group.find(|c| {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return true,
            '}' => depth -= 1,
            _ => {}
        }
        false
    });
    let group = &group[..end.unwrap_or(group.len())];
    split_outside_braces(group).into_iter().map(head).collect()
}

fn head(path: &str) -> (String, String) {
    let mut words = path.trim().split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
    let mut next = || words.next().unwrap_or_default().to_owned();
    (next(), next())
}

fn split_outside_braces(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let parts = text.split(move |c| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.filter(|part| !part.trim().is_empty()).collect()
}

/// Every file of the library with its code, comments and unit tests left out.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut waiting = vec![root.clone()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).expect("a directory of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                let path = path.strip_prefix(&root).expect("below src").to_owned();
                found.push((path, code_of(&text)));
            }
        }
    }
    // They compose the house and stand outside it.
    found.retain(|(path, _)| !["lib.rs", "main.rs"].contains(&path.display().to_string().as_str()));
    found
}

fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let line = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn module_of(path: &Path) -> String {
    let first = path.iter().next().expect("a path").to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}
