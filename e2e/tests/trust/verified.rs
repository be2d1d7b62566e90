//! The level verified: two real networks that approve each other, and peers that cheat.

use entente_e2e::cbor::Value as Cbor;
use entente_e2e::fake_peer::{FakeAgent, Identity, Initiator, Item, Kind, Receipt, Session, now};
use entente_e2e::socket::{Heard, Socket};
use entente_e2e::wait::wait_until;
use entente_e2e::{Agent, Options};
use entente_lexicon::{Content, Did, Timestamp};
use entente_trust::attestation::attest;
use entente_trust::crypto::sign::VerifyingKey;
use entente_trust::message::origin::sign_origin;
use entente_trust::message::{Body, Header, Sending, SignedPrekey};
use entente_trust::policy::Approval;
use getrandom::SysRng;
use rand_core::UnwrapErr;

use super::*;

pub(crate) fn approve(network: &Network, did: &str, body: &Value) -> Reply {
    network.admin.post(&format!("{PEERS}/{did}/approve"), body)
}

#[test]
fn mail_flows_at_verified_once_both_sides_have_approved() {
    let deployment = Options::default().networks(2).bare().start();
    let (one, two) = (deployment.network("alpha"), deployment.network("beta"));
    let (near, far) = (one.create_agent("near"), two.create_agent("far"));
    let list = |agent: &Agent| json!({ "trustLevel": "verified", "allowAgents": [agent.did] });
    let _ = patch(one, &two.did, &list(&far));
    let _ = patch(two, &one.did, &list(&near));
    let waits = near.send(&far.address, "waits for approval");
    let view = one.wait_for_peer(&two.did, "waiting");
    assert_eq!(view["approval"]["lacks"], "APPROVAL_NEEDED", "{view}");
    assert_eq!(near.status(&waits)["status"], "accepted");

    let wrong = json!({ "fingerprint": "aaaa bbbb cccc dddd eeee ffff gggg hhhh" });
    approve(one, &two.did, &wrong).refused(409, "FINGERPRINT_MISMATCH");
    assert_eq!(one.peer(&two.did)["approval"].get("oursUntil"), None);
    let shown = json!({ "fingerprint": view["fingerprint"] });
    let approved = approve(one, &two.did, &shown).expect(200);
    assert_eq!(approved["approval"]["fingerprint"], view["fingerprint"]);
    wait_until("one to know that it waits for two", PATIENCE, || {
        one.peer(&two.did)["approval"]["lacks"] == "APPROVAL_AWAITED"
    });
    wait_until("two to know that one approved it", PATIENCE, || {
        two.peer(&one.did)["approval"].get("theirsUntil").is_some()
    });
    assert_eq!(two.peer(&one.did)["approval"]["lacks"], "APPROVAL_NEEDED");
    assert_eq!(near.status(&waits)["status"], "accepted");

    let _ = approve(two, &one.did, &json!({})).expect(200);
    near.wait_for_status(&waits, "delivered");
    let back = far.send(&near.address, "and back");
    far.wait_for_status(&back, "delivered");
    for (network, peer) in [(one, two), (two, one)] {
        let view = network.wait_for_peer(&peer.did, "up");
        assert_eq!(
            (&view["granted"], view["approval"].get("lacks")),
            (&json!("verified"), None)
        );
    }

    // Taken back, nothing passes and nothing is lost.
    let taken = two.admin.delete(&format!("{PEERS}/{}/approve", one.did));
    assert_eq!(taken.expect(200)["approval"].get("oursUntil"), None);
    one.wait_for_peer(&two.did, "waiting");
    let held = near.send(&far.address, "held");
    assert_eq!(near.status(&held)["status"], "accepted");
    let _ = approve(two, &one.did, &json!({})).expect(200);
    near.wait_for_status(&held, "delivered");

    // An approval that runs out ends the session by itself.
    let soon = json!({ "expiresAt": now().after(3_000) });
    let _ = approve(two, &one.did, &soon).expect(200);
    wait_until("the approval to run out", PATIENCE, || {
        two.peer(&one.did)["approval"]["lacks"] == "APPROVAL_NEEDED"
    });
    let _ = approve(two, &one.did, &json!({})).expect(200);
    let last = near.send(&far.address, "approved again");
    near.wait_for_status(&last, "delivered");
    let past = json!({ "expiresAt": Timestamp(1_000) });
    approve(two, &one.did, &past).refused(400, "INVALID_EXPIRY");
}

