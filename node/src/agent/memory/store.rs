//! The memory's tables: records, their versions, the rows that wrap their keys, who shares them.

use std::rc::Rc;

use entente_lexicon::{RecordPath, Timestamp};
use entente_memory::repo::Cid;
use entente_memory::repo::block::parse_cid;
use entente_trust::memory::blind::Space;
use entente_trust::memory::{DekId, Level, SealedKek};
use worker::SqlStorageValue;

use crate::agent::memory::blobs::BLOB_SCHEMA;
use crate::agent::memory::held::HELD_SCHEMA;
use crate::agent::memory::life_store::{LIFE_SCHEMA, StoredLife, life};
use crate::agent::memory::share_store::StoredShared;
use crate::agent::memory::vector_store::VECTOR_SCHEMA;
use crate::params;
use crate::store::sqlite::{Row, Sqlite, StoreError};

/// What an agent's memory consists of. Nothing in it but public records is readable without the
/// agent's keys; paths, sizes and instants are.
const SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS records(
        n INTEGER PRIMARY KEY AUTOINCREMENT, collection TEXT NOT NULL, rkey TEXT NOT NULL,
        version INTEGER NOT NULL, level TEXT NOT NULL, dek BLOB, cid BLOB NOT NULL,
        block BLOB NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
        request TEXT, digest BLOB, revision INTEGER NOT NULL)",
    "CREATE UNIQUE INDEX IF NOT EXISTS records_by_path ON records(collection, rkey)",
    "CREATE UNIQUE INDEX IF NOT EXISTS records_by_revision ON records(revision)",
    "CREATE TABLE IF NOT EXISTS removed_records(
        revision INTEGER PRIMARY KEY, collection TEXT NOT NULL, rkey TEXT NOT NULL)",
    "CREATE UNIQUE INDEX IF NOT EXISTS records_by_request ON records(request)
        WHERE request IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS record_versions(
        collection TEXT NOT NULL, rkey TEXT NOT NULL, version INTEGER NOT NULL,
        level TEXT NOT NULL, dek BLOB, cid BLOB NOT NULL, block BLOB NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY(collection, rkey, version)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS wraps(
        dek BLOB PRIMARY KEY, collection TEXT NOT NULL, rkey TEXT NOT NULL,
        epoch INTEGER NOT NULL, row BLOB NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS wraps_by_epoch ON wraps(epoch)",
    "CREATE INDEX IF NOT EXISTS wraps_by_path ON wraps(collection, rkey)",
    "CREATE TABLE IF NOT EXISTS shares(
        collection TEXT NOT NULL, rkey TEXT NOT NULL, recipient TEXT NOT NULL,
        host TEXT NOT NULL, at INTEGER NOT NULL, attempt INTEGER NOT NULL,
        sent INTEGER NOT NULL DEFAULT 0, mail BLOB, row BLOB, PRIMARY KEY(collection, rkey, recipient)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS shared_records(
        n INTEGER PRIMARY KEY AUTOINCREMENT, uri TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
        host TEXT NOT NULL, collection TEXT NOT NULL, rkey TEXT NOT NULL,
        version INTEGER NOT NULL, cid BLOB NOT NULL, dek BLOB NOT NULL, wrap BLOB NOT NULL,
        epoch INTEGER NOT NULL, block BLOB NOT NULL, received_at INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS shared_by_epoch ON shared_records(epoch)",
    "CREATE TABLE IF NOT EXISTS share_parts(
        uri TEXT PRIMARY KEY, owner TEXT NOT NULL, cid BLOB NOT NULL, version INTEGER NOT NULL,
        dek BLOB NOT NULL, row BLOB NOT NULL, parts INTEGER NOT NULL, next INTEGER NOT NULL,
        block BLOB NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE VIRTUAL TABLE IF NOT EXISTS search_private USING fts5(
        tokens, tokenize = 'ascii', content = '', contentless_delete = 1)",
    "CREATE VIRTUAL TABLE IF NOT EXISTS search_public USING fts5(
        tokens, tokenize = 'ascii', content = '', contentless_delete = 1)",
    "CREATE TABLE IF NOT EXISTS staged_blocks(id BLOB PRIMARY KEY, block BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS keks(
        epoch INTEGER PRIMARY KEY, sealed BLOB NOT NULL, made_at INTEGER NOT NULL)",
];

