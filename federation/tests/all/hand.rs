//! A peer played by hand: every step of the protocol apart, so that a test can break any one.

use entente_federation::frame::opening::{
    Auth, Body, Hello, HelloAck, OpeningFrame, Party, Ready, SUITE_X_WING, VERSION, WireLimits,
    encode,
};
use entente_federation::frame::session::{Header, Kind, finish, open};
use entente_federation::handshake::Role;
use entente_federation::handshake::keys::{Maced, Schedule, Traffic};
use entente_federation::handshake::transcript::{
    LABEL_AUTH, LABEL_HELLO_ACK, LABEL_READY, Transcript,
};
use entente_federation::{
    Claimed, Event, Input, Link, Misbehaved, Outputs, Request, Restored, SocketId,
};
use entente_lexicon::{Timestamp, TrustLevel};
use entente_trust::crypto::kem::{KemPublic, KemSecret};
use serde_bytes::ByteBuf;

use crate::pair::{Identity, config};
use crate::rng::TestRng;

pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// The link under test: network 2, whose peer is network 1.
pub(crate) struct Victim {
    pub(crate) link: Link,
    pub(crate) now: Timestamp,
    pub(crate) socket: SocketId,
}

impl Victim {
    fn new(level: TrustLevel, allow_outbound: bool) -> Self {
        Self::restored(level, allow_outbound, Restored::default())
    }

    fn restored(level: TrustLevel, allow_outbound: bool, restored: Restored) -> Self {
        let (own, peer) = (Identity::new(2), Identity::new(1));
        let mut config = config(&own, &peer, level);
        config.allow_outbound = allow_outbound;
        let link = Link::new(config, own.key.clone(), restored, [7; 32]);
        Self {
            link,
            now: NOW,
            socket: SocketId(0),
        }
    }

    /// One that was just dialled by `claimed`.
    pub(crate) fn dialled_by(claimed: Claimed) -> Self {
        let mut victim = Self::new(TrustLevel::Open, false);
        victim.accept(claimed);
        victim
    }

    /// One that was just dialled by its peer.
    pub(crate) fn dialled() -> Self {
        Self::dialled_by(Identity::new(1).claimed())
    }

    /// One that just dialled, and its HELLO.
    pub(crate) fn dialling(level: TrustLevel) -> (Self, Vec<u8>) {
        let mut victim = Self::new(level, true);
        let out = victim.link.handle(NOW, Input::Timeout);
        assert_eq!(out.requests, [Request::Dial]);
        victim.socket = SocketId(1);
        let out = victim.link.handle(
            NOW,
            Input::Dialled {
                socket: victim.socket,
            },
        );
        let hello = only_frame(&out);
        (victim, hello)
    }

    /// A new socket from its peer.
    pub(crate) fn accept(&mut self, claimed: Claimed) {
        self.socket = SocketId(self.socket.0 + 1);
        let input = Input::Accepted {
            socket: self.socket,
            claimed,
        };
        let out = self.link.handle(self.now, input);
        assert_eq!((out.transmits.len(), out.closes.len()), (0, 0));
    }

    pub(crate) fn frame(&mut self, bytes: &[u8]) -> Outputs {
        self.link.handle(
            self.now,
            Input::Frame {
                socket: self.socket,
                bytes,
            },
        )
    }

    /// Gives a frame that must be answered by exactly one frame.
    pub(crate) fn answer(&mut self, bytes: &[u8]) -> Vec<u8> {
        let out = self.frame(bytes);
        assert_eq!(faults(&out), []);
        only_frame(&out)
    }

    /// Gives a frame that must be refused: nothing is sent or stored, the socket is closed.
    pub(crate) fn refused(&mut self, bytes: &[u8], frame: u8, how: Misbehaved) {
        let out = self.frame(bytes);
        self.check_refused(&out, frame, how);
    }

    pub(crate) fn check_refused(&self, out: &Outputs, frame: u8, how: Misbehaved) {
        assert_eq!(faults(out), [(frame, how)]);
        assert_eq!(out.transmits, []);
        let code = entente_federation::CloseCode::from(how);
        assert_eq!(out.closes, [(self.socket, code.number(), code.as_str())]);
        assert!(
            !out.events
                .iter()
                .any(|event| matches!(event, Event::Up { .. }))
        );
    }
}

