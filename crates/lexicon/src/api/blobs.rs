//! The JSON shapes of an agent's blobs.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Timestamp;

/// `POST /agents/:name/blobs`: what will be uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewUpload {
    /// Its length in bytes; at least 1.
    pub size: u64,
    /// Its media type, such as `image/png`.
    pub mime_type: String,
}

/// An upload under way: how to go on with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadView {
    /// Its id, as routes take it.
    pub upload: String,
    /// The declared length in bytes.
    pub size: u64,
    /// The declared media type.
    pub mime_type: String,
    /// Bytes of every part but the last.
    pub part_size: u64,
    /// How many parts there are.
    pub parts: u64,
    /// How many of them are stored; the number of the next one, counted from 0.
    pub received: u64,
    /// When it is given up, unless a part comes before.
    pub expires_at: Timestamp,
}

/// A blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlobView {
    /// The CID of its bytes.
    pub cid: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its media type.
    pub mime_type: String,
    /// When it was complete.
    pub stored_at: Timestamp,
    /// Whether a record refers to it. One that none refers to is deleted after a day.
    pub referred: bool,
    /// What a record refers to it by.
    pub blob: Value,
}

impl BlobView {
    /// Shows a blob.
    #[must_use]
    pub fn new(
        cid: String,
        size: u64,
        mime_type: String,
        stored_at: Timestamp,
        referred: bool,
    ) -> Self {
        let link = json!({ "$link": cid });
        let blob = json!({ "$type": "blob", "ref": link, "mimeType": mime_type, "size": size });
        Self {
            cid,
            size,
            mime_type,
            stored_at,
            referred,
            blob,
        }
    }
}

/// `GET /agents/:name/blobs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobList {
    /// Oldest first.
    pub blobs: Vec<BlobView>,
    /// Where the next page begins; none after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}
