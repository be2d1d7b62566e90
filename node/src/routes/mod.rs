//! Every route of the HTTP API, dispatched by the access table.

use worker::{Env, Request, Response};

use crate::error::ApiError;
use crate::internal::request_id;

/// Answers one request.
///
/// # Errors
/// If the platform cannot build a response.
pub async fn handle(request: Request, _env: Env) -> worker::Result<Response> {
    let id = request_id(&request);
    ApiError::not_found("NOT_FOUND", "There is no such route.").respond(&id)
}
