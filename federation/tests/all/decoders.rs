//! No bytes make a decoder or a link panic.

use entente_federation::frame::opening::OpeningFrame;
use entente_federation::frame::session::open;
use entente_federation::{Input, SocketId};
use proptest::prelude::*;

use crate::hand::{Hand, HandSession, Victim, bare};
use crate::pair::Identity;

fn handshake_frames() -> Vec<Vec<u8>> {
    let mut victim = Victim::dialled();
    let mut hand = Hand::new(1);
    let hello = bare(&hand.hello());
    hand.absorb(&hello);
    let ack = victim.answer(&hello);
    hand.take_ack(&ack);
    let auth = hand.auth().encode();
    hand.absorb(&auth);
    let ready = victim.answer(&auth);
    vec![hello, ack, auth, ready]
}

proptest! {
    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = OpeningFrame::decode(&bytes);
        let _ = open(&bytes, &[0; 32], 1);
        let mut victim = Victim::dialled();
        let _ = victim.frame(&bytes);
        let _ = victim.link.handle(victim.now, Input::Frame { socket: SocketId(77), bytes: &bytes });
    }

    #[test]
    fn handshake_frames_changed_anywhere(
        which in 0usize..4,
        at: prop::sample::Index,
        with: u8,
        cut: prop::sample::Index,
    ) {
        let frames = handshake_frames();
        let mut bytes = frames[which].clone();
        let at = at.index(bytes.len());
        bytes[at] = with;
        if let Ok((frame, _)) = OpeningFrame::decode(&bytes) {
            prop_assert_eq!(frame.encode(), bytes.clone(), "only canonical frames are read");
        }
        let _ = OpeningFrame::decode(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn session_frames_with_right_tags_and_any_content(
        kind in 1u8..7,
        place: (u8, u64, u64),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut session = HandSession::open(1);
        let mut frame = vec![kind];
        frame.extend_from_slice(&0u64.to_be_bytes());
        frame.push(place.0 % 3);
        frame.extend_from_slice(&(place.1 % 10).to_be_bytes());
        frame.extend_from_slice(&place.2.to_be_bytes());
        frame.extend_from_slice(&body);
        let (key, direction) = session.traffic.sending();
        entente_federation::frame::session::finish(&mut frame, key, direction);
        let _ = session.victim.frame(&frame);
    }
}

#[test]
fn deep_nesting_is_refused() {
    for byte in [0x81u8, 0xa1, 0x9f, 0xc0, 0xd8] {
        assert!(OpeningFrame::decode(&vec![byte; 8192]).is_err());
        let frame = OpeningFrame {
            body: vec![byte; 8000],
            signature: vec![],
            mac: vec![],
        };
        assert!(OpeningFrame::decode(&frame.encode()).is_err());
        // Also inside a field that nobody knows.
        let mut body = b"\xa2\x61t\x01\x61x".to_vec();
        body.extend(vec![byte; 8000]);
        let frame = OpeningFrame {
            body,
            signature: vec![],
            mac: vec![],
        };
        assert!(OpeningFrame::decode(&frame.encode()).is_err());
    }
    assert_ne!(Identity::new(1).did, Identity::new(2).did);
}
