//! The quarantine as the link's SQLite keeps it: what waits for the admin, and what was decided.

use entente_federation::{Amount, Code, Item};
use entente_lexicon::{Did, Timestamp};

use crate::link::store::{self, LinkStore};
use crate::params;
use crate::store::sqlite::{Row, StoreError};

/// What was decided is remembered for so many messages, in case one is offered again.
const MAX_REMEMBERED: u64 = 1_000;

pub(super) const SCHEMA: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS quarantine(
        n INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL, sender TEXT NOT NULL,
        recipient TEXT NOT NULL, bytes BLOB NOT NULL, length INTEGER NOT NULL, reason TEXT NOT NULL,
        held_at INTEGER NOT NULL, lapses_at INTEGER NOT NULL, expires INTEGER,
        turn INTEGER, ended_at INTEGER, code TEXT, told INTEGER NOT NULL DEFAULT 0)",
    "CREATE UNIQUE INDEX IF NOT EXISTS quarantine_by_id ON quarantine(sender, id)",
];

/// A message in quarantine.
pub(super) struct Held {
    pub(super) n: u64,
    pub(super) item: Item,
    /// Its length; an ended one has no bytes any more.
    pub(super) length: u64,
    /// Why it waits.
    pub(super) reason: String,
    pub(super) held_at: Timestamp,
    pub(super) lapses_at: Timestamp,
    /// Its place among those that were released.
    pub(super) turn: Option<u64>,
    /// When it ended, and why it was refused if it was.
    pub(super) ended: Option<(Timestamp, Option<String>)>,
}

const COLUMNS: &str = "n, id, sender, recipient, bytes, expires, length, reason, held_at, lapses_at, \
     turn, ended_at, code";

fn held(row: &Row) -> Result<Held, StoreError> {
    let code = row.optional(12, Row::text)?;
    Ok(Held {
        n: row.integer(0)?,
        item: store::item(row)?,
        length: row.integer(6)?,
        reason: row.text(7)?,
        held_at: row.timestamp(8)?,
        lapses_at: row.timestamp(9)?,
        turn: row.optional(10, Row::integer)?,
        ended: row.optional(11, Row::timestamp)?.map(|at| (at, code)),
    })
}

impl LinkStore {
    /// Returns what is known of a message.
    pub(super) fn shelved(
        &self,
        sender: &Did,
        message: &[u8; 16],
    ) -> Result<Option<Held>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM quarantine WHERE sender = ? AND id = ?");
        let row = self.row(&sql, params![sender.as_str(), *message])?;
        row.as_ref().map(held).transpose()
    }

    pub(super) fn shelved_at(&self, n: u64) -> Result<Option<Held>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM quarantine WHERE n = ?");
        let row = self.row(&sql, params![n])?;
        row.as_ref().map(held).transpose()
    }

    /// Returns what has not ended, from `after` on.
    pub(super) fn shelf(&self, after: u64, limit: u32) -> Result<Vec<Held>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM quarantine WHERE ended_at IS NULL AND n > ? ORDER BY n LIMIT ?"
        );
        let rows = self.rows(&sql, params![after, limit])?;
        rows.iter().map(held).collect()
    }

    /// How much has not ended.
    pub(super) fn shelf_usage(&self) -> Result<Amount, StoreError> {
        let row = self.row(
            "SELECT COUNT(*), COALESCE(SUM(length), 0) FROM quarantine WHERE ended_at IS NULL",
            params![],
        )?;
        row.map_or(Ok(Amount::default()), |row| {
            Ok(Amount {
                items: row.integer(0)?,
                bytes: row.integer(1)?,
            })
        })
    }

    pub(super) fn shelve(
        &self,
        item: &Item,
        reason: &Code,
        (now, lapses_at): (Timestamp, Timestamp),
    ) -> Result<(), StoreError> {
        self.exec(
            "INSERT INTO quarantine(id, sender, recipient, bytes, length, reason, held_at, lapses_at,
                expires) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                item.id,
                item.from.as_str(),
                item.to.as_str(),
                item.bytes.as_ref(),
                item.bytes.len() as u64,
                reason.as_str(),
                now,
                lapses_at,
                item.expires
            ],
        )
    }

    /// Notes that a message is to be delivered, after those released before.
    pub(super) fn release(&self, n: u64) -> Result<(), StoreError> {
        self.exec(
            "UPDATE quarantine SET turn = (SELECT COALESCE(MAX(turn), 0) + 1 FROM quarantine)
             WHERE n = ? AND turn IS NULL AND ended_at IS NULL",
            params![n],
        )
    }

    /// Notes what became of a message; its sender is still to be told.
    pub(super) fn end_shelved(
        &self,
        n: u64,
        now: Timestamp,
        code: Option<&str>,
    ) -> Result<(), StoreError> {
        self.exec(
            "UPDATE quarantine SET ended_at = ?, code = ?, bytes = x''
             WHERE n = ? AND ended_at IS NULL",
            params![now, code.map(str::to_owned), n],
        )
    }

    /// Returns what nobody decided about in time.
    pub(super) fn lapsed(&self, now: Timestamp, limit: u32) -> Result<Vec<Held>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM quarantine WHERE ended_at IS NULL AND lapses_at <= ?
             ORDER BY n LIMIT ?"
        );
        let rows = self.rows(&sql, params![now, limit])?;
        rows.iter().map(held).collect()
    }

    /// Returns what was released, in that order.
    pub(super) fn released(&self, limit: u32) -> Result<Vec<Held>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM quarantine WHERE ended_at IS NULL AND turn IS NOT NULL
             ORDER BY turn LIMIT ?"
        );
        let rows = self.rows(&sql, params![limit])?;
        rows.iter().map(held).collect()
    }

    /// Returns what ended and was not told.
    pub(super) fn untold(&self, limit: u32) -> Result<Vec<Held>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM quarantine WHERE ended_at IS NOT NULL AND told = 0
             ORDER BY ended_at, n LIMIT ?"
        );
        let rows = self.rows(&sql, params![limit])?;
        rows.iter().map(held).collect()
    }

    /// Notes that outcomes were told, and forgets the oldest of those.
    pub(super) fn told_outcomes(&self, told: &[u64]) -> Result<(), StoreError> {
        let list = serde_json::to_string(told).unwrap_or_else(|_| "[]".to_owned());
        self.exec(
            "UPDATE quarantine SET told = 1 WHERE n IN (SELECT value FROM json_each(?))",
            params![list],
        )?;
        self.exec(
            "DELETE FROM quarantine WHERE n IN (
                SELECT n FROM quarantine WHERE told = 1 ORDER BY ended_at DESC LIMIT -1 OFFSET ?)",
            params![MAX_REMEMBERED],
        )
    }

    /// When something lapses next.
    pub(super) fn next_lapse(&self) -> Result<Option<Timestamp>, StoreError> {
        let row = self.row(
            "SELECT MIN(lapses_at) FROM quarantine WHERE ended_at IS NULL",
            params![],
        )?;
        row.map_or(Ok(None), |row| row.optional(0, Row::timestamp))
    }
}
