//! Bad input: every refusal has its own code, and what was refused changes nothing.
//!
//! `api` is what a client can get wrong, `documents` what a host can publish, `answering` and
//! `dialling` how a peer can cheat when it is dialled and when it dials, `upgrade` how anybody can
//! before that, `session` and
//! `mail` what it can do once it is in, `groups` what its agents can say about groups.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod answering;
mod api;
mod dialling;
mod documents;
mod groups;
mod mail;
mod records;
mod session;
mod upgrade;

use std::sync::OnceLock;
use std::time::Duration;

use entente_e2e::fake_peer::{FakePeer, Known, OnDial};
use entente_e2e::socket::Heard;
use entente_e2e::wait::{PATIENCE, wait_for};
use entente_e2e::{Deployment, Network, Options, Socket};
use serde_json::{Value, json};

/// Longer than a handshake may take.
const TIMEOUT: Duration = Duration::from_secs(15);

fn deployment() -> &'static Deployment {
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    SHARED.get_or_init(|| {
        Options::default()
            .networks(2)
            .fake_peers(56)
            .var("PEER_HELLOS_PER_MINUTE", "100000")
            .start()
    })
}

fn alpha() -> &'static Network {
    deployment().network("alpha")
}

fn text(text: &str) -> Value {
    json!({ "kind": "text", "text": text })
}

fn new_peer() -> FakePeer {
    FakePeer::start(deployment().take_peer_port())
}

/// Makes alpha forget the peer and meet it anew, at this level. Whatever it opened before is gone.
fn meet(peer: &FakePeer, level: &str, on_dial: OnDial) {
    peer.on_dial(OnDial::Hold);
    let path = format!("/admin/federation/peers/{}", peer.identity.did);
    let _ = alpha().admin.delete(&path);
    peer.forget_sockets();
    peer.on_dial(on_dial);
    peer.join(alpha(), level);
}

/// Lets alpha dial a peer that it has just met; returns the socket, who alpha is, and its HELLO.
fn dialled(peer: &FakePeer, level: &str) -> (Socket, Known, Vec<u8>) {
    meet(peer, level, OnDial::Accept);
    let mut wire = peer.accepted().socket;
    let hello = frame(&mut wire);
    (wire, peer.know(alpha()), hello)
}

/// Hears the next binary frame.
fn frame(wire: &mut Socket) -> Vec<u8> {
    match wire.hear(PATIENCE) {
        Heard::Bytes(bytes) => bytes,
        other @ (Heard::Text(_) | Heard::Closed(..) | Heard::Silence) => {
            panic!("expected a frame, heard {other:?}")
        }
    }
}

/// The network closes the socket with this code and the code's name as the reason.
fn closes(wire: &mut Socket, code: u16, name: &str) {
    assert_eq!(wire.closed(TIMEOUT), (code, name.to_owned()));
}

/// Alpha's view of the peer names this as the last error.
fn blames(peer: &FakePeer, code: &str) {
    let what = format!("the last error to be {code}");
    wait_for(&what, PATIENCE, || {
        let view = alpha().peer(peer.identity.did.as_str());
        (view["lastError"] == code).then_some(())
    });
}

/// Alpha is healthy and carries mail to its real peer.
fn goes_on() {
    assert_eq!(alpha().public.get("/health").expect(200)["status"], "ok");
    let (alice, diana) = (deployment().agent("alice"), deployment().agent("diana"));
    let id = alice.send(&diana.address, "still here");
    alice.wait_for_status(&id, "delivered");
    diana.wait_for_message(&id);
}
