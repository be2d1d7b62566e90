//! The JSON shapes of an agent's memory.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::{Nsid, RecordKey};
use crate::{Did, Timestamp};

/// `POST /agents/:name/memory`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewRecord {
    /// The collection; the record's `$type` unless said.
    #[serde(default)]
    pub collection: Option<Nsid>,
    /// The record's key; a new TID unless said.
    #[serde(default)]
    pub rkey: Option<RecordKey>,
    /// The record, by its type's schema.
    pub record: Value,
    /// `private`, or nothing: sharing and publishing are acts of their own.
    #[serde(default)]
    pub level: Option<String>,
    /// Sent again with the same key, a record is stored once.
    #[serde(default)]
    pub idempotency_key: Option<String>,
}

/// `PUT /agents/:name/memory/:id`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PutRecord {
    /// The record as it is to be.
    pub record: Value,
    /// The CID it must have until now; anything unless said.
    #[serde(default)]
    pub swap_record: Option<String>,
}

/// `POST /agents/:name/memory/:id/share`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShareRecord {
    /// The agent that may read it: a name, a DID, or either with `@host`.
    pub with: String,
}

/// What is known of a record without opening it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordHead {
    /// `collection:rkey`, as routes take it.
    pub id: String,
    /// `at://did/collection/rkey`.
    pub uri: String,
    /// The CID of what is stored: of the envelope, or of the public record.
    pub cid: String,
    /// 1 for the first, one more for each change.
    pub version: u64,
    /// `private`, `shared` or `public`.
    pub level: String,
    /// When it was first stored.
    pub created_at: Timestamp,
    /// When it was stored last.
    pub updated_at: Timestamp,
    /// Agents it is shared with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared_with: Vec<SharedWith>,
    /// The record that replaces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<String>,
    /// Since when it is in the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<Timestamp>,
    /// Since when it says something of a record that was forgotten: replace or delete it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_since: Option<Timestamp>,
}

/// An agent that a record is shared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SharedWith {
    /// Its DID.
    pub did: Did,
    /// Its address.
    pub address: String,
    /// Since when.
    pub at: Timestamp,
}

/// A record, opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordView {
    /// What is known without opening it.
    #[serde(flatten)]
    pub head: RecordHead,
    /// The record.
    pub record: Value,
}

/// `GET /agents/:name/memory`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordList {
    /// Oldest first, unless asked otherwise.
    pub records: Vec<RecordView>,
    /// Where the next page begins; none after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// One version of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordVersion {
    /// Its number.
    pub version: u64,
    /// Its CID.
    pub cid: String,
    /// Its level then.
    pub level: String,
    /// When it was stored.
    pub at: Timestamp,
    /// The record then; none where its key was destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Value>,
}

/// `GET /agents/:name/memory/:id/history`, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordHistory {
    /// The versions that are kept.
    pub versions: Vec<RecordVersion>,
}

/// A record that another agent shares with this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SharedRecord {
    /// `at://did/collection/rkey`.
    pub uri: String,
    /// Its owner's address.
    pub owner: String,
    /// Its CID.
    pub cid: String,
    /// Its version.
    pub version: u64,
    /// When it came.
    pub received_at: Timestamp,
    /// The record.
    pub record: Value,
}

/// `GET /agents/:name/memory/shared`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedList {
    /// Oldest first.
    pub records: Vec<SharedRecord>,
    /// Where the next page begins; none after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// `POST /agents/:name/memory/rotate` and `GET /agents/:name/memory/rotation`: how far the rotation
/// of the key encryption key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RotationView {
    /// The epoch that wraps.
    pub epoch: u32,
    /// Rows that an older epoch wraps still.
    pub rows_left: u64,
    /// Rows in all.
    pub rows: u64,
}

/// One answer of `GET /agents/:name/memory/search`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchHit {
    /// The record.
    #[serde(flatten)]
    pub record: RecordView,
    /// Relevance × importance × recency; higher is better, among hits of a page.
    pub score: f64,
}

/// `GET /agents/:name/memory/search`, best first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchResult {
    /// What was found.
    pub hits: Vec<SearchHit>,
    /// How: by `words`, by `meaning`, or both (`hybrid`).
    pub mode: String,
    /// Where the next page begins; none after the last. A page may be empty and have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// `GET /agents/:name/memory/replica`: how far the replica in D1 is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaView {
    /// The last change: microseconds since 1970, always growing.
    pub revision: u64,
    /// The last change that the replica has.
    pub replicated: u64,
    /// Changes that it does not have yet.
    pub pending: u64,
    /// The age of the oldest of them in milliseconds.
    pub behind_ms: u64,
    /// Why it stays behind, where something failed since it last moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<ReplicaError>,
}

/// Why a replica stays behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaError {
    /// When it failed last.
    pub at: Timestamp,
    /// Why, for people.
    pub error: String,
}

/// `POST /agents/:name/memory/import`: what an archive brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// The CID of the archive's commit.
    pub root: String,
    /// The revision of that commit.
    pub rev: String,
    /// Records that were missing and are there now.
    pub imported: usize,
    /// Records of the archive at whose place there was one: they stay as they are.
    pub kept: usize,
}
