//! Whether documents make sense: each by itself, and all together.

use std::collections::BTreeMap;

use super::KeyKind;
use super::check;
use super::definition::{Document, Integer, Object, RecordObject, Schema, Text};
use super::fault::Place;
use super::model::MAX_SAFE_INTEGER;
use crate::record::Nsid;

/// A document is at most so long, in bytes.
const MAX_DOCUMENT_BYTES: usize = 64 * 1024;
/// The longest name in a document's `defs`, and of a field, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// Why a Lexicon document cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct LexiconError {
    /// The document's id and the way into it, as far as known.
    pub place: String,
    /// What to change.
    pub reason: String,
}

impl LexiconError {
    pub(super) fn new(place: &str, reason: impl Into<String>) -> Self {
        Self {
            place: place.to_owned(),
            reason: reason.into(),
        }
    }
}

impl Document {
    /// Reads a document, and writes its references in full.
    pub(super) fn parse(text: &str) -> Result<Self, LexiconError> {
        if text.len() > MAX_DOCUMENT_BYTES {
            let reason = format!("a document has at most {MAX_DOCUMENT_BYTES} bytes");
            return Err(LexiconError::new("", reason));
        }
        let mut document: Self =
            serde_json::from_str(text).map_err(|error| LexiconError::new("", error.to_string()))?;
        let id = document.id.clone();
        if document.lexicon != 1 {
            return Err(LexiconError::new(&id, "only version 1 of Lexicon is read"));
        }
        if Nsid::parse(&id).is_err() {
            return Err(LexiconError::new(&id, "the id is not an NSID"));
        }
        if document.defs.is_empty() {
            return Err(LexiconError::new(&id, "there is nothing in defs"));
        }
        for (name, schema) in &mut document.defs {
            let at = Spot(format!("{id}#{name}"));
            if !is_name(name) {
                return at.refuse("a name is letters and digits");
            }
            match schema {
                Schema::Ref(_) | Schema::Union(_) => {
                    return at.refuse("what has a name is no reference and no union");
                }
                Schema::Record(record) => {
                    if name != "main" {
                        return at.refuse("a record is a document's main");
                    }
                    if KeyKind::parse(&record.key).is_none() {
                        return at.refuse("a record's key is tid, nsid, any or literal:<key>");
                    }
                    let RecordObject::Object(object) = &mut record.record;
                    object.settle(&id, &at)?;
                }
                Schema::Token(_) => {}
                Schema::Object(_)
                | Schema::Array(_)
                | Schema::String(_)
                | Schema::Integer(_)
                | Schema::Boolean(_)
                | Schema::Bytes(_)
                | Schema::CidLink(_)
                | Schema::Blob(_)
                | Schema::Unknown(_) => schema.settle(&id, &at)?,
            }
        }
        Ok(document)
    }
}

/// Tells whether `name` can stand in `defs` or name a field.
pub(super) fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|symbol| symbol.is_ascii_alphanumeric())
}

/// Writes a reference in full: `#a` as `id#a`, `id#main` as `id`.
pub(super) fn full_name(id: &str, reference: &str) -> String {
    let full = if reference.starts_with('#') {
        format!("{id}{reference}")
    } else {
        reference.to_owned()
    };
    match full.strip_suffix("#main") {
        Some(short) => short.to_owned(),
        None => full,
    }
}

/// Where in a document something is.
struct Spot(String);

impl Spot {
    fn at(&self, step: &str) -> Self {
        Self(format!("{}/{step}", self.0))
    }

    fn refuse<T>(&self, reason: impl Into<String>) -> Result<T, LexiconError> {
        Err(LexiconError::new(&self.0, reason))
    }

    /// Fails unless `minimum` ≤ `maximum`, where both are given.
    fn ordered<T: PartialOrd>(
        &self,
        minimum: Option<T>,
        maximum: Option<T>,
    ) -> Result<(), LexiconError> {
        match (minimum, maximum) {
            (Some(minimum), Some(maximum)) if minimum > maximum => {
                self.refuse("the least is more than the most")
            }
            _ => Ok(()),
        }
    }
}

