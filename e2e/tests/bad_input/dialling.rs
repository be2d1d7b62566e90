//! How a peer can cheat when it dials. Before AUTH holds, nothing it says is believed, so the
//! only traces are the close code and an event for the admin.

use entente_e2e::Socket;
use entente_e2e::cbor::{Value, text};
use entente_e2e::fake_peer::{FakePeer, Identity, Initiator, OnDial, Party, alter};
use serde_json::json;

use super::{TIMEOUT, alpha, closes, deployment, frame, goes_on, meet, new_peer};

/// Dial numbers of well-behaved peers follow the clock; ours start far ahead and rise.
fn dial_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1 << 45);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn initiator(peer: &FakePeer) -> Initiator {
    Initiator::new(&peer.identity, peer.know(alpha()), dial_number(), "open")
}

/// A peer that alpha knows and cannot reach, so that only our own dials happen.
fn known_peer() -> FakePeer {
    let peer = new_peer();
    meet(&peer, "open", OnDial::Hold);
    peer
}

fn found_out_in_hello(peer: &FakePeer, code: u16, name: &str, cheat: impl FnOnce(&mut Initiator)) {
    let mut initiator = initiator(peer);
    cheat(&mut initiator);
    let mut wire = peer.dial(alpha());
    wire.send_bytes(initiator.hello());
    closes(&mut wire, code, name);
}

fn party(initiator: &mut Initiator, peer: &FakePeer, change: impl FnOnce(&mut Party)) {
    let mut party = Party::of(&peer.identity);
    change(&mut party);
    initiator.hello.set("from", party.value());
}

fn up_to_auth(peer: &FakePeer, initiator: &mut Initiator) -> Socket {
    let mut wire = peer.dial(alpha());
    wire.send_bytes(initiator.hello());
    initiator.read_hello_ack(&frame(&mut wire));
    wire
}

#[test]
fn a_hello_must_be_for_us_and_from_its_sender() {
    let peer = known_peer();
    let beta = deployment().network("beta").did.clone();
    found_out_in_hello(&peer, 4424, "WRONG_RECIPIENT", |initiator| {
        initiator.hello.set("to", text(&beta))
    });
    let own = alpha().did.clone();
    found_out_in_hello(&peer, 4425, "OWN_DID", |initiator| {
        party(initiator, &peer, |party| party.did.clone_from(&own));
    });
    found_out_in_hello(&peer, 4426, "UPGRADE_MISMATCH", |initiator| {
        party(initiator, &peer, |party| party.did.clone_from(&beta));
    });
    found_out_in_hello(&peer, 4430, "HOST_MISMATCH", |initiator| {
        party(initiator, &peer, |party| {
            party.host = "elsewhere.example".to_owned()
        });
    });
    found_out_in_hello(&peer, 4426, "UPGRADE_MISMATCH", |initiator| {
        party(initiator, &peer, |party| party.kid = "a".repeat(16));
    });
    found_out_in_hello(&peer, 4429, "STALE_DOCUMENT", |initiator| {
        party(initiator, &peer, |party| party.doc = [7; 32]);
    });
    let state = alpha().peer(peer.identity.did.as_str())["state"].clone();
    assert_ne!(state, "up");
    goes_on();
}

#[test]
fn a_hello_must_offer_something_usable() {
    let peer = known_peer();
    let share =
        |suite: u64, key: Vec<u8>| Value::Array(vec![Value::Uint(suite), Value::Bytes(key)]);
    found_out_in_hello(&peer, 4427, "NO_COMMON_VERSION", |initiator| {
        initiator.hello.set(
            "versions",
            Value::Array(vec![Value::Uint(2), Value::Uint(3)]),
        );
    });
    found_out_in_hello(&peer, 4428, "NO_COMMON_SUITE", |initiator| {
        initiator
            .hello
            .set("shares", Value::Array(vec![share(0x20, vec![1; 32])]));
    });
    for bad in [vec![1; 32], vec![0xff; 1216], Vec::new()] {
        found_out_in_hello(&peer, 4432, "BAD_KEM_KEY", |initiator| {
            initiator
                .hello
                .set("shares", Value::Array(vec![share(0x647a, bad)]));
        });
    }
    found_out_in_hello(&peer, 4420, "MALFORMED_FRAME", |initiator| {
        let share = initiator.hello.at("shares").items()[0].clone();
        initiator
            .hello
            .set("shares", Value::Array(vec![share.clone(), share]));
    });
    found_out_in_hello(&peer, 4420, "MALFORMED_FRAME", |initiator| {
        initiator.hello.set("want", text("anything"))
    });
    found_out_in_hello(&peer, 4420, "MALFORMED_FRAME", |initiator| {
        initiator.hello.set("t", Value::Uint(9))
    });
    goes_on();
}

#[test]
fn garbage_is_not_a_hello() {
    let peer = known_peer();
    for (bytes, code, name) in [
        (Vec::new(), 4420, "MALFORMED_FRAME"),
        (vec![0x9f; 2000], 4420, "MALFORMED_FRAME"),
        (vec![0; 8193], 4421, "OVERSIZE_FRAME"),
        (vec![0; 300 * 1024], 4421, "OVERSIZE_FRAME"),
    ] {
        let mut wire = peer.dial(alpha());
        wire.send_bytes(bytes);
        closes(&mut wire, code, name);
    }
    let mut wire = peer.dial(alpha());
    wire.send_bytes(alter(&initiator(&peer).hello(), |_, signature, _| {
        signature.extend([0; 64])
    }));
    closes(&mut wire, 4420, "MALFORMED_FRAME");
    let mut wire = peer.dial(alpha());
    wire.send_text("{\"hello\": true}");
    closes(&mut wire, 4420, "MALFORMED_FRAME");
    goes_on();
}

