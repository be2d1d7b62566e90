//! Storing, reading, changing and deleting.

use serde_json::json;

use super::*;

#[test]
fn what_is_stored_is_private_and_reads_back_over_a_kill() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("rememberer");
    let stored = store(&agent, &note("the harbour opens at nine"));
    assert_eq!(
        (&stored["level"], &stored["version"]),
        (&json!("private"), &json!(1))
    );
    assert!(stored["cid"].as_str().unwrap().starts_with("bafyrei"));
    assert!(
        stored["uri"]
            .as_str()
            .unwrap()
            .starts_with(&format!("at://{}/", agent.did))
    );
    deployment.kill9("alpha");
    deployment.restart("alpha");
    let read = get(&agent, &stored).expect(200);
    assert_eq!(read, stored);
    assert_eq!(read["record"]["text"], "the harbour opens at nine");
}

#[test]
fn a_record_is_changed_only_by_who_has_read_it_last() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("changer");
    let first = store(&agent, &note("one"));
    let put = |text: &str, swap: &Value| {
        let body = json!({
            "record": { "$type": "agent.memory.note", "text": text },
            "swapRecord": swap,
        });
        let path = path(&agent, &first, "");
        agent.client.send(
            "PUT",
            &path,
            &[("content-type", "application/json")],
            body.to_string().as_bytes(),
        )
    };
    let second = put("two", &first["cid"]).expect(200);
    assert_eq!(second["version"], 2);
    assert_ne!(second["cid"], first["cid"]);
    put("lost update", &first["cid"]).refused(409, "RECORD_CHANGED");
    assert_eq!(get(&agent, &first).expect(200)["record"]["text"], "two");
    let encoded = path(&agent, &first, "").replace(':', "%3A");
    let encoded = agent.client.get(&encoded).expect(200);
    assert_eq!(encoded["record"]["text"], "two");
    let third = put("three", &Value::Null).expect(200);
    let history = agent
        .client
        .get(&path(&agent, &first, "/history"))
        .expect(200);
    let versions = history["versions"].as_array().unwrap();
    assert_eq!(texts(versions), ["three", "two", "one"]);
    assert_eq!(versions[0]["cid"], third["cid"]);
    assert_eq!(versions[2]["version"], 1);

    let stale = format!(
        "{}?swapRecord={}",
        path(&agent, &first, ""),
        first["cid"].as_str().unwrap()
    );
    agent.client.delete(&stale).refused(409, "RECORD_CHANGED");
    assert_eq!(agent.client.delete(&path(&agent, &first, "")).status, 204);
    get(&agent, &first).refused(404, "UNKNOWN_RECORD");
    agent
        .client
        .get(&path(&agent, &first, "/history"))
        .refused(404, "UNKNOWN_RECORD");
}

#[test]
fn lists_come_in_order_by_pages_and_by_collection() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("lister");
    for number in 0..12 {
        let kind = if number % 3 == 0 { "fact" } else { "note" };
        let kind = format!("agent.memory.{kind}");
        store(
            &agent,
            &json!({ "record": { "$type": kind, "text": format!("{number}") } }),
        );
    }
    let numbers: Vec<_> = (0..12).map(|number| number.to_string()).collect();
    assert_eq!(texts(&list(&agent, "", 5)), numbers);
    let backwards: Vec<_> = numbers.iter().rev().cloned().collect();
    assert_eq!(texts(&list(&agent, "&reverse=true", 5)), backwards);
    assert_eq!(
        texts(&list(&agent, "&collection=agent.memory.fact", 2)),
        ["0", "3", "6", "9"]
    );
}

#[test]
fn the_same_idempotency_key_stores_once() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("repeater");
    let mut body = note("once");
    body["idempotencyKey"] = json!("key-1");
    let first = store(&agent, &body);
    let again = agent.client.post(&agent.path("/memory"), &body).expect(200);
    assert_eq!(again, first);
    assert_eq!(list(&agent, "", 50).len(), 1);
    body["record"]["text"] = json!("something else");
    let reply = agent.client.post(&agent.path("/memory"), &body);
    reply.refused(409, "IDEMPOTENCY_MISMATCH");
}

#[test]
fn public_takes_an_act_of_its_own_and_can_be_taken_back() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("publisher");
    let mut body = note("for everyone");
    for level in ["public", "shared", ""] {
        body["level"] = json!(level);
        let reply = agent.client.post(&agent.path("/memory"), &body);
        reply.refused(400, "PUBLIC_NEEDS_ACT");
    }
    body["level"] = json!("private");
    let record = store(&agent, &body);
    let public = path(&agent, &record, "/public");
    let shown = agent.client.post(&public, &json!({})).expect(200);
    assert_eq!(
        (&shown["level"], &shown["version"]),
        (&json!("public"), &json!(2))
    );
    assert_eq!(
        agent.client.post(&public, &json!({})).expect(200),
        shown,
        "it is so already"
    );
    let hidden = agent.client.delete(&public).expect(200);
    assert_eq!(
        (&hidden["level"], &hidden["version"]),
        (&json!("private"), &json!(3))
    );
    assert_eq!(
        get(&agent, &record).expect(200)["record"]["text"],
        "for everyone"
    );
}

#[test]
fn memory_is_its_agents_own() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let agent = alpha.create_agent("owner-of-memory");
    let other = alpha.create_agent("curious");
    let record = store(&agent, &note("mine"));
    let path = path(&agent, &record, "");
    other.client.get(&path).refused(403, "FORBIDDEN");
    alpha.public.get(&path).refused(401, "UNAUTHENTICATED");
    alpha.admin.get(&path).refused(403, "ADMIN_READ_OFF");
    let open = alpha.create_agent_with("open-book", json!({ "adminRead": true }));
    let record = store(&open, &note("the admin may read this"));
    let read = alpha
        .admin
        .get(&super::path(&open, &record, ""))
        .expect(200);
    assert_eq!(read["record"]["text"], "the admin may read this");
    let audited = deployment.sql(
        "alpha",
        "SELECT action FROM audit WHERE target = 'open-book'",
    );
    assert!(audited.contains("memory.read"), "{audited}");
}
