//! Topics and broadcasts: who listens hears, on one network and across, and nobody else.

use super::*;

fn open(agent: &Agent, topic: &str, to: &str) -> Reply {
    let headers = [("content-type", "application/json")];
    let path = agent.path(&format!("/topics/{topic}"));
    let body = json!({ "openTo": to }).to_string();
    agent.client.send("PUT", &path, &headers, body.as_bytes())
}

fn subscribe(agent: &Agent, of: &str, topic: &str) -> Reply {
    let body = json!({ "of": of, "topic": topic });
    agent.client.post(&agent.path("/subscriptions"), &body)
}

/// Waits until it is known what became of each subscription of an agent; returns states and codes.
fn subscriptions(agent: &Agent) -> Vec<(String, Value)> {
    wait_for("the subscriptions to be answered", PATIENCE, || {
        let list = agent.client.get(&agent.path("/subscriptions")).expect(200);
        let all = list["subscriptions"].as_array()?.clone();
        let state = |one: &Value| one["state"].as_str().unwrap().to_owned();
        let known = all.iter().all(|one| state(one) != "asked");
        known.then(|| {
            all.iter()
                .map(|one| (state(one), one["code"].clone()))
                .collect()
        })
    })
}

fn broadcast(agent: &Agent, text: &str, more: Value) -> Reply {
    let words = json!({ "$type": "agent.comms.defs#text", "text": text });
    let mut record = json!({ "$type": "agent.comms.broadcast", "content": words });
    let fields = record.as_object_mut().unwrap();
    fields.extend(more.as_object().cloned().unwrap());
    let body = json!({ "record": record, "idempotencyKey": text });
    agent.client.post(&agent.path("/broadcasts"), &body)
}

/// Waits until it is known what became of a broadcast; returns that, in order.
fn outcome(agent: &Agent, cast: &Value) -> Vec<(String, String)> {
    let path = agent.path(&format!("/broadcasts/{}", cast["id"].as_str().unwrap()));
    wait_for("the broadcast to be settled", PATIENCE, || {
        let view = agent.client.get(&path).expect(200);
        let to = view["to"].as_array()?.clone();
        let line = |to: &Value| {
            let code = to["code"].as_str().or(to["status"].as_str()).unwrap();
            (to["member"].as_str().unwrap().to_owned(), code.to_owned())
        };
        let mut lines: Vec<_> = to.iter().map(line).collect();
        lines.sort();
        let open = |status: &str| ["waiting", "accepted", "resolving"].contains(&status);
        (!lines.iter().any(|(_, status)| open(status))).then_some(lines)
    })
}

fn texts(agent: &Agent) -> Vec<String> {
    let said = |message: &Value| {
        let content = &message["content"];
        let record = [&content["record"], &content["word"]["content"]["record"]];
        let found = record
            .iter()
            .find_map(|record| record["content"]["text"].as_str());
        found.map(str::to_owned)
    };
    agent.inbox(100).iter().filter_map(said).collect()
}

fn expected(agents: &[(&Agent, &str)]) -> Vec<(String, String)> {
    let line = |(agent, code): &(&Agent, &str)| (agent.address.clone(), (*code).to_owned());
    let mut lines: Vec<_> = agents.iter().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn who_listens_to_a_topic_hears_it_across_networks_and_nobody_else_does() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let speaker = alpha.create_agent("speaker");
    let near = alpha.create_agent("listening-near");
    let far = beta.create_agent("listening-far");
    let other = beta.create_agent("not-listening");
    assert_eq!(
        open(&speaker, "tides", "everyone").expect(200)["listeners"],
        json!([])
    );
    let _ = open(&speaker, "inside", "network").expect(200);
    let _ = subscribe(&near, "speaker", "tides").expect(201);
    let _ = subscribe(&near, "speaker", "inside").expect(201);
    let _ = subscribe(&far, &speaker.address, "tides").expect(201);
    assert_eq!(subscriptions(&far), [("listening".to_owned(), Value::Null)]);
    let _ = subscribe(&other, &speaker.address, "inside").expect(201);
    assert_eq!(
        subscriptions(&other),
        [("refused".to_owned(), json!("TOPIC_CLOSED"))]
    );
    subscribe(&near, "speaker", "weather").refused(422, "TOPIC_CLOSED");

    let cast = broadcast(&speaker, "high tide", json!({ "topic": "tides" })).expect(202);
    let lines = expected(&[(&near, "delivered"), (&far, "delivered")]);
    assert_eq!(outcome(&speaker, &cast), lines);
    let again = broadcast(&speaker, "high tide", json!({ "topic": "tides" })).expect(200);
    assert_eq!(again["id"], cast["id"]);
    for agent in [&near, &far] {
        assert_eq!(texts(agent), ["high tide"]);
    }
    let inbox = serde_json::to_string(&far.inbox(50)).unwrap();
    assert!(!inbox.contains("\"key\"") && !inbox.contains("\"sealed\""));
    let cast = broadcast(&speaker, "for us", json!({ "topic": "inside" })).expect(202);
    assert_eq!(outcome(&speaker, &cast), expected(&[(&near, "delivered")]));

    // Who ends it hears nothing more.
    let list = far.client.get(&far.path("/subscriptions")).expect(200);
    let id = list["subscriptions"][0]["id"].as_str().unwrap().to_owned();
    let path = far.path(&format!("/subscriptions/{id}"));
    assert_eq!(far.client.delete(&path).status, 204);
    far.client
        .delete(&path)
        .refused(404, "UNKNOWN_SUBSCRIPTION");
    wait_for("the speaker to hear that", PATIENCE, || {
        let list = speaker.client.get(&speaker.path("/topics")).expect(200);
        let topics = list["topics"].as_array()?.clone();
        let tides = topics.iter().find(|topic| topic["topic"] == "tides")?;
        (tides["listeners"] == json!([near.address])).then_some(())
    });
    let cast = broadcast(&speaker, "low tide", json!({ "topic": "tides" })).expect(202);
    assert_eq!(outcome(&speaker, &cast), expected(&[(&near, "delivered")]));
    assert_eq!(texts(&far), ["high tide"]);
    assert_eq!(texts(&other), Vec::<String>::new());
}

