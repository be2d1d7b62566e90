//! Hearing from the other agent: a record that came as mail, checked and committed with it.

use std::rc::Rc;

use entente_lexicon::message::{RecordPart, TaskPlace};
use entente_lexicon::records::comms::{self, Handoff, Message, TaskState};
use entente_lexicon::{Timestamp, schema};
use entente_tasks::{Heard, Refusal, Role, Says, Task, Terms, Word};
use serde_json::Value;

use crate::agent::contacts::Contact;
use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::tasks::RETRY_MS;
use crate::agent::tasks::ask::blind;
use crate::agent::tasks::record::{self, HANDOFF, MESSAGE, REQUEST, RESPONSE};
use crate::agent::tasks::step::MAX_WORDS;
use crate::agent::tasks::store::{NewWord, StoredTask};
use crate::agent::tasks::tell::is_remote;
use crate::error::ApiError;
use crate::store::sqlite::StoreError;

/// Open tasks that one agent may have with this one.
const MAX_OPEN_OF_PEER: u32 = 1_000;

/// Why a record is not taken.
pub(in crate::agent) enum TaskFault {
    /// The sender's: the message is refused with this code.
    Refused(&'static str),
    /// Ours.
    Ours(ApiError),
}

impl From<ApiError> for TaskFault {
    fn from(error: ApiError) -> Self {
        Self::Ours(error)
    }
}

impl From<StoreError> for TaskFault {
    fn from(error: StoreError) -> Self {
        Self::Ours(error.into())
    }
}

impl From<Refusal> for TaskFault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.code())
    }
}

const UNKNOWN: TaskFault = TaskFault::Refused("TASK_UNKNOWN");
const MALFORMED: TaskFault = TaskFault::Refused("TASK_MALFORMED");

impl Core {
    /// Takes a record of another agent's. Part of the delivery's transaction.
    pub(in crate::agent) fn take_typed(
        &self,
        me: &Me,
        sender: &Contact,
        part: &RecordPart,
        now: Timestamp,
    ) -> Result<(), TaskFault> {
        let kind = schema::check(None, &part.record);
        let kind = kind.map_err(|fault| TaskFault::Refused(fault.code.as_str()))?;
        let kind = kind.nsid();
        match &part.task {
            None if kind == HANDOFF => check_handoff(sender, &part.record),
            None => Err(MALFORMED),
            Some(place) => self.take_word(me, sender, (kind, part, place), now),
        }
    }

    /// Returns how many changes of tasks wait to be told of, for [`Core::records_lost`].
    pub(in crate::agent) fn records_before(&self) -> usize {
        self.tasks.heard.borrow().len()
    }

    /// A delivery was not committed: nothing since then happened.
    pub(in crate::agent) fn records_lost(&self, before: usize) {
        self.tasks.heard.borrow_mut().truncate(before);
    }

    /// A delivery was committed: what it changed is done and told.
    pub(in crate::agent) fn records_came(self: &Rc<Self>, before: usize) {
        if self.records_before() > before {
            self.tend_tasks();
        }
    }

    fn take_word(
        &self,
        me: &Me,
        sender: &Contact,
        (kind, part, place): (&str, &RecordPart, &TaskPlace),
        now: Timestamp,
    ) -> Result<(), TaskFault> {
        self.tasks.prepare()?;
        let known = self.tasks.store.by_id(&place.id)?;
        let is_others = |known: &StoredTask| known.via.is_some() || known.peer != sender.did;
        if known.as_ref().is_some_and(is_others) {
            return Err(UNKNOWN);
        }
        let role = known.as_ref().map(|known| known.task.role());
        let says = says(kind, &part.record, place, role)?;
        if place.attempt == 0 || place.n == 0 {
            return Err(MALFORMED);
        }
        let word = Word {
            attempt: place.attempt,
            n: place.n,
            says,
        };
        match known {
            None => self.begin(me, sender, (part, place, word), now),
            Some(known) => self.go_on(me, known, (part, word), now),
        }
    }

