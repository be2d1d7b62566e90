//! A peer whose keys change as they may not: nothing crosses until an admin has looked.

use entente_e2e::fake_peer::{
    FakePeer, Frame, Identity, Item, Kind, OnDial, Receipt, Responder, Session, now,
};
use entente_e2e::wait::{PATIENCE, wait_for};
use entente_e2e::{Deployment, Network, Socket};
use serde_json::{Value, json};

use super::deployment;

/// Reads the next frame of messages.
fn next_frame(wire: &mut Socket, session: &mut Session) -> Frame {
    loop {
        let heard = session.read(&wire.frame());
        if heard.kind == Kind::Msg {
            return heard;
        }
    }
}

/// Reads items until there are so many different ones.
fn receive(wire: &mut Socket, session: &mut Session, count: usize) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    while items.len() < count {
        for item in next_frame(wire, session).items() {
            if items.iter().all(|known| known.id != item.id) {
                items.push(item);
            }
        }
    }
    items
}

fn path(peer: &FakePeer, rest: &str) -> String {
    format!("/admin/federation/peers/{}{rest}", peer.identity.did)
}

fn unfreeze(alpha: &Network, peer: &FakePeer, fingerprint: &Value) -> entente_e2e::Reply {
    let body = json!({ "fingerprint": fingerprint });
    alpha.admin.post(&path(peer, "/unfreeze"), &body)
}

/// Meets a peer, and lets it come back as `other`.
fn meet_then_change(
    deployment: &Deployment,
    peer: &FakePeer,
    other: &Identity,
) -> (entente_e2e::fake_peer::FakeAgent, Value) {
    let alpha = deployment.network("alpha");
    let agent = peer.add_agent("frida");
    peer.on_dial(OnDial::Accept);
    peer.join(alpha, "open");
    let (wire, _session) = peer.answer(alpha, &peer.identity);
    alpha.wait_for_peer(peer.identity.did.as_str(), "up");
    let alice = deployment.agent("alice");
    let _ = alice.send(&agent.address, "one");
    peer.publish(other);
    drop(wire);
    let mut wire = peer.accepted().socket;
    let hello = wire.frame();
    let mut responder = Responder::new(other, peer.know(alpha), &hello);
    wire.send_bytes(responder.hello_ack());
    assert_eq!(wire.closed(PATIENCE), (4410, "KEY_CHANGED".to_owned()));
    let view = alpha.wait_for_peer(peer.identity.did.as_str(), "frozen");
    (agent, view)
}

#[test]
fn a_forged_key_freezes_the_link_until_an_admin_decides() {
    let (_turn, deployment) = deployment();
    let (alpha, alice) = (deployment.network("alpha"), deployment.agent("alice"));
    let peer = FakePeer::start(deployment.take_peer_port());
    let mut forged = peer.identity.clone();
    forged.forge();
    let (agent, view) = meet_then_change(deployment, &peer, &forged);
    let frozen = &view["frozen"];
    assert_eq!(view["lastError"], "KEY_CHANGED");
    assert_eq!(frozen["reason"], "DOCUMENT_WRONG_KEY");
    assert_eq!(frozen["knownFingerprint"], view["fingerprint"]);
    assert_ne!(frozen["servedFingerprint"], view["fingerprint"]);
    // Mail is kept, over a restart too.
    let _ = alice.send(&agent.address, "two");
    deployment.kill9("alpha");
    deployment.restart("alpha");
    let again = alpha.wait_for_peer(peer.identity.did.as_str(), "frozen");
    assert_eq!(&again["frozen"], frozen);
    // Killed before its object knew that the link had it, a message is handed to the link twice.
    assert!(
        [2, 3].map(Value::from).contains(&again["queued"]),
        "{again}"
    );
    // Neither side opens a session; adding the peer again changes nothing.
    let mut wire = peer.dial(alpha);
    assert_eq!(wire.closed(PATIENCE), (4410, "KEY_CHANGED".to_owned()));
    peer.ask_to_peer(alpha, "open").refused(409, "KEY_CHANGED");
    let known = frozen["knownFingerprint"].clone();
    unfreeze(alpha, &peer, &known).refused(422, "DOCUMENT_WRONG_KEY");
    // The peer has thrown the intruder out.
    peer.publish(&peer.identity);
    unfreeze(alpha, &peer, &frozen["servedFingerprint"]).refused(409, "FINGERPRINT_MISMATCH");
    peer.forget_sockets();
    let thawed = unfreeze(alpha, &peer, &known).expect(200);
    assert_eq!(thawed["frozen"], Value::Null);
    let (mut wire, mut session) = peer.answer(alpha, &peer.identity);
    assert_eq!(receive(&mut wire, &mut session, 2).len(), 2);
    unfreeze(alpha, &peer, &known).refused(409, "NOT_FROZEN");
}

