//! A batch of changes to a Merkle search tree.
//!
//! A [`Tree`] opens the nodes that a change passes through and leaves all others alone; at the end
//! each opened node is encoded once ([`Tree::finish`]). Two trees of the same keys and values have the
//! same root, whatever led to them.

use std::collections::{BTreeMap, BTreeSet};

use cid::Cid;

use super::block::{Blocks, cbor_cid};
use super::key::Key;
use super::node::{self, NodeData, NodeFault};
use super::walk::fetch;

/// Why a tree cannot be read on. After an error in a change, drop the [`Tree`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError<E> {
    /// The store failed.
    #[error("the blocks cannot be looked up: {0}")]
    Store(E),
    /// A block that the tree needs is not there.
    #[error("the tree lacks its block {0}")]
    Missing(Cid),
    /// A block is no node of this tree.
    #[error("the block {0} is no node of this tree: {1}")]
    Node(Cid, NodeFault),
}

/// The blocks that a batch of changes needs and those it leaves behind.
///
/// No two places of a tree have the same node, so removing needs no count of references.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Nodes to be stored.
    pub new: BTreeMap<Cid, Vec<u8>>,
    /// Nodes that no longer are part of the tree.
    pub removed: BTreeSet<Cid>,
}

/// A tree while it is changed.
#[derive(Debug)]
pub struct Tree<'b, B> {
    root: Node,
    layer: u32,
    opening: Opening<'b, B>,
}

/// Opens nodes and remembers which.
#[derive(Debug)]
struct Opening<'b, B> {
    blocks: &'b B,
    opened: BTreeSet<Cid>,
}

#[derive(Debug, Default)]
struct Node {
    left: Option<Link>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    value: Cid,
    right: Option<Link>,
}

#[derive(Debug)]
enum Link {
    Stored(Cid),
    Open(Box<Node>),
}

type Halves = (Option<Link>, Option<Link>);

impl Node {
    fn from_data(data: NodeData) -> Self {
        let entries = data.entries.into_iter().map(|entry| Entry {
            key: entry.key,
            value: entry.value,
            right: entry.right.map(Link::Stored),
        });
        Self {
            left: data.left.map(Link::Stored),
            entries: entries.collect(),
        }
    }

    /// Returns where the key is, or where it would be.
    fn search(&self, key: &Key) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| entry.key.cmp(key))
    }

    /// Returns the place of the subtree before entry `at`.
    fn child(&mut self, at: usize) -> &mut Option<Link> {
        match at.checked_sub(1).and_then(|at| self.entries.get_mut(at)) {
            Some(entry) => &mut entry.right,
            None => &mut self.left,
        }
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.left.is_none()
    }

    fn into_link(self) -> Option<Link> {
        (!self.is_empty()).then(|| Link::Open(Box::new(self)))
    }
}

impl<B: Blocks> Opening<'_, B> {
    fn open(&mut self, link: Link) -> Result<Box<Node>, TreeError<B::Error>> {
        match link {
            Link::Open(node) => Ok(node),
            Link::Stored(cid) => {
                let (_bytes, node) = fetch(self.blocks, &cid)?;
                self.opened.insert(cid);
                Ok(Box::new(Node::from_data(node)))
            }
        }
    }

    /// Opens what is at this place, an empty node if nothing is.
    fn open_at<'n>(
        &mut self,
        place: &'n mut Option<Link>,
    ) -> Result<&'n mut Node, TreeError<B::Error>> {
        let node = match place.take() {
            Some(link) => self.open(link)?,
            None => Box::default(),
        };
        match place.insert(Link::Open(node)) {
            Link::Open(node) => Ok(node),
            Link::Stored(cid) => Err(TreeError::Missing(*cid)),
        }
    }

    fn put(
        &mut self,
        node: &mut Node,
        layers_down: u32,
        key: Key,
        value: Cid,
    ) -> Result<Option<Cid>, TreeError<B::Error>> {
        match (node.search(&key), layers_down.checked_sub(1)) {
            (Ok(at), _) => {
                let entry = node.entries.get_mut(at);
                Ok(entry.map(|entry| std::mem::replace(&mut entry.value, value)))
            }
            (Err(at), Some(below)) => {
                let child = self.open_at(node.child(at))?;
                self.put(child, below, key, value)
            }
            (Err(at), None) => {
                let between = node.child(at).take();
                let (before, right) = self.split(between, &key)?;
                *node.child(at) = before;
                node.entries.insert(at, Entry { key, value, right });
                Ok(None)
            }
        }
    }

    /// Cuts a subtree in two around a key that is not in it.
    fn split(&mut self, link: Option<Link>, key: &Key) -> Result<Halves, TreeError<B::Error>> {
        let Some(link) = link else {
            return Ok((None, None));
        };
        let mut node = *self.open(link)?;
        let (Ok(at) | Err(at)) = node.search(key);
        let entries = node.entries.split_off(at);
        let (before, after) = self.split(node.child(at).take(), key)?;
        *node.child(at) = before;
        let right = Node {
            left: after,
            entries,
        };
        Ok((node.into_link(), right.into_link()))
    }

    /// Joins two subtrees of one layer, all keys of the one before all keys of the other.
    fn merge(
        &mut self,
        before: Option<Link>,
        after: Option<Link>,
    ) -> Result<Option<Link>, TreeError<B::Error>> {
        let (before, after) = match (before, after) {
            (None, one) | (one, None) => return Ok(one),
            (Some(before), Some(after)) => (before, after),
        };
        let mut node = self.open(before)?;
        let mut after = self.open(after)?;
        let at = node.entries.len();
        let between = node.child(at).take();
        *node.child(at) = self.merge(between, after.left.take())?;
        node.entries.append(&mut after.entries);
        Ok(Some(Link::Open(node)))
    }

    fn remove(
        &mut self,
        node: &mut Node,
        layers_down: u32,
        key: &Key,
    ) -> Result<Option<Cid>, TreeError<B::Error>> {
        match (node.search(key), layers_down.checked_sub(1)) {
            (Ok(at), _) => {
                let entry = node.entries.remove(at);
                let before = node.child(at).take();
                *node.child(at) = self.merge(before, entry.right)?;
                Ok(Some(entry.value))
            }
            (Err(_), None) => Ok(None),
            (Err(at), Some(below)) => {
                let place = node.child(at);
                if place.is_none() {
                    return Ok(None);
                }
                let child = self.open_at(place)?;
                let removed = self.remove(child, below, key)?;
                if child.is_empty() {
                    *place = None;
                }
                Ok(removed)
            }
        }
    }
}

