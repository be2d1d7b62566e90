//! Peers that dial and cheat: each check of HELLO and AUTH has one that breaks just it.

use entente_federation::frame::opening::{MAX_OPENING_FRAME, OpeningFrame, encode};
use entente_federation::handshake::keys::Maced;
use entente_federation::handshake::transcript::LABEL_READY;
use entente_federation::{Input, Misbehaved, Request};
use entente_lexicon::{Host, TrustLevel};
use serde_bytes::ByteBuf;

use crate::hand::{Hand, Victim, bare, faults};
use crate::pair::Identity;

/// A HELLO changed in one way is refused as frame 1.
fn hello_refused(how: Misbehaved, change: impl Fn(&mut entente_federation::frame::opening::Hello)) {
    let mut hello = Hand::new(1).hello();
    change(&mut hello);
    Victim::dialled().refused(&bare(&hello), 1, how);
}

/// A victim that has answered the HELLO.
fn at_auth(seed: u64) -> (Victim, Hand) {
    let mut victim = Victim::dialled();
    let hand = greet(&mut victim, seed, 1_800_000_000_000);
    (victim, hand)
}

fn greet(victim: &mut Victim, seed: u64, dial: u64) -> Hand {
    let mut hand = Hand::new(seed);
    let mut hello = hand.hello();
    hello.dial = dial;
    let hello = bare(&hello);
    hand.absorb(&hello);
    let ack = victim.answer(&hello);
    hand.take_ack(&ack);
    hand
}

#[test]
fn an_oversize_frame() {
    let huge = vec![0; MAX_OPENING_FRAME + 1];
    Victim::dialled().refused(&huge, 1, Misbehaved::OversizeFrame);
    let (mut victim, _) = at_auth(1);
    victim.refused(&huge, 3, Misbehaved::OversizeFrame);
}

#[test]
fn a_malformed_frame() {
    let malformed = |bytes: &[u8]| Victim::dialled().refused(bytes, 1, Misbehaved::MalformedFrame);
    malformed(b"");
    malformed(b"\x83\x40\x40\x40");
    malformed(b"garbage");
    malformed(&vec![0x81; 8000]);
    let hello = Hand::new(1).hello();
    let mut long = bare(&hello);
    long.push(0);
    malformed(&long);
    let body = encode(&hello);
    let signed = |signature: usize, mac: usize| {
        OpeningFrame {
            body: body.clone(),
            signature: vec![0; signature],
            mac: vec![0; mac],
        }
        .encode()
    };
    malformed(&signed(64, 0));
    malformed(&signed(0, 32));
    malformed(&signed(64, 32));
    // The first key's length grows by one: the head of the map no longer fits.
    let mut unsorted = body.clone();
    unsorted[0] += 1;
    malformed(
        &OpeningFrame {
            body: unsorted,
            signature: vec![],
            mac: vec![],
        }
        .encode(),
    );
}

#[test]
fn a_field_out_of_bounds() {
    hello_refused(Misbehaved::MalformedFrame, |hello| hello.versions.clear());
    hello_refused(Misbehaved::MalformedFrame, |hello| {
        hello.versions = vec![1; 9]
    });
    hello_refused(Misbehaved::MalformedFrame, |hello| hello.shares.clear());
    hello_refused(Misbehaved::MalformedFrame, |hello| hello.dial = u64::MAX);
    hello_refused(Misbehaved::MalformedFrame, |hello| {
        hello.from.kid = "k".repeat(65)
    });
    hello_refused(Misbehaved::MalformedFrame, |hello| {
        hello.shares = vec![(5, ByteBuf::new()), (5, ByteBuf::from([1]))];
    });
}

#[test]
fn a_frame_out_of_turn() {
    let (_, hand) = at_auth(1);
    let auth = hand.auth().encode();
    Victim::dialled().refused(&auth, 1, Misbehaved::UnexpectedFrame);
    let (mut victim, mut hand) = at_auth(2);
    victim.refused(&bare(&hand.hello()), 3, Misbehaved::UnexpectedFrame);
}

#[test]
fn silence_before_hello_and_before_auth() {
    for frame in [1, 3] {
        let mut victim = Victim::dialled();
        if frame == 3 {
            greet(&mut victim, 1, 1);
        }
        let almost = victim.link.handle(victim.now.after(9_999), Input::Timeout);
        assert!(almost.closes.is_empty());
        let out = victim.link.handle(victim.now.after(10_000), Input::Timeout);
        victim.check_refused(&out, frame, Misbehaved::HandshakeTimeout);
    }
}

