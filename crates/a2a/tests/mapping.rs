//! Words go there and back, whatever they are; tasks and their events are told in order.
#![expect(clippy::unwrap_used, reason = "tests")]

use entente_a2a::params::{Message, Part, Role};
use entente_a2a::{message, remote, task};
use entente_lexicon::api::tasks::TaskView;
use entente_lexicon::records::comms::TaskState;
use entente_lexicon::schema::lexicons;
use proptest::prelude::*;
use serde_json::{Value, json};

fn part() -> impl Strategy<Value = Part> {
    let text = "\\PC{0,20}".prop_map(|text| Part {
        text: Some(text),
        ..Part::default()
    });
    let data = prop_oneof![
        Just(json!({ "parts": [{ "text": "a" }] })),
        Just(json!({ "parts": 1 })),
        Just(json!([1, "b"])),
        "\\PC{0,9}".prop_map(|text| json!({ "a": text })),
    ];
    let data = data.prop_map(|data| Part {
        data: Some(data),
        media_type: "application/json".to_owned(),
        ..Part::default()
    });
    let url = "[a-z]{1,9}".prop_map(|name| Part {
        url: Some(format!("https://files.example/{name}")),
        ..Part::default()
    });
    let raw = Just(Part {
        raw: Some("aGk=".to_owned()),
        filename: "hi.txt".to_owned(),
        media_type: "text/plain".to_owned(),
        ..Part::default()
    });
    prop_oneof![text, data, url, raw]
}

proptest! {
    #[test]
    fn parts_become_a_valid_record_and_come_back(parts in prop::collection::vec(part(), 1..5)) {
        let content = message::words(&parts).unwrap();
        let record = json!({ "$type": "agent.comms.message", "content": content,
            "createdAt": "2026-01-01T00:00:00Z" });
        prop_assert!(lexicons().validate(&record).is_ok(), "{record}");
        prop_assert_eq!(message::parts(&content), parts);
    }

    #[test]
    fn bytes_of_strangers_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = entente_a2a::rpc::read(&bytes);
        let _ = remote::read(&bytes, "1");
    }
}

#[test]
fn a_message_of_nobody_or_without_parts_is_refused() {
    let good = Message {
        message_id: "m".to_owned(),
        role: Role::User,
        parts: vec![Part {
            text: Some("do it".to_owned()),
            ..Part::default()
        }],
        ..Message::default()
    };
    assert!(message::content(&good).is_ok());
    let bad = [
        Message {
            role: Role::Agent,
            ..good.clone()
        },
        Message {
            message_id: String::new(),
            ..good.clone()
        },
        Message {
            message_id: "m".repeat(201),
            ..good.clone()
        },
        Message {
            context_id: "c".repeat(201),
            ..good.clone()
        },
        Message {
            parts: Vec::new(),
            ..good.clone()
        },
        Message {
            parts: vec![Part::default()],
            ..good
        },
    ];
    for bad in bad {
        assert!(message::content(&bad).is_err(), "{bad:?}");
    }
}

fn view() -> TaskView {
    let at = "2026-01-01T00:00:00.000Z";
    let entry = |direction: &str, n: u32, record: Value| json!({ "direction": direction, "at": at, "attempt": 1, "n": n, "record": record });
    let text = |text: &str| json!({ "$type": "agent.comms.defs#text", "text": text });
    serde_json::from_value(json!({
        "id": "t", "contextId": "c", "role": "worker", "peer": "a2a:x",
        "status": { "state": "completed", "timestamp": at, "progress": 100 },
        "attempt": 1, "createdAt": at, "updatedAt": at,
        "history": [
            entry("in", 1, json!({ "$type": "agent.comms.request", "content": text("do it"),
                "a2a": { "messageId": "mine" } })),
            entry("out", 1, json!({ "$type": "agent.comms.response", "status": "input-required",
                "content": text("how?") })),
            entry("in", 2, json!({ "$type": "agent.comms.message", "content": text("so") })),
            entry("out", 2, json!({ "$type": "agent.comms.response", "status": "working" })),
            entry("out", 3, json!({ "$type": "agent.comms.response", "status": "completed",
                "content": text("done"),
                "artifacts": [{ "cid": "bafk", "name": "n" }],
                "a2a": { "artifacts": [{ "artifactId": "own", "parts": [{ "text": "x" }] }, 7] } })),
        ],
    }))
    .unwrap()
}

