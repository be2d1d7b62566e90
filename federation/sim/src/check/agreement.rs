//! What a link has in memory and what its driver has stored are the same queue.

use super::Check;
use crate::fact::Fact;

#[derive(Debug, Default)]
pub(crate) struct Agreement;

impl Check for Agreement {
    fn name(&self) -> &'static str {
        "memory agrees with the store"
    }

    fn see(&mut self, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::Rested(rest) | Fact::Left(rest) if rest.queued != rest.rows => Err(format!(
                "end {} counts {:?} not acknowledged and stores {:?}",
                rest.end, rest.queued, rest.rows
            )),
            _ => Ok(()),
        }
    }
}