/// Older versions kept of each record.
const MAX_VERSIONS: u32 = 32;

pub(super) const COLUMNS: &str =
    "n, collection, rkey, version, level, dek, cid, block, created_at, updated_at, revision,
     (SELECT row FROM wraps WHERE wraps.dek = records.dek),
     (SELECT json_array(archived_at, stale_since, reads, last_read)
        FROM record_life WHERE record_life.n = records.n)";
/// The column that follows [`COLUMNS`].
pub(super) const NEXT_COLUMN: usize = 13;

/// A record as it is kept.
#[derive(Clone, Debug)]
pub(super) struct StoredRecord {
    /// Its place among all, in the order in which they were first stored.
    pub(super) n: u64,
    pub(super) path: RecordPath,
    pub(super) version: u64,
    pub(super) level: Level,
    /// The key of its envelope; none where it is public.
    pub(super) dek: Option<DekId>,
    pub(super) cid: Cid,
    /// The public record, or the envelope in its block.
    pub(super) block: Vec<u8>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    /// When it last changed in any way, for the replica; see [`super::replica`].
    pub(super) revision: u64,
    /// The row that wraps the key of its envelope, as it was when the record was read.
    pub(super) wrap: Option<Vec<u8>>,
    /// What had become of it when it was read.
    pub(super) life: StoredLife,
}

/// A version that was replaced.
pub(super) struct StoredVersion {
    pub(super) version: u64,
    pub(super) level: Level,
    pub(super) dek: Option<DekId>,
    pub(super) cid: Cid,
    pub(super) block: Vec<u8>,
    pub(super) at: Timestamp,
}

/// A row that an older key encryption key wraps.
pub(super) struct OldWrap {
    pub(super) dek: DekId,
    pub(super) path: RecordPath,
    pub(super) row: Vec<u8>,
}

/// Which records of a list.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    pub(super) collection: Option<String>,
    pub(super) level: Option<Level>,
    /// Records after this place, in the direction of the list; all of them unless said.
    pub(super) after: Option<u64>,
    pub(super) newest_first: bool,
    pub(super) limit: u32,
}

/// Typed access to the memory's tables.
#[derive(Clone)]
pub(super) struct MemoryStore {
    pub(super) db: Rc<Sqlite>,
}

