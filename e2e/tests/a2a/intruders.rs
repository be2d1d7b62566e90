//! Who may not call, and what is no call.

use super::*;

fn call(deployment: &Deployment, agent: &str, key: Option<&str>, body: &str) -> Reply {
    let public = &deployment.network("alpha").public;
    let client = key.map_or_else(|| public.clone(), |key| public.with_key(key));
    let headers = [("content-type", "application/json"), ("a2a-version", "1.0")];
    client.send("POST", &format!("/a2a/{agent}"), &headers, body.as_bytes())
}

fn list() -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {} }).to_string()
}

#[test]
fn nobody_calls_an_agent_that_did_not_say_so() {
    let (_turn, deployment) = deployment();
    let network = deployment.network("alpha");
    let agent = network.create_agent("silent");
    for name in ["silent", "nobody", "No%20Name"] {
        call(deployment, name, None, &list()).refused(404, "A2A_UNKNOWN_AGENT");
        let card = format!("/a2a/{name}/.well-known/agent-card.json");
        network.public.get(&card).refused(404, "A2A_UNKNOWN_AGENT");
    }
    // Its owner opens the door and shuts it again.
    let key = key(&agent, "k");
    let key = key["key"].as_str();
    let on = json!({ "a2a": { "access": "keys" } });
    let _ = agent.client.patch(&agent.path(""), &on).expect(200);
    let _ = call(deployment, "silent", key, &list()).expect(200);
    let off = json!({ "a2a": { "access": "off" } });
    let _ = agent.client.patch(&agent.path(""), &off).expect(200);
    call(deployment, "silent", key, &list()).refused(404, "A2A_UNKNOWN_AGENT");
    for bad in [
        json!({ "a2a": { "access": "everyone" } }),
        json!({ "a2a": { "access": "open", "description": "" } }),
        json!({ "a2a": { "access": "open", "skills": {} } }),
        json!({ "a2a": { "access": "open", "url": "https://other.example" } }),
    ] {
        agent
            .client
            .patch(&agent.path(""), &bad)
            .refused(400, "INVALID_BODY");
    }
}

#[test]
fn a_wrong_revoked_or_foreign_key_opens_nothing() {
    let (_turn, deployment) = deployment();
    let agent = callee(deployment, "guarded", "keys");
    let other = callee(deployment, "neighbour", "keys");
    let made = key(&agent, "k");
    let shown = made["key"].as_str().unwrap();
    assert!(shown.starts_with("a2a_"));
    let _ = call(deployment, "guarded", Some(shown), &list()).expect(200);
    let foreign = key(&other, "k");
    let network = deployment.network("alpha");
    let token = agent.token.as_str();
    let admin = network.admin.key();
    for wrong in [
        None,
        Some("a2a_x"),
        foreign["key"].as_str(),
        Some(token),
        admin,
    ] {
        let reply = call(deployment, "guarded", wrong, &list());
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        reply.refused(401, "A2A_KEY_INVALID");
    }
    // A key of A2A is no token.
    let stranger = network.public.with_key(shown);
    stranger
        .get(&agent.path("/tasks"))
        .refused(401, "UNAUTHENTICATED");
    // Keys are the agent's own affair.
    let path = agent.path("/a2a/keys");
    other.client.get(&path).refused(403, "FORBIDDEN");
    network.admin.get(&path).refused(403, "ADMIN_READ_OFF");
    let listed = agent.client.get(&path).expect(200);
    assert_eq!(listed["keys"][0]["name"], "k");
    assert!(!listed.to_string().contains(shown));

    let id = made["id"].as_u64().unwrap();
    let gone = agent.client.delete(&format!("{path}/{id}"));
    assert_eq!(gone.status, 204);
    call(deployment, "guarded", Some(shown), &list()).refused(401, "A2A_KEY_INVALID");
    agent
        .client
        .delete(&format!("{path}/99"))
        .refused(404, "A2A_KEY_UNKNOWN");
    let listed = agent.client.get(&path).expect(200);
    assert!(listed["keys"][0]["revokedAt"].is_string());
}

