//! The receiving half of the message stream.
//!
//! It knows how far everything is settled (the cursor), what is being delivered beyond that, and
//! what it refused and has not yet been heard of. What is being delivered outlives a session; what
//! was received in the session is kept as ids, for the receipt's digest.

use std::collections::{BTreeMap, VecDeque};

use entente_lexicon::{Did, Timestamp};
use entente_trust::crypto::sign::SigningKey;
use entente_trust::policy::Direction;

use super::config::{Reject, RestoredIn};
use super::io::{Change, DeliveryVerdict, Event, Item, Outputs, Request};
use super::rules::Rules;
use super::session::Session;
use crate::code::Code;
use crate::frame::MAX_NUMBER;
use crate::frame::items::WireItem;
use crate::frame::opening::{Cursor, MAX_REJECTS};
use crate::frame::receipt::Receipt;
use crate::frame::session::{Header, Kind};
use crate::frame::status::Amount;
use crate::frame::stream::Stream;
use crate::handshake::fault::Misbehaved;

/// A batch only partly settled is acknowledged in part after this long.
const ACK_DELAY_MS: u64 = 200;
/// Acknowledgements are at least so far apart, unless much waits for one: a signature, and what its
/// receiver stores, are then shared by all that was settled meanwhile.
const ACK_SPACING_MS: u64 = 20;
/// The part of the window that is acknowledged at once.
const ACK_SHARE: u64 = 4;
/// A sender that never confirms is not listened to beyond this.
const MAX_UNCONFIRMED: usize = 2048;

const STREAM: Stream = Stream::Msg;

/// The receiving half.
#[derive(Debug)]
pub(super) struct Inbox {
    epoch: u64,
    /// Everything up to here is settled.
    cursor: u64,
    /// The cursor as stored.
    stored: (u64, u64),
    /// `cursor + 1..`: received and not settled, or settled behind one that is not.
    pending: VecDeque<Pending>,
    /// Refused and not confirmed.
    rejects: BTreeMap<u64, Reject>,
    heard: Option<Heard>,
    ack_at: Option<Timestamp>,
}

#[derive(Debug)]
struct Pending {
    id: [u8; 16],
    verdict: Option<DeliveryVerdict>,
}

/// What the session brought.
#[derive(Debug)]
struct Heard {
    /// The first number not acknowledged in this session.
    ack_next: u64,
    /// Ids and weights from there on.
    ids: VecDeque<([u8; 16], u32)>,
    /// What they weigh.
    weight: u64,
    /// The last number of each frame.
    batches: VecDeque<u64>,
    /// When the last acknowledgement was sent.
    acked_at: Option<Timestamp>,
}

impl Heard {
    fn end(&self) -> u64 {
        self.ack_next.saturating_add(self.ids.len() as u64)
    }

    /// Whether what waits for an acknowledgement takes up much of the window.
    fn is_much(&self, window: &Amount) -> bool {
        self.ids.len() as u64 >= window.items / ACK_SHARE || self.weight >= window.bytes / ACK_SHARE
    }
}

impl Inbox {
    pub(super) fn restore(stored: RestoredIn, rejects: Vec<Reject>) -> Self {
        Self {
            epoch: stored.epoch,
            cursor: stored.seq,
            stored: (stored.epoch, stored.seq),
            pending: VecDeque::new(),
            rejects: rejects
                .into_iter()
                .map(|reject| (reject.seq, reject))
                .collect(),
            heard: None,
            ack_at: None,
        }
    }

