//! What the admin is shown of one link beyond `PeerView`: why something is late, and how things
//! came to be as they are.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::api::{LinkState, PeerView};

/// `GET /admin/federation/peers/:did`: the peer as in the list, and everything about its link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerDetail {
    /// As in the list.
    #[serde(flatten)]
    pub peer: PeerView,
    /// The rest.
    pub detail: LinkDetail,
}

/// Everything about one link beyond `PeerView`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkDetail {
    /// One sentence: what is, since when, and what happens next.
    pub why: String,
    /// The last error in plain words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Explained>,
    /// Attempts that failed since the link was last up.
    pub attempts: u32,
    /// Bytes sent since the peer last acknowledged anything.
    pub unacknowledged_bytes: u64,
    /// Bytes received that our agents have not taken yet.
    pub undelivered_bytes: u64,
    /// Until when the peer is put aside, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub penalty: Option<PenaltyView>,
    /// How the link's state changed, oldest first.
    #[serde(default)]
    pub history: Vec<Transition>,
    /// The last messages sent over this link, newest first; without what they say.
    #[serde(default)]
    pub messages: Vec<LinkMessage>,
    /// Public events that came, went and were not let through.
    #[serde(default)]
    pub events: Vec<EventTally>,
}

/// How many public events had this outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventTally {
    /// `in` or `out`.
    pub direction: String,
    /// `pass`, or the code that refused them.
    pub code: String,
    /// How many.
    pub count: u64,
    /// The last one.
    pub last_at: Timestamp,
}

/// A code in plain words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// The code.
    pub code: String,
    /// What happened.
    pub meaning: String,
    /// What to do next.
    pub next: String,
}

/// A peer that is put aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PenaltyView {
    /// Until when.
    pub until: Timestamp,
    /// The code of what it did.
    pub reason: String,
    /// How often lately; each time it is put aside for longer.
    pub strikes: u32,
}

/// A change of a link's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub at: Timestamp,
    /// What it became.
    pub state: LinkState,
    /// Why, if something went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A message's way over a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkMessage {
    /// Its id.
    pub id: String,
    /// The sending agent's DID.
    pub from: String,
    /// The receiving agent's DID.
    pub to: String,
    /// Its place in the stream.
    pub seq: u64,
    /// When the link stored it, which is when its sender was told `accepted`.
    pub stored_at: Timestamp,
    /// When it ended, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// `waiting`, `delivered`, `quarantined` or `refused`.
    pub status: String,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// One stage of `GET /admin/federation/test?host=`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// `url`, `document`, `peer`, `upgrade`, `link` or `level`.
    pub stage: String,
    /// Whether it holds.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// The code of what failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The answer of `GET /admin/federation/test?host=`: stages up to the first that fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkTest {
    /// The host.
    pub host: String,
    /// Whether every stage holds.
    pub ok: bool,
    /// In order.
    pub stages: Vec<Stage>,
}
