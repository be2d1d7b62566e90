//! The sending half of a stream.
//!
//! The driver stores the items; this half numbers them, knows how many are unacknowledged, and
//! holds in memory only the ids of those in flight and a bounded stretch of those to be sent next,
//! so that under load nothing is read back from storage. The streams differ in little: a message
//! that finds no room is refused and one that is given up is bounced, while an event makes room for
//! itself and the gap is told; messages are acknowledged by signed receipts, the others by a number.

use std::collections::VecDeque;

use entente_lexicon::{Did, Timestamp};
use entente_trust::policy::Direction;

use super::config::{Limits, RestoredOut, Waiting};
use super::io::{Bounce, Change, Event, Evidence, Item, Outputs, Request};
use super::rows::{Lapse, Rows};
use super::rules::Rules;
use super::session::Session;
use crate::code::Code;
use crate::frame::items::{self, FIXED_LENGTH, MAX_ITEMS, WireItem};
use crate::frame::opening::cursor_of;
use crate::frame::receipt::Receipt;
use crate::frame::session::{HEADER_LENGTH, Kind, TAG_LENGTH};
use crate::frame::status::Amount;
use crate::frame::stream::Stream;
use crate::handshake::PeerStand;
use crate::handshake::fault::Misbehaved;

/// The largest envelope a link carries.
pub const MAX_ENVELOPE: usize = 128 * 1024;
/// How much is held ready to be sent.
const READY_WEIGHT: u64 = 1024 * 1024;
const READY_ITEMS: usize = 1024;

/// The sending half.
#[derive(Debug)]
pub(super) struct Outbox {
    stream: Stream,
    epoch: u64,
    rows: Rows,
    /// The highest number stored as transmitted.
    stored_sent: u64,
    /// In flight: id and weight of `acked + 1..`.
    sent: VecDeque<([u8; 16], u32)>,
    sent_weight: u64,
    /// To be sent next: contiguous from the end of `sent`.
    ready: VecDeque<Ready>,
    ready_weight: u64,
    /// A load was asked for and not answered.
    loading: bool,
    broken: bool,
    /// While the whole queue is gone through for withdrawal: the next number to look at.
    scan: Option<u64>,
    confirm_due: bool,
    /// Given up since the last signature.
    bounces: Vec<Bounce>,
}

#[derive(Debug)]
struct Ready {
    item: WireItem,
    /// Policy let it pass since it last changed.
    decided: bool,
}

impl Outbox {
    pub(super) fn restore(stream: Stream, stored: RestoredOut) -> Self {
        let epoch = stored.epoch;
        let rows = Rows::restore(stored);
        Self {
            stream,
            epoch,
            stored_sent: rows.sent,
            rows,
            sent: VecDeque::new(),
            sent_weight: 0,
            ready: VecDeque::new(),
            ready_weight: 0,
            loading: false,
            broken: false,
            scan: None,
            confirm_due: false,
            bounces: Vec::new(),
        }
    }

    /// How many items are not acknowledged.
    pub(super) fn queued(&self) -> u64 {
        self.rows.queued()
    }

    /// What they are, in items and bytes.
    pub(super) fn usage(&self) -> Amount {
        Amount {
            bytes: self.rows.bytes(),
            items: self.rows.queued(),
        }
    }

