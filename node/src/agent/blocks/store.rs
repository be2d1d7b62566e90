//! The table of blocks.

use std::rc::Rc;

use entente_lexicon::Timestamp;
use entente_lexicon::api::blocks::BlockView;

use crate::agent::blocks::Block;
use crate::params;
use crate::store::sqlite::{Row, Sqlite, StoreError};

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS blocks(
    who TEXT PRIMARY KEY, named TEXT NOT NULL, network TEXT, silent INTEGER NOT NULL,
    created_at INTEGER NOT NULL, refused INTEGER NOT NULL DEFAULT 0, last_at INTEGER) WITHOUT ROWID";

/// Typed access to the table of blocks.
pub(super) struct BlockStore {
    db: Rc<Sqlite>,
}

impl BlockStore {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self { db }
    }

    pub(super) fn create(&self) -> Result<(), StoreError> {
        self.db.exec(SCHEMA, params![])
    }

    /// Returns every block; none where nothing was ever blocked.
    pub(super) fn all(&self) -> Result<Vec<Block>, StoreError> {
        let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'blocks'";
        if self.db.row(sql, params![])?.is_none() {
            return Ok(Vec::new());
        }
        let sql = "SELECT who, network, silent FROM blocks";
        self.db.rows(sql, params![])?.iter().map(block).collect()
    }

    /// Writes a block down, or changes how it is told; what it has counted stays.
    pub(super) fn put(
        &self,
        block: &Block,
        named: &str,
        now: Timestamp,
    ) -> Result<BlockView, StoreError> {
        self.db.exec(
            "INSERT INTO blocks(who, named, network, silent, created_at) VALUES(?1, ?2, ?3, ?4, ?5)
             ON CONFLICT(who) DO UPDATE SET network = coalesce(?3, network), silent = ?4",
            params![
                block.who.as_str(),
                named,
                block.network.as_deref(),
                block.silent,
                now
            ],
        )?;
        self.one(&block.who)?.ok_or(StoreError::Column(0))
    }

    pub(super) fn one(&self, who: &str) -> Result<Option<BlockView>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM blocks WHERE who = ?");
        self.db
            .row(&sql, params![who])?
            .as_ref()
            .map(view)
            .transpose()
    }

    pub(super) fn list(&self) -> Result<Vec<BlockView>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM blocks ORDER BY created_at, who");
        self.db.rows(&sql, params![])?.iter().map(view).collect()
    }

    /// Returns whether there was one.
    pub(super) fn remove(&self, who: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM blocks WHERE who = ? RETURNING 1";
        Ok(self.db.row(sql, params![who])?.is_some())
    }

    /// A message was kept away.
    pub(super) fn count(&self, who: &str, now: Timestamp) -> Result<(), StoreError> {
        self.db.exec(
            "UPDATE blocks SET refused = refused + 1, last_at = ? WHERE who = ?",
            params![now, who],
        )
    }
}

const COLUMNS: &str = "who, named, silent, created_at, refused, last_at";

fn block(row: &Row) -> Result<Block, StoreError> {
    Ok(Block {
        who: row.text(0)?,
        network: row.optional(1, Row::text)?,
        silent: row.flag(2)?,
    })
}

fn view(row: &Row) -> Result<BlockView, StoreError> {
    Ok(BlockView {
        who: row.text(0)?,
        named: row.text(1)?,
        silent: row.flag(2)?,
        created_at: row.timestamp(3)?,
        refused: row.integer(4)?,
        last_at: row.optional(5, Row::timestamp)?,
    })
}
