//! Calling agents elsewhere: what is asked of them, and what they answer.

use entente_lexicon::records::comms::TaskState;
use serde_json::{Map, Value, json};

use crate::message::{self, NOTES};
use crate::params::{Message, Part, Role};
use crate::task;

/// The longest identifier that another agent may give a task or a conversation, in bytes.
const MAX_NAME: usize = 512;
/// Artifacts of one task that are kept.
const MAX_ARTIFACTS: usize = 100;

/// Why an answer is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is no JSON-RPC answer to the call, or has neither a task nor a message.
    #[error("it did not answer as A2A 1.0 has it")]
    Malformed,
    /// The agent refuses the call.
    #[error("it answered with error {code}: {message}")]
    Refused {
        /// JSON-RPC's or A2A's number.
        code: i64,
        /// What it says.
        message: String,
    },
}

/// A task as another agent tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteTask {
    /// Its id there; none if it answered with a message alone.
    pub id: Option<String>,
    /// The conversation there.
    pub context: Option<String>,
    /// How it stands.
    pub state: TaskState,
    /// What was said last, or brought forth: one of the objects of `agent.comms.defs`.
    pub content: Option<Value>,
    /// What it brought forth, as A2A has it.
    pub artifacts: Vec<Value>,
}

/// Writes the call `SendMessage`, which is answered at once.
#[must_use]
pub fn send(id: &str, tenant: &str, message: &Message) -> Value {
    let params = json!({
        "message": message,
        "configuration": { "returnImmediately": true },
    });
    call(id, "SendMessage", tenant, params)
}

/// Writes the message that tells another agent what a record says.
#[must_use]
pub fn message(id: &str, record: &Value, place: (Option<&str>, Option<&str>)) -> Message {
    let (task, context) = place;
    let content = record.get("content").cloned().unwrap_or_default();
    Message {
        message_id: id.to_owned(),
        task_id: task.unwrap_or_default().to_owned(),
        context_id: context.unwrap_or_default().to_owned(),
        role: Role::User,
        parts: message::parts(&content),
        ..Message::default()
    }
}

/// Writes the call `GetTask`.
#[must_use]
pub fn get(id: &str, tenant: &str, task: &str) -> Value {
    call(
        id,
        "GetTask",
        tenant,
        json!({ "id": task, "historyLength": 0 }),
    )
}

/// Writes the call `CancelTask`.
#[must_use]
pub fn cancel(id: &str, tenant: &str, task: &str) -> Value {
    call(id, "CancelTask", tenant, json!({ "id": task }))
}

fn call(id: &str, method: &str, tenant: &str, mut params: Value) -> Value {
    if let (false, Some(fields)) = (tenant.is_empty(), params.as_object_mut()) {
        fields.insert("tenant".to_owned(), Value::String(tenant.to_owned()));
    }
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// Reads the answer to one of these calls.
///
/// # Errors
/// [`AnswerError`].
pub fn read(bytes: &[u8], id: &str) -> Result<RemoteTask, AnswerError> {
    let answer: Value = serde_json::from_slice(bytes).map_err(|_error| AnswerError::Malformed)?;
    if answer.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(AnswerError::Malformed);
    }
    if let Some(error) = answer.get("error") {
        let message = error.get("message").and_then(Value::as_str);
        return Err(AnswerError::Refused {
            code: error
                .get("code")
                .and_then(Value::as_i64)
                .unwrap_or_default(),
            message: message.unwrap_or_default().chars().take(500).collect(),
        });
    }
    if answer.get("id").and_then(Value::as_str) != Some(id) {
        return Err(AnswerError::Malformed);
    }
    let result = answer.get("result").ok_or(AnswerError::Malformed)?;
    if let Some(message) = result.get("message") {
        return spoken(message);
    }
    told(result.get("task").unwrap_or(result)).ok_or(AnswerError::Malformed)
}

/// An agent that answers with a message has done what it was asked.
fn spoken(message: &Value) -> Result<RemoteTask, AnswerError> {
    let message: Message =
        serde_json::from_value(message.clone()).map_err(|_error| AnswerError::Malformed)?;
    Ok(RemoteTask {
        id: None,
        context: named(&message.context_id),
        state: TaskState::Completed,
        content: message::words(&message.parts),
        artifacts: Vec::new(),
    })
}

fn named(text: &str) -> Option<String> {
    (!text.is_empty() && text.len() <= MAX_NAME).then(|| text.to_owned())
}

fn told(value: &Value) -> Option<RemoteTask> {
    let id = named(value.get("id")?.as_str()?)?;
    let status = value.get("status")?;
    let state = state(status.get("state")?.as_str()?)?;
    let artifacts = value.get("artifacts").and_then(Value::as_array);
    let artifacts = artifacts.into_iter().flatten().take(MAX_ARTIFACTS);
    let artifacts: Vec<Value> = artifacts
        .filter(|one| task::is_artifact(one))
        .cloned()
        .collect();
    let said = status.get("message").cloned();
    let said = said.and_then(|said| serde_json::from_value::<Message>(said).ok());
    let mut content = said.and_then(|said| message::words(&said.parts));
    if content.is_none() && state == TaskState::Completed {
        let parts: Vec<Part> = artifacts.iter().flat_map(parts_of).collect();
        content = message::words(&parts);
    }
    let context = value.get("contextId").and_then(Value::as_str);
    Some(RemoteTask {
        id: Some(id),
        context: context.and_then(named),
        state,
        content,
        artifacts,
    })
}

fn parts_of(artifact: &Value) -> Vec<Part> {
    let parts = artifact.get("parts").cloned().unwrap_or_default();
    serde_json::from_value(parts).unwrap_or_default()
}

/// Reads A2A's name of a state. One that asks for credentials waits for its requester as any other
/// question does.
fn state(name: &str) -> Option<TaskState> {
    match name {
        "TASK_STATE_SUBMITTED" => Some(TaskState::Submitted),
        "TASK_STATE_WORKING" => Some(TaskState::Working),
        "TASK_STATE_INPUT_REQUIRED" | "TASK_STATE_AUTH_REQUIRED" => Some(TaskState::InputRequired),
        "TASK_STATE_COMPLETED" => Some(TaskState::Completed),
        "TASK_STATE_FAILED" => Some(TaskState::Failed),
        "TASK_STATE_REJECTED" => Some(TaskState::Rejected),
        "TASK_STATE_CANCELED" => Some(TaskState::Canceled),
        _ => None,
    }
}

impl RemoteTask {
    /// Writes what is told as fields of `agent.comms.response`.
    #[must_use]
    pub fn record(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("status".to_owned(), json!(self.state));
        if let Some(content) = &self.content {
            fields.insert("content".to_owned(), content.clone());
        }
        if !self.artifacts.is_empty() {
            fields.insert(NOTES.to_owned(), json!({ "artifacts": self.artifacts }));
        }
        fields
    }
}
