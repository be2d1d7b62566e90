//! What a caller says: heard by the worker's state machine, committed, then answered.

use std::rc::Rc;

use entente_a2a::message;
use entente_a2a::params::{Message, PushConfig};
use entente_a2a::rpc::{Reason, RpcError};
use entente_lexicon::MessageId;
use entente_lexicon::api::AgentNotice;
use entente_lexicon::records::comms::TaskState;
use entente_tasks::{Heard, Role, Says, Task, Terms, Word};
use serde_json::{Value, json};
use worker::console_error;

use crate::agent::core::{Core, address};
use crate::agent::identity::Me;
use crate::agent::socket;
use crate::agent::tasks::RETRY_MS;
use crate::agent::tasks::a2a::ANYONE;
use crate::agent::tasks::ask::blind;
use crate::agent::tasks::record::{self, Key, MESSAGE, REQUEST};
use crate::agent::tasks::step::MAX_WORDS;
use crate::agent::tasks::store::{NewWord, StoredTask};
use crate::error::ApiError;
use crate::internal;
use crate::store::sqlite::StoreError;

/// Open tasks of one caller at most, and of all callers without a key together.
const MAX_OPEN_OF_CALLER: u32 = 1_000;
const MAX_OPEN_OF_ANYONE: u32 = 100;

impl Core {
    /// Takes a message: a new task, or the answer to a question about one.
    pub(super) fn a2a_hear(
        self: &Rc<Self>,
        me: &Me,
        caller: u64,
        said: &Message,
        place: Option<PushConfig>,
    ) -> Result<StoredTask, RpcError> {
        let content = message::content(said)?;
        let key = once(caller, said)?;
        if let Some(known) = self.done_before(key.as_ref())? {
            return Ok(known);
        }
        // What has to be told is told by a later life if this one ends now.
        self.wake_in(RETRY_MS);
        let stored = if said.task_id.is_empty() {
            self.a2a_begin(me, caller, (said, content, place), key.as_ref())?
        } else {
            let stored = self.a2a_answer_question(me, caller, (said, content), key.as_ref())?;
            if let Some(place) = place {
                let add = || self.a2a_add_push(&stored, place);
                self.tasks.store.transaction(add)?;
            }
            stored
        };
        self.a2a_settled(me, &stored);
        Ok(stored)
    }

    fn a2a_begin(
        &self,
        me: &Me,
        caller: u64,
        (said, content, place): (&Message, Value, Option<PushConfig>),
        key: Option<&Key>,
    ) -> Result<StoredTask, RpcError> {
        let now = internal::now();
        let id = MessageId::from_parts(now.0, internal::random());
        let thread = match said.context_id.as_str() {
            "" => id.to_string(),
            named => named.to_owned(),
        };
        let record = json!({
            "to": address(&me.did, &me.host),
            "content": content,
            "thread": thread,
            message::NOTES: message::notes(said),
        });
        let record = checked(record, REQUEST)?;
        let word = Word {
            attempt: 1,
            n: 1,
            says: Says::Request,
        };
        let (task, _reply) = Task::asked(Terms::default().bounded(now), word)
            .map_err(|refusal| RpcError::unsupported(refusal.to_string()))?;
        let mut stored = StoredTask {
            n: 0,
            id,
            peer: me.did.clone(),
            host: me.host.to_string(),
            task,
            parent: None,
            depth: 1,
            remote: false,
            via: Some(caller),
            created_at: now,
            changed_at: now,
            updated_at: now,
        };
        let most = if caller == ANYONE {
            MAX_OPEN_OF_ANYONE
        } else {
            MAX_OPEN_OF_CALLER
        };
        self.tasks.store.transaction(|| {
            if self.tasks.store.count_open_via(caller)? >= most {
                return Err(RpcError::unsupported(
                    "Too many of your tasks with this agent are open: wait for some to end, or cancel them.",
                )
                .with_code("TASKS_FULL"));
            }
            let context = blind(me, &thread);
            stored.n = self.tasks.store.insert(&stored, Some(&context))?;
            self.a2a_note(me, &stored, (&record, word), key)?;
            self.push_task(me, &stored)?;
            if let Some(place) = place {
                self.a2a_add_push(&stored, place)?;
            }
            Ok(stored.clone())
        })
    }

    fn a2a_answer_question(
        &self,
        me: &Me,
        caller: u64,
        (said, content): (&Message, Value),
        key: Option<&Key>,
    ) -> Result<StoredTask, RpcError> {
        let known = self.a2a_task(me, caller, &said.task_id)?;
        let record = json!({
            "content": content,
            "replyTo": known.id.to_string(),
            message::NOTES: message::notes(said),
        });
        let record = checked(record, MESSAGE)?;
        let says = Says::Input {
            answers: known.task.question(),
        };
        self.a2a_say(me, &known, (&record, says), key, |state| {
            if state.is_final() {
                RpcError::unsupported(format!(
                    "The task is {} already: send a message without taskId for a new one.",
                    state.as_str()
                ))
                .with_code("TASK_OVER")
            } else {
                RpcError::unsupported(
                    "The agent has not asked anything that is not answered yet: wait until the task is TASK_STATE_INPUT_REQUIRED.",
                )
                .with_code("TASK_NO_QUESTION")
            }
        })
    }

