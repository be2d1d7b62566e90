//! What is said, as records of `agent.comms.*` have it, and back.

use serde_json::{Map, Value, json};

use crate::params::{Message, Part, Role};
use crate::rpc::{Reason, RpcError};

/// The longest name of a message or a conversation, in bytes.
pub const MAX_NAME: usize = 200;
/// The longest text of a record, in bytes.
const MAX_TEXT: usize = 50_000;
/// Where a record notes what A2A says besides.
pub const NOTES: &str = "a2a";

/// Reads what a client's message says: one of the objects of `agent.comms.defs`.
///
/// # Errors
/// If it says nothing, is not the user's, or its names are too long.
pub fn content(message: &Message) -> Result<Value, RpcError> {
    if message.role != Role::User {
        return Err(RpcError::params("`message.role` is ROLE_USER."));
    }
    if message.message_id.is_empty() || message.message_id.len() > MAX_NAME {
        return Err(RpcError::params(
            "`message.messageId` is 1 to 200 bytes long.",
        ));
    }
    if message.context_id.len() > MAX_NAME {
        return Err(RpcError::params(
            "`message.contextId` is at most 200 bytes long.",
        ));
    }
    words(&message.parts).ok_or_else(|| {
        RpcError::new(
            Reason::ContentType,
            "`message.parts` has a part at least, and each is a text, data, a url or raw bytes.",
        )
    })
}

/// Turns parts into one of the objects of `agent.comms.defs`: a text, an object of data or a
/// reference as such, anything else as data that has the parts. Nothing if there are none, or one
/// says nothing.
#[must_use]
pub fn words(parts: &[Part]) -> Option<Value> {
    if parts.is_empty() || parts.iter().any(|part| !says_one_thing(part)) {
        return None;
    }
    if let [part] = parts
        && let Some(plain) = plain(part)
    {
        return Some(plain);
    }
    let parts = serde_json::to_value(parts).ok()?;
    Some(json!({ "$type": "agent.comms.defs#json", "data": { "parts": parts } }))
}

fn says_one_thing(part: &Part) -> bool {
    let said = [
        part.text.is_some(),
        part.data.is_some(),
        part.url.is_some(),
        part.raw.is_some(),
    ];
    said.into_iter().filter(|said| *said).count() == 1
}

/// A part that a record can say as it is.
fn plain(part: &Part) -> Option<Value> {
    if !part.metadata.is_empty() || !part.filename.is_empty() {
        return None;
    }
    let kind = part.media_type.as_str();
    match (&part.text, &part.data, &part.url) {
        (Some(text), None, None)
            if matches!(kind, "" | "text/plain") && (1..=MAX_TEXT).contains(&text.len()) =>
        {
            Some(json!({ "$type": "agent.comms.defs#text", "text": text }))
        }
        // Data of this shape stands for parts.
        (None, Some(Value::Object(data)), None)
            if matches!(kind, "" | "application/json") && parts_of(data).is_none() =>
        {
            Some(json!({ "$type": "agent.comms.defs#json", "data": data }))
        }
        (None, None, Some(url)) if kind.is_empty() && url.contains("://") => {
            Some(json!({ "$type": "agent.comms.defs#ref", "uri": url }))
        }
        _ => None,
    }
}

fn parts_of(data: &Map<String, Value>) -> Option<Vec<Part>> {
    let parts = data.get("parts").filter(|_| data.len() == 1)?;
    let parts: Vec<Part> = serde_json::from_value(parts.clone()).ok()?;
    (!parts.is_empty() && parts.iter().all(says_one_thing)).then_some(parts)
}

/// Writes what a record says as the parts of a message.
#[must_use]
pub fn parts(content: &Value) -> Vec<Part> {
    let text = |name: &str| content.get(name).and_then(Value::as_str).map(str::to_owned);
    let part = match text("$type").as_deref() {
        Some("agent.comms.defs#text") => Part {
            text: text("text"),
            ..Part::default()
        },
        Some("agent.comms.defs#json") => {
            let data = content.get("data");
            if let Some(parts) = data.and_then(Value::as_object).and_then(parts_of) {
                return parts;
            }
            Part {
                data: data.cloned(),
                media_type: "application/json".to_owned(),
                ..Part::default()
            }
        }
        Some("agent.comms.defs#ref") => Part {
            url: text("uri"),
            ..Part::default()
        },
        _ => return Vec::new(),
    };
    if says_one_thing(&part) {
        vec![part]
    } else {
        Vec::new()
    }
}

/// What a record notes of a message besides what it says.
#[must_use]
pub fn notes(message: &Message) -> Value {
    let mut notes = json!({ "messageId": message.message_id });
    if let Some(fields) = notes.as_object_mut() {
        if !message.metadata.is_empty() {
            fields.insert(
                "metadata".to_owned(),
                Value::Object(message.metadata.clone()),
            );
        }
        if !message.extensions.is_empty() {
            fields.insert("extensions".to_owned(), json!(message.extensions));
        }
        if !message.reference_task_ids.is_empty() {
            fields.insert(
                "referenceTaskIds".to_owned(),
                json!(message.reference_task_ids),
            );
        }
    }
    notes
}
