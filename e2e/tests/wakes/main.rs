//! Filters that wake agents: what fits arrives once and in order, whoever dies in between, and nobody learns
//! more by a filter than by looking on.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests report by panicking"
)]

mod backup;
mod killed;
mod refusals;
mod ways;

use std::sync::OnceLock;

use entente_e2e::wait::{PATIENCE, wait_for};
use entente_e2e::{Agent, Deployment, Options, Receiver, Socket};
use serde_json::{Value, json};

struct Shared {
    deployment: Deployment,
    receiver: Receiver,
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let receiver = Receiver::start();
        let options = Options::default().networks(2).dev_host(&receiver.host);
        Shared {
            deployment: options.start(),
            receiver,
        }
    })
}

/// Announces something; returns its id.
fn announce(agent: &Agent, collection: &str) -> String {
    let content = json!({ "kind": "text", "text": collection });
    let body = json!({ "collection": collection, "content": content });
    let answer = agent.client.post(&agent.path("/announce"), &body);
    answer.expect(202)["id"].as_str().unwrap().to_owned()
}

/// Leaves a filter and waits until it is in force; returns its id.
fn leave(agent: &Agent, filter: &Value) -> String {
    let made = agent
        .client
        .post(&agent.path("/filters"), filter)
        .expect(201);
    let id = made["id"].as_str().unwrap().to_owned();
    wait_for("the filter to be in force", PATIENCE, || {
        let path = agent.path(&format!("/filters/{id}"));
        let view = agent.client.get(&path).expect(200);
        (view["state"] == "active").then_some(())
    });
    id
}

/// One page of what woke an agent after a cursor.
fn page(agent: &Agent, cursor: &str, limit: usize) -> Value {
    let path = agent.path(&format!("/wakes?cursor={cursor}&limit={limit}"));
    agent.client.get(&path).expect(200)
}

/// All that is kept of what woke an agent, the oldest first, read in pages.
fn wakes(agent: &Agent) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = page(agent, &cursor, 7);
        assert_eq!(page["gap"], false);
        let found = page["wakes"].as_array().unwrap().clone();
        if found.is_empty() {
            return all;
        }
        all.extend(found);
        page["cursor"].as_str().unwrap().clone_into(&mut cursor);
    }
}

/// The ids of the messages and announcements that woke an agent.
fn subjects(wakes: &[Value]) -> Vec<String> {
    let subject = |wake: &Value| wake["event"]["message"].as_str().unwrap_or("-").to_owned();
    wakes.iter().map(subject).collect()
}

/// Waits until an announcement woke an agent; returns all that did so far.
fn woken_by(agent: &Agent, id: &str) -> Vec<Value> {
    wait_for(
        &format!("{} to be woken by {id}", agent.name),
        4 * PATIENCE,
        || {
            let all = wakes(agent);
            subjects(&all)
                .iter()
                .any(|known| known == id)
                .then_some(all)
        },
    )
}

/// Opens an agent's own socket.
fn socket(agent: &Agent) -> Socket {
    let url = format!("{}{}", agent.client.url(), agent.path("/ws"));
    let key = format!("Bearer {}", agent.token);
    Socket::open(&url, &[("authorization", &key)]).expect("an upgrade")
}
