//! What every part of an agent's object shares.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use entente_lexicon::api::NewEvent;
use entente_lexicon::{Address, Did, Host, Timestamp};
use worker::{Env, State, WebSocket};

use crate::agent::blocks::Blocks;
use crate::agent::contacts::Contacts;
use crate::agent::conversations::Conversations;
use crate::agent::groups::Groups;
use crate::agent::handed::Handed;
use crate::agent::identity::Me;
use crate::agent::lanes::Lanes;
use crate::agent::memory::Memory;
use crate::agent::outbox::Outbox;
use crate::agent::prekeys::Prekeys;
use crate::agent::repo_reads::RepoReads;
use crate::agent::resolving::Resolving;
use crate::agent::store::AgentStore;
use crate::agent::tasks::Tasks;
use crate::agent::topics::Topics;
use crate::agent::wakes::Wakes;
use crate::agent::webhooks::Webhooks;
use crate::backup::Keeper;
use crate::drill::Affliction;
use crate::reporter::Reporter;
use crate::store::sqlite::Sqlite;

/// One agent while its object is awake. Everything here can be rebuilt from SQLite.
pub(super) struct Core {
    pub(super) state: State,
    pub(super) env: Env,
    pub(super) db: Rc<Sqlite>,
    pub(super) store: AgentStore,
    pub(super) contacts: Contacts,
    pub(super) conversations: Conversations,
    pub(super) prekeys: Prekeys,
    pub(super) resolving: Resolving,
    pub(super) outbox: Outbox,
    pub(super) lanes: Lanes,
    /// Whether senders are being told what was read.
    pub(super) telling: Cell<bool>,
    /// Whether the directory is being told of dead letters.
    pub(super) telling_dead: Cell<bool>,
    /// How this agent fails, in a drill.
    pub(super) affliction: Affliction,
    pub(super) handed: Handed,
    pub(super) repo_reads: RepoReads,
    pub(super) memory: Memory,
    pub(super) tasks: Tasks,
    pub(super) blocks: Blocks,
    pub(super) webhooks: Webhooks,
    pub(super) groups: Groups,
    pub(super) topics: Topics,
    pub(super) wakes: Wakes,
    pub(super) reporter: Rc<Reporter>,
    pub(super) keeper: Keeper,
    /// The identity, once it has been unsealed in this life of the object.
    pub(super) me: RefCell<Option<Rc<Me>>>,
    /// The version that a remembered row of this agent must have, once it has been read.
    pub(super) oldest_row: Cell<Option<u64>>,
    /// When the next retry is due, so that the alarm is set only when that changes.
    pub(super) alarm: Rc<Cell<Option<Timestamp>>>,
}

impl Core {
    pub(super) fn new(state: State, env: Env) -> Rc<Self> {
        let db = Rc::new(Sqlite::new(&state));
        let core = Rc::new(Self {
            keeper: Keeper::new(&db, &env),
            store: AgentStore::new(Rc::clone(&db)),
            contacts: Contacts::default(),
            conversations: Conversations::default(),
            prekeys: Prekeys::default(),
            resolving: Resolving::default(),
            outbox: Outbox::default(),
            lanes: Lanes::default(),
            telling: Cell::new(false),
            telling_dead: Cell::new(false),
            affliction: Affliction::default(),
            handed: Handed::default(),
            repo_reads: RepoReads::default(),
            memory: Memory::new(Rc::clone(&db)),
            tasks: Tasks::new(Rc::clone(&db)),
            blocks: Blocks::new(Rc::clone(&db)),
            webhooks: Webhooks::new(Rc::clone(&db)),
            groups: Groups::new(Rc::clone(&db)),
            topics: Topics::new(Rc::clone(&db)),
            wakes: Wakes::new(Rc::clone(&db)),
            reporter: Reporter::new(env.clone()),
            me: RefCell::new(None),
            oldest_row: Cell::new(None),
            alarm: Rc::new(Cell::new(None)),
            state,
            env,
            db,
        });
        core.watch();
        core
    }

    /// Returns the sockets of programs that act as this agent.
    pub(super) fn sockets(&self) -> Vec<WebSocket> {
        self.state.get_websockets()
    }

    /// Tells the relay what happened, for the firehose.
    pub(super) fn report(&self, event: NewEvent) {
        self.reporter.report(event);
    }
}

/// Writes an address.
pub(super) fn address(did: &Did, host: &Host) -> String {
    Address {
        did: did.clone(),
        host: host.clone(),
    }
    .to_string()
}
