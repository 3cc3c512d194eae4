//! SQLite: one file, one writer, every commit synced to the disk.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use signet_tuf::{Digest, Gun, KeyName, Role, Version};

use crate::{intent::Mark, log::Hash};

const SCHEMA: i64 = 1;

/// The store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says no: the disk, a lock, a damaged file.
    #[error("the ledger {} cannot be used: {source}", path.display())]
    Database {
        /// The ledger's file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Written by another version of the agent.
    #[error("the ledger {} has schema {found}, this agent knows schema {SCHEMA}: use the newer agent", path.display())]
    Schema {
        /// The ledger's file.
        path: PathBuf,
        /// What it says.
        found: i64,
    },
    /// The log does not hash to what was stored with it.
    #[error("the ledger {} was altered: record {seq} does not match its hash", path.display())]
    Altered {
        /// The ledger's file.
        path: PathBuf,
        /// The first record that does not match.
        seq: u64,
    },
}

/// What a batch says when it fails; the writer passes it on without looking at it.
pub type BatchError = rusqlite::Error;

/// A collection's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CollectionId(i64);

/// A key of a grant.
#[derive(Debug, Clone)]
pub struct NewPermit<'a> {
    /// Sequence number of the grant's record.
    pub seq: u64,
    /// The key.
    pub key: KeyName,
    /// The line; none for a certificate.
    pub line: Option<(CollectionId, &'a Role, Version)>,
}

/// A record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Position.
    pub seq: u64,
    /// Canonical JSON.
    pub body: Vec<u8>,
    /// Its leaf hash, as it was when it was written.
    pub leaf: Hash,
}

/// A grant whose outcome is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenPermit {
    /// Sequence number of the grant's record.
    pub seq: u64,
    /// The key.
    pub key: KeyName,
}

/// The ledger's file.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    connection: Connection,
}

impl Store {
    /// Opens the file, or makes it with a new ledger ID.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be opened or was written by a newer agent.
    pub fn open(path: &Path, new_id: [u8; 16]) -> Result<Self, StoreError> {
        let database = |source| StoreError::Database { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(database)?;
        prepare(&mut connection, new_id).map_err(database)?;
        let found = connection.query_row("SELECT schema FROM ledger", [], |row| row.get(0)).map_err(database)?;
        if found != SCHEMA {
            return Err(StoreError::Schema { path: path.to_owned(), found });
        }
        Ok(Self { path: path.to_owned(), connection })
    }

    /// Wraps what SQLite says.
    pub(crate) fn fault(&self, source: BatchError) -> StoreError {
        StoreError::Database { path: self.path.clone(), source }
    }

    /// Where the ledger is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The ledger's ID.
    ///
    /// # Errors
    /// SQLite's.
    pub fn ledger_id(&self) -> rusqlite::Result<[u8; 16]> {
        self.connection.query_row("SELECT id FROM ledger", [], |row| row.get(0))
    }

    /// Begins a batch. Dropped without [`Batch::commit`], nothing of it happened.
    ///
    /// # Errors
    /// SQLite's.
    pub fn begin(&mut self) -> rusqlite::Result<Batch<'_>> {
        Ok(Batch(self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?))
    }
}

fn prepare(connection: &mut Connection, new_id: [u8; 16]) -> rusqlite::Result<()> {
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A commit returns when it is on the disk: the grant is durable before a key is touched.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let there: bool =
        connection
            .query_row("SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'ledger')", [], |row| row.get(0))?;
    if there {
        return Ok(());
    }
    let batch = connection.transaction()?;
    batch.execute_batch(include_str!("schema.sql"))?;
    batch.execute("INSERT INTO ledger (id, schema) VALUES (?1, ?2)", params![new_id, SCHEMA])?;
    batch.commit()
}

/// SQLite's integers are signed; versions and sequence numbers stay below 2^53.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn mark(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Mark>> {
    let version = Version::new(unsigned(row.get(0)?));
    let digest = Digest::from_bytes(row.get(1)?);
    Ok(version.map(|version| Mark { version, digest }))
}

/// One transaction.
#[derive(Debug)]
pub struct Batch<'a>(Transaction<'a>);

