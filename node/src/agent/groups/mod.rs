//! Groups: who is in, what is said to all of them, and how far it came to each.
//!
//! A change, and what has to be told because of it, are one transaction, and only then is anything
//! answered. What has to be told, and what is said, goes as sealed mail to each member by itself, until
//! mail has it; what mail bounces is looked at again. Start reading at [`act`] and [`hear`]; what is
//! decided is decided in `entente_groups`.

mod act;
mod cast;
mod hear;
mod post;
mod routes;
mod store;
mod tend;
mod view;

use std::cell::Cell;
use std::rc::Rc;

use entente_groups::{Fresh, Group, Refusal, Tell};
use entente_lexicon::{MessageId, Timestamp};
use entente_trust::group::GroupKey;

use crate::agent::core::Core;
use crate::agent::identity::Me;
use crate::error::ApiError;
use crate::internal;
use crate::store::sqlite::Sqlite;
pub(super) use hear::GroupFault;
use store::{GroupStore, StoredGroup};

/// What could not be told is tried again after this.
const RETRY_MS: u64 = 30_000;

/// An agent's groups while its object is awake.
pub(super) struct Groups {
    store: GroupStore,
    /// Whether the tables are known to be there, or not to be.
    ready: Cell<Option<bool>>,
    /// Whether this life of the object has looked at what an earlier one left.
    woken: Cell<bool>,
    /// Whether groups are being tended, and whether that is to be done again afterwards.
    tending: Cell<bool>,
    again: Cell<bool>,
    /// Whether a delivery brought up something to tell.
    stirred: Cell<bool>,
}

impl Groups {
    pub(super) fn new(db: Rc<Sqlite>) -> Self {
        Self {
            store: GroupStore::new(db),
            ready: Cell::new(None),
            woken: Cell::new(false),
            tending: Cell::new(false),
            again: Cell::new(false),
            stirred: Cell::new(false),
        }
    }

    /// Whether there is anything to tend: agents that were never in a group have no tables.
    fn is_used(&self) -> Result<bool, ApiError> {
        if let Some(ready) = self.ready.get() {
            return Ok(ready);
        }
        if self.store.exists()? {
            self.prepare()?;
        } else {
            self.ready.set(Some(false));
        }
        Ok(self.ready.get() == Some(true))
    }

    /// Makes the tables where there are none yet, once in each life of the object.
    fn prepare(&self) -> Result<(), ApiError> {
        if self.ready.get() != Some(true) {
            self.store.create()?;
            self.ready.set(Some(true));
        }
        Ok(())
    }
}

impl Core {
    /// What a new epoch is made with.
    fn fresh<'a>(&self, me: &'a Me) -> Fresh<'a> {
        Fresh {
            at: internal::now(),
            key: GroupKey::generate(&mut internal::rng()),
            signer: &me.signing,
        }
    }

    fn open_group(&self, me: &Me, stored: &StoredGroup) -> Result<Group, ApiError> {
        let bytes = me.open_secret(&purpose(&stored.id), &stored.machine)?;
        Group::from_bytes(&bytes).ok_or_else(|| ApiError::internal("a group is damaged"))
    }

    fn group(&self, me: &Me, id: &MessageId) -> Result<Option<Group>, ApiError> {
        let stored = self.groups.store.group(id)?;
        stored
            .map(|stored| self.open_group(me, &stored))
            .transpose()
    }

    /// Writes a group down, and what has to be told. Part of the caller's transaction.
    fn keep_group(
        &self,
        me: &Me,
        group: &Group,
        tells: &[Tell],
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let id = MessageId::from_bytes(*group.id());
        let bytes = group
            .to_bytes()
            .ok_or_else(|| ApiError::internal("a group cannot be written"))?;
        let machine = me.seal_secret(&purpose(&id), &bytes);
        self.groups.store.keep(&id, group, &machine, now)?;
        self.tell_group(&id, tells, now)
    }

    fn tell_group(&self, id: &MessageId, tells: &[Tell], now: Timestamp) -> Result<(), ApiError> {
        for tell in tells {
            self.groups.store.tell(id, &tell.to, tell.says, now)?;
        }
        if !tells.is_empty() {
            // What has to be told is told by a later life if this one ends now.
            self.wake_in(RETRY_MS);
            self.groups.stirred.set(true);
        }
        Ok(())
    }
}

fn purpose(id: &MessageId) -> String {
    format!("group/{id}")
}

/// Makes the answer to a program's act that is refused.
fn refused(refusal: Refusal) -> ApiError {
    let status = match refusal {
        Refusal::NotOwner => 403,
        Refusal::Unfit | Refusal::OwnerStays => 400,
        Refusal::NotMember => 404,
        Refusal::NotJoined
        | Refusal::NotInvited
        | Refusal::AlreadyMember
        | Refusal::Full
        | Refusal::Forged
        | Refusal::OldEpoch
        | Refusal::UnknownEpoch
        | Refusal::OutOfOrder => 409,
    };
    let mut text = refusal.to_string();
    if let Some(first) = text.get(..1).map(str::to_uppercase) {
        text.replace_range(..1, &first);
    }
    ApiError::new(
        status,
        refusal.code(),
        format!("{text}: GET …/groups/:id shows how it stands."),
    )
}
