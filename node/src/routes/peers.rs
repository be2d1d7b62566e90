//! Peers: adding, listing, changing and removing them.

use std::collections::BTreeSet;

use entente_lexicon::api::{
    AddPeer, ChangePeer, LinkState, NewEvent, PeerList, PeerView, PublicPeers,
};
use entente_lexicon::{Did, Timestamp, TrustLevel};
use entente_trust::policy::{self, Direction, Item, ItemKind, Policy, Reason, Verdict};
use entente_well_known::guard::{Target, check_peer_url};
use futures::stream::{self, StreamExt};
use worker::Response;

use crate::error::ApiError;
use crate::guard;
use crate::internal::{self, now};
use crate::lifecycle;
use crate::routes::agents::arm_sweep;
use crate::routes::call::{Call, Ready};
use crate::routes::federation::network_private;
use crate::routes::{body, reply};
use crate::shapes::PEERS_PATH;
use crate::store::peers::{NewPeer, PeerRow};

/// Peers that a network may have.
const MAX_PEERS: u64 = 500;
/// Of these, networks that came by themselves leave some for those that the admin wants.
const MAX_STRANGERS: u64 = 400;
/// Agents that one peer's list may name.
const MAX_ALLOWED: usize = 1_000;
/// Links that are asked for their status at once.
const ASKED_AT_ONCE: usize = 16;

/// A peer that somebody wants, checked but not yet asked.
pub(super) struct Wish {
    pub(super) target: Target,
    pub(super) level: TrustLevel,
    pub(super) allow_agents: BTreeSet<Did>,
    /// The DID that its document must have.
    pub(super) expected: Option<Did>,
}

/// `POST /admin/federation/peers`: adds a peer, or renews what is held about a known one.
pub(super) async fn add(mut call: Call) -> Result<Response, ApiError> {
    let ready = call.ready().await?;
    if !policy::allows_link(ready.config.trust_level) {
        return Err(network_private());
    }
    let wish: AddPeer = body::json(&mut call.request).await?;
    let own = std::slice::from_ref(&ready.config.host);
    let wish = Wish {
        target: check_peer_url(&wish.peer_url, own, &ready.config.dev_hosts)
            .map_err(guard::refused)?,
        level: available(wish.trust_level)?,
        allow_agents: agent_list(wish.allow_agents.unwrap_or_default())?,
        expected: None,
    };
    call.audit("peer.add", wish.target.host.as_str()).await?;
    let peer = admit(&call, &ready, &wish).await?;
    reply::json(201, &view(&call, &peer).await)
}

/// Fetches a peer's document, lists the peer and tells its link.
pub(super) async fn admit(call: &Call, ready: &Ready, wish: &Wish) -> Result<PeerRow, ApiError> {
    let document = guard::fetch_document(&wish.target).await?;
    let directory = call.directory()?;
    if document.did == ready.row.did {
        return Err(ApiError::new(
            422,
            "PEER_IS_SELF",
            "That host serves this network's own document: a network does not peer with itself.",
        ));
    }
    if wish
        .expected
        .as_ref()
        .is_some_and(|did| *did != document.did)
    {
        return Err(ApiError::new(
            403,
            "PEER_DID_MISMATCH",
            "The host's document is of another network than the one that dialled.",
        ));
    }
    let known = directory.peer(&document.did).await?;
    let room = match wish.expected {
        None => MAX_PEERS,
        Some(_) => MAX_STRANGERS,
    };
    if known.is_none() && directory.peer_count().await? >= room {
        return Err(ApiError::new(
            422,
            "TOO_MANY_PEERS",
            "This network has all the peers it can take: an admin must remove one first.",
        ));
    }
    let there = directory.peer_by_host(&wish.target.host).await?;
    if there.is_some_and(|other| other.did != document.did) {
        return Err(ApiError::new(
            409,
            "PEER_HOST_TAKEN",
            "Another network was known at this host. If it was made anew there, remove the old peer first and compare fingerprints.",
        ));
    }
    arm_sweep(&call.env, &call.id).await?;
    let new = NewPeer {
        did: &document.did,
        host: &wish.target.host,
        level: wish.level,
        allow_agents: &wish.allow_agents,
        document: &document.text,
        document_hash: &document.hash,
        fingerprint: &document.fingerprint,
    };
    directory.put_peer(&new, now()).await?;
    let kind = if known.is_none() {
        "peer.added"
    } else {
        "peer.changed"
    };
    sync(call, &document.did, kind).await
}