/// Every call answers with SQLite's error; the writer then drops the whole batch.
#[expect(clippy::missing_errors_doc, reason = "one sentence above says it for all")]
impl Batch<'_> {
    /// Makes everything durable.
    pub fn commit(self) -> rusqlite::Result<()> {
        self.0.commit()
    }

    /// Adds a record.
    pub fn append(&self, seq: u64, body: &[u8], leaf: &Hash) -> rusqlite::Result<()> {
        self.run("INSERT INTO record (seq, body, leaf) VALUES (?1, ?2, ?3)", params![signed(seq), body, leaf])
    }

    /// The leaf hashes of all records, in order.
    pub fn leaves(&self) -> rusqlite::Result<Vec<Hash>> {
        self.0.prepare_cached("SELECT leaf FROM record ORDER BY seq")?.query_map([], |row| row.get(0))?.collect()
    }

    /// Up to `limit` records from `from` on.
    pub fn records(&self, from: u64, limit: u64) -> rusqlite::Result<Vec<StoredRecord>> {
        self.0
            .prepare_cached("SELECT seq, body, leaf FROM record WHERE seq >= ?1 ORDER BY seq LIMIT ?2")?
            .query_map(params![signed(from), signed(limit)], |row| {
                Ok(StoredRecord { seq: unsigned(row.get(0)?), body: row.get(1)?, leaf: row.get(2)? })
            })?
            .collect()
    }

    /// The collection of this name with this first root.
    pub fn collection(&self, gun: &Gun, root1: &Digest) -> rusqlite::Result<Option<CollectionId>> {
        self.0
            .prepare_cached("SELECT id FROM collection WHERE gun = ?1 AND root1 = ?2")?
            .query_row(params![gun.as_str(), root1.as_bytes()], |row| row.get(0).map(CollectionId))
            .optional()
    }

    /// The collection of this name that has this root.
    pub fn collection_with_root(&self, gun: &Gun, root: Mark) -> rusqlite::Result<Option<CollectionId>> {
        self.0
            .prepare_cached(
                "SELECT collection.id FROM collection JOIN root ON root.collection = collection.id
                 WHERE gun = ?1 AND version = ?2 AND digest = ?3",
            )?
            .query_row(params![gun.as_str(), signed(root.version.get()), root.digest.as_bytes()], |row| {
                row.get(0).map(CollectionId)
            })
            .optional()
    }

    /// Is another collection of this name known to be published?
    pub fn other_is_published(&self, gun: &Gun, root1: &Digest) -> rusqlite::Result<bool> {
        self.0
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM collection WHERE gun = ?1 AND root1 <> ?2 AND published_root > 0)",
            )?
            .query_row(params![gun.as_str(), root1.as_bytes()], |row| row.get(0))
    }

    /// Adds a collection.
    pub fn add_collection(&self, gun: &Gun, root1: &Digest) -> rusqlite::Result<CollectionId> {
        self.run("INSERT INTO collection (gun, root1) VALUES (?1, ?2)", params![gun.as_str(), root1.as_bytes()])?;
        Ok(CollectionId(self.0.last_insert_rowid()))
    }

    /// Digest of root version 1, and the newest root known to be published (0: none).
    pub fn collection_facts(&self, id: CollectionId) -> rusqlite::Result<(Digest, u64)> {
        self.0
            .prepare_cached("SELECT root1, published_root FROM collection WHERE id = ?1")?
            .query_row(params![id.0], |row| Ok((Digest::from_bytes(row.get(0)?), unsigned(row.get(1)?))))
    }

    /// The server serves the collection with this root; never lowered.
    pub fn publish(&self, id: CollectionId, root: Version) -> rusqlite::Result<()> {
        self.run(
            "UPDATE collection SET published_root = max(published_root, ?2) WHERE id = ?1",
            params![id.0, signed(root.get())],
        )
    }

    /// Remembers a verified root.
    pub fn add_root(&self, id: CollectionId, root: Mark) -> rusqlite::Result<()> {
        self.run(
            "INSERT OR IGNORE INTO root (collection, version, digest) VALUES (?1, ?2, ?3)",
            params![id.0, signed(root.version.get()), root.digest.as_bytes()],
        )
    }

    /// The newest version of a line that was signed, claimed or adopted.
    pub fn floor(&self, id: CollectionId, role: &Role) -> rusqlite::Result<Option<Mark>> {
        self.0
            .prepare_cached(
                "SELECT version, digest FROM mark WHERE collection = ?1 AND role = ?2 ORDER BY version DESC LIMIT 1",
            )?
            .query_row(params![id.0, role.as_str()], mark)
            .optional()
            .map(Option::flatten)
    }

    /// Sets the floor of a line. A version that has a content already is an error: the caller has asked the guard.
    pub fn add_mark(&self, id: CollectionId, role: &Role, mark: Mark, origin: Origin) -> rusqlite::Result<()> {
        self.run(
            "INSERT INTO mark (collection, role, version, digest, adopted) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![id.0, role.as_str(), signed(mark.version.get()), mark.digest.as_bytes(), origin == Origin::Adopted],
        )
    }

    fn remove_mark(&self, id: CollectionId, role: &Role, version: Version) -> rusqlite::Result<()> {
        self.run(
            "DELETE FROM mark WHERE collection = ?1 AND role = ?2 AND version = ?3",
            params![id.0, role.as_str(), signed(version.get())],
        )
    }

    /// Adds a key of a grant, in flight.
    pub fn add_permit(&self, permit: &NewPermit<'_>) -> rusqlite::Result<()> {
        let (collection, role, version) = match permit.line {
            Some((id, role, version)) => (Some(id.0), role.as_str(), version.get()),
            None => (None, "", 0),
        };
        self.run(
            "INSERT INTO permit (seq, key, collection, role, version) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![signed(permit.seq), permit.key.as_bytes(), collection, role, signed(version)],
        )
    }

    /// Grants in flight, oldest first.
    pub fn open_permits(&self) -> rusqlite::Result<Vec<OpenPermit>> {
        self.0
            .prepare_cached("SELECT seq, key FROM permit WHERE outcome IS NULL ORDER BY seq, key")?
            .query_map([], |row| Ok(OpenPermit { seq: unsigned(row.get(0)?), key: KeyName::from_bytes(row.get(1)?) }))?
            .collect()
    }

    /// Writes the outcome of a grant; false if it has one.
    pub fn settle(&self, seq: u64, key: KeyName, outcome: &str) -> rusqlite::Result<bool> {
        let changed = self
            .0
            .prepare_cached("UPDATE permit SET outcome = ?3 WHERE seq = ?1 AND key = ?2 AND outcome IS NULL")?
            .execute(params![signed(seq), key.as_bytes(), outcome])?;
        Ok(changed == 1)
    }

    /// Frees the version of a grant if nothing was signed for it and nothing is in flight.
    pub fn release(&self, seq: u64, key: KeyName) -> rusqlite::Result<()> {
        self.run(
            "DELETE FROM mark WHERE adopted = 0 AND (collection, role, version) IN
                 (SELECT collection, role, version FROM permit WHERE seq = ?1 AND key = ?2)
             AND NOT EXISTS (SELECT 1 FROM permit WHERE permit.collection = mark.collection AND permit.role = mark.role
                 AND permit.version = mark.version AND (outcome IS NULL OR outcome IN ('signed', 'unknown')))",
            params![signed(seq), key.as_bytes()],
        )
    }

    /// Remembers that a key is on a token.
    pub fn add_key_token(&self, key: KeyName, token: &str) -> rusqlite::Result<()> {
        self.run("INSERT OR IGNORE INTO key_token (key, token) VALUES (?1, ?2)", params![key.as_bytes(), token])
    }

    /// The tokens that a key is known to be on.
    pub fn tokens_of(&self, key: KeyName) -> rusqlite::Result<Vec<String>> {
        self.0
            .prepare_cached("SELECT token FROM key_token WHERE key = ?1 ORDER BY token")?
            .query_map(params![key.as_bytes()], |row| row.get(0))?
            .collect()
    }

    /// Forgets that a version was signed, so that it can be claimed again; its records stay.
    pub fn abandon(&self, id: CollectionId, role: &Role, version: Version) -> rusqlite::Result<()> {
        self.remove_mark(id, role, version)?;
        self.run(
            "UPDATE permit SET outcome = 'abandoned'
             WHERE collection = ?1 AND role = ?2 AND version = ?3 AND outcome IS NOT NULL",
            params![id.0, role.as_str(), signed(version.get())],
        )
    }

    /// Is a grant for this version in flight?
    pub fn in_flight(&self, id: CollectionId, role: &Role, version: Version) -> rusqlite::Result<bool> {
        self.0
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM permit
                 WHERE collection = ?1 AND role = ?2 AND version = ?3 AND outcome IS NULL)",
            )?
            .query_row(params![id.0, role.as_str(), signed(version.get())], |row| row.get(0))
    }

    /// Has this key signed, or was it granted, for a top-level role of another collection that counts: one of
    /// another name, or one of this name that is published?
    pub fn key_used_elsewhere(&self, key: KeyName, gun: &Gun, root1: &Digest) -> rusqlite::Result<bool> {
        self.0
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM permit JOIN collection ON collection.id = permit.collection
                 WHERE key = ?1 AND role IN ('targets', 'snapshot', 'timestamp') AND outcome IS NOT 'not-signed'
                 AND (gun <> ?2 OR (root1 <> ?3 AND published_root > 0)))",
            )?
            .query_row(params![key.as_bytes(), gun.as_str(), root1.as_bytes()], |row| row.get(0))
    }

    fn run(&self, sql: &str, values: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.0.prepare_cached(sql)?.execute(values).map(|_| ())
    }
}

/// Where a version in the ledger comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A grant.
    Granted,
    /// Verified metadata that was shown.
    Adopted,
}
