//! What a peer can carry: honest mail arrives once, everything else is refused with its own code.

use std::time::{SystemTime, UNIX_EPOCH};

use entente_e2e::Agent;
use entente_e2e::fake_peer::{FakeAgent, FakePeer, Item, Kind, Page, Session};
use entente_e2e::socket::Socket;
use entente_e2e::wait::{PATIENCE, wait_until};
use entente_lexicon::{Content, Did, Timestamp};
use entente_trust::crypto::sign::{SigningKey, VerifyingKey};
use entente_trust::message::{Body, Header, Prekey, Sending, SignedPrekey};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde_json::json;

use super::session::{open_session, settled};
use super::{alpha, deployment, goes_on, new_peer};

const EPOCH: u64 = 9;

/// The prekey that an agent of a network publishes.
pub(super) fn prekey_of(agent: &Agent) -> Prekey {
    let network = deployment()
        .networks()
        .iter()
        .find(|network| agent.address.ends_with(&network.host))
        .unwrap();
    let path = format!("/relay/agents/{}", agent.did);
    let card = network.public.get(&path).expect(200);
    let key = VerifyingKey::from_multikey(card["keys"]["signing"].as_str().unwrap()).unwrap();
    let published = network.public.get(&format!("{path}/prekey"));
    let did = Did::parse(&agent.did).unwrap();
    let signed = SignedPrekey::parse(&published.text()).unwrap();
    signed.verify(&did, &key, now()).unwrap()
}

/// A message to an agent of alpha, to be changed before it is sealed.
pub(super) struct Draft {
    header: Header,
    prekey: Prekey,
    signing: SigningKey,
    text: String,
    /// What it says in place of the text.
    pub(super) content: Option<Content>,
    /// Whether what opens the conversation is left out.
    bare: bool,
}

