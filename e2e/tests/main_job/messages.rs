//! Messages and what becomes of them.

use entente_e2e::wait::{PATIENCE, wait_for};
use serde_json::json;

use super::{deployment, statuses, text};

#[test]
fn a_message_crosses_and_its_answer_comes_back() {
    let deployment = deployment();
    let (alice, diana) = (deployment.agent("alice"), deployment.agent("diana"));
    let id = alice.send_body(&json!({
        "to": diana.address, "content": text("How are you, Diana?"), "thread": "greetings", "priority": 5,
    }));
    let status = alice.wait_for_status(&id, "delivered");
    assert_eq!(statuses(&status), ["accepted", "delivered"]);
    assert_eq!(status["receipts"][0]["by"], deployment.network("alpha").did);
    assert_eq!(status["receipts"][1]["by"], deployment.network("beta").did);
    assert_eq!(
        (&status["from"], &status["to"]),
        (&json!(alice.address), &json!(diana.address))
    );

    let message = diana.wait_for_message(&id);
    assert_eq!(message["content"], text("How are you, Diana?"));
    assert_eq!(
        (&message["from"], &message["to"]),
        (&json!(alice.address), &json!(diana.address))
    );
    assert_eq!(
        (&message["thread"], &message["priority"]),
        (&json!("greetings"), &json!(5))
    );
    assert!(message["createdAt"].as_str() <= message["receivedAt"].as_str());

    assert_eq!(
        (&status["peerName"], &message["peerName"]),
        (&json!("diana"), &json!("alice"))
    );
    let answer = diana.send(message["from"].as_str().unwrap(), "Very well!");
    diana.wait_for_status(&answer, "delivered");
    let answer = alice.wait_for_message(&answer);
    assert_eq!(
        (&answer["content"], &answer["from"]),
        (&text("Very well!"), &json!(diana.address))
    );
    assert_eq!(answer["priority"], 3);
}

#[test]
fn a_message_stays_on_its_network_when_both_agents_do() {
    let (alice, bob) = (deployment().agent("alice"), deployment().agent("bob"));
    let id = alice.send("bob", "Are you in?");
    assert_eq!(bob.wait_for_message(&id)["from"], alice.address);
    let status = alice.wait_for_status(&id, "delivered");
    assert_eq!(statuses(&status), ["accepted", "delivered"]);
    assert_eq!(
        status["receipts"][1]["by"],
        deployment().network("alpha").did
    );
}

#[test]
fn all_four_forms_of_an_address_reach_the_agent() {
    let deployment = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let sender = alpha.create_agent("forms-sender");
    let near = alpha.create_agent("forms-near");
    let far = beta.create_agent("forms-far");
    let forms = [
        (&near, near.name.clone()),
        (&near, near.did.clone()),
        (&near, format!("{}@{}", near.name, alpha.host)),
        (&near, near.address.clone()),
        (&far, format!("{}@{}", far.name, beta.host)),
        (&far, far.address.clone()),
    ];
    for (recipient, form) in forms {
        let id = sender.send(&form, &form);
        assert_eq!(
            recipient.wait_for_message(&id)["to"],
            recipient.address,
            "{form}"
        );
        sender.wait_for_status(&id, "delivered");
    }
}

#[test]
fn all_three_kinds_of_content_arrive_as_they_were_sent() {
    let (alice, diana) = (deployment().agent("alice"), deployment().agent("diana"));
    for content in [
        json!({ "kind": "text", "text": "ünïcode 🦀 \u{0} and \"quotes\"" }),
        json!({ "kind": "json", "data": { "deep": [1, 2.5, null, { "x": true }], "empty": {} } }),
        json!({ "kind": "ref", "uri": "https://example.com/a?b=c#d" }),
    ] {
        let id = alice.send_body(&json!({ "to": diana.address, "content": content }));
        assert_eq!(diana.wait_for_message(&id)["content"], content);
    }
}

