//! Tasks that are over are forgotten after a while.

use entente_lexicon::Timestamp;

use crate::agent::core::Core;
use crate::agent::tasks::store::StoredTask;
use crate::config::Config;
use crate::error::ApiError;
use crate::internal;

/// Tasks looked at in one go.
const BATCH: u32 = 100;
/// A task that something hangs on is looked at again after this, or after as long as tasks are kept.
const AGAIN_MS: u64 = 24 * 60 * 60 * 1_000;

impl Core {
    /// Forgets some of the tasks that have been over for long enough, and sets the alarm for the next.
    /// Returns whether there may be more now.
    pub(super) fn forget_tasks(&self) -> Result<bool, ApiError> {
        let store = &self.tasks.store;
        if store.first_over()?.is_none() {
            return Ok(false);
        }
        let kept = Config::from_env(&self.env)?.task_retention_ms;
        let now = internal::now();
        let over = store.over(Timestamp(now.0.saturating_sub(kept)), BATCH)?;
        for stored in &over {
            store.transaction(|| self.forget_or_keep(stored, (now, kept)))?;
        }
        if let Some(first) = store.first_over()? {
            self.wake_in(first.after(kept).since(internal::now()));
        }
        Ok(u32::try_from(over.len()).is_ok_and(|count| count == BATCH))
    }

    fn forget_or_keep(
        &self,
        stored: &StoredTask,
        (now, kept): (Timestamp, u64),
    ) -> Result<(), ApiError> {
        let store = &self.tasks.store;
        let ties = store.ties(stored.n)?;
        let over = stored
            .task
            .may_be_forgotten(stored.changed_at, (now, kept), ties);
        if !over {
            let again = now.after(AGAIN_MS.min(kept));
            return Ok(store.keep_longer(stored.n, Timestamp(again.0.saturating_sub(kept)))?);
        }
        self.a2a_forget(stored.n)?;
        Ok(store.forget(stored.n)?)
    }
}
