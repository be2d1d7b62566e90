//! Announcements: who gets to see them, what becomes of them in a crash, and what a peer that
//! forges them gets.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod crash;
mod forged;
mod spread;

use std::sync::OnceLock;

use entente_e2e::fake_peer::{FakePeer, OnDial, Responder, Session};
use entente_e2e::socket::Heard;
use entente_e2e::wait::{PATIENCE, wait_for};
use entente_e2e::{Agent, Deployment, Network, Options, Socket};
use serde_json::{Value, json};

const PEERS: &str = "/admin/federation/peers";
const LIST: &str = "/relay/announcements";

/// A chain of four open networks: alpha, beta, gamma, delta.
fn deployment() -> &'static Deployment {
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    SHARED.get_or_init(|| {
        Options::default()
            .networks(4)
            .fake_peers(8)
            .var("PEER_HELLOS_PER_MINUTE", "12")
            .start()
    })
}

fn says(text: &str) -> Value {
    json!({ "kind": "text", "text": text })
}

/// Announces a text; returns the id.
fn announce(agent: &Agent, collection: &str, text: &str) -> String {
    let body = json!({ "collection": collection, "content": says(text) });
    let answer = agent.client.post(&agent.path("/announce"), &body);
    answer.expect(202)["id"].as_str().unwrap().to_owned()
}

/// Everything that a network lists, the newest first.
fn listed(network: &Network) -> Vec<Value> {
    let list = network.public.get(&format!("{LIST}?limit=200")).expect(200);
    list["announcements"].as_array().unwrap().clone()
}

fn find(network: &Network, id: &str) -> Option<Value> {
    listed(network).into_iter().find(|one| one["id"] == id)
}

fn wait_for_announcement(network: &Network, id: &str) -> Value {
    let what = format!("{} to list announcement {id}", network.name);
    wait_for(&what, PATIENCE, || find(network, id))
}

/// How many events had an outcome on the link to a peer.
fn tally(network: &Network, did: &str, direction: &str, code: &str) -> u64 {
    let detail = network.admin.get(&format!("{PEERS}/{did}")).expect(200)["detail"].clone();
    let events = detail["events"].as_array().unwrap();
    let found = events
        .iter()
        .find(|one| one["direction"] == direction && one["code"] == code);
    found.map_or(0, |one| one["count"].as_u64().unwrap())
}

fn wait_for_tally(network: &Network, did: &str, direction: &str, code: &str, count: u64) {
    let what = format!("{count} events {direction} to count as {code}");
    wait_for(&what, PATIENCE, || {
        (tally(network, did, direction, code) >= count).then_some(())
    });
}

fn patch(network: &Network, did: &str, change: &Value) {
    let path = format!("{PEERS}/{did}");
    let _ = network.admin.patch(&path, change).expect(200);
}

/// A fake peer with a session that a network dialled.
fn session(network: &Network) -> (FakePeer, Socket, Session) {
    let peer = FakePeer::start(deployment().take_peer_port());
    peer.on_dial(OnDial::Accept);
    let _ = peer.join(network, "open");
    let (wire, session) = open(&peer, network);
    (peer, wire, session)
}

fn open(peer: &FakePeer, network: &Network) -> (Socket, Session) {
    let mut wire = peer.accepted().socket;
    let hello = frame(&mut wire);
    let mut responder = Responder::new(&peer.identity, peer.know(network), &hello);
    wire.send_bytes(responder.hello_ack());
    responder.read_auth(&frame(&mut wire));
    let (ready, session) = responder.ready();
    wire.send_bytes(ready);
    let _ = network.wait_for_peer(peer.identity.did.as_str(), "up");
    (wire, session)
}

fn frame(wire: &mut Socket) -> Vec<u8> {
    match wire.hear(PATIENCE) {
        Heard::Bytes(bytes) => bytes,
        other @ (Heard::Text(_) | Heard::Closed(..) | Heard::Silence) => {
            panic!("expected a frame, heard {other:?}")
        }
    }
}
