//! What archives under way still have to send, though it was replaced or deleted meanwhile.
//!
//! An archive is what the tree was when it was asked for. While one goes out, triggers put aside what
//! writes take away, so the writes themselves know nothing of it. What is put aside goes when the last
//! archive has ended, at the latest in the next life of the object.

use std::cell::Cell;
use std::rc::Rc;

use worker::console_warn;

use crate::agent::core::Core;
use crate::error::ApiError;
use crate::internal;
use crate::params;
use crate::store::sqlite::{Sqlite, StoreError};

/// So long anything is put aside for an archive. One that takes longer breaks off if it is overtaken.
pub(in crate::agent) const HOLD_MS: u64 = 10 * 60_000;

/// Created with the memory's tables. What an earlier life put aside nobody waits for.
pub(super) const HELD_SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS archives(until INTEGER PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS held_blocks(id BLOB PRIMARY KEY, block BLOB NOT NULL)",
    "CREATE TRIGGER IF NOT EXISTS hold_replaced AFTER UPDATE OF cid ON records
        WHEN EXISTS (SELECT 1 FROM archives WHERE until > unixepoch())
        BEGIN INSERT OR IGNORE INTO held_blocks(id, block) VALUES(OLD.cid, OLD.block); END",
    "CREATE TRIGGER IF NOT EXISTS hold_deleted AFTER DELETE ON records
        WHEN EXISTS (SELECT 1 FROM archives WHERE until > unixepoch())
        BEGIN INSERT OR IGNORE INTO held_blocks(id, block) VALUES(OLD.cid, OLD.block); END",
    "CREATE TRIGGER IF NOT EXISTS hold_keys AFTER DELETE ON wraps
        WHEN EXISTS (SELECT 1 FROM archives WHERE until > unixepoch())
        BEGIN INSERT OR IGNORE INTO held_blocks(id, block) VALUES(OLD.dek, OLD.row); END",
    "DELETE FROM archives",
    "DELETE FROM held_blocks",
];

/// An archive under way: what it still has to send is put aside until this is dropped.
pub(in crate::agent) struct Holding {
    db: Rc<Sqlite>,
    running: Rc<Cell<u32>>,
}

impl Holding {
    /// Returns what was put aside: a block by its CID, a row by the id of the key that it wraps.
    pub(in crate::agent) fn held(&self, id: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT block FROM held_blocks WHERE id = ?";
        let row = self.db.row(sql, params![id])?;
        row.map(|row| row.blob(0)).transpose()
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.running.set(self.running.get().saturating_sub(1));
        if self.running.get() > 0 {
            return;
        }
        for sql in ["DELETE FROM archives", "DELETE FROM held_blocks"] {
            if let Err(error) = self.db.exec(sql, params![]) {
                console_warn!("what was put aside for archives is not cleared away: {error}");
            }
        }
    }
}

impl Core {
    /// Tells whether there is a memory at all.
    pub(in crate::agent) fn has_records(&self) -> Result<bool, ApiError> {
        self.memory.is_used()
    }

    /// Begins to put aside what writes take away; nothing if there are no records.
    pub(in crate::agent) fn hold_records(&self) -> Result<Option<Holding>, ApiError> {
        if !self.memory.is_used()? {
            return Ok(None);
        }
        self.memory.prepare()?;
        let until = internal::now().after(HOLD_MS).0.div_ceil(1_000);
        let db = Rc::clone(&self.memory.store.db);
        let sql = "INSERT INTO archives(until) VALUES(?) ON CONFLICT DO NOTHING";
        db.exec(sql, params![until])?;
        let running = Rc::clone(&self.memory.archives);
        running.set(running.get().saturating_add(1));
        Ok(Some(Holding { db, running }))
    }
}
