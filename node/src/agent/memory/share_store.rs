//! The tables of sharing: with whom our records are shared, and what others share with us.

use entente_lexicon::{Did, MessageId, RecordPath, Timestamp};
use entente_memory::repo::Cid;
use entente_trust::memory::{DekId, Place};
use worker::SqlStorageValue;

use crate::agent::memory::store::{MemoryStore, StoredRecord, cid, dek, names, path, texts};
use crate::params;
use crate::store::sqlite::{Row, StoreError};

/// Records that one agent may be sending in parts at a time.
const MAX_INCOMING: u32 = 32;

/// How often a share that was refused for the keys it names is made anew.
const MAX_ATTEMPTS: u32 = 5;

/// Somebody that a record is shared with.
#[derive(Clone, Debug)]
pub(super) struct StoredShare {
    pub(super) recipient: Did,
    pub(super) host: String,
    pub(super) at: Timestamp,
    /// How often the owner asked for it again.
    pub(super) attempt: u64,
}

/// A record that another agent shares with this one.
pub(super) struct StoredShared {
    /// Its place among all, in the order in which they first came.
    pub(super) n: u64,
    pub(super) owner: Did,
    /// The host of its owner's network.
    pub(super) host: String,
    pub(super) path: RecordPath,
    pub(super) version: u64,
    pub(super) cid: Cid,
    pub(super) dek: DekId,
    /// The key under a key of ours.
    pub(super) wrap: Vec<u8>,
    pub(super) epoch: u32,
    pub(super) block: Vec<u8>,
    pub(super) received_at: Timestamp,
}

impl StoredShared {
    /// Where the record stands in its owner's memory.
    pub(super) fn place(&self) -> Place<'_> {
        Place {
            owner: &self.owner,
            collection: self.path.collection().as_str(),
            rkey: self.path.rkey().as_str(),
        }
    }
}

/// A record that is coming in.
pub(super) struct Incoming {
    pub(super) cid: Cid,
    pub(super) version: u64,
    pub(super) dek: DekId,
    /// The row that wraps its key for us.
    pub(super) row: Vec<u8>,
    pub(super) parts: u8,
    /// The part that must come next.
    pub(super) next: u8,
    /// What has come of its block.
    pub(super) block: Vec<u8>,
}

impl MemoryStore {
    pub(super) fn shares(&self, path: &RecordPath) -> Result<Vec<StoredShare>, StoreError> {
        let rows = self.db.rows(
            "SELECT recipient, host, at, attempt FROM shares WHERE collection = ? AND rkey = ?
             ORDER BY at, recipient",
            names(path),
        )?;
        rows.iter().map(|row| share(row, 0)).collect()
    }

    /// Returns some of the shares whose agents do not have the record as it is now, or refused it for
    /// a reason that a new row may cure.
    pub(super) fn unsent_shares(
        &self,
        limit: u32,
    ) -> Result<Vec<(RecordPath, StoredShare)>, StoreError> {
        let rows = self.db.rows(
            "SELECT s.collection, s.rkey, s.recipient, s.host, s.at,
                s.attempt + (s.sent >= r.version)
             FROM shares s JOIN records r ON r.collection = s.collection AND r.rkey = s.rkey
             WHERE s.sent < r.version OR (s.attempt < ?1 AND EXISTS (
                SELECT 1 FROM receipts x WHERE x.id = s.mail AND x.status = 'refused'
                    AND x.code IN ('SHARE_WRONG_RECIPIENT', 'SHARE_BAD_SIGNATURE')))
             ORDER BY s.at LIMIT ?2",
            params![MAX_ATTEMPTS, limit],
        )?;
        let one = |row: &Row| Ok((path(row, 0)?, share(row, 2)?));
        rows.iter().map(one).collect()
    }

    pub(super) fn keep_share(
        &self,
        path: &RecordPath,
        share: &StoredShare,
    ) -> Result<(), StoreError> {
        let [collection, rkey] = texts(path);
        self.db.exec(
            "INSERT INTO shares(collection, rkey, recipient, host, at, attempt)
             VALUES(?, ?, ?, ?, ?, ?)
             ON CONFLICT(collection, rkey, recipient) DO UPDATE SET host = excluded.host,
                attempt = excluded.attempt, sent = 0",
            params![
                collection,
                rkey,
                share.recipient.as_str(),
                &share.host,
                share.at,
                share.attempt,
            ],
        )
    }

    /// The agent was sent this version, its key wrapped by `row`; its last part is the message `mail`.
    pub(super) fn sent_share(
        &self,
        record: &StoredRecord,
        share: &StoredShare,
        row: &[u8],
        mail: &MessageId,
    ) -> Result<(), StoreError> {
        let [collection, rkey] = texts(&record.path);
        self.db.exec(
            "UPDATE shares SET sent = max(sent, ?1), mail = ?2, attempt = ?3,
                row = iif(sent > ?1, row, ?4)
             WHERE collection = ?5 AND rkey = ?6 AND recipient = ?7",
            params![
                record.version,
                mail.to_bytes(),
                share.attempt,
                row,
                collection,
                rkey,
                share.recipient.as_str(),
            ],
        )
    }

