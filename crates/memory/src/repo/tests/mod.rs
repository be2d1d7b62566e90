//! What the parts of a repo do together.

mod archives;
mod known;
mod model;

use std::collections::BTreeMap;

use cid::Cid;
use entente_lexicon::{Did, Tid};
use entente_trust::crypto::secp256k1::SigningKey;

use super::block::{MemoryBlocks, cbor_cid};
use super::walk::{Item, Walk};
use super::*;

/// A tree whose changes are stored batch by batch, as an agent's object does it.
#[derive(Clone)]
struct Stored {
    blocks: MemoryBlocks,
    root: Cid,
}

impl Stored {
    fn empty() -> Self {
        let (root, diff) = Tree::empty(&MemoryBlocks::new()).finish();
        Self {
            blocks: diff.new,
            root,
        }
    }

    fn of<'k>(keys: impl IntoIterator<Item = &'k str>, value: Cid) -> Self {
        let mut stored = Self::empty();
        stored.change(keys.into_iter().map(|key| (key, Some(value))));
        stored
    }

    /// Puts or removes keys in one batch.
    fn change<'k>(&mut self, writes: impl IntoIterator<Item = (&'k str, Option<Cid>)>) -> Diff {
        let mut tree = Tree::load(&self.blocks, &self.root).unwrap();
        for (key, value) in writes {
            let key = Key::parse(key.as_bytes()).unwrap();
            match value {
                Some(value) => tree.put(key, value).unwrap(),
                None => tree.remove(&key).unwrap(),
            };
        }
        let (root, diff) = tree.finish();
        for cid in &diff.removed {
            assert!(self.blocks.remove(cid).is_some(), "what goes was there");
        }
        for (cid, bytes) in &diff.new {
            let before = self.blocks.insert(*cid, bytes.clone());
            assert!(before.is_none(), "what comes was not there");
        }
        self.root = root;
        diff
    }

    fn leaves(&self) -> BTreeMap<String, Cid> {
        let mut leaves = BTreeMap::new();
        let mut nodes = 0;
        for item in Walk::new(&self.blocks, &self.root) {
            match item.unwrap() {
                Item::Node(cid, bytes) => {
                    assert_eq!(cbor_cid(&bytes), cid);
                    nodes += 1;
                }
                Item::Leaf(key, value) => {
                    leaves.insert(key.to_string(), value);
                }
            }
        }
        assert_eq!(nodes, self.blocks.len(), "no node is left behind");
        leaves
    }
}

/// The value of every leaf in atproto's examples.
fn leaf() -> Cid {
    let text = "bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454";
    block::parse_cid_text(text).unwrap()
}

fn did() -> Did {
    Did::from_scid(&[7; 32])
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32]).unwrap()
}

fn signed(root: Cid) -> SignedCommit {
    let rev = Tid::from_parts(1_700_000_000_000_000, 1);
    let commit = Commit {
        did: did(),
        rev,
        data: root,
    };
    commit.sign(&key())
}