#[test]
fn a_task_of_another_callers_is_not_there() {
    let (_turn, deployment) = deployment();
    let agent = callee(deployment, "discreet", "open");
    let mut sdk = opened(deployment, &agent);
    let url = base(deployment, &agent);
    let second = key(&agent, "second");
    sdk.open("second", &url, second["key"].as_str());
    sdk.open("anyone", &url, None);
    let task = sdk.call("it", "SendMessage", &at_once("m1", "mine", &json!({})));
    let anyones = sdk.call(
        "anyone",
        "SendMessage",
        &at_once("m1", "anyone's", &json!({})),
    );
    // A task between agents of networks is nobody's here.
    let peer = deployment.network("alpha").create_agent("colleague");
    let record = json!({ "$type": "agent.comms.request", "to": agent.address,
        "content": { "$type": "agent.comms.defs#text", "text": "among us" } });
    let body = json!({ "record": record });
    let ours = peer.client.post(&peer.path("/tasks"), &body).expect(201);
    for (caller, id) in [
        ("second", &task["id"]),
        ("anyone", &task["id"]),
        ("it", &anyones["id"]),
        ("it", &ours["id"]),
        ("anyone", &ours["id"]),
        ("it", &json!("nonsense")),
    ] {
        let params = json!({ "id": id });
        sdk.refused(caller, "GetTask", &params, "TaskNotFoundError");
        sdk.refused(caller, "CancelTask", &params, "TaskNotFoundError");
        let answer = message("m9", "x", &json!({ "taskId": id }));
        sdk.refused(caller, "SendMessage", &answer, "TaskNotFoundError");
        let stream = sdk.stream(caller, "SubscribeToTask", &params);
        let told = sdk.told(&stream, "the refusal", |told| told["ended"] == true);
        assert_eq!(told["events"], json!([]));
    }
    assert_eq!(show(&agent, &task["id"])["status"]["state"], "submitted");
    // Who has no key is known by the ids that it was told, and has no list.
    let seen = sdk.call("anyone", "GetTask", &json!({ "id": anyones["id"] }));
    assert_eq!(seen["id"], anyones["id"]);
    sdk.refused(
        "anyone",
        "ListTasks",
        &json!({}),
        "UnsupportedOperationError",
    );
    let again = sdk.call(
        "anyone",
        "SendMessage",
        &at_once("m1", "anyone's", &json!({})),
    );
    assert_ne!(again["id"], anyones["id"]);
}

#[test]
fn what_is_no_call_is_refused_with_its_number_and_changes_nothing() {
    let (_turn, deployment) = deployment();
    let agent = callee(deployment, "strict", "keys");
    let made = key(&agent, "k");
    let shown = made["key"].as_str();
    let send = |message: Value| {
        json!({ "jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {
            "message": message, "configuration": { "returnImmediately": true } } })
        .to_string()
    };
    let part = json!([{ "text": "x" }]);
    for (body, code) in [
        ("{".to_owned(), -32_700),
        ("[]".to_owned(), -32_600),
        (
            json!({ "jsonrpc": "2.0", "method": "ListTasks" }).to_string(),
            -32_600,
        ),
        (
            json!({ "jsonrpc": "2.0", "id": 1, "method": "tasks/get" }).to_string(),
            -32_601,
        ),
        (send(json!({ "role": "ROLE_USER", "parts": part })), -32_602),
        (
            send(json!({ "messageId": "m", "role": "ROLE_AGENT", "parts": part })),
            -32_602,
        ),
        (
            send(json!({ "messageId": "m", "role": "ROLE_USER", "parts": [] })),
            -32_005,
        ),
        (
            send(json!({ "messageId": "m", "role": "ROLE_USER", "parts": [{}] })),
            -32_005,
        ),
        (
            send(json!({ "messageId": "m", "role": "ROLE_USER", "parts": "x" })),
            -32_602,
        ),
    ] {
        let answer = call(deployment, "strict", shown, &body).expect(200);
        assert_eq!(answer["error"]["code"], code, "{body}: {answer}");
    }
    let long = send(json!({ "messageId": "m", "role": "ROLE_USER",
        "parts": [{ "text": "x".repeat(100_000) }] }));
    call(deployment, "strict", shown, &long).refused(413, "BODY_TOO_LARGE");
    let public = &deployment.network("alpha").public;
    let client = public.with_key(shown.unwrap());
    for version in [None, Some("0.3"), Some("1.1")] {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(version.map(|version| ("a2a-version", version)));
        let reply = client.send("POST", "/a2a/strict", &headers, list().as_bytes());
        assert_eq!(reply.expect(200)["error"]["code"], -32_009);
    }
    let tasks = agent.client.get(&agent.path("/tasks")).expect(200);
    assert_eq!(tasks["tasks"], json!([]));
}

#[test]
fn who_calls_without_end_is_told_to_wait_and_others_are_not() {
    let (_turn, deployment) = deployment();
    let agent = callee(deployment, "sought-after", "open");
    let public = &deployment.network("alpha").public;
    let from = |address: &str| {
        let headers = [
            ("content-type", "application/json"),
            ("a2a-version", "1.0"),
            ("cf-connecting-ip", address),
        ];
        public.send("POST", "/a2a/sought-after", &headers, list().as_bytes())
    };
    let refused = (0..2_000)
        .map(|_| from("192.0.2.1"))
        .find(|reply| reply.status != 200);
    let refused = refused.unwrap();
    refused.refused(429, "A2A_RATE_LIMITED");
    assert_eq!(refused.header("retry-after"), Some("1"));
    // The door is open to everybody else.
    assert_eq!(from("192.0.2.2").status, 200);
    assert_eq!(from("2001:db8::1").status, 200);
    let key = key(&agent, "k");
    let _ = call(deployment, "sought-after", key["key"].as_str(), &list()).expect(200);
}
