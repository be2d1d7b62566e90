//! Peers that prove themselves and cheat then.

use entente_federation::frame::items::{self, WireItem};
use entente_federation::frame::receipt::Receipt;
use entente_federation::frame::session::{Kind, MAX_SESSION_FRAME, finish};
use entente_federation::{
    Change, Event, Evidence, Input, Item, Misbehaved, Reject, Request, Stream,
};

use crate::hand::{HandSession, faults};
use crate::pair::agent;

const MSG: u8 = 1;

fn item(number: u8) -> Item {
    Item {
        id: [number; 16],
        from: agent(0, 0),
        to: agent(1, 0),
        bytes: vec![number; 40].into(),
        expires: None,
    }
}

fn messages(floor: u64, numbers: std::ops::Range<u8>) -> Vec<u8> {
    let wire: Vec<_> = numbers
        .map(|number| WireItem::Message(item(number)))
        .collect();
    let mut body = Vec::new();
    items::write(&mut body, floor, &wire);
    body
}

/// A session in which the victim has sent messages 1 and 2.
fn with_messages(seed: u64) -> (HandSession, u64) {
    let mut session = HandSession::open(seed);
    let _ = session.confirm();
    let mut items = vec![item(1), item(2)];
    for item in &mut items {
        (item.from, item.to) = (agent(1, 0), agent(0, 0));
    }
    let now = session.victim.now;
    let out = session.victim.link.handle(
        now,
        Input::Enqueue {
            stream: Stream::Msg,
            items,
        },
    );
    let (header, body) = session.read(&out.transmits[0].1);
    assert_eq!((header.kind, header.seq), (Kind::Msg, 1));
    assert_eq!(items::read(body).unwrap().1.len(), 2);
    (session, header.epoch)
}

fn receipt(epoch: u64) -> Receipt {
    let at = entente_lexicon::Timestamp(77);
    Receipt {
        epoch,
        from: 1,
        upto: 2,
        at,
        rejects: Vec::new(),
    }
}

fn ids() -> Vec<u8> {
    [[1; 16], [2; 16]].concat()
}

impl HandSession {
    fn acknowledge(&mut self, receipt: &Receipt, ids: &[u8]) -> entente_federation::Outputs {
        let statement = receipt.statement(&self.hand.me.did, &self.hand.victim.did, ids);
        let signature = self.hand.me.key.sign(&[&statement]);
        let mut body = Vec::new();
        receipt.write(&mut body, &signature);
        self.send(Kind::Ack, (MSG, receipt.epoch, receipt.upto), &body)
    }
}

#[test]
fn a_wrong_tag() {
    let mut session = HandSession::open(1);
    let mut frame = session.make(Kind::Ping, (0, 0, 0), b"12345678");
    let last = frame.len() - 1;
    frame[last] ^= 1;
    let out = session.victim.frame(&frame);
    session.check_refused(&out, Misbehaved::BadMac);
    assert!(
        !out.events
            .iter()
            .any(|event| matches!(event, Event::Up { .. }))
    );
}

#[test]
fn a_frame_of_another_session() {
    let mut other = HandSession::open(2);
    let frame = other.make(Kind::Ping, (0, 0, 0), b"12345678");
    let mut session = HandSession::open(1);
    let out = session.victim.frame(&frame);
    session.check_refused(&out, Misbehaved::BadMac);
}

#[test]
fn a_replayed_frame() {
    let mut session = HandSession::open(1);
    let frame = session.make(Kind::Ping, (0, 0, 0), b"12345678");
    assert_eq!(faults(&session.victim.frame(&frame)), []);
    let out = session.victim.frame(&frame);
    session.check_refused(&out, Misbehaved::Replayed);
}

#[test]
fn a_reflected_frame() {
    let mut session = HandSession::open(1);
    let out = session.confirm();
    let theirs = out.transmits[0].1.clone();
    let out = session.victim.frame(&theirs);
    session.check_refused(&out, Misbehaved::BadMac);
}

