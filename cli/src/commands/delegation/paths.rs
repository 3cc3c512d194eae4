//! The paths on the command line.

use crate::exit::CliError;

/// Which paths are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Paths {
    /// None were named.
    None,
    /// `--all-paths`.
    All,
    /// These, each one once.
    These(Vec<String>),
}

impl Paths {
    /// What `--all-paths` and `--paths` say together. The first one wins, as in Notary.
    ///
    /// # Errors
    /// [`CliError`] names a path that metadata cannot carry, or an empty one, which would stand for all.
    pub(super) fn parse(all: AllPaths, texts: &[String]) -> Result<Self, CliError> {
        if all == AllPaths::Yes {
            return Ok(Self::All);
        }
        let mut paths = Vec::new();
        for text in texts {
            for path in fields(text)? {
                if paths.contains(&path) {
                    tracing::warn!("the path {path:?} is named twice and counts once");
                } else {
                    paths.push(checked(path)?);
                }
            }
        }
        Ok(if paths.is_empty() { Self::None } else { Self::These(paths) })
    }
}

/// Whether `--all-paths` was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AllPaths {
    Yes,
    No,
}

impl From<bool> for AllPaths {
    fn from(flag: bool) -> Self {
        if flag { Self::Yes } else { Self::No }
    }
}

/// Notary 0.7 reads such a list as one line of CSV: a field in quotes may hold commas, and quotes that are doubled.
pub(super) fn fields(line: &str) -> Result<Vec<String>, CliError> {
    let malformed = || {
        CliError::with_remedy(
            format!("{line:?} is not a list with commas between"),
            "put what holds a comma or a quote into quotes, and double the quotes in it; nothing was staged",
        )
    };
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => until_quote(quoted).ok_or_else(malformed)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (field, after) = rest.split_at(end);
                // Go's encoding/csv: a bare quote in a field without quotes
                if field.contains('"') {
                    return Err(malformed());
                }
                (field.to_owned(), after)
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(after) => rest = after,
            None if after.is_empty() => break,
            None => return Err(malformed()),
        }
    }
    Ok(fields)
}

/// The field up to its closing quote, and what follows.
fn until_quote(quoted: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = quoted;
    loop {
        let (text, after) = rest.split_once('"')?;
        field.push_str(text);
        match after.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => return Some((field, after)),
        }
    }
}

fn checked(path: String) -> Result<String, CliError> {
    if path.is_empty() {
        return Err(CliError::with_remedy(
            "one of the paths is empty, and an empty path stands for every name",
            "if that is meant, say --all-paths; nothing was staged",
        ));
    }
    if let Some(control) = path.chars().find(|c| c.is_control()) {
        return Err(CliError::with_remedy(
            format!("the path {path:?} holds the control character {control:?}, which metadata cannot carry"),
            "name another path; nothing was staged",
        ));
    }
    if path.contains(['*', '?']) {
        tracing::warn!(
            "{path:?} is taken letter by letter: a path is the beginning of names, and * and ? mean themselves"
        );
    }
    Ok(path)
}

/// Paths for people, sorted, as Notary shows them.
pub(super) fn shown(paths: &[String]) -> Vec<String> {
    let mut sorted = paths.to_vec();
    sorted.sort();
    sorted.into_iter().map(|path| if path.is_empty() { "\"\" <all paths>".to_owned() } else { path }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn these(texts: &[&str]) -> Option<Vec<String>> {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        match Paths::parse(AllPaths::No, &texts).ok()? {
            Paths::These(paths) => Some(paths),
            Paths::None => Some(Vec::new()),
            Paths::All => None,
        }
    }

    #[test]
    fn paths_are_read_as_notary_does() {
        let table: [(&[&str], Option<&[&str]>); 12] = [
            (&["a,b", "c"], Some(&["a", "b", "c"])),
            (&["\"x,y\",z"], Some(&["x,y", "z"])),
            (&["z,\"say \"\"hi\"\"\""], Some(&["z", "say \"hi\""])),
            (&[" a b "], Some(&[" a b "])),
            (&["a,a", "a"], Some(&["a"])),
            (&[], Some(&[])),
            (&["é漢<&>*"], Some(&["é漢<&>*"])),
            (&[""], None),
            (&["a,,b"], None),
            (&["a\nb"], None),
            (&["\"a"], None),
            (&["a\"b"], None),
        ];
        for (texts, wanted) in table {
            let wanted = wanted.map(|paths| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>());
            assert_eq!(these(texts), wanted, "{texts:?}");
        }
        assert_eq!(Paths::parse(AllPaths::Yes, &["a".to_owned()]).unwrap(), Paths::All);
    }

    #[test]
    fn paths_are_shown_sorted() {
        let paths = ["b".to_owned(), String::new(), "a".to_owned()];
        assert_eq!(shown(&paths), ["\"\" <all paths>", "a", "b"]);
    }
}
