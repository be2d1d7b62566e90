//! An agent sees each accepted message once, and no other.

use std::collections::BTreeSet;

use super::Check;
use crate::fact::{Fact, number};

#[derive(Debug, Default)]
pub(crate) struct Once {
    accepted: BTreeSet<u64>,
    committed: BTreeSet<u64>,
}

impl Check for Once {
    fn name(&self) -> &'static str {
        "exactly once"
    }

    fn see(&mut self, fact: &Fact<'_>) -> Result<(), String> {
        if let Fact::Accepted { item, .. } = fact {
            self.accepted.insert(number(&item.id));
        }
        let Fact::Committed { message, to, .. } = fact else {
            return Ok(());
        };
        if !self.accepted.contains(message) {
            return Err(format!(
                "agent {to} holds message {message}, which no link accepted"
            ));
        }
        if !self.committed.insert(*message) {
            return Err(format!("agent {to} took message {message} twice"));
        }
        Ok(())
    }
}
