//! The tables of filters and of what they let through.

use std::rc::Rc;

use entente_firehose::Cursor;
use entente_lexicon::Timestamp;
use entente_lexicon::api::wakes::{SetWakeFilter, Wake};

use crate::error::ApiError;
use crate::params;
use crate::store::sqlite::{Row, Sqlite, StoreError};

/// `told` is the version of the filters that the relay has, `epoch` and `seq` how far it has told us;
/// `dropped` the cursor of the last wake that is not kept any more.
const SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS wake_filters(
        n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, filter TEXT NOT NULL,
        set_at INTEGER NOT NULL, version INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS wakes(
        n INTEGER PRIMARY KEY AUTOINCREMENT, epoch TEXT NOT NULL, seq INTEGER NOT NULL, body TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS wakes_by_place ON wakes(epoch, seq)",
    "CREATE TABLE IF NOT EXISTS wake_state(
        one INTEGER PRIMARY KEY CHECK(one = 1), version INTEGER NOT NULL DEFAULT 0,
        told INTEGER NOT NULL DEFAULT 0, epoch TEXT, seq INTEGER NOT NULL DEFAULT 0, dropped TEXT)",
    "INSERT OR IGNORE INTO wake_state(one) VALUES(1)",
];

/// Wakes that are kept; the oldest give way.
const MAX_KEPT: u64 = 1_000;

/// A filter as it is kept.
pub(super) struct Kept {
    pub(super) id: String,
    pub(super) filter: SetWakeFilter,
    pub(super) set_at: Timestamp,
    /// Since which version of all filters it is like this.
    pub(super) version: u64,
}

/// How far the relay and this agent are with each other.
#[derive(Default)]
pub(super) struct State {
    pub(super) version: u64,
    pub(super) told: u64,
    pub(super) at: Option<Cursor>,
    pub(super) dropped: Option<Cursor>,
}

/// Typed access to the tables of filters.
pub(in crate::agent) struct WakeStore {
    db: Rc<Sqlite>,
}

impl WakeStore {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self { db }
    }

    pub(super) fn create(&self) -> Result<(), StoreError> {
        if self.exists()? {
            return Ok(());
        }
        SCHEMA
            .iter()
            .try_for_each(|sql| self.db.exec(sql, params![]))
    }

    /// Tells whether filters were ever asked for.
    pub(super) fn exists(&self) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'wake_state'";
        Ok(self.db.row(sql, params![])?.is_some())
    }

    pub(super) fn filters(&self) -> Result<Vec<Kept>, ApiError> {
        let sql = "SELECT id, filter, set_at, version FROM wake_filters ORDER BY n";
        let rows = self.db.rows(sql, params![])?;
        let kept = rows.iter().map(|row| {
            Ok(Kept {
                id: row.text(0)?,
                filter: serde_json::from_str(&row.text(1)?)?,
                set_at: row.timestamp(2)?,
                version: row.integer(3)?,
            })
        });
        kept.collect()
    }

    pub(super) fn put_filter(&self, kept: &Kept) -> Result<(), ApiError> {
        let filter = serde_json::to_string(&kept.filter)?;
        self.db.exec(
            "INSERT INTO wake_filters(id, filter, set_at, version) VALUES(?1, ?2, ?3, ?4)
             ON CONFLICT(id) DO UPDATE SET filter = ?2, set_at = ?3, version = ?4",
            params![kept.id.as_str(), filter, kept.set_at, kept.version],
        )?;
        Ok(())
    }

    /// Returns whether there was one.
    pub(super) fn remove_filter(&self, id: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM wake_filters WHERE id = ? RETURNING 1";
        Ok(self.db.row(sql, params![id])?.is_some())
    }

    pub(super) fn state(&self) -> Result<State, StoreError> {
        let sql = "SELECT version, told, epoch, seq, dropped FROM wake_state";
        let Some(row) = self.db.row(sql, params![])? else {
            return Ok(State::default());
        };
        let epoch = row.optional(2, Row::text)?;
        let seq = row.integer(3)?;
        let dropped = row.optional(4, Row::text)?;
        Ok(State {
            version: row.integer(0)?,
            told: row.integer(1)?,
            at: epoch.map(|epoch| Cursor { epoch, seq }),
            dropped: dropped.and_then(|dropped| dropped.parse().ok()),
        })
    }

    pub(super) fn set_version(&self, version: u64) -> Result<(), StoreError> {
        self.db
            .exec("UPDATE wake_state SET version = ?", params![version])
    }

    pub(super) fn set_told(&self, version: u64) -> Result<(), StoreError> {
        self.db
            .exec("UPDATE wake_state SET told = ?", params![version])
    }

    /// The relay may know other filters than these, or none: it is told once more, under a version that
    /// is later than any it has.
    pub(in crate::agent) fn begin_anew(&self, now: Timestamp) -> Result<(), StoreError> {
        if !self.exists()? {
            return Ok(());
        }
        self.db.exec(
            "UPDATE wake_state SET told = 0, version = max(version + 1, ?)",
            params![now],
        )
    }

    pub(super) fn set_at(&self, at: &Cursor) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE wake_state SET epoch = ?, seq = ?",
            params![at.epoch.as_str(), at.seq],
        )
    }

    pub(super) fn add(&self, at: &Cursor, wake: &Wake) -> Result<(), ApiError> {
        let body = serde_json::to_string(wake)?;
        self.db.exec(
            "INSERT INTO wakes(epoch, seq, body) VALUES(?, ?, ?)",
            params![at.epoch.as_str(), at.seq, body],
        )?;
        Ok(())
    }

    /// Lets the oldest go where there are too many, and remembers where the last of them was.
    pub(super) fn prune(&self) -> Result<(), StoreError> {
        let row = self.db.row(
            "SELECT n, epoch || '.' || seq FROM wakes ORDER BY n DESC LIMIT 1 OFFSET ?",
            params![MAX_KEPT],
        )?;
        let Some(row) = row else { return Ok(()) };
        let (n, dropped) = (row.integer(0)?, row.text(1)?);
        self.db.exec("DELETE FROM wakes WHERE n <= ?", params![n])?;
        self.db
            .exec("UPDATE wake_state SET dropped = ?", params![dropped])
    }

    /// Returns the row of the last wake up to a place.
    pub(super) fn row_at(&self, place: &Cursor) -> Result<Option<u64>, StoreError> {
        let row = self.db.row(
            "SELECT max(n) FROM wakes WHERE epoch = ? AND seq <= ?",
            params![place.epoch.as_str(), place.seq],
        )?;
        row.map_or(Ok(None), |row| row.optional(0, Row::integer))
    }

    /// Tells whether a sequence of events is one that something of is kept.
    pub(super) fn knows_epoch(&self, epoch: &str) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM wakes WHERE epoch = ? LIMIT 1";
        Ok(self.db.row(sql, params![epoch])?.is_some())
    }

    pub(super) fn after(&self, n: u64, limit: u32) -> Result<Vec<Wake>, ApiError> {
        let sql = "SELECT body FROM wakes WHERE n > ? ORDER BY n LIMIT ?";
        let rows = self.db.rows(sql, params![n, limit])?;
        rows.iter()
            .map(|row| Ok(serde_json::from_str(&row.text(0)?)?))
            .collect()
    }
}
