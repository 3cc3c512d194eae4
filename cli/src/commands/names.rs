//! Names on the command line, parsed where they enter.

use signet_tuf::{Gun, Role};

use crate::exit::CliError;

/// A collection's name.
pub(super) fn gun(text: &str) -> Result<Gun, CliError> {
    Gun::parse(text).map_err(|error| {
        CliError::with_remedy(format!("{text:?} is not a GUN: {error}"), "a GUN looks like example.com/acme/app")
    })
}

/// Roles that may hold targets; `targets` if none is named.
pub(super) fn holding_roles(texts: &[String]) -> Result<Vec<Role>, CliError> {
    if texts.is_empty() {
        return Ok(vec![Role::Targets]);
    }
    let holds = |text: &String| Role::parse(text).ok().filter(Role::holds_targets);
    let refused = |text: &String| {
        CliError::with_remedy(
            format!("tuf: invalid role {text}. cannot add targets to this role"),
            "use targets or a delegation like targets/releases; nothing was staged",
        )
    };
    texts.iter().map(|text| holds(text).ok_or_else(|| refused(text))).collect()
}

/// Roots of subtrees, in order of priority.
pub(super) fn subtree_roles(texts: &[String]) -> Result<Vec<Role>, CliError> {
    let parse = |text: &String| {
        Role::parse(text).map_err(|error| CliError::failed(format!("tuf: invalid role {text}. {error}")))
    };
    texts.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_holds_no_targets_is_refused() {
        let roles = |names: &[&str]| holding_roles(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(roles(&[]).unwrap(), [Role::Targets]);
        assert_eq!(roles(&["targets/a", "targets"]).unwrap().len(), 2);
        for name in ["root", "snapshot", "timestamp", "targets/A", "targets/*", "x", ""] {
            assert!(roles(&["targets", name]).is_err(), "{name}");
        }
    }

    #[test]
    fn a_gun_with_control_characters_is_refused_and_shown_safely() {
        let error = gun("a\u{1b}[31mb").unwrap_err().to_string();
        assert!(!error.contains('\u{1b}') && error.contains("\\u{1b}"), "{error}");
    }
}