impl Schema {
    /// Writes references in full, and checks that no constraint contradicts another.
    fn settle(&mut self, id: &str, at: &Spot) -> Result<(), LexiconError> {
        match self {
            Self::Object(object) => object.settle(id, at),
            Self::Array(array) => {
                at.ordered(array.min_length, array.max_length)?;
                let at = at.at("items");
                if matches!(*array.items, Self::Object(_) | Self::Array(_)) {
                    return at.refuse("give it a name in defs and refer to that");
                }
                array.items.settle(id, &at)
            }
            Self::String(text) => settle_text(text, at),
            Self::Integer(integer) => settle_integer(integer, at),
            Self::Boolean(boolean) => match (boolean.constant, boolean.default) {
                (Some(constant), Some(default)) if constant != default => {
                    at.refuse("the default is not the constant")
                }
                _ => Ok(()),
            },
            Self::Bytes(bytes) => at.ordered(bytes.min_length, bytes.max_length),
            Self::CidLink(_) | Self::Blob(_) | Self::Unknown(_) => Ok(()),
            Self::Ref(reference) => {
                reference.target = full_name(id, &reference.target);
                Ok(())
            }
            Self::Union(union) => {
                if union.closed && union.refs.is_empty() {
                    return at.refuse("a closed union of nothing has no value");
                }
                for reference in &mut union.refs {
                    *reference = full_name(id, reference);
                }
                Ok(())
            }
            Self::Record(_) | Self::Token(_) => at.refuse("records and tokens stand in defs only"),
        }
    }
}

impl Object {
    fn settle(&mut self, id: &str, at: &Spot) -> Result<(), LexiconError> {
        for name in self.required.iter().chain(&self.nullable) {
            if !self.properties.contains_key(name) {
                return at.refuse(format!("{name} is required or nullable, and no property"));
            }
        }
        for (name, schema) in &mut self.properties {
            let at = at.at(name);
            if !is_name(name) {
                return at.refuse("a name is letters and digits");
            }
            if matches!(schema, Schema::Object(_)) {
                return at.refuse("give the object a name in defs and refer to that");
            }
            schema.settle(id, &at)?;
        }
        Ok(())
    }
}

fn settle_text(text: &Text, at: &Spot) -> Result<(), LexiconError> {
    at.ordered(text.min_length, text.max_length)?;
    at.ordered(text.min_graphemes, text.max_graphemes)?;
    let listed = text.choices.iter().flatten();
    for value in listed.chain(&text.constant).chain(&text.default) {
        if let Err(fault) = check::text(text, value, &Place::ROOT) {
            return at.refuse(format!("{value:?} breaks the rules it is under: {fault}"));
        }
    }
    Ok(())
}

fn settle_integer(integer: &Integer, at: &Spot) -> Result<(), LexiconError> {
    at.ordered(integer.minimum, integer.maximum)?;
    let listed = integer.choices.iter().flatten();
    for value in listed.chain(&integer.constant).chain(&integer.default) {
        if !(-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).contains(value) {
            return at.refuse(format!("{value} is too large for the data model"));
        }
        if let Err(fault) = check::integer(integer, *value, &Place::ROOT) {
            return at.refuse(format!("{value} breaks the rules it is under: {fault}"));
        }
    }
    Ok(())
}

/// Checks that every reference leads to something that a value can be.
pub(super) fn resolve(definitions: &BTreeMap<String, Schema>) -> Result<(), LexiconError> {
    definitions
        .iter()
        .try_for_each(|(name, schema)| references(definitions, name, schema))
}

fn references(
    definitions: &BTreeMap<String, Schema>,
    name: &str,
    schema: &Schema,
) -> Result<(), LexiconError> {
    let below = |object: &Object| {
        let mut fields = object.properties.values();
        fields.try_for_each(|field| references(definitions, name, field))
    };
    let leads = |target: &String, only_objects: bool| match definitions.get(target) {
        None => Err(LexiconError::new(name, format!("there is no {target}"))),
        Some(Schema::Record(_) | Schema::Token(_)) => Err(LexiconError::new(
            name,
            format!("{target} is no part of a record"),
        )),
        Some(Schema::Object(_)) => Ok(()),
        Some(_) if only_objects => {
            let reason = format!("{target} is no object: it cannot say its $type in a union");
            Err(LexiconError::new(name, reason))
        }
        Some(_other) => Ok(()),
    };
    match schema {
        Schema::Record(record) => below(record.object()),
        Schema::Object(object) => below(object),
        Schema::Array(array) => references(definitions, name, &array.items),
        Schema::Ref(reference) => leads(&reference.target, false),
        Schema::Union(union) => union.refs.iter().try_for_each(|target| leads(target, true)),
        Schema::String(_)
        | Schema::Integer(_)
        | Schema::Boolean(_)
        | Schema::Bytes(_)
        | Schema::CidLink(_)
        | Schema::Blob(_)
        | Schema::Unknown(_)
        | Schema::Token(_) => Ok(()),
    }
}
