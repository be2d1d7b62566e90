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
    /// Anybody who is in, to anybody who is: the newest roster and its key, as they are when this is
    /// told.
    Epoch,
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
