//! Our agents call agents elsewhere: the SDK's own server.

use super::*;

const KEY: &str = "what it knows us by";

/// An agent elsewhere that answers, and what it is called here.
fn remote(shared: &Shared, agent: &Agent) -> (Sdk, String) {
    let mut sdk = Sdk::start();
    serve(&mut sdk, shared, &json!({}));
    let wish = json!({ "url": url(shared), "key": KEY });
    let added = agent
        .client
        .post(&agent.path("/a2a/agents"), &wish)
        .expect(201);
    (sdk, added["to"].as_str().unwrap().to_owned())
}

fn serve(sdk: &mut Sdk, shared: &Shared, card: &Value) {
    let command = json!({ "op": "serve", "port": shared.port, "key": KEY, "card": card });
    let _ = sdk.ask(&command).unwrap();
}

fn url(shared: &Shared) -> String {
    format!("http://localhost:{}/agent/", shared.port)
}

fn ask(agent: &Agent, to: &str, text: &str, more: &Value) -> Reply {
    let content = json!({ "$type": "agent.comms.defs#text", "text": text });
    let mut record = json!({ "$type": "agent.comms.request", "to": to, "content": content });
    let fields = record.as_object_mut().unwrap();
    fields.extend(more.as_object().cloned().unwrap_or_default());
    let body = json!({ "record": record, "idempotencyKey": text });
    agent.client.post(&agent.path("/tasks"), &body)
}

/// Waits until the agent sees its task so.
fn stands(agent: &Agent, id: &Value, state: &str) -> Value {
    let path = agent.path(&format!("/tasks/{}", id.as_str().unwrap()));
    wait_for(
        &format!("{id} to be {state}"),
        Duration::from_secs(90),
        || {
            let reply = agent.client.attempt("GET", &path, &[], &[]).ok()?;
            let task = (reply.status == 200).then(|| reply.value())?;
            (task["status"]["state"] == state).then_some(task)
        },
    )
}

fn calls(sdk: &mut Sdk, method: &str) -> Vec<Value> {
    let asked = sdk.ask(&json!({ "op": "asked" })).unwrap();
    let asked = asked.as_array().unwrap().iter();
    asked
        .filter(|call| call["method"] == method)
        .cloned()
        .collect()
}

#[test]
fn a_task_elsewhere_is_done_asked_about_failed_canceled_or_answered_at_once() {
    let (_turn, shared) = shared();
    let agent = callee(&shared.deployment, "caller", "off");
    let (mut sdk, to) = remote(shared, &agent);
    let listed = agent.client.get(&agent.path("/a2a/agents")).expect(200);
    assert_eq!(listed["agents"][0]["name"], "elsewhere");
    assert!(
        listed["agents"][0]["signedBy"]
            .as_str()
            .unwrap()
            .starts_with("z6Mk")
    );
    assert!(!listed.to_string().contains(KEY));

    let task = ask(&agent, &to, "add", &json!({ "thread": "sums" })).expect(201);
    assert_eq!(
        (&task["role"], &task["peer"]),
        (&json!("requester"), &json!("a2a:elsewhere"))
    );
    let done = stands(&agent, &task["id"], "completed");
    let last = done["history"].as_array().unwrap().last().unwrap();
    let artifact = &last["record"]["a2a"]["artifacts"][0];
    assert_eq!(artifact["parts"][0]["data"]["n"], 3);
    assert_eq!(
        last["record"]["content"]["data"]["parts"][1]["text"],
        "three"
    );
    let sent = calls(&mut sdk, "SendMessage").remove(0);
    assert_eq!(sent["authorization"], format!("Bearer {KEY}"));
    assert_eq!(sent["params"]["message"]["contextId"], "sums");

    let task = ask(&agent, &to, "ask", &json!({})).expect(201);
    let asked = stands(&agent, &task["id"], "input-required");
    assert_eq!(asked["status"]["message"]["content"]["text"], "how?");
    let answer = json!({ "content": { "$type": "agent.comms.defs#text", "text": "so" } });
    let _ = step(&agent, &task["id"], "input", &answer).expect(200);
    let done = stands(&agent, &task["id"], "completed");
    assert!(done.to_string().contains("\"words\":\"so\""));

    let task = ask(&agent, &to, "talk", &json!({})).expect(201);
    let said = stands(&agent, &task["id"], "completed");
    assert_eq!(said["status"]["message"]["content"]["text"], "hello");

    let task = ask(&agent, &to, "fail", &json!({})).expect(201);
    let failed = stands(&agent, &task["id"], "failed");
    assert_eq!(failed["status"]["message"]["content"]["text"], "it broke");

    let task = ask(&agent, &to, "wait", &json!({})).expect(201);
    stands(&agent, &task["id"], "working");
    let canceling = step(&agent, &task["id"], "cancel", &json!({})).expect(200);
    assert_eq!(canceling["canceling"], true);
    stands(&agent, &task["id"], "canceled");
}

