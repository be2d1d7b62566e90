//! `GET /relay/federation`: another network dials us.

use std::collections::BTreeSet;

use entente_lexicon::Host;
use entente_trust::policy::{self, FirstContact};
use entente_well_known::guard::{Target, check_host};
use entente_well_known::signature::{Claim, HOST};
use worker::{Request, Response};

use crate::edge::signature;
use crate::error::{ApiError, REQUEST_ID};
use crate::guard;
use crate::internal::{self, FROM, FROM_KID, NONCE, NONCE_UNTIL};
use crate::routes::call::{Call, Ready};
use crate::routes::network::require_upgrade;
use crate::routes::peers::{self, Wish};
use crate::shapes::{self, Nothing};
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
    let known = call.directory()?.peer(&claim.did).await?;
    let peer = match known.filter(|peer| !peer.is_closing()) {
        Some(peer) => {
            signature::check_peer(&claim, &peer)?;
            peer
        }
        None => first_contact(call, &ready, &claim).await?,
    };
    let until = claim.until.0.to_string();
    let headers = [
        (REQUEST_ID, call.id.as_str()),
        (FROM, claim.did.as_str()),
        (FROM_KID, &claim.kid),
        (NONCE, &claim.nonce),
        (NONCE_UNTIL, &until),
    ];
    let link = internal::link(&call.env, &peer.did)?;
    internal::forward(&link, &call.request, "/accept", &headers, None).await
}

/// Decides about a network that nobody here has decided about yet.
async fn first_contact(call: &Call, ready: &Ready, claim: &Claim) -> Result<PeerRow, ApiError> {
    let level = match policy::first_contact(ready.config.trust_level) {
        FirstContact::Accept(level) => level,
        FirstContact::Queue => {
            return Err(ApiError::new(
                403,
                "PEERING_REQUIRED",
                "This network peers only with networks that its admin has added: ask for it.",
            ));
        }
        FirstContact::Refuse => return Err(network_private()),
    };
    let wish = Wish {
        target: prove(call, ready, claim).await?,
        level,
        allow_agents: BTreeSet::new(),
        expected: Some(claim.did.clone()),
    };
    peers::admit(call, ready, &wish).await
}

/// Checks that a stranger is the network at the host it names: that host's document, fetched once
/// within limits, has the key that signed.
async fn prove(call: &Call, ready: &Ready, claim: &Claim) -> Result<Target, ApiError> {
    let host = claimed_host(&call.request)?;
    let config = &ready.config;
    let target = check_host(&host, std::slice::from_ref(&config.host), &config.dev_hosts)
        .map_err(guard::refused)?;
    let relay = internal::relay(&call.env)?;
    let contact = shapes::FirstContact {
        host,
        key: format!("{}#{}", claim.did, claim.kid),
    };
    let Nothing {} = internal::post(&relay, "/first-contact", &contact, &call.id).await?;
    let document = guard::fetch_document(&target).await?;
    if document.did != claim.did {
        return Err(ApiError::new(
            403,
            "PEER_DID_MISMATCH",
            "The host's document is of another network than the one that dialled.",
        ));
    }
    signature::check(claim, document.keys.get(&claim.kid))?;
    Ok(target)
}

fn claimed_host(request: &Request) -> Result<Host, ApiError> {
    let text = request.headers().get(HOST)?.unwrap_or_default();
    Host::parse(&text).map_err(|error| {
        ApiError::bad_request("INVALID_PEER_HEADERS", format!("header {HOST}: {error}."))
    })
}

pub(super) fn network_private() -> ApiError {
    ApiError::new(
        403,
        "NETWORK_PRIVATE",
        "This network's trust level is private: it has no links.",
    )
}
