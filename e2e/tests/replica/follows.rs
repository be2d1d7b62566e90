//! Everything that may happen to a record.

use super::*;

fn wraps(deployment: &Deployment, agent: &Agent) -> Vec<Value> {
    let statement = format!(
        "SELECT json_group_array(hex(encrypted_dek)) FROM records WHERE did = '{}'",
        agent.did
    );
    ask(deployment, &statement).as_array().unwrap().clone()
}

#[test]
fn the_replica_follows_every_change_of_a_record() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let (owner, reader) = (
        alpha.create_agent("replicated"),
        alpha.create_agent("replicated-reader"),
    );
    let second = alpha.create_agent("replicated-second");
    let records: Vec<_> = (0..8)
        .map(|number| store(&owner, &format!("note {number}")))
        .collect();
    let checked = || becomes_the_truth(deployment, &owner, PATIENCE);
    assert_eq!(checked().len(), 8);
    change(&owner, &records[0], "changed");
    let deleted = owner.client.delete(&path(&owner, &records[1], ""));
    assert_eq!(deleted.status, 204);
    assert_eq!(checked().len(), 7);
    for with in [&reader, &second] {
        let body = json!({ "with": with.name });
        let share = path(&owner, &records[2], "/share");
        let _ = owner.client.post(&share, &body).expect(200);
    }
    checked();
    let rows = format!(
        "SELECT count(*) FROM shared_records WHERE length(encrypted_dek) > 1000
            AND instr(record_id, '{}/') = 1",
        owner.did
    );
    wait_for("both rows that were sent", PATIENCE, || {
        (ask(deployment, &rows) == 2).then_some(())
    });
    let unshare = path(&owner, &records[2], &format!("/share/{}", second.did));
    let _ = owner.client.delete(&unshare).expect(200);
    checked();
    let public = path(&owner, &records[3], "/public");
    let _ = owner.client.post(&public, &json!({})).expect(200);
    checked();
    let _ = owner.client.delete(&public).expect(200);
    // A key that was removed and taken again.
    let taken = records[1]["id"].as_str().unwrap().split_once(':').unwrap();
    let again = json!({ "record": { "$type": taken.0, "text": "again" }, "rkey": taken.1 });
    let _ = owner
        .client
        .post(&owner.path("/memory"), &again)
        .expect(201);
    checked();
    // A rotation changes no record, but every row that wraps a key.
    let before = wraps(deployment, &owner);
    let rotate = owner.path("/memory/rotate");
    let _ = owner.client.post(&rotate, &json!({})).expect(200);
    wait_for("new rows", PATIENCE, || {
        let now = wraps(deployment, &owner);
        let kept = now.iter().any(|row| before.contains(row));
        (now.len() == before.len() && !kept).then_some(())
    });
    checked();
    let view = wait_until_done(&owner);
    assert_eq!(view["revision"], view["replicated"], "{view}");
    assert_eq!(view["behindMs"], 0);
    assert_eq!(view.get("lastError"), None, "{view}");
}

#[test]
fn the_replica_of_an_agent_goes_with_it() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let (doomed, reader) = (
        alpha.create_agent("replica-doomed"),
        alpha.create_agent("replica-other"),
    );
    for agent in [&doomed, &reader] {
        let record = store(agent, "here today");
        let body = json!({ "with": alpha.create_agent(&format!("of-{}", agent.name)).name });
        let share = path(agent, &record, "/share");
        let _ = agent.client.post(&share, &body).expect(200);
        becomes_the_truth(deployment, agent, PATIENCE);
    }
    // Deleted while hints are on their way.
    let _ = store(&doomed, "gone tomorrow");
    assert_eq!(alpha.admin.delete(&doomed.path("")).status, 204);
    let left = |agent: &Agent| {
        let did = &agent.did;
        let statement = format!(
            "SELECT json_array((SELECT count(*) FROM records WHERE did = '{did}'),
                (SELECT count(*) FROM shared_records WHERE instr(record_id, '{did}/') = 1),
                (SELECT count(*) FROM replica_cursors WHERE did = '{did}'))"
        );
        ask(deployment, &statement)
    };
    assert_eq!(left(&doomed), json!([0, 0, 0]));
    let _ = store(&reader, "another hint, of a later batch");
    becomes_the_truth(deployment, &reader, PATIENCE);
    assert_eq!(left(&doomed), json!([0, 0, 0]));
    assert_eq!(left(&reader), json!([2, 1, 1]));
}

#[test]
fn the_admin_sees_how_far_it_is_and_strangers_do_not() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let (agent, other) = (
        alpha.create_agent("replica-seen"),
        alpha.create_agent("replica-stranger"),
    );
    let empty = view(&alpha.admin, &agent);
    assert_eq!(
        empty,
        json!({ "revision": 0, "replicated": 0, "pending": 0, "behindMs": 0 })
    );
    let _ = store(&agent, "one");
    let seen = view(&alpha.admin, &agent);
    assert!(seen["revision"].as_u64().unwrap() > 0, "{seen}");
    wait_until_done(&agent);
    let route = agent.path("/memory/replica");
    other.client.get(&route).refused(403, "FORBIDDEN");
    alpha.public.get(&route).refused(401, "UNAUTHENTICATED");
    let nobody = alpha.admin.get("/agents/nobody-here/memory/replica");
    nobody.refused(404, "UNKNOWN_AGENT");
    // The queue's consumer is no client.
    for inner in ["/replica/pull", "/replica/failed"] {
        let reply = agent.client.post(&agent.path(inner), &json!({}));
        assert_eq!(reply.status, 403, "{}", reply.excerpt());
        let reply = alpha.admin.post(&agent.path(inner), &json!({}));
        reply.refused(404, "NOT_FOUND");
    }
}