/// Tells a peer's link what the directory now says, and the viewers that it changed.
async fn sync(call: &Call, did: &Did, kind: &str) -> Result<PeerRow, ApiError> {
    let directory = call.directory()?;
    let peer = directory.peer(did).await?.ok_or_else(unknown_peer)?;
    lifecycle::sync_peer(&call.env, &directory, &peer, &call.id).await?;
    report(call, kind, &peer).await;
    Ok(peer)
}

/// `GET /admin/federation/peers`.
pub(super) async fn list(call: &Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let rows = call.directory()?.peers().await?;
    let rows = rows.iter().filter(|row| !row.is_closing());
    let peers = stream::iter(rows)
        .map(|row| view(call, row))
        .buffered(ASKED_AT_ONCE)
        .collect()
        .await;
    reply::json(200, &PeerList { peers })
}

/// `GET /admin/federation/peers/:did`.
pub(super) async fn show(call: &Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let peer = peer(call).await?;
    reply::json(200, &view(call, &peer).await)
}

/// `PATCH /admin/federation/peers/:did`.
pub(super) async fn change(mut call: Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let change: ChangePeer = body::json(&mut call.request).await?;
    let peer = peer(&call).await?;
    let level = available(change.trust_level.unwrap_or(peer.level))?;
    let allow_agents = match change.allow_agents {
        Some(list) => agent_list(list)?,
        None => peer.allowed().into_iter().collect(),
    };
    arm_sweep(&call.env, &call.id).await?;
    call.audit("peer.change", peer.did.as_str()).await?;
    let directory = call.directory()?;
    let changed = directory
        .change_peer(&peer.did, level, &allow_agents, now())
        .await?;
    if !changed {
        return Err(unknown_peer());
    }
    let peer = sync(&call, &peer.did, "peer.changed").await?;
    reply::json(200, &view(&call, &peer).await)
}

/// `DELETE /admin/federation/peers/:did`: mail that waits for it is refused to its senders.
pub(super) async fn remove(call: &Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let did = Did::parse(call.parameter()).map_err(|_error| unknown_peer())?;
    let directory = call.directory()?;
    let peer = directory.peer(&did).await?.ok_or_else(unknown_peer)?;
    arm_sweep(&call.env, &call.id).await?;
    call.audit("peer.remove", did.as_str()).await?;
    directory.begin_removal(&did, now()).await?;
    lifecycle::close_peer(&call.env, &directory, &peer, &call.id).await?;
    report(call, "peer.removed", &peer).await;
    reply::nothing()
}

/// `GET /relay/peers`: public and reduced; a private network shows none.
pub(super) async fn public(call: &Call) -> Result<Response, ApiError> {
    let ready = call.ready().await?;
    let peers = if policy::allows_link(ready.config.trust_level) {
        internal::get(&internal::relay(&call.env)?, PEERS_PATH, &call.id).await?
    } else {
        PublicPeers { peers: Vec::new() }
    };
    let response = reply::json(200, &peers)?;
    response
        .headers()
        .set("cache-control", "public, max-age=2")?;
    Ok(response)
}

async fn peer(call: &Call) -> Result<PeerRow, ApiError> {
    let did = Did::parse(call.parameter()).map_err(|_error| unknown_peer())?;
    let peer = call.directory()?.peer(&did).await?;
    peer.filter(|peer| !peer.is_closing())
        .ok_or_else(unknown_peer)
}

