//! A2A 1.0: the official SDK is the client of our agents, and the agent elsewhere that they call.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests"
)]

mod calls;
mod elsewhere;
mod intruders;
mod killed;
mod pushes;
mod sdk;

use std::net::TcpListener;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use entente_e2e::wait::wait_for;
use entente_e2e::{Agent, Deployment, Options, Receiver, Reply};
use sdk::Sdk;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

struct Shared {
    deployment: Deployment,
    receiver: Receiver,
    /// Where an agent elsewhere may be.
    port: u16,
}

/// Some of these tests kill the network, so they take turns.
fn shared() -> (MutexGuard<'static, ()>, &'static Shared) {
    static TURN: Mutex<()> = Mutex::new(());
    static SHARED: OnceLock<Shared> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = SHARED.get_or_init(|| {
        let receiver = Receiver::start();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = port.local_addr().unwrap().port();
        let options = Options::default().networks(1).bare();
        let options = options.dev_host(&format!("localhost:{port}"));
        Shared {
            deployment: options.dev_host(&receiver.host).start(),
            receiver,
            port,
        }
    });
    (turn, shared)
}

fn deployment() -> (MutexGuard<'static, ()>, &'static Deployment) {
    let (turn, shared) = shared();
    (turn, &shared.deployment)
}

/// An agent that is called with keys, or by anyone.
fn callee(deployment: &Deployment, name: &str, access: &str) -> Agent {
    let network = deployment.network("alpha");
    network.create_agent_with(name, json!({ "a2a": { "access": access } }))
}

/// Where an agent's card is looked for.
fn base(deployment: &Deployment, agent: &Agent) -> String {
    let network = deployment.network("alpha");
    format!("{}/a2a/{}/", network.public.url(), agent.name)
}

fn key(agent: &Agent, name: &str) -> Value {
    let body = json!({ "name": name });
    agent
        .client
        .post(&agent.path("/a2a/keys"), &body)
        .expect(201)
}

/// A client that holds a key of the agent's.
fn opened(deployment: &Deployment, agent: &Agent) -> Sdk {
    let mut sdk = Sdk::start();
    let made = key(agent, "caller");
    sdk.open("it", &base(deployment, agent), made["key"].as_str());
    sdk
}

/// The parameters of a message, with more of its fields.
fn message(id: &str, text: &str, more: &Value) -> Value {
    let mut message = json!({ "messageId": id, "role": "ROLE_USER", "parts": [{ "text": text }] });
    let fields = message.as_object_mut().unwrap();
    fields.extend(more.as_object().cloned().unwrap_or_default());
    json!({ "message": message })
}

/// The same, answered at once.
fn at_once(id: &str, text: &str, more: &Value) -> Value {
    let mut params = message(id, text, more);
    params["configuration"] = json!({ "returnImmediately": true });
    params
}

fn step(agent: &Agent, id: &Value, act: &str, body: &Value) -> Reply {
    let path = format!("/tasks/{}/{act}", id.as_str().unwrap());
    agent.client.post(&agent.path(&path), body)
}

fn respond(agent: &Agent, id: &Value, status: &str, text: Option<&str>) {
    let mut body = json!({ "status": status });
    if let Some(text) = text {
        body["content"] = json!({ "$type": "agent.comms.defs#text", "text": text });
    }
    let _ = step(agent, id, "respond", &body).expect(200);
}

fn show(agent: &Agent, id: &Value) -> Value {
    let path = format!("/tasks/{}", id.as_str().unwrap());
    agent.client.get(&agent.path(&path)).expect(200)
}

/// Waits until the agent has a task whose request says this, and returns its id.
fn asked(agent: &Agent, text: &str) -> Value {
    wait_for(&format!("{} to be asked", agent.name), PATIENCE, || {
        let tasks = agent.client.get(&agent.path("/tasks")).expect(200);
        let tasks = tasks["tasks"].as_array().unwrap().iter();
        let mut asked = tasks.filter(|task| task["request"]["content"]["text"] == text);
        asked.next().map(|task| task["id"].clone())
    })
}
