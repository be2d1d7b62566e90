//! Trees and commits in the agent's SQLite.

use std::rc::Rc;

use entente_lexicon::RecordPath;
use entente_memory::repo::{Blocks, Cid};
use entente_trust::memory::DekId;

use crate::agent::repo::RepoTree;
use crate::agent::store::AgentStore;
use crate::params;
use crate::store::sqlite::{Sqlite, StoreError};

/// Creates what is missing, with the agent's other tables.
pub(super) const REPO_SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS repo_nodes(
        tree INTEGER NOT NULL, cid BLOB NOT NULL, node BLOB NOT NULL,
        PRIMARY KEY(tree, cid)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS repo_heads(tree INTEGER PRIMARY KEY, head BLOB NOT NULL)",
];

/// The nodes of one tree.
pub(super) struct Nodes {
    db: Rc<Sqlite>,
    tree: u32,
}

impl Blocks for Nodes {
    type Error = StoreError;

    fn block(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self.db.row(
            "SELECT node FROM repo_nodes WHERE tree = ? AND cid = ?",
            params![self.tree, cid.to_bytes()],
        )?;
        row.map(|row| row.blob(0)).transpose()
    }
}

impl Nodes {
    pub(super) fn put(&self, cid: &Cid, node: &[u8]) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO repo_nodes(tree, cid, node) VALUES(?, ?, ?)",
            params![self.tree, cid.to_bytes(), node],
        )
    }

    pub(super) fn remove(&self, cid: &Cid) -> Result<(), StoreError> {
        self.db.exec(
            "DELETE FROM repo_nodes WHERE tree = ? AND cid = ?",
            params![self.tree, cid.to_bytes()],
        )
    }
}

impl AgentStore {
    pub(super) fn nodes(&self, tree: RepoTree) -> Nodes {
        Nodes {
            db: Rc::clone(&self.db),
            tree: tree.number(),
        }
    }

    /// Returns the block of a record, if it still is the one with this CID.
    pub(super) fn record_block(
        &self,
        path: &RecordPath,
        cid: &Cid,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let (collection, rkey) = (path.collection().as_str(), path.rkey().as_str());
        let row = self.db.row(
            "SELECT block FROM records WHERE collection = ? AND rkey = ? AND cid = ?",
            params![collection, rkey, cid.to_bytes()],
        )?;
        row.map(|row| row.blob(0)).transpose()
    }

    /// Returns the row that wraps a key for its owner.
    pub(super) fn key_row(&self, dek: DekId) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT row FROM wraps WHERE dek = ?";
        let row = self.db.row(sql, params![*dek.as_bytes()])?;
        row.map(|row| row.blob(0)).transpose()
    }

    /// Returns the block of a tree's last commit.
    pub(super) fn repo_head(&self, tree: RepoTree) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self.db.row(
            "SELECT head FROM repo_heads WHERE tree = ?",
            params![tree.number()],
        )?;
        row.map(|row| row.blob(0)).transpose()
    }

    pub(super) fn set_repo_head(&self, tree: RepoTree, head: &[u8]) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO repo_heads(tree, head) VALUES(?, ?)
             ON CONFLICT(tree) DO UPDATE SET head = excluded.head",
            params![tree.number(), head],
        )
    }
}
