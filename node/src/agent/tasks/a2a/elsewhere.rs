//! Tasks that agents elsewhere work on: asked by calls, and looked at until they end.
//!
//! This agent is the requester as in any other task; what would be mail is a call, told in order until it
//! is answered, and the worker's words are read off the task as it is shown there.

use std::collections::BTreeMap;
use std::rc::Rc;

use entente_a2a::remote::{self, AnswerError, RemoteTask};
use entente_a2a::rpc::{PROTOCOL_VERSION, VERSION_HEADER};
use entente_lexicon::Timestamp;
use entente_lexicon::records::comms::TaskState;
use entente_tasks::{Heard, Says, Word};
use entente_trust::crypto::hash::sha256;
use futures::future::join_all;
use serde_json::{Map, Value, json};
use wasm_bindgen_futures::spawn_local;
use worker::{console_error, console_warn};

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::tasks::RETRY_MS;
use crate::agent::tasks::a2a::remote_store::{StoredAgent, StoredCall};
use crate::agent::tasks::record::{self, RESPONSE};
use crate::agent::tasks::step::MAX_WORDS;
use crate::agent::tasks::store::{NewWord, StoredTask, StoredWord};
use crate::agent::tasks::tell::waits;
use crate::error::ApiError;
use crate::guard::{self, PostFault};
use crate::internal;

/// The longest answer of an agent elsewhere.
const MAX_ANSWER: usize = 256 * 1024;
/// What cannot be told for so long will not be told any more.
const GIVE_UP_MS: u64 = 24 * 60 * 60 * 1_000;
/// A task is looked at after this, then twice as long each time that nothing changed, and after this at
/// most.
const FIRST_LOOK_MS: u64 = 1_000;
const MAX_LOOK_MS: u64 = 5 * 60 * 1_000;
/// Tasks, and words, in one go.
const BATCH: u32 = 50;
/// A2A's numbers for a task that is not there, and one that is over.
const NOT_FOUND: i64 = -32_001;
const NOT_CANCELABLE: i64 = -32_002;
/// JSON-RPC's for a fault of the callee's.
const INTERNAL_ERROR: i64 = -32_603;
/// Why a task is presumed to have failed that the other agent does not know any more.
const LOST: &str = "A2A_TASK_LOST";

impl Core {
    /// Looks after tasks elsewhere, beside other work.
    pub(in crate::agent::tasks) fn tend_calls(self: &Rc<Self>) {
        let a2a = &self.tasks.a2a;
        a2a.again.set(true);
        if a2a.calling.replace(true) {
            return;
        }
        let core = Rc::clone(self);
        spawn_local(async move {
            while core.tasks.a2a.again.replace(false) {
                if let Err(error) = core.tend_calls_once().await {
                    console_error!("tasks elsewhere wait to be looked after: {error}");
                    core.wake_in(RETRY_MS);
                }
            }
            core.tasks.a2a.calling.set(false);
        });
    }

