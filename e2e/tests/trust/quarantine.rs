//! What only an admin can decide about is held, decided once, and its sender hears of it.

use entente_e2e::fake_peer::{FakeAgent, Frame, Item, Kind, Session};
use entente_e2e::socket::Socket;
use entente_e2e::{Agent, Options};
use entente_trust::message::origin::sign_origin;

use super::verified::{approve, frame, open_link, open_link_to, sealed, sealed_for, verified_peer};
use super::*;

const QUARANTINE: &str = "/admin/federation/quarantine";
/// The stream of records.
const CTL: u8 = 3;
const EPOCH: u64 = 5;
/// A link that failed while its peer was down dials again within this time.
const RECOVERY: std::time::Duration = std::time::Duration::from_secs(120);

/// What a network holds of a peer.
fn held(network: &Network, peer: &str) -> Vec<Value> {
    let list = network.admin.get(QUARANTINE).expect(200);
    let mut all = list["held"].as_array().unwrap().clone();
    all.retain(|one| one["peer"] == peer);
    all
}

fn decide(network: &Network, item: &Value, decision: &str) -> Reply {
    let item = item["item"].as_str().unwrap();
    let path = format!("{QUARANTINE}/{item}/{decision}");
    network.admin.post(&path, &json!({}))
}

fn texts(agent: &Agent) -> Vec<String> {
    let text = |message: &Value| message["content"]["text"].as_str().unwrap().to_owned();
    agent.inbox(200).iter().map(text).collect()
}

/// A peer's side of a link to alpha.
struct Far {
    wire: Socket,
    session: Session,
    sent: u64,
}

