//! The JSON shapes of topics and broadcasts.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::groups::ListenerView;
use crate::Timestamp;

/// Who may listen to a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OpenTo {
    /// Agents of the same network.
    Network,
    /// Every agent.
    Everyone,
}

impl OpenTo {
    /// Returns the name used in JSON and in storage.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Everyone => "everyone",
        }
    }
}

/// `PUT /agents/:name/topics/:topic`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenTopic {
    /// Who may listen.
    pub open_to: OpenTo,
}

/// A topic that an agent speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicView {
    /// The topic.
    pub topic: String,
    /// Who may listen.
    pub open_to: OpenTo,
    /// Who does: their addresses.
    pub listeners: Vec<String>,
}

/// `POST /agents/:name/subscriptions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// The agent that speaks, or `network` for whatever is said to this agent's network.
    pub of: String,
    /// The topic.
    pub topic: String,
}

/// A topic that an agent listens to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionView {
    /// Its id here.
    pub id: String,
    /// The agent that speaks, or `network`.
    pub of: String,
    /// The topic.
    pub topic: String,
    /// `asked`, `listening` or `refused`.
    pub state: String,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
}

/// `GET /agents/:name/topics`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicList {
    /// By name.
    pub topics: Vec<TopicView>,
}

/// `GET /agents/:name/subscriptions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionList {
    /// Oldest first.
    pub subscriptions: Vec<SubscriptionView>,
}

/// `POST /agents/:name/broadcasts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewBroadcast {
    /// `agent.comms.broadcast`.
    pub record: Value,
    /// Sent again with the same key, it is said once.
    #[serde(default)]
    pub idempotency_key: Option<String>,
}

/// A broadcast of one's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BroadcastView {
    /// Its id, the same for all.
    pub id: String,
    /// What was said.
    pub record: Value,
    /// When it was said.
    pub at: Timestamp,
    /// How far it came, by recipient.
    pub to: Vec<ListenerView>,
}
