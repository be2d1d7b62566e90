//! What anyone may learn: who this network is, and its agents' public keys.

use std::cell::RefCell;
use std::collections::BTreeMap;

use entente_lexicon::address::AgentRef;
use entente_lexicon::api::PublicKeysView;
use entente_lexicon::{Did, Timestamp};
use entente_trust::crypto::hash::sha256;
use entente_trust::identity::page;
use entente_trust::policy;
use entente_well_known::did_web::{self, RepoAccess};
use entente_well_known::document::LOG_PAGE_BYTES;
use serde::Deserialize;
use worker::Response;

use crate::agent::wire::PrekeyReply;
use crate::auth::gate::is_admin;
use crate::auth::route::Route;
use crate::config::Problem;
use crate::error::ApiError;
use crate::internal;
use crate::routes::call::{Call, unknown_agent};
use crate::routes::federation::network_private;
use crate::routes::{network, reply};
use crate::store::agents::{AgentRow, AgentStatus};
use crate::store::network::DocumentRow;

const JSON: &str = "application/json";
const JSONL: &str = "application/jsonl";
const DID_JSON: &str = "application/did+json";
/// Peers keep a network's document so long.
const NETWORK_MAX_AGE: u32 = 300;
/// A prekey that its agent replaced is not served for longer than this.
const PREKEY_MAX_AGE: u32 = 10;
/// How long this isolate answers for an agent without waking it, and for how many.
const PREKEY_MEMORY_MS: u64 = 10_000;
const MAX_PREKEYS: usize = 1_024;
/// A peer that met a new document must not get an old log with it.
const NETWORK_LOG_MAX_AGE: u32 = 0;
/// A deleted agent's keys are not served for longer than this.
const AGENT_MAX_AGE: u32 = 60;

/// What of a card its `did.json` says besides its keys.
#[derive(Deserialize)]
struct RepoKey {
    #[serde(rename = "repoKey")]
    repo_key: String,
}

thread_local! {
    /// Prekeys that were asked for lately, by object: asking does not wake the agent each time.
    static PREKEYS: RefCell<BTreeMap<String, (Timestamp, String)>> = const { RefCell::new(BTreeMap::new()) };
}

/// What the network says of itself.
pub(super) async fn network(call: &Call, route: Route) -> Result<Response, ApiError> {
    if route == Route::NetworkDocument {
        network_document(call).await
    } else if route == Route::NetworkLog {
        network_log(call).await
    } else {
        network_did(call).await
    }
}

/// `GET /.well-known/agent-network.json`: the exact signed bytes.
async fn network_document(call: &Call) -> Result<Response, ApiError> {
    let row = documents(call).await?;
    let (text, etag) = (&row.document, &row.document_hash);
    reply::cached(&call.request, text, JSON, etag, NETWORK_MAX_AGE)
}

/// `GET /.well-known/agent-network-log.jsonl`: the identity log, a page of whole lines at a time.
async fn network_log(call: &Call) -> Result<Response, ApiError> {
    let row = documents(call).await?;
    log_page(call, &row.log, NETWORK_LOG_MAX_AGE)
}

/// `GET /.well-known/did.json`.
async fn network_did(call: &Call) -> Result<Response, ApiError> {
    let row = documents(call).await?;
    let text = &row.did_document;
    reply::cached(&call.request, text, DID_JSON, &etag(text), NETWORK_MAX_AGE)
}

/// Reads the documents, having them built anew where the configuration has changed.
async fn documents(call: &Call) -> Result<DocumentRow, ApiError> {
    let ready = call.ready().await?;
    let directory = call.directory()?;
    let row = directory
        .documents()
        .await?
        .ok_or(Problem::NotInitialised)?;
    if row.built_for == ready.config.document_key() {
        return Ok(row);
    }
    network::renew(call, Some(ready.row.did.clone()), None).await?;
    let row = directory.documents().await?;
    Ok(row.ok_or(Problem::NotInitialised)?)
}

/// `GET /relay/agents/:agent`: an agent's card, by DID or by name.
async fn agent_card(call: &Call) -> Result<Response, ApiError> {
    let row = living(call).await?;
    let card = call.directory()?.card(&row.object_id).await?;
    let card = card.ok_or_else(|| unknown_agent(call.parameter()))?.card;
    reply::cached(&call.request, &card, JSON, &etag(&card), AGENT_MAX_AGE)
}