#[test]
fn a_hello_for_somebody_else() {
    hello_refused(Misbehaved::WrongRecipient, |hello| {
        hello.to = Identity::new(3).did
    });
}

#[test]
fn a_hello_that_claims_our_own_did() {
    hello_refused(Misbehaved::OwnDid, |hello| {
        hello.from.did = Identity::new(2).did
    });
}

#[test]
fn a_hello_from_another_than_the_upgrade_named() {
    hello_refused(Misbehaved::UpgradeMismatch, |hello| {
        hello.from.did = Identity::new(3).did
    });
    let mut victim = Victim::dialled_by(Identity::new(3).claimed());
    let hello = bare(&Hand::new(1).hello());
    victim.refused(&hello, 1, Misbehaved::UpgradeMismatch);
    hello_refused(Misbehaved::UpgradeMismatch, |hello| {
        hello.from.kid = "kid-9".into();
    });
}

#[test]
fn no_version_or_suite_in_common() {
    hello_refused(Misbehaved::NoCommonVersion, |hello| {
        hello.versions = vec![0, 2]
    });
    hello_refused(Misbehaved::NoCommonSuite, |hello| hello.shares[0].0 = 1);
}

#[test]
fn a_stale_document_is_fetched_once_and_then_refused() {
    let mut hand = Hand::new(1);
    let mut hello = hand.hello();
    hello.from.doc = [0; 32].into();
    let mut victim = Victim::dialled();
    let out = victim.frame(&bare(&hello));
    assert_eq!(out.requests, [Request::FetchDocument]);
    assert_eq!(faults(&out), []);
    let document = Identity::new(1).as_document();
    victim.now = victim.now.after(6_000);
    let out = victim
        .link
        .handle(victim.now, Input::Document(Ok(document)));
    victim.check_refused(&out, 1, Misbehaved::StaleDocument);
    // Soon after, nobody can make us fetch again.
    victim.accept(Identity::new(1).claimed());
    victim.refused(&bare(&hello), 1, Misbehaved::StaleDocument);
}

#[test]
fn another_frame_while_the_document_is_fetched() {
    let mut hand = Hand::new(1);
    let mut hello = hand.hello();
    hello.from.doc = [0; 32].into();
    let mut victim = Victim::dialled();
    let hello = bare(&hello);
    assert_eq!(victim.frame(&hello).requests, [Request::FetchDocument]);
    victim.refused(&hello, 1, Misbehaved::UnexpectedFrame);
}

#[test]
fn a_host_or_key_that_the_document_does_not_have() {
    hello_refused(Misbehaved::HostMismatch, |hello| {
        hello.from.host = Host::parse("evil.example.com").unwrap();
    });
    let mut retired = Identity::new(1);
    retired.kid = "kid-9".into();
    let mut victim = Victim::dialled_by(retired.claimed());
    let mut hello = Hand::new(1).hello();
    hello.from.kid = retired.kid;
    victim.refused(&bare(&hello), 1, Misbehaved::UnknownKey);
}

#[test]
fn a_kem_key_that_is_none() {
    hello_refused(Misbehaved::BadKemKey, |hello| {
        hello.shares[0].1 = ByteBuf::from([1; 1215])
    });
    hello_refused(Misbehaved::BadKemKey, |hello| {
        hello.shares[0].1 = ByteBuf::from([0xff; 1216])
    });
}

#[test]
fn a_stranger_without_the_key() {
    let (mut victim, mut hand) = at_auth(1);
    hand.me.key = Identity::new(3).key;
    victim.refused(&hand.auth().encode(), 3, Misbehaved::BadSignature);
}

#[test]
fn a_signature_made_for_another_purpose() {
    let (mut victim, hand) = at_auth(1);
    let frame = hand.auth();
    let other = hand.signed(frame.body, LABEL_READY, Maced::Auth);
    victim.refused(&other.encode(), 3, Misbehaved::BadSignature);
}

#[test]
fn a_replayed_hello_leads_to_a_bad_signature() {
    let mut victim = Victim::dialled();
    let mut hand = Hand::new(1);
    let hello = bare(&hand.hello());
    hand.absorb(&hello);
    let ack = victim.answer(&hello);
    hand.take_ack(&ack);
    let auth = hand.auth().encode();
    assert_eq!(faults(&victim.frame(&auth)), []);
    // Somebody recorded both frames and plays them again.
    victim.accept(Identity::new(1).claimed());
    let again = victim.answer(&hello);
    assert_ne!(again, ack);
    victim.refused(&auth, 3, Misbehaved::BadSignature);
}

