//! Backups by command: making one, listing them, putting one back.

use entente_lexicon::AgentName;
use entente_lexicon::api::{BackupList, BackupView, RestoreAgent, RestoreNetwork, Restored};
use serde::de::DeserializeOwned;
use worker::{Method, Response};

use crate::error::ApiError;
use crate::internal;
use crate::routes::call::{Call, unknown_agent};
use crate::routes::{body, reply};
use crate::shapes::{Nothing, RestoreOneAgent};

/// The routes of backups.
pub(super) async fn serve(call: Call) -> Result<Response, ApiError> {
    let is_get = call.request.method() == Method::Get;
    match call.request.path().as_str() {
        "/admin/backups" if is_get => list(&call).await,
        "/admin/backups" => make(&call).await,
        "/admin/backups/restore" => restore_network(call).await,
        _ => restore_agent(call).await,
    }
}

/// `POST /admin/backups`: makes a backup of everything now, and answers when it is whole.
async fn make(call: &Call) -> Result<Response, ApiError> {
    let ready = call.ready().await?;
    call.audit("network.backup", ready.row.did.as_str()).await?;
    let relay = internal::relay(&call.env)?;
    let made: BackupView = internal::post(&relay, "/backups", &Nothing {}, &call.id).await?;
    reply::json(201, &made)
}

/// `GET /admin/backups`: what there is, also in an empty network.
async fn list(call: &Call) -> Result<Response, ApiError> {
    let relay = internal::relay(&call.env)?;
    let list: BackupList = internal::get(&relay, "/backups", &call.id).await?;
    reply::json(200, &list)
}

/// `POST /admin/backups/restore`: puts a whole network back where nothing is.
async fn restore_network(mut call: Call) -> Result<Response, ApiError> {
    let wish: RestoreNetwork = wish(&mut call).await?;
    let relay = internal::relay(&call.env)?;
    let restored: Restored = internal::post(&relay, "/backups/restore", &wish, &call.id).await?;
    call.audit("network.restore", &restored.did).await?;
    reply::json(200, &restored)
}

/// `POST /admin/agents/:name/restore`: puts an agent back whose object was lost, or that was deleted.
async fn restore_agent(mut call: Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let wish: RestoreAgent = wish(&mut call).await?;
    let unknown = || unknown_agent(call.parameter());
    let name = AgentName::parse(call.parameter()).map_err(|_error| unknown())?;
    let directory = call.directory()?;
    let row = match directory.agent_by_name(&name).await? {
        Some(row) => Some(row),
        None => directory.deleted_agent(&name).await?,
    };
    let row = row.ok_or_else(unknown)?;
    let did = row.did.clone().ok_or_else(unknown)?;
    call.audit("agent.restore", did.as_str()).await?;
    let listed = directory.card(&row.object_id).await?;
    let order = RestoreOneAgent {
        did,
        object_id: row.object_id,
        generation: wish.generation,
        log: listed.map(|listed| listed.log),
    };
    let relay = internal::relay(&call.env)?;
    let restored: Restored =
        internal::post(&relay, "/backups/restore-agent", &order, &call.id).await?;
    reply::json(200, &restored)
}

async fn wish<T: DeserializeOwned + Default>(call: &mut Call) -> Result<T, ApiError> {
    match body::read(&mut call.request).await?.as_slice() {
        [] => Ok(T::default()),
        bytes => body::parse(bytes),
    }
}
