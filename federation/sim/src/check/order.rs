//! What one agent sends another arrives in the order in which it was accepted.
//!
//! Not meant are messages whose link has given them up: refused or withdrawn while a call with them,
//! made by a machine that died, was still on its way to the agent. They arrive, late, although their
//! sender has heard that they will not.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::fact::Fact;

#[derive(Debug, Default)]
pub(crate) struct Order {
    last: BTreeMap<(usize, usize), u64>,
    given_up: BTreeSet<u64>,
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
            Fact::Committed { message, .. } if self.given_up.contains(message) => Ok(()),
            // Messages are numbered as they are sent.
            Fact::Committed { message, from, to } => match self.last.insert((*from, *to), *message)
            {
                Some(last) if last > *message => Err(format!(
                    "agent {to} took message {message} of agent {from} after message {last}"
                )),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_given_up_may_come_late() {
        let mut order = Order::default();
        let commit = |message| Fact::Committed {
            message,
            from: 1,
            to: 2,
        };
        order.see(&commit(5)).unwrap();
        order.see(&Fact::Withdrawn { message: 3 }).unwrap();
        order.see(&commit(3)).unwrap();
        order.see(&commit(6)).unwrap();
        assert!(order.see(&commit(4)).is_err());
    }
}
