//! Dead letters: what was given up, and is kept until somebody has it tried again or throws it away.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// One dead letter, without anything of what it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// Its id: of the message, or of the delivery. In the admin's list the agent's name and a dot stand
    /// before it.
    pub id: String,
    /// `message` or `webhook`.
    pub kind: String,
    /// The agent that sends it: in the admin's list alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The recipient's DID, or the webhook's id.
    pub to: String,
    /// What the webhook was to tell of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// When it was given up.
    pub at: Timestamp,
    /// Why a message was: `RECIPIENT_DOWN` or `RECIPIENT_FAILS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What the receiver of a webhook answered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How often it was tried.
    pub attempts: u32,
    /// When a message expires, and is a dead letter no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// `GET /agents/:name/dead-letters` and `GET /admin/dead-letters`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterList {
    /// The oldest first: messages, then webhooks; in the admin's list agent by agent.
    pub dead_letters: Vec<DeadLetter>,
    /// How many there are in all.
    pub total: u64,
    /// Where the next page begins; none after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}
