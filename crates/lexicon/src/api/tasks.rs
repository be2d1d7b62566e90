//! The JSON shapes of tasks and handoffs. Names follow A2A where A2A has one.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Timestamp;
use crate::records::comms::{Artifact, TaskError, TaskState};

/// `POST /agents/:name/tasks` and `POST /agents/:name/handoffs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewComms {
    /// The record, with `to`: `agent.comms.request` (or `agent.comms.task`), or
    /// `agent.comms.handoff`.
    pub record: Value,
    /// Sent again with the same key, it is done once.
    #[serde(default)]
    pub idempotency_key: Option<String>,
}

/// `POST /agents/:name/tasks/:id/respond`, `…/input` and `…/cancel`: the fields of the record that is
/// sent; its `$type`, and the task that it names, are filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskStep {
    /// Sent again with the same key, it is done once.
    #[serde(default)]
    pub idempotency_key: Option<String>,
    /// Everything else: `status`, `content`, `progress`, `artifacts`, `error`.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// How a task stands, and what was said last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatus {
    /// How it stands.
    pub state: TaskState,
    /// When it came to stand so.
    pub timestamp: Timestamp,
    /// What was said last; left out where bodies are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<TaskMessage>,
    /// How much is done, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<u8>,
    /// Why it failed or was turned down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// Whether the requester concludes this without the worker's word.
    #[serde(default, skip_serializing_if = "is_false")]
    pub presumed: bool,
}

/// What one of the two said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskMessage {
    /// `user` for the requester, `agent` for the worker.
    pub role: String,
    /// What was said: one of the objects of `agent.comms.defs`.
    pub content: Value,
}

/// One record of a task's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskEntry {
    /// `out` for what this agent said.
    pub direction: String,
    /// When it was said here, or came.
    pub at: Timestamp,
    /// Which attempt it speaks of.
    pub attempt: u32,
    /// Its number among what its side said.
    pub n: u32,
    /// Whether it came too late, or again, to change anything.
    #[serde(default, skip_serializing_if = "is_false")]
    pub late: bool,
    /// Why mail could not deliver it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undelivered: Option<String>,
    /// The record.
    pub record: Value,
}

/// A task as one of its two agents sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskView {
    /// Its id, the same for both agents.
    pub id: String,
    /// The conversation it belongs to: its request's `thread`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_id: Option<String>,
    /// `requester` or `worker`: which of the two this agent is.
    pub role: String,
    /// The other agent's address; `a2a:` and a name where it is none of a network.
    pub peer: String,
    /// How it stands.
    pub status: TaskStatus,
    /// Which attempt this is; 1 is the first.
    pub attempt: u32,
    /// Whether the requester asked to cancel it and waits for the worker's word.
    #[serde(default, skip_serializing_if = "is_false")]
    pub canceling: bool,
    /// When it is asked for again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// When the result is of no use any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// The task of this agent that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// When it was asked for, or came.
    pub created_at: Timestamp,
    /// When something was said last.
    pub updated_at: Timestamp,
    /// The request; left out where bodies are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Value>,
    /// What it brought forth. In the view of one task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<Vec<Artifact>>,
    /// Everything that was said, oldest first. In the view of one task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<TaskEntry>>,
}

/// `GET /agents/:name/tasks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskList {
    /// Newest first.
    pub tasks: Vec<TaskView>,
    /// Where the next page begins; none after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A task, and whose view of it this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentTask {
    /// The agent's name.
    pub agent: String,
    /// The task as it sees it.
    #[serde(flatten)]
    pub task: TaskView,
}

/// `GET /admin/tasks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminTaskList {
    /// By agent, each one's newest first.
    pub tasks: Vec<AgentTask>,
    /// Where the next page begins; none after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// `POST /agents/:name/handoffs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedOff {
    /// The message that carries the handoff.
    pub id: String,
    /// How far it came.
    pub status: String,
    /// The records that the recipient may read now: their at-uris.
    pub records: Vec<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
