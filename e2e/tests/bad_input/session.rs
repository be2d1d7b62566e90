//! What a peer can do once its handshake held.

use entente_e2e::Socket;
use entente_e2e::fake_peer::{
    Direction, FakeAgent, FakePeer, Item, Kind, Receipt, Responder, Session,
};
use entente_e2e::socket::Heard;
use entente_e2e::wait::PATIENCE;
use entente_lexicon::Did;

use super::{alpha, blames, closes, deployment, dialled, frame, goes_on, new_peer};

/// A session that alpha dialled.
fn session(peer: &FakePeer) -> (Socket, Session) {
    let (mut wire, known, hello) = dialled(peer, "open");
    let mut responder = Responder::new(&peer.identity, known, &hello);
    wire.send_bytes(responder.hello_ack());
    responder.read_auth(&frame(&mut wire));
    let (ready, session) = responder.ready();
    wire.send_bytes(ready);
    alpha().wait_for_peer(peer.identity.did.as_str(), "up");
    (wire, session)
}

fn found_out(
    peer: &FakePeer,
    code: u16,
    name: &str,
    cheat: impl FnOnce(&mut Session) -> Vec<Vec<u8>>,
) {
    let (mut wire, mut session) = session(peer);
    for bytes in cheat(&mut session) {
        wire.send_bytes(bytes);
    }
    closes(&mut wire, code, name);
    blames(peer, name);
}

#[test]
fn a_session_frame_must_have_a_right_tag_and_a_rising_counter() {
    let peer = new_peer();
    found_out(&peer, 4436, "BAD_MAC", |session| {
        let mut bytes = session.write(Kind::Ping, 0, 0, b"12345678");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        vec![bytes]
    });
    found_out(&peer, 4436, "BAD_MAC", |session| {
        session.direction = Direction::InitiatorToResponder;
        vec![session.write(Kind::Ping, 0, 0, b"12345678")]
    });
    found_out(&peer, 4439, "REPLAYED", |session| {
        let bytes = session.write(Kind::Ping, 0, 0, b"12345678");
        vec![bytes.clone(), bytes]
    });
    found_out(&peer, 4420, "MALFORMED_FRAME", |_| vec![vec![1, 2, 3]]);
    found_out(&peer, 4436, "BAD_MAC", |_| vec![vec![0xaa; 500]]);
    found_out(&peer, 4421, "OVERSIZE_FRAME", |_| {
        vec![vec![0; 256 * 1024 + 1]]
    });
    goes_on();
}

#[test]
fn a_frame_with_a_right_tag_must_make_sense() {
    let peer = new_peer();
    found_out(&peer, 4420, "MALFORMED_FRAME", |session| {
        vec![session.write(Kind::Ping, 0, 0, b"short")]
    });
    found_out(&peer, 4420, "MALFORMED_FRAME", |session| {
        vec![session.write(Kind::Msg, 1, 1, b"no items")]
    });
    found_out(&peer, 4420, "MALFORMED_FRAME", |session| {
        vec![session.write(Kind::Ack, 1, 1, &[0; 20])]
    });
    goes_on();
}

#[test]
fn a_ping_is_answered() {
    let peer = new_peer();
    let (mut wire, mut session) = session(&peer);
    wire.send_bytes(session.write(Kind::Ping, 0, 0, b"12345678"));
    loop {
        let heard = session.read(&frame(&mut wire));
        if heard.kind == Kind::Pong {
            assert_eq!(heard.body, b"12345678");
            break;
        }
    }
}

fn nonsense(from: &FakeAgent, to: &str, id: u8) -> Item {
    Item {
        id: [id; 16],
        from: from.identity.did.clone(),
        to: Did::parse(to).unwrap(),
        envelope: vec![id; 200],
    }
}

#[test]
fn a_hole_in_the_stream_is_refused() {
    let peer = new_peer();
    let agent = peer.add_agent("holey");
    let alice = deployment().agent("alice");
    found_out(&peer, 4440, "OUT_OF_WINDOW", |session| {
        let body = Item::body(&[nonsense(&agent, &alice.did, 1)]);
        vec![session.write(Kind::Msg, 7, 5, &body)]
    });
    goes_on();
}

#[test]
fn a_poisonous_message_is_refused_alone_and_does_not_block_the_line() {
    let peer = new_peer();
    let agent = peer.add_agent("poisoner");
    let alice = deployment().agent("alice");
    let (mut wire, mut session) = session(&peer);
    let nobody = format!("did:cf:{}", "b".repeat(51) + "a");
    let items = [
        nonsense(&agent, &alice.did, 1),
        nonsense(&agent, &nobody, 2),
        nonsense(&agent, &alice.did, 3),
    ];
    wire.send_bytes(session.write(Kind::Msg, 7, 1, &Item::body(&items)));
    let known = peer.know(alpha());
    let mut refused = Vec::new();
    let mut from = 1;
    while from <= 3 {
        let Heard::Bytes(bytes) = wire.hear(PATIENCE) else {
            panic!("an acknowledgement")
        };
        let ack = session.read(&bytes);
        if ack.kind != Kind::Ack {
            continue;
        }
        assert_eq!(ack.epoch, 7);
        let settled: Vec<_> = (from..=ack.seq)
            .map(|seq| [u8::try_from(seq).unwrap(); 16])
            .collect();
        let receipt = Receipt::read(
            &ack,
            &known.key,
            &known.did,
            peer.identity.did.as_str(),
            &settled,
        );
        for (seq, id, code) in receipt.rejects.into_iter().filter(|(seq, ..)| *seq >= from) {
            assert_eq!(id, [u8::try_from(seq).unwrap(); 16]);
            refused.push((seq, code));
        }
        from = ack.seq + 1;
    }
    let codes: Vec<_> = refused
        .iter()
        .map(|(seq, code)| (*seq, code.as_str()))
        .collect();
    assert_eq!(
        codes,
        [
            (1, "MESSAGE_MALFORMED"),
            (2, "UNKNOWN_AGENT"),
            (3, "MESSAGE_MALFORMED")
        ]
    );
    assert_eq!(alpha().peer(peer.identity.did.as_str())["state"], "up");
    goes_on();
}

#[test]
fn a_forged_receipt_is_not_believed() {
    let peer = new_peer();
    let agent = peer.add_agent("forger");
    let sender = alpha().create_agent("receipt-sender");
    let (mut wire, mut session) = session(&peer);
    let id = sender.send(&agent.address, "did you get this?");
    let message = loop {
        let heard = session.read(&frame(&mut wire));
        if heard.kind == Kind::Msg {
            break heard;
        }
    };
    let ids: Vec<_> = message.items().iter().map(|item| item.id).collect();
    let receipt = Receipt {
        from: message.seq,
        at: 1_800_000_000_000,
        rejects: Vec::new(),
    };
    let upto = message.seq + ids.len() as u64 - 1;
    let stranger = agent.identity.signing.clone();
    let (own, theirs) = (peer.identity.did.as_str(), alpha().did.as_str());
    let body = receipt.body(&stranger, own, theirs, message.epoch, upto, &ids);
    wire.send_bytes(session.write(Kind::Ack, message.epoch, upto, &body));
    let (code, name) = wire.closed(PATIENCE);
    assert!(
        [(4442, "BAD_RECEIPT"), (4435, "BAD_SIGNATURE")].contains(&(code, name.as_str())),
        "{code} {name}"
    );
    assert_eq!(sender.status(&id)["status"], "accepted");
    goes_on();
}
