//! A peer that lies about what its agents, or others', have read.

use entente_e2e::Socket;
use entente_e2e::fake_peer::{
    FakeAgent, FakePeer, Frame, Item, Kind, OnDial, Receipt, Responder, Session, now,
};
use entente_e2e::socket::Heard;
use entente_lexicon::{Did, MessageId, Timestamp};
use entente_trust::crypto::sign::SigningKey;
use entente_trust::message::read::ReadMark;

use super::*;

/// The stream of records.
const CTL: u8 = 3;
const EPOCH: u64 = 7;

struct Link {
    wire: Socket,
    session: Session,
    sent: u64,
}

fn frame(wire: &mut Socket) -> Vec<u8> {
    match wire.hear(PATIENCE) {
        Heard::Bytes(bytes) => bytes,
        other @ (Heard::Text(_) | Heard::Closed(..) | Heard::Silence) => panic!("heard {other:?}"),
    }
}

impl Link {
    fn open(peer: &FakePeer) -> Self {
        peer.on_dial(OnDial::Accept);
        peer.join(alpha(), "open");
        let mut wire = peer.accepted().socket;
        let hello = frame(&mut wire);
        let mut responder = Responder::new(&peer.identity, peer.know(alpha()), &hello);
        wire.send_bytes(responder.hello_ack());
        responder.read_auth(&frame(&mut wire));
        let (ready, session) = responder.ready();
        wire.send_bytes(ready);
        Self {
            wire,
            session,
            sent: 0,
        }
    }

    fn until(&mut self, what: &str, fits: impl Fn(&Frame) -> bool) -> Frame {
        wait_for(what, PATIENCE, || {
            let frame = self.session.read(&frame(&mut self.wire));
            fits(&frame).then_some(frame)
        })
    }

    /// Takes the next message without acknowledging it.
    fn message(&mut self) -> (Frame, Item) {
        let frame = self.until("a message", |f| f.kind == Kind::Msg && f.stream == 1);
        let item = frame.items().remove(0);
        (frame, item)
    }

    fn acknowledge(&mut self, peer: &FakePeer, (frame, item): &(Frame, Item)) {
        let receipt = Receipt {
            from: frame.seq,
            at: now().0,
            rejects: Vec::new(),
        };
        let (own, theirs) = (peer.identity.did.as_str(), alpha().did.as_str());
        let place = (frame.epoch, frame.seq);
        let key = &peer.identity.signing;
        let body = receipt.body(key, own, theirs, place.0, place.1, &[item.id]);
        let bytes = self.session.write(Kind::Ack, place.0, place.1, &body);
        self.wire.send_bytes(bytes);
    }

    /// Sends a record and waits until alpha has stored it.
    fn tell(&mut self, from: &Did, to: &Did, record: Vec<u8>) {
        self.sent += 1;
        let item = Item {
            id: [u8::try_from(self.sent).unwrap(); 16],
            from: from.clone(),
            to: to.clone(),
            envelope: record,
        };
        let place = (EPOCH, self.sent);
        let body = Item::body(&[item]);
        let bytes = self.session.write_in(CTL, Kind::Msg, place, &body);
        self.wire.send_bytes(bytes);
        let _ = self.until("the record to be stored", |f| {
            f.kind == Kind::Ack && f.stream == CTL && f.seq == place.1
        });
    }
}

fn did(text: &str) -> Did {
    Did::parse(text).unwrap()
}

fn record(reader: (&Did, &SigningKey), writer: &Did, id: [u8; 16], at: Timestamp) -> Vec<u8> {
    let mark = ReadMark::sign(reader, writer, at, vec![id]);
    [&[1][..], &mark.encode()].concat()
}

/// Alpha's admin hears of records that were refused.
struct Watch(Socket);

impl Watch {
    fn new() -> Self {
        let bearer = format!("Bearer {}", alpha().admin_key);
        let url = format!("{}/relay/firehose", alpha().url);
        Self(Socket::open(&url, &[("authorization", bearer.as_str())]).expect("an upgrade"))
    }

    fn hears(&mut self, peer: &FakePeer, code: &str) {
        let _ = self.0.until(&format!("{code} to be told"), |frame| {
            let event = &frame["event"];
            event["kind"] == "receipt.refused"
                && event["peer"] == peer.identity.host.as_str()
                && event["code"] == code
        });
    }
}

fn agent_key(agent: &FakeAgent) -> (&Did, &SigningKey) {
    (&agent.identity.did, &agent.identity.signing)
}

