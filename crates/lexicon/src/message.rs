//! What agents say to one another, and what becomes of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cast::{CastPart, TopicPart};
use crate::group::GroupPart;
use crate::id::MessageId;

/// What a message says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Content {
    /// Plain text.
    Text {
        /// The text.
        text: String,
    },
    /// Structured data.
    Json {
        /// Any JSON value.
        data: Value,
    },
    /// A pointer to something kept elsewhere.
    Ref {
        /// Where it is.
        uri: String,
    },
    /// A part of a record that its owner shares. Written by agents, never by their programs.
    Share(SharePart),
    /// A typed record. Written by agents, for their programs.
    Record(RecordPart),
    /// A word about a group, or in it. Written by agents, never by their programs.
    Group(GroupPart),
    /// Who listens to a topic. Written by agents, never by their programs.
    Topic(TopicPart),
    /// Something that is said to many. Written by agents, for their programs.
    Cast(CastPart),
}

/// A record of `agent.comms.*`, and the task that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordPart {
    /// The record.
    pub record: Value,
    /// Which word on which task it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskPlace>,
}

/// Which word on which task a record is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskPlace {
    /// The task.
    pub id: MessageId,
    /// The attempt it speaks of; 1 is the first.
    pub attempt: u32,
    /// Its number among what its sender says of the task; 1 is the first.
    pub n: u32,
    /// The number of the question that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<u32>,
}

/// One part of a record that is shared: the row that wraps its key comes with the first, what is
/// stored of the record follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharePart {
    /// `at://did/collection/rkey`; the DID is the sender's.
    pub uri: String,
    /// The CID of the whole block.
    pub cid: String,
    /// The record's version.
    pub version: u64,
    /// The id of the record's key.
    pub dek: String,
    /// The row, in base64 without padding; with part 0 alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// Which part this is, from 0 on.
    pub part: u8,
    /// How many there are.
    pub parts: u8,
    /// The part, in base64 without padding. Left out of what an inbox shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

/// How far a message came. `resolving`, `accepted`, `queued`, `dead`, `quarantined` and
/// `unconfirmed` are passed through;
/// `delivered` may be followed by `read`; all others are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptStatus {
    /// It is kept, and waits until the recipient's keys can be fetched.
    Resolving,
    /// The sender's relay has it and will not lose it.
    Accepted,
    /// An admin of the recipient's network has yet to decide about it.
    Quarantined,
    /// It goes by the network's queue, since its recipient or its sender did not wait.
    Queued,
    /// It was offered in vain too often: a dead letter, which can be offered again or thrown away.
    Dead,
    /// The recipient's agent has it.
    Delivered,
    /// The recipient's agent says that it was read.
    Read,
    /// It was not delivered in the time its sender gave it.
    Expired,
    /// It was sent, has expired, and the other network cannot be reached to say whether it arrived.
    Unconfirmed,
    /// It will never be delivered; the receipt's code says why.
    Refused,
}

impl ReceiptStatus {
    /// Tells whether another status follows.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(
            self,
            Self::Resolving | Self::Accepted | Self::Quarantined | Self::Queued | Self::Dead
        )
    }

    /// Returns the name used in JSON and in storage.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolving => "resolving",
            Self::Accepted => "accepted",
            Self::Quarantined => "quarantined",
            Self::Queued => "queued",
            Self::Dead => "dead",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Expired => "expired",
            Self::Unconfirmed => "unconfirmed",
            Self::Refused => "refused",
        }
    }

    /// Returns the first step of a message that has come so far: `resolving` or `accepted`.
    #[must_use]
    pub const fn when_accepted(self) -> Self {
        match self {
            Self::Resolving => Self::Resolving,
            Self::Accepted
            | Self::Quarantined
            | Self::Queued
            | Self::Dead
            | Self::Delivered
            | Self::Read
            | Self::Expired
            | Self::Unconfirmed
            | Self::Refused => Self::Accepted,
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let all = [
            Self::Resolving,
            Self::Accepted,
            Self::Quarantined,
            Self::Queued,
            Self::Dead,
            Self::Delivered,
            Self::Read,
            Self::Expired,
            Self::Unconfirmed,
            Self::Refused,
        ];
        all.into_iter().find(|status| status.as_str() == text)
    }
}

/// The priority of a message that names none; 1 is the lowest, 5 the highest.
pub const DEFAULT_PRIORITY: u8 = 3;
