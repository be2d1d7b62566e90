//! Trust in peers: who may ask, who is banned, what a change would do, and what verified takes.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod admission;
mod preview;
mod quarantine;
mod verified;

use std::sync::OnceLock;

use entente_e2e::fake_peer::{FEDERATION_PATH, FakePeer, OnDial, SignedUpgrade, dial_with};
use entente_e2e::wait::{PATIENCE, wait_for};
use entente_e2e::{Deployment, Network, Options, Reply};
use serde_json::{Value, json};

const PEERS: &str = "/admin/federation/peers";
const REQUESTS: &str = "/admin/federation/requests";
const BANS: &str = "/admin/federation/bans";

fn deployment() -> &'static Deployment {
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    SHARED.get_or_init(|| Options::default().networks(4).fake_peers(40).start())
}

fn alpha() -> &'static Network {
    deployment().network("alpha")
}

fn new_peer() -> FakePeer {
    FakePeer::start(deployment().take_peer_port())
}

fn text(text: &str) -> Value {
    json!({ "kind": "text", "text": text })
}

/// Changes what a network holds about a peer.
fn patch(network: &Network, did: &str, change: &Value) -> Value {
    network
        .admin
        .patch(&format!("{PEERS}/{did}"), change)
        .expect(200)
}

/// Sends what must not leave the network; returns the answer.
fn refused(from: &entente_e2e::Agent, to: &str, status: u16, code: &str) {
    let body = json!({ "to": to, "content": text("may I?") });
    from.client
        .post(&from.path("/messages"), &body)
        .refused(status, code);
}

/// Dials as a stranger; returns the status and the code of the refusal.
fn turned_away(peer: &FakePeer, network: &Network) -> (u16, String) {
    turned_away_as(&SignedUpgrade::new(&peer.identity, network), network)
}

fn turned_away_as(upgrade: &SignedUpgrade, network: &Network) -> (u16, String) {
    let signed = upgrade.headers();
    let mut headers = vec![
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    headers.extend(signed.iter().map(|(name, value)| (*name, value.as_str())));
    let reply = network.public.send("GET", FEDERATION_PATH, &headers, &[]);
    let code = reply.value()["error"]["code"].as_str().unwrap().to_owned();
    (reply.status, code)
}

fn waiting(network: &Network, peer: &FakePeer) -> Option<Value> {
    let list = network.admin.get(REQUESTS).expect(200);
    let did = peer.identity.did.as_str();
    let requests = list["requests"].as_array().unwrap();
    requests.iter().find(|one| one["did"] == did).cloned()
}