/// Shows a peer: what its link says, on top of what the directory says.
async fn view(call: &Call, row: &PeerRow) -> PeerView {
    let asked = match internal::link(&call.env, &row.did) {
        Ok(stub) => internal::get::<PeerView>(&stub, "/status", &call.id).await,
        Err(error) => Err(error),
    };
    let listed = PeerView {
        did: row.did.to_string(),
        host: row.host.to_string(),
        fingerprint: row.fingerprint.clone(),
        trust_level: row.level,
        granted: None,
        allow_agents: row.allowed().iter().map(Did::to_string).collect(),
        state: LinkState::Connecting,
        since: Timestamp(row.changed_at),
        queued: 0,
        oldest_age_ms: None,
        round_trip_ms: None,
        last_error: None,
        next_retry: None,
    };
    match asked {
        Ok(status) => PeerView {
            did: listed.did,
            host: listed.host,
            fingerprint: listed.fingerprint,
            trust_level: listed.trust_level,
            allow_agents: listed.allow_agents,
            ..status
        },
        Err(error) => PeerView {
            last_error: Some(error.code.into_owned()),
            ..listed
        },
    }
}

async fn report(call: &Call, kind: &str, peer: &PeerRow) {
    let event = NewEvent {
        kind: kind.to_owned(),
        at: now(),
        peer: Some(peer.host.to_string()),
        ..NewEvent::default()
    };
    if let Err(error) = internal::report(&call.env, &[event]).await {
        worker::console_warn!("{kind} was not shown: {error}");
    }
}

/// Refuses a level that nothing here can honour yet.
fn available(level: TrustLevel) -> Result<TrustLevel, ApiError> {
    // Asked about an agent that is on the list, so that only the level itself can refuse it.
    let agent = Did::from_scid(&[0; 32]);
    let policy = Policy {
        level,
        allow_agents: BTreeSet::from([agent.clone()]),
    };
    let item = Item {
        kind: ItemKind::Message,
        peer_agent: &agent,
    };
    let verdict = policy::decide(&policy, Direction::Outbound, &item);
    if verdict != Verdict::Refuse(Reason::VerifiedUnavailable) {
        return Ok(level);
    }
    Err(ApiError::new(
        422,
        "TRUST_LEVEL_UNAVAILABLE",
        format!(
            "The trust level {level} cannot be honoured yet: choose open, allowlist or private."
        ),
    ))
}

fn agent_list(texts: Vec<String>) -> Result<BTreeSet<Did>, ApiError> {
    if texts.len() > MAX_ALLOWED {
        return Err(ApiError::bad_request(
            "INVALID_BODY",
            "`allowAgents` names at most 1,000 agents.",
        ));
    }
    texts
        .iter()
        .map(|text| {
            Did::parse(text).map_err(|error| {
                ApiError::bad_request("MALFORMED_ADDRESS", format!("`allowAgents`: {error}."))
            })
        })
        .collect()
}

fn unknown_peer() -> ApiError {
    ApiError::not_found(
        "UNKNOWN_PEER",
        "There is no such peer: GET /admin/federation/peers lists them by DID.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_agents_by_did() {
        let did = Did::from_scid(&[1; 32]).to_string();
        assert_eq!(agent_list(vec![did.clone(), did.clone()]).unwrap().len(), 1);
        let error = agent_list(vec!["alice".to_owned()]).unwrap_err();
        assert_eq!(error.code, "MALFORMED_ADDRESS");
        assert!(agent_list(vec![did; MAX_ALLOWED + 1]).is_err());
    }

    #[test]
    fn verified_waits_for_attestations() {
        let refused = available(TrustLevel::Verified).unwrap_err();
        assert_eq!(
            (refused.status, &*refused.code),
            (422, "TRUST_LEVEL_UNAVAILABLE")
        );
        for level in [TrustLevel::Open, TrustLevel::Allowlist, TrustLevel::Private] {
            assert_eq!(available(level), Ok(level));
        }
    }
}
