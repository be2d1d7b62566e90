//! What agents of a peer can say about groups, and in them: forged changes, replayed keys, words in
//! another's name.

use data_encoding::BASE64_NOPAD;
use entente_e2e::Agent;
use entente_e2e::fake_peer::{FakeAgent, FakePeer, Kind, Session};
use entente_e2e::socket::Socket;
use entente_e2e::wait::{PATIENCE, wait_for};
use entente_lexicon::group::{GroupPart, GroupWord};
use entente_lexicon::{Address, Content, Did, MessageId, Timestamp};
use entente_trust::crypto::sign::VerifyingKey;
use entente_trust::group::{GroupKey, Place, Roster, group_id, open_text, seal_text};
use entente_trust::message::{Body, Envelope, Expected, Receiving};
use serde_json::{Value, json};

use super::mail::{Draft, carry};
use super::session::open_session;
use super::{alpha, frame, goes_on, new_peer};

const NONCE: [u8; 16] = [5; 16];

/// A group of a fake agent's, as its owner would make it, and who takes part.
struct Crew {
    peer: FakePeer,
    link: (Socket, Session),
    owner: FakeAgent,
    carol: FakeAgent,
    mallory: FakeAgent,
    stranger: FakeAgent,
    victim: Agent,
    id: [u8; 16],
    /// The number of the next message.
    next: u8,
}

impl Crew {
    fn new(victim: &str) -> Self {
        let peer = new_peer();
        let owner = peer.add_agent("crew-owner");
        let [carol, mallory, stranger] =
            ["carol", "mallory", "stranger"].map(|name| peer.add_agent(name));
        Self {
            link: open_session(&peer),
            id: group_id(&owner.identity.did, &NONCE),
            victim: alpha().create_agent(victim),
            peer,
            owner,
            carol,
            mallory,
            stranger,
            next: 1,
        }
    }

    /// A roster with or without Mallory.
    fn roster(&self, epoch: u64, key: &GroupKey, mallory: bool, by: &FakeAgent) -> GroupWord {
        let fakes = [
            Some(&self.owner),
            Some(&self.carol),
            mallory.then_some(&self.mallory),
        ];
        let fakes = fakes.into_iter().flatten().map(|agent| &agent.address);
        let texts = fakes.chain([&self.victim.address]);
        let mut members: Vec<Address> = texts.map(|text| text.parse().unwrap()).collect();
        members.sort_by(|one, other| one.did.cmp(&other.did));
        let by = &by.identity.signing;
        let roster = Roster {
            group: self.id,
            owner: self.owner.identity.did.clone(),
            epoch,
            name: "crew".to_owned(),
            at: Timestamp(1_790_000_000_000),
            members,
            commitment: key.commitment(&self.id, epoch),
        };
        GroupWord::Epoch {
            roster: BASE64_NOPAD.encode(&roster.sign(by).unwrap()),
            key: BASE64_NOPAD.encode(&*key.to_bytes()),
        }
    }

    /// Something that `author` says, sealed under an epoch's key.
    fn post(&self, author: &FakeAgent, epoch: u64, key: &GroupKey, id: u8) -> GroupWord {
        let post = MessageId::from_bytes([id; 16]);
        let body = Body {
            content: Content::Text {
                text: format!("post {id}"),
            },
            thread: None,
            priority: 3,
            created_at: Timestamp(1_790_000_000_000),
        };
        let body = serde_json::to_vec(&body).unwrap();
        let place = Place {
            group: &self.id,
            epoch,
            id: &post.to_bytes(),
            author: &author.identity.did,
        };
        let sealed = seal_text(key, &place, [id; 24], &body).unwrap();
        GroupWord::Post {
            epoch,
            post,
            number: 1,
            open: 1,
            sealed: Some(BASE64_NOPAD.encode(&sealed)),
            content: None,
        }
    }

    /// Carries one word; returns the code that refused it.
    fn say(&mut self, from: &FakeAgent, word: GroupWord) -> Option<String> {
        let part = GroupPart {
            group: MessageId::from_bytes(self.id),
            word,
        };
        let mut draft = Draft::new(from, &self.victim, self.next);
        draft.content = Some(Content::Group(part));
        let seq = u64::from(self.next);
        self.next += 1;
        let refused = carry(&self.peer, &mut self.link, seq, &[draft.seal()]);
        refused.into_iter().next().map(|(_, code)| code)
    }