impl<'b, B: Blocks> Tree<'b, B> {
    /// Begins with a tree without keys.
    #[must_use]
    pub const fn empty(blocks: &'b B) -> Self {
        Self {
            root: Node {
                left: None,
                entries: Vec::new(),
            },
            layer: 0,
            opening: Opening {
                blocks,
                opened: BTreeSet::new(),
            },
        }
    }

    /// Begins with the tree of this root.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn load(blocks: &'b B, root: &Cid) -> Result<Self, TreeError<B::Error>> {
        let mut tree = Self::empty(blocks);
        tree.root = *tree.opening.open(Link::Stored(*root))?;
        tree.layer = match (tree.root.entries.first(), &tree.root.left) {
            (Some(entry), _) => entry.key.layer(),
            (None, None) => 0,
            (None, Some(_)) => return Err(TreeError::Node(*root, NodeFault::Superfluous)),
        };
        Ok(tree)
    }

    /// Sets what `key` leads to. Returns what it led to before.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn put(&mut self, key: Key, value: Cid) -> Result<Option<Cid>, TreeError<B::Error>> {
        let layer = key.layer();
        match self.layer.checked_sub(layer) {
            Some(down) => self.opening.put(&mut self.root, down, key, value),
            None => self.grow(layer, key, value),
        }
    }

    /// Removes `key`. Returns what it led to.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn remove(&mut self, key: &Key) -> Result<Option<Cid>, TreeError<B::Error>> {
        let Some(down) = self.layer.checked_sub(key.layer()) else {
            return Ok(None);
        };
        let removed = self.opening.remove(&mut self.root, down, key)?;
        while self.root.entries.is_empty() {
            let Some(left) = self.root.left.take() else {
                self.layer = 0;
                break;
            };
            self.root = *self.opening.open(left)?;
            self.layer = self.layer.saturating_sub(1);
        }
        Ok(removed)
    }

    /// Makes a new root for a key of a higher layer than the one before: what was the tree becomes
    /// the subtrees before and after the key.
    fn grow(
        &mut self,
        layer: u32,
        key: Key,
        value: Cid,
    ) -> Result<Option<Cid>, TreeError<B::Error>> {
        let root = std::mem::take(&mut self.root).into_link();
        let (mut left, mut right) = self.opening.split(root, &key)?;
        for _ in self.layer + 1..layer {
            left = left.and_then(raised);
            right = right.and_then(raised);
        }
        self.root = Node {
            left,
            entries: vec![Entry { key, value, right }],
        };
        self.layer = layer;
        Ok(None)
    }

    /// Encodes what was opened. Returns the root, and the blocks that come and go.
    #[must_use]
    pub fn finish(self) -> (Cid, Diff) {
        let mut new = BTreeMap::new();
        let root = encode(&self.root, &mut new);
        let mut removed = self.opening.opened;
        // What was opened and came out the same neither comes nor goes.
        new.retain(|cid, _bytes| !removed.remove(cid));
        (root, Diff { new, removed })
    }
}

fn raised(link: Link) -> Option<Link> {
    let node = Node {
        left: Some(link),
        entries: Vec::new(),
    };
    node.into_link()
}

fn encode(node: &Node, new: &mut BTreeMap<Cid, Vec<u8>>) -> Cid {
    let left = node.left.as_ref().map(|link| encode_link(link, new));
    let rights: Vec<Option<Cid>> = node
        .entries
        .iter()
        .map(|entry| entry.right.as_ref().map(|link| encode_link(link, new)))
        .collect();
    let entries = node.entries.iter().zip(&rights);
    let bytes = node::encode(
        left.as_ref(),
        entries.map(|(entry, right)| (&entry.key, &entry.value, right.as_ref())),
    );
    let cid = cbor_cid(&bytes);
    new.insert(cid, bytes);
    cid
}

fn encode_link(link: &Link, new: &mut BTreeMap<Cid, Vec<u8>>) -> Cid {
    match link {
        Link::Stored(cid) => *cid,
        Link::Open(node) => encode(node, new),
    }
}
