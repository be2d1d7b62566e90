//! How long a task is kept that has ended.

use entente_lexicon::Timestamp;

use crate::task::{GRACE_MS, Task};

/// How long a task is kept that is over, unless the network says otherwise.
pub const RETENTION_MS: u64 = 90 * 24 * 60 * 60 * 1_000;

/// What still hangs on a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ties {
    /// A word of this side's that has not come to the other side, and may yet.
    pub untold: bool,
    /// The task that it is a part of has not ended.
    pub parent_open: bool,
    /// Tasks that are a part of it are kept.
    pub children: bool,
}

impl Ties {
    /// Whether there is none.
    #[must_use]
    pub const fn are_none(self) -> bool {
        !(self.untold || self.parent_open || self.children)
    }
}

impl Task {
    /// Returns from when on a task is over that stands as it does since `changed`: it has ended, and so late
    /// that nobody asks for it any more. A request of it that comes then is of no use by its own deadline, so
    /// nothing is done twice if the task is forgotten. Nothing for one that is open.
    #[must_use]
    pub fn over_at(&self, changed: Timestamp) -> Option<Timestamp> {
        let deadline = self.terms.deadline.map(|deadline| deadline.after(GRACE_MS));
        let ended = self.state.is_final().then_some(changed)?;
        Some(deadline.map_or(ended, |deadline| ended.max(deadline)))
    }

    /// Whether a task may be forgotten that stands as it does since `changed`, where those that are over are
    /// kept for so many milliseconds.
    #[must_use]
    pub fn may_be_forgotten(
        &self,
        changed: Timestamp,
        (now, kept): (Timestamp, u64),
        ties: Ties,
    ) -> bool {
        let over = self.over_at(changed);
        ties.are_none() && over.is_some_and(|over| over.after(kept) <= now)
    }
}
