//! How the Worker and its objects talk to one another: `stub.fetch` with JSON or bytes.

use std::cell::RefCell;
use std::collections::BTreeMap;

use entente_lexicon::api::{ErrorBody, NewEvent};
use entente_lexicon::id::BASE32;
use entente_lexicon::{Did, Timestamp};
use getrandom::SysRng;
use rand_core::{Rng, UnwrapErr};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use worker::{Env, Headers, Method, Request, RequestInit, Response};

use crate::auth::recall;
use crate::drill;
use crate::edge::signature;
use crate::error::{ApiError, REQUEST_ID};
use crate::shapes::{Events, Nothing, VIEWER};

#[wasm_bindgen]
extern "C" {
    /// A handle on another object. The platform's own, since the wrapper reads every answer as a
    /// stream, piece by piece.
    #[derive(Clone, Debug)]
    pub type Stub;

    #[wasm_bindgen(method, catch)]
    fn fetch(this: &Stub, request: &web_sys::Request) -> Result<js_sys::Promise, JsValue>;
}

/// Handles on other objects that are called often: each takes a while to make.
#[derive(Debug, Default)]
pub(crate) struct Stubs(RefCell<BTreeMap<String, Stub>>);

impl Stubs {
    /// Returns the handle kept under a name, making it first if need be.
    ///
    /// # Errors
    /// What `make` returns.
    pub(crate) fn get(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<Stub, ApiError>,
    ) -> Result<Stub, ApiError> {
        let mut kept = self.0.borrow_mut();
        if let Some(stub) = kept.get(name) {
            return Ok(stub.clone());
        }
        if kept.len() >= MAX_STUBS {
            kept.clear();
        }
        let stub = make()?;
        kept.insert(name.to_owned(), stub.clone());
        Ok(stub)
    }

    /// Lets a handle go. Call it when one failed: it may never work again.
    pub(crate) fn forget(&self, name: &str) {
        self.0.borrow_mut().remove(name);
    }
}

/// Handles kept by one object.
const MAX_STUBS: usize = 1_024;

/// The binding of the relay's namespace.
pub const RELAY: &str = "RELAY";
/// The binding of the links' namespace.
pub const LINK: &str = "LINK";
/// The binding of the agents' namespace.
pub const AGENT: &str = "AGENT";
/// The binding of the fan-out objects' namespace.
pub const FANOUT: &str = "FANOUT";

/// The header by which the Worker tells an agent's object who acts: `admin` or `agent`.
pub const ACTOR: &str = "x-entente-actor";
/// The header by which the Worker tells an agent's object that its senders are told of what it reads.
pub const READ_RECEIPTS: &str = "x-entente-read-receipts";
/// The header by which the Worker tells an agent's object the hash of the key that an A2A caller showed.
pub const A2A_KEY: &str = "x-entente-a2a-key";
/// The header by which the Worker tells an agent's object that anyone may call it by A2A.
pub const A2A_OPEN: &str = "x-entente-a2a-open";
/// The header by which the Worker tells a link which network signed an upgrade.
pub const FROM: &str = "x-entente-from";
/// The header by which the Worker tells a link the name of the key that signed.
pub const FROM_KID: &str = "x-entente-kid";
/// The header by which the Worker tells a link the signature's nonce.
pub const NONCE: &str = "x-entente-nonce";
/// The header by which the Worker tells a link how long to remember the nonce.
pub const NONCE_UNTIL: &str = "x-entente-nonce-until";

/// The header by which the Worker tells a fan-out object its name.
pub const SHARD: &str = "x-entente-shard";

/// What no client may say to an object: its key, and all that only the Worker may say.
const WITHHELD: [&str; 14] = [
    "authorization",
    ACTOR,
    READ_RECEIPTS,
    A2A_KEY,
    A2A_OPEN,
    FROM,
    FROM_KID,
    NONCE,
    NONCE_UNTIL,
    SHARD,
    recall::VERSION,
    VIEWER,
    signature::TIME,
    drill::HEADER,
];
const ORIGIN: &str = "http://object";
const RELAY_NAME: &str = "relay";

/// Returns the current instant.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp(worker::Date::now().as_millis())
}

/// Returns the platform's source of entropy.
#[must_use]
pub fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// Returns `N` fresh random bytes.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rng().fill_bytes(&mut bytes);
    bytes
}

/// Makes an id for a request that came without one.
#[must_use]
pub fn new_request_id() -> String {
    BASE32.encode(&random::<10>())
}

