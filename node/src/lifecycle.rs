//! The steps that a crash may leave half done: each can be repeated at any point, by the route
//! that began it or by the relay's sweep.

use entente_lexicon::Timestamp;
use futures::future::join_all;
use serde_json::Value;
use worker::{Env, console_warn};

use crate::error::ApiError;
use crate::internal::{self, now};
use crate::shapes::{CloseLink, Nothing, RepoDeleted};
use crate::store::agents::AgentStatus;
use crate::store::bans::BanRow;
use crate::store::d1::Directory;
use crate::store::peers::PeerRow;

/// What is older than this was interrupted: no request takes so long.
pub const INTERRUPTED_MS: u64 = 30_000;
/// What senders of mail to a removed peer are told.
const PEER_REMOVED: &str = "PEER_REMOVED";

/// Wipes an agent's object and leaves its tombstone.
///
/// # Errors
/// If the object or D1 fails; the row then says `deleting`, and the sweep tries again.
pub async fn bury(
    env: &Env,
    directory: &Directory,
    object_id: &str,
    request: &str,
) -> Result<(), ApiError> {
    directory.begin_deletion(object_id, now()).await?;
    let stub = internal::agent(env, object_id)?;
    let row = directory.agent_by_object(object_id).await?;
    let Nothing {} = internal::post(&stub, "/destroy", &Nothing {}, request).await?;
    if let Some(did) = row.and_then(|row| row.did) {
        // Told again if this is cut off: readers of repos know that it is gone.
        let relay = internal::relay(env)?;
        let Nothing {} =
            internal::post(&relay, "/repos/deleted", &RepoDeleted { did }, request).await?;
    }
    directory.drop_replica(object_id).await?;
    directory.finish_deletion(object_id, now()).await
}

/// Tells a peer's link its policy and document.
///
/// # Errors
/// If the link or D1 fails; the sweep tries again.
pub async fn sync_peer(
    env: &Env,
    directory: &Directory,
    peer: &PeerRow,
    request: &str,
) -> Result<(), ApiError> {
    let stub = internal::link(env, &peer.did)?;
    let ban = directory.ban(&peer.did, Some(&peer.host), now()).await?;
    let init = peer.init(ban.as_ref());
    let Nothing {} = internal::post(&stub, "/init", &init, request).await?;
    directory.peer_synced(&peer.did, peer.policy_version).await
}

/// Wakes every link, so that a network that comes back hears from its peers at once and need not
/// wait for their next attempt. A link that fails is left to its own retries.
///
/// # Errors
/// If D1 fails.
pub async fn wake_links(env: &Env, directory: &Directory, request: &str) -> Result<(), ApiError> {
    let peers = directory.peers().await?;
    let bans = directory.bans(now()).await?;
    let calls = peers
        .iter()
        .filter(|peer| !peer.is_closing())
        .map(|peer| async {
            let stub = internal::link(env, &peer.did)?;
            let init = peer.init(banned(&bans, peer));
            let outcome: Result<Value, _> = internal::post(&stub, "/init", &init, request).await;
            outcome.map(|_view| ())
        });
    for error in join_all(calls).await.into_iter().filter_map(Result::err) {
        console_warn!("a link could not be woken: {error}");
    }
    Ok(())
}

/// Finds the ban on a peer among those in force: the one that lasts longest.
#[must_use]
pub fn banned<'a>(bans: &'a [BanRow], peer: &PeerRow) -> Option<&'a BanRow> {
    let names = [peer.did.as_str(), peer.host.as_str()];
    let on_peer = bans
        .iter()
        .filter(|ban| names.contains(&ban.subject.as_str()));
    on_peer.max_by_key(|ban| ban.expires_at.unwrap_or(u64::MAX))
}

/// Winds a peer's link up, so that queued mail is refused to its senders, and forgets the peer.
///
/// # Errors
/// If the link or D1 fails; the row then says `closing`, and the sweep tries again.
pub async fn close_peer(
    env: &Env,
    directory: &Directory,
    peer: &PeerRow,
    request: &str,
) -> Result<(), ApiError> {
    let stub = internal::link(env, &peer.did)?;
    let body = CloseLink {
        reason: PEER_REMOVED.to_owned(),
    };
    let Nothing {} = internal::post(&stub, "/close", &body, request).await?;
    if directory.finish_removal(&peer.did).await? {
        return Ok(());
    }
    // Added again while its link was being wound up: the link must hear of it again.
    match directory.peer(&peer.did).await? {
        Some(again) => sync_peer(env, directory, &again, request).await,
        None => Ok(()),
    }
}

/// Finishes or undoes what was interrupted. Returns whether something is left to look at again.
///
/// # Errors
/// If D1 fails; one agent or peer that fails keeps no other from being settled.
pub async fn sweep(env: &Env, request: &str) -> Result<bool, ApiError> {
    let directory = Directory::open(env)?;
    let horizon = Timestamp(now().0.saturating_sub(INTERRUPTED_MS));
    for row in directory.unsettled_agents(horizon).await? {
        // The token of an interrupted birth was never shown: undo it, and the name is free.
        if matches!(row.status, AgentStatus::Creating | AgentStatus::Deleting)
            && let Err(error) = bury(env, &directory, &row.object_id, request).await
        {
            console_warn!("sweep: agent {}: {error}", row.name);
        }
    }
    for row in directory.unsettled_peers(horizon).await? {
        let outcome = if row.is_closing() {
            close_peer(env, &directory, &row, request).await
        } else {
            sync_peer(env, &directory, &row, request).await
        };
        if let Err(error) = outcome {
            console_warn!("sweep: peer {}: {error}", row.host);
        }
    }
    directory.trim_audit(now()).await?;
    let everything = now();
    Ok(!directory.unsettled_agents(everything).await?.is_empty()
        || !directory.unsettled_peers(everything).await?.is_empty())
}
