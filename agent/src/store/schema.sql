-- One row: who this ledger is.
CREATE TABLE ledger (
    id      BLOB NOT NULL,
    schema  INTEGER NOT NULL
) STRICT;

-- The audit log. Rows are only ever added.
CREATE TABLE record (
    seq   INTEGER PRIMARY KEY,
    body  BLOB NOT NULL,
    leaf  BLOB NOT NULL
) STRICT;

-- A collection is a name and the digest of its root version 1.
CREATE TABLE collection (
    id              INTEGER PRIMARY KEY,
    gun             TEXT NOT NULL,
    root1           BLOB NOT NULL,
    published_root  INTEGER NOT NULL DEFAULT 0,
    UNIQUE (gun, root1)
) STRICT;

-- Root metadata that was verified; two contents of one version can exist after a lost race.
CREATE TABLE root (
    collection  INTEGER NOT NULL REFERENCES collection (id),
    version     INTEGER NOT NULL,
    digest      BLOB NOT NULL,
    PRIMARY KEY (collection, version, digest)
) STRICT, WITHOUT ROWID;

-- One content for one version of one line: the primary key is the promise.
CREATE TABLE mark (
    collection  INTEGER NOT NULL REFERENCES collection (id),
    role        TEXT NOT NULL,
    version     INTEGER NOT NULL,
    digest      BLOB NOT NULL,
    adopted     INTEGER NOT NULL,
    PRIMARY KEY (collection, role, version)
) STRICT, WITHOUT ROWID;

-- One row for each key of each grant; `collection` is null for a certificate. No outcome: in flight.
CREATE TABLE permit (
    seq         INTEGER NOT NULL,
    key         BLOB NOT NULL,
    collection  INTEGER REFERENCES collection (id),
    role        TEXT NOT NULL,
    version     INTEGER NOT NULL,
    outcome     TEXT,
    PRIMARY KEY (seq, key)
) STRICT, WITHOUT ROWID;

-- Tokens that a key was made on or has signed on: an absent token is missed, although nobody asks it.
CREATE TABLE key_token (
    key    BLOB NOT NULL,
    token  TEXT NOT NULL,
    PRIMARY KEY (key, token)
) STRICT, WITHOUT ROWID;

CREATE INDEX permit_in_flight ON permit (seq) WHERE outcome IS NULL;
CREATE INDEX permit_of_version ON permit (collection, role, version);
CREATE INDEX permit_of_key ON permit (key);