/// Returns the id that the edge gave this request, or a new one.
#[must_use]
pub fn request_id(request: &Request) -> String {
    let given = request.headers().get(REQUEST_ID).ok().flatten();
    given
        .filter(|id| is_request_id(id))
        .unwrap_or_else(new_request_id)
}

fn is_request_id(text: &str) -> bool {
    (8..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Returns the relay object.
///
/// # Errors
/// If the binding is missing.
pub fn relay(env: &Env) -> Result<Stub, ApiError> {
    Ok(env
        .durable_object(RELAY)?
        .get_by_name(RELAY_NAME)?
        .into_rpc())
}

/// Returns the id of the relay object, which entry 0 of the network's log names.
///
/// # Errors
/// If the binding is missing.
pub fn relay_id(env: &Env) -> Result<String, ApiError> {
    Ok(env
        .durable_object(RELAY)?
        .id_from_name(RELAY_NAME)?
        .to_string())
}

/// Returns the link object of the peer `did`. Ask only for peers that the directory lists: each
/// object is billed.
///
/// # Errors
/// If the binding is missing.
pub fn link(env: &Env, did: &Did) -> Result<Stub, ApiError> {
    Ok(env
        .durable_object(LINK)?
        .get_by_name(did.as_str())?
        .into_rpc())
}

/// Returns the fan-out object of a name that the relay gave.
///
/// # Errors
/// If the binding is missing.
pub fn fanout(env: &Env, name: &str) -> Result<Stub, ApiError> {
    Ok(env.durable_object(FANOUT)?.get_by_name(name)?.into_rpc())
}

/// Returns the agent object with the id that the directory lists.
///
/// # Errors
/// If the binding is missing or the text is no id of an agent.
pub fn agent(env: &Env, object_id: &str) -> Result<Stub, ApiError> {
    Ok(env
        .durable_object(AGENT)?
        .id_from_string(object_id)?
        .get_stub()?
        .into_rpc())
}

/// Returns a fresh id for an agent object.
///
/// # Errors
/// If the binding is missing.
pub fn new_agent_id(env: &Env) -> Result<String, ApiError> {
    Ok(env.durable_object(AGENT)?.unique_id()?.to_string())
}

/// Calls an object with a JSON body and reads its JSON answer.
///
/// # Errors
/// The object's own error, or 500 `INTERNAL` if it cannot be reached or answers nonsense.
pub async fn post<T: DeserializeOwned>(
    stub: &Stub,
    path: &str,
    body: &impl Serialize,
    request: &str,
) -> Result<T, ApiError> {
    send_json(stub, Method::Post, path, body, request).await
}

/// Calls an object with any method and a JSON body and reads its JSON answer.
///
/// # Errors
/// As [`post`].
pub async fn send_json<T: DeserializeOwned>(
    stub: &Stub,
    method: Method,
    path: &str,
    body: &impl Serialize,
    request: &str,
) -> Result<T, ApiError> {
    let text = serde_json::to_string(body)?;
    let body = Body::Json(JsValue::from_str(&text));
    let answer = send(stub, method, path, body, request).await?;
    decode(&answer)
}

/// Reads JSON from an object.
///
/// # Errors
/// As [`post`].
pub async fn get<T: DeserializeOwned>(
    stub: &Stub,
    path: &str,
    request: &str,
) -> Result<T, ApiError> {
    let answer = send(stub, Method::Get, path, Body::None, request).await?;
    decode(&answer)
}

/// Calls an object with opaque bytes and returns its opaque answer.
///
/// # Errors
/// As [`post`].
pub async fn post_bytes(
    stub: &Stub,
    path: &str,
    body: &[u8],
    request: &str,
) -> Result<Vec<u8>, ApiError> {
    let body = Body::Bytes(js_sys::Uint8Array::from(body).into());
    send(stub, Method::Post, path, body, request).await
}

/// What of a client's body is passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// Nothing.
    Nothing,
    /// Bytes that were read and judged.
    Bytes(Vec<u8>),
    /// The body as it comes, unread: whoever gets it bounds it.
    Stream,
}

/// Passes a client's request on to an object under another path.
///
/// The headers are the client's, except for its key and for what only the Worker may say; `set` adds to them. The answer is returned as it is, so that it may be a
/// WebSocket upgrade.
///
/// # Errors
/// If the object cannot be reached.
pub async fn forward(
    stub: &Stub,
    request: &Request,
    path: &str,
    set: &[(&str, &str)],
    body: &Forwarded,
) -> Result<Response, ApiError> {
    let failed = worker::Error::from;
    let headers = web_sys::Headers::new_with_headers(&request.headers().0).map_err(failed)?;
    for name in WITHHELD {
        headers.delete(name).map_err(failed)?;
    }
    for (name, value) in set {
        headers.set(name, value).map_err(failed)?;
    }
    let init = web_sys::RequestInit::new();
    init.set_method(request.inner().method().as_str());
    init.set_headers_headers(&headers);
    match body {
        Forwarded::Nothing => {}
        Forwarded::Bytes(bytes) => init.set_body(&js_sys::Uint8Array::from(bytes.as_slice())),
        Forwarded::Stream => {
            if let Some(stream) = request.inner().body() {
                init.set_body(&stream);
            }
        }
    }
    let url = format!("{ORIGIN}{path}");
    let inner = web_sys::Request::new_with_str_and_init(&url, &init).map_err(failed)?;
    Ok(ask(stub, &inner).await?.into())
}

/// Calls an object and returns its answer as it comes, unread.
///
/// # Errors
/// If the object cannot be reached.
pub async fn open(stub: &Stub, path: &str, request: &str) -> Result<Response, ApiError> {
    let headers = Headers::new();
    headers.set(REQUEST_ID, request)?;
    let mut init = RequestInit::new();
    init.with_method(Method::Get).with_headers(headers);
    let call = Request::new_with_init(&format!("{ORIGIN}{path}"), &init)?;
    Ok(ask(stub, call.inner()).await?.into())
}

/// Reports events to the relay. Callers batch: at most one call every 100 ms.
///
/// # Errors
/// As [`post`].
pub async fn report(env: &Env, events: &[NewEvent]) -> Result<(), ApiError> {
    let body = Events {
        events: events.to_vec(),
    };
    let Nothing {} = post(&relay(env)?, "/events", &body, &new_request_id()).await?;
    Ok(())
}

/// Reads an object's JSON error, or says that it answered nonsense.
#[must_use]
pub fn decode_error(status: u16, body: &[u8]) -> ApiError {
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(body) => ApiError::new(status, body.error.code, body.error.message),
        Err(_) => {
            let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
            ApiError::internal(format!("an object answered {status}: {text}"))
        }
    }
}

