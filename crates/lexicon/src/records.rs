//! Records as Rust reads them, once they have passed [`crate::schema`].
//!
//! `cargo xtask tidy` compares the fields with the documents.

pub mod comms;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::id::Did;
use crate::time::Timestamp;

/// What a memory matters that does not say so.
pub const DEFAULT_IMPORTANCE: u8 = 50;

/// What every record of `agent.memory.*` has, by which it is found, ranked and kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryFields {
    /// What it says.
    pub text: String,
    /// When it was made.
    #[serde(default, deserialize_with = "instant")]
    pub created_at: Option<Timestamp>,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// How much it matters, from 0 to 100.
    #[serde(default = "default_importance")]
    pub importance: u8,
    /// How sure the agent is, in percent.
    #[serde(default)]
    pub confidence: Option<u8>,
    /// When it begins to hold.
    #[serde(default, deserialize_with = "instant")]
    pub valid_from: Option<Timestamp>,
    /// When it ceases to hold.
    #[serde(default, deserialize_with = "instant")]
    pub valid_to: Option<Timestamp>,
    /// An at-uri, or a key in the same collection.
    #[serde(default)]
    pub supersedes: Option<String>,
    /// What it was concluded from.
    #[serde(default)]
    pub derived_from: Vec<StrongRef>,
    /// Where it comes from.
    #[serde(default)]
    pub source: Option<Source>,
}

/// `agent.memory.defs#strongRef`: a record as it was.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StrongRef {
    /// Where it is kept.
    #[serde(default)]
    pub uri: Option<String>,
    /// The hash of its content.
    pub cid: String,
}

/// `agent.memory.defs#source`: where a memory comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Source {
    /// `self`, `message`, `agent`, `tool`, `import`, or another word.
    pub kind: String,
    /// Which one.
    #[serde(default)]
    pub id: Option<String>,
}

/// `agent.trust.endorsement`: one agent's word for another.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endorsement {
    /// The agent or network that is spoken for.
    pub subject: Did,
    /// The host of the subject's network.
    #[serde(default)]
    pub host: Option<String>,
    /// What it is good at; without it, the subject as a whole.
    #[serde(default)]
    pub skill: Option<String>,
    /// How good, from 0 (bad) to 100.
    pub score: u8,
    /// Why.
    #[serde(default)]
    pub text: Option<String>,
    /// Records that speak for it.
    #[serde(default)]
    pub evidence: Vec<StrongRef>,
    /// When it was given.
    #[serde(deserialize_with = "moment")]
    pub created_at: Timestamp,
    /// When it ceases to count.
    #[serde(default, deserialize_with = "instant")]
    pub valid_to: Option<Timestamp>,
}

impl Endorsement {
    /// Reads a record.
    ///
    /// # Errors
    /// If it is none of `agent.trust.endorsement` that has passed the validator, or its subject's DID is
    /// of another method than ours: nobody here knows such a one.
    pub fn of(record: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(record)
    }
}

impl MemoryFields {
    /// Reads a record.
    ///
    /// # Errors
    /// If it is none of `agent.memory.*` that has passed the validator.
    pub fn of(record: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(record)
    }
}

const fn default_importance() -> u8 {
    DEFAULT_IMPORTANCE
}

/// Reads an instant; one before 1970 is taken for its first moment.
fn instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let read = Timestamp::parse_or_epoch(&text);
    read.map(Some)
        .ok_or_else(|| serde::de::Error::custom("not an RFC 3339 instant"))
}

/// As [`instant`], of what must be there.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let read = instant(deserializer)?;
    read.ok_or_else(|| serde::de::Error::custom("not an instant"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::lexicons;

    #[test]
    fn the_shortest_memory_has_its_defaults() {
        let record = json!({"$type": "agent.memory.note", "text": "x"});
        let fields = MemoryFields::of(&record).unwrap();
        assert_eq!(
            (fields.importance, fields.confidence),
            (DEFAULT_IMPORTANCE, None)
        );
        assert!(fields.tags.is_empty() && fields.derived_from.is_empty());
    }

    #[test]
    fn an_instant_before_1970_is_taken_for_its_first_moment() {
        let at = |text: &str| {
            let record = json!({"$type": "agent.memory.note", "text": "x", "validFrom": text});
            assert!(lexicons().validate(&record).is_ok(), "{text}");
            MemoryFields::of(&record).unwrap().valid_from
        };
        assert_eq!(at("1969-07-20T20:17:40Z"), Some(Timestamp(0)));
        assert_eq!(at("1970-01-01T00:00:01.5Z"), Some(Timestamp(1_500)));
    }

    #[test]
    fn the_default_is_that_of_the_documents() {
        for id in lexicons()
            .ids()
            .filter(|id| id.starts_with("agent.memory."))
        {
            let document: Value = serde_json::from_str(lexicons().document(id).unwrap()).unwrap();
            let rule = document.pointer("/defs/main/record/properties/importance/default");
            assert!(
                id.ends_with(".defs") || rule == Some(&json!(DEFAULT_IMPORTANCE)),
                "{id}"
            );
        }
    }
}
