//! The bytes of one whole handshake and of one frame of each session type, as the protocol
//! document quotes them. `UPDATE_GOLDEN=1` writes them anew.

use std::path::PathBuf;

use entente_federation::frame::items::{self, WireItem};
use entente_federation::frame::opening::{OpeningFrame, WireLimits};
use entente_federation::frame::receipt::Receipt;
use entente_federation::frame::session::{Header, Kind, finish};
use entente_federation::frame::status::Outlook;
use entente_federation::handshake::keys::Traffic;
use entente_federation::handshake::responder::Answer;
use entente_federation::handshake::{Context, initiator, responder};
use entente_federation::{Amount, Amounts, CloseCode, Code, Item, Reject, Status, Streams};
use entente_lexicon::{Timestamp, TrustLevel};
use entente_trust::policy::Approval;

use crate::pair::{Identity, agent};
use crate::rng::TestRng;

fn path(name: &str) -> PathBuf {
    let folder = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name];
    folder.iter().collect::<PathBuf>().with_extension("hex")
}

/// The text of a golden file.
pub(crate) fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_default()
}

fn golden(name: &str, bytes: &[u8]) {
    let hex: Vec<String> = bytes
        .chunks(32)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    let text = hex.join("\n") + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path(name), &text).unwrap();
    }
    assert_eq!(read(name), text, "{name} changed on the wire");
}

#[test]
fn one_whole_handshake_and_one_frame_of_each_type() {
    let (traffic, reject) = handshake();
    session_frames(&Identity::new(1), &Identity::new(2), &traffic, reject);
}

/// The keys of the session that the golden handshake opens, as its initiator holds them.
pub(crate) fn traffic() -> Traffic {
    handshake().0
}

/// Goes through the handshake, comparing its frames; also the reject in READY.
fn handshake() -> (Traffic, Reject) {
    let (alpha, beta) = (Identity::new(1), Identity::new(2));
    let (alpha_own, beta_own) = (alpha.own(), beta.own());
    let (alpha_peer, beta_peer) = (beta.as_peer(), alpha.as_peer());
    let approval = Approval {
        not_before: Timestamp(1_800_000_000_000),
        expires: Timestamp(1_807_776_000_000),
        nonce: [4; 16],
    };
    let dialler = Context {
        own: &alpha_own,
        key: &alpha.key,
        peer: &alpha_peer,
        approval: Some(approval),
    };
    let dialled = Context {
        own: &beta_own,
        key: &beta.key,
        peer: &beta_peer,
        approval: None,
    };
    let mut rng = TestRng::new(1);

    let (mut expect_ack, hello) = initiator::start(&dialler, 7, TrustLevel::Open, &mut rng);
    golden("1-hello", &hello);
    let mut rng = TestRng::new(2);
    let (expect_auth, ack) =
        responder::receive_hello(&dialled, &alpha.claimed(), &hello, &mut rng).unwrap();
    golden("2-hello-ack", &ack);
    let (expect_ready, auth) = expect_ack
        .receive(&dialler, &ack, vec![(1, 5, 40)])
        .unwrap();
    golden("3-auth", &auth);
    let (authenticated, stand) = expect_auth.receive(&dialled, &auth, 6).unwrap();
    assert_eq!(stand.cursors, [(1, 5, 40)]);
    let reject = Reject {
        seq: 11,
        id: [0xaa; 16],
        code: Code::from_static("NOT_ALLOWED"),
    };
    let answer = Answer {
        session: [0x55; 16],
        granted: TrustLevel::Allowlist,
        limits: WireLimits {
            bytes: 1_048_576,
            frame: 262_144,
            items: 1_024,
        },
        cursors: vec![(1, 9, 12)],
        rejects: vec![(1, reject.clone())],
    };
    let (theirs, ready) = authenticated.ready(&dialled, answer);
    golden("4-ready", &ready);
    let (ours, stand) = expect_ready.receive(&dialler, &ready).unwrap();
    assert_eq!(
        (stand.cursors, stand.rejects),
        (vec![(1, 9, 12)], vec![reject.clone()])
    );
    assert_eq!(ours.traffic.sending(), theirs.traffic.receiving());
    assert!(
        [&hello, &ack, &auth, &ready]
            .iter()
            .all(|f| OpeningFrame::decode(f).is_ok())
    );

    (ours.traffic, reject)
}

fn session_frames(alpha: &Identity, beta: &Identity, traffic: &Traffic, reject: Reject) {
    let sent = |name: &str, counter: u64, kind: Kind, place: (u8, u64, u64), body: &[u8]| {
        let (stream, epoch, seq) = place;
        let mut frame = Header {
            kind,
            counter,
            stream,
            epoch,
            seq,
        }
        .begin(body.len());
        frame.extend_from_slice(body);
        let (key, direction) = traffic.sending();
        finish(&mut frame, key, direction);
        golden(name, &frame);
    };
    let message = |number: u8, to: u64| {
        WireItem::Message(Item {
            id: [number; 16],
            from: agent(0, 0),
            to: agent(1, to),
            bytes: vec![number; 8].into(),
            expires: None,
        })
    };
    sent("5-ping", 0, Kind::Ping, (0, 0, 0), b"roundtrp");
    sent("6-pong", 1, Kind::Pong, (0, 0, 0), b"roundtrp");
    let mut body = Vec::new();
    items::write(
        &mut body,
        12,
        &[message(1, 0), message(2, 1), WireItem::Withdrawn],
    );
    sent("7-msg", 2, Kind::Msg, (1, 9, 13), &body);
    let receipt = Receipt {
        epoch: 5,
        from: 41,
        upto: 42,
        at: Timestamp(1_800_000_000_000),
        rejects: vec![],
    };
    let receipt = Receipt {
        rejects: vec![Reject { seq: 42, ..reject }],
        ..receipt
    };
    let statement = receipt.statement(&alpha.did, &beta.did, &[7; 32]);
    golden("8-ack-statement", &statement);
    let mut body = Vec::new();
    receipt.write(&mut body, &alpha.key.sign(&[&statement]));
    sent("8-ack", 3, Kind::Ack, (1, 5, 42), &body);
    sent("9-confirm", 4, Kind::Confirm, (1, 9, 12), b"");
    sent(
        "10-bye",
        5,
        Kind::Bye,
        (0, 0, 0),
        &CloseCode::Idle.number().to_be_bytes(),
    );
    sent("11-status", 6, Kind::Status, (0, 0, 0), &status().encode());
}

fn status() -> Status {
    let amount = |bytes, items| Amount { bytes, items };
    let windows = Streams {
        msg: amount(1_048_576, 1_024),
        evt: amount(262_144, 256),
        ctl: amount(65_536, 256),
    };
    let taken = Streams {
        msg: amount(4_096, 3),
        ..Streams::default()
    };
    Status {
        limits: Amounts::new(windows, amount(67_108_864, 10_000)),
        usage: Amounts::new(taken, amount(8_192, 5)),
        view: Outlook {
            error: Some("SILENCE".to_owned()),
            events: 0,
            level: TrustLevel::Open,
            oldest: Some(1_500),
            queued: 5,
            rtt: None,
        },
    }
}
