//! How memory ages: when a fact holds, what replaces what, what fades, is summed up, archived,
//! deleted, forgotten.
//!
//! Pure rules over what is known of records ([`Memory`]); nothing here reads a record's content,
//! which may be sealed, nor does anything: a plan comes out, and the agent carries it out in its
//! own transaction. Fading never deletes by itself.
//!
//! | module | rule |
//! |---|---|
//! | [`validity`] | from when to when a fact holds; which of several holds now |
//! | [`decay`] | how strong a memory is |
//! | [`compaction`] | which episodes roll up into a summary that keeps the CIDs it covers |
//! | [`retention`] | what goes to the archive, and what leaves it |
//! | [`forget`] | everything that must go with a record, and what could not be reached |

pub mod compaction;
pub mod decay;
pub mod forget;
pub mod retention;
pub mod validity;

use std::collections::{BTreeMap, BTreeSet};

use entente_lexicon::Timestamp;

use crate::repo::Cid;
use crate::search::rank::Importance;

pub use validity::{EmptyValidity, Validity};

/// What is known of a record without opening it.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// The record as it is in the repo.
    pub cid: Cid,
    /// When it was written.
    pub written: Timestamp,
    /// For when it holds.
    pub validity: Validity,
    /// What it replaces.
    pub supersedes: Vec<Cid>,
    /// What it was made from; for a summary, what it covers.
    pub derived_from: Vec<Cid>,
    /// How much it matters.
    pub importance: Importance,
    /// How often it was read.
    pub reads: u32,
    /// When it was last read.
    pub last_read: Option<Timestamp>,
}

/// Everything made from any of these records, directly or through others; not they themselves.
#[must_use]
pub fn descendants(memories: &[Memory], of: &BTreeSet<Cid>) -> BTreeSet<Cid> {
    let mut children: BTreeMap<Cid, Vec<Cid>> = BTreeMap::new();
    for memory in memories {
        for parent in &memory.derived_from {
            children.entry(*parent).or_default().push(memory.cid);
        }
    }
    let mut found = BTreeSet::new();
    let mut waiting: Vec<Cid> = of.iter().copied().collect();
    while let Some(parent) = waiting.pop() {
        for child in children.get(&parent).into_iter().flatten() {
            if !of.contains(child) && found.insert(*child) {
                waiting.push(*child);
            }
        }
    }
    found
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::repo::block::cbor_cid;

    /// The CID of the record with this name.
    pub(crate) fn cid(name: &str) -> Cid {
        cbor_cid(name.as_bytes())
    }

    /// A memory with this name, written at this instant.
    pub(crate) fn memory(name: &str, written: u64) -> Memory {
        Memory {
            cid: cid(name),
            written: Timestamp(written),
            validity: Validity::default(),
            supersedes: Vec::new(),
            derived_from: Vec::new(),
            importance: Importance::default(),
            reads: 0,
            last_read: None,
        }
    }

    /// The same, made from others.
    pub(crate) fn made_from(name: &str, written: u64, from: &[&str]) -> Memory {
        Memory {
            derived_from: from.iter().map(|name| cid(name)).collect(),
            ..memory(name, written)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{cid, made_from, memory};
    use super::*;

    #[test]
    fn descendants_are_found_through_others_and_circles_end() {
        let memories = [
            memory("a", 1),
            made_from("b", 2, &["a"]),
            made_from("c", 3, &["b", "x"]),
            made_from("d", 4, &["d", "c"]),
            made_from("e", 5, &["x"]),
        ];
        let found = descendants(&memories, &BTreeSet::from([cid("a")]));
        assert_eq!(found, ["b", "c", "d"].map(cid).into());
        assert!(descendants(&memories, &BTreeSet::from([cid("e")])).is_empty());
    }
}