impl MemoryStore {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self { db }
    }

    pub(super) fn create(&self) -> Result<(), StoreError> {
        SCHEMA
            .iter()
            .chain(LIFE_SCHEMA)
            .chain(BLOB_SCHEMA)
            .chain(VECTOR_SCHEMA)
            .chain(HELD_SCHEMA)
            .try_for_each(|sql| self.db.exec(sql, params![]))
    }

    pub(super) fn exists(&self) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'records'";
        Ok(self.db.row(sql, params![])?.is_some())
    }

    pub(super) fn transaction<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.db.transaction(work)
    }

    pub(super) fn record(&self, path: &RecordPath) -> Result<Option<StoredRecord>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM records WHERE collection = ? AND rkey = ?");
        let row = self.db.row(&sql, names(path))?;
        row.as_ref().map(record).transpose()
    }

    pub(super) fn set_level(
        &self,
        path: &RecordPath,
        level: Level,
        revision: u64,
    ) -> Result<(), StoreError> {
        let [collection, rkey] = texts(path);
        self.db.exec(
            "UPDATE records SET level = ?, revision = ? WHERE collection = ? AND rkey = ?",
            params![level.as_str(), revision, collection, rkey],
        )
    }

    /// Returns the record that a request with this idempotency key stored, and the request's digest.
    pub(super) fn by_request(
        &self,
        request: &str,
    ) -> Result<Option<(StoredRecord, Vec<u8>)>, StoreError> {
        let sql = format!("SELECT {COLUMNS}, digest FROM records WHERE request = ?");
        let row = self.db.row(&sql, params![request])?;
        row.map(|row| Ok((record(&row)?, row.blob(NEXT_COLUMN)?)))
            .transpose()
    }

    pub(super) fn list(&self, listing: &Listing) -> Result<Vec<StoredRecord>, StoreError> {
        let (order, beyond) = if listing.newest_first {
            ("DESC", "n < ?1")
        } else {
            ("ASC", "n > ?1")
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM records WHERE {beyond} AND (?2 IS NULL OR collection = ?2)
                AND (?3 IS NULL OR level = ?3) ORDER BY n {order} LIMIT ?4"
        );
        let start = if listing.newest_first { i64::MAX } else { 0 };
        let after = listing
            .after
            .map_or(start, |n| i64::try_from(n).unwrap_or(i64::MAX));
        let level = listing.level.map(Level::as_str);
        let rows = self.db.rows(
            &sql,
            params![after, listing.collection.as_ref(), level, listing.limit],
        )?;
        rows.iter().map(record).collect()
    }

    /// Returns how many records there are, and how many bytes they hold.
    pub(super) fn usage(&self) -> Result<(u64, u64), StoreError> {
        let row = self.db.row(
            "SELECT count(*), coalesce(sum(length(block)), 0) FROM records",
            params![],
        )?;
        let row = row.ok_or(StoreError::Column(0))?;
        Ok((row.integer(0)?, row.integer(1)?))
    }

    /// Stores a new record. Returns its place.
    pub(super) fn insert(
        &self,
        record: &StoredRecord,
        request: Option<(&str, [u8; 32])>,
    ) -> Result<u64, StoreError> {
        let [collection, rkey] = texts(&record.path);
        let (request, digest) = request.unzip();
        let row = self.db.row(
            "INSERT INTO records(collection, rkey, version, level, dek, cid, block, created_at,
                updated_at, request, digest, revision) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             RETURNING n",
            params![
                collection,
                rkey,
                record.version,
                record.level.as_str(),
                record.dek.map(|dek| *dek.as_bytes()),
                record.cid.to_bytes(),
                &record.block,
                record.created_at,
                record.updated_at,
                request,
                digest,
                record.revision,
            ],
        )?;
        row.ok_or(StoreError::Column(0))?.integer(0)
    }

    /// Replaces a record by its next version; the one before joins the history.
    pub(super) fn replace(&self, old: &StoredRecord, new: &StoredRecord) -> Result<(), StoreError> {
        let [collection, rkey] = texts(&new.path);
        self.db.exec(
            "INSERT INTO record_versions(collection, rkey, version, level, dek, cid, block, at)
             VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                collection,
                rkey,
                old.version,
                old.level.as_str(),
                old.dek.map(|dek| *dek.as_bytes()),
                old.cid.to_bytes(),
                &old.block,
                old.updated_at,
            ],
        )?;
        let dropped = old.version.saturating_sub(u64::from(MAX_VERSIONS));
        self.db.exec(
            "DELETE FROM record_versions WHERE collection = ?1 AND rkey = ?2 AND version <= ?3",
            params![collection, rkey, dropped],
        )?;
        self.release_blobs(&new.path, dropped)?;
        self.db.exec(
            "UPDATE records SET version = ?, level = ?, dek = ?, cid = ?, block = ?, updated_at = ?,
                revision = ? WHERE n = ?",
            params![
                new.version,
                new.level.as_str(),
                new.dek.map(|dek| *dek.as_bytes()),
                new.cid.to_bytes(),
                &new.block,
                new.updated_at,
                new.revision,
                old.n,
            ],
        )?;
        if old.dek == new.dek {
            return Ok(());
        }
        // Rows that were sent to others wrap another key.
        self.db.exec(
            "UPDATE shares SET row = NULL WHERE collection = ? AND rkey = ?",
            names(&new.path),
        )
    }

    /// Removes a record with everything that opens it or tells of it.
    pub(super) fn forget(&self, record: &StoredRecord, revision: u64) -> Result<(), StoreError> {
        let [collection, rkey] = texts(&record.path);
        self.db.exec(
            "INSERT INTO removed_records(revision, collection, rkey) VALUES(?, ?, ?)",
            params![revision, collection, rkey],
        )?;
        for sql in [
            "DELETE FROM wraps WHERE collection = ? AND rkey = ?",
            "DELETE FROM shares WHERE collection = ? AND rkey = ?",
            "DELETE FROM record_versions WHERE collection = ? AND rkey = ?",
            "DELETE FROM record_told WHERE collection = ? AND rkey = ?",
            "DELETE FROM records WHERE collection = ? AND rkey = ?",
        ] {
            self.db.exec(sql, names(&record.path))?;
        }
        self.drop_life(record.n)?;
        self.release_all_blobs(&record.path)?;
        self.unindex(record.n)
    }

    /// Makes a record findable by these tokens.
    pub(super) fn keep_tokens(&self, space: Space, n: u64, tokens: &str) -> Result<(), StoreError> {
        let sql = format!("INSERT INTO {}(rowid, tokens) VALUES(?, ?)", table(space));
        self.db.exec(&sql, params![n, tokens])
    }

    /// Makes a record unfindable.
    pub(super) fn unindex(&self, n: u64) -> Result<(), StoreError> {
        for space in [Space::Private, Space::Public] {
            let sql = format!("DELETE FROM {} WHERE rowid = ?", table(space));
            self.db.exec(&sql, params![n])?;
        }
        Ok(())
    }

    /// Returns the records that match an expression of blinded tokens, the best first, and how well
    /// they do: positive numbers. From the archive only where that is asked for.
    pub(super) fn matching(
        &self,
        (space, expression): (Space, &str),
        archive: bool,
        (skip, limit): (u32, u32),
    ) -> Result<Vec<(StoredRecord, f64)>, StoreError> {
        let table = table(space);
        let sql = format!(
            "SELECT {COLUMNS}, relevance FROM (
                SELECT rowid AS place, -bm25({table}) AS relevance FROM {table}
                WHERE {table} MATCH ?1 AND (?2 OR rowid NOT IN (
                    SELECT n FROM record_life WHERE archived_at IS NOT NULL))
                ORDER BY bm25({table}), rowid LIMIT ?3 OFFSET ?4)
             JOIN records ON n = place ORDER BY relevance DESC"
        );
        let rows = self
            .db
            .rows(&sql, params![expression, archive, limit, skip])?;
        rows.iter()
            .map(|row| Ok((record(row)?, row.real(NEXT_COLUMN)?)))
            .collect()
    }

    /// As [`MemoryStore::matching`], all of them and by their places alone.
    pub(super) fn matching_places(
        &self,
        space: Space,
        expression: &str,
    ) -> Result<Vec<(u64, f64)>, StoreError> {
        let table = table(space);
        let sql = format!("SELECT rowid, -bm25({table}) FROM {table} WHERE {table} MATCH ?");
        let rows = self.db.rows(&sql, params![expression])?;
        let place = |row: &Row| Ok((row.integer(0)?, row.real(1)?));
        rows.iter().map(place).collect()
    }

    /// Returns the versions before the current one, the newest first.
    pub(super) fn versions(&self, path: &RecordPath) -> Result<Vec<StoredVersion>, StoreError> {
        let rows = self.db.rows(
            "SELECT version, level, dek, cid, block, at FROM record_versions
             WHERE collection = ? AND rkey = ? ORDER BY version DESC",
            names(path),
        )?;
        let version = |row: &Row| {
            Ok(StoredVersion {
                version: row.integer(0)?,
                level: level(row, 1)?,
                dek: row.optional(2, dek)?,
                cid: cid(row, 3)?,
                block: row.blob(4)?,
                at: row.timestamp(5)?,
            })
        };
        rows.iter().map(version).collect()
    }

    pub(super) fn wrap(&self, dek: DekId) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT row FROM wraps WHERE dek = ?";
        let row = self.db.row(sql, params![*dek.as_bytes()])?;
        row.map(|row| row.blob(0)).transpose()
    }

    pub(super) fn keep_wrap(
        &self,
        dek: DekId,
        path: &RecordPath,
        epoch: u32,
        row: &[u8],
    ) -> Result<(), StoreError> {
        let [collection, rkey] = texts(path);
        self.db.exec(
            "INSERT INTO wraps(dek, collection, rkey, epoch, row) VALUES(?, ?, ?, ?, ?)
             ON CONFLICT(dek) DO UPDATE SET epoch = excluded.epoch, row = excluded.row",
            params![*dek.as_bytes(), collection, rkey, epoch, row],
        )
    }

    /// Returns some of the rows that keys before `epoch` wrap.
    pub(super) fn old_wraps(&self, epoch: u32, limit: u32) -> Result<Vec<OldWrap>, StoreError> {
        let rows = self.db.rows(
            "SELECT dek, collection, rkey, row FROM wraps WHERE epoch < ? LIMIT ?",
            params![epoch, limit],
        )?;
        let wrap = |row: &Row| {
            Ok(OldWrap {
                dek: dek(row, 0)?,
                path: path(row, 1)?,
                row: row.blob(3)?,
            })
        };
        rows.iter().map(wrap).collect()
    }

    /// Returns some of the rows of others' records that keys before `epoch` wrap.
    pub(super) fn old_shared(
        &self,
        epoch: u32,
        limit: u32,
    ) -> Result<Vec<StoredShared>, StoreError> {
        self.shared_where("epoch < ? ORDER BY n LIMIT ?", params![epoch, limit])
    }

    pub(super) fn rewrap_shared(&self, n: u64, epoch: u32, row: &[u8]) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE shared_records SET epoch = ?, wrap = ? WHERE n = ?",
            params![epoch, row, n],
        )
    }

    /// Returns how many rows keys before `epoch` wrap, and how many there are.
    pub(super) fn wraps_left(&self, epoch: u32) -> Result<(u64, u64), StoreError> {
        let row = self.db.row(
            "SELECT (SELECT count(*) FROM wraps WHERE epoch < ?1)
                  + (SELECT count(*) FROM shared_records WHERE epoch < ?1),
                (SELECT count(*) FROM wraps) + (SELECT count(*) FROM shared_records)",
            params![epoch],
        )?;
        let row = row.ok_or(StoreError::Column(0))?;
        Ok((row.integer(0)?, row.integer(1)?))
    }

    pub(super) fn keks(&self) -> Result<Vec<SealedKek>, StoreError> {
        let rows = self
            .db
            .rows("SELECT epoch, sealed FROM keks ORDER BY epoch", params![])?;
        let kek = |row: &Row| {
            let epoch = u32::try_from(row.integer(0)?).map_err(|_error| StoreError::Column(0))?;
            let blob = row.blob(1)?;
            Ok(SealedKek { epoch, blob })
        };
        rows.iter().map(kek).collect()
    }

    pub(super) fn keep_kek(&self, kek: &SealedKek, now: Timestamp) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO keks(epoch, sealed, made_at) VALUES(?, ?, ?)",
            params![kek.epoch, &kek.blob, now],
        )
    }

    /// Destroys the keys before `epoch`, which wrap nothing any more.
    pub(super) fn drop_keks_before(&self, epoch: u32) -> Result<(), StoreError> {
        self.db
            .exec("DELETE FROM keks WHERE epoch < ?", params![epoch])
    }
}

