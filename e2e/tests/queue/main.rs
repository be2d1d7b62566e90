//! Mail inside a network that goes by the queue: in order, once, and never lost.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests report by panicking"
)]

mod dead;
mod killed;
mod ways;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use entente_e2e::wait::{PATIENCE, wait_for};
use entente_e2e::{Agent, Deployment, Network, Options, Reply};
use serde_json::{Value, json};

/// Attempts until something is a dead letter.
const ATTEMPTS: u64 = 3;
/// A recipient that does not answer costs ten seconds each time.
const LONG: Duration = Duration::from_secs(120);

/// Some of these tests kill the network, so they take turns.
fn deployment() -> (MutexGuard<'static, ()>, &'static Deployment) {
    static TURN: Mutex<()> = Mutex::new(());
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = SHARED.get_or_init(|| {
        let options = Options::default().networks(1).bare();
        let options = options.var("DELIVERY_ATTEMPTS", &ATTEMPTS.to_string());
        options.var("PANIC_ROUTE", "1").start()
    });
    (turn, shared)
}

/// Has an agent's object fail (`failing`), or not answer (`deaf`), when it is given mail; or be `well`.
fn drill(network: &Network, how: &str, agent: &Agent) {
    let wish = format!("{how} agent {}", agent.name);
    let headers = [("x-entente-panic", wish.as_str())];
    let reply = network.admin.send("GET", "/agents", &headers, b"");
    assert_eq!(reply.expect(200)["is"], how);
}

fn said(text: &str) -> Value {
    json!({ "kind": "text", "text": text })
}

/// Sends without waiting for more than that it is kept.
fn send_async(from: &Agent, to: &Agent, text: &str) -> String {
    from.send_body(&json!({ "to": to.address, "content": said(text), "async": true }))
}

/// What an agent's inbox says, in the order it came.
fn texts(agent: &Agent, limit: usize) -> Vec<String> {
    let inbox = agent.inbox(limit);
    let text = |message: &Value| message["content"]["text"].as_str().unwrap().to_owned();
    inbox.iter().map(text).collect()
}

/// The steps of a message, by name.
fn steps(agent: &Agent, id: &str) -> Vec<String> {
    let status = agent.status(id);
    let steps = status["receipts"].as_array().unwrap().iter();
    steps
        .map(|step| step["status"].as_str().unwrap().to_owned())
        .collect()
}

fn wait_for_status(agent: &Agent, id: &str, wanted: &str) {
    wait_for(&format!("{id} to be {wanted}"), LONG, || {
        (agent.status(id)["status"] == wanted).then_some(())
    });
}
