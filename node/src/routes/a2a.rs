//! A2A: an agent's card, and calls to it. Agents that are not called this way, and names that nobody
//! has, are answered the same.

use std::cell::RefCell;
use std::collections::BTreeMap;

use data_encoding::BASE64URL_NOPAD;
use entente_a2a::card;
use entente_lexicon::api::a2a::{A2aAccess, A2aSetting};
use entente_lexicon::{AgentName, Timestamp};
use entente_trust::crypto::hash::sha256;
use serde_json::Value;
use worker::{Method, Response};

use crate::agent::CardWish;
use crate::auth::gate::{bearer, token_key};
use crate::error::{ApiError, REQUEST_ID};
use crate::internal::{self, A2A_KEY, A2A_OPEN, Forwarded};
use crate::routes::call::Call;
use crate::routes::{body, reply};
use crate::store::agents::AgentRow;

/// The longest description of an agent, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 1_000;
/// A card that was changed is not served for longer than this.
const CARD_MAX_AGE: u32 = 60;
const CARD_MEMORY_MS: u64 = 10_000;
const MAX_CARDS: usize = 256;

thread_local! {
    /// Cards that were asked for lately, by what they were made of: asking does not wake the agent
    /// each time.
    static CARDS: RefCell<BTreeMap<String, (Timestamp, String)>> = const { RefCell::new(BTreeMap::new()) };
}

/// Checks a setting.
///
/// # Errors
/// 400 `INVALID_BODY`.
pub(super) fn check(setting: &A2aSetting) -> Result<(), ApiError> {
    let description = setting.description.as_ref();
    if description.is_some_and(|text| text.is_empty() || text.len() > MAX_DESCRIPTION_BYTES) {
        return Err(ApiError::bad_request(
            "INVALID_BODY",
            "`a2a.description` is 1 to 1,000 bytes long where it is given.",
        ));
    }
    let skills = setting.skills.as_ref().map_or(Ok(()), card::skills);
    skills.map_err(|fault| ApiError::bad_request("INVALID_BODY", format!("`a2a`: {fault}.")))
}

/// Answers the two routes of an agent that is called.
pub(super) async fn serve(call: Call) -> Result<Response, ApiError> {
    if call.request.method() == Method::Post {
        pass_on(call).await
    } else {
        card(&call).await
    }
}

/// `GET /a2a/:agent/.well-known/agent-card.json`.
async fn card(call: &Call) -> Result<Response, ApiError> {
    let (row, setting) = called(call).await?;
    let ready = call.ready().await?;
    let wish = CardWish {
        network: ready.config.name.clone(),
        origin: ready.config.origin(&ready.config.host),
        open: setting.access == A2aAccess::Open,
        description: setting.description.unwrap_or_else(|| {
            format!(
                "{}, an agent of the network {}.",
                row.name, ready.config.name
            )
        }),
        skills: setting.skills.unwrap_or_else(card::default_skills),
    };
    let name = format!("{} {}", row.object_id, serde_json::to_string(&wish)?);
    let now = internal::now();
    let known = CARDS.with_borrow(|kept| kept.get(&name).cloned());
    let text = match known {
        Some((at, text)) if now.since(at) < CARD_MEMORY_MS => text,
        Some(_) | None => {
            let stub = internal::agent(&call.env, &row.object_id)?;
            let card: Value = internal::post(&stub, "/a2a/card", &wish, &call.id).await?;
            let text = card.to_string();
            CARDS.with_borrow_mut(|kept| {
                if kept.len() >= MAX_CARDS {
                    kept.clear();
                }
                kept.insert(name, (now, text.clone()));
            });
            text
        }
    };
    let etag = BASE64URL_NOPAD.encode(&sha256(&[text.as_bytes()]));
    reply::cached(
        &call.request,
        &text,
        "application/json",
        &etag,
        CARD_MAX_AGE,
    )
}

/// `POST /a2a/:agent`: a call, passed on to the agent's object, which finds out who calls.
async fn pass_on(mut call: Call) -> Result<Response, ApiError> {
    let (row, setting) = called(&call).await?;
    let shown = bearer(&call.request)?.map(|key| token_key(&key));
    let bytes = body::read(&mut call.request).await?;
    let mut headers = vec![(REQUEST_ID, call.id.as_str())];
    headers.extend(shown.as_deref().map(|hash| (A2A_KEY, hash)));
    if setting.access == A2aAccess::Open {
        headers.push((A2A_OPEN, "1"));
    }
    let stub = internal::agent(&call.env, &row.object_id)?;
    let body = Forwarded::Bytes(bytes);
    internal::forward(&stub, &call.request, "/a2a/call", &headers, &body).await
}

/// Finds the agent that is called, where it is called at all.
async fn called(call: &Call) -> Result<(AgentRow, A2aSetting), ApiError> {
    call.ready().await?;
    let nobody = || {
        ApiError::not_found(
            "A2A_UNKNOWN_AGENT",
            "No agent of this name is called by A2A here: its owner sets `a2a` with PATCH /agents/:name.",
        )
    };
    let name = AgentName::parse(call.parameter()).map_err(|_error| nobody())?;
    let row = call.directory()?.agent_by_name(&name).await?;
    let row = row.filter(AgentRow::is_active).ok_or_else(nobody)?;
    let setting = row.a2a();
    if setting.access == A2aAccess::Off {
        return Err(nobody());
    }
    Ok((row, setting))
}
