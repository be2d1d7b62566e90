//! A2A: agents of no network call this one, and what they ask for is a task of this agent's.
//!
//! The caller is no agent that has a side of its own: both ends of the task are in this object. What
//! the caller says is heard by the worker's state machine, in the transaction that answers it; what the
//! worker says is looked up, streamed, or pushed. Start reading at [`serve`].

mod callers;
mod push;
mod serve;
mod store;
mod stream;
mod watch;
mod words;

use std::cell::Cell;
use std::rc::Rc;

use crate::store::sqlite::Sqlite;
pub(crate) use serve::CardWish;
use store::A2aStore;
use watch::Watch;

/// The number of callers without a key.
const ANYONE: u64 = 0;

/// What an agent needs for A2A while its object is awake.
pub(super) struct A2a {
    store: A2aStore,
    pub(super) watch: Watch,
    /// Answers that wait for a task to go on.
    waiting: Rc<Cell<u32>>,
}

impl A2a {
    pub(super) fn new(db: &Rc<Sqlite>) -> Self {
        Self {
            store: A2aStore::new(Rc::clone(db)),
            watch: Watch::default(),
            waiting: Rc::new(Cell::new(0)),
        }
    }

    /// Makes the tables.
    pub(super) fn create(&self) -> Result<(), crate::store::sqlite::StoreError> {
        self.store.create()
    }
}
