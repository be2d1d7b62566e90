//! Tasks: what this agent asks of others, and what others ask of it.
//!
//! A task, each word on it and what has to be told are one transaction, and only then is anything
//! answered. What has to be told goes as sealed mail, in order, until mail has it. Start reading at
//! [`ask`] and [`hear`]; what is decided is decided in `entente_tasks`.

mod a2a;
mod artifacts;
mod ask;
mod handoff;
mod hear;
mod keep;
mod push;
mod record;
mod routes;
mod step;
mod store;
mod tell;
mod tend;
mod view;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use entente_tasks::Refusal;

use crate::error::ApiError;
use crate::store::sqlite::Sqlite;
use a2a::A2a;
pub(crate) use a2a::CardWish;
pub(super) use hear::TaskFault;
pub(super) use record::complete;
use store::TaskStore;
pub(super) use tell::waits;

/// What could not be told is tried again after this.
const RETRY_MS: u64 = 30_000;

/// An agent's tasks while its object is awake.
pub(super) struct Tasks {
    store: TaskStore,
    a2a: A2a,
    /// Whether the tables are known to be there.
    ready: Cell<bool>,
    /// Whether this life of the object has looked at what an earlier one left.
    woken: Cell<bool>,
    /// Whether tasks are being tended, and whether that is to be done again afterwards.
    tending: Cell<bool>,
    again: Cell<bool>,
    /// Tasks whose asking waits for the first answer of mail, by row.
    asking: RefCell<BTreeSet<u64>>,
    /// Tasks that mail changed, of which the relay is to be told.
    heard: RefCell<Vec<store::StoredTask>>,
}

impl Tasks {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self {
            a2a: A2a::new(&db),
            store: TaskStore::new(db),
            ready: Cell::new(false),
            woken: Cell::new(false),
            tending: Cell::new(false),
            again: Cell::new(false),
            asking: RefCell::new(BTreeSet::new()),
            heard: RefCell::new(Vec::new()),
        }
    }

    /// Whether there is anything to tend: agents that never had a task have no tables.
    fn is_used(&self) -> Result<bool, ApiError> {
        Ok(self.ready.get() || self.store.exists()?)
    }

    /// Makes the tables where there are none yet, once in each life of the object.
    fn prepare(&self) -> Result<(), ApiError> {
        if !self.ready.replace(true) {
            self.store.create()?;
            self.a2a.create()?;
        }
        Ok(())
    }
}

/// Makes the answer to a program's act that is refused.
fn refused(refusal: Refusal) -> ApiError {
    let status = match refusal {
        Refusal::NotWorker | Refusal::NotRequester => 403,
        Refusal::DeadlinePassed | Refusal::DeadlineAfterParent => 400,
        Refusal::Over(_)
        | Refusal::IllegalStep { .. }
        | Refusal::NoQuestion
        | Refusal::Canceling
        | Refusal::UnexpectedAttempt
        | Refusal::ParentOver
        | Refusal::TooManyChildren
        | Refusal::TooDeep => 409,
    };
    let mut text = refusal.to_string();
    if let Some(first) = text.get(..1).map(str::to_uppercase) {
        text.replace_range(..1, &first);
    }
    ApiError::new(
        status,
        refusal.code(),
        format!("{text}: GET …/tasks/:id shows how it stands."),
    )
}
