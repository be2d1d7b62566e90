//! What this agent sends to URLs that its owner named.
//!
//! [`courier`] is for whoever has something to send: a target is made once ([`TargetConfig`]), and
//! [`Push`] is written in the transaction of what it tells of, so that it is sent at least once, whatever
//! ends in between. [`send`] sends: signed, guarded, again until it is taken or a dead letter. What is
//! decided is decided in `entente_delivery`. [`hooks`] and [`events`] are the webhooks themselves.

pub(super) mod courier;
mod events;
mod hooks;
mod routes;
mod send;
mod store;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::store::sqlite::Sqlite;
pub(super) use events::Happened;
use hooks::Hook;
pub(super) use hooks::{Deed, no_dead_letter};
use store::PushStore;
pub(super) use store::SCHEMA;

/// What an agent sends, while its object is awake.
pub(super) struct Webhooks {
    store: PushStore,
    /// Targets that are being sent to.
    running: RefCell<BTreeSet<String>>,
    /// The webhooks, once they were asked for.
    hooks: RefCell<Option<Rc<Vec<Hook>>>>,
    /// Whether this life of the object has looked at what an earlier one left.
    woken: Cell<bool>,
}

impl Webhooks {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self {
            store: PushStore::new(db),
            running: RefCell::default(),
            hooks: RefCell::default(),
            woken: Cell::new(false),
        }
    }
}
