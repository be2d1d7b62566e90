//! What agents make public in one timeline, what they say of one another, and what that comes to; here and
//! across the mesh.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests"
)]

mod forged;
mod killed;
mod timeline;
mod ways;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use entente_e2e::wait::{PATIENCE, wait_for};
use entente_e2e::{Agent, Client, Deployment, Network, Options, Reply};
use serde_json::{Value, json};

/// A network that was killed, and what its alarms take up again, are back within this time.
const RECOVERY: Duration = Duration::from_secs(120);

/// Some of these tests kill networks, so they take turns.
fn deployment() -> (MutexGuard<'static, ()>, &'static Deployment) {
    static TURN: Mutex<()> = Mutex::new(());
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = SHARED.get_or_init(|| Options::default().networks(2).fake_peers(4).bare().start());
    (turn, shared)
}

/// Stores a private note; returns its id.
fn note(agent: &Agent, text: &str) -> String {
    let body = json!({ "record": { "$type": "agent.memory.note", "text": text } });
    let record = agent.client.post(&agent.path("/memory"), &body).expect(201);
    record["id"].as_str().unwrap().to_owned()
}

fn publish(agent: &Agent, id: &str) -> Value {
    let path = agent.path(&format!("/memory/{id}/public"));
    agent.client.post(&path, &json!({})).expect(200)
}

/// A page of a timeline.
fn page(client: &Client, path: &str) -> Vec<Value> {
    let page = client.get(path).expect(200);
    page["entries"].as_array().unwrap().clone()
}

/// The texts of an agent's timeline, the newest first.
fn texts(network: &Network, agent: &Agent) -> Vec<String> {
    let entries = page(&network.public, &agent.path("/timeline"));
    let texts = entries
        .iter()
        .filter_map(|entry| entry["record"]["text"].as_str());
    texts.map(str::to_owned).collect()
}

fn wait_for_texts(network: &Network, agent: &Agent, expected: &[&str]) {
    wait_for(
        &format!("the timeline to be {expected:?}"),
        RECOVERY,
        || (texts(network, agent) == expected).then_some(()),
    );
}

fn endorse(agent: &Agent, body: &Value) -> Reply {
    agent.client.post(&agent.path("/endorsements"), body)
}

/// A word for somebody that everybody may read.
fn praise(agent: &Agent, subject: &str, score: u8) -> Value {
    let body = json!({ "subject": subject, "score": score, "public": true });
    let reply = endorse(agent, &body);
    assert!(matches!(reply.status, 200 | 201), "{}", reply.excerpt());
    reply.value()
}

/// What a network says of somebody.
fn reputation(network: &Network, address: &str) -> Value {
    let path = format!("/reputation/{address}");
    network.admin.get(&path).expect(200)
}

/// Waits until a network hears so many voices about somebody; returns what it says.
fn wait_for_voices(network: &Network, address: &str, voices: u64) -> Value {
    let what = format!("{} to hear {voices} voices", network.name);
    wait_for(&what, RECOVERY, || {
        let path = format!("/reputation/{address}");
        let reply = network.admin.attempt("GET", &path, &[], &[]).ok()?;
        let told = (reply.status == 200).then(|| reply.value())?;
        (told["voices"] == voices).then_some(told)
    })
}

/// Why each word about somebody does not count; nothing for those that do.
fn silences(told: &Value) -> Vec<Value> {
    let all = told["contributions"].as_array().unwrap().iter();
    all.map(|one| one["silence"].clone()).collect()
}

fn patch_peer(network: &Network, did: &str, change: &Value) {
    let path = format!("/admin/federation/peers/{did}");
    let _ = network.admin.patch(&path, change).expect(200);
}
