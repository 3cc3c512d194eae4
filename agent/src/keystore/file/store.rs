//! The thread that holds decrypted keys: who may use them, and until when.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use signet_tuf::{Algorithm, KeyId, KeyName, PublicKey};

use super::codec::{self, KeyFile, OpenError, Sealing};
use super::folder::{self, Existing, Folders, Outside};
use super::private::PrivateKey;
use super::token::{FileSession, FileToken};
use crate::caller::Connection;
use crate::keystore::actor::{Running, thread};
use crate::keystore::queue::{QUEUE, Reply, SWEEP};
use crate::keystore::token::{Access, Fault, KeyObject, NewKey, Session, Token};
use crate::keystore::trustdir::DirId;
use crate::keystore::unlock::Unlocks;
use crate::keystore::{
    KeyInfo, KeySelector, KeystoreError, Located, Place, PlaceState, Reached, Scope, StartError, Tries, TrustDir,
};
use crate::ledger::{Purpose, Scheme};
use crate::secret::Secret;

/// What the thread is asked.
pub(in crate::keystore) enum FileRequest {
    List {
        dir: TrustDir,
        connection: Arc<Connection>,
        reply: Reply<(Vec<Located>, Vec<String>)>,
    },
    Locate {
        key: KeySelector,
        dir: TrustDir,
        connection: Arc<Connection>,
        reply: Reply<Vec<Located>>,
    },
    Sign {
        key: KeyName,
        scheme: Scheme,
        message: Bytes,
        path: PathBuf,
        dir: TrustDir,
        connection: Arc<Connection>,
        reply: Reply<Vec<u8>>,
    },
    Unlock {
        dir: TrustDir,
        key: String,
        passphrase: Secret,
        scope: Scope,
        reply: Reply<Place>,
    },
    Lock {
        reply: Reply<()>,
    },
    Generate {
        dir: TrustDir,
        algorithm: Algorithm,
        role: String,
        gun: Option<String>,
        connection: Weak<Connection>,
        reply: Reply<KeyInfo>,
    },
    Import {
        dir: TrustDir,
        incoming: Incoming,
        connection: Weak<Connection>,
        reply: Reply<KeyInfo>,
    },
    Export {
        dir: TrustDir,
        key: String,
        reply: Reply<String>,
    },
    Remove {
        dir: TrustDir,
        key: String,
        reply: Reply<KeyInfo>,
    },
    SetPassphrase {
        dir: TrustDir,
        key: String,
        old: Option<Secret>,
        new: Secret,
        connection: Arc<Connection>,
        reply: Reply<(KeyInfo, Written)>,
    },
}

/// A key that comes from elsewhere, as PEM.
#[derive(Debug)]
pub(in crate::keystore) struct Incoming {
    /// One private key, encrypted or not.
    pub(in crate::keystore) pem: Secret,
    /// What opens it.
    pub(in crate::keystore) opened_by: OpenedBy,
    pub(in crate::keystore) role: String,
    pub(in crate::keystore) gun: Option<String>,
}

/// What is known of an encrypted key that comes from elsewhere.
#[derive(Debug)]
pub(in crate::keystore) enum OpenedBy {
    /// Its passphrase; empty for a key that has none.
    Passphrase(Secret),
    /// Nothing but its ID: it is stored as it is, and its file's name stays a claim until it is unlocked.
    Nobody(KeyId),
}

/// What writing a key file meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// A key that was generated here has its first file.
    Made,
    /// A key from elsewhere has its file here.
    Imported,
    /// A key has another passphrase.
    Rewritten,
}

/// Starts the thread. It ends when the last sender is gone.
pub(in crate::keystore) fn spawn(running: &Running) -> Result<SyncSender<FileRequest>, StartError> {
    let (sender, inbox) = sync_channel(QUEUE);
    thread("key-files", running, move || FileStore::default().run(&inbox))?;
    Ok(sender)
}

#[derive(Default)]
struct FileStore {
    folders: Folders,
    open: HashMap<(DirId, KeyId), Open>,
    /// Public keys of files that were unlocked once. A canonical ID is a hash of the key, so this is never stale.
    seen: HashMap<KeyId, PublicKey>,
}

/// A decrypted key and who may use it.
struct Open {
    session: FileSession,
    unlocks: Unlocks,
    dir: TrustDir,
    /// Known only here while the key is not written.
    unwritten: Option<(Outside, Written)>,
}

