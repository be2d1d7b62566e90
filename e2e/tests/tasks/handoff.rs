//! Work handed over with the records it needs.

use super::*;

fn note(agent: &Agent, text: &str) -> Value {
    let body = json!({ "record": { "$type": "agent.memory.note", "text": text } });
    agent.client.post(&agent.path("/memory"), &body).expect(201)
}

fn named(record: &Value) -> Value {
    json!({ "uri": record["uri"], "cid": record["cid"] })
}

fn hand_off(agent: &Agent, to: &str, records: &[Value]) -> Reply {
    let record = json!({ "$type": "agent.comms.handoff", "to": to,
        "content": words("over to you"), "records": records });
    let body = json!({ "record": record, "idempotencyKey": format!("{to}/{records:?}").len().to_string() });
    agent.client.post(&agent.path("/handoffs"), &body)
}

fn shared(agent: &Agent, uri: &Value) -> Reply {
    let uri = uri.as_str().unwrap();
    agent
        .client
        .get(&agent.path(&format!("/memory/shared?uri={uri}")))
}

#[test]
fn a_handoff_across_networks_opens_its_records_for_the_recipient_alone() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let (from, to) = (
        alpha.create_agent("hands-over"),
        beta.create_agent("takes-over"),
    );
    let others = [
        alpha.create_agent("near-other"),
        beta.create_agent("far-other"),
    ];
    let records = [
        note(&from, "the first clue"),
        note(&from, "the second clue"),
    ];
    let kept = note(&from, "kept");
    let names: Vec<_> = records.iter().map(named).collect();
    let done = hand_off(&from, &to.address, &names).expect(202);
    assert_eq!(
        done["records"],
        json!([records[0]["uri"], records[1]["uri"]])
    );
    let letter = to.wait_for_message(done["id"].as_str().unwrap());
    assert_eq!(
        letter["content"]["record"]["content"]["text"],
        "over to you"
    );
    // They came before the letter did.
    for (record, text) in records.iter().zip(["the first clue", "the second clue"]) {
        let opened = shared(&to, &record["uri"]).expect(200);
        assert_eq!(opened["records"][0]["record"]["text"], text);
        for other in &others {
            shared(other, &record["uri"]).refused(404, "UNKNOWN_RECORD");
        }
    }
    shared(&to, &kept["uri"]).refused(404, "UNKNOWN_RECORD");
    // Again, it is the same.
    let again = hand_off(&from, &to.address, &names).expect(202);
    assert_eq!(again["id"], done["id"]);
}

#[test]
fn what_an_agent_may_not_pass_on_is_refused_and_nothing_is_shared() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let (from, to) = (
        alpha.create_agent("may-not"),
        beta.create_agent("gets-nothing"),
    );
    let owner = beta.create_agent("true-owner");
    let own = note(&from, "own");
    let theirs = note(&owner, "theirs");
    let _ = hand_off(&owner, &from.address, &[named(&theirs)]).expect(202);
    wait_for("the owner's record", PATIENCE, || {
        (shared(&from, &theirs["uri"]).status == 200).then_some(())
    });
    let both = [named(&own), named(&theirs)];
    hand_off(&from, &to.address, &both).refused(403, "HANDOFF_FOREIGN_RECORD");
    let mut gone = named(&own);
    gone["uri"] = json!(format!("at://{}/agent.memory.note/none", from.did));
    hand_off(&from, &to.address, &[named(&own), gone]).refused(422, "HANDOFF_UNKNOWN_RECORD");
    let mut changed = named(&own);
    changed["cid"] = theirs["cid"].clone();
    hand_off(&from, &to.address, &[changed]).refused(409, "HANDOFF_RECORD_CHANGED");
    let bare = json!({ "cid": own["cid"] });
    hand_off(&from, &to.address, &[bare]).refused(400, "HANDOFF_WITHOUT_URI");
    hand_off(&from, "agent@elsewhere.example", &[named(&own)]).refused(422, "NOT_PEERED");
    hand_off(&from, &from.name, &[named(&own)]).refused(400, "TASK_WITH_SELF");
    let id = own["id"].as_str().unwrap();
    let kept = from
        .client
        .get(&from.path(&format!("/memory/{id}")))
        .expect(200);
    assert_eq!(
        (&kept["level"], &kept["sharedWith"]),
        (&json!("private"), &Value::Null)
    );
    assert_eq!(to.inbox(10), Vec::<Value>::new());
    let foreign = json!({ "record": { "$type": "agent.comms.handoff", "to": to.address,
        "content": words("x"), "request": "a".repeat(26) } });
    let path = from.path("/handoffs");
    from.client
        .post(&path, &foreign)
        .refused(404, "UNKNOWN_TASK");
}