#[test]
fn a_forked_log_freezes_the_link_and_an_admin_may_take_the_new_branch() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let mut peer = FakePeer::start(deployment.take_peer_port());
    let mut fork = peer.identity.clone();
    fork.rotate();
    peer.identity.rotate();
    peer.publish(&peer.identity);
    let (_agent, view) = meet_then_change(deployment, &peer, &fork);
    let frozen = &view["frozen"];
    assert_eq!(frozen["reason"], "DOCUMENT_LOG_FORKED");
    peer.forget_sockets();
    let _ = unfreeze(alpha, &peer, &frozen["servedFingerprint"]).expect(200);
    let (mut wire, mut session) = peer.answer(alpha, &fork);
    assert_eq!(receive(&mut wire, &mut session, 1).len(), 1);
    let view = alpha.wait_for_peer(peer.identity.did.as_str(), "up");
    assert_eq!(view["fingerprint"], frozen["servedFingerprint"]);
}

#[test]
fn nothing_is_sealed_to_an_agent_whose_log_forked() {
    let (_turn, deployment) = deployment();
    let (alpha, alice) = (deployment.network("alpha"), deployment.agent("alice"));
    let peer = FakePeer::start(deployment.take_peer_port());
    let born = peer.add_agent("fiona");
    let [known, fork] = [(); 2].map(|()| born.rotated(&peer.identity, "fiona"));
    peer.publish_agent(&known, "fiona");
    peer.on_dial(OnDial::Accept);
    peer.join(alpha, "open");
    let (mut wire, mut session) = peer.answer(alpha, &peer.identity);
    let first = alice.send(&known.address, "to the key that is known");
    let carried = next_frame(&mut wire, &mut session);
    let item = carried.items().remove(0);
    // A prekey is asked for again when it is older than a second.
    let did = peer.identity.did.as_str();
    wait_for("the message to be old", PATIENCE, || {
        let age = alpha.peer(did)["oldestAgeMs"].as_u64();
        age.filter(|age| *age > 1_500)
    });
    // Asked to seal anew, alice finds another branch of the log, and a prekey that it signed.
    peer.publish_agent(&fork, "fiona");
    let network = peer.know(alpha);
    let receipt = Receipt {
        from: 1,
        at: now().0,
        rejects: vec![(1, item.id, "KEY_EXPIRED".to_owned())],
    };
    let own = &peer.identity;
    let parties = (own.did.as_str(), network.did.as_str());
    let epoch = carried.epoch;
    let body = receipt.body(&own.signing, parties.0, parties.1, epoch, 1, &[item.id]);
    wire.send_bytes(session.write(Kind::Ack, epoch, 1, &body));
    let ended = alice.wait_for_status(&first, "refused");
    let last = ended["receipts"].as_array().unwrap().last().unwrap();
    assert_eq!(last["code"], "AGENT_KEY_CHANGED", "{ended}");
    // What is sent now is not sealed to it either.
    let body = json!({ "to": fork.address, "content": { "kind": "text", "text": "who are you?" } });
    alice
        .client
        .post(&alice.path("/messages"), &body)
        .refused(409, "AGENT_KEY_CHANGED");
}

#[test]
fn a_peer_that_rotates_by_its_log_is_followed_whoever_dials() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let mut peer = FakePeer::start(deployment.take_peer_port());
    peer.on_dial(OnDial::Accept);
    peer.join(alpha, "open");
    let (wire, _session) = peer.answer(alpha, &peer.identity);
    alpha.wait_for_peer(peer.identity.did.as_str(), "up");
    peer.on_dial(OnDial::Hold);
    drop(wire);
    // It dials under its new key, which alpha has not heard of.
    peer.identity.rotate();
    peer.publish(&peer.identity);
    let _wire = peer.dial(alpha);
    wait_for("alpha to know the new key", PATIENCE, || {
        let view = alpha.peer(peer.identity.did.as_str());
        let key = peer.identity.signing.verifying_key().to_multikey();
        let fingerprint = entente_trust::crypto::multikey::fingerprint(&key);
        (view["fingerprint"] == fingerprint).then_some(())
    });
}
