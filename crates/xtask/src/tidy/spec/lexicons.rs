//! The tables of docs/protocol/lexicons.md against the documents in crates/lexicon/lexicons, and the
//! Rust types that mirror them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::markdown::{self, quoted};
use super::{Files, frames, source};

const TABLES: &str = "docs/protocol/lexicons.md";
const FOLDER: &str = "crates/lexicon/lexicons/";
const MIRRORS: &str = "crates/lexicon/src/records.rs";
const COMMS_MIRRORS: &str = "crates/lexicon/src/records/comms.rs";
/// A type in [`MIRRORS`], and the object whose fields it has; `*` stands for what all have.
const MIRRORED: [(&str, &str); 4] = [
    ("MemoryFields", "agent.memory.*"),
    ("StrongRef", "agent.memory.defs#strongRef"),
    ("Source", "agent.memory.defs#source"),
    ("Endorsement", "agent.trust.endorsement"),
];
/// As [`MIRRORED`], for the types in [`COMMS_MIRRORS`].
const COMMS_MIRRORED: [(&str, &str); 8] = [
    ("Message", "agent.comms.message"),
    ("Broadcast", "agent.comms.broadcast"),
    ("Request", "agent.comms.request"),
    ("Retry", "agent.comms.request#retry"),
    ("Response", "agent.comms.response"),
    ("TaskError", "agent.comms.response#error"),
    ("Artifact", "agent.comms.defs#artifact"),
    ("Handoff", "agent.comms.handoff"),
];

/// An object of a document: what it is, and a row for each of its fields.
struct Described {
    /// The line below its heading.
    line: String,
    is_record: bool,
    fields: BTreeMap<String, String>,
}

pub(super) fn check(files: &Files) -> Result<Vec<String>> {
    let objects = objects(files)?;
    let mut faults = tables(files.text(TABLES)?, &objects);
    for (file, mirrored) in [
        (MIRRORS, &MIRRORED[..]),
        (COMMS_MIRRORS, &COMMS_MIRRORED[..]),
    ] {
        faults.extend(mirrors(file, files.text(file)?, mirrored, &objects)?);
    }
    Ok(faults)
}

/// Every object of every document, by its full name.
fn objects(files: &Files) -> Result<BTreeMap<String, Described>> {
    let mut objects = BTreeMap::new();
    for (file, text) in files.below(FOLDER, ".json") {
        let document: Value = serde_json::from_str(text).with_context(|| file.to_owned())?;
        let id = text_of(at(&document, "id"));
        for (name, definition) in at(&document, "defs").as_object().into_iter().flatten() {
            let described = text_of(at(definition, "description"));
            let record = text_of(at(definition, "type")) == "record";
            let object = if record {
                at(definition, "record")
            } else {
                definition
            };
            let line = if record {
                format!("{described} Keys: `{}`.", text_of(at(definition, "key")))
            } else {
                described.to_owned()
            };
            let full = match name.as_str() {
                "main" => id.to_owned(),
                part => format!("{id}#{part}"),
            };
            let fields = rows(id, object);
            let is_record = record;
            objects.insert(
                full,
                Described {
                    line,
                    is_record,
                    fields,
                },
            );
        }
    }
    Ok(objects)
}

fn rows(id: &str, object: &Value) -> BTreeMap<String, String> {
    let required: BTreeSet<_> = list(at(object, "required")).map(text_of).collect();
    let properties = at(object, "properties").as_object().into_iter().flatten();
    let row = |(name, schema): (&String, &Value)| {
        let must = if required.contains(name.as_str()) {
            "required; "
        } else {
            ""
        };
        let (rule, what) = (rule(id, schema), text_of(at(schema, "description")));
        (
            name.clone(),
            format!("| `{name}` | {must}{rule} | {what} |"),
        )
    };
    properties.map(row).collect()
}

