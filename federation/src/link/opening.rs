//! Handshakes in progress, and which session stays when two come up.

use entente_lexicon::Timestamp;
use entente_trust::policy::{Policy, Reason, allows_link, stricter};

use super::config::PeerDocument;
use super::io::{Change, Event, Outputs, Request, SocketId};
use super::session::Session;
use super::{Link, close};
use crate::close::{CloseCode, Retry};
use crate::code::Code;
use crate::frame::status::Amount;
use crate::frame::stream::Stream;
use crate::handshake::fault::Misbehaved;
use crate::handshake::initiator::{self, ExpectHelloAck, ExpectReady};
use crate::handshake::responder::{self, Answer, Authenticated, ExpectAuth};
use crate::handshake::{Claimed, Established, PeerStand};

/// A whole handshake takes at most so long.
pub(super) const HANDSHAKE_TIMEOUT_MS: u64 = 10_000;
/// A handshake may make us fetch the peer's document again, but not more often than this.
const FETCH_SPACING_MS: u64 = 5_000;
/// The lower DID's socket keeps its right against the other's for so long without a sign of life.
const SILENT_MS: u64 = 30_000;
/// How many handshakes may be in progress, both ways together.
const MAX_OPENINGS: usize = 2;

/// One handshake.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) socket: SocketId,
    pub(super) deadline: Timestamp,
    expect: Expect,
    /// A frame that waits for the peer's document.
    held: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Expect {
    Hello { claimed: Claimed },
    HelloAck(Box<ExpectHelloAck>),
    Auth(Box<ExpectAuth>),
    Ready(Box<ExpectReady>),
}

/// The one fetch of the peer's document that may be under way.
#[derive(Debug, Default)]
pub(super) struct Fetch {
    under_way: bool,
    pub(super) last: Option<Timestamp>,
}

impl Opening {
    /// Whether we dialled.
    pub(super) const fn is_ours(&self) -> bool {
        match self.expect {
            Expect::HelloAck(_) | Expect::Ready(_) => true,
            Expect::Hello { .. } | Expect::Auth(_) => false,
        }
    }

    /// The number of the frame it waits for.
    const fn expects(&self) -> u8 {
        match self.expect {
            Expect::Hello { .. } => 1,
            Expect::HelloAck(_) => 2,
            Expect::Auth(_) => 3,
            Expect::Ready(_) => 4,
        }
    }
}

impl Link {
    pub(super) fn dialled(&mut self, now: Timestamp, socket: SocketId, out: &mut Outputs) {
        if !self.dialler.answered() || self.shut || self.closed_by().is_some() {
            return close(socket, CloseCode::SessionLost, out);
        }
        if self.config.peer.did == self.config.own.did {
            close(socket, CloseCode::OwnDid, out);
            return self.own_attempt_failed(now, CloseCode::OwnDid, out);
        }
        self.make_room(out);
        let dial = self.dialler.next_number(now, out);
        let context = crate::handshake::Context {
            own: &self.config.own,
            key: &self.key,
            peer: &self.config.peer,
            approval: self.config.policy.approval.filter(|it| it.holds(now)),
        };
        let want = self.config.policy.level;
        let (state, hello) = initiator::start(&context, dial, want, &mut self.entropy);
        out.transmits.push((socket, hello));
        self.push_opening(now, socket, Expect::HelloAck(Box::new(state)));
    }

    pub(super) fn dial_failed(&mut self, now: Timestamp, code: Code, out: &mut Outputs) {
        if self.dialler.answered() {
            self.failed(now, Retry::Soon, code, out);
        }
    }

    pub(super) fn accepted(
        &mut self,
        now: Timestamp,
        socket: SocketId,
        claimed: Claimed,
        out: &mut Outputs,
    ) {
        if self.shut {
            return close(socket, CloseCode::Removed, out);
        }
        if let Some(code) = self.closed_by() {
            return close(socket, code, out);
        }
        self.make_room(out);
        self.push_opening(now, socket, Expect::Hello { claimed });
    }

    /// Takes a frame of a handshake. Believes nothing that the state does not prove.
    pub(super) fn opening_frame(
        &mut self,
        now: Timestamp,
        socket: SocketId,
        bytes: &[u8],
        out: &mut Outputs,
    ) {
        let Some(index) = self
            .openings
            .iter()
            .position(|opening| opening.socket == socket)
        else {
            return;
        };
        let opening = self.openings.swap_remove(index);
        if opening.held.is_some() {
            return self.misbehaved(now, &opening, Misbehaved::UnexpectedFrame, out);
        }
        self.advance(now, opening, bytes, out);
    }

