//! `GET /admin/tasks`: the tasks of all agents, as each one's object tells them.

use entente_lexicon::api::tasks::{AdminTaskList, AgentTask, TaskList};
use entente_lexicon::id::BASE32;
use serde::Deserialize;
use url::form_urlencoded::Serializer;
use worker::Response;

use crate::error::ApiError;
use crate::internal;
use crate::routes::call::Call;
use crate::routes::reply;
use crate::store::agents::AgentRow;

const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 100;
/// Agents that one page asks at most.
const MAX_AGENTS: usize = 20;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Query {
    state: Option<String>,
    role: Option<String>,
    peer: Option<String>,
    cursor: Option<String>,
    limit: Option<String>,
}

/// Where a page begins: at this agent, after this place of its list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) agent: String,
    pub(super) inner: Option<String>,
}

impl Place {
    pub(super) fn read(text: &str) -> Option<Self> {
        let bytes = BASE32.decode(text.as_bytes()).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (agent, inner) = text.split_once('.')?;
        Some(Self {
            agent: agent.to_owned(),
            inner: Some(inner.to_owned()).filter(|inner| !inner.is_empty()),
        })
    }

    pub(super) fn write(&self) -> String {
        let inner = self.inner.as_deref().unwrap_or_default();
        BASE32.encode(format!("{}.{inner}", self.agent).as_bytes())
    }
}

/// `GET /admin/tasks`. What was said is shown only of agents that let the admin read.
pub(super) async fn list(call: &Call) -> Result<Response, ApiError> {
    call.ready().await?;
    let query: Query = call.request.query()?;
    let limit = match query.limit.as_deref().filter(|text| !text.is_empty()) {
        None => Some(DEFAULT_PAGE),
        Some(text) => text.parse().ok().filter(|n| (1..=MAX_PAGE).contains(n)),
    };
    let limit = limit.ok_or_else(|| {
        ApiError::bad_request("INVALID_LIMIT", "`limit` is a number from 1 to 100.")
    })?;
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
    let agents = call.directory()?.agents().await?;
    let agents = agents
        .into_iter()
        .filter(|row| row.is_active() && *row.name.as_str() >= *place.agent);
    let mut tasks = Vec::new();
    let mut next = None;
    for (asked, row) in agents.enumerate() {
        let room = limit.saturating_sub(tasks.len());
        if room == 0 || asked == MAX_AGENTS {
            next = Some(Place {
                agent: row.name.to_string(),
                inner: None,
            });
            break;
        }
        let inner = place
            .inner
            .take()
            .filter(|_| row.name.as_str() == place.agent);
        let page = of_agent(call, &row, &query, inner.as_deref(), room).await?;
        let name = row.name.to_string();
        tasks.extend(page.tasks.into_iter().map(|task| AgentTask {
            agent: name.clone(),
            task,
        }));
        if page.cursor.is_some() {
            next = Some(Place {
                agent: name,
                inner: page.cursor,
            });
            break;
        }
    }
    reply::json(
        200,
        &AdminTaskList {
            tasks,
            cursor: next.map(|place| place.write()),
        },
    )
}

/// Asks one agent's object.
async fn of_agent(
    call: &Call,
    row: &AgentRow,
    query: &Query,
    cursor: Option<&str>,
    limit: usize,
) -> Result<TaskList, ApiError> {
    let bodies = row.admin_may_read();
    if bodies {
        call.audit("tasks.read", row.name.as_str()).await?;
    }
    let mut text = Serializer::new(String::new());
    text.append_pair("limit", &limit.to_string());
    text.append_pair("bodies", if bodies { "true" } else { "false" });
    let given = [
        ("state", query.state.as_deref()),
        ("role", query.role.as_deref()),
        ("peer", query.peer.as_deref()),
        ("cursor", cursor),
    ];
    for (name, value) in given {
        if let Some(value) = value {
            text.append_pair(name, value);
        }
    }
    let stub = internal::agent(&call.env, &row.object_id)?;
    internal::get(&stub, &format!("/tasks?{}", text.finish()), &call.id).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_and_nonsense_does_not() {
        for inner in [None, Some("aaaa".to_owned())] {
            let place = Place {
                agent: "alice".to_owned(),
                inner,
            };
            assert_eq!(Place::read(&place.write()), Some(place));
        }
        for bad in ["", "!", "aa", &BASE32.encode(b"alice")] {
            assert_eq!(Place::read(bad), None, "{bad}");
        }
    }
}
