//! What a peer can do once its handshake held.

use entente_e2e::Socket;
use entente_e2e::fake_peer::{
    Direction, FakeAgent, FakePeer, Item, Kind, Receipt, Responder, Session,
};
use entente_lexicon::Did;

use super::{alpha, blames, closes, deployment, dialled, frame, goes_on, new_peer};

/// A session that alpha dialled.
pub(crate) fn open_session(peer: &FakePeer) -> (Socket, Session) {
    let (mut wire, known, hello) = dialled(peer, "open");
    let mut responder = Responder::new(&peer.identity, known, &hello);
    wire.send_bytes(responder.hello_ack());
    responder.read_auth(&frame(&mut wire));
    let (ready, session) = responder.ready();
    wire.send_bytes(ready);
    alpha().wait_for_peer(peer.identity.did.as_str(), "up");
    (wire, session)
}

/// Reads signed receipts until every message from `first` on is settled; returns what was refused.
pub(crate) fn settled(
    peer: &FakePeer,
    wire: &mut Socket,
    session: &mut Session,
    (epoch, first): (u64, u64),
    ids: &[[u8; 16]],
) -> Vec<(u64, String)> {
    let known = peer.know(alpha());
    let place = |seq: u64| usize::try_from(seq - first).unwrap();
    let last = first + ids.len() as u64 - 1;
    let (mut refused, mut from) = (Vec::new(), first);
    while from <= last {
        let ack = session.read(&frame(wire));
        if ack.kind != Kind::Ack {
            continue;
        }
        assert_eq!(ack.epoch, epoch);
        let covered = &ids[place(from)..=place(ack.seq)];
        let own = peer.identity.did.as_str();
        let receipt = Receipt::read(&ack, &known.key, &known.did, own, covered);
        assert_eq!(receipt.from, from, "receipts leave no hole");
        for (seq, id, code) in receipt.rejects.into_iter().filter(|(seq, ..)| *seq >= from) {
            assert_eq!(id, ids[place(seq)]);
            refused.push((seq, code));
        }
        from = ack.seq + 1;
    }
    refused
}

fn found_out(
    peer: &FakePeer,
    code: u16,
    name: &str,
    cheat: impl FnOnce(&mut Session) -> Vec<Vec<u8>>,
) {
    let (mut wire, mut session) = open_session(peer);
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
    let (mut wire, mut session) = open_session(&peer);
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
    let (mut wire, mut session) = open_session(&peer);
    let nobody = format!("did:cf:{}", "b".repeat(51) + "a");
    let items = [
        nonsense(&agent, &alice.did, 1),
        nonsense(&agent, &nobody, 2),
        nonsense(&agent, &alice.did, 3),
    ];
    wire.send_bytes(session.write(Kind::Msg, 7, 1, &Item::body(&items)));
    let refused = settled(
        &peer,
        &mut wire,
        &mut session,
        (7, 1),
        &[[1; 16], [2; 16], [3; 16]],
    );
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
    let (mut wire, mut session) = open_session(&peer);
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
    closes(&mut wire, 4442, "BAD_RECEIPT");
    assert_eq!(sender.status(&id)["status"], "accepted");
    goes_on();
}