/// A fake peer that alpha holds at verified, approves, and whose agents it lets talk.
pub(crate) fn verified_peer(agents: &[&str]) -> (FakePeer, Vec<FakeAgent>) {
    let peer = new_peer();
    let agents: Vec<_> = agents.iter().map(|name| peer.add_agent(name)).collect();
    peer.join(alpha(), "open");
    let did = peer.identity.did.as_str();
    let listed: Vec<_> = agents.iter().map(|agent| &agent.identity.did).collect();
    let change = json!({ "trustLevel": "verified", "allowAgents": listed });
    let _ = patch(alpha(), did, &change);
    let _ = approve(alpha(), did, &json!({})).expect(200);
    (peer, agents)
}

fn approval(from: Timestamp, until: Timestamp) -> Approval {
    Approval {
        not_before: from,
        expires: until,
        nonce: [1; 16],
    }
}

fn dial_number() -> u64 {
    now().0 << 8
}

/// Dials alpha and shows an attestation; returns the socket after AUTH.
fn show(peer: &FakePeer, attestation: Vec<u8>) -> (Socket, Initiator) {
    show_to(peer, alpha(), attestation)
}

fn show_to(peer: &FakePeer, network: &Network, attestation: Vec<u8>) -> (Socket, Initiator) {
    let known = peer.know(network);
    let mut wire = peer.dial(network);
    let mut initiator = Initiator::new(&peer.identity, known, dial_number(), "verified");
    wire.send_bytes(initiator.hello());
    initiator.read_hello_ack(&frame(&mut wire));
    initiator.auth.set("attestation", Cbor::Bytes(attestation));
    wire.send_bytes(initiator.auth());
    (wire, initiator)
}

pub(crate) fn frame(wire: &mut Socket) -> Vec<u8> {
    match wire.hear(PATIENCE) {
        Heard::Bytes(bytes) => bytes,
        other @ (Heard::Text(_) | Heard::Closed(..) | Heard::Silence) => {
            panic!("expected a frame, heard {other:?}")
        }
    }
}

fn alpha_key(peer: &FakePeer) -> VerifyingKey {
    peer.know(alpha()).key
}

fn alpha_did() -> Did {
    Did::parse(&alpha().did).unwrap()
}

/// Makes what a peer shows about itself and alpha.
type Forgery<'a> = &'a dyn Fn(&Identity, &Did, &VerifyingKey) -> Vec<u8>;

