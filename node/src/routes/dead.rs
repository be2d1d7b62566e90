//! The dead letters of all agents, as each one's object tells them. The directory says who has any.

use entente_lexicon::AgentName;
use entente_lexicon::api::dead::DeadLetterList;
use entente_lexicon::api::webhooks::DeadChanged;
use serde::Deserialize;
use url::form_urlencoded::Serializer;
use worker::{Method, Response};

use crate::error::ApiError;
use crate::internal;
use crate::routes::call::{Call, unknown_agent};
use crate::routes::reply;
use crate::routes::tasks::Place;
use crate::shapes::Nothing;
use crate::store::agents::AgentRow;

const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 100;
/// Agents that one call asks at most.
const MAX_AGENTS: u32 = 20;

#[derive(Debug, Default, Deserialize)]
struct Query {
    cursor: Option<String>,
    limit: Option<usize>,
}

/// `GET /admin/dead-letters`, `POST /admin/dead-letters/:id/:deed`, and the same for all.
pub(super) async fn serve(call: Call) -> Result<Response, ApiError> {
    call.ready().await?;
    if call.request.method() == Method::Get {
        return list(&call).await;
    }
    let deed = call.parameters.last().cloned().unwrap_or_default();
    if !matches!(deed.as_str(), "redrive" | "discard") {
        return Err(ApiError::not_found(
            "NOT_FOUND",
            "Dead letters are redriven or discarded.",
        ));
    }
    if call.parameters.len() == 1 {
        change_all(&call, &deed).await
    } else {
        change(&call, &deed).await
    }
}

async fn list(call: &Call) -> Result<Response, ApiError> {
    let query: Query = call.request.query()?;
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(ApiError::bad_request(
            "INVALID_LIMIT",
            "`limit` is a number from 1 to 100.",
        ));
    }
    let cursor = query.cursor.as_deref().filter(|text| !text.is_empty());
    let mut place = match cursor {
        None => Place::default(),
        Some(text) => Place::read(text).ok_or_else(|| {
            ApiError::bad_request(
                "INVALID_CURSOR",
                "`cursor` is not one of this list's: pass what the last page returned, or none to start over.",
            )
        })?,
    };
    let directory = call.directory()?;
    let agents = directory
        .agents_with_dead_letters(&place.agent, MAX_AGENTS.saturating_add(1))
        .await?;
    let mut answer = DeadLetterList {
        dead_letters: Vec::new(),
        total: directory.count_dead_letters().await?,
        cursor: None,
    };
    for (asked, row) in agents.iter().enumerate() {
        let room = limit.saturating_sub(answer.dead_letters.len());
        if room == 0 || asked >= MAX_AGENTS as usize {
            let next = Place {
                agent: row.name.to_string(),
                inner: None,
            };
            answer.cursor = Some(next.write());
            break;
        }
        let name = row.name.as_str();
        let inner = place.inner.take().filter(|_| name == place.agent);
        let page = of_agent(call, row, inner.as_deref(), room).await?;
        let named = page.dead_letters.into_iter().map(|mut dead| {
            dead.id = format!("{name}.{}", dead.id);
            dead.agent = Some(name.to_owned());
            dead
        });
        answer.dead_letters.extend(named);
        if page.cursor.is_some() {
            let next = Place {
                agent: name.to_owned(),
                inner: page.cursor,
            };
            answer.cursor = Some(next.write());
            break;
        }
    }
    reply::json(200, &answer)
}

async fn of_agent(
    call: &Call,
    row: &AgentRow,
    cursor: Option<&str>,
    limit: usize,
) -> Result<DeadLetterList, ApiError> {
    let mut text = Serializer::new(String::new());
    text.append_pair("limit", &limit.to_string());
    if let Some(cursor) = cursor {
        text.append_pair("cursor", cursor);
    }
    let stub = internal::agent(&call.env, &row.object_id)?;
    internal::get(&stub, &format!("/dead-letters?{}", text.finish()), &call.id).await
}

/// One dead letter, by the id of the admin's list.
async fn change(call: &Call, deed: &str) -> Result<Response, ApiError> {
    let unknown = || {
        ApiError::not_found(
            "UNKNOWN_DEAD_LETTER",
            "There is no such dead letter: GET /admin/dead-letters lists them.",
        )
    };
    let (name, id) = call.parameter().split_once('.').ok_or_else(unknown)?;
    let name = AgentName::parse(name).map_err(|_error| unknown())?;
    let row = call.directory()?.agent_by_name(&name).await?;
    let row = row.filter(AgentRow::is_active);
    let row = row.ok_or_else(|| unknown_agent(name.as_str()))?;
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(unknown());
    }
    call.audit(&format!("dead-letters.{deed}"), call.parameter())
        .await?;
    let changed = at_agent(call, &row, &format!("/dead-letters/{id}/{deed}")).await?;
    reply::json(200, &changed)
}

/// All dead letters of up to 20 agents: again, as long as some are left.
async fn change_all(call: &Call, deed: &str) -> Result<Response, ApiError> {
    let agents = call
        .directory()?
        .agents_with_dead_letters("", MAX_AGENTS)
        .await?;
    call.audit(&format!("dead-letters.{deed}"), "all").await?;
    let mut changed = 0_u64;
    for row in &agents {
        let done = at_agent(call, row, &format!("/dead-letters/{deed}")).await?;
        changed = changed.saturating_add(done.changed);
    }
    reply::json(200, &DeadChanged { changed })
}

async fn at_agent(call: &Call, row: &AgentRow, path: &str) -> Result<DeadChanged, ApiError> {
    let stub = internal::agent(&call.env, &row.object_id)?;
    internal::post(&stub, path, &Nothing {}, &call.id).await
}
