//! What goes to the archive, and what leaves it.

use std::collections::BTreeSet;

use entente_lexicon::Timestamp;

use super::Memory;
use crate::repo::Cid;

/// How long records stay where. `None` is for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// A record that a summary covers goes to the archive so many milliseconds after it was
    /// written.
    pub archive_after_ms: Option<u64>,
    /// A record is deleted so many milliseconds after it was archived.
    pub delete_after_ms: Option<u64>,
}

/// What happens to a record now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays where it is.
    Stay,
    /// Its envelope moves to the archive. Its CID stays in the tree.
    Archive,
    /// It is deleted for good, as [`super::forget`] does.
    Delete,
}

impl Retention {
    /// Decides. `covered` is what summaries cover, `archived` when this record was archived, and
    /// `held` what must stay because something still refers to it: a share, a hold of the
    /// operator's. A record no summary covers is never archived, so nothing is lost by age alone.
    #[must_use]
    pub fn fate(
        &self,
        memory: &Memory,
        archived: Option<Timestamp>,
        covered: &BTreeSet<Cid>,
        held: &BTreeSet<Cid>,
        now: Timestamp,
    ) -> Fate {
        if held.contains(&memory.cid) {
            return Fate::Stay;
        }
        let past = |since: Timestamp, wait: u64| now.0.saturating_sub(since.0) >= wait;
        match (archived, self.archive_after_ms, self.delete_after_ms) {
            (Some(since), _, Some(wait)) if past(since, wait) => Fate::Delete,
            (None, Some(wait), _)
                if covered.contains(&memory.cid) && past(memory.written, wait) =>
            {
                Fate::Archive
            }
            (Some(_) | None, _, _) => Fate::Stay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{cid, memory};
    use super::*;

    const POLICY: Retention = Retention {
        archive_after_ms: Some(100),
        delete_after_ms: Some(500),
    };

    fn fate(policy: Retention, archived: Option<u64>, covered: bool, now: u64) -> Fate {
        let covered = BTreeSet::from_iter(covered.then(|| cid("a")));
        let archived = archived.map(Timestamp);
        policy.fate(
            &memory("a", 1_000),
            archived,
            &covered,
            &BTreeSet::new(),
            Timestamp(now),
        )
    }

    #[test]
    fn what_is_summed_up_is_archived_in_time_and_then_deleted() {
        assert_eq!(fate(POLICY, None, true, 1_099), Fate::Stay);
        assert_eq!(fate(POLICY, None, true, 1_100), Fate::Archive);
        assert_eq!(fate(POLICY, Some(1_100), true, 1_599), Fate::Stay);
        assert_eq!(fate(POLICY, Some(1_100), true, 1_600), Fate::Delete);
    }

    #[test]
    fn age_alone_archives_nothing_and_without_a_policy_everything_stays() {
        assert_eq!(fate(POLICY, None, false, u64::MAX), Fate::Stay);
        assert_eq!(fate(Retention::default(), None, true, u64::MAX), Fate::Stay);
        assert_eq!(
            fate(Retention::default(), Some(0), true, u64::MAX),
            Fate::Stay
        );
    }

    #[test]
    fn what_is_held_stays() {
        let held = BTreeSet::from([cid("a")]);
        let archived = Some(Timestamp(0));
        let fate = POLICY.fate(&memory("a", 0), archived, &held, &held, Timestamp(u64::MAX));
        assert_eq!(fate, Fate::Stay);
    }
}
