//! Notary's verbs and flags that this version does not have: who types one is told so, and not shown a similar word.

use clap::error::{ContextKind, ContextValue, ErrorKind};

const MISSING: [&str; 5] = ["witness", "delegation", "key rotate", "init --rootkey", "init --rootcert"];
/// Verbs with verbs of their own, under which Notary's other words mean nothing.
const GROUPS: [&str; 4] = ["key", "agent", "audit", "ledger"];

/// Says that what was not understood is Notary's; none if it is not. `arguments` are all, the program's name left out.
#[must_use]
pub fn missing(error: &clap::Error, arguments: &[String]) -> Option<String> {
    let context = if error.kind() == ErrorKind::InvalidSubcommand {
        ContextKind::InvalidSubcommand
    } else if error.kind() == ErrorKind::UnknownArgument {
        ContextKind::InvalidArg
    } else {
        return None;
    };
    let Some(ContextValue::String(word)) = error.get(context) else { return None };
    let word = word.split_once('=').map_or(word.as_str(), |(flag, _value)| flag);
    let before: Vec<&str> =
        arguments.iter().map(String::as_str).take_while(|argument| !argument.starts_with(word)).collect();
    let phrase = MISSING.iter().find(|phrase| is_meant(phrase, word, &before))?;
    Some(format!("{phrase} is not in this version: the real notary does it in the same trust directory"))
}

fn is_meant(phrase: &str, word: &str, before: &[&str]) -> bool {
    match phrase.rsplit_once(' ') {
        Some((verbs, last)) => last == word && verbs.split(' ').all(|verb| before.contains(&verb)),
        None => phrase == word && !GROUPS.iter().any(|group| before.contains(group)),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{MISSING, missing};
    use crate::args::Cli;

    fn said(line: &str) -> Option<String> {
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let error = Cli::try_parse_from(["signet".to_owned()].into_iter().chain(arguments.clone())).unwrap_err();
        missing(&error, &arguments)
    }

    #[test]
    fn what_notary_has_is_told_to_be_missing() {
        let told = |phrase: &str| {
            Some(format!("{phrase} is not in this version: the real notary does it in the same trust directory"))
        };
        for phrase in MISSING {
            assert_eq!(said(phrase), told(phrase));
        }
        for (line, phrase) in [
            ("-d dir key -s https://h rotate gun root -r", "key rotate"),
            ("init gun --rootkey=a.pem", "init --rootkey"),
            ("init --rootcert a.pem gun", "init --rootcert"),
            ("delegation add gun targets/a --all-paths", "delegation"),
        ] {
            assert_eq!(said(line), told(phrase), "{line}");
        }
    }

    #[test]
    fn what_nobody_has_stays_clap_s() {
        for line in ["publsh gun", "agent reset", "key lst", "list gun --rootkey", "init", "agent start --output"] {
            assert_eq!(said(line), None, "{line}");
        }
    }
}
