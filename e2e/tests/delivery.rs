//! How the life of a message ends: delivered, expired, or sealed anew and then delivered; and what
//! two ends of a link tell each other about it.
#![expect(clippy::indexing_slicing, clippy::expect_used, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use entente_e2e::cbor::{Value as Cbor, map, text};
use entente_e2e::fake_peer::{
    FakeAgent, FakePeer, Frame, Item, Kind, OnDial, Page, Receipt, Session, now,
};
use entente_e2e::wait::{PATIENCE, wait_for, wait_until};
use entente_e2e::{Agent, Deployment, Network, Options, Socket};
use serde_json::{Value, json};

/// These tests kill networks, so they take turns.
fn deployment() -> (MutexGuard<'static, ()>, &'static Deployment) {
    static TURN: Mutex<()> = Mutex::new(());
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = SHARED.get_or_init(|| Options::default().networks(2).fake_peers(8).start());
    (turn, shared)
}

fn send_until(from: &Agent, to: &str, text: &str, in_ms: u64) -> String {
    from.send_body(&json!({
        "to": to,
        "content": { "kind": "text", "text": text },
        "expiresAt": now().after(in_ms),
    }))
}

fn texts(agent: &Agent) -> Vec<Value> {
    let inbox = agent.inbox(200);
    let text = |message: &Value| message["content"]["text"].clone();
    inbox.iter().map(text).collect()
}

/// A peer of alpha's with one agent, a link that alpha dialled, and what comes over it.
struct Far<'a> {
    alpha: &'a Network,
    peer: FakePeer,
    agent: FakeAgent,
    wire: Option<(Socket, Session)>,
}

impl<'a> Far<'a> {
    fn meet(deployment: &'a Deployment) -> Self {
        let alpha = deployment.network("alpha");
        let peer = FakePeer::start(deployment.take_peer_port());
        let agent = peer.add_agent("far");
        peer.on_dial(OnDial::Accept);
        peer.join(alpha, "open");
        let mut far = Self {
            alpha,
            peer,
            agent,
            wire: None,
        };
        far.answer();
        far
    }

    fn answer(&mut self) {
        self.wire = Some(self.peer.answer(self.alpha, &self.peer.identity));
    }

    fn did(&self) -> &str {
        self.peer.identity.did.as_str()
    }

    /// Hears the next frame of a kind.
    fn hear(&mut self, kind: Kind) -> Frame {
        let (wire, session) = self.wire.as_mut().expect("a session");
        loop {
            let frame = session.read(&wire.frame());
            if frame.kind == Kind::Ping {
                wire.send_bytes(session.write(Kind::Pong, 0, 0, &frame.body));
            }
            if frame.kind == kind {
                return frame;
            }
        }
    }

    fn say(&mut self, kind: Kind, epoch: u64, seq: u64, body: &[u8]) {
        let (wire, session) = self.wire.as_mut().expect("a session");
        let frame = session.write(kind, epoch, seq, body);
        wire.send_bytes(frame);
    }

    /// Settles the items of a frame, each delivered or refused with the same code.
    fn settle(&mut self, frame: &Frame, items: &[Item], refusal: Option<&str>) {
        let known = self.peer.know(self.alpha);
        let ids: Vec<_> = items.iter().map(|item| item.id).collect();
        let reject = |(seq, id): (u64, &[u8; 16])| refusal.map(|code| (seq, *id, code.to_owned()));
        let receipt = Receipt {
            from: frame.seq,
            at: now().0,
            rejects: (frame.seq..).zip(&ids).filter_map(reject).collect(),
        };
        let upto = frame.seq + ids.len() as u64 - 1;
        let own = &self.peer.identity;
        let body = receipt.body(
            &own.signing,
            own.did.as_str(),
            &known.did,
            frame.epoch,
            upto,
            &ids,
        );
        self.say(Kind::Ack, frame.epoch, upto, &body);
    }
}