pub(crate) fn faults(out: &Outputs) -> Vec<(u8, Misbehaved)> {
    let fault = |event: &Event| match event {
        Event::Misbehaved { frame, how, .. } => Some((*frame, *how)),
        _ => None,
    };
    out.events.iter().filter_map(fault).collect()
}

fn only_frame(out: &Outputs) -> Vec<u8> {
    assert_eq!(out.transmits.len(), 1);
    out.transmits[0].1.clone()
}

/// Encodes a frame without signature and MAC.
pub(crate) fn bare<T: serde::Serialize>(body: &T) -> Vec<u8> {
    OpeningFrame {
        body: encode(body),
        signature: Vec::new(),
        mac: Vec::new(),
    }
    .encode()
}

pub(crate) fn party(identity: &Identity) -> Party {
    Party {
        did: identity.did.clone(),
        host: identity.host.clone(),
        doc: identity.document.into(),
        kid: identity.kid.clone(),
    }
}

/// The peer in either role.
pub(crate) struct Hand {
    pub(crate) me: Identity,
    pub(crate) victim: Identity,
    pub(crate) rng: TestRng,
    pub(crate) transcript: Transcript,
    pub(crate) schedule: Option<Schedule>,
    secret: Option<KemSecret>,
}

impl Hand {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            me: Identity::new(1),
            victim: Identity::new(2),
            rng: TestRng::new(seed),
            transcript: Transcript::start(),
            schedule: None,
            secret: None,
        }
    }

    pub(crate) fn hello(&mut self) -> Hello {
        let secret = KemSecret::generate(&mut self.rng);
        let share = ByteBuf::from(secret.public().to_bytes());
        self.secret = Some(secret);
        Hello {
            t: 1,
            versions: vec![VERSION],
            shares: vec![(SUITE_X_WING, share)],
            from: party(&self.me),
            to: self.victim.did.clone(),
            nonce: self.rng.bytes().into(),
            dial: NOW.0,
            want: TrustLevel::Open,
        }
    }

    /// Takes in a frame that was sent or received.
    pub(crate) fn absorb(&mut self, frame: &[u8]) {
        self.transcript.absorb(frame);
    }

    /// Derives the schedule from a HELLO_ACK and takes it in.
    pub(crate) fn take_ack(&mut self, frame: &[u8]) -> HelloAck {
        let (parts, body) = OpeningFrame::decode(frame).unwrap();
        let Body::HelloAck(ack) = body else {
            panic!("not a HELLO_ACK")
        };
        let d2 = self.transcript.digest(&parts.body);
        let shared = self.secret.take().unwrap().decapsulate(&ack.ct).unwrap();
        self.schedule = Some(Schedule::derive(&d2, shared));
        self.absorb(frame);
        *ack
    }

    pub(crate) fn auth(&self) -> OpeningFrame {
        let body = encode(&Auth {
            t: 3,
            attestation: ByteBuf::new(),
            cursors: Vec::new(),
        });
        self.signed(body, LABEL_AUTH, Maced::Auth)
    }

    /// Takes in a HELLO and draws the secret for its share.
    pub(crate) fn take_hello(&mut self, frame: &[u8]) -> (Hello, HelloAck, OpeningFrame) {
        let (_, body) = OpeningFrame::decode(frame).unwrap();
        let Body::Hello(hello) = body else {
            panic!("not a HELLO")
        };
        self.absorb(frame);
        let share = KemPublic::from_bytes(&hello.shares[0].1).unwrap();
        let (ct, shared) = share.encapsulate(&mut self.rng).unwrap();
        let ack = HelloAck {
            t: 2,
            version: VERSION,
            suite: SUITE_X_WING,
            from: party(&self.me),
            nonce: self.rng.bytes().into(),
            ct: ByteBuf::from(ct),
        };
        let frame = self.ack_frame(&ack, shared);
        (*hello, ack, frame)
    }

    pub(crate) fn ack_frame(
        &mut self,
        ack: &HelloAck,
        shared: zeroize::Zeroizing<[u8; 32]>,
    ) -> OpeningFrame {
        let body = encode(ack);
        let d2 = self.transcript.digest(&body);
        self.schedule = Some(Schedule::derive(&d2, shared));
        self.signed(body, LABEL_HELLO_ACK, Maced::HelloAck)
    }

    pub(crate) fn ready(granted: TrustLevel) -> Ready {
        Ready {
            t: 4,
            attestation: ByteBuf::new(),
            session: [9; 16].into(),
            granted,
            limits: WireLimits {
                bytes: 1024 * 1024,
                frame: 256 * 1024,
                items: 1024,
            },
            cursors: Vec::new(),
            rejects: Vec::new(),
        }
    }

    pub(crate) fn ready_frame(&self, ready: &Ready) -> OpeningFrame {
        self.signed(encode(ready), LABEL_READY, Maced::Ready)
    }

    /// Signs and authenticates a body as frame n.
    pub(crate) fn signed(&self, body: Vec<u8>, label: &[u8], frame: Maced) -> OpeningFrame {
        let digest = self.transcript.digest(&body);
        let signature = self.me.key.sign(&[label, &[0], &digest]).to_vec();
        let schedule = self.schedule.as_ref().unwrap();
        let mac = schedule.mac(frame, &digest, &self.me.did).to_vec();
        OpeningFrame {
            body,
            signature,
            mac,
        }
    }

    pub(crate) fn traffic(&self, role: Role) -> Traffic {
        self.schedule
            .as_ref()
            .unwrap()
            .traffic(self.transcript.state(), role)
    }
}