enum Body {
    None,
    Json(JsValue),
    Bytes(JsValue),
}

async fn ask(stub: &Stub, request: &web_sys::Request) -> Result<web_sys::Response, ApiError> {
    let answer = stub.fetch(request).map_err(worker::Error::from)?;
    let answer = JsFuture::from(answer).await.map_err(worker::Error::from)?;
    Ok(answer.unchecked_into())
}

async fn send(
    stub: &Stub,
    method: Method,
    path: &str,
    body: Body,
    request: &str,
) -> Result<Vec<u8>, ApiError> {
    let headers = Headers::new();
    headers.set(REQUEST_ID, request)?;
    let mut init = RequestInit::new();
    init.with_method(method);
    match body {
        Body::None => {}
        Body::Json(value) => {
            headers.set("content-type", "application/json")?;
            init.with_body(Some(value));
        }
        Body::Bytes(value) => {
            headers.set("content-type", "application/cbor")?;
            init.with_body(Some(value));
        }
    }
    init.with_headers(headers);
    let call = Request::new_with_init(&format!("{ORIGIN}{path}"), &init)?;
    let answer = ask(stub, call.inner()).await?;
    // As one buffer: reading a stream piece by piece costs several turns of the event loop.
    let body = answer.array_buffer().map_err(worker::Error::from)?;
    let body = JsFuture::from(body).await.map_err(worker::Error::from)?;
    let bytes = js_sys::Uint8Array::new(&body).to_vec();
    let status = answer.status();
    if (200..300).contains(&status) {
        Ok(bytes)
    } else {
        Err(decode_error(status, &bytes))
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::internal(format!("an object's answer: {error}")))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else {
                found.push(path);
            }
        }
    }

    #[test]
    fn no_client_says_what_only_the_worker_may_say() {
        let mut files = Vec::new();
        sources(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut files,
        );
        let mut headers = Vec::new();
        for file in files {
            let text = fs::read_to_string(file).unwrap();
            let quoted = text.split('"').skip(1).step_by(2);
            let named = quoted.filter(|text| text.starts_with("x-entente-"));
            headers.extend(named.map(str::to_owned));
        }
        headers.retain(|header| header != "x-entente-");
        assert!(headers.len() >= WITHHELD.len() - 1, "{headers:?}");
        for header in headers {
            assert!(WITHHELD.contains(&header.as_str()), "{header}");
        }
    }
}
