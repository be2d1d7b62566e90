//! Peers that are dialled and cheat: each check of HELLO_ACK and READY has one that breaks it.

use entente_federation::frame::opening::{HelloAck, OpeningFrame, Ready, encode};
use entente_federation::handshake::keys::Maced;
use entente_federation::handshake::transcript::{LABEL_AUTH, LABEL_HELLO_ACK};
use entente_federation::{Event, Input, Misbehaved, Request};
use entente_lexicon::{Host, TrustLevel};
use entente_trust::crypto::kem::{KemPublic, KemSecret};
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use crate::hand::{Hand, Victim, faults};
use crate::pair::Identity;

/// A HELLO_ACK changed in one way, and signed and authenticated all the same.
fn ack_refused(how: Misbehaved, change: impl Fn(&mut HelloAck)) {
    let (mut victim, hello) = Victim::dialling(TrustLevel::Open);
    let mut hand = Hand::new(1);
    let frame = changed_ack(&mut hand, &hello, change);
    victim.refused(&frame.encode(), 2, how);
}

fn changed_ack(hand: &mut Hand, hello: &[u8], change: impl Fn(&mut HelloAck)) -> OpeningFrame {
    let (hello, mut ack, _) = hand.take_hello(hello);
    let share = KemPublic::from_bytes(&hello.shares[0].1).unwrap();
    let (ct, shared) = share.encapsulate(&mut hand.rng).unwrap();
    ack.ct = ByteBuf::from(ct);
    change(&mut ack);
    hand.ack_frame(&ack, shared)
}

/// A victim that has sent AUTH.
fn at_ready(level: TrustLevel) -> (Victim, Hand) {
    let (mut victim, hello) = Victim::dialling(level);
    let mut hand = Hand::new(1);
    let (_, _, ack) = hand.take_hello(&hello);
    let ack = ack.encode();
    hand.absorb(&ack);
    let auth = victim.answer(&ack);
    hand.absorb(&auth);
    (victim, hand)
}

#[test]
fn an_honest_responder_is_believed() {
    let (mut victim, hand) = at_ready(TrustLevel::Open);
    let ready = hand
        .ready_frame(&Hand::ready(TrustLevel::Allowlist))
        .encode();
    let out = victim.frame(&ready);
    assert!(out.events.iter().any(|event| matches!(
        event,
        Event::Up {
            granted: TrustLevel::Allowlist,
            initiator: true,
            ..
        }
    )));
    assert_eq!(
        out.transmits.len(),
        2,
        "PING and STATUS, the first of which says that READY arrived"
    );
}

#[test]
fn a_reflected_hello() {
    let (mut victim, hello) = Victim::dialling(TrustLevel::Open);
    victim.refused(&hello, 2, Misbehaved::UnexpectedFrame);
    // On another socket it is for somebody else.
    let (mut victim, hello) = Victim::dialling(TrustLevel::Open);
    victim.accept(Identity::new(1).claimed());
    victim.refused(&hello, 1, Misbehaved::WrongRecipient);
}

#[test]
fn malformed_and_oversize_answers() {
    let (mut victim, _) = Victim::dialling(TrustLevel::Open);
    victim.refused(b"junk", 2, Misbehaved::MalformedFrame);
    let (mut victim, _) = at_ready(TrustLevel::Open);
    victim.refused(&[0; 9_000], 4, Misbehaved::OversizeFrame);
    let (mut victim, hand) = at_ready(TrustLevel::Open);
    let doubled = Ready {
        cursors: vec![(1, 1, 1), (1, 1, 2)],
        ..Hand::ready(TrustLevel::Open)
    };
    victim.refused(
        &hand.ready_frame(&doubled).encode(),
        4,
        Misbehaved::MalformedFrame,
    );
    let (mut victim, hand) = at_ready(TrustLevel::Open);
    let reject = (1, 1, [0; 16].into(), "no code".to_owned());
    let coded = Ready {
        rejects: vec![reject],
        ..Hand::ready(TrustLevel::Open)
    };
    victim.refused(
        &hand.ready_frame(&coded).encode(),
        4,
        Misbehaved::MalformedFrame,
    );
}

