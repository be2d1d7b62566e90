//! Every record under `valid/` is one; every record under `invalid/` is refused with the code and
//! the pointer that its file says.
//!
//! A file of `invalid/` is `{"code", "pointer", "record"}`, and `"stricter"` with a reason where the
//! reference implementation takes what we refuse; `tests/oracle.rs` asks it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;

use common::{Sample, catalogue, invalid, valid};
use entente_lexicon::RecordKey;
use entente_lexicon::records::MemoryFields;
use entente_lexicon::schema::{
    Code, KeyKind, LexiconError, Lexicons, MAX_DEPTH, MAX_RECORD_BYTES, lexicons,
};
use serde_json::{Value, json};

#[test]
fn every_record_under_valid_is_one() {
    let samples = valid();
    assert!(samples.len() >= 25, "{}", samples.len());
    for (name, record) in samples {
        let found = catalogue().validate(record);
        let found = found.unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_eq!(found.nsid(), record["$type"], "{name}");
        let memory = found.nsid().starts_with("agent.memory.");
        assert!(!memory || MemoryFields::of(record).is_ok(), "{name}");
    }
    let shown: BTreeSet<_> = samples
        .iter()
        .map(|(_, record)| &record["$type"])
        .map(Value::as_str)
        .collect();
    for id in lexicons().ids().filter(|id| !id.ends_with(".defs")) {
        assert!(shown.contains(&Some(id)), "no valid record of {id}");
    }
}

#[test]
fn every_record_under_invalid_is_refused_at_its_fault() {
    let samples = invalid();
    assert!(samples.len() >= 60, "{}", samples.len());
    for Sample {
        name,
        code,
        pointer,
        record,
        ..
    } in &samples
    {
        let fault = catalogue().validate(record).expect_err(name);
        assert_eq!(
            (fault.code.as_str(), &fault.pointer),
            (code.as_str(), pointer),
            "{name}: {fault}"
        );
        let missing = [Code::RequiredField, Code::NotARecord].contains(&fault.code);
        assert!(
            missing || record.pointer(pointer).is_some(),
            "{name}: {pointer} leads nowhere"
        );
        assert!(fault.message.len() > 10, "{name}: {fault}");
    }
    let codes: BTreeSet<_> = samples.iter().map(|sample| sample.code.as_str()).collect();
    let all = Code::ALL
        .into_iter()
        .filter(|code| *code != Code::RecordTooLarge);
    let all: BTreeSet<_> = all.map(Code::as_str).collect();
    assert_eq!(codes, all, "each code has an example");
}

#[test]
fn a_record_belongs_to_the_collection_of_its_type() {
    let note = json!({"$type": "agent.memory.note", "text": "x"});
    assert!(lexicons().validate_in("agent.memory.note", &note).is_ok());
    let fault = lexicons()
        .validate_in("agent.memory.fact", &note)
        .unwrap_err();
    assert_eq!(
        (fault.code, fault.pointer.as_str()),
        (Code::NotOneOf, "/$type")
    );
}

#[test]
fn a_collection_says_which_keys_its_records_have() {
    let key = |text: &str| RecordKey::parse(text).unwrap();
    let kind = |nsid: &str| lexicons().record_type(nsid).unwrap().key();
    let written = ["episode", "fact", "profile"]
        .map(|name| kind(&format!("agent.memory.{name}")).to_string());
    assert_eq!(written, ["tid", "any", "literal:self"]);
    assert_eq!(kind("agent.memory.profile"), KeyKind::Literal("self"));
    assert!(kind("agent.memory.profile").accepts(&key("self")));
    assert!(!kind("agent.memory.profile").accepts(&key("other")));
    assert!(kind("agent.memory.episode").accepts(&key("3jzfcijpj2z2a")));
    assert!(!kind("agent.memory.episode").accepts(&key("self")));
    assert!(kind("agent.memory.fact").accepts(&key("favourite-colour")));
}

#[test]
fn the_deepest_record_passes_and_one_level_more_does_not() {
    let nested = |levels: usize| {
        let deep = (1..levels).fold(json!(1), |inner, _| json!([inner]));
        json!({"$type": "agent.memory.note", "text": "x", "deep": deep})
    };
    assert!(lexicons().validate(&nested(MAX_DEPTH)).is_ok());
    let fault = lexicons().validate(&nested(MAX_DEPTH + 1)).unwrap_err();
    assert_eq!(fault.code, Code::RecordTooDeep);
}