    /// Whether anything is being delivered.
    pub(super) fn is_busy(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(super) const fn deadline(&self) -> Option<Timestamp> {
        self.ack_at
    }

    /// What of our window is taken.
    pub(super) fn usage(&self) -> Amount {
        self.heard
            .as_ref()
            .map_or(Amount::default(), |heard| Amount {
                bytes: heard.weight,
                items: heard.ids.len() as u64,
            })
    }

    /// States our cursor for AUTH, which repeats no rejects: it stops before the first.
    pub(super) fn stand_as_initiator(&mut self, out: &mut Outputs) -> Vec<Cursor> {
        self.store(out);
        let stop = self
            .rejects
            .keys()
            .next()
            .map_or(u64::MAX, |seq| seq.saturating_sub(1));
        self.cursors(self.cursor.min(stop))
    }

    /// States our cursor and the rejects up to it for READY; also the last number they cover.
    pub(super) fn stand_as_responder(
        &mut self,
        out: &mut Outputs,
    ) -> (Vec<Cursor>, Vec<(u64, Reject)>, u64) {
        self.store(out);
        let stop = self.rejects.keys().nth(MAX_REJECTS);
        let upto = self
            .cursor
            .min(stop.map_or(u64::MAX, |seq| seq.saturating_sub(1)));
        let told = self
            .rejects
            .range(..=upto)
            .map(|(_, r)| (u64::from(STREAM.number()), r.clone()));
        (self.cursors(upto), told.collect(), upto)
    }

    /// Takes a MSG frame: settles what policy refuses and hands on the rest.
    pub(super) fn receive(
        &mut self,
        header: &Header,
        floor: u64,
        items: Vec<WireItem>,
        rules: (Rules<'_>, &Amount),
        out: &mut Outputs,
    ) -> Result<(), Misbehaved> {
        let end = header.seq.saturating_add(items.len() as u64);
        if floor >= header.seq || end > MAX_NUMBER || header.epoch > MAX_NUMBER {
            return Err(Misbehaved::MalformedFrame);
        }
        if header.epoch < self.epoch {
            return Err(Misbehaved::StaleEpoch);
        }
        if header.epoch > self.epoch {
            if self.epoch != 0 {
                out.events.push(Event::PeerReset {
                    stream: STREAM,
                    epoch: header.epoch,
                });
            }
            self.reset(header.epoch, floor, out);
        }
        self.confirm(floor, out);
        self.skip_gap(floor, out);
        self.check_window(header.seq, &items, rules.1)?;
        let mut deliver = Vec::new();
        for (seq, wire) in (header.seq..).zip(items) {
            self.take(seq, wire, rules.0, &mut deliver, out);
        }
        if let Some(heard) = &mut self.heard {
            heard.batches.push_back(heard.end().saturating_sub(1));
        }
        if !deliver.is_empty() {
            out.requests.push(Request::Deliver {
                epoch: self.epoch,
                items: deliver,
            });
        }
        self.advance(out);
        Ok(())
    }

    /// Takes what agents answered.
    pub(super) fn delivered(
        &mut self,
        epoch: u64,
        verdicts: Vec<(u64, [u8; 16], DeliveryVerdict)>,
        out: &mut Outputs,
    ) {
        if epoch != self.epoch {
            return;
        }
        for (seq, id, verdict) in verdicts {
            let pending = self
                .place(seq)
                .and_then(|place| self.pending.get_mut(place));
            let waits = |pending: &&mut Pending| pending.verdict.is_none() && pending.id == id;
            let Some(pending) = pending.filter(waits) else {
                continue;
            };
            pending.verdict = Some(verdict.clone());
            if let DeliveryVerdict::Refused(code) = verdict {
                self.reject(seq, id, code, out);
            }
        }
        self.advance(out);
        if self.heard.is_none() {
            self.store(out);
        }
    }

    /// Takes a CONFIRM frame.
    pub(super) fn confirmed(&mut self, header: &Header, out: &mut Outputs) {
        if header.epoch == self.epoch {
            self.confirm(header.seq, out);
        }
    }

    /// The peer has stored our rejects up to here.
    pub(super) fn confirm(&mut self, upto: u64, out: &mut Outputs) {
        let before = self.rejects.len();
        self.rejects.retain(|seq, _| *seq > upto);
        if self.rejects.len() != before {
            out.changes.push(Change::RejectsConfirmed { upto });
        }
    }

    /// Acknowledges every batch that is settled, those that follow closely together; a part of one
    /// only after a while.
    pub(super) fn acknowledge(
        &mut self,
        now: Timestamp,
        session: &mut Session,
        names: (&Did, &Did),
        key: &SigningKey,
        out: &mut Outputs,
    ) {
        let Some(heard) = &mut self.heard else { return };
        let settled = self.cursor.min(heard.end().saturating_sub(1));
        let whole = heard
            .batches
            .iter()
            .take_while(|end| **end <= settled)
            .last()
            .copied();
        let late = self.ack_at.is_some_and(|at| at <= now);
        let upto = if late { Some(settled) } else { whole };
        let Some(upto) = upto.filter(|upto| *upto >= heard.ack_next) else {
            let partly = settled >= heard.ack_next;
            self.ack_at = partly.then(|| self.ack_at.unwrap_or(now.after(ACK_DELAY_MS)));
            return;
        };
        let spaced = heard.acked_at.map(|at| at.after(ACK_SPACING_MS));
        if let Some(at) = spaced.filter(|at| !late && now < *at)
            && !heard.is_much(session.ours.of(STREAM))
        {
            self.ack_at = self.ack_at.into_iter().chain([at]).min();
            return;
        }
        heard.acked_at = Some(now);
        self.ack_at = None;
        let from = heard.ack_next;
        let count = usize::try_from(upto.saturating_sub(from).saturating_add(1));
        let count = count.unwrap_or(usize::MAX).min(heard.ids.len());
        let mut ids = Vec::with_capacity(count.saturating_mul(16));
        for (id, weight) in heard.ids.drain(..count) {
            ids.extend_from_slice(&id);
            heard.weight = heard.weight.saturating_sub(weight.into());
        }
        heard.ack_next = upto.saturating_add(1);
        heard.batches.retain(|end| *end > upto);
        let rejects = self
            .rejects
            .range(..=upto)
            .map(|(_, r)| r.clone())
            .collect();
        let receipt = Receipt {
            epoch: self.epoch,
            from,
            upto,
            at: now,
            rejects,
        };
        let (own, peer) = names;
        let signature = key.sign(&[&receipt.statement(own, peer, &ids)]);
        let place = (STREAM.number(), self.epoch, upto);
        let mut frame = session.begin(Kind::Ack, place, receipt.body_length());
        receipt.write(&mut frame, &signature);
        self.store(out);
        out.transmits.push(session.seal(frame));
        session.note_work(now);
    }

    /// Forgets what the session brought; what is being delivered stays.
    pub(super) fn end_session(&mut self, out: &mut Outputs) {
        self.heard = None;
        self.ack_at = None;
        self.store(out);
    }

    fn cursors(&self, upto: u64) -> Vec<Cursor> {
        if self.epoch == 0 {
            Vec::new()
        } else {
            vec![(STREAM.number().into(), self.epoch, upto)]
        }
    }

    /// A new epoch begins after `floor`.
    fn reset(&mut self, epoch: u64, floor: u64, out: &mut Outputs) {
        self.confirm(MAX_NUMBER, out);
        self.epoch = epoch;
        self.cursor = floor;
        self.pending.clear();
        self.heard = None;
        self.ack_at = None;
    }

    /// The peer says that we acknowledged more than we remember: it will not offer that again.
    fn skip_gap(&mut self, floor: u64, out: &mut Outputs) {
        if floor <= self.cursor {
            return;
        }
        out.events.push(Event::Gap {
            stream: STREAM,
            from: self.cursor.saturating_add(1),
            upto: floor,
        });
        while self.cursor < floor {
            if self.pending.pop_front().is_none() {
                self.cursor = floor;
                break;
            }
            self.cursor = self.cursor.saturating_add(1);
        }
    }

    /// The sender counts the same messages as in flight, or more.
    fn check_window(
        &mut self,
        first: u64,
        items: &[WireItem],
        limits: &Amount,
    ) -> Result<(), Misbehaved> {
        let follows = match &self.heard {
            Some(heard) => first == heard.end(),
            None => first <= self.cursor.saturating_add(1),
        };
        let heard = self.heard.get_or_insert_with(|| Heard {
            ack_next: first,
            ids: VecDeque::new(),
            weight: 0,
            batches: VecDeque::new(),
            acked_at: None,
        });
        let count = heard.ids.len().saturating_add(items.len()) as u64;
        let more: u64 = items.iter().map(|item| u64::from(item.weight())).sum();
        let fits = count == 1
            || (count <= limits.items && heard.weight.saturating_add(more) <= limits.bytes);
        if follows && fits && self.rejects.len() <= MAX_UNCONFIRMED {
            Ok(())
        } else {
            Err(Misbehaved::OutOfWindow)
        }
    }

    /// Judges a message. What was refused stays refused, whatever the policy says when it is
    /// offered again: later ones of its sender may have been delivered since.
    fn take(
        &mut self,
        seq: u64,
        wire: WireItem,
        rules: Rules<'_>,
        deliver: &mut Vec<(u64, Item)>,
        out: &mut Outputs,
    ) {
        let id = wire.id();
        let weight = wire.weight();
        if let Some(heard) = &mut self.heard {
            heard.ids.push_back((id, weight));
            heard.weight = heard.weight.saturating_add(weight.into());
        }
        let place = self.place(seq);
        let known = place.and_then(|place| self.pending.get_mut(place));
        if let Some(pending) = known.filter(|pending| pending.id != id) {
            if wire == WireItem::Withdrawn {
                // What it stood for waits for its agent: whatever that says, nobody asks any more.
                let verdict = Some(DeliveryVerdict::Delivered);
                *pending = Pending { id, verdict };
                return;
            }
            // The peer was rolled back and gives the number again: what it stood for is not offered
            // any more, nor what followed.
            self.pending.truncate(place.unwrap_or(usize::MAX));
        }
        let next = self
            .cursor
            .saturating_add(1)
            .saturating_add(self.pending.len() as u64);
        if seq < next {
            #[cfg(feature = "planted-bugs")]
            if let WireItem::Message(item) = wire
                && out.commits(super::PlantedBug::SkipDedup)
            {
                deliver.push((seq, item));
            }
            return;
        }
        let verdict = match wire {
            WireItem::Withdrawn => Some(DeliveryVerdict::Delivered),
            WireItem::Message(item) => {
                let known = self.rejects.get(&seq).filter(|known| known.id == id);
                let refused = match known {
                    Some(known) => Some(known.code.clone()),
                    None => rules.refusal(STREAM, Direction::Inbound, &item),
                };
                match refused {
                    Some(code) => {
                        self.reject(seq, id, code.clone(), out);
                        Some(DeliveryVerdict::Refused(code))
                    }
                    None => {
                        deliver.push((seq, item));
                        None
                    }
                }
            }
        };
        self.pending.push_back(Pending { id, verdict });
    }

    /// Where a number is among what is pending.
    fn place(&self, seq: u64) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.cursor)?.checked_sub(1)?).ok()
    }

    /// Moves the cursor over everything settled without a hole, and stores it with any refusal
    /// that it passed.
    fn advance(&mut self, out: &mut Outputs) {
        let mut refused = false;
        while let Some(pending) = self.pending.pop_front_if(|next| next.verdict.is_some()) {
            self.cursor = self.cursor.saturating_add(1);
            refused |= matches!(pending.verdict, Some(DeliveryVerdict::Refused(_)));
        }
        if refused {
            self.store(out);
        }
    }

    /// Stores a refusal at once, also where earlier messages are not settled yet: a restart must
    /// not judge the message again.
    fn reject(&mut self, seq: u64, id: [u8; 16], code: Code, out: &mut Outputs) {
        let reject = Reject { seq, id, code };
        let known = self.rejects.insert(seq, reject.clone());
        if known.as_ref() != Some(&reject) {
            out.changes.push(Change::Rejected(reject));
        }
        if self.stored.0 != self.epoch {
            // Without its epoch the refusal would be taken for one of an earlier stream.
            self.store(out);
        }
    }

    fn store(&mut self, out: &mut Outputs) {
        if self.stored != (self.epoch, self.cursor) {
            self.stored = (self.epoch, self.cursor);
            out.changes.push(Change::Cursor {
                stream: STREAM,
                epoch: self.epoch,
                seq: self.cursor,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use entente_lexicon::TrustLevel;
    use entente_trust::policy::Policy;

    use super::*;

    fn did(seed: u8) -> Did {
        Did::from_scid(&[seed; 32])
    }

    fn message(id: u8, from: u8) -> WireItem {
        WireItem::Message(Item {
            id: [id; 16],
            from: did(from),
            to: did(9),
            bytes: vec![id].into(),
            expires: None,
        })
    }

    /// Receives a message of agent 1 and one of agent 2; returns what is handed on and stored.
    fn receive(inbox: &mut Inbox, policy: &Policy) -> (Vec<u64>, Vec<Change>) {
        let header = Header {
            kind: Kind::Msg,
            counter: 0,
            stream: STREAM.number(),
            epoch: 5,
            seq: 1,
        };
        let limits = Amount {
            bytes: 1_000_000,
            items: 100,
        };
        let mut out = Outputs::default();
        let items = vec![message(1, 1), message(2, 2)];
        let (own, peer) = (&did(9), &did(8));
        let rules = Rules { policy, own, peer };
        inbox
            .receive(&header, 0, items, (rules, &limits), &mut out)
            .unwrap();
        let [Request::Deliver { items: handed, .. }] = out.requests.as_slice() else {
            panic!("{:?}", out.requests);
        };
        (handed.iter().map(|(seq, _)| *seq).collect(), out.changes)
    }

    #[test]
    fn what_was_refused_behind_a_slow_agent_stays_refused_after_a_restart() {
        let strict = Policy::new(TrustLevel::Allowlist, BTreeSet::from([did(1)]));
        let open = Policy::new(TrustLevel::Open, BTreeSet::new());
        let mut inbox = Inbox::restore(RestoredIn::default(), Vec::new());
        let (handed, changes) = receive(&mut inbox, &strict);
        assert_eq!(handed, [1]);
        let reject = Reject {
            seq: 2,
            id: [2; 16],
            code: Code::from_static("NOT_ALLOWED"),
        };
        assert!(changes.contains(&Change::Rejected(reject.clone())));
        assert!(changes.contains(&Change::Cursor {
            stream: STREAM,
            epoch: 5,
            seq: 0
        }));
        // The machine dies before agent 1's message is settled, and the policy opens.
        let mut restored = Inbox::restore(
            RestoredIn {
                epoch: 5,
                ..RestoredIn::default()
            },
            vec![reject],
        );
        assert_eq!(receive(&mut restored, &open).0, [1]);
    }
}
