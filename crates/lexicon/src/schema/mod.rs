//! Records and their schemas: what an agent keeps or says, checked where it comes in.
//!
//! The schemas are Lexicon v1 documents (`crates/lexicon/lexicons`), the format of atproto, so that
//! programs made for it can read them. The validator is closed: a `$type` that is not known is
//! refused, and so is whatever the data model does not have. Fields that a schema does not name are
//! kept. `docs/protocol/lexicons.md` is the specification.

mod builtin;
mod check;
mod definition;
mod fault;
mod format;
mod link;
mod model;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

pub use builtin::{canonical, check, lexicons};
pub use fault::{Code, Fault};
pub use link::LexiconError;

use crate::record::RecordKey;
use definition::{Document, Schema};
use fault::Place;

/// How long a record may be, in bytes of compact JSON.
pub const MAX_RECORD_BYTES: usize = 256 * 1024;
/// How many objects and arrays may be inside one another; the record is the first.
pub const MAX_DEPTH: usize = 32;

/// Lexicon documents that refer to one another and to nothing else.
#[derive(Clone, Debug, Default)]
pub struct Lexicons {
    documents: BTreeMap<String, String>,
    definitions: BTreeMap<String, Schema>,
}

/// A known type of record.
#[derive(Clone, Copy, Debug)]
pub struct RecordType<'a> {
    nsid: &'a str,
    record: &'a definition::Record,
}

/// How the keys of a collection's records are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind<'a> {
    /// A TID: the order of making matters.
    Tid,
    /// An NSID.
    Nsid,
    /// Any key: writing the same key again replaces the record.
    Any,
    /// This one: there is one record.
    Literal(&'a str),
}

impl Lexicons {
    /// Reads documents.
    ///
    /// # Errors
    /// [`LexiconError`] if one is no Lexicon v1 document of records and their parts, uses a keyword
    /// that is not known, contradicts itself, or refers to what is not there.
    pub fn parse<'a>(documents: impl IntoIterator<Item = &'a str>) -> Result<Self, LexiconError> {
        let mut lexicons = Self::default();
        for text in documents {
            let document = Document::parse(text)?;
            for (name, schema) in document.defs {
                let full = link::full_name(&document.id, &format!("#{name}"));
                lexicons.definitions.insert(full, schema);
            }
            let replaced = lexicons
                .documents
                .insert(document.id.clone(), text.to_owned());
            if replaced.is_some() {
                return Err(LexiconError::new(
                    &document.id,
                    "there are two documents of this id",
                ));
            }
        }
        link::resolve(&lexicons.definitions)?;
        Ok(lexicons)
    }

    /// Returns the ids of the documents, in order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.documents.keys().map(String::as_str)
    }

    /// Returns a document as it was written.
    #[must_use]
    pub fn document(&self, id: &str) -> Option<&str> {
        self.documents.get(id).map(String::as_str)
    }

    /// Returns the type of records of that name.
    #[must_use]
    pub fn record_type(&self, nsid: &str) -> Option<RecordType<'_>> {
        let (nsid, schema) = self.definitions.get_key_value(nsid)?;
        if let Schema::Record(record) = schema {
            Some(RecordType { nsid, record })
        } else {
            None
        }
    }

    /// Checks a record against the schema that its `$type` names.
    ///
    /// # Errors
    /// The first [`Fault`], in this order: no object or no `$type`, an unknown type, what the data
    /// model does not have (fields by name), size, what the schema does not allow (missing fields
    /// first, then fields by name).
    pub fn validate(&self, record: &Value) -> Result<RecordType<'_>, Fault> {
        let root = Place::ROOT;
        let at = root.field(model::TYPE);
        let Value::Object(object) = record else {
            return Err(root.fault(Code::NotARecord, "a record is a JSON object"));
        };
        let named = object.get(model::TYPE).and_then(Value::as_str);
        let named = named.ok_or_else(|| {
            at.fault(
                Code::NotARecord,
                "a record names its type: \"$type\": \"agent.memory.note\"",
            )
        })?;
        let found = self.record_type(named).ok_or_else(|| {
            let message =
                "there is no record type of this name: GET /lexicons lists those there are";
            at.fault(Code::UnknownType, message)
        })?;
        model::check(record)?;
        let walk = check::Walk::new(&self.definitions);
        walk.object(found.record.object(), object, &root)?;
        Ok(found)
    }

    /// Checks a record that is to be kept in a collection: it must be of the collection's type.
    ///
    /// # Errors
    /// As [`Self::validate`]; [`Code::NotOneOf`] if it is of another known type.
    pub fn validate_in(&self, collection: &str, record: &Value) -> Result<RecordType<'_>, Fault> {
        let found = self.validate(record)?;
        if found.nsid == collection {
            return Ok(found);
        }
        let message = format!("this collection has records of the type {collection}");
        Err(Place::ROOT
            .field(model::TYPE)
            .fault(Code::NotOneOf, message))
    }
}

impl<'a> RecordType<'a> {
    /// Returns the name of the type, which is its collection's as well.
    #[must_use]
    pub const fn nsid(&self) -> &'a str {
        self.nsid
    }

    /// Returns how keys are made.
    #[must_use]
    pub fn key(&self) -> KeyKind<'a> {
        KeyKind::parse(&self.record.key).unwrap_or(KeyKind::Any)
    }
}

impl fmt::Display for KeyKind<'_> {
    /// Writes it as a document does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tid => f.write_str("tid"),
            Self::Nsid => f.write_str("nsid"),
            Self::Any => f.write_str("any"),
            Self::Literal(literal) => write!(f, "literal:{literal}"),
        }
    }
}

impl<'a> KeyKind<'a> {
    /// Reads what a document writes as `key`.
    fn parse(text: &'a str) -> Option<Self> {
        match text {
            "tid" => Some(Self::Tid),
            "nsid" => Some(Self::Nsid),
            "any" => Some(Self::Any),
            other => {
                let literal = other.strip_prefix("literal:")?;
                RecordKey::parse(literal)
                    .ok()
                    .map(|_key| Self::Literal(literal))
            }
        }
    }

    /// Tells whether a record may have this key.
    #[must_use]
    pub fn accepts(&self, key: &RecordKey) -> bool {
        let text = key.as_str();
        match self {
            Self::Tid => format::Format::Tid.accepts(text),
            Self::Nsid => format::Format::Nsid.accepts(text),
            Self::Any => true,
            Self::Literal(literal) => text == *literal,
        }
    }
}
