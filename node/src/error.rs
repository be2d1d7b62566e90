//! The one shape of every error that leaves the Worker or an object.

use std::borrow::Cow;
use std::fmt;

use entente_lexicon::api::{ErrorBody, ErrorDetail};
use worker::{Response, console_error};

/// The header that carries a request's id, from the edge through every object and back.
pub const REQUEST_ID: &str = "x-request-id";

/// An error as a client sees it: `{"error": {code, message, request}}`.
///
/// `detail` goes to the log only: it may name what the platform said, which is no client's
/// business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// A stable code, listed in docs/protocol/errors.md.
    pub code: Cow<'static, str>,
    /// What happened and what to do next.
    pub message: String,
    /// What the log should say besides.
    pub detail: Option<String>,
    /// Headers of the answer besides the usual ones.
    pub headers: Vec<(&'static str, String)>,
}

impl ApiError {
    /// Makes an error of `status` with a stable `code` and a `message` for a person.
    #[must_use]
    pub fn new(
        status: u16,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            detail: None,
            headers: Vec::new(),
        }
    }

    /// Makes the 500 that stands for a fault of ours; `detail` is logged, never sent.
    #[must_use]
    pub fn internal(detail: impl fmt::Display) -> Self {
        Self {
            detail: Some(detail.to_string()),
            ..Self::new(
                500,
                "INTERNAL",
                "Something failed on our side. Try again; if it stays, look in the log for this request.",
            )
        }
    }

    /// Makes a 400.
    #[must_use]
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    /// Makes a 404.
    #[must_use]
    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(404, code, message)
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Renders the error for the request `id`, and logs what it hides.
    ///
    /// # Errors
    /// If the platform cannot build a response.
    pub fn respond(&self, id: &str) -> worker::Result<Response> {
        if let Some(detail) = &self.detail {
            console_error!("request {id}: {}: {detail}", self.code);
        }
        let response = Response::from_json(&self.body(id))?.with_status(self.status);
        response.headers().set(REQUEST_ID, id)?;
        response.headers().set("cache-control", "no-store")?;
        for (name, value) in &self.headers {
            response.headers().set(name, value)?;
        }
        Ok(response)
    }

    /// Returns the JSON body for the request `id`.
    #[must_use]
    pub fn body(&self, id: &str) -> ErrorBody {
        ErrorBody {
            error: ErrorDetail {
                code: self.code.clone().into_owned(),
                message: self.message.clone(),
                request: id.to_owned(),
            },
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.code, self.message)?;
        match &self.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ApiError {}

impl From<worker::Error> for ApiError {
    fn from(error: worker::Error) -> Self {
        Self::internal(error)
    }
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error)
    }
}

/// Renders what a handler returned: its response, or its error as JSON.
///
/// Every object's `fetch` ends with this, so that a failure never surfaces as a bare 500.
///
/// # Errors
/// If the platform cannot build a response.
pub fn answer(result: Result<Response, ApiError>, id: &str) -> worker::Result<Response> {
    match result {
        Ok(response) => Ok(response),
        Err(error) => error.respond(id),
    }
}
