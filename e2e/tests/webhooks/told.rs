//! What webhooks tell, and that it can be believed.

use super::*;

#[test]
fn a_webhook_tells_that_a_message_came_not_what_it_says_unless_its_owner_asks() {
    let (_turn, shared) = shared();
    let (writer, reader) = (shared.agent("told-writer"), shared.agent("told-reader"));
    shared.hook(&reader, "/told-ref", json!({}));
    let include = json!({ "include": "content", "events": ["message.received"] });
    shared.hook(&reader, "/told-all", include);
    shared.hook(
        &writer,
        "/told-sent",
        json!({ "events": ["message.receipt"] }),
    );
    let id = writer.send(&reader.address, "the harbour at dawn");

    let reference = shared.receiver.wait_for("/told-ref", 1).remove(0);
    let body = reference.value();
    assert_eq!(body["type"], "message.received");
    assert_eq!(body["agent"], reader.address);
    assert_eq!(body["data"]["id"], id);
    assert_eq!(body["data"]["from"], writer.address);
    let text = String::from_utf8(reference.body.clone()).unwrap();
    assert!(!text.contains("harbour"), "{text}");

    let whole = shared.receiver.wait_for("/told-all", 1).remove(0);
    let content = &whole.value()["data"]["content"];
    assert_eq!(content["text"], "the harbour at dawn");

    let receipt = shared.receiver.wait_for("/told-sent", 1).remove(0).value();
    assert_eq!(receipt["type"], "message.receipt");
    assert_eq!(
        (&receipt["data"]["id"], &receipt["data"]["status"]),
        (&json!(id), &json!("delivered"))
    );
}

#[test]
fn another_implementation_believes_the_signature_and_nothing_that_was_changed() {
    let (_turn, shared) = shared();
    let (writer, reader) = (shared.agent("signed-writer"), shared.agent("signed-reader"));
    shared.hook(&reader, "/signed?key=a%20b", json!({}));
    let _ = writer.send(&reader.address, "signed");
    let posted = shared.receiver.wait_for("/signed", 1).remove(0);
    assert_eq!(posted.path, "/signed?key=a%20b");
    let card = shared.deployment.network("alpha").public.clone();
    let key = |agent: &Agent| {
        let card = card
            .get(&format!("/relay/agents/{}", agent.did))
            .expect(200);
        card["keys"]["signing"].as_str().unwrap().to_owned()
    };
    let host = shared.receiver.host.clone();
    assert_eq!(posted.fault(&host, &key(&reader)), None);
    let named = posted.header("signature-input").to_owned();
    assert!(
        named.contains(&format!("keyid=\"{}#", reader.did)),
        "{named}"
    );

    assert!(posted.fault(&host, &key(&writer)).is_some(), "another key");
    assert!(
        posted.fault("localhost:1", &key(&reader)).is_some(),
        "another host"
    );
    let mut other = posted.clone();
    other.body = String::from_utf8(other.body)
        .unwrap()
        .replace("message.received", "message.receipt_")
        .into_bytes();
    assert!(other.fault(&host, &key(&reader)).is_some(), "another body");
    for (name, value) in [
        ("idempotency-key", "\"another\""),
        (
            "content-digest",
            "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
        ),
        ("content-type", "text/plain"),
    ] {
        let mut other = posted.clone();
        let header = other.headers.iter_mut().find(|(known, _)| known == name);
        header.unwrap().1 = value.to_owned();
        assert!(
            other.fault(&host, &key(&reader)).is_some(),
            "another {name}"
        );
    }
    let mut other = posted.clone();
    other.path = "/signed?key=b".to_owned();
    assert!(other.fault(&host, &key(&reader)).is_some(), "another query");
}

#[test]
fn a_webhook_tells_how_tasks_stand_and_answers_a_test() {
    let (_turn, shared) = shared();
    let (asker, doer) = (shared.agent("task-asker"), shared.agent("task-doer"));
    let hook = shared.hook(&doer, "/task-doer", json!({ "events": ["task.changed"] }));
    shared.hook(&asker, "/task-asker", json!({ "events": ["task.changed"] }));
    let record = json!({
        "$type": "agent.comms.task", "to": doer.address,
        "content": { "$type": "agent.comms.defs#text", "text": "sweep the deck" },
    });
    let record = json!({ "record": record });
    let task = asker.client.post(&asker.path("/tasks"), &record);
    let task = task.expect(201);
    let came = shared.receiver.wait_for("/task-doer", 1).remove(0).value();
    assert_eq!(
        (&came["type"], &came["data"]["id"], &came["data"]["state"]),
        (&json!("task.changed"), &task["id"], &json!("submitted"))
    );
    let path = doer.path(&format!("/tasks/{}/respond", task["id"].as_str().unwrap()));
    let _ = doer
        .client
        .post(&path, &json!({ "status": "accepted" }))
        .expect(200);
    let told = shared.receiver.wait_for("/task-asker", 1).remove(0).value();
    assert_eq!(told["data"]["state"], "accepted");
    assert!(!told.to_string().contains("sweep"));

    let tested = act(&doer, &hook, "test", &json!({})).expect(202);
    let seen = wait_for("the test", PATIENCE, || {
        let posted = shared.receiver.at("/task-doer");
        posted
            .into_iter()
            .find(|posted| posted.value()["type"] == "webhook.test")
    });
    assert_eq!(seen.value()["id"], tested["delivery"]);
    let list = doer.client.get(&doer.path("/webhooks")).expect(200);
    assert_eq!(list["webhooks"].as_array().unwrap().len(), 1);
    let path = doer.path(&format!("/webhooks/{hook}"));
    assert_eq!(doer.client.delete(&path).status, 204);
    doer.client.get(&path).refused(404, "UNKNOWN_WEBHOOK");
}