#[test]
fn silence_after_hello_and_after_auth() {
    for frame in [2, 4] {
        let mut victim = match frame {
            2 => Victim::dialling(TrustLevel::Open).0,
            _ => at_ready(TrustLevel::Open).0,
        };
        let out = victim.link.handle(victim.now.after(10_000), Input::Timeout);
        assert_eq!(faults(&out), [(frame, Misbehaved::HandshakeTimeout)]);
    }
}

#[test]
fn an_answer_from_another_did() {
    ack_refused(Misbehaved::WrongPeer, |ack| {
        ack.from.did = Identity::new(3).did
    });
    ack_refused(Misbehaved::WrongPeer, |ack| {
        ack.from.did = Identity::new(2).did
    });
}

#[test]
fn a_choice_that_was_not_offered() {
    ack_refused(Misbehaved::NotOffered, |ack| ack.version = 0);
    ack_refused(Misbehaved::NotOffered, |ack| ack.suite = 1);
}

#[test]
fn a_host_or_key_that_the_document_does_not_have() {
    ack_refused(Misbehaved::HostMismatch, |ack| {
        ack.from.host = Host::parse("evil.example.com").unwrap();
    });
    ack_refused(Misbehaved::UnknownKey, |ack| ack.from.kid = "kid-9".into());
}

#[test]
fn a_stale_document_is_fetched_once_and_then_refused() {
    let (mut victim, hello) = Victim::dialling(TrustLevel::Open);
    let mut hand = Hand::new(1);
    let frame = changed_ack(&mut hand, &hello, |ack| ack.from.doc = [0; 32].into());
    assert_eq!(
        victim.frame(&frame.encode()).requests,
        [Request::FetchDocument]
    );
    let document = Identity::new(1).as_document();
    let out = victim
        .link
        .handle(victim.now, Input::Document(Ok(document)));
    victim.check_refused(&out, 2, Misbehaved::StaleDocument);
}

#[test]
fn a_stranger_without_the_key() {
    let (mut victim, hello) = Victim::dialling(TrustLevel::Open);
    let mut hand = Hand::new(1);
    hand.me.key = Identity::new(3).key;
    let (_, _, frame) = hand.take_hello(&hello);
    victim.refused(&frame.encode(), 2, Misbehaved::BadSignature);
}

#[test]
fn a_downgraded_offer() {
    // The responder saw only what somebody in the middle left of the offer.
    let (mut victim, hello) = Victim::dialling(TrustLevel::Open);
    let (parts, body) = OpeningFrame::decode(&hello).unwrap();
    let entente_federation::frame::opening::Body::Hello(mut offer) = body else {
        panic!()
    };
    offer.versions = vec![0, 1];
    let changed = OpeningFrame {
        body: encode(&*offer),
        ..parts
    }
    .encode();
    let (_, _, frame) = Hand::new(1).take_hello(&changed);
    victim.refused(&frame.encode(), 2, Misbehaved::BadSignature);
}

#[test]
fn a_substituted_kem_key() {
    let (mut victim, hello) = Victim::dialling(TrustLevel::Open);
    let (parts, body) = OpeningFrame::decode(&hello).unwrap();
    let entente_federation::frame::opening::Body::Hello(mut offer) = body else {
        panic!()
    };
    let mut rng = crate::rng::TestRng::new(5);
    let share = KemSecret::generate(&mut rng).public().to_bytes();
    offer.shares[0].1 = ByteBuf::from(share);
    let changed = OpeningFrame {
        body: encode(&*offer),
        ..parts
    }
    .encode();
    let (_, _, frame) = Hand::new(1).take_hello(&changed);
    victim.refused(&frame.encode(), 2, Misbehaved::BadSignature);
}

#[test]
fn a_substituted_ciphertext() {
    let (mut victim, hello) = Victim::dialling(TrustLevel::Open);
    let mut hand = Hand::new(1);
    let (hello, mut ack, mut frame) = hand.take_hello(&hello);
    let share = KemPublic::from_bytes(&hello.shares[0].1).unwrap();
    ack.ct = ByteBuf::from(share.encapsulate(&mut hand.rng).unwrap().0);
    frame.body = encode(&ack);
    victim.refused(&frame.encode(), 2, Misbehaved::BadSignature);
}

