//! atproto's methods on an agent's public repo: anyone may read it, errors are XRPC's.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use worker::{Response, console_error};

use crate::error::{ApiError, REQUEST_ID};
use crate::internal;
use crate::routes::call::Call;
use crate::routes::discovery::{discoverable, living_agent};
use crate::shapes::{HeadsOf, RepoHead};
use crate::store::agents::{AgentStatus, RepoRow};

/// The one method that is a stream.
const SUBSCRIBE: &str = "/xrpc/com.atproto.sync.subscribeRepos";
/// The one method that is about all repos.
const LIST: &str = "/xrpc/com.atproto.sync.listRepos";
/// The one method that answers for a repo that is gone.
const STATUS: &str = "/xrpc/com.atproto.sync.getRepoStatus";
/// Repos in one page.
const MAX_LISTED: u32 = 500;

/// `GET /xrpc/:method`.
pub(super) async fn serve(call: &Call) -> Result<Response, ApiError> {
    let error = match pass_on(call).await {
        Ok(answer) if answer.status_code() < 400 => return Ok(answer),
        Ok(mut answer) => {
            let mut error = internal::decode_error(answer.status_code(), &answer.bytes().await?);
            if let Some(wait) = answer.headers().get("retry-after")? {
                error = error.with_header("retry-after", wait);
            }
            error
        }
        Err(error) => error,
    };
    if let Some(detail) = &error.detail {
        console_error!("request {}: {}: {detail}", call.id, error.code);
    }
    let (status, name) = named(&error);
    let body = json!({ "error": name, "message": error.message });
    let answer = Response::from_json(&body)?.with_status(status);
    for (name, value) in &error.headers {
        answer.headers().set(name, value)?;
    }
    Ok(answer)
}

async fn pass_on(call: &Call) -> Result<Response, ApiError> {
    let url = call.request.url()?;
    if url.path() == SUBSCRIBE {
        return subscribe(call, url.query().unwrap_or_default()).await;
    }
    if url.path() == LIST {
        return list(call).await;
    }
    let repo = url
        .query_pairs()
        .find(|(name, value)| matches!(&**name, "did" | "repo") && !value.is_empty());
    let Some((_, repo)) = repo else {
        return Err(ApiError::new(
            400,
            "InvalidRequest",
            "`did` (sync) or `repo` (repo) names the agent: its DID, or its name here.",
        ));
    };
    let row = match living_agent(call, &repo).await {
        Err(error) if error.code == "AGENT_DELETED" && url.path() == STATUS => {
            let gone = json!({ "did": repo, "active": false, "status": "deleted" });
            return Ok(Response::from_json(&gone)?);
        }
        found => found?,
    };
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let stub = internal::agent(&call.env, &row.object_id)?;
    let headers = [(REQUEST_ID, call.id.as_str())];
    internal::forward(
        &stub,
        &call.request,
        &path,
        &headers,
        &internal::Forwarded::Nothing,
    )
    .await
}

/// What is asked of a list of repos.
#[derive(Deserialize)]
struct ListQuery {
    limit: Option<String>,
    cursor: Option<String>,
}

/// `com.atproto.sync.listRepos`: the repos of this network, by DID, with the last commit of each that the
/// relay has heard of. No agent is asked: anyone may call this, and a page names hundreds of them.
async fn list(call: &Call) -> Result<Response, ApiError> {
    discoverable(call).await?;
    let query: ListQuery = call.request.query()?;
    let limit = query.limit.filter(|text| !text.is_empty());
    let limit = limit.map_or(Some(MAX_LISTED), |text| text.parse().ok());
    let limit = limit.filter(|limit| (1..=1_000).contains(limit));
    let limit = limit.ok_or_else(|| {
        ApiError::new(400, "InvalidRequest", "`limit` is a number from 1 to 1000.")
    })?;
    let limit = limit.min(MAX_LISTED);
    let after = query.cursor.unwrap_or_default();
    let rows = call.directory()?.repos_after(&after, limit).await?;
    let whole = rows.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let last = rows.last().map(|row| row.did.clone());
    let wish = HeadsOf {
        dids: rows.iter().map(|row| row.did.clone()).collect(),
    };
    let relay = internal::relay(&call.env)?;
    let heads: Vec<RepoHead> = internal::post(&relay, "/repos/heads", &wish, &call.id).await?;
    let repos = listed(&rows, &heads);
    Ok(match last.filter(|_last| whole) {
        Some(cursor) => Response::from_json(&json!({ "cursor": cursor, "repos": repos }))?,
        None => Response::from_json(&json!({ "repos": repos }))?,
    })
}

