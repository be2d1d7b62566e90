//! What is refused, and that nothing changes by it.

use super::*;

#[test]
fn a_malformed_record_is_refused_with_a_pointer_to_its_fault() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("careless");
    let other = deployment.network("alpha").create_agent("careful");
    let path = agent.path("/tasks");
    for (more, code, pointer) in [
        (json!({ "priority": 6 }), "OUT_OF_RANGE", "/priority"),
        (
            json!({ "retry": { "maxAttempts": 11 } }),
            "OUT_OF_RANGE",
            "/retry/maxAttempts",
        ),
        (
            json!({ "content": { "$type": "agent.comms.defs#text" } }),
            "REQUIRED_FIELD",
            "/content/text",
        ),
        (
            json!({ "resultVisibility": "secret" }),
            "NOT_ONE_OF",
            "/resultVisibility",
        ),
        (json!({ "deadline": "tomorrow" }), "BAD_FORMAT", "/deadline"),
        (
            json!({ "$type": "agent.comms.tusk" }),
            "UNKNOWN_TYPE",
            "/$type",
        ),
        (
            json!({ "$type": "agent.comms.message" }),
            "NOT_ONE_OF",
            "/$type",
        ),
        (json!({ "to": null }), "WRONG_TYPE", "/to"),
    ] {
        let reply = agent.client.post(&path, &request(&other.name, "x", more));
        reply.refused(400, code);
        let message = reply.value()["error"]["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(message.contains(&format!("`{pointer}`")), "{message}");
    }
    let without = json!({ "record": { "$type": "agent.comms.task", "content": words("x") } });
    agent
        .client
        .post(&path, &without)
        .refused(400, "REQUIRED_FIELD");
    let past = json!({ "deadline": "2020-01-01T00:00:00Z" });
    let late = agent.client.post(&path, &request(&other.name, "x", past));
    late.refused(400, "TASK_DEADLINE_PASSED");
    let to = |to: &str| agent.client.post(&path, &request(to, "x", json!({})));
    to("nobody").refused(404, "UNKNOWN_AGENT");
    to("agent@elsewhere.example").refused(422, "NOT_PEERED");
    to(&agent.name).refused(400, "TASK_WITH_SELF");
    to("not an address").refused(400, "MALFORMED_ADDRESS");
    let orphan = json!({ "parent": "a".repeat(26) });
    let orphan = agent.client.post(&path, &request(&other.name, "x", orphan));
    orphan.refused(404, "TASK_PARENT_UNKNOWN");
    assert_eq!(agent.client.get(&path).expect(200)["tasks"], json!([]));
    // No program writes the records by which agents speak of tasks.
    let part = json!({ "kind": "record", "record": { "$type": "agent.comms.response" } });
    let message = json!({ "to": other.name, "content": part });
    let refused = agent.client.post(&agent.path("/messages"), &message);
    refused.refused(400, "INVALID_CONTENT");
}

#[test]
fn each_side_and_each_agent_does_only_what_is_its_own() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let (requester, worker) = (
        alpha.create_agent("owner-asks"),
        beta.create_agent("owner-works"),
    );
    let stranger = alpha.create_agent("stranger");
    let task = ask(&requester, &request(&worker.address, "ours", json!({})));
    stands(&worker, &task, "submitted");
    let completed = json!({ "status": "completed" });
    step(&requester, &task, "respond", &completed).refused(403, "TASK_NOT_WORKER");
    step(&worker, &task, "cancel", &json!({})).refused(403, "TASK_NOT_REQUESTER");
    let input = json!({ "content": words("x") });
    step(&worker, &task, "input", &input).refused(403, "TASK_NOT_REQUESTER");
    step(&requester, &task, "input", &input).refused(409, "TASK_NO_QUESTION");
    let canceled = json!({ "status": "canceled" });
    step(&worker, &task, "respond", &canceled).refused(409, "TASK_ILLEGAL_STEP");
    let misspelt = step(&worker, &task, "respond", &json!({ "status": "finished" }));
    misspelt.refused(400, "NOT_ONE_OF");
    // Another agent's task is no task of this one, under its own path or the other's.
    for act in ["respond", "input", "cancel"] {
        let body = json!({ "status": "working", "content": words("x") });
        step(&stranger, &task, act, &body).refused(404, "UNKNOWN_TASK");
    }
    show(&stranger, &task).refused(404, "UNKNOWN_TASK");
    let path = requester.path(&format!("/tasks/{}", task["id"].as_str().unwrap()));
    stranger.client.get(&path).refused(403, "FORBIDDEN");
    let part = json!({ "parent": task["id"] });
    let stolen = request(&worker.address, "x", part);
    let stolen = stranger.client.post(&stranger.path("/tasks"), &stolen);
    stolen.refused(404, "TASK_PARENT_UNKNOWN");
    // An artifact has to be there, as it is named.
    let uri = format!("at://{}/agent.memory.note/none", worker.did);
    let cid = "bafyreidjnql4o7dkdtf2ahkakcszwwiwdogmmu4x67d4yiyit6wc43g6dm";
    let done = json!({ "status": "completed", "artifacts": [{ "uri": uri, "cid": cid }] });
    step(&worker, &task, "respond", &done).refused(422, "TASK_ARTIFACT_UNKNOWN");
    let seen = show(&worker, &task).expect(200);
    assert_eq!(said(&seen), ["in request"]);
    let mut repeated = json!({ "status": "accepted", "idempotencyKey": "k" });
    let _ = step(&worker, &task, "respond", &repeated).expect(200);
    let _ = step(&worker, &task, "respond", &repeated).expect(200);
    repeated["status"] = json!("working");
    step(&worker, &task, "respond", &repeated).refused(409, "IDEMPOTENCY_MISMATCH");
}

#[test]
fn a_public_result_is_published_by_its_worker_first() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let (requester, worker) = (
        alpha.create_agent("for-all"),
        alpha.create_agent("publisher"),
    );
    let public = json!({ "resultVisibility": "public" });
    let task = ask(&requester, &request(&worker.name, "for everyone", public));
    stands(&worker, &task, "submitted");
    let note = json!({ "record": { "$type": "agent.memory.note", "text": "for everyone" } });
    let note = worker
        .client
        .post(&worker.path("/memory"), &note)
        .expect(201);
    let done = |note: &Value| {
        let artifact = json!({ "uri": note["uri"], "cid": note["cid"] });
        json!({ "status": "completed", "artifacts": [artifact] })
    };
    step(&worker, &task, "respond", &done(&note)).refused(409, "TASK_ARTIFACT_NOT_PUBLIC");
    let path = worker.path(&format!("/memory/{}/public", note["id"].as_str().unwrap()));
    let published = worker.client.post(&path, &json!({})).expect(200);
    step(&worker, &task, "respond", &done(&note)).refused(409, "TASK_ARTIFACT_CHANGED");
    let _ = step(&worker, &task, "respond", &done(&published)).expect(200);
    stands(&requester, &task, "completed");
}
