//! What each public repo is at, as far as the relay has heard: from the agent's birth on, with every event
//! of its repo, in the transaction that gives the event its place in the stream. So the list of all repos
//! is answered without asking any agent. See `docs/protocol/repo.md`, 5.4.

use entente_lexicon::{Did, Tid};

use crate::error::ApiError;
use crate::params;
use crate::relay::store::RelayStore;
use crate::shapes::RepoHead;
use crate::store::sqlite::{Row, StoreError};

/// Of deleted agents too: the directory says who lives.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS repo_heads (
  did TEXT PRIMARY KEY, head TEXT NOT NULL, rev TEXT NOT NULL) WITHOUT ROWID;
";

impl RelayStore {
    /// Notes what a repo is at. What is told late, or again, changes nothing: revisions only grow.
    pub(super) fn note_head(&self, told: &RepoHead) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO repo_heads (did, head, rev) VALUES (?, ?, ?)
             ON CONFLICT (did) DO UPDATE SET head = excluded.head, rev = excluded.rev
             WHERE excluded.rev > rev",
            params![told.did.as_str(), told.commit.as_str(), told.rev.as_str()],
        )
    }

    /// Forgets what an agent's repo was at: it is put back to an older state.
    pub(super) fn forget_head(&self, did: &Did) -> Result<(), StoreError> {
        let sql = "DELETE FROM repo_heads WHERE did = ?";
        self.db.exec(sql, params![did.as_str()])
    }

    /// Forgets what all repos were at.
    pub(super) fn forget_heads(&self) -> Result<(), StoreError> {
        self.db.exec("DELETE FROM repo_heads", params![])
    }

    /// Returns what these repos are at, of those that were heard of.
    pub(super) fn heads(&self, dids: &[Did]) -> Result<Vec<RepoHead>, ApiError> {
        let rows = self.db.rows(
            "SELECT did, head, rev FROM repo_heads WHERE did IN (SELECT value FROM json_each(?))",
            params![serde_json::to_string(dids)?],
        )?;
        rows.iter().map(head).collect()
    }
}

fn head(row: &Row) -> Result<RepoHead, ApiError> {
    Ok(RepoHead {
        did: Did::parse(&row.text(0)?).map_err(ApiError::internal)?,
        commit: row.text(1)?,
        rev: Tid::parse(&row.text(2)?).map_err(ApiError::internal)?,
    })
}
