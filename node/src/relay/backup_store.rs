//! What the relay knows of backups: which object has which snapshot, and the generations.

use std::collections::BTreeSet;
use std::rc::Rc;

use entente_lexicon::Timestamp;
use entente_lexicon::api::BackupView;
use entente_trust::backup::Index;

use crate::backup::wire::Taken;
use crate::params;
use crate::store::sqlite::{Row, Sqlite, StoreError};

/// The tables; never part of a backup.
const SCHEMA: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS backup_parts(
        subject TEXT PRIMARY KEY, changed_at INTEGER, asked INTEGER, generation INTEGER,
        manifest BLOB, length INTEGER) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS backup_generations(
        generation INTEGER PRIMARY KEY, state TEXT NOT NULL, begun_at INTEGER NOT NULL,
        whole_at INTEGER, bytes INTEGER NOT NULL DEFAULT 0, parts INTEGER NOT NULL DEFAULT 0,
        behind INTEGER NOT NULL DEFAULT 0, error TEXT, sealed BLOB)",
];
/// Generations listed that are not whole.
const MAX_FAILED: u32 = 20;
const MAX_ERROR: usize = 500;

/// One object of the network.
pub(super) struct KnownPart {
    pub(super) subject: String,
    /// Since when something changed that the snapshot lacks.
    pub(super) changed_at: Option<Timestamp>,
    pub(super) taken: Option<Taken>,
}

/// Typed access to those tables.
pub(super) struct BackupStore {
    db: Rc<Sqlite>,
}