#[test]
fn a_task_shows_what_was_said_and_what_it_brought_forth() {
    let view = view();
    let shown = task::task(&view, None, true);
    assert_eq!(shown["status"]["state"], "TASK_STATE_COMPLETED");
    assert_eq!(shown["contextId"], "c");
    let roles = shown["history"].as_array().unwrap().iter();
    let roles: Vec<_> = roles.map(|said| said["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["ROLE_USER", "ROLE_AGENT", "ROLE_USER"]);
    assert_eq!(shown["history"][0]["messageId"], "mine");
    let ids = shown["artifacts"].as_array().unwrap().iter();
    let ids: Vec<_> = ids.map(|one| one["artifactId"].as_str().unwrap()).collect();
    assert_eq!(ids, ["t-result-3", "bafk", "own"]);
    let short = task::task(&view, Some(1), false);
    assert_eq!(short["history"].as_array().unwrap().len(), 1);
    assert_eq!(short["history"][0]["parts"][0]["text"], "so");
    assert_eq!(short.get("artifacts"), None);
    assert_eq!(task::task(&view, Some(0), false).get("history"), None);
}

#[test]
fn events_tell_the_workers_words_alone_with_results_before_the_end() {
    let view = view();
    let entries = view.history.clone().unwrap();
    let events: Vec<_> = entries
        .iter()
        .flat_map(|entry| task::events(&view, entry))
        .collect();
    let kinds: Vec<_> = events
        .iter()
        .map(|event| event.as_object().unwrap().keys().next().unwrap().clone())
        .collect();
    assert_eq!(
        kinds,
        [
            "statusUpdate",
            "statusUpdate",
            "artifactUpdate",
            "artifactUpdate",
            "artifactUpdate",
            "statusUpdate"
        ]
    );
    let question = &events[0]["statusUpdate"]["status"];
    assert_eq!(question["message"]["parts"][0]["text"], "how?");
}

#[test]
fn every_state_has_a_name_and_each_name_its_states() {
    for known in TaskState::ALL {
        let found = task::filter(task::state(known)).unwrap();
        assert!(found.unwrap().contains(&known));
    }
    assert_eq!(
        task::filter("TASK_STATE_AUTH_REQUIRED").unwrap(),
        Some(Vec::new())
    );
    assert_eq!(task::filter("").unwrap(), None);
    assert!(task::filter("working").is_err());
}

#[test]
fn what_a_remote_agent_answers_is_read() {
    let answer =
        |result: Value| json!({ "jsonrpc": "2.0", "id": "1", "result": result }).to_string();
    let told = answer(json!({ "task": { "id": "r", "contextId": "c",
        "status": { "state": "TASK_STATE_COMPLETED" },
        "artifacts": [{ "artifactId": "a", "parts": [{ "text": "out" }] }, {}] } }));
    let told = remote::read(told.as_bytes(), "1").unwrap();
    assert_eq!(told.state, TaskState::Completed);
    assert_eq!(told.artifacts.len(), 1);
    assert_eq!(told.content.as_ref().unwrap()["text"], "out");
    let record = Value::Object(told.record());
    assert_eq!(record["status"], "completed");
    assert_eq!(record["a2a"]["artifacts"][0]["artifactId"], "a");

    let said = answer(json!({ "message": { "messageId": "x", "role": "ROLE_AGENT",
        "parts": [{ "text": "hello" }] } }));
    let said = remote::read(said.as_bytes(), "1").unwrap();
    assert_eq!((said.id, said.state), (None, TaskState::Completed));

    let refused =
        json!({ "jsonrpc": "2.0", "id": "1", "error": { "code": -32001, "message": "no" } });
    assert_eq!(
        remote::read(refused.to_string().as_bytes(), "1")
            .unwrap_err()
            .to_string(),
        "it answered with error -32001: no"
    );
    for bad in [
        answer(json!({})),
        answer(json!({ "task": { "id": "r", "status": { "state": "TASK_STATE_NEW" } } })),
        json!({ "jsonrpc": "2.0", "id": "2", "result": {} }).to_string(),
        "[]".to_owned(),
    ] {
        assert!(remote::read(bad.as_bytes(), "1").is_err(), "{bad}");
    }
}
