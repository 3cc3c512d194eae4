//! A staged change, byte for byte as Notary writes and reads it.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use signet_tuf::{Hashes, Target, json};

use super::edit::Edit;

/// What is to be done. The words are Notary's; scope and kind are judged when the change is applied.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "ChangeFile")]
pub struct Change {
    /// `create`, `update` or `delete`.
    pub action: String,
    /// The role, in Notary's table the scope.
    pub scope: String,
    /// `target`, `delegation`, `witness` or `role`.
    pub kind: String,
    /// The target's name, or empty.
    pub path: String,
    /// What belongs to the action.
    pub data: Data,
}

/// What belongs to the action of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// A target to add.
    Target(Target),
    /// JSON of anything else, or nothing.
    Json(Vec<u8>),
}

/// The file of a change, with Notary's names.
#[derive(Deserialize)]
struct ChangeFile {
    action: String,
    role: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    path: String,
    #[serde(default, deserialize_with = "from_base64")]
    data: Option<Vec<u8>>,
}

impl From<ChangeFile> for Change {
    fn from(file: ChangeFile) -> Self {
        let ChangeFile { action, role: scope, kind, path, data } = file;
        let json = data.unwrap_or_default();
        let adds_target = kind == "target" && action == "create";
        let target = adds_target.then(|| read_target(&json).ok()).flatten();
        let data = target.map_or(Data::Json(json), Data::Target);
        Self { action, scope, kind, path, data }
    }
}

impl Change {
    /// Stages a target for a role.
    #[must_use]
    pub fn add_target(scope: &str, path: &str, target: &Target) -> Self {
        Self {
            action: "create".into(),
            scope: scope.into(),
            kind: "target".into(),
            path: path.into(),
            data: Data::Target(target.clone()),
        }
    }

    /// Stages the removal of a target from a role.
    #[must_use]
    pub fn remove_target(scope: &str, path: &str) -> Self {
        Self {
            action: "delete".into(),
            scope: scope.into(),
            kind: "target".into(),
            path: path.into(),
            data: Data::Json(Vec::new()),
        }
    }

    /// Stages keys or paths for a delegation.
    #[must_use]
    pub fn add_to_delegation(scope: &str, edit: &Edit) -> Self {
        Self::of_delegation("create", scope, edit.to_json())
    }

    /// Stages the removal of keys or paths from a delegation, or from all that a wildcard like `targets/*` names.
    #[must_use]
    pub fn take_from_delegation(scope: &str, edit: &Edit) -> Self {
        Self::of_delegation("update", scope, edit.to_json())
    }

    /// Stages the end of a delegation.
    #[must_use]
    pub fn remove_delegation(scope: &str) -> Self {
        Self::of_delegation("delete", scope, String::new())
    }

    /// Stages that a role is signed again as it is.
    #[must_use]
    pub fn witness(scope: &str) -> Self {
        Self { kind: "witness".into(), ..Self::of_delegation("update", scope, String::new()) }
    }

    fn of_delegation(action: &str, scope: &str, json: String) -> Self {
        Self {
            action: action.into(),
            scope: scope.into(),
            kind: "delegation".into(),
            path: String::new(),
            data: Data::Json(json.into_bytes()),
        }
    }

    /// The target that is to be added.
    ///
    /// # Errors
    /// One sentence that says what its data lacks.
    pub fn target(&self) -> Result<Target, String> {
        match &self.data {
            Data::Target(target) => Ok(target.clone()),
            Data::Json(json) => read_target(json),
        }
    }

    /// The JSON of a change that adds no target.
    #[must_use]
    pub fn json(&self) -> &[u8] {
        match &self.data {
            Data::Target(_) => &[],
            Data::Json(json) => json,
        }
    }

    /// The file's content, as Go's `encoding/json` writes it.
    #[must_use]
    pub fn to_file(&self) -> String {
        let json = match &self.data {
            Data::Target(target) => target_data(target).into_bytes(),
            Data::Json(json) => json.clone(),
        };
        let data = if json.is_empty() { "null".to_owned() } else { quoted(&STANDARD.encode(json)) };
        format!(
            r#"{{"action":{},"role":{},"type":{},"path":{},"data":{data}}}"#,
            quoted(&self.action),
            quoted(&self.scope),
            quoted(&self.kind),
            quoted(&self.path)
        )
    }
}

