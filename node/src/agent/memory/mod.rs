//! The agent's memory: records that only it and those it shares with can read.
//!
//! SQLite is the truth: a record, the row that wraps its key, the tree that names it and what
//! search knows of it are one transaction, and only then is anything answered. Start reading at
//! [`records`].

mod blobs;
mod compact;
mod endorsements;
mod forget;
mod held;
mod hiding;
mod import;
mod import_store;
mod keys;
mod life;
mod life_store;
mod named;
mod query;
mod records;
mod replica;
mod replica_store;
mod routes;
mod search;
mod settings;
mod share;
mod share_store;
mod shared;
mod store;
mod vector_store;
mod vectors;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use entente_lexicon::{RecordPath, Tid, Timestamp};
use entente_trust::memory::KekRing;

pub(super) use held::Holding;
pub(super) use named::Named;
pub(super) use records::invalid;
pub(super) use shared::ShareFault;
use store::MemoryStore;

use crate::auth::percent::decode;
use crate::error::ApiError;
use crate::store::sqlite::Sqlite;

/// The memory while the object is awake.
pub(super) struct Memory {
    store: MemoryStore,
    blobs: blobs::Blobs,
    /// The keys that wrap, once they have been unsealed in this life of the object.
    ring: RefCell<Option<Rc<KekRing>>>,
    /// The last record key that was made of the clock.
    last_key: RefCell<Option<Tid>>,
    /// What blinds words, once its root has been unsealed.
    indexes: RefCell<Option<Rc<search::Indexes>>>,
    /// How many records there are and how many bytes they hold, once they have been counted.
    usage: Cell<Option<(u64, u64)>>,
    /// How far the replica is behind.
    replica: replica::Replica,
    /// What may have ceased to be public, until the directory knows.
    unpublished: RefCell<BTreeSet<RecordPath>>,
    /// How often records were read and when last, until that is stored.
    reads: RefCell<BTreeMap<u64, (u32, Timestamp)>>,
    vectors: vectors::Vectors,
    /// Whether the tables are known to be there.
    ready: Cell<bool>,
    /// Whether an archive is being imported.
    importing: Rc<Cell<bool>>,
    /// Archives on their way out.
    archives: Rc<Cell<u32>>,
    /// Whether those who share records are being told of changes.
    telling: Cell<bool>,
}

impl Memory {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self {
            blobs: blobs::Blobs::new(Rc::clone(&db)),
            store: MemoryStore::new(db),
            ring: RefCell::new(None),
            last_key: RefCell::new(None),
            indexes: RefCell::new(None),
            usage: Cell::new(None),
            replica: replica::Replica::default(),
            unpublished: RefCell::default(),
            reads: RefCell::new(BTreeMap::new()),
            vectors: vectors::Vectors::default(),
            ready: Cell::new(false),
            importing: Rc::default(),
            archives: Rc::default(),
            telling: Cell::new(false),
        }
    }

    /// Returns how many records there are and how many bytes they hold. Counted once in each life of
    /// the object.
    fn usage(&self) -> Result<(u64, u64), ApiError> {
        if let Some(usage) = self.usage.get() {
            return Ok(usage);
        }
        let usage = self.store.usage()?;
        self.usage.set(Some(usage));
        Ok(usage)
    }

    /// Goes on counting: `old` bytes went and `new` ones came.
    fn count(&self, old: Option<usize>, new: Option<usize>) {
        let after = |(records, bytes): (u64, u64)| {
            let come = |bytes: Option<usize>| bytes.unwrap_or_default() as u64;
            (
                (records + u64::from(new.is_some())).saturating_sub(u64::from(old.is_some())),
                (bytes + come(new)).saturating_sub(come(old)),
            )
        };
        self.usage.set(self.usage.get().map(after));
    }

    /// Whether there is anything to tend: agents that never stored anything have no tables.
    fn is_used(&self) -> Result<bool, ApiError> {
        Ok(self.ready.get() || self.store.exists()?)
    }

    /// Makes the tables where there are none yet, once in each life of the object.
    fn prepare(&self) -> Result<(), ApiError> {
        if !self.ready.replace(true) {
            self.store.create()?;
        }
        Ok(())
    }
}

/// An import under way; over when dropped.
struct Importing(Rc<Cell<bool>>);

impl Importing {
    /// Begins, unless one is under way.
    fn begin(running: &Rc<Cell<bool>>) -> Option<Self> {
        (!running.replace(true)).then(|| Self(Rc::clone(running)))
    }
}

impl Drop for Importing {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Reads a record's id as routes take it: `collection:rkey`, percent-encoded or not.
fn path_of(id: &str) -> Result<RecordPath, ApiError> {
    let unknown = || {
        ApiError::not_found(
            "UNKNOWN_RECORD",
            "There is no such record: its id is `collection:rkey`, as lists show it.",
        )
    };
    let id = decode(id).ok_or_else(unknown)?;
    let (collection, rkey) = id.split_once(':').ok_or_else(unknown)?;
    RecordPath::parse(&format!("{collection}/{rkey}")).map_err(|_error| unknown())
}

/// Writes a record's id.
fn id_of(path: &RecordPath) -> String {
    format!("{}:{}", path.collection(), path.rkey())
}

/// Microseconds since 1970.
fn micros(now: Timestamp) -> u64 {
    now.0.saturating_mul(1_000)
}
