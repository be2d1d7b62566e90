//! A2A: agents of no network call this one, and this one calls them.
//!
//! What they ask for is a task of this agent's.
//! The caller is no agent that has a side of its own: both ends of the task are in this object. What
//! the caller says is heard by the worker's state machine, in the transaction that answers it; what the
//! worker says is looked up, streamed, or pushed. Start reading at [`serve`].
//!
//! What this agent asks of them is a task of which it is the requester; see [`elsewhere`].

mod callers;
mod elsewhere;
mod push;
mod remote_store;
mod remotes;
mod serve;
mod store;
mod stream;
mod watch;
mod words;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use entente_a2a::pace::Paces;
use entente_lexicon::Timestamp;

use crate::store::sqlite::Sqlite;
use remote_store::RemoteStore;
pub(crate) use serve::CardWish;
use store::A2aStore;
use watch::Watch;

/// The number of callers without a key.
const ANYONE: u64 = 0;

/// What an agent needs for A2A while its object is awake.
pub(super) struct A2a {
    store: A2aStore,
    remotes: RemoteStore,
    pub(super) watch: Watch,
    /// How often each caller called lately.
    paces: RefCell<Paces>,
    /// Answers that wait for a task to go on.
    waiting: Rc<Cell<u32>>,
    /// Whether agents elsewhere are being called, and whether that is to be done again afterwards.
    calling: Cell<bool>,
    again: Cell<bool>,
    /// Agents elsewhere that gave no answer, by number, and until when they are left alone.
    resting: RefCell<BTreeMap<u64, Timestamp>>,
}

impl A2a {
    pub(super) fn new(db: &Rc<Sqlite>) -> Self {
        Self {
            store: A2aStore::new(Rc::clone(db)),
            remotes: RemoteStore::new(Rc::clone(db)),
            watch: Watch::default(),
            paces: RefCell::default(),
            waiting: Rc::new(Cell::new(0)),
            calling: Cell::new(false),
            again: Cell::new(false),
            resting: RefCell::default(),
        }
    }

    /// Makes the tables.
    pub(super) fn create(&self) -> Result<(), crate::store::sqlite::StoreError> {
        self.store.create()?;
        self.remotes.create()
    }
}