    async fn tend_calls_once(self: &Rc<Self>) -> Result<(), ApiError> {
        let me = &*self.identity()?;
        let now = internal::now();
        let mut resting = self.tasks.a2a.resting.borrow().clone();
        resting.retain(|_agent, until| *until > now);
        if let Some(until) = resting.values().min() {
            self.wake_in(until.since(now));
        }
        let left_alone: Vec<u64> = resting.keys().copied().collect();
        let words = self.tasks.store.untold_elsewhere(&left_alone, BATCH)?;
        let due = self.tasks.a2a.remotes.due(&left_alone, now, BATCH)?;
        let whole = |count: usize| u32::try_from(count).is_ok_and(|count| count == BATCH);
        let more = whole(words.len()) || whole(due.len());
        let mut queues: BTreeMap<u64, Vec<(StoredTask, Option<StoredWord>)>> = BTreeMap::new();
        for word in words {
            if self.tasks.asking.borrow().contains(&word.task) {
                continue;
            }
            let stored = self.task_row(word.task)?;
            let queue = queues.entry(stored.via.unwrap_or_default()).or_default();
            queue.push((stored, Some(word)));
        }
        for n in due {
            let stored = self.task_row(n)?;
            let queue = queues.entry(stored.via.unwrap_or_default()).or_default();
            queue.push((stored, None));
        }
        if more && !queues.is_empty() {
            // Whoever gives no answer rests then, so this comes to an end.
            self.tasks.a2a.again.set(true);
        }
        let work = queues.into_iter().map(|(agent, queue)| async move {
            for (stored, word) in queue {
                let done = match &word {
                    Some(word) => self.tell_elsewhere_or_end(me, &stored, word).await,
                    None => self.look_elsewhere(me, &stored).await,
                };
                if let Err(error) = done {
                    console_warn!("an agent elsewhere is called again later: {error}");
                    return Some((agent, internal::now().after(RETRY_MS)));
                }
            }
            None
        });
        let failed = join_all(work.collect::<Vec<_>>()).await;
        for (agent, until) in failed.into_iter().flatten() {
            resting.insert(agent, until);
            self.wake_in(RETRY_MS);
        }
        self.tasks.a2a.resting.replace(resting);
        let now = internal::now();
        if let Some(due) = self.tasks.a2a.remotes.next_due(now)? {
            self.wake_in(due.since(now));
        }
        Ok(())
    }

    async fn tell_elsewhere_or_end(
        self: &Rc<Self>,
        me: &Me,
        stored: &StoredTask,
        word: &StoredWord,
    ) -> Result<(), ApiError> {
        match self.tell_elsewhere(me, stored, word).await {
            Ok(()) => Ok(()),
            Err(error) if waits(&error) && internal::now().since(word.at) < GIVE_UP_MS => {
                Err(error)
            }
            Err(error) => self.not_delivered(word, &error.code),
        }
    }

    /// Tells one word by a call. Told again, it has the same id.
    pub(in crate::agent::tasks) async fn tell_elsewhere(
        self: &Rc<Self>,
        me: &Me,
        stored: &StoredTask,
        word: &StoredWord,
    ) -> Result<(), ApiError> {
        let agent = self.a2a_agent(stored.via.unwrap_or_default())?;
        let known = self.tasks.a2a.remotes.call(stored.n)?;
        let id = format!("{}-{}", stored.id, word.word.n);
        let record = record::open(me, &stored.id, word)?;
        let thread = record.get("thread").and_then(Value::as_str);
        let call = match (word.word.says, known.remote.as_deref()) {
            (Says::Request, _) => {
                let message = remote::message(&id, &record, (None, thread));
                remote::send(&id, &agent.tenant, &message)
            }
            (Says::Input { .. }, Some(task)) => {
                let place = (Some(task), known.context.as_deref());
                remote::send(&id, &agent.tenant, &remote::message(&id, &record, place))
            }
            (Says::Cancel, Some(task)) => remote::cancel(&id, &agent.tenant, task),
            (Says::Input { .. } | Says::Cancel, None) | (Says::Status(_), _) => {
                return Err(lost());
            }
        };
        let told = match self.call_elsewhere(&agent, &id, &call).await {
            Ok(told) => Some(told),
            // What it came to is looked at.
            Err(Fault::Answer(NOT_CANCELABLE, _)) if word.word.says == Says::Cancel => None,
            Err(fault) => return Err(fault.into()),
        };
        let changed = self.tasks.store.transaction(|| {
            self.tasks.store.told_elsewhere(word.n)?;
            if let Some(told) = told {
                return self.hear_elsewhere(me, stored.n, word.word.attempt, &told);
            }
            self.look_again(stored.n, &known, true)?;
            Ok::<_, ApiError>(false)
        })?;
        if changed {
            self.heard_elsewhere(me, stored.n)?;
        }
        Ok(())
    }

