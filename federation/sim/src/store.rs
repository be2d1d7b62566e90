//! What a link's driver keeps on disk. It outlives every crash.

use std::collections::{BTreeMap, BTreeSet};

use entente_federation::{Bounce, Change, Code, Item, Restored, Stream, Streams, Waiting};
use entente_lexicon::Timestamp;

/// What became of messages by storing one change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The message at this place in the input has a row.
    Accepted(usize),
    /// The message at this place in the input was refused.
    Refused(usize),
    /// The stored message was withdrawn.
    Withdrawn([u8; 16]),
    /// The stored message expired before it was ever sent.
    Expired([u8; 16]),
    /// Nobody can say what became of the stored message, yet or for good.
    Unconfirmed([u8; 16], bool),
    /// The stored message was settled by the peer.
    Settled([u8; 16], Option<Code>),
}

/// A row of an outbox.
#[derive(Clone, Debug)]
struct Row {
    item: Item,
    queued_at: Timestamp,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    outboxes: Streams<BTreeMap<u64, Row>>,
    bytes: Streams<u64>,
    /// Messages whose senders were told that nothing is known.
    unconfirmed: BTreeSet<[u8; 16]>,
    restored: Restored,
}

impl Store {
    /// What a link starts from.
    pub(crate) fn restored(&self) -> Restored {
        let mut restored = self.restored.clone();
        for stream in Stream::ALL {
            let waiting = |(seq, row): (&u64, &Row)| {
                let waiting = Waiting {
                    id: row.item.id,
                    length: u32::try_from(row.item.bytes.len()).unwrap_or(u32::MAX),
                    queued_at: row.queued_at,
                    expires: row.item.expires,
                    unconfirmed: self.unconfirmed.contains(&row.item.id),
                };
                (*seq, waiting)
            };
            let rows = self.outboxes.of(stream).iter().map(waiting).collect();
            restored.out.of_mut(stream).rows = rows;
        }
        restored
    }

    pub(crate) fn rows(&self, stream: Stream) -> u64 {
        self.outboxes.of(stream).len() as u64
    }

    pub(crate) const fn bytes(&self, stream: Stream) -> u64 {
        *self.bytes.of(stream)
    }

    /// Epoch and number up to which everything is settled, of what the peer sends.
    pub(crate) const fn received(&self) -> (u64, u64) {
        (self.restored.inn.msg.epoch, self.restored.inn.msg.seq)
    }

    /// Epoch and highest number given, of what the peer is sent.
    pub(crate) const fn given(&self) -> (u64, u64) {
        let out = &self.restored.out.msg;
        (out.epoch, out.next_seq.saturating_sub(1))
    }

    /// Whether a message that is handed over again is stored already.
    pub(crate) fn holds(&self, id: &[u8; 16]) -> bool {
        self.outboxes.msg.values().any(|row| row.item.id == *id)
    }

    /// The driver has passed on all of a stream.
    pub(crate) fn pass_on(&mut self, stream: Stream) {
        self.restored.inn.of_mut(stream).held = 0;
    }

    /// The driver has passed on one item.
    pub(crate) fn pass_on_one(&mut self, stream: Stream) {
        let held = &mut self.restored.inn.of_mut(stream).held;
        *held = held.saturating_sub(1);
    }

    pub(crate) fn rejects(&self) -> usize {
        self.restored.rejects.len()
    }

    pub(crate) fn load(
        &self,
        stream: Stream,
        from: u64,
        max_items: usize,
        max_bytes: usize,
    ) -> Vec<(u64, Item)> {
        let mut bytes = 0;
        let mut items = Vec::new();
        for (seq, row) in self.outboxes.of(stream).range(from..).take(max_items) {
            bytes += row.item.bytes.len();
            if bytes > max_bytes && !items.is_empty() {
                break;
            }
            items.push((*seq, row.item.clone()));
        }
        items
    }

    /// Stores one change.
    ///
    /// # Errors
    ///
    /// The change contradicts what is stored: a fault of the core.
    pub(crate) fn apply(
        &mut self,
        now: Timestamp,
        change: Change,
        input: &[Item],
        fates: &mut Vec<Fate>,
    ) -> Result<(), String> {
        match change {
            Change::Append {
                stream,
                index_in_input,
                seq,
                sent,
            } => {
                let item = input.get(index_in_input).cloned();
                let item = item.ok_or("an item that was not in the input")?;
                self.append(now, stream, seq, item)?;
                if sent {
                    self.restored.out.of_mut(stream).sent = seq;
                }
                fates.push(Fate::Accepted(index_in_input));
            }
            Change::Sent { stream, upto } => {
                let out = self.restored.out.of_mut(stream);
                let before = std::mem::replace(&mut out.sent, upto);
                ensure(upto > before && upto < out.next_seq, || {
                    format!("sent up to {before}, then {upto}")
                })?;
            }
            Change::Refuse { index_in_input, .. } => fates.push(Fate::Refused(index_in_input)),
            Change::Bounced { bounces, .. } => {
                for bounce in bounces {
                    fates.push(self.bounce(&bounce)?);
                }
            }
            Change::Emptied { stream, seq } => self.empty(stream, seq)?,
            Change::Settled { stream, upto, .. } => {
                self.acked(stream, upto)?;
                let _ = self.settle(stream, upto);
            }
            Change::Acked { upto, rejects, .. } => {
                self.acked(Stream::Msg, upto)?;
                let rejected = |item: &Item| {
                    let reject = rejects.iter().find(|reject| reject.id == item.id);
                    reject.map(|reject| reject.code.clone())
                };
                for item in self.settle(Stream::Msg, upto) {
                    fates.push(Fate::Settled(item.id, rejected(&item)));
                }
            }
            change => self.apply_inbound(change)?,
        }
        Ok(())
    }

