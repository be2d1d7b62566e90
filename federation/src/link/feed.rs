//! The receiving half of streams evt and ctl.
//!
//! What arrives is stored by the driver in the transaction that moves the cursor, so it is settled
//! at once and acknowledged by number; the driver passes it on later. While too much waits to be
//! passed on, nothing is acknowledged, and the peer's window closes.

use std::collections::VecDeque;

use entente_trust::policy::Direction;

use super::config::RestoredIn;
use super::io::{Change, Event, Outputs};
use super::rules::Rules;
use super::session::Session;
use crate::frame::MAX_NUMBER;
use crate::frame::items::WireItem;
use crate::frame::opening::Cursor;
use crate::frame::session::{Header, Kind};
use crate::frame::status::Amount;
use crate::frame::stream::Stream;
use crate::handshake::fault::Misbehaved;

/// The receiving half.
#[derive(Debug)]
pub(super) struct Feed {
    stream: Stream,
    epoch: u64,
    /// Everything up to here is stored, or missing for good.
    cursor: u64,
    /// Stored and not passed on.
    held: u64,
    /// What this session brought since the last acknowledgement: number and weight.
    unacked: VecDeque<(u64, u32)>,
    /// The last number acknowledged in this session.
    told: Option<u64>,
}

impl Feed {
    pub(super) fn restore(stream: Stream, stored: RestoredIn) -> Self {
        Self {
            stream,
            epoch: stored.epoch,
            cursor: stored.seq,
            held: stored.held,
            unacked: VecDeque::new(),
            told: None,
        }
    }

    /// What of our window is taken.
    pub(super) fn usage(&self) -> Amount {
        Amount {
            bytes: self.unacked.iter().map(|(_, w)| u64::from(*w)).sum(),
            items: self.unacked.len() as u64,
        }
    }

    /// Where we stand, for a handshake.
    pub(super) fn stand(&self) -> Option<Cursor> {
        (self.epoch != 0).then_some((self.stream.number().into(), self.epoch, self.cursor))
    }

    /// Takes a MSG frame.
    pub(super) fn receive(
        &mut self,
        header: &Header,
        floor: u64,
        items: Vec<WireItem>,
        (rules, window): (Rules<'_>, &Amount),
        out: &mut Outputs,
    ) -> Result<(), Misbehaved> {
        let end = header.seq.saturating_add(items.len() as u64);
        if floor >= header.seq || end > MAX_NUMBER || header.epoch > MAX_NUMBER {
            return Err(Misbehaved::MalformedFrame);
        }
        if header.epoch < self.epoch {
            return Err(Misbehaved::StaleEpoch);
        }
        self.check_window(header.seq, floor, &items, window)?;
        let (epoch, cursor) = self.base(header.epoch, floor);
        if header.seq > cursor.saturating_add(1) {
            return Err(Misbehaved::OutOfWindow);
        }
        self.move_to(epoch, cursor, out);
        for (seq, wire) in (header.seq..).zip(items) {
            if seq <= self.cursor {
                continue;
            }
            self.cursor = seq;
            let WireItem::Message(item) = wire else {
                continue;
            };
            let stream = self.stream;
            if let Some(code) = rules.refusal(stream, Direction::Inbound, &item) {
                // It is settled all the same: one item never blocks those behind it.
                out.events.push(Event::Refused { stream, code });
                continue;
            }
            self.held = self.held.saturating_add(1);
            out.changes.push(Change::Received {
                stream,
                epoch,
                seq,
                item,
            });
        }
        out.changes.push(Change::Cursor {
            stream: self.stream,
            epoch: self.epoch,
            seq: self.cursor,
        });
        Ok(())
    }

    /// The driver has passed items on.
    pub(super) fn taken(&mut self, count: u64) {
        self.held = self.held.saturating_sub(count);
    }

    /// Acknowledges what is new, unless too much waits here.
    pub(super) fn acknowledge(&mut self, session: &mut Session, out: &mut Outputs) {
        let room = self.held < session.ours.of(self.stream).items;
        if self.unacked.is_empty() || !room || self.told == Some(self.cursor) {
            return;
        }
        self.told = Some(self.cursor);
        self.unacked.clear();
        let place = (self.stream.number(), self.epoch, self.cursor);
        let frame = session.begin(Kind::Ack, place, 0);
        out.transmits.push(session.seal(frame));
    }

    /// Forgets what belongs to the session.
    pub(super) fn end_session(&mut self) {
        self.unacked.clear();
        self.told = None;
    }

    /// The sender counts the same items as in flight, or more: what it has dropped it counts no more.
    fn check_window(
        &mut self,
        first: u64,
        floor: u64,
        items: &[WireItem],
        window: &Amount,
    ) -> Result<(), Misbehaved> {
        self.unacked.retain(|(seq, _)| *seq > floor);
        let new = (first..).zip(items).map(|(seq, item)| (seq, item.weight()));
        self.unacked.extend(new);
        let all = self.usage();
        let fits = all.items <= window.items && all.bytes <= window.bytes;
        if fits || all.items <= 1 {
            Ok(())
        } else {
            Err(Misbehaved::OutOfWindow)
        }
    }

    /// Where the stream stands after a header's epoch and a floor.
    fn base(&self, epoch: u64, floor: u64) -> (u64, u64) {
        if epoch > self.epoch {
            (epoch, floor)
        } else {
            (epoch, self.cursor.max(floor))
        }
    }

    fn move_to(&mut self, epoch: u64, cursor: u64, out: &mut Outputs) {
        let stream = self.stream;
        if epoch > self.epoch {
            if self.epoch != 0 {
                out.events.push(Event::PeerReset { stream, epoch });
            }
            self.told = None;
        }
        if cursor > self.cursor {
            let (from, upto) = (self.cursor.saturating_add(1), cursor);
            out.changes.push(Change::Gap { stream, from, upto });
            out.events.push(Event::Gap { stream, from, upto });
        }
        (self.epoch, self.cursor) = (epoch, cursor);
    }
}
