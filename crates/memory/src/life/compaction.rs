//! Which episodes roll up into a summary, and whether a summary keeps what it covers.

use std::collections::{BTreeMap, BTreeSet};

use entente_lexicon::Timestamp;

use super::Memory;
use super::decay::Decay;
use crate::repo::Cid;

/// What a record's `derivedFrom` holds at most.
const MAX_COVERED: usize = 256;

/// An episode: a memory of something that happened, in a thread.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// The record.
    pub memory: Memory,
    /// What it belongs to: a conversation, a task. Episodes of two threads are not mixed.
    pub thread: String,
}

/// When to roll up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Only what is at least so many milliseconds old.
    pub min_age_ms: u64,
    /// Only what has faded below this strength; the rest stays as it is.
    pub max_strength: f64,
    /// How fast it fades.
    pub decay: Decay,
    /// A summary is not worth it for fewer.
    pub min_episodes: usize,
    /// A summary covers no more, so that it stays a summary of something; never more than the 256
    /// that a record's `derivedFrom` holds.
    pub max_episodes: usize,
}

/// Episodes that one summary is to cover, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollup {
    /// Their thread.
    pub thread: String,
    /// Their CIDs: the summary's `derivedFrom`.
    pub covers: Vec<Cid>,
    /// When the first was written.
    pub from: Timestamp,
    /// When the last was written.
    pub to: Timestamp,
}

impl Default for Policy {
    /// After thirty days, below a strength of 0.4, from 8 to 64 episodes.
    fn default() -> Self {
        Self {
            min_age_ms: 30 * 24 * 60 * 60 * 1000,
            max_strength: 0.4,
            decay: Decay::default(),
            min_episodes: 8,
            max_episodes: 64,
        }
    }
}

/// Plans summaries. `covered` is what summaries cover already: nothing is summed up twice, and a
/// plan that was cut off half-way goes on where it was.
#[must_use]
pub fn plan(
    episodes: &[Episode],
    covered: &BTreeSet<Cid>,
    policy: &Policy,
    now: Timestamp,
) -> Vec<Rollup> {
    let ready = |memory: &Memory| {
        now.0.saturating_sub(memory.written.0) >= policy.min_age_ms
            && policy.decay.strength(memory, now) < policy.max_strength
            && !covered.contains(&memory.cid)
    };
    let mut threads: BTreeMap<&str, Vec<&Memory>> = BTreeMap::new();
    for episode in episodes.iter().filter(|episode| ready(&episode.memory)) {
        threads
            .entry(&episode.thread)
            .or_default()
            .push(&episode.memory);
    }
    let mut rollups = Vec::new();
    for (thread, mut memories) in threads {
        memories.sort_by_key(|memory| (memory.written, memory.cid));
        memories.dedup_by_key(|memory| memory.cid);
        for group in memories.chunks(policy.max_episodes.clamp(1, MAX_COVERED)) {
            let (Some(first), Some(last)) = (group.first(), group.last()) else {
                continue;
            };
            if group.len() >= policy.min_episodes.max(1) {
                rollups.push(Rollup {
                    thread: thread.to_owned(),
                    covers: group.iter().map(|memory| memory.cid).collect(),
                    from: first.written,
                    to: last.written,
                });
            }
        }
    }
    rollups
}

/// A summary that does not say what it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a summary lists in derivedFrom exactly the episodes that it covers")]
pub struct BadSummary;

impl BadSummary {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "SUMMARY_INCOMPLETE"
    }
}

impl Rollup {
    /// Checks a summary that somebody wrote for this plan. Only then may the episodes be archived.
    ///
    /// # Errors
    /// [`BadSummary`].
    pub fn accepts(&self, derived_from: &[Cid]) -> Result<(), BadSummary> {
        let (planned, listed): (BTreeSet<_>, BTreeSet<_>) =
            (self.covers.iter().collect(), derived_from.iter().collect());
        if planned == listed && derived_from.len() == listed.len() {
            Ok(())
        } else {
            Err(BadSummary)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{cid, memory};
    use super::*;
    use crate::search::rank::Importance;

    const NOW: Timestamp = Timestamp(10_000);

    fn policy() -> Policy {
        Policy {
            min_age_ms: 1_000,
            max_strength: 0.4,
            decay: Decay {
                half_life_ms: 1_000,
            },
            min_episodes: 2,
            max_episodes: 3,
        }
    }

    fn episode(name: &str, written: u64, thread: &str) -> Episode {
        Episode {
            memory: memory(name, written),
            thread: thread.to_owned(),
        }
    }

    #[test]
    fn old_faded_episodes_of_a_thread_roll_up_in_their_order() {
        let mut important = episode("kept", 1_500, "t");
        important.memory.importance = Importance::new(1.0);
        important.memory.last_read = Some(Timestamp(9_900));
        let episodes = [
            episode("b", 2_000, "t"),
            episode("a", 1_000, "t"),
            important,
            episode("new", 9_500, "t"),
            episode("covered", 1_200, "t"),
            episode("alone", 1_000, "u"),
        ];
        let plan = plan(&episodes, &BTreeSet::from([cid("covered")]), &policy(), NOW);
        let expected = Rollup {
            thread: "t".to_owned(),
            covers: vec![cid("a"), cid("b")],
            from: Timestamp(1_000),
            to: Timestamp(2_000),
        };
        assert_eq!(plan, [expected]);
    }

    #[test]
    fn a_summary_must_list_exactly_what_it_covers() {
        let rollup = Rollup {
            thread: String::new(),
            covers: vec![cid("a"), cid("b")],
            from: NOW,
            to: NOW,
        };
        assert_eq!(rollup.accepts(&[cid("b"), cid("a")]), Ok(()));
        for wrong in [
            &["a"][..],
            &["a", "b", "c"],
            &["a", "a"],
            &["a", "b", "b"],
            &[],
        ] {
            let listed: Vec<_> = wrong.iter().map(|name| cid(name)).collect();
            assert_eq!(
                rollup.accepts(&listed).unwrap_err().code(),
                "SUMMARY_INCOMPLETE"
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_is_covered_twice_and_a_second_plan_is_empty(
            episodes in proptest::collection::vec((0_u8..20, 0_u64..9_000, 0_u8..3), 0..40),
        ) {
            let episodes: Vec<_> = episodes.into_iter()
                .map(|(name, written, thread)| episode(&name.to_string(), written, &thread.to_string()))
                .collect();
            let mut covered = BTreeSet::new();
            for rollup in plan(&episodes, &covered, &policy(), NOW) {
                prop_assert!((2..=3).contains(&rollup.covers.len()));
                prop_assert!(rollup.from <= rollup.to);
                covered.extend(rollup.covers);
            }
            let left = plan(&episodes, &covered, &policy(), NOW);
            prop_assert!(left.iter().all(|rollup| rollup.covers.iter().all(|cid| !covered.contains(cid))));
        }
    }
}
