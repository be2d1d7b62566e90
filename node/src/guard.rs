//! The one outgoing fetch for hosts that somebody else named, and for services that the deployment does.
//!
//! Which hosts may be asked is decided by text alone in `entente_well_known::guard`; what is here
//! bounds the asking: no redirects, JSON only, 64 KiB read as they stream, 5 s for everything.
//! DNS cannot be pinned, so what comes back is believed only for its signature.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use entente_lexicon::Host;
use entente_trust::crypto::multikey::fingerprint;
use entente_trust::identity::{Log, LogError};
use entente_well_known::document::{self, Claim, DocumentError, LOG_PATH, VerifiedDocument};
use entente_well_known::guard::{GuardError, Target, check_peer_url};
use futures::TryStreamExt;
use futures::future::{Either, select};
use url::Url;
use wasm_bindgen::JsValue;
use worker::{
    AbortController, AbortSignal, Delay, Fetch, Headers, Method, Request, RequestInit,
    RequestRedirect, Response,
};

use crate::config::Config;
use crate::error::ApiError;
use crate::shapes::Broken;

/// The longest document.
const MAX_BYTES: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(5);
/// A model may take longer.
const POST_TIMEOUT: Duration = Duration::from_secs(10);
/// Pages of a log that one fetch reads at most: more than the longest log needs.
const MAX_PAGES: usize = 32;

/// A peer's document that its own key signed and its own log proves.
#[derive(Clone, Debug)]
pub struct FetchedDocument {
    /// The document, byte for byte.
    pub text: String,
    /// Its SHA-256 in base64url.
    pub hash: String,
    /// What it says.
    pub verified: VerifiedDocument,
    /// Its identity log, one entry a line.
    pub log: String,
}

/// Why what a peer serves is not taken.
#[derive(Debug)]
pub enum Distrust {
    /// Nothing usable came; it may pass.
    Unusable(ApiError),
    /// The keys are not those that the pinned log proves: a person must look.
    Broken(Broken),
}

impl From<ApiError> for Distrust {
    fn from(error: ApiError) -> Self {
        Self::Unusable(error)
    }
}

impl From<Distrust> for ApiError {
    fn from(distrust: Distrust) -> Self {
        match distrust {
            Distrust::Unusable(error) => error,
            Distrust::Broken(broken) => broken.into(),
        }
    }
}

impl From<Broken> for ApiError {
    fn from(broken: Broken) -> Self {
        Self::new(
            409,
            "KEY_CHANGED",
            format!(
                "The peer's keys changed in a way that its identity log does not prove ({}): ask its admin, then unfreeze the link or remove the peer.",
                broken.explanation
            ),
        )
    }
}

/// Fetches and verifies the document of the network at a host that the rules admit, and what its
/// log has beyond the `pinned` one.
///
/// # Errors
/// 502 `PEER_UNREACHABLE` and its like if nothing usable came, 422 `DOCUMENT_…` if what came is
/// not to be believed; [`Distrust::Broken`] if it contradicts the pinned log.
pub async fn fetch_document(
    target: &Target,
    pinned: Option<&Log>,
) -> Result<FetchedDocument, Distrust> {
    let text = fetch(&format!("{}{}", target.origin, document::PATH)).await;
    let text = text.map_err(|error| match error.status {
        404 | 410 => unreachable(&format!("it answered {}", error.status)),
        _ => error,
    })?;
    let claim = document::claim(&text).map_err(disbelieved)?;
    let pinned = pinned.filter(|log| *log.did() == claim.did);
    let broken = |error: DocumentError| match pinned {
        Some(_) if error.breaks_the_pin() => Distrust::Broken(Broken {
            reason: error.code().to_owned(),
            explanation: error.to_string(),
            served_fingerprint: served_fingerprint(&text),
        }),
        Some(_) | None => disbelieved(error).into(),
    };
    let base = format!("{}{LOG_PATH}", target.origin);
    let log = match follow_log(&base, &claim, pinned).await? {
        Ok(log) => log,
        Err(error) => return Err(broken(DocumentError::Log(error))),
    };
    let verified = document::verify(&text, &target.host, Some(&log)).map_err(broken)?;
    Ok(FetchedDocument {
        hash: BASE64URL_NOPAD.encode(&verified.hash),
        log: log.to_text().map_err(ApiError::internal)?,
        verified,
        text,
    })
}

