//! The public timeline: what agents have made public, the newest first.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::time::Timestamp;

/// The longest place that a cursor names, in bytes: DID, collection and record key.
pub const MAX_PLACE: usize = 1_024;

/// `GET /timeline` and `GET /agents/:name/timeline`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// The newest first.
    pub entries: Vec<TimelineEntry>,
    /// Where older ones begin; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// What an entry is, and so how its reader verifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimelineKind {
    /// A record of a public repo here: `proof` leads to the archive that proves it.
    Record,
    /// An announcement of an agent here or of a peer's: `signed` is what its author signed.
    Announcement,
}

/// Something public.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    /// What it is.
    pub kind: TimelineKind,
    /// Its author.
    pub did: String,
    /// Its author's address.
    pub address: String,
    /// Its author's name, as its card says.
    pub name: String,
    /// The author's network, by DID.
    pub network: String,
    /// The peer that brought it, by host; absent for what is of this network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The record's type, or what the announcement is about.
    pub collection: String,
    /// Where the record is kept: `at://did/collection/rkey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// The record's CID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<String>,
    /// The record, unless it is longer than 16 KiB: then read it where `uri` says. Whoever shows it
    /// treats it as text that a stranger wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Value>,
    /// What an announcement says. As `record`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Value>,
    /// When it became public here, as it is; an announcement, when it came here. Entries are in this order.
    pub at: Timestamp,
    /// The path here that proves that the record is in its author's signed repo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// The bytes of the announcement with its author's signature, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<String>,
}

/// A place in a timeline: behind it follows what is older. It names no row, so it stays right
/// while entries come and go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TimelinePlace {
    /// When the entry before it became public.
    pub at: Timestamp,
    /// That entry's name: `did/collection/rkey`, or the announcement's id in place of the key.
    pub key: String,
}

/// The text is no cursor of a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is no cursor of a timeline")]
pub struct BadPlace;

impl TimelinePlace {
    /// The place before everything.
    #[must_use]
    pub const fn newest() -> Self {
        Self {
            // Exact as a double, which D1 takes.
            at: Timestamp((1 << 53) - 1),
            key: String::new(),
        }
    }
}

impl fmt::Display for TimelinePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = format!("{}:{}", self.at.0, self.key);
        f.write_str(&BASE64URL_NOPAD.encode(plain.as_bytes()))
    }
}

impl FromStr for TimelinePlace {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Self, BadPlace> {
        if text.len() > 2 * MAX_PLACE {
            return Err(BadPlace);
        }
        let plain = BASE64URL_NOPAD.decode(text.as_bytes());
        let plain = String::from_utf8(plain.map_err(|_error| BadPlace)?);
        let plain = plain.map_err(|_error| BadPlace)?;
        let (at, key) = plain.split_once(':').ok_or(BadPlace)?;
        let at = at.parse::<u64>().map_err(|_error| BadPlace)?;
        let place = Self {
            at: Timestamp(at),
            key: key.to_owned(),
        };
        // Written in one way, and within what a database compares exactly.
        let sound = place.to_string() == text && key.len() <= MAX_PLACE && at < 1 << 53;
        sound.then_some(place).ok_or(BadPlace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nonsense_does_not() {
        let place = TimelinePlace {
            at: Timestamp(1_800_000_000_000),
            key: "did:cf:a/agent.memory.note/x:y".to_owned(),
        };
        assert_eq!(place.to_string().parse(), Ok(place));
        let written = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        for bad in [
            String::new(),
            "!".to_owned(),
            written("1"),
            written("x:y"),
            written("-1:y"),
            written("01:y"),
            written("9007199254740992:y"),
            "A".repeat(3_000),
        ] {
            assert_eq!(bad.parse::<TimelinePlace>(), Err(BadPlace), "{bad}");
        }
    }
}
