//! atproto's data model as JSON writes it: what any record may hold, known or not.
//!
//! No floats, whole numbers that every reader keeps, objects that begin with `$link`, `$bytes` or a
//! blob's `$type` well formed, and a bound on depth and size.

use std::io;

use serde_json::{Map, Number, Value};

use super::fault::{Code, Fault, Place};
use super::format;
use super::{MAX_DEPTH, MAX_RECORD_BYTES};

/// The largest whole number that a reader in any language keeps: 2^53 − 1.
pub(super) const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;
pub(super) const LINK: &str = "$link";
pub(super) const BYTES: &str = "$bytes";
pub(super) const TYPE: &str = "$type";
const BLOB: &str = "blob";

/// Checks a whole record: depth and values first, then how long it is as compact JSON.
pub(super) fn check(record: &Value) -> Result<(), Fault> {
    value(record, &Place::ROOT, 0)?;
    let mut left = Budget(MAX_RECORD_BYTES);
    if serde_json::to_writer(&mut left, record).is_err() {
        let message = format!(
            "a record is at most {MAX_RECORD_BYTES} bytes of JSON: keep the rest elsewhere and name it"
        );
        return Err(Place::ROOT.fault(Code::RecordTooLarge, message));
    }
    Ok(())
}

/// Counts bytes, and fails when there are too many.
struct Budget(usize);

impl io::Write for Budget {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self
            .0
            .checked_sub(bytes.len())
            .ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn value(value: &Value, place: &Place<'_>, depth: usize) -> Result<(), Fault> {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
        Value::Number(number) => whole(number, place).map(drop),
        Value::Array(_) | Value::Object(_) if depth >= MAX_DEPTH => Err(place.fault(
            Code::RecordTooDeep,
            format!("a record nests at most {MAX_DEPTH} objects and arrays: make it flatter"),
        )),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| self::value(item, &place.item(index), depth + 1)),
        Value::Object(object) => {
            special(object, place)?;
            object
                .iter()
                .try_for_each(|(name, field)| self::value(field, &place.field(name), depth + 1))
        }
    }
}

/// Reads a number that is whole and safe.
pub(super) fn whole(number: &Number, place: &Place<'_>) -> Result<i64, Fault> {
    if number.is_f64() {
        return Err(place.fault(
            Code::WrongType,
            "numbers are whole and written without point and exponent: scale it, or write it as a string",
        ));
    }
    number
        .as_i64()
        .filter(|number| (-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).contains(number))
        .ok_or_else(|| {
            place.fault(
                Code::OutOfRange,
                "whole numbers lie between -(2^53 - 1) and 2^53 - 1: write a larger one as a string",
            )
        })
}

/// Checks the objects that stand for something else.
fn special(object: &Map<String, Value>, place: &Place<'_>) -> Result<(), Fault> {
    if object.contains_key(LINK) {
        link(object, place)?;
    } else if object.contains_key(BYTES) {
        bytes(object, place)?;
    } else if let Some(named) = object.get(TYPE) {
        let at = place.field(TYPE);
        match named.as_str() {
            None => return Err(at.fault(Code::WrongType, "a $type is a string")),
            Some("") => return Err(at.fault(Code::TooShort, "a $type is not empty")),
            Some(BLOB) => blob(object, place).map(drop)?,
            Some(_) => {}
        }
    }
    Ok(())
}

/// Returns the text of an object with the one field `name`.
fn sole<'a>(
    object: &'a Map<String, Value>,
    name: &'a str,
    place: &Place<'_>,
) -> Result<&'a str, Fault> {
    if let Some(other) = object.keys().find(|key| *key != name) {
        let message = format!("an object with {name} has no other field");
        return Err(place.field(other).fault(Code::WrongType, message));
    }
    let text = object.get(name).and_then(Value::as_str);
    text.ok_or_else(|| {
        place
            .field(name)
            .fault(Code::WrongType, format!("{name} is a string"))
    })
}

/// Reads `{"$link": CID}`.
pub(super) fn link<'a>(
    object: &'a Map<String, Value>,
    place: &Place<'_>,
) -> Result<&'a str, Fault> {
    let text = sole(object, LINK, place)?;
    if format::is_cid(text) {
        return Ok(text);
    }
    Err(bad(&place.field(LINK), format::Format::Cid))
}

/// Reads `{"$bytes": base64}` and returns how many they are.
pub(super) fn bytes(object: &Map<String, Value>, place: &Place<'_>) -> Result<usize, Fault> {
    format::byte_count(sole(object, BYTES, place)?).ok_or_else(|| {
        let message = "bytes are written in base64 (RFC 4648, section 4)";
        place.field(BYTES).fault(Code::BadFormat, message)
    })
}

/// Says that a string is not written as it should be.
pub(super) fn bad(place: &Place<'_>, format: format::Format) -> Fault {
    place.fault(Code::BadFormat, format!("write {}", format.wish()))
}

/// What a blob's reference tells.
pub(super) struct BlobRef<'a> {
    pub(super) media_type: &'a str,
    pub(super) size: u64,
}

/// Tells whether an object claims to be a reference to a blob.
pub(super) fn is_blob(object: &Map<String, Value>) -> bool {
    object.get(TYPE).and_then(Value::as_str) == Some(BLOB)
}

/// Reads `{"$type": "blob", "ref": {"$link": CID of raw bytes}, "mimeType", "size"}`.
pub(super) fn blob<'a>(
    object: &'a Map<String, Value>,
    place: &Place<'_>,
) -> Result<BlobRef<'a>, Fault> {
    for name in ["ref", "mimeType", "size"] {
        if !object.contains_key(name) {
            let message = format!("a blob has the field {name}");
            return Err(place.field(name).fault(Code::RequiredField, message));
        }
    }
    if let Some(other) = object
        .keys()
        .find(|key| !["$type", "ref", "mimeType", "size"].contains(&key.as_str()))
    {
        return Err(place
            .field(other)
            .fault(Code::WrongType, "a blob has no such field"));
    }
    let (at, media, size) = (
        place.field("ref"),
        place.field("mimeType"),
        place.field("size"),
    );
    let Some(Value::Object(target)) = object.get("ref") else {
        return Err(at.fault(Code::WrongType, "a blob's ref is a link"));
    };
    if !target.contains_key(LINK) {
        return Err(at.fault(Code::WrongType, "a blob's ref is a link"));
    }
    if !format::is_raw_cid(link(target, &at)?) {
        return Err(at
            .field(LINK)
            .fault(Code::BadFormat, "a blob's CID is one of raw bytes"));
    }
    let Some(media_type) = object.get("mimeType").and_then(Value::as_str) else {
        return Err(media.fault(Code::WrongType, "a blob's mimeType is a string"));
    };
    if media_type.is_empty() {
        return Err(media.fault(Code::TooShort, "a blob's mimeType is not empty"));
    }
    let Some(Value::Number(number)) = object.get("size") else {
        return Err(size.fault(Code::WrongType, "a blob's size is a number of bytes"));
    };
    let bytes = u64::try_from(whole(number, &size)?)
        .map_err(|_error| size.fault(Code::OutOfRange, "a blob's size is not negative"))?;
    Ok(BlobRef {
        media_type,
        size: bytes,
    })
}
