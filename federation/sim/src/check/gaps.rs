//! Events come once and in order, and what is missing among them is said out loud.

use std::collections::{BTreeMap, BTreeSet};

use entente_federation::{Change, Stream};

use super::Check;
use crate::fact::{Fact, number};

#[derive(Debug, Default)]
pub(crate) struct Gaps {
    /// By sending end: each event it took, by number.
    sent: BTreeMap<usize, BTreeMap<u64, u64>>,
    /// By sending end: what its policy withdrew.
    emptied: BTreeMap<usize, BTreeSet<u64>>,
    /// By receiving end: the numbers that arrived, that gaps named, and that its policy kept out.
    arrived: BTreeMap<usize, BTreeSet<u64>>,
    missed: BTreeMap<usize, BTreeSet<u64>>,
    withheld: BTreeMap<usize, BTreeSet<u64>>,
    cursors: BTreeMap<usize, u64>,
    once: BTreeSet<(usize, u64)>,
}

impl Check for Gaps {
    fn name(&self) -> &'static str {
        "no event is missing in silence"
    }

    fn see(&mut self, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Offered {
                end,
                stream: Stream::Evt,
                item,
            } => {
                let sent = self.sent.entry(*end).or_default();
                let next = sent.last_key_value().map_or(1, |(seq, _)| seq + 1);
                sent.insert(next, number(&item.id));
            }
            Fact::Stored {
                end,
                change,
                filters,
            } => return self.stored(*end, change, *filters),
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), String> {
        for (end, sent) in &self.sent {
            let to = end ^ 1;
            let known = |sets: &BTreeMap<usize, BTreeSet<u64>>, end: usize, seq: &u64| {
                sets.get(&end).is_some_and(|set| set.contains(seq))
            };
            let silent = sent.iter().find(|(seq, _)| {
                !known(&self.arrived, to, seq)
                    && !known(&self.missed, to, seq)
                    && !known(&self.withheld, to, seq)
                    && !known(&self.emptied, *end, seq)
            });
            if let Some((seq, event)) = silent {
                return Err(format!(
                    "event {event}, number {seq} of end {end}, is missing in silence"
                ));
            }
        }
        Ok(())
    }
}

impl Gaps {
    fn stored(&mut self, end: usize, change: &Change, filters: bool) -> Result<(), String> {
        match change {
            Change::Received {
                stream: Stream::Evt,
                seq,
                item,
                ..
            } => {
                let event = number(&item.id);
                let sent = self.sent.get(&(end ^ 1)).and_then(|sent| sent.get(seq));
                if sent != Some(&event) || !self.once.insert((end, event)) {
                    return Err(format!("end {end} got event {event} as number {seq}"));
                }
                if *seq <= self.cursors.get(&end).copied().unwrap_or(0) {
                    return Err(format!("end {end} got event {event} late"));
                }
                self.arrived.entry(end).or_default().insert(*seq);
            }
            Change::Gap {
                stream: Stream::Evt,
                from,
                upto,
            } => self.missed.entry(end).or_default().extend(*from..=*upto),
            Change::Emptied {
                stream: Stream::Evt,
                seq,
            } => {
                self.emptied.entry(end).or_default().insert(*seq);
            }
            Change::Cursor {
                stream: Stream::Evt,
                seq,
                ..
            } => {
                let before = self.cursors.insert(end, *seq).unwrap_or(0);
                if filters {
                    self.withheld
                        .entry(end)
                        .or_default()
                        .extend(before + 1..=*seq);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
