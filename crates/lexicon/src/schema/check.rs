//! A record's values against its schema.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use unicode_segmentation::UnicodeSegmentation as _;

use super::definition::{Array, Blob, Boolean, Bytes, Integer, Object, Schema, Text, Union};
use super::fault::{Code, Fault, Place};
use super::link::is_name;
use super::model;
use crate::record::Nsid;

type Verdict = Result<(), Fault>;

/// A walk through a record whose values the data model has: so it ends at its depth.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    definitions: &'a BTreeMap<String, Schema>,
}

impl<'a> Walk<'a> {
    pub(super) const fn new(definitions: &'a BTreeMap<String, Schema>) -> Self {
        Self { definitions }
    }

    pub(super) fn object(
        &self,
        schema: &Object,
        object: &Map<String, Value>,
        place: &Place<'_>,
    ) -> Verdict {
        if let Some(name) = schema
            .required
            .iter()
            .find(|name| !object.contains_key(*name))
        {
            let message = format!("the field {name} is required");
            return Err(place.field(name).fault(Code::RequiredField, message));
        }
        for (name, schema_of) in &schema.properties {
            match object.get(name) {
                None => {}
                Some(Value::Null) if schema.nullable.contains(name) => {}
                Some(value) => self.value(schema_of, value, &place.field(name))?,
            }
        }
        Ok(())
    }

    fn value(&self, schema: &Schema, value: &Value, place: &Place<'_>) -> Verdict {
        match schema {
            Schema::Object(object) => self.object(object, plain(value, place)?, place),
            Schema::Array(array) => self.array(array, value, place),
            Schema::String(rules) => {
                let found = value.as_str();
                let found = found.ok_or_else(|| wrong(value, "a string", place))?;
                text(rules, found, place)
            }
            Schema::Integer(rules) => {
                let Value::Number(number) = value else {
                    return Err(wrong(value, "a whole number", place));
                };
                integer(rules, model::whole(number, place)?, place)
            }
            Schema::Boolean(rules) => boolean(rules, value, place),
            Schema::Bytes(rules) => bytes(rules, value, place),
            Schema::CidLink(_) => {
                let object = with(value, model::LINK);
                let object =
                    object.ok_or_else(|| wrong(value, "a link: {\"$link\": CID}", place))?;
                model::link(object, place).map(drop)
            }
            Schema::Blob(rules) => blob(rules, value, place),
            Schema::Unknown(_) => plain(value, place).map(drop),
            Schema::Ref(reference) => self.named(&reference.target, value, place),
            Schema::Union(union) => self.union(union, value, place),
            Schema::Record(_) | Schema::Token(_) => Err(wrong(value, "left out", place)),
        }
    }

    fn named(&self, name: &str, value: &Value, place: &Place<'_>) -> Verdict {
        match self.definitions.get(name) {
            Some(schema) => self.value(schema, value, place),
            None => Err(wrong(value, "left out", place)),
        }
    }

    fn array(&self, schema: &Array, value: &Value, place: &Place<'_>) -> Verdict {
        let Value::Array(items) = value else {
            return Err(wrong(value, "an array", place));
        };
        length(
            items.len(),
            schema.min_length,
            schema.max_length,
            "items",
            place,
        )?;
        items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| self.value(&schema.items, item, &place.item(index)))
    }

    fn union(&self, union: &Union, value: &Value, place: &Place<'_>) -> Verdict {
        let object = plain(value, place)?;
        let at = place.field(model::TYPE);
        let Some(Value::String(named)) = object.get(model::TYPE) else {
            return Err(at.fault(Code::RequiredField, "an object here says its $type"));
        };
        if union.refs.contains(named) {
            return self.named(named, value, place);
        }
        if union.closed {
            let message = format!("a $type here is {}", listed(&union.refs));
            return Err(at.fault(Code::NotOneOf, message));
        }
        if !is_type_name(named) {
            let message = "a $type is an NSID, with # and a name where it is a part";
            return Err(at.fault(Code::BadFormat, message));
        }
        Ok(())
    }
}

/// Tells whether `text` could name a type that is not known here.
fn is_type_name(text: &str) -> bool {
    let (nsid, name) = text.split_once('#').unwrap_or((text, "main"));
    Nsid::parse(nsid).is_ok() && is_name(name)
}

/// An object that stands for itself.
fn plain<'v>(value: &'v Value, place: &Place<'_>) -> Result<&'v Map<String, Value>, Fault> {
    let object = value.as_object().filter(|object| {
        !object.contains_key(model::LINK)
            && !object.contains_key(model::BYTES)
            && !model::is_blob(object)
    });
    object.ok_or_else(|| wrong(value, "an object", place))
}

/// An object that stands for a link or for bytes.
fn with<'v>(value: &'v Value, name: &str) -> Option<&'v Map<String, Value>> {
    value.as_object().filter(|object| object.contains_key(name))
}

