//! What an agent's webhooks send is signed, arrives at least once under one id, and goes nowhere that it
//! must not.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests report by panicking"
)]

mod failing;
mod killed;
mod refused;
mod told;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use entente_e2e::receiver::Answer;
use entente_e2e::wait::{PATIENCE, wait_for};
use entente_e2e::{Agent, Deployment, Options, Receiver};
use serde_json::{Value, json};

/// Attempts until something is a dead letter.
const ATTEMPTS: usize = 3;

struct Shared {
    deployment: Deployment,
    receiver: Receiver,
}

/// Some of these tests kill the network or have the receiver fail, so they take turns.
fn shared() -> (MutexGuard<'static, ()>, &'static Shared) {
    static TURN: Mutex<()> = Mutex::new(());
    static SHARED: OnceLock<Shared> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = SHARED.get_or_init(|| {
        let receiver = Receiver::start();
        let options = Options::default().networks(1).bare();
        let options = options.var("DELIVERY_ATTEMPTS", &ATTEMPTS.to_string());
        Shared {
            deployment: options.dev_host(&receiver.host).start(),
            receiver,
        }
    });
    shared.receiver.answer(Answer::Status(204));
    (turn, shared)
}

impl Shared {
    fn agent(&self, name: &str) -> Agent {
        self.deployment.network("alpha").create_agent(name)
    }

    /// Adds a webhook that sends to a path of the receiver.
    fn hook(&self, agent: &Agent, path: &str, wish: Value) -> String {
        let mut wish = wish;
        wish["url"] = json!(self.receiver.url(path));
        let made = agent
            .client
            .post(&agent.path("/webhooks"), &wish)
            .expect(201);
        made["id"].as_str().unwrap().to_owned()
    }
}

fn show(agent: &Agent, hook: &str) -> Value {
    let path = agent.path(&format!("/webhooks/{hook}"));
    agent.client.get(&path).expect(200)
}

fn act(agent: &Agent, hook: &str, what: &str, body: &Value) -> entente_e2e::Reply {
    let path = agent.path(&format!("/webhooks/{hook}/{what}"));
    agent.client.post(&path, body)
}

/// Waits until a webhook stands so.
fn wait_for_hook(agent: &Agent, hook: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, PATIENCE, || {
        let view = show(agent, hook);
        holds(&view).then_some(view)
    })
}

fn ids(posted: &[entente_e2e::receiver::Posted]) -> Vec<String> {
    let id = |posted: &entente_e2e::receiver::Posted| posted.header("idempotency-key").to_owned();
    posted.iter().map(id).collect()
}