    fn advance(&mut self, now: Timestamp, mut opening: Opening, bytes: &[u8], out: &mut Outputs) {
        let expected = opening.expects();
        if expected <= 2 && self.needs_documents() && self.may_fetch(now, out) {
            opening.held = Some(bytes.to_vec());
            self.openings.push(opening);
            return;
        }
        let context = crate::handshake::Context {
            own: &self.config.own,
            key: &self.key,
            peer: &self.config.peer,
            approval: self.config.policy.approval.filter(|it| it.holds(now)),
        };
        let next = match opening.expect {
            Expect::Hello { ref claimed } => {
                responder::receive_hello(&context, claimed, bytes, &mut self.entropy)
                    .map(|(state, answer)| (Expect::Auth(Box::new(state)), answer))
            }
            Expect::HelloAck(ref mut state) => {
                let mut cursors = self.inbox.stand_as_initiator(out);
                cursors.extend(self.events.stand().into_iter().chain(self.controls.stand()));
                state
                    .receive(&context, bytes, cursors)
                    .map(|(state, answer)| (Expect::Ready(Box::new(state)), answer))
            }
            Expect::Auth(state) => {
                let received = state.receive(&context, bytes, self.dialler.peer);
                let (socket, deadline) = (opening.socket, opening.deadline);
                return match received {
                    Ok((state, stand)) => {
                        self.authenticated(now, (socket, deadline), state, stand, out);
                    }
                    Err(how) => Self::close_accepted(socket, expected, how, out),
                };
            }
            Expect::Ready(ref state) => {
                return match state.receive(&context, bytes) {
                    Ok((established, stand)) => {
                        self.ready(now, opening.socket, established, stand, out);
                    }
                    Err(how) => self.misbehaved(now, &opening, how, out),
                };
            }
        };
        match next {
            Ok((next, answer)) => {
                out.transmits.push((opening.socket, answer));
                opening.expect = next;
                self.openings.push(opening);
            }
            Err(Misbehaved::StaleDocument) if self.may_fetch(now, out) => {
                opening.held = Some(bytes.to_vec());
                self.openings.push(opening);
            }
            Err(how) => self.misbehaved(now, &opening, how, out),
        }
    }

    /// AUTH verified: from here the peer is believed.
    fn authenticated(
        &mut self,
        now: Timestamp,
        (socket, deadline): (SocketId, Timestamp),
        state: Authenticated,
        stand: PeerStand,
        out: &mut Outputs,
    ) {
        self.dialler.peer = state.dial;
        out.changes.push(Change::DialPeer(state.dial));
        let granted = stricter(state.want, self.config.policy.level);
        if !allows_link(granted) {
            self.last_error = Some(CloseCode::PolicyPrivate.code());
            return close(socket, CloseCode::PolicyPrivate, out);
        }
        let attested = self.take_attestation(now, &stand.attestation, &state.peer_key.key, out);
        if let Some((code, error)) = self.lacks(granted, attested) {
            self.last_error = Some(error);
            return close(socket, code, out);
        }
        if self.keeps_session(now, false, out) {
            return close(socket, CloseCode::Duplicate, out);
        }
        self.dialler.sign_of_life();
        self.replace_session(out);
        let (mut cursors, rejects, told_upto) = self.inbox.stand_as_responder(out);
        cursors.extend(self.events.stand().into_iter().chain(self.controls.stand()));
        let answer = Answer {
            session: self.entropy.bytes(),
            granted,
            limits: self.config.limits.ready(),
            cursors,
            rejects,
        };
        let (established, ready) = state.ready(&self.context(now), answer);
        out.transmits.push((socket, ready));
        self.told_upto = told_upto;
        self.establish(now, socket, established, stand, Some(deadline), out);
    }