#[test]
fn an_answer_recorded_in_another_handshake() {
    let (mut victim, hello) = Victim::dialling(TrustLevel::Open);
    let (_, _, recorded) = Hand::new(1).take_hello(&hello);
    drop(victim.answer(&recorded.encode()));
    let (mut other, _) = Victim::dialling(TrustLevel::Allowlist);
    other.refused(&recorded.encode(), 2, Misbehaved::BadSignature);
}

#[test]
fn a_secret_that_the_signer_does_not_know() {
    // The key signs, but the MAC is under another secret: the signature alone is not believed.
    let (mut victim, hello) = Victim::dialling(TrustLevel::Open);
    let mut hand = Hand::new(1);
    let (_, ack, _) = hand.take_hello(&hello);
    let frame = hand.ack_frame(&ack, Zeroizing::new([0; 32]));
    victim.refused(&frame.encode(), 2, Misbehaved::BadMac);
    ack_refused(Misbehaved::BadMac, |ack| ack.ct = ByteBuf::from([1; 1119]));
}

#[test]
fn a_mac_that_names_somebody_else() {
    for did in [Identity::new(2).did, Identity::new(3).did] {
        let (mut victim, hello) = Victim::dialling(TrustLevel::Open);
        let mut hand = Hand::new(1);
        let (_, _, frame) = hand.take_hello(&hello);
        let honest = std::mem::replace(&mut hand.me.did, did);
        let frame = hand.signed(frame.body, LABEL_HELLO_ACK, Maced::HelloAck);
        assert_ne!(honest, hand.me.did);
        victim.refused(&frame.encode(), 2, Misbehaved::BadMac);
    }
}

#[test]
fn a_ready_that_is_not_signed_for_this() {
    let (mut victim, hand) = at_ready(TrustLevel::Open);
    let body = encode(&Hand::ready(TrustLevel::Open));
    let frame = hand.signed(body, LABEL_AUTH, Maced::Ready);
    victim.refused(&frame.encode(), 4, Misbehaved::BadSignature);

    let (mut victim, hand) = at_ready(TrustLevel::Open);
    let mut frame = hand.ready_frame(&Hand::ready(TrustLevel::Open));
    let forged = Ready {
        cursors: vec![(1, 1, 100)],
        ..Hand::ready(TrustLevel::Open)
    };
    frame.body = encode(&forged);
    victim.refused(&frame.encode(), 4, Misbehaved::BadSignature);
}

#[test]
fn a_ready_whose_mac_is_wrong() {
    let (mut victim, hand) = at_ready(TrustLevel::Open);
    let mut frame = hand.ready_frame(&Hand::ready(TrustLevel::Open));
    frame.mac[0] ^= 1;
    victim.refused(&frame.encode(), 4, Misbehaved::BadMac);
    // A MAC under the key of another frame.
    let (mut victim, hand) = at_ready(TrustLevel::Open);
    let mut frame = hand.ready_frame(&Hand::ready(TrustLevel::Open));
    let digest = hand.transcript.digest(&frame.body);
    let schedule = hand.schedule.as_ref().unwrap();
    frame.mac = schedule
        .mac(Maced::HelloAck, &digest, &hand.me.did)
        .to_vec();
    victim.refused(&frame.encode(), 4, Misbehaved::BadMac);
}

#[test]
fn a_level_laxer_than_wanted() {
    let (mut victim, hand) = at_ready(TrustLevel::Allowlist);
    let ready = hand.ready_frame(&Hand::ready(TrustLevel::Open));
    victim.refused(&ready.encode(), 4, Misbehaved::LevelTooOpen);
}

#[test]
fn a_failed_attempt_of_ours_is_shown_and_tried_again() {
    let (mut victim, _) = Victim::dialling(TrustLevel::Open);
    victim.refused(b"junk", 2, Misbehaved::MalformedFrame);
    let view = victim.link.view(victim.now);
    assert_eq!(view.last_error.unwrap().as_str(), "MALFORMED_FRAME");
    assert!(view.next_retry.is_some());
}
