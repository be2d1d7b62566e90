//! Snapshots of this agent, and becoming again what one says.

use std::rc::Rc;

use entente_trust::identity::Log;

use crate::agent::core::Core;
use crate::auth::recall::Outdate;
use crate::backup::wire::{Back, PutBack};
use crate::error::ApiError;
use crate::internal;

impl Core {
    /// Has the relay told of changes that no backup has.
    pub(super) fn watch(self: &Rc<Self>) {
        let told = Rc::downgrade(self);
        self.keeper.watch(move || {
            let Some(core) = told.upgrade() else { return };
            let named = Rc::clone(&core);
            core.keeper.tell_soon(move || {
                let me = named.identity().ok()?;
                Some(format!("agent/{}", me.did))
            });
        });
    }

    /// Becomes what a snapshot says, where nothing is or the agent was deleted. Nothing acts yet: see
    /// `wake`. What is kept in memory is of before.
    pub(super) async fn become_again(&self, mut wish: PutBack) -> Result<Back, ApiError> {
        wish.replace |= self.is_deleted();
        self.keeper
            .put_back(&wish, || {
                // Whoever called it before it was lost is looked up anew.
                self.outdate(Outdate {
                    version: internal::now().0,
                })?;
                // Its revisions begin anew: the replica may have seen later ones.
                self.end_replica_life()?;
                self.abandon_uploads()?;
                self.wakes.store.begin_anew(internal::now())?;
                self.check_log(wish.log.as_deref())
            })
            .await
    }

    /// The keys that come back must be those that others know, or their successors would be lost.
    fn check_log(&self, listed: Option<&str>) -> Result<(), ApiError> {
        let Some(listed) = listed else { return Ok(()) };
        let listed = Log::parse(listed).map_err(ApiError::internal)?;
        let own = self.own_log()?;
        if own.last().seq() >= listed.last().seq() {
            return Ok(());
        }
        Err(ApiError::new(
            409,
            "BACKUP_KEYS_OLD",
            "The agent's keys were rotated after this backup, and those it holds are not valid any more: name a newer `generation`, or delete the agent and create another.",
        ))
    }
}
