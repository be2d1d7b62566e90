//! The ways a task goes.

use super::*;

#[test]
fn a_task_across_networks_progresses_asks_and_is_completed_with_an_artifact() {
    let (_turn, deployment) = deployment();
    let requester = deployment.network("alpha").create_agent("asker");
    let worker = deployment.network("beta").create_agent("doer");
    let body = request(
        &worker.address,
        "write the report",
        json!({ "thread": "reports" }),
    );
    let task = ask(&requester, &body);
    assert_eq!(
        (&task["role"], &task["status"]["state"], &task["contextId"]),
        (&json!("requester"), &json!("submitted"), &json!("reports"))
    );
    let came = stands(&worker, &task, "submitted");
    assert_eq!(came["request"]["content"]["text"], "write the report");
    assert_eq!(
        (&came["role"], &came["peer"]),
        (&json!("worker"), &json!(requester.address))
    );

    let _ = respond(&worker, &task, "accepted");
    stands(&requester, &task, "accepted");
    let progress = json!({ "status": "working", "progress": 40, "content": words("drafting") });
    let _ = step(&worker, &task, "respond", &progress).expect(200);
    let seen = stands(&requester, &task, "working");
    assert_eq!(seen["status"]["progress"], 40);
    assert_eq!(seen["status"]["message"]["content"]["text"], "drafting");
    assert_eq!(seen["status"]["message"]["role"], "agent");

    let question = json!({ "status": "input-required", "content": words("in which language?") });
    let _ = step(&worker, &task, "respond", &question).expect(200);
    stands(&requester, &task, "input-required");
    let answer = json!({ "content": words("in English") });
    let _ = step(&requester, &task, "input", &answer).expect(200);
    let working = stands(&worker, &task, "working");
    let input = working["history"].as_array().unwrap().iter().rev();
    let mut input = input.filter(|entry| entry["direction"] == "in");
    assert_eq!(
        input.next().unwrap()["record"]["content"]["text"],
        "in English"
    );

    completes(&requester, &worker, &task);
}

/// The result is a record of the worker's memory: the requester can open it.
fn completes(requester: &Agent, worker: &Agent, task: &Value) {
    let note = json!({ "record": { "$type": "agent.memory.note", "text": "the report" } });
    let note = worker
        .client
        .post(&worker.path("/memory"), &note)
        .expect(201);
    let artifact = json!({ "uri": note["uri"], "cid": note["cid"], "name": "report" });
    let done = json!({ "status": "completed", "artifacts": [artifact] });
    let _ = step(worker, task, "respond", &done).expect(200);
    let done = stands(requester, task, "completed");
    assert_eq!(done["artifacts"], json!([artifact]));
    assert_eq!(
        said(&done),
        [
            "out request",
            "in accepted",
            "in working",
            "in input-required",
            "out message",
            "in working",
            "in completed"
        ]
    );
    let record = opens(requester, &note);
    assert_eq!(
        (&record["record"]["text"], &record["cid"]),
        (&json!("the report"), &note["cid"])
    );
    stands(worker, task, "completed");
}

#[test]
fn a_task_on_one_network_is_canceled_by_its_requester_and_what_is_below_it_too() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let (top, middle) = (alpha.create_agent("top"), alpha.create_agent("middle"));
    let below = beta.create_agent("below");
    let task = ask(&top, &request(&middle.name, "the whole", json!({})));
    stands(&middle, &task, "submitted");
    let _ = respond(&middle, &task, "working");
    let part = json!({ "parent": task["id"] });
    let part = ask(&middle, &request(&below.address, "a part", part));
    assert_eq!(part["parent"], task["id"]);
    // What another calls its parent is nothing here.
    let theirs = stands(&below, &part, "submitted");
    assert_eq!(theirs["parent"], Value::Null);
    let canceled = step(&top, &task, "cancel", &json!({})).expect(200);
    assert!(canceled["canceling"] == true || canceled["status"]["state"] == "canceled");
    for (agent, task) in [
        (&top, &task),
        (&middle, &task),
        (&middle, &part),
        (&below, &part),
    ] {
        stands(agent, task, "canceled");
    }
    step(&middle, &task, "respond", &json!({ "status": "completed" })).refused(409, "TASK_OVER");
}

#[test]
fn a_result_that_is_shared_can_be_opened_by_those_who_did_a_part_of_it() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let requester = alpha.create_agent("sharing-asker");
    let worker = beta.create_agent("sharing-doer");
    let [helper, stranger] = ["sharing-helper", "sharing-stranger"].map(|n| alpha.create_agent(n));
    let mut read = Vec::new();
    for visibility in ["shared", "private"] {
        let wish = json!({ "resultVisibility": visibility });
        let task = ask(&requester, &request(&worker.address, "all of it", wish));
        stands(&worker, &task, "submitted");
        let part = json!({ "parent": task["id"] });
        let part = ask(&worker, &request(&helper.address, "a part", part));
        stands(&helper, &part, "submitted");
        let note = json!({ "record": { "$type": "agent.memory.note", "text": visibility } });
        let note = worker.client.post(&worker.path("/memory"), &note);
        let note = note.expect(201);
        let artifact = json!({ "uri": note["uri"], "cid": note["cid"] });
        let done = json!({ "status": "completed", "artifacts": [artifact] });
        let _ = step(&worker, &task, "respond", &done).expect(200);
        stands(&requester, &task, "completed");
        opens(&requester, &note);
        read.push(note);
    }
    opens(&helper, &read[0]);
    // What came later is here, so what was private would be.
    let later = json!({ "record": { "$type": "agent.memory.note", "text": "later" } });
    let later = worker.client.post(&worker.path("/memory"), &later);
    let later = later.expect(201);
    let path = format!("/memory/{}/share", later["id"].as_str().unwrap());
    for reader in [&helper, &stranger] {
        let share = json!({ "with": reader.address });
        let _ = worker.client.post(&worker.path(&path), &share).expect(200);
        opens(reader, &later);
    }
    for (reader, note) in [
        (&helper, &read[1]),
        (&stranger, &read[0]),
        (&stranger, &read[1]),
    ] {
        let uri = note["uri"].as_str().unwrap();
        let path = reader.path(&format!("/memory/shared?uri={uri}"));
        reader.client.get(&path).refused(404, "UNKNOWN_RECORD");
    }
}

