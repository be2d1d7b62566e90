//! The link's SQLite: the peer, the outbox, cursors, and what its senders must still be told.

use std::collections::BTreeMap;
use std::rc::Rc;

use data_encoding::HEXLOWER;
use entente_federation::{Change, Code, Item, Reject, Restored, RestoredIn, RestoredOut};
use entente_lexicon::{Did, Timestamp};

use crate::link::{history, upgrade};
use crate::params;
use crate::store::sqlite::{Row, Sqlite, StoreError};
use worker::SqlStorageValue;

const SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS meta(k TEXT PRIMARY KEY, v TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS outbox(
        seq INTEGER PRIMARY KEY, id BLOB NOT NULL, sender TEXT NOT NULL, object TEXT NOT NULL,
        recipient TEXT NOT NULL, bytes BLOB NOT NULL, queued_at INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS outbox_by_id ON outbox(id)",
    "CREATE TABLE IF NOT EXISTS acks(upto INTEGER PRIMARY KEY, at INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS refusals(
        seq INTEGER PRIMARY KEY, code TEXT NOT NULL, at INTEGER NOT NULL,
        told INTEGER NOT NULL DEFAULT 0)",
    "CREATE TABLE IF NOT EXISTS rejects(seq INTEGER PRIMARY KEY, id BLOB NOT NULL, code TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS cards(
        agent TEXT PRIMARY KEY, card TEXT NOT NULL, fetched_at INTEGER NOT NULL) WITHOUT ROWID",
];

/// A message handed over by an agent of ours.
pub(super) struct Outgoing {
    pub(super) item: Item,
    /// The sending agent's object, where receipts go.
    pub(super) object: String,
}

/// A message whose sender must be told how it ended.
pub(super) struct Ended {
    pub(super) seq: u64,
    pub(super) id: Vec<u8>,
    pub(super) object: String,
    pub(super) at: Timestamp,
    /// Why it was refused; `None` if it was delivered.
    pub(super) code: Option<String>,
    /// Whether the peer settled it; if not, we refused it ourselves.
    pub(super) by_peer: bool,
}

/// What is stored under one message's id.
#[derive(Default)]
pub(super) struct Held(Vec<Vec<u8>>);

impl Held {
    /// Tells whether a message that is handed over again is stored already. One that its sender
    /// sealed anew after a refusal is another; one that was withdrawn has no bytes any more.
    pub(super) fn holds(&self, item: &Item) -> bool {
        let known = |bytes: &Vec<u8>| bytes.is_empty() || bytes[..] == *item.bytes;
        self.0.iter().any(known)
    }
}

/// Typed access to the link's database.
#[derive(Clone)]
pub(super) struct LinkStore {
    db: Rc<Sqlite>,
}

