//! Tasks as A2A shows them, and the events of their streams.

use entente_lexicon::api::tasks::{TaskEntry, TaskView};
use entente_lexicon::records::comms::{Artifact, TaskError, TaskState};
use serde_json::{Value, json};

use crate::message::{self, NOTES};
use crate::rpc::RpcError;

/// Returns A2A's name of a state. What was accepted and not begun is submitted there.
#[must_use]
pub const fn state(state: TaskState) -> &'static str {
    match state {
        TaskState::Submitted | TaskState::Accepted => "TASK_STATE_SUBMITTED",
        TaskState::Working => "TASK_STATE_WORKING",
        TaskState::InputRequired => "TASK_STATE_INPUT_REQUIRED",
        TaskState::Completed => "TASK_STATE_COMPLETED",
        TaskState::Failed => "TASK_STATE_FAILED",
        TaskState::Rejected => "TASK_STATE_REJECTED",
        TaskState::Canceled => "TASK_STATE_CANCELED",
    }
}

/// Reads A2A's name of a state: the states that it stands for.
fn states(name: &str) -> Vec<TaskState> {
    let all = TaskState::ALL.into_iter();
    all.filter(|known| state(*known) == name).collect()
}

/// Reads the filter of a list: the states that are wished, or all of them.
///
/// # Errors
/// If it is no name of a state.
pub fn filter(name: &str) -> Result<Option<Vec<TaskState>>, RpcError> {
    match name {
        "" | "TASK_STATE_UNSPECIFIED" => Ok(None),
        // No task is ever in the state that only other agents know.
        "TASK_STATE_AUTH_REQUIRED" => Ok(Some(Vec::new())),
        _ => match states(name) {
            none if none.is_empty() => Err(RpcError::params("`status` is A2A's name of a state.")),
            some => Ok(Some(some)),
        },
    }
}

/// Tells whether who waits is answered: the task has ended, or waits for an answer.
#[must_use]
pub const fn rests(state: TaskState) -> bool {
    state.is_final() || matches!(state, TaskState::InputRequired)
}

/// Returns the conversation that a task belongs to; its own where it names none.
#[must_use]
pub fn context(view: &TaskView) -> &str {
    view.context_id.as_deref().unwrap_or(&view.id)
}

/// Writes a task: with so much of its history, the latest, all of it unless said; and with what it
/// brought forth, where that is wished.
#[must_use]
pub fn task(view: &TaskView, history: Option<u32>, with_artifacts: bool) -> Value {
    let entries = view.history.as_deref().unwrap_or_default();
    let mut task = json!({
        "id": view.id,
        "contextId": context(view),
        "status": status(view),
    });
    let Some(fields) = task.as_object_mut() else {
        return task;
    };
    if with_artifacts {
        let artifacts: Vec<Value> = entries
            .iter()
            .flat_map(|entry| artifacts_of(view, entry))
            .collect();
        if !artifacts.is_empty() {
            fields.insert("artifacts".to_owned(), Value::Array(artifacts));
        }
    }
    let said: Vec<Value> = entries
        .iter()
        .filter_map(|entry| said(view, entry))
        .collect();
    let most = history.map_or(said.len(), |most| {
        usize::try_from(most).unwrap_or(usize::MAX)
    });
    let skipped = said.len().saturating_sub(most);
    let said: Vec<Value> = said.into_iter().skip(skipped).collect();
    if !said.is_empty() {
        fields.insert("history".to_owned(), Value::Array(said));
    }
    if let Some(progress) = view.status.progress {
        fields.insert("metadata".to_owned(), json!({ "progress": progress }));
    }
    task
}

/// How a task stands.
fn status(view: &TaskView) -> Value {
    let entries = view.history.as_deref().unwrap_or_default();
    let last = entries
        .iter()
        .rev()
        .find(|entry| !entry.late && by_worker(view, entry));
    let message = last.and_then(|entry| status_message(view, entry));
    written_status(
        view.status.state,
        &view.status.timestamp.to_string(),
        message,
    )
}

fn written_status(now: TaskState, at: &str, message: Option<Value>) -> Value {
    let mut status = json!({ "state": state(now), "timestamp": at });
    if let (Some(message), Some(fields)) = (message, status.as_object_mut()) {
        fields.insert("message".to_owned(), message);
    }
    status
}

/// Whether the worker said it.
fn by_worker(view: &TaskView, entry: &TaskEntry) -> bool {
    (entry.direction == "out") == (view.role == "worker")
}

