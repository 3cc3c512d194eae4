//! Where in a document something is.

use std::fmt;

/// One step from a value to a value inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// The member of an object.
    Member(String),
    /// The item of an array, from zero.
    Item(usize),
}

/// A place in a JSON document, written like `$.signed.targets["a b"].length`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(Vec<Segment>);

impl Path {
    /// The place that `segments` lead to from the top of the document.
    #[must_use]
    pub fn new(segments: Vec<Segment>) -> Self {
        Self(segments)
    }

    /// The steps from the top of the document.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        self.0.iter().try_for_each(|segment| match segment {
            Segment::Item(index) => write!(f, "[{index}]"),
            Segment::Member(name) if is_plain(name) => write!(f, ".{name}"),
            Segment::Member(name) => write!(f, "[{name:?}]"),
        })
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_quotes_what_is_not_a_plain_word() {
        let path = Path::new(vec![
            Segment::Member("signed".into()),
            Segment::Member("a \"b".into()),
            Segment::Item(3),
            Segment::Member("0a".into()),
        ]);
        assert_eq!(path.to_string(), r#"$.signed["a \"b"][3]["0a"]"#);
    }
}