#[test]
fn an_oversize_or_malformed_frame() {
    let mut session = HandSession::open(1);
    let out = session.victim.frame(&vec![0; MAX_SESSION_FRAME + 1]);
    session.check_refused(&out, Misbehaved::OversizeFrame);

    let mut session = HandSession::open(2);
    let out = session.victim.frame(&[0; 41]);
    session.check_refused(&out, Misbehaved::MalformedFrame);

    let mut session = HandSession::open(3);
    let mut frame = vec![99; 40];
    let (key, direction) = session.traffic.sending();
    finish(&mut frame, key, direction);
    let out = session.victim.frame(&frame);
    session.check_refused(&out, Misbehaved::MalformedFrame);

    for (kind, place, body) in [
        (Kind::Msg, (MSG, 5, 1), &b"junk"[..]),
        (Kind::Msg, (4, 5, 1), &messages(0, 1..2)),
        (Kind::Msg, (0, 5, 1), &messages(0, 1..2)),
        (Kind::Msg, (2, 5, 1), &messages(1, 1..2)),
        (Kind::Ack, (2, 5, 1), b"1"),
        (Kind::Confirm, (3, 5, 0), b""),
        (Kind::Status, (0, 0, 0), b"junk"),
        (Kind::Status, (1, 0, 0), b"junk"),
        (Kind::Msg, (MSG, u64::MAX, 1), &messages(0, 1..2)),
        (Kind::Msg, (MSG, 5, 1), &messages(1, 1..2)),
        (Kind::Ack, (MSG, 5, 1), b"junk"),
        (Kind::Ping, (0, 0, 0), b"123"),
        (Kind::Bye, (0, 0, 0), b"1"),
        (Kind::Confirm, (MSG, 5, 0), b"1"),
    ] {
        HandSession::open(4).refused(kind, place, body, Misbehaved::MalformedFrame);
    }
}

#[test]
fn a_handshake_frame_in_the_session() {
    let mut session = HandSession::open(1);
    let hello = crate::hand::bare(&session.hand.hello());
    let out = session.victim.frame(&hello);
    session.check_refused(&out, Misbehaved::BadMac);
}

#[test]
fn a_hole_in_the_stream() {
    let mut session = HandSession::open(1);
    let hole = Misbehaved::OutOfWindow;
    session.refused(Kind::Msg, (MSG, 5, 2), &messages(0, 1..2), hole);

    let mut session = HandSession::open(2);
    let out = session.send(Kind::Msg, (MSG, 5, 1), &messages(0, 1..3));
    assert!(matches!(
        out.requests[..],
        [Request::Deliver { epoch: 5, .. }]
    ));
    session.refused(Kind::Msg, (MSG, 5, 4), &messages(0, 1..2), hole);

    // And no message twice within a session.
    let mut session = HandSession::open(3);
    assert_eq!(
        faults(&session.send(Kind::Msg, (MSG, 5, 1), &messages(0, 1..3))),
        []
    );
    session.refused(Kind::Msg, (MSG, 5, 1), &messages(0, 1..2), hole);
}

#[test]
fn more_than_the_window() {
    let mut session = HandSession::open(1);
    for round in 0..8u64 {
        let out = session.send(Kind::Msg, (MSG, 5, round * 128 + 1), &messages(0, 0..128));
        assert_eq!(faults(&out), []);
    }
    let seq = 8 * 128 + 1;
    session.refused(
        Kind::Msg,
        (MSG, 5, seq),
        &messages(0, 0..1),
        Misbehaved::OutOfWindow,
    );
}

#[test]
fn an_epoch_that_goes_back() {
    let mut session = HandSession::open(1);
    assert_eq!(
        faults(&session.send(Kind::Msg, (MSG, 5, 1), &messages(0, 1..3))),
        []
    );
    let back = Misbehaved::StaleEpoch;
    session.refused(Kind::Msg, (MSG, 4, 3), &messages(0, 3..4), back);
}

