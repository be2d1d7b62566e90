//! Agents as links meet them: they know ids, commit, answer, and take their time.

use std::collections::BTreeSet;

use entente_federation::{Code, DeliveryVerdict};
use entente_lexicon::Did;

/// An agent's store.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) did: Did,
    pub(crate) slow_until: u64,
    held: BTreeSet<u64>,
}

/// What an agent did with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    New,
    Held,
    Refused,
    Expired,
}

impl Agent {
    pub(crate) const fn new(did: Did) -> Self {
        Self {
            did,
            slow_until: 0,
            held: BTreeSet::new(),
        }
    }

    /// Takes a message: once, or never, and always with the same answer unless it is late.
    pub(crate) fn take(&mut self, message: u64, is_late: bool) -> Taken {
        if message % 23 == 7 {
            Taken::Refused
        } else if is_late && !self.held.contains(&message) {
            Taken::Expired
        } else if self.held.insert(message) {
            Taken::New
        } else {
            Taken::Held
        }
    }
}

impl Taken {
    pub(crate) fn verdict(self) -> DeliveryVerdict {
        match self {
            Self::New | Self::Held => DeliveryVerdict::Delivered,
            Self::Refused => DeliveryVerdict::Refused(Code::from_static("MAILBOX_FULL")),
            Self::Expired => DeliveryVerdict::Refused(Code::EXPIRED),
        }
    }
}
