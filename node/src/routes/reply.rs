//! What every answer has in common.

use serde::Serialize;
use worker::{Request, Response};

use crate::auth::find::{Found, look_up};
use crate::auth::table::Access;
use crate::error::{ApiError, REQUEST_ID};

/// Answers with JSON that no cache may keep.
pub(super) fn json(status: u16, body: &impl Serialize) -> Result<Response, ApiError> {
    let response = Response::from_json(body)?.with_status(status);
    response.headers().set("cache-control", "no-store")?;
    Ok(response)
}

/// Answers that it is done and there is nothing to say.
pub(super) fn nothing() -> Result<Response, ApiError> {
    Ok(Response::empty()?.with_status(204))
}

/// Answers with exact bytes that caches may keep for `max_age` seconds, or 304 if the client has
/// them.
pub(super) fn cached(
    request: &Request,
    bytes: &str,
    content_type: &str,
    etag: &str,
    max_age: u32,
) -> Result<Response, ApiError> {
    let etag = format!("\"{etag}\"");
    let known = request.headers().get("if-none-match")?;
    let same = known.is_some_and(|known| matches_etag(&known, &etag));
    let response = if same {
        Response::empty()?.with_status(304)
    } else {
        Response::from_bytes(bytes.as_bytes().to_vec())?
    };
    let headers = response.headers();
    headers.set("content-type", content_type)?;
    headers.set("etag", &etag)?;
    headers.set("cache-control", &format!("public, max-age={max_age}"))?;
    Ok(response)
}

fn matches_etag(known: &str, etag: &str) -> bool {
    known
        .split(',')
        .map(|text| text.trim().trim_start_matches("W/"))
        .any(|text| text == etag || text == "*")
}

/// Answers a browser that asks whether it may call from another origin: only what is public.
pub(super) fn preflight(request: &Request) -> Result<Response, ApiError> {
    let response = Response::empty()?.with_status(204);
    let wanted = request.headers().get("access-control-request-method")?;
    let found = look_up(wanted.as_deref().unwrap_or("GET"), &request.path());
    if matches!(found, Found::Route(entry, _) if entry.access == Access::Public) {
        let headers = response.headers();
        headers.set("access-control-allow-origin", "*")?;
        headers.set("access-control-allow-methods", "GET, HEAD, OPTIONS")?;
        headers.set(
            "access-control-allow-headers",
            "content-type, if-none-match",
        )?;
        headers.set("access-control-max-age", "86400")?;
    }
    Ok(response)
}

/// Adds the headers of every answer.
///
/// # Errors
/// If the platform refuses a header.
pub(super) fn finish(response: Response, id: &str, public: bool) -> worker::Result<Response> {
    if response.status_code() == 101 {
        return Ok(response);
    }
    // Headers of a forwarded answer are immutable: copy them, all at once.
    let copy = web_sys::Headers::new_with_headers(&response.headers().0);
    let headers = worker::Headers(copy.map_err(worker::Error::from)?);
    headers.set(REQUEST_ID, id)?;
    headers.set("x-content-type-options", "nosniff")?;
    headers.set("referrer-policy", "no-referrer")?;
    if public {
        headers.set("access-control-allow-origin", "*")?;
        headers.set("access-control-expose-headers", "etag, x-request-id")?;
    }
    Ok(response.with_headers(headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_etag_is_found_in_a_list() {
        for known in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(matches_etag(known, "\"a\""), "{known}");
        }
        for other in ["", "a", "\"b\"", "\"a"] {
            assert!(!matches_etag(other, "\"a\""), "{other}");
        }
    }
}
