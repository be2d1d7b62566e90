//! The sending half of the message stream.
//!
//! The driver stores the messages; this half numbers them, knows how many are unacknowledged,
//! and holds in memory only the ids of those in flight and a bounded stretch of those to be sent
//! next, so that under load nothing is read back from storage.

use std::collections::VecDeque;

use entente_lexicon::{Did, Timestamp};
use entente_trust::policy::{self, Direction, ItemKind, Policy, Proof, Verdict};

use super::config::{Limits, RestoredOut};
use super::io::{Change, Event, Evidence, Item, Outputs, Request};
use super::session::Session;
use crate::code::Code;
use crate::frame::items::{self, FIXED_LENGTH, MAX_ITEMS, WireItem};
use crate::frame::opening::{STREAM_MSG, message_cursor};
use crate::frame::receipt::Receipt;
use crate::frame::session::{HEADER_LENGTH, Kind, TAG_LENGTH};
use crate::handshake::PeerStand;
use crate::handshake::fault::Misbehaved;

/// The largest envelope a link carries.
pub const MAX_ENVELOPE: usize = 128 * 1024;
/// How much is held ready to be sent.
const READY_WEIGHT: u64 = 1024 * 1024;
const READY_ITEMS: usize = 1024;
/// More than this are never queued; a store that says so anyway is not given the memory.
const MOST_RESTORED: usize = 1 << 20;

/// The stream's number as it stands in session headers.
pub(super) const STREAM: u8 = 1;
const _: () = assert!(STREAM as u64 == STREAM_MSG);

/// The sending half.
#[derive(Debug)]
pub(super) struct Outbox {
    epoch: u64,
    next_seq: u64,
    acked: u64,
    /// Payload lengths of `acked + 1..next_seq`. Which of the restored rows has how many is not
    /// known: the last one stands for all, so that the bound on bytes holds until they are gone.
    lengths: VecDeque<u32>,
    bytes: u64,
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
}

#[derive(Debug)]
struct Ready {
    item: WireItem,
    /// Policy let it pass since it last changed.
    decided: bool,
}

impl Outbox {
    pub(super) fn restore(stored: RestoredOut) -> Self {
        let next_seq = stored.next_seq.max(stored.acked.saturating_add(1));
        let count = next_seq.saturating_sub(1).saturating_sub(stored.acked);
        let count = usize::try_from(count)
            .unwrap_or(MOST_RESTORED)
            .min(MOST_RESTORED);
        let mut lengths = VecDeque::from(vec![0; count]);
        let mut bytes = 0;
        if let Some(last) = lengths.back_mut() {
            *last = u32::try_from(stored.queued_bytes).unwrap_or(u32::MAX);
            bytes = u64::from(*last);
        }
        Self {
            epoch: stored.epoch,
            next_seq,
            acked: stored.acked,
            lengths,
            bytes,
            sent: VecDeque::new(),
            sent_weight: 0,
            ready: VecDeque::new(),
            ready_weight: 0,
            loading: false,
            broken: false,
            scan: None,
            confirm_due: false,
        }
    }

    /// How many messages are not acknowledged.
    pub(super) fn queued(&self) -> u64 {
        self.next_seq.saturating_sub(1).saturating_sub(self.acked)
    }

    /// Whether anything is in flight.
    pub(super) fn is_waiting(&self) -> bool {
        !self.sent.is_empty()
    }

    /// Whether there is anything that a session could do for this half.
    pub(super) fn has_work(&self) -> bool {
        self.queued() > 0 && !self.broken
    }

    /// Takes new messages in; with a session up, those that follow directly stay in memory.
    pub(super) fn enqueue(
        &mut self,
        now: Timestamp,
        items: Vec<Item>,
        rules: (&Policy, &Limits),
        is_up: bool,
        out: &mut Outputs,
    ) {
        for (index_in_input, item) in items.into_iter().enumerate() {
            if let Err(code) = self.admit(&item, rules) {
                out.changes.push(Change::Refuse {
                    index_in_input,
                    code,
                });
                continue;
            }
            if self.epoch == 0 {
                self.begin_epoch(now.0.max(1), out);
            }
            let seq = self.next_seq;
            self.next_seq = seq.saturating_add(1);
            self.lengths
                .push_back(u32::try_from(item.bytes.len()).unwrap_or(u32::MAX));
            self.bytes = self.bytes.saturating_add(item.bytes.len() as u64);
            out.changes.push(Change::Append {
                index_in_input,
                seq,
            });
            let room = self.ready_weight < READY_WEIGHT && self.ready.len() < READY_ITEMS;
            if is_up && room && self.ready_end() == seq {
                self.push_ready(WireItem::Message(item), true);
            }
        }
    }

