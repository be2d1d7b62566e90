//! Records that a task or a handoff names: whether they may be passed on, and passing them on.

use std::rc::Rc;

use entente_lexicon::{Did, RecordPath};
use entente_trust::memory::Level;

use crate::agent::core::Core;
use crate::agent::memory::id_of;
use crate::error::ApiError;

/// What a name of a record stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::agent) enum Named {
    /// A record of this agent's, as it was named.
    Own(Level),
    /// One that has changed since.
    Changed,
    /// None of this agent's.
    Unknown,
}

impl Core {
    /// Finds a record of this agent's memory by its path and the CID it is said to have.
    pub(in crate::agent) fn named_record(
        &self,
        path: &RecordPath,
        cid: &str,
    ) -> Result<Named, ApiError> {
        self.memory.prepare()?;
        Ok(match self.memory.store.record(path)? {
            Some(record) if record.cid.to_string() == cid => Named::Own(record.level),
            Some(_) => Named::Changed,
            None => Named::Unknown,
        })
    }

    /// Shares a record with an agent, unless it has it.
    pub(in crate::agent) async fn share_named(
        self: &Rc<Self>,
        path: &RecordPath,
        with: &Did,
        address: &str,
    ) -> Result<(), ApiError> {
        let shares = self.memory.store.shares(path)?;
        if shares.iter().any(|share| share.recipient == *with) {
            return Ok(());
        }
        self.share_record(&id_of(path), address).await.map(drop)
    }
}
