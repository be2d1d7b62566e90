//! The JSON shapes of sender blocks.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// `PUT /agents/:name/blocks/:who`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetBlock {
    /// Whether senders are told nothing: what they send counts as delivered, and is dropped.
    #[serde(default)]
    pub silent: bool,
}

/// One block: whose mail an agent does not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockView {
    /// The DID of an agent or of a network, or `*@host`.
    pub who: String,
    /// As it was written.
    pub named: String,
    /// Whether senders are told nothing.
    pub silent: bool,
    /// Since when.
    pub created_at: Timestamp,
    /// How many messages it has kept away.
    pub refused: u64,
    /// When it did so last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
}

/// `GET /agents/:name/blocks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockList {
    /// Oldest first.
    pub blocks: Vec<BlockView>,
}
