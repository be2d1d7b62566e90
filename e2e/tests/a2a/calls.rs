//! Every method, as the SDK calls it.

use super::*;

#[test]
fn a_card_is_signed_and_says_how_its_agent_is_called() {
    let (_turn, deployment) = deployment();
    let agent = callee(deployment, "carded", "keys");
    let mut sdk = opened(deployment, &agent);
    let card = sdk.ask(&json!({ "op": "card", "name": "it" })).unwrap();
    assert_eq!(card["name"], "carded");
    let interface = &card["supportedInterfaces"][0];
    assert_eq!(interface["protocolBinding"], "JSONRPC");
    assert_eq!(interface["protocolVersion"], "1.0");
    let url = base(deployment, &agent);
    assert_eq!(interface["url"], url.trim_end_matches('/'));
    assert_eq!(
        card["securitySchemes"]["bearer"]["httpAuthSecurityScheme"]["scheme"],
        "Bearer"
    );
    assert!(card["securityRequirements"][0]["schemes"]["bearer"].is_object());

    // What its owner sets, and new keys, are on the card soon.
    let skills = json!([{ "id": "sum", "name": "Sums", "description": "Adds.", "tags": ["math"] }]);
    let setting = json!({ "a2a": { "access": "open", "description": "adds", "skills": skills } });
    let _ = agent.client.patch(&agent.path(""), &setting).expect(200);
    let _ = agent
        .client
        .post(&agent.path("/keys/rotate"), &json!({}))
        .expect(200);
    wait_for("the new card", PATIENCE, || {
        sdk.open("it", &url, None);
        let card = sdk.ask(&json!({ "op": "card", "name": "it" })).ok()?;
        let new = card["description"] == "adds" && card["skills"][0]["id"] == "sum";
        (new && card.get("securityRequirements").is_none()).then_some(())
    });
}

#[test]
fn a_message_becomes_a_task_that_is_worked_on_asked_about_and_completed() {
    let (_turn, deployment) = deployment();
    let agent = callee(deployment, "worker", "keys");
    let mut sdk = opened(deployment, &agent);
    let more = json!({ "contextId": "talk", "metadata": { "why": "test" } });
    let task = sdk.call("it", "SendMessage", &at_once("m1", "add 1 and 2", &more));
    assert_eq!(task["status"]["state"], "TASK_STATE_SUBMITTED");
    assert_eq!(task["contextId"], "talk");
    // Sent again, it is the same task.
    let again = sdk.call("it", "SendMessage", &at_once("m1", "add 1 and 2", &more));
    assert_eq!(again["id"], task["id"]);
    sdk.refused(
        "it",
        "SendMessage",
        &at_once("m1", "another", &more),
        "UnsupportedOperationError",
    );

    let id = &task["id"];
    let seen = show(&agent, id);
    assert_eq!(
        (&seen["role"], &seen["peer"]),
        (&json!("worker"), &json!("a2a:caller"))
    );
    assert_eq!(seen["request"]["content"]["text"], "add 1 and 2");
    assert_eq!(seen["request"]["a2a"]["metadata"]["why"], "test");
    // An answer that nobody asked for.
    let early = message("early", "x", &json!({ "taskId": id }));
    sdk.refused("it", "SendMessage", &early, "UnsupportedOperationError");
    respond(&agent, id, "working", Some("on it"));
    respond(&agent, id, "input-required", Some("in which base?"));
    let asked = sdk.call("it", "GetTask", &json!({ "id": id }));
    assert_eq!(asked["status"]["state"], "TASK_STATE_INPUT_REQUIRED");
    assert_eq!(
        asked["status"]["message"]["parts"][0]["text"],
        "in which base?"
    );
    let answer = at_once("m2", "ten", &json!({ "taskId": id, "contextId": "talk" }));
    let going = sdk.call("it", "SendMessage", &answer);
    assert_eq!(going["status"]["state"], "TASK_STATE_WORKING");
    let again = sdk.call("it", "SendMessage", &answer);
    assert_eq!(again["status"]["state"], "TASK_STATE_WORKING");
    let artifact = json!({ "artifactId": "own", "parts": [{ "data": { "sum": 3 } }] });
    let done = json!({ "status": "completed", "content": { "$type": "agent.comms.defs#text",
        "text": "3" }, "a2a": { "artifacts": [artifact] } });
    let _ = step(&agent, id, "respond", &done).expect(200);
    ended(&mut sdk, id);
}