    /// Another agent asks for something, or cancels what has not arrived yet.
    fn begin(
        &self,
        me: &Me,
        sender: &Contact,
        (part, place, word): (&RecordPart, &TaskPlace, Word),
        now: Timestamp,
    ) -> Result<(), TaskFault> {
        if self.tasks.store.count_open(Some(&sender.did))? >= MAX_OPEN_OF_PEER {
            return Err(TaskFault::Refused("TASKS_FULL"));
        }
        let (terms, context) = match word.says {
            Says::Request => {
                let request = record::request(&part.record).map_err(unread)?;
                let thread = request.thread.as_deref();
                (
                    record::terms(&request),
                    thread.map(|thread| blind(me, thread)),
                )
            }
            Says::Cancel => (Terms::default(), None),
            Says::Input { .. } | Says::Status(_) => return Err(UNKNOWN),
        };
        let (task, reply) = Task::asked(terms.bounded(now), word)?;
        let mut stored = StoredTask {
            n: 0,
            id: place.id.clone(),
            peer: sender.did.clone(),
            host: sender.host.to_string(),
            task,
            // What others call a parent is nothing of ours.
            parent: None,
            depth: 1,
            remote: is_remote(me, &sender.host),
            via: None,
            created_at: now,
            changed_at: now,
            updated_at: now,
        };
        stored.n = self.tasks.store.insert(&stored, context.as_deref())?;
        self.note(me, &stored, (part, word, false), now)?;
        self.push_task(me, &stored)?;
        if let Some(reply) = reply {
            self.say_own(me, &stored, &reply, now)?;
        }
        self.tick_stored(me, &mut stored)?;
        self.heard_of(&stored);
        Ok(())
    }

    /// A word on a task that is known.
    fn go_on(
        &self,
        me: &Me,
        mut stored: StoredTask,
        (part, word): (&RecordPart, Word),
        now: Timestamp,
    ) -> Result<(), TaskFault> {
        if self.tasks.store.count_words(stored.n)? >= MAX_WORDS && !ends(word) {
            return Err(TaskFault::Refused("TASK_TOO_LONG"));
        }
        let ticked = self.tick_stored(me, &mut stored)?;
        let before = stored.task.state();
        let heard = stored.task.hear(word, now);
        if ticked {
            self.heard_of(&stored);
        }
        let reply = match heard? {
            Heard::Late => {
                self.note(me, &stored, (part, word, true), now)?;
                return Ok(());
            }
            Heard::Taken(reply) => reply,
        };
        self.note(me, &stored, (part, word, false), now)?;
        if let Some(reply) = &reply {
            self.say_own(me, &stored, reply, now)?;
        }
        self.keep_task(me, &mut stored, (before, now), false)?;
        self.heard_of(&stored);
        Ok(())
    }

    fn note(
        &self,
        me: &Me,
        stored: &StoredTask,
        (part, word, late): (&RecordPart, Word, bool),
        at: Timestamp,
    ) -> Result<(), TaskFault> {
        self.tasks.store.insert_word(&NewWord {
            task: stored.n,
            outgoing: false,
            untold: false,
            at,
            word: &word,
            late,
            body: record::seal(me, &stored.id, false, &word, &part.record)?,
            request: None,
        })?;
        Ok(())
    }

    /// The relay is told of it once the delivery is committed.
    fn heard_of(&self, stored: &StoredTask) {
        // What has to be told is told by a later life if this one ends now.
        self.wake_in(RETRY_MS);
        self.tasks.heard.borrow_mut().push(stored.clone());
    }
}

/// Whether a word ends a task, which is heard however long the task is.
fn ends(word: Word) -> bool {
    match word.says {
        Says::Cancel => true,
        Says::Status(state) => state.is_final(),
        Says::Request | Says::Input { .. } => false,
    }
}

/// Reads what a record says about a task, which this agent is on that side of, if it knows it.
fn says(
    kind: &str,
    record: &Value,
    place: &TaskPlace,
    role: Option<Role>,
) -> Result<Says, TaskFault> {
    let says = match (kind, place.answers) {
        (REQUEST, None) => Some(Says::Request),
        (RESPONSE, None) => {
            let response = record::response(record).map_err(unread)?;
            let ours = response.request == place.id.as_str();
            let cancel = response.status == TaskState::Canceled && role != Some(Role::Requester);
            ours.then_some(if cancel {
                Says::Cancel
            } else {
                Says::Status(response.status)
            })
        }
        (MESSAGE, Some(answers)) => {
            let message: Message = comms::read(record).map_err(unread)?;
            let ours = message.reply_to.as_deref() == Some(place.id.as_str());
            ours.then_some(Says::Input { answers })
        }
        _ => None,
    };
    says.ok_or(MALFORMED)
}

/// Whoever sends what cannot be read is told so, and does not have it tried again for ever.
fn unread<E>(_error: E) -> TaskFault {
    TaskFault::Refused("RECORD_INVALID")
}

/// A handoff names records of its sender alone.
fn check_handoff(sender: &Contact, record: &Value) -> Result<(), TaskFault> {
    let handoff: Handoff = comms::read(record).map_err(unread)?;
    let own = format!("at://{}/", sender.did);
    let is_own = |uri: &Option<String>| uri.as_deref().is_some_and(|uri| uri.starts_with(&own));
    if handoff.records.iter().all(|record| is_own(&record.uri)) {
        Ok(())
    } else {
        Err(TaskFault::Refused("HANDOFF_FOREIGN_RECORD"))
    }
}