/// What a value may be, in words.
fn rule(id: &str, schema: &Value) -> String {
    let named = |reference: &Value| match text_of(reference) {
        part if part.starts_with('#') => format!("`{id}{part}`"),
        full => format!("`{full}`"),
    };
    let joined = |values: &Value, show: &dyn Fn(&Value) -> String| {
        list(values).map(show).collect::<Vec<_>>().join(", ")
    };
    let plain = |value: &Value| format!("`{}`", text_of(value));
    let (least, most) = (at(schema, "minLength"), at(schema, "maxLength"));
    let mut parts = Vec::new();
    match text_of(at(schema, "type")) {
        "string" => {
            let format = text_of(at(schema, "format"));
            parts.push(if format.is_empty() {
                "text".to_owned()
            } else {
                format!("`{format}`")
            });
            parts.extend(range(least, most, "bytes"));
            parts.extend(range(
                at(schema, "minGraphemes"),
                at(schema, "maxGraphemes"),
                "characters",
            ));
            if at(schema, "enum").is_array() {
                parts.push(format!("one of {}", joined(at(schema, "enum"), &plain)));
            }
            if at(schema, "knownValues").is_array() {
                parts.push(format!(
                    "such as {}",
                    joined(at(schema, "knownValues"), &plain)
                ));
            }
        }
        "integer" => {
            let bounds = range(at(schema, "minimum"), at(schema, "maximum"), "");
            parts.push(bounds.unwrap_or_else(|| "a whole number".to_owned()));
        }
        "array" => {
            let items = rule(id, at(schema, "items"));
            let count = range(least, most, "").unwrap_or_default();
            parts.push(format!("list of {count}: {items}").replace("of :", "of"));
        }
        "ref" => parts.push(named(at(schema, "ref"))),
        "union" => {
            let word = if at(schema, "closed") == &Value::Bool(true) {
                "one of"
            } else {
                "such as"
            };
            parts.push(format!("{word} {}", joined(at(schema, "refs"), &named)));
        }
        "cid-link" => parts.push("link".to_owned()),
        "unknown" => parts.push("object".to_owned()),
        other => parts.push(other.to_owned()),
    }
    let default = at(schema, "default");
    match default {
        Value::Null => {}
        Value::String(text) => parts.push(format!("default `{text}`")),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            parts.push(format!("default {default}"));
        }
    }
    parts.join(", ")
}

/// A range in words: `1 to 50,000 bytes`.
fn range(least: &Value, most: &Value, unit: &str) -> Option<String> {
    let bounds = match (least.as_i64(), most.as_i64()) {
        (Some(least), Some(most)) => format!("{} to {}", grouped(least), grouped(most)),
        (None, Some(most)) => format!("at most {}", grouped(most)),
        (Some(least), None) => format!("at least {}", grouped(least)),
        (None, None) => return None,
    };
    Some(format!("{bounds} {unit}").trim_end().to_owned())
}

fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if number < 0 {
        format!("-{grouped}")
    } else {
        grouped
    }
}

/// A member of an object, or null.
fn at<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Whether a heading such as `agent.memory.*` speaks of a record.
fn covers(heading: &str, name: &str) -> bool {
    let start = heading.strip_suffix('*');
    start.is_some_and(|start| name.starts_with(start))
}

fn tables(document: &str, objects: &BTreeMap<String, Described>) -> Vec<String> {
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for table in markdown::tables(document) {
        let Some(heading) = quoted(&table.section).next() else {
            continue;
        };
        let rows = table
            .rows
            .iter()
            .map(|row| format!("| {} |", row.join(" | ")));
        told.entry(heading.to_owned()).or_default().extend(rows);
    }
    let mut faults = Vec::new();
    let unknown = |heading: &&String| {
        !objects
            .iter()
            .any(|(name, object)| name == *heading || object.is_record && covers(heading, name))
    };
    faults.extend(told.keys().filter(unknown).map(|heading| {
        format!("{TABLES} has a section `{heading}`, and {FOLDER} has no such object")
    }));
    for (name, object) in objects {
        let lines = markdown::section(document, &format!("### `{name}`"));
        if lines.iter().find(|line| !line.is_empty()) != Some(&object.line.as_str()) {
            faults.push(format!(
                "{TABLES}: below \"### `{name}`\" write: {}",
                object.line
            ));
        }
        let own = told
            .iter()
            .filter(|(heading, _)| *heading == name || object.is_record && covers(heading, name));
        let own: BTreeSet<_> = own.flat_map(|(_, rows)| rows).collect();
        let rows: BTreeSet<_> = object.fields.values().collect();
        faults.extend(
            rows.difference(&own)
                .map(|row| format!("{TABLES}: `{name}` lacks: {row}")),
        );
        faults.extend(
            own.difference(&rows)
                .map(|row| format!("{TABLES}: `{name}` has no such field: {row}")),
        );
    }
    faults
}

fn mirrors(
    path: &str,
    code: &str,
    mirrored: &[(&str, &str)],
    objects: &BTreeMap<String, Described>,
) -> Result<Vec<String>> {
    let file = source::parse(path, code)?;
    let mut faults = Vec::new();
    for &(structure, name) in mirrored {
        let meant = objects
            .iter()
            .filter(|(known, object)| *known == name || object.is_record && covers(name, known));
        let sets = meant.map(|(_, object)| object.fields.keys().map(String::as_str).collect());
        let shared = sets.reduce(|a: BTreeSet<&str>, b| a.intersection(&b).copied().collect());
        let coded: Vec<_> = frames::fields(&file, structure)
            .iter()
            .map(|f| camel(f))
            .collect();
        let coded: BTreeSet<_> = coded.iter().map(String::as_str).collect();
        let shared = shared.unwrap_or_default();
        if coded != shared {
            faults.push(format!(
                "`{structure}` in {path} has the fields {coded:?}, {name} has {shared:?}"
            ));
        }
    }
    Ok(faults)
}

