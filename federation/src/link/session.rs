//! One session over one socket: counters, tags, round trips, and whether anybody is still there.

use entente_lexicon::{Timestamp, TrustLevel};

use super::io::SocketId;
use crate::close::CloseCode;
use crate::frame::session::{Header, Kind, MAX_SESSION_FRAME, finish, open};
use crate::frame::status::Amount;
use crate::frame::stream::Streams;
use crate::handshake::fault::Misbehaved;
use crate::handshake::keys::Traffic;
use crate::handshake::{Established, PeerKey, Role};

/// Nothing heard for so long although an answer is due: ask.
pub(super) const PING_AFTER_MS: u64 = 5_000;
/// Nothing heard for so long although an answer is due: dead.
pub(super) const DEAD_AFTER_MS: u64 = 20_000;
/// The largest frame a single message can need; no peer may ask for smaller frames.
const LEAST_FRAME: u64 = 160 * 1024;

/// A session, from READY on.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) socket: SocketId,
    pub(super) peer_key: PeerKey,
    pub(super) granted: TrustLevel,
    /// What may be in flight towards the peer.
    pub(super) theirs: Streams<Amount>,
    /// The largest frame towards the peer.
    pub(super) frame: usize,
    /// What may be in flight towards us.
    pub(super) ours: Streams<Amount>,
    /// Smaller windows, which hold once the peer answers this PING.
    pub(super) narrowing: Option<([u8; 8], Streams<Amount>)>,
    /// Set unless we answered with READY and have heard nothing since: then until when.
    pub(super) confirm_by: Option<Timestamp>,
    pub(super) started: Timestamp,
    pub(super) last_heard: Timestamp,
    traffic: Traffic,
    next_counter: u64,
    heard_counter: Option<u64>,
    /// Since when an answer is due and nothing was heard.
    waiting_since: Option<Timestamp>,
    last_work: Timestamp,
    check_at: Timestamp,
    ping: Option<([u8; 8], Timestamp)>,
}

/// What a look at the clock says about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Fine,
    /// Send a PING.
    Ask,
    /// Nothing was heard although it was due.
    Dead,
    /// There was no work for long enough.
    Idle,
}

impl Session {
    pub(super) fn new(
        now: Timestamp,
        socket: SocketId,
        established: Established,
        (theirs, frame, ours): (Streams<Amount>, u64, Streams<Amount>),
        confirm_by: Option<Timestamp>,
        idle_ms: u64,
    ) -> Self {
        let frame = frame.clamp(LEAST_FRAME, MAX_SESSION_FRAME as u64);
        Self {
            socket,
            peer_key: established.peer_key,
            granted: established.granted,
            theirs,
            frame: usize::try_from(frame).unwrap_or(MAX_SESSION_FRAME),
            ours,
            narrowing: None,
            confirm_by,
            started: now,
            last_heard: now,
            traffic: established.traffic,
            next_counter: 0,
            heard_counter: None,
            waiting_since: None,
            last_work: now,
            check_at: now.after(idle_ms),
            ping: None,
        }
    }

    pub(super) fn is_ours(&self) -> bool {
        self.traffic.role() == Role::Initiator
    }

    pub(super) const fn is_confirmed(&self) -> bool {
        self.confirm_by.is_none()
    }