#[test]
fn an_honest_receipt_is_taken_with_its_signature() {
    let (mut session, epoch) = with_messages(1);
    let mut receipt = receipt(epoch);
    let code = entente_federation::Code::from_static("AGENT_GONE");
    receipt.rejects.push(Reject {
        seq: 2,
        id: [2; 16],
        code,
    });
    let out = session.acknowledge(&receipt, &ids());
    assert_eq!(faults(&out), []);
    let [
        Change::Acked {
            upto: 2,
            at,
            rejects,
            evidence,
        },
    ] = &out.changes[..]
    else {
        panic!("{:?}", out.changes)
    };
    assert_eq!((at.0, rejects), (77, &receipt.rejects));
    let Evidence::Receipt {
        statement,
        signature,
        ..
    } = evidence
    else {
        panic!()
    };
    let key = session.hand.me.key.verifying_key();
    assert_eq!(key.verify(&[statement], signature), Ok(()));
    let (header, _) = session.read(&out.transmits[0].1);
    assert_eq!((header.kind, header.seq), (Kind::Confirm, 2));
}

#[test]
fn a_receipt_that_does_not_fit_what_was_sent() {
    let bad = Misbehaved::BadReceipt;
    let wrong_id = Reject {
        seq: 2,
        id: [3; 16],
        code: entente_federation::Code::from_static("AGENT_GONE"),
    };
    let cases: [(Receipt, Vec<u8>); 5] = [
        (
            Receipt {
                upto: 3,
                ..receipt(0)
            },
            [ids(), vec![3; 16]].concat(),
        ),
        (
            Receipt {
                from: 2,
                ..receipt(0)
            },
            vec![2; 16],
        ),
        (receipt(0), vec![9; 32]),
        (receipt(0), vec![1; 16]),
        (
            Receipt {
                rejects: vec![wrong_id],
                ..receipt(0)
            },
            ids(),
        ),
    ];
    for (receipt, ids) in cases {
        let (mut session, epoch) = with_messages(1);
        let receipt = Receipt { epoch, ..receipt };
        let out = session.acknowledge(&receipt, &ids);
        session.check_refused(&out, bad);
        assert!(
            !out.changes
                .iter()
                .any(|change| matches!(change, Change::Acked { .. }))
        );
    }
    let (mut session, epoch) = with_messages(1);
    let out = session.acknowledge(
        &Receipt {
            epoch: epoch + 1,
            ..receipt(0)
        },
        &ids(),
    );
    session.check_refused(&out, bad);
}

#[test]
fn a_receipt_signed_by_another_key_or_for_another_pair() {
    let (mut session, epoch) = with_messages(1);
    session.hand.me.key = crate::pair::Identity::new(3).key;
    let out = session.acknowledge(&receipt(epoch), &ids());
    session.check_refused(&out, Misbehaved::BadReceipt);

    let (mut session, epoch) = with_messages(1);
    session.hand.victim = crate::pair::Identity::new(3);
    let out = session.acknowledge(&receipt(epoch), &ids());
    session.check_refused(&out, Misbehaved::BadReceipt);
}

#[test]
fn a_receipt_given_twice() {
    let (mut session, epoch) = with_messages(1);
    assert_eq!(faults(&session.acknowledge(&receipt(epoch), &ids())), []);
    let out = session.acknowledge(&receipt(epoch), &ids());
    session.check_refused(&out, Misbehaved::BadReceipt);
}

#[test]
fn silence_after_ready() {
    let mut session = HandSession::open(1);
    let later = session.victim.now.after(10_000);
    let out = session.victim.link.handle(later, Input::Timeout);
    session.check_refused(&out, Misbehaved::HandshakeTimeout);
    assert!(
        !out.events
            .iter()
            .any(|event| matches!(event, Event::Up { .. }))
    );
}

#[test]
fn silence_in_the_session() {
    let (mut session, _) = with_messages(1);
    let mut pings = 0;
    for second in 1..20 {
        let now = session.victim.now.after(second * 1_000);
        let out = session.victim.link.handle(now, Input::Timeout);
        let kinds = out.transmits.iter().map(|(_, f)| session.read(f).0.kind);
        pings += kinds.filter(|kind| *kind == Kind::Ping).count();
        assert!(out.closes.is_empty(), "{second}");
    }
    assert!((2..=4).contains(&pings), "{pings}");
    let now = session.victim.now.after(20_000);
    let out = session.victim.link.handle(now, Input::Timeout);
    assert_eq!(out.closes, [(session.victim.socket, 4406, "SILENCE")]);
}

