//! npm's `@atproto/lexicon`, the reference implementation, judges the same documents and records.
//!
//! It must take every record that we take. What it takes and we refuse is listed: in `invalid/` by
//! the field `stricter`, and for records that chance makes by [`STRICTER`]. `e2e/oracles/lexicons.mjs` runs it; `cargo
//! xtask test` installs it, as `npm ci` does.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::Write as _;
use std::process::{Command, Stdio};

use common::{Numbers, catalogue, documents, folder, invalid, valid};
use entente_lexicon::schema::Fault;
use serde_json::{Value, json};

/// The oracle's verdicts: `None`, or why a record is refused.
fn judge(records: &[&Value]) -> Vec<Option<String>> {
    let texts: Vec<_> = records.iter().map(|record| record.to_string()).collect();
    let question = json!({"documents": documents(), "records": texts});
    let mut oracle = Command::new("node")
        .arg(folder().join("../../e2e/oracles/lexicons.mjs"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node runs the oracle; install Node 20 and run `npm ci`");
    let mut input = oracle.stdin.take().unwrap();
    input.write_all(question.to_string().as_bytes()).unwrap();
    drop(input);
    let output = oracle.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "the oracle could not read our documents"
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_oracle_takes_every_valid_record() {
    let samples = valid();
    let records: Vec<_> = samples.iter().map(|(_, record)| record).collect();
    for ((name, _), verdict) in samples.iter().zip(judge(&records)) {
        assert_eq!(verdict, None, "{name}");
    }
}

#[test]
fn the_oracle_refuses_every_invalid_record_but_those_where_we_are_stricter() {
    let samples = invalid();
    let records: Vec<_> = samples.iter().map(|sample| &sample.record).collect();
    let mut agreed = 0;
    let mut odd = Vec::new();
    for (sample, verdict) in samples.iter().zip(judge(&records)) {
        let listed = sample.stricter.is_some();
        if verdict.is_none() != listed {
            odd.push(format!("{}: the oracle says {verdict:?}", sample.name));
        }
        agreed += usize::from(!listed);
    }
    assert!(odd.is_empty(), "{odd:#?}");
    assert!(agreed >= 60, "{agreed}");
}

/// How the messages begin of faults that the oracle does not see.
const STRICTER: [&str; 14] = [
    "numbers are whole",
    "whole numbers lie between",
    "an object with $link has no other field",
    "an object with $bytes has no other field",
    "$link is a string",
    "$bytes is a string",
    "a $type is",
    "a blob",
    "bytes are written in base64",
    "this is one of: image/*",
    "write a CID",
    "write an at-uri",
    "write an RFC 3339 instant",
    "write a URI",
];

/// What the data model's rules on `unknown` and on objects in disguise refuse.
fn is_stricter(fault: &Fault) -> bool {
    let disguised = fault.message.contains("it is an object of another sort")
        || fault
            .message
            .contains("this is to be an object; it is an array");
    disguised
        || STRICTER
            .iter()
            .any(|start| fault.message.starts_with(start))
}

#[test]
fn the_oracle_takes_what_we_take_of_records_that_chance_has_changed() {
    let samples = valid();
    let mut numbers = Numbers(7);
    let mut records = Vec::new();
    for round in 0..4_000 {
        let (_, record) = &samples[round % samples.len()];
        if record.to_string().len() < 10_000 {
            let mut record = record.clone();
            for _ in 0..=numbers.below(2) {
                numbers.change(&mut record);
            }
            records.push(record);
        }
    }
    let asked: Vec<_> = records.iter().collect();
    let (mut taken, mut refused, mut odd) = (0, 0, Vec::new());
    for (record, theirs) in records.iter().zip(judge(&asked)) {
        match (catalogue().validate(record), theirs) {
            (Ok(_), None) => taken += 1,
            (Err(_), Some(_)) => refused += 1,
            (Ok(_), Some(reason)) => odd.push(format!("laxer: {reason}: {record}")),
            (Err(fault), None) if is_stricter(&fault) => {}
            (Err(fault), None) => odd.push(format!("stricter: {fault}: {record}")),
        }
    }
    assert!(odd.is_empty(), "{odd:#?}");
    assert!(
        taken > 500 && refused > 1_000,
        "{taken} taken, {refused} refused"
    );
}