/// A session with the victim, as its dialler.
pub(crate) struct HandSession {
    pub(crate) victim: Victim,
    pub(crate) hand: Hand,
    pub(crate) traffic: Traffic,
    pub(crate) counter: u64,
    pub(crate) ready: Ready,
}

impl HandSession {
    /// Opens one; the victim's READY has arrived, and nothing was sent since.
    pub(crate) fn open(seed: u64) -> Self {
        Self::open_with(seed, Restored::default())
    }

    pub(crate) fn open_with(seed: u64, restored: Restored) -> Self {
        let mut victim = Victim::restored(TrustLevel::Open, false, restored);
        victim.accept(Identity::new(1).claimed());
        let mut hand = Hand::new(seed);
        let hello = bare(&hand.hello());
        hand.absorb(&hello);
        let ack = victim.answer(&hello);
        hand.take_ack(&ack);
        let auth = hand.auth().encode();
        hand.absorb(&auth);
        let frame = victim.answer(&auth);
        hand.absorb(&frame);
        let (_, body) = OpeningFrame::decode(&frame).unwrap();
        let Body::Ready(ready) = body else {
            panic!("not a READY")
        };
        let traffic = hand.traffic(Role::Initiator);
        Self {
            victim,
            hand,
            traffic,
            counter: 0,
            ready,
        }
    }

    /// Makes a session frame with the next counter.
    pub(crate) fn make(&mut self, kind: Kind, place: (u8, u64, u64), body: &[u8]) -> Vec<u8> {
        let (stream, epoch, seq) = place;
        let counter = self.counter;
        self.counter += 1;
        let mut frame = Header {
            kind,
            counter,
            stream,
            epoch,
            seq,
        }
        .begin(body.len());
        frame.extend_from_slice(body);
        let (key, direction) = self.traffic.sending();
        finish(&mut frame, key, direction);
        frame
    }

    pub(crate) fn send(&mut self, kind: Kind, place: (u8, u64, u64), body: &[u8]) -> Outputs {
        let frame = self.make(kind, place, body);
        self.victim.frame(&frame)
    }

    /// Sends a frame that must be refused.
    pub(crate) fn refused(
        &mut self,
        kind: Kind,
        place: (u8, u64, u64),
        body: &[u8],
        how: Misbehaved,
    ) {
        let out = self.send(kind, place, body);
        self.check_refused(&out, how);
    }

    pub(crate) fn check_refused(&self, out: &Outputs, how: Misbehaved) {
        assert_eq!(faults(out), [(5, how)]);
        let code = entente_federation::CloseCode::from(how);
        assert_eq!(
            out.closes,
            [(self.victim.socket, code.number(), code.as_str())]
        );
    }

    /// Reads what the victim sent.
    pub(crate) fn read<'a>(&self, frame: &'a [u8]) -> (Header, &'a [u8]) {
        let (key, direction) = self.traffic.receiving();
        open(frame, key, direction).unwrap()
    }

    /// Sends the first frame, with which the session is up.
    pub(crate) fn confirm(&mut self) -> Outputs {
        let out = self.send(Kind::Ping, (0, 0, 0), b"12345678");
        assert!(
            out.events
                .iter()
                .any(|event| matches!(event, Event::Up { .. }))
        );
        out
    }
}