impl Far {
    fn open(peer: &FakePeer) -> Self {
        let (wire, session) = open_link(peer);
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

    /// Sends messages and waits until they are settled.
    fn send(&mut self, items: &[Item]) {
        let first = self.sent + 1;
        self.sent += items.len() as u64;
        let body = Item::body(items);
        self.wire
            .send_bytes(self.session.write(Kind::Msg, EPOCH, first, &body));
        let last = self.sent;
        let _ = self.until("the messages to be settled", |f| {
            f.kind == Kind::Ack && f.stream == 1 && f.seq == last
        });
    }

    /// Hears what was decided: message, code (empty: delivered). Checks the signature by the book.
    fn outcome(&mut self, peer: &FakePeer) -> ([u8; 16], String) {
        let told = self.until("an outcome", |f| f.kind == Kind::Msg && f.stream == CTL);
        let ack = self
            .session
            .write_in(CTL, Kind::Ack, (told.epoch, told.seq), &[]);
        self.wire.send_bytes(ack);
        let item = told.items().remove(0);
        let record = item.envelope.as_slice();
        assert_eq!(record[0], 2, "an outcome");
        let (at, id) = (&record[1..9], &record[9..25]);
        let code = &record[26..26 + usize::from(record[25])];
        let rest = &record[26 + code.len()..];
        let signature = &rest[1 + usize::from(rest[0])..];
        let known = peer.know(alpha());
        let names = [&known.did, peer.identity.did.as_str(), item.from.as_str()];
        let mut statement = b"entente-quarantine/1\0".to_vec();
        statement.extend(names.concat().as_bytes());
        statement.extend(item.to.as_str().as_bytes());
        statement.extend(at);
        statement.extend(id);
        statement.push(record[25]);
        statement.extend(code);
        known
            .key
            .verify(&[&statement], signature)
            .expect("the network's signature");
        assert_eq!(item.id, *id);
        (item.id, String::from_utf8(code.to_vec()).unwrap())
    }
}

fn signed(from: &FakeAgent, to: &Agent, id: u8) -> Item {
    let mut item = sealed(from, to, id);
    item.envelope = sign_origin(&item.envelope, &from.identity.signing).unwrap();
    item
}

#[test]
fn mail_without_an_origin_is_held_and_decided_once() {
    let (peer, agents) = verified_peer(&["unsigned"]);
    let recipient = alpha().create_agent("held-recipient");
    let did = peer.identity.did.as_str();
    let mut far = Far::open(&peer);
    let mail: Vec<_> = (1..=4)
        .map(|id| sealed(&agents[0], &recipient, id))
        .collect();
    far.send(&mail);
    // What is signed is not held up.
    far.send(&[signed(&agents[0], &recipient, 9)]);
    assert_eq!(texts(&recipient), ["message 9"]);

    let list = held(alpha(), did);
    assert_eq!(list.len(), 4, "{list:?}");
    assert_eq!(list[0]["reason"], "ORIGIN_MISSING");
    assert_eq!(list[0]["from"], agents[0].address);
    assert_eq!(list[0]["to"], recipient.address);
    assert!(list[0].get("content").is_none());

    // Delivered in the order released, once.
    for place in [2, 0] {
        let reply = decide(alpha(), &list[place], "release");
        assert_eq!(reply.status, 204, "{}", reply.text());
        assert_eq!(far.outcome(&peer), (mail[place].id, String::new()));
    }
    assert_eq!(texts(&recipient), ["message 9", "message 3", "message 1"]);
    decide(alpha(), &list[0], "release").refused(409, "QUARANTINE_DECIDED");
    decide(alpha(), &list[2], "refuse").refused(409, "QUARANTINE_DECIDED");

    assert_eq!(decide(alpha(), &list[1], "refuse").status, 204);
    let refused = (mail[1].id, "QUARANTINE_REFUSED".to_owned());
    assert_eq!(far.outcome(&peer), refused);

    // An admin vouches for a message, not against the lists.
    let _ = patch(alpha(), did, &json!({ "allowAgents": [] }));
    decide(alpha(), &list[3], "release").refused(409, "RELEASE_REFUSED");
    assert_eq!(held(alpha(), did).len(), 1);

    for unknown in ["x", "did:cf:x.1", &format!("{did}.999"), &format!("{did}.")] {
        let item = json!({ "item": unknown });
        decide(alpha(), &item, "release").refused(404, "NOT_QUARANTINED");
        decide(alpha(), &item, "refuse").refused(404, "NOT_QUARANTINED");
    }
    alpha()
        .admin
        .get(&format!("{QUARANTINE}?cursor=x"))
        .refused(400, "INVALID_CURSOR");
    assert_eq!(texts(&recipient).len(), 3);
    let audited = deployment().sql("alpha", "SELECT action, target FROM audit");
    for action in ["quarantine.release", "quarantine.refuse"] {
        assert!(audited.contains(action), "{audited}");
    }
}

#[test]
fn what_is_held_is_bounded_and_lapses() {
    let options = Options::default().networks(1).fake_peers(1).bare();
    let options = options.var("QUARANTINE_ITEMS", "2");
    let deployment = options.var("QUARANTINE_MS", "4000").start();
    let network = deployment.network("alpha");
    let peer = FakePeer::start(deployment.take_peer_port());
    let sender = peer.add_agent("flooding");
    let recipient = network.create_agent("flooded");
    let (did, listed) = (peer.identity.did.as_str(), &sender.identity.did);
    peer.join(network, "open");
    let wish = json!({ "trustLevel": "verified", "allowAgents": [listed] });
    let _ = patch(network, did, &wish);
    let _ = approve(network, did, &json!({})).expect(200);
    let (mut wire, mut session) = open_link_to(&peer, network);
    let mail: Vec<_> = (1..=3)
        .map(|id| sealed_for(network, &sender, &recipient, id))
        .collect();
    wire.send_bytes(session.write(Kind::Msg, EPOCH, 1, &Item::body(&mail)));
    let ack = wait_for("the messages to be settled", PATIENCE, || {
        let frame = session.read(&frame(&mut wire));
        (frame.kind == Kind::Ack && frame.stream == 1 && frame.seq == 3).then_some(frame)
    });
    let said = String::from_utf8_lossy(&ack.body).into_owned();
    assert!(said.contains("QUARANTINED") && said.contains("QUARANTINE_FULL"));
    assert_eq!(held(network, did).len(), 2);
    // Nobody decides.
    wait_for("both to lapse", PATIENCE, || {
        held(network, did).is_empty().then_some(())
    });
    let told = wait_for("the outcomes", PATIENCE, || {
        let frame = session.read(&frame(&mut wire));
        (frame.kind == Kind::Msg && frame.stream == CTL).then_some(frame)
    });
    let said = String::from_utf8_lossy(&told.body).into_owned();
    assert!(said.contains("QUARANTINE_LAPSED"), "{said}");
    assert!(recipient.inbox(200).is_empty());
    let audited = deployment.sql("alpha", "SELECT action FROM audit");
    assert!(audited.contains("quarantine.lapse"), "{audited}");
}

#[test]
fn a_sender_sees_that_its_mail_is_held_and_what_becomes_of_it_whoever_dies() {
    let deployment = Options::default().networks(2).bare().start();
    let (one, two) = (deployment.network("alpha"), deployment.network("beta"));
    let (near, far) = (one.create_agent("near"), two.create_agent("far"));
    let first = near.send(&far.address, "while all is open");
    near.wait_for_status(&first, "delivered");
    // Written while the link was open, and offered when it is verified: it carries no origin.
    deployment.kill9("beta");
    let ids: Vec<_> = (0..2)
        .map(|n| near.send(&far.address, &format!("unsigned {n}")))
        .collect();
    let list = |agent: &Agent| json!({ "trustLevel": "verified", "allowAgents": [agent.did] });
    let _ = patch(one, &two.did, &list(&far));
    let _ = approve(one, &two.did, &json!({})).expect(200);
    deployment.restart("beta");
    let _ = patch(two, &one.did, &list(&near));
    let _ = approve(two, &one.did, &json!({})).expect(200);
    for id in &ids {
        let status = wait_for("the mail to be held", RECOVERY, || {
            let status = near.status(id);
            (status["status"] == "quarantined").then_some(status)
        });
        let last = status["receipts"].as_array().unwrap().last().unwrap();
        assert_eq!(last["code"], "QUARANTINED", "{status}");
        assert_eq!(last["proof"]["kind"], "receipt", "{status}");
    }
    // Held through a crash; released, and killed before anybody has heard of it.
    deployment.kill9("beta");
    deployment.restart("beta");
    let shelf = held(two, &one.did);
    assert_eq!(shelf.len(), 2, "{shelf:?}");
    assert_eq!(decide(two, &shelf[0], "release").status, 204);
    deployment.kill9("beta");
    deployment.restart("beta");
    assert_eq!(decide(two, &shelf[1], "refuse").status, 204);
    deployment.kill9("beta");
    deployment.restart("beta");
    let ends = |id: &str, status: &str| {
        wait_for(&format!("{id} to be {status}"), RECOVERY, || {
            let found = near.status(id);
            (found["status"] == status).then_some(found)
        })
    };
    let delivered = ends(&ids[0], "delivered");
    let steps: Vec<_> = delivered["receipts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["status"].as_str().unwrap())
        .collect();
    assert_eq!(steps, ["accepted", "quarantined", "delivered"]);
    let refused = ends(&ids[1], "refused");
    let last = refused["receipts"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(
        (&last["code"], &last["proof"]["kind"]),
        (&json!("QUARANTINE_REFUSED"), &json!("outcome"))
    );
    assert_eq!(texts(&far), ["while all is open", "unsigned 0"]);
    assert!(held(two, &one.did).is_empty());
}
