//! The tables of a memory's life: which records name which, what is archived or stale, who was told,
//! what was forgotten. Names of records are blinded in all of them but the last acts of sharing.

use std::collections::BTreeSet;

use entente_lexicon::{Did, RecordPath, Timestamp};
use entente_memory::repo::Cid;

use crate::agent::memory::store::{
    COLUMNS, MemoryStore, NEXT_COLUMN, StoredRecord, cid, names, path, record, texts,
};
use crate::params;
use crate::store::sqlite::{Row, StoreError};

/// Beside the memory's other tables.
pub(super) const LIFE_SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS record_links(
        kind INTEGER NOT NULL, target TEXT NOT NULL, n INTEGER NOT NULL,
        PRIMARY KEY(kind, target, n)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS record_links_by_n ON record_links(n)",
    "CREATE INDEX IF NOT EXISTS records_by_cid ON records(cid)",
    "CREATE TABLE IF NOT EXISTS record_life(
        n INTEGER PRIMARY KEY, archived_at INTEGER, stale_since INTEGER,
        reads INTEGER NOT NULL DEFAULT 0, last_read INTEGER)",
    "CREATE INDEX IF NOT EXISTS record_life_hidden ON record_life(n)
        WHERE archived_at IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS record_told(
        collection TEXT NOT NULL, rkey TEXT NOT NULL, whom TEXT NOT NULL, host TEXT NOT NULL,
        PRIMARY KEY(collection, rkey, whom)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS forgotten(
        token TEXT PRIMARY KEY, at INTEGER NOT NULL, report BLOB) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS withdrawals(
        uri TEXT NOT NULL, whom TEXT NOT NULL, host TEXT NOT NULL, cid BLOB NOT NULL,
        version INTEGER NOT NULL, code TEXT,
        PRIMARY KEY(uri, whom)) WITHOUT ROWID",
];

/// How one record names another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// It replaces the one at this path.
    Replaces,
    /// It was made from the one with this CID or at this path.
    MadeFrom,
    /// It had this CID before.
    Was,
}

impl Link {
    const fn number(self) -> u32 {
        match self {
            Self::Replaces => 0,
            Self::MadeFrom => 1,
            Self::Was => 2,
        }
    }
}

/// What is known of a record's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StoredLife {
    pub(super) archived_at: Option<Timestamp>,
    /// Since when it says something of a record that was forgotten.
    pub(super) stale_since: Option<Timestamp>,
    pub(super) reads: u32,
    pub(super) last_read: Option<Timestamp>,
}

/// An agent that was given a record, or nobody in particular: the record was public.
pub(super) struct Told {
    pub(super) whom: Option<Did>,
    pub(super) host: String,
}

/// An agent that is to be asked to delete a record.
pub(super) struct Withdrawal {
    pub(super) uri: String,
    pub(super) whom: Did,
    pub(super) host: String,
    pub(super) cid: Vec<u8>,
    pub(super) version: u64,
    /// Why it cannot be asked.
    pub(super) code: Option<String>,
}

/// A record as retention looks at it.
pub(super) struct Aging {
    pub(super) n: u64,
    pub(super) path: RecordPath,
    pub(super) cid: Cid,
    pub(super) created_at: Timestamp,
}

/// Stands for everybody among those who were told.
const EVERYBODY: &str = "*";
/// Records that may say that they replace the same one.
const MAX_CLAIMS: u32 = 32;

impl MemoryStore {
    /// Notes what a record names. What it named before is dropped, but not what it was.
    pub(super) fn keep_links(
        &self,
        record: &StoredRecord,
        links: &[(Link, String)],
    ) -> Result<(), StoreError> {
        let n = record.n;
        // A first version named nothing before.
        if record.version > 1 {
            self.db.exec(
                "DELETE FROM record_links WHERE n = ? AND kind < ?",
                params![n, Link::Was.number()],
            )?;
        }
        links
            .iter()
            .try_for_each(|(link, target)| self.keep_link(n, *link, target))
    }

