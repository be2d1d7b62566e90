//! Forgetting: everything that must go with a record, and an honest report of what did not.
//!
//! [`Cascade::plan`] says what to do, in an order in which a crash leaves nothing readable that was
//! to be forgotten and lets the same plan go on: keys first, so that from the first step on every
//! ciphertext left anywhere is noise; the record's own row last, since it is what the plan is found
//! by. [`Report`] says what was reached, what still waits, and what cannot be reached at all.

use std::collections::{BTreeMap, BTreeSet};

use entente_lexicon::{Did, Timestamp};

use super::{Memory, descendants};
use crate::repo::Cid;

/// What exists around the records to be forgotten.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Blobs, and the records that refer to each.
    pub blobs: BTreeMap<Cid, BTreeSet<Cid>>,
    /// Who was ever given a share of a record, taken back or not.
    pub shared_with: BTreeMap<Cid, BTreeSet<Did>>,
    /// Records that are public, or were once.
    pub published: BTreeSet<Cid>,
    /// Whether backups may hold any of this: until newer ones take their place.
    pub backups: bool,
    /// Until when the platform can put old storage back.
    pub recoverable_until: Option<Timestamp>,
}

/// What is done with something that was made from a forgotten record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derived {
    /// Everything it was made from is forgotten: so is it.
    Forget,
    /// It also covers other records: flag it, and make it anew from those.
    Rebuild,
}

/// One thing to do. The order of a plan is the order of these.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Destroy the owner's row and all shares: every ciphertext left is noise.
    DestroyKeys(Cid),
    /// Tell who holds a share that it is to be deleted; they may not heed it.
    Notify(Did, Cid),
    /// Remove its words from the index.
    RemoveWords(Cid),
    /// Remove its vector.
    RemoveVector(Cid),
    /// Flag a summary that has to be made anew.
    FlagSummary(Cid),
    /// Delete a blob that nothing else refers to, and its key.
    DeleteBlob(Cid),
    /// Delete it from the replica and the archive.
    DeleteReplica(Cid),
    /// Announce that it is no longer public.
    Withdraw(Cid),
    /// Delete the record from the repo.
    DeleteRecord(Cid),
}

/// Something that keeps a forgotten record readable, and that nobody here can change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unreached {
    /// This agent was given it and may have kept it.
    Recipient(Did, Cid),
    /// It was public: anybody may have copied it.
    Public(Cid),
    /// Backups may hold it, sealed with all that opens it, until newer ones take their place.
    Backups,
    /// The platform can put old storage back, keys and all, until then.
    Platform(Timestamp),
}

/// What forgetting takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cascade {
    /// The records that are forgotten: those asked for, and what was made from them alone.
    pub forgotten: BTreeSet<Cid>,
    /// What is to be made anew without them.
    pub rebuilt: BTreeSet<Cid>,
    /// What to do, in this order. Each step can be done twice.
    pub steps: Vec<Step>,
    /// What will stay whatever is done.
    pub unreached: BTreeSet<Unreached>,
}

/// How a step went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// Not yet; it is tried again.
    Waiting,
    /// It failed, with this stable code; it is tried again.
    Failed(&'static str),
}

/// What was reached and what was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The records that were to be forgotten.
    pub forgotten: BTreeSet<Cid>,
    /// Steps that were done.
    pub done: Vec<Step>,
    /// Steps that were not, and why.
    pub open: Vec<(Step, Outcome)>,
    /// What no step reaches.
    pub unreached: BTreeSet<Unreached>,
}