#[test]
fn a_task_elsewhere_outlives_both_and_is_asked_for_once() {
    let (_turn, shared) = shared();
    let agent = callee(&shared.deployment, "patient", "off");
    let (mut sdk, to) = remote(shared, &agent);
    // The agent elsewhere is away: the task is durable here, and mail to others goes on.
    let _ = sdk.ask(&json!({ "op": "stop" })).unwrap();
    let task = ask(&agent, &to, "ask", &json!({})).expect(201);
    assert_eq!(task["status"]["state"], "submitted");
    shared.deployment.kill9("alpha");
    shared.deployment.restart("alpha");
    let again = ask(&agent, &to, "ask", &json!({})).expect(200);
    assert_eq!(again["id"], task["id"]);
    serve(&mut sdk, shared, &json!({}));
    stands(&agent, &task["id"], "input-required");
    // This network dies as soon as it has taken the answer.
    let answer = json!({ "content": { "$type": "agent.comms.defs#text", "text": "so" },
        "idempotencyKey": "so" });
    let _ = step(&agent, &task["id"], "input", &answer).expect(200);
    shared.deployment.kill9("alpha");
    shared.deployment.restart("alpha");
    stands(&agent, &task["id"], "completed");
    let requests = calls(&mut sdk, "SendMessage");
    let requests = requests
        .iter()
        .filter(|call| call["params"]["message"].get("taskId").is_none());
    assert_eq!(requests.count(), 1);

    // Who is called no more, does no more.
    let task = ask(&agent, &to, "wait", &json!({})).expect(201);
    stands(&agent, &task["id"], "working");
    let id = to.trim_start_matches("a2a:");
    let path = agent.path(&format!("/a2a/agents/{id}"));
    assert_eq!(agent.client.delete(&path).status, 204);
    agent.client.delete(&path).refused(404, "A2A_AGENT_UNKNOWN");
    let lost = stands(&agent, &task["id"], "failed");
    assert_eq!(lost["status"]["presumed"], true);
    ask(&agent, &to, "x", &json!({})).refused(404, "A2A_AGENT_UNKNOWN");
    ask(&agent, "a2a:other", "x", &json!({})).refused(404, "A2A_AGENT_UNKNOWN");
}

#[test]
fn a_card_that_is_forged_or_leads_elsewhere_is_refused() {
    let (_turn, shared) = shared();
    let agent = callee(&shared.deployment, "wary", "off");
    let mut sdk = Sdk::start();
    serve(&mut sdk, shared, &json!({}));
    let path = agent.path("/a2a/agents");
    let wish = |more: Value| {
        let mut wish = json!({ "url": url(shared) });
        wish.as_object_mut()
            .unwrap()
            .extend(more.as_object().cloned().unwrap());
        agent.client.post(&path, &wish)
    };
    let mut sign = |how: &str| {
        let _ = sdk.ask(&json!({ "op": "sign", "how": how })).unwrap();
    };
    let first = wish(json!({})).expect(201);
    sign("forged");
    wish(json!({})).refused(422, "A2A_CARD_SIGNATURE");
    sign("other");
    wish(json!({})).refused(409, "A2A_CARD_KEY_CHANGED");
    sign("none");
    wish(json!({})).refused(409, "A2A_CARD_KEY_CHANGED");
    wish(json!({ "publicKey": first["signedBy"] })).refused(422, "A2A_CARD_SIGNATURE");
    sign("own");
    let again = wish(json!({ "publicKey": first["signedBy"] })).expect(201);
    assert_eq!(again["id"], first["id"]);

    wish(json!({ "url": format!("http://localhost:{}/nothing", shared.port) }))
        .refused(422, "A2A_CARD_UNREADABLE");
    wish(json!({ "publicKey": "z6Mk" })).refused(400, "INVALID_BODY");
    wish(json!({ "key": "" })).refused(400, "INVALID_BODY");
    let interface = |url: String, version: &str| {
        json!({ "supportedInterfaces": [{ "url": url, "protocolBinding": "JSONRPC",
            "protocolVersion": version }] })
    };
    let here = format!("http://localhost:{}/rpc", shared.port);
    for (card, code) in [
        (
            interface(shared.receiver.url("/rpc"), "1.0"),
            "A2A_CARD_OTHER_HOST",
        ),
        (
            interface("http://127.0.0.1/rpc".to_owned(), "1.0"),
            "A2A_URL",
        ),
        (interface(here, "0.3"), "A2A_CARD_MALFORMED"),
    ] {
        let _ = sdk.ask(&json!({ "op": "stop" })).unwrap();
        serve(&mut sdk, shared, &card);
        wish(json!({})).refused(422, code);
    }
    // What the agent there refuses, there is no task of.
    let _ = sdk.ask(&json!({ "op": "stop" })).unwrap();
    serve(&mut sdk, shared, &json!({}));
    let to = wish(json!({ "key": "another" })).expect(201)["to"].clone();
    ask(&agent, to.as_str().unwrap(), "add", &json!({})).refused(422, "A2A_REFUSED");
    let tasks = agent.client.get(&agent.path("/tasks")).expect(200);
    assert_eq!(tasks["tasks"], json!([]));
}

#[test]
fn an_agent_on_the_inside_is_not_called() {
    let (_turn, shared) = shared();
    let agent = callee(&shared.deployment, "outward", "off");
    let path = agent.path("/a2a/agents");
    let own = shared.deployment.network("alpha").public.url().to_owned();
    for inside in [
        "https://127.0.0.1/".to_owned(),
        "https://metadata.internal/".to_owned(),
        "http://agent.example/".to_owned(),
        "https://agent.example:8443/".to_owned(),
        own,
        "nonsense".to_owned(),
    ] {
        let wish = json!({ "url": inside });
        agent.client.post(&path, &wish).refused(422, "A2A_URL");
    }
}
