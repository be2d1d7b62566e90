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
//! | [`extract`] | a summary made of the sentences that say most |
//! | [`retention`] | what goes to the archive, and what leaves it |
//! | [`forget`] | everything that must go with a record, and what could not be reached |

pub mod compaction;
pub mod decay;
pub mod extract;
pub mod forget;
pub mod retention;
pub mod validity;

use std::collections::{BTreeMap, BTreeSet};

use entente_lexicon::records::MemoryFields;
use entente_lexicon::{Did, RecordKey, RecordPath, Timestamp};

use crate::repo::Cid;
use crate::repo::block::parse_cid_text;
use crate::search::rank::Importance;

pub use validity::{EmptyValidity, Validity};

/// What is known of a record without opening it.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// Where it stands in the repo.
    pub path: RecordPath,
    /// The record as it is there.
    pub cid: Cid,
    /// When it was written.
    pub written: Timestamp,
    /// For when it holds.
    pub validity: Validity,
    /// What it replaces, in the same repo.
    pub supersedes: Option<RecordPath>,
    /// What it was made from; for a summary, what it covers.
    pub derived_from: Vec<Cid>,
    /// How much it matters.
    pub importance: Importance,
    /// How often it was read.
    pub reads: u32,
    /// When it was last read.
    pub last_read: Option<Timestamp>,
}

impl Memory {
    /// Takes what a record says of itself. One that was never read; what it replaces or was made
    /// from in another's repo is that owner's to keep, and left out.
    ///
    /// # Errors
    /// [`EmptyValidity`].
    pub fn of(
        owner: &Did,
        path: RecordPath,
        cid: Cid,
        written: Timestamp,
        fields: &MemoryFields,
    ) -> Result<Self, EmptyValidity> {
        let supersedes = fields.supersedes.as_deref();
        let sources = fields.derived_from.iter();
        let own = sources.filter(|one| {
            one.uri
                .as_deref()
                .is_none_or(|uri| local(owner, uri).is_some())
        });
        Ok(Self {
            validity: Validity::new(fields.valid_from, fields.valid_to)?,
            supersedes: supersedes.and_then(|text| replaced(owner, &path, text)),
            derived_from: own
                .filter_map(|one| parse_cid_text(&one.cid).ok())
                .collect(),
            importance: Importance::of_hundred(fields.importance),
            reads: 0,
            last_read: None,
            path,
            cid,
            written,
        })
    }
}

/// Reads an at-uri, or the key of a record in the same collection.
fn replaced(owner: &Did, path: &RecordPath, text: &str) -> Option<RecordPath> {
    if text.starts_with("at://") {
        return RecordPath::parse(local(owner, text)?).ok();
    }
    let rkey = RecordKey::parse(text).ok()?;
    Some(RecordPath::new(path.collection().clone(), rkey))
}

/// What follows the owner in an at-uri of its repo.
fn local<'a>(owner: &Did, uri: &'a str) -> Option<&'a str> {
    let rest = uri.strip_prefix("at://")?.strip_prefix(owner.as_str())?;
    rest.strip_prefix('/')
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

    /// Where the record with this name stands.
    pub(crate) fn path(name: &str) -> RecordPath {
        RecordPath::parse(&format!("agent.memory.fact/{}", name.replace(' ', "-"))).unwrap()
    }

    /// A memory with this name, written at this instant.
    pub(crate) fn memory(name: &str, written: u64) -> Memory {
        Memory {
            path: path(name),
            cid: cid(name),
            written: Timestamp(written),
            validity: Validity::default(),
            supersedes: None,
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
    use serde_json::json;

    use super::testing::{cid, made_from, memory, path};
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

    #[test]
    fn what_a_record_says_of_itself_is_taken_and_what_is_anothers_left_out() {
        let owner = Did::from_scid(&[1; 32]);
        let cid = cid("from");
        let of = |more: serde_json::Value| {
            let mut record = json!({ "$type": "agent.memory.fact", "text": "x" });
            record
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let fields = MemoryFields::of(&record).unwrap();
            Memory::of(&owner, path("a"), cid, Timestamp(5), &fields)
        };
        let plain = of(json!({})).unwrap();
        assert_eq!(
            plain,
            Memory {
                cid,
                ..memory("a", 5)
            }
        );
        let uri = |did: &Did| format!("at://{did}/agent.memory.note/n");
        let note = RecordPath::parse("agent.memory.note/n").unwrap();
        for (text, expected) in [
            ("b".to_owned(), Some(path("b"))),
            (uri(&owner), Some(note)),
            (uri(&Did::from_scid(&[2; 32])), None),
            ("no key".to_owned(), None),
        ] {
            assert_eq!(
                of(json!({ "supersedes": text })).unwrap().supersedes,
                expected
            );
        }
        let from = json!([
            { "cid": cid.to_string() },
            { "cid": cid.to_string(), "uri": uri(&owner) },
            { "cid": cid.to_string(), "uri": uri(&Did::from_scid(&[2; 32])) },
            { "cid": "nonsense" },
        ]);
        let made = of(json!({ "derivedFrom": from, "importance": 80 })).unwrap();
        assert_eq!(made.derived_from, [cid, cid]);
        assert!((made.importance.get() - 0.8).abs() < 1e-9);
        let empty =
            json!({ "validFrom": "2026-01-02T00:00:00Z", "validTo": "2026-01-01T00:00:00Z" });
        assert_eq!(of(empty), Err(EmptyValidity));
    }
}
