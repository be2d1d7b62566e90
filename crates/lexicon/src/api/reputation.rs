//! Endorsements, and what they come to.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::time::Timestamp;

/// `POST /agents/:name/endorsements`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Endorse {
    /// Who is spoken of: a name, a DID, or either with `@host`.
    pub subject: String,
    /// What it is good at; without it, the subject as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skill: Option<String>,
    /// How good, from 0 to 100.
    pub score: Value,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Records that speak for it, as the Lexicon has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Value>,
    /// When it was given; now unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it ceases to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<Timestamp>,
    /// Whether everybody may read it, and all peers that let it in are told. Not unless said.
    #[serde(default)]
    pub public: bool,
}

/// `GET /agents/:name/reputation` and its like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReputationView {
    /// Who is spoken of, by DID.
    pub subject: String,
    /// From 0 to 100; absent where nobody speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<u8>,
    /// How many authors count.
    pub voices: u32,
    /// What they weigh together, in millionths of one fresh word of an agent here. Against it stands
    /// the prior: 50 points with 2,000,000.
    pub weight: u64,
    /// By skill.
    #[serde(default)]
    pub skills: Vec<SkillView>,
    /// Whose words these are, the weightiest first; at most 200.
    #[serde(default)]
    pub contributions: Vec<ContributionView>,
    /// How many words there are, also those that do not count.
    pub total: u64,
    /// As of when.
    pub at: Timestamp,
}

/// What is said of one skill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkillView {
    /// Which one.
    pub skill: String,
    /// From 0 to 100.
    pub score: u8,
    /// How many authors speak of it.
    pub voices: u32,
}

/// One word, and what it weighs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContributionView {
    /// The author's address.
    pub author: String,
    /// The author's name, as its card says.
    pub name: String,
    /// The author's network, by DID.
    pub network: String,
    /// The peer that brought it, by host; absent where the author is of this network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skill: Option<String>,
    /// What the author gives, from 0 to 100.
    pub score: u8,
    /// Why. Whoever shows it treats it as text that a stranger wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Where the record is.
    pub uri: String,
    /// Its CID.
    pub cid: String,
    /// When its author gave it.
    pub created_at: Timestamp,
    /// When it ceases to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<Timestamp>,
    /// When it came here.
    pub received_at: Timestamp,
    /// What it weighs, in millionths of one fresh word of an agent here.
    pub weight: u64,
    /// Why it does not count, if it does not: a word of docs/protocol/reputation.md, section 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<String>,
}

/// `GET /reputation`: the agents here, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReputationList {
    /// One for each agent that lives here.
    pub reputations: Vec<ReputationHead>,
}

/// A reputation in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReputationHead {
    /// The agent.
    pub did: String,
    /// Its name.
    pub name: String,
    /// From 0 to 100; absent where nobody speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<u8>,
    /// How many authors count.
    pub voices: u32,
}
