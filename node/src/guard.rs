//! The one outgoing fetch for hosts that somebody else named.
//!
//! Which hosts may be asked is decided by text alone in `entente_well_known::guard`; what is here
//! bounds the asking: no redirects, JSON only, 64 KiB read as they stream, 5 s for everything.
//! DNS cannot be pinned, so what comes back is believed only for its signature.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use entente_lexicon::{Did, Host};
use entente_trust::crypto::sign::VerifyingKey;
use entente_well_known::document::{self, DocumentError};
use entente_well_known::guard::{GuardError, Target, check_peer_url};
use futures::TryStreamExt;
use futures::future::{Either, select};
use worker::{
    AbortController, Delay, Fetch, Headers, Method, Request, RequestInit, RequestRedirect, Response,
};

use crate::config::Config;
use crate::error::ApiError;

/// The longest document.
const MAX_BYTES: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(5);
const DOCUMENT_PATH: &str = "/.well-known/agent-network.json";

/// A peer's document that its own key signed and its own log proves.
#[derive(Clone, Debug)]
pub struct FetchedDocument {
    /// The peer's DID.
    pub did: Did,
    /// The name that it gives itself.
    pub name: String,
    /// The document, byte for byte.
    pub text: String,
    /// Its SHA-256 in base64url.
    pub hash: String,
    /// Its signing key's fingerprint.
    pub fingerprint: String,
    /// Its signing keys, by name.
    pub keys: BTreeMap<String, VerifyingKey>,
}

/// Fetches and verifies the document of the network at a host that the rules admit.
///
/// # Errors
/// 502 `PEER_UNREACHABLE` and its like if nothing usable came, 422 `DOCUMENT_…` if what came is
/// not to be believed.
pub async fn fetch_document(target: &Target) -> Result<FetchedDocument, ApiError> {
    let text = fetch(&format!("{}{DOCUMENT_PATH}", target.origin)).await;
    let text = text.map_err(|error| match error.status {
        404 | 410 => unreachable(&format!("it answered {}", error.status)),
        _ => error,
    })?;
    let verified = document::verify(&text, &target.host).map_err(disbelieved)?;
    Ok(FetchedDocument {
        did: verified.did,
        name: verified.name,
        hash: BASE64URL_NOPAD.encode(&verified.hash),
        fingerprint: verified.fingerprint,
        keys: verified.keys,
        text,
    })
}

/// Says which rule a peer's URL breaks.
#[must_use]
pub fn refused(error: GuardError) -> ApiError {
    ApiError::new(422, error.code(), format!("{error}."))
}

/// Fetches what a peer serves at `path`, under the same rules and bounds.
///
/// # Errors
/// As [`fetch_document`], and 404 or 410 if that is what the peer answered.
pub async fn fetch_text(config: &Config, host: &Host, path: &str) -> Result<String, ApiError> {
    let own = std::slice::from_ref(&config.host);
    let target = check_peer_url(&config.origin(host), own, &config.dev_hosts).map_err(refused)?;
    fetch(&format!("{}{path}", target.origin)).await
}

fn disbelieved(error: DocumentError) -> ApiError {
    ApiError::new(422, error.code(), format!("The peer's document: {error}."))
}

async fn fetch(url: &str) -> Result<String, ApiError> {
    let controller = AbortController::default();
    let signal = controller.signal();
    let work = Box::pin(async {
        let request = request(url)?;
        let response = Fetch::Request(request)
            .send_with_signal(&signal)
            .await
            .map_err(|error| unreachable(&error.to_string()))?;
        read(response).await
    });
    match select(work, Delay::from(TIMEOUT)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(((), _)) => {
            controller.abort();
            Err(ApiError::new(
                504,
                "PEER_TIMEOUT",
                "The peer did not send its document within 5 seconds: is the network up?",
            ))
        }
    }
}

