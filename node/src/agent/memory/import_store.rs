//! What an import puts aside until it is judged.

use entente_lexicon::RecordPath;
use entente_memory::repo::Cid;
use entente_trust::memory::DekId;

use crate::agent::memory::store::{MemoryStore, names};
use crate::params;
use crate::store::sqlite::StoreError;

impl MemoryStore {
    /// Whether there is a record at a path.
    pub(super) fn has(&self, path: &RecordPath) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM records WHERE collection = ? AND rkey = ?";
        Ok(self.db.row(sql, names(path))?.is_some())
    }

    /// Puts a block aside, sealed.
    pub(super) fn stage(&self, cid: &Cid, sealed: &[u8]) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT OR IGNORE INTO staged_blocks(id, block) VALUES(?, ?)",
            params![cid.to_bytes(), sealed],
        )
    }

    /// Puts a row aside that wraps a record's key.
    pub(super) fn stage_key(&self, dek: DekId, row: &[u8]) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT OR IGNORE INTO staged_blocks(id, block) VALUES(?, ?)",
            params![*dek.as_bytes(), row],
        )
    }

    pub(super) fn staged(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        self.staged_at(&cid.to_bytes())
    }

    pub(super) fn staged_key(&self, dek: DekId) -> Result<Option<Vec<u8>>, StoreError> {
        self.staged_at(dek.as_bytes())
    }

    fn staged_at(&self, id: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self
            .db
            .row("SELECT block FROM staged_blocks WHERE id = ?", params![id])?;
        row.map(|row| row.blob(0)).transpose()
    }

    /// Clears away all that was put aside.
    pub(super) fn clear_staged(&self) -> Result<(), StoreError> {
        self.db.exec("DELETE FROM staged_blocks", params![])
    }
}
