//! JSON-RPC 2.0: calls, answers and errors.

use serde_json::{Value, json};

use crate::params::Wanted;

/// The version of the protocol that is spoken.
pub const PROTOCOL_VERSION: &str = "1.0";
/// The header by which a client names the version that it speaks.
pub const VERSION_HEADER: &str = "a2a-version";

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What the answer is known by: a text or a whole number.
    pub id: Value,
    /// What is asked for.
    pub wanted: Wanted,
}

/// A2A's name for what went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The body is no JSON.
    Parse,
    /// It is no call.
    Request,
    /// There is no such method.
    Method,
    /// The parameters are not such as the method takes.
    Params,
    /// A fault of ours.
    Internal,
    /// There is no such task of the caller's.
    TaskNotFound,
    /// The task has ended.
    TaskNotCancelable,
    /// It cannot be done as the task stands, or not at all.
    Unsupported,
    /// What is said cannot be passed on.
    ContentType,
    /// There is no other card than the public one.
    NoExtendedCard,
    /// Another version is spoken.
    Version,
}

impl Reason {
    /// JSON-RPC's or A2A's number.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Self::Parse => -32_700,
            Self::Request => -32_600,
            Self::Method => -32_601,
            Self::Params => -32_602,
            Self::Internal => -32_603,
            Self::TaskNotFound => -32_001,
            Self::TaskNotCancelable => -32_002,
            Self::Unsupported => -32_004,
            Self::ContentType => -32_005,
            Self::NoExtendedCard => -32_007,
            Self::Version => -32_009,
        }
    }

    /// The name in `google.rpc.ErrorInfo`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parse => "PARSE_ERROR",
            Self::Request => "INVALID_REQUEST",
            Self::Method => "METHOD_NOT_FOUND",
            Self::Params => "INVALID_PARAMS",
            Self::Internal => "INTERNAL_ERROR",
            Self::TaskNotFound => "TASK_NOT_FOUND",
            Self::TaskNotCancelable => "TASK_NOT_CANCELABLE",
            Self::Unsupported => "UNSUPPORTED_OPERATION",
            Self::ContentType => "CONTENT_TYPE_NOT_SUPPORTED",
            Self::NoExtendedCard => "EXTENDED_AGENT_CARD_NOT_CONFIGURED",
            Self::Version => "VERSION_NOT_SUPPORTED",
        }
    }
}

/// Why a call is not answered as it wishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// A2A's name for it.
    pub reason: Reason,
    /// Our stable code, as docs/protocol/errors.md lists it; none where A2A's name says it all.
    pub code: Option<String>,
    /// What happened and what to do next.
    pub message: String,
}

impl RpcError {
    /// Makes an error.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            code: None,
            message: message.into(),
        }
    }

    /// Names the stable code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Parameters of another shape.
    #[must_use]
    pub fn params(message: impl Into<String>) -> Self {
        Self::new(Reason::Params, message)
    }

    /// There is no such task.
    #[must_use]
    pub fn task_not_found() -> Self {
        Self::new(
            Reason::TaskNotFound,
            "There is no such task of yours with this agent: ListTasks shows those there are.",
        )
    }

    /// Something cannot be done, or not now.
    #[must_use]
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Reason::Unsupported, message)
    }

    /// The answer to the call `id`.
    #[must_use]
    pub fn answer(&self, id: &Value) -> Value {
        let mut info = json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": self.reason.as_str(),
            "domain": "a2a-protocol.org",
        });
        if let (Some(code), Some(fields)) = (&self.code, info.as_object_mut()) {
            fields.insert("metadata".to_owned(), json!({ "code": code }));
        }
        json!({
            "jsonrpc": "2.0",
            "id": id,
            "error": { "code": self.reason.code(), "message": self.message, "data": [info] },
        })
    }
}

/// The answer to the call `id`.
#[must_use]
pub fn answer(id: &Value, result: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

/// One event of a stream that answers the call `id`, as server-sent events have it.
#[must_use]
pub fn event(id: &Value, result: &Value) -> String {
    format!("data: {}\n\n", answer(id, result))
}

/// Checks the version that a client speaks, by its header; who names none speaks 0.3.
///
/// # Errors
/// If it is another one than 1.0.
pub fn check_version(named: Option<&str>) -> Result<(), RpcError> {
    if named.map(str::trim) == Some(PROTOCOL_VERSION) {
        return Ok(());
    }
    Err(RpcError::new(
        Reason::Version,
        "This agent speaks A2A 1.0: send the header A2A-Version: 1.0.",
    ))
}

/// Reads a call.
///
/// # Errors
/// What is wrong with it, and the id to answer under: `null` where it has none.
pub fn read(bytes: &[u8]) -> Result<Call, (Value, RpcError)> {
    let call: Value = serde_json::from_slice(bytes).map_err(|_error| {
        let error = RpcError::new(Reason::Parse, "The body is not JSON.");
        (Value::Null, error)
    })?;
    let id = call.get("id").filter(|id| is_id(id)).cloned();
    let Some(id) = id else {
        let error = RpcError::new(Reason::Request, "`id` is a text or a whole number.");
        return Err((Value::Null, error));
    };
    let wrong = |text: &str| (id.clone(), RpcError::new(Reason::Request, text));
    if call.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(wrong("`jsonrpc` is \"2.0\"."));
    }
    let Some(method) = call.get("method").and_then(Value::as_str) else {
        return Err(wrong("`method` is a text."));
    };
    let params = call.get("params").cloned().unwrap_or_else(|| json!({}));
    let wanted = Wanted::read(method, params).map_err(|error| (id.clone(), error))?;
    Ok(Call { id, wanted })
}

/// The longest text that names a call, in bytes.
const MAX_ID: usize = 256;

fn is_id(id: &Value) -> bool {
    match id {
        Value::String(text) => text.len() <= MAX_ID,
        Value::Number(number) => number.is_i64() || number.is_u64(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}
