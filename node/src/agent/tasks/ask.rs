//! Asking for a task: checked, committed, handed to mail; then, and only then, answered.

use std::rc::Rc;

use entente_lexicon::api::tasks::{NewComms, TaskView};
use entente_lexicon::records::comms::Request;
use entente_lexicon::schema::{Code, Fault};
use entente_lexicon::{Did, MessageId, Recipient};
use entente_tasks::{Child, Role, Task, check_child};
use entente_trust::crypto::mac::hmac_sha256;
use serde_json::Value;

use crate::agent::contacts::Contact;
use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::agent::memory::invalid;
use crate::agent::tasks::record::{self, Key, REQUEST};
use crate::agent::tasks::store::{StoredTask, StoredWord};
use crate::agent::tasks::tell::{is_remote, waits};
use crate::agent::tasks::{RETRY_MS, refused};
use crate::error::ApiError;
use crate::internal;

/// Open tasks of one agent at most.
const MAX_OPEN: u32 = 10_000;

/// Who is asked; see [`StoredTask`].
struct Worker {
    peer: Did,
    host: String,
    remote: bool,
    via: Option<u64>,
}

impl Core {
    /// Asks another agent for something. Returns the task, and whether it is new: the same
    /// idempotency key finds what it asked for.
    pub(super) async fn ask_task(
        self: &Rc<Self>,
        new: NewComms,
    ) -> Result<(TaskView, bool), ApiError> {
        let me = self.identity()?;
        let key = record::key(new.idempotency_key.as_deref(), "", &new.record)?;
        if let Some(known) = self.done_before(key.as_ref())? {
            return Ok((self.task_view(&me, &known)?, false));
        }
        let now = internal::now();
        let mut record = new.record;
        record::by_its_name(&mut record);
        record = record::complete(record, REQUEST, now)?;
        let request = record::request(&record)?;
        let worker = self.worker_of(&me, request.to.as_deref()).await?;
        // While the recipient was looked for, the same may have been asked for again.
        if let Some(known) = self.done_before(key.as_ref())? {
            return Ok((self.task_view(&me, &known)?, false));
        }
        self.wake_in(RETRY_MS);
        let stored = self
            .tasks
            .store
            .transaction(|| self.commit_ask(&me, &worker, &request, &mut record, key.as_ref()))?;
        self.tasks_due()?;
        self.tasks.asking.borrow_mut().insert(stored.n);
        let first = self.tasks.store.words(stored.n)?.into_iter().next();
        let first = first.ok_or_else(|| ApiError::internal("a task without a request"))?;
        let told = self.tell_first(&me, &stored, &first).await;
        self.tasks.asking.borrow_mut().remove(&stored.n);
        told?;
        self.report_task(&me, &stored, now);
        self.tend_tasks();
        Ok((self.task_view(&me, &self.task_row(stored.n)?)?, true))
    }

    /// Finds who is to do it: an agent of a network, or one elsewhere.
    async fn worker_of(self: &Rc<Self>, me: &Me, to: Option<&str>) -> Result<Worker, ApiError> {
        if let Some(agent) = to.map(|to| self.a2a_agent_of(to)).transpose()?.flatten() {
            return Ok(Worker {
                peer: me.did.clone(),
                host: me.host.to_string(),
                remote: false,
                via: Some(agent),
            });
        }
        let contact = self.recipient_of(me, to).await?;
        Ok(Worker {
            peer: contact.did.clone(),
            host: contact.host.to_string(),
            remote: is_remote(me, &contact.host),
            via: None,
        })
    }

    /// Finds whom a record is for.
    pub(super) async fn recipient_of(
        self: &Rc<Self>,
        me: &Me,
        to: Option<&str>,
    ) -> Result<Rc<Contact>, ApiError> {
        let to = to.ok_or_else(|| {
            invalid(Fault {
                code: Code::RequiredField,
                pointer: "/to".to_owned(),
                message: "the address of the agent that this is for".to_owned(),
            })
        })?;
        let recipient: Recipient = to.parse().map_err(|error: entente_lexicon::IdError| {
            ApiError::bad_request("MALFORMED_ADDRESS", format!("`/to`: {error}."))
        })?;
        let contact = self.contact_of(&recipient).await?;
        if contact.did == me.did {
            return Err(ApiError::bad_request(
                "TASK_WITH_SELF",
                "An agent gives tasks and handoffs to others: name another one in `to`.",
            ));
        }
        Ok(contact)
    }

