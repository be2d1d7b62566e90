//! Failing on purpose, so that tests can see what a panic does to everybody else.
//!
//! Nothing here works unless the deployment sets the variable `PANIC_ROUTE` to `1`, which no
//! deployment should outside tests. Then an admin's request with the header `x-entente-panic`
//! makes a handler panic (`worker`, `relay`, `link <did>`, `agent <name>`), or, with `hold ` before
//! it, wait for 30 seconds, so that there is a caller in flight to be hurt.

use std::time::Duration;

use worker::{Delay, Env, Request, Response};

use crate::config::variable;
use crate::error::ApiError;
use crate::internal;
use crate::store::d1::Directory;

/// The header that asks for it.
pub const HEADER: &str = "x-entente-panic";
const PANIC: &str = "/panic";
const HOLD: &str = "/hold";
const HOLD_TIME: Duration = Duration::from_secs(30);

/// Returns what an admin's request asks to fail, where the deployment allows it.
#[must_use]
pub fn asked(request: &Request, env: &Env) -> Option<String> {
    let wish = request.headers().get(HEADER).ok().flatten();
    wish.filter(|_| is_enabled(env))
}

/// Passes the wish on to the object it names, or fulfils it here.
///
/// # Errors
/// 400 `INVALID_BODY` if it names none.
pub async fn run(env: &Env, wish: &str, id: &str) -> Result<Response, ApiError> {
    let (path, target) = match wish.strip_prefix("hold ") {
        Some(target) => (HOLD, target),
        None => (PANIC, wish),
    };
    let stub = match target.split_once(' ').unwrap_or((target, "")) {
        ("worker", _) => return fulfil(path).await,
        ("relay", _) => internal::relay(env)?,
        ("link", did) => internal::link(env, &did.parse().map_err(unknown)?)?,
        ("agent", name) => {
            let name = name.parse().map_err(unknown)?;
            let row = Directory::open(env)?.agent_by_name(&name).await?;
            internal::agent(env, &row.ok_or_else(|| unknown(name))?.object_id)?
        }
        (other, _) => return Err(unknown(other)),
    };
    let held: serde_json::Value = internal::post(&stub, path, &serde_json::json!({}), id).await?;
    Ok(Response::from_json(&held)?)
}

/// Fulfils a wish that reached an object; every object's `fetch` begins with this.
pub async fn here(request: &Request, env: &Env) -> Option<worker::Result<Response>> {
    let path = request.path();
    if !matches!(path.as_str(), PANIC | HOLD) || !is_enabled(env) {
        return None;
    }
    Some(
        fulfil(&path)
            .await
            .map_err(|error| worker::Error::from(error.to_string())),
    )
}

fn is_enabled(env: &Env) -> bool {
    variable(env, "PANIC_ROUTE") == "1"
}

#[expect(clippy::panic, reason = "this is what the drill is for")]
async fn fulfil(path: &str) -> Result<Response, ApiError> {
    if path == PANIC {
        panic!("a drill");
    }
    Delay::from(HOLD_TIME).await;
    Ok(Response::from_json(&serde_json::json!({ "held": true }))?)
}

fn unknown(target: impl std::fmt::Display) -> ApiError {
    ApiError::bad_request("INVALID_BODY", format!("{HEADER} names nothing: {target}."))
}
