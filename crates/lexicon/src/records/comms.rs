//! `agent.comms.*` as Rust reads it, once it has passed [`crate::schema`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{StrongRef, instant};
use crate::message::DEFAULT_PRIORITY;
use crate::time::Timestamp;

/// How long a failed task waits before it is tried again, where its request does not say so.
pub const DEFAULT_RETRY_SECONDS: u32 = 30;

/// What a record of `agent.comms.*` says: one of the objects of `agent.comms.defs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "$type")]
pub enum Words {
    /// Words.
    #[serde(rename = "agent.comms.defs#text")]
    Text {
        /// The words.
        text: String,
    },
    /// Structured data.
    #[serde(rename = "agent.comms.defs#json")]
    Json {
        /// Any object.
        data: Map<String, Value>,
    },
    /// Something kept elsewhere.
    #[serde(rename = "agent.comms.defs#ref")]
    Ref {
        /// Where it is.
        uri: String,
        /// The hash of what is expected there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cid: Option<String>,
    },
}

/// `agent.comms.message`: one agent's words to another.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// What it says.
    pub content: Words,
    /// When it was made.
    #[serde(default, deserialize_with = "instant")]
    pub created_at: Option<Timestamp>,
    /// When it need not be delivered any more.
    #[serde(default, deserialize_with = "instant")]
    pub expires_at: Option<Timestamp>,
    /// How urgent it is.
    #[serde(default = "default_priority")]
    pub priority: u8,
    /// The conversation that it belongs to.
    #[serde(default)]
    pub thread: Option<String>,
    /// What it answers.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// The recipient's address.
    #[serde(default)]
    pub to: Option<String>,
}

/// `agent.comms.broadcast`: words to many at once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Broadcast {
    /// What it says.
    pub content: Words,
    /// When it was made.
    #[serde(default, deserialize_with = "instant")]
    pub created_at: Option<Timestamp>,
    /// When it need not be delivered any more.
    #[serde(default, deserialize_with = "instant")]
    pub expires_at: Option<Timestamp>,
    /// How urgent it is.
    #[serde(default = "default_priority")]
    pub priority: u8,
    /// The conversation that it belongs to.
    #[serde(default)]
    pub thread: Option<String>,
    /// What it answers.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// What it is about.
    #[serde(default)]
    pub topic: Option<String>,
    /// Whom it is meant for.
    #[serde(default)]
    pub audience: Vec<String>,
}

/// `agent.comms.request`: a task that one agent gives to another.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// What is to be done.
    pub content: Words,
    /// When it was made.
    #[serde(default, deserialize_with = "instant")]
    pub created_at: Option<Timestamp>,
    /// When it need not be delivered any more.
    #[serde(default, deserialize_with = "instant")]
    pub expires_at: Option<Timestamp>,
    /// How urgent it is.
    #[serde(default = "default_priority")]
    pub priority: u8,
    /// The conversation that it belongs to.
    #[serde(default)]
    pub thread: Option<String>,
    /// What it answers.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// The address of the agent that is asked.
    #[serde(default)]
    pub to: Option<String>,
    /// Which of its skills is asked for.
    #[serde(default)]
    pub skill: Option<String>,
    /// When the result is of no use any more.
    #[serde(default, deserialize_with = "instant")]
    pub deadline: Option<Timestamp>,
    /// The task that this one is a part of.
    #[serde(default)]
    pub parent: Option<String>,
    /// Records that the task needs.
    #[serde(default)]
    pub inputs: Vec<StrongRef>,
    /// What to do when it fails.
    #[serde(default)]
    pub retry: Option<Retry>,
    /// Who may read the result.
    #[serde(default)]
    pub result_visibility: Visibility,
}

/// `agent.comms.request#retry`: how often, and how soon, a failed task is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Attempts in all.
    pub max_attempts: u8,
    /// Seconds before the first repetition; each one after waits twice as long.
    #[serde(default = "default_retry_seconds")]
    pub delay_seconds: u32,
}

/// Who may read a task's result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// The requester.
    #[default]
    Private,
    /// The requester, and those who work on sub-tasks of it.
    Shared,
    /// Everyone.
    Public,
}

/// `agent.comms.response`: how a task stands, or what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// The result, a question, or a word on the progress.
    #[serde(default)]
    pub content: Option<Words>,
    /// When it was made.
    #[serde(default, deserialize_with = "instant")]
    pub created_at: Option<Timestamp>,
    /// When it need not be delivered any more.
    #[serde(default, deserialize_with = "instant")]
    pub expires_at: Option<Timestamp>,
    /// How urgent it is.
    #[serde(default = "default_priority")]
    pub priority: u8,
    /// The conversation that it belongs to.
    #[serde(default)]
    pub thread: Option<String>,
    /// What it answers.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// The task.
    pub request: String,
    /// How the task stands; never `submitted`.
    pub status: TaskState,
    /// How much is done, in percent.
    #[serde(default)]
    pub progress: Option<u8>,
    /// What it brought forth.
    #[serde(default)]
    pub artifacts: Vec<Artifact>,
    /// Why it failed or was turned down.
    #[serde(default)]
    pub error: Option<TaskError>,
}

/// `agent.comms.response#error`: why a task failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskError {
    /// A stable code.
    pub code: String,
    /// The reason in words.
    pub message: String,
}