/// What that task looks like in the end, and that nothing follows.
fn ended(sdk: &mut Sdk, id: &Value) {
    let task = sdk.call("it", "GetTask", &json!({ "id": id }));
    assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED");
    assert_eq!(task["artifacts"][0]["parts"][0]["text"], "3");
    assert_eq!(task["artifacts"][1]["parts"][0]["data"]["sum"], 3);
    let said = |task: &Value| {
        let history = task["history"].as_array().cloned().unwrap_or_default();
        let said = history.iter().map(|said| said["parts"][0]["text"].clone());
        said.collect::<Vec<_>>()
    };
    assert_eq!(
        said(&task),
        ["add 1 and 2", "on it", "in which base?", "ten"]
    );
    assert_eq!(task["history"][0]["messageId"], "m1");
    let short = sdk.call("it", "GetTask", &json!({ "id": id, "historyLength": 1 }));
    assert_eq!(said(&short), ["ten"]);
    let over = message("late", "x", &json!({ "taskId": id }));
    sdk.refused("it", "SendMessage", &over, "UnsupportedOperationError");
    sdk.refused(
        "it",
        "CancelTask",
        &json!({ "id": id }),
        "TaskNotCancelableError",
    );
    let stream = sdk.stream("it", "SubscribeToTask", &json!({ "id": id }));
    let told = sdk.told(&stream, "the refusal", |told| told["ended"] == true);
    let refused = told["error"]["name"].as_str().unwrap();
    assert!(refused.ends_with("UnsupportedOperationError"), "{told}");
}

#[test]
fn a_client_that_waits_is_answered_when_the_task_ends() {
    let (_turn, deployment) = deployment();
    let agent = callee(deployment, "waited-for", "keys");
    let mut sdk = opened(deployment, &agent);
    let answered = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let parts = json!([{ "text": "look" }, { "data": { "n": 1 } },
                { "raw": "aGk=", "filename": "hi.txt", "mediaType": "text/plain" }]);
            sdk.call(
                "it",
                "SendMessage",
                &message("m1", "", &json!({ "parts": parts })),
            )
        });
        let id = wait_for("the task", PATIENCE, || {
            let tasks = agent.client.get(&agent.path("/tasks")).expect(200);
            let task = tasks["tasks"].get(0).cloned()?;
            assert_eq!(
                task["request"]["content"]["data"]["parts"][2]["raw"],
                "aGk="
            );
            Some(task["id"].clone())
        });
        respond(&agent, &id, "accepted", None);
        respond(&agent, &id, "completed", Some("seen"));
        waiting.join().unwrap()
    });
    assert_eq!(answered["status"]["state"], "TASK_STATE_COMPLETED");
    assert_eq!(answered["artifacts"][0]["parts"][0]["text"], "seen");
    assert_eq!(answered["history"][0]["parts"][2]["filename"], "hi.txt");
}

fn states(told: &Value) -> Vec<String> {
    let events = told["events"].as_array().unwrap().iter();
    let state = |event: &Value| {
        let one = |path: &str| event.pointer(path).and_then(Value::as_str);
        let task = one("/task/status/state").map(|state| format!("task {state}"));
        let status = one("/statusUpdate/status/state").map(str::to_owned);
        let artifact = one("/artifactUpdate/artifact/name").map(|name| format!("artifact {name}"));
        task.or(status)
            .or(artifact)
            .unwrap_or_else(|| event.to_string())
    };
    events
        .map(state)
        .map(|state| state.replace("TASK_STATE_", ""))
        .collect()
}

#[test]
fn a_stream_tells_every_step_in_order_and_ends_with_the_task() {
    let (_turn, deployment) = deployment();
    let agent = callee(deployment, "streaming", "keys");
    let mut sdk = opened(deployment, &agent);
    let stream = sdk.stream(
        "it",
        "SendStreamingMessage",
        &message("m1", "go", &json!({})),
    );
    let id = asked(&agent, "go");
    respond(&agent, &id, "accepted", None);
    for progress in [10, 50] {
        let body = json!({ "status": "working", "progress": progress });
        let _ = step(&agent, &id, "respond", &body).expect(200);
    }
    respond(&agent, &id, "input-required", Some("how?"));
    let told = sdk.told(&stream, "the question", |told| told["ended"] == true);
    assert_eq!(
        states(&told),
        [
            "task SUBMITTED",
            "SUBMITTED",
            "WORKING",
            "WORKING",
            "INPUT_REQUIRED"
        ]
    );
    assert_eq!(
        told["events"][3]["statusUpdate"]["metadata"]["progress"],
        50
    );

    // Who comes back sees where it is, and what follows.
    let stream = sdk.stream("it", "SubscribeToTask", &json!({ "id": id }));
    sdk.told(&stream, "the task", |told| {
        told["events"][0]["task"]["id"] == id
    });
    let answer = at_once("m2", "so", &json!({ "taskId": id }));
    sdk.call("it", "SendMessage", &answer);
    respond(&agent, &id, "completed", Some("done"));
    let told = sdk.told(&stream, "the end", |told| told["ended"] == true);
    assert_eq!(
        states(&told),
        [
            "task INPUT_REQUIRED",
            "WORKING",
            "artifact result",
            "COMPLETED"
        ]
    );
    assert_eq!(told["error"], Value::Null);
}

