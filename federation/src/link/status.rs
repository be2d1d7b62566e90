//! STATUS: what each side tells the other about its limits and its view of the link, and when.

use entente_lexicon::Timestamp;

use super::Link;
use super::io::Outputs;
use super::session::Session;
use crate::frame::session::Kind;
use crate::frame::status::{Amounts, Outlook, Status};
use crate::frame::stream::Streams;
use crate::handshake::fault::Misbehaved;

/// Two STATUS frames are at least so far apart.
const SPACING_MS: u64 = 5_000;

/// What was told and heard.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// The last STATUS of this session, and when.
    told: Option<(Gist, Timestamp)>,
    /// The peer's last one, of whatever session, and when.
    pub(super) heard: Option<(Status, Timestamp)>,
}

/// What makes one STATUS differ materially from another: limits, level and error exactly, queues,
/// ages and times by order of magnitude.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Gist {
    limits: Amounts,
    level: entente_lexicon::TrustLevel,
    error: Option<String>,
    magnitudes: [u32; 4],
}

impl Gist {
    fn of(status: &Status) -> Self {
        let view = &status.view;
        // Sixteen items, eight seconds and sixteen milliseconds are nothing.
        let magnitudes = [
            view.queued >> 4,
            view.events >> 4,
            view.oldest.unwrap_or(0) >> 13,
            view.rtt.unwrap_or(0) >> 4,
        ];
        Self {
            limits: status.limits,
            level: view.level,
            error: view.error.clone(),
            magnitudes: magnitudes.map(|n| u64::BITS.saturating_sub(n.leading_zeros())),
        }
    }
}

impl Standing {
    pub(super) fn end_session(&mut self) {
        self.told = None;
    }

    /// When a STATUS that differs from the last one may be sent.
    fn due(&self, now: &Gist) -> Option<Timestamp> {
        match &self.told {
            None => Some(Timestamp(0)),
            Some((told, _)) if told == now => None,
            Some((_, at)) => Some(at.after(SPACING_MS)),
        }
    }
}

impl Link {
    /// What holds here now.
    pub(super) fn status(&self, now: Timestamp) -> Status {
        let limits = &self.config.limits;
        let windows = limits.windows();
        let oldest = self.outboxes.msg.oldest();
        Status {
            limits: Amounts::new(windows, limits.outbox(crate::frame::stream::Stream::Msg)),
            usage: Amounts::new(
                Streams {
                    msg: self.inbox.usage(),
                    evt: self.events.usage(),
                    ctl: self.controls.usage(),
                },
                self.outboxes.msg.usage(),
            ),
            view: Outlook {
                error: self.error_before.as_ref().map(ToString::to_string),
                events: self.outboxes.evt.queued(),
                level: self.config.policy.level,
                oldest: oldest.map(|at| now.since(at)),
                queued: self.outboxes.msg.queued(),
                rtt: self.round_trip_ms,
            },
        }
    }

    /// Tells the peer, if there is anything new to tell and it was not told just now.
    pub(super) fn tell_status(&mut self, now: Timestamp, out: &mut Outputs) {
        if !self.is_up() {
            return;
        }
        let status = self.status(now);
        let gist = Gist::of(&status);
        if self.standing.due(&gist).is_none_or(|due| now < due) {
            return;
        }
        let token = self.entropy.bytes();
        let Some(session) = &mut self.session else {
            return;
        };
        let body = status.encode();
        let mut frame = session.begin(Kind::Status, (0, 0, 0), body.len());
        frame.extend_from_slice(&body);
        out.transmits.push(session.seal(frame));
        session.set_ours(now, status.limits.streams(), token, out);
        self.standing.told = Some((gist, now));
    }

    /// When to tell the peer next.
    pub(super) fn status_due(&self, now: Timestamp) -> Option<Timestamp> {
        if self.is_up() {
            self.standing.due(&Gist::of(&self.status(now)))
        } else {
            None
        }
    }

    /// Takes the peer's STATUS: its limits hold from here on.
    pub(super) fn take_status(&mut self, now: Timestamp, body: &[u8]) -> Result<(), Misbehaved> {
        let status = Status::decode(body)?;
        if let Some(session) = &mut self.session {
            session.theirs = status.limits.streams();
        }
        self.standing.heard = Some((status, now));
        Ok(())
    }
}

impl Session {
    /// Lets the peer have so much in flight towards us. More holds at once; less only when the peer
    /// is known to have heard of it, so that what it sent before is not held against it.
    fn set_ours(
        &mut self,
        now: Timestamp,
        windows: Streams<crate::frame::status::Amount>,
        token: [u8; 8],
        out: &mut Outputs,
    ) {
        let larger = Streams::each(|stream| {
            let (a, b) = (self.ours.of(stream), windows.of(stream));
            crate::frame::status::Amount {
                bytes: a.bytes.max(b.bytes),
                items: a.items.max(b.items),
            }
        });
        self.ours = larger;
        self.narrowing = None;
        if larger != windows {
            let asked = self.question(now, token);
            self.narrowing = Some((token, windows));
            out.transmits.push(asked);
        }
    }
}
