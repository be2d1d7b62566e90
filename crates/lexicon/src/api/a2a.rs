//! The JSON shapes of A2A: who may call an agent, and which agents elsewhere it calls.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Timestamp;

/// Who may call an agent by A2A.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum A2aAccess {
    /// Nobody: it has no card either.
    #[default]
    Off,
    /// Who holds a key that it gave.
    Keys,
    /// Anyone; a key still tells its holder from others.
    Open,
}

/// How an agent is called by A2A: its setting `a2a`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct A2aSetting {
    /// Who may call.
    pub access: A2aAccess,
    /// What its card says it is for; at most 1,000 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The skills on its card, as A2A has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skills: Option<Value>,
}

/// `POST /agents/:name/a2a/keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewA2aKey {
    /// What its holder is called; 1 to 100 bytes.
    pub name: String,
}

/// The answer: the key is shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct A2aKeyCreated {
    /// The key's number, by which it is revoked.
    pub id: u64,
    /// What its holder is called.
    pub name: String,
    /// The key.
    pub key: String,
}

/// A key of a caller's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct A2aKeyView {
    /// Its number.
    pub id: u64,
    /// What its holder is called.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stopped working.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// `GET /agents/:name/a2a/keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct A2aKeyList {
    /// Every key that there ever was, the newest first.
    pub keys: Vec<A2aKeyView>,
}

/// `POST /agents/:name/a2a/agents`: an agent elsewhere that is to be called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewA2aAgent {
    /// Where its card is; below a URL that ends with `/`, in the usual place.
    pub url: String,
    /// What it knows this agent by: sent as `Authorization: Bearer`.
    #[serde(default)]
    pub key: Option<String>,
    /// The key that must have signed its card, as Multikey text.
    #[serde(default)]
    pub public_key: Option<String>,
}

/// An agent elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct A2aAgentView {
    /// Its number.
    pub id: u64,
    /// What a task for it has in `to`.
    pub to: String,
    /// Its name, as its card says.
    pub name: String,
    /// What it is for, as its card says.
    pub description: String,
    /// Where its card is.
    pub url: String,
    /// Where it is called.
    pub endpoint: String,
    /// Whether it is sent a key.
    pub has_key: bool,
    /// The key that signed its card, as Multikey text; none if nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// When it was first added.
    pub added_at: Timestamp,
}

/// `GET /agents/:name/a2a/agents`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct A2aAgentList {
    /// The newest first.
    pub agents: Vec<A2aAgentView>,
}
