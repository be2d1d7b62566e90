//! Peers: adding, listing, changing and removing them.

use std::collections::BTreeSet;

use entente_lexicon::api::{
    AddPeer, BanView, ChangePeer, LinkState, NewEvent, PeerList, PeerTrust, PeerView, PublicPeers,
};
use entente_lexicon::keys::Unfreeze;
use entente_lexicon::{Did, Timestamp};
use entente_trust::identity::Log;
use entente_trust::policy::allows_link;
use entente_well_known::VerifiedDocument;
use entente_well_known::guard::{Target, check_peer_url};
use futures::stream::{self, StreamExt};
use worker::Response;

use crate::auth::route::Route;
use crate::error::ApiError;
use crate::guard::{self, Distrust, FetchedDocument};
use crate::internal::{self, now};
use crate::lifecycle;
use crate::routes::agents::arm_sweep;
use crate::routes::call::{Call, Ready};
use crate::routes::federation::network_private;
use crate::routes::{bans, body, policy, reply};
use crate::shapes::{Nothing, PEERS_PATH, PeerPolicy};
use crate::store::bans::BanRow;
use crate::store::peers::{NewPeer, PeerRow};

/// Peers that a network may have.
const MAX_PEERS: u64 = 500;
/// Of these, networks that came by themselves leave some for those that the admin wants.
const MAX_STRANGERS: u64 = 400;
/// Links that are asked for their status at once.
const ASKED_AT_ONCE: usize = 16;

/// A peer that somebody wants, checked but not yet asked.
pub(super) struct Wish {
    pub(super) target: Target,
    pub(super) policy: PeerPolicy,
    /// The DID that its document must have.
    pub(super) expected: Option<Did>,
    pub(super) asked: Asked,
    /// The fingerprint that the admin compared.
    pub(super) fingerprint: Option<String>,
}

/// Who wants a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// An admin of ours.
    ByAdmin,
    /// The peer itself, which dialled.
    ByPeer,
}

/// `POST /admin/federation/peers`: adds a peer, or renews what is held about a known one.
pub(super) async fn add(mut call: Call) -> Result<Response, ApiError> {
    let ready = call.ready().await?;
    if !allows_link(ready.config.trust_level) {
        return Err(network_private());
    }
    let wish: AddPeer = body::json(&mut call.request).await?;
    let own = std::slice::from_ref(&ready.config.host);
    let wish = Wish {
        target: check_peer_url(&wish.peer_url, own, &ready.config.dev_hosts)
            .map_err(guard::refused)?,
        policy: policy::changed(
            PeerPolicy::new(wish.trust_level),
            policy::of_new_peer(&wish),
        )?,
        expected: None,
        asked: Asked::ByAdmin,
        fingerprint: None,
    };
    call.audit("peer.add", wish.target.host.as_str()).await?;
    let peer = admit(&call, &ready, &wish).await?;
    reply::json(201, &view(&call, &peer).await?)
}

/// Fetches a peer's document, lists the peer and tells its link.
pub(super) async fn admit(call: &Call, ready: &Ready, wish: &Wish) -> Result<PeerRow, ApiError> {
    let directory = call.directory()?;
    let there = directory.peer_by_host(&wish.target.host).await?;
    let fetched = fetch(call, wish, there.as_ref()).await?;
    let document = &fetched.verified;
    if document.did == ready.row.did {
        return Err(ApiError::new(
            422,
            "PEER_IS_SELF",
            "That host serves this network's own document: a network does not peer with itself.",
        ));
    }
    check_wish(wish, document)?;
    let ban = directory.ban(&document.did, Some(&wish.target.host), now());
    if ban.await?.is_some() {
        return Err(match wish.asked {
            Asked::ByPeer => bans::banned(),
            Asked::ByAdmin => ApiError::new(
                409,
                "BANNED",
                "That network is banned: lift the ban first (DELETE /admin/federation/bans/…).",
            ),
        });
    }
    let known = directory.peer(&document.did).await?;
    let room = match wish.asked {
        Asked::ByAdmin => MAX_PEERS,
        Asked::ByPeer => MAX_STRANGERS,
    };
    if known.is_none() && directory.peer_count().await? >= room {
        return Err(ApiError::new(
            422,
            "TOO_MANY_PEERS",
            "This network has all the peers it can take: an admin must remove one first.",
        ));
    }
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
        policy: &wish.policy,
        document: &fetched.text,
        document_hash: &fetched.hash,
        log: &fetched.log,
        fingerprint: &document.fingerprint,
    };
    directory.put_peer(&new, now()).await?;
    directory.put_pin(&fetched, now()).await?;
    directory.forget_request(&document.did).await?;
    let kind = if known.is_none() {
        "peer.added"
    } else {
        "peer.changed"
    };
    sync(call, &document.did, kind).await
}

