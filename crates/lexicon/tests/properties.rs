//! The validator on whatever comes.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking"
)]

mod common;

use common::{Numbers, catalogue, documents, pointers, remove, valid};
use entente_lexicon::records::comms;
use entente_lexicon::schema::{Code, Lexicons, lexicons};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Any JSON, with names and texts that mean something to the validator among them.
fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        ".{0,20}",
        proptest::sample::select(vec![
            "$type",
            "$link",
            "$bytes",
            "blob",
            "text",
            "ref",
            "covers",
            "content",
            "agent.memory.summary",
            "agent.comms.message",
            "agent.comms.defs#text",
            "com.example.everything",
            "com.example.everything#tree",
            "2026-11-22T10:00:00Z",
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(40, 64, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text.clone(), inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// What no field of ours may hold, and how it is refused wherever it stands.
fn poison() -> impl Strategy<Value = (Value, Code, &'static str)> {
    proptest::sample::select(vec![
        (json!(0.5), Code::WrongType, ""),
        (json!(1_u64 << 53), Code::OutOfRange, ""),
        (json!({"$link": "x"}), Code::BadFormat, "/$link"),
        (json!({"$bytes": "x"}), Code::BadFormat, "/$bytes"),
        (json!({"$type": 1}), Code::WrongType, "/$type"),
        (
            json!({"$type": "blob", "ref": 1, "mimeType": "x/y", "size": 1}),
            Code::WrongType,
            "/ref",
        ),
    ])
}

proptest! {
    #[test]
    fn no_json_makes_the_validator_panic(record in any_json()) {
        let _ = catalogue().validate(&record);
    }

    #[test]
    fn no_fields_of_a_known_type_make_it_panic(
        pick in 0_usize..100,
        fields in prop::collection::btree_map("[a-z$]{1,8}", any_json(), 0..4),
    ) {
        let samples = valid();
        let (_, record) = &samples[pick % samples.len()];
        let mut record = record.clone();
        record.as_object_mut().unwrap().extend(fields);
        let _ = catalogue().validate(&record);
    }

    /// Else a record that came as mail would be tried again for ever.
    #[test]
    fn what_the_validator_takes_of_messages_is_read(
        pick in 0_usize..100,
        fields in prop::collection::btree_map(
            proptest::sample::select(vec![
                "content", "createdAt", "expiresAt", "priority", "thread", "deadline", "retry",
                "progress", "artifacts", "error", "status", "records", "inputs", "data",
            ]),
            any_json(),
            0..3,
        ),
        pad in any::<bool>(),
    ) {
        let samples: Vec<_> = valid()
            .iter()
            .filter(|(_, record)| record["$type"].as_str().is_some_and(|kind| kind.starts_with("agent.comms.")))
            .collect();
        let (name, record) = samples[pick % samples.len()];
        let mut record = record.clone();
        let object = record.as_object_mut().unwrap();
        object.extend(fields.into_iter().map(|(field, value)| (field.to_owned(), value)));
        if pad {
            object.insert("createdAt".to_owned(), json!("0000-01-01T00:00:00.123456789-00:01"));
        }
        if let Ok(kind) = catalogue().validate(&record) {
            let outcome = match kind.nsid() {
                "agent.comms.request" => comms::read::<comms::Request>(&record).map(drop),
                "agent.comms.response" => comms::read::<comms::Response>(&record).map(drop),
                "agent.comms.message" => comms::read::<comms::Message>(&record).map(drop),
                "agent.comms.broadcast" => comms::read::<comms::Broadcast>(&record).map(drop),
                _ => comms::read::<comms::Handoff>(&record).map(drop),
            };
            prop_assert!(outcome.is_ok(), "{}: {:?}", name, outcome);
        }
    }

    /// Whatever the schema says of a field, what the data model does not have is refused there.
    #[test]
    fn a_valid_record_with_one_poisoned_value_is_refused_at_that_value(
        pick in 0_usize..100,
        place in any::<prop::sample::Index>(),
        (value, code, rest) in poison(),
    ) {
        let samples = valid();
        let (name, record) = &samples[pick % samples.len()];
        let mut record = record.clone();
        let mut places = Vec::new();
        pointers(&record, "", &mut places);
        // Inside a link, bytes or a blob the fault is in how that is written.
        places.retain(|place| !place.contains("/$") && !place.starts_with("/blob/"));
        let place = place.get(&places);
        *record.pointer_mut(place).unwrap() = value;
        let fault = catalogue().validate(&record).expect_err(name);
        prop_assert_eq!((fault.code, fault.pointer), (code, format!("{place}{rest}")), "{}", name);
    }

    #[test]
    fn a_valid_record_without_a_required_field_is_refused_where_it_would_be(pick in 0_usize..100) {
        let samples = valid();
        let (name, record) = &samples[pick % samples.len()];
        let nsid = record["$type"].as_str().unwrap();
        let document: Value = documents()
            .iter()
            .map(|text| serde_json::from_str::<Value>(text).unwrap())
            .find(|document| document["id"] == nsid)
            .unwrap();
        for field in document["defs"]["main"]["record"]["required"].as_array().unwrap() {
            let mut record = record.clone();
            let place = format!("/{}", field.as_str().unwrap());
            remove(&mut record, &place);
            let fault = catalogue().validate(&record).expect_err(name);
            prop_assert_eq!((fault.code, fault.pointer), (Code::RequiredField, place));
        }
    }

    /// A fault's pointer leads to a value, or to where a missing one would be.
    #[test]
    fn a_pointer_leads_into_the_record(pick in 0_usize..100, seed: u64) {
        let samples = valid();
        let (_, record) = &samples[pick % samples.len()];
        let mut record = record.clone();
        Numbers(seed).change(&mut record);
        if let Err(fault) = catalogue().validate(&record) {
            let missing = fault.code == Code::RequiredField;
            let (parent, _) = fault.pointer.rsplit_once('/').unwrap_or_default();
            prop_assert!(missing || record.pointer(&fault.pointer).is_some(), "{}", fault);
            prop_assert!(record.pointer(parent).is_some(), "{}", fault);
        }
    }

    #[test]
    fn no_text_makes_the_reader_of_documents_panic(text in ".{0,200}") {
        let _ = Lexicons::parse([text.as_str()]);
    }

    /// A document that chance has changed is refused, or is one that records can be checked with.
    #[test]
    fn no_changed_document_makes_a_panic(pick in 0_usize..16, seed: u64) {
        let ids: Vec<_> = lexicons().ids().collect();
        let texts: Vec<_> = ids.iter().filter_map(|id| lexicons().document(id)).collect();
        let mut document: Value = serde_json::from_str(texts[pick]).unwrap();
        Numbers(seed).change(&mut document);
        let changed = document.to_string();
        let others = texts.iter().copied().filter(|text| *text != texts[pick]);
        if let Ok(lexicons) = Lexicons::parse(others.chain([changed.as_str()])) {
            for (_, record) in valid() {
                let _ = lexicons.validate(record);
            }
        }
    }
}
