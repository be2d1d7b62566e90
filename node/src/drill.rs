//! Failing on purpose, so that tests can see what a panic does to everybody else.
//!
//! Nothing here works unless the deployment sets the variable `PANIC_ROUTE` to `1`, which no
//! deployment should outside tests. Then an admin's request with the header `x-entente-panic`
//! makes a handler panic (`worker`, `relay`, `link <did>`, `agent <name>`), or, with `hold ` before
//! it, wait for 30 seconds, so that there is a caller in flight to be hurt. With `deaf `, `failing ` or
//! `well ` before it an agent takes no mail from here on, or takes it again, as long as its object lives.

use std::cell::Cell;
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
const AFFLICT: &str = "/afflict/";

/// How an agent fails that is given mail.
#[derive(Debug, Default)]
pub struct Affliction(Cell<Symptom>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Symptom {
    #[default]
    Well,
    /// It does not answer.
    Deaf,
    /// It answers with an error.
    Failing,
}

impl Affliction {
    /// Fulfils the wish that an agent fail from here on, or be well.
    ///
    /// # Errors
    /// If the platform cannot build a response.
    pub fn here(&self, request: &Request, env: &Env) -> Option<worker::Result<Response>> {
        let path = request.path();
        let how = path.strip_prefix(AFFLICT).filter(|_| is_enabled(env))?;
        self.set(how);
        Some(Response::from_json(&serde_json::json!({ "is": how })))
    }

    fn set(&self, name: &str) {
        self.0.set(match name {
            "deaf" => Symptom::Deaf,
            "failing" => Symptom::Failing,
            _ => Symptom::Well,
        });
    }

    /// Fails as it was told to.
    ///
    /// # Errors
    /// As it was told to.
    pub async fn suffer(&self) -> Result<(), ApiError> {
        match self.0.get() {
            Symptom::Well => Ok(()),
            Symptom::Failing => Err(ApiError::internal("a drill")),
            Symptom::Deaf => {
                Delay::from(HOLD_TIME).await;
                Err(ApiError::internal("a drill"))
            }
        }
    }
}

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
    let (path, target) = match wish.split_once(' ') {
        Some(("hold", target)) => (HOLD.to_owned(), target),
        Some((how @ ("deaf" | "failing" | "well"), target)) => (format!("{AFFLICT}{how}"), target),
        Some(_) | None => (PANIC.to_owned(), wish),
    };
    let stub = match target.split_once(' ').unwrap_or((target, "")) {
        ("worker", _) => return fulfil(&path).await,
        ("relay", _) => internal::relay(env)?,
        ("link", did) => internal::link(env, &did.parse().map_err(unknown)?)?,
        ("agent", name) => {
            let name = name.parse().map_err(unknown)?;
            let row = Directory::open(env)?.agent_by_name(&name).await?;
            internal::agent(env, &row.ok_or_else(|| unknown(name))?.object_id)?
        }
        (other, _) => return Err(unknown(other)),
    };
    let held: serde_json::Value = internal::post(&stub, &path, &serde_json::json!({}), id).await?;
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
