//! A rotation that is not finished: which keys a role is to have, on disk before anything is signed for them.
//!
//! With it a rotation that failed can be repeated with the same keys, or be undone, and keys that it replaces are deleted
//! only when the server has accepted it.

use std::path::PathBuf;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use signet_tuf::{KeyId, KeyType, PublicKey, Role, RoleKeys, Root};
use time::OffsetDateTime;

use super::{GunDir, TrustDirError, disk, read_if_there, remove_if_there, unwritable};

const FORMAT: u32 = 1;

/// How many older roots' keys sign a new root too, for clients that still trust only those.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Legacy {
    /// Those of the version before, which always sign.
    #[default]
    None,
    /// Those of so many versions.
    Last(u32),
    /// Those of all versions.
    All,
}

/// What a role is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// root, targets, snapshot or timestamp.
    pub role: Role,
    /// The keys that are to sign it.
    pub keys: Vec<PublicKey>,
    /// How many of them must.
    pub threshold: u32,
    /// Canonical IDs of the keys that are no longer to sign it.
    pub replaced: Vec<KeyId>,
    /// Which older keys sign a root too.
    pub legacy: Legacy,
    /// The time by which the root's expiry is reckoned, in whole seconds: whenever it is signed, it is the same bytes.
    pub since: OffsetDateTime,
}

impl Rotation {
    /// Who is to sign the role.
    #[must_use]
    pub fn role_keys(&self) -> RoleKeys {
        RoleKeys { key_ids: self.keys.iter().map(PublicKey::key_id).collect(), threshold: self.threshold }
    }

    /// Whether a root has these keys already.
    #[must_use]
    pub fn is_in(&self, root: &Root) -> bool {
        root.role_keys(&self.role) == Some(&self.role_keys())
    }
}

#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    role: String,
    keys: Vec<StoredKey>,
    threshold: u32,
    replaced: Vec<String>,
    /// -1 for all, as on the command line.
    legacy: i64,
    /// Seconds since 1970.
    since: i64,
}

#[derive(Serialize, Deserialize)]
struct StoredKey {
    keytype: String,
    public: String,
}

impl GunDir {
    fn rotation_path(&self) -> PathBuf {
        self.base.join(".signet.rotation")
    }

    /// Remembers a rotation; when this returns, it is on disk.
    ///
    /// # Errors
    /// [`TrustDirError::Unwritable`].
    pub fn begin_rotation(&self, rotation: &Rotation) -> Result<(), TrustDirError> {
        let path = self.rotation_path();
        let stored = serde_json::to_vec(&Stored::of(rotation)).map_err(|error| unwritable(&path, error.into()))?;
        disk::write_whole(&self.base, &path, &[stored])
    }

    /// The rotation that is not finished, if any.
    ///
    /// # Errors
    /// [`TrustDirError::CorruptRotation`], [`TrustDirError::Unreadable`].
    pub fn rotation(&self) -> Result<Option<Rotation>, TrustDirError> {
        let path = self.rotation_path();
        let Some(bytes) = read_if_there(&path)? else { return Ok(None) };
        let corrupt = |problem: String| TrustDirError::CorruptRotation { path: path.clone(), problem };
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| corrupt(error.to_string()))?;
        stored.parse().map(Some).map_err(corrupt)
    }

    /// Forgets the rotation: it is published, or given up.
    ///
    /// # Errors
    /// [`TrustDirError::Unwritable`].
    pub fn end_rotation(&self) -> Result<(), TrustDirError> {
        remove_if_there(&self.rotation_path())
    }
}

impl Stored {
    fn of(rotation: &Rotation) -> Self {
        let key = |key: &PublicKey| StoredKey {
            keytype: key.key_type().as_str().to_owned(),
            public: STANDARD.encode(key.public()),
        };
        Self {
            format: FORMAT,
            role: rotation.role.to_string(),
            keys: rotation.keys.iter().map(key).collect(),
            threshold: rotation.threshold,
            replaced: rotation.replaced.iter().map(KeyId::to_string).collect(),
            legacy: match rotation.legacy {
                Legacy::None => 0,
                Legacy::Last(versions) => versions.into(),
                Legacy::All => -1,
            },
            since: rotation.since.unix_timestamp(),
        }
    }

    fn parse(self) -> Result<Rotation, String> {
        if self.format != FORMAT {
            return Err(format!("format {} is not known", self.format));
        }
        let key = |stored: StoredKey| {
            let kind = KeyType::from_wire(&stored.keytype).ok_or_else(|| format!("key type {}", stored.keytype))?;
            let public = STANDARD.decode(stored.public).map_err(|error| error.to_string())?;
            PublicKey::new(kind, public).map_err(|error| error.to_string())
        };
        let id = |text: String| text.parse().map_err(|error| format!("key ID {text}: {error}"));
        Ok(Rotation {
            role: Role::parse(&self.role).map_err(|error| error.to_string())?,
            keys: self.keys.into_iter().map(key).collect::<Result<_, String>>()?,
            threshold: self.threshold,
            replaced: self.replaced.into_iter().map(id).collect::<Result<_, String>>()?,
            legacy: match u32::try_from(self.legacy) {
                Ok(0) => Legacy::None,
                Ok(versions) => Legacy::Last(versions),
                Err(_) => Legacy::All,
            },
            since: OffsetDateTime::from_unix_timestamp(self.since).map_err(|error| error.to_string())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::sample::{A, key};

    fn dir() -> (tempfile::TempDir, GunDir) {
        let home = tempfile::tempdir().unwrap();
        let dir = GunDir::new(home.path(), &"example.com/a".parse().unwrap());
        (home, dir)
    }

    #[test]
    fn a_rotation_is_there_until_it_ends() {
        let (_home, dir) = dir();
        assert_eq!(dir.rotation().unwrap(), None);
        for legacy in [Legacy::None, Legacy::Last(3), Legacy::All] {
            let rotation = Rotation {
                role: Role::Targets,
                keys: vec![key(A)],
                threshold: 1,
                replaced: vec![KeyId::from_bytes([7; 32])],
                legacy,
                since: datetime!(2026-01-01 12:34:56 UTC),
            };
            dir.begin_rotation(&rotation).unwrap();
            assert_eq!(dir.rotation().unwrap(), Some(rotation));
        }
        dir.end_rotation().unwrap();
        assert_eq!(dir.rotation().unwrap(), None);
        dir.end_rotation().unwrap();
    }

    #[test]
    fn a_damaged_one_is_named() {
        let (_home, dir) = dir();
        let good = r#"{"format":1,"role":"targets","keys":[],"threshold":1,"replaced":[],"legacy":0,"since":0}"#;
        for (text, problem) in [
            ("", "EOF"),
            (&good.replace("\"format\":1", "\"format\":2"), "format 2"),
            (&good.replace("targets", "nobody"), "nobody"),
            (&good.replace("\"replaced\":[]", "\"replaced\":[\"7\"]"), "key ID 7"),
            (&good.replace("\"keys\":[]", r#""keys":[{"keytype":"x","public":""}]"#), "key type x"),
        ] {
            std::fs::create_dir_all(&dir.base).unwrap();
            std::fs::write(dir.rotation_path(), text).unwrap();
            let error = dir.rotation().unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains("rotation"), "{error}");
        }
    }
}
