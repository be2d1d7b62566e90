//! Tasks between agents: how they go, what is refused, and that nothing is lost when networks die.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

mod crossing;
mod handoff;
mod kept;
mod killed;
mod listing;
mod refusals;
mod ways;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use entente_e2e::wait::wait_for;
use entente_e2e::{Agent, Deployment, Options, Reply};
use serde_json::{Value, json};

/// A link that failed while its peer was down dials again within this time.
const PATIENCE: Duration = Duration::from_secs(120);

/// Some of these tests kill networks, so they take turns.
fn deployment() -> (MutexGuard<'static, ()>, &'static Deployment) {
    static TURN: Mutex<()> = Mutex::new(());
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = SHARED.get_or_init(|| Options::default().networks(2).start());
    (turn, shared)
}

fn words(text: &str) -> Value {
    json!({ "$type": "agent.comms.defs#text", "text": text })
}

/// A request, with more fields.
fn request(to: &str, text: &str, more: Value) -> Value {
    let mut record = json!({ "$type": "agent.comms.task", "to": to, "content": words(text) });
    let fields = record.as_object_mut().unwrap();
    fields.extend(more.as_object().cloned().unwrap_or_default());
    json!({ "record": record })
}

fn ask(agent: &Agent, body: &Value) -> Value {
    agent.client.post(&agent.path("/tasks"), body).expect(201)
}

fn step(agent: &Agent, task: &Value, act: &str, body: &Value) -> Reply {
    let id = task["id"].as_str().unwrap_or_default();
    agent
        .client
        .post(&agent.path(&format!("/tasks/{id}/{act}")), body)
}

fn respond(agent: &Agent, task: &Value, status: &str) -> Value {
    step(agent, task, "respond", &json!({ "status": status })).expect(200)
}

fn show(agent: &Agent, task: &Value) -> Reply {
    let id = task["id"].as_str().unwrap_or_default();
    agent.client.get(&agent.path(&format!("/tasks/{id}")))
}

/// Waits until a task stands so for an agent.
fn stands(agent: &Agent, task: &Value, state: &str) -> Value {
    let id = task["id"].as_str().unwrap_or_default();
    let path = agent.path(&format!("/tasks/{id}"));
    let mut last = String::new();
    wait_for(
        &format!("{} to see {id} {state}", agent.name),
        PATIENCE,
        || {
            let reply = agent.client.attempt("GET", &path, &[], &[]).ok()?;
            let seen = reply.excerpt();
            if seen != last {
                println!("{}: {seen}", agent.name);
                last = seen;
            }
            let found = (reply.status == 200).then(|| reply.value())?;
            (found["status"]["state"] == state).then_some(found)
        },
    )
}

/// What was said about a task, in order: direction and status, or what else it was.
fn said(task: &Value) -> Vec<String> {
    let entries = task["history"].as_array().unwrap();
    let entry = |entry: &Value| {
        let record = &entry["record"];
        let kind = record["$type"].as_str().unwrap_or_default();
        let what = record["status"]
            .as_str()
            .unwrap_or_else(|| kind.rsplit('.').next().unwrap_or_default());
        format!("{} {what}", entry["direction"].as_str().unwrap_or_default())
    };
    entries.iter().map(entry).collect()
}