impl Cascade {
    /// Plans to forget `asked` out of `memories`.
    #[must_use]
    pub fn plan(asked: &BTreeSet<Cid>, memories: &[Memory], around: &Surroundings) -> Self {
        let (forgotten, rebuilt) = spread(asked, memories);
        let mut steps = BTreeSet::new();
        let mut unreached = BTreeSet::new();
        for cid in &forgotten {
            steps.extend([
                Step::DestroyKeys(*cid),
                Step::RemoveWords(*cid),
                Step::RemoveVector(*cid),
                Step::DeleteReplica(*cid),
                Step::DeleteRecord(*cid),
            ]);
            for recipient in around.shared_with.get(cid).into_iter().flatten() {
                steps.insert(Step::Notify(recipient.clone(), *cid));
                unreached.insert(Unreached::Recipient(recipient.clone(), *cid));
            }
            if around.published.contains(cid) {
                steps.insert(Step::Withdraw(*cid));
                unreached.insert(Unreached::Public(*cid));
            }
        }
        // What a summary says of a forgotten record is found by its words and vector, too.
        for cid in &rebuilt {
            steps.extend([
                Step::FlagSummary(*cid),
                Step::RemoveWords(*cid),
                Step::RemoveVector(*cid),
            ]);
        }
        for (blob, users) in &around.blobs {
            if !users.is_empty() && users.is_subset(&forgotten) {
                steps.insert(Step::DeleteBlob(*blob));
            }
        }
        if !forgotten.is_empty() {
            unreached.extend(around.backups.then_some(Unreached::Backups));
            unreached.extend(around.recoverable_until.map(Unreached::Platform));
        }
        Self {
            forgotten,
            rebuilt,
            steps: steps.into_iter().collect(),
            unreached,
        }
    }

    /// Reports, from how each step went. A step that nothing is known of waits.
    #[must_use]
    pub fn report(&self, outcomes: impl Fn(&Step) -> Option<Outcome>) -> Report {
        let mut report = Report {
            forgotten: self.forgotten.clone(),
            done: Vec::new(),
            open: Vec::new(),
            unreached: self.unreached.clone(),
        };
        for step in &self.steps {
            match outcomes(step).unwrap_or(Outcome::Waiting) {
                Outcome::Done => report.done.push(step.clone()),
                other @ (Outcome::Waiting | Outcome::Failed(_)) => {
                    report.open.push((step.clone(), other));
                }
            }
        }
        report
    }
}

impl Report {
    /// Tells whether everything within reach is gone.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// Tells whether nothing is left anywhere. Seldom true, and never before [`Report::is_done`].
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.is_done() && self.unreached.is_empty()
    }
}

/// Splits what was made from forgotten records: made from them alone, or from others as well.
fn spread(asked: &BTreeSet<Cid>, memories: &[Memory]) -> (BTreeSet<Cid>, BTreeSet<Cid>) {
    let mut forgotten: BTreeSet<Cid> = memories
        .iter()
        .map(|memory| memory.cid)
        .filter(|cid| asked.contains(cid))
        .collect();
    loop {
        let touched = descendants(memories, &forgotten);
        let judge = |memory: &Memory| match fate(memory, &forgotten) {
            Derived::Forget => Some(memory.cid),
            Derived::Rebuild => None,
        };
        let of = memories
            .iter()
            .filter(|memory| touched.contains(&memory.cid));
        let more: Vec<_> = of.filter_map(judge).collect();
        if more.is_empty() {
            return (forgotten, touched);
        }
        forgotten.extend(more);
    }
}

