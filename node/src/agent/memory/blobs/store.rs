//! The tables of blobs: uploads under way, blobs, who refers to them, what is to be deleted.
//!
//! A row comes before what it names is in the bucket, and goes only when that is gone: so whatever
//! is interrupted, some row or the sweep knows of it.

use std::rc::Rc;

use entente_lexicon::{RecordPath, Timestamp};
use entente_trust::memory::blob::PartDigest;
use entente_trust::memory::{DekId, Level};

use crate::agent::memory::store::{MemoryStore, dek, names, path, texts};
use crate::params;
use crate::store::sqlite::{Row, Sqlite, StoreError};

/// The collection that the rows which wrap blobs' keys stand under. No record can: it is no type.
pub(super) const COLLECTION: &str = "agent.memory.blob";

/// Created with the memory's tables. `name` is a blob's CID, blinded: it would tell who reads these
/// tables and guesses the bytes that the guess is right.
pub(in crate::agent::memory) const BLOB_SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS blob_uploads(
        rkey TEXT PRIMARY KEY, dek BLOB NOT NULL, header BLOB NOT NULL, size INTEGER NOT NULL,
        mime BLOB NOT NULL, received INTEGER NOT NULL, hash BLOB, multipart TEXT,
        created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS blob_parts(
        rkey TEXT NOT NULL, part INTEGER NOT NULL, digest BLOB NOT NULL, tag TEXT,
        PRIMARY KEY(rkey, part)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS blobs(
        n INTEGER PRIMARY KEY AUTOINCREMENT, name BLOB NOT NULL UNIQUE, rkey TEXT NOT NULL UNIQUE,
        dek BLOB NOT NULL, size INTEGER NOT NULL, sealed BLOB NOT NULL,
        stored_at INTEGER NOT NULL, referred INTEGER NOT NULL DEFAULT 0)",
    "CREATE INDEX IF NOT EXISTS blobs_unreferred ON blobs(stored_at) WHERE referred = 0",
    "CREATE TABLE IF NOT EXISTS blob_refs(
        collection TEXT NOT NULL, rkey TEXT NOT NULL, version INTEGER NOT NULL,
        name BLOB NOT NULL, PRIMARY KEY(collection, rkey, version, name)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS blob_refs_by_name ON blob_refs(name)",
    "CREATE TABLE IF NOT EXISTS blob_garbage(
        rkey TEXT PRIMARY KEY, multipart TEXT, tries INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID",
];

const UPLOAD: &str =
    "rkey, dek, header, size, mime, received, hash, multipart, created_at, expires_at";
const BLOB: &str = "n, rkey, dek, size, sealed, stored_at, referred";

/// An upload under way.
pub(super) struct Upload {
    /// The random name, of the object and in the place of its key.
    pub(super) rkey: String,
    pub(super) dek: DekId,
    pub(super) header: Vec<u8>,
    pub(super) size: u64,
    /// The media type, sealed.
    pub(super) mime: Vec<u8>,
    /// Parts that are stored.
    pub(super) received: u64,
    /// The state of the hash of what they hold, sealed.
    pub(super) hash: Option<Vec<u8>>,
    /// The bucket's id of the upload, once it was begun there.
    pub(super) multipart: Option<String>,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Timestamp,
}

/// A part that was begun.
pub(super) struct Part {
    pub(super) digest: PartDigest,
    /// The bucket's tag, once it is stored there.
    pub(super) tag: Option<String>,
}

/// A blob.
pub(super) struct StoredBlob {
    pub(super) n: u64,
    pub(super) rkey: String,
    pub(super) dek: DekId,
    pub(super) size: u64,
    /// CID, media type, length and header, sealed.
    pub(super) sealed: Vec<u8>,
    pub(super) stored_at: Timestamp,
    pub(super) referred: bool,
}

/// What is to be deleted from the bucket.
pub(super) struct Garbage {
    pub(super) rkey: String,
    pub(super) multipart: Option<String>,
    pub(super) tries: u64,
}

/// Typed access to the tables of blobs.
#[derive(Clone)]
pub(in crate::agent::memory) struct BlobStore {
    db: Rc<Sqlite>,
}

impl BlobStore {
    pub(in crate::agent::memory) fn new(db: Rc<Sqlite>) -> Self {
        Self { db }
    }

    pub(super) fn upload(&self, rkey: &str) -> Result<Option<Upload>, StoreError> {
        let sql = format!("SELECT {UPLOAD} FROM blob_uploads WHERE rkey = ?");
        let row = self.db.row(&sql, params![rkey])?;
        row.as_ref().map(upload).transpose()
    }

    /// Returns how many uploads are under way.
    pub(super) fn open_uploads(&self) -> Result<u64, StoreError> {
        let row = self
            .db
            .row("SELECT count(*) FROM blob_uploads", params![])?;
        row.ok_or(StoreError::Column(0))?.integer(0)
    }

    /// Returns how many blobs there are, and how many bytes they and the uploads under way have.
    pub(super) fn usage(&self) -> Result<(u64, u64), StoreError> {
        let row = self.db.row(
            "SELECT (SELECT count(*) FROM blobs), (SELECT coalesce(sum(size), 0) FROM blobs)
                + (SELECT coalesce(sum(size), 0) FROM blob_uploads)",
            params![],
        )?;
        let row = row.ok_or(StoreError::Column(0))?;
        Ok((row.integer(0)?, row.integer(1)?))
    }

    pub(super) fn begin(&self, upload: &Upload) -> Result<(), StoreError> {
        let sql =
            format!("INSERT INTO blob_uploads({UPLOAD}) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
        self.db.exec(
            &sql,
            params![
                &upload.rkey,
                *upload.dek.as_bytes(),
                &upload.header,
                upload.size,
                &upload.mime,
                upload.received,
                upload.hash.as_ref(),
                upload.multipart.as_ref(),
                upload.created_at,
                upload.expires_at,
            ],
        )
    }

    pub(super) fn set_multipart(&self, rkey: &str, multipart: &str) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE blob_uploads SET multipart = ? WHERE rkey = ?",
            params![multipart, rkey],
        )
    }

    pub(super) fn part(&self, rkey: &str, part: u64) -> Result<Option<Part>, StoreError> {
        let row = self.db.row(
            "SELECT digest, tag FROM blob_parts WHERE rkey = ? AND part = ?",
            params![rkey, part],
        )?;
        let part = |row: Row| {
            let digest = row.blob(0)?.try_into();
            Ok(Part {
                digest: PartDigest(digest.map_err(|_digest| StoreError::Column(0))?),
                tag: row.optional(1, Row::text)?,
            })
        };
        row.map(part).transpose()
    }

    /// Notes what a part is, before it is sealed.
    pub(super) fn begin_part(
        &self,
        rkey: &str,
        part: u64,
        digest: &PartDigest,
    ) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO blob_parts(rkey, part, digest) VALUES(?, ?, ?)",
            params![rkey, part, digest.0],
        )
    }

    /// Notes that a part is stored, and how far the upload is. Part of the caller's transaction.
    pub(super) fn keep_part(
        &self,
        upload: &Upload,
        (part, tag): (u64, &str),
    ) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE blob_parts SET tag = ? WHERE rkey = ? AND part = ?",
            params![tag, &upload.rkey, part],
        )?;
        self.db.exec(
            "UPDATE blob_uploads SET received = ?, hash = ?, expires_at = ? WHERE rkey = ?",
            params![
                upload.received,
                upload.hash.as_ref(),
                upload.expires_at,
                &upload.rkey
            ],
        )
    }

    /// Returns the bucket's tags of all parts, in order.
    pub(super) fn tags(&self, rkey: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT tag FROM blob_parts WHERE rkey = ? ORDER BY part";
        let rows = self.db.rows(sql, params![rkey])?;
        rows.iter().map(|row| row.text(0)).collect()
    }

    /// Makes the blob of an upload, in the place of one with the same bytes. Part of the caller's
    /// transaction.
    pub(super) fn finish(&self, name: &[u8], blob: &StoredBlob) -> Result<(), StoreError> {
        self.drop_upload(&blob.rkey)?;
        let earlier = self.find(name)?;
        if let Some(earlier) = &earlier {
            self.discard(&earlier.rkey, None)?;
        }
        self.db.exec(
            "INSERT INTO blobs(name, rkey, dek, size, sealed, stored_at) VALUES(?, ?, ?, ?, ?, ?)
             ON CONFLICT(name) DO UPDATE SET rkey = excluded.rkey, dek = excluded.dek,
                sealed = excluded.sealed, stored_at = excluded.stored_at",
            params![
                name,
                &blob.rkey,
                *blob.dek.as_bytes(),
                blob.size,
                &blob.sealed,
                blob.stored_at,
            ],
        )
    }

    /// Gives an upload up: its key is destroyed now, its parts are deleted later.
    pub(super) fn abandon(&self, upload: &Upload) -> Result<(), StoreError> {
        self.drop_upload(&upload.rkey)?;
        self.discard(&upload.rkey, upload.multipart.as_deref())
    }

    fn drop_upload(&self, rkey: &str) -> Result<(), StoreError> {
        for sql in [
            "DELETE FROM blob_uploads WHERE rkey = ?",
            "DELETE FROM blob_parts WHERE rkey = ?",
        ] {
            self.db.exec(sql, params![rkey])?;
        }
        Ok(())
    }

    /// Destroys the key of an object and notes that it is to be deleted.
    fn discard(&self, rkey: &str, multipart: Option<&str>) -> Result<(), StoreError> {
        self.db.exec(
            "DELETE FROM wraps WHERE collection = ? AND rkey = ?",
            params![COLLECTION, rkey],
        )?;
        self.db.exec(
            "INSERT INTO blob_garbage(rkey, multipart) VALUES(?, ?) ON CONFLICT(rkey) DO NOTHING",
            params![rkey, multipart],
        )
    }

    pub(super) fn find(&self, name: &[u8]) -> Result<Option<StoredBlob>, StoreError> {
        let sql = format!("SELECT {BLOB} FROM blobs WHERE name = ?");
        let row = self.db.row(&sql, params![name])?;
        row.as_ref().map(blob).transpose()
    }

    pub(super) fn by_rkey(&self, rkey: &str) -> Result<Option<StoredBlob>, StoreError> {
        let sql = format!("SELECT {BLOB} FROM blobs WHERE rkey = ?");
        let row = self.db.row(&sql, params![rkey])?;
        row.as_ref().map(blob).transpose()
    }

    /// Lists blobs after a place, the oldest first.
    pub(super) fn list(&self, after: u64, limit: u32) -> Result<Vec<StoredBlob>, StoreError> {
        let sql = format!("SELECT {BLOB} FROM blobs WHERE n > ? ORDER BY n LIMIT ?");
        let rows = self.db.rows(&sql, params![after, limit])?;
        rows.iter().map(blob).collect()
    }

    /// Notes that a version of a record refers to a blob. Part of the caller's transaction.
    pub(super) fn refer(
        &self,
        path: &RecordPath,
        version: u64,
        name: &[u8],
    ) -> Result<(), StoreError> {
        let [collection, rkey] = texts(path);
        self.db.exec(
            "INSERT INTO blob_refs(collection, rkey, version, name) VALUES(?, ?, ?, ?)
             ON CONFLICT DO NOTHING",
            params![collection, rkey, version, name],
        )?;
        self.db.exec(
            "UPDATE blobs SET referred = 1 WHERE name = ? AND referred = 0",
            params![name],
        )
    }

    /// Tells whether a version of a record refers to a blob.
    pub(super) fn refers(
        &self,
        path: &RecordPath,
        version: u64,
        name: &[u8],
    ) -> Result<bool, StoreError> {
        let [collection, rkey] = texts(path);
        let row = self.db.row(
            "SELECT 1 FROM blob_refs WHERE collection = ? AND rkey = ? AND version = ? AND name = ?",
            params![collection, rkey, version, name],
        )?;
        Ok(row.is_some())
    }

    /// Tells whether a public record, as it is now, refers to a blob.
    pub(super) fn is_public(&self, name: &[u8]) -> Result<bool, StoreError> {
        let row = self.db.row(
            "SELECT 1 FROM blob_refs b JOIN records r
                ON r.collection = b.collection AND r.rkey = b.rkey AND r.version = b.version
             WHERE b.name = ? AND r.level = ? LIMIT 1",
            params![name, Level::Public.as_str()],
        )?;
        Ok(row.is_some())
    }

    /// Returns the names of what a record, in any version that is kept, refers to.
    pub(super) fn referred_by(&self, path: &RecordPath) -> Result<Vec<Vec<u8>>, StoreError> {
        let rows = self.db.rows(
            "SELECT DISTINCT name FROM blob_refs WHERE collection = ? AND rkey = ?",
            names(path),
        )?;
        rows.iter().map(|row| row.blob(0)).collect()
    }

    /// Returns the records that refer to a blob.
    pub(super) fn referrers(&self, name: &[u8]) -> Result<Vec<RecordPath>, StoreError> {
        let rows = self.db.rows(
            "SELECT DISTINCT collection, rkey FROM blob_refs WHERE name = ?",
            params![name],
        )?;
        rows.iter().map(|row| path(row, 0)).collect()
    }

    /// Deletes a blob: its key is destroyed now, its object is deleted later.
    pub(super) fn delete(&self, name: &[u8]) -> Result<(), StoreError> {
        let Some(blob) = self.find(name)? else {
            return Ok(());
        };
        self.db
            .exec("DELETE FROM blobs WHERE name = ?", params![name])?;
        self.discard(&blob.rkey, None)
    }

    /// Returns the names of blobs that no record ever referred to and that are as old as this.
    pub(super) fn unreferred(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let rows = self.db.rows(
            "SELECT name FROM blobs WHERE referred = 0 AND stored_at <= ? LIMIT ?",
            params![before, limit],
        )?;
        rows.iter().map(|row| row.blob(0)).collect()
    }

    pub(super) fn uploads(&self, limit: u32) -> Result<Vec<Upload>, StoreError> {
        let sql = format!("SELECT {UPLOAD} FROM blob_uploads ORDER BY expires_at LIMIT ?");
        let rows = self.db.rows(&sql, params![limit])?;
        rows.iter().map(upload).collect()
    }

    /// Returns when the first upload expires, and when the oldest blob came that none refers to.
    pub(super) fn oldest(&self) -> Result<(Option<Timestamp>, Option<Timestamp>), StoreError> {
        let row = self.db.row(
            "SELECT (SELECT min(expires_at) FROM blob_uploads),
                (SELECT min(stored_at) FROM blobs WHERE referred = 0)",
            params![],
        )?;
        let row = row.ok_or(StoreError::Column(0))?;
        let instant = |column| row.optional(column, Row::timestamp);
        Ok((instant(0)?, instant(1)?))
    }

    pub(super) fn garbage(&self, limit: u32) -> Result<Vec<Garbage>, StoreError> {
        let rows = self.db.rows(
            "SELECT rkey, multipart, tries FROM blob_garbage LIMIT ?",
            params![limit],
        )?;
        let garbage = |row: &Row| {
            Ok(Garbage {
                rkey: row.text(0)?,
                multipart: row.optional(1, Row::text)?,
                tries: row.integer(2)?,
            })
        };
        rows.iter().map(garbage).collect()
    }

    pub(in crate::agent::memory) fn has_garbage(&self) -> Result<bool, StoreError> {
        Ok(self
            .db
            .row("SELECT 1 FROM blob_garbage LIMIT 1", params![])?
            .is_some())
    }

    pub(super) fn tried(&self, rkey: &str) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE blob_garbage SET tries = tries + 1 WHERE rkey = ?",
            params![rkey],
        )
    }

    pub(super) fn forget_garbage(&self, rkey: &str) -> Result<(), StoreError> {
        self.db
            .exec("DELETE FROM blob_garbage WHERE rkey = ?", params![rkey])
    }

    /// Tells whether any row names this object.
    pub(super) fn names(&self, rkey: &str) -> Result<bool, StoreError> {
        let row = self.db.row(
            "SELECT 1 FROM blobs WHERE rkey = ?1
             UNION ALL SELECT 1 FROM blob_uploads WHERE rkey = ?1
             UNION ALL SELECT 1 FROM blob_garbage WHERE rkey = ?1 LIMIT 1",
            params![rkey],
        )?;
        Ok(row.is_some())
    }
}