/// A target as Notary's `FileMeta`: fields in Go's order.
fn target_data(target: &Target) -> String {
    let sha256 = target.hashes.sha256.map(|hash| format!(r#""sha256":"{}""#, STANDARD.encode(hash)));
    let sha512 = target.hashes.sha512.map(|hash| format!(r#""sha512":"{}""#, STANDARD.encode(hash)));
    let hashes = [sha256, sha512].into_iter().flatten().collect::<Vec<_>>().join(",");
    let custom = target
        .custom
        .as_ref()
        .map_or_else(String::new, |value| format!(r#","custom":{}"#, String::from_utf8_lossy(&json::to_wire(value))));
    format!(r#"{{"length":{},"hashes":{{{hashes}}}{custom}}}"#, target.length)
}

/// Reads [`target_data`] back. Custom data is canonicalised, because that is what goes under the signature.
fn read_target(data: &[u8]) -> Result<Target, String> {
    let value = json::parse(data).map_err(|e| e.to_string())?;
    let json::Value::Object(mut members) = value else {
        return Err("its data is not an object".into());
    };
    let length = match members.remove("length") {
        Some(json::Value::Integer(length)) => u64::try_from(length).map_err(|_| "its length is negative")?,
        _ => return Err("its length is missing".into()),
    };
    let Some(json::Value::Object(hashes)) = members.remove("hashes") else {
        return Err("its hashes are missing".into());
    };
    let mut read = Hashes { sha256: None, sha512: None };
    for (algorithm, value) in hashes {
        let json::Value::String(text) = value else {
            return Err(format!("its {algorithm} digest is no text"));
        };
        let bytes = STANDARD.decode(text).map_err(|e| e.to_string())?;
        let size = || format!("its {algorithm} digest has the wrong size");
        match algorithm.as_str() {
            "sha256" => read.sha256 = Some(bytes.try_into().map_err(|_| size())?),
            "sha512" => read.sha512 = Some(bytes.try_into().map_err(|_| size())?),
            _ => return Err(format!("the digest algorithm {algorithm} is not known")),
        }
    }
    if read.sha256.is_none() && read.sha512.is_none() {
        return Err("it has no digest".into());
    }
    let custom = members.remove("custom").filter(|value| *value != json::Value::Null);
    Ok(Target { length, hashes: read, custom })
}

fn quoted(text: &str) -> String {
    String::from_utf8_lossy(&json::to_wire(&json::Value::String(text.to_owned()))).into_owned()
}

fn from_base64<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<Vec<u8>>, D::Error> {
    let text = Option::<String>::deserialize(input)?;
    text.map(|text| STANDARD.decode(text).map_err(serde::de::Error::custom)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_file_is_what_notary_writes() {
        let target = Target { length: 3, hashes: Hashes::of(b"abc"), custom: None };
        let data = concat!(
            r#"{"length":3,"hashes":{"sha256":"ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=","#,
            r#""sha512":"3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw=="}}"#
        );
        let change = Change::add_target("targets", "a<b>&\"\\é漢 x", &target);
        assert_eq!(change.data, Data::Target(target));
        let wanted = format!(
            r#"{{"action":"create","role":"targets","type":"target","path":"a\u003cb\u003e\u0026\"\\é漢 x","data":"{}"}}"#,
            STANDARD.encode(data)
        );
        assert_eq!(change.to_file(), wanted);
        let removal = r#"{"action":"delete","role":"targets/releases","type":"target","path":"v1","data":null}"#;
        assert_eq!(Change::remove_target("targets/releases", "v1").to_file(), removal);
    }

    #[test]
    fn changes_of_delegations_are_what_notary_writes() {
        let add = Change::add_to_delegation("targets/a", &Edit::add_paths(vec![String::new()]));
        let wanted =
            r#"{"action":"create","role":"targets/a","type":"delegation","path":"","data":"eyJhZGRfcGF0aHMiOlsiIl19"}"#;
        assert_eq!(add.to_file(), wanted);
        let table = [
            (Change::remove_delegation("targets/a"), "delete", "targets/a", "delegation"),
            (Change::witness("targets"), "update", "targets", "witness"),
        ];
        for (change, action, role, kind) in table {
            let wanted = format!(r#"{{"action":"{action}","role":"{role}","type":"{kind}","path":"","data":null}}"#);
            assert_eq!(change.to_file(), wanted);
        }
        let purge = Change::take_from_delegation("targets/*", &Edit::remove_keys(vec!["abc".into(), "def".into()]));
        let wanted = r#"{"action":"update","role":"targets/*","type":"delegation","path":"","data":"eyJyZW1vdmVfa2V5cyI6WyJhYmMiLCJkZWYiXX0="}"#;
        assert_eq!(purge.to_file(), wanted);
    }

    #[test]
    fn custom_data_follows_the_hashes() {
        let custom = json::parse(br#"{"b":1,"a":[true,null]}"#).unwrap();
        let target = Target { length: 0, hashes: Hashes { sha256: Some([0; 32]), sha512: None }, custom: Some(custom) };
        let wanted = format!(
            r#"{{"length":0,"hashes":{{"sha256":"{}"}},"custom":{{"a":[true,null],"b":1}}}}"#,
            STANDARD.encode([0; 32])
        );
        assert_eq!(target_data(&target), wanted);
    }

    #[test]
    fn fuzz_changes() {
        let target = Target { length: 3, hashes: Hashes::of(b"abc"), custom: None };
        let seeds = [Change::add_target("targets", "a<b>", &target), Change::remove_target("targets/releases", "v1")];
        let mut words = signet_fuzz::JSON.to_vec();
        words.extend([
            &b"\"action\":"[..],
            b"\"role\":",
            b"\"type\":",
            b"\"path\":",
            b"\"data\":",
            b"====",
            b"delegation",
        ]);
        let seeds = seeds.iter().map(|change| change.to_file().into_bytes()).collect();
        signet_fuzz::fuzz("changes", &signet_fuzz::Language { seeds, words }, |input| {
            let Ok(change) = serde_json::from_slice::<Change>(input) else { return };
            assert_eq!(serde_json::from_slice::<Change>(change.to_file().as_bytes()).unwrap(), change);
        });
    }
}
