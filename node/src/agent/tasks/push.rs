//! Tells webhooks how tasks stand.

use entente_lexicon::api::webhooks::{HookEvent, Include};
use serde_json::json;

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::tasks::store::StoredTask;
use crate::agent::webhooks::Happened;
use crate::error::ApiError;

impl Core {
    /// Writes down that webhooks are to be told of a task. Part of the caller's transaction.
    pub(super) fn push_task(&self, me: &Me, stored: &StoredTask) -> Result<(), ApiError> {
        let id = stored.id.to_string();
        let happened = Happened {
            event: HookEvent::Task,
            subject: &id,
            at: stored.updated_at,
        };
        self.push_event(&happened, |include| match include {
            Include::Reference => Ok(json!({
                "id": id,
                "role": stored.task.role().as_str(),
                "peer": self.peer_name(stored)?,
                "state": stored.task.state(),
            })),
            Include::Content => {
                let mut view = self.task_view(me, stored)?;
                view.history = None;
                Ok(serde_json::to_value(view)?)
            }
        })
    }
}