#[test]
fn what_expires_while_its_peer_is_down_bounces_and_never_arrives() {
    let (_turn, deployment) = deployment();
    let alice = deployment.network("alpha").create_agent("expiring-alice");
    let diana = deployment.network("beta").create_agent("expiring-diana");
    let first = alice.send(&diana.address, "before");
    alice.wait_for_status(&first, "delivered");
    deployment.kill9("beta");
    // The link has noticed; what is stored now is not transmitted.
    let beta = deployment.network("beta").did.as_str();
    wait_until("alpha to miss beta", PATIENCE, || {
        deployment.network("alpha").peer(beta)["state"] != "up"
    });
    let brief = send_until(&alice, &diana.address, "brief", 3_000);
    let lasting = alice.send(&diana.address, "lasting");
    assert_eq!(alice.status(&brief)["status"], "accepted");
    // The sender's network dies in between: the expiry is not forgotten.
    deployment.kill9("alpha");
    deployment.restart("alpha");
    let ended = alice.wait_for_status(&brief, "expired");
    let last = ended["receipts"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["status"], &last["code"]),
        (&json!("expired"), &json!("EXPIRED"))
    );
    assert_eq!(alice.status(&lasting)["status"], "accepted");
    deployment.restart("beta");
    alice.wait_for_status(&lasting, "delivered");
    assert_eq!(texts(&diana), ["before", "lasting"]);
    assert_eq!(alice.status(&brief)["status"], "expired");
}

#[test]
fn what_was_sent_and_never_answered_is_unconfirmed_until_the_peer_says() {
    let (_turn, deployment) = deployment();
    let mut far = Far::meet(deployment);
    let alice = deployment.network("alpha").create_agent("unsure-alice");
    let id = send_until(&alice, &far.agent.address, "did it arrive?", 4_000);
    let taken = far.hear(Kind::Msg);
    assert_eq!(taken.items().len(), 1);
    far.peer.on_dial(OnDial::Answer(Page::status(503)));
    far.wire = None;
    let unsure = alice.wait_for_status(&id, "unconfirmed");
    let last = unsure["receipts"].as_array().unwrap().last().unwrap();
    assert_eq!(last["status"], "unconfirmed", "{unsure}");
    // It may have arrived, so it is offered again, and the answer counts.
    far.peer.on_dial(OnDial::Accept);
    far.answer();
    let again = far.hear(Kind::Msg);
    assert_eq!((again.items(), again.seq), (taken.items(), taken.seq));
    let items = again.items();
    far.settle(&again, &items, None);
    alice.wait_for_status(&id, "delivered");
}

#[test]
fn a_lost_epoch_or_key_makes_the_sender_seal_anew_under_the_same_id() {
    let (_turn, deployment) = deployment();
    let mut far = Far::meet(deployment);
    let alice = deployment.network("alpha").create_agent("resealing-alice");
    let mut envelopes = BTreeSet::new();
    for code in ["KEY_EXPIRED", "UNKNOWN_EPOCH"] {
        let id = alice.send(&far.agent.address, code);
        let first = far.hear(Kind::Msg);
        let items = first.items();
        far.settle(&first, &items, Some(code));
        let second = far.hear(Kind::Msg);
        let resealed = second.items();
        assert_eq!(resealed[0].id, items[0].id, "the same message");
        assert!(second.seq > first.seq);
        assert!(envelopes.insert(items[0].envelope.clone()));
        assert!(
            envelopes.insert(resealed[0].envelope.clone()),
            "sealed anew"
        );
        far.settle(&second, &resealed, None);
        let ended = alice.wait_for_status(&id, "delivered");
        assert_ne!(ended["status"], "refused", "{ended}");
    }
}

fn amounts(messages: u64) -> Cbor {
    let amount = |items: u64| {
        map(vec![
            ("bytes", Cbor::Uint(items * 65_536)),
            ("items", Cbor::Uint(items)),
        ])
    };
    map(vec![
        ("ctl", amount(16)),
        ("evt", amount(16)),
        ("msg", amount(messages)),
        ("outbox", amount(100)),
    ])
}