    fn is_refused(&mut self, from: &FakeAgent, word: GroupWord, code: &str) {
        let found = self.say(from, word);
        assert_eq!(found.as_deref(), Some(code), "message {}", self.next - 1);
    }

    fn is_taken(&mut self, from: &FakeAgent, word: GroupWord) {
        assert_eq!(self.say(from, word), None, "message {}", self.next - 1);
    }

    fn path(&self, rest: &str) -> String {
        let group = MessageId::from_bytes(self.id);
        self.victim.path(&format!("/groups/{group}{rest}"))
    }

    fn view(&self) -> Value {
        self.victim.client.get(&self.path("")).expect(200)
    }

    /// The owner invites, the victim joins, and knows the first epoch.
    fn assemble(&mut self) {
        let (owner, first) = (self.owner.clone(), self.first());
        self.is_taken(&owner, invite(1));
        let _ = self
            .victim
            .client
            .post(&self.path("/accept"), &json!({}))
            .expect(200);
        self.is_taken(&owner, first);
        assert_eq!(self.view()["standing"], "member");
    }

    fn first(&self) -> GroupWord {
        self.roster(1, &key(1), true, &self.owner)
    }
}

fn invite(n: u32) -> GroupWord {
    GroupWord::Invite {
        n,
        nonce: MessageId::from_bytes(NONCE),
        name: "crew".to_owned(),
    }
}

fn key(n: u8) -> GroupKey {
    GroupKey::from_bytes(&[n; 32]).unwrap()
}

/// The next post that alpha sends to Carol, as it travels; Mallory is sent nothing meanwhile.
fn captured(crew: &mut Crew) -> (u64, MessageId, Vec<u8>) {
    let did = &crew.victim.did;
    let card = alpha()
        .public
        .get(&format!("/relay/agents/{did}"))
        .expect(200);
    let signing = VerifyingKey::from_multikey(card["keys"]["signing"].as_str().unwrap()).unwrap();
    let (sender, carol) = (Did::parse(did).unwrap(), &crew.carol.identity);
    let expected = Expected {
        from: &sender,
        to: &carol.did,
        network: &crew.peer.identity.did,
    };
    let (wire, session) = &mut crew.link;
    wait_for("the post on the wire", PATIENCE, || {
        let message = session.read(&frame(wire));
        let items = (message.kind == Kind::Msg).then(|| message.items());
        let mut found = None;
        for item in items.into_iter().flatten() {
            assert_ne!(
                item.to, crew.mallory.identity.did,
                "who is out is sent nothing"
            );
            if item.to != carol.did {
                continue;
            }
            let envelope = Envelope::parse(&item.envelope).unwrap();
            let opened = Receiving::accept(&envelope, &carol.hybrid, &signing, &expected);
            let (_, Body { content, .. }) = opened.unwrap();
            if let Content::Group(part) = content
                && let GroupWord::Post {
                    epoch,
                    post,
                    sealed: Some(sealed),
                    ..
                } = part.word
            {
                found = Some((epoch, post, BASE64_NOPAD.decode(sealed.as_bytes()).unwrap()));
            }
        }
        found
    })
}

#[test]
fn nobody_is_put_into_a_group_and_no_forged_roster_is_believed() {
    let mut crew = Crew::new("crew-wary");
    let (owner, carol) = (crew.owner.clone(), crew.carol.clone());
    let (mallory, stranger) = (crew.mallory.clone(), crew.stranger.clone());
    // Nobody is in a group of whose owner it has not heard, nor by another's id, nor before it joins.
    let first = crew.first();
    crew.is_refused(&owner, first.clone(), "GROUP_NOT_JOINED");
    crew.is_refused(&mallory, invite(1), "GROUP_FORGED");
    crew.is_taken(&owner, invite(1));
    crew.is_refused(&owner, first.clone(), "GROUP_NOT_JOINED");
    assert_eq!(crew.view()["standing"], "invited");
    let _ = crew
        .victim
        .client
        .post(&crew.path("/accept"), &json!({}))
        .expect(200);

    // A roster that somebody else signed, one with another's key, one told by who is not in.
    let forged = crew.roster(1, &key(9), true, &mallory);
    crew.is_refused(&owner, forged, "BAD_SIGNATURE");
    let mut swapped = first.clone();
    if let GroupWord::Epoch { key: swapped, .. } = &mut swapped {
        *swapped = BASE64_NOPAD.encode(&*key(9).to_bytes());
    }
    crew.is_refused(&owner, swapped, "GROUP_FORGED");
    crew.is_refused(&stranger, first.clone(), "GROUP_NOT_MEMBER");
    assert_eq!(crew.view()["standing"], "joining");
    // Any member may bring what the owner signed.
    crew.is_taken(&carol, first);
    assert_eq!(crew.view()["standing"], "member");
    // Members invite, remove and end nothing.
    let out = GroupWord::Out {
        epoch: 9,
        n: 9,
        closed: true,
    };
    crew.is_refused(&mallory, out, "GROUP_NOT_OWNER");
    crew.is_refused(&mallory, GroupWord::Join { n: 1 }, "GROUP_NOT_OWNER");
    crew.is_refused(&carol, GroupWord::Leave { n: 1 }, "GROUP_NOT_OWNER");
    assert_eq!(crew.view()["standing"], "member");
    goes_on();
}

