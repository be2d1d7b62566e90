//! Networks that dialled unasked, where an admin decides about each.

use entente_lexicon::api::{AcceptRequest, ApprovePeer, PeerRequest, PeerRequests};
use entente_lexicon::{Did, Host, Timestamp};
use entente_trust::policy::needs_attestations;
use entente_well_known::guard::{Target, check_host};
use entente_well_known::signature::Claim;
use worker::Response;

use crate::auth::route::Route;
use crate::error::ApiError;
use crate::guard;
use crate::internal::now;
use crate::routes::call::{Call, Ready};
use crate::routes::federation::prove;
use crate::routes::peers::{self, Asked, Wish};
use crate::routes::{approval, body, policy, reply};
use crate::shapes::PeerPolicy;
use crate::store::requests::{NewRequest, RequestRow};

/// Writes a stranger down for the admin, and tells it so. Its document is fetched once, under the
/// limits for strangers; what is known already costs no fetch.
pub(super) async fn queue(
    call: &Call,
    ready: &Ready,
    claim: &Claim,
    host: Host,
) -> Result<ApiError, ApiError> {
    let directory = call.directory()?;
    if let Some(known) = directory.request(&claim.did).await? {
        directory.note_request(&known, now()).await?;
        return Ok(if known.is_rejected() {
            peering_required()
        } else {
            peering_queued()
        });
    }
    let (target, document) = prove(call, ready, claim, host).await?;
    let request = NewRequest {
        did: &claim.did,
        host: &target.host,
        name: &document.verified.name,
        fingerprint: &document.verified.fingerprint,
    };
    directory.put_request(&request, now()).await?;
    Ok(peering_queued())
}

/// Checks a host that a stranger names.
pub(super) fn target(ready: &Ready, host: &Host) -> Result<Target, ApiError> {
    let config = &ready.config;
    let own = std::slice::from_ref(&config.host);
    check_host(host, own, &config.dev_hosts).map_err(guard::refused)
}

/// Answers the routes of requests to peer.
pub(super) async fn serve(call: Call, route: Route) -> Result<Response, ApiError> {
    if route == Route::AcceptRequest {
        accept(call).await
    } else if route == Route::RejectRequest {
        reject(&call).await
    } else {
        list(&call).await
    }
}

/// `GET /admin/federation/requests`.
async fn list(call: &Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let rows = call.directory()?.requests().await?;
    let requests = rows.into_iter().map(view).collect();
    reply::json(200, &PeerRequests { requests })
}

/// `POST /admin/federation/requests/:did/accept`: the network becomes a peer.
async fn accept(mut call: Call) -> Result<Response, ApiError> {
    let ready = call.ready().await?;
    let wish: AcceptRequest = body::json(&mut call.request).await?;
    let request = waiting(&call).await?;
    let base = PeerPolicy::new(wish.trust_level);
    let wish = Wish {
        target: target(&ready, &request.host)?,
        policy: policy::changed(base, policy::of_accepted(&wish))?,
        expected: Some(request.did.clone()),
        asked: Asked::ByAdmin,
        fingerprint: wish.fingerprint,
    };
    call.audit("request.accept", request.did.as_str()).await?;
    let mut peer = peers::admit(&call, &ready, &wish).await?;
    if wish.fingerprint.is_some() && needs_attestations(wish.policy.level) {
        // The fingerprint was compared: that is an approval.
        peer = approval::grant(&call, &peer, &ApprovePeer::default()).await?;
    }
    reply::json(201, &peers::view(&call, &peer).await?)
}

/// `POST /admin/federation/requests/:did/reject`: it is turned away from now on, without a word
/// of this.
async fn reject(call: &Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let request = waiting(call).await?;
    call.audit("request.reject", request.did.as_str()).await?;
    if !call.directory()?.reject_request(&request.did).await? {
        return Err(unknown());
    }
    reply::nothing()
}

async fn waiting(call: &Call) -> Result<RequestRow, ApiError> {
    let did = Did::parse(call.parameter()).map_err(|_error| unknown())?;
    let request = call.directory()?.request(&did).await?;
    request
        .filter(|request| !request.is_rejected())
        .ok_or_else(unknown)
}

fn view(row: RequestRow) -> PeerRequest {
    PeerRequest {
        did: row.did.to_string(),
        host: row.host.to_string(),
        name: row.name,
        fingerprint: row.fingerprint,
        attempts: row.attempts,
        first_at: Timestamp(row.first_at),
        last_at: Timestamp(row.last_at),
    }
}

fn unknown() -> ApiError {
    ApiError::not_found(
        "UNKNOWN_REQUEST",
        "No such network waits: GET /admin/federation/requests lists those that do.",
    )
}

fn peering_queued() -> ApiError {
    ApiError::new(
        403,
        "PEERING_QUEUED",
        "This network's admin decides about each peer: your request waits for that. Dial again later.",
    )
}

fn peering_required() -> ApiError {
    ApiError::new(
        403,
        "PEERING_REQUIRED",
        "This network peers only with networks that its admin has added: ask for it.",
    )
}
