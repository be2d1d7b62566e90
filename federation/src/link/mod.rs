//! The life of a link to one peer.
//!
//! A link is the logical connection; sockets come and go. There is at most one session, and at
//! most two handshakes in progress. Whoever has work dials; the dialler closes when there was
//! none for a while. `opening` drives handshakes and decides which session stays, `session` is
//! the one that is up, `outbox` is the sending half of each of three streams, `inbox` the receiving
//! half of messages and `feed` that of events and control records, `status` tells the peer how
//! things stand, `dial` decides when to dial.
//!
//! What must survive is in [`Change`]s and comes back as [`Restored`]; everything else can be
//! lost at any instant: sessions do not survive, and the next handshake's cursors say where both
//! sides stand. A message is sent again until its receiver's relay has acknowledged it, and
//! delivered once because the receiving half never hands on a number twice and the receiving
//! agent knows ids.

mod config;
mod dial;
mod feed;
mod inbox;
mod io;
mod opening;
mod outbox;
#[cfg(feature = "planted-bugs")]
mod planted;
mod rows;
mod rules;
mod session;
mod standing;
mod status;
mod view;

use entente_lexicon::api::LinkState;
use entente_lexicon::{Timestamp, TrustLevel};
use entente_trust::crypto::sign::SigningKey;
use entente_trust::policy::{Policy, needs_attestations};

pub use config::{
    Config, Limits, Own, Peer, PeerDocument, Reject, Restored, RestoredIn, RestoredOut, Waiting,
};
pub use io::{
    Bounce, Change, DeliveryVerdict, Event, Evidence, Input, Item, Outputs, Request, SocketId,
};
pub use outbox::MAX_ENVELOPE;
#[cfg(feature = "planted-bugs")]
pub use planted::PlantedBug;
pub use view::View;

use crate::close::{CloseCode, Retry};
use crate::code::Code;
use crate::entropy::Entropy;
use crate::frame::items;
use crate::frame::receipt::{Receipt, bounce_statement};
use crate::frame::session::{Header, Kind};
use crate::frame::stream::{Stream, Streams};
use crate::handshake::Context;
use crate::handshake::fault::Misbehaved;
use dial::Dialler;
use feed::Feed;
use inbox::Inbox;
use opening::{Fetch, Opening};
use outbox::Outbox;
use rules::Rules;
use session::{Health, Session};
use status::Standing;

/// The number of the session's frames in [`Event::Misbehaved`].
const SESSION_FRAME: u8 = 5;

/// One link: the state machine. See the module for its life.
#[derive(Debug)]
pub struct Link {
    config: Config,
    key: SigningKey,
    entropy: Entropy,
    dialler: Dialler,
    outboxes: Streams<Outbox>,
    inbox: Inbox,
    events: Feed,
    controls: Feed,
    standing: Standing,
    openings: Vec<Opening>,
    session: Option<Session>,
    /// What READY told of our rejects, until READY is known to have arrived.
    told_upto: u64,
    fetch: Fetch,
    /// Until when the peer's attestation about us holds.
    attested: Option<Timestamp>,
    shut: bool,
    state: LinkState,
    since: Option<Timestamp>,
    granted: Option<TrustLevel>,
    last_error: Option<Code>,
    /// What went wrong before the last session came up.
    error_before: Option<Code>,
    round_trip_ms: Option<u64>,
    #[cfg(feature = "planted-bugs")]
    planted: Option<PlantedBug>,
}