#[test]
fn a_cancel_ends_the_task_at_once_and_the_agent_sees_it() {
    let (_turn, deployment) = deployment();
    let agent = callee(deployment, "canceled", "keys");
    let mut sdk = opened(deployment, &agent);
    let task = sdk.call(
        "it",
        "SendMessage",
        &at_once("m1", "never mind", &json!({})),
    );
    let stream = sdk.stream("it", "SubscribeToTask", &json!({ "id": task["id"] }));
    sdk.told(&stream, "the task", |told| !told["events"][0].is_null());
    let canceled = sdk.call("it", "CancelTask", &json!({ "id": task["id"] }));
    assert_eq!(canceled["status"]["state"], "TASK_STATE_CANCELED");
    assert_eq!(show(&agent, &task["id"])["status"]["state"], "canceled");
    let told = sdk.told(&stream, "the end", |told| told["ended"] == true);
    assert_eq!(states(&told), ["task SUBMITTED", "CANCELED"]);
    let too_late = json!({ "status": "completed" });
    step(&agent, &task["id"], "respond", &too_late).refused(409, "TASK_OVER");
}

fn ids_of(page: &Value) -> Vec<Value> {
    let tasks = page["tasks"].as_array().cloned().unwrap_or_default();
    tasks.iter().map(|task| task["id"].clone()).collect()
}

#[test]
fn a_list_has_pages_filters_and_the_callers_own_tasks_alone() {
    let (_turn, deployment) = deployment();
    let agent = callee(deployment, "listed", "keys");
    let mut sdk = opened(deployment, &agent);
    let mut ids = Vec::new();
    for n in 0..5 {
        let context = json!({ "contextId": if n < 3 { "a" } else { "b" } });
        let text = format!("task {n}");
        let task = sdk.call("it", "SendMessage", &at_once(&text, &text, &context));
        ids.push(task["id"].clone());
    }
    respond(&agent, &ids[1], "working", Some("on it"));
    respond(&agent, &ids[4], "completed", Some("done"));
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let params = json!({ "pageSize": 2, "pageToken": token });
        let page = sdk.call("it", "ListTasks", &params);
        assert_eq!(page["totalSize"], 5);
        assert!(page["tasks"][0].get("history").is_none());
        seen.extend(ids_of(&page));
        token = page["nextPageToken"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), 5);
    assert_eq!(seen[..2], [ids[4].clone(), ids[1].clone()]);
    filtered(&mut sdk, &ids);

    // Another caller sees none of it.
    let other = key(&agent, "other");
    sdk.open("other", &base(deployment, &agent), other["key"].as_str());
    assert_eq!(
        sdk.call("other", "ListTasks", &json!({}))["totalSize"]
            .as_u64()
            .unwrap_or(0),
        0
    );
}

fn filtered(sdk: &mut Sdk, ids: &[Value]) {
    let mut of = |params: Value| sdk.call("it", "ListTasks", &params);
    assert_eq!(ids_of(&of(json!({ "contextId": "b" }))).len(), 2);
    let working = of(json!({ "status": "TASK_STATE_WORKING" }));
    assert_eq!(ids_of(&working), [ids[1].clone()]);
    assert_eq!(
        working["tasks"][0]["status"]["message"]["parts"][0]["text"],
        "on it"
    );
    let full =
        json!({ "status": "TASK_STATE_COMPLETED", "includeArtifacts": true, "historyLength": 9 });
    let full = of(full);
    assert_eq!(full["tasks"][0]["artifacts"][0]["parts"][0]["text"], "done");
    assert_eq!(full["tasks"][0]["history"][0]["parts"][0]["text"], "task 4");
    let at = full["tasks"][0]["status"]["timestamp"].clone();
    assert_eq!(ids_of(&of(json!({ "statusTimestampAfter": at }))).len(), 0);
    for bad in [
        json!({ "pageSize": 101 }),
        json!({ "pageToken": "zzz" }),
        json!({ "statusTimestampAfter": "yesterday" }),
    ] {
        let refused = sdk.attempt("it", "ListTasks", &bad).unwrap_err();
        assert!(
            refused["message"].as_str().unwrap().contains('`'),
            "{refused}"
        );
    }
}
