//! The members of an object, sorted by the bytes of their names.

use std::collections::BTreeMap;

use super::Value;

/// The members of an object. No name is there twice.
///
/// Metadata is written in this order, so that reading it is appending to one list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members(Vec<(String, Value)>);

impl Members {
    /// A member's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let at = self.0.binary_search_by(|(member, _)| member.as_str().cmp(name)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.0.binary_search_by(|(member, _)| member.as_str().cmp(name)).ok()?;
        Some(self.0.remove(at).1)
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl IntoIterator for Members {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Of members with one name the last one stays.
impl FromIterator<(String, Value)> for Members {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(members: I) -> Self {
        members.into_iter().collect::<BTreeMap<_, _>>().into()
    }
}

impl From<BTreeMap<String, Value>> for Members {
    fn from(members: BTreeMap<String, Value>) -> Self {
        Self(members.into_iter().collect())
    }
}

/// Members on their way from a text: a list as long as they come in order, a tree for those after the first that does not.
#[derive(Default)]
pub(super) struct Gathering {
    ordered: Vec<(String, Value)>,
    others: BTreeMap<String, Value>,
}

impl Gathering {
    /// Whether the member is there already.
    pub(super) fn contains(&self, name: &str) -> bool {
        match self.ordered.last() {
            Some((last, _)) if name <= last.as_str() || !self.others.is_empty() => {
                self.others.contains_key(name)
                    || self.ordered.binary_search_by(|(member, _)| member.as_str().cmp(name)).is_ok()
            }
            Some(_) | None => false,
        }
    }

    /// Adds a member that is not there.
    pub(super) fn add(&mut self, name: String, value: Value) {
        let is_next = self.others.is_empty() && self.ordered.last().is_none_or(|(last, _)| *last < name);
        if is_next {
            self.ordered.push((name, value));
        } else {
            self.others.insert(name, value);
        }
    }

    pub(super) fn finish(self) -> Members {
        let Self { mut ordered, others } = self;
        if !others.is_empty() {
            ordered.extend(others);
            ordered.sort_by(|(one, _), (other, _)| one.cmp(other));
        }
        Members(ordered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_gathered_in_any_order() {
        for order in [["a", "b", "c", "d"], ["d", "c", "b", "a"], ["b", "c", "a", "d"], ["a", "d", "b", "c"]] {
            let mut gathering = Gathering::default();
            for (at, name) in order.iter().enumerate() {
                for earlier in &order[..at] {
                    assert!(gathering.contains(earlier), "{earlier} in {order:?}");
                }
                assert!(!gathering.contains(name), "{name} in {order:?}");
                gathering.add((*name).to_owned(), Value::String((*name).to_owned()));
            }
            let mut members = gathering.finish();
            assert_eq!(members.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b", "c", "d"], "{order:?}");
            assert_eq!(members.get("c"), Some(&Value::String("c".to_owned())));
            assert_eq!(members.remove("b"), Some(Value::String("b".to_owned())));
            assert_eq!(members.get("b"), None);
        }
    }
}