    /// Since when the oldest item waits.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.rows.oldest()
    }

    /// When something expires next.
    pub(super) const fn deadline(&self) -> Option<Timestamp> {
        self.rows.deadline()
    }

    /// Whether anything is in flight.
    pub(super) fn is_waiting(&self) -> bool {
        !self.sent.is_empty()
    }

    /// Whether there is anything that a session could do for this half.
    pub(super) fn has_work(&self) -> bool {
        self.queued() > 0 && !self.broken
    }

    /// Takes new items in; with a session up, those that follow directly stay in memory.
    pub(super) fn enqueue(
        &mut self,
        now: Timestamp,
        items: Vec<Item>,
        rules: (Rules<'_>, &Limits),
        is_up: bool,
        out: &mut Outputs,
    ) {
        for (index_in_input, item) in items.into_iter().enumerate() {
            if let Err(code) = self.admit(&item, rules, out) {
                out.changes.push(Change::Refuse {
                    index_in_input,
                    code,
                });
                continue;
            }
            if self.epoch == 0 {
                self.begin_epoch(now.0.max(1), out);
            }
            let follows = self.ready_end() == self.rows.next_seq;
            let seq = self.rows.push(Waiting {
                id: item.id,
                length: u32::try_from(item.bytes.len()).unwrap_or(u32::MAX),
                queued_at: now,
                expires: item.expires,
                unconfirmed: false,
            });
            out.changes.push(Change::Append {
                stream: self.stream,
                index_in_input,
                seq,
                sent: false,
            });
            let room = self.ready_weight < READY_WEIGHT && self.ready.len() < READY_ITEMS;
            if is_up && room && follows {
                self.push_ready(WireItem::Message(item), true);
            }
        }
    }

    /// Gives up what has expired.
    pub(super) fn expire(&mut self, now: Timestamp, out: &mut Outputs) {
        let in_flight = self.next_send().saturating_sub(1);
        for lapsed in self.rows.expire(now, in_flight) {
            let (code, is_final) = match lapsed.how {
                Lapse::Expired => (Code::EXPIRED, true),
                Lapse::Unconfirmed => (Code::UNCONFIRMED, false),
                Lapse::GivenUp => (Code::UNCONFIRMED, true),
            };
            if is_final {
                self.unready(lapsed.seq);
                self.give_up(lapsed.seq, lapsed.id, code, out);
            } else {
                self.bounces.push(Bounce {
                    seq: lapsed.seq,
                    id: lapsed.id,
                    code,
                    is_final,
                });
            }
        }
    }

    /// Sends what is ready as far as the window is open, and asks for more.
    pub(super) fn fill(
        &mut self,
        now: Timestamp,
        session: &mut Session,
        rules: Rules<'_>,
        out: &mut Outputs,
    ) {
        loop {
            let first = self.next_send();
            let batch = self.take_batch(session, rules, out);
            if batch.is_empty() {
                break;
            }
            let length: usize = batch.iter().map(WireItem::wire_length).sum();
            let place = (self.stream.number(), self.epoch, first);
            let mut frame = session.begin(Kind::Msg, place, length.saturating_add(FIXED_LENGTH));
            items::write(&mut frame, self.rows.acked, &batch);
            out.transmits.push(session.seal(frame));
            session.expect_answer(now);
            session.note_work(now);
            self.confirm_due = false;
            for item in batch {
                self.sent_weight = self.sent_weight.saturating_add(item.weight().into());
                self.sent.push_back((item.id(), item.weight()));
            }
        }
        if std::mem::take(&mut self.confirm_due) {
            let place = (self.stream.number(), self.epoch, self.rows.acked);
            let frame = session.begin(Kind::Confirm, place, 0);
            out.transmits.push(session.seal(frame));
        }
        self.note_sent(out);
        let open = self.has_room(session, 0, 0, 64);
        if open && self.ready.is_empty() && self.next_send() < self.rows.next_seq {
            self.load(self.next_send(), out);
        }
    }

    /// Takes the answer to a load.
    pub(super) fn loaded(
        &mut self,
        loaded: Vec<(u64, Item)>,
        is_up: bool,
        rules: Rules<'_>,
        out: &mut Outputs,
    ) {
        self.loading = false;
        if let Some(next) = self.scan {
            return self.withdraw(next, loaded, rules, out);
        }
        if !is_up {
            return;
        }
        for (seq, item) in loaded {
            let expected = self.ready_end();
            if seq > expected {
                break;
            }
            if seq == expected {
                let item = if item.bytes.is_empty() {
                    WireItem::Withdrawn
                } else {
                    WireItem::Message(item)
                };
                self.push_ready(item, false);
            }
        }
        if self.ready.is_empty() && self.next_send() < self.rows.next_seq {
            self.broken = true;
            out.events.push(Event::StoreBroken {
                stream: self.stream,
                seq: self.next_send(),
            });
        }
    }

    /// Goes through the whole queue and withdraws what may not cross any more.
    pub(super) fn begin_scan(&mut self) {
        self.scan = Some(self.rows.acked.saturating_add(1));
    }

    /// Asks for the next part of the queue while it is gone through.
    pub(super) fn continue_scan(&mut self, out: &mut Outputs) {
        match self.scan {
            Some(next) if next < self.rows.next_seq => self.load(next, out),
            Some(_) | None => self.scan = None,
        }
    }

    /// Forgets what was decided: everything not yet sent is read and judged again.
    pub(super) fn forget_ready(&mut self) {
        self.ready.clear();
        self.ready_weight = 0;
    }

    /// Begins a session at what the peer says it has. A peer that has what we never transmitted, or
    /// an epoch that we never began, has met a later state of our store: we were rolled back.
    pub(super) fn start(&mut self, now: Timestamp, stand: &PeerStand, out: &mut Outputs) {
        self.end_session();
        let (epoch, seq) = cursor_of(&stand.cursors, self.stream);
        let ahead = epoch == self.epoch && epoch != 0 && seq > self.rows.sent;
        if epoch > self.epoch || ahead {
            self.begin_epoch(now.0.max(epoch.saturating_add(1)), out);
            out.events.push(Event::RolledBack {
                stream: self.stream,
                epoch: self.epoch,
            });
        } else if epoch == self.epoch && seq > self.rows.acked {
            let before = self.rows.acked;
            self.settle(seq);
            out.changes.push(match self.stream {
                Stream::Msg => Change::Acked {
                    upto: seq,
                    at: now,
                    rejects: stand
                        .rejects
                        .iter()
                        .filter(|r| r.seq > before && r.seq <= seq)
                        .cloned()
                        .collect(),
                    evidence: stand.evidence.clone(),
                },
                stream @ (Stream::Evt | Stream::Ctl) => Change::Settled {
                    stream,
                    upto: seq,
                    dropped: false,
                },
            });
        }
    }

    /// Checks a receipt batch against what was sent, and takes it.
    pub(super) fn receipt(
        &mut self,
        session: &Session,
        names: (&Did, &Did),
        receipt: Receipt,
        signature: [u8; 64],
        out: &mut Outputs,
    ) -> Result<(), Misbehaved> {
        let (own, peer) = names;
        let settled = receipt.upto.saturating_sub(self.rows.acked);
        let settled = usize::try_from(settled).unwrap_or(usize::MAX);
        if receipt.epoch != self.epoch
            || receipt.from != self.rows.acked.saturating_add(1)
            || settled > self.sent.len()
        {
            return Err(Misbehaved::BadReceipt);
        }
        let ids: Vec<u8> = self
            .sent
            .iter()
            .take(settled)
            .flat_map(|(id, _)| *id)
            .collect();
        let statement = receipt.statement(peer, own, &ids);
        session
            .peer_key
            .key
            .verify(&[&statement], &signature)
            .map_err(|_error| Misbehaved::BadReceipt)?;
        self.confirm_due |= !receipt.rejects.is_empty();
        let mut rejects = receipt.rejects;
        // The peer may have refused, in an earlier session, what was withdrawn since: its sender
        // knows, and under its number only the number was offered again.
        let withdrawn = Some(WireItem::Withdrawn.id());
        rejects
            .retain(|reject| reject.seq >= receipt.from && self.sent_id(reject.seq) != withdrawn);
        if !rejects
            .iter()
            .all(|reject| self.sent_id(reject.seq) == Some(reject.id))
        {
            return Err(Misbehaved::BadReceipt);
        }
        self.settle(receipt.upto);
        let evidence = Evidence::Receipt {
            kid: session.peer_key.kid.clone(),
            statement,
            ids,
            signature,
        };
        #[cfg(feature = "planted-bugs")]
        if out.commits(super::PlantedBug::DropAck) {
            return Ok(());
        }
        out.changes.push(Change::Acked {
            upto: receipt.upto,
            at: receipt.at,
            rejects,
            evidence,
        });
        Ok(())
    }

    /// Takes an acknowledgement of a stream without receipts. What was dropped meanwhile may still
    /// be acknowledged.
    pub(super) fn acknowledged(
        &mut self,
        epoch: u64,
        upto: u64,
        out: &mut Outputs,
    ) -> Result<(), Misbehaved> {
        if epoch != self.epoch || upto >= self.next_send() {
            return Err(Misbehaved::BadReceipt);
        }
        if upto > self.rows.acked {
            self.settle(upto);
            out.changes.push(Change::Settled {
                stream: self.stream,
                upto,
                dropped: false,
            });
        }
        Ok(())
    }

    /// Forgets what was in flight: it will be sent again.
    pub(super) fn end_session(&mut self) {
        if !self.sent.is_empty() {
            self.rows.look_again();
        }
        self.sent.clear();
        self.sent_weight = 0;
        self.confirm_due = false;
        self.forget_ready();
    }

    /// Takes what was given up since the last call, to be signed and told.
    pub(super) fn take_bounces(&mut self) -> Vec<Bounce> {
        std::mem::take(&mut self.bounces)
    }

    fn admit(
        &mut self,
        item: &Item,
        (rules, limits): (Rules<'_>, &Limits),
        out: &mut Outputs,
    ) -> Result<(), Code> {
        if let Some(code) = rules.refusal(self.stream, Direction::Outbound, item) {
            return Err(code);
        }
        let most = limits.outbox(self.stream);
        let length = item.bytes.len() as u64;
        if item.bytes.is_empty() || item.bytes.len() > MAX_ENVELOPE {
            return Err(Code::TOO_LARGE);
        }
        let fits = |rows: &Rows| {
            rows.queued() < most.items && rows.bytes().saturating_add(length) <= most.bytes
        };
        if self.stream == Stream::Evt && length <= most.bytes {
            let before = self.rows.acked;
            while !fits(&self.rows) && self.rows.queued() > 0 {
                self.drop_oldest();
            }
            if self.rows.acked > before {
                out.changes.push(Change::Settled {
                    stream: self.stream,
                    upto: self.rows.acked,
                    dropped: true,
                });
            }
        }
        if fits(&self.rows) {
            Ok(())
        } else {
            Err(Code::OUTBOX_FULL)
        }
    }

    /// Drops the oldest event, wherever it is.
    fn drop_oldest(&mut self) {
        if self.sent.is_empty()
            && let Some(first) = self.ready.pop_front()
        {
            let weight = u64::from(first.item.weight());
            self.ready_weight = self.ready_weight.saturating_sub(weight);
        }
        self.settle(self.rows.acked.saturating_add(1));
    }

    fn take_batch(
        &mut self,
        session: &Session,
        rules: Rules<'_>,
        out: &mut Outputs,
    ) -> Vec<WireItem> {
        let mut batch = Vec::new();
        let mut weight = 0u64;
        let mut length = HEADER_LENGTH + FIXED_LENGTH + TAG_LENGTH;
        while let Some(next) = self.ready.front() {
            let next_weight = u64::from(next.item.weight());
            let longer = length.saturating_add(next.item.wire_length());
            let fits = batch.is_empty() || (longer <= session.frame && batch.len() < MAX_ITEMS);
            if !fits || !self.has_room(session, batch.len(), weight, next_weight) {
                break;
            }
            let Some(mut next) = self.ready.pop_front() else {
                break;
            };
            self.ready_weight = self.ready_weight.saturating_sub(next_weight);
            if !next.decided {
                let seq = self.next_send().saturating_add(batch.len() as u64);
                self.judge(&mut next.item, seq, rules, out);
            }
            weight = weight.saturating_add(next.item.weight().into());
            length = longer;
            batch.push(next.item);
        }
        batch
    }

    /// Whether the window has room for an item of this weight beside a batch already taken.
    fn has_room(&self, session: &Session, items: usize, weight: u64, next: u64) -> bool {
        let items = (self.sent.len() as u64).saturating_add(items as u64);
        let weight = self.sent_weight.saturating_add(weight).saturating_add(next);
        let window = session.theirs.of(self.stream);
        items == 0 || (items < window.items && weight <= window.bytes)
    }

    fn withdraw(
        &mut self,
        next: u64,
        loaded: Vec<(u64, Item)>,
        rules: Rules<'_>,
        out: &mut Outputs,
    ) {
        let end = loaded
            .last()
            .map_or(self.rows.next_seq, |(seq, _)| seq.saturating_add(1));
        self.scan = (end > next).then_some(end);
        for (seq, item) in loaded {
            if !item.bytes.is_empty() {
                self.judge(&mut WireItem::Message(item), seq, rules, out);
            }
        }
    }

    /// Withdraws a stored item if policy no longer lets it cross.
    fn judge(&mut self, wire: &mut WireItem, seq: u64, rules: Rules<'_>, out: &mut Outputs) {
        let WireItem::Message(item) = wire else {
            return;
        };
        let refusal = rules.refusal(self.stream, Direction::Outbound, item);
        if let Some(code) = refusal {
            self.give_up(seq, item.id, code, out);
            *wire = WireItem::Withdrawn;
        }
    }

    /// Keeps the number and forgets the item.
    fn give_up(&mut self, seq: u64, id: [u8; 16], code: Code, out: &mut Outputs) {
        self.rows.empty(seq);
        match self.stream {
            Stream::Msg => self.bounces.push(Bounce {
                seq,
                id,
                code,
                is_final: true,
            }),
            stream @ (Stream::Evt | Stream::Ctl) => {
                out.changes.push(Change::Emptied { stream, seq });
            }
        }
    }

    /// Replaces an item that is ready by its bare number.
    fn unready(&mut self, seq: u64) {
        let place = seq.checked_sub(self.next_send());
        let place = place.and_then(|place| usize::try_from(place).ok());
        let ready = place.and_then(|place| self.ready.get_mut(place));
        if let Some(ready) = ready {
            let before = u64::from(ready.item.weight());
            ready.item = WireItem::Withdrawn;
            let after = u64::from(ready.item.weight());
            self.ready_weight = self
                .ready_weight
                .saturating_sub(before.saturating_sub(after));
        }
    }

    fn load(&mut self, from_seq: u64, out: &mut Outputs) {
        if self.loading || self.broken {
            return;
        }
        self.loading = true;
        out.requests.push(Request::Load {
            stream: self.stream,
            from_seq,
            max_items: READY_ITEMS,
            max_bytes: usize::try_from(READY_WEIGHT).unwrap_or(usize::MAX),
        });
    }

    /// Stores how far was transmitted, before it is: with the items where they are new.
    fn note_sent(&mut self, out: &mut Outputs) {
        self.rows.sent = self.rows.sent.max(self.next_send().saturating_sub(1));
        let upto = self.rows.sent;
        if upto <= self.stored_sent {
            return;
        }
        self.stored_sent = upto;
        let append = out.changes.iter_mut().rev().find_map(|change| {
            if let Change::Append {
                stream, seq, sent, ..
            } = change
            {
                (*stream == self.stream && *seq == upto).then_some(sent)
            } else {
                None
            }
        });
        match append {
            Some(sent) => *sent = true,
            None => out.changes.push(Change::Sent {
                stream: self.stream,
                upto,
            }),
        }
    }

    fn settle(&mut self, upto: u64) {
        let count = self.rows.settle(upto);
        self.stored_sent = self.stored_sent.max(upto);
        for (_, weight) in self.sent.drain(..count.min(self.sent.len())) {
            self.sent_weight = self.sent_weight.saturating_sub(weight.into());
        }
    }

    fn begin_epoch(&mut self, epoch: u64, out: &mut Outputs) {
        self.epoch = epoch;
        out.changes.push(Change::OutEpoch {
            stream: self.stream,
            epoch,
        });
    }

    fn push_ready(&mut self, item: WireItem, decided: bool) {
        self.ready_weight = self.ready_weight.saturating_add(item.weight().into());
        self.ready.push_back(Ready { item, decided });
    }

    fn sent_id(&self, seq: u64) -> Option<[u8; 16]> {
        let index = seq.checked_sub(self.rows.acked)?.checked_sub(1)?;
        self.sent
            .get(usize::try_from(index).ok()?)
            .map(|(id, _)| *id)
    }

    fn next_send(&self) -> u64 {
        self.rows
            .acked
            .saturating_add(1)
            .saturating_add(self.sent.len() as u64)
    }

    fn ready_end(&self) -> u64 {
        self.next_send().saturating_add(self.ready.len() as u64)
    }
}