    /// READY verified: from here the peer is believed.
    fn ready(
        &mut self,
        now: Timestamp,
        socket: SocketId,
        established: Established,
        stand: PeerStand,
        out: &mut Outputs,
    ) {
        let key = &established.peer_key.key;
        let attested = self.take_attestation(now, &stand.attestation, key, out);
        if let Some((code, error)) = self.lacks(established.granted, attested) {
            close(socket, code, out);
            return self.failed(now, code.retry(), error, out);
        }
        if self.keeps_session(now, true, out) {
            self.dialler.sign_of_life();
            return close(socket, CloseCode::Duplicate, out);
        }
        self.replace_session(out);
        self.establish(now, socket, established, stand, None, out);
        self.came_up(now, out);
    }

    fn establish(
        &mut self,
        now: Timestamp,
        socket: SocketId,
        established: Established,
        stand: PeerStand,
        confirm_by: Option<Timestamp>,
        out: &mut Outputs,
    ) {
        // Who dials states no limits, and READY only those of messages: for all others the
        // protocol's starting ones hold until STATUS comes.
        let start = super::Limits::default();
        let mut theirs = start.windows();
        let mut frame = start.ready().frame;
        if let Some(limits) = stand.limits {
            theirs.msg = Amount {
                bytes: limits.bytes,
                items: limits.items,
            };
            frame = limits.frame;
        }
        let mut ours = start.windows();
        if confirm_by.is_some() {
            ours.msg = self.config.limits.windows().msg;
        }
        let idle_ms = self.config.limits.idle_ms;
        self.session = Some(Session::new(
            now,
            socket,
            established,
            (theirs, frame, ours),
            confirm_by,
            idle_ms,
        ));
        for stream in Stream::ALL {
            self.outboxes.of_mut(stream).start(now, &stand, out);
        }
    }

    /// Whether the session that is up outlives a new one that we (or the peer) opened. From the
    /// same initiator the newer wins; between the two the lower DID's, unless it was silent.
    fn keeps_session(&mut self, now: Timestamp, new_is_ours: bool, out: &mut Outputs) -> bool {
        let we_are_lower = self.config.own.did < self.config.peer.did;
        let Some(session) = &mut self.session else {
            return false;
        };
        let same_initiator = session.is_ours() == new_is_ours;
        let lower = session.is_ours() == we_are_lower;
        let silent = now.since(session.last_heard) >= SILENT_MS;
        let keeps = !same_initiator && lower && !silent;
        if keeps && session.is_confirmed() {
            // The peer may have lost this session: find out soon.
            let token = self.entropy.bytes();
            out.transmits.push(session.ping(now, token));
        }
        keeps
    }

    fn replace_session(&mut self, out: &mut Outputs) {
        if let Some(old) = self.session.take() {
            close(old.socket, CloseCode::Replaced, out);
            self.end_streams(out);
        }
    }

    /// The peer's document arrived, or could not be had.
    pub(super) fn document(
        &mut self,
        now: Timestamp,
        document: Result<PeerDocument, Code>,
        out: &mut Outputs,
    ) {
        self.fetch = Fetch {
            under_way: false,
            last: Some(now),
        };
        let failure = match document {
            Ok(document) => {
                self.config.peer.document = document;
                None
            }
            Err(code) => Some(code),
        };
        self.drop_revoked(now, out);
        let (held, others) = self
            .openings
            .drain(..)
            .partition(|o: &Opening| o.held.is_some());
        self.openings = others;
        let held: Vec<Opening> = held;
        for mut opening in held {
            if let Some(bytes) = opening.held.take() {
                self.advance(now, opening, &bytes, out);
            }
        }
        // Why it could not be had says more than that a handshake failed over it.
        self.last_error = failure.or(self.last_error.take());
    }

    /// A session does not outlive the key that opened it: it ends in order, and the next one is
    /// under the key that the document proves.
    fn drop_revoked(&mut self, now: Timestamp, out: &mut Outputs) {
        let keys = &self.config.peer.document.keys;
        let revoked = self
            .session
            .as_ref()
            .is_some_and(|session| keys.get(&session.peer_key.kid) != Some(&session.peer_key.key));
        if revoked {
            self.end_session(now, CloseCode::KeyRotated, false, out);
        }
    }

    /// Fetches the peer's document, unless that was just done: then what is stale stays so.
    fn may_fetch(&mut self, now: Timestamp, out: &mut Outputs) -> bool {
        if !self.fetch.under_way {
            if self
                .fetch
                .last
                .is_some_and(|last| now.since(last) < FETCH_SPACING_MS)
            {
                return false;
            }
            self.fetch = Fetch {
                under_way: true,
                last: Some(now),
            };
            out.requests.push(Request::FetchDocument);
        }
        true
    }