impl Link {
    /// Brings a link back to what was stored, or makes a fresh one. `entropy_seed` must be fresh
    /// on every start. Call [`Link::handle`] with [`Input::Timeout`] once to set it going.
    #[must_use]
    pub fn new(
        config: Config,
        key: SigningKey,
        restored: Restored,
        entropy_seed: [u8; 32],
    ) -> Self {
        let mut link = Self {
            config,
            key,
            entropy: Entropy::new(entropy_seed),
            dialler: Dialler::new(restored.dial_own, restored.dial_peer),
            outboxes: Streams {
                msg: Outbox::restore(Stream::Msg, restored.out.msg),
                evt: Outbox::restore(Stream::Evt, restored.out.evt),
                ctl: Outbox::restore(Stream::Ctl, restored.out.ctl),
            },
            inbox: Inbox::restore(restored.inn.msg, restored.rejects),
            events: Feed::restore(Stream::Evt, restored.inn.evt),
            controls: Feed::restore(Stream::Ctl, restored.inn.ctl),
            standing: Standing::default(),
            openings: Vec::new(),
            session: None,
            told_upto: 0,
            fetch: Fetch::default(),
            attested: restored.attested,
            shut: false,
            state: LinkState::Connecting,
            since: None,
            granted: None,
            last_error: None,
            error_before: None,
            round_trip_ms: None,
            #[cfg(feature = "planted-bugs")]
            planted: None,
        };
        let refusal = link.own_refusal();
        if refusal.is_some() || !link.config.policy.allow_outbound {
            link.begin_scan();
        }
        link.last_error = refusal.map(CloseCode::code);
        if link.config.frozen {
            link.last_error = Some(CloseCode::KeyChanged.code());
        }
        link
    }

    /// Advances the machine by one input.
    pub fn handle(&mut self, now: Timestamp, input: Input<'_>) -> Outputs {
        let mut out = Outputs::default();
        #[cfg(feature = "planted-bugs")]
        {
            out.planted = self.planted.take();
        }
        self.take_stock(now);
        self.lift_ban(now, &mut out);
        self.watch_standing(now, &mut out);
        match input {
            Input::Dialled { socket } => self.dialled(now, socket, &mut out),
            Input::DialFailed { code } => self.dial_failed(now, code, &mut out),
            Input::Accepted { socket, claimed } => self.accepted(now, socket, claimed, &mut out),
            Input::Frame { socket, bytes } => self.frame(now, socket, bytes, &mut out),
            Input::Closed { socket, code } => self.closed(now, socket, code, &mut out),
            Input::Timeout => {}
            Input::Enqueue { stream, items } => self.enqueue(now, stream, items, &mut out),
            Input::Loaded { stream, items } => {
                let is_up = self.is_up();
                let outbox = self.outboxes.of_mut(stream);
                outbox.loaded(items, is_up, Rules::of(&self.config), &mut out);
            }
            Input::Taken { stream, count } => self.taken(stream, count),
            Input::Delivered { epoch, verdicts } => {
                self.inbox.delivered(epoch, verdicts, &mut out);
            }
            Input::Document(document) => self.document(now, document, &mut out),
            Input::Probe => self.dialler.start_over(),
            Input::OwnDocument { hash, kid, key } => {
                self.own_document(now, hash, kid, key, &mut out)
            }
            Input::Freeze => self.freeze(now, &mut out),
            Input::Thaw(document) => self.thaw(now, document, &mut out),
            Input::Policy(policy) => self.change_policy(now, policy, &mut out),
            Input::Limits(limits) => self.config.limits = limits,
            Input::Shutdown { code } => self.shut_down(now, code, &mut out),
        }
        self.look_at_clock(now, &mut out);
        self.flush(now, &mut out);
        self.dial(now, &mut out);
        self.bounce(now, &mut out);
        self.note_state(now);
        out.wake = self.next_wake(now);
        out
    }

    /// Shows the link as it is now.
    #[must_use]
    pub fn view(&self, now: Timestamp) -> View {
        View {
            state: self.state,
            since: self.since.unwrap_or(now),
            granted: self.granted,
            last_error: self.last_error.clone(),
            next_retry: self.dialler.next_at().filter(|_| self.wants_dial()),
            round_trip_ms: self.round_trip_ms,
            attested: self.attested,
            queued: self.outboxes.msg.queued(),
            queued_events: self.outboxes.evt.queued(),
            queued_controls: self.outboxes.ctl.queued(),
            oldest: self.outboxes.msg.oldest(),
            status: self.status(now),
            peer: self.standing.heard.clone(),
        }
    }

