//! What the replica is fed from: revisions, and what they are of.

use entente_lexicon::RecordPath;

use crate::agent::memory::store::{COLUMNS, MemoryStore, StoredRecord, names, path, record, texts};
use crate::params;
use crate::store::sqlite::{Row, StoreError};

/// A record that was removed.
pub(super) struct Removed {
    pub(super) revision: u64,
    pub(super) path: RecordPath,
}

/// Whom a record is shared with, and the row that wraps its key for them.
pub(super) struct ShareRow {
    pub(super) recipient: String,
    pub(super) at: u64,
    pub(super) row: Option<Vec<u8>>,
}

impl MemoryStore {
    /// Tells whether the replica may still have a record that was removed.
    pub(super) fn is_being_removed(&self, path: &RecordPath) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM removed_records WHERE collection = ? AND rkey = ? LIMIT 1";
        Ok(self.db.row(sql, names(path))?.is_some())
    }

    /// Returns the last revision; 0 where there is none.
    pub(super) fn last_revision(&self) -> Result<u64, StoreError> {
        let row = self.db.row(
            "SELECT max(coalesce((SELECT max(revision) FROM records), 0),
                coalesce((SELECT max(revision) FROM removed_records), 0))",
            params![],
        )?;
        row.ok_or(StoreError::Column(0))?.integer(0)
    }

    /// Gives a record another revision.
    pub(super) fn touch(&self, path: &RecordPath, revision: u64) -> Result<(), StoreError> {
        let [collection, rkey] = texts(path);
        self.db.exec(
            "UPDATE records SET revision = ? WHERE collection = ? AND rkey = ?",
            params![revision, collection, rkey],
        )
    }

    /// Gives each record of a list its own revision, from `first` on.
    pub(super) fn touch_all<'a>(
        &self,
        paths: impl Iterator<Item = &'a RecordPath>,
        first: u64,
    ) -> Result<(), StoreError> {
        let list: Vec<_> = paths.map(texts).collect();
        self.db.exec(
            "UPDATE records SET revision = ?1 + j.key FROM json_each(?2) AS j
             WHERE collection = j.value ->> 0 AND rkey = j.value ->> 1",
            params![first, serde_json::to_string(&list).unwrap_or_default()],
        )
    }

    /// Returns how many changes follow `revision`, and the first of them.
    pub(super) fn pending(&self, revision: u64) -> Result<(u64, Option<u64>), StoreError> {
        let row = self.db.row(
            "SELECT count(*), min(revision) FROM (
                SELECT revision FROM records WHERE revision > ?1 UNION ALL
                SELECT revision FROM removed_records WHERE revision > ?1)",
            params![revision],
        )?;
        let row = row.ok_or(StoreError::Column(0))?;
        Ok((row.integer(0)?, row.optional(1, Row::integer)?))
    }

    /// Returns the first records that changed after `revision`.
    pub(super) fn changed(
        &self,
        revision: u64,
        limit: u32,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM records WHERE revision > ? ORDER BY revision LIMIT ?");
        let rows = self.db.rows(&sql, params![revision, limit])?;
        rows.iter().map(record).collect()
    }

    /// Returns the first records that were removed after `revision`.
    pub(super) fn removed(&self, revision: u64, limit: u32) -> Result<Vec<Removed>, StoreError> {
        let rows = self.db.rows(
            "SELECT revision, collection, rkey FROM removed_records
             WHERE revision > ? ORDER BY revision LIMIT ?",
            params![revision, limit],
        )?;
        let removed = |row: &Row| {
            Ok(Removed {
                revision: row.integer(0)?,
                path: path(row, 1)?,
            })
        };
        rows.iter().map(removed).collect()
    }

    /// Forgets removals up to `revision`: the replica knows of them.
    pub(super) fn drop_removed(&self, revision: u64) -> Result<(), StoreError> {
        self.db.exec(
            "DELETE FROM removed_records WHERE revision <= ?",
            params![revision],
        )
    }

    /// Returns whom a record is shared with, and the rows that were sent to them.
    pub(super) fn share_rows(&self, path: &RecordPath) -> Result<Vec<ShareRow>, StoreError> {
        let [collection, rkey] = texts(path);
        let rows = self.db.rows(
            "SELECT recipient, at, row FROM shares WHERE collection = ? AND rkey = ?
             ORDER BY recipient",
            params![collection, rkey],
        )?;
        let share = |row: &Row| {
            Ok(ShareRow {
                recipient: row.text(0)?,
                at: row.integer(1)?,
                row: row.optional(2, Row::blob)?,
            })
        };
        rows.iter().map(share).collect()
    }
}
