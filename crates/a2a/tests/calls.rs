//! Calls are read, or refused under the right id with the right number.
#![expect(clippy::unwrap_used, reason = "tests")]

use entente_a2a::params::Wanted;
use entente_a2a::rpc::{check_version, read};
use serde_json::{Value, json};

fn refused(text: &str) -> (Value, i64) {
    let (id, error) = read(text.as_bytes()).unwrap_err();
    let answer = error.answer(&id);
    assert_eq!(answer.get("id"), Some(&id));
    (id, error.reason.code())
}

#[test]
fn what_is_no_call_is_refused_with_the_number_of_its_fault() {
    for (text, id, code) in [
        ("", json!(null), -32_700),
        ("{\"jsonrpc\": \"2.0\"", json!(null), -32_700),
        ("[]", json!(null), -32_600),
        (
            "[{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"GetTask\"}]",
            json!(null),
            -32_600,
        ),
        (
            "{\"jsonrpc\": \"2.0\", \"method\": \"GetTask\"}",
            json!(null),
            -32_600,
        ),
        (
            "{\"jsonrpc\": \"2.0\", \"id\": 1.5, \"method\": \"GetTask\"}",
            json!(null),
            -32_600,
        ),
        (
            "{\"jsonrpc\": \"2.0\", \"id\": {}, \"method\": \"GetTask\"}",
            json!(null),
            -32_600,
        ),
        (
            "{\"jsonrpc\": \"1.0\", \"id\": 1, \"method\": \"GetTask\"}",
            json!(1),
            -32_600,
        ),
        ("{\"jsonrpc\": \"2.0\", \"id\": \"a\"}", json!("a"), -32_600),
        (
            "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"message/send\"}",
            json!(1),
            -32_601,
        ),
        (
            "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"GetTask\"}",
            json!(1),
            -32_602,
        ),
        (
            "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"GetTask\", \"params\": []}",
            json!(1),
            -32_602,
        ),
        (
            "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"SendMessage\", \"params\": {}}",
            json!(1),
            -32_602,
        ),
        (
            "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"GetExtendedAgentCard\"}",
            json!(1),
            -32_007,
        ),
    ] {
        assert_eq!(refused(text), (id, code), "{text}");
    }
}

#[test]
fn a_send_is_read_in_either_spelling_and_null_is_a_default() {
    let camel = json!({ "jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {
        "message": { "messageId": "m", "role": "ROLE_USER", "parts": [{ "text": "x" }],
            "contextId": null, "unheardOf": 1 },
        "configuration": { "returnImmediately": true, "historyLength": 2 } } });
    let snake = json!({ "jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {
        "message": { "message_id": "m", "role": "ROLE_USER", "parts": [{ "text": "x" }] },
        "configuration": { "return_immediately": true, "history_length": 2 } } });
    let of = |call: Value| read(call.to_string().as_bytes()).unwrap().wanted;
    assert_eq!(of(camel.clone()), of(snake));
    let Wanted::Send { params, streams } = of(camel) else {
        panic!("a send");
    };
    assert!(!streams && params.configuration.return_immediately);
    assert_eq!(params.configuration.history_length, Some(2));
}

#[test]
fn another_version_is_not_spoken() {
    assert!(check_version(Some("1.0")).is_ok());
    for other in [
        None,
        Some(""),
        Some("0.3"),
        Some("1.1"),
        Some("2.0"),
        Some("1"),
    ] {
        assert!(check_version(other).is_err(), "{other:?}");
    }
}
