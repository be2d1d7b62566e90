//! A link with work always has a next attempt due, and after healing none has work left.

use entente_federation::Streams;
use entente_lexicon::TrustLevel;

use super::Check;
use crate::fact::Fact;

#[derive(Debug, Default)]
pub(crate) struct Convergence;

impl Check for Convergence {
    fn name(&self) -> &'static str {
        "convergence"
    }

    fn see(&mut self, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            // Under private nothing may be tried.
            Fact::Rested(rest)
                if rest.level != TrustLevel::Private
                    && rest.queued != Streams::default()
                    && !rest.has_alarm =>
            {
                Err(format!(
                    "end {} has {:?} waiting and no timer",
                    rest.end, rest.queued
                ))
            }
            Fact::Left(rest) if rest.rows != Streams::default() => Err(format!(
                "end {} still has {:?} after healing",
                rest.end, rest.rows
            )),
            _ => Ok(()),
        }
    }
}
