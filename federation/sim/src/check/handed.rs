//! A link hands each message on once in a life, and never one that its store says is settled.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::fact::{Fact, number};

/// What an end handed on in one life: epoch, place and message of each.
#[derive(Debug, Default)]
struct Life {
    number: u64,
    handed: BTreeSet<(u64, u64, u64)>,
}

#[derive(Debug, Default)]
pub(crate) struct Handed {
    /// By end.
    lives: BTreeMap<usize, Life>,
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
        if known.number != *life {
            *known = Life {
                number: *life,
                ..Life::default()
            };
        }
        if known.handed.insert((place.0, place.1, message)) {
            Ok(())
        } else {
            Err(format!(
                "end {end} handed on message {message} at {place:?} twice in life {life}"
            ))
        }
    }
}