fn request(url: &str) -> Result<Request, ApiError> {
    let headers = Headers::new();
    headers.set("accept", "application/json")?;
    headers.set("user-agent", concat!("entente/", env!("CARGO_PKG_VERSION")))?;
    let mut init = RequestInit::new();
    init.with_method(Method::Get)
        .with_headers(headers)
        .with_redirect(RequestRedirect::Manual);
    Ok(Request::new_with_init(url, &init)?)
}

async fn read(mut response: Response) -> Result<String, ApiError> {
    let status = response.status_code();
    let content_type = response.headers().get("content-type")?;
    let length = response.headers().get("content-length")?;
    check_head(status, content_type.as_deref(), length.as_deref())?;
    let mut stream = response
        .stream()
        .map_err(|_empty| unreachable("it answered with an empty body"))?;
    let mut bytes = Vec::new();
    while let Some(chunk) = stream
        .try_next()
        .await
        .map_err(|error| unreachable(&error.to_string()))?
    {
        if bytes.len().saturating_add(chunk.len()) > MAX_BYTES {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_error| {
        ApiError::new(
            422,
            "DOCUMENT_MALFORMED",
            "The peer's document is not UTF-8 text.",
        )
    })
}

/// Judges an answer by its status and headers.
fn check_head(
    status: u16,
    content_type: Option<&str>,
    length: Option<&str>,
) -> Result<(), ApiError> {
    // A manual redirect shows as itself, or as an opaque answer without a status.
    if status == 0 || (300..400).contains(&status) {
        return Err(ApiError::new(
            422,
            "PEER_REDIRECTS",
            "The peer answers with a redirect, which is not followed: use the URL it leads to.",
        ));
    }
    if status == 404 || status == 410 {
        return Err(ApiError::new(
            status,
            "PEER_NOT_FOUND",
            "The peer does not serve what was asked of it.",
        ));
    }
    if status != 200 {
        return Err(unreachable(&format!("it answered {status}")));
    }
    let kind = content_type.unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let is_json = kind.eq_ignore_ascii_case("application/json")
        || (kind.starts_with("application/") && kind.ends_with("+json"));
    if !is_json {
        return Err(ApiError::new(
            422,
            "DOCUMENT_CONTENT_TYPE",
            "The peer's document is not served as application/json.",
        ));
    }
    let announced: Option<usize> = length.and_then(|text| text.parse().ok());
    if announced.is_some_and(|bytes| bytes > MAX_BYTES) {
        return Err(too_large());
    }
    Ok(())
}

fn too_large() -> ApiError {
    ApiError::new(
        422,
        "DOCUMENT_TOO_LARGE",
        "The peer's document is over 64 KiB.",
    )
}

fn unreachable(why: &str) -> ApiError {
    let why: String = why.chars().take(200).collect();
    ApiError {
        detail: Some(why),
        ..ApiError::new(
            502,
            "PEER_UNREACHABLE",
            "The peer's document cannot be fetched: check the URL, and that the network is up and initialised.",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(status: u16, kind: &str, length: &str) -> String {
        let checked = check_head(status, Some(kind), Some(length));
        checked.map_or_else(|error| error.code.into_owned(), |()| "ok".to_owned())
    }

    #[test]
    fn only_a_short_json_answer_is_read() {
        assert_eq!(code(200, "application/json", "100"), "ok");
        assert_eq!(code(200, "application/json; charset=utf-8", "x"), "ok");
        assert_eq!(code(200, "application/did+json", "65536"), "ok");
        assert_eq!(code(200, "text/html", "1"), "DOCUMENT_CONTENT_TYPE");
        assert_eq!(code(200, "", "1"), "DOCUMENT_CONTENT_TYPE");
        assert_eq!(code(200, "application/json", "65537"), "DOCUMENT_TOO_LARGE");
    }

    #[test]
    fn a_redirect_is_not_followed_and_a_failure_is_not_read() {
        for status in [0, 301, 302, 303, 307, 308, 399] {
            assert_eq!(code(status, "application/json", "1"), "PEER_REDIRECTS");
        }
        for status in [101, 204, 400, 500, 503] {
            assert_eq!(code(status, "application/json", "1"), "PEER_UNREACHABLE");
        }
    }
}