/// A STATUS with a window of two messages, from a peer that holds seven for us.
fn narrow_status() -> Cbor {
    map(vec![
        ("limits", amounts(2)),
        ("usage", amounts(0)),
        (
            "view",
            map(vec![
                ("error", text("PEER_UNREACHABLE")),
                ("events", Cbor::Uint(0)),
                ("level", text("open")),
                ("oldest", Cbor::Uint(61_000)),
                ("queued", Cbor::Uint(7)),
                ("rtt", Cbor::Null),
            ]),
        ),
    ])
}

#[test]
fn each_side_tells_the_other_its_windows_and_how_it_sees_the_link() {
    let (_turn, deployment) = deployment();
    let mut far = Far::meet(deployment);
    let heard = Cbor::decode(&far.hear(Kind::Status).body);
    let view = heard.at("view");
    assert_eq!(view.at("level").str(), "open");
    assert_eq!(view.at("queued").uint(), 0);
    assert!(heard.at("limits").at("msg").at("items").uint() > 1);

    // A window of two messages holds as soon as it is read.
    let status = narrow_status();
    far.say(Kind::Status, 0, 0, &status.encode());
    let did = far.did().to_owned();
    let shown = wait_for("the peer's view to be shown", PATIENCE, || {
        let view = far.alpha.peer(&did)["peerView"].clone();
        (view["queued"] == 7).then_some(view)
    });
    assert_eq!(shown["lastError"], "PEER_UNREACHABLE");
    assert_eq!(shown["oldestAgeMs"], 61_000);
    assert_eq!(shown["limits"]["messages"]["items"], 2);

    let alice = deployment.network("alpha").create_agent("windowed-alice");
    let sent: Vec<_> = (0..5)
        .map(|number| alice.send(&far.agent.address, &format!("{number}")))
        .collect();
    let mut arrived = 0;
    while arrived < sent.len() {
        let frame = far.hear(Kind::Msg);
        let mut items = frame.items();
        let upto = frame.clone();
        if items.len() < 2 && arrived + items.len() < sent.len() {
            let more = far.hear(Kind::Msg);
            items.extend(more.items());
        }
        assert!(items.len() <= 2, "{} in flight", items.len());
        far.settle(&upto, &items, None);
        arrived += items.len();
    }
    for id in &sent {
        alice.wait_for_status(id, "delivered");
    }

    // Between two real networks, each shows the other's.
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let (one, two) = (deployment.agent("alice"), deployment.agent("diana"));
    let id = one.send(&two.address, "status, please");
    one.wait_for_status(&id, "delivered");
    for (network, peer) in [(alpha, beta), (beta, alpha)] {
        let view = wait_for("the peer's view", PATIENCE, || {
            let view = network.peer(&peer.did)["peerView"].clone();
            (!view.is_null()).then_some(view)
        });
        assert_eq!(view["trustLevel"], network.peer(&peer.did)["trustLevel"]);
        assert!(view["limits"]["messages"]["items"].as_u64().unwrap() > 0);
    }
}

#[test]
fn a_peer_for_which_too_much_is_held_is_let_go_and_the_others_do_not_notice() {
    let options = Options::default().networks(2).fake_peers(1);
    let deployment = options.var("LINK_BUDGET_BYTES", "20000").start();
    let mut far = Far::meet(&deployment);
    let (alice, diana) = (deployment.agent("alice"), deployment.agent("diana"));
    let waiting: Vec<_> = (0..6)
        .map(|number| {
            alice.send(
                &far.agent.address,
                &format!("{number}{}", "x".repeat(8_000)),
            )
        })
        .collect();
    let (wire, _) = far.wire.as_mut().expect("a session");
    assert_eq!(wire.closed(PATIENCE), (4417, "OVER_BUDGET".to_owned()));
    let id = alice.send(&diana.address, "as ever");
    alice.wait_for_status(&id, "delivered");
    for id in &waiting {
        assert_eq!(alice.status(id)["status"], "accepted", "kept for later");
    }
}
