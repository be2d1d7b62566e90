//! What a program does about a task: it says how it stands, answers a question, or cancels.

use std::rc::Rc;

use entente_lexicon::MessageId;
use entente_lexicon::api::tasks::{TaskStep, TaskView};
use entente_tasks::{Act, Task, Tick, descendants};
use serde_json::{Value, json};

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::tasks::record::{self, Key, MESSAGE, RESPONSE};
use crate::agent::tasks::store::StoredTask;
use crate::agent::tasks::{RETRY_MS, refused};
use crate::error::ApiError;
use crate::internal;

/// Words on one task at most.
pub(super) const MAX_WORDS: u32 = 1_000;

impl Core {
    /// The worker's program says how a task stands.
    pub(super) async fn respond(
        self: &Rc<Self>,
        id: &str,
        step: TaskStep,
    ) -> Result<TaskView, ApiError> {
        let me = self.identity()?;
        let key = record::key(step.idempotency_key.as_deref(), id, &step.fields)?;
        if let Some(known) = self.done_before(key.as_ref())? {
            return self.task_view(&me, &known);
        }
        let stored = self.known_task(id)?;
        let filled = json!({ "request": stored.id.to_string() });
        let record = record::step(step, RESPONSE, filled, internal::now())?;
        let response = record::response(&record)?;
        let act = Act::Say(response.status);
        // Before anything is shared for it.
        may(&stored.task, act)?;
        self.pass_on(&me, &stored, &response.artifacts).await?;
        self.act(&me, stored.n, act, &record, key.as_ref())
    }

    /// The requester's program answers the worker's question.
    pub(super) fn answer(self: &Rc<Self>, id: &str, step: TaskStep) -> Result<TaskView, ApiError> {
        let filled = json!({ "replyTo": id });
        self.plain_step(id, step, (MESSAGE, filled), Act::Input)
    }

    /// The requester's program wants a task no more.
    pub(super) fn cancel_task(
        self: &Rc<Self>,
        id: &str,
        step: TaskStep,
    ) -> Result<TaskView, ApiError> {
        let filled = json!({ "request": id, "status": "canceled" });
        self.plain_step(id, step, (RESPONSE, filled), Act::Cancel)
    }

    fn plain_step(
        self: &Rc<Self>,
        id: &str,
        step: TaskStep,
        (kind, filled): (&str, Value),
        act: Act,
    ) -> Result<TaskView, ApiError> {
        let me = self.identity()?;
        let about = format!("{id}/{act:?}");
        let key = record::key(step.idempotency_key.as_deref(), &about, &step.fields)?;
        if let Some(known) = self.done_before(key.as_ref())? {
            return self.task_view(&me, &known);
        }
        let stored = self.known_task(id)?;
        let record = record::step(step, kind, filled, internal::now())?;
        self.act(&me, stored.n, act, &record, key.as_ref())
    }

    /// Commits an act and what has to be told of it, then answers how the task stands.
    fn act(
        self: &Rc<Self>,
        me: &Me,
        n: u64,
        act: Act,
        record: &Value,
        key: Option<&Key>,
    ) -> Result<TaskView, ApiError> {
        // What has to be told is told by a later life if this one ends now.
        self.wake_in(RETRY_MS);
        // The clock is heard first, and that stays whatever becomes of the act.
        self.tick_task(me, n)?;
        let now = internal::now();
        let changed = self.tasks.store.transaction(|| {
            // While something was shared, the same may have been asked for again.
            if self.done_before(key)?.is_some() {
                return Ok(None);
            }
            let mut stored = self.task_row(n)?;
            if self.tasks.store.count_words(n)? >= MAX_WORDS && act != Act::Cancel {
                return Err(ApiError::new(
                    409,
                    "TASK_TOO_LONG",
                    "Over 1,000 things were said about this task: end it and ask for a new one.",
                ));
            }
            let before = stored.task.state();
            let Some(word) = stored.task.act(act).map_err(refused)? else {
                return Ok(None);
            };
            self.say(me, &stored, &word, record, (now, key))?;
            let canceled = act == Act::Cancel;
            self.keep_task(me, &mut stored, (before, now), canceled)?;
            Ok(Some(stored))
        })?;
        if let Some(stored) = changed
            && matches!(act, Act::Say(_))
        {
            self.report_task(me, &stored, now);
        }
        self.tend_tasks();
        self.task_view(me, &self.task_row(n)?)
    }