#[test]
fn a_body_changed_under_its_signature() {
    let (mut victim, hand) = at_auth(1);
    let mut frame = hand.auth();
    let forged = entente_federation::frame::opening::Auth {
        t: 3,
        attestation: ByteBuf::new(),
        cursors: vec![(1, 5, 1_000)],
    };
    frame.body = encode(&forged);
    victim.refused(&frame.encode(), 3, Misbehaved::BadSignature);
}

#[test]
fn a_hello_changed_on_its_way() {
    // The victim saw another HELLO than the peer sent: level, dial number, versions, share.
    let mut victim = Victim::dialled();
    let mut hand = Hand::new(1);
    let honest = hand.hello();
    let mut changed = honest.clone();
    changed.want = TrustLevel::Allowlist;
    hand.absorb(&bare(&honest));
    let ack = victim.answer(&bare(&changed));
    hand.take_ack(&ack);
    victim.refused(&hand.auth().encode(), 3, Misbehaved::BadSignature);
}

#[test]
fn a_mac_that_is_wrong_or_names_somebody_else() {
    let (mut victim, hand) = at_auth(1);
    let mut frame = hand.auth();
    frame.mac[31] ^= 1;
    victim.refused(&frame.encode(), 3, Misbehaved::BadMac);

    // Unknown key share: the same key, registered under another DID, in the middle.
    let (mut victim, mut hand) = at_auth(2);
    hand.me.did = Identity::new(3).did;
    victim.refused(&hand.auth().encode(), 3, Misbehaved::BadMac);

    // Reflection: the victim's own DID.
    let (mut victim, mut hand) = at_auth(3);
    hand.me.did = hand.victim.did.clone();
    victim.refused(&hand.auth().encode(), 3, Misbehaved::BadMac);
}

#[test]
fn a_dial_number_that_did_not_rise() {
    let mut victim = Victim::dialled();
    let hand = greet(&mut victim, 1, 500);
    assert_eq!(faults(&victim.frame(&hand.auth().encode())), []);
    for stale in [0, 499, 500] {
        victim.accept(Identity::new(1).claimed());
        let hand = greet(&mut victim, 2 + stale, stale);
        victim.refused(&hand.auth().encode(), 3, Misbehaved::StaleDial);
    }
    victim.accept(Identity::new(1).claimed());
    let hand = greet(&mut victim, 9, 501);
    let out = victim.frame(&hand.auth().encode());
    assert_eq!(faults(&out), []);
    assert!(
        out.closes.iter().any(|(_, code, _)| *code == 4402),
        "the newer session takes over"
    );
}

#[test]
fn nothing_is_believed_before_auth() {
    let mut session = crate::hand::HandSession::open(1);
    let _ = session.confirm();
    let before = session.victim.link.view(session.victim.now);
    // A stranger speaks for the peer: the session stays, nothing is stored.
    let established = session.victim.socket;
    session.victim.accept(Identity::new(1).claimed());
    let mut stranger = Hand::new(2);
    let mut hello = stranger.hello();
    hello.dial = 1 << 52;
    let out = session.victim.frame(&bare(&hello));
    assert_eq!(
        (out.changes.len(), out.closes.len(), out.transmits.len()),
        (0, 0, 1)
    );
    session
        .victim
        .refused(b"junk", 3, Misbehaved::MalformedFrame);
    assert_eq!(session.victim.link.view(session.victim.now), before);
    session.victim.socket = established;
    let out = session.send(
        entente_federation::frame::session::Kind::Ping,
        (0, 0, 0),
        b"87654321",
    );
    assert_eq!(out.transmits.len(), 1);
}

#[test]
fn a_level_wanted_that_allows_no_link_is_no_fault_but_is_refused() {
    for (level, code) in [(TrustLevel::Private, 4408), (TrustLevel::Verified, 4409)] {
        let mut victim = Victim::dialled();
        let mut hand = Hand::new(1);
        let mut hello = hand.hello();
        hello.want = level;
        let hello = bare(&hello);
        hand.absorb(&hello);
        let ack = victim.answer(&hello);
        hand.take_ack(&ack);
        let out = victim.frame(&hand.auth().encode());
        assert_eq!(faults(&out), []);
        assert_eq!(out.transmits, []);
        assert_eq!(out.closes[0].1, code);
    }
}
