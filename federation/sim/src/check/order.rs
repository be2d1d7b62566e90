//! What one agent sends another arrives in the order in which it was accepted.
//!
//! Not meant is a message that its link has given up, refused or withdrawn, while a call with it was
//! on its way to the agent, if the machine that made the call is dead: nobody can call it back. It
//! may arrive late, although its sender has heard that it will not. A call of a living machine has no
//! such excuse. Nor is meant a message that its agent once found expired: if the machine dies before
//! that is stored and the next one's clock is behind, the message is offered again and is in time.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::fact::{Fact, number};

#[derive(Debug, Default)]
pub(crate) struct Order {
    /// Which place each message has among all that were accepted.
    places: BTreeMap<u64, usize>,
    /// By sender and recipient: the place that came last, and its message.
    last: BTreeMap<(usize, usize), (usize, u64)>,
    given_up: BTreeSet<u64>,
    too_late: BTreeSet<u64>,
}

impl Check for Order {
    fn name(&self) -> &'static str {
        "order per sender and recipient"
    }

    fn see(&mut self, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Rejected { message } | Fact::Withdrawn { message } => {
                self.given_up.insert(*message);
                Ok(())
            }
            Fact::TooLate { message } => {
                self.too_late.insert(*message);
                Ok(())
            }
            Fact::Committed {
                message,
                is_orphan: true,
                ..
            } if self.given_up.contains(message) => Ok(()),
            Fact::Committed { message, .. } if self.too_late.contains(message) => Ok(()),
            Fact::Accepted { item, .. } => {
                let place = self.places.len();
                self.places.insert(number(&item.id), place);
                Ok(())
            }
            Fact::Committed {
                message, from, to, ..
            } => {
                let place = self.places.get(message).copied().unwrap_or(0);
                match self.last.insert((*from, *to), (place, *message)) {
                    Some((before, last)) if before > place => Err(format!(
                        "agent {to} took message {message} of agent {from} after message {last}"
                    )),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_call_of_a_dead_machine_or_a_clock_set_back_excuses_what_comes_late() {
        let orders = || Order {
            places: (1..10).map(|message| (message, message as usize)).collect(),
            ..Order::default()
        };
        let commit = |message, is_orphan| Fact::Committed {
            message,
            from: 1,
            to: 2,
            is_orphan,
        };
        let mut order = orders();
        order.see(&commit(5, false)).unwrap();
        order.see(&Fact::Withdrawn { message: 3 }).unwrap();
        order.see(&commit(3, true)).unwrap();
        order.see(&commit(6, true)).unwrap();
        order.see(&Fact::Rejected { message: 2 }).unwrap();
        assert!(order.see(&commit(2, false)).is_err());
        let mut order = orders();
        order.see(&commit(5, true)).unwrap();
        assert!(order.see(&commit(4, true)).is_err());
        order.see(&Fact::TooLate { message: 3 }).unwrap();
        order.see(&commit(3, false)).unwrap();
    }
}
