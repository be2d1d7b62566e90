//! The agent's two repos: the public one, which anyone may read, and the private one, which its owner
//! exports. See `docs/protocol/repo.md`.
//!
//! Whoever writes records calls [`Core::commit_records`] in the same transaction: the tree changes
//! along the paths of what was written, and one signature covers the batch.

use entente_lexicon::{Did, RecordPath, Tid};
use entente_memory::repo::events::Op;
use entente_memory::repo::walk;
use entente_memory::repo::{Cid, Commit, Key, SignedCommit, Tree, TreeError};
use entente_trust::crypto::secp256k1::SigningKey;
use entente_trust::memory::Level;

use crate::agent::core::Core;
use crate::error::ApiError;
use crate::internal;
use crate::store::sqlite::StoreError;

/// One of an agent's two trees. They share no node, so that publishing a record leaks no path of
/// another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RepoTree {
    /// Private and shared records, as envelopes.
    Private,
    /// Public records, in the clear.
    Public,
}

impl RepoTree {
    /// Returns the tree of records at a level.
    pub(super) const fn of(level: Level) -> Self {
        match level {
            Level::Private | Level::Shared => Self::Private,
            Level::Public => Self::Public,
        }
    }

    /// Returns the number that the tables know it by.
    pub(super) const fn number(self) -> u32 {
        match self {
            Self::Private => 0,
            Self::Public => 1,
        }
    }
}

impl From<TreeError<StoreError>> for ApiError {
    fn from(error: TreeError<StoreError>) -> Self {
        Self::internal(error)
    }
}

impl Core {
    /// Writes down what each path leads to from now on (nothing: the record is gone), and signs the
    /// tree that results, as it is if there are no writes. To be called in the transaction that
    /// stores the records. Returns the commit; the one before if the writes change nothing.
    pub(super) fn commit_records(
        &self,
        tree: RepoTree,
        (did, key): (&Did, &SigningKey),
        writes: &[(RecordPath, Option<Cid>)],
    ) -> Result<SignedCommit, ApiError> {
        let nodes = self.store.nodes(tree);
        let before = self.store.repo_head(tree)?;
        let before = before.map(|head| decode(&head)).transpose()?;
        let mut changed = match &before {
            Some(before) => Tree::load(&nodes, &before.commit.data)?,
            None => Tree::empty(&nodes),
        };
        let mut ops = Vec::new();
        for (path, value) in writes {
            let key = Key::from(path);
            let prev = match value {
                Some(value) => changed.put(key, *value)?,
                None => changed.remove(&key)?,
            };
            ops.push(Op {
                path: path.to_string(),
                cid: *value,
                prev,
            });
        }
        // What was not there and is not there, or is as it was, was not written.
        ops.retain(|op| op.cid != op.prev);
        let (data, diff) = changed.finish();
        let same = |before: &&SignedCommit| !writes.is_empty() && before.commit.data == data;
        if let Some(before) = before.as_ref().filter(same) {
            return Ok(before.clone());
        }
        let micros = internal::now().0.saturating_mul(1_000);
        let rev = Tid::after(before.as_ref().map(|before| &before.commit.rev), micros, 0);
        nodes.change(&diff, &rev)?;
        let commit = Commit {
            did: did.clone(),
            rev,
            data,
        };
        let signed = commit.sign(key);
        self.store.set_repo_head(tree, &signed.encode())?;
        match &before {
            Some(_) if tree == RepoTree::Public && writes.is_empty() => {
                self.tell_resigned(did, &signed)?;
            }
            Some(before) if tree == RepoTree::Public => {
                let mut blocks = diff.new;
                for op in ops.iter().filter(|op| op.cid.is_none()) {
                    // What shows that it is gone may be nodes that were there before.
                    let key = Key::parse(op.path.as_bytes()).map_err(ApiError::internal)?;
                    blocks.extend(walk::path(&nodes, &signed.commit.data, &key)?.nodes);
                }
                let blocks = blocks.into_iter().collect();
                self.tell_endorsements(&ops)?;
                self.tell_commit(did, (before, &signed), ops, blocks)?;
            }
            // The first commit of an agent is of its birth: nobody knows it yet.
            Some(_) | None => {}
        }
        Ok(signed)
    }

    /// Signs both trees as they are: empty ones at the agent's birth, and all there is once the key
    /// was replaced.
    pub(super) fn sign_repos(&self, did: &Did, key: &SigningKey) -> Result<(), ApiError> {
        for tree in [RepoTree::Private, RepoTree::Public] {
            self.commit_records(tree, (did, key), &[])?;
        }
        Ok(())
    }

    /// Returns the last commit of a tree.
    pub(super) fn head(&self, tree: RepoTree) -> Result<SignedCommit, ApiError> {
        let head = self.store.repo_head(tree)?;
        let missing = || ApiError::internal("a repo that was never signed");
        decode(&head.ok_or_else(missing)?)
    }
}

fn decode(head: &[u8]) -> Result<SignedCommit, ApiError> {
    SignedCommit::decode(head).map_err(ApiError::internal)
}
