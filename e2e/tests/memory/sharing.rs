//! Records that are shared with agents of this network and of another one.

use entente_e2e::wait::{PATIENCE, wait_for};

use super::*;

pub(super) fn share(agent: &Agent, record: &Value, with: &str) -> Reply {
    let body = json!({ "with": with });
    agent.client.post(&path(agent, record, "/share"), &body)
}

/// Waits until an agent has a record of another one at this version.
pub(super) fn has(agent: &Agent, record: &Value, version: u64) -> Value {
    let uri = record["uri"].as_str().unwrap();
    let path = agent.path(&format!("/memory/shared?uri={uri}"));
    wait_for("the shared record", PATIENCE, || {
        let reply = agent.client.get(&path);
        let found = (reply.status == 200).then(|| reply.value()["records"][0].clone())?;
        (found["version"] == version).then_some(found)
    })
}

fn change(agent: &Agent, record: &Value, text: &str) -> Value {
    put(agent, &path(agent, record, ""), &note(text)).expect(200)
}

#[test]
fn a_record_is_shared_within_and_across_networks_and_its_changes_follow() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let owner = alpha.create_agent("sharer");
    let (near, far) = (
        alpha.create_agent("near-reader"),
        beta.create_agent("far-reader"),
    );
    let record = store(&owner, &note("the plan, first draft"));
    let shared = share(&owner, &record, &near.name).expect(200);
    assert_eq!(shared["level"], "shared");
    assert_eq!(
        shared["cid"], record["cid"],
        "sharing changes no ciphertext"
    );
    let shared = share(&owner, &record, &far.address).expect(200);
    assert_eq!(shared["sharedWith"].as_array().unwrap().len(), 2);
    for reader in [&near, &far] {
        let found = has(reader, &record, 1);
        assert_eq!(found["record"]["text"], "the plan, first draft");
        assert_eq!(
            (&found["owner"], &found["cid"]),
            (&json!(owner.address), &record["cid"])
        );
    }
    change(&owner, &record, "the plan, second draft");
    for reader in [&near, &far] {
        assert_eq!(
            has(reader, &record, 2)["record"]["text"],
            "the plan, second draft"
        );
    }
    // Whoever reads keeps reading after the owner's and its own keys were rotated.
    for agent in [&owner, &near, &far] {
        let keys = agent.path("/keys/rotate");
        let _ = agent.client.post(&keys, &json!({})).expect(200);
        let rotate = agent.path("/memory/rotate");
        let _ = agent.client.post(&rotate, &json!({})).expect(200);
    }
    assert_eq!(
        has(&far, &record, 2)["record"]["text"],
        "the plan, second draft"
    );
    change(&owner, &record, "the plan, third draft");
    assert_eq!(
        has(&far, &record, 3)["record"]["text"],
        "the plan, third draft"
    );
}

#[test]
fn a_share_taken_back_shows_nothing_new() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let owner = alpha.create_agent("taker-back");
    let (kept, dropped) = (
        beta.create_agent("kept-reader"),
        beta.create_agent("dropped-reader"),
    );
    let record = store(&owner, &note("for two"));
    for reader in [&kept, &dropped] {
        let _ = share(&owner, &record, &reader.address).expect(200);
        has(reader, &record, 1);
    }
    let path = path(&owner, &record, &format!("/share/{}", dropped.did));
    let left = owner.client.delete(&path).expect(200);
    assert_eq!(
        (&left["level"], &left["version"]),
        (&json!("shared"), &json!(2))
    );
    assert_ne!(left["cid"], record["cid"], "a new key and a new ciphertext");
    owner.client.delete(&path).refused(404, "NOT_SHARED");
    change(&owner, &record, "for one");
    assert_eq!(has(&kept, &record, 3)["record"]["text"], "for one");
    assert_eq!(
        has(&dropped, &record, 1)["record"]["text"],
        "for two",
        "what it had it keeps"
    );
}

#[test]
fn a_long_record_is_shared_whole_though_its_owner_is_killed() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let (owner, reader) = (
        alpha.create_agent("long-sharer"),
        beta.create_agent("long-reader"),
    );
    let text = "0123456789".repeat(4_900);
    let record = store(&owner, &note(&text));
    deployment.kill9("beta");
    let _ = share(&owner, &record, &reader.did.clone()).status;
    let _ = share(&owner, &record, &reader.address);
    deployment.kill9("alpha");
    deployment.restart("alpha");
    deployment.restart("beta");
    let _ = share(&owner, &record, &reader.address).expect(200);
    assert_eq!(has(&reader, &record, 1)["record"]["text"], text);
}

#[test]
fn what_cannot_be_shared_is_refused_and_nothing_changes() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let owner = alpha.create_agent("refused-sharer");
    let record = store(&owner, &note("mine"));
    share(&owner, &record, "nobody").refused(404, "UNKNOWN_AGENT");
    share(&owner, &record, "not an address").refused(400, "MALFORMED_ADDRESS");
    share(&owner, &record, &owner.name).refused(400, "SHARE_WITH_SELF");
    let stranger = "agent@elsewhere.example";
    share(&owner, &record, stranger).refused(422, "NOT_PEERED");
    assert_eq!(get(&owner, &record).expect(200), record);
    let public = path(&owner, &record, "/public");
    let _ = owner.client.post(&public, &json!({})).expect(200);
    let other = alpha.create_agent("other-reader");
    share(&owner, &record, &other.name).refused(409, "ALREADY_PUBLIC");
    // No program writes the messages by which agents share.
    let part = json!({ "kind": "share", "uri": record["uri"], "cid": record["cid"], "version": 1,
        "dek": "a", "part": 0, "parts": 1 });
    let body = json!({ "to": other.name, "content": part });
    owner
        .client
        .post(&owner.path("/messages"), &body)
        .refused(400, "INVALID_CONTENT");
}