    /// Does what the clock asks of a task.
    pub(super) fn tick_task(&self, me: &Me, n: u64) -> Result<(), ApiError> {
        let now = internal::now();
        let ended = self.tasks.store.transaction(|| {
            let Some(mut stored) = self.tasks.store.by_row(n)? else {
                return Ok(None);
            };
            let ticked = self.tick_stored(me, &mut stored)?;
            Ok::<_, ApiError>(ticked.then_some(stored))
        })?;
        if let Some(stored) = ended {
            self.report_task(me, &stored, now);
        }
        Ok(())
    }

    /// As [`Core::tick_task`], in the caller's transaction. Returns whether anything changed.
    pub(super) fn tick_stored(&self, me: &Me, stored: &mut StoredTask) -> Result<bool, ApiError> {
        let now = internal::now();
        let before = stored.task.state();
        match stored.task.tick(now) {
            Tick::Nothing => return Ok(false),
            Tick::Expired(None) => {}
            Tick::Expired(Some(word)) | Tick::Retry(word) => {
                self.say_own(me, stored, &word, now)?;
            }
        }
        self.keep_task(me, stored, (before, now), false)?;
        Ok(true)
    }

    /// Writes down how a task stands; what is open below one that ends, or is being canceled, is
    /// canceled. Part of the caller's transaction.
    pub(super) fn keep_task(
        &self,
        me: &Me,
        stored: &mut StoredTask,
        (before, now): (
            entente_lexicon::records::comms::TaskState,
            entente_lexicon::Timestamp,
        ),
        canceled: bool,
    ) -> Result<(), ApiError> {
        stored.updated_at = now;
        let state = stored.task.state();
        if state != before {
            stored.changed_at = now;
        }
        self.tasks.store.keep(stored)?;
        if state != before {
            self.push_task(me, stored)?;
        }
        self.tasks.a2a.watch.changed(stored.n);
        if !canceled && (!state.is_final() || state == before) {
            return Ok(());
        }
        let below = descendants(&stored.n, |n| self.tasks.store.open_children(*n))?;
        for n in below {
            let mut child = self.task_row(n)?;
            if let Ok(Some(word)) = child.task.act(Act::Cancel) {
                child.updated_at = now;
                self.say_own(me, &child, &word, now)?;
                self.tasks.store.keep(&child)?;
            }
        }
        Ok(())
    }

    /// Finds a task by the id that a route names.
    pub(super) fn known_task(&self, id: &str) -> Result<StoredTask, ApiError> {
        let found = MessageId::parse(id).ok();
        let found = found.map(|id| self.tasks.store.by_id(&id)).transpose()?;
        found.flatten().ok_or_else(unknown_task)
    }

    pub(super) fn task_row(&self, n: u64) -> Result<StoredTask, ApiError> {
        self.tasks.store.by_row(n)?.ok_or_else(unknown_task)
    }
}

/// Refuses early what would be refused in the end.
fn may(task: &Task, act: Act) -> Result<(), ApiError> {
    let mut tried = task.clone();
    let _: Tick = tried.tick(internal::now());
    tried.act(act).map(drop).map_err(refused)
}

pub(super) fn unknown_task() -> ApiError {
    ApiError::not_found(
        "UNKNOWN_TASK",
        "This agent has no task of that id: GET /agents/:name/tasks lists them.",
    )
}