#[test]
fn only_an_attestation_by_the_peer_about_us_and_our_key_opens_a_link() {
    let other = Identity::network("localhost:9");
    let other_key = other.signing.verifying_key();
    let year = now().after(300 * 24 * 60 * 60 * 1000);
    let good = approval(now(), year);
    let over = approval(Timestamp(now().0 - 10_000), Timestamp(now().0 - 1_000));
    let forgeries: [(&str, Forgery<'_>); 8] = [
        ("APPROVAL_AWAITED", &|_, _, _| Vec::new()),
        ("ATTESTATION_MALFORMED", &|_, _, _| vec![1; 100]),
        ("ATTESTATION_BAD_SIGNATURE", &|own, did, key| {
            attest((&own.did, &other.signing), (did, key), good)
        }),
        ("ATTESTATION_BAD_SIGNATURE", &|own, did, key| {
            let mut bytes = attest((&own.did, &own.signing), (did, key), good);
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            bytes
        }),
        ("ATTESTATION_OTHER_AUDIENCE", &|own, _, key| {
            attest((&own.did, &own.signing), (&other.did, key), good)
        }),
        ("ATTESTATION_OTHER_KEY", &|own, did, _| {
            attest((&own.did, &own.signing), (did, &other_key), good)
        }),
        ("ATTESTATION_OTHER_ISSUER", &|_, did, key| {
            attest((&other.did, &other.signing), (did, key), good)
        }),
        ("ATTESTATION_EXPIRED", &|own, did, key| {
            attest((&own.did, &own.signing), (did, key), over)
        }),
    ];
    for (code, forge) in forgeries {
        // Each by a peer of its own: who is refused again and again is put aside.
        let (peer, _) = verified_peer(&[]);
        let shown = forge(&peer.identity, &alpha_did(), &alpha_key(&peer));
        let (mut wire, _) = show(&peer, shown);
        let closed = wire.closed(PATIENCE);
        assert_eq!(closed, (4412, "ATTESTATION_MISSING".to_owned()), "{code}");
        let view = alpha().peer(peer.identity.did.as_str());
        assert_eq!(view["lastError"], code);
        assert_ne!(view["state"], "up");
    }
    let (peer, _) = verified_peer(&[]);
    let own = (&peer.identity.did, &peer.identity.signing);
    let shown = attest(own, (&alpha_did(), &alpha_key(&peer)), good);
    let (mut wire, initiator) = show(&peer, shown);
    let (ready, _) = initiator.read_ready(&frame(&mut wire));
    assert_eq!(ready.at("granted").str(), "verified");
    assert!(
        !ready.at("attestation").bytes().is_empty(),
        "it vouches for us"
    );
}

pub(crate) fn sealed(from: &FakeAgent, to: &Agent, id: u8) -> Item {
    sealed_for(alpha(), from, to, id)
}

/// Seals a message to an agent of a network.
pub(crate) fn sealed_for(network: &Network, from: &FakeAgent, to: &Agent, id: u8) -> Item {
    let path = format!("/relay/agents/{}", to.did);
    let card = network.public.get(&path).expect(200);
    let key = VerifyingKey::from_multikey(card["keys"]["signing"].as_str().unwrap()).unwrap();
    let published = network.public.get(&format!("{path}/prekey"));
    let to = Did::parse(&to.did).unwrap();
    let prekey = SignedPrekey::parse(&published.text()).unwrap();
    let prekey = prekey.verify(&to, &key, now()).unwrap();
    let header = Header {
        id: [id; 16],
        from: from.identity.did.clone(),
        to,
        network: Did::parse(&network.did).unwrap(),
        index: u64::from(id),
        expires: None,
    };
    let body = Body {
        content: Content::Text {
            text: format!("message {id}"),
        },
        thread: None,
        priority: 3,
        created_at: Timestamp(1_790_000_000_000),
    };
    let mut rng = UnwrapErr(SysRng);
    let signing = &from.identity.signing;
    let mut epoch = Sending::open(&header.from, signing, &prekey, now(), &mut rng).unwrap();
    Item {
        id: header.id,
        envelope: epoch.seal(&header, &body, &mut rng).unwrap(),
        from: header.from,
        to: header.to,
    }
}

pub(crate) fn open_link(peer: &FakePeer) -> (Socket, Session) {
    open_link_to(peer, alpha())
}

/// Opens a link at verified to a network.
pub(crate) fn open_link_to(peer: &FakePeer, network: &Network) -> (Socket, Session) {
    let year = now().after(300 * 24 * 60 * 60 * 1000);
    let attestation = attest(
        (&peer.identity.did, &peer.identity.signing),
        (&Did::parse(&network.did).unwrap(), &peer.know(network).key),
        approval(now(), year),
    );
    let (mut wire, initiator) = show_to(peer, network, attestation);
    let (_, session) = initiator.read_ready(&frame(&mut wire));
    (wire, session)
}

#[test]
fn what_its_agent_did_not_sign_on_the_outside_is_not_delivered() {
    let (peer, agents) = verified_peer(&["honest-origin", "forged-origin"]);
    let recipient = alpha().create_agent("verified-recipient");
    let signed = |from: &FakeAgent, id: u8, by: &FakeAgent| {
        let mut item = sealed(from, &recipient, id);
        item.envelope = sign_origin(&item.envelope, &by.identity.signing).unwrap();
        item
    };
    let items = [
        signed(&agents[0], 1, &agents[0]),
        sealed(&agents[0], &recipient, 2),
        signed(&agents[0], 3, &agents[1]),
        signed(&agents[1], 4, &agents[1]),
    ];
    let (mut wire, mut session) = open_link(&peer);
    wire.send_bytes(session.write(Kind::Msg, 5, 1, &Item::body(&items)));
    let (mut refused, mut upto) = (Vec::new(), 0);
    let known = peer.know(alpha());
    while upto < 4 {
        let ack = session.read(&frame(&mut wire));
        if ack.kind == Kind::Ack {
            let ids: Vec<_> = items.iter().map(|item| item.id).collect();
            let covered = &ids[upto..usize::try_from(ack.seq).unwrap()];
            let own = peer.identity.did.as_str();
            let receipt = Receipt::read(&ack, &known.key, &known.did, own, covered);
            refused.extend(
                receipt
                    .rejects
                    .into_iter()
                    .map(|(seq, _, code)| (seq, code)),
            );
            upto = usize::try_from(ack.seq).unwrap();
        }
    }
    refused.sort();
    refused.dedup();
    let expected = [
        (2, "QUARANTINED".to_owned()),
        (3, "ORIGIN_INVALID".to_owned()),
    ];
    assert_eq!(refused, expected);
    let texts: Vec<_> = recipient
        .inbox(200)
        .iter()
        .map(|message| message["content"]["text"].clone())
        .collect();
    assert_eq!(texts, ["message 1", "message 4"]);
}