    /// Fetches the peer's document because it grows old.
    pub(super) fn refresh(&mut self, now: Timestamp, out: &mut Outputs) {
        if !self.fetch.under_way {
            self.fetch = Fetch {
                under_way: true,
                last: Some(now),
            };
            out.requests.push(Request::FetchDocument);
        }
    }

    /// Closes handshakes that took too long.
    pub(super) fn expire_openings(&mut self, now: Timestamp, out: &mut Outputs) {
        while let Some(index) = self.openings.iter().position(|o| o.deadline <= now) {
            let opening = self.openings.swap_remove(index);
            self.misbehaved(now, &opening, Misbehaved::HandshakeTimeout, out);
        }
    }

    pub(super) fn close_openings(&mut self, code: CloseCode, out: &mut Outputs) {
        for opening in self.openings.drain(..) {
            close(opening.socket, code, out);
        }
    }

    /// A socket closed before its handshake was over.
    pub(super) fn opening_closed(
        &mut self,
        now: Timestamp,
        socket: SocketId,
        code: Option<CloseCode>,
        out: &mut Outputs,
    ) {
        let Some(index) = self
            .openings
            .iter()
            .position(|opening| opening.socket == socket)
        else {
            return;
        };
        let opening = self.openings.swap_remove(index);
        if !opening.is_ours() {
            return;
        }
        match code {
            Some(CloseCode::Duplicate) => self.dialler.space_out(now),
            Some(code) if code.retry() != Retry::Now => {
                self.failed(now, code.retry(), code.by_peer(), out);
            }
            Some(_) | None => {
                let code = code.map_or(Code::from_static("SOCKET_CLOSED"), CloseCode::code);
                self.failed(now, Retry::Soon, code, out);
            }
        }
    }

    fn misbehaved(
        &mut self,
        now: Timestamp,
        opening: &Opening,
        how: Misbehaved,
        out: &mut Outputs,
    ) {
        Self::close_accepted(opening.socket, opening.expects(), how, out);
        if opening.is_ours() {
            self.own_attempt_failed(now, CloseCode::from(how), out);
        }
    }

    /// Closes a socket for a fault; a stranger's fault changes nothing else.
    fn close_accepted(socket: SocketId, frame: u8, how: Misbehaved, out: &mut Outputs) {
        out.events.push(Event::Misbehaved { socket, frame, how });
        close(socket, CloseCode::from(how), out);
    }

    fn own_attempt_failed(&mut self, now: Timestamp, code: CloseCode, out: &mut Outputs) {
        self.failed(now, code.retry(), code.code(), out);
    }

    fn failed(&mut self, now: Timestamp, retry: Retry, code: Code, out: &mut Outputs) {
        if self.session.is_some() {
            return;
        }
        let (limits, entropy) = (&self.config.limits, &mut self.entropy);
        self.dialler.failed(now, retry, limits, entropy);
        self.last_error = Some(code.clone());
        out.events.push(Event::Down { code });
    }

    fn make_room(&mut self, out: &mut Outputs) {
        if self.openings.len() < MAX_OPENINGS {
            return;
        }
        // Those that have shown least go first; our own dial stays.
        let theirs = self
            .openings
            .iter()
            .enumerate()
            .filter(|(_, opening)| !opening.is_ours());
        let least = theirs
            .min_by_key(|(_, o)| (o.expects(), o.deadline))
            .map(|(index, _)| index);
        if let Some(index) = least {
            let opening = self.openings.swap_remove(index);
            close(opening.socket, CloseCode::Busy, out);
        }
    }

    fn push_opening(&mut self, now: Timestamp, socket: SocketId, expect: Expect) {
        self.openings.push(Opening {
            socket,
            deadline: now.after(HANDSHAKE_TIMEOUT_MS),
            expect,
            held: None,
        });
    }
}

/// Returns the close code under which a policy admits no link.
pub(super) fn refusal(policy: &Policy) -> Option<CloseCode> {
    policy.link_refusal().map(|reason| {
        if reason == Reason::Banned {
            CloseCode::Banned
        } else {
            CloseCode::PolicyPrivate
        }
    })
}
