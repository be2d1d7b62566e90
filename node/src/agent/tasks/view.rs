//! Showing tasks: one with its history, lists without.

use entente_lexicon::api::tasks::{TaskEntry, TaskList, TaskMessage, TaskStatus, TaskView};
use entente_lexicon::id::BASE32;
use entente_lexicon::records::comms::{Artifact, TaskError, TaskState};
use entente_tasks::{Presumed, Role, Says};
use serde::Deserialize;
use serde_json::Value;

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::read::given;
use crate::agent::tasks::ask::{blind, role};
use crate::agent::tasks::record::{self, DEADLINE_EXPIRED};
use crate::agent::tasks::store::{Listing, StoredTask, StoredWord};
use crate::error::ApiError;

const DEFAULT_PAGE: u32 = 50;
const MAX_PAGE: u32 = 100;

/// The query of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Query {
    state: Option<String>,
    role: Option<String>,
    peer: Option<String>,
    context_id: Option<String>,
    parent: Option<String>,
    bodies: Option<String>,
    cursor: Option<String>,
    limit: Option<String>,
}

impl Core {
    /// Lists tasks, the newest first.
    pub(super) fn list_tasks(&self, query: &Query) -> Result<TaskList, ApiError> {
        let me = self.identity()?;
        let bodies = match given(&query.bodies) {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => {
                return Err(ApiError::bad_request(
                    "INVALID_FLAG",
                    "`bodies` is true or false.",
                ));
            }
        };
        let wanted = self.wanted(&me, query)?;
        let found = self.tasks.store.list(&wanted)?;
        let whole = u32::try_from(found.len()).is_ok_and(|count| count == wanted.limit);
        let last = found.last().filter(|_last| whole);
        let cursor = last.map(|last| BASE32.encode(&last.n.to_be_bytes()));
        let tasks = found.iter().map(|stored| {
            let last = self.tasks.store.last_word(stored.n)?;
            let mut view = self.task_head(stored)?;
            if bodies {
                view.request = self.request_or_none(&me, stored)?;
                self.fill_status(&me, stored, last.as_ref(), &mut view)?;
            }
            Ok(view)
        });
        Ok(TaskList {
            tasks: tasks.collect::<Result<_, ApiError>>()?,
            cursor,
        })
    }

    fn wanted(&self, me: &Me, query: &Query) -> Result<Listing, ApiError> {
        let states = given(&query.state)
            .into_iter()
            .flat_map(|text| text.split(','));
        let states = states.map(|name| {
            TaskState::parse(name).ok_or_else(|| {
                ApiError::bad_request(
                    "INVALID_STATE",
                    "`state` names states of tasks, with commas between: submitted, accepted, working, input-required, completed, failed, rejected, canceled.",
                )
            })
        });
        let limit = match given(&query.limit) {
            None => Some(DEFAULT_PAGE),
            Some(text) => text.parse().ok().filter(|n| (1..=MAX_PAGE).contains(n)),
        };
        let before = given(&query.cursor).map(|text| {
            let bytes = BASE32.decode(text.as_bytes()).ok();
            let bytes = bytes.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
            bytes.map(u64::from_be_bytes).ok_or_else(|| {
                ApiError::bad_request(
                    "INVALID_CURSOR",
                    "`cursor` is not one of this list's: pass what the last page returned, or none to start over.",
                )
            })
        });
        let peer = given(&query.peer).map(|peer| peer.split('@').next().unwrap_or(peer));
        let parent = given(&query.parent).map(|id| self.known_task(id));
        Ok(Listing {
            states: states.collect::<Result<_, _>>()?,
            role: given(&query.role).map(role).transpose()?,
            peer: peer.map(str::to_owned),
            context: given(&query.context_id).map(|thread| blind(me, thread)),
            parent: parent.transpose()?.map(|parent| parent.n),
            before: before.transpose()?,
            limit: limit.ok_or_else(|| {
                ApiError::bad_request("INVALID_LIMIT", "`limit` is a number from 1 to 100.")
            })?,
        })
    }

    /// Shows one task whole.
    pub(super) fn show_task(&self, id: &str) -> Result<TaskView, ApiError> {
        let me = self.identity()?;
        // The clock is heard first: a deadline that passed is not shown as if it had not.
        let stored = self.known_task(id)?;
        self.tick_task(&me, stored.n)?;
        self.task_view(&me, &self.task_row(stored.n)?)
    }

    pub(super) fn task_view(&self, me: &Me, stored: &StoredTask) -> Result<TaskView, ApiError> {
        let words = self.tasks.store.words(stored.n)?;
        let mut view = self.task_head(stored)?;
        view.request = self.request_or_none(me, stored)?;
        view.context_id = text(view.request.as_ref(), "thread");
        let last = words.iter().rev().find(|word| !word.late);
        self.fill_status(me, stored, last, &mut view)?;
        let mut artifacts: Vec<Artifact> = Vec::new();
        let mut history = Vec::with_capacity(words.len());
        for word in &words {
            let record = record::open(me, &stored.id, word)?;
            if matches!(word.word.says, Says::Status(_)) {
                let new = record::response(&record)?.artifacts;
                let new = new.into_iter().filter(|one| !artifacts.contains(one));
                let new: Vec<_> = new.collect();
                artifacts.extend(new);
            }
            history.push(entry(word, record));
        }
        view.artifacts = Some(artifacts);
        view.history = Some(history);
        Ok(view)
    }

