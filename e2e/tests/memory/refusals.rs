//! Bad input: each refused with its own code, and nothing changed.

use super::*;

#[test]
fn records_that_are_none_are_refused() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("refuser");
    let post = |body: Value| agent.client.post(&agent.path("/memory"), &body);
    let record = |record: Value| post(json!({ "record": record }));
    record(json!({ "text": "no type" })).refused(400, "NOT_A_RECORD");
    record(json!({ "$type": "agent.memory.nonsense", "text": "x" })).refused(400, "UNKNOWN_TYPE");
    record(json!({ "$type": "not a type", "text": "x" })).refused(400, "UNKNOWN_TYPE");
    let kind = "agent.memory.note";
    record(json!({ "$type": kind })).refused(400, "REQUIRED_FIELD");
    record(json!({ "$type": kind, "text": 7 })).refused(400, "WRONG_TYPE");
    let long = "x".repeat(70_000);
    let reply = record(json!({ "$type": kind, "text": "x", "more": long }));
    reply.refused(413, "RECORD_TOO_LARGE");
    let reply = post(
        json!({ "record": { "$type": kind, "text": "x" }, "collection": "agent.memory.fact" }),
    );
    reply.refused(400, "TYPE_MISMATCH");
    let taken = json!({ "record": { "$type": kind, "text": "x" }, "rkey": "3jzfcijpj2z2a" });
    let _ = post(taken.clone()).expect(201);
    post(taken).refused(409, "RECORD_EXISTS");
    post(json!({ "record": [] })).refused(400, "NOT_A_RECORD");
    post(json!({ "record": {}, "extra": 1 })).refused(400, "INVALID_BODY");
    assert_eq!(list(&agent, "", 50).len(), 1);
}

#[test]
fn another_agents_cursor_is_none() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let (one, two) = (
        alpha.create_agent("cursor-one"),
        alpha.create_agent("cursor-two"),
    );
    for agent in [&one, &two] {
        for number in 0..3 {
            store(agent, &note(&format!("{number}")));
        }
    }
    let page = one.client.get(&one.path("/memory?limit=2")).expect(200);
    let cursor = page["cursor"].as_str().unwrap();
    let own = one
        .client
        .get(&one.path(&format!("/memory?cursor={cursor}")))
        .expect(200);
    assert_eq!(own["records"].as_array().unwrap().len(), 1);
    for bad in [cursor, "aaaa", "%20"] {
        let path = two.path(&format!("/memory?cursor={bad}"));
        two.client.get(&path).refused(400, "INVALID_CURSOR");
    }
    for (query, code) in [
        ("limit=0", "INVALID_LIMIT"),
        ("limit=101", "INVALID_LIMIT"),
        ("collection=x", "INVALID_COLLECTION"),
        ("level=secret", "INVALID_LEVEL"),
        ("reverse=maybe", "INVALID_ORDER"),
    ] {
        one.client
            .get(&one.path(&format!("/memory?{query}")))
            .refused(400, code);
    }
    for id in ["nonsense", "agent.memory.note:3jzfcijpj2z2a", "a:b"] {
        let path = one.path(&format!("/memory/{id}"));
        one.client.get(&path).refused(404, "UNKNOWN_RECORD");
    }
}
