//! The queue's consumer: brings the replica of agents' records up to date.
//!
//! A message is a hint, no more: an agent's DID and the revision it had. What changed is asked of the
//! agent's object from the replica's own cursor on, page by page, so a hint that comes twice, late or
//! never does no harm; an agent whose changes stay behind sends another one.

use std::collections::BTreeMap;

use entente_lexicon::Did;
use serde::{Deserialize, Serialize};
use worker::{Env, MessageExt as _, RawMessage, console_warn};

use crate::agent::wire::{self, ReplicaCursor, ReplicaFailed, ReplicaPage, ReplicaPull};
use crate::error::ApiError;
use crate::internal::{self, now};
use crate::store::d1::Directory;
use crate::store::replica::ReplicaTarget;

/// The binding of the queue.
const QUEUE: &str = "HINTS";
/// Pages written for one batch of hints. Each takes two subrequests and five statements, of which an
/// invocation has 1,000.
const MAX_PAGES: u32 = 150;

/// A message of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hint {
    /// Whose records changed.
    pub(crate) did: String,
    /// The last revision there was.
    pub(crate) revision: u64,
}

/// Hints that an agent's records changed.
///
/// # Errors
/// If there is no queue, or it does not take the hint.
pub(crate) async fn hint(env: &Env, hint: Hint) -> Result<(), ApiError> {
    Ok(env.queue(QUEUE)?.send(hint).await?)
}

/// Takes a batch of hints. What could not be done is asked to come again.
pub(crate) async fn consume(changes: Vec<(Did, RawMessage)>, env: &Env) {
    let mut hints: BTreeMap<Did, Vec<RawMessage>> = BTreeMap::new();
    for (did, message) in changes {
        hints.entry(did).or_default().push(message);
    }
    let mut pages = MAX_PAGES;
    for (did, messages) in hints {
        let done = replicate(env, &did, &mut pages).await;
        if let Err(error) = &done {
            console_warn!("the replica of {did} waits: {error}");
        }
        for message in messages {
            if done.is_ok() {
                message.ack();
            } else {
                message.retry();
            }
        }
    }
}

/// Reads a message of the queue; nothing if it is none of these.
pub(crate) fn read(message: &RawMessage) -> Option<Did> {
    let did = js_sys::Reflect::get(&message.body(), &"did".into()).ok()?;
    Did::parse(&did.as_string()?).ok()
}

/// Brings one agent's replica up to date, as far as `pages` last; the agent asks for the rest.
async fn replicate(env: &Env, did: &Did, pages: &mut u32) -> Result<(), ApiError> {
    let directory = Directory::open(env)?;
    let mut target = directory.replica(did).await?;
    while let Some(at) = target.take()
        && *pages > 0
    {
        *pages -= 1;
        let stub = internal::agent(env, &at.object_id)?;
        let pull = ReplicaPull {
            cursor: at.cursor.clone(),
        };
        let page: ReplicaPage = wire::call(&stub, "/replica/pull", &pull).await?;
        if !page.reset && page.is_empty() {
            return Ok(());
        }
        let moved = match write(&directory, did, at.cursor.as_ref(), &page).await {
            Ok(moved) => moved,
            Err(error) => {
                let failed = ReplicaFailed {
                    error: error.to_string(),
                };
                let () = wire::call(&stub, "/replica/failed", &failed).await?;
                return Err(error);
            }
        };
        target = if moved {
            Some(ReplicaTarget {
                cursor: Some(page.cursor),
                ..at
            })
        } else {
            directory.replica(did).await?
        };
    }
    Ok(())
}

/// Returns whether the replica is now as far as the page says.
async fn write(
    directory: &Directory,
    did: &Did,
    cursor: Option<&ReplicaCursor>,
    page: &ReplicaPage,
) -> Result<bool, ApiError> {
    if page.reset {
        directory.reset_replica(did, cursor).await?;
        return Ok(false);
    }
    directory.write_replica(did, cursor, page, now()).await
}
