//! Reading a tree: one key, the proof of one key, all of it in order.

use cid::Cid;
use entente_lexicon::{Nsid, RecordPath};

use super::block::Blocks;
use super::key::Key;
use super::node::{EntryData, NodeData, NodeFault};
use super::tree::TreeError;

/// The nodes that prove what a tree says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// From the root to the node that has the key, or would have it.
    pub nodes: Vec<(Cid, Vec<u8>)>,
    /// What the key leads to, if the tree has it.
    pub value: Option<Cid>,
}

/// One thing met on a [`Walk`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A node and its bytes, before anything below it.
    Node(Cid, Vec<u8>),
    /// A key and what it leads to.
    Leaf(Key, Cid),
}

/// Follows `key` down from `root`.
///
/// # Errors
/// [`TreeError`], also for a node on the way that is not at its layer.
pub fn path<B: Blocks>(blocks: &B, root: &Cid, key: &Key) -> Result<Path, TreeError<B::Error>> {
    let mut nodes = Vec::new();
    let mut next = Place {
        cid: *root,
        layer: None,
    };
    loop {
        let (bytes, node) = fetch(blocks, &next.cid)?;
        let layer = next.check(&node)?;
        nodes.push((next.cid, bytes));
        let found = node.entries.binary_search_by(|entry| entry.key.cmp(key));
        let at = match found {
            Ok(at) => {
                let value = node.entries.get(at).map(|entry| entry.value);
                return Ok(Path { nodes, value });
            }
            Err(at) => at,
        };
        let child = match at.checked_sub(1).and_then(|at| node.entries.get(at)) {
            Some(entry) => entry.right,
            None => node.left,
        };
        // Below its own layer a key cannot be, but other readers look for it down to the last node.
        let Some(cid) = child else {
            return Ok(Path { nodes, value: None });
        };
        next = Place {
            cid,
            layer: layer.checked_sub(1),
        };
    }
}

/// Returns what `key` leads to.
///
/// # Errors
/// [`TreeError`].
pub fn find<B: Blocks>(
    blocks: &B,
    root: &Cid,
    key: &Key,
) -> Result<Option<Cid>, TreeError<B::Error>> {
    path(blocks, root, key).map(|path| path.value)
}

/// Part of the keys of a tree, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Keys after this text and before that one, bytewise.
    after: String,
    before: String,
    ascending: bool,
}

impl Range {
    /// Takes the records of a collection.
    #[must_use]
    pub fn of(collection: &Nsid, ascending: bool) -> Self {
        Self {
            after: format!("{collection}/"),
            // The character behind the slash.
            before: format!("{collection}0"),
            ascending,
        }
    }

    /// Takes only what follows this record in the direction of the range.
    pub fn go_on_after(&mut self, last: &RecordPath) {
        let bound = if self.ascending {
            &mut self.after
        } else {
            &mut self.before
        };
        *bound = last.to_string();
    }

    fn reaches(&self, before: Option<&EntryData>, after: Option<&EntryData>) -> bool {
        before.is_none_or(|entry| entry.key.as_str() < self.before.as_str())
            && after.is_none_or(|entry| entry.key.as_str() > self.after.as_str())
    }

    fn has(&self, key: &Key) -> bool {
        (self.after.as_str()..self.before.as_str()).contains(&key.as_str())
            && key.as_str() != self.after
    }

    /// Reads up to `limit` keys and what they lead to. Only nodes on the way are looked up.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn read<B: Blocks>(
        &self,
        blocks: &B,
        root: &Cid,
        limit: usize,
    ) -> Result<Vec<(Key, Cid)>, TreeError<B::Error>> {
        let mut found = Vec::new();
        let mut stack = vec![Found::Node(*root)];
        while let Some(next) = stack.pop() {
            match next {
                Found::Node(cid) => {
                    let (_bytes, node) = fetch(blocks, &cid)?;
                    let mut below = self.below(&node);
                    if self.ascending {
                        below.reverse();
                    }
                    stack.append(&mut below);
                }
                Found::Leaf(key, value) if found.len() < limit => found.push((key, value)),
                Found::Leaf(..) => break,
            }
        }
        Ok(found)
    }

    /// Returns what of a node is in the range, in ascending order.
    fn below(&self, node: &NodeData) -> Vec<Found> {
        let mut steps = Vec::new();
        let first = node.entries.first();
        steps.extend(
            node.left
                .filter(|_| self.reaches(None, first))
                .map(Found::Node),
        );
        for (at, entry) in node.entries.iter().enumerate() {
            if self.has(&entry.key) {
                steps.push(Found::Leaf(entry.key.clone(), entry.value));
            }
            let next = node.entries.get(at + 1);
            let right = entry.right.filter(|_| self.reaches(Some(entry), next));
            steps.extend(right.map(Found::Node));
        }
        steps
    }
}

