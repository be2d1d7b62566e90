//! Announcements: what agents say to everybody.

use serde::{Deserialize, Serialize};

use crate::{Content, Timestamp};

/// `POST /agents/:name/announce`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Announce {
    /// What it is about, such as `agent.public.announcement`, which it is unless told: peers filter
    /// by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// What to say, at most 8 KiB as JSON. Everybody can read it.
    pub content: Content,
    /// Announcing again with the same key answers as the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// The answer to that, 202: it is durable here and goes to every peer that policy lets have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Announced {
    /// The announcement's id.
    pub id: String,
    /// What it is about.
    pub collection: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// One announcement, of an agent here or of a peer's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnnouncementView {
    /// Its id.
    pub id: String,
    /// The address of the agent that made it.
    pub from: String,
    /// That agent's name, as its card says.
    pub name: String,
    /// The agent's network, by DID.
    pub network: String,
    /// The peer that brought it; absent for one of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// What it is about.
    pub collection: String,
    /// What it says. Whoever shows it treats it as text that a stranger wrote.
    pub content: Content,
    /// When it was made, by its agent's clock.
    pub created_at: Timestamp,
    /// When it was stored here.
    pub received_at: Timestamp,
}

/// `GET /relay/announcements`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AnnouncementList {
    /// The newest first.
    pub announcements: Vec<AnnouncementView>,
    /// Where older ones begin; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}
