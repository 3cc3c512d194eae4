//! Where the ledger is kept. SQL is named only here.

mod sqlite;

pub use sqlite::{Batch, BatchError, CollectionId, NewPermit, OpenPermit, Origin, Store, StoreError, StoredRecord};
