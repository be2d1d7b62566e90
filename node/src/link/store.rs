//! The link's SQLite: the peer, the outbox, cursors, and what its senders must still be told.

use std::collections::BTreeMap;
use std::rc::Rc;

use data_encoding::HEXLOWER;
use entente_federation::{
    Bounce, Change, Code, Evidence, Item, Reject, Restored, RestoredIn, RestoredOut, Stream,
    Streams, Waiting,
};
use entente_lexicon::{Did, Timestamp};

use crate::link::{history, public, shelf, upgrade};
use crate::params;
use crate::proof::Proof;
use crate::store::sqlite::{Row, Sqlite, StoreError};
use worker::SqlStorageValue;

const SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS meta(k TEXT PRIMARY KEY, v TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS outbox(
        seq INTEGER PRIMARY KEY, id BLOB NOT NULL, sender TEXT NOT NULL, object TEXT NOT NULL,
        recipient TEXT NOT NULL, bytes BLOB NOT NULL, queued_at INTEGER NOT NULL,
        expires INTEGER, sent INTEGER)",
    "CREATE TABLE IF NOT EXISTS proofs(n INTEGER PRIMARY KEY, proof BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS acks(
        upto INTEGER PRIMARY KEY, at INTEGER NOT NULL, proof INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS refusals(
        seq INTEGER PRIMARY KEY, code TEXT NOT NULL, at INTEGER NOT NULL, by_peer INTEGER NOT NULL,
        proof INTEGER, told INTEGER NOT NULL DEFAULT 0)",
    "CREATE TABLE IF NOT EXISTS doubts(
        seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, proof INTEGER NOT NULL,
        told INTEGER NOT NULL DEFAULT 0)",
    "CREATE TABLE IF NOT EXISTS others(
        stream TEXT NOT NULL, seq INTEGER NOT NULL, id BLOB NOT NULL, sender TEXT NOT NULL,
        recipient TEXT NOT NULL, bytes BLOB NOT NULL, queued_at INTEGER NOT NULL,
        sent INTEGER NOT NULL, PRIMARY KEY(stream, seq)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS arrivals(
        n INTEGER PRIMARY KEY, stream TEXT NOT NULL, id BLOB NOT NULL, sender TEXT NOT NULL, recipient TEXT NOT NULL, bytes BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS gaps(
        stream TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY(stream, first)) WITHOUT ROWID",
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
    /// Whether the peer says so; if not, we do.
    pub(super) by_peer: bool,
    /// When it was first transmitted.
    pub(super) sent: Option<Timestamp>,
    /// The signature under that.
    pub(super) proof: Option<u64>,
    /// Whether nothing follows.
    pub(super) is_final: bool,
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
    pub(super) db: Rc<Sqlite>,
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
            .chain([&upgrade::SCHEMA, &public::SCHEMA])
            .chain(&history::SCHEMA)
            .chain(&shelf::SCHEMA)
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

    pub(super) fn drop_meta(&self, key: &str) -> Result<(), StoreError> {
        self.db.exec("DELETE FROM meta WHERE k = ?", params![key])
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
        let rejects = self
            .db
            .rows("SELECT seq, id, code FROM rejects ORDER BY seq", params![])?;
        Ok(Restored {
            out: Streams {
                msg: self.restored_out(Stream::Msg)?,
                evt: self.restored_out(Stream::Evt)?,
                ctl: self.restored_out(Stream::Ctl)?,
            },
            inn: Streams {
                msg: self.restored_in(Stream::Msg)?,
                evt: self.restored_in(Stream::Evt)?,
                ctl: self.restored_in(Stream::Ctl)?,
            },
            attested: Some(Timestamp(self.number("attested")?)).filter(|until| until.0 > 0),
            dial_own: self.number("dial_own")?,
            dial_peer: self.number("dial_peer")?,
            rejects: rejects.iter().map(reject).collect::<Result<_, _>>()?,
        })
    }

    fn restored_out(&self, stream: Stream) -> Result<RestoredOut, StoreError> {
        let acked = self.number(&key("out_acked", stream))?;
        let rows = match stream {
            Stream::Msg => self.db.rows(
                "SELECT o.seq, o.id, LENGTH(o.bytes), o.queued_at, o.expires, o.sent IS NOT NULL, d.seq IS NOT NULL
                 FROM outbox o LEFT JOIN doubts d ON d.seq = o.seq WHERE o.seq > ? ORDER BY o.seq",
                params![acked],
            )?,
            Stream::Evt | Stream::Ctl => self.db.rows(
                "SELECT seq, id, LENGTH(bytes), queued_at, NULL, sent, 0 FROM others
                 WHERE stream = ? AND seq > ? ORDER BY seq",
                params![stream.as_str(), acked],
            )?,
        };
        let mut sent = self.number(&key("out_sent", stream))?;
        let mut last = acked;
        let mut waiting = Vec::with_capacity(rows.len());
        for row in &rows {
            last = row.integer(0)?;
            if row.flag(5)? {
                sent = sent.max(last);
            }
            let one = Waiting {
                id: id(row, 1)?,
                length: u32::try_from(row.integer(2)?).unwrap_or(u32::MAX),
                queued_at: row.timestamp(3)?,
                expires: row.optional(4, Row::timestamp)?,
                unconfirmed: row.flag(6)?,
            };
            waiting.push((last, one));
        }
        Ok(RestoredOut {
            epoch: self.number(&key("out_epoch", stream))?,
            next_seq: last.saturating_add(1),
            acked,
            sent,
            rows: waiting,
        })
    }

    fn restored_in(&self, stream: Stream) -> Result<RestoredIn, StoreError> {
        Ok(RestoredIn {
            epoch: self.number(&key("in_epoch", stream))?,
            seq: self.number(&key("in_seq", stream))?,
            held: self.arrived(stream)?,
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
                stream,
                index_in_input,
                seq,
                sent,
            } => match offered.get(*index_in_input) {
                Some(outgoing) => self.append(*stream, *seq, *sent, outgoing, now),
                None => Ok(()),
            },
            Change::Sent { stream, upto } => self.sent(*stream, *upto, now),
            // The handoff's answer carries it; nothing is kept.
            Change::Refuse { .. } => Ok(()),
            Change::Bounced {
                at,
                bounces,
                evidence,
            } => self.bounced(*at, bounces, evidence),
            Change::Emptied { stream, seq } => self.empty_other(*stream, *seq),
            Change::Settled { stream, upto, .. } => self.settle_others(*stream, *upto),
            Change::Acked {
                upto,
                at,
                rejects,
                evidence,
            } => self.acked(*upto, *at, rejects, evidence),
            Change::Received { stream, item, .. } => self.received(*stream, item),
            Change::Gap { stream, from, upto } => self.gap(*stream, *from, *upto, now),
            Change::Cursor { stream, epoch, seq } => {
                self.set_meta(&key("in_epoch", *stream), &epoch.to_string())?;
                self.set_meta(&key("in_seq", *stream), &seq.to_string())
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
            Change::OutEpoch { stream, epoch } => {
                self.set_meta(&key("out_epoch", *stream), &epoch.to_string())
            }
        }
    }

    fn append(
        &self,
        stream: Stream,
        seq: u64,
        sent: bool,
        outgoing: &Outgoing,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Outgoing { item, object } = outgoing;
        if stream != Stream::Msg {
            return self.append_other(stream, seq, sent, item, now);
        }
        self.db.exec(
            "INSERT INTO outbox(seq, id, sender, object, recipient, bytes, queued_at, expires, sent)
             VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                seq,
                item.id,
                item.from.as_str(),
                object,
                item.to.as_str(),
                item.bytes.as_ref(),
                now,
                item.expires,
                sent.then_some(now)
            ],
        )
    }

    /// Notes how far a stream may have been transmitted, and of messages since when.
    fn sent(&self, stream: Stream, upto: u64, now: Timestamp) -> Result<(), StoreError> {
        let name = key("out_sent", stream);
        if stream == Stream::Msg {
            self.db.exec(
                "UPDATE outbox SET sent = ? WHERE seq > ? AND seq <= ? AND sent IS NULL",
                params![now, self.number(&name)?, upto],
            )?;
        }
        self.set_meta(&name, &upto.to_string())
    }

    /// Keeps a signature; returns its place.
    fn keep_proof(&self, evidence: &Evidence) -> Result<u64, StoreError> {
        let row = self.db.row(
            "INSERT INTO proofs(proof) VALUES(?) RETURNING n",
            params![Proof::new(evidence).encode()],
        )?;
        row.map_or(Err(StoreError::Column(0)), |row| row.integer(0))
    }

    fn bounced(
        &self,
        at: Timestamp,
        bounces: &[Bounce],
        evidence: &Evidence,
    ) -> Result<(), StoreError> {
        let proof = self.keep_proof(evidence)?;
        for bounce in bounces {
            if bounce.is_final {
                self.db.exec(
                    "UPDATE outbox SET bytes = x'' WHERE seq = ?",
                    params![bounce.seq],
                )?;
                self.refuse(bounce.seq, bounce.code.as_str(), at, false, Some(proof))?;
            } else {
                self.db.exec(
                    "INSERT OR IGNORE INTO doubts(seq, at, proof) VALUES(?, ?, ?)",
                    params![bounce.seq, at, proof],
                )?;
            }
        }
        Ok(())
    }

    fn refuse(
        &self,
        seq: u64,
        code: &str,
        at: Timestamp,
        by_peer: bool,
        proof: Option<u64>,
    ) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT OR IGNORE INTO refusals(seq, code, at, by_peer, proof) VALUES(?, ?, ?, ?, ?)",
            params![seq, code, at, by_peer, proof],
        )
    }

    fn acked(
        &self,
        upto: u64,
        at: Timestamp,
        rejects: &[Reject],
        evidence: &Evidence,
    ) -> Result<(), StoreError> {
        let proof = self.keep_proof(evidence)?;
        self.set_meta(&key("out_acked", Stream::Msg), &upto.to_string())?;
        self.db.exec(
            "INSERT OR REPLACE INTO acks(upto, at, proof) VALUES(?, ?, ?)",
            params![upto, at, proof],
        )?;
        rejects.iter().try_for_each(|reject| {
            self.refuse(reject.seq, reject.code.as_str(), at, true, Some(proof))
        })
    }

    /// Refuses everything that was not acknowledged, because the peer is being removed.
    pub(super) fn refuse_all(&self, code: &str, now: Timestamp) -> Result<(), StoreError> {
        let acked = self.number(&key("out_acked", Stream::Msg))?;
        self.db.exec(
            "INSERT OR IGNORE INTO refusals(seq, code, at, by_peer)
             SELECT seq, ?, ?, 0 FROM outbox WHERE seq > ?",
            params![code, now, acked],
        )
    }

    /// Finds which of the messages that an agent hands over once more are stored already. That is
    /// rare, and the outbox bounded: no index serves it.
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

    /// Reads an outbox from `from_seq` on, within both bounds, at least one item.
    pub(super) fn load(
        &self,
        stream: Stream,
        from_seq: u64,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<Vec<(u64, Item)>, StoreError> {
        let rows = match stream {
            Stream::Msg => self.db.rows(
                "SELECT seq, id, sender, recipient, bytes, expires FROM outbox
                 WHERE seq >= ? ORDER BY seq LIMIT ?",
                params![from_seq, max_items],
            )?,
            Stream::Evt | Stream::Ctl => self.db.rows(
                "SELECT seq, id, sender, recipient, bytes, NULL FROM others
                 WHERE stream = ? AND seq >= ? ORDER BY seq LIMIT ?",
                params![stream.as_str(), from_seq, max_items],
            )?,
        };
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

    /// Returns messages of which their senders must still be told something, oldest first.
    pub(super) fn ended(&self, limit: u32) -> Result<Vec<Ended>, StoreError> {
        let acked = self.number(&key("out_acked", Stream::Msg))?;
        let rows = self.db.rows(
            "SELECT o.seq, o.id, o.object, r.code,
                COALESCE(r.at, a.at, d.at, 0), COALESCE(r.by_peer, o.seq <= ?1),
                CASE WHEN r.seq IS NOT NULL THEN r.proof WHEN o.seq <= ?1 THEN a.proof ELSE d.proof END,
                r.seq IS NOT NULL OR o.seq <= ?1, o.sent
             FROM outbox o LEFT JOIN refusals r ON r.seq = o.seq
                LEFT JOIN doubts d ON d.seq = o.seq AND d.told = 0
                LEFT JOIN acks a ON a.upto = (SELECT MIN(upto) FROM acks WHERE upto >= o.seq)
             WHERE (o.seq <= ?1 OR r.seq IS NOT NULL OR d.seq IS NOT NULL)
                AND COALESCE(r.told, 0) = 0
             ORDER BY o.seq LIMIT ?2",
            params![acked, limit],
        )?;
        rows.iter()
            .map(|row| {
                Ok(Ended {
                    seq: row.integer(0)?,
                    id: row.blob(1)?,
                    object: row.text(2)?,
                    code: row.optional(3, Row::text)?,
                    at: row.timestamp(4)?,
                    by_peer: row.flag(5)?,
                    proof: row.optional(6, Row::integer)?,
                    is_final: row.flag(7)?,
                    sent: row.optional(8, Row::timestamp)?,
                })
            })
            .collect()
    }

    /// Reads a signature.
    pub(super) fn proof(&self, n: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self
            .db
            .row("SELECT proof FROM proofs WHERE n = ?", params![n])?;
        row.map(|row| row.blob(0)).transpose()
    }

    /// Notes that senders were told of doubts about their messages.
    pub(super) fn told_doubts(&self, seqs: &[u64]) -> Result<(), StoreError> {
        let list = serde_json::to_string(seqs).unwrap_or_else(|_| "[]".to_owned());
        self.db.exec(
            "UPDATE doubts SET told = 1 WHERE seq IN (SELECT value FROM json_each(?))",
            params![&list],
        )
    }

    /// Forgets a message whose sender was told; one that the peer has not settled yet stays, marked.
    pub(super) fn told(&self, seqs: &[u64]) -> Result<(), StoreError> {
        let acked = self.number(&key("out_acked", Stream::Msg))?;
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
        for sql in [
            "DELETE FROM refusals WHERE told = 1 AND seq NOT IN (SELECT seq FROM outbox)",
            "DELETE FROM doubts WHERE seq NOT IN (SELECT seq FROM outbox)",
            "DELETE FROM acks WHERE upto < (SELECT COALESCE(MIN(seq), 9007199254740991) FROM outbox)",
            "DELETE FROM proofs WHERE n NOT IN (SELECT proof FROM acks)
                AND n NOT IN (SELECT proof FROM refusals WHERE proof IS NOT NULL)
                AND n NOT IN (SELECT proof FROM doubts)",
        ] {
            self.db.exec(sql, params![])?;
        }
        Ok(())
    }

    /// Returns sender and recipient of each message that waits.
    pub(super) fn waiting(&self) -> Result<Vec<(Did, Did)>, StoreError> {
        let acked = self.number(&key("out_acked", Stream::Msg))?;
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
        let acked = self.number(&key("out_acked", Stream::Msg))?;
        let row = self.db.row(
            "SELECT queued_at FROM outbox WHERE seq > ? ORDER BY seq LIMIT 1",
            params![acked],
        )?;
        row.map(|row| row.timestamp(0)).transpose()
    }

    /// Returns what is known of an agent's card and log, and since when.
    pub(super) fn card(&self, agent: &str) -> Result<Option<(String, Timestamp)>, StoreError> {
        let row = self.db.row(
            "SELECT card, fetched_at FROM cards WHERE agent = ?",
            params![agent],
        )?;
        row.map(|row| Ok((row.text(0)?, row.timestamp(1)?)))
            .transpose()
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

/// The name under which a number of a stream is kept.
pub(super) fn key(name: &str, stream: Stream) -> String {
    format!("{name}_{}", stream.as_str())
}

pub(super) fn item(row: &Row) -> Result<Item, StoreError> {
    Ok(Item {
        id: id(row, 1)?,
        from: did(row, 2)?,
        to: did(row, 3)?,
        bytes: row.blob(4)?.into(),
        expires: row.optional(5, Row::timestamp)?,
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

pub(super) fn id(row: &Row, column: usize) -> Result<[u8; 16], StoreError> {
    row.blob(column)?
        .try_into()
        .ok()
        .ok_or(StoreError::Column(column))
}