/// Brings a log up to what a document or a card claims: from the pinned one, or from its entry 0.
///
/// # Errors
/// If a page cannot be fetched or is no log at all. Inside: what is wrong with an entry.
pub async fn follow_log(
    base: &str,
    claim: &Claim,
    pinned: Option<&Log>,
) -> Result<Result<Log, LogError>, ApiError> {
    let log = pinned
        .cloned()
        .map_or_else(|| Log::begin(claim.log0.clone()), Ok);
    let mut log = match log {
        Ok(log) => log,
        Err(error) => return Ok(Err(error)),
    };
    for _page in 0..MAX_PAGES {
        let seq = log.last().seq();
        if seq >= claim.seq {
            break;
        }
        let page = fetch(&format!("{base}?from={}", seq.saturating_add(1))).await?;
        match log.extend(&page) {
            Ok(()) if log.last().seq() > seq => {}
            // An error page may pass; an entry that is signed wrongly does not.
            Ok(()) | Err(LogError::Malformed | LogError::UnknownVersion) => {
                return Err(disbelieved(DocumentError::LogBehind));
            }
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(log))
}

/// The fingerprint of the signing key that a document names, true or not, to be shown to a person.
fn served_fingerprint(text: &str) -> Option<String> {
    let document: serde_json::Value = serde_json::from_str(text).ok()?;
    let key = document.get("publicKey")?.as_str()?;
    Some(fingerprint(key))
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
pub async fn fetch_text(target: &Target, path: &str) -> Result<String, ApiError> {
    fetch(&format!("{}{path}", target.origin)).await
}

/// Asks a peer for what it serves at `path`, with these headers, and returns its answer as it comes,
/// unread: whoever reads it bounds that. No redirects; 10 s until it begins.
///
/// # Errors
/// 502 `PEER_UNREACHABLE`, 504 `PEER_TIMEOUT`.
pub async fn open(target: &Target, path: &str, headers: Headers) -> Result<Response, ApiError> {
    headers.set("user-agent", concat!("entente/", env!("CARGO_PKG_VERSION")))?;
    let mut init = RequestInit::new();
    init.with_method(Method::Get)
        .with_headers(headers)
        .with_redirect(RequestRedirect::Manual);
    let request = Request::new_with_init(&format!("{}{path}", target.origin), &init)?;
    let fetch = Fetch::Request(request);
    let work = Box::pin(fetch.send());
    match select(work, Delay::from(POST_TIMEOUT)).await {
        Either::Left((outcome, _)) => outcome.map_err(|error| unreachable(&error.to_string())),
        Either::Right(((), _)) => Err(ApiError::new(
            504,
            "PEER_TIMEOUT",
            "The peer did not begin to answer within 10 seconds: is the network up?",
        )),
    }
}

/// Finds where a peer that the directory lists is asked.
///
/// # Errors
/// If the rules do not admit its host any more.
pub fn target(config: &Config, host: &Host) -> Result<Target, ApiError> {
    let own = std::slice::from_ref(&config.host);
    check_peer_url(&config.origin(host), own, &config.dev_hosts).map_err(refused)
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

/// Why a service that the deployment names gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostFault {
    /// No answer came in time, or none at all.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It answered with this status instead of 200; redirects are not followed.
    #[error("it answered {0}")]
    Status(u16),
    /// Its answer is too long.
    #[error("its answer is over {0} bytes")]
    TooLarge(usize),
}

/// Posts JSON to a service that the deployment names, at a URL whose host passed the rules. No
/// redirects, `limit` bytes read as they stream, 10 s for everything.
///
/// # Errors
/// [`PostFault`].
pub async fn post(
    url: &str,
    body: String,
    key: Option<&str>,
    limit: usize,
) -> Result<Vec<u8>, PostFault> {
    let mut headers = vec![
        ("accept".to_owned(), "application/json".to_owned()),
        ("content-type".to_owned(), "application/json".to_owned()),
    ];
    headers.extend(key.map(|key| ("authorization".to_owned(), format!("Bearer {key}"))));
    exchange(url, &headers, body, limit).await
}

/// As [`post`], with these headers, at a URL that passed the rules for those that somebody else names.
///
/// # Errors
/// [`PostFault`].
pub async fn exchange(
    url: &str,
    headers: &[(String, String)],
    body: String,
    limit: usize,
) -> Result<Vec<u8>, PostFault> {
    let request = posted(url, headers, body.into()).map_err(gone)?;
    in_time(async |signal| {
        let sent = Fetch::Request(request).send_with_signal(&signal).await;
        let mut response = sent.map_err(gone)?;
        let status = response.status_code();
        if status != 200 {
            return Err(PostFault::Status(status));
        }
        let mut stream = response.stream().map_err(gone)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.try_next().await.map_err(gone)? {
            if bytes.len().saturating_add(chunk.len()) > limit {
                return Err(PostFault::TooLarge(limit));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    })
    .await
}

/// Posts bytes to a URL that passed the rules for those that somebody else names. No redirects, 10 s for
/// everything; of the answer nothing is read but its status, 0 for a redirect that shows no more.
///
/// # Errors
/// [`PostFault::Unreachable`].
pub async fn deliver(
    url: &Url,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<u16, PostFault> {
    let body = js_sys::Uint8Array::from(body).into();
    let request = posted(url.as_str(), headers, body).map_err(gone)?;
    in_time(async |signal| {
        let sent = Fetch::Request(request).send_with_signal(&signal).await;
        Ok(sent.map_err(gone)?.status_code())
    })
    .await
}

/// Gives a request 10 s.
async fn in_time<T>(
    work: impl AsyncFnOnce(AbortSignal) -> Result<T, PostFault>,
) -> Result<T, PostFault> {
    let controller = AbortController::default();
    let work = Box::pin(work(controller.signal()));
    let outcome = match select(work, Delay::from(POST_TIMEOUT)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(((), _)) => Err(PostFault::Unreachable("no answer within 10 s".to_owned())),
    };
    // Whatever is left of the answer is let go.
    controller.abort();
    outcome
}

fn gone(error: worker::Error) -> PostFault {
    PostFault::Unreachable(error.to_string().chars().take(200).collect())
}

fn posted(url: &str, set: &[(String, String)], body: JsValue) -> worker::Result<Request> {
    let headers = Headers::new();
    for (name, value) in set {
        headers.set(name, value)?;
    }
    headers.set("user-agent", concat!("entente/", env!("CARGO_PKG_VERSION")))?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(headers)
        .with_body(Some(body))
        .with_redirect(RequestRedirect::Manual);
    Request::new_with_init(url, &init)
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
        || kind.eq_ignore_ascii_case("application/jsonl")
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