    /// Looks how a task stands elsewhere.
    async fn look_elsewhere(self: &Rc<Self>, me: &Me, stored: &StoredTask) -> Result<(), ApiError> {
        let known = self.tasks.a2a.remotes.call(stored.n)?;
        let agent = self.a2a_agent(stored.via.unwrap_or_default());
        // What was presumed gives way to the worker's word, for a while.
        let late = internal::now().since(stored.changed_at) >= GIVE_UP_MS;
        let over = stored.task.state().is_final() && (stored.task.presumed().is_none() || late);
        let (Some(task), Ok(agent), false) = (known.remote.clone(), agent, over) else {
            return self.lose_elsewhere(stored);
        };
        let id = format!("{}-look", stored.id);
        let call = remote::get(&id, &agent.tenant, &task);
        match self.call_elsewhere(&agent, &id, &call).await {
            Ok(told) => {
                let attempt = stored.task.attempt();
                let hear = || self.hear_elsewhere(me, stored.n, attempt, &told);
                if self.tasks.store.transaction(hear)? {
                    self.heard_elsewhere(me, stored.n)?;
                }
                Ok(())
            }
            Err(Fault::Answer(NOT_FOUND, _)) => self.lose_elsewhere(stored),
            Err(_) => Ok(self
                .tasks
                .store
                .transaction(|| self.look_again(stored.n, &known, false))?),
        }
    }

    /// The other agent does not know the task any more, or is not called any more.
    fn lose_elsewhere(&self, stored: &StoredTask) -> Result<(), ApiError> {
        let call = self.tasks.a2a.remotes.call(stored.n)?;
        let over = StoredCall {
            poll_at: None,
            ..call
        };
        self.tasks.a2a.remotes.put_call(stored.n, &over)?;
        let words = self.tasks.store.words(stored.n)?;
        let asked = words
            .iter()
            .rev()
            .find(|word| word.word.says == Says::Request);
        if let Some(asked) = asked
            && !stored.task.state().is_final()
        {
            self.not_delivered(asked, LOST)?;
        }
        Ok(())
    }

    /// Takes what is told of a task elsewhere. Returns whether that changed anything. Part of the caller's
    /// transaction.
    fn hear_elsewhere(
        &self,
        me: &Me,
        n: u64,
        attempt: u32,
        told: &RemoteTask,
    ) -> Result<bool, ApiError> {
        let now = internal::now();
        let mut stored = self.task_row(n)?;
        if attempt != stored.task.attempt() {
            return Ok(false);
        }
        let mut call = self.tasks.a2a.remotes.call(n)?;
        let fields = told.record();
        let digest = sha256(&[&serde_json::to_vec(&fields)?]).to_vec();
        let same = call.remote == told.id && call.seen.as_deref() == Some(&*digest);
        call.remote.clone_from(&told.id);
        call.context.clone_from(&told.context);
        call.seen = Some(digest);
        if same || told.state == TaskState::Submitted {
            self.look_again(n, &call, !same)?;
            return Ok(false);
        }
        let before = stored.task.state();
        let word = Word {
            attempt,
            n: self.tasks.store.count_incoming(n)?.saturating_add(1),
            says: Says::Status(told.state),
        };
        let many = self.tasks.store.count_words(n)? >= MAX_WORDS && !told.state.is_final();
        let heard = stored.task.hear(word, now);
        let taken = matches!(heard, Ok(Heard::Taken(_))) && !many;
        if taken {
            let record = response(&stored, fields, told.state, now)?;
            let body = record::seal(me, &stored.id, false, &word, &record)?;
            self.tasks.store.insert_word(&NewWord {
                task: n,
                outgoing: false,
                untold: false,
                at: now,
                word: &word,
                late: false,
                body,
                request: None,
            })?;
            self.keep_task(me, &mut stored, (before, now), false)?;
        }
        if told.state.is_final() {
            call.poll_at = None;
            self.tasks.a2a.remotes.put_call(n, &call)?;
        } else {
            self.look_again(n, &call, true)?;
        }
        Ok(taken)
    }

