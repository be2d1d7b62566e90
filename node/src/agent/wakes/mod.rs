//! Filters that wake this agent: its owner leaves them, the relay judges events by them and calls, and
//! what it brings is kept for a while, each event once and in order.
//!
//! The filters here are the truth. The relay is told of them with a version; what it does not know yet
//! it is told again, by the alarm and in each new life of the object.

mod filters;
mod routes;
mod store;
mod take;

use std::cell::Cell;
use std::rc::Rc;

use crate::store::sqlite::Sqlite;
use store::WakeStore;

/// What wakes an agent, while its object is awake.
pub(super) struct Wakes {
    pub(super) store: WakeStore,
    /// The relay is being told of the filters.
    telling: Cell<bool>,
    /// This life of the object has looked whether the relay knows them.
    woken: Cell<bool>,
}

impl Wakes {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self {
            store: WakeStore::new(db),
            telling: Cell::new(false),
            woken: Cell::new(false),
        }
    }
}
