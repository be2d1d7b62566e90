//! Approving a peer by its fingerprint, which the level `verified` asks of both sides.

use data_encoding::HEXLOWER;
use entente_lexicon::api::ApprovePeer;
use entente_trust::attestation::{DEFAULT_LIFE_MS, MAX_LIFE_MS};
use worker::Response;

use crate::auth::route::Route;
use crate::error::ApiError;
use crate::internal::{self, now};
use crate::routes::agents::arm_sweep;
use crate::routes::call::Call;
use crate::routes::{body, peers, reply};
use crate::shapes::PeerApproval;
use crate::store::peers::PeerRow;

/// Answers the routes of approvals.
pub(super) async fn serve(call: Call, route: Route) -> Result<Response, ApiError> {
    if route == Route::ApprovePeer {
        approve(call).await
    } else {
        withdraw(&call).await
    }
}

/// `POST /admin/federation/peers/:did/approve`: the admin has compared the fingerprint.
async fn approve(mut call: Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let bytes = body::read(&mut call.request).await?;
    let wish: ApprovePeer = if bytes.is_empty() {
        ApprovePeer::default()
    } else {
        body::parse(&bytes)?
    };
    let peer = peers::peer(&call).await?;
    let peer = grant(&call, &peer, &wish).await?;
    reply::json(200, &peers::view(&call, &peer).await?)
}

/// Writes an approval down and tells the link.
pub(super) async fn grant(
    call: &Call,
    peer: &PeerRow,
    wish: &ApprovePeer,
) -> Result<PeerRow, ApiError> {
    let now = now();
    let shown = wish.fingerprint.as_ref();
    if shown.is_some_and(|shown| !peers::same_fingerprint(shown, &peer.fingerprint)) {
        return Err(peers::fingerprint_mismatch());
    }
    let expires = wish.expires_at.unwrap_or(now.after(DEFAULT_LIFE_MS));
    if expires <= now || expires.since(now) > MAX_LIFE_MS {
        return Err(ApiError::bad_request(
            "INVALID_EXPIRY",
            "`expiresAt` lies in the future, at most a year ahead.",
        ));
    }
    let approval = PeerApproval {
        fingerprint: peer.fingerprint.clone(),
        not_before: now,
        expires,
        nonce: HEXLOWER.encode(&internal::random::<16>()),
    };
    arm_sweep(&call.env, &call.id).await?;
    call.audit("peer.approve", peer.did.as_str()).await?;
    if !call
        .directory()?
        .approve_peer(&peer.did, &approval, now)
        .await?
    {
        return Err(peers::fingerprint_mismatch());
    }
    peers::sync(call, &peer.did, "peer.changed").await
}

/// `DELETE /admin/federation/peers/:did/approve`: takes the approval back.
async fn withdraw(call: &Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let peer = peers::peer(call).await?;
    arm_sweep(&call.env, &call.id).await?;
    call.audit("peer.disapprove", peer.did.as_str()).await?;
    call.directory()?
        .withdraw_approval(&peer.did, now())
        .await?;
    let peer = peers::sync(call, &peer.did, "peer.changed").await?;
    reply::json(200, &peers::view(call, &peer).await?)
}