    /// Has a task looked at again: soon after it changed, and then ever later.
    fn look_again(&self, n: u64, call: &StoredCall, changed: bool) -> Result<(), ApiError> {
        let polls = if changed {
            0
        } else {
            call.polls.saturating_add(1)
        };
        let wait = 1_u64
            .checked_shl(polls)
            .and_then(|doubled| FIRST_LOOK_MS.checked_mul(doubled));
        let wait = wait.map_or(MAX_LOOK_MS, |wait| wait.min(MAX_LOOK_MS));
        let call = StoredCall {
            poll_at: Some(internal::now().after(wait)),
            polls,
            ..call.clone()
        };
        self.tasks.a2a.remotes.put_call(n, &call)?;
        self.wake_in(wait);
        Ok(())
    }

    fn heard_elsewhere(self: &Rc<Self>, me: &Me, n: u64) -> Result<(), ApiError> {
        let stored = self.task_row(n)?;
        self.report_task(me, &stored, stored.updated_at);
        self.tasks_due()?;
        // Another attempt, or the sub-tasks of one that ended.
        self.tend_tasks();
        Ok(())
    }

    async fn call_elsewhere(
        &self,
        agent: &StoredAgent,
        id: &str,
        call: &Value,
    ) -> Result<RemoteTask, Fault> {
        // The rules may have changed since the card was read.
        let url = self.a2a_url(&agent.endpoint).map_err(Fault::Ours)?;
        let mut headers = vec![
            ("accept".to_owned(), "application/json".to_owned()),
            ("content-type".to_owned(), "application/json".to_owned()),
            (VERSION_HEADER.to_owned(), PROTOCOL_VERSION.to_owned()),
        ];
        let key = self.a2a_key_of(agent).map_err(Fault::Ours)?;
        headers.extend(key.map(|key| ("authorization".to_owned(), format!("Bearer {key}"))));
        let bytes = guard::exchange(url.as_str(), &headers, call.to_string(), MAX_ANSWER).await;
        match remote::read(&bytes.map_err(Fault::Post)?, id) {
            Ok(told) => Ok(told),
            Err(AnswerError::Malformed) => Err(Fault::Malformed),
            Err(AnswerError::Refused { code, message }) => Err(Fault::Answer(code, message)),
        }
    }
}

/// Writes what is told as a response. What the validator does not take is left out.
fn response(
    stored: &StoredTask,
    mut fields: Map<String, Value>,
    state: TaskState,
    now: Timestamp,
) -> Result<Value, ApiError> {
    fields.insert("$type".to_owned(), json!(RESPONSE));
    fields.insert("request".to_owned(), json!(stored.id.to_string()));
    match record::complete(Value::Object(fields), RESPONSE, now) {
        Ok(record) => Ok(record),
        Err(_unfit) => {
            let mut bare = Map::new();
            bare.insert("$type".to_owned(), json!(RESPONSE));
            bare.insert("request".to_owned(), json!(stored.id.to_string()));
            bare.insert("status".to_owned(), json!(state));
            record::complete(Value::Object(bare), RESPONSE, now)
        }
    }
}

/// Why a call came to nothing.
enum Fault {
    Ours(ApiError),
    Post(PostFault),
    Malformed,
    /// The agent refuses it, by this number.
    Answer(i64, String),
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Ours(error) => error,
            Fault::Malformed => unreachable("it did not answer as A2A 1.0 has it"),
            Fault::Post(fault @ PostFault::Status(status))
                if (400..500).contains(&status) && !matches!(status, 408 | 425 | 429) =>
            {
                refused(&fault.to_string())
            }
            Fault::Post(fault) => unreachable(&fault.to_string()),
            Fault::Answer(INTERNAL_ERROR, message) => unreachable(&message),
            Fault::Answer(code, message) => refused(&format!("error {code}: {message}")),
        }
    }
}

fn refused(why: &str) -> ApiError {
    ApiError::new(
        422,
        "A2A_REFUSED",
        format!("The agent elsewhere refuses the call: {why}."),
    )
}

fn unreachable(why: &str) -> ApiError {
    ApiError::new(
        502,
        "A2A_UNREACHABLE",
        format!("The agent elsewhere gives no answer: {why}. It is called again."),
    )
}

fn lost() -> ApiError {
    ApiError::new(
        422,
        LOST,
        "The agent elsewhere keeps no task of this: ask for a new one.",
    )
}