    pub(super) fn drop_share(&self, path: &RecordPath, recipient: &Did) -> Result<(), StoreError> {
        let [collection, rkey] = texts(path);
        self.db.exec(
            "DELETE FROM shares WHERE collection = ? AND rkey = ? AND recipient = ?",
            params![collection, rkey, recipient.as_str()],
        )
    }

    pub(super) fn drop_shares(&self, path: &RecordPath) -> Result<(), StoreError> {
        let sql = "DELETE FROM shares WHERE collection = ? AND rkey = ?";
        self.db.exec(sql, names(path))
    }

    pub(super) fn shared(&self, uri: &str) -> Result<Option<StoredShared>, StoreError> {
        let found = self.shared_where("uri = ?", params![uri])?;
        Ok(found.into_iter().next())
    }

    pub(super) fn list_shared(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredShared>, StoreError> {
        self.shared_where("n > ? ORDER BY n LIMIT ?", params![after, limit])
    }

    pub(super) fn shared_where(
        &self,
        condition: &str,
        params: Vec<SqlStorageValue>,
    ) -> Result<Vec<StoredShared>, StoreError> {
        let sql = format!(
            "SELECT n, owner, host, collection, rkey, version, cid, dek, wrap, epoch, block,
                received_at FROM shared_records WHERE {condition}"
        );
        let rows = self.db.rows(&sql, params)?;
        rows.iter().map(shared).collect()
    }

    pub(super) fn keep_shared(&self, uri: &str, record: &StoredShared) -> Result<(), StoreError> {
        let [collection, rkey] = texts(&record.path);
        self.db.exec(
            "INSERT INTO shared_records(uri, owner, host, collection, rkey, version, cid, dek,
                wrap, epoch, block, received_at) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT(uri) DO UPDATE SET host = excluded.host, version = excluded.version,
                cid = excluded.cid, dek = excluded.dek, wrap = excluded.wrap,
                epoch = excluded.epoch, block = excluded.block,
                received_at = excluded.received_at",
            params![
                uri,
                record.owner.as_str(),
                &record.host,
                collection,
                rkey,
                record.version,
                record.cid.to_bytes(),
                *record.dek.as_bytes(),
                &record.wrap,
                record.epoch,
                &record.block,
                record.received_at,
            ],
        )
    }

    pub(super) fn incoming(&self, uri: &str) -> Result<Option<Incoming>, StoreError> {
        let row = self.db.row(
            "SELECT cid, version, dek, row, parts, next, block FROM share_parts WHERE uri = ?",
            params![uri],
        )?;
        row.map(|row| {
            let small = |column: usize| {
                u8::try_from(row.integer(column)?).map_err(|_error| StoreError::Column(column))
            };
            Ok(Incoming {
                cid: cid(&row, 0)?,
                version: row.integer(1)?,
                dek: dek(&row, 2)?,
                row: row.blob(3)?,
                parts: small(4)?,
                next: small(5)?,
                block: row.blob(6)?,
            })
        })
        .transpose()
    }

    /// Keeps what has come of a record. Of each owner the ones begun last.
    pub(super) fn keep_incoming(
        &self,
        uri: &str,
        owner: &str,
        incoming: &Incoming,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO share_parts(uri, owner, cid, version, dek, row, parts, next, block, at)
             VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT(uri) DO UPDATE SET cid = excluded.cid, version = excluded.version,
                dek = excluded.dek, row = excluded.row, parts = excluded.parts,
                next = excluded.next, block = excluded.block, at = excluded.at",
            params![
                uri,
                owner,
                incoming.cid.to_bytes(),
                incoming.version,
                *incoming.dek.as_bytes(),
                &incoming.row,
                incoming.parts,
                incoming.next,
                &incoming.block,
                now,
            ],
        )?;
        self.db.exec(
            "DELETE FROM share_parts WHERE owner = ?1 AND uri NOT IN (
                SELECT uri FROM share_parts WHERE owner = ?1 ORDER BY at DESC, uri LIMIT ?2)",
            params![owner, MAX_INCOMING],
        )
    }

    pub(super) fn drop_incoming(&self, uri: &str) -> Result<(), StoreError> {
        self.db
            .exec("DELETE FROM share_parts WHERE uri = ?", params![uri])
    }
}

fn did(row: &Row, column: usize) -> Result<Did, StoreError> {
    Did::parse(&row.text(column)?).map_err(|_error| StoreError::Column(column))
}

fn share(row: &Row, column: usize) -> Result<StoredShare, StoreError> {
    Ok(StoredShare {
        recipient: did(row, column)?,
        host: row.text(column + 1)?,
        at: row.timestamp(column + 2)?,
        attempt: row.integer(column + 3)?,
    })
}

fn shared(row: &Row) -> Result<StoredShared, StoreError> {
    Ok(StoredShared {
        n: row.integer(0)?,
        owner: did(row, 1)?,
        host: row.text(2)?,
        path: path(row, 3)?,
        version: row.integer(5)?,
        cid: cid(row, 6)?,
        dek: dek(row, 7)?,
        wrap: row.blob(8)?,
        epoch: u32::try_from(row.integer(9)?).map_err(|_error| StoreError::Column(9))?,
        block: row.blob(10)?,
        received_at: row.timestamp(11)?,
    })
}
