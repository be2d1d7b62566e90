//! Topics and broadcasts: who listens to this agent, to whom it listens, and what is said to many.
//!
//! A broadcast is sealed once under a key of its own, which each recipient is told in its own mail; how
//! it gets there is the work of [`groups`](super::groups). Start reading at [`cast`].

mod act;
mod cast;
mod hear;
mod routes;
mod store;

use std::cell::Cell;
use std::rc::Rc;

use crate::error::ApiError;
use crate::store::sqlite::Sqlite;
use store::TopicStore;

/// Topics that one agent speaks of.
const MAX_TOPICS: usize = 100;
/// Agents that listen to one topic, and recipients of one broadcast.
const MAX_LISTENERS: usize = 1_000;
/// Topics that one agent listens to.
const MAX_SUBSCRIPTIONS: usize = 1_000;
/// The longest name of a topic in bytes.
const MAX_TOPIC: usize = 256;

/// An agent's topics while its object is awake.
pub(super) struct Topics {
    store: TopicStore,
    ready: Cell<bool>,
}

impl Topics {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self {
            store: TopicStore::new(db),
            ready: Cell::new(false),
        }
    }

    /// Makes the tables where there are none yet, once in each life of the object.
    fn prepare(&self) -> Result<(), ApiError> {
        if !self.ready.replace(true) {
            self.store.create()?;
        }
        Ok(())
    }
}
