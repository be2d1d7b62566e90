//! Who has read what: marks at the reader's, and receipts at the writer's where the reader agrees.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod forged;
mod killed;

use std::sync::OnceLock;

use entente_e2e::wait::{PATIENCE, wait_for};
use entente_e2e::{Agent, Deployment, Network, Options};
use serde_json::{Value, json};

fn deployment() -> &'static Deployment {
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    SHARED.get_or_init(|| Options::default().networks(2).fake_peers(8).bare().start())
}

fn alpha() -> &'static Network {
    deployment().network("alpha")
}

fn beta() -> &'static Network {
    deployment().network("beta")
}

/// Marks one message as read.
fn read(agent: &Agent, id: &str) -> Value {
    let path = agent.path(&format!("/inbox/{id}/read"));
    agent.client.post(&path, &json!({})).expect(200)
}

/// Has an agent tell its senders what it reads.
fn tell(agent: &Agent) -> Value {
    let wish = json!({ "readReceipts": true });
    agent.client.patch(&agent.path(""), &wish).expect(200)
}

fn steps(status: &Value) -> Vec<String> {
    let receipts = status["receipts"].as_array().unwrap();
    let name = |step: &Value| step["status"].as_str().unwrap().to_owned();
    receipts.iter().map(name).collect()
}

/// Sends a message and waits until it is there.
fn arrived(from: &Agent, to: &Agent, text: &str) -> String {
    let id = from.send(&to.address, text);
    from.wait_for_status(&id, "delivered");
    let _ = to.wait_for_message(&id);
    id
}

#[test]
fn senders_hear_of_nothing_unless_the_agent_says_so() {
    let (writer, reader) = (
        alpha().create_agent("w-quiet"),
        beta().create_agent("quiet"),
    );
    let quiet = arrived(&writer, &reader, "who reads this?");
    assert!(reader.inbox(200)[0].get("readAt").is_none());
    let marked = read(&reader, &quiet);
    let message = &reader.inbox(200)[0];
    assert_eq!(message["readAt"], marked["messages"][0]["readAt"]);
    assert_eq!(reader.status(&quiet)["status"], "read");
    // Read once and for all.
    assert_eq!(read(&reader, &quiet), marked);

    let shown = reader.client.get(&reader.path("")).expect(200);
    assert_eq!(shown["readReceipts"], false);
    assert_eq!(tell(&reader)["readReceipts"], true);
    let told = arrived(&writer, &reader, "and this?");
    read(&reader, &told);
    writer.wait_for_status(&told, "read");
    // What was read before is nobody's business still.
    read(&reader, &quiet);
    assert_eq!(writer.status(&quiet)["status"], "delivered");
}

#[test]
fn a_sender_elsewhere_and_one_here_see_when_their_mail_was_read() {
    let reader = beta().create_agent_with("reader", json!({ "readReceipts": true }));
    for writer in [alpha().create_agent("afar"), beta().create_agent("near")] {
        let ids: Vec<_> = (0..70)
            .map(|n| arrived(&writer, &reader, &format!("letter {n}")))
            .collect();
        let marked = reader
            .client
            .post(&reader.path("/inbox/read"), &json!({ "ids": ids }))
            .expect(200);
        assert_eq!(marked["messages"].as_array().unwrap().len(), ids.len());
        for id in &ids {
            let status = writer.wait_for_status(id, "read");
            assert_eq!(steps(&status), ["accepted", "delivered", "read"]);
            let receipts = status["receipts"].as_array().unwrap();
            assert!(receipts[1]["at"].as_str() <= receipts[2]["at"].as_str());
            assert_eq!(receipts[2]["by"], beta().did);
            assert_eq!(receipts[2]["proof"]["kind"], "read");
            let crossed = writer.name == "afar";
            assert_eq!(status["sentAt"].is_string(), crossed, "{status}");
        }
    }
}

#[test]
fn only_what_the_agent_got_can_be_read_and_not_too_much_at_once() {
    let (writer, reader) = (alpha().create_agent("w-odd"), alpha().create_agent("odd"));
    let id = arrived(&writer, &reader, "one letter");
    let post = |path: &str, body: &Value| reader.client.post(&reader.path(path), body);
    for unknown in [writer_only(&writer, &reader), "nonsense".to_owned()] {
        let path = format!("/inbox/{unknown}/read");
        post(&path, &json!({})).refused(404, "UNKNOWN_MESSAGE");
        // All or none.
        post("/inbox/read", &json!({ "ids": [id, unknown] })).refused(404, "UNKNOWN_MESSAGE");
    }
    assert!(reader.inbox(200)[0].get("readAt").is_none());
    post("/inbox/read", &json!({ "ids": [] })).refused(400, "INVALID_BODY");
    post("/inbox/read", &json!({})).refused(400, "INVALID_BODY");
    // Of any one message there is one id, so this asks for 201 that cannot be.
    let many: Vec<_> = (0..201).map(|n| format!("{:026}", n)).collect();
    let refused = post("/inbox/read", &json!({ "ids": many }));
    assert!([400, 404].contains(&refused.status), "{}", refused.text());
    let odd = json!({ "readReceipts": "yes" });
    reader
        .client
        .patch(&reader.path(""), &odd)
        .refused(400, "INVALID_BODY");
    let other = writer
        .client
        .patch(&reader.path(""), &json!({ "readReceipts": true }));
    other.refused(403, "FORBIDDEN");
    let by_admin = alpha()
        .admin
        .patch(&reader.path(""), &json!({ "readReceipts": true }));
    assert_eq!(by_admin.expect(200)["readReceipts"], true);
    alpha()
        .admin
        .post(&reader.path(&format!("/inbox/{id}/read")), &json!({}))
        .refused(403, "ADMIN_READ_OFF");
}

/// A message that the reader wrote itself.
fn writer_only(writer: &Agent, reader: &Agent) -> String {
    let id = reader.send(&writer.address, "mine");
    reader.wait_for_status(&id, "delivered");
    id
}
