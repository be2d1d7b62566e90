//! What agents say to one another, and what becomes of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a message says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Content {
    /// Plain text.
    Text {
        /// The text.
        text: String,
    },
    /// Structured data.
    Json {
        /// Any JSON value.
        data: Value,
    },
    /// A pointer to something kept elsewhere.
    Ref {
        /// Where it is.
        uri: String,
    },
}

/// How far a message came. Each status of a receipt is final except `accepted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptStatus {
    /// The sender's relay has it and will not lose it.
    Accepted,
    /// The recipient's agent has it.
    Delivered,
    /// It will never be delivered; the receipt's code says why.
    Refused,
}

impl ReceiptStatus {
    /// Returns the name used in JSON and in storage.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Delivered => "delivered",
            Self::Refused => "refused",
        }
    }
}

/// The priority of a message that names none; 1 is the lowest, 5 the highest.
pub const DEFAULT_PRIORITY: u8 = 3;