/// Checks that the network at a host is the one that was meant.
fn check_wish(wish: &Wish, document: &VerifiedDocument) -> Result<(), ApiError> {
    let expected = wish.expected.as_ref();
    if expected.is_some_and(|did| *did != document.did) {
        return Err(did_mismatch());
    }
    let shown = wish.fingerprint.as_ref();
    if shown.is_some_and(|shown| !same_fingerprint(shown, &document.fingerprint)) {
        return Err(fingerprint_mismatch());
    }
    Ok(())
}

/// Fetches the document of a network, and holds it against what is pinned if it is a peer: a log
/// that does not continue the pinned one freezes the link, whoever asked.
async fn fetch(
    call: &Call,
    wish: &Wish,
    there: Option<&PeerRow>,
) -> Result<FetchedDocument, ApiError> {
    let there = there.filter(|row| !row.is_closing());
    let pinned = there.map(|row| Log::parse(&row.log));
    let pinned = pinned.transpose().map_err(ApiError::internal)?;
    match (
        guard::fetch_document(&wish.target, pinned.as_ref()).await,
        there,
    ) {
        (Err(Distrust::Broken(broken)), Some(row)) => {
            let link = internal::link(&call.env, &row.did)?;
            let Nothing {} = internal::post(&link, "/freeze", &broken, &call.id).await?;
            Err(broken.into())
        }
        (outcome, _) => Ok(outcome?),
    }
}

/// Tells a peer's link what the directory now says, and the viewers that it changed.
pub(super) async fn sync(call: &Call, did: &Did, kind: &str) -> Result<PeerRow, ApiError> {
    let directory = call.directory()?;
    let peer = directory.peer(did).await?.ok_or_else(unknown_peer)?;
    lifecycle::sync_peer(&call.env, &directory, &peer, &call.id).await?;
    report(call, kind, &peer).await;
    Ok(peer)
}

/// Lists the peers: what an admin sees of them, or what anyone does.
pub(super) async fn show(call: &Call, route: Route) -> Result<Response, ApiError> {
    if route == Route::ListPeers {
        list(call).await
    } else {
        public(call).await
    }
}

/// `GET /admin/federation/peers`.
async fn list(call: &Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let directory = call.directory()?;
    let rows = directory.peers().await?;
    let bans = directory.bans(now()).await?;
    let rows = rows.iter().filter(|row| !row.is_closing());
    let peers = stream::iter(rows)
        .map(|row| shown(call, row, lifecycle::banned(&bans, row).cloned()))
        .buffered(ASKED_AT_ONCE)
        .collect()
        .await;
    reply::json(200, &PeerList { peers })
}

/// `PATCH /admin/federation/peers/:did`.
pub(super) async fn change(mut call: Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let change: ChangePeer = body::json(&mut call.request).await?;
    let peer = peer(&call).await?;
    let policy = policy::changed(peer.policy(), change)?;
    arm_sweep(&call.env, &call.id).await?;
    call.audit("peer.change", peer.did.as_str()).await?;
    let directory = call.directory()?;
    let changed = directory.change_peer(&peer.did, &policy, now()).await?;
    if !changed {
        return Err(unknown_peer());
    }
    let peer = sync(&call, &peer.did, "peer.changed").await?;
    reply::json(200, &view(&call, &peer).await?)
}

