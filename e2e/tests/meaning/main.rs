//! Memory is found by its meaning: a real model in a sidecar, vectors sealed in the agent's object.
#![expect(clippy::indexing_slicing, clippy::expect_used, reason = "tests")]

mod refusals;
mod search;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use entente_e2e::embedder::{Embedder, Gate};
use entente_e2e::wait::{PATIENCE, wait_for};
use entente_e2e::{Agent, Deployment, Options, Reply};
use serde_json::{Value, json};

const MODEL: &str = "universal-sentence-encoder-lite";
const KEY: &str = "a-key-for-embeddings";

/// One network and one sidecar for all tests; they shut its gate and kill the network, so they take
/// turns.
struct World {
    embedder: Embedder,
    deployment: Deployment,
}

fn world() -> (MutexGuard<'static, ()>, &'static World) {
    static TURN: Mutex<()> = Mutex::new(());
    static SHARED: OnceLock<World> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = SHARED.get_or_init(|| {
        let embedder = Embedder::start();
        let options = Options::default().networks(1).bare();
        let options = options.dev_host(&embedder.host);
        let options = options.var("EMBEDDING_URL", &embedder.url());
        let options = options.var("EMBEDDING_MODEL", MODEL);
        World {
            deployment: options.var("EMBEDDING_API_KEY", KEY).start(),
            embedder,
        }
    });
    shared.embedder.set(Gate::Open);
    (turn, shared)
}

/// An agent whose notes and facts a service may read.
fn open_agent(world: &World, name: &str) -> Agent {
    let agent = world.deployment.network("alpha").create_agent(name);
    let _ = let_read(&agent, &["agent.memory.*"]).expect(200);
    agent
}

fn let_read(agent: &Agent, private: &[&str]) -> Reply {
    let body = json!({ "meaning": { "private": private } });
    let headers = [("content-type", "application/json")];
    let path = agent.path("/memory/settings");
    agent
        .client
        .send("PUT", &path, &headers, body.to_string().as_bytes())
}

fn store(agent: &Agent, text: &str) -> Value {
    let body = json!({ "record": { "$type": "agent.memory.fact", "text": text } });
    agent.client.post(&agent.path("/memory"), &body).expect(201)
}

fn path(agent: &Agent, record: &Value, rest: &str) -> String {
    let id = record["id"].as_str().unwrap_or_default();
    agent.path(&format!("/memory/{id}{rest}"))
}

fn search(agent: &Agent, query: &str) -> Reply {
    let query = query.replace(' ', "%20");
    agent
        .client
        .get(&agent.path(&format!("/memory/search?q={query}")))
}

fn find(agent: &Agent, query: &str) -> Vec<String> {
    let found = search(agent, query).expect(200);
    let hits = found["hits"].as_array().expect("hits");
    let text = |hit: &Value| {
        hit["record"]["text"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    hits.iter().map(text).collect()
}

fn meaning(agent: &Agent) -> Value {
    agent.client.get(&agent.path("/memory/meaning")).expect(200)
}

/// Waits until everything that may have a vector has one.
fn wait_for_vectors(agent: &Agent, count: u64) -> Value {
    wait_for("the vectors", PATIENCE, || {
        let view = meaning(agent);
        (view["vectors"] == count && view["pending"] == 0).then_some(view)
    })
}
