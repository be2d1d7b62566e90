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

/// How far a message came. Each status is final except `resolving` and `accepted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptStatus {
    /// It is kept, and waits until the recipient's keys can be fetched.
    Resolving,
    /// The sender's relay has it and will not lose it.
    Accepted,
    /// The recipient's agent has it.
    Delivered,
    /// It will never be delivered; the receipt's code says why.
    Refused,
}

impl ReceiptStatus {
    /// Tells whether another status follows.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Resolving | Self::Accepted)
    }

    /// Returns the name used in JSON and in storage.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolving => "resolving",
            Self::Accepted => "accepted",
            Self::Delivered => "delivered",
            Self::Refused => "refused",
        }
    }
}

/// The priority of a message that names none; 1 is the lowest, 5 the highest.
pub const DEFAULT_PRIORITY: u8 = 3;