/// `GET /relay/agents/:agent/prekey`: the key to open conversations with an agent, of the day.
async fn agent_prekey(call: &Call) -> Result<Response, ApiError> {
    let row = living(call).await?;
    let now = internal::now();
    let known = PREKEYS.with_borrow(|kept| kept.get(&row.object_id).cloned());
    let prekey = match known {
        Some((until, prekey)) if until > now => prekey,
        Some(_) | None => {
            let stub = internal::agent(&call.env, &row.object_id)?;
            let reply: PrekeyReply = internal::get(&stub, "/prekey", &call.id).await?;
            let until = now.after(PREKEY_MEMORY_MS);
            PREKEYS.with_borrow_mut(|kept| {
                if kept.len() >= MAX_PREKEYS {
                    kept.clear();
                }
                kept.insert(row.object_id, (until, reply.prekey.clone()));
            });
            reply.prekey
        }
    };
    reply::cached(&call.request, &prekey, JSON, &etag(&prekey), PREKEY_MAX_AGE)
}

/// `GET /relay/agents/:agent/log`: an agent's identity log, a page of whole lines at a time.
async fn agent_log(call: &Call) -> Result<Response, ApiError> {
    let row = living(call).await?;
    let card = call.directory()?.card(&row.object_id).await?;
    let log = card.ok_or_else(|| unknown_agent(call.parameter()))?.log;
    log_page(call, &log, 0)
}

fn log_page(call: &Call, log: &str, max_age: u32) -> Result<Response, ApiError> {
    let url = call.request.url()?;
    let from = url.query_pairs().find(|(name, _)| name == "from");
    let from = from.map_or(Ok(0), |(_, text)| text.parse());
    let from = from.map_err(|_error| {
        ApiError::bad_request(
            "INVALID_CURSOR",
            "`from` is the number of an entry: 0, 1, 2 ….",
        )
    })?;
    let page = page(log, from, LOG_PAGE_BYTES);
    reply::cached(&call.request, page, JSONL, &etag(page), max_age)
}

/// `GET /agents/:name/did.json`.
async fn agent_did(call: &Call) -> Result<Response, ApiError> {
    let row = living(call).await?;
    let ready = call.ready().await?;
    let unknown = || unknown_agent(call.parameter());
    let did: Did = row.did.ok_or_else(unknown)?;
    let keys = row.public_keys.ok_or_else(unknown)?;
    let keys: PublicKeysView = serde_json::from_str(&keys)?;
    let card = call.directory()?.card(&row.object_id).await?;
    let card: RepoKey = serde_json::from_str(&card.ok_or_else(unknown)?.card)?;
    let repo = RepoAccess {
        key: &card.repo_key,
        origin: &ready.config.origin(&ready.row.host),
    };
    let document = did_web::agent_document(&ready.row.host, &row.name, &did, &keys, &repo);
    let text = document.to_string();
    reply::cached(&call.request, &text, DID_JSON, &etag(&text), AGENT_MAX_AGE)
}

/// Finds the agent that the path names, if the caller may know of it and it lives.
async fn living(call: &Call) -> Result<AgentRow, ApiError> {
    living_agent(call, call.parameter()).await
}

/// Lets those through who may know who lives here.
pub(super) async fn discoverable(call: &Call) -> Result<(), ApiError> {
    let ready = call.ready().await?;
    let hidden = !policy::allows_link(ready.config.trust_level);
    if hidden && !is_admin(&call.request, &call.env)? {
        return Err(network_private());
    }
    Ok(())
}

/// Finds the agent of this name or DID, if the caller may know of it and it lives.
pub(super) async fn living_agent(call: &Call, named: &str) -> Result<AgentRow, ApiError> {
    discoverable(call).await?;
    let unknown = || unknown_agent(named);
    let agent: AgentRef = named.parse().map_err(|_error| unknown())?;
    let directory = call.directory()?;
    let row = match &agent {
        AgentRef::Did(did) => directory.agent_by_did(did).await?,
        AgentRef::Name(name) => directory.agent_by_name(name).await?,
    };
    let was_here = match (&row, &agent) {
        (Some(row), _) => matches!(row.status, AgentStatus::Deleting | AgentStatus::Deleted),
        (None, AgentRef::Name(name)) => directory.name_was_deleted(name).await?,
        (None, AgentRef::Did(_)) => false,
    };
    if was_here {
        return Err(ApiError::new(
            410,
            "AGENT_DELETED",
            "This agent was deleted.",
        ));
    }
    row.filter(AgentRow::is_active).ok_or_else(unknown)
}

fn etag(text: &str) -> String {
    let hash = sha256(&[text.as_bytes()]);
    data_encoding::BASE64URL_NOPAD.encode(&hash)
}

/// What an agent publishes: its card, prekey, log or DID document.
pub(super) async fn agent(call: &Call, route: Route) -> Result<Response, ApiError> {
    if route == Route::AgentPrekey {
        agent_prekey(call).await
    } else if route == Route::AgentLog {
        agent_log(call).await
    } else if route == Route::AgentDid {
        agent_did(call).await
    } else {
        agent_card(call).await
    }
}
