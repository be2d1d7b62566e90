//! The main job: networks that peer, and messages that cross between their agents.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod agents;
mod discovery;
mod firehose;
mod messages;
mod peers;
mod sockets;
mod why;

use std::sync::OnceLock;

use entente_e2e::{Deployment, Options};
use serde_json::{Value, json};

fn deployment() -> &'static Deployment {
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    SHARED.get_or_init(|| Options::default().networks(3).fake_peers(4).start())
}

fn text(text: &str) -> Value {
    json!({ "kind": "text", "text": text })
}

fn statuses(message: &Value) -> Vec<&str> {
    let receipts = message["receipts"].as_array().expect("receipts");
    receipts
        .iter()
        .map(|receipt| receipt["status"].as_str().unwrap())
        .collect()
}