/// Says what each repo is at. One that was put back a moment ago, of which nothing was heard yet, is not
/// listed.
fn listed(rows: &[RepoRow], heads: &[RepoHead]) -> Vec<Value> {
    let heads: BTreeMap<_, _> = heads.iter().map(|head| (&head.did, head)).collect();
    let known = rows
        .iter()
        .filter_map(|row| Some((row.status, heads.get(&row.did)?)));
    let shown = known.map(|(status, head)| {
        let (did, commit, rev) = (&head.did, &head.commit, &head.rev);
        if status == AgentStatus::Active {
            json!({ "did": did, "head": commit, "rev": rev, "active": true })
        } else {
            json!({ "did": did, "head": commit, "rev": rev, "active": false, "status": "deleted" })
        }
    });
    shown.collect()
}

/// Passes a reader of all public repos on to the relay.
async fn subscribe(call: &Call, query: &str) -> Result<Response, ApiError> {
    discoverable(call).await?;
    let upgrade = call.request.headers().get("upgrade")?;
    if upgrade.is_none_or(|value| !value.eq_ignore_ascii_case("websocket")) {
        return Err(ApiError::new(
            426,
            "UPGRADE_REQUIRED",
            "This method is a stream: connect with ws:// or wss://.",
        ));
    }
    let stub = internal::relay(&call.env)?;
    let headers = [(REQUEST_ID, call.id.as_str())];
    let nothing = internal::Forwarded::Nothing;
    let path = format!("/repos/read?{query}");
    internal::forward(&stub, &call.request, &path, &headers, &nothing).await
}

/// Returns status and name of an error as XRPC has them.
fn named(error: &ApiError) -> (u16, &str) {
    match (&*error.code, error.status) {
        ("UNKNOWN_AGENT", _) => (400, "RepoNotFound"),
        ("AGENT_DELETED", _) => (400, "RepoDeactivated"),
        (code, status) if !code.contains('_') && code != "INTERNAL" => (status, code),
        (_, 403) => (403, "Forbidden"),
        (_, status) if status < 500 => (status, "InvalidRequest"),
        (_, status) => (status, "InternalServerError"),
    }
}

#[cfg(test)]
mod tests {
    use entente_lexicon::{Did, Tid};

    use super::*;

    #[test]
    fn a_repo_is_listed_once_it_was_heard_of_and_as_what_the_directory_says() {
        let did =
            |first: char| -> Did { format!("did:cf:{first}{}", "a".repeat(51)).parse().unwrap() };
        let row = |last, status| RepoRow {
            did: did(last),
            status,
        };
        let head = |last: char| RepoHead {
            did: did(last),
            commit: format!("commit-{last}"),
            rev: Tid::parse("3n74wodl22222").unwrap(),
        };
        let rows = [
            row('a', AgentStatus::Active),
            row('q', AgentStatus::Active),
            row('y', AgentStatus::Deleted),
        ];
        let shown = listed(&rows, &[head('y'), head('a')]);
        let rev = "3n74wodl22222";
        let expected = [
            json!({ "did": did('a'), "head": "commit-a", "rev": rev, "active": true }),
            json!({ "did": did('y'), "head": "commit-y", "rev": rev, "active": false, "status": "deleted" }),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn errors_have_the_names_that_atproto_knows() {
        for (status, code, expected) in [
            (404, "UNKNOWN_AGENT", (400, "RepoNotFound")),
            (410, "AGENT_DELETED", (400, "RepoDeactivated")),
            (400, "RecordNotFound", (400, "RecordNotFound")),
            (429, "RateLimitExceeded", (429, "RateLimitExceeded")),
            (403, "NETWORK_PRIVATE", (403, "Forbidden")),
            (500, "INTERNAL", (500, "InternalServerError")),
            (503, "NOT_INITIALISED", (503, "InternalServerError")),
        ] {
            assert_eq!(named(&ApiError::new(status, code, "")), expected, "{code}");
        }
    }
}
