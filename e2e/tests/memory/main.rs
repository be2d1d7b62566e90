//! An agent's memory: what is stored is sealed, found again, and gone when it is deleted.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests"
)]

mod forget;
mod import;
mod import_refusals;
mod life;
mod records;
mod refusals;
mod rotation;
mod search;
mod sharing;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use entente_e2e::{Agent, Deployment, Options, Reply};
use serde_json::{Value, json};

/// Some of these tests kill networks, so they take turns.
fn deployment() -> (MutexGuard<'static, ()>, &'static Deployment) {
    static TURN: Mutex<()> = Mutex::new(());
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = SHARED.get_or_init(|| Options::default().networks(2).start());
    (turn, shared)
}

fn note(text: &str) -> Value {
    json!({ "record": { "$type": "agent.memory.note", "text": text } })
}

fn store(agent: &Agent, body: &Value) -> Value {
    agent.client.post(&agent.path("/memory"), body).expect(201)
}

fn path(agent: &Agent, record: &Value, rest: &str) -> String {
    let id = record["id"].as_str().unwrap_or_default();
    agent.path(&format!("/memory/{id}{rest}"))
}

fn get(agent: &Agent, record: &Value) -> Reply {
    agent.client.get(&path(agent, record, ""))
}

/// Lists everything, in pages of `limit`.
fn list(agent: &Agent, query: &str, limit: usize) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = agent.path(&format!("/memory?limit={limit}{query}{cursor}"));
        let page = agent.client.get(&path).expect(200);
        all.extend(page["records"].as_array().cloned().unwrap_or_default());
        let Some(next) = page["cursor"].as_str() else {
            return all;
        };
        cursor = format!("&cursor={next}");
    }
}

fn remember(agent: &Agent, kind: &str, text: &str, more: Value) -> Value {
    let mut record = json!({ "$type": format!("agent.memory.{kind}"), "text": text });
    if let (Some(record), Value::Object(more)) = (record.as_object_mut(), more) {
        record.extend(more);
    }
    store(agent, &json!({ "record": record }))
}

fn find(agent: &Agent, query: &str) -> Vec<String> {
    let path = agent.path(&format!("/memory/search?{query}"));
    let found = agent.client.get(&path).expect(200);
    texts(found["hits"].as_array().expect("hits"))
}

fn put(agent: &Agent, path: &str, body: &Value) -> Reply {
    let headers = [("content-type", "application/json")];
    agent
        .client
        .send("PUT", path, &headers, body.to_string().as_bytes())
}

fn texts(records: &[Value]) -> Vec<String> {
    let text = |record: &Value| {
        record["record"]["text"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    records.iter().map(text).collect()
}
