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

#[test]
fn mail_that_does_not_hold_is_refused_with_its_own_code() {
    let peer = new_peer();
    let sender = peer.add_agent("doubtful");
    let recipient = alpha().create_agent("sceptic");
    let draft = |id: u8| Draft::new(&sender, &recipient, id);
    let other = peer.add_agent("other");
    let bob = Draft::new(&sender, deployment().agent("bob"), 0);
    let beta = Did::parse(&deployment().network("beta").did).unwrap();
    let diana = Did::parse(&deployment().agent("diana").did).unwrap();
    let mut flipped = draft(7).seal();
    let last = flipped.envelope.len() - 40;
    flipped.envelope[last] ^= 1;
    let mut suite = draft(8).seal();
    suite.envelope[0] = 2;
    let items = [
        (draft(1).seal(), None),
        (
            draft(2)
                .with(|draft| draft.signing = other.identity.signing.clone())
                .seal(),
            Some("BAD_SIGNATURE"),
        ),
        (
            draft(3)
                .with(|draft| draft.header.network = beta.clone())
                .seal(),
            Some("WRONG_NETWORK"),
        ),
        (
            draft(4)
                .with(|draft| draft.header.expires = Some(Timestamp(1_700_000_000_000)))
                .seal(),
            Some("EXPIRED"),
        ),
        (
            draft(5).with(|draft| draft.key = bob.key.clone()).seal(),
            Some("UNDECRYPTABLE"),
        ),
        (
            draft(6).with(|draft| draft.kid.clone_from(&bob.kid)).seal(),
            Some("KEY_EXPIRED"),
        ),
        (flipped, Some("UNDECRYPTABLE")),
        (suite, Some("MESSAGE_MALFORMED")),
        // A peer speaks for its own agents only.
        (
            draft(9)
                .with(|draft| draft.header.from = diana.clone())
                .seal(),
            Some("UNKNOWN_SENDER"),
        ),
        // The same id with other words.
        (
            draft(1)
                .with(|draft| draft.text = "something else".to_owned())
                .seal(),
            Some("ID_REUSED"),
        ),
        (draft(10).seal(), None),
    ];
    let expected: Vec<_> = (1..)
        .zip(&items)
        .filter_map(|(seq, (_, code))| code.map(|code| (seq, code.to_owned())))
        .collect();
    let items: Vec<_> = items.into_iter().map(|(item, _)| item).collect();
    let mut link = open_session(&peer);
    assert_eq!(carry(&peer, &mut link, 1, &items), expected);
    let inbox = recipient.inbox(200);
    let texts: Vec<_> = inbox
        .iter()
        .map(|message| message["content"]["text"].clone())
        .collect();
    assert_eq!(texts, ["message 1", "message 10"]);
    goes_on();
}
