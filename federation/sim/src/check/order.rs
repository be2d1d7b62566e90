//! What one agent sends another arrives in the order in which it was accepted.

use std::collections::BTreeMap;

use super::Check;
use crate::fact::Fact;

#[derive(Debug, Default)]
pub(crate) struct Order {
    last: BTreeMap<(usize, usize), u64>,
}

impl Check for Order {
    fn name(&self) -> &'static str {
        "order per sender and recipient"
    }

    fn see(&mut self, fact: &Fact<'_>) -> Result<(), String> {
        // Messages are numbered as they are sent.
        if let Fact::Committed { message, from, to } = fact
            && let Some(last) = self.last.insert((*from, *to), *message)
            && last > *message
        {
            return Err(format!(
                "agent {to} took message {message} of agent {from} after message {last}"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_after_a_later_one_of_its_pair_is_an_error() {
        let mut order = Order::default();
        let commit = |message, from| Fact::Committed {
            message,
            from,
            to: 2,
        };
        order.see(&commit(5, 1)).unwrap();
        order.see(&commit(4, 3)).unwrap();
        order.see(&commit(6, 1)).unwrap();
        assert!(order.see(&commit(4, 1)).is_err());
    }
}
