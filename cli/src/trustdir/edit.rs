//! What a staged change of kind `delegation` says, byte for byte as Notary writes and reads it.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use signet_tuf::{KeyType, PublicKey, json};

/// Notary 0.7 knows no other number of keys that a new delegation needs.
const NEW_THRESHOLD: u32 = 1;

/// What is added to a delegation and what is taken out of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// How many keys must sign: of a new delegation, or, in a change of its own, of one that is there. 0 for none of both.
    pub threshold: u32,
    /// Keys to add.
    pub add_keys: Vec<PublicKey>,
    /// Canonical IDs of keys to remove.
    pub remove_keys: Vec<String>,
    /// Paths to add; the empty one allows every name.
    pub add_paths: Vec<String>,
    /// Paths to remove.
    pub remove_paths: Vec<String>,
    /// Removes every path.
    pub clear_paths: bool,
}

/// The same as it is in the file.
#[derive(Deserialize, Default)]
#[serde(default)]
struct EditFile {
    threshold: u32,
    add_keys: Option<Vec<Option<KeyData>>>,
    remove_keys: Option<Vec<String>>,
    add_paths: Option<Vec<String>>,
    remove_paths: Option<Vec<String>>,
    clear_paths: bool,
}

#[derive(Deserialize)]
struct KeyData {
    keytype: String,
    keyval: KeyValue,
}

#[derive(Deserialize)]
struct KeyValue {
    public: String,
}

impl Edit {
    /// Keys for a delegation, which is made if it is not there.
    #[must_use]
    pub fn add_keys(keys: Vec<PublicKey>) -> Self {
        Self { threshold: NEW_THRESHOLD, add_keys: keys, ..Self::default() }
    }

    /// Paths for a delegation.
    #[must_use]
    pub fn add_paths(paths: Vec<String>) -> Self {
        Self { add_paths: paths, ..Self::default() }
    }

    /// Another number of keys that must sign in a delegation that is there. Notary 0.7 passes over it.
    #[must_use]
    pub fn threshold(threshold: u32) -> Self {
        Self { threshold, ..Self::default() }
    }

    /// Takes keys out, by canonical ID.
    #[must_use]
    pub fn remove_keys(ids: Vec<String>) -> Self {
        Self { remove_keys: ids, ..Self::default() }
    }

    /// Takes paths out.
    #[must_use]
    pub fn remove_paths(paths: Vec<String>) -> Self {
        Self { remove_paths: paths, ..Self::default() }
    }

    /// Takes every path out.
    #[must_use]
    pub fn clear_paths() -> Self {
        Self { clear_paths: true, ..Self::default() }
    }

    /// Reads [`Edit::to_json`] back.
    ///
    /// # Errors
    /// One sentence that says what is wrong with it.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let file: EditFile = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let keys = file.add_keys.unwrap_or_default().into_iter();
        Ok(Self {
            threshold: file.threshold,
            // Notary 0.7 stages null for a key of a kind that it does not know
            add_keys: keys.map(|key| key.ok_or("a key of it is null")?.parse()).collect::<Result<_, _>>()?,
            remove_keys: file.remove_keys.unwrap_or_default(),
            add_paths: file.add_paths.unwrap_or_default(),
            remove_paths: file.remove_paths.unwrap_or_default(),
            clear_paths: file.clear_paths,
        })
    }

    /// As Go writes it: members in the order of Notary's type, without those that are empty.
    #[must_use]
    pub fn to_json(&self) -> String {
        let keys: Vec<_> = self.add_keys.iter().map(key).collect();
        let members = [
            (self.threshold > 0).then(|| format!(r#""threshold":{}"#, self.threshold)),
            list("add_keys", &keys),
            list("remove_keys", &texts(&self.remove_keys)),
            list("add_paths", &texts(&self.add_paths)),
            list("remove_paths", &texts(&self.remove_paths)),
            self.clear_paths.then(|| r#""clear_paths":true"#.to_owned()),
        ];
        format!("{{{}}}", members.into_iter().flatten().collect::<Vec<_>>().join(","))
    }
}

impl KeyData {
    fn parse(&self) -> Result<PublicKey, String> {
        let kind =
            KeyType::from_wire(&self.keytype).ok_or_else(|| format!("the key type `{}` is not known", self.keytype))?;
        let public = STANDARD.decode(&self.keyval.public).map_err(|error| error.to_string())?;
        PublicKey::new(kind, public).map_err(|error| error.to_string())
    }
}

fn key(key: &PublicKey) -> String {
    let public = STANDARD.encode(key.public());
    format!(r#"{{"keytype":"{}","keyval":{{"public":"{public}","private":null}}}}"#, key.key_type())
}

fn texts(texts: &[String]) -> Vec<String> {
    let text = |text: &String| String::from_utf8_lossy(&json::to_wire(&json::Value::String(text.clone()))).into_owned();
    texts.iter().map(text).collect()
}

fn list(name: &str, items: &[String]) -> Option<String> {
    (!items.is_empty()).then(|| format!(r#""{name}":[{}]"#, items.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{A, key};

    #[test]
    fn an_edit_is_what_notary_writes() {
        let strings = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let keys = format!(
            r#"{{"threshold":1,"add_keys":[{{"keytype":"ecdsa","keyval":{{"public":"{A}","private":null}}}}]}}"#
        );
        let table = [
            (Edit::add_keys(vec![key(A)]), keys.as_str()),
            (Edit::add_paths(strings(&["", "a<b"])), r#"{"add_paths":["","a\u003cb"]}"#),
            (Edit::remove_keys(strings(&["0a"])), r#"{"remove_keys":["0a"]}"#),
            (Edit::remove_paths(strings(&["x", "y"])), r#"{"remove_paths":["x","y"]}"#),
            (Edit::clear_paths(), r#"{"clear_paths":true}"#),
        ];
        for (edit, json) in table {
            assert_eq!(edit.to_json(), json);
            assert_eq!(Edit::parse(json.as_bytes()).unwrap(), edit);
        }
    }

    #[test]
    fn an_edit_that_makes_no_sense_says_why() {
        for (json, why) in [
            (r#"{"add_keys":[null],"threshold":1}"#, "null"),
            (r#"{"add_keys":[{"keytype":"dsa","keyval":{"public":""}}]}"#, "`dsa`"),
            (r#"{"add_keys":[{"keytype":"ecdsa","keyval":{"public":"AAAA"}}]}"#, "decoded"),
            (r#"{"threshold":-1}"#, "invalid value"),
            ("", "EOF"),
        ] {
            let error = Edit::parse(json.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{json}: {error}");
        }
    }
}