    /// Shows one task with this agent's last word and nothing else of its history.
    pub(super) fn brief_view(&self, me: &Me, stored: &StoredTask) -> Result<TaskView, ApiError> {
        let last = self.tasks.store.last_said(stored.n)?;
        let mut view = self.task_head(stored)?;
        view.request = self.request_or_none(me, stored)?;
        self.fill_status(me, stored, last.as_ref(), &mut view)?;
        let history = last.iter().map(|word| self.task_entry(me, stored, word));
        view.history = Some(history.collect::<Result<_, _>>()?);
        Ok(view)
    }

    /// Shows one word of a task's history.
    pub(super) fn task_entry(
        &self,
        me: &Me,
        stored: &StoredTask,
        word: &StoredWord,
    ) -> Result<TaskEntry, ApiError> {
        Ok(entry(word, record::open(me, &stored.id, word)?))
    }

    /// What is known of a task without opening anything.
    fn task_head(&self, stored: &StoredTask) -> Result<TaskView, ApiError> {
        let task = &stored.task;
        let parent = stored.parent.map(|n| self.tasks.store.by_row(n));
        let parent = parent.transpose()?.flatten();
        Ok(TaskView {
            id: stored.id.to_string(),
            context_id: None,
            role: task.role().as_str().to_owned(),
            peer: self.peer_name(stored)?,
            status: TaskStatus {
                state: task.state(),
                timestamp: stored.changed_at,
                message: None,
                progress: None,
                error: None,
                presumed: task.presumed().is_some(),
            },
            attempt: task.attempt(),
            canceling: task.is_canceling(),
            retry_at: task.retry_at(),
            deadline: task.terms().deadline,
            parent: parent.map(|parent| parent.id.to_string()),
            created_at: stored.created_at,
            updated_at: stored.updated_at,
            request: None,
            artifacts: None,
            history: None,
        })
    }

    /// Who is on the other side.
    pub(super) fn peer_name(&self, stored: &StoredTask) -> Result<String, ApiError> {
        match stored.via {
            None => Ok(format!("{}@{}", stored.peer, stored.host)),
            Some(other) => self.a2a_name(stored.task.role(), other),
        }
    }

    /// Opens what was said last.
    fn fill_status(
        &self,
        me: &Me,
        stored: &StoredTask,
        last: Option<&StoredWord>,
        view: &mut TaskView,
    ) -> Result<(), ApiError> {
        view.context_id = text(view.request.as_ref(), "thread");
        if let Some(why) = stored.task.presumed() {
            view.status.error = Some(self.presumption(stored, why)?);
        }
        let Some(last) = last else { return Ok(()) };
        let record = record::open(me, &stored.id, last)?;
        let by_requester = last.outgoing == (stored.task.role() == Role::Requester);
        view.status.message = record.get("content").map(|content| TaskMessage {
            role: if by_requester { "user" } else { "agent" }.to_owned(),
            content: content.clone(),
        });
        if matches!(last.word.says, Says::Status(_)) {
            let response = record::response(&record)?;
            view.status.progress = response.progress;
            if view.status.error.is_none() {
                view.status.error = response.error;
            }
        }
        Ok(())
    }

    fn presumption(&self, stored: &StoredTask, why: Presumed) -> Result<TaskError, ApiError> {
        Ok(match why {
            Presumed::Deadline => TaskError {
                code: DEADLINE_EXPIRED.to_owned(),
                message: "The deadline passed, and the worker was not heard of.".to_owned(),
            },
            Presumed::Undelivered => {
                let words = self.tasks.store.words(stored.n)?;
                let code = words.into_iter().rev().find_map(|word| word.code);
                TaskError {
                    code: "UNDELIVERED".to_owned(),
                    message: format!(
                        "It could not be delivered: {}.",
                        code.as_deref().unwrap_or("the reason is not known")
                    ),
                }
            }
        })
    }

    /// The request; none where it was canceled before it came.
    fn request_or_none(&self, me: &Me, stored: &StoredTask) -> Result<Option<Value>, ApiError> {
        let word = self.tasks.store.request_word(stored.n)?;
        word.map(|word| record::open(me, &stored.id, &word))
            .transpose()
    }
}

fn entry(word: &StoredWord, record: Value) -> TaskEntry {
    TaskEntry {
        direction: if word.outgoing { "out" } else { "in" }.to_owned(),
        at: word.at,
        attempt: word.word.attempt,
        n: word.word.n,
        late: word.late,
        undelivered: word.code.clone(),
        record,
    }
}

fn text(record: Option<&Value>, name: &str) -> Option<String> {
    Some(record?.get(name)?.as_str()?.to_owned())
}