/// What the worker says along with how the task stands. What it says when it is done is a result.
fn status_message(view: &TaskView, entry: &TaskEntry) -> Option<Value> {
    let stands = stands(entry)?;
    let content = entry.record.get("content");
    let content = content.filter(|_| stands != TaskState::Completed);
    let mut parts = content.map(|content| json!(message::parts(content)));
    if parts.is_none() {
        let error = entry.record.get("error")?;
        let error: TaskError = serde_json::from_value(error.clone()).ok()?;
        parts = Some(json!([{ "text": format!("{}: {}", error.code, error.message) }]));
    }
    Some(written(view, entry, parts?))
}

fn stands(entry: &TaskEntry) -> Option<TaskState> {
    TaskState::parse(entry.record.get("status")?.as_str()?)
}

/// An entry of the history as a message; nothing where it says nothing in words.
fn said(view: &TaskView, entry: &TaskEntry) -> Option<Value> {
    if by_worker(view, entry) {
        return status_message(view, entry);
    }
    let parts = message::parts(entry.record.get("content")?);
    Some(written(view, entry, json!(parts)))
}

fn written(view: &TaskView, entry: &TaskEntry, parts: Value) -> Value {
    let role = if by_worker(view, entry) {
        ("agent", "ROLE_AGENT")
    } else {
        ("user", "ROLE_USER")
    };
    let noted = entry.record.get(NOTES);
    let noted = noted.and_then(|notes| notes.get("messageId")?.as_str());
    let id = noted.map_or_else(
        || format!("{}-{}-{}", view.id, role.0, entry.n),
        str::to_owned,
    );
    json!({
        "messageId": id,
        "contextId": context(view),
        "taskId": view.id,
        "role": role.1,
        "parts": parts,
    })
}

/// What an entry of the worker's brought forth: what it says when it is done, the artifacts that it
/// names by CID, and those that it gives as A2A has them.
fn artifacts_of(view: &TaskView, entry: &TaskEntry) -> Vec<Value> {
    let Some(stands) = stands(entry).filter(|_| by_worker(view, entry) && !entry.late) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if let Some(content) = entry.record.get("content")
        && stands == TaskState::Completed
    {
        found.push(json!({
            "artifactId": format!("{}-result-{}", view.id, entry.n),
            "name": "result",
            "parts": message::parts(content),
        }));
    }
    let named = entry.record.get("artifacts").cloned().unwrap_or_default();
    let named: Vec<Artifact> = serde_json::from_value(named).unwrap_or_default();
    found.extend(named.iter().map(artifact));
    let given = entry
        .record
        .get(NOTES)
        .and_then(|notes| notes.get("artifacts"));
    let given = given.and_then(Value::as_array).into_iter().flatten();
    found.extend(given.filter(|given| is_artifact(given)).cloned());
    found
}

/// Tells whether a value has the shape of an artifact.
#[must_use]
pub fn is_artifact(value: &Value) -> bool {
    let id = value.get("artifactId").and_then(Value::as_str);
    let parts = value.get("parts").and_then(Value::as_array);
    id.is_some_and(|id| !id.is_empty()) && parts.is_some_and(|parts| !parts.is_empty())
}

/// An artifact that is named by CID.
fn artifact(artifact: &Artifact) -> Value {
    let url = artifact.uri.clone();
    let url = url.unwrap_or_else(|| format!("ipfs://{}", artifact.cid));
    let mut part = json!({ "url": url });
    if let (Some(kind), Some(fields)) = (&artifact.media_type, part.as_object_mut()) {
        fields.insert("mediaType".to_owned(), Value::String(kind.clone()));
    }
    let mut written = json!({
        "artifactId": artifact.cid,
        "parts": [part],
        "metadata": { "cid": artifact.cid },
    });
    if let (Some(name), Some(fields)) = (&artifact.name, written.as_object_mut()) {
        fields.insert("name".to_owned(), Value::String(name.clone()));
    }
    written
}

/// What a stream, or a notification, tells of one entry of the history: what it brought forth, then
/// how the task stands. Nothing of what the client said, and of what came too late.
#[must_use]
pub fn events(view: &TaskView, entry: &TaskEntry) -> Vec<Value> {
    let Some(stands) = stands(entry).filter(|_| by_worker(view, entry) && !entry.late) else {
        return Vec::new();
    };
    let mut events: Vec<Value> = artifacts_of(view, entry)
        .into_iter()
        .map(|artifact| {
            json!({ "artifactUpdate": {
                "taskId": view.id,
                "contextId": context(view),
                "artifact": artifact,
                "lastChunk": true,
            } })
        })
        .collect();
    let status = written_status(stands, &entry.at.to_string(), status_message(view, entry));
    let mut update = json!({
        "taskId": view.id,
        "contextId": context(view),
        "status": status,
    });
    if let (Some(progress), Some(fields)) = (entry.record.get("progress"), update.as_object_mut()) {
        fields.insert("metadata".to_owned(), json!({ "progress": progress }));
    }
    events.push(json!({ "statusUpdate": update }));
    events
}
