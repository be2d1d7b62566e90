//! What is to be done without being asked: deadlines, further attempts, words that wait to be told.

use std::rc::Rc;

use entente_tasks::Role;
use wasm_bindgen_futures::spawn_local;
use worker::console_error;

use crate::agent::core::Core;
use crate::agent::tasks::RETRY_MS;
use crate::agent::tasks::store::StoredWord;
use crate::error::ApiError;
use crate::internal;

/// Tasks looked after in one go.
const BATCH: u32 = 100;

impl Core {
    /// Looks after tasks, beside other work. Called by the alarm, and when something changed.
    pub(in crate::agent) fn tend_tasks(self: &Rc<Self>) {
        self.start_courier();
        self.tasks.again.set(true);
        if self.tasks.tending.replace(true) {
            return;
        }
        let core = Rc::clone(self);
        spawn_local(async move {
            while core.tasks.again.replace(false) {
                if let Err(error) = core.tend_tasks_once().await {
                    console_error!("tasks wait to be looked after: {error}");
                    core.wake_in(RETRY_MS);
                }
            }
            core.tasks.tending.set(false);
        });
    }

    /// Takes up what an earlier life of the object left, once in each.
    pub(in crate::agent) fn wake_tasks(self: &Rc<Self>) {
        if !self.tasks.woken.replace(true) {
            self.tend_tasks();
        }
    }

    async fn tend_tasks_once(self: &Rc<Self>) -> Result<(), ApiError> {
        if !self.tasks.is_used()? {
            return Ok(());
        }
        self.tasks.prepare()?;
        let me = self.identity()?;
        for stored in self.tasks.heard.take() {
            self.report_task(&me, &stored, stored.updated_at);
        }
        for (word, code) in self.tasks.store.settle()? {
            self.not_delivered(&word, &code)?;
        }
        loop {
            let due = self.tasks.store.due(internal::now(), BATCH)?;
            if due.is_empty() {
                break;
            }
            for n in due {
                self.tick_task(&me, n)?;
            }
        }
        self.tend_calls();
        if self.tell_all(&me).await? {
            self.wake_in(RETRY_MS);
        }
        if self.forget_tasks()? {
            self.tasks.again.set(true);
        }
        self.tasks_due()
    }

    /// Sets the alarm for what is due next.
    pub(super) fn tasks_due(&self) -> Result<(), ApiError> {
        if let Some(due) = self.tasks.store.next_due()? {
            self.wake_in(due.since(internal::now()));
        }
        Ok(())
    }

    /// Mail could not deliver a word, and says why.
    pub(super) fn not_delivered(&self, word: &StoredWord, code: &str) -> Result<(), ApiError> {
        let me = self.identity()?;
        let now = internal::now();
        let ended = self.tasks.store.transaction(|| {
            self.tasks.store.untellable(word.n, code)?;
            let Some(mut stored) = self.tasks.store.by_row(word.task)? else {
                return Ok(None);
            };
            let before = stored.task.state();
            if stored.task.role() == Role::Worker || !stored.task.undelivered(word.word) {
                return Ok(None);
            }
            self.keep_task(&me, &mut stored, (before, now), false)?;
            Ok::<_, ApiError>(Some(stored))
        })?;
        if let Some(stored) = ended {
            self.report_task(&me, &stored, now);
        }
        Ok(())
    }
}
