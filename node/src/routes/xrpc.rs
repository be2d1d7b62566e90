//! atproto's methods on an agent's public repo: anyone may read it, errors are XRPC's.

use serde_json::json;
use worker::{Response, console_error};

use crate::error::{ApiError, REQUEST_ID};
use crate::internal;
use crate::routes::call::Call;
use crate::routes::discovery::{discoverable, living_agent};

/// The one method that is a stream.
const SUBSCRIBE: &str = "/xrpc/com.atproto.sync.subscribeRepos";

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
    let row = living_agent(call, &repo).await?;
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
    use super::*;

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
