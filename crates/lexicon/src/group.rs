//! What agents tell one another about groups, in sealed mail.

use serde::{Deserialize, Serialize};

use crate::id::MessageId;
use crate::message::Content;

/// A word about a group, or in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupPart {
    /// The group.
    pub group: MessageId,
    /// What is said.
    pub word: GroupWord,
}

/// What one agent says to another about a group, or in it. Bytes are base64 without padding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "says",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum GroupWord {
    /// The owner: join, if you like.
    Invite {
        /// The number of the invitation.
        n: u32,
        /// What the group's id is made with.
        nonce: MessageId,
        /// What it is called.
        name: String,
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
    /// Who is in, and the key.
    Epoch {
        /// The roster as the owner signed it.
        roster: String,
        /// The key that it commits to.
        key: String,
    },
    /// The owner: you are out.
    Out {
        /// The epoch from which on it is so.
        epoch: u64,
        /// The last invitation that is taken back.
        n: u32,
        /// Whether the group is over for everybody.
        closed: bool,
    },
    /// Something that is said to all.
    Post {
        /// The epoch under whose key it is sealed.
        epoch: u64,
        /// Its id, the same for all.
        post: MessageId,
        /// Its number from this author to this listener.
        number: u64,
        /// The lowest of those numbers that is open.
        open: u64,
        /// What is said, sealed. Left out of what an inbox shows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sealed: Option<String>,
        /// What is said, once it is opened. Never on the way.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content: Option<Box<Content>>,
    },
}
