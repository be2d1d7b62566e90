//! The tables in which a snapshot waits to be uploaded, or to be applied. They are never part of one.

use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ApiError;
use crate::params;
use crate::store::sqlite::{Sqlite, StoreError};

/// What tables of backups begin with.
pub(super) const OWN: &str = "backup_";

const SCHEMA: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS backup_state(k TEXT PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS backup_stage(
        subject TEXT NOT NULL, n INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY(subject, n))",
];

/// Typed access to those tables.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) db: Rc<Sqlite>,
}

impl Stage {
    pub(super) fn create(&self) -> Result<(), StoreError> {
        SCHEMA
            .iter()
            .try_for_each(|sql| self.db.aside(sql, params![]))
    }

    pub(super) fn exists(&self) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'backup_state'";
        Ok(self.db.row(sql, params![])?.is_some())
    }

    /// Whether the object has tables of its own besides these.
    pub(super) fn is_used(&self) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'";
        Ok(self.db.row(sql, params![])?.is_some())
    }

    pub(super) fn state<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ApiError> {
        let sql = "SELECT v FROM backup_state WHERE k = ?";
        let row = self.db.row(sql, params![key])?;
        row.map(|row| serde_ipld_dagcbor::from_slice(&row.blob(0)?).map_err(ApiError::internal))
            .transpose()
    }

    pub(super) fn set_state(&self, key: &str, value: &impl Serialize) -> Result<(), ApiError> {
        let bytes = serde_ipld_dagcbor::to_vec(value).map_err(ApiError::internal)?;
        self.db.aside(
            "INSERT INTO backup_state(k, v) VALUES(?1, ?2) ON CONFLICT(k) DO UPDATE SET v = ?2",
            params![key, bytes],
        )?;
        Ok(())
    }

    pub(super) fn drop_state(&self, key: &str) -> Result<(), StoreError> {
        self.db
            .aside("DELETE FROM backup_state WHERE k = ?", params![key])
    }

    pub(super) fn put(&self, subject: &str, n: u64, bytes: &[u8]) -> Result<(), StoreError> {
        self.db.aside(
            "INSERT OR REPLACE INTO backup_stage(subject, n, bytes) VALUES(?, ?, ?)",
            params![subject, n, bytes],
        )
    }

    /// Returns the first chunk that waits, from `n` on.
    pub(super) fn next(&self, subject: &str, n: u64) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let row = self.db.row(
            "SELECT n, bytes FROM backup_stage WHERE subject = ? AND n >= ? ORDER BY n LIMIT 1",
            params![subject, n],
        )?;
        row.map(|row| Ok((row.integer(0)?, row.blob(1)?)))
            .transpose()
    }

    pub(super) fn clear(&self, subject: &str) -> Result<(), StoreError> {
        self.db.aside(
            "DELETE FROM backup_stage WHERE subject = ?",
            params![subject],
        )
    }

    pub(super) fn drop_one(&self, subject: &str, n: u64) -> Result<(), StoreError> {
        self.db.aside(
            "DELETE FROM backup_stage WHERE subject = ? AND n = ?",
            params![subject, n],
        )
    }
}
