//! What a peer can carry: honest mail arrives once, everything else is refused with its own code.

use entente_e2e::Agent;
use entente_e2e::fake_peer::{FakeAgent, FakePeer, Item, Kind, Session};
use entente_e2e::socket::Socket;
use entente_lexicon::{Content, Did, Timestamp};
use entente_trust::crypto::kem::KemPublic;
use entente_trust::crypto::multikey::kid;
use entente_trust::crypto::sign::SigningKey;
use entente_trust::message::{Body, Header, seal};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde_json::json;

use super::session::{open_session, settled};
use super::{alpha, deployment, goes_on, new_peer};

const EPOCH: u64 = 9;

/// A message to an agent of alpha, to be changed before it is sealed.
struct Draft {
    header: Header,
    key: KemPublic,
    kid: String,
    signing: SigningKey,
    text: String,
}

impl Draft {
    fn new(from: &FakeAgent, to: &Agent, id: u8) -> Self {
        let card = alpha()
            .public
            .get(&format!("/relay/agents/{}", to.did))
            .expect(200);
        let hybrid = card["keys"]["hybrid"].as_str().unwrap();
        Self {
            header: Header {
                id: [id; 16],
                from: from.identity.did.clone(),
                to: Did::parse(&to.did).unwrap(),
                network: Did::parse(&alpha().did).unwrap(),
                index: u64::from(id),
                expires: None,
            },
            key: KemPublic::from_multikey(hybrid).unwrap(),
            kid: kid(hybrid),
            signing: from.identity.signing.clone(),
            text: format!("message {id}"),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn seal(self) -> Item {
        let body = Body {
            content: Content::Text { text: self.text },
            thread: Some("from afar".to_owned()),
            priority: 4,
            created_at: Timestamp(1_790_000_000_000),
        };
        let mut rng = UnwrapErr(SysRng);
        let sealed = seal(
            &self.header,
            &body,
            &self.signing,
            &self.key,
            &self.kid,
            &mut rng,
        );
        Item {
            id: self.header.id,
            from: self.header.from,
            to: self.header.to,
            envelope: sealed.unwrap(),
        }
    }
}

/// Sends one frame of messages from `seq` on and returns what was refused.
fn carry(
    peer: &FakePeer,
    (wire, session): &mut (Socket, Session),
    seq: u64,
    items: &[Item],
) -> Vec<(u64, String)> {
    wire.send_bytes(session.write(Kind::Msg, EPOCH, seq, &Item::body(items)));
    let ids: Vec<_> = items.iter().map(|item| item.id).collect();
    settled(peer, wire, session, (EPOCH, seq), &ids)
}

#[test]
fn honest_mail_of_a_second_implementation_arrives_once_and_in_order() {
    let peer = new_peer();
    let sender = peer.add_agent("honest");
    let recipient = alpha().create_agent("from-afar");
    let items: Vec<_> = (1..=5)
        .map(|id| Draft::new(&sender, &recipient, id).seal())
        .collect();
    let mut link = open_session(&peer);
    assert_eq!(carry(&peer, &mut link, 1, &items), []);
    // Carried again, as after a lost acknowledgement: known, and still delivered.
    assert_eq!(carry(&peer, &mut link, 6, &items), []);
    let inbox = recipient.inbox(200);
    let texts: Vec<_> = inbox
        .iter()
        .map(|message| message["content"]["text"].clone())
        .collect();
    assert_eq!(
        texts,
        [
            "message 1",
            "message 2",
            "message 3",
            "message 4",
            "message 5"
        ]
    );
    assert_eq!(inbox[0]["from"], sender.address);
    assert_eq!(
        (&inbox[0]["thread"], &inbox[0]["priority"]),
        (&json!("from afar"), &json!(4))
    );
    // And the agent can answer.
    let id = recipient.send(&sender.address, "got it");
    assert_eq!(recipient.status(&id)["status"], "accepted");
}

/// A change to a draft, and the code it must earn.
type Flaw<'a> = (&'static str, &'a dyn Fn(&mut Draft));

/// Sends a good message, one with each flaw, and a good one again.
fn each_is_refused(peer: &FakePeer, sender: &FakeAgent, recipient: &Agent, flaws: &[Flaw<'_>]) {
    let draft = |id: usize| Draft::new(sender, recipient, u8::try_from(id).unwrap());
    let mut items = vec![draft(1).seal()];
    for (place, (_, change)) in flaws.iter().enumerate() {
        items.push(draft(place + 2).with(change).seal());
    }
    items.push(draft(flaws.len() + 2).seal());
    let codes = flaws.iter().map(|(code, _)| (*code).to_owned());
    let expected: Vec<_> = (2..).zip(codes).collect();
    assert_eq!(carry(peer, &mut open_session(peer), 1, &items), expected);
    assert_eq!(recipient.inbox(200).len(), 2, "the good ones arrived");
}

#[test]
fn mail_that_does_not_hold_is_refused_with_its_own_code() {
    let peer = new_peer();
    let sender = peer.add_agent("doubtful");
    let other = peer.add_agent("other");
    let recipient = alpha().create_agent("sceptic");
    let bob = Draft::new(&sender, deployment().agent("bob"), 0);
    let beta = Did::parse(&deployment().network("beta").did).unwrap();
    let diana = Did::parse(&deployment().agent("diana").did).unwrap();
    let flaws: [Flaw<'_>; 7] = [
        ("BAD_SIGNATURE", &|draft| {
            draft.signing = other.identity.signing.clone()
        }),
        ("WRONG_NETWORK", &|draft| {
            draft.header.network = beta.clone()
        }),
        ("EXPIRED", &|draft| {
            draft.header.expires = Some(Timestamp(1_700_000_000_000))
        }),
        ("UNDECRYPTABLE", &|draft| draft.key = bob.key.clone()),
        ("KEY_EXPIRED", &|draft| draft.kid.clone_from(&bob.kid)),
        // A peer speaks for its own agents only.
        ("UNKNOWN_SENDER", &|draft| draft.header.from = diana.clone()),
        // The id of the first message with other words.
        ("ID_REUSED", &|draft| draft.header.id = [1; 16]),
    ];
    each_is_refused(&peer, &sender, &recipient, &flaws);
    goes_on();
}

#[test]
fn mail_that_was_damaged_on_its_way_is_refused() {
    let peer = new_peer();
    let sender = peer.add_agent("damaged");
    let recipient = alpha().create_agent("unlucky");
    let mut items: Vec<_> = (1..=4)
        .map(|id| Draft::new(&sender, &recipient, id).seal())
        .collect();
    let middle = items[0].envelope.len() - 40;
    items[0].envelope[middle] ^= 1;
    items[1].envelope[0] = 2;
    items[2].envelope.pop();
    let refused = carry(&peer, &mut open_session(&peer), 1, &items);
    let codes: Vec<_> = refused
        .iter()
        .map(|(seq, code)| (*seq, code.as_str()))
        .collect();
    assert_eq!(
        codes,
        [
            (1, "UNDECRYPTABLE"),
            (2, "UNKNOWN_SUITE"),
            (3, "MESSAGE_MALFORMED")
        ]
    );
    assert_eq!(recipient.inbox(200).len(), 1);
    goes_on();
}
