//! One node of the tree as bytes.
//!
//! ```text
//! {"e": [{"k": key without p bytes, "p": bytes shared with the key before, "t": link?, "v": link}],
//!  "l": link?}
//! ```
//!
//! `l` is the subtree before the first key, `t` the one after a key. A node has exactly one encoding:
//! what does not write back to the same bytes is refused.

use cid::Cid;

use super::cbor::{CborError, Reader, Writer};
use super::key::{BadKey, Key, common_prefix};

/// A node, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeData {
    /// The subtree before the first key.
    pub left: Option<Cid>,
    /// The keys of this node in order.
    pub entries: Vec<EntryData>,
}

/// A key in a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryData {
    /// The key.
    pub key: Key,
    /// What it leads to.
    pub value: Cid,
    /// The subtree between it and the next key.
    pub right: Option<Cid>,
}

/// Why bytes are no node, or a node has no place in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeFault {
    /// Not the canonical encoding of a node.
    #[error("it is not the canonical encoding of a node")]
    Encoding,
    /// A key that is none.
    #[error("it has a key that is none")]
    Key,
    /// Keys that are not in order, here or against the nodes around.
    #[error("its keys are not in order")]
    Order,
    /// A key at another layer than its hash says.
    #[error("it has a key that belongs to another layer")]
    Layer,
    /// A node that a tree of these keys does not have: empty, or a root without keys.
    #[error("it is a node that a tree of these keys does not have")]
    Superfluous,
}

impl From<CborError> for NodeFault {
    fn from(_error: CborError) -> Self {
        Self::Encoding
    }
}

impl From<BadKey> for NodeFault {
    fn from(_error: BadKey) -> Self {
        Self::Key
    }
}

impl NodeData {
    /// Reads a node. What is checked is the node by itself: see [`super::walk`] for the tree.
    ///
    /// # Errors
    /// [`NodeFault`].
    pub fn decode(bytes: &[u8]) -> Result<Self, NodeFault> {
        let mut reader = Reader::new(bytes);
        reader.map(2)?;
        reader.member("e")?;
        let mut entries: Vec<EntryData> = Vec::new();
        for _ in 0..reader.array()? {
            let before = entries.last().map_or("", |entry| entry.key.as_str());
            let entry = decode_entry(&mut reader, before)?;
            entries.push(entry);
        }
        reader.member("l")?;
        let left = reader.optional_link()?;
        reader.end()?;
        Ok(Self { left, entries })
    }

    /// Writes the node.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let entries = self
            .entries
            .iter()
            .map(|entry| (&entry.key, &entry.value, entry.right.as_ref()));
        encode(self.left.as_ref(), entries)
    }
}

fn decode_entry(reader: &mut Reader<'_>, before: &str) -> Result<EntryData, NodeFault> {
    reader.map(4)?;
    reader.member("k")?;
    let suffix = reader.bytes()?;
    reader.member("p")?;
    let shared = usize::try_from(reader.unsigned()?).map_err(|_error| NodeFault::Encoding)?;
    reader.member("t")?;
    let right = reader.optional_link()?;
    reader.member("v")?;
    let value = reader.link()?;
    let before = before.as_bytes();
    let prefix = before.get(..shared).ok_or(NodeFault::Encoding)?;
    let key = [prefix, suffix].concat();
    if common_prefix(before, &key) != shared {
        return Err(NodeFault::Encoding);
    }
    if key.as_slice() <= before {
        return Err(NodeFault::Order);
    }
    let key = Key::parse(&key)?;
    Ok(EntryData { key, value, right })
}

/// Writes a node from its parts: each key with its value and the subtree after it, in order.
pub(super) fn encode<'a>(
    left: Option<&Cid>,
    entries: impl ExactSizeIterator<Item = (&'a Key, &'a Cid, Option<&'a Cid>)>,
) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.map(2);
    writer.text("e");
    writer.array(entries.len());
    let mut before: &[u8] = &[];
    for (key, value, right) in entries {
        let key = key.as_str().as_bytes();
        let shared = common_prefix(before, key);
        writer.map(4);
        writer.text("k");
        writer.bytes(key.get(shared..).unwrap_or_default());
        writer.text("p");
        writer.unsigned(u64::try_from(shared).unwrap_or_default());
        writer.text("t");
        writer.optional_link(right);
        writer.text("v");
        writer.link(value);
        before = key;
    }
    writer.text("l");
    writer.optional_link(left);
    writer.into_bytes()
}