#[test]
fn rejects_that_are_never_confirmed_are_bounded() {
    let mut session = HandSession::open(1);
    let code = || entente_federation::Code::from_static("AGENT_GONE");
    let mut seq = 1;
    let refused = loop {
        let out = session.send(Kind::Msg, (MSG, 5, seq), &messages(0, 0..128));
        if !faults(&out).is_empty() {
            break out;
        }
        let verdicts = (seq..seq + 128)
            .map(|seq| {
                let id = [u8::try_from((seq - 1) % 128).unwrap(); 16];
                (
                    seq,
                    id,
                    entente_federation::DeliveryVerdict::Refused(code()),
                )
            })
            .collect();
        let now = session.victim.now;
        let _ = session
            .victim
            .link
            .handle(now, Input::Delivered { epoch: 5, verdicts });
        seq += 128;
        assert!(seq < 5_000);
    };
    session.check_refused(&refused, Misbehaved::OutOfWindow);
}

#[test]
fn rejects_are_dropped_once_a_message_says_that_they_were_heard_of() {
    let mut session = HandSession::open(1);
    let _ = session.send(Kind::Msg, (MSG, 5, 1), &messages(0, 1..4));
    let code = entente_federation::Code::from_static("AGENT_GONE");
    let refused = entente_federation::DeliveryVerdict::Refused(code);
    let verdict = |seq: u8| (seq.into(), [seq; 16], refused.clone());
    let verdicts = (1..4).map(verdict).collect();
    let now = session.victim.now;
    let out = session
        .victim
        .link
        .handle(now, Input::Delivered { epoch: 5, verdicts });
    let rejected = |change: &&Change| matches!(change, Change::Rejected(_));
    assert_eq!(out.changes.iter().filter(rejected).count(), 3);
    let out = session.send(Kind::Msg, (MSG, 5, 4), &messages(2, 4..5));
    assert_eq!(out.changes, [Change::RejectsConfirmed { upto: 2 }]);
}

#[test]
fn rejects_repeated_by_ready_are_kept_until_a_frame_proves_that_it_arrived() {
    let code = entente_federation::Code::from_static("AGENT_GONE");
    let rejects: Vec<_> = (1..=80)
        .map(|seq| Reject {
            seq,
            id: [3; 16],
            code: code.clone(),
        })
        .collect();
    let restored = entente_federation::Restored {
        inn: entente_federation::Streams {
            msg: entente_federation::RestoredIn {
                epoch: 5,
                seq: 90,
                held: 0,
            },
            ..entente_federation::Streams::default()
        },
        rejects,
        ..entente_federation::Restored::default()
    };
    let mut session = HandSession::open_with(1, restored);
    let ready = session.ready.clone();
    assert_eq!(
        (ready.cursors, ready.rejects.len()),
        (vec![(1, 5, 64)], 64),
        "as many as fit"
    );
    let out = session.confirm();
    assert_eq!(out.changes, [Change::RejectsConfirmed { upto: 64 }]);
}

#[test]
fn a_verdict_for_another_epoch_settles_nothing_and_a_late_one_moves_the_cursor() {
    let mut session = HandSession::open(1);
    let _ = session.send(Kind::Msg, (MSG, 5, 1), &messages(0, 1..2));
    let now = session.victim.now;
    let verdicts = || vec![(1, [1; 16], entente_federation::DeliveryVerdict::Delivered)];
    let link = &mut session.victim.link;
    let out = link.handle(
        now,
        Input::Delivered {
            epoch: 4,
            verdicts: verdicts(),
        },
    );
    assert_eq!((out.changes, out.transmits), (vec![], vec![]));
    // The session is gone when the agent answers.
    let _ = link.handle(
        now,
        Input::Closed {
            socket: session.victim.socket,
            code: 1006,
        },
    );
    let out = link.handle(
        now,
        Input::Delivered {
            epoch: 5,
            verdicts: verdicts(),
        },
    );
    let (stream, epoch, seq) = (Stream::Msg, 5, 1);
    assert_eq!(out.changes, [Change::Cursor { stream, epoch, seq }]);
    assert_eq!(out.transmits, []);
}