#[test]
fn the_longest_record_passes_and_one_byte_more_does_not() {
    let long = |bytes: usize| {
        let mut record = json!({"$type": "agent.memory.note", "text": "x", "extra": ""});
        let rest = bytes - record.to_string().len();
        record["extra"] = json!("\"".repeat(rest / 2) + &"y".repeat(rest % 2));
        assert_eq!(record.to_string().len(), bytes);
        record
    };
    assert!(lexicons().validate(&long(MAX_RECORD_BYTES)).is_ok());
    let fault = lexicons()
        .validate(&long(MAX_RECORD_BYTES + 1))
        .unwrap_err();
    assert_eq!(
        (fault.code, fault.pointer.as_str()),
        (Code::RecordTooLarge, "")
    );
}

/// A document with one record of one field.
fn with(field: &Value) -> Value {
    json!({"lexicon": 1, "id": "com.example.a", "defs": {"main": {"type": "record", "key": "tid",
        "record": {"type": "object", "properties": {"field": field}}}}})
}

fn read(document: &Value) -> Result<(), LexiconError> {
    Lexicons::parse([document.to_string().as_str()]).map(drop)
}

#[test]
fn fields_that_make_no_sense_are_refused() {
    assert_eq!(read(&with(&json!({"type": "string"}))), Ok(()));
    for field in [
        json!({"type": "float"}),
        json!({"type": "string", "pattern": "x"}),
        json!({"type": "string", "format": "colour"}),
        json!({"type": "string", "minLength": 2, "maxLength": 1}),
        json!({"type": "string", "minLength": -1}),
        json!({"type": "string", "maxLength": 1, "default": "ab"}),
        json!({"type": "string", "format": "did", "const": "x"}),
        json!({"type": "integer", "minimum": 2, "maximum": 1}),
        json!({"type": "integer", "maximum": 1, "default": 2}),
        json!({"type": "integer", "const": 9_007_199_254_740_992_i64}),
        json!({"type": "boolean", "const": true, "default": false}),
        json!({"type": "array"}),
        json!({"type": "array", "items": {"type": "token"}}),
        json!({"type": "array", "items": {"type": "array", "items": {"type": "string"}}}),
        json!({"type": "object"}),
        json!({"type": "ref", "ref": "#nothing"}),
        json!({"type": "ref", "ref": "#main"}),
        json!({"type": "ref", "ref": "com.example.b#x"}),
        json!({"type": "union", "refs": ["#nothing"]}),
        json!({"type": "union", "refs": [], "closed": true}),
        json!({"type": "record", "key": "tid", "record": {"type": "object"}}),
    ] {
        assert!(read(&with(&field)).is_err(), "{field}");
    }
}

#[test]
fn documents_that_make_no_sense_are_refused() {
    let good = with(&json!({"type": "string"}));
    for (pointer, value) in [
        ("/lexicon", json!(2)),
        ("/id", json!("example")),
        ("/defs", json!({})),
        ("/defs/main/key", json!("literal:")),
        ("/defs/main/key", json!("rowid")),
        ("/defs/main/record/type", json!("string")),
        (
            "/defs/main/record",
            json!({"type": "object", "required": ["a"]}),
        ),
        (
            "/defs/main/record",
            json!({"type": "object", "nullable": ["a"]}),
        ),
        (
            "/defs/main/record/properties",
            json!({"a b": {"type": "string"}}),
        ),
        ("/defs/main/type", json!("query")),
        ("/defs/main", json!({"type": "ref", "ref": "#main"})),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        assert!(read(&bad).is_err(), "{bad}");
    }
    let mut elsewhere = good.clone();
    let record = elsewhere["defs"]["main"].take();
    elsewhere["defs"] = json!({"other": record});
    assert!(read(&elsewhere).is_err(), "a record that is not main");
    let text = good.to_string();
    assert!(
        Lexicons::parse([text.as_str(), text.as_str()]).is_err(),
        "the same id twice"
    );
    let spaced = format!("{text}{}", " ".repeat(70_000));
    assert!(
        Lexicons::parse([spaced.as_str()]).is_err(),
        "a document that is too long"
    );
}
