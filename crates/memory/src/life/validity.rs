//! From when to when a fact holds, and which of several holds now.

use std::collections::BTreeSet;

use entente_lexicon::Timestamp;

use super::Memory;
use crate::repo::Cid;

/// From an instant on, and until before another; without either, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

/// It would end before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("validTo must lie after validFrom")]
pub struct EmptyValidity;

impl EmptyValidity {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "VALIDITY_EMPTY"
    }
}

impl Validity {
    /// Makes a validity.
    ///
    /// # Errors
    /// [`EmptyValidity`].
    pub fn new(from: Option<Timestamp>, to: Option<Timestamp>) -> Result<Self, EmptyValidity> {
        match (from, to) {
            (Some(from), Some(to)) if to <= from => Err(EmptyValidity),
            (from, to) => Ok(Self { from, to }),
        }
    }

    /// Returns when it begins.
    #[must_use]
    pub const fn from(&self) -> Option<Timestamp> {
        self.from
    }

    /// Returns when it has ended.
    #[must_use]
    pub const fn to(&self) -> Option<Timestamp> {
        self.to
    }

    /// Tells whether it holds at an instant.
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }
}

/// Which of these memories hold at an instant: in force then, and not replaced by another one that
/// is. A replacement that is not yet, or no longer, in force replaces nothing; of two that replace
/// each other, the one written later holds.
#[must_use]
pub fn current(memories: &[Memory], at: Timestamp) -> BTreeSet<Cid> {
    let in_force: Vec<_> = memories
        .iter()
        .filter(|memory| memory.validity.holds(at))
        .collect();
    let replaced = |one: &Memory| {
        in_force.iter().any(|other| {
            let newer = (other.written, other.cid) > (one.written, one.cid);
            newer && other.supersedes.as_ref() == Some(&one.path)
        })
    };
    let holding = in_force.iter().filter(|memory| !replaced(memory));
    holding.map(|memory| memory.cid).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{cid, memory, path};
    use super::*;

    fn valid(from: Option<u64>, to: Option<u64>) -> Validity {
        Validity::new(from.map(Timestamp), to.map(Timestamp)).unwrap()
    }

    fn replacing(name: &str, written: u64, old: &str, validity: Validity) -> Memory {
        Memory {
            supersedes: Some(path(old)),
            validity,
            ..memory(name, written)
        }
    }

    #[test]
    fn a_validity_begins_with_its_first_instant_and_ends_before_its_last() {
        let validity = valid(Some(10), Some(20));
        for (at, holds) in [(9, false), (10, true), (19, true), (20, false)] {
            assert_eq!(validity.holds(Timestamp(at)), holds, "{at}");
        }
        assert!(Validity::default().holds(Timestamp(0)));
        for (from, to) in [(10, 10), (10, 9)] {
            let empty = Validity::new(Some(Timestamp(from)), Some(Timestamp(to)));
            assert_eq!(empty.unwrap_err().code(), "VALIDITY_EMPTY");
        }
    }

    #[test]
    fn a_replacement_replaces_while_it_is_in_force() {
        let memories = [
            memory("lives in Berlin", 1),
            replacing(
                "lives in Rome",
                2,
                "lives in Berlin",
                valid(Some(100), Some(200)),
            ),
        ];
        let at = |instant| current(&memories, Timestamp(instant));
        assert_eq!(at(50), [cid("lives in Berlin")].into());
        assert_eq!(at(150), [cid("lives in Rome")].into());
        assert_eq!(at(250), [cid("lives in Berlin")].into());
    }

    #[test]
    fn a_chain_leaves_its_end_and_a_circle_its_newest() {
        let chain = [
            memory("a", 1),
            replacing("b", 2, "a", Validity::default()),
            replacing("c", 3, "b", Validity::default()),
        ];
        assert_eq!(current(&chain, Timestamp(9)), [cid("c")].into());
        let circle = [
            replacing("a", 1, "b", Validity::default()),
            replacing("b", 2, "a", Validity::default()),
        ];
        assert_eq!(current(&circle, Timestamp(9)), [cid("b")].into());
    }

    proptest! {
        #[test]
        fn something_in_force_always_leaves_something(
            links in proptest::collection::vec((0_usize..8, 0_u64..5), 1..8), at in 0_u64..10,
        ) {
            let name = |at: usize| format!("m{at}");
            let memories: Vec<_> = links.iter().enumerate().map(|(index, (old, written))| {
                replacing(&name(index), *written, &name(*old), Validity::default())
            }).collect();
            prop_assert!(!current(&memories, Timestamp(at)).is_empty());
        }
    }
}