impl Draft {
    pub(super) fn new(from: &FakeAgent, to: &Agent, id: u8) -> Self {
        Self {
            header: Header {
                id: [id; 16],
                from: from.identity.did.clone(),
                to: Did::parse(&to.did).unwrap(),
                network: Did::parse(&alpha().did).unwrap(),
                index: u64::from(id),
                expires: None,
            },
            prekey: prekey_of(to),
            signing: from.identity.signing.clone(),
            text: format!("message {id}"),
            content: None,
            bare: false,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Seals it in a conversation of its own.
    pub(super) fn seal(self) -> Item {
        let mut rng = UnwrapErr(SysRng);
        let header = &self.header;
        let mut epoch =
            Sending::open(&header.from, &self.signing, &self.prekey, now(), &mut rng).unwrap();
        if self.bare {
            epoch.acknowledged();
        }
        self.seal_in(&mut epoch)
    }

    fn seal_in(self, epoch: &mut Sending) -> Item {
        let body = Body {
            content: self.content.unwrap_or(Content::Text { text: self.text }),
            thread: Some("from afar".to_owned()),
            priority: 4,
            created_at: Timestamp(1_790_000_000_000),
        };
        let mut rng = UnwrapErr(SysRng);
        Item {
            id: self.header.id,
            envelope: epoch.seal(&self.header, &body, &mut rng).unwrap(),
            from: self.header.from,
            to: self.header.to,
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(since.as_millis()).unwrap())
}

/// Sends one frame of messages from `seq` on and returns what was refused.
pub(super) fn carry(
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
    // One conversation; from the third message on without what opened it.
    let first = Draft::new(&sender, &recipient, 1);
    let mut rng = UnwrapErr(SysRng);
    let mut epoch = Sending::open(
        &sender.identity.did,
        &first.signing,
        &first.prekey,
        now(),
        &mut rng,
    )
    .unwrap();
    let mut items = vec![first.seal_in(&mut epoch)];
    for id in 2..=5 {
        items.push(Draft::new(&sender, &recipient, id).seal_in(&mut epoch));
        epoch.acknowledged();
    }
    assert!(items[4].envelope.len() + 1_200 < items[0].envelope.len());
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
    let mut theirs = bob.prekey.clone();
    theirs.kid = prekey_of(&recipient).kid;
    theirs.did = Did::parse(&recipient.did).unwrap();
    let mut gone = theirs.clone();
    gone.kid.clone_from(&bob.prekey.kid);
    let flaws: [Flaw<'_>; 8] = [
        ("BAD_SIGNATURE", &|draft| {
            draft.signing = other.identity.signing.clone()
        }),
        ("WRONG_NETWORK", &|draft| {
            draft.header.network = beta.clone()
        }),
        ("EXPIRED", &|draft| {
            draft.header.expires = Some(Timestamp(1_700_000_000_000))
        }),
        ("UNDECRYPTABLE", &|draft| draft.prekey = theirs.clone()),
        ("KEY_EXPIRED", &|draft| draft.prekey = gone.clone()),
        ("UNKNOWN_EPOCH", &|draft| draft.bare = true),
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
    items[1].envelope[0] = 1;
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

/// A sender whose card cannot be fetched keeps nobody else waiting.
#[test]
fn a_sender_whose_card_is_not_served_is_refused_for_now_and_delays_nobody() {
    let peer = new_peer();
    let (hidden, sender) = (peer.add_agent("hidden"), peer.add_agent("shown"));
    let card = format!("/relay/agents/{}", hidden.identity.did);
    peer.serve(&card, Page::status(500));
    let recipient = alpha().create_agent("not-kept-waiting");
    let items = [
        Draft::new(&hidden, &recipient, 1).seal(),
        Draft::new(&sender, &recipient, 2).seal(),
    ];
    let mut link = open_session(&peer);
    let refused = carry(&peer, &mut link, 1, &items);
    assert_eq!(refused, [(1, "SENDER_UNREACHABLE".to_owned())]);
    assert_eq!(recipient.inbox(200).len(), 1);
    peer.serve(&card, Page::json(&hidden.card));
    assert_eq!(carry(&peer, &mut link, 3, &items[..1]), []);
    assert_eq!(recipient.inbox(200).len(), 2);
}

/// While a recipient's prekey is not served, is forged or has expired, messages to it wait, and
/// other mail does not.
#[test]
fn messages_wait_for_a_prekey_that_holds_and_then_go() {
    let peer = new_peer();
    peer.join(alpha(), "open");
    let sender = alpha().create_agent("waits-for-keys");
    let queued = || alpha().peer(peer.identity.did.as_str())["queued"].clone();
    let other = peer.add_agent("in-time");
    let prekey = |of: &FakeAgent, signer: &FakeAgent, from: Timestamp| {
        let (did, key) = (&of.identity.did, of.identity.hybrid.public());
        let signed = SignedPrekey::sign(
            did,
            &key,
            from,
            from.after(60_000),
            &signer.identity.signing,
        );
        Page::json(&signed.unwrap().to_text())
    };
    let mut waiting = Vec::new();
    for name in ["down", "swapped", "forged", "expired"] {
        let agent = peer.add_agent(name);
        let path = format!("/relay/agents/{}/prekey", agent.identity.did);
        let bad = match name {
            "down" => Page::status(503),
            "swapped" => Page::json(&other.prekey),
            "forged" => prekey(&agent, &other, now()),
            _ => prekey(&agent, &agent, Timestamp(now().0 - 61_000)),
        };
        peer.serve(&path, bad);
        let ids = ["one", "two"].map(|text| sender.send(&agent.address, text));
        for id in &ids {
            assert_eq!(sender.status(id)["status"], "resolving", "{name}");
        }
        waiting.push((agent, path, ids));
    }
    assert_eq!(queued(), 0);
    let _ = sender.send(&other.address, "at once");
    assert_eq!(queued(), 1);
    for (agent, path, _) in &waiting {
        peer.serve(path, Page::json(&agent.prekey));
    }
    wait_until("the waiting messages to be sealed", PATIENCE * 4, || {
        queued() == 1 + 2 * waiting.len()
    });
    for id in waiting.iter().flat_map(|(_, _, ids)| ids) {
        assert_eq!(sender.status(id)["status"], "accepted");
    }
}
