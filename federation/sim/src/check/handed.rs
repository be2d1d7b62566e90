//! A link hands each message on once in a life, and never one that its store says is settled.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::fact::{Fact, number};

#[derive(Debug, Default)]
pub(crate) struct Handed {
    /// By end: its life, and what it handed on in it: epoch, place, message.
    lives: BTreeMap<usize, (u64, BTreeSet<(u64, u64, u64)>)>,
}

impl Check for Handed {
    fn name(&self) -> &'static str {
        "handed on once"
    }

    fn see(&mut self, fact: &Fact<'_>) -> Result<(), String> {
        let Fact::Handed {
            end,
            life,
            place,
            settled,
            item,
            ..
        } = fact
        else {
            return Ok(());
        };
        let message = number(&item.id);
        if place.0 == settled.0 && place.1 <= settled.1 {
            return Err(format!(
                "end {end} handed on message {message} at {place:?}, settled up to {settled:?}"
            ));
        }
        let known = self.lives.entry(*end).or_default();
        if known.0 != *life {
            *known = (*life, BTreeSet::new());
        }
        if known.1.insert((place.0, place.1, message)) {
            Ok(())
        } else {
            Err(format!(
                "end {end} handed on message {message} at {place:?} twice in life {life}"
            ))
        }
    }
}