impl MemoryStore {
    /// Lets go what a record's versions up to this one refer to. A blob that nothing refers to any
    /// more is deleted. Part of the caller's transaction.
    pub(in crate::agent::memory) fn release_blobs(
        &self,
        path: &RecordPath,
        up_to: u64,
    ) -> Result<(), StoreError> {
        let [collection, rkey] = texts(path);
        let rows = self.db.rows(
            "DELETE FROM blob_refs WHERE collection = ? AND rkey = ? AND version <= ?
             RETURNING name",
            params![collection, rkey, up_to],
        )?;
        let blobs = BlobStore::new(Rc::clone(&self.db));
        for row in rows {
            let name = row.blob(0)?;
            let sql = "SELECT 1 FROM blob_refs WHERE name = ? LIMIT 1";
            if self.db.row(sql, params![name.as_slice()])?.is_none() {
                blobs.delete(&name)?;
            }
        }
        Ok(())
    }

    /// Lets go everything that a record refers to. Part of the caller's transaction.
    pub(in crate::agent::memory) fn release_all_blobs(
        &self,
        path: &RecordPath,
    ) -> Result<(), StoreError> {
        self.release_blobs(path, u64::MAX)
    }
}

fn upload(row: &Row) -> Result<Upload, StoreError> {
    Ok(Upload {
        rkey: row.text(0)?,
        dek: dek(row, 1)?,
        header: row.blob(2)?,
        size: row.integer(3)?,
        mime: row.blob(4)?,
        received: row.integer(5)?,
        hash: row.optional(6, Row::blob)?,
        multipart: row.optional(7, Row::text)?,
        created_at: row.timestamp(8)?,
        expires_at: row.timestamp(9)?,
    })
}

fn blob(row: &Row) -> Result<StoredBlob, StoreError> {
    Ok(StoredBlob {
        n: row.integer(0)?,
        rkey: row.text(1)?,
        dek: dek(row, 2)?,
        size: row.integer(3)?,
        sealed: row.blob(4)?,
        stored_at: row.timestamp(5)?,
        referred: row.flag(6)?,
    })
}