    /// Returns what may cross, as it stands now.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.config.policy
    }

    fn is_up(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_confirmed)
    }

    fn enqueue(&mut self, now: Timestamp, stream: Stream, items: Vec<Item>, out: &mut Outputs) {
        if self.shut {
            let refuse = |index_in_input| Change::Refuse {
                index_in_input,
                code: Code::LINK_CLOSED,
            };
            out.changes.extend((0..items.len()).map(refuse));
            return;
        }
        let is_up = self.is_up();
        let rules = (Rules::of(&self.config), &self.config.limits);
        let outbox = self.outboxes.of_mut(stream);
        outbox.enqueue(now, items, rules, is_up, out);
    }

    fn taken(&mut self, stream: Stream, count: u64) {
        match stream {
            Stream::Msg => {}
            Stream::Evt => self.events.taken(count),
            Stream::Ctl => self.controls.taken(count),
        }
    }

    fn begin_scan(&mut self) {
        for stream in Stream::ALL {
            self.outboxes.of_mut(stream).begin_scan();
        }
    }

    fn has_work(&self) -> bool {
        let has_work = |stream| self.outboxes.of(stream).has_work();
        Stream::ALL.into_iter().any(has_work)
    }

    /// Signs what this side gave up, all of it at once.
    fn bounce(&mut self, now: Timestamp, out: &mut Outputs) {
        let bounces = self.outboxes.msg.take_bounces();
        if bounces.is_empty() {
            return;
        }
        let (own, peer) = (&self.config.own, &self.config.peer.did);
        let statement = bounce_statement(&own.did, peer, now, &bounces);
        let evidence = Evidence::Bounce {
            kid: own.kid.clone(),
            signature: self.key.sign(&[&statement]),
            statement,
        };
        out.changes.push(Change::Bounced {
            at: now,
            bounces,
            evidence,
        });
    }

    fn frame(&mut self, now: Timestamp, socket: SocketId, bytes: &[u8], out: &mut Outputs) {
        if self
            .session
            .as_ref()
            .is_some_and(|session| session.socket == socket)
        {
            if let Err(how) = self.session_frame(now, bytes, out) {
                out.events.push(Event::Misbehaved {
                    socket,
                    frame: SESSION_FRAME,
                    how,
                });
                self.end_session(now, CloseCode::from(how), true, out);
            }
        } else if self.openings.iter().any(|opening| opening.socket == socket) {
            self.opening_frame(now, socket, bytes, out);
        } else {
            close(socket, CloseCode::SessionLost, out);
        }
    }

    fn session_frame(
        &mut self,
        now: Timestamp,
        bytes: &[u8],
        out: &mut Outputs,
    ) -> Result<(), Misbehaved> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        let (header, body) = session.hear(now, bytes)?;
        let confirmed = session.confirm_by.take().is_some();
        if confirmed {
            self.confirmed(now, out);
        }
        self.session_body(now, &header, body, out)
    }

    fn session_body(
        &mut self,
        now: Timestamp,
        header: &Header,
        body: &[u8],
        out: &mut Outputs,
    ) -> Result<(), Misbehaved> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        let stream = Stream::from_number(header.stream);
        match (header.kind, stream) {
            (Kind::Msg, Some(stream)) => {
                session.note_work(now);
                let (floor, items) = items::read(body)?;
                let rules = (Rules::of(&self.config), session.ours.of(stream));
                match stream {
                    Stream::Msg => self.inbox.receive(header, floor, items, rules, out),
                    Stream::Evt => self.events.receive(header, floor, items, rules, out),
                    Stream::Ctl => self.controls.receive(header, floor, items, rules, out),
                }
            }
            (Kind::Ack, Some(Stream::Msg)) => {
                session.note_work(now);
                let (receipt, signature) = Receipt::read(header.epoch, header.seq, body)?;
                let names = (&self.config.own.did, &self.config.peer.did);
                let outbox = &mut self.outboxes.msg;
                outbox.receipt(session, names, receipt, signature, out)
            }
            (Kind::Ack, Some(stream)) if body.is_empty() => {
                let outbox = self.outboxes.of_mut(stream);
                outbox.acknowledged(header.epoch, header.seq, out)
            }
            (Kind::Confirm, Some(Stream::Msg)) if body.is_empty() => {
                self.inbox.confirmed(header, out);
                Ok(())
            }
            (Kind::Status, None) => self.take_status(now, body),
            (kind, _) => self.session_signal(now, kind, body, out),
        }
    }

    /// Takes a frame that belongs to no stream.
    fn session_signal(
        &mut self,
        now: Timestamp,
        kind: Kind,
        body: &[u8],
        out: &mut Outputs,
    ) -> Result<(), Misbehaved> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        match kind {
            Kind::Ping => {
                out.transmits.push(session.pong(body)?);
                Ok(())
            }
            Kind::Pong => {
                self.round_trip_ms = session.ponged(now, body).or(self.round_trip_ms);
                Ok(())
            }
            Kind::Bye => {
                let code: [u8; 2] = body
                    .try_into()
                    .map_err(|_error| Misbehaved::MalformedFrame)?;
                self.peer_closed(now, u16::from_be_bytes(code), out);
                Ok(())
            }
            Kind::Msg | Kind::Ack | Kind::Confirm | Kind::Status => Err(Misbehaved::MalformedFrame),
        }
    }

    /// READY has arrived: the session is up on both sides.
    fn confirmed(&mut self, now: Timestamp, out: &mut Outputs) {
        self.inbox.confirm(self.told_upto, out);
        self.told_upto = 0;
        self.came_up(now, out);
    }

    fn came_up(&mut self, now: Timestamp, out: &mut Outputs) {
        self.dialler.sign_of_life();
        self.dialler.curious = false;
        self.error_before = self.last_error.take();
        let token = self.entropy.bytes();
        let Some(session) = &mut self.session else {
            return;
        };
        self.granted = Some(session.granted);
        out.transmits.push(session.ping(now, token));
        out.events.push(Event::Up {
            socket: session.socket,
            granted: session.granted,
            initiator: session.is_ours(),
        });
    }

    fn closed(&mut self, now: Timestamp, socket: SocketId, number: u16, out: &mut Outputs) {
        if self
            .session
            .as_ref()
            .is_some_and(|session| session.socket == socket)
        {
            self.session_gone(now, CloseCode::from_number(number), out);
        } else {
            self.opening_closed(now, socket, CloseCode::from_number(number), out);
        }
    }

    /// The peer said goodbye.
    fn peer_closed(&mut self, now: Timestamp, number: u16, out: &mut Outputs) {
        if let Some(session) = &self.session {
            close(session.socket, CloseCode::Idle, out);
        }
        self.session_gone(now, CloseCode::from_number(number), out);
    }

    /// The session's socket is gone, for a reason of the peer's or for none.
    fn session_gone(&mut self, now: Timestamp, code: Option<CloseCode>, out: &mut Outputs) {
        // A socket that just breaks is normal: peers are deployed, evicted and restarted.
        let retry = code.map_or(Retry::Now, CloseCode::retry);
        self.drop_session(now, retry, code.map(CloseCode::by_peer), out);
    }

    /// Ends the session from this side; `goodbye` unless the peer is past listening.
    fn end_session(&mut self, now: Timestamp, code: CloseCode, failed: bool, out: &mut Outputs) {
        if let Some(session) = &mut self.session {
            if !failed {
                out.transmits.push(session.bye(code));
            }
            close(session.socket, code, out);
        }
        self.drop_session(now, code.retry(), Some(code.code()), out);
    }

    fn drop_session(
        &mut self,
        now: Timestamp,
        retry: Retry,
        code: Option<Code>,
        out: &mut Outputs,
    ) {
        let Some(session) = self.session.take() else {
            return;
        };
        self.end_streams(out);
        self.told_upto = 0;
        let (limits, entropy) = (&self.config.limits, &mut self.entropy);
        let lasted = now.since(session.started);
        self.dialler
            .session_ended(now, lasted, retry, limits, entropy);
        match (retry, code) {
            (Retry::Now, _) => out.events.push(Event::Idle),
            (Retry::Soon | Retry::Later, code) => {
                let code = code.unwrap_or(Code::UNKNOWN);
                self.last_error = Some(code.clone());
                out.events.push(Event::Down { code });
            }
        }
    }

    /// Forgets what the streams had in this session.
    fn end_streams(&mut self, out: &mut Outputs) {
        for stream in Stream::ALL {
            self.outboxes.of_mut(stream).end_session();
        }
        self.inbox.end_session(out);
        self.events.end_session();
        self.controls.end_session();
        self.standing.end_session();
    }

    fn change_policy(&mut self, now: Timestamp, policy: Policy, out: &mut Outputs) {
        let before = std::mem::replace(&mut self.config.policy, policy);
        self.take_stock(now);
        for stream in Stream::ALL {
            self.outboxes.of_mut(stream).forget_ready();
        }
        let after = &self.config.policy;
        let starts_scan = before.allow_outbound && !after.allow_outbound;
        let is_verified = |session: &Session| needs_attestations(session.granted);
        let approval =
            before.approval != after.approval && self.session.as_ref().is_none_or(is_verified);
        let same = before.level == after.level && before.ban.is_some() == after.ban.is_some();
        if starts_scan {
            self.begin_scan();
        }
        if same && !approval {
            return;
        }
        let refusal = self.own_refusal();
        let needed = self.awaits_approval().then_some(CloseCode::ApprovalNeeded);
        let told = refusal.or(needed);
        self.close_openings(told.unwrap_or(CloseCode::PolicyChanged), out);
        if self.session.is_some() {
            self.end_session(now, told.unwrap_or(CloseCode::PolicyChanged), false, out);
        }
        self.dialler.start_over();
        if let Some(code) = told {
            self.last_error = Some(code.code());
        }
        if refusal.is_some() {
            self.begin_scan();
        }
    }

    /// A ban that is over is over without anybody's doing.
    fn lift_ban(&mut self, now: Timestamp, out: &mut Outputs) {
        let ban = self.config.policy.ban;
        if ban.is_some_and(|ban| ban.is_over(now)) {
            let policy = Policy {
                ban: None,
                ..self.config.policy.clone()
            };
            self.change_policy(now, policy, out);
            self.last_error = self.own_refusal().map(CloseCode::code);
        }
    }

    fn shut_down(&mut self, now: Timestamp, code: Code, out: &mut Outputs) {
        self.close_openings(CloseCode::Removed, out);
        self.end_session(now, CloseCode::Removed, false, out);
        self.shut = true;
        self.last_error = Some(code);
    }

    /// Takes our new document; our sessions go on under our new key.
    fn own_document(
        &mut self,
        now: Timestamp,
        hash: [u8; 32],
        kid: String,
        key: SigningKey,
        out: &mut Outputs,
    ) {
        let rotated = self.config.own.kid != kid;
        self.config.own.document_hash = hash;
        self.config.own.kid = kid;
        self.key = key;
        if rotated {
            self.close_openings(CloseCode::KeyRotated, out);
            self.end_session(now, CloseCode::KeyRotated, false, out);
        }
    }

    /// Stops everything until an admin has looked; keeps what waits.
    fn freeze(&mut self, now: Timestamp, out: &mut Outputs) {
        self.config.frozen = true;
        self.fetch = Fetch::default();
        self.close_openings(CloseCode::KeyChanged, out);
        self.end_session(now, CloseCode::KeyChanged, false, out);
        self.last_error = Some(CloseCode::KeyChanged.code());
    }

    fn thaw(&mut self, now: Timestamp, document: PeerDocument, out: &mut Outputs) {
        self.config.frozen = false;
        self.last_error = None;
        self.dialler.start_over();
        self.document(now, Ok(document), out);
    }

    /// The close code under which we open no session now: the peer's keys are in doubt, or our own
    /// level admits no link.
    fn closed_by(&self) -> Option<CloseCode> {
        let frozen = self.config.frozen.then_some(CloseCode::KeyChanged);
        frozen.or_else(|| self.own_refusal())
    }

    /// The close code under which our own policy admits no link.
    fn own_refusal(&self) -> Option<CloseCode> {
        opening::refusal(&self.config.policy)
    }

    fn look_at_clock(&mut self, now: Timestamp, out: &mut Outputs) {
        if self.dialler.has_lapsed(now) {
            self.dial_failed(now, Code::from_static("DIAL_TIMEOUT"), out);
        }
        self.expire_openings(now, out);
        self.outboxes.msg.expire(now, out);
        let busy = self.has_work() || self.inbox.is_busy();
        let waiting = Stream::ALL
            .into_iter()
            .any(|stream| self.outboxes.of(stream).is_waiting());
        let Some(session) = &mut self.session else {
            return;
        };
        if let Some(until) = session.confirm_by {
            if until <= now {
                let how = Misbehaved::HandshakeTimeout;
                let socket = session.socket;
                out.events.push(Event::Misbehaved {
                    socket,
                    frame: SESSION_FRAME,
                    how,
                });
                self.end_session(now, CloseCode::HandshakeTimeout, true, out);
            }
            return;
        }
        session.note_outstanding(waiting);
        match session.check(now, busy, self.config.limits.idle_ms) {
            Health::Fine => {}
            Health::Ask => {
                let token = self.entropy.bytes();
                out.transmits.push(session.ping(now, token));
            }
            Health::Dead => self.end_session(now, CloseCode::Silence, true, out),
            Health::Idle => self.end_session(now, CloseCode::Idle, false, out),
        }
    }

    /// Tells, acknowledges and sends whatever can be, control records first and events last.
    fn flush(&mut self, now: Timestamp, out: &mut Outputs) {
        if self.own_refusal().is_some() || !self.config.policy.allow_outbound {
            for stream in Stream::ALL {
                self.outboxes.of_mut(stream).continue_scan(out);
            }
        }
        self.tell_status(now, out);
        let Some(session) = self
            .session
            .as_mut()
            .filter(|session| session.is_confirmed())
        else {
            return;
        };
        let names = (&self.config.own.did, &self.config.peer.did);
        self.inbox.acknowledge(now, session, names, &self.key, out);
        self.events.acknowledge(session, out);
        self.controls.acknowledge(session, out);
        for stream in [Stream::Ctl, Stream::Msg, Stream::Evt] {
            let outbox = self.outboxes.of_mut(stream);
            outbox.fill(now, session, Rules::of(&self.config), out);
        }
    }

    fn dial(&mut self, now: Timestamp, out: &mut Outputs) {
        if self.wants_dial() {
            self.dialler.dial_if_due(now, out);
        }
    }

    fn wants_dial(&self) -> bool {
        let under_way = self.session.is_some()
            || self.dialler.is_asked()
            || self.openings.iter().any(Opening::is_ours);
        !under_way
            && !self.shut
            && self.config.allow_outbound
            && self.config.policy.allow_outbound
            && self.closed_by().is_none()
            && !self.awaits_approval()
            && (self.has_work() || self.dialler.curious)
    }

    fn note_state(&mut self, now: Timestamp) {
        let state = self.compute_state();
        if state != self.state || self.since.is_none() {
            self.state = state;
            self.since = Some(now);
        }
    }

    fn compute_state(&self) -> LinkState {
        let under_way = self.session.is_some()
            || self.dialler.is_asked()
            || self.openings.iter().any(Opening::is_ours);
        if self.config.frozen {
            LinkState::Frozen
        } else if self.shut || self.own_refusal().is_some() {
            LinkState::Refused
        } else if self.is_up() {
            LinkState::Up
        } else if self.awaits_approval() || self.lacks_approval() {
            LinkState::Waiting
        } else if self.dialler.is_refused() {
            LinkState::Refused
        } else if self.dialler.is_failing() {
            LinkState::Unreachable
        } else if under_way || self.has_work() || self.dialler.curious {
            LinkState::Connecting
        } else {
            LinkState::Idle
        }
    }

    fn next_wake(&self, now: Timestamp) -> Option<Timestamp> {
        let openings = self.openings.iter().map(|opening| opening.deadline);
        let session = self.session.iter().map(Session::deadline);
        let dial = self.dialler.next_at().filter(|_| self.wants_dial());
        let ban = self.config.policy.ban.and_then(|ban| ban.until);
        openings
            .chain(session)
            .chain(dial)
            .chain(ban)
            .chain(self.standing_deadline())
            .chain(self.dialler.asked_until())
            .chain(self.inbox.deadline())
            .chain(self.outboxes.msg.deadline())
            .chain(self.status_due(now))
            .min()
    }

    fn context(&self, now: Timestamp) -> Context<'_> {
        Context {
            own: &self.config.own,
            key: &self.key,
            peer: &self.config.peer,
            approval: self.config.policy.approval.filter(|it| it.holds(now)),
        }
    }
}

fn close(socket: SocketId, code: CloseCode, out: &mut Outputs) {
    out.closes.push((socket, code.number(), code.as_str()));
}
