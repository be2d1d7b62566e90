//! The way to an agent of the same network that keeps others waiting.

use entente_lexicon::Timestamp;

use crate::policy::Policy;

/// Why what was offered was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The recipient answers nothing: the attempt counts for all that wait.
    Down,
    /// The recipient lives, and fails when it is given the first message alone: it counts for that one.
    Head,
}

/// The way to one recipient. What goes by it keeps its order: nothing is offered before what came before
/// it has ended, as taken, as refused or as a dead letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    /// Failures since something was last taken.
    pub failures: u32,
    /// When it is tried next.
    pub due: Timestamp,
}

impl Lane {
    /// Tells whether something may be offered now.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        now >= self.due
    }

    /// Something was taken, or refused by a recipient that lives.
    #[must_use]
    pub const fn moved(now: Timestamp) -> Self {
        Self {
            failures: 0,
            due: now,
        }
    }

    /// Nothing was taken. Where something was given up for it, what follows has its chance at once.
    #[must_use]
    pub fn failed(self, gave_up: bool, policy: &Policy, now: Timestamp, random: u64) -> Self {
        if gave_up {
            return Self::moved(now);
        }
        let failures = self.failures.saturating_add(1);
        Self {
            failures,
            due: now.after(policy.wait(failures, random)),
        }
    }

    /// Returns the failures of each message that waits, in order, after one more. Those whose attempts are
    /// spent then are dead letters.
    #[must_use]
    pub fn counted(failures: &[u32], fault: Fault) -> Vec<u32> {
        let counts = |place: usize| match fault {
            Fault::Down => true,
            Fault::Head => place == 0,
        };
        let counted = failures.iter().enumerate();
        counted
            .map(|(place, failures)| failures.saturating_add(u32::from(counts(place))))
            .collect()
    }
}
