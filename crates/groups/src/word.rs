//! What agents tell one another about a group, besides what is said in it.

use entente_lexicon::Address;
use serde::{Deserialize, Serialize};

/// What one agent tells another about a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "says", rename_all = "camelCase")]
pub enum Says {
    /// The owner: join, if you like.
    Invite {
        /// The number of the invitation; a later one replaces it.
        n: u32,
    },
    /// Who was invited: I am in.
    Join {
        /// The invitation.
        n: u32,
    },
    /// Who was invited: no, thank you.
    Decline {
        /// The invitation.
        n: u32,
    },
    /// A member: I am out.
    Leave {
        /// The invitation by which it was in.
        n: u32,
    },
    /// Anybody who is in, to anybody who is: the newest roster and its key, as they are when mail is
    /// given this.
    Epoch {
        /// The newest epoch when this came up: an earlier one will not do.
        epoch: u64,
    },
    /// The owner: you are out, or not invited any more.
    Out {
        /// The epoch from which on it is so.
        epoch: u64,
        /// The last invitation that is taken back.
        n: u32,
        /// Whether the group is over for everybody.
        closed: bool,
    },
}

/// Something to be told, in order with whatever else the same agent is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tell {
    /// Whom.
    pub to: Address,
    /// What.
    pub says: Says,
}

/// A word that mail has not taken yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What is told.
    pub says: Says,
    /// The epoch that mail is being given with it, once that has begun: what begins from then on is not
    /// told by this word any more.
    pub given: Option<u64>,
}

impl Waiting {
    /// Whether the same agent need not be told that, because this word will have told it.
    #[must_use]
    pub fn stands_for(&self, says: Says) -> bool {
        let (Says::Epoch { .. }, Says::Epoch { epoch }) = (self.says, says) else {
            return false;
        };
        self.given.is_none_or(|given| given >= epoch)
    }
}
