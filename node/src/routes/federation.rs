//! `GET /relay/federation`: another network dials us.

use entente_lexicon::Host;
use entente_trust::policy::{self, FirstContact};
use entente_well_known::guard::Target;
use entente_well_known::signature::{Claim, HOST};
use worker::{Request, Response};

use crate::edge::{penalty, signature};
use crate::error::{ApiError, REQUEST_ID};
use crate::guard::{self, FetchedDocument};
use crate::internal::{self, FROM, FROM_KID, NONCE, NONCE_UNTIL, now};
use crate::routes::call::{Call, Ready};
use crate::routes::network::require_upgrade;
use crate::routes::peers::{self, Asked, Wish};
use crate::routes::{bans, requests};
use crate::shapes::{FirstContact as FirstContactPaper, Nothing, PeerPolicy};
use crate::store::peers::PeerRow;

/// Hands the socket of a peer to its link, after first contact if we do not know it yet. The link
/// is woken only by what the peer's own key has signed.
pub(super) async fn upgrade(call: &Call) -> Result<Response, ApiError> {
    require_upgrade(call)?;
    let ready = call.ready().await?;
    if !policy::allows_link(ready.config.trust_level) {
        return Err(network_private());
    }
    let claim = signature::claim(&call.request, &ready.config)?;
    if claim.did == ready.row.did {
        return Err(ApiError::new(
            403,
            "PEER_IS_SELF",
            "This network does not peer with itself.",
        ));
    }
    if !ready.config.allow_inbound {
        return Err(inbound_closed());
    }
    let peer = admitted(call, &ready, &claim).await?;
    let until = claim.until.0.to_string();
    let headers = [
        (REQUEST_ID, call.id.as_str()),
        (FROM, claim.did.as_str()),
        (FROM_KID, &claim.kid),
        (NONCE, &claim.nonce),
        (NONCE_UNTIL, &until),
    ];
    let link = internal::link(&call.env, &peer.did)?;
    internal::forward(
        &link,
        &call.request,
        "/accept",
        &headers,
        &internal::Forwarded::Nothing,
    )
    .await
}

/// Turns away whom nobody wants, before any object wakes.
async fn admitted(call: &Call, ready: &Ready, claim: &Claim) -> Result<PeerRow, ApiError> {
    let directory = call.directory()?;
    let known = directory.peer(&claim.did).await?;
    let known = known.filter(|peer| !peer.is_closing());
    let host = match &known {
        Some(peer) => peer.host.clone(),
        None => claimed_host(&call.request)?,
    };
    let ban = directory.ban(&claim.did, Some(&host), now()).await?;
    if ban.is_some() {
        return Err(bans::banned());
    }
    match known {
        Some(peer) => {
            let peer = known_peer(call, claim, peer).await?;
            if peer.policy().allow_inbound {
                penalty::check(&directory, &peer.did, now()).await?;
                Ok(peer)
            } else {
                Err(inbound_closed())
            }
        }
        None => first_contact(call, ready, claim, host).await,
    }
}

/// Checks that a peer signed. It may have new keys: then its link learns them, within the limits
/// for strangers.
async fn known_peer(call: &Call, claim: &Claim, peer: PeerRow) -> Result<PeerRow, ApiError> {
    match signature::check_peer(claim, &peer) {
        Err(error) if error.code == "UNKNOWN_KEY" => {}
        checked => return checked.map(|()| peer),
    }
    admit_fetch(call, &peer.host, claim).await?;
    let link = internal::link(&call.env, &peer.did)?;
    let Nothing {} = internal::post(&link, "/learn", &Nothing {}, &call.id).await?;
    let peer = call.directory()?.peer(&claim.did).await?;
    let peer = peer.filter(|peer| !peer.is_closing());
    let peer = peer.ok_or_else(|| ApiError::internal("the peer was removed meanwhile"))?;
    signature::check_peer(claim, &peer)?;
    Ok(peer)
}

/// Takes a place among the fetches that an upgrade may cause.
async fn admit_fetch(call: &Call, host: &Host, claim: &Claim) -> Result<(), ApiError> {
    let relay = internal::relay(&call.env)?;
    let contact = FirstContactPaper {
        host: host.clone(),
        key: format!("{}#{}", claim.did, claim.kid),
    };
    let Nothing {} = internal::post(&relay, "/first-contact", &contact, &call.id).await?;
    Ok(())
}

/// Decides about a network that nobody here has decided about yet.
async fn first_contact(
    call: &Call,
    ready: &Ready,
    claim: &Claim,
    host: Host,
) -> Result<PeerRow, ApiError> {
    let level = match policy::first_contact(ready.config.trust_level) {
        FirstContact::Accept(level) => level,
        FirstContact::Queue => return Err(requests::queue(call, ready, claim, host).await?),
        FirstContact::Refuse => return Err(network_private()),
    };
    let (target, _document) = prove(call, ready, claim, host).await?;
    let wish = Wish {
        target,
        policy: PeerPolicy::new(level),
        expected: Some(claim.did.clone()),
        asked: Asked::ByPeer,
        fingerprint: None,
    };
    peers::admit(call, ready, &wish).await
}

/// Checks that a stranger is the network at the host it names: that host's document, fetched once
/// within limits, has the key that signed.
pub(super) async fn prove(
    call: &Call,
    ready: &Ready,
    claim: &Claim,
    host: Host,
) -> Result<(Target, FetchedDocument), ApiError> {
    let target = requests::target(ready, &host)?;
    admit_fetch(call, &host, claim).await?;
    let fetched = guard::fetch_document(&target, None).await?;
    let document = &fetched.verified;
    if document.did != claim.did {
        return Err(peers::did_mismatch());
    }
    signature::check(claim, document.keys.get(&claim.kid))?;
    Ok((target, fetched))
}

fn claimed_host(request: &Request) -> Result<Host, ApiError> {
    let text = request.headers().get(HOST)?.unwrap_or_default();
    Host::parse(&text).map_err(|error| {
        ApiError::bad_request("INVALID_PEER_HEADERS", format!("header {HOST}: {error}."))
    })
}

fn inbound_closed() -> ApiError {
    ApiError::new(
        403,
        "INBOUND_CLOSED",
        "This network is not dialled by that peer: it dials where it wants to talk.",
    )
}

pub(super) fn network_private() -> ApiError {
    ApiError::new(
        403,
        "NETWORK_PRIVATE",
        "This network's trust level is private: it has no links.",
    )
}
