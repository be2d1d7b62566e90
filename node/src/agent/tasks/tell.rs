//! Telling the other agent, and the relay, how a task goes.

use std::collections::BTreeMap;
use std::rc::Rc;

use entente_lexicon::api::{NewEvent, SendMessage};
use entente_lexicon::message::{RecordPart, TaskPlace};
use entente_lexicon::records::comms::TaskState;
use entente_lexicon::{Content, Host, Timestamp};
use entente_tasks::{Role, Says, Word};
use futures::future::join_all;
use serde_json::Value;

use crate::agent::core::{Core, address};
use crate::agent::identity::Me;
use crate::agent::tasks::record::{self, Key};
use crate::agent::tasks::store::{NewWord, StoredTask, StoredWord};
use crate::error::ApiError;

/// Words told in one go.
const BATCH: u32 = 200;
/// No mail waits longer than this to be delivered.
const MAX_EXPIRY_MS: u64 = 30 * 24 * 60 * 60 * 1000;

impl Core {
    /// Writes down a word of this agent's, to be told. Part of the caller's transaction.
    pub(super) fn say(
        &self,
        me: &Me,
        stored: &StoredTask,
        word: &Word,
        record: &Value,
        (at, key): (Timestamp, Option<&Key>),
    ) -> Result<u64, ApiError> {
        let n = self.tasks.store.insert_word(&NewWord {
            task: stored.n,
            outgoing: true,
            // Who asked by A2A looks, or is pushed to.
            untold: !asked_by_a2a(stored),
            at,
            word,
            late: false,
            body: record::seal(me, &stored.id, true, word, record)?,
            request: key,
        })?;
        if asked_by_a2a(stored) {
            self.a2a_push(me, stored, (word, record), at)?;
        }
        Ok(n)
    }

    /// As [`Core::say`], for what the object says of its own accord.
    pub(super) fn say_own(
        &self,
        me: &Me,
        stored: &StoredTask,
        word: &Word,
        at: Timestamp,
    ) -> Result<(), ApiError> {
        let record = match word.says {
            Says::Status(state) => record::own_response(&stored.id, state, at),
            Says::Cancel => record::own_response(&stored.id, TaskState::Canceled, at),
            // Another attempt asks for the same.
            Says::Request => self.request_of(me, stored)?,
            Says::Input { .. } => return Err(ApiError::internal("an answer of its own accord")),
        };
        self.say(me, stored, word, &record, (at, None)).map(drop)
    }

    /// Tells whatever mail does not have yet: to each agent in order, to all of them at once. What
    /// mail cannot take now is left for later; returns whether there is any.
    pub(super) async fn tell_all(self: &Rc<Self>, me: &Me) -> Result<bool, ApiError> {
        let mut later = false;
        loop {
            let waiting = self.tasks.store.untold(BATCH)?;
            let whole = u32::try_from(waiting.len()).is_ok_and(|count| count == BATCH);
            let mut queues: BTreeMap<String, Vec<(StoredTask, StoredWord)>> = BTreeMap::new();
            for word in waiting {
                if self.tasks.asking.borrow().contains(&word.task) {
                    continue;
                }
                if let Some(stored) = self.tasks.store.by_row(word.task)? {
                    let queue = queues.entry(stored.peer.to_string()).or_default();
                    queue.push((stored, word));
                }
            }
            let told = queues.into_values().map(|queue| async move {
                for (stored, word) in &queue {
                    if self.tell_or_end(me, stored, word).await? {
                        return Ok::<_, ApiError>(true);
                    }
                }
                Ok(false)
            });
            let told: Vec<_> = join_all(told.collect::<Vec<_>>()).await;
            for outcome in told {
                later |= outcome?;
            }
            if later || !whole {
                return Ok(later);
            }
        }
    }

    /// Tells one word. Returns whether it has to wait; what can never be told is dealt with.
    async fn tell_or_end(
        self: &Rc<Self>,
        me: &Me,
        stored: &StoredTask,
        word: &StoredWord,
    ) -> Result<bool, ApiError> {
        match self.tell(me, stored, word).await {
            Ok(()) => Ok(false),
            Err(error) if waits(&error) => Ok(true),
            Err(error) => {
                self.not_delivered(word, &error.code)?;
                Ok(false)
            }
        }
    }

    /// Hands one word to mail. Told again, it is the same mail.
    pub(super) async fn tell(
        self: &Rc<Self>,
        me: &Me,
        stored: &StoredTask,
        word: &StoredWord,
    ) -> Result<(), ApiError> {
        if stored.via.is_some() {
            return self.tell_elsewhere(me, stored, word).await;
        }
        let record = record::open(me, &stored.id, word)?;
        let given = |name: &str| record.get(name).and_then(Value::as_str);
        let instant = |name: &str| given(name).and_then(Timestamp::parse);
        let ends = instant("expiresAt").into_iter().chain(instant("deadline"));
        let expires = ends.min().map(|at| at.min(word.at.after(MAX_EXPIRY_MS)));
        let priority = record.get("priority").and_then(Value::as_u64);
        let message = SendMessage {
            to: format!("{}@{}", stored.peer, stored.host),
            thread: given("thread").map(str::to_owned),
            priority: priority.and_then(|priority| u8::try_from(priority).ok()),
            expires_at: expires,
            idempotency_key: Some(format!("task/{}/{}", stored.id, word.word.n)),
            content: Content::Record(RecordPart {
                task: Some(TaskPlace {
                    id: stored.id.clone(),
                    attempt: word.word.attempt,
                    n: word.word.n,
                    answers: record::answers(&word.word),
                }),
                record,
            }),
            asynchronous: None,
        };
        let sent = self.send_own(message).await?;
        let mail = sent.id.parse().map_err(ApiError::internal)?;
        Ok(self.tasks.store.told(word.n, &mail)?)
    }

    /// Tells the relay how a task stands now, for the firehose: who, not what. In a network of both
    /// agents each step is told once, by the agent that decides it.
    pub(super) fn report_task(&self, me: &Me, stored: &StoredTask, at: Timestamp) {
        let state = stored.task.state();
        let role = stored.task.role();
        let decides = match role {
            Role::Requester => {
                let alone = stored.via.is_some() || stored.task.presumed().is_some();
                state == TaskState::Submitted || alone
            }
            // Whoever asks by A2A has no side that would tell.
            Role::Worker => state != TaskState::Submitted || stored.via.is_some(),
        };
        if !decides && !stored.remote {
            return;
        }
        let ours = Some(address(&me.did, &me.host));
        let theirs = stored.via.is_none();
        let theirs = theirs.then(|| format!("{}@{}", stored.peer, stored.host));
        let (from, to) = match role {
            Role::Requester => (ours, theirs),
            Role::Worker => (theirs, ours),
        };
        self.report(NewEvent {
            kind: format!("task.{}", state.as_str()),
            at,
            from,
            to,
            message: Some(stored.id.to_string()),
            peer: stored.remote.then(|| stored.host.clone()),
            ..NewEvent::default()
        });
    }
}

/// Whether the other side is a caller, who looks by itself.
fn asked_by_a2a(stored: &StoredTask) -> bool {
    stored.via.is_some() && stored.task.role() == Role::Worker
}

/// Whether mail may take later what it does not take now.
pub(in crate::agent) fn waits(error: &ApiError) -> bool {
    error.status >= 500 || error.status == 429
}

/// Whether an agent is of another network.
pub(super) fn is_remote(me: &Me, host: &Host) -> bool {
    me.host != *host
}
