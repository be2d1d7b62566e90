//! The tables of A2A: who may call, and where tasks are told.

use std::rc::Rc;

use entente_lexicon::Timestamp;
use entente_lexicon::api::a2a::A2aKeyView;

use crate::params;
use crate::store::sqlite::{Row, Sqlite, StoreError};

const SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS a2a_callers(
        n INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, hash TEXT NOT NULL UNIQUE,
        created_at INTEGER NOT NULL, revoked_at INTEGER)",
    "CREATE TABLE IF NOT EXISTS a2a_places(
        task INTEGER NOT NULL, id TEXT NOT NULL, target TEXT NOT NULL, PRIMARY KEY(task, id))
        WITHOUT ROWID",
];

/// Typed access to the tables of A2A.
#[derive(Clone)]
pub(super) struct A2aStore {
    pub(super) db: Rc<Sqlite>,
}

impl A2aStore {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self { db }
    }

    pub(super) fn create(&self) -> Result<(), StoreError> {
        SCHEMA
            .iter()
            .try_for_each(|sql| self.db.exec(sql, params![]))
    }

    /// Writes down a caller and the hash of its key; returns its number.
    pub(super) fn add_caller(
        &self,
        name: &str,
        hash: &str,
        at: Timestamp,
    ) -> Result<u64, StoreError> {
        let sql = "INSERT INTO a2a_callers(name, hash, created_at) VALUES(?, ?, ?) RETURNING n";
        let row = self.db.row(sql, params![name, hash, at])?;
        row.ok_or(StoreError::Column(0))?.integer(0)
    }

    /// Finds the caller whose key has this hash and still works.
    pub(super) fn caller(&self, hash: &str) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT n FROM a2a_callers WHERE hash = ? AND revoked_at IS NULL";
        let row = self.db.row(sql, params![hash])?;
        row.map(|row| row.integer(0)).transpose()
    }

    /// Returns what a caller is called.
    pub(super) fn caller_name(&self, n: u64) -> Result<Option<String>, StoreError> {
        let row = self
            .db
            .row("SELECT name FROM a2a_callers WHERE n = ?", params![n])?;
        row.map(|row| row.text(0)).transpose()
    }

    /// Counts the keys that work.
    pub(super) fn count_callers(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM a2a_callers WHERE revoked_at IS NULL";
        let row = self.db.row(sql, params![])?;
        row.ok_or(StoreError::Column(0))?.integer(0)
    }

    pub(super) fn callers(&self) -> Result<Vec<A2aKeyView>, StoreError> {
        let sql = "SELECT n, name, created_at, revoked_at FROM a2a_callers ORDER BY n DESC";
        let rows = self.db.rows(sql, params![])?;
        rows.iter()
            .map(|row| {
                Ok(A2aKeyView {
                    id: row.integer(0)?,
                    name: row.text(1)?,
                    created_at: row.timestamp(2)?,
                    revoked_at: row.optional(3, Row::timestamp)?,
                })
            })
            .collect()
    }

    /// Has a key stop working; returns whether there is such a key at all.
    pub(super) fn revoke(&self, n: u64, at: Timestamp) -> Result<bool, StoreError> {
        let sql = "UPDATE a2a_callers SET revoked_at = coalesce(revoked_at, ?) WHERE n = ?
                   RETURNING n";
        Ok(self.db.row(sql, params![at, n])?.is_some())
    }

    /// Writes down where a task is told: the place's name, and its target.
    pub(super) fn add_place(&self, task: u64, id: &str, target: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO a2a_places(task, id, target) VALUES(?, ?, ?)";
        self.db.exec(sql, params![task, id, target])
    }

    /// Returns where a task is told: names, and targets.
    pub(super) fn places(&self, task: u64) -> Result<Vec<(String, String)>, StoreError> {
        let sql = "SELECT id, target FROM a2a_places WHERE task = ? ORDER BY id";
        let rows = self.db.rows(sql, params![task])?;
        rows.iter()
            .map(|row| Ok((row.text(0)?, row.text(1)?)))
            .collect()
    }

    /// Forgets a place; returns its target, if there was one.
    pub(super) fn remove_place(&self, task: u64, id: &str) -> Result<Option<String>, StoreError> {
        let sql = "DELETE FROM a2a_places WHERE task = ? AND id = ? RETURNING target";
        let row = self.db.row(sql, params![task, id])?;
        row.map(|row| row.text(0)).transpose()
    }
}
