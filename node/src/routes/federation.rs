//! `GET /relay/federation`: another network dials us.

use std::collections::BTreeSet;

use entente_lexicon::{Did, Host};
use entente_trust::policy::{self, FirstContact};
use entente_well_known::guard::check_host;
use worker::{Request, Response};

use crate::error::{ApiError, REQUEST_ID};
use crate::guard;
use crate::internal::{self, FROM, FROM_HOST};
use crate::routes::call::{Call, Ready};
use crate::routes::network::require_upgrade;
use crate::routes::peers::{self, Wish};
use crate::shapes::{self, Nothing};
use crate::store::peers::PeerRow;

/// Hands the socket of a peer to its link, after first contact if we do not know it yet.
pub(super) async fn upgrade(call: &Call) -> Result<Response, ApiError> {
    require_upgrade(call)?;
    let ready = call.ready().await?;
    if !policy::allows_link(ready.config.trust_level) {
        return Err(network_private());
    }
    let from = claimed(&call.request)?;
    if from == ready.row.did {
        return Err(ApiError::new(
            403,
            "PEER_IS_SELF",
            "This network does not peer with itself.",
        ));
    }
    let known = call.directory()?.peer(&from).await?;
    let peer = match known.filter(|peer| !peer.is_closing()) {
        Some(peer) => peer,
        None => first_contact(call, &ready, &from).await?,
    };
    let headers = [(REQUEST_ID, call.id.as_str()), (FROM, peer.did.as_str())];
    let link = internal::link(&call.env, &peer.did)?;
    internal::forward(&link, &call.request, "/accept", &headers, None).await
}

/// Decides about a network that nobody here has decided about yet.
async fn first_contact(call: &Call, ready: &Ready, from: &Did) -> Result<PeerRow, ApiError> {
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
    let host = claimed_host(&call.request)?;
    let config = &ready.config;
    let target = check_host(&host, std::slice::from_ref(&config.host), &config.dev_hosts)
        .map_err(guard::refused)?;
    let relay = internal::relay(&call.env)?;
    let contact = shapes::FirstContact { host };
    let Nothing {} = internal::post(&relay, "/first-contact", &contact, &call.id).await?;
    let wish = Wish {
        target,
        level,
        allow_agents: BTreeSet::new(),
        expected: Some(from.clone()),
    };
    peers::admit(call, ready, &wish).await
}

fn claimed(request: &Request) -> Result<Did, ApiError> {
    let text = request.headers().get(FROM)?.unwrap_or_default();
    Did::parse(&text).map_err(|error| {
        ApiError::bad_request("INVALID_PEER_HEADERS", format!("header {FROM}: {error}."))
    })
}

fn claimed_host(request: &Request) -> Result<Host, ApiError> {
    let text = request.headers().get(FROM_HOST)?.unwrap_or_default();
    Host::parse(&text).map_err(|error| {
        ApiError::bad_request(
            "INVALID_PEER_HEADERS",
            format!("header {FROM_HOST}: {error}."),
        )
    })
}

pub(super) fn network_private() -> ApiError {
    ApiError::new(
        403,
        "NETWORK_PRIVATE",
        "This network's trust level is private: it has no links.",
    )
}