/// Marks that do not hold, with the code that refuses each and the agent in whose name it comes:
/// of a reader and another agent of the peer, about a writer, who is not the other one.
fn lies(
    (reader, other): (&FakeAgent, &FakeAgent),
    (ours, stranger): (&Did, &Did),
    id: [u8; 16],
    (elsewhere, abroad): (&Did, [u8; 16]),
) -> [(&'static str, Did, Vec<u8>); 7] {
    let (theirs, key) = agent_key(reader);
    let forged = &other.identity.signing;
    let mark = |by, id| record(by, ours, id, now());
    [
        ("READ_INVALID", theirs.clone(), mark((theirs, forged), id)),
        // Signed, for another writer.
        (
            "READ_INVALID",
            theirs.clone(),
            record((theirs, key), stranger, id, now()),
        ),
        // Nobody sent that.
        ("READ_UNKNOWN", theirs.clone(), mark((theirs, key), [9; 16])),
        // Another agent says that it read what was sent to the first.
        (
            "READ_UNKNOWN",
            other.identity.did.clone(),
            mark(agent_key(other), id),
        ),
        // A message to an agent of another peer, in that agent's name.
        (
            "READ_UNKNOWN",
            elsewhere.clone(),
            mark((elsewhere, forged), abroad),
        ),
        ("CONTROL_UNKNOWN", theirs.clone(), vec![1, 2, 3]),
        ("CONTROL_UNKNOWN", theirs.clone(), vec![99; 100]),
    ]
}

#[test]
fn a_mark_that_its_reader_did_not_sign_for_this_writer_and_message_changes_nothing() {
    let peer = FakePeer::start(deployment().take_peer_port());
    let (reader, other) = (peer.add_agent("reader"), peer.add_agent("other"));
    let writer = alpha().create_agent("lied-to");
    let stranger = alpha().create_agent("never-wrote");
    let elsewhere = beta().create_agent("reads-elsewhere");
    let (ours, theirs) = (did(&writer.did), &reader.identity.did);
    let mut watch = Watch::new();
    let mut link = Link::open(&peer);
    let id = writer.send(&reader.address, "have you read this?");
    let message = link.message();
    link.acknowledge(&peer, &message);
    writer.wait_for_status(&id, "delivered");
    let raw = message.1.id;
    let abroad = arrived(&writer, &elsewhere, "not for that peer");
    let abroad = MessageId::parse(&abroad).unwrap().to_bytes();

    let abroad = (&did(&elsewhere.did), abroad);
    for (code, from, lie) in lies((&reader, &other), (&ours, &did(&stranger.did)), raw, abroad) {
        link.tell(&from, &ours, lie);
        watch.hears(&peer, code);
        assert_eq!(writer.status(&id)["status"], "delivered", "{code}");
    }
    // For an agent that is not there, and for one that never wrote.
    let nobody = Did::from_scid(&[5; 32]);
    link.tell(
        theirs,
        &nobody,
        record(agent_key(&reader), &nobody, raw, now()),
    );
    let unwritten = did(&stranger.did);
    link.tell(
        theirs,
        &unwritten,
        record(agent_key(&reader), &unwritten, raw, now()),
    );
    watch.hears(&peer, "READ_UNKNOWN");

    // The truth is taken, once.
    for at in [now(), now().after(60_000)] {
        link.tell(theirs, &ours, record(agent_key(&reader), &ours, raw, at));
        let status = writer.wait_for_status(&id, "read");
        assert_eq!(steps(&status), ["accepted", "delivered", "read"]);
        assert_eq!(status["receipts"][2]["by"], peer.identity.did.as_str());
    }
}

#[test]
fn a_mark_that_overtakes_the_receipt_waits_for_it() {
    let peer = FakePeer::start(deployment().take_peer_port());
    let reader = peer.add_agent("hasty");
    let writer = alpha().create_agent("overtaken");
    let ours = did(&writer.did);
    let mut link = Link::open(&peer);
    let id = writer.send(&reader.address, "not so fast");
    let message = link.message();
    let early = Timestamp(now().0 - 60_000);
    let mark = record(agent_key(&reader), &ours, message.1.id, early);
    link.tell(&reader.identity.did, &ours, mark);
    let status = writer.status(&id);
    assert_eq!(status["status"], "accepted");
    assert_eq!(steps(&status), ["accepted"]);
    link.acknowledge(&peer, &message);
    let status = writer.wait_for_status(&id, "read");
    assert_eq!(steps(&status), ["accepted", "delivered", "read"]);
    let receipts = status["receipts"].as_array().unwrap();
    assert!(
        receipts[1]["at"].as_str() <= receipts[2]["at"].as_str(),
        "{status}"
    );
}
