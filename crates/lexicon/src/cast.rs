//! What is said to many at once, outside groups, and who listens: in sealed mail.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::MessageId;

/// Why an agent is among those to whom something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// It listens to the topic.
    Topic,
    /// It is of the author's network.
    Network,
    /// It was named.
    Address,
}

impl Via {
    /// Returns the name used in JSON and in storage.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Network => "network",
            Self::Address => "address",
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Topic, Self::Network, Self::Address]
            .into_iter()
            .find(|via| via.as_str() == text)
    }
}

/// A broadcast on its way to one of its recipients, or as that one reads it. Bytes are base64 without
/// padding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CastPart {
    /// Its id, the same for all.
    pub cast: MessageId,
    /// Why this agent gets it.
    pub via: Via,
    /// The record, sealed once for all. Left out of what an inbox shows, as is the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
    /// The key that it is sealed under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The record, once it is opened: `agent.comms.broadcast`. Never on the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Value>,
}

/// Who listens to what another agent says of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicPart {
    /// The topic.
    pub topic: String,
    /// Whether the sender listens from now on, or does not any more.
    pub listen: bool,
}