/// `POST /admin/federation/peers/:did/unfreeze`: the admin has compared fingerprints.
pub(super) async fn unfreeze(mut call: Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let wish: Unfreeze = body::json(&mut call.request).await?;
    let peer = peer(&call).await?;
    call.audit("peer.unfreeze", peer.did.as_str()).await?;
    let link = internal::link(&call.env, &peer.did)?;
    let view: PeerView = internal::post(&link, "/unfreeze", &wish, &call.id).await?;
    reply::json(200, &view)
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
async fn public(call: &Call) -> Result<Response, ApiError> {
    let ready = call.ready().await?;
    let peers = if allows_link(ready.config.trust_level) {
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

/// Makes the link of a peer, if it is one, hear that a ban on this DID or host changed.
pub(super) async fn renew(call: &Call, subject: &str) -> Result<(), ApiError> {
    let directory = call.directory()?;
    let rows = directory.peers().await?;
    let named = |row: &&PeerRow| row.did.as_str() == subject || row.host.as_str() == subject;
    for row in rows.iter().filter(|row| !row.is_closing()).filter(named) {
        arm_sweep(&call.env, &call.id).await?;
        directory.touch_peer(&row.did, now()).await?;
        sync(call, &row.did, "peer.changed").await?;
    }
    Ok(())
}

/// Finds the peer that the path names.
pub(super) async fn peer(call: &Call) -> Result<PeerRow, ApiError> {
    let did = Did::parse(call.parameter()).map_err(|_error| unknown_peer())?;
    let peer = call.directory()?.peer(&did).await?;
    peer.filter(|peer| !peer.is_closing())
        .ok_or_else(unknown_peer)
}

/// Shows a peer.
pub(super) async fn view(call: &Call, row: &PeerRow) -> Result<PeerView, ApiError> {
    let directory = call.directory()?;
    let ban = directory.ban(&row.did, Some(&row.host), now()).await?;
    Ok(shown(call, row, ban).await)
}

/// Shows a peer: what its link says, on top of what the directory says.
async fn shown(call: &Call, row: &PeerRow, ban: Option<BanRow>) -> PeerView {
    let policy = row.policy();
    let ban: Option<BanView> = ban.map(bans::view);
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
        allow_agents: texts(&policy.allow_agents),
        state: LinkState::Connecting,
        since: Timestamp(row.changed_at),
        queued: 0,
        oldest_age_ms: None,
        round_trip_ms: None,
        last_error: None,
        next_retry: None,
        limits: None,
        usage: None,
        peer_view: None,
        trust: PeerTrust {
            allow_collections: policy.allow_collections,
            allow_networks: texts(&policy.allow_networks),
            allow_inbound: policy.allow_inbound,
            allow_outbound: policy.allow_outbound,
            ban,
            ..PeerTrust::default()
        },
        frozen: None,
    };
    match asked {
        Ok(status) => PeerView {
            did: listed.did,
            host: listed.host,
            trust_level: listed.trust_level,
            allow_agents: listed.allow_agents,
            trust: PeerTrust {
                approval: status.trust.approval.clone(),
                ..listed.trust
            },
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

fn texts(dids: &BTreeSet<Did>) -> Vec<String> {
    dids.iter().map(Did::to_string).collect()
}

/// Compares fingerprints as people write them: groups, spaces and case do not matter.
pub(super) fn same_fingerprint(shown: &str, real: &str) -> bool {
    let letters = |text: &str| -> Vec<u8> {
        let kept = text.bytes().filter(u8::is_ascii_alphanumeric);
        kept.map(|byte| byte.to_ascii_lowercase()).collect()
    };
    let real = letters(real);
    !real.is_empty() && letters(shown) == real
}

pub(super) fn fingerprint_mismatch() -> ApiError {
    ApiError::new(
        409,
        "FINGERPRINT_MISMATCH",
        "The network at that host now shows another fingerprint than the one compared: compare again by voice before you trust it.",
    )
}

pub(super) fn did_mismatch() -> ApiError {
    ApiError::new(
        403,
        "PEER_DID_MISMATCH",
        "The host's document is of another network than the one that dialled.",
    )
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
    fn a_fingerprint_is_compared_as_people_write_it() {
        let real = "abcd-ef23-ghij";
        assert!(same_fingerprint("ABCD ef23 ghij", real));
        for other in ["", "abcd-ef23-ghik", "abcd-ef23", "abcd-ef23-ghij-k"] {
            assert!(!same_fingerprint(other, real), "{other}");
        }
        assert!(!same_fingerprint("", ""));
    }
}