#[test]
fn words_in_anothers_name_a_strangers_and_those_out_of_order_are_refused() {
    let mut crew = Crew::new("crew-listening");
    let (carol, mallory) = (crew.carol.clone(), crew.mallory.clone());
    let stranger = crew.stranger.clone();
    crew.assemble();
    let words = crew.post(&carol, 1, &key(1), 1);
    crew.is_refused(&mallory, words.clone(), "GROUP_UNDECRYPTABLE");
    // Even with the key a stranger is one.
    let spoken = crew.post(&stranger, 1, &key(1), 2);
    crew.is_refused(&stranger, spoken, "GROUP_NOT_MEMBER");
    crew.is_taken(&carol, words.clone());
    // Said twice, it was said once.
    crew.is_taken(&carol, words);
    let mut early = crew.post(&carol, 1, &key(1), 3);
    if let GroupWord::Post { number, open, .. } = &mut early {
        (*number, *open) = (3, 2);
    }
    crew.is_refused(&carol, early, "GROUP_OUT_OF_ORDER");
    let future = crew.post(&carol, 3, &key(3), 4);
    crew.is_refused(&carol, future, "GROUP_UNKNOWN_EPOCH");
    let mut opened = crew.post(&carol, 1, &key(1), 5);
    if let GroupWord::Post { content, .. } = &mut opened {
        let text = "in the clear".to_owned();
        *content = Some(Box::new(Content::Text { text }));
    }
    crew.is_refused(&carol, opened, "GROUP_MALFORMED");
    let heard = crew.victim.client.get(&crew.path("/messages")).expect(200);
    let heard = heard["messages"].as_array().unwrap().clone();
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0]["content"]["text"], "post 1");
    assert_eq!(
        crew.victim.inbox(50).len(),
        2,
        "the invitation, and the post"
    );
    goes_on();
}

#[test]
fn who_was_removed_opens_nothing_of_what_is_said_then() {
    let mut crew = Crew::new("crew-staying");
    let (owner, carol) = (crew.owner.clone(), crew.carol.clone());
    let mallory = crew.mallory.clone();
    crew.assemble();
    let second = crew.roster(2, &key(2), false, &owner);
    crew.is_taken(&owner, second);
    // What she says under the old key is refused, and the old roster changes nothing.
    let late = crew.post(&mallory, 1, &key(1), 1);
    crew.is_refused(&mallory, late, "GROUP_NOT_MEMBER");
    let first = crew.first();
    crew.is_taken(&mallory, first.clone());
    crew.is_taken(&carol, first);
    let again = crew.post(&carol, 1, &key(1), 2);
    crew.is_refused(&carol, again, "GROUP_OLD_EPOCH");
    assert_eq!(crew.view()["epoch"], 2);

    let content = json!({ "content": { "kind": "text", "text": "she is gone" } });
    let said = crew.victim.client.post(&crew.path("/messages"), &content);
    assert_eq!(said.status, 202);
    let (epoch, post, sealed) = captured(&mut crew);
    let author = Did::parse(&crew.victim.did).unwrap();
    let opens = |key: &GroupKey, epoch: u64| {
        let place = Place {
            group: &crew.id,
            epoch,
            id: &post.to_bytes(),
            author: &author,
        };
        open_text(key, &place, &sealed).is_ok()
    };
    assert!(epoch == 2 && opens(&key(2), 2));
    assert!(!opens(&key(1), 2) && !opens(&key(1), 1));
    goes_on();
}
