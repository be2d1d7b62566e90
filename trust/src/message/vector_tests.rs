//! One conversation from fixed keys, byte for byte, as `docs/protocol/messages.md` quotes it and
//! `e2e/oracles/messages.py` reads it. `UPDATE_GOLDEN=1` writes it anew: then it is another suite.

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::conversation_tests::{NOW, body, chain_of, epoch, header, network, party};
use super::origin::{check_origin, sign_origin};
use super::*;
use crate::crypto::test_rng::TestRng;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/conversation.json");
const DOCUMENT: &str = include_str!("../../../docs/protocol/messages.md");

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn made() -> Value {
    let (alice, diana) = (party(1), party(2));
    let mut sending = epoch(&alice, &diana, 7);
    let mut messages = Vec::new();
    let mut opening = None;
    for number in 0..3_u8 {
        if number == 2 {
            sending.acknowledged();
        }
        let text = body(&format!("message {number}"));
        let mut rng = TestRng::new(100 + u64::from(number));
        let bytes = sending
            .seal(&header(&alice, &diana, number), &text, &mut rng)
            .unwrap();
        opening.get_or_insert_with(|| bytes.clone());
        messages.push(json!({ "envelope": hex(&bytes), "text": format!("message {number}") }));
    }
    let first = opening.unwrap();
    let mut chain = chain_of(
        &diana.secret,
        &Envelope::parse(&first).unwrap(),
        &alice,
        &diana,
    );
    for message in &mut messages {
        message["chainKey"] = json!(hex(chain.key()));
        message["messageKey"] = json!(hex(&*chain.step().unwrap()));
    }
    let last = HEXLOWER
        .decode(messages[2]["envelope"].as_str().unwrap().as_bytes())
        .unwrap();
    json!({
        "at": NOW,
        "sender": { "did": alice.did, "seed": hex(&*alice.signing.seed()) },
        "recipient": {
            "did": diana.did,
            "network": network(),
            "prekey": diana.published,
            "prekeySeed": hex(&*diana.secret.seed()),
        },
        "messages": messages,
        "lastWithOrigin": hex(&sign_origin(&last, &alice.signing).unwrap()),
    })
}

#[test]
fn the_wire_form_of_suite_2_does_not_change() {
    let text = serde_json::to_string_pretty(&made()).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(FILE, &text).unwrap();
    }
    let stored = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(stored == text, "the conversation changed on the wire");
}

#[test]
fn the_stored_conversation_opens() {
    let stored: Value = serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
    let (alice, diana) = (party(1), party(2));
    let ours = network();
    let expected = Expected {
        from: &alice.did,
        to: &diana.did,
        network: &ours,
    };
    let mut known: Option<Receiving> = None;
    for message in stored["messages"].as_array().unwrap() {
        let bytes = message["envelope"].as_str().unwrap();
        let bytes = HEXLOWER.decode(bytes.as_bytes()).unwrap();
        let envelope = Envelope::parse(&bytes).unwrap();
        let opened = match &mut known {
            Some(epoch) => epoch.open(&envelope, &expected).unwrap(),
            None => {
                let (epoch, body) =
                    Receiving::accept(&envelope, &diana.secret, &alice.verifying, &expected)
                        .unwrap();
                known = Some(epoch);
                body
            }
        };
        assert_eq!(opened, body(message["text"].as_str().unwrap()));
    }
    let signed = stored["lastWithOrigin"].as_str().unwrap();
    let signed = HEXLOWER.decode(signed.as_bytes()).unwrap();
    assert_eq!(check_origin(&signed, &alice.verifying), Ok(()));
}

/// The document's hex blocks are the vectors'.
#[test]
fn the_document_quotes_the_last_message_and_the_prekey() {
    let stored = made();
    let quoted: String = DOCUMENT.split_whitespace().collect();
    let last = stored["messages"][2]["envelope"].as_str().unwrap();
    assert!(quoted.contains(last), "the last message");
    let prekey = &stored["recipient"]["prekey"];
    for member in ["did", "kid", "notBefore", "notAfter", "sig"] {
        let value = prekey[member].as_str().unwrap();
        assert!(quoted.contains(value), "the prekey's {member}");
    }
}
