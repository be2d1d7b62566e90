//! What happened to the public repo, for atproto's stream of repos: committed with the write, then handed
//! to the relay, which gives it its place in the stream.
//!
//! A row stays until the relay has committed it, and the alarm tries again; the relay knows each event by
//! its id.

use std::rc::Rc;

use entente_lexicon::Did;
use entente_memory::repo::events::{Body, Change, Event, Op};
use entente_memory::repo::{Cid, SignedCommit, car};
use serde_bytes::ByteBuf;
use wasm_bindgen_futures::spawn_local;
use worker::console_warn;

use crate::agent::core::Core;
use crate::agent::outbox::WATCH_MS;
use crate::agent::repo::RepoTree;
use crate::agent::store::AgentStore;
use crate::agent::wire::{self, NewRepoEvent};
use crate::error::ApiError;
use crate::internal;
use crate::params;
use crate::store::sqlite::StoreError;

/// The table of what the relay has yet to take.
pub(super) const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS repo_events(
    n INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL, event BLOB NOT NULL)";
/// Events of one call: each is at most 32 KiB of blocks.
const MAX_BATCH: u32 = 16;

impl Core {
    /// Notes that the public tree was written to. Part of the write's transaction.
    pub(super) fn tell_commit(
        &self,
        did: &Did,
        (before, signed): (&SignedCommit, &SignedCommit),
        ops: Vec<Op>,
        mut blocks: Vec<(Cid, Vec<u8>)>,
    ) -> Result<(), ApiError> {
        for op in &ops {
            let Some(cid) = &op.cid else { continue };
            let path = op.path.parse().map_err(ApiError::internal)?;
            let block = self.store.record_block(&path, cid)?;
            blocks.extend(block.map(|block| (*cid, block)));
        }
        let change = Change {
            commit: signed.cid(),
            since: Some(before.commit.rev.clone()),
            prev_data: Some(before.commit.data),
            ops,
        };
        let encoded = signed.encode();
        let rev = signed.commit.rev.clone();
        let at = internal::now();
        self.keep_repo_event(&Event::of_commit(did, rev, change, (&encoded, &blocks), at))
    }

    /// Notes that another key signs the public tree from here on. Part of the write's transaction.
    pub(super) fn tell_resigned(&self, did: &Did, signed: &SignedCommit) -> Result<(), ApiError> {
        self.keep_repo_event(&Event {
            did: did.clone(),
            rev: signed.commit.rev.clone(),
            body: Body::Identity,
            blocks: Vec::new(),
            at: internal::now(),
        })?;
        self.keep_repo_event(&sync(signed))
    }

    /// Tells, after the agent was put back, what its public repo is: the relay may have heard of what came
    /// after that, or of nothing.
    pub(super) fn tell_put_back(&self) -> Result<(), ApiError> {
        self.keep_repo_event(&sync(&self.head(RepoTree::Public)?))
    }

    fn keep_repo_event(&self, event: &Event) -> Result<(), ApiError> {
        let event = serde_ipld_dagcbor::to_vec(event).map_err(ApiError::internal)?;
        self.store.keep_repo_event(&internal::random(), &event)?;
        self.wake_in(0);
        Ok(())
    }

    /// Hands the relay what it has yet to take. Called by the alarm.
    pub(super) fn hand_repo_events(self: &Rc<Self>) -> Result<(), ApiError> {
        if self.store.repo_events(1)?.is_empty() {
            return Ok(());
        }
        let core = Rc::clone(self);
        // Whatever becomes of this attempt, there is another one.
        core.wake_in(WATCH_MS);
        spawn_local(async move {
            if let Err(error) = core.hand_all_repo_events().await {
                console_warn!("the stream of repos waits: {error}");
            }
        });
        Ok(())
    }

    async fn hand_all_repo_events(&self) -> Result<(), ApiError> {
        loop {
            let waiting = self.store.repo_events(MAX_BATCH)?;
            let Some((last, _)) = waiting.last() else {
                return Ok(());
            };
            let last = *last;
            let events: Vec<_> = waiting.into_iter().map(|(_, event)| event).collect();
            let relay = internal::relay(&self.env)?;
            let () = wire::call(&relay, "/repos/events", &events).await?;
            self.store.drop_repo_events(last)?;
        }
    }
}

/// Makes what a repo is told as that is at this commit, whatever was told before.
fn sync(signed: &SignedCommit) -> Event {
    let commit = signed.cid();
    let mut blocks = car::header(&commit);
    car::append(&mut blocks, &commit, &signed.encode());
    Event {
        did: signed.commit.did.clone(),
        rev: signed.commit.rev.clone(),
        body: Body::Sync(commit),
        blocks,
        at: internal::now(),
    }
}

impl AgentStore {
    fn keep_repo_event(&self, id: &[u8; 16], event: &[u8]) -> Result<(), StoreError> {
        self.db.exec(
            "INSERT INTO repo_events(id, event) VALUES(?, ?)",
            params![*id, event],
        )
    }

    fn repo_events(&self, limit: u32) -> Result<Vec<(u64, NewRepoEvent)>, StoreError> {
        let rows = self.db.rows(
            "SELECT n, id, event FROM repo_events ORDER BY n LIMIT ?",
            params![limit],
        )?;
        let events = rows.iter().map(|row| {
            let event = NewRepoEvent {
                id: ByteBuf::from(row.blob(1)?),
                event: ByteBuf::from(row.blob(2)?),
            };
            Ok((row.integer(0)?, event))
        });
        events.collect()
    }

    fn drop_repo_events(&self, upto: u64) -> Result<(), StoreError> {
        self.db
            .exec("DELETE FROM repo_events WHERE n <= ?", params![upto])
    }
}