#[derive(Debug)]
enum Found {
    Node(Cid),
    Leaf(Key, Cid),
}

/// A walk over a whole tree: each node before what is below it, keys in order.
///
/// Everything is checked that makes a tree of given keys the only one: the order of keys within and
/// between nodes, the layer of each key, no node without keys that could be left away. It holds one
/// node for each layer and ends at the first error.
#[derive(Debug)]
pub struct Walk<'b, B> {
    blocks: &'b B,
    stack: Vec<Step>,
    last: Option<Key>,
}

#[derive(Debug)]
enum Step {
    Node(Place),
    Leaf(Key, Cid),
}

/// A node to be read, and the layer it must be at; the root may be at any.
#[derive(Debug)]
struct Place {
    cid: Cid,
    layer: Option<u32>,
}

impl Place {
    /// Checks that a node may be here. Returns its layer.
    fn check<E>(&self, node: &NodeData) -> Result<u32, TreeError<E>> {
        let fault = |fault| TreeError::Node(self.cid, fault);
        let is_root = self.layer.is_none();
        let first = node.entries.first().map(|entry| entry.key.layer());
        let layer = self.layer.or(first).unwrap_or(0);
        if node.entries.is_empty() && is_root == node.left.is_some() {
            return Err(fault(NodeFault::Superfluous));
        }
        if node.entries.iter().any(|entry| entry.key.layer() != layer) {
            return Err(fault(NodeFault::Layer));
        }
        let has_child = node.left.is_some() || node.entries.iter().any(has_right);
        if layer == 0 && has_child {
            return Err(fault(NodeFault::Layer));
        }
        Ok(layer)
    }
}

const fn has_right(entry: &EntryData) -> bool {
    entry.right.is_some()
}

impl<'b, B: Blocks> Walk<'b, B> {
    /// Begins at `root`.
    #[must_use]
    pub fn new(blocks: &'b B, root: &Cid) -> Self {
        let root = Place {
            cid: *root,
            layer: None,
        };
        Self {
            blocks,
            stack: vec![Step::Node(root)],
            last: None,
        }
    }

    fn enter(&mut self, place: &Place) -> Result<Vec<u8>, TreeError<B::Error>> {
        let (bytes, node) = fetch(self.blocks, &place.cid)?;
        let layer = place.check(&node)?;
        let below = |cid| {
            Step::Node(Place {
                cid,
                layer: layer.checked_sub(1),
            })
        };
        for entry in node.entries.into_iter().rev() {
            self.stack.extend(entry.right.map(below));
            self.stack.push(Step::Leaf(entry.key, entry.value));
        }
        self.stack.extend(node.left.map(below));
        Ok(bytes)
    }

    fn step(&mut self, step: Step) -> Result<Item, TreeError<B::Error>> {
        match step {
            Step::Node(place) => {
                let bytes = self.enter(&place)?;
                Ok(Item::Node(place.cid, bytes))
            }
            Step::Leaf(key, value) => {
                if self.last.as_ref().is_some_and(|last| *last >= key) {
                    return Err(TreeError::Node(value, NodeFault::Order));
                }
                self.last = Some(key.clone());
                Ok(Item::Leaf(key, value))
            }
        }
    }
}

impl<B: Blocks> Iterator for Walk<'_, B> {
    type Item = Result<Item, TreeError<B::Error>>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.stack.pop()?;
        let item = self.step(step);
        if item.is_err() {
            self.stack.clear();
        }
        Some(item)
    }
}

/// Looks a node up and reads it.
pub(super) fn fetch<B: Blocks>(
    blocks: &B,
    cid: &Cid,
) -> Result<(Vec<u8>, NodeData), TreeError<B::Error>> {
    let bytes = blocks.block(cid).map_err(TreeError::Store)?;
    let bytes = bytes.ok_or(TreeError::Missing(*cid))?;
    let node = NodeData::decode(&bytes).map_err(|fault| TreeError::Node(*cid, fault))?;
    Ok((bytes, node))
}