#[test]
fn an_audience_is_agents_groups_and_the_network_and_what_is_wrong_is_refused() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let speaker = alpha.create_agent("crier");
    let member = beta.create_agent("in-a-group");
    let named = beta.create_agent("named");
    let listens = alpha.create_agent("all-ears");
    let deaf = alpha.create_agent("no-ears");
    let group = assemble(&speaker, "cast", &[&member]);
    let audience = json!([format!("group:{group}"), named.address]);
    let cast = broadcast(&speaker, "some", json!({ "audience": audience })).expect(202);
    let lines = expected(&[(&member, "delivered"), (&named, "delivered")]);
    assert_eq!(outcome(&speaker, &cast), lines);
    assert_eq!(
        (texts(&member), texts(&named)),
        (vec!["some".to_owned()], vec!["some".to_owned()])
    );

    // Of a topic the network hears who listens to it there; without one, everybody.
    let _ = subscribe(&listens, "network", "news").expect(201);
    let news = json!({ "topic": "news", "audience": ["network"] });
    let cast = broadcast(&speaker, "news", news).expect(202);
    let lines = outcome(&speaker, &cast);
    let of = |agent: &Agent| lines.iter().find(|(who, _)| *who == agent.address).unwrap();
    assert_eq!(of(&listens).1, "delivered");
    assert_eq!(of(&deaf).1, "TOPIC_NOT_SUBSCRIBED");
    let all = json!({ "audience": ["network"] });
    let cast = broadcast(&speaker, "fire", all).expect(202);
    outcome(&speaker, &cast);
    assert_eq!(texts(&deaf), ["fire"]);
    assert_eq!(texts(&listens), ["news", "fire"]);

    broadcast(&speaker, "a", json!({})).refused(400, "BROADCAST_WITHOUT_AUDIENCE");
    broadcast(&speaker, "b", json!({ "topic": "none" })).refused(404, "UNKNOWN_TOPIC");
    let none = json!({ "audience": ["group:none"] });
    broadcast(&speaker, "c", none).refused(404, "UNKNOWN_GROUP");
    broadcast(&speaker, "d", json!({ "audience": ["no body"] })).refused(400, "MALFORMED_ADDRESS");
    broadcast(&speaker, "e", json!({ "priority": 9 })).refused(400, "OUT_OF_RANGE");
    let news = json!({ "topic": "other", "audience": ["network"] });
    broadcast(&speaker, "news", news).refused(409, "IDEMPOTENCY_MISMATCH");
    open(&speaker, "news", "somebody").refused(400, "INVALID_BODY");
    open(&speaker, &"t".repeat(257), "everyone").refused(400, "INVALID_TOPIC");
    let path = speaker.path("/topics/none");
    speaker.client.delete(&path).refused(404, "UNKNOWN_TOPIC");
    let path = speaker.path("/broadcasts/none");
    speaker.client.get(&path).refused(404, "UNKNOWN_BROADCAST");
    let topic = json!({ "kind": "topic", "topic": "news", "listen": true });
    let mail = json!({ "to": named.address, "content": topic });
    let sent = speaker.client.post(&speaker.path("/messages"), &mail);
    sent.refused(400, "INVALID_CONTENT");
}