#[test]
fn sending_to_a_network_that_is_no_peer_is_refused_at_once() {
    let (alice, frank) = (deployment().agent("alice"), deployment().agent("frank"));
    for to in [
        frank.address.clone(),
        "someone@network.example.com".to_owned(),
    ] {
        let body = json!({ "to": to, "content": text("Hello?") });
        alice
            .client
            .post(&alice.path("/messages"), &body)
            .refused(422, "NOT_PEERED");
    }
}

#[test]
fn an_idempotency_key_sends_once() {
    let deployment = deployment();
    let sender = deployment.network("alpha").create_agent("once-sender");
    let recipient = deployment.network("beta").create_agent("once-recipient");
    let body =
        json!({ "to": recipient.address, "content": text("once"), "idempotencyKey": "key-1" });
    let id = sender.send_body(&body);
    assert_eq!(sender.send_body(&body), id);
    sender.wait_for_status(&id, "delivered");
    assert_eq!(sender.send_body(&body), id);
    let other =
        json!({ "to": recipient.address, "content": text("twice"), "idempotencyKey": "key-1" });
    sender
        .client
        .post(&sender.path("/messages"), &other)
        .refused(409, "IDEMPOTENCY_MISMATCH");
    let last = sender.send(&recipient.address, "last");
    recipient.wait_for_message(&last);
    assert_eq!(recipient.inbox(200).len(), 2);
}

#[test]
fn mail_to_a_deleted_agent_is_refused_to_its_sender() {
    let deployment = deployment();
    let beta = deployment.network("beta");
    let sender = deployment.network("alpha").create_agent("mourner");
    let victim = beta.create_agent("soon-gone");
    let before = sender.send(&victim.address, "still there?");
    sender.wait_for_status(&before, "delivered");
    assert!((200..300).contains(&beta.admin.delete("/agents/soon-gone").status));
    let body = json!({ "to": victim.address, "content": text("and now?") });
    let reply = sender.client.post(&sender.path("/messages"), &body);
    let id = reply.expect(202)["id"].as_str().unwrap().to_owned();
    let status = sender.wait_for_status(&id, "refused");
    let last = status["receipts"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert!(
        ["AGENT_DELETED", "UNKNOWN_AGENT"].contains(&last["code"].as_str().unwrap()),
        "{status}"
    );
    assert_eq!(last["by"], beta.did);
    let directory = beta.public.get(&format!("/relay/agents/{}", victim.did));
    assert!(
        [404, 410].contains(&directory.status),
        "{}",
        directory.text()
    );
}

#[test]
fn the_inbox_is_read_in_pages_and_from_a_cursor() {
    let alpha = deployment().network("alpha");
    let (sender, recipient) = (
        alpha.create_agent("page-sender"),
        alpha.create_agent("page-recipient"),
    );
    let ids: Vec<_> = (0..7)
        .map(|number| sender.send(&recipient.name, &format!("page {number}")))
        .collect();
    recipient.wait_for_message(&ids[6]);
    let found: Vec<_> = recipient
        .inbox(3)
        .iter()
        .map(|m| m["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, ids);
    let all = recipient.client.get(&recipient.path("/inbox")).expect(200);
    let cursor = all["cursor"].as_str().unwrap();
    let next = sender.send(&recipient.name, "one more");
    let page = wait_for("the next message after the cursor", PATIENCE, || {
        let page = recipient
            .client
            .get(&recipient.path(&format!("/inbox?cursor={cursor}")))
            .expect(200);
        (page["messages"] != json!([])).then_some(page)
    });
    assert_eq!(page["messages"].as_array().unwrap().len(), 1);
    assert_eq!(page["messages"][0]["id"], next);
    let sent = sender
        .client
        .get(&sender.path("/messages?direction=out&limit=5"))
        .expect(200);
    assert_eq!(sent["messages"].as_array().unwrap().len(), 5);
    assert!(
        sent["messages"]
            .as_array()
            .unwrap()
            .iter()
            .all(|message| message["direction"] == "out")
    );
}
