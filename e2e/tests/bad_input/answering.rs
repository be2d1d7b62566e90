//! How a peer can cheat when it is dialled. The network must close, say why, and go on.

use entente_e2e::Socket;
use entente_e2e::cbor::{Value, text};
use entente_e2e::fake_peer::{
    FakePeer, Identity, Known, OnDial, Page, Party, Responder, alter, opening_frame,
};
use entente_e2e::wait::{PATIENCE, wait_for};

use super::{alpha, blames, closes, dialled, frame, goes_on, meet, new_peer};

/// Lets alpha dial, answers its HELLO with what `cheat` writes, and expects to be found out.
fn found_out(
    peer: &FakePeer,
    code: u16,
    name: &str,
    cheat: impl FnOnce(&Identity, Known, &[u8]) -> Vec<u8>,
) {
    let (mut wire, known, hello) = dialled(peer, "open");
    wire.send_bytes(cheat(&peer.identity, known, &hello));
    closes(&mut wire, code, name);
    blames(peer, name);
}

/// As [`found_out`], with a HELLO_ACK in which one thing is changed before it is signed.
fn found_out_in_ack(peer: &FakePeer, code: u16, name: &str, change: impl FnOnce(&mut Responder)) {
    found_out(peer, code, name, |own, known, hello| {
        let mut responder = Responder::new(own, known, hello);
        change(&mut responder);
        responder.hello_ack()
    });
}

fn party(responder: &mut Responder, peer: &FakePeer, change: impl FnOnce(&mut Party)) {
    let mut party = Party::of(&peer.identity);
    change(&mut party);
    responder.hello_ack.set("from", party.value());
}

#[test]
fn an_answer_must_come_from_who_was_dialled() {
    let peer = new_peer();
    let stranger = Identity::network(&peer.identity.host);
    found_out_in_ack(&peer, 4433, "WRONG_PEER", |responder| {
        responder
            .hello_ack
            .set("from", Party::of(&stranger).value());
        responder.signing = stranger.signing.clone();
        responder.mac_did = stranger.did.to_string();
    });
    let own = alpha().did.clone();
    found_out_in_ack(&peer, 4433, "WRONG_PEER", |responder| {
        party(responder, &peer, |party| party.did.clone_from(&own));
    });
    // The network's own key, reflected as ours.
    let known = peer.know(alpha());
    found_out_in_ack(&peer, 4431, "UNKNOWN_KEY", |responder| {
        party(responder, &peer, |party| party.kid.clone_from(&known.kid));
    });
    found_out_in_ack(&peer, 4430, "HOST_MISMATCH", |responder| {
        party(responder, &peer, |party| {
            party.host = "elsewhere.example".to_owned()
        });
    });
    found_out_in_ack(&peer, 4429, "STALE_DOCUMENT", |responder| {
        party(responder, &peer, |party| party.doc = [7; 32]);
    });
    goes_on();
}

#[test]
fn an_answer_must_be_signed_and_know_the_secret() {
    let peer = new_peer();
    let stranger = Identity::network(&peer.identity.host);
    found_out_in_ack(&peer, 4435, "BAD_SIGNATURE", |responder| {
        responder.signing = stranger.signing.clone();
    });
    found_out(&peer, 4435, "BAD_SIGNATURE", |own, known, hello| {
        let good = Responder::new(own, known, hello).hello_ack();
        alter(&good, |_, signature, _| signature[17] ^= 1)
    });
    // Signed for another conversation: the HELLO it answers is not the one that was sent.
    found_out(&peer, 4435, "BAD_SIGNATURE", |own, known, hello| {
        let other = alter(hello, |body, _, _| {
            let mut value = Value::decode(body);
            value.set("nonce", Value::Bytes(vec![9; 32]));
            *body = value.encode();
        });
        Responder::new(own, known, &other).hello_ack()
    });
    found_out(&peer, 4436, "BAD_MAC", |own, known, hello| {
        let good = Responder::new(own, known, hello).hello_ack();
        alter(&good, |_, _, mac| mac[31] ^= 0x80)
    });
    let own_did = alpha().did.clone();
    found_out_in_ack(&peer, 4436, "BAD_MAC", |responder| {
        responder.mac_did = own_did
    });
    found_out_in_ack(&peer, 4436, "BAD_MAC", |responder| {
        let ct = responder.hello_ack.at("ct").bytes().to_vec();
        responder
            .hello_ack
            .set("ct", Value::Bytes(ct.iter().map(|byte| byte ^ 1).collect()));
    });
    goes_on();
}

#[test]
fn an_answer_must_choose_from_the_offer() {
    let peer = new_peer();
    found_out_in_ack(&peer, 4434, "NOT_OFFERED", |responder| {
        responder.hello_ack.set("version", Value::Uint(2))
    });
    found_out_in_ack(&peer, 4434, "NOT_OFFERED", |responder| {
        responder.hello_ack.set("suite", Value::Uint(0x20))
    });
}

#[test]
fn a_reflected_hello_is_not_an_answer() {
    let peer = new_peer();
    found_out(&peer, 4422, "UNEXPECTED_FRAME", |_, _, hello| {
        hello.to_vec()
    });
    goes_on();
}