    /// Sends what is ready as far as the window is open, and asks for more.
    pub(super) fn fill(
        &mut self,
        now: Timestamp,
        session: &mut Session,
        policy: &Policy,
        out: &mut Outputs,
    ) {
        loop {
            let first = self.next_send();
            let batch = self.take_batch(session, policy, out);
            if batch.is_empty() {
                break;
            }
            let length: usize = batch.iter().map(WireItem::wire_length).sum();
            let place = (STREAM, self.epoch, first);
            let mut frame = session.begin(Kind::Msg, place, length.saturating_add(FIXED_LENGTH));
            items::write(&mut frame, self.acked, &batch);
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
            let frame = session.begin(Kind::Confirm, (STREAM, self.epoch, self.acked), 0);
            out.transmits.push(session.seal(frame));
        }
        let open = self.has_room(session, 0, 0, 64);
        if open && self.ready.is_empty() && self.next_send() < self.next_seq {
            self.load(self.next_send(), out);
        }
    }

    /// Takes the answer to a load.
    pub(super) fn loaded(
        &mut self,
        loaded: Vec<(u64, Item)>,
        is_up: bool,
        policy: &Policy,
        out: &mut Outputs,
    ) {
        self.loading = false;
        if let Some(next) = self.scan {
            return self.withdraw(next, loaded, policy, out);
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
        if self.ready.is_empty() && self.next_send() < self.next_seq {
            self.broken = true;
            out.events.push(Event::StoreBroken {
                seq: self.next_send(),
            });
        }
    }

    /// Goes through the whole queue and withdraws what may not cross any more.
    pub(super) fn begin_scan(&mut self) {
        self.scan = Some(self.acked.saturating_add(1));
    }

    /// Asks for the next part of the queue while it is gone through.
    pub(super) fn continue_scan(&mut self, out: &mut Outputs) {
        match self.scan {
            Some(next) if next < self.next_seq => self.load(next, out),
            Some(_) | None => self.scan = None,
        }
    }

    /// Forgets what was decided: everything not yet sent is read and judged again.
    pub(super) fn forget_ready(&mut self) {
        self.ready.clear();
        self.ready_weight = 0;
    }

    /// Begins a session at what the peer says it has.
    pub(super) fn start(&mut self, now: Timestamp, stand: PeerStand, out: &mut Outputs) {
        self.end_session();
        let (epoch, seq) = message_cursor(&stand.cursors);
        let ahead = epoch == self.epoch && seq >= self.next_seq;
        if epoch > self.epoch || (ahead && epoch != 0) {
            self.begin_epoch(now.0.max(epoch.saturating_add(1)), out);
            out.events.push(Event::RolledBack { epoch: self.epoch });
        } else if epoch == self.epoch && seq > self.acked {
            let before = self.acked;
            let rejects = stand
                .rejects
                .into_iter()
                .filter(|r| r.seq > before && r.seq <= seq)
                .collect();
            self.settle(seq);
            let evidence = stand.evidence;
            out.changes.push(Change::Acked {
                upto: seq,
                at: now,
                rejects,
                evidence,
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
        let settled = receipt.upto.saturating_sub(self.acked);
        let settled = usize::try_from(settled).unwrap_or(usize::MAX);
        if receipt.epoch != self.epoch
            || receipt.from != self.acked.saturating_add(1)
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
            signature,
        };
        out.changes.push(Change::Acked {
            upto: receipt.upto,
            at: receipt.at,
            rejects,
            evidence,
        });
        Ok(())
    }

    /// Forgets what was in flight: it will be sent again.
    pub(super) fn end_session(&mut self) {
        self.sent.clear();
        self.sent_weight = 0;
        self.confirm_due = false;
        self.forget_ready();
    }

    fn admit(&self, item: &Item, (policy, limits): (&Policy, &Limits)) -> Result<(), Code> {
        if let Some(code) = refusal(policy, Direction::Outbound, &item.to) {
            return Err(code);
        }
        if item.bytes.is_empty() || item.bytes.len() > MAX_ENVELOPE {
            return Err(Code::TOO_LARGE);
        }
        let bytes = self.bytes.saturating_add(item.bytes.len() as u64);
        if self.queued() >= limits.outbox_items || bytes > limits.outbox_bytes {
            return Err(Code::OUTBOX_FULL);
        }
        Ok(())
    }

    fn take_batch(
        &mut self,
        session: &Session,
        policy: &Policy,
        out: &mut Outputs,
    ) -> Vec<WireItem> {
        let mut batch = Vec::new();
        let mut weight = 0u64;
        let mut length = HEADER_LENGTH + FIXED_LENGTH + TAG_LENGTH;
        let most = usize::try_from(session.limits.frame).unwrap_or(usize::MAX);
        while let Some(next) = self.ready.front() {
            let next_weight = u64::from(next.item.weight());
            let longer = length.saturating_add(next.item.wire_length());
            let fits = batch.is_empty() || (longer <= most && batch.len() < MAX_ITEMS);
            if !fits || !self.has_room(session, batch.len(), weight, next_weight) {
                break;
            }
            let Some(mut next) = self.ready.pop_front() else {
                break;
            };
            self.ready_weight = self.ready_weight.saturating_sub(next_weight);
            if !next.decided {
                let seq = self.next_send().saturating_add(batch.len() as u64);
                judge(&mut next.item, seq, policy, out);
            }
            weight = weight.saturating_add(next.item.weight().into());
            length = longer;
            batch.push(next.item);
        }
        batch
    }

    /// Whether the window has room for a message of this weight beside a batch already taken.
    fn has_room(&self, session: &Session, items: usize, weight: u64, next: u64) -> bool {
        let items = (self.sent.len() as u64).saturating_add(items as u64);
        let weight = self.sent_weight.saturating_add(weight).saturating_add(next);
        let limits = &session.limits;
        items == 0 || (items < limits.items && weight <= limits.bytes)
    }

    fn withdraw(
        &mut self,
        next: u64,
        loaded: Vec<(u64, Item)>,
        policy: &Policy,
        out: &mut Outputs,
    ) {
        let end = loaded
            .last()
            .map_or(self.next_seq, |(seq, _)| seq.saturating_add(1));
        self.scan = (end > next).then_some(end);
        for (seq, item) in loaded {
            if !item.bytes.is_empty() {
                judge(&mut WireItem::Message(item), seq, policy, out);
            }
        }
    }

    fn load(&mut self, from_seq: u64, out: &mut Outputs) {
        if self.loading || self.broken {
            return;
        }
        self.loading = true;
        out.requests.push(Request::Load {
            from_seq,
            max_items: READY_ITEMS,
            max_bytes: usize::try_from(READY_WEIGHT).unwrap_or(usize::MAX),
        });
    }

    fn settle(&mut self, upto: u64) {
        let count = usize::try_from(upto.saturating_sub(self.acked)).unwrap_or(usize::MAX);
        self.acked = upto;
        for length in self.lengths.drain(..count.min(self.lengths.len())) {
            self.bytes = self.bytes.saturating_sub(length.into());
        }
        for (_, weight) in self.sent.drain(..count.min(self.sent.len())) {
            self.sent_weight = self.sent_weight.saturating_sub(weight.into());
        }
    }

    fn begin_epoch(&mut self, epoch: u64, out: &mut Outputs) {
        self.epoch = epoch;
        out.changes.push(Change::OutEpoch { epoch });
    }

    fn push_ready(&mut self, item: WireItem, decided: bool) {
        self.ready_weight = self.ready_weight.saturating_add(item.weight().into());
        self.ready.push_back(Ready { item, decided });
    }

    fn sent_id(&self, seq: u64) -> Option<[u8; 16]> {
        let index = seq.checked_sub(self.acked)?.checked_sub(1)?;
        self.sent
            .get(usize::try_from(index).ok()?)
            .map(|(id, _)| *id)
    }

    fn next_send(&self) -> u64 {
        self.acked
            .saturating_add(1)
            .saturating_add(self.sent.len() as u64)
    }

    fn ready_end(&self) -> u64 {
        self.next_send().saturating_add(self.ready.len() as u64)
    }
}

/// Asks policy about one message; returns why not.
pub(super) fn refusal(policy: &Policy, direction: Direction, peer_agent: &Did) -> Option<Code> {
    let item = policy::Item {
        kind: ItemKind::Message { peer_agent },
        proof: Proof::Pending,
    };
    match policy::decide(policy, direction, &item) {
        Verdict::Pass => None,
        // It waits: no session is up meanwhile.
        Verdict::Hold(_) if direction == Direction::Outbound => None,
        Verdict::Hold(reason) | Verdict::Refuse(reason) => Some(Code::from_static(reason.code())),
    }
}

/// Withdraws a stored message if policy no longer lets it cross.
fn judge(wire: &mut WireItem, seq: u64, policy: &Policy, out: &mut Outputs) {
    let WireItem::Message(item) = wire else {
        return;
    };
    if let Some(code) = refusal(policy, Direction::Outbound, &item.to) {
        out.changes.push(Change::Withdrawn {
            seq,
            id: item.id,
            code,
        });
        *wire = WireItem::Withdrawn;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restored_bytes_count_until_the_last_restored_row_is_settled() {
        let mut outbox = Outbox::restore(RestoredOut {
            epoch: 1,
            next_seq: 15,
            acked: 0,
            queued_bytes: 4_100,
        });
        assert_eq!((outbox.queued(), outbox.bytes), (14, 4_100));
        // The first may have been small: nothing is given back for them.
        outbox.settle(10);
        assert_eq!((outbox.queued(), outbox.bytes), (4, 4_100));
        outbox.settle(14);
        assert_eq!((outbox.queued(), outbox.bytes), (0, 0));
    }
}
