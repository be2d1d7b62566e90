//! What a peer can do with endorsements: its own agents' are heard, as themselves and once.

use entente_e2e::Socket;
use entente_e2e::fake_peer::{FakeAgent, FakePeer, Item, OnDial, Responder, Session, now};
use entente_e2e::socket::Heard;
use entente_lexicon::{Content, Did, RecordPath, Timestamp};
use entente_reputation::{COLLECTION, Statement};
use entente_trust::announcement::Announcement;
use entente_trust::crypto::hash::sha256;

use super::*;

const EPOCH: u64 = 9;

/// A fake peer with a session that a network dialled.
fn session(deployment: &Deployment, network: &Network) -> (FakePeer, Socket, Session) {
    let peer = FakePeer::start(deployment.take_peer_port());
    peer.on_dial(OnDial::Accept);
    let _ = peer.join(network, "open");
    let mut wire = peer.accepted().socket;
    let hello = frame(&mut wire);
    let mut responder = Responder::new(&peer.identity, peer.know(network), &hello);
    wire.send_bytes(responder.hello_ack());
    responder.read_auth(&frame(&mut wire));
    let (ready, session) = responder.ready();
    wire.send_bytes(ready);
    let _ = network.wait_for_peer(peer.identity.did.as_str(), "up");
    (peer, wire, session)
}

fn frame(wire: &mut Socket) -> Vec<u8> {
    match wire.hear(PATIENCE) {
        Heard::Bytes(bytes) => bytes,
        other @ (Heard::Text(_) | Heard::Closed(..) | Heard::Silence) => {
            panic!("expected a frame, heard {other:?}")
        }
    }
}

fn record(subject: &str, score: u64, at: Timestamp) -> Value {
    json!({ "$type": COLLECTION, "subject": subject, "score": score, "createdAt": at })
}

/// The CID of a record as small as these: canonical DAG-CBOR, by hand.
fn cid(record: &Value) -> String {
    let text = |text: &str| {
        let length = u8::try_from(text.len()).unwrap();
        let head = if length < 24 {
            vec![0x60 | length]
        } else {
            vec![0x78, length]
        };
        [head, text.as_bytes().to_vec()].concat()
    };
    let score = u8::try_from(record["score"].as_u64().unwrap()).unwrap();
    let number = if score < 24 {
        vec![score]
    } else {
        vec![0x18, score]
    };
    let block = [
        vec![0xa4],
        text("$type"),
        text(COLLECTION),
        text("score"),
        number,
        text("subject"),
        text(record["subject"].as_str().unwrap()),
        text("createdAt"),
        text(record["createdAt"].as_str().unwrap()),
    ]
    .concat();
    let named = [&[1, 0x71, 0x12, 32][..], &sha256(&[&block])].concat();
    let base32 = data_encoding::BASE32_NOPAD.encode(&named);
    format!("b{}", base32.to_lowercase())
}

/// A word of a fake peer's agent, to be changed before it is signed.
struct Draft {
    author: Did,
    signing: entente_trust::crypto::sign::SigningKey,
    announcement: Announcement,
}

impl Draft {
    fn new(agent: &FakeAgent, network: &Did, id: u8, content: &Content, at: Timestamp) -> Self {
        Self {
            author: agent.identity.did.clone(),
            signing: agent.identity.signing.clone(),
            announcement: Announcement {
                id: [id; 16],
                from: agent.identity.did.clone(),
                network: network.clone(),
                collection: COLLECTION.to_owned(),
                at,
                content: serde_json::to_string(content).unwrap(),
                kid: String::new(),
            },
        }
    }

    fn sign(self, to: &Network) -> Item {
        Item {
            id: self.announcement.id,
            from: self.author,
            to: Did::parse(&to.did).unwrap(),
            envelope: self.announcement.sign(&self.signing).unwrap(),
        }
    }
}

fn path(rkey: &str) -> RecordPath {
    RecordPath::parse(&format!("{COLLECTION}/{rkey}")).unwrap()
}

fn give(author: &Did, rkey: &str, record: &Value, cid: String) -> Content {
    let record = record.as_object().unwrap().clone();
    Statement::give(author, &path(rkey), cid, record).unwrap()
}

fn tally(network: &Network, did: &str, code: &str) -> u64 {
    let detail = network
        .admin
        .get(&format!("/admin/federation/peers/{did}"))
        .expect(200)["detail"]
        .clone();
    let events = detail["events"].as_array().unwrap();
    let found = events
        .iter()
        .find(|one| one["direction"] == "in" && one["code"] == code);
    found.map_or(0, |one| one["count"].as_u64().unwrap())
}

fn wait_for_tally(network: &Network, did: &str, code: &str, count: u64) {
    wait_for(&format!("{count} to count as {code}"), PATIENCE, || {
        (tally(network, did, code) >= count).then_some(())
    });
}