#[test]
fn garbage_is_not_an_answer() {
    let peer = new_peer();
    let malformed = |bytes: Vec<u8>| found_out(&peer, 4420, "MALFORMED_FRAME", |_, _, _| bytes);
    malformed(Vec::new());
    malformed(vec![0xff; 100]);
    malformed((0..=255).cycle().take(4000).collect());
    malformed(Value::Array(vec![Value::Uint(1); 3]).encode());
    malformed(opening_frame(b"no map", &[0; 64], &[0; 32]));
    found_out_in_ack(&peer, 4420, "MALFORMED_FRAME", |responder| {
        responder.hello_ack.set("extra", Value::Uint(1))
    });
    found_out_in_ack(&peer, 4420, "MALFORMED_FRAME", |responder| {
        responder.hello_ack.set("nonce", Value::Bytes(vec![1; 31]));
    });
    found_out(&peer, 4420, "MALFORMED_FRAME", |own, known, hello| {
        let good = Responder::new(own, known, hello).hello_ack();
        alter(&good, |_, signature, _| signature.push(0))
    });
    // The same map with its keys in another order, then with a head that is not the shortest.
    found_out(&peer, 4420, "MALFORMED_FRAME", |own, known, hello| {
        let good = Responder::new(own, known, hello).hello_ack();
        alter(&good, |body, _, _| {
            let value = Value::decode(body);
            let mut raw = vec![0xa0 | u8::try_from(value.entries().len()).unwrap()];
            for (key, value) in value.entries().iter().rev() {
                raw.extend(text(key).encode());
                raw.extend(value.encode());
            }
            *body = raw;
        })
    });
    found_out(&peer, 4421, "OVERSIZE_FRAME", |_, _, _| vec![0; 8193]);
    goes_on();
}

#[test]
fn text_is_not_an_answer() {
    let peer = new_peer();
    let (mut wire, _, _) = dialled(&peer, "open");
    wire.send_text("hello?");
    closes(&mut wire, 4420, "MALFORMED_FRAME");
    blames(&peer, "MALFORMED_FRAME");
}

/// Answers well up to AUTH, then sends what `cheat` makes of READY.
fn found_out_in_ready(
    peer: &FakePeer,
    level: &str,
    code: u16,
    name: &str,
    cheat: impl FnOnce(Responder) -> Vec<u8>,
) {
    let (mut wire, known, hello) = dialled(peer, level);
    let mut responder = Responder::new(&peer.identity, known, &hello);
    assert_eq!(responder.hello.at("want").str(), level);
    wire.send_bytes(responder.hello_ack());
    responder.read_auth(&frame(&mut wire));
    wire.send_bytes(cheat(responder));
    closes(&mut wire, code, name);
    blames(peer, name);
}

#[test]
fn ready_must_hold_too() {
    let peer = new_peer();
    let stranger = Identity::network(&peer.identity.host);
    found_out_in_ready(&peer, "open", 4435, "BAD_SIGNATURE", |mut responder| {
        responder.signing = stranger.signing.clone();
        responder.ready().0
    });
    found_out_in_ready(&peer, "open", 4436, "BAD_MAC", |responder| {
        alter(&responder.ready().0, |_, _, mac| mac[0] ^= 1)
    });
    found_out_in_ready(&peer, "open", 4435, "BAD_SIGNATURE", |responder| {
        alter(&responder.ready().0, |body, _, _| {
            let mut value = Value::decode(body);
            value.set("session", Value::Bytes(vec![0; 16]));
            *body = value.encode();
        })
    });
    found_out_in_ready(
        &peer,
        "allowlist",
        4438,
        "LEVEL_TOO_OPEN",
        |mut responder| {
            responder.ready.set("granted", text("open"));
            responder.ready().0
        },
    );
    found_out_in_ready(&peer, "open", 4422, "UNEXPECTED_FRAME", |mut responder| {
        responder.hello_ack()
    });
    goes_on();
}

#[test]
fn silence_ends_a_handshake() {
    let peer = new_peer();
    let (mut wire, _, _) = dialled(&peer, "open");
    closes(&mut wire, 4423, "HANDSHAKE_TIMEOUT");
    blames(&peer, "HANDSHAKE_TIMEOUT");
    goes_on();
}

#[test]
fn a_peer_that_does_not_upgrade_is_unreachable() {
    for (page, code) in [
        (Page::status(500), "PEER_UNREACHABLE"),
        (Page::status(200), "PEER_UNREACHABLE"),
        (
            Page::redirect("http://localhost:1/relay/federation"),
            "PEER_REDIRECTS",
        ),
    ] {
        let peer = new_peer();
        meet(&peer, "open", OnDial::Answer(page));
        blames(&peer, code);
        // Between two attempts it says when the next one is.
        wait_for("the next retry to be announced", PATIENCE, || {
            let view = alpha().peer(peer.identity.did.as_str());
            (view["state"] == "unreachable" && view["nextRetry"].is_string()).then_some(())
        });
    }
    goes_on();
}

#[test]
fn a_peer_that_holds_every_connection_holds_nobody_else() {
    let peer = new_peer();
    meet(&peer, "open", OnDial::Hold);
    goes_on();
    blames(&peer, "PEER_SILENT");
}

#[test]
fn an_honest_peer_gets_through() {
    let peer = new_peer();
    let (mut wire, known, hello): (Socket, Known, Vec<u8>) = dialled(&peer, "open");
    let mut responder = Responder::new(&peer.identity, known, &hello);
    wire.send_bytes(responder.hello_ack());
    let auth = responder.read_auth(&frame(&mut wire));
    assert!(auth.at("attestation").bytes().is_empty());
    let (ready, _session) = responder.ready();
    wire.send_bytes(ready);
    let view = alpha().wait_for_peer(peer.identity.did.as_str(), "up");
    assert_eq!(view["granted"], "open");
}