/// `created_at` as `createdAt`.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let mut letters = word.chars();
        let head = letters.next().map(|letter| letter.to_ascii_uppercase());
        name + &head.into_iter().chain(letters).collect::<String>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFS: &str = r##"{"id": "agent.memory.defs", "defs": {
        "strongRef": {"type": "object", "description": "A record.", "required": ["cid"], "properties": {
            "uri": {"type": "string", "format": "at-uri", "description": "Where."},
            "cid": {"type": "string", "format": "cid", "description": "What."}}},
        "source": {"type": "object", "description": "A source.", "required": ["kind"], "properties": {
            "kind": {"type": "string", "maxLength": 64, "knownValues": ["self"], "description": "Which sort."}}}}}"##;
    const NOTE: &str = r##"{"id": "agent.memory.note", "defs": {"main": {"type": "record", "key": "any", "description": "A note.",
        "record": {"type": "object", "required": ["text"], "properties": {
            "text": {"type": "string", "minLength": 1, "maxLength": 50000, "description": "The note."},
            "importance": {"type": "integer", "minimum": 0, "maximum": 100, "default": 50, "description": "How much."},
            "tags": {"type": "array", "maxLength": 32, "items": {"type": "string", "maxLength": 64}, "description": "Words."},
            "derivedFrom": {"type": "array", "items": {"type": "ref", "ref": "agent.memory.defs#strongRef"}, "description": "Why."}}}}}}"##;
    const DOCUMENT: &str = "# L\n\n### `agent.memory.*`\n\n| field | value | what |\n|---|---|---|\n\
        | `importance` | 0 to 100, default 50 | How much. |\n\
        | `tags` | list of at most 32: text, at most 64 bytes | Words. |\n\
        | `derivedFrom` | list of `agent.memory.defs#strongRef` | Why. |\n\n\
        ### `agent.memory.note`\n\nA note. Keys: `any`.\n\n| field | value | what |\n|---|---|---|\n\
        | `text` | required; text, 1 to 50,000 bytes | The note. |\n\n\
        ### `agent.memory.defs#source`\n\nA source.\n\n| field | value | what |\n|---|---|---|\n\
        | `kind` | required; text, at most 64 bytes, such as `self` | Which sort. |\n\n\
        ### `agent.memory.defs#strongRef`\n\nA record.\n\n| field | value | what |\n|---|---|---|\n\
        | `uri` | `at-uri` | Where. |\n| `cid` | required; `cid` | What. |\n";
    const CODE: &str = "pub struct MemoryFields { text: T, importance: u8, tags: V, derived_from: V }\n\
        pub struct StrongRef { uri: T, cid: T }\npub struct Source { kind: T }";

    fn faults(document: &str, note: &str, code: &str) -> Vec<String> {
        check(&Files::made(&[
            (TABLES, document),
            ("crates/lexicon/lexicons/agent/memory/defs.json", DEFS),
            ("crates/lexicon/lexicons/agent/memory/note.json", note),
            (MIRRORS, code),
            (COMMS_MIRRORS, ""),
        ]))
        .unwrap()
    }

    #[test]
    fn tables_and_types_in_step_pass() {
        assert_eq!(faults(DOCUMENT, NOTE, CODE), Vec::<String>::new());
    }

    #[test]
    fn what_only_one_of_document_table_and_type_has_is_found() {
        for (old, new, count) in [
            ("\"maxLength\": 50000", "\"maxLength\": 40000", 2),
            ("\"default\": 50", "\"default\": 40", 2),
            ("\"key\": \"any\"", "\"key\": \"tid\"", 1),
            ("\"required\": [\"text\"]", "\"required\": []", 2),
            ("\"tags\"", "\"words\"", 3),
            ("How much.", "How often.", 2),
        ] {
            assert_eq!(
                faults(DOCUMENT, &NOTE.replace(old, new), CODE).len(),
                count,
                "{new}"
            );
        }
        let document = DOCUMENT.replace(
            "### `agent.memory.defs#source`",
            "### `agent.memory.defs#sauce`",
        );
        assert_eq!(faults(&document, NOTE, CODE).len(), 3);
        let code = CODE.replace("derived_from", "derived");
        assert_eq!(faults(DOCUMENT, NOTE, &code).len(), 1);
    }
}
