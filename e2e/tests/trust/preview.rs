//! What a preview says is what then happens.

use super::*;

/// The link gamma–delta is this test's alone: it changes what may cross.
#[test]
fn a_preview_says_what_then_happens_and_changes_nothing() {
    let deployment = deployment();
    let (gamma, delta) = (deployment.network("gamma"), deployment.network("delta"));
    let near = gamma.create_agent("preview-near");
    let (listed, unlisted) = (
        delta.create_agent("preview-listed"),
        delta.create_agent("preview-unlisted"),
    );
    for far in [&listed, &unlisted] {
        let id = near.send(&far.address, "hello");
        near.wait_for_status(&id, "delivered");
    }
    let before = gamma.peer(&delta.did);
    let path = format!("{PEERS}/{}/preview", delta.did);
    let change = json!({ "trustLevel": "allowlist", "allowAgents": [listed.did] });
    let example = json!({
        "direction": "out", "ours": near.did, "theirs": unlisted.did,
        "before": "pass", "after": "NOT_ALLOWED",
    });
    // What was delivered is seen among the events a little later.
    let preview = wait_for("both messages to be events", PATIENCE, || {
        let preview = gamma.admin.post(&path, &change).expect(200);
        let examples = preview["recent"]["examples"].as_array().unwrap();
        examples.contains(&example).then_some(preview)
    });
    assert_eq!(
        preview["link"],
        json!({ "before": "pass", "after": "pass" })
    );
    let recent = &preview["recent"];
    assert!(recent["stops"].as_u64().unwrap() >= 1 && recent["starts"] == 0);
    let agents = &preview["agents"];
    assert!(
        agents["passAfter"].as_u64().unwrap() < agents["passBefore"].as_u64().unwrap(),
        "{agents}"
    );
    assert_eq!(preview["collections"]["stops"], 2, "{preview}");
    assert_eq!(gamma.peer(&delta.did)["trustLevel"], before["trustLevel"]);
    let id = near.send(&unlisted.address, "nothing changed");
    near.wait_for_status(&id, "delivered");

    let _ = patch(gamma, &delta.did, &change);
    refused(&near, &unlisted.address, 403, "NOT_ALLOWED");
    let id = near.send(&listed.address, "as foretold");
    near.wait_for_status(&id, "delivered");

    let private = gamma
        .admin
        .post(&path, &json!({ "trustLevel": "private" }))
        .expect(200);
    assert_eq!(private["link"]["after"], "POLICY_PRIVATE");
    assert_eq!(private["agents"]["passAfter"], 0);
    let open = gamma
        .admin
        .post(
            &path,
            &json!({ "trustLevel": "open", "allowCollections": null }),
        )
        .expect(200);
    assert_eq!(open["collections"]["starts"], 2);
    assert_eq!(open["agents"]["stops"], 0);
    let _ = patch(gamma, &delta.did, &json!({ "trustLevel": "open" }));
    let id = near.send(&unlisted.address, "open again");
    near.wait_for_status(&id, "delivered");
}

#[test]
fn a_preview_counts_what_waits_in_the_queue() {
    let (alpha, peer) = (alpha(), new_peer());
    let sender = alpha.create_agent("queue-preview");
    let agent = peer.add_agent("never-there");
    peer.join(alpha, "open");
    let ids: Vec<_> = (0..3)
        .map(|n| sender.send(&agent.address, &format!("waits {n}")))
        .collect();
    let did = peer.identity.did.as_str();
    let path = format!("{PEERS}/{did}/preview");
    let change = json!({ "trustLevel": "allowlist" });
    let queued = alpha.admin.post(&path, &change).expect(200)["queued"].clone();
    assert_eq!(
        (&queued["passBefore"], &queued["stops"]),
        (&json!(3), &json!(3))
    );
    // Made private, they are refused at once.
    let private = json!({ "trustLevel": "private" });
    let queued = alpha.admin.post(&path, &private).expect(200)["queued"].clone();
    assert_eq!(queued["examples"][0]["after"], "POLICY_PRIVATE");
    let _ = patch(alpha, did, &private);
    for id in &ids {
        sender.wait_for_status(id, "refused");
    }
    alpha
        .admin
        .post(&path, &json!({ "trustlevel": "open" }))
        .refused(400, "INVALID_BODY");
}
