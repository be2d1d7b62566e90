//! What an announcement may say of an endorsement, and what is not believed.
#![expect(clippy::unwrap_used, reason = "tests")]

use entente_lexicon::{Content, Did, RecordPath, Timestamp};
use entente_reputation::{MAX_AHEAD_MS, MAX_TRAVEL_MS, Said, Statement, StatementError};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn author() -> Did {
    Did::from_scid(&[7; 32])
}

fn path() -> RecordPath {
    RecordPath::parse("agent.trust.endorsement/one").unwrap()
}

fn record() -> Map<String, Value> {
    let record = json!({
        "$type": "agent.trust.endorsement", "subject": Did::from_scid(&[8; 32]), "skill": "cooking",
        "score": 80, "createdAt": "2026-11-22T10:00:00Z", "own": "kept",
    });
    record.as_object().unwrap().clone()
}

fn read(data: Value) -> Result<Statement, StatementError> {
    Statement::read((&author(), NOW), Content::Json { data }, NOW)
}

#[test]
fn what_is_written_reads_back() {
    let content = Statement::give(&author(), &path(), "bafy".to_owned(), record()).unwrap();
    let found = Statement::read((&author(), NOW), content, NOW).unwrap();
    let Said::Given(given) = found.said else {
        panic!("it is there");
    };
    assert_eq!((found.path, given.record), (path(), record()));
    assert_eq!(given.endorsement.score, 80);
    let content = Statement::withdraw(&author(), &path()).unwrap();
    let found = Statement::read((&author(), NOW), content, NOW).unwrap();
    assert_eq!(found.said, Said::Withdrawn);
}

#[test]
fn what_is_none_is_refused_with_its_code() {
    let uri = format!("at://{}/{}", author(), path());
    let other = format!("at://{}/{}", Did::from_scid(&[9; 32]), path());
    let elsewhere = format!("at://{}/agent.memory.note/one", author());
    let with = |field: &str, value: Value| {
        let mut record = record();
        let _ = record.insert(field.to_owned(), value);
        json!({ "uri": uri, "cid": "bafy", "record": record })
    };
    let whole = json!({ "uri": other, "cid": "bafy", "record": record() });
    assert_eq!(read(whole), Err(StatementError::OtherAuthor));
    assert_eq!(
        read(json!({ "uri": other })),
        Err(StatementError::OtherAuthor)
    );
    for bad in [
        json!({}),
        json!({ "uri": elsewhere }),
        json!({ "uri": uri, "cid": "bafy" }),
        json!({ "uri": uri, "record": record() }),
        json!({ "uri": uri, "more": 1 }),
        json!({ "uri": "nonsense" }),
        with("score", json!(101)),
        with("score", json!(-1)),
        with("score", json!("100")),
        with("subject", json!("bob")),
        with("createdAt", json!("yesterday")),
        with("text", json!("x".repeat(5_000))),
        with("$type", json!("agent.memory.note")),
    ] {
        assert_eq!(read(bad.clone()), Err(StatementError::Malformed), "{bad}");
    }
    let text = Content::Text {
        text: "100".to_owned(),
    };
    let found = Statement::read((&author(), NOW), text, NOW);
    assert_eq!(found, Err(StatementError::Malformed));
}

#[test]
fn what_is_said_ahead_or_long_after_is_not_taken() {
    let content = || Statement::withdraw(&author(), &path()).unwrap();
    let at = |at: u64| Statement::read((&author(), Timestamp(at)), content(), NOW);
    for good in [NOW.0, NOW.0 + MAX_AHEAD_MS, NOW.0 - MAX_TRAVEL_MS] {
        assert!(at(good).is_ok());
    }
    for bad in [NOW.0 + MAX_AHEAD_MS + 1, NOW.0 - MAX_TRAVEL_MS - 1, 0] {
        assert_eq!(at(bad), Err(StatementError::Untimely));
    }
}

proptest! {
    #[test]
    fn no_json_panics(text in "\\PC*", uri in "at://\\PC{0,80}") {
        let _ = read(json!({ "uri": uri, "cid": text.clone(), "record": { "$type": text } }));
        if let Ok(data) = serde_json::from_str::<Value>(&text) {
            let _ = read(data);
        }
    }
}
