//! What records refer to blobs by.

use serde_json::{Map, Value};

/// A reference to a blob, as it stands in a record: `{"$type": "blob", "ref": {"$link": cid},
/// "mimeType", "size"}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlobRef {
    /// The CID of the blob's bytes, as text.
    pub cid: String,
    /// The media type that the record says it has.
    pub mime_type: String,
    /// The length in bytes that the record says it has.
    pub size: u64,
}

/// Finds all references to blobs in a record that [`crate::schema`] has judged, each once, in order.
/// What is no whole reference is none.
#[must_use]
pub fn blob_refs(record: &Map<String, Value>) -> Vec<BlobRef> {
    let mut found = Vec::new();
    // The validator bounds how deep a record is.
    let mut waiting = vec![record];
    while let Some(object) = waiting.pop() {
        found.extend(one(object));
        let mut values: Vec<&Value> = object.values().collect();
        while let Some(value) = values.pop() {
            match value {
                Value::Object(inner) => waiting.push(inner),
                Value::Array(items) => values.extend(items),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

fn one(object: &Map<String, Value>) -> Option<BlobRef> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    if object.get("$type").and_then(Value::as_str) != Some("blob") {
        return None;
    }
    Some(BlobRef {
        cid: text(object.get("ref")?.get("$link"))?,
        mime_type: text(object.get("mimeType"))?,
        size: object.get("size").and_then(Value::as_u64)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn blob(cid: &str, size: u64) -> Value {
        json!({ "$type": "blob", "ref": { "$link": cid }, "mimeType": "image/png", "size": size })
    }

    fn refs(record: &Value) -> Vec<(String, u64)> {
        let found = blob_refs(record.as_object().unwrap());
        found.into_iter().map(|one| (one.cid, one.size)).collect()
    }

    #[test]
    fn references_are_found_wherever_they_stand_each_once() {
        let record = json!({
            "$type": "agent.memory.note",
            "text": "two pictures and one of them twice",
            "cover": blob("b", 2),
            "pages": [{ "picture": blob("a", 1) }, [blob("b", 2)], 7, null],
        });
        assert_eq!(refs(&record), [("a".to_owned(), 1), ("b".to_owned(), 2)]);
        assert_eq!(refs(&blob("c", 3)), [("c".to_owned(), 3)]);
    }

    #[test]
    fn what_is_no_whole_reference_is_none() {
        for part in ["$type", "ref", "mimeType", "size"] {
            let mut broken = blob("a", 1);
            broken.as_object_mut().unwrap().remove(part);
            assert_eq!(refs(&json!({ "x": broken })), [], "without {part}");
        }
        let link = json!({ "$link": "a" });
        assert_eq!(refs(&json!({ "x": link })), []);
    }
}