/// What is done with a descendant.
fn fate(memory: &Memory, forgotten: &BTreeSet<Cid>) -> Derived {
    let covers_others = memory
        .derived_from
        .iter()
        .any(|parent| !forgotten.contains(parent));
    if covers_others {
        Derived::Rebuild
    } else {
        Derived::Forget
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{cid, made_from, memory};
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<Cid> {
        names.iter().map(|name| cid(name)).collect()
    }

    fn memories() -> Vec<Memory> {
        vec![
            memory("a", 1),
            memory("b", 2),
            made_from("of a", 3, &["a"]),
            made_from("of both", 4, &["a", "b"]),
            made_from("of of a", 5, &["of a"]),
            made_from("of the summary", 6, &["of both", "b"]),
        ]
    }

    #[test]
    fn what_was_made_from_a_record_alone_goes_with_it_and_the_rest_is_made_anew() {
        let plan = Cascade::plan(&set(&["a"]), &memories(), &Surroundings::default());
        assert_eq!(plan.forgotten, set(&["a", "of a", "of of a"]));
        assert_eq!(plan.rebuilt, set(&["of both", "of the summary"]));
        let all = Cascade::plan(&set(&["a", "b"]), &memories(), &Surroundings::default());
        assert_eq!(all.forgotten.len(), 6);
        assert!(all.rebuilt.is_empty() && all.unreached.is_empty());
        let nothing = Cascade::plan(
            &set(&["unknown"]),
            &memories(),
            &Surroundings {
                backups: true,
                ..Surroundings::default()
            },
        );
        assert!(nothing.steps.is_empty() && nothing.unreached.is_empty());
    }

    #[test]
    fn keys_go_first_and_the_record_itself_last() {
        let around = Surroundings {
            published: set(&["a"]),
            backups: true,
            ..Surroundings::default()
        };
        let plan = Cascade::plan(&set(&["a"]), &memories(), &around);
        let first = plan.steps.iter().take(3);
        assert!(
            first.clone().count() == 3
                && first
                    .clone()
                    .all(|step| matches!(step, Step::DestroyKeys(_)))
        );
        let last = plan.steps.iter().rev().take(3);
        assert!(
            last.clone()
                .all(|step| matches!(step, Step::DeleteRecord(_)))
        );
        assert!(plan.steps.contains(&Step::RemoveWords(cid("of both"))));
    }

    #[test]
    fn a_blob_that_another_record_needs_stays() {
        let around = Surroundings {
            blobs: [
                (cid("mine"), set(&["a"])),
                (cid("ours"), set(&["a", "b"])),
                (cid("orphan"), BTreeSet::new()),
            ]
            .into(),
            ..Surroundings::default()
        };
        let plan = Cascade::plan(&set(&["a"]), &memories(), &around);
        let blobs: Vec<_> = plan
            .steps
            .iter()
            .filter(|step| matches!(step, Step::DeleteBlob(_)))
            .collect();
        assert_eq!(blobs, [&Step::DeleteBlob(cid("mine"))]);
    }

    #[test]
    fn the_report_names_what_failed_what_waits_and_what_nobody_reaches() {
        let bob = Did::from_scid(&[2; 32]);
        let around = Surroundings {
            shared_with: [(cid("a"), BTreeSet::from([bob.clone()]))].into(),
            published: set(&["a"]),
            backups: true,
            recoverable_until: Some(Timestamp(30)),
            ..Surroundings::default()
        };
        let plan = Cascade::plan(&set(&["a"]), &[memory("a", 1)], &around);
        let unreached = [
            Unreached::Recipient(bob.clone(), cid("a")),
            Unreached::Public(cid("a")),
            Unreached::Backups,
            Unreached::Platform(Timestamp(30)),
        ];
        assert_eq!(plan.unreached, unreached.clone().into());
        let report = plan.report(|step| match step {
            Step::Notify(..) => Some(Outcome::Failed("PEER_UNREACHABLE")),
            Step::DeleteReplica(_) => None,
            Step::DestroyKeys(_)
            | Step::RemoveWords(_)
            | Step::RemoveVector(_)
            | Step::FlagSummary(_)
            | Step::DeleteBlob(_)
            | Step::Withdraw(_)
            | Step::DeleteRecord(_) => Some(Outcome::Done),
        });
        assert_eq!(
            report.open,
            [
                (
                    Step::Notify(bob, cid("a")),
                    Outcome::Failed("PEER_UNREACHABLE")
                ),
                (Step::DeleteReplica(cid("a")), Outcome::Waiting),
            ]
        );
        assert!(!report.is_done() && !report.is_gone());
        let done = plan.report(|_step| Some(Outcome::Done));
        assert!(done.is_done() && !done.is_gone());
        assert_eq!(done.unreached, unreached.into());
    }

    proptest! {
        #[test]
        fn nothing_that_was_made_from_a_forgotten_record_is_left_as_it_is(
            links in proptest::collection::vec(proptest::collection::vec(0_usize..12, 0..3), 1..12),
            asked in proptest::collection::btree_set(0_usize..12, 0..4),
        ) {
            let name = |at: usize| format!("m{at}");
            let memories: Vec<_> = links.iter().enumerate().map(|(at, from)| {
                let from: Vec<_> = from.iter().map(|parent| name(*parent)).collect();
                let from: Vec<_> = from.iter().map(String::as_str).collect();
                made_from(&name(at), 1, &from)
            }).collect();
            let asked: BTreeSet<_> = asked.into_iter().map(|at| cid(&name(at))).collect();
            let plan = Cascade::plan(&asked, &memories, &Surroundings::default());
            prop_assert!(plan.forgotten.is_disjoint(&plan.rebuilt));
            for memory in &memories {
                let gone = |cid: &Cid| plan.forgotten.contains(cid) || plan.rebuilt.contains(cid);
                if memory.derived_from.iter().any(gone) {
                    prop_assert!(gone(&memory.cid));
                }
            }
        }
    }
}