impl FileStore {
    fn run(mut self, inbox: &Receiver<FileRequest>) {
        let mut swept = Instant::now();
        loop {
            match inbox.recv_timeout(SWEEP.saturating_sub(swept.elapsed()).max(Duration::from_millis(1))) {
                Ok(request) => self.serve(request),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if swept.elapsed() >= SWEEP {
                self.sweep();
                swept = Instant::now();
            }
        }
    }

    fn serve(&mut self, request: FileRequest) {
        match request {
            FileRequest::List { dir, connection, reply } => reply.send(self.list(&dir, &connection)),
            FileRequest::Locate { key, dir, connection, reply } => reply.send(self.locate(&key, &dir, &connection)),
            FileRequest::Sign { key, scheme, message, path, dir, connection, reply } => {
                if reply.begin() {
                    reply.send(self.sign(key, scheme, &message, &path, &dir, &connection));
                }
            }
            FileRequest::Unlock { dir, key, passphrase, scope, reply } => {
                reply.send(self.unlock(&dir, &key, &passphrase, scope));
            }
            FileRequest::Lock { reply } => {
                self.open.retain(|_, open| open.unwritten.is_some());
                reply.send(Ok(()));
            }
            FileRequest::Generate { dir, algorithm, role, gun, connection, reply } => {
                reply.send(self.generate(&dir, algorithm, role, gun, connection));
            }
            FileRequest::Import { dir, incoming, connection, reply } => {
                reply.send(self.import(&dir, incoming, connection));
            }
            FileRequest::Export { dir, key, reply } => reply.send(self.export(&dir, &key)),
            FileRequest::Remove { dir, key, reply } => reply.send(self.remove(&dir, &key)),
            FileRequest::SetPassphrase { dir, key, old, new, connection, reply } => {
                reply.send(self.set_passphrase(&dir, &key, old.as_ref(), &new, &connection));
            }
        }
    }

    /// Drops every key whose last unlock ended.
    fn sweep(&mut self) {
        self.open.retain(|_, open| open.unlocks.sweep());
    }

    fn list(
        &mut self,
        dir: &TrustDir,
        connection: &Arc<Connection>,
    ) -> Result<(Vec<Located>, Vec<String>), KeystoreError> {
        let (mut outsides, warnings) = self.folders.read(dir)?;
        let unwritten =
            self.open.iter().filter(|((id, _), open)| *id == dir.identity() && open.unlocks.admits(connection));
        outsides.extend(unwritten.filter_map(|(_, open)| open.unwritten.clone()).map(|(outside, _)| outside));
        let located = outsides.iter().map(|outside| self.located(dir, outside, connection)).collect();
        Ok((located, warnings))
    }

    fn locate(
        &mut self,
        key: &KeySelector,
        dir: &TrustDir,
        connection: &Arc<Connection>,
    ) -> Result<Vec<Located>, KeystoreError> {
        let (mut located, _) = self.list(dir, connection)?;
        located.retain(|located| key.matches(&located.info));
        Ok(located)
    }

    fn located(&self, dir: &TrustDir, outside: &Outside, connection: &Arc<Connection>) -> Located {
        let place = Place::File(folder::path_of(dir, outside.id));
        let open = self.open.get(&(dir.identity(), outside.id));
        let state = match (outside.sealing, open) {
            (Sealing::Plain, _) => PlaceState::Ready,
            (Sealing::Encrypted, Some(open)) if open.unlocks.admits(connection) => PlaceState::Ready,
            (Sealing::Encrypted, _) => PlaceState::Locked,
        };
        let public = self.seen.get(&outside.id).cloned();
        let info = KeyInfo {
            name: public.as_ref().map(PublicKey::name),
            key_id: outside.id,
            public,
            role: outside.role.clone(),
            gun: outside.gun.clone(),
            slots: Vec::new(),
            places: vec![(place.clone(), state)],
        };
        Located { place, state, info }
    }

    fn sign(
        &mut self,
        key: KeyName,
        scheme: Scheme,
        message: &[u8],
        path: &std::path::Path,
        dir: &TrustDir,
        connection: &Arc<Connection>,
    ) -> Result<Vec<u8>, KeystoreError> {
        let unknown = || KeystoreError::UnknownKey { key: key.to_string() };
        let id = folder::id_of(dir, path).ok_or_else(unknown)?;
        let admitted = self.open.get(&(dir.identity(), id)).is_some_and(|open| open.unlocks.admits(connection));
        if !admitted {
            let file = folder::load(dir, id)?;
            if file.sealing() == Sealing::Encrypted {
                return Err(locked(dir, id, file.role));
            }
            self.log_in(dir, id, &Secret::from(Vec::new()), Scope::Connection(Arc::downgrade(connection)))?;
        }
        let open = self.open.get_mut(&(dir.identity(), id)).ok_or_else(unknown)?;
        let signed = open.session.sign(key, scheme, message, &Purpose::default());
        if signed == Err(Fault::Absent) {
            self.open.remove(&(dir.identity(), id));
        }
        signed.map_err(|fault| failure(dir, id, fault))
    }

    fn unlock(&mut self, dir: &TrustDir, key: &str, passphrase: &Secret, scope: Scope) -> Result<Place, KeystoreError> {
        let id = self.find(dir, key)?;
        self.log_in(dir, id, passphrase, scope)?;
        Ok(Place::File(folder::path_of(dir, id)))
    }

    /// Decrypts the file even if its key is open: only who knows the passphrase joins.
    fn log_in(&mut self, dir: &TrustDir, id: KeyId, passphrase: &Secret, scope: Scope) -> Result<(), KeystoreError> {
        let mut token = FileToken::of_key(dir, id);
        let opened =
            token.open_session(Access::ReadOnly).and_then(|mut session| session.login(passphrase).map(|()| session));
        let session = opened.map_err(|fault| failure(dir, id, fault))?;
        if let Some(key) = session.key() {
            self.seen.insert(id, key.public().clone());
        }
        let before = self.open.remove(&(dir.identity(), id));
        let mut unlocks = before.map(|open| open.unlocks).unwrap_or_default();
        unlocks.add(scope);
        self.open.insert((dir.identity(), id), Open { session, unlocks, dir: dir.clone(), unwritten: None });
        Ok(())
    }

    fn find(&mut self, dir: &TrustDir, key: &str) -> Result<KeyId, KeystoreError> {
        let (outsides, _) = self.folders.read(dir)?;
        let named = |id: &KeyId| self.seen.get(id).is_some_and(|public| public.name().to_string() == key);
        let written = outsides.iter().map(|outside| outside.id);
        let unwritten =
            self.open.iter().filter(|((in_dir, _), open)| *in_dir == dir.identity() && open.unwritten.is_some());
        written
            .chain(unwritten.map(|((_, id), _)| *id))
            .find(|id| id.to_string() == key || named(id))
            // A file that cannot be read is not listed, but its owner wants to know why.
            .or_else(|| key.parse().ok().filter(|id| folder::exists(dir, *id)))
            .ok_or_else(|| KeystoreError::UnknownKey { key: key.to_owned() })
    }

    fn generate(
        &mut self,
        dir: &TrustDir,
        algorithm: Algorithm,
        role: String,
        gun: Option<String>,
        connection: Weak<Connection>,
    ) -> Result<KeyInfo, KeystoreError> {
        let failed = |fault| unwritten_failure(dir, fault);
        let mut session = FileToken::unwritten(dir).open_session(Access::ReadWrite).map_err(failed)?;
        let wanted = NewKey { algorithm, label: role.clone(), piv: None };
        let KeyObject { public, .. } = session.generate_key_pair(&wanted).map_err(failed)?;
        let outside = Outside { id: public.canonical_id(), role: Some(role), gun, sealing: Sealing::Encrypted };
        Ok(self.hold(dir, session, public, (outside, Written::Made), connection))
    }

    /// Keeps a key that has no file yet, for one connection.
    fn hold(
        &mut self,
        dir: &TrustDir,
        session: FileSession,
        public: PublicKey,
        (outside, written): (Outside, Written),
        connection: Weak<Connection>,
    ) -> KeyInfo {
        let id = outside.id;
        let info = KeyInfo {
            name: Some(public.name()),
            key_id: id,
            public: Some(public.clone()),
            role: outside.role.clone(),
            gun: outside.gun.clone(),
            slots: Vec::new(),
            places: vec![(Place::File(folder::path_of(dir, id)), PlaceState::Ready)],
        };
        self.seen.insert(id, public);
        let mut unlocks = Unlocks::default();
        unlocks.add(Scope::Connection(connection));
        let open = Open { session, unlocks, dir: dir.clone(), unwritten: Some((outside, written)) };
        self.open.insert((dir.identity(), id), open);
        info
    }

    /// Holds a key from elsewhere until it gets a passphrase, or stores it as it is.
    fn import(
        &mut self,
        dir: &TrustDir,
        incoming: Incoming,
        connection: Weak<Connection>,
    ) -> Result<KeyInfo, KeystoreError> {
        let Incoming { pem, opened_by, role, gun } = incoming;
        let passphrase = match opened_by {
            OpenedBy::Passphrase(passphrase) => passphrase,
            OpenedBy::Nobody(id) => {
                KeyFile::parse(pem.expose()).map_err(|why| KeystoreError::NotAKey { why })?;
                return store_as_it_is(dir, id, pem.expose(), role, gun);
            }
        };
        let place = Place::File(dir.private_path().to_owned());
        let key = open_pem(&pem, &passphrase, place, &role)?;
        let public = key.public().clone();
        let id = public.canonical_id();
        if folder::exists(dir, id) {
            return Err(KeystoreError::KeyExists { path: folder::path_of(dir, id) });
        }
        let session = FileSession::holding(dir, key, &role);
        let outside = Outside { id, role: Some(role), gun, sealing: Sealing::Encrypted };
        Ok(self.hold(dir, session, public, (outside, Written::Imported), connection))
    }

    /// The file of a key, with its ID in a header as Notary's exports have it.
    fn export(&mut self, dir: &TrustDir, key: &str) -> Result<String, KeystoreError> {
        let id = self.find(dir, key)?;
        let (file, text) = folder::load_text(dir, id)?;
        let path = folder::path_of(dir, id);
        if file.sealing() == Sealing::Plain {
            let what = "the export of a key file without a passphrase".to_owned();
            return Err(KeystoreError::NotSupported { place: path.display().to_string(), what });
        }
        let id = id.to_string();
        let mut headers = vec![("path", id.as_str())];
        headers.extend(file.gun.as_deref().map(|gun| ("gun", gun)));
        headers.extend(file.role.as_deref().map(|role| ("role", role)));
        headers.sort_unstable();
        codec::relabelled(&text, &headers).map_err(|why| KeystoreError::CorruptKey { path, why })
    }

    fn remove(&mut self, dir: &TrustDir, key: &str) -> Result<KeyInfo, KeystoreError> {
        let id = self.find(dir, key)?;
        let (outsides, _) = self.folders.read(dir)?;
        let outside = outsides.into_iter().find(|outside| outside.id == id);
        folder::remove(dir, id)?;
        self.open.remove(&(dir.identity(), id));
        Ok(KeyInfo {
            name: self.seen.get(&id).map(PublicKey::name),
            key_id: id,
            public: self.seen.get(&id).cloned(),
            role: outside.as_ref().and_then(|outside| outside.role.clone()),
            gun: outside.and_then(|outside| outside.gun),
            slots: Vec::new(),
            places: vec![(Place::File(folder::path_of(dir, id)), PlaceState::Absent)],
        })
    }

    fn set_passphrase(
        &mut self,
        dir: &TrustDir,
        key: &str,
        old: Option<&Secret>,
        new: &Secret,
        connection: &Arc<Connection>,
    ) -> Result<(KeyInfo, Written), KeystoreError> {
        let id = self.find(dir, key)?;
        let path = folder::path_of(dir, id);
        if new.is_empty() {
            return Err(KeystoreError::NotSupported {
                place: path.display().to_string(),
                what: "an empty passphrase".to_owned(),
            });
        }
        let unwritten = self.open.get(&(dir.identity(), id)).and_then(|open| open.unwritten.clone());
        let (outside, written, existing) = match unwritten {
            Some((outside, written)) => (outside, written, Existing::Forbidden),
            None => (self.reopen(dir, id, old, connection)?, Written::Rewritten, Existing::Replaced),
        };
        let open = self.open.get_mut(&(dir.identity(), id)).filter(|open| open.unlocks.admits(connection));
        let open = open.ok_or_else(|| KeystoreError::UnknownKey { key: key.to_owned() })?;
        let sealed = open
            .session
            .key()
            .and_then(|key| codec::seal(key, new, outside.role.as_deref(), outside.gun.as_deref()))
            .ok_or_else(|| failure(dir, id, Fault::Corrupt("it could not be encrypted".to_owned())))?;
        folder::store(&open.dir, id, &sealed, existing)?;
        open.session.written(id);
        open.unwritten = None;
        Ok((self.located(dir, &Outside { sealing: Sealing::Encrypted, ..outside }, connection).info, written))
    }

    /// Opens a file with its old passphrase, to write it with another.
    fn reopen(
        &mut self,
        dir: &TrustDir,
        id: KeyId,
        old: Option<&Secret>,
        connection: &Arc<Connection>,
    ) -> Result<Outside, KeystoreError> {
        let file = folder::load(dir, id)?;
        let empty = Secret::from(Vec::new());
        let old = match (old, file.sealing()) {
            (Some(old), _) => old,
            (None, Sealing::Plain) => &empty,
            (None, Sealing::Encrypted) => return Err(locked(dir, id, file.role)),
        };
        self.log_in(dir, id, old, Scope::Connection(Arc::downgrade(connection)))?;
        Ok(Outside { id, sealing: file.sealing(), role: file.role, gun: file.gun })
    }
}

/// Opens a private key from elsewhere. `place` is where it shall go.
///
/// # Errors
/// `NotAKey`, `Locked` without its passphrase, `SecretIncorrect`.
pub(in crate::keystore) fn open_pem(
    pem: &Secret,
    passphrase: &Secret,
    place: Place,
    role: &str,
) -> Result<PrivateKey, KeystoreError> {
    let bad = |why: String| KeystoreError::NotAKey { why };
    let file = KeyFile::parse(pem.expose()).map_err(bad)?;
    if file.sealing() == Sealing::Encrypted && passphrase.is_empty() {
        let (key, role) = ("the imported key".to_owned(), Some(role.to_owned()));
        return Err(KeystoreError::Locked { key, place, token: None, role });
    }
    file.open(passphrase).map_err(|error| match error {
        OpenError::WrongPassphrase => {
            KeystoreError::SecretIncorrect { place: "the imported key".to_owned(), tries: Tries::Unknown }
        }
        OpenError::Corrupt(why) => bad(why),
    })
}

fn store_as_it_is(
    dir: &TrustDir,
    id: KeyId,
    pem: &[u8],
    role: String,
    gun: Option<String>,
) -> Result<KeyInfo, KeystoreError> {
    let mut headers: Vec<(&str, &str)> = gun.iter().map(|gun| ("gun", gun.as_str())).collect();
    headers.push(("role", &role));
    let text = codec::relabelled(pem, &headers).map_err(|why| KeystoreError::NotAKey { why })?;
    folder::store(dir, id, &text, Existing::Forbidden)?;
    let places = vec![(Place::File(folder::path_of(dir, id)), PlaceState::Locked)];
    Ok(KeyInfo { name: None, key_id: id, public: None, role: Some(role), gun, places, slots: Vec::new() })
}

fn locked(dir: &TrustDir, id: KeyId, role: Option<String>) -> KeystoreError {
    let place = Place::File(folder::path_of(dir, id));
    KeystoreError::Locked { key: id.to_string(), place, token: None, role }
}

fn unwritten_failure(dir: &TrustDir, fault: Fault) -> KeystoreError {
    let place = dir.private_path().display().to_string();
    if let Fault::Unsupported(what) = fault {
        return KeystoreError::NotSupported { place, what };
    }
    KeystoreError::Failed { token: place, what: fault.describe(), reached: Reached::Nothing }
}

fn failure(dir: &TrustDir, id: KeyId, fault: Fault) -> KeystoreError {
    let path = folder::path_of(dir, id);
    let place = path.display().to_string();
    match fault {
        Fault::Absent | Fault::NoKey => KeystoreError::UnknownKey { key: id.to_string() },
        Fault::NotLoggedIn => locked(dir, id, None),
        Fault::PinIncorrect => KeystoreError::SecretIncorrect { place, tries: Tries::Unknown },
        Fault::Unsupported(what) => KeystoreError::NotSupported { place, what },
        Fault::Corrupt(why) => KeystoreError::CorruptKey { path, why },
        Fault::Unsafe(why) => KeystoreError::UnsafePath { path, why },
        other @ (Fault::Lost { .. }
        | Fault::Refused { .. }
        | Fault::AlreadyLoggedIn
        | Fault::PinMalformed(_)
        | Fault::PinBlocked
        | Fault::LastTry { .. }
        | Fault::PukIncorrect(_)
        | Fault::PukBlocked
        | Fault::FactorySecret(_)
        | Fault::TouchTimeout
        | Fault::SlotOccupied { .. }
        | Fault::ManagementKey { .. }) => {
            KeystoreError::Failed { token: place, what: other.describe(), reached: other.reached() }
        }
    }
}
