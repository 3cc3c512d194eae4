//! What Notary says to words that make no command: the last line, which scripts look for. The usage before it is ours.

use clap::{
    CommandFactory,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::args::Cli;

/// The verbs that were meant, outermost first, as far as they can be told: `key`, `import`. `arguments` are all, the
/// program's name left out.
#[must_use]
pub fn verbs(arguments: &[String]) -> Vec<String> {
    // Flags stand before, between and behind the verbs, and their values may be verbs: only the parser can tell.
    let command = Cli::command().no_binary_name(true).ignore_errors(true);
    let Ok(matches) = command.try_get_matches_from(arguments) else { return Vec::new() };
    let mut verbs = Vec::new();
    let mut inner = matches.subcommand();
    while let Some((verb, matches)) = inner {
        verbs.push(verb.to_owned());
        inner = matches.subcommand();
    }
    verbs
}

/// Notary's words for `error`; none where it has none of its own, or would have gone on.
#[must_use]
pub fn notary(error: &clap::Error, arguments: &[String]) -> Option<String> {
    let verbs = verbs(arguments).join(" ");
    let kind = error.kind();
    if kind == ErrorKind::MissingRequiredArgument {
        return too_few(&verbs, &missing(error)).map(str::to_owned);
    }
    let value = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    if kind == ErrorKind::UnknownArgument {
        let word = value(ContextKind::InvalidArg)?;
        return unknown_flag(word, arguments).or_else(|| too_many(&verbs).map(str::to_owned));
    }
    if kind == ErrorKind::InvalidSubcommand && verbs.is_empty() {
        return Some(format!("unknown command {:?} for \"notary\"", value(ContextKind::InvalidSubcommand)?));
    }
    // A flag at the end of the line, with nothing after it.
    if kind == ErrorKind::InvalidValue && value(ContextKind::InvalidValue) == Some("") {
        return without_value(arguments.last()?);
    }
    None
}

/// The names of what is missing, as the usage has them.
fn missing(error: &clap::Error) -> Vec<String> {
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(names)) => names.clone(),
        _ => Vec::new(),
    }
}

const LIST_OF_WHAT: &str = "Please provide a Global Unique Name as an argument to list";
const PURGE_WHERE: &str = "Please provide a single Global Unique Name as an argument to remove";

// Notary 0.7, cmd/notary/tuf.go, keys.go and delegations.go.
fn too_few(verbs: &str, missing: &[String]) -> Option<&'static str> {
    let said = match verbs {
        "reset" if !missing.iter().any(|name| name == "<GUN>") => {
            "Must specify changes to reset with -n or the --all flag"
        }
        "init" | "status" | "publish" | "list" | "delete" | "reset" => "Must specify a GUN",
        "lookup" | "remove" | "verify" => "Must specify a GUN and target",
        "add" => "Must specify a GUN, target, and path to target data",
        "addhash" => "Must specify a GUN, target, byte size of target data, and at least one hash",
        "witness" => "Please provide a GUN and at least one role to witness",
        "delegation list" => LIST_OF_WHAT,
        "delegation add" => {
            "must specify the Global Unique Name and the role of the delegation along with the public key certificate paths and/or a list of paths to add"
        }
        "delegation remove" => {
            "must specify the Global Unique Name and the role of the delegation along with optional keyIDs and/or a list of paths to remove"
        }
        "delegation purge" if missing.iter().any(|name| name == "<GUN>") => PURGE_WHERE,
        "delegation purge" => "Please provide at least one key ID to be removed using the --key flag",
        "key import" => "must specify at least one input file to import keys from",
        "key remove" => "must specify the key ID of the key to remove",
        "key passwd" => "must specify the key ID of the key to change the passphrase of",
        _ => return None,
    };
    Some(said)
}

fn too_many(verbs: &str) -> Option<&'static str> {
    match verbs {
        "key list" => Some(""),
        "delegation list" => Some(LIST_OF_WHAT),
        "delegation purge" => Some(PURGE_WHERE),
        "key generate" => Some("Please provide only one Algorithm as an argument to generate (rsa, ecdsa)"),
        "key export" => Some("export does not take any positional arguments"),
        _ => None,
    }
}

// pflag's words.
fn unknown_flag(word: &str, arguments: &[String]) -> Option<String> {
    if let Some(name) = word.strip_prefix("--").filter(|name| !name.is_empty()) {
        let name = name.split_once('=').map_or(name, |(name, _value)| name);
        return Some(format!("unknown flag: --{name}"));
    }
    let letter = word.strip_prefix('-')?.chars().next()?;
    let typed =
        arguments.iter().find(|typed| typed.starts_with('-') && !typed.starts_with("--") && typed.contains(letter));
    Some(format!("unknown shorthand flag: {letter:?} in {}", typed.map_or(word, String::as_str)))
}

fn without_value(flag: &str) -> Option<String> {
    if flag.starts_with("--") {
        return Some(format!("flag needs an argument: {flag}"));
    }
    let letter = flag.strip_prefix('-')?.chars().next_back()?;
    Some(format!("flag needs an argument: {letter:?} in {flag}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{notary, verbs};
    use crate::args::Cli;

    fn arguments(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn verbs_are_told_from_the_values_of_flags() {
        for (line, meant) in [
            ("list", "list"),
            ("-d key list -s init", "list"),
            ("-D key -d x import", "key import"),
            ("key nonsense", "key"),
            ("nonsense", ""),
            ("--nonsense", ""),
        ] {
            assert_eq!(verbs(&arguments(line)).join(" "), meant, "{line}");
        }
    }

    #[test]
    fn wrong_words_are_answered_in_notarys() {
        for (line, said) in [
            ("list", Some("Must specify a GUN")),
            ("-d add remove gun", Some("Must specify a GUN and target")),
            ("add gun target", Some("Must specify a GUN, target, and path to target data")),
            ("addhash gun a 1", Some("Must specify a GUN, target, byte size of target data, and at least one hash")),
            ("reset", Some("Must specify a GUN")),
            ("reset gun", Some("Must specify changes to reset with -n or the --all flag")),
            ("key remove", Some("must specify the key ID of the key to remove")),
            ("key list extra", Some("")),
            ("witness gun", Some("Please provide a GUN and at least one role to witness")),
            ("delegation list", Some("Please provide a Global Unique Name as an argument to list")),
            ("delegation list gun extra", Some("Please provide a Global Unique Name as an argument to list")),
            ("delegation purge", Some("Please provide a single Global Unique Name as an argument to remove")),
            ("delegation purge gun", Some("Please provide at least one key ID to be removed using the --key flag")),
            (
                "delegation purge gun extra --key a",
                Some("Please provide a single Global Unique Name as an argument to remove"),
            ),
            ("publsh", Some("unknown command \"publsh\" for \"notary\"")),
            ("list gun --nonsense=1", Some("unknown flag: --nonsense")),
            ("list gun -z", Some("unknown shorthand flag: 'z' in -z")),
            ("list gun -Dz", Some("unknown shorthand flag: 'z' in -Dz")),
            ("list gun -d", Some("flag needs an argument: 'd' in -d")),
            ("list gun --server", Some("flag needs an argument: --server")),
            ("list gun extra", None),
            ("agent nonsense", None),
        ] {
            let error = Cli::try_parse_from(["notary".to_owned()].into_iter().chain(arguments(line))).unwrap_err();
            assert_eq!(notary(&error, &arguments(line)).as_deref(), said, "{line}");
        }
    }
}
