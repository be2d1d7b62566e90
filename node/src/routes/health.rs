//! `GET /health`: whether this network works, and if not, why.

use entente_lexicon::api::Health;
use worker::Response;

use crate::auth::gate::has_admin_key;
use crate::config::{Config, Problem};
use crate::error::ApiError;
use crate::routes::call::{self, Call};
use crate::routes::reply;

/// Shows the network's health; 503 with stable codes where it cannot serve its agents.
pub(super) async fn show(call: &Call) -> Result<Response, ApiError> {
    let mut problems = Vec::new();
    if let Err(problem) = Config::from_env(&call.env) {
        problems.push(problem.code().to_owned());
    }
    if !has_admin_key(&call.env) {
        problems.push(Problem::AdminKeyMissing.code().to_owned());
    }
    if let Err(error) = call::ready(&call.env).await {
        let code = error.code.into_owned();
        if !problems.contains(&code) {
            problems.push(code);
        }
    }
    let (status, text) = if problems.is_empty() {
        (200, "ok")
    } else {
        (503, "error")
    };
    let health = Health {
        status: text.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        problems,
    };
    reply::json(status, &health)
}