#[test]
fn a_forged_misattributed_changed_or_untimely_word_is_not_heard() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let subject = alpha.create_agent("slandered");
    let (peer, mut wire, mut session) = session(deployment, alpha);
    let network = peer.identity.did.clone();
    let (agent, other) = (peer.add_agent("liar"), peer.add_agent("victim"));
    let at = now();
    let slander = record(&subject.did, 0, at);
    let right = cid(&slander);
    let me = &agent.identity.did;
    let draft = |id, content: &Content| Draft::new(&agent, &network, id, content, at);
    let sound = give(me, "sound", &slander, right.clone());
    // Signed by another than it names.
    let mut forged = draft(1, &sound);
    forged.signing = other.identity.signing.clone();
    // A record of another's repo.
    let anothers = give(&other.identity.did, "x", &slander, right.clone());
    // A record that is not what its CID says; no record at all; too late and too early.
    let changed = give(me, "x", &record(&subject.did, 1, at), right);
    let none = Content::Json {
        data: json!({ "uri": format!("at://{me}/{}", path("x")), "cid": "b", "record": {} }),
    };
    let day = 86_400_000;
    let late = Draft::new(&agent, &network, 5, &sound, Timestamp(at.0 - 31 * day));
    let early = Draft::new(&agent, &network, 6, &sound, at.after(day));
    let items = [
        forged.sign(alpha),
        draft(2, &anothers).sign(alpha),
        draft(3, &changed).sign(alpha),
        draft(4, &none).sign(alpha),
        late.sign(alpha),
        early.sign(alpha),
        draft(7, &sound).sign(alpha),
    ];
    wire.send_bytes(session.write_event(EPOCH, 1, &Item::body(&items)));
    let did = network.as_str();
    for (code, count) in [
        ("EVENT_BAD_SIGNATURE", 1),
        ("ENDORSEMENT_OTHER_AUTHOR", 1),
        ("ENDORSEMENT_CID_MISMATCH", 1),
        ("ENDORSEMENT_MALFORMED", 1),
        ("ENDORSEMENT_UNTIMELY", 2),
        ("pass", 1),
    ] {
        wait_for_tally(alpha, did, code, count);
    }
    let told = wait_for_voices(alpha, &subject.address, 1);
    assert_eq!((&told["total"], &told["score"]), (&json!(1), &json!(44)));
}

#[test]
fn a_word_that_was_withdrawn_does_not_come_back_and_a_flood_moves_it_by_a_cap() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let subject = alpha.create_agent("besieged");
    let (peer, mut wire, mut session) = session(deployment, alpha);
    let network = peer.identity.did.clone();
    let agent = peer.add_agent("repentant");
    let at = now();
    let me = &agent.identity.did;
    let bad = record(&subject.did, 0, Timestamp(at.0 - 5_000));
    let word = give(me, "one", &bad, cid(&bad));
    let said = Draft::new(&agent, &network, 1, &word, Timestamp(at.0 - 2_000)).sign(alpha);
    let withdrawn = Statement::withdraw(me, &path("one")).unwrap();
    let withdrawn = Draft::new(&agent, &network, 2, &withdrawn, Timestamp(at.0 - 1_000));
    // The same word once more under another id, as old as it was.
    let again = Draft::new(&agent, &network, 3, &word, Timestamp(at.0 - 1_500)).sign(alpha);
    let items = [said.clone(), withdrawn.sign(alpha), said, again];
    wire.send_bytes(session.write_event(EPOCH, 1, &Item::body(&items)));
    wait_for_tally(alpha, network.as_str(), "pass", 4);
    assert_eq!(reputation(alpha, &subject.address)["total"], 0);
    // Twenty agents of one network that anybody could open.
    let flood: Vec<_> = (0..20_u8)
        .map(|n| {
            let sybil = peer.add_agent(&format!("sybil-{n}"));
            let content = give(&sybil.identity.did, "one", &bad, cid(&bad));
            Draft::new(&sybil, &network, 10 + n, &content, at).sign(alpha)
        })
        .collect();
    wire.send_bytes(session.write_event(EPOCH, 5, &Item::body(&flood)));
    let told = wait_for_voices(alpha, &subject.address, 20);
    assert_eq!(
        (&told["weight"], &told["score"]),
        (&json!(750_000), &json!(36))
    );
    // The peer goes, and with it what its agents said.
    let removed = alpha
        .admin
        .delete(&format!("/admin/federation/peers/{network}"));
    assert_eq!(removed.status, 204);
    let told = wait_for_voices(alpha, &subject.address, 0);
    assert!(
        silences(&told).iter().all(|why| why == "not-peered"),
        "{told}"
    );
    assert!(told.get("score").is_none());
}
