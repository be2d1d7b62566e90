//! The records that say what is said: read, checked, made, sealed.

use entente_lexicon::api::tasks::TaskStep;
use entente_lexicon::records::comms::{self, Request, Response, TaskState};
use entente_lexicon::schema;
use entente_lexicon::{MessageId, Timestamp};
use entente_tasks::{Says, Terms, Word};
use entente_trust::crypto::hash;
use serde::Serialize;
use serde_json::{Value, json};

use crate::agent::identity::Me;
use crate::agent::memory::invalid;
use crate::agent::tasks::store::StoredWord;
use crate::error::ApiError;

pub(super) const REQUEST: &str = "agent.comms.request";
pub(super) const RESPONSE: &str = "agent.comms.response";
pub(super) const MESSAGE: &str = "agent.comms.message";
pub(super) const HANDOFF: &str = "agent.comms.handoff";

/// The code of a task whose time is over.
pub(super) const DEADLINE_EXPIRED: &str = "DEADLINE_EXPIRED";

/// The longest idempotency key.
const MAX_KEY_BYTES: usize = 256;

/// A program's idempotency key and the digest of what it asked for.
pub(super) type Key = (String, [u8; 32]);

/// Reads what a program wants done once.
pub(super) fn key(
    key: Option<&str>,
    about: &str,
    wanted: &impl Serialize,
) -> Result<Option<Key>, ApiError> {
    let Some(key) = key else { return Ok(None) };
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(ApiError::bad_request(
            "INVALID_TEXT",
            "`idempotencyKey` is 1 to 256 bytes long where it is given.",
        ));
    }
    let digest = hash::sha256(&[about.as_bytes(), &serde_json::to_vec(wanted)?]);
    Ok(Some((key.to_owned(), digest)))
}

/// Checks a record of a program's, which must be of this type, and completes it.
pub(in crate::agent) fn complete(
    mut record: Value,
    kind: &str,
    now: Timestamp,
) -> Result<Value, ApiError> {
    if let Value::Object(fields) = &mut record {
        fields
            .entry("createdAt")
            .or_insert_with(|| Value::String(now.to_string()));
    }
    schema::check(Some(kind), &record).map_err(invalid)?;
    Ok(record)
}

/// Gives a record the name that its type has, where a program calls it by another.
pub(super) fn by_its_name(record: &mut Value) {
    if let Some(Value::String(named)) = record.get_mut("$type") {
        *named = schema::canonical(named).to_owned();
    }
}

/// Makes the record of a program's step: its own fields, and what is filled in.
pub(super) fn step(
    step: TaskStep,
    kind: &str,
    filled: Value,
    now: Timestamp,
) -> Result<Value, ApiError> {
    let mut fields = step.fields;
    fields.insert("$type".to_owned(), Value::String(kind.to_owned()));
    if let Value::Object(filled) = filled {
        fields.extend(filled);
    }
    complete(Value::Object(fields), kind, now)
}

/// Makes the response that an agent's object sends of its own accord.
pub(super) fn own_response(id: &MessageId, state: TaskState, now: Timestamp) -> Value {
    let mut record = json!({
        "$type": RESPONSE,
        "request": id.to_string(),
        "status": state.as_str(),
        "createdAt": now.to_string(),
    });
    if state == TaskState::Failed
        && let Some(record) = record.as_object_mut()
    {
        let error = json!({ "code": DEADLINE_EXPIRED, "message": "The deadline passed." });
        record.insert("error".to_owned(), error);
    }
    record
}

/// Reads a record that has passed the validator.
pub(super) fn request(record: &Value) -> Result<Request, ApiError> {
    Ok(comms::read(record)?)
}

/// As [`request`], for a response.
pub(super) fn response(record: &Value) -> Result<Response, ApiError> {
    Ok(comms::read(record)?)
}

/// What a task is asked for with.
pub(super) fn terms(request: &Request) -> Terms {
    Terms {
        deadline: request.deadline,
        retry: request.retry,
    }
}

/// Seals a record for this agent's own storage, bound to its place.
pub(super) fn seal(
    me: &Me,
    id: &MessageId,
    outgoing: bool,
    word: &Word,
    record: &Value,
) -> Result<Vec<u8>, ApiError> {
    let plain = serde_json::to_vec(record)?;
    Ok(me.seal_secret(&purpose(id, outgoing, word), &plain))
}

/// Opens a record from this agent's own storage.
pub(super) fn open(me: &Me, id: &MessageId, word: &StoredWord) -> Result<Value, ApiError> {
    let purpose = purpose(id, word.outgoing, &word.word);
    let plain = me.open_secret(&purpose, &word.body)?;
    Ok(serde_json::from_slice(&plain)?)
}

fn purpose(id: &MessageId, outgoing: bool, word: &Word) -> String {
    let direction = if outgoing { "out" } else { "in" };
    format!("task/{id}/{direction}/{}", word.n)
}

/// Returns the question that a word answers.
pub(super) fn answers(word: &Word) -> Option<u32> {
    match word.says {
        Says::Input { answers } => Some(answers),
        Says::Request | Says::Cancel | Says::Status(_) => None,
    }
}
