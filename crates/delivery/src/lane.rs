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

/// Attempts at a message that its recipient fails at in a row, though it lives, until it steps aside.
pub const HEAD_ATTEMPTS: u32 = 5;
/// The longest wait between those, in milliseconds.
pub const HEAD_WAIT_MS: u64 = 5_000;

/// The way to one recipient. What goes by it keeps its order: nothing is offered before what came before
/// it has ended, as taken, as refused or as a dead letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    /// Failures since something was last taken.
    pub failures: u32,
    /// How many of the last ones in a row were the first message's alone.
    pub head: u32,
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
            head: 0,
            due: now,
        }
    }

    /// Tells whether the first message has to step aside, so that what follows does not wait for it: the
    /// recipient lives, and fails at it for the last of [`HEAD_ATTEMPTS`] times in a row.
    #[must_use]
    pub const fn gives_way(&self, fault: Fault) -> bool {
        matches!(fault, Fault::Head) && self.head.saturating_add(1) >= HEAD_ATTEMPTS
    }

    /// Nothing was taken. Where something was given up for it, what follows has its chance at once.
    #[must_use]
    pub fn failed(
        self,
        (fault, gave_up): (Fault, bool),
        policy: &Policy,
        now: Timestamp,
        random: u64,
    ) -> Self {
        if gave_up {
            return Self::moved(now);
        }
        let failures = self.failures.saturating_add(1);
        let (head, wait) = match fault {
            Fault::Down => (0, policy.wait(failures, random)),
            Fault::Head => {
                let head = self.head.saturating_add(1);
                (head, policy.wait(head, random).min(HEAD_WAIT_MS))
            }
        };
        Self {
            failures,
            head,
            due: now.after(wait),
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
