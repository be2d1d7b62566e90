//! What streams evt and ctl keep in the link's SQLite: what waits for the peer, and what arrived
//! and has not been passed on.

use entente_federation::{Item, Stream};
use entente_lexicon::Timestamp;

use crate::link::store::{LinkStore, item, key};
use crate::params;
use crate::store::sqlite::StoreError;

/// Something that arrived.
pub(super) struct Arrival {
    pub(super) n: u64,
    pub(super) item: Item,
}

/// Items that the peer dropped before they reached us.
pub(super) struct Gap {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) at: Timestamp,
}

impl LinkStore {
    pub(super) fn append_other(
        &self,
        stream: Stream,
        seq: u64,
        sent: bool,
        item: &Item,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO others(stream, seq, id, sender, recipient, bytes, queued_at, sent)
             VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                stream.as_str(),
                seq,
                item.id,
                item.from.as_str(),
                item.to.as_str(),
                item.bytes.as_ref(),
                now,
                sent
            ],
        )
    }

    pub(super) fn empty_other(&self, stream: Stream, seq: u64) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE others SET bytes = x'' WHERE stream = ? AND seq = ?",
            params![stream.as_str(), seq],
        )
    }

    pub(super) fn settle_others(&self, stream: Stream, upto: u64) -> Result<(), StoreError> {
        self.set_meta(&key("out_acked", stream), &upto.to_string())?;
        self.db.exec(
            "DELETE FROM others WHERE stream = ? AND seq <= ?",
            params![stream.as_str(), upto],
        )
    }

    pub(super) fn received(&self, stream: Stream, item: &Item) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO arrivals(stream, id, sender, recipient, bytes) VALUES(?, ?, ?, ?, ?)",
            params![
                stream.as_str(),
                item.id,
                item.from.as_str(),
                item.to.as_str(),
                item.bytes.as_ref()
            ],
        )
    }

    pub(super) fn gap(
        &self,
        stream: Stream,
        first: u64,
        last: u64,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT OR REPLACE INTO gaps(stream, first, last, at) VALUES(?, ?, ?, ?)",
            params![stream.as_str(), first, last, at],
        )
    }

    /// How many items of a stream wait to be passed on.
    pub(super) fn arrived(&self, stream: Stream) -> Result<u64, StoreError> {
        let row = self.db.row(
            "SELECT COUNT(*) FROM arrivals WHERE stream = ?",
            params![stream.as_str()],
        )?;
        row.map_or(Ok(0), |row| row.integer(0))
    }

    /// Returns what waits to be passed on, oldest first.
    pub(super) fn arrivals(&self, stream: Stream, limit: u32) -> Result<Vec<Arrival>, StoreError> {
        let rows = self.db.rows(
            "SELECT n, id, sender, recipient, bytes, NULL FROM arrivals
             WHERE stream = ? ORDER BY n LIMIT ?",
            params![stream.as_str(), limit],
        )?;
        rows.iter()
            .map(|row| {
                Ok(Arrival {
                    n: row.integer(0)?,
                    item: item(row)?,
                })
            })
            .collect()
    }

    /// Forgets what was passed on.
    pub(super) fn passed_on(&self, stream: Stream, upto: u64) -> Result<(), StoreError> {
        self.db.exec(
            "DELETE FROM arrivals WHERE stream = ? AND n <= ?",
            params![stream.as_str(), upto],
        )
    }

    /// Returns the gaps that nobody was told of.
    pub(super) fn gaps(&self, stream: Stream) -> Result<Vec<Gap>, StoreError> {
        let rows = self.db.rows(
            "SELECT first, last, at FROM gaps WHERE stream = ? ORDER BY first",
            params![stream.as_str()],
        )?;
        rows.iter()
            .map(|row| {
                Ok(Gap {
                    first: row.integer(0)?,
                    last: row.integer(1)?,
                    at: row.timestamp(2)?,
                })
            })
            .collect()
    }

    /// Forgets a gap that was told of.
    pub(super) fn told_gap(&self, stream: Stream, first: u64) -> Result<(), StoreError> {
        self.db.exec(
            "DELETE FROM gaps WHERE stream = ? AND first = ?",
            params![stream.as_str(), first],
        )
    }
}
