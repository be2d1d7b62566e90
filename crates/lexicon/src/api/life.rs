//! The JSON shapes of a memory's life: compaction, retention, forgetting.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::api::memory::RecordView;

/// `GET` and `PUT /agents/:name/memory/settings`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MemorySettings {
    /// How long records stay where; of several rules for a collection the first one counts.
    pub retention: Vec<RetentionRule>,
    /// When episodes roll up into summaries.
    pub compaction: CompactionSettings,
    /// What is found by meaning.
    pub meaning: MeaningSettings,
}

/// Which records a service of vectors may read, so that they are found by meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MeaningSettings {
    /// Public ones.
    pub public: bool,
    /// Private and shared ones of these collections: names, or patterns such as `agent.memory.*`.
    pub private: Vec<String>,
}

impl Default for MeaningSettings {
    fn default() -> Self {
        Self {
            public: true,
            private: Vec::new(),
        }
    }
}

/// `GET /agents/:name/memory/meaning`, and what `POST /agents/:name/memory/reembed` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeaningView {
    /// The model that makes vectors; none where the deployment names no service.
    pub model: Option<String>,
    /// `flat`, in the agent's object, or `vectorize`.
    pub index: String,
    /// How many dimensions vectors have; none until the first was made.
    pub dimensions: Option<u32>,
    /// Records that are found by meaning.
    pub vectors: u64,
    /// Records that are to be, and wait for their vector; and vectors that wait for their removal.
    pub pending: u64,
    /// Why the last attempt failed, unless one has succeeded since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<MeaningError>,
}

/// Why vectors could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeaningError {
    /// When.
    pub at: Timestamp,
    /// A stable code.
    pub code: String,
    /// What happened, and what to do.
    pub message: String,
}

/// How long the records of some collections stay where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetentionRule {
    /// A collection, or a pattern such as `agent.memory.*`.
    pub collection: String,
    /// A record that a summary covers goes to the archive so many days after it was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive_after_days: Option<u32>,
    /// A record is forgotten so many days after it was archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after_days: Option<u32>,
}

/// When episodes roll up into summaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CompactionSettings {
    /// Whether the agent does it by itself, by the extractive rule.
    pub auto: bool,
    /// Episodes at least so old.
    pub min_age_days: u32,
    /// Episodes that have faded below this strength, in percent.
    pub max_strength: u8,
    /// The fewest that a summary is made of.
    pub min_episodes: u8,
    /// The most, up to 256.
    pub max_episodes: u16,
}

impl Default for CompactionSettings {
    fn default() -> Self {
        Self {
            auto: false,
            min_age_days: 30,
            max_strength: 40,
            min_episodes: 8,
            max_episodes: 64,
        }
    }
}

/// `GET /agents/:name/memory/compaction`: which episodes one summary each would cover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactionPlan {
    /// What is due.
    pub rollups: Vec<RollupView>,
    /// Where the next episodes begin; none after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Episodes for one summary, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollupView {
    /// What they belong to: their source as `kind:id`, or nothing.
    pub thread: String,
    /// The episodes.
    pub covers: Vec<Covered>,
    /// When the first was written.
    pub from: Timestamp,
    /// When the last was written.
    pub to: Timestamp,
}

/// An episode that a summary covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Covered {
    /// Its id.
    pub id: String,
    /// Its CID.
    pub cid: String,
}

/// `POST /agents/:name/memory/compaction`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Compact {
    /// The episodes of one rollup; everything that is due unless said.
    pub covers: Vec<Covered>,
    /// The summary of those; the sentences that say most unless said.
    pub text: Option<String>,
    /// Where to go on, without `covers`.
    pub cursor: Option<String>,
}

/// What a compaction stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compacted {
    /// The summaries.
    pub summaries: Vec<RecordView>,
    /// Where there may be more that is due; none after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// `POST /agents/:name/memory/:id/forget`: what was reached and what was not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetReport {
    /// When.
    pub at: Timestamp,
    /// Records that are gone: the one asked for, and what was made from it alone.
    pub forgotten: Vec<String>,
    /// Summaries that were made anew without them.
    pub rebuilt: Vec<String>,
    /// What was made from them and from others, and has to be written anew: no search finds it until
    /// it is replaced or deleted.
    pub stale: Vec<String>,
    /// What was done.
    pub done: Vec<ForgetStep>,
    /// What is not done yet, and why.
    pub open: Vec<ForgetStep>,
    /// What nobody here can reach.
    pub unreached: Vec<UnreachedView>,
}

/// One step of forgetting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetStep {
    /// `keys`, `words`, `vector`, `stale`, `blob`, `replica`, `withdrawn`, `record`, or
    /// `notify`.
    pub step: String,
    /// The record or blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Whom it was asked to delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// A stable code; nothing while it merely waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Something that may keep a forgotten record readable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreachedView {
    /// `recipient`, `public`, `backups` or `platform`.
    pub kind: String,
    /// The record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The agent that was given it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// Until when, where that is known: backups go as newer ones take their place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}