    /// Finds the task that a program's request was about when it was made before.
    pub(super) fn done_before(&self, key: Option<&Key>) -> Result<Option<StoredTask>, ApiError> {
        let Some((key, digest)) = key else {
            return Ok(None);
        };
        let Some((task, before)) = self.tasks.store.by_request(key)? else {
            return Ok(None);
        };
        if before != digest {
            return Err(ApiError::new(
                409,
                "IDEMPOTENCY_MISMATCH",
                "This idempotency key was used for something else: use a new key, or repeat the first request exactly.",
            ));
        }
        self.task_row(task).map(Some)
    }

    fn commit_ask(
        &self,
        me: &Me,
        worker: &Worker,
        request: &Request,
        record: &mut Value,
        key: Option<&Key>,
    ) -> Result<StoredTask, ApiError> {
        let now = internal::now();
        if self.tasks.store.count_open(None)? >= MAX_OPEN {
            return Err(ApiError::new(
                429,
                "TASKS_FULL",
                "This agent has 10,000 open tasks: end or cancel some first.",
            ));
        }
        let mut terms = record::terms(request);
        let parent = request.parent.as_deref().map(|id| self.parent_of(id));
        let parent = parent.transpose()?;
        if let Some(parent) = &parent {
            let child = Child {
                parent_depth: parent.depth,
                siblings: self.tasks.store.count_children(parent.n)?,
                deadline: terms.deadline,
            };
            terms.deadline = check_child(&parent.task, &child).map_err(refused)?;
        }
        let terms = terms.bounded(now);
        if let (Some(deadline), Some(record)) = (terms.deadline, record.as_object_mut()) {
            let deadline = Value::String(deadline.to_string());
            record.insert("deadline".to_owned(), deadline);
        }
        let (task, word) = Task::ask(terms, now).map_err(refused)?;
        let mut stored = StoredTask {
            n: 0,
            id: MessageId::from_parts(now.0, internal::random()),
            peer: worker.peer.clone(),
            host: worker.host.clone(),
            task,
            parent: parent.as_ref().map(|parent| parent.n),
            depth: parent.map_or(1, |parent| parent.depth.saturating_add(1)),
            remote: worker.remote,
            via: worker.via,
            created_at: now,
            changed_at: now,
            updated_at: now,
        };
        let context = request.thread.as_deref().map(|thread| blind(me, thread));
        stored.n = self.tasks.store.insert(&stored, context.as_deref())?;
        self.say(me, &stored, &word, record, (now, key))?;
        Ok(stored)
    }

    fn parent_of(&self, id: &str) -> Result<StoredTask, ApiError> {
        let found = MessageId::parse(id).ok();
        let found = found.map(|id| self.tasks.store.by_id(&id)).transpose()?;
        found.flatten().ok_or_else(|| {
            ApiError::not_found(
                "TASK_PARENT_UNKNOWN",
                "`/parent`: this agent has no task of that id: GET /agents/:name/tasks lists them.",
            )
        })
    }

    /// Hands the request to mail. What mail refuses for good was never asked for.
    async fn tell_first(
        self: &Rc<Self>,
        me: &Me,
        stored: &StoredTask,
        first: &StoredWord,
    ) -> Result<(), ApiError> {
        match self.tell(me, stored, first).await {
            Ok(()) => Ok(()),
            // It is durable here, and is told later.
            Err(error) if waits(&error) => Ok(()),
            Err(error) => {
                self.tasks
                    .store
                    .transaction(|| self.tasks.store.forget(stored.n))?;
                Err(error)
            }
        }
    }
}

/// What a task's conversation is found by without being told.
pub(super) fn blind(me: &Me, thread: &str) -> Vec<u8> {
    hmac_sha256(&me.cursor_key(), &[b"task context", thread.as_bytes()]).to_vec()
}

/// Reads a role.
pub(super) fn role(text: &str) -> Result<Role, ApiError> {
    Role::parse(text)
        .ok_or_else(|| ApiError::bad_request("INVALID_ROLE", "`role` is requester or worker."))
}
