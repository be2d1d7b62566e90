//! What a peer can do with announcements: its own agents' are believed, nobody else's.

use entente_e2e::fake_peer::{FakeAgent, Item, now};
use entente_lexicon::{Did, MessageId};
use entente_trust::announcement::{Announcement, DEFAULT_COLLECTION};
use entente_trust::crypto::sign::SigningKey;

use super::*;

const EPOCH: u64 = 9;

/// An announcement of a fake peer's agent to alpha, to be changed before it is signed.
struct Draft {
    announcement: Announcement,
    signing: SigningKey,
    to: Did,
}

impl Draft {
    fn new(agent: &FakeAgent, network: &Did, id: u8) -> Self {
        Self {
            announcement: Announcement {
                id: [id; 16],
                from: agent.identity.did.clone(),
                network: network.clone(),
                collection: DEFAULT_COLLECTION.to_owned(),
                at: now(),
                content: says("from afar").to_string(),
                kid: String::new(),
            },
            signing: agent.identity.signing.clone(),
            to: Did::parse(&alpha().did).unwrap(),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn sign(self) -> Item {
        Item {
            id: self.announcement.id,
            from: self.announcement.from.clone(),
            to: self.to,
            envelope: self.announcement.sign(&self.signing).unwrap(),
        }
    }
}

fn alpha() -> &'static Network {
    deployment().network("alpha")
}

fn id_text(id: u8) -> String {
    MessageId::from_bytes([id; 16]).to_string()
}

fn listed_from(agent: &FakeAgent) -> Vec<String> {
    let mine = |one: &Value| one["from"] == agent.address.as_str();
    let all = listed(alpha()).into_iter().filter(mine);
    all.map(|one| one["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn an_honest_announcement_is_listed_once_however_often_it_comes() {
    let (peer, mut wire, mut session) = session(alpha());
    let agent = peer.add_agent("honest");
    let items = [1, 2].map(|id| Draft::new(&agent, &peer.identity.did, id).sign());
    wire.send_bytes(session.write_event(EPOCH, 1, &Item::body(&items)));
    wire.send_bytes(session.write_event(EPOCH, 3, &Item::body(&items)));
    wait_for_tally(alpha(), peer.identity.did.as_str(), "in", "pass", 4);
    assert_eq!(listed_from(&agent), [id_text(2), id_text(1)]);
    // The same id with other words is another announcement, and not the one that was announced.
    let other = Draft::new(&agent, &peer.identity.did, 1)
        .with(|draft| draft.announcement.content = says("something else").to_string());
    wire.send_bytes(session.write_event(EPOCH, 5, &Item::body(&[other.sign()])));
    wait_for_tally(alpha(), peer.identity.did.as_str(), "in", "ID_REUSED", 1);
    let seen = find(alpha(), &id_text(1)).unwrap();
    assert_eq!(seen["content"], says("from afar"));
}

#[test]
fn a_forged_announcement_is_refused_alone_and_held_against_the_peer() {
    let (peer, mut wire, mut session) = session(alpha());
    let (agent, stranger) = (peer.add_agent("forger"), peer.add_agent("stranger"));
    let did = peer.identity.did.clone();
    let unknown = Did::from_scid(&[7; 32]);
    let forged = [
        // By another agent's key, of an agent that its network does not know, too long, no event.
        Draft::new(&agent, &did, 1).with(|draft| draft.signing = stranger.identity.signing.clone()),
        Draft::new(&agent, &did, 2).with(|draft| draft.announcement.from = unknown.clone()),
    ];
    let mut items = forged.map(Draft::sign).to_vec();
    let sound = Draft::new(&agent, &did, 3).sign();
    items.push(Item {
        id: [4; 16],
        envelope: vec![0; 13 * 1024],
        ..sound.clone()
    });
    items.push(Item {
        id: [5; 16],
        ..sound.clone()
    });
    items.push(sound);
    wire.send_bytes(session.write_event(EPOCH, 1, &Item::body(&items)));
    for code in [
        "EVENT_BAD_SIGNATURE",
        "EVENT_FOREIGN_AUTHOR",
        "EVENT_TOO_LARGE",
        "EVENT_MALFORMED",
    ] {
        wait_for_tally(alpha(), did.as_str(), "in", code, 1);
    }
    wait_for_tally(alpha(), did.as_str(), "in", "pass", 1);
    assert_eq!(listed_from(&agent), [id_text(3)]);
    // Who goes on forging is put aside.
    let more: Vec<_> = (10..20)
        .map(|id| {
            let draft = Draft::new(&agent, &did, id);
            draft
                .with(|draft| draft.signing = stranger.identity.signing.clone())
                .sign()
        })
        .collect();
    wire.send_bytes(session.write_event(EPOCH, 6, &Item::body(&more)));
    wait_for("the peer to be put aside", PATIENCE, || {
        let detail = alpha().admin.get(&format!("{PEERS}/{did}")).expect(200)["detail"].clone();
        (detail["penalty"]["reason"] == "EVENT_BAD_SIGNATURE").then_some(())
    });
    assert_eq!(wire.closed(PATIENCE).0, 4435);
    assert_eq!(listed_from(&agent), [id_text(3)]);
}

#[test]
fn another_networks_announcement_passes_only_where_that_network_is_listed_and_known() {
    let beta = deployment().network("beta");
    let (peer, mut wire, mut session) = session(alpha());
    let did = peer.identity.did.clone();
    // Beta's agent announces; the fake peer makes the same bytes travel through itself.
    let other = FakePeer::start(deployment().take_peer_port());
    let agent = other.add_agent("elsewhere");
    let item = |id| Draft::new(&agent, &other.identity.did, id).sign();
    wire.send_bytes(session.write_event(EPOCH, 1, &Item::body(&[item(1)])));
    wait_for_tally(alpha(), did.as_str(), "in", "NETWORK_NOT_ALLOWED", 1);
    let both = json!({ "allowNetworks": [other.identity.did, beta.did] });
    patch(alpha(), did.as_str(), &both);
    // Listed, but alpha knows nobody who could say whose key that is.
    wire.send_bytes(session.write_event(EPOCH, 2, &Item::body(&[item(2)])));
    wait_for_tally(alpha(), did.as_str(), "in", "NOT_PEERED", 1);
    let _ = other.join(alpha(), "open");
    wire.send_bytes(session.write_event(EPOCH, 3, &Item::body(&[item(3)])));
    wait_for_tally(alpha(), did.as_str(), "in", "pass", 1);
    assert_eq!(listed_from(&agent), [id_text(3)]);
    // An agent of one network is none of another's.
    let own = peer.add_agent("turncoat");
    let posed = Draft::new(&own, &other.identity.did, 4).sign();
    wire.send_bytes(session.write_event(EPOCH, 4, &Item::body(&[posed])));
    wait_for_tally(alpha(), did.as_str(), "in", "EVENT_FOREIGN_AUTHOR", 1);
}

#[test]
fn what_a_peer_dropped_is_shown_as_a_gap() {
    let (peer, mut wire, mut session) = session(alpha());
    let agent = peer.add_agent("forgetful");
    let firehose = format!("{}/relay/firehose", alpha().url);
    let key = format!("Bearer {}", alpha().admin_key);
    let mut admin = Socket::open(&firehose, &[("authorization", key.as_str())]).unwrap();
    let item = |id| Draft::new(&agent, &peer.identity.did, id).sign();
    wire.send_bytes(session.write_event(EPOCH, 1, &Item::body(&[item(1)])));
    let mut after = Item::body(&[item(2)]);
    after[..8].copy_from_slice(&41_u64.to_be_bytes());
    wire.send_bytes(session.write_event(EPOCH, 42, &after));
    let gap = admin.until("the gap", |frame| frame["event"]["kind"] == "events.gap");
    assert_eq!(gap["event"]["label"], "40 evt");
    assert_eq!(gap["event"]["peer"], peer.identity.host.as_str());
    wait_for_tally(alpha(), peer.identity.did.as_str(), "in", "pass", 2);
    assert_eq!(listed_from(&agent), [id_text(2), id_text(1)]);
}