    pub(super) fn keep_link(&self, n: u64, link: Link, target: &str) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT OR IGNORE INTO record_links(kind, target, n) VALUES(?, ?, ?)",
            params![link.number(), target, n],
        )
    }

    /// Returns what a record was before, blinded.
    pub(super) fn former(&self, n: u64) -> Result<Vec<String>, StoreError> {
        let rows = self.db.rows(
            "SELECT target FROM record_links WHERE n = ? AND kind = ?",
            params![n, Link::Was.number()],
        )?;
        rows.iter().map(|row| row.text(0)).collect()
    }

    /// Returns the records that name one of these targets, the newest first.
    pub(super) fn naming(
        &self,
        link: Link,
        targets: &[String],
    ) -> Result<Vec<StoredRecord>, StoreError> {
        if let ([target], Link::Replaces) = (targets, link) {
            return self.replacing(target);
        }
        let limit = match link {
            Link::Replaces => MAX_CLAIMS,
            Link::MadeFrom | Link::Was => u32::MAX,
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM records WHERE n IN (
                SELECT n FROM record_links WHERE kind = ?1
                AND target IN (SELECT value FROM json_each(?2)))
             ORDER BY n DESC LIMIT ?3"
        );
        let targets = json(targets)?;
        let rows = self.db.rows(&sql, params![link.number(), targets, limit])?;
        rows.iter().map(record).collect()
    }

    /// As [`MemoryStore::naming`] for the one record that others may replace: a list costs more to read
    /// than all that it is for.
    fn replacing(&self, target: &str) -> Result<Vec<StoredRecord>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM (SELECT n AS place FROM record_links
                WHERE kind = ? AND target = ? ORDER BY n DESC LIMIT ?)
             JOIN records ON n = place ORDER BY place DESC"
        );
        let kind = Link::Replaces.number();
        let rows = self.db.rows(&sql, params![kind, target, MAX_CLAIMS])?;
        rows.iter().map(record).collect()
    }

    /// Returns a record, and whether some record says that it replaces this one, whose path `target` is.
    pub(super) fn record_and_claim(
        &self,
        path: &RecordPath,
        target: &str,
    ) -> Result<Option<(StoredRecord, bool)>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS}, EXISTS (SELECT 1 FROM record_links WHERE kind = ? AND target = ?)
             FROM records WHERE collection = ? AND rkey = ?"
        );
        let [collection, rkey] = texts(path);
        let kind = Link::Replaces.number();
        let row = self.db.row(&sql, params![kind, target, collection, rkey])?;
        row.map(|row| Ok((record(&row)?, row.flag(NEXT_COLUMN)?)))
            .transpose()
    }

    /// Tells whether there is a record at a path, and whether some record says that it replaces what is
    /// there, whose path `target` is.
    pub(super) fn has_and_claim(
        &self,
        path: &RecordPath,
        target: &str,
    ) -> Result<(bool, bool), StoreError> {
        let [collection, rkey] = texts(path);
        let row = self.db.row(
            "SELECT EXISTS (SELECT 1 FROM records WHERE collection = ? AND rkey = ?),
                EXISTS (SELECT 1 FROM record_links WHERE kind = ? AND target = ?)",
            params![collection, rkey, Link::Replaces.number(), target],
        )?;
        let row = row.ok_or(StoreError::Column(0))?;
        Ok((row.flag(0)?, row.flag(1)?))
    }

    /// Returns those of these targets that some record says it replaces.
    pub(super) fn replaced(&self, targets: &[String]) -> Result<BTreeSet<String>, StoreError> {
        let rows = self.db.rows(
            "SELECT DISTINCT target FROM record_links
             WHERE kind = ? AND target IN (SELECT value FROM json_each(?))",
            params![Link::Replaces.number(), json(targets)?],
        )?;
        rows.iter().map(|row| row.text(0)).collect()
    }

    /// Tells whether a summary covers a record with one of these names.
    pub(super) fn is_covered(&self, targets: &[String]) -> Result<bool, StoreError> {
        let row = self.db.row(
            "SELECT 1 FROM record_links l JOIN records r ON r.n = l.n
             WHERE l.kind = ?1 AND l.target IN (SELECT value FROM json_each(?2))
                AND r.collection = 'agent.memory.summary' LIMIT 1",
            params![Link::MadeFrom.number(), json(targets)?],
        )?;
        Ok(row.is_some())
    }

    pub(super) fn life(&self, n: u64) -> Result<StoredLife, StoreError> {
        let row = self.db.row(
            "SELECT archived_at, stale_since, reads, last_read FROM record_life WHERE n = ?",
            params![n],
        )?;
        let Some(row) = row else {
            return Ok(StoredLife::default());
        };
        Ok(StoredLife {
            archived_at: row.optional(0, Row::timestamp)?,
            stale_since: row.optional(1, Row::timestamp)?,
            reads: u32::try_from(row.integer(2)?).unwrap_or(u32::MAX),
            last_read: row.optional(3, Row::timestamp)?,
        })
    }

    pub(super) fn archive(&self, n: u64, now: Timestamp) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO record_life(n, archived_at) VALUES(?, ?)
             ON CONFLICT(n) DO UPDATE SET archived_at = coalesce(archived_at, excluded.archived_at)",
            params![n, now],
        )
    }

    pub(super) fn make_stale(&self, n: u64, now: Timestamp) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO record_life(n, stale_since) VALUES(?, ?)
             ON CONFLICT(n) DO UPDATE SET stale_since = coalesce(stale_since, excluded.stale_since)",
            params![n, now],
        )
    }

    /// A record that was written anew is neither stale nor archived.
    pub(super) fn revive(&self, n: u64) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE record_life SET archived_at = NULL, stale_since = NULL WHERE n = ?",
            params![n],
        )
    }

    /// Counts reads of a record, unless it is gone.
    pub(super) fn add_reads(&self, n: u64, reads: u32, last: Timestamp) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO record_life(n, reads, last_read) SELECT n, ?2, ?3 FROM records WHERE n = ?1
             ON CONFLICT(n) DO UPDATE SET reads = reads + excluded.reads,
                last_read = max(coalesce(last_read, 0), excluded.last_read)",
            params![n, reads, last],
        )
    }

    /// Drops what is known of the life of a record that is gone.
    pub(super) fn drop_life(&self, n: u64) -> Result<(), StoreError> {
        for sql in [
            "DELETE FROM record_links WHERE n = ?",
            "DELETE FROM record_life WHERE n = ?",
        ] {
            self.db.exec(sql, params![n])?;
        }
        Ok(())
    }

    /// Destroys the versions before the current one, and every key but its own.
    pub(super) fn drop_history(&self, record: &StoredRecord) -> Result<(), StoreError> {
        let [collection, rkey] = texts(&record.path);
        self.db.exec(
            "DELETE FROM record_versions WHERE collection = ? AND rkey = ?",
            params![collection, rkey],
        )?;
        self.db.exec(
            "DELETE FROM wraps WHERE collection = ? AND rkey = ? AND dek IS NOT ?",
            params![collection, rkey, record.dek.map(|dek| *dek.as_bytes())],
        )?;
        self.release_blobs(&record.path, record.version.saturating_sub(1))
    }

    /// Returns episodes that are not in the archive, by the order of their keys.
    pub(super) fn episodes(&self, after: u64, limit: u32) -> Result<Vec<StoredRecord>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM records WHERE collection = 'agent.memory.episode' AND n > ?1
                AND n NOT IN (SELECT n FROM record_life WHERE archived_at IS NOT NULL)
             ORDER BY n LIMIT ?2"
        );
        let rows = self.db.rows(&sql, params![after, limit])?;
        rows.iter().map(record).collect()
    }

    /// Finds the record that has a CID now.
    pub(super) fn by_cid(&self, cid: &Cid) -> Result<Option<StoredRecord>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM records WHERE cid = ?");
        let row = self.db.row(&sql, params![cid.to_bytes()])?;
        row.as_ref().map(record).transpose()
    }

    /// Notes that an agent, or everybody, was given a record.
    pub(super) fn keep_told(
        &self,
        path: &RecordPath,
        whom: Option<&Did>,
        host: &str,
    ) -> Result<(), StoreError> {
        let [collection, rkey] = texts(path);
        self.db.exec(
            "INSERT INTO record_told(collection, rkey, whom, host) VALUES(?, ?, ?, ?)
             ON CONFLICT(collection, rkey, whom) DO UPDATE SET host = excluded.host",
            params![collection, rkey, whom.map_or(EVERYBODY, Did::as_str), host],
        )
    }

    pub(super) fn told(&self, path: &RecordPath) -> Result<Vec<Told>, StoreError> {
        let rows = self.db.rows(
            "SELECT whom, host FROM record_told WHERE collection = ? AND rkey = ?",
            names(path),
        )?;
        let told = |row: &Row| {
            let whom = row.text(0)?;
            let named = (whom != EVERYBODY).then(|| Did::parse(&whom)).transpose();
            Ok(Told {
                whom: named.map_err(|_error| StoreError::Column(0))?,
                host: row.text(1)?,
            })
        };
        rows.iter().map(told).collect()
    }

    /// Drops that an agent was given a record: it was not.
    pub(super) fn drop_told(&self, path: &RecordPath, whom: &Did) -> Result<(), StoreError> {
        let [collection, rkey] = texts(path);
        self.db.exec(
            "DELETE FROM record_told WHERE collection = ? AND rkey = ? AND whom = ?",
            params![collection, rkey, whom.as_str()],
        )
    }

    /// Notes that what had this name was forgotten.
    pub(super) fn keep_forgotten(
        &self,
        token: &str,
        at: Timestamp,
        report: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO forgotten(token, at, report) VALUES(?, ?, ?)
             ON CONFLICT(token) DO UPDATE SET at = excluded.at, report = excluded.report",
            params![token, at, report],
        )
    }

    /// Returns the sealed report of what had this name; inside nothing if there is none. Outside
    /// nothing: it was never forgotten.
    pub(super) fn forgotten(&self, token: &str) -> Result<Option<Option<Vec<u8>>>, StoreError> {
        let sql = "SELECT report FROM forgotten WHERE token = ?";
        let row = self.db.row(sql, params![token])?;
        row.map(|row| row.optional(0, Row::blob)).transpose()
    }

    pub(super) fn keep_withdrawal(&self, one: &Withdrawal) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT OR REPLACE INTO withdrawals(uri, whom, host, cid, version)
             VALUES(?, ?, ?, ?, ?)",
            params![
                &one.uri,
                one.whom.as_str(),
                &one.host,
                &one.cid,
                one.version,
            ],
        )
    }

    /// Returns who is to be asked to delete a record; of any record, some that can be asked.
    pub(super) fn withdrawals(
        &self,
        uri: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Withdrawal>, StoreError> {
        let rows = self.db.rows(
            "SELECT uri, whom, host, cid, version, code FROM withdrawals
             WHERE (?1 IS NULL AND code IS NULL) OR uri = ?1 LIMIT ?2",
            params![uri, limit],
        )?;
        let one = |row: &Row| {
            Ok(Withdrawal {
                uri: row.text(0)?,
                whom: Did::parse(&row.text(1)?).map_err(|_error| StoreError::Column(1))?,
                host: row.text(2)?,
                cid: row.blob(3)?,
                version: row.integer(4)?,
                code: row.optional(5, Row::text)?,
            })
        };
        rows.iter().map(one).collect()
    }

    pub(super) fn withdrawn(&self, one: &Withdrawal) -> Result<(), StoreError> {
        self.db.exec(
            "DELETE FROM withdrawals WHERE uri = ? AND whom = ?",
            params![&one.uri, one.whom.as_str()],
        )
    }

    pub(super) fn cannot_withdraw(&self, one: &Withdrawal, code: &str) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE withdrawals SET code = ? WHERE uri = ? AND whom = ?",
            params![code, &one.uri, one.whom.as_str()],
        )
    }

    /// Drops what another agent shares, and what was coming in of it.
    pub(super) fn drop_shared(&self, uri: &str) -> Result<(), StoreError> {
        self.drop_incoming(uri)?;
        self.db
            .exec("DELETE FROM shared_records WHERE uri = ?", params![uri])
    }

    /// Returns some of the records after a place, without what is stored of them.
    pub(super) fn aging(&self, after: u64, limit: u32) -> Result<Vec<Aging>, StoreError> {
        let rows = self.db.rows(
            "SELECT n, collection, rkey, cid, created_at FROM records WHERE n > ? ORDER BY n LIMIT ?",
            params![after, limit],
        )?;
        let one = |row: &Row| {
            Ok(Aging {
                n: row.integer(0)?,
                path: path(row, 1)?,
                cid: cid(row, 3)?,
                created_at: row.timestamp(4)?,
            })
        };
        rows.iter().map(one).collect()
    }
}

/// Reads the life of a record where it is a column of the record.
pub(super) fn life(row: &Row, column: usize) -> Result<StoredLife, StoreError> {
    type Columns = (Option<u64>, Option<u64>, u32, Option<u64>);
    let columns = serde_json::from_str::<Columns>(&row.text(column)?);
    let (archived_at, stale_since, reads, last_read) =
        columns.map_err(|_error| StoreError::Column(column))?;
    Ok(StoredLife {
        archived_at: archived_at.map(Timestamp),
        stale_since: stale_since.map(Timestamp),
        reads,
        last_read: last_read.map(Timestamp),
    })
}

fn json(targets: &[String]) -> Result<String, StoreError> {
    serde_json::to_string(targets).map_err(|error| StoreError::Sql(error.to_string()))
}
