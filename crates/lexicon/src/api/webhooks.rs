//! Webhooks: what an agent sends to URLs that its owner named.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// `POST /agents/:name/webhooks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewWebhook {
    /// Where to send: https, a public host, any path and query.
    pub url: String,
    /// What to send; everything unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<HookEvent>>,
    /// How much of it to send; references unless told.
    #[serde(default)]
    pub include: Include,
}

/// What webhooks tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HookEvent {
    /// A message arrived in the inbox.
    #[serde(rename = "message.received")]
    Received,
    /// A message that the agent sent came a step further.
    #[serde(rename = "message.receipt")]
    Receipt,
    /// A task came to stand otherwise.
    #[serde(rename = "task.changed")]
    Task,
    /// An event passed one of the agent's filters.
    #[serde(rename = "agent.woken")]
    Woken,
    /// Somebody wants to see whether the webhook works. Sent whatever is chosen.
    #[serde(rename = "webhook.test")]
    Test,
}

impl HookEvent {
    /// What may be chosen.
    pub const CHOICE: [Self; 4] = [Self::Received, Self::Receipt, Self::Task, Self::Woken];

    /// Returns the name used in JSON and in storage.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "message.received",
            Self::Receipt => "message.receipt",
            Self::Task => "task.changed",
            Self::Woken => "agent.woken",
            Self::Test => "webhook.test",
        }
    }
}

/// How much of what happened is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Include {
    /// Ids, addresses, states and instants: what was said stays here.
    #[default]
    Reference,
    /// What the agent itself may read of it, in the clear.
    Content,
}

/// One webhook, in `GET /agents/:name/webhooks` and `GET /agents/:name/webhooks/:id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookView {
    /// Its id.
    pub id: String,
    /// Where it sends.
    pub url: String,
    /// What it sends.
    pub events: Vec<HookEvent>,
    /// How much of it.
    pub include: Include,
    /// When it was made.
    pub created_at: Timestamp,
    /// `active` or `disabled`.
    pub state: String,
    /// Why it is disabled: `gone` (the receiver answered 410), `failing` or `backlog`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Attempts that failed since the last that did not.
    pub failures: u32,
    /// While it fails: when it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// Deliveries that wait.
    pub waiting: u64,
    /// Dead letters.
    pub dead: u64,
    /// Its latest deliveries, newest first: only in `GET /agents/:name/webhooks/:id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliveries: Option<Vec<HookDelivery>>,
}

/// `GET /agents/:name/webhooks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookList {
    /// All of them, the oldest first.
    pub webhooks: Vec<WebhookView>,
}

/// One delivery of a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookDelivery {
    /// Its id, the same in every attempt.
    pub id: String,
    /// What it tells of.
    #[serde(rename = "type")]
    pub event: String,
    /// The id of the message or the task that it tells of, or an event's cursor.
    pub subject: String,
    /// `waiting`, `delivered`, `dead` or `discarded`.
    pub state: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// How often it was sent.
    pub attempts: u32,
    /// When it was last sent, or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried_at: Option<Timestamp>,
    /// What the receiver answered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it is sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
}

/// `POST /agents/:name/webhooks/:id/redrive` and `…/discard`: one dead letter, or all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhichDead {
    /// The delivery; all dead letters unless told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
}

/// The answer to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadChanged {
    /// So many dead letters were tried again, or thrown away.
    pub changed: u64,
}

/// The answer to `POST /agents/:name/webhooks/:id/test`, 202.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookTest {
    /// The delivery: `GET /agents/:name/webhooks/:id` shows what becomes of it.
    pub delivery: String,
}

/// The body that is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HookBody {
    /// The delivery's id, as in the header `Idempotency-Key`.
    pub id: String,
    /// What it tells of.
    #[serde(rename = "type")]
    pub event: HookEvent,
    /// When that happened.
    pub at: Timestamp,
    /// The agent's address.
    pub agent: String,
    /// What happened: with [`Include::Reference`] ids, addresses and states alone.
    pub data: serde_json::Value,
}
