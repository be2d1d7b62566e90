//! What a link's driver keeps on disk. It outlives every crash.

use std::collections::BTreeMap;

use entente_federation::{Change, Code, Item, Restored, RestoredIn, RestoredOut};

/// What became of messages by storing one change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The message at this place in the input has a row.
    Accepted(usize),
    /// The message at this place in the input was refused.
    Refused(usize),
    /// The stored message was withdrawn.
    Withdrawn([u8; 16]),
    /// The stored message was settled by the peer.
    Settled([u8; 16], Option<Code>),
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    outbox: BTreeMap<u64, Item>,
    bytes: u64,
    restored: Restored,
}

impl Store {
    /// What a link starts from.
    pub(crate) fn restored(&self) -> Restored {
        let mut restored = self.restored.clone();
        restored.out.queued_bytes = self.bytes;
        restored
    }

    pub(crate) fn rows(&self) -> u64 {
        self.outbox.len() as u64
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn rejects(&self) -> usize {
        self.restored.rejects.len()
    }

    pub(crate) fn load(&self, from: u64, max_items: usize, max_bytes: usize) -> Vec<(u64, Item)> {
        let mut bytes = 0;
        let mut items = Vec::new();
        for (seq, item) in self.outbox.range(from..).take(max_items) {
            bytes += item.bytes.len();
            if bytes > max_bytes && !items.is_empty() {
                break;
            }
            items.push((*seq, item.clone()));
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
        change: Change,
        input: &[Item],
        fates: &mut Vec<Fate>,
    ) -> Result<(), String> {
        let restored = &mut self.restored;
        match change {
            Change::Append {
                index_in_input,
                seq,
            } => {
                let next = restored.out.next_seq.max(1);
                ensure(seq == next, || format!("number {seq} given, {next} due"))?;
                restored.out.next_seq = seq + 1;
                let item = input.get(index_in_input).cloned();
                let item = item.ok_or("an item that was not in the input")?;
                self.bytes += item.bytes.len() as u64;
                self.outbox.insert(seq, item);
                fates.push(Fate::Accepted(index_in_input));
            }
            Change::Refuse { index_in_input, .. } => fates.push(Fate::Refused(index_in_input)),
            Change::Withdrawn { seq, id, .. } => {
                self.withdraw(seq, id)?;
                fates.push(Fate::Withdrawn(id));
            }
            Change::Acked { upto, rejects, .. } => {
                let before = std::mem::replace(&mut restored.out.acked, upto);
                ensure(upto > before, || {
                    format!("acknowledged {before}, then {upto}")
                })?;
                self.settle(upto, &rejects, fates);
            }
            Change::Cursor { epoch, seq } => {
                let before = (restored.inn.epoch, restored.inn.seq);
                restored.inn = RestoredIn { epoch, seq };
                ensure((epoch, seq) > before, || {
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
            Change::OutEpoch { epoch } => {
                let before = restored.out.epoch;
                restored.out = RestoredOut {
                    epoch,
                    ..restored.out
                };
                ensure(epoch > before, || format!("epoch {before}, then {epoch}"))?;
            }
        }
        Ok(())
    }

    fn withdraw(&mut self, seq: u64, id: [u8; 16]) -> Result<(), String> {
        let row = self.outbox.get_mut(&seq).filter(|row| row.id == id);
        let row = row.ok_or_else(|| format!("number {seq} withdrawn, but not stored"))?;
        let bytes = std::mem::replace(&mut row.bytes, Vec::new().into());
        ensure(!bytes.is_empty(), || {
            format!("number {seq} withdrawn twice")
        })?;
        self.bytes -= bytes.len() as u64;
        Ok(())
    }

    fn settle(&mut self, upto: u64, rejects: &[entente_federation::Reject], fates: &mut Vec<Fate>) {
        let rest = self.outbox.split_off(&(upto + 1));
        for (seq, item) in std::mem::replace(&mut self.outbox, rest) {
            // Withdrawn: its sender knows.
            if item.bytes.is_empty() {
                continue;
            }
            self.bytes -= item.bytes.len() as u64;
            let reject = rejects.iter().find(|r| r.seq == seq && r.id == item.id);
            fates.push(Fate::Settled(item.id, reject.map(|r| r.code.clone())));
        }
    }
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}