impl LinkStore {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self { db }
    }

    pub(super) fn transaction<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.db.transaction(work)
    }

    pub(super) fn exec(&self, sql: &str, params: Vec<SqlStorageValue>) -> Result<(), StoreError> {
        self.db.exec(sql, params)
    }

    pub(super) fn row(
        &self,
        sql: &str,
        params: Vec<SqlStorageValue>,
    ) -> Result<Option<Row>, StoreError> {
        self.db.row(sql, params)
    }

    pub(super) fn rows(
        &self,
        sql: &str,
        params: Vec<SqlStorageValue>,
    ) -> Result<Vec<Row>, StoreError> {
        self.db.rows(sql, params)
    }

    pub(super) fn forget_meta(&self, key: &str) -> Result<(), StoreError> {
        self.exec("DELETE FROM meta WHERE k = ?", params![key])
    }

    pub(super) fn create(&self) -> Result<(), StoreError> {
        SCHEMA
            .iter()
            .chain([&upgrade::SCHEMA])
            .chain(&history::SCHEMA)
            .try_for_each(|sql| self.db.exec(sql, params![]))
    }

    /// Returns whether `init` ever ran here.
    pub(super) fn exists(&self) -> Result<bool, StoreError> {
        let row = self.db.row(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'",
            params![],
        )?;
        Ok(row.is_some())
    }

    pub(super) fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        let row = self
            .db
            .row("SELECT v FROM meta WHERE k = ?", params![key])?;
        row.map(|row| row.text(0)).transpose()
    }

    pub(super) fn set_meta(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO meta(k, v) VALUES(?, ?) ON CONFLICT(k) DO UPDATE SET v = excluded.v",
            params![key, value],
        )
    }

    /// Numbers are kept as text: an epoch may exceed what a JavaScript number holds.
    fn number(&self, key: &str) -> Result<u64, StoreError> {
        Ok(self
            .meta(key)?
            .and_then(|text| text.parse().ok())
            .unwrap_or_default())
    }

    /// Reads everything the machine needs to go on.
    pub(super) fn restored(&self) -> Result<Restored, StoreError> {
        let acked = self.number("out_acked")?;
        let last = self
            .db
            .row("SELECT COALESCE(MAX(seq), 0) FROM outbox", params![])?;
        let last = last.map_or(Ok(0), |row| row.integer(0))?;
        let queued = self.db.row(
            "SELECT COALESCE(SUM(LENGTH(bytes)), 0) FROM outbox WHERE seq > ?",
            params![acked],
        )?;
        let rejects = self
            .db
            .rows("SELECT seq, id, code FROM rejects ORDER BY seq", params![])?;
        Ok(Restored {
            out: RestoredOut {
                epoch: self.number("out_epoch")?,
                next_seq: last.max(acked).saturating_add(1),
                acked,
                queued_bytes: queued.map_or(Ok(0), |row| row.integer(0))?,
            },
            inn: RestoredIn {
                epoch: self.number("in_epoch")?,
                seq: self.number("in_seq")?,
            },
            attested: Some(Timestamp(self.number("attested")?)).filter(|until| until.0 > 0),
            dial_own: self.number("dial_own")?,
            dial_peer: self.number("dial_peer")?,
            rejects: rejects.iter().map(reject).collect::<Result<_, _>>()?,
        })
    }

    /// Stores one change. `offered` is what the input offered, for `Append`.
    pub(super) fn apply(
        &self,
        change: &Change,
        offered: &[Outgoing],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match change {
            Change::Append {
                index_in_input,
                seq,
            } => match offered.get(*index_in_input) {
                Some(outgoing) => self.append(*seq, outgoing, now),
                None => Ok(()),
            },
            // The handoff's answer carries it; nothing is kept.
            Change::Refuse { .. } => Ok(()),
            Change::Withdrawn { seq, code, .. } => self.withdraw(*seq, code, now),
            Change::Acked {
                upto, at, rejects, ..
            } => self.acked(*upto, *at, rejects),
            Change::Cursor { epoch, seq } => {
                self.set_meta("in_epoch", &epoch.to_string())?;
                self.set_meta("in_seq", &seq.to_string())
            }
            Change::Rejected(reject) => self.db.exec(
                "INSERT OR REPLACE INTO rejects(seq, id, code) VALUES(?, ?, ?)",
                params![reject.seq, reject.id, reject.code.as_str()],
            ),
            Change::RejectsConfirmed { upto } => self
                .db
                .exec("DELETE FROM rejects WHERE seq <= ?", params![*upto]),
            Change::Attested { bytes, until } => {
                self.set_meta("attestation", &HEXLOWER.encode(bytes))?;
                let until = until.map_or(0, |until| until.0);
                self.set_meta("attested", &until.to_string())
            }
            Change::DialOwn(number) => self.set_meta("dial_own", &number.to_string()),
            Change::DialPeer(number) => self.set_meta("dial_peer", &number.to_string()),
            Change::OutEpoch { epoch } => self.set_meta("out_epoch", &epoch.to_string()),
        }
    }

    fn append(&self, seq: u64, outgoing: &Outgoing, now: Timestamp) -> Result<(), StoreError> {
        let Outgoing { item, object } = outgoing;
        self.db.exec(
            "INSERT INTO outbox(seq, id, sender, object, recipient, bytes, queued_at)
             VALUES(?, ?, ?, ?, ?, ?, ?)",
            params![
                seq,
                item.id,
                item.from.as_str(),
                object,
                item.to.as_str(),
                item.bytes.as_ref(),
                now
            ],
        )
    }

    fn withdraw(&self, seq: u64, code: &Code, now: Timestamp) -> Result<(), StoreError> {
        self.db
            .exec("UPDATE outbox SET bytes = x'' WHERE seq = ?", params![seq])?;
        self.refuse(seq, code.as_str(), now)
    }

    fn refuse(&self, seq: u64, code: &str, at: Timestamp) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT OR IGNORE INTO refusals(seq, code, at) VALUES(?, ?, ?)",
            params![seq, code, at],
        )
    }

    fn acked(&self, upto: u64, at: Timestamp, rejects: &[Reject]) -> Result<(), StoreError> {
        self.set_meta("out_acked", &upto.to_string())?;
        self.db.exec(
            "INSERT OR REPLACE INTO acks(upto, at) VALUES(?, ?)",
            params![upto, at],
        )?;
        rejects
            .iter()
            .try_for_each(|reject| self.refuse(reject.seq, reject.code.as_str(), at))
    }

    /// Refuses everything that was not acknowledged, because the peer is being removed.
    pub(super) fn refuse_all(&self, code: &str, now: Timestamp) -> Result<(), StoreError> {
        let acked = self.number("out_acked")?;
        self.db.exec(
            "INSERT OR IGNORE INTO refusals(seq, code, at) SELECT seq, ?, ? FROM outbox WHERE seq > ?",
            params![code, now, acked],
        )
    }

    /// Finds which of the messages that an agent hands over are stored already.
    pub(super) fn held<'a>(
        &self,
        ids: impl Iterator<Item = &'a [u8]>,
        sender: &Did,
    ) -> Result<BTreeMap<[u8; 16], Held>, StoreError> {
        let ids: Vec<String> = ids.map(|id| HEXLOWER.encode(id)).collect();
        let rows = self.db.rows(
            "SELECT id, bytes FROM outbox WHERE sender = ?
             AND id IN (SELECT unhex(value) FROM json_each(?))",
            params![
                sender.as_str(),
                serde_json::to_string(&ids).unwrap_or_default()
            ],
        )?;
        let mut held: BTreeMap<_, Held> = BTreeMap::new();
        for row in &rows {
            held.entry(id(row, 0)?).or_default().0.push(row.blob(1)?);
        }
        Ok(held)
    }

    /// Reads the outbox from `from_seq` on, within both bounds, at least one message.
    pub(super) fn load(
        &self,
        from_seq: u64,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<Vec<(u64, Item)>, StoreError> {
        let rows = self.db.rows(
            "SELECT seq, id, sender, recipient, bytes FROM outbox WHERE seq >= ? ORDER BY seq LIMIT ?",
            params![from_seq, max_items],
        )?;
        let mut total = 0_usize;
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            let item = (row.integer(0)?, item(row)?);
            total = total.saturating_add(item.1.bytes.len());
            if total > max_bytes && !items.is_empty() {
                break;
            }
            items.push(item);
        }
        Ok(items)
    }

    /// Returns messages that ended and whose senders were not told yet, oldest first.
    pub(super) fn ended(&self, limit: u32) -> Result<Vec<Ended>, StoreError> {
        let acked = self.number("out_acked")?;
        let rows = self.db.rows(
            "SELECT o.seq, o.id, o.object, r.code,
                COALESCE(r.at, (SELECT a.at FROM acks a WHERE a.upto >= o.seq ORDER BY a.upto LIMIT 1), 0)
             FROM outbox o LEFT JOIN refusals r ON r.seq = o.seq
             WHERE (o.seq <= ? OR r.seq IS NOT NULL) AND COALESCE(r.told, 0) = 0
             ORDER BY o.seq LIMIT ?",
            params![acked, limit],
        )?;
        rows.iter()
            .map(|row| {
                let seq = row.integer(0)?;
                Ok(Ended {
                    seq,
                    id: row.blob(1)?,
                    object: row.text(2)?,
                    code: row.optional(3, Row::text)?,
                    at: row.timestamp(4)?,
                    by_peer: seq <= acked,
                })
            })
            .collect()
    }

    /// Forgets a message whose sender was told; one that the peer has not settled yet stays, marked.
    pub(super) fn told(&self, seqs: &[u64]) -> Result<(), StoreError> {
        let acked = self.number("out_acked")?;
        let list = serde_json::to_string(seqs).unwrap_or_else(|_| "[]".to_owned());
        self.db.exec(
            "UPDATE refusals SET told = 1 WHERE seq IN (SELECT value FROM json_each(?))",
            params![&list],
        )?;
        self.db.exec(
            "DELETE FROM outbox WHERE seq <= ?1 AND seq IN (SELECT value FROM json_each(?2))",
            params![acked, &list],
        )?;
        // A withdrawn message goes once the peer has settled its number.
        self.db.exec(
            "DELETE FROM outbox WHERE seq <= ? AND seq IN (SELECT seq FROM refusals WHERE told = 1)",
            params![acked],
        )?;
        self.db.exec(
            "DELETE FROM refusals WHERE told = 1 AND seq NOT IN (SELECT seq FROM outbox)",
            params![],
        )?;
        self.db.exec(
            "DELETE FROM acks WHERE upto < (SELECT COALESCE(MIN(seq), 9007199254740991) FROM outbox)",
            params![],
        )
    }

    /// Returns sender and recipient of each message that waits.
    pub(super) fn waiting(&self) -> Result<Vec<(Did, Did)>, StoreError> {
        let acked = self.number("out_acked")?;
        let rows = self.db.rows(
            "SELECT sender, recipient FROM outbox WHERE seq > ? AND LENGTH(bytes) > 0 ORDER BY seq",
            params![acked],
        )?;
        rows.iter()
            .map(|row| Ok((did(row, 0)?, did(row, 1)?)))
            .collect()
    }

    /// Returns the peer's agents whose cards are known.
    pub(super) fn known_agents(&self) -> Result<Vec<Did>, StoreError> {
        let rows = self.db.rows(
            "SELECT agent FROM cards WHERE agent LIKE 'did:%' ORDER BY agent LIMIT ?",
            params![MAX_SHOWN],
        )?;
        rows.iter().map(|row| did(row, 0)).collect()
    }

    /// Returns when the oldest message that waits was queued.
    pub(super) fn oldest(&self) -> Result<Option<Timestamp>, StoreError> {
        let acked = self.number("out_acked")?;
        let row = self.db.row(
            "SELECT queued_at FROM outbox WHERE seq > ? ORDER BY seq LIMIT 1",
            params![acked],
        )?;
        row.map(|row| row.timestamp(0)).transpose()
    }

    pub(super) fn card(
        &self,
        agent: &str,
        newer_than: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let row = self.db.row(
            "SELECT card FROM cards WHERE agent = ? AND fetched_at > ?",
            params![agent, newer_than],
        )?;
        row.map(|row| row.text(0)).transpose()
    }

    /// Keeps a card under each of its names; the oldest make room beyond `MAX_CARDS`.
    pub(super) fn keep_card(
        &self,
        names: &[&str],
        card: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for name in names {
            self.db.exec(
                "INSERT OR REPLACE INTO cards(agent, card, fetched_at) VALUES(?, ?, ?)",
                params![*name, card, now],
            )?;
        }
        self.db.exec(
            "DELETE FROM cards WHERE agent IN (
                SELECT agent FROM cards ORDER BY fetched_at DESC LIMIT -1 OFFSET ?)",
            params![MAX_CARDS],
        )
    }
}

/// Agents of the peer that a preview looks at.
const MAX_SHOWN: u32 = 1_000;
/// Cards kept per peer.
const MAX_CARDS: u32 = 10_000;

fn item(row: &Row) -> Result<Item, StoreError> {
    Ok(Item {
        id: id(row, 1)?,
        from: did(row, 2)?,
        to: did(row, 3)?,
        bytes: row.blob(4)?.into(),
    })
}

fn did(row: &Row, column: usize) -> Result<Did, StoreError> {
    Did::parse(&row.text(column)?)
        .ok()
        .ok_or(StoreError::Column(column))
}

fn reject(row: &Row) -> Result<Reject, StoreError> {
    Ok(Reject {
        seq: row.integer(0)?,
        id: id(row, 1)?,
        code: Code::lossy(&row.text(2)?),
    })
}

fn id(row: &Row, column: usize) -> Result<[u8; 16], StoreError> {
    row.blob(column)?
        .try_into()
        .ok()
        .ok_or(StoreError::Column(column))
}
