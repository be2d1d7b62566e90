//! What every part of the relay's object shares.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use entente_lexicon::api::{LinkState, NetworkView, PublicPeer};
use entente_lexicon::{AgentName, Did, Timestamp, TrustLevel};
use worker::{Env, State};

use crate::backup::Keeper;
use crate::config::{Config, Problem};
use crate::error::ApiError;
use crate::internal;
use crate::relay::anonymous::Anonymiser;
use crate::relay::identity::Stored;
use crate::relay::limits::ContactLimits;
use crate::relay::presence::Presence;
use crate::relay::shards::Shards;
use crate::relay::store::RelayStore;
use crate::relay::wakes::Wakes;
use crate::store::d1::Directory;
use crate::store::sqlite::Sqlite;

/// Agents and peers that one status frame shows at most.
const MAX_SHOWN: usize = 500;

/// The relay while its object is awake. Everything here can be rebuilt from SQLite and D1.
pub(super) struct Core {
    pub(super) state: State,
    pub(super) env: Env,
    pub(super) db: Rc<Sqlite>,
    pub(super) store: RelayStore,
    pub(super) limits: RefCell<ContactLimits>,
    /// The stream, once it has been restored in this life of the object.
    pub(super) live: RefCell<Option<Live>>,
    pub(super) listed: RefCell<Option<Listed>>,
    pub(super) status_due: Cell<bool>,
    /// Something happened since the status was looked at.
    pub(super) status_stale: Cell<bool>,
    /// When that was.
    pub(super) status_looked: Cell<Timestamp>,
    /// Until then requests are under way that the sweep must look at again.
    pub(super) sweep_until: Cell<Timestamp>,
    /// Announcements are being offered to the links.
    pub(super) offering: Cell<bool>,
    /// There may be more of them since.
    pub(super) offer_again: Cell<bool>,
    /// What an earlier life left to do was looked at.
    pub(super) revived: Cell<bool>,
    pub(super) keeper: Keeper,
    /// A backup or a restore is under way.
    pub(super) backing_up: Cell<bool>,
    pub(super) me: Weak<Self>,
}

/// The stream of events and what viewers are told beside it.
pub(super) struct Live {
    pub(super) stored: Stored,
    pub(super) epoch: String,
    pub(super) newest: u64,
    pub(super) presence: Presence,
    pub(super) anonymiser: Anonymiser,
    /// The fan-out objects that have viewers, and what they are to be told.
    pub(super) shards: Shards,
    /// The agents that events wake.
    pub(super) wakes: Wakes,
}

/// What the directory said when it was last asked.
#[derive(Clone)]
pub(super) struct Listed {
    pub(super) agents: Vec<(Did, AgentName, bool)>,
    pub(super) peers: Vec<PublicPeer>,
}

impl Core {
    pub(super) fn new(state: State, env: Env) -> Rc<Self> {
        let db = Rc::new(Sqlite::new(&state));
        let core = Rc::new_cyclic(|me| Self {
            keeper: Keeper::new(&db, &env),
            backing_up: Cell::default(),
            me: Weak::clone(me),
            store: RelayStore::new(Rc::clone(&db)),
            limits: RefCell::default(),
            live: RefCell::new(None),
            listed: RefCell::new(None),
            status_due: Cell::new(false),
            status_stale: Cell::new(true),
            status_looked: Cell::default(),
            sweep_until: Cell::default(),
            offering: Cell::default(),
            offer_again: Cell::default(),
            revived: Cell::default(),
            state,
            env,
            db,
        });
        let told = Rc::downgrade(&core);
        core.keeper.watch(move || {
            if let Some(core) = told.upgrade() {
                core.note_own_change();
            }
        });
        core
    }

    pub(super) fn config(&self) -> Result<Config, ApiError> {
        Ok(Config::from_env(&self.env)?)
    }

    /// Runs `work` upon the stream, restoring it first if need be. Never awaits.
    pub(super) fn with_live<T>(
        &self,
        work: impl FnOnce(&mut Live) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut slot = self.live.borrow_mut();
        if let Some(live) = slot.as_mut() {
            return work(live);
        }
        work(slot.insert(self.restore()?))
    }

    fn restore(&self) -> Result<Live, ApiError> {
        let stored = self.stored()?.ok_or(Problem::NotInitialised)?;
        let epoch = self.store.meta(EPOCH)?;
        let epoch = epoch.ok_or_else(|| ApiError::internal("the relay has no epoch"))?;
        let newest = self.store.newest()?;
        Ok(Live {
            newest,
            anonymiser: Anonymiser::new(&self.observer_secret(&stored)?),
            epoch: String::from_utf8_lossy(&epoch).into_owned(),
            presence: self.store.presence()?,
            shards: self.restore_shards(newest)?,
            wakes: self.restore_wakes()?,
            stored,
        })
    }

    /// Asks the directory who lives here and whom we peer with, unless that is still known.
    pub(super) async fn listed(&self) -> Result<Listed, ApiError> {
        if let Some(listed) = self.listed.borrow().as_ref() {
            return Ok(listed.clone());
        }
        let directory = Directory::open(&self.env)?;
        let agents = directory.agents().await?;
        let peers = directory.peers().await?;
        let listed = Listed {
            agents: agents
                .into_iter()
                .filter(|row| row.is_active())
                .filter_map(|row| {
                    let admin_read = row.admin_may_read();
                    row.did.map(|did| (did, row.name, admin_read))
                })
                .take(MAX_SHOWN)
                .collect(),
            peers: peers
                .into_iter()
                .filter(|row| !row.is_closing())
                .take(MAX_SHOWN)
                .map(|row| PublicPeer {
                    did: row.did.to_string(),
                    state: LinkState::Connecting,
                    trust_level: row.level,
                    host: row.host.to_string(),
                })
                .collect(),
        };
        self.listed.replace(Some(listed.clone()));
        Ok(listed)
    }

    /// Shows this network.
    pub(super) fn network(stored: &Stored, trust_level: TrustLevel) -> NetworkView {
        NetworkView {
            did: stored.did.to_string(),
            host: stored.host.to_string(),
            name: stored.name.clone(),
            trust_level,
        }
    }
}

/// Where the epoch of the event sequence is kept.
pub(super) const EPOCH: &str = "epoch";

/// Makes an epoch for a new sequence: another one than any before, should storage be lost.
pub(super) fn new_epoch() -> String {
    data_encoding::HEXLOWER.encode(&internal::random::<6>())
}
