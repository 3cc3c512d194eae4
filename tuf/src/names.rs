//! The names of collections and roles, checked once, where they enter.

use std::fmt;
use std::str::FromStr;

/// The longest GUN in bytes: what Notary's databases store.
const MAX_GUN_BYTES: usize = 255;
/// Delegation names are shorter than this many bytes.
const DELEGATION_NAME_LIMIT: usize = 256;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name is the empty string.
    #[error("the name is empty")]
    Empty,
    /// The name is longer than allowed.
    #[error("the name has {bytes} bytes, at most {max} are allowed")]
    TooLong {
        /// How long the name is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// A character that this kind of name may not hold.
    #[error("the character {0:?} is not allowed")]
    Character(char),
    /// The name starts or ends with a slash.
    #[error("a name may not start or end with `/`")]
    OuterSlash,
    /// An empty, `.` or `..` segment.
    #[error("the path segment `{0}` is not allowed")]
    Segment(String),
    /// Neither one of the four top-level roles nor a delegation.
    #[error("`{0}` is not a role: use root, targets, snapshot, timestamp or targets/NAME")]
    UnknownRole(String),
}

/// A collection's name, which Notary calls GUN (globally unique name).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gun(String);

impl Gun {
    /// Parses a GUN.
    ///
    /// # Errors
    /// [`NameError`] names the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        at_most(text, MAX_GUN_BYTES)?;
        // Notary's server routes match `[^*]+`
        if let Some(character) = text.chars().find(|c| c.is_control() || *c == '*') {
            return Err(NameError::Character(character));
        }
        clean(text)?;
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The full name of a delegation, such as `targets/releases`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DelegationName(String);

impl DelegationName {
    /// Parses the full name of a delegation.
    ///
    /// # Errors
    /// [`NameError`] names the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        at_most(text, DELEGATION_NAME_LIMIT.saturating_sub(1))?;
        // Notary 0.7: `^[-a-z0-9_/]+$`
        if let Some(character) = text.chars().find(|c| !matches!(c, '-' | '_' | '/' | 'a'..='z' | '0'..='9')) {
            return Err(NameError::Character(character));
        }
        if !text.starts_with("targets/") {
            return Err(NameError::UnknownRole(text.to_owned()));
        }
        clean(text)?;
        Ok(Self(text.to_owned()))
    }

    /// The full name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The role that delegates to this one: `targets` or another delegation.
    #[must_use]
    pub fn parent(&self) -> Role {
        match self.0.rsplit_once('/') {
            Some((parent, _)) if parent != "targets" => Role::Delegation(Self(parent.to_owned())),
            Some(_) | None => Role::Targets,
        }
    }
}

/// A role of a collection.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The role that names the keys of the other top-level roles.
    Root,
    /// The top of the tree of targets.
    Targets,
    /// The role that says which files belong together.
    Snapshot,
    /// The role that says which snapshot is the newest.
    Timestamp,
    /// A role below `targets`.
    Delegation(DelegationName),
}

impl Role {
    /// Parses a role's full name.
    ///
    /// # Errors
    /// [`NameError`] names the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match text {
            "root" => Ok(Self::Root),
            "targets" => Ok(Self::Targets),
            "snapshot" => Ok(Self::Snapshot),
            "timestamp" => Ok(Self::Timestamp),
            name if name.starts_with("targets/") => DelegationName::parse(name).map(Self::Delegation),
            "" => Err(NameError::Empty),
            other => Err(NameError::UnknownRole(other.to_owned())),
        }
    }

    /// The full name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
            Self::Delegation(name) => name.as_str(),
        }
    }

    /// The role that delegates to this one; top-level roles have none.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        match self {
            Self::Delegation(name) => Some(name.parent()),
            Self::Root | Self::Targets | Self::Snapshot | Self::Timestamp => None,
        }
    }

    /// Whether metadata of this role lists targets.
    #[must_use]
    pub fn holds_targets(&self) -> bool {
        matches!(self, Self::Targets | Self::Delegation(_))
    }
}

impl From<DelegationName> for Role {
    fn from(name: DelegationName) -> Self {
        Self::Delegation(name)
    }
}

macro_rules! text_forms {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.as_str())
            }
        }
        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }
    )*};
}
text_forms!(Gun, DelegationName, Role);

fn at_most(text: &str, max: usize) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        bytes if bytes > max => Err(NameError::TooLong { bytes, max }),
        _ => Ok(()),
    }
}

fn clean(text: &str) -> Result<(), NameError> {
    if text.starts_with('/') || text.ends_with('/') {
        return Err(NameError::OuterSlash);
    }
    match text.split('/').find(|segment| matches!(*segment, "" | "." | "..")) {
        Some(segment) => Err(NameError::Segment(segment.to_owned())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gun_is_refused_with_the_rule_it_breaks() {
        let long = "a".repeat(256);
        let table = [
            ("", NameError::Empty),
            (long.as_str(), NameError::TooLong { bytes: 256, max: 255 }),
            ("a\tb", NameError::Character('\t')),
            ("a\u{85}b", NameError::Character('\u{85}')),
            ("a/*", NameError::Character('*')),
            ("/a", NameError::OuterSlash),
            ("a/", NameError::OuterSlash),
            ("a//b", NameError::Segment(String::new())),
            ("a/./b", NameError::Segment(".".into())),
            ("../b", NameError::Segment("..".into())),
        ];
        for (text, error) in table {
            assert_eq!(Gun::parse(text), Err(error), "{text:?}");
        }
        for text in ["example.com/acme/app", "é漢 x", "localhost:5000/a", &"a".repeat(255), "..."] {
            assert_eq!(Gun::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_delegation_name_is_refused_with_the_rule_it_breaks() {
        let long = format!("targets/{}", "a".repeat(248));
        let table = [
            ("targets/A", NameError::Character('A')),
            ("targets/a b", NameError::Character(' ')),
            ("targets/..", NameError::Character('.')),
            ("targets/*", NameError::Character('*')),
            ("targets/", NameError::OuterSlash),
            ("targets//a", NameError::Segment(String::new())),
            (long.as_str(), NameError::TooLong { bytes: 256, max: 255 }),
            ("root/a", NameError::UnknownRole("root/a".into())),
            ("Targets", NameError::UnknownRole("Targets".into())),
            ("", NameError::Empty),
        ];
        for (text, error) in table {
            assert_eq!(Role::parse(text), Err(error), "{text:?}");
        }
        assert!(Role::parse(&format!("targets/{}", "a".repeat(247))).is_ok());
    }

    #[test]
    fn a_role_knows_its_parent() {
        let nested = Role::parse("targets/a/b").unwrap();
        let parent = nested.parent().unwrap();
        assert_eq!(parent.to_string(), "targets/a");
        assert_eq!(parent.parent(), Some(Role::Targets));
        assert_eq!(Role::Targets.parent(), None);
        assert!(nested.holds_targets() && Role::Targets.holds_targets() && !Role::Snapshot.holds_targets());
    }
}