impl BackupStore {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self { db }
    }

    pub(super) fn create(&self) -> Result<(), StoreError> {
        SCHEMA
            .iter()
            .try_for_each(|sql| self.db.aside(sql, params![]))
    }

    pub(super) fn changed(&self, subject: &str, at: Timestamp) -> Result<(), StoreError> {
        self.db.aside(
            "INSERT INTO backup_parts(subject, changed_at) VALUES(?1, ?2)
             ON CONFLICT(subject) DO UPDATE SET changed_at = min(COALESCE(changed_at, ?2), ?2)",
            params![subject, at],
        )
    }

    /// Notes that an object is asked for a snapshot: what it tells of from here on may not be in it.
    pub(super) fn ask(&self, subject: &str) -> Result<(), StoreError> {
        self.db.aside(
            "UPDATE backup_parts SET asked = COALESCE(asked, changed_at), changed_at = NULL
             WHERE subject = ?",
            params![subject],
        )
    }

    /// Notes the snapshot that an object was asked for.
    pub(super) fn took(&self, subject: &str, taken: &Taken) -> Result<(), StoreError> {
        self.db.aside(
            "INSERT INTO backup_parts(subject, generation, manifest, length) VALUES(?1, ?2, ?3, ?4)
             ON CONFLICT(subject) DO UPDATE SET generation = ?2, manifest = ?3, length = ?4,
                asked = NULL",
            params![
                subject,
                taken.generation,
                taken.manifest.as_slice(),
                taken.length
            ],
        )
    }

    pub(super) fn part(&self, subject: &str) -> Result<Option<KnownPart>, StoreError> {
        let sql = "SELECT subject, COALESCE(asked, changed_at), generation, manifest, length FROM backup_parts
                   WHERE subject = ?";
        let row = self.db.row(sql, params![subject])?;
        row.map(|row| part(&row)).transpose()
    }

    /// Returns the parts of these objects, and forgets all others.
    pub(super) fn parts(&self, subjects: &BTreeSet<String>) -> Result<Vec<KnownPart>, StoreError> {
        let sql = "SELECT subject, COALESCE(asked, changed_at), generation, manifest, length FROM backup_parts
                   ORDER BY subject";
        let rows = self.db.rows(sql, params![])?;
        let all = rows.iter().map(part).collect::<Result<Vec<_>, _>>()?;
        let (kept, gone): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|part| subjects.contains(&part.subject));
        for part in gone {
            let sql = "DELETE FROM backup_parts WHERE subject = ?";
            self.db.aside(sql, params![part.subject])?;
        }
        Ok(kept)
    }

    pub(super) fn oldest_change(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT min(COALESCE(asked, changed_at)) FROM backup_parts";
        let row = self.db.row(sql, params![])?;
        row.map_or(Ok(None), |row| row.optional(0, Row::timestamp))
    }

    pub(super) fn changes(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM backup_parts WHERE COALESCE(asked, changed_at) IS NOT NULL";
        let row = self.db.row(sql, params![])?;
        row.map_or(Ok(0), |row| row.integer(0))
    }

    /// Returns how many generations failed since the last whole one, and when the last of them began.
    pub(super) fn failures(&self) -> Result<Option<(u32, Timestamp)>, StoreError> {
        let sql = "SELECT count(*), max(begun_at) FROM backup_generations WHERE state <> 'whole'
                   AND generation > (SELECT coalesce(max(generation), 0) FROM backup_generations
                      WHERE state = 'whole')";
        let Some(row) = self.db.row(sql, params![])? else {
            return Ok(None);
        };
        let count = u32::try_from(row.integer(0)?).unwrap_or(u32::MAX);
        let at = row.optional(1, Row::timestamp)?;
        Ok(at.map(|at| (count, at)))
    }

    /// Returns the number of the newest generation, 0 before the first.
    pub(super) fn newest(&self) -> Result<u64, StoreError> {
        let sql = "SELECT coalesce(max(generation), 0) FROM backup_generations";
        let row = self.db.row(sql, params![])?;
        row.map_or(Ok(0), |row| row.integer(0))
    }

    /// Begins a generation and returns its number. One that still runs was cut off.
    pub(super) fn begin(&self, at: Timestamp) -> Result<u64, StoreError> {
        self.db.transaction(|| {
            let generation = self.newest()?.saturating_add(1);
            self.db.aside(
                "UPDATE backup_generations SET state = 'failed', error = 'it was cut off'
                 WHERE state = 'running'",
                params![],
            )?;
            self.db.aside(
                "INSERT INTO backup_generations(generation, state, begun_at) VALUES(?, 'running', ?)",
                params![generation, at],
            )?;
            Ok(generation)
        })
    }

    pub(super) fn failed(&self, generation: u64, error: &str) -> Result<(), StoreError> {
        let error: String = error.chars().take(MAX_ERROR).collect();
        self.db.aside(
            "INSERT INTO backup_generations(generation, state, begun_at, error)
             VALUES(?1, 'failed', 0, ?2)
             ON CONFLICT(generation) DO UPDATE SET state = 'failed', error = ?2",
            params![generation, error],
        )
    }

    pub(super) fn whole(
        &self,
        generation: u64,
        index: &Index,
        sealed: &[u8],
        behind: &[String],
    ) -> Result<(), StoreError> {
        let bytes = index.parts.iter().map(|part| part.length);
        let bytes = bytes.fold(0_u64, u64::saturating_add);
        let error: String = behind.join("; ").chars().take(MAX_ERROR).collect();
        self.db.aside(
            "INSERT INTO backup_generations
                (generation, state, begun_at, whole_at, bytes, parts, behind, error, sealed)
             VALUES(?1, 'whole', ?2, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT(generation) DO UPDATE SET state = 'whole', whole_at = ?2, bytes = ?3,
                parts = ?4, behind = ?5, error = ?6, sealed = ?7",
            params![
                generation,
                index.at,
                bytes,
                index.parts.len(),
                behind.len(),
                (!error.is_empty()).then_some(error),
                sealed
            ],
        )
    }

    /// Forgets all whole generations but the newest `kept`, which it returns with their sealed indexes,
    /// and failed ones beyond the last few.
    pub(super) fn keep_newest(&self, kept: u64) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        self.db.aside(
            "DELETE FROM backup_generations WHERE state = 'whole' AND generation NOT IN
                (SELECT generation FROM backup_generations WHERE state = 'whole'
                 ORDER BY generation DESC LIMIT ?)",
            params![kept],
        )?;
        self.db.aside(
            "DELETE FROM backup_generations WHERE state = 'failed' AND generation NOT IN
                (SELECT generation FROM backup_generations ORDER BY generation DESC LIMIT ?)",
            params![MAX_FAILED],
        )?;
        self.whole_ones()
    }

    /// Returns the sealed indexes of whole generations, the newest first.
    pub(super) fn whole_ones(&self) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let sql = "SELECT generation, sealed FROM backup_generations WHERE state = 'whole'
                   ORDER BY generation DESC";
        let rows = self.db.rows(sql, params![])?;
        rows.iter()
            .map(|row| Ok((row.integer(0)?, row.blob(1)?)))
            .collect()
    }

    pub(super) fn forget_all(&self) -> Result<(), StoreError> {
        for table in ["backup_parts", "backup_generations"] {
            self.db.aside(&format!("DELETE FROM {table}"), params![])?;
        }
        Ok(())
    }

    pub(super) fn generations(
        &self,
        network: &str,
        at: Timestamp,
    ) -> Result<Vec<BackupView>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM backup_generations ORDER BY generation DESC");
        let rows = self.db.rows(&sql, params![])?;
        rows.iter().map(|row| view(row, network, at)).collect()
    }

    pub(super) fn generation(
        &self,
        network: &str,
        generation: u64,
        at: Timestamp,
    ) -> Result<Option<BackupView>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM backup_generations WHERE generation = ?");
        let row = self.db.row(&sql, params![generation])?;
        row.map(|row| view(&row, network, at)).transpose()
    }
}

const COLUMNS: &str = "generation, state, begun_at, whole_at, bytes, parts, behind, error";

fn view(row: &Row, network: &str, at: Timestamp) -> Result<BackupView, StoreError> {
    let whole_at = row.optional(3, Row::timestamp)?;
    Ok(BackupView {
        network: network.to_owned(),
        generation: row.integer(0)?,
        state: row.text(1)?,
        begun_at: row.timestamp(2)?,
        whole_at,
        age_ms: whole_at.map(|whole| at.since(whole)),
        bytes: row.integer(4)?,
        parts: row.integer(5)?,
        behind: row.integer(6)?,
        error: row.optional(7, Row::text)?,
    })
}

fn part(row: &Row) -> Result<KnownPart, StoreError> {
    let generation = row.optional(2, Row::integer)?;
    let taken = generation.map(|generation| {
        Ok::<_, StoreError>(Taken {
            generation,
            manifest: row.blob(3)?.into(),
            length: row.integer(4)?,
        })
    });
    Ok(KnownPart {
        subject: row.text(0)?,
        changed_at: row.optional(1, Row::timestamp)?,
        taken: taken.transpose()?,
    })
}