fn table(space: Space) -> &'static str {
    match space {
        Space::Private => "search_private",
        Space::Public => "search_public",
    }
}

pub(super) fn texts(path: &RecordPath) -> [&str; 2] {
    [path.collection().as_str(), path.rkey().as_str()]
}

pub(super) fn names(path: &RecordPath) -> Vec<SqlStorageValue> {
    let [collection, rkey] = texts(path);
    params![collection, rkey]
}

pub(super) fn path(row: &Row, column: usize) -> Result<RecordPath, StoreError> {
    let text = format!("{}/{}", row.text(column)?, row.text(column + 1)?);
    RecordPath::parse(&text).map_err(|_error| StoreError::Column(column))
}

fn level(row: &Row, column: usize) -> Result<Level, StoreError> {
    let level = row.text(column)?.parse();
    level.map_err(|_error| StoreError::Column(column))
}

pub(super) fn dek(row: &Row, column: usize) -> Result<DekId, StoreError> {
    let bytes = row.blob(column)?.try_into();
    bytes
        .map(DekId::from_bytes)
        .map_err(|_bytes| StoreError::Column(column))
}

pub(super) fn cid(row: &Row, column: usize) -> Result<Cid, StoreError> {
    parse_cid(&row.blob(column)?).map_err(|_error| StoreError::Column(column))
}

pub(super) fn record(row: &Row) -> Result<StoredRecord, StoreError> {
    Ok(StoredRecord {
        n: row.integer(0)?,
        path: path(row, 1)?,
        version: row.integer(3)?,
        level: level(row, 4)?,
        dek: row.optional(5, dek)?,
        cid: cid(row, 6)?,
        block: row.blob(7)?,
        created_at: row.timestamp(8)?,
        updated_at: row.timestamp(9)?,
        revision: row.integer(10)?,
        wrap: row.optional(11, Row::blob)?,
        life: row.optional(12, life)?.unwrap_or_default(),
    })
}
