//! Typed records, by every way they come in: the files of `crates/lexicon/invalid` are refused with the same
//! code and pointer, those of `valid` are taken.

use std::fs;
use std::path::Path;

use entente_e2e::deployment::root;
use entente_e2e::{Reply, Socket};
use entente_lexicon::message::RecordPart;
use entente_lexicon::schema::{Code, check};
use entente_lexicon::{Content, MessageId};
use serde_json::{Value, json};

use super::mail::{Draft, carry};
use super::session::open_session;
use super::{alpha, new_peer};

/// Beyond this, bodies and messages are too large, whatever is in them.
const LONG: usize = 50_000;

/// The records of a folder that are of this network's types, with the names of their files.
fn files(folder: &str) -> Vec<(String, Value)> {
    let folder = Path::new(&root()).join("crates/lexicon").join(folder);
    let paths = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut all: Vec<(String, Value)> = paths
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(path).unwrap();
            (name, serde_json::from_str(&text).unwrap())
        })
        .filter(|(name, file): &(String, Value)| {
            !name.starts_with("everything") && file.to_string().len() < LONG
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// What a refusal says: the code, and the pointer with which its message begins.
fn fault(reply: &Reply) -> (String, String) {
    let error = &reply.value()["error"];
    let message = error["message"].as_str().unwrap();
    let pointer = message
        .strip_prefix('`')
        .and_then(|rest| rest.split_once("`: "));
    let pointer = pointer.map_or("none", |(pointer, _)| pointer);
    (
        error["code"].as_str().unwrap().to_owned(),
        pointer.to_owned(),
    )
}

#[test]
fn a_malformed_record_is_refused_alike_whichever_way_it_comes() {
    let peer = new_peer();
    let sender = peer.add_agent("of-records");
    let agent = alpha().create_agent("records-refused");
    let invalid = files("invalid");
    assert!(invalid.len() >= 60, "{}", invalid.len());
    let (mut items, mut expected) = (Vec::new(), Vec::new());
    for (n, (name, file)) in (1_u8..).zip(&invalid) {
        let record = &file["record"];
        let text = |field: &str| file[field].as_str().unwrap().to_owned();
        let (code, pointer) = (text("code"), text("pointer"));
        let ours = check(None, record).unwrap_err();
        assert_eq!(
            (ours.code.as_str(), &ours.pointer),
            (code.as_str(), &pointer),
            "{name}"
        );
        for way in ["memory", "tasks", "handoffs", "broadcasts"] {
            // A task goes by another name at the API, and is renamed there.
            if way == "tasks" && name == "type-is-an-alias" {
                continue;
            }
            let body = json!({ "record": record });
            let reply = agent.client.post(&agent.path(&format!("/{way}")), &body);
            assert!(
                [400, 413].contains(&reply.status),
                "{name} by {way}: {}",
                reply.excerpt()
            );
            assert_eq!(
                fault(&reply),
                (code.clone(), pointer.clone()),
                "{name} by {way}"
            );
        }
        let mut draft = Draft::new(&sender, &agent, n);
        draft.content = Some(Content::Record(RecordPart {
            record: record.clone(),
            task: None,
        }));
        items.push(draft.seal());
        expected.push((u64::from(n), code));
    }
    // A receipt has the code, and no room for more.
    assert_eq!(carry(&peer, &mut open_session(&peer), 1, &items), expected);
    assert_eq!(agent.inbox(200).len(), 0);
}

#[test]
fn a_sound_record_is_taken_and_no_other_way_takes_records() {
    let agent = alpha().create_agent("records-taken");
    let codes = Code::ALL.map(Code::as_str);
    for (name, record) in files("valid") {
        let _ = check(None, &record).unwrap();
        let stored = agent
            .client
            .post(&agent.path("/memory"), &json!({ "record": record }));
        assert_eq!(stored.status, 201, "{name}: {}", stored.excerpt());
        let way = match record["$type"].as_str().unwrap() {
            "agent.comms.request" => "tasks",
            "agent.comms.handoff" => "handoffs",
            "agent.comms.broadcast" => "broadcasts",
            _ => continue,
        };
        // Whom it is for is another question.
        let reply = agent.client.post(
            &agent.path(&format!("/{way}")),
            &json!({ "record": record }),
        );
        let code = reply.value()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(
            !codes.contains(&code.as_str()),
            "{name}: {}",
            reply.excerpt()
        );
    }
    let content = json!({ "kind": "record", "record": { "$type": "agent.comms.message" } });
    let message = json!({ "to": agent.address, "content": content });
    let send = agent.client.post(&agent.path("/messages"), &message);
    send.refused(400, "INVALID_CONTENT");
    let announce = agent
        .client
        .post(&agent.path("/announce"), &json!({ "content": content }));
    announce.refused(400, "INVALID_CONTENT");
    let key = format!("Bearer {}", agent.token);
    let url = format!("{}{}", agent.client.url(), agent.path("/ws"));
    let mut socket = Socket::open(&url, &[("authorization", &key)]).unwrap();
    let id = MessageId::from_bytes([7; 16]).to_string();
    socket.send(&json!({ "type": "send", "ref": id, "to": agent.address, "content": content }));
    let heard = socket.until("a refusal", |frame| frame["type"] == "error");
    assert_eq!(heard["error"]["code"], "INVALID_CONTENT");
}
