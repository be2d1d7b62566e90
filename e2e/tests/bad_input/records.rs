//! Typed records, by every way they come in: the files of `crates/lexicon/invalid` are refused with the same
//! code and pointer, those of `valid` are taken.

use std::fs;
use std::path::Path;

use data_encoding::BASE64_NOPAD;
use entente_e2e::deployment::root;
use entente_e2e::fake_peer::FakeAgent;
use entente_e2e::{Reply, Socket};
use entente_lexicon::cast::{CastPart, Via};
use entente_lexicon::message::RecordPart;
use entente_lexicon::schema::{Code, check};
use entente_lexicon::{Content, MessageId};
use entente_trust::group::{GroupKey, Place, seal_text};
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

/// A record as its author tells it to many, whatever it is.
fn cast(author: &FakeAgent, n: u8, record: &Value) -> Content {
    let (id, key) = ([n; 16], GroupKey::from_bytes(&[n; 32]).unwrap());
    let place = Place {
        group: &id,
        epoch: 0,
        id: &id,
        author: &author.identity.did,
    };
    let text = serde_json::to_vec(record).unwrap();
    let sealed = seal_text(&key, &place, [n; 24], &text).unwrap();
    Content::Cast(CastPart {
        cast: MessageId::from_bytes(id),
        via: Via::Address,
        sealed: Some(BASE64_NOPAD.encode(&sealed)),
        key: Some(BASE64_NOPAD.encode(&*key.to_bytes())),
        record: None,
    })
}

#[test]
fn a_malformed_record_that_is_sealed_as_a_broadcast_is_refused_by_who_opens_it() {
    const KIND: &str = "agent.comms.broadcast";
    let peer = new_peer();
    let author = peer.add_agent("of-broadcasts");
    let agent = alpha().create_agent("broadcasts-refused");
    let (mut items, mut expected) = (Vec::new(), Vec::new());
    // What is sealed for many is no longer than what is said in a group.
    let fits = |(_, file): &(String, Value)| file.to_string().len() < 30_000;
    let invalid: Vec<_> = files("invalid").into_iter().filter(fits).collect();
    assert!(invalid.len() >= 60, "{}", invalid.len());
    let own = invalid.iter().filter(|(name, file)| {
        let fault = check(Some(KIND), &file["record"]).unwrap_err();
        name.starts_with("broadcast") && file["code"] == fault.code.as_str()
    });
    assert_ne!(own.count(), 0, "broadcasts are among them");
    for (n, (_, file)) in (1_u8..).zip(&invalid) {
        let record = &file["record"];
        let fault = check(Some(KIND), record).unwrap_err();
        let mut draft = Draft::new(&author, &agent, n);
        draft.content = Some(cast(&author, n, record));
        items.push(draft.seal());
        expected.push((u64::from(n), fault.code.as_str().to_owned()));
    }
    let mut link = open_session(&peer);
    assert_eq!(carry(&peer, &mut link, 1, &items), expected);
    assert_eq!(agent.inbox(200).len(), 0);
    // What was refused was not kept: under the same id a sound one is taken.
    let sound = files("valid").into_iter().map(|(_, record)| record);
    let sound = sound
        .filter(|record| record["$type"] == KIND)
        .collect::<Vec<_>>();
    let next = u8::try_from(items.len() + 1).unwrap();
    let mut draft = Draft::new(&author, &agent, next);
    draft.content = Some(cast(&author, 1, &sound[0]));
    assert_eq!(carry(&peer, &mut link, next.into(), &[draft.seal()]), []);
    let inbox = agent.inbox(200);
    assert_eq!(inbox.len(), 1);
    assert_eq!(inbox[0]["content"]["record"], sound[0]);
}