    /// Checks a frame's tag, then its counter; only then was anything heard.
    pub(super) fn hear<'a>(
        &mut self,
        now: Timestamp,
        bytes: &'a [u8],
    ) -> Result<(Header, &'a [u8]), Misbehaved> {
        let (key, direction) = self.traffic.receiving();
        let (header, body) = open(bytes, key, direction)?;
        if self
            .heard_counter
            .is_some_and(|before| header.counter <= before)
        {
            return Err(Misbehaved::Replayed);
        }
        self.heard_counter = Some(header.counter);
        self.last_heard = now;
        self.waiting_since = self.waiting_since.map(|_| now);
        Ok((header, body))
    }

    /// Begins a frame; the caller appends the body.
    pub(super) fn begin(&mut self, kind: Kind, place: (u8, u64, u64), body: usize) -> Vec<u8> {
        let counter = self.next_counter;
        self.next_counter = counter.saturating_add(1);
        let (stream, epoch, seq) = place;
        Header {
            kind,
            counter,
            stream,
            epoch,
            seq,
        }
        .begin(body)
    }

    /// Ends a frame.
    pub(super) fn seal(&self, mut frame: Vec<u8>) -> (SocketId, Vec<u8>) {
        let (key, direction) = self.traffic.sending();
        finish(&mut frame, key, direction);
        (self.socket, frame)
    }

    /// Makes a PING, unless one is on its way.
    pub(super) fn ping(&mut self, now: Timestamp, token: [u8; 8]) -> (SocketId, Vec<u8>) {
        self.ping.get_or_insert((token, now));
        self.question(now, token)
    }

    /// Makes a PING whose answer proves that the peer has read everything before it.
    pub(super) fn question(&mut self, now: Timestamp, token: [u8; 8]) -> (SocketId, Vec<u8>) {
        self.expect_answer(now);
        let mut frame = self.begin(Kind::Ping, (0, 0, 0), token.len());
        frame.extend_from_slice(&token);
        self.seal(frame)
    }

    /// Answers a PING.
    pub(super) fn pong(&mut self, body: &[u8]) -> Result<(SocketId, Vec<u8>), Misbehaved> {
        if body.len() != 8 {
            return Err(Misbehaved::MalformedFrame);
        }
        let mut frame = self.begin(Kind::Pong, (0, 0, 0), body.len());
        frame.extend_from_slice(body);
        Ok(self.seal(frame))
    }

    /// Takes a PONG; returns the round trip if it answers our last PING.
    pub(super) fn ponged(&mut self, now: Timestamp, body: &[u8]) -> Option<u64> {
        if let Some((_, windows)) = self.narrowing.take_if(|(token, _)| *token == body) {
            self.ours = windows;
        }
        let (_, asked) = self.ping.take_if(|(token, _)| *token == body)?;
        Some(now.since(asked))
    }

    /// Makes a BYE.
    pub(super) fn bye(&mut self, code: CloseCode) -> (SocketId, Vec<u8>) {
        let mut frame = self.begin(Kind::Bye, (0, 0, 0), 2);
        frame.extend_from_slice(&code.number().to_be_bytes());
        self.seal(frame)
    }

    /// Notes that the peer now owes us a frame.
    pub(super) fn expect_answer(&mut self, now: Timestamp) {
        self.waiting_since.get_or_insert(now);
        self.check_at = self.check_at.min(now.after(PING_AFTER_MS));
    }

    /// Notes that there is or is not anything for which the peer owes us a frame.
    pub(super) fn note_outstanding(&mut self, outstanding: bool) {
        if !outstanding && self.ping.is_none() && self.narrowing.is_none() {
            self.waiting_since = None;
        }
    }

    /// Notes that the session was of use.
    pub(super) fn note_work(&mut self, now: Timestamp) {
        self.last_work = now;
    }

    /// Looks at the clock. `busy` says whether anything is queued or being delivered.
    pub(super) fn check(&mut self, now: Timestamp, busy: bool, idle_ms: u64) -> Health {
        if now < self.check_at {
            return Health::Fine;
        }
        if let Some(since) = self.waiting_since {
            return self.check_silence(now, since);
        }
        // The dialler closes first; the other side only if it never hears of that.
        let patience = if self.is_ours() {
            idle_ms
        } else {
            idle_ms.saturating_mul(2)
        };
        if busy {
            self.last_work = now;
        }
        self.check_at = self.last_work.after(patience);
        if now < self.check_at {
            Health::Fine
        } else {
            Health::Idle
        }
    }

    fn check_silence(&mut self, now: Timestamp, since: Timestamp) -> Health {
        let silent = now.since(since);
        if silent >= DEAD_AFTER_MS {
            return Health::Dead;
        }
        if silent >= PING_AFTER_MS {
            let last = since.after(DEAD_AFTER_MS);
            self.check_at = now.after(PING_AFTER_MS).min(last);
            return Health::Ask;
        }
        self.check_at = since.after(PING_AFTER_MS);
        Health::Fine
    }

    /// When to look at the clock next.
    pub(super) fn deadline(&self) -> Timestamp {
        self.confirm_by.unwrap_or(self.check_at)
    }
}