#[test]
fn auth_must_be_signed_and_know_the_secret() {
    let peer = known_peer();
    let stranger = Identity::network(&peer.identity.host);
    let found_out = |code: u16, name: &str, cheat: &dyn Fn(&mut Initiator) -> Vec<u8>| {
        let mut initiator = initiator(&peer);
        let mut wire = up_to_auth(&peer, &mut initiator);
        wire.send_bytes(cheat(&mut initiator));
        closes(&mut wire, code, name);
    };
    found_out(4435, "BAD_SIGNATURE", &|initiator| {
        initiator.signing = stranger.signing.clone();
        initiator.auth()
    });
    found_out(4435, "BAD_SIGNATURE", &|initiator| {
        alter(&initiator.auth(), |_, signature, _| signature[0] ^= 1)
    });
    found_out(4435, "BAD_SIGNATURE", &|initiator| {
        alter(&initiator.auth(), |body, _, _| {
            let mut value = Value::decode(body);
            let cursor = [1, 1, 1].map(Value::Uint).to_vec();
            value.set("cursors", Value::Array(vec![Value::Array(cursor)]));
            *body = value.encode();
        })
    });
    found_out(4436, "BAD_MAC", &|initiator| {
        alter(&initiator.auth(), |_, _, mac| mac[5] ^= 4)
    });
    found_out(4436, "BAD_MAC", &|initiator| {
        initiator.mac_did.clone_from(&alpha().did);
        initiator.auth()
    });
    found_out(4422, "UNEXPECTED_FRAME", &|initiator| initiator.hello());
    goes_on();
}

#[test]
fn a_replayed_handshake_is_worthless() {
    let peer = known_peer();
    let mut honest = initiator(&peer);
    let hello = honest.hello();
    let mut wire = peer.dial(alpha());
    wire.send_bytes(hello.clone());
    honest.read_hello_ack(&frame(&mut wire));
    let auth = honest.auth();
    wire.send_bytes(auth.clone());
    let (ready, _) = honest.read_ready(&frame(&mut wire));
    assert_eq!(ready.at("granted").str(), "open");
    // Every byte again, on a new socket: HELLO_ACK is fresh, so the old AUTH does not fit it.
    let mut replay = peer.dial(alpha());
    replay.send_bytes(hello);
    let _fresh = frame(&mut replay);
    replay.send_bytes(auth);
    closes(&mut replay, 4435, "BAD_SIGNATURE");
    // The first session has not been touched by that.
    wire.close(1000);
    goes_on();
}

#[test]
fn a_dial_number_must_rise() {
    let peer = known_peer();
    let number = dial_number();
    let dial = |number: u64| Initiator::new(&peer.identity, peer.know(alpha()), number, "open");
    let mut first = dial(number);
    let mut wire = up_to_auth(&peer, &mut first);
    wire.send_bytes(first.auth());
    let _ = first.read_ready(&frame(&mut wire));
    for stale in [number, number - 1, 0] {
        let mut again = dial(stale);
        let mut wire = up_to_auth(&peer, &mut again);
        wire.send_bytes(again.auth());
        closes(&mut wire, 4437, "STALE_DIAL");
    }
}

#[test]
fn silence_after_the_upgrade_or_after_hello_ends_a_handshake() {
    let peer = known_peer();
    let mut mute = peer.dial(alpha());
    let mut shy = up_to_auth(&peer, &mut initiator(&peer));
    closes(&mut mute, 4423, "HANDSHAKE_TIMEOUT");
    closes(&mut shy, 4423, "HANDSHAKE_TIMEOUT");
    goes_on();
}

#[test]
fn many_sockets_of_one_peer_do_not_pile_up() {
    let peer = known_peer();
    let mut wires: Vec<_> = (0..12).map(|_| peer.dial(alpha())).collect();
    let busy = wires
        .iter_mut()
        .take(8)
        .map(|wire| wire.closed(TIMEOUT).0)
        .filter(|code| *code == 4405)
        .count();
    assert!(busy >= 6, "{busy} of the first 8 were told BUSY");
    goes_on();
}

#[test]
fn a_cheat_is_shown_to_the_admin() {
    let alpha = alpha();
    let peer = known_peer();
    let ticket = alpha.admin.post("/admin/ticket", &json!({})).expect(200);
    let protocol = format!("entente.ticket.{}", ticket["ticket"].as_str().unwrap());
    let url = format!("{}/relay/firehose", alpha.url);
    let mut firehose =
        Socket::open(&url, &[("sec-websocket-protocol", &protocol)]).expect("an upgrade");
    found_out_in_hello(&peer, 4427, "NO_COMMON_VERSION", |initiator| {
        initiator
            .hello
            .set("versions", Value::Array(vec![Value::Uint(7)]));
    });
    let event = firehose.until("the refusal", |frame| {
        frame["event"]["kind"] == "link.refused"
            && frame["event"]["peer"] == peer.identity.host.as_str()
    });
    assert_eq!(event["event"]["code"], "NO_COMMON_VERSION");
}
