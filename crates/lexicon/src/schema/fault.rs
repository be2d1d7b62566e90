//! What is wrong with a record, and where.

use std::fmt;

use serde::Serialize;

/// What is wrong. The set is closed and its names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// Not a JSON object with a `$type`.
    NotARecord,
    /// No record type of that name is known, or the name is of something that is no record.
    UnknownType,
    /// A required field is missing.
    RequiredField,
    /// A value of another type than the schema's, or of none that the data model has: a float.
    WrongType,
    /// A string, an array or bytes longer than allowed.
    TooLong,
    /// A string, an array or bytes shorter than allowed.
    TooShort,
    /// A number that is too small or too large.
    OutOfRange,
    /// A string that is not written as its format asks.
    BadFormat,
    /// A value that is not one of those that the schema lists.
    NotOneOf,
    /// Values nested deeper than [`super::MAX_DEPTH`].
    RecordTooDeep,
    /// More than [`super::MAX_RECORD_BYTES`] of JSON.
    RecordTooLarge,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 11] = [
        Self::NotARecord,
        Self::UnknownType,
        Self::RequiredField,
        Self::WrongType,
        Self::TooLong,
        Self::TooShort,
        Self::OutOfRange,
        Self::BadFormat,
        Self::NotOneOf,
        Self::RecordTooDeep,
        Self::RecordTooLarge,
    ];

    /// Returns the stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotARecord => "NOT_A_RECORD",
            Self::UnknownType => "UNKNOWN_TYPE",
            Self::RequiredField => "REQUIRED_FIELD",
            Self::WrongType => "WRONG_TYPE",
            Self::TooLong => "TOO_LONG",
            Self::TooShort => "TOO_SHORT",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::BadFormat => "BAD_FORMAT",
            Self::NotOneOf => "NOT_ONE_OF",
            Self::RecordTooDeep => "RECORD_TOO_DEEP",
            Self::RecordTooLarge => "RECORD_TOO_LARGE",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The first thing that is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{code} at {pointer:?}: {message}")]
pub struct Fault {
    /// What it is.
    pub code: Code,
    /// Where it is: an RFC 6901 JSON pointer into the record. Of a field that is missing, where it
    /// would be.
    pub pointer: String,
    /// What to change, for people.
    pub message: String,
}

/// A way into a record, made while the record is walked and written out only for a fault.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Item(usize),
}

impl<'a> Place<'a> {
    /// The record itself.
    pub(super) const ROOT: Self = Self {
        parent: None,
        step: Step::Root,
    };

    /// A field of the object here.
    pub(super) const fn field(&'a self, name: &'a str) -> Self {
        Self {
            parent: Some(self),
            step: Step::Field(name),
        }
    }

    /// An item of the array here.
    pub(super) const fn item(&'a self, index: usize) -> Self {
        Self {
            parent: Some(self),
            step: Step::Item(index),
        }
    }

    /// Says what is wrong here.
    pub(super) fn fault(&self, code: Code, message: impl Into<String>) -> Fault {
        Fault {
            code,
            pointer: self.pointer(),
            message: message.into(),
        }
    }

    fn pointer(&self) -> String {
        let mut pointer = self.parent.map_or_else(String::new, Place::pointer);
        match self.step {
            Step::Root => {}
            Step::Field(name) => {
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
            Step::Item(index) => {
                pointer.push('/');
                pointer.push_str(&index.to_string());
            }
        }
        pointer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_written_as_rfc_6901_asks() {
        let (root, odd) = (Place::ROOT, "a/b~c");
        let field = root.field(odd);
        let item = field.item(7);
        assert_eq!(root.pointer(), "");
        assert_eq!(item.field("").pointer(), "/a~1b~0c/7/");
    }

    #[test]
    fn a_code_is_serialised_by_its_name() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
