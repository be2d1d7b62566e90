//! The network's keys: seeing, rotating and recovering them, and resealing after the master key
//! was rotated.

use entente_lexicon::api::NewEvent;
use entente_lexicon::keys::{IdentityView, Recover, Resealed};
use entente_trust::crypto::multikey::fingerprint;
use futures::stream::{self, StreamExt};
use worker::Response;

use crate::auth::route::Route;
use crate::error::ApiError;
use crate::internal::{self, now};
use crate::routes::call::Call;
use crate::routes::{body, network, reply};
use crate::shapes::{Nothing, RelayIdentity};

/// Agents resealed at once.
const RESEALED_AT_ONCE: usize = 16;

/// Everything about the network's keys.
pub(super) async fn serve(call: Call, route: Route) -> Result<Response, ApiError> {
    if route == Route::RotateKeys {
        rotate(&call).await
    } else if route == Route::RecoverKeys {
        recover(call).await
    } else if route == Route::ResealKeys {
        reseal(&call).await
    } else {
        show(&call).await
    }
}

/// `GET /admin/keys`.
async fn show(call: &Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let relay = internal::relay(&call.env)?;
    let identity: RelayIdentity = internal::get(&relay, "/identity", &call.id).await?;
    reply::json(200, &view(identity))
}

/// `POST /admin/keys/rotate`: new keys under the same DID.
async fn rotate(call: &Call) -> Result<Response, ApiError> {
    let ready = call.ready().await?;
    call.audit("network.keys.rotate", ready.row.did.as_str())
        .await?;
    let relay = internal::relay(&call.env)?;
    let identity = internal::post(&relay, "/rotate", &Nothing {}, &call.id).await?;
    turned(call, identity, "network.keys.rotated").await
}

/// `POST /admin/keys/recover`: new keys under the same DID, by the recovery key.
async fn recover(mut call: Call) -> Result<Response, ApiError> {
    let ready = call.ready().await?;
    let wish: Recover = body::json(&mut call.request).await?;
    call.audit("network.keys.recover", ready.row.did.as_str())
        .await?;
    let relay = internal::relay(&call.env)?;
    let identity = internal::post(&relay, "/recover", &wish, &call.id).await?;
    turned(&call, identity, "network.keys.recovered").await
}

async fn turned(call: &Call, identity: RelayIdentity, kind: &str) -> Result<Response, ApiError> {
    let event = NewEvent {
        kind: kind.to_owned(),
        at: now(),
        ..NewEvent::default()
    };
    if let Err(error) = internal::report(&call.env, &[event]).await {
        worker::console_warn!("{kind} was not shown: {error}");
    }
    reply::json(200, &view(identity))
}

/// `POST /admin/keys/reseal`: seals everything under the current master key now, and says how far
/// that went.
async fn reseal(call: &Call) -> Result<Response, ApiError> {
    let ready = call.ready().await?;
    call.audit("network.keys.reseal", ready.row.did.as_str())
        .await?;
    let identity = network::renew(call, Some(ready.row.did.clone()), None).await?;
    let agents = call.directory()?.agents().await?;
    let calls = agents
        .iter()
        .filter(|row| row.is_active())
        .map(|row| async {
            let stub = internal::agent(&call.env, &row.object_id)?;
            let Nothing {} = internal::post(&stub, "/reseal", &Nothing {}, &call.id).await?;
            Ok::<_, ApiError>(())
        });
    let outcomes: Vec<_> = stream::iter(calls)
        .buffer_unordered(RESEALED_AT_ONCE)
        .collect()
        .await;
    let mut resealed = Resealed {
        master_key_id: identity.master_key_id,
        agents: 0,
        left: 0,
    };
    for outcome in outcomes {
        match outcome {
            Ok(()) => resealed.agents = resealed.agents.saturating_add(1),
            Err(error) => {
                worker::console_warn!("an agent could not be resealed: {error}");
                resealed.left = resealed.left.saturating_add(1);
            }
        }
    }
    reply::json(200, &resealed)
}

/// Shows the identity to its admin.
pub(super) fn view(identity: RelayIdentity) -> IdentityView {
    IdentityView {
        did: identity.did.to_string(),
        host: identity.host.to_string(),
        name: identity.name,
        fingerprint: fingerprint(&identity.public_keys.signing),
        seq: identity.seq,
        log: identity.head,
        rotated_at: identity.rotated_at,
        master_key_id: identity.master_key_id,
        recovery_key: identity.recovery_key,
    }
}