    fn apply_inbound(&mut self, change: Change) -> Result<(), String> {
        let restored = &mut self.restored;
        match change {
            Change::Received { stream, .. } => restored.inn.of_mut(stream).held += 1,
            Change::Cursor { stream, epoch, seq } => {
                let inn = restored.inn.of_mut(stream);
                let before = (inn.epoch, inn.seq);
                (inn.epoch, inn.seq) = (epoch, seq);
                let rises =
                    (epoch, seq) > before || (stream != Stream::Msg && (epoch, seq) == before);
                ensure(rises, || {
                    format!("cursor {before:?}, then {:?}", (epoch, seq))
                })?;
            }
            Change::Rejected(reject) => {
                restored.rejects.retain(|other| other.seq != reject.seq);
                restored.rejects.push(reject);
                restored.rejects.sort_by_key(|reject| reject.seq);
            }
            Change::RejectsConfirmed { upto } => restored.rejects.retain(|r| r.seq > upto),
            Change::Attested { until, .. } => restored.attested = until,
            Change::DialOwn(number) => {
                let before = std::mem::replace(&mut restored.dial_own, number);
                ensure(number > before, || "our dial number fell".into())?;
            }
            Change::DialPeer(number) => {
                let before = std::mem::replace(&mut restored.dial_peer, number);
                ensure(number > before, || "the peer's dial number fell".into())?;
            }
            Change::OutEpoch { stream, epoch } => {
                let before = std::mem::replace(&mut restored.out.of_mut(stream).epoch, epoch);
                ensure(epoch > before, || format!("epoch {before}, then {epoch}"))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn append(
        &mut self,
        now: Timestamp,
        stream: Stream,
        seq: u64,
        item: Item,
    ) -> Result<(), String> {
        let out = self.restored.out.of_mut(stream);
        let next = out.next_seq.max(1);
        ensure(seq == next, || format!("number {seq} given, {next} due"))?;
        out.next_seq = seq + 1;
        *self.bytes.of_mut(stream) += item.bytes.len() as u64;
        let queued_at = now;
        self.outboxes
            .of_mut(stream)
            .insert(seq, Row { item, queued_at });
        Ok(())
    }

    fn bounce(&mut self, bounce: &Bounce) -> Result<Fate, String> {
        let Bounce {
            seq,
            id,
            code,
            is_final,
        } = bounce;
        let row = self.outboxes.msg.get(seq).filter(|row| row.item.id == *id);
        ensure(row.is_some(), || {
            format!("number {seq} bounced, but not stored")
        })?;
        if *is_final {
            self.empty(Stream::Msg, *seq)?;
        } else {
            ensure(self.unconfirmed.insert(*id), || {
                format!("number {seq} unconfirmed twice")
            })?;
        }
        Ok(match code.as_str() {
            "EXPIRED" => Fate::Expired(*id),
            "UNCONFIRMED" => Fate::Unconfirmed(*id, *is_final),
            _ => Fate::Withdrawn(*id),
        })
    }

    fn empty(&mut self, stream: Stream, seq: u64) -> Result<(), String> {
        let row = self.outboxes.of_mut(stream).get_mut(&seq);
        let row = row.ok_or_else(|| format!("number {seq} emptied, but not stored"))?;
        let bytes = std::mem::replace(&mut row.item.bytes, Vec::new().into());
        ensure(!bytes.is_empty(), || format!("number {seq} emptied twice"))?;
        *self.bytes.of_mut(stream) -= bytes.len() as u64;
        Ok(())
    }

    fn acked(&mut self, stream: Stream, upto: u64) -> Result<(), String> {
        let out = self.restored.out.of_mut(stream);
        let before = std::mem::replace(&mut out.acked, upto);
        ensure(upto > before, || {
            format!("acknowledged {before}, then {upto}")
        })
    }

    /// Drops rows; returns what they held. Of those withdrawn the sender knows.
    fn settle(&mut self, stream: Stream, upto: u64) -> Vec<Item> {
        let outbox = self.outboxes.of_mut(stream);
        let rest = outbox.split_off(&(upto + 1));
        let settled = std::mem::replace(outbox, rest).into_values();
        let items: Vec<_> = settled
            .map(|row| row.item)
            .filter(|item| !item.bytes.is_empty())
            .collect();
        let bytes: usize = items.iter().map(|item| item.bytes.len()).sum();
        *self.bytes.of_mut(stream) -= bytes as u64;
        for item in &items {
            self.unconfirmed.remove(&item.id);
        }
        items
    }
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}