    /// Cancels a task at once: nobody else has to be asked.
    pub(super) fn a2a_cancel(
        self: &Rc<Self>,
        me: &Me,
        caller: u64,
        id: &str,
    ) -> Result<StoredTask, RpcError> {
        let known = self.a2a_task(me, caller, id)?;
        self.wake_in(RETRY_MS);
        let record = record::own_response(&known.id, TaskState::Canceled, internal::now());
        let over = |state: TaskState| {
            RpcError::new(
                Reason::TaskNotCancelable,
                format!("The task is {} already.", state.as_str()),
            )
        };
        let stored = self.a2a_say(me, &known, (&record, Says::Cancel), None, over)?;
        self.a2a_settled(me, &stored);
        Ok(stored)
    }

    /// Has the worker's side hear a word of the caller's. `too_late` says why it is not taken as the task
    /// stands.
    fn a2a_say(
        &self,
        me: &Me,
        known: &StoredTask,
        (record, says): (&Value, Says),
        key: Option<&Key>,
        too_late: impl Fn(TaskState) -> RpcError,
    ) -> Result<StoredTask, RpcError> {
        self.tick_task(me, known.n)?;
        let now = internal::now();
        self.tasks.store.transaction(|| {
            let mut stored = self.task_row(known.n)?;
            let before = stored.task.state();
            if before.is_final() {
                return Err(too_late(before));
            }
            let said = self.tasks.store.count_words(stored.n)?;
            if said >= MAX_WORDS && says != Says::Cancel {
                return Err(RpcError::unsupported(
                    "Over 1,000 things were said about this task: cancel it and ask for a new one.",
                )
                .with_code("TASK_TOO_LONG"));
            }
            let word = Word {
                attempt: stored.task.attempt(),
                n: self.tasks.store.count_incoming(stored.n)?.saturating_add(1),
                says,
            };
            let heard = stored.task.hear(word, now);
            let heard = heard.map_err(|refusal| {
                RpcError::unsupported(refusal.to_string()).with_code(refusal.code())
            })?;
            let Heard::Taken(reply) = heard else {
                return Err(too_late(before));
            };
            self.a2a_note(me, &stored, (record, word), key)?;
            if let Some(reply) = &reply {
                self.say_own(me, &stored, reply, now)?;
            }
            self.keep_task(me, &mut stored, (before, now), false)?;
            Ok(stored)
        })
    }

    fn a2a_note(
        &self,
        me: &Me,
        stored: &StoredTask,
        (record, word): (&Value, Word),
        key: Option<&Key>,
    ) -> Result<(), RpcError> {
        let body = record::seal(me, &stored.id, false, &word, record)?;
        self.tasks.store.insert_word(&NewWord {
            task: stored.n,
            outgoing: false,
            untold: false,
            at: internal::now(),
            word: &word,
            late: false,
            body,
            request: key,
        })?;
        Ok(())
    }

    /// A caller's word is committed: the agent's programs and the relay hear of it.
    fn a2a_settled(self: &Rc<Self>, me: &Me, stored: &StoredTask) {
        let notice = AgentNotice::Task {
            id: stored.id.to_string(),
            state: stored.task.state(),
        };
        socket::push(&self.sockets(), &notice);
        self.report_task(me, stored, stored.updated_at);
        self.tend_tasks();
    }

    /// Finds a task of a caller's. Whoever has no key is known by the task's id alone, which nobody
    /// guesses.
    pub(super) fn a2a_task(&self, me: &Me, caller: u64, id: &str) -> Result<StoredTask, RpcError> {
        let id = MessageId::parse(id).map_err(|_error| RpcError::task_not_found())?;
        let known = self.tasks.store.by_id(&id)?;
        let own =
            known.filter(|known| known.via == Some(caller) && known.task.role() == Role::Worker);
        let own = own.ok_or_else(RpcError::task_not_found)?;
        // The clock is heard first.
        self.tick_task(me, own.n)?;
        Ok(self.task_row(own.n)?)
    }
}

/// What a message is known by when it is sent again. Those of callers without a key are not: each of
/// them is somebody else.
fn once(caller: u64, said: &Message) -> Result<Option<Key>, RpcError> {
    if caller == ANYONE {
        return Ok(None);
    }
    let name = format!("a2a/{caller}/{}", said.message_id);
    Ok(record::key(Some(&name), "a2a", said)?)
}

fn checked(record: Value, kind: &str) -> Result<Value, RpcError> {
    let mut record = record;
    if let Value::Object(fields) = &mut record {
        fields.insert("$type".to_owned(), Value::String(kind.to_owned()));
    }
    Ok(record::complete(record, kind, internal::now())?)
}

/// Says in A2A's words why something was refused.
impl From<ApiError> for RpcError {
    fn from(error: ApiError) -> Self {
        let reason = match (&*error.code, error.status) {
            ("UNKNOWN_TASK", _) => return Self::task_not_found(),
            (_, 409) => Reason::Unsupported,
            (_, 400..500) => Reason::Params,
            _ => {
                console_error!("an A2A call failed: {error}");
                Reason::Internal
            }
        };
        Self::new(reason, error.message).with_code(error.code)
    }
}

impl From<StoreError> for RpcError {
    fn from(error: StoreError) -> Self {
        ApiError::from(error).into()
    }
}
