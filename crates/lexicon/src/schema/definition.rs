//! A Lexicon v1 document as it is written: what a record's fields may hold.
//!
//! Closed: a keyword that is not listed here makes the document unreadable, since a constraint that
//! is not understood cannot be kept. Queries, procedures and subscriptions are not read.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::format::Format;

/// A document.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) lexicon: u8,
    pub(super) id: String,
    #[serde(default, rename = "revision")]
    _revision: Option<u64>,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    pub(super) defs: BTreeMap<String, Schema>,
}

/// What a name, a field or an item stands for.
///
/// Records and tokens stand in a document's `defs` only, references and unions only below: so a
/// chain of references always passes through a value of the record.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[expect(
    dead_code,
    reason = "a plain type is read only so that keywords it does not have are refused"
)]
pub(super) enum Schema {
    Record(Record),
    Object(Object),
    Array(Array),
    String(Text),
    Integer(Integer),
    Boolean(Boolean),
    Bytes(Bytes),
    CidLink(Plain),
    Blob(Blob),
    Unknown(Plain),
    /// A name and nothing else, for lists of known values.
    Token(Plain),
    Ref(Ref),
    Union(Union),
}

/// A record: an object, and how its keys are made.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) key: String,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    pub(super) record: RecordObject,
}

/// A record's object says its type as any other does.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(super) enum RecordObject {
    Object(Object),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Object {
    #[serde(default)]
    pub(super) required: Vec<String>,
    #[serde(default)]
    pub(super) nullable: Vec<String>,
    #[serde(default)]
    pub(super) properties: BTreeMap<String, Schema>,
    #[serde(default, rename = "description")]
    _description: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Array {
    pub(super) items: Box<Schema>,
    #[serde(default)]
    pub(super) min_length: Option<usize>,
    #[serde(default)]
    pub(super) max_length: Option<usize>,
    #[serde(default, rename = "description")]
    _description: Option<String>,
}

/// Lengths are in bytes of UTF-8.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Text {
    #[serde(default)]
    pub(super) format: Option<Format>,
    #[serde(default)]
    pub(super) min_length: Option<usize>,
    #[serde(default)]
    pub(super) max_length: Option<usize>,
    #[serde(default)]
    pub(super) min_graphemes: Option<usize>,
    #[serde(default)]
    pub(super) max_graphemes: Option<usize>,
    #[serde(default, rename = "enum")]
    pub(super) choices: Option<Vec<String>>,
    #[serde(default, rename = "const")]
    pub(super) constant: Option<String>,
    #[serde(default)]
    pub(super) default: Option<String>,
    /// Values that are usual; others are allowed.
    #[serde(default, rename = "knownValues")]
    _known_values: Option<Vec<String>>,
    #[serde(default, rename = "description")]
    _description: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Integer {
    #[serde(default)]
    pub(super) minimum: Option<i64>,
    #[serde(default)]
    pub(super) maximum: Option<i64>,
    #[serde(default, rename = "enum")]
    pub(super) choices: Option<Vec<i64>>,
    #[serde(default, rename = "const")]
    pub(super) constant: Option<i64>,
    #[serde(default)]
    pub(super) default: Option<i64>,
    #[serde(default, rename = "description")]
    _description: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Boolean {
    #[serde(default, rename = "const")]
    pub(super) constant: Option<bool>,
    #[serde(default)]
    pub(super) default: Option<bool>,
    #[serde(default, rename = "description")]
    _description: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Bytes {
    #[serde(default)]
    pub(super) min_length: Option<usize>,
    #[serde(default)]
    pub(super) max_length: Option<usize>,
    #[serde(default, rename = "description")]
    _description: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Blob {
    /// Media types, with `*` for any or any of a kind.
    #[serde(default)]
    pub(super) accept: Option<Vec<String>>,
    #[serde(default)]
    pub(super) max_size: Option<u64>,
    #[serde(default, rename = "description")]
    _description: Option<String>,
}

/// A type without constraints.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plain {
    #[serde(default, rename = "description")]
    _description: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ref {
    #[serde(rename = "ref")]
    pub(super) target: String,
    #[serde(default, rename = "description")]
    _description: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Union {
    pub(super) refs: Vec<String>,
    #[serde(default)]
    pub(super) closed: bool,
    #[serde(default, rename = "description")]
    _description: Option<String>,
}

impl Record {
    pub(super) const fn object(&self) -> &Object {
        let RecordObject::Object(object) = &self.record;
        object
    }
}