/// `agent.comms.defs#artifact`: something a task brought forth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// The hash of its content.
    pub cid: String,
    /// Where it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// A name to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
}

/// `agent.comms.handoff`: one agent's work, given over to another together with the records it needs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handoff {
    /// What the recipient has to know.
    pub content: Words,
    /// When it was made.
    #[serde(default, deserialize_with = "instant")]
    pub created_at: Option<Timestamp>,
    /// When it need not be delivered any more.
    #[serde(default, deserialize_with = "instant")]
    pub expires_at: Option<Timestamp>,
    /// How urgent it is.
    #[serde(default = "default_priority")]
    pub priority: u8,
    /// The conversation that it belongs to.
    #[serde(default)]
    pub thread: Option<String>,
    /// What it answers.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// The address of the agent that takes over.
    #[serde(default)]
    pub to: Option<String>,
    /// The task that is given over.
    #[serde(default)]
    pub request: Option<String>,
    /// The records that the recipient may read from now on.
    #[serde(default)]
    pub records: Vec<StrongRef>,
    /// Why it is given over.
    #[serde(default)]
    pub reason: Option<String>,
}

/// How a task stands. The names are those of `agent.comms.response`, and `submitted` before the
/// first response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// It was asked for; the worker has not said anything yet.
    Submitted,
    /// The worker will do it.
    Accepted,
    /// The worker is at it.
    Working,
    /// The worker waits for an answer of the requester's.
    InputRequired,
    /// It is done.
    Completed,
    /// It could not be done.
    Failed,
    /// The worker would not do it.
    Rejected,
    /// The requester wanted it no more.
    Canceled,
}

impl TaskState {
    /// Every state, in the order of a task's life.
    pub const ALL: [Self; 8] = [
        Self::Submitted,
        Self::Accepted,
        Self::Working,
        Self::InputRequired,
        Self::Completed,
        Self::Failed,
        Self::Rejected,
        Self::Canceled,
    ];

    /// Tells whether nothing follows, save that a failed task may be tried again.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Failed | Self::Rejected | Self::Canceled
        )
    }

    /// Returns the name used in JSON and in storage.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submitted => "submitted",
            Self::Accepted => "accepted",
            Self::Working => "working",
            Self::InputRequired => "input-required",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Canceled => "canceled",
        }
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

const fn default_priority() -> u8 {
    DEFAULT_PRIORITY
}

const fn default_retry_seconds() -> u32 {
    DEFAULT_RETRY_SECONDS
}

/// Reads a record that has passed the validator.
///
/// # Errors
/// If it is of another type.
pub fn read<'de, T: Deserialize<'de>>(record: &'de Value) -> Result<T, serde_json::Error> {
    T::deserialize(record)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::lexicons;

    #[test]
    fn every_state_but_the_first_is_a_status_of_a_response_and_none_besides() {
        let text = lexicons().document("agent.comms.response").unwrap();
        let document: Value = serde_json::from_str(text).unwrap();
        let rule = document.pointer("/defs/main/record/properties/status/enum");
        let names = TaskState::ALL.map(TaskState::as_str);
        assert_eq!(rule, Some(&json!(names[1..])));
        for state in TaskState::ALL {
            assert_eq!(TaskState::parse(state.as_str()), Some(state));
            assert_eq!(json!(state), json!(state.as_str()));
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_documents() {
        let rule = |id: &str, pointer: &str| {
            let document: Value = serde_json::from_str(lexicons().document(id).unwrap()).unwrap();
            document.pointer(pointer).cloned()
        };
        let request = json!({"content": {"$type": "agent.comms.defs#text", "text": "x"},
            "retry": {"maxAttempts": 2}});
        let request: Request = read(&request).unwrap();
        let main = "/defs/main/record/properties";
        let id = "agent.comms.request";
        assert_eq!(
            rule(id, &format!("{main}/priority/default")),
            Some(json!(request.priority))
        );
        assert_eq!(
            rule(id, &format!("{main}/resultVisibility/default")),
            Some(json!(request.result_visibility))
        );
        assert_eq!(
            rule(id, "/defs/retry/properties/delaySeconds/default"),
            request.retry.map(|retry| json!(retry.delay_seconds))
        );
    }

    #[test]
    fn what_the_validator_takes_is_read() {
        for (name, text) in [
            ("request", include_str!("../../valid/request.json")),
            ("handoff", include_str!("../../valid/handoff.json")),
            (
                "response",
                include_str!("../../valid/response-completed.json"),
            ),
            ("response", include_str!("../../valid/response-failed.json")),
            ("broadcast", include_str!("../../valid/broadcast.json")),
            ("message", include_str!("../../valid/message-json.json")),
            ("message", include_str!("../../valid/message-ref.json")),
        ] {
            let record: Value = serde_json::from_str(text).unwrap();
            let record = record.get("record").cloned().unwrap_or(record);
            assert!(lexicons().validate(&record).is_ok(), "{name}");
            let outcome = match name {
                "request" => read::<Request>(&record).map(drop),
                "handoff" => read::<Handoff>(&record).map(drop),
                "response" => read::<Response>(&record).map(drop),
                "broadcast" => read::<Broadcast>(&record).map(drop),
                _ => read::<Message>(&record).map(drop),
            };
            assert!(outcome.is_ok(), "{name}: {outcome:?}");
        }
    }
}
