//! Backups: what there is, and putting one back.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// The answer to `GET /admin/backups`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupList {
    /// The generations, the newest first. In an empty network: those the bucket holds, of any network.
    pub generations: Vec<BackupView>,
    /// Milliseconds after a change until it is backed up; 0 is by command only.
    pub every_ms: u64,
    /// Whole generations that are kept.
    pub kept: u64,
    /// For how many milliseconds a change waits to be backed up; absent where everything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_ms: Option<u64>,
    /// How many objects changed since they were backed up.
    pub changed: u64,
    /// When the next backup is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// Whether a backup or a restore is under way.
    pub running: bool,
}

/// One generation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupView {
    /// The network's DID.
    pub network: String,
    /// Its number.
    pub generation: u64,
    /// `running`, `whole`, `failed`.
    pub state: String,
    /// When it was begun.
    pub begun_at: Timestamp,
    /// When it became whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole_at: Option<Timestamp>,
    /// How old what it holds is, in milliseconds, if it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// Its length in bytes, before it was sealed.
    pub bytes: u64,
    /// Objects it holds.
    pub parts: u64,
    /// Objects of which it holds an older state, since they could not be asked.
    pub behind: u64,
    /// The last thing that went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// `POST /admin/backups/restore`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreNetwork {
    /// Which network; may be left out where the bucket holds backups of one only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Which generation; the newest whole one unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

/// `POST /admin/agents/:name/restore`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreAgent {
    /// Which generation; the newest whole one that holds the agent unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
}

/// The answer to both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// The DID of the network or of the agent.
    pub did: String,
    /// The generation that was put back.
    pub generation: u64,
    /// Of when it is.
    pub at: Timestamp,
    /// Objects that were put back.
    pub parts: u64,
    /// Rows that were put back now: less where an earlier attempt had put some back.
    pub rows: u64,
    /// Whether all of it was back already, so that nothing was changed: what happened since then stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub already: bool,
}
