//! One key file as a token: its passphrase is the PIN, and its one key is seen after login.

use signet_tuf::{KeyId, KeyName};

use super::codec::OpenError;
use super::folder;
use super::private::{PrivateKey, PrivateKeyError};
use crate::keystore::token::{Access, Facts, Fault, KeyObject, Login, LoginState, NewKey, Session, Token, Urgency};
use crate::keystore::{KeystoreError, Reached, Tries, TrustDir};
use crate::ledger::{Purpose, Scheme};
use crate::secret::Secret;

/// A key file, there or still to be written.
#[derive(Debug, Clone)]
pub(in crate::keystore) struct FileToken {
    dir: TrustDir,
    key: Option<KeyId>,
}

impl FileToken {
    pub(in crate::keystore) fn of_key(dir: &TrustDir, key: KeyId) -> Self {
        Self { dir: dir.clone(), key: Some(key) }
    }

    /// A file that does not exist yet, for a key to be generated.
    pub(in crate::keystore) fn unwritten(dir: &TrustDir) -> Self {
        Self { dir: dir.clone(), key: None }
    }
}

impl Token for FileToken {
    type Session = FileSession;

    const KEEPS_PIN_WHEN_ABSENT: bool = false;

    fn info(&mut self) -> Result<Facts, Fault> {
        Ok(Facts {
            label: String::new(),
            serial: String::new(),
            model: String::new(),
            login: Login::Required,
            tries: Tries::Unknown,
            card: None,
        })
    }

    fn open_session(&mut self, _: Access) -> Result<FileSession, Fault> {
        match self.key {
            Some(id) if !folder::exists(&self.dir, id) => Err(Fault::Absent),
            Some(_) | None => Ok(FileSession { dir: self.dir.clone(), file: self.key, opened: None }),
        }
    }

    fn reset(&mut self, _: Urgency) -> Result<(), Fault> {
        Ok(())
    }
}

/// A key file and, after login, its key.
#[derive(Debug)]
pub(in crate::keystore) struct FileSession {
    dir: TrustDir,
    file: Option<KeyId>,
    opened: Option<(PrivateKey, String)>,
}

impl FileSession {
    /// A key that came from elsewhere and has no file yet.
    pub(super) fn holding(dir: &TrustDir, key: PrivateKey, role: &str) -> Self {
        Self { dir: dir.clone(), file: None, opened: Some((key, role.to_owned())) }
    }

    /// The decrypted key.
    pub(super) fn key(&self) -> Option<&PrivateKey> {
        self.opened.as_ref().map(|(key, _)| key)
    }

    /// Says that the generated key now stands in its file.
    pub(super) fn written(&mut self, id: KeyId) {
        self.file = Some(id);
    }
}

impl Session for FileSession {
    fn login_state(&mut self) -> Result<LoginState, Fault> {
        match (&self.opened, self.file) {
            // A file that was removed was removed to be used no more.
            (_, Some(id)) if !folder::exists(&self.dir, id) => Err(Fault::Absent),
            (Some(_), _) => Ok(LoginState::LoggedIn),
            (None, _) => Ok(LoginState::LoggedOut),
        }
    }

    fn login(&mut self, passphrase: &Secret) -> Result<(), Fault> {
        let id = self.file.ok_or(Fault::AlreadyLoggedIn)?;
        let file = folder::load(&self.dir, id).map_err(fault)?;
        let key = file.open(passphrase).map_err(|error| match error {
            OpenError::WrongPassphrase => Fault::PinIncorrect,
            OpenError::Corrupt(why) => Fault::Corrupt(why),
        })?;
        // The file's name is only a claim.
        if key.public().canonical_id() != id {
            return Err(Fault::Corrupt(format!("it holds key {}: its name is wrong", key.public().canonical_id())));
        }
        self.opened = Some((key, file.role.unwrap_or_default()));
        Ok(())
    }

    fn logout(&mut self) -> Result<(), Fault> {
        self.opened = None;
        Ok(())
    }

    fn find_keys(&mut self) -> Result<Vec<KeyObject>, Fault> {
        let object = |(key, label): &(PrivateKey, String)| KeyObject {
            id: key.public().canonical_id().as_bytes().to_vec(),
            label: label.clone(),
            public: key.public().clone(),
            slot: None,
        };
        Ok(self.opened.iter().map(object).collect())
    }

    fn sign(&mut self, key: KeyName, scheme: Scheme, message: &[u8], _: &Purpose) -> Result<Vec<u8>, Fault> {
        if self.login_state()? == LoginState::LoggedOut {
            return Err(Fault::NotLoggedIn);
        }
        let (private, _) =
            self.opened.as_ref().filter(|(private, _)| private.public().name() == key).ok_or(Fault::NoKey)?;
        private.sign(scheme, message).ok_or_else(|| {
            Fault::Unsupported(format!("{scheme:?} with a key of type {}", private.public().algorithm()))
        })
    }

    fn generate_key_pair(&mut self, wanted: &NewKey) -> Result<KeyObject, Fault> {
        if self.file.is_some() {
            return Err(Fault::Unsupported("a second key in one file".to_owned()));
        }
        let key = PrivateKey::generate(wanted.algorithm).map_err(|error| match error {
            PrivateKeyError::Unsupported(what) => Fault::Unsupported(what),
            PrivateKeyError::NotPkcs8 | PrivateKeyError::Malformed(_) => {
                Fault::Refused { what: error.to_string(), reached: Reached::Nothing }
            }
        })?;
        let object = KeyObject {
            id: key.public().canonical_id().as_bytes().to_vec(),
            label: wanted.label.clone(),
            public: key.public().clone(),
            slot: None,
        };
        self.opened = Some((key, wanted.label.clone()));
        Ok(object)
    }
}

fn fault(error: KeystoreError) -> Fault {
    match error {
        KeystoreError::UnknownKey { .. } => Fault::Absent,
        KeystoreError::CorruptKey { why, .. } => Fault::Corrupt(why),
        KeystoreError::UnsafePath { why, .. } => Fault::Unsafe(why),
        KeystoreError::Io { source, .. } => Fault::Refused { what: source.to_string(), reached: Reached::Nothing },
        other @ (KeystoreError::Absent { .. }
        | KeystoreError::Locked { .. }
        | KeystoreError::SecretIncorrect { .. }
        | KeystoreError::SecretMalformed { .. }
        | KeystoreError::LastTry { .. }
        | KeystoreError::PinBlocked { .. }
        | KeystoreError::PukBlocked { .. }
        | KeystoreError::TouchTimeout { .. }
        | KeystoreError::SlotOccupied { .. }
        | KeystoreError::ManagementKey { .. }
        | KeystoreError::FactorySecret { .. }
        | KeystoreError::HalfDone { .. }
        | KeystoreError::Failed { .. }
        | KeystoreError::NotSupported { .. }
        | KeystoreError::UnknownToken { .. }
        | KeystoreError::KeyExists { .. }
        | KeystoreError::NotAKey { .. }
        | KeystoreError::Busy) => Fault::Refused { what: other.to_string(), reached: Reached::Nothing },
    }
}
