//! Each control record that a link took reaches its peer's store once, in order.

use std::collections::{BTreeMap, BTreeSet};

use entente_federation::{Change, Stream};

use super::Check;
use crate::fact::{Fact, number};

#[derive(Debug, Default)]
pub(crate) struct Controls {
    open: BTreeSet<u64>,
    /// What may be lost: the policy of one side changed while it was under way.
    excused: BTreeSet<u64>,
    last: BTreeMap<usize, u64>,
    /// What each end has not seen settled, by number.
    by_seq: BTreeMap<(usize, u64), u64>,
    next_seq: BTreeMap<usize, u64>,
}

impl Check for Controls {
    fn name(&self) -> &'static str {
        "control records arrive once"
    }

    fn see(&mut self, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Offered {
                end,
                stream: Stream::Ctl,
                item,
            } => {
                let next = self.next_seq.entry(*end).or_insert(1);
                self.by_seq.insert((*end, *next), number(&item.id));
                *next += 1;
                self.open.insert(number(&item.id));
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
        match self.open.difference(&self.excused).next() {
            Some(record) => Err(format!("record {record} never arrived")),
            None => Ok(()),
        }
    }
}

impl Controls {
    fn stored(&mut self, end: usize, change: &Change, filters: bool) -> Result<(), String> {
        match change {
            Change::Received {
                stream: Stream::Ctl,
                item,
                ..
            } => {
                let record = number(&item.id);
                if !self.open.remove(&record) {
                    return Err(format!(
                        "end {end} got record {record} twice, or from nowhere"
                    ));
                }
                match self.last.insert(end, record) {
                    Some(last) if last > record => {
                        Err(format!("end {end} got record {record} after {last}"))
                    }
                    _ => Ok(()),
                }
            }
            Change::Emptied {
                stream: Stream::Ctl,
                seq,
            } => {
                self.excused.extend(self.by_seq.get(&(end, *seq)));
                Ok(())
            }
            // What its policy keeps out leaves no trace at the receiver.
            Change::Cursor {
                stream: Stream::Ctl,
                seq,
                ..
            } if filters => {
                let upto = self.by_seq.range((end ^ 1, 0)..=(end ^ 1, *seq));
                self.excused.extend(upto.map(|(_, record)| *record));
                Ok(())
            }
            Change::Gap {
                stream: Stream::Ctl,
                ..
            } => Err(format!("end {end} misses control records: {change:?}")),
            _ => Ok(()),
        }
    }
}