/// Waits until an agent can open a record that was shared with it.
fn opens(reader: &Agent, note: &Value) -> Value {
    let uri = note["uri"].as_str().unwrap();
    let path = reader.path(&format!("/memory/shared?uri={uri}"));
    wait_for("a shared record", PATIENCE, || {
        let reply = reader.client.get(&path);
        let record = (reply.status == 200).then(|| reply.value()["records"][0].clone())?;
        (record["cid"] == note["cid"]).then_some(record)
    })
}

#[test]
fn a_task_without_a_deadline_is_given_one_that_both_sides_know() {
    let (_turn, deployment) = deployment();
    let requester = deployment.network("alpha").create_agent("patient");
    let worker = deployment.network("beta").create_agent("lasting");
    let task = ask(&requester, &request(&worker.address, "some day", json!({})));
    let days = |n: u64| soon(n * 24 * 60 * 60);
    let deadline = task["deadline"].as_str().unwrap();
    assert!(deadline > days(29).as_str() && deadline < days(31).as_str());
    let came = stands(&worker, &task, "submitted");
    assert_eq!(
        (&came["deadline"], &came["request"]["deadline"]),
        (&task["deadline"], &task["deadline"])
    );
}

#[test]
fn a_deadline_ends_a_task_on_both_sides() {
    let (_turn, deployment) = deployment();
    let requester = deployment.network("alpha").create_agent("hurried");
    let worker = deployment.network("beta").create_agent("slow");
    let body = request(&worker.address, "at once", json!({ "deadline": soon(3) }));
    let task = ask(&requester, &body);
    stands(&worker, &task, "submitted");
    let _ = respond(&worker, &task, "working");
    for agent in [&requester, &worker] {
        let seen = stands(agent, &task, "failed");
        assert_eq!(
            seen["status"]["error"]["code"], "DEADLINE_EXPIRED",
            "{seen}"
        );
    }
    wait_for("the worker's word", PATIENCE, || {
        (show(&requester, &task).value()["status"]["presumed"] == Value::Null).then_some(())
    });
    step(&worker, &task, "respond", &json!({ "status": "completed" })).refused(409, "TASK_OVER");
}

#[test]
fn a_task_is_rejected_and_one_that_failed_is_tried_again() {
    let (_turn, deployment) = deployment();
    let requester = deployment.network("alpha").create_agent("insisting");
    let worker = deployment.network("beta").create_agent("reluctant");
    let task = ask(&requester, &request(&worker.address, "no", json!({})));
    stands(&worker, &task, "submitted");
    let error = json!({ "code": "TOO_BUSY", "message": "Not today." });
    let body = json!({ "status": "rejected", "error": error });
    let _ = step(&worker, &task, "respond", &body).expect(200);
    assert_eq!(
        stands(&requester, &task, "rejected")["status"]["error"],
        error
    );

    let retry = json!({ "retry": { "maxAttempts": 2, "delaySeconds": 1 } });
    let task = ask(&requester, &request(&worker.address, "try", retry));
    stands(&worker, &task, "submitted");
    let _ = respond(&worker, &task, "failed");
    wait_for("the second attempt", PATIENCE, || {
        let seen = show(&worker, &task).value();
        (seen["attempt"] == 2 && seen["status"]["state"] == "submitted").then_some(())
    });
    let _ = respond(&worker, &task, "completed");
    let done = stands(&requester, &task, "completed");
    assert_eq!(done["attempt"], 2);
    assert_eq!(
        said(&done),
        ["out request", "in failed", "out request", "in completed"]
    );
}

#[test]
fn a_request_that_mail_bounces_ends_its_task() {
    let (_turn, deployment) = deployment();
    let requester = deployment.network("alpha").create_agent("bounced");
    let worker = deployment.network("beta").create_agent("leaving");
    let first = ask(&requester, &request(&worker.address, "first", json!({})));
    stands(&worker, &first, "submitted");
    let beta = deployment.network("beta");
    let gone = beta.admin.delete("/agents/leaving");
    assert_eq!(gone.status, 204, "{}", gone.excerpt());
    let reply = requester.client.post(
        &requester.path("/tasks"),
        &request(&worker.address, "second", json!({})),
    );
    // Known at once, or told by mail later.
    if reply.status == 201 {
        let seen = stands(&requester, &reply.value(), "failed");
        assert_eq!(seen["status"]["error"]["code"], "UNDELIVERED");
        assert_eq!(seen["status"]["presumed"], true);
    }
}

/// So many seconds from now.
fn soon(seconds: u64) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let millis = u64::try_from(now.as_millis()).unwrap() + seconds * 1_000;
    entente_lexicon::Timestamp(millis).to_string()
}
