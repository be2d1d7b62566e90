//! Trees and commits in the agent's SQLite.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use data_encoding::HEXLOWER;
use entente_lexicon::{RecordPath, Tid};
use entente_memory::repo::block::parse_cid;
use entente_memory::repo::{Blocks, Cid, Diff};
use entente_trust::memory::{DekId, Level};
use serde::Serialize;

use crate::agent::repo::RepoTree;
use crate::agent::store::AgentStore;
use crate::params;
use crate::store::sqlite::{Row, Sqlite, StoreError};

/// Creates what is missing, with the agent's other tables.
pub(super) const REPO_SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS repo_nodes(
        tree INTEGER NOT NULL, cid BLOB NOT NULL, node BLOB NOT NULL, rev TEXT NOT NULL,
        PRIMARY KEY(tree, cid)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS repo_heads(tree INTEGER PRIMARY KEY, head BLOB NOT NULL)",
];

/// Nodes kept in memory: a write passes through those near the root, and most writes are neighbours.
const MAX_CACHED: usize = 512;
/// Longer nodes are not kept, and are stored one by one.
const MAX_SHORT_NODE: usize = 4 * 1024;
/// Short nodes stored by one statement.
const NODES_A_STATEMENT: usize = 100;

/// Nodes that were read or written lately. What a CID names never changes, so none is ever wrong, whatever
/// became of the transaction that made it.
#[derive(Debug, Default)]
pub(super) struct NodeCache(RefCell<BTreeMap<Cid, Vec<u8>>>);

impl NodeCache {
    fn get(&self, cid: &Cid) -> Option<Vec<u8>> {
        self.0.borrow().get(cid).cloned()
    }

    fn keep(&self, cid: Cid, node: &[u8]) {
        if node.len() > MAX_SHORT_NODE {
            return;
        }
        let mut kept = self.0.borrow_mut();
        if kept.len() >= MAX_CACHED {
            kept.clear();
        }
        kept.insert(cid, node.to_vec());
    }

    fn forget(&self, cid: &Cid) {
        self.0.borrow_mut().remove(cid);
    }
}

/// The last commit of each tree, and after how many rollbacks it was read or written.
#[derive(Debug, Default)]
pub(super) struct Heads(RefCell<BTreeMap<u32, (u64, Vec<u8>)>>);

/// The nodes of one tree.
pub(super) struct Nodes {
    db: Rc<Sqlite>,
    cache: Rc<NodeCache>,
    tree: u32,
}

impl Blocks for Nodes {
    type Error = StoreError;

    fn block(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(node) = self.cache.get(cid) {
            return Ok(Some(node));
        }
        let row = self.db.row(
            "SELECT node FROM repo_nodes WHERE tree = ? AND cid = ?",
            params![self.tree, cid.to_bytes()],
        )?;
        let node = row.map(|row| row.blob(0)).transpose()?;
        if let Some(node) = &node {
            self.cache.keep(*cid, node);
        }
        Ok(node)
    }
}

impl Nodes {
    /// Stores the nodes that a change made, by the revision that it makes, and removes those that it left
    /// behind.
    pub(super) fn change(&self, diff: &Diff, rev: &Tid) -> Result<(), StoreError> {
        let (short, long): (Vec<_>, Vec<_>) = diff
            .new
            .iter()
            .partition(|(_cid, node)| node.len() <= MAX_SHORT_NODE);
        for (cid, node) in long {
            self.db.exec(
                "INSERT INTO repo_nodes(tree, cid, node, rev) VALUES(?, ?, ?, ?)",
                params![self.tree, cid.to_bytes(), node, rev.as_str()],
            )?;
        }
        for some in short.chunks(NODES_A_STATEMENT) {
            let hex = |(cid, node): &(&Cid, &Vec<u8>)| {
                [HEXLOWER.encode(&cid.to_bytes()), HEXLOWER.encode(node)]
            };
            let list: Vec<_> = some.iter().map(hex).collect();
            self.db.exec(
                "INSERT INTO repo_nodes(tree, cid, node, rev)
                 SELECT ?1, unhex(value ->> 0), unhex(value ->> 1), ?3 FROM json_each(?2)",
                params![self.tree, json(&list), rev.as_str()],
            )?;
        }
        for (cid, node) in &diff.new {
            self.cache.keep(*cid, node);
        }
        let removed: Vec<_> = diff.removed.iter().collect();
        for some in removed.chunks(NODES_A_STATEMENT) {
            let hex = |cid: &&Cid| HEXLOWER.encode(&cid.to_bytes());
            let list: Vec<_> = some.iter().map(hex).collect();
            self.db.exec(
                "DELETE FROM repo_nodes WHERE tree = ?1
                    AND cid IN (SELECT unhex(value) FROM json_each(?2))",
                params![self.tree, json(&list)],
            )?;
            some.iter().for_each(|cid| self.cache.forget(cid));
        }
        Ok(())
    }
}

impl Nodes {
    /// Returns the nodes that came after a revision. What is there and came before was there then.
    pub(super) fn since(&self, rev: &Tid) -> Result<Vec<(Cid, Vec<u8>)>, StoreError> {
        let rows = self.db.rows(
            "SELECT cid, node FROM repo_nodes WHERE tree = ? AND rev > ?",
            params![self.tree, rev.as_str()],
        )?;
        let node = |row: &Row| {
            let cid = parse_cid(&row.blob(0)?).map_err(|_error| StoreError::Column(0))?;
            Ok((cid, row.blob(1)?))
        };
        rows.iter().map(node).collect()
    }
}

fn json(list: &impl Serialize) -> String {
    serde_json::to_string(list).unwrap_or_default()
}

impl AgentStore {
    pub(super) fn nodes(&self, tree: RepoTree) -> Nodes {
        Nodes {
            db: Rc::clone(&self.db),
            cache: Rc::clone(&self.node_cache),
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

    /// Returns the block of a public record by its CID.
    pub(super) fn public_record(&self, cid: &Cid) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self.db.row(
            "SELECT block FROM records WHERE cid = ? AND level = ? LIMIT 1",
            params![cid.to_bytes(), Level::Public.as_str()],
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
        let rollbacks = self.db.rollbacks();
        if let Some((at, head)) = self.heads.0.borrow().get(&tree.number())
            && *at == rollbacks
        {
            return Ok(Some(head.clone()));
        }
        let row = self.db.row(
            "SELECT head FROM repo_heads WHERE tree = ?",
            params![tree.number()],
        )?;
        let head = row.map(|row| row.blob(0)).transpose()?;
        if let Some(head) = &head {
            self.know_head(tree, head);
        }
        Ok(head)
    }

    pub(super) fn set_repo_head(&self, tree: RepoTree, head: &[u8]) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO repo_heads(tree, head) VALUES(?, ?)
             ON CONFLICT(tree) DO UPDATE SET head = excluded.head",
            params![tree.number(), head],
        )?;
        self.know_head(tree, head);
        Ok(())
    }

    fn know_head(&self, tree: RepoTree, head: &[u8]) {
        let known = (self.db.rollbacks(), head.to_vec());
        self.heads.0.borrow_mut().insert(tree.number(), known);
    }
}