fn wrong(found: &Value, wanted: &str, place: &Place<'_>) -> Fault {
    let found = match found {
        Value::Null => "null: leave the field out",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object of another sort",
    };
    place.fault(
        Code::WrongType,
        format!("this is to be {wanted}; it is {found}"),
    )
}

fn listed(choices: &[impl ToString]) -> String {
    let shown: Vec<_> = choices.iter().map(ToString::to_string).collect();
    format!("one of: {}", shown.join(", "))
}

fn length(
    found: usize,
    least: Option<usize>,
    most: Option<usize>,
    unit: &str,
    place: &Place<'_>,
) -> Verdict {
    match (least, most) {
        (_, Some(most)) if found > most => Err(place.fault(
            Code::TooLong,
            format!("at most {most} {unit}; these are {found}"),
        )),
        (Some(least), _) if found < least => Err(place.fault(
            Code::TooShort,
            format!("at least {least} {unit}; these are {found}"),
        )),
        _ => Ok(()),
    }
}

pub(super) fn text(rules: &Text, found: &str, place: &Place<'_>) -> Verdict {
    if rules
        .constant
        .as_ref()
        .is_some_and(|constant| found != constant)
    {
        let constant = rules.constant.as_deref().unwrap_or_default();
        return Err(place.fault(Code::NotOneOf, format!("this is always {constant:?}")));
    }
    if let Some(choices) = &rules.choices
        && !choices.iter().any(|choice| choice == found)
    {
        return Err(place.fault(Code::NotOneOf, format!("this is {}", listed(choices))));
    }
    length(
        found.len(),
        rules.min_length,
        rules.max_length,
        "bytes of UTF-8",
        place,
    )?;
    if rules.min_graphemes.is_some() || rules.max_graphemes.is_some() {
        let count = found.graphemes(true).count();
        length(
            count,
            rules.min_graphemes,
            rules.max_graphemes,
            "characters",
            place,
        )?;
    }
    match rules.format {
        Some(format) if !format.accepts(found) => Err(model::bad(place, format)),
        _ => Ok(()),
    }
}

pub(super) fn integer(rules: &Integer, found: i64, place: &Place<'_>) -> Verdict {
    if let Some(constant) = rules.constant
        && found != constant
    {
        return Err(place.fault(Code::NotOneOf, format!("this is always {constant}")));
    }
    if let Some(choices) = &rules.choices
        && !choices.contains(&found)
    {
        return Err(place.fault(Code::NotOneOf, format!("this is {}", listed(choices))));
    }
    match (rules.minimum, rules.maximum) {
        (_, Some(most)) if found > most => {
            Err(place.fault(Code::OutOfRange, format!("at most {most}; this is {found}")))
        }
        (Some(least), _) if found < least => Err(place.fault(
            Code::OutOfRange,
            format!("at least {least}; this is {found}"),
        )),
        _ => Ok(()),
    }
}

fn boolean(rules: &Boolean, value: &Value, place: &Place<'_>) -> Verdict {
    let found = value.as_bool();
    let found = found.ok_or_else(|| wrong(value, "true or false", place))?;
    match rules.constant {
        Some(constant) if found != constant => {
            Err(place.fault(Code::NotOneOf, format!("this is always {constant}")))
        }
        _ => Ok(()),
    }
}

fn bytes(rules: &Bytes, value: &Value, place: &Place<'_>) -> Verdict {
    let object = with(value, model::BYTES);
    let object = object.ok_or_else(|| wrong(value, "bytes: {\"$bytes\": base64}", place))?;
    let found = model::bytes(object, place)?;
    length(
        found,
        rules.min_length,
        rules.max_length,
        "bytes",
        &place.field(model::BYTES),
    )
}

fn blob(rules: &Blob, value: &Value, place: &Place<'_>) -> Verdict {
    let object = value.as_object().filter(|object| model::is_blob(object));
    let object = object.ok_or_else(|| wrong(value, "a blob: {\"$type\": \"blob\", …}", place))?;
    let found = model::blob(object, place)?;
    if let Some(accept) = &rules.accept
        && !accept
            .iter()
            .any(|pattern| accepts(pattern, found.media_type))
    {
        let at = place.field("mimeType");
        return Err(at.fault(Code::NotOneOf, format!("this is {}", listed(accept))));
    }
    match rules.max_size {
        Some(most) if found.size > most => {
            let message = format!("a blob here is at most {most} bytes");
            Err(place.field("size").fault(Code::OutOfRange, message))
        }
        _ => Ok(()),
    }
}

/// Tells whether a media type is one of `*/*`, `image/*` or itself.
fn accepts(pattern: &str, media_type: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => pattern == "*/*" || start.ends_with('/') && media_type.starts_with(start),
        None => pattern == media_type,
    }
}
