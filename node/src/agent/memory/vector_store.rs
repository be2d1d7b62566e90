//! The tables of search by meaning: vectors, sealed, and what has still to be done about them.

use std::collections::BTreeSet;

use entente_lexicon::Timestamp;
use entente_memory::repo::Cid;

use crate::agent::memory::store::{COLUMNS, MemoryStore, StoredRecord, record};
use crate::params;
use crate::store::sqlite::{Row, StoreError};

/// Beside the memory's other tables.
pub(super) const VECTOR_SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS vectors(n INTEGER PRIMARY KEY, sealed BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS vector_work(
        n INTEGER PRIMARY KEY, gone TEXT, tries INTEGER NOT NULL DEFAULT 0, due INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS vector_work_by_due ON vector_work(due)",
];

/// Something to be done about a record's vector.
pub(super) struct Work {
    pub(super) n: u64,
    /// Whether it is to be removed from an index elsewhere; otherwise it is to be made.
    pub(super) gone: bool,
    pub(super) tries: u32,
}

/// Records of a collection, all public or all not.
pub(super) struct Group {
    pub(super) collection: String,
    pub(super) public: bool,
}

impl MemoryStore {
    /// Has a record's vector made; one of what it was is gone from here.
    pub(super) fn want_vector(&self, n: u64, now: Timestamp) -> Result<(), StoreError> {
        self.db
            .exec("DELETE FROM vectors WHERE n = ?", params![n])?;
        self.db.exec(
            "INSERT OR REPLACE INTO vector_work(n, due) VALUES(?, ?)",
            params![n, now],
        )
    }

    /// Drops a record's vector here. Where one may be elsewhere, `name` is the record's, blinded, and
    /// its removal is work to do.
    pub(super) fn drop_vector(
        &self,
        n: u64,
        name: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.db
            .exec("DELETE FROM vectors WHERE n = ?", params![n])?;
        self.db
            .exec("DELETE FROM vector_work WHERE n = ?", params![n])?;
        let Some(name) = name else { return Ok(()) };
        self.db.exec(
            "INSERT INTO vector_work(n, gone, due) VALUES(?, ?, ?)",
            params![n, name, now],
        )
    }

    /// Tells whether a vector of the record with this blinded name may still be elsewhere.
    pub(super) fn is_vector_left(&self, name: &str) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM vector_work WHERE gone = ? LIMIT 1";
        Ok(self.db.row(sql, params![name])?.is_some())
    }

    /// Keeps a vector, unless the record has changed since it was read.
    pub(super) fn keep_vector(&self, n: u64, cid: &Cid, sealed: &[u8]) -> Result<bool, StoreError> {
        let same = "SELECT 1 FROM records WHERE n = ? AND cid = ?";
        if self.db.row(same, params![n, cid.to_bytes()])?.is_none() {
            return Ok(false);
        }
        self.db.exec(
            "INSERT OR REPLACE INTO vectors(n, sealed) VALUES(?, ?)",
            params![n, sealed],
        )?;
        self.vector_done(n)?;
        Ok(true)
    }

    pub(super) fn vector_done(&self, n: u64) -> Result<(), StoreError> {
        self.db
            .exec("DELETE FROM vector_work WHERE n = ?", params![n])
    }

    /// Returns work that is due, what has waited longest first.
    pub(super) fn vector_work(&self, now: Timestamp, limit: u32) -> Result<Vec<Work>, StoreError> {
        let rows = self.db.rows(
            "SELECT n, gone IS NOT NULL, tries FROM vector_work WHERE due <= ?
             ORDER BY due, n LIMIT ?",
            params![now, limit],
        )?;
        let work = |row: &Row| {
            Ok(Work {
                n: row.integer(0)?,
                gone: row.flag(1)?,
                tries: u32::try_from(row.integer(2)?).unwrap_or(u32::MAX),
            })
        };
        rows.iter().map(work).collect()
    }

    /// Returns when the next work is due.
    pub(super) fn vector_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let row = self.db.row("SELECT min(due) FROM vector_work", params![])?;
        row.map_or(Ok(None), |row| row.optional(0, Row::timestamp))
    }

    pub(super) fn put_off(&self, n: u64, due: Timestamp) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE vector_work SET tries = tries + 1, due = ? WHERE n = ?",
            params![due, n],
        )
    }

    /// All work is due at once.
    pub(super) fn hasten(&self, now: Timestamp) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE vector_work SET tries = 0, due = ? WHERE due > ?",
            params![now, now],
        )
    }

    /// Returns how many vectors there are, and how much work.
    pub(super) fn vector_counts(&self) -> Result<(u64, u64), StoreError> {
        let row = self.db.row(
            "SELECT (SELECT count(*) FROM vectors), (SELECT count(*) FROM vector_work)",
            params![],
        )?;
        let row = row.ok_or(StoreError::Column(0))?;
        Ok((row.integer(0)?, row.integer(1)?))
    }

    /// Returns all vectors, sealed, a page at a time.
    pub(super) fn vectors(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let rows = self.db.rows(
            "SELECT n, sealed FROM vectors WHERE n > ? ORDER BY n LIMIT ?",
            params![after, limit],
        )?;
        rows.iter()
            .map(|row| Ok((row.integer(0)?, row.blob(1)?)))
            .collect()
    }

    pub(super) fn vector(&self, n: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT sealed FROM vectors WHERE n = ?";
        let row = self.db.row(sql, params![n])?;
        row.map(|row| row.blob(0)).transpose()
    }

    /// Drops all vectors.
    pub(super) fn drop_vectors(&self) -> Result<(), StoreError> {
        self.db.exec("DELETE FROM vectors", params![])?;
        self.db
            .exec("DELETE FROM vector_work WHERE gone IS NULL", params![])
    }

    /// Returns which sorts of records there are.
    pub(super) fn groups(&self) -> Result<Vec<Group>, StoreError> {
        let rows = self.db.rows(
            "SELECT DISTINCT collection, level = 'public' FROM records",
            params![],
        )?;
        let group = |row: &Row| {
            Ok(Group {
                collection: row.text(0)?,
                public: row.flag(1)?,
            })
        };
        rows.iter().map(group).collect()
    }

    /// Has the vectors of a group made that are not there; stale records have none.
    pub(super) fn want_group(&self, group: &Group, now: Timestamp) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT OR IGNORE INTO vector_work(n, due) SELECT n, ?3 FROM records
             WHERE collection = ?1 AND (level = 'public') = ?2 AND n NOT IN (SELECT n FROM vectors)
                AND n NOT IN (SELECT n FROM record_life WHERE stale_since IS NOT NULL)",
            params![&group.collection, group.public, now],
        )
    }

    /// Returns the records of a group that have a vector, or are to have one.
    pub(super) fn with_vectors(&self, group: &Group) -> Result<Vec<u64>, StoreError> {
        let rows = self.db.rows(
            "SELECT n FROM records WHERE collection = ? AND (level = 'public') = ? AND (
                n IN (SELECT n FROM vectors) OR
                n IN (SELECT n FROM vector_work WHERE gone IS NULL))",
            params![&group.collection, group.public],
        )?;
        rows.iter().map(|row| row.integer(0)).collect()
    }

    /// Returns records by their places; those that are gone are left out.
    pub(super) fn by_places(&self, places: &[u64]) -> Result<Vec<StoredRecord>, StoreError> {
        let places =
            serde_json::to_string(places).map_err(|error| StoreError::Sql(error.to_string()))?;
        let sql =
            format!("SELECT {COLUMNS} FROM records WHERE n IN (SELECT value FROM json_each(?))");
        let rows = self.db.rows(&sql, params![places])?;
        rows.iter().map(record).collect()
    }

    /// Returns the places of all records in the archive.
    pub(super) fn archived(&self) -> Result<BTreeSet<u64>, StoreError> {
        let rows = self.db.rows(
            "SELECT n FROM record_life WHERE archived_at IS NOT NULL",
            params![],
        )?;
        rows.iter().map(|row| row.integer(0)).collect()
    }
}
