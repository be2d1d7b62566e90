//! Peers, and what may cross to them.

use entente_e2e::Agent;
use entente_e2e::fake_peer::{FakePeer, OnDial};
use entente_e2e::wait::{PATIENCE, wait_until};
use serde_json::json;

use super::{deployment, statuses, text};

#[test]
fn deleting_a_peer_refuses_the_mail_that_waits_for_it() {
    let deployment = deployment();
    let alpha = deployment.network("alpha");
    let sender = alpha.create_agent("waiting-sender");
    let peer = FakePeer::start(deployment.take_peer_port());
    peer.on_dial(OnDial::Hold);
    let agent = peer.add_agent("nobody");
    peer.join(alpha, "open");
    let ids: Vec<_> = (0..3)
        .map(|n| sender.send(&agent.address, &format!("waiting {n}")))
        .collect();
    let view = alpha.peer(peer.identity.did.as_str());
    assert_eq!(view["queued"], 3, "{view}");
    assert_eq!(sender.status(&ids[0])["status"], "accepted");
    let reply = alpha
        .admin
        .delete(&format!("/admin/federation/peers/{}", peer.identity.did));
    assert!((200..300).contains(&reply.status), "{}", reply.text());
    for id in &ids {
        let status = sender.wait_for_status(id, "refused");
        assert_eq!(statuses(&status), ["accepted", "refused"]);
        assert_eq!(status["receipts"][1]["code"], "PEER_REMOVED", "{status}");
        assert_eq!(status["receipts"][1]["by"], alpha.did);
    }
    assert_eq!(
        alpha
            .admin
            .get(&format!("/admin/federation/peers/{}", peer.identity.did))
            .status,
        404
    );
    let body = json!({ "to": agent.address, "content": text("and now?") });
    sender
        .client
        .post(&sender.path("/messages"), &body)
        .refused(422, "NOT_PEERED");
}

/// The link beta–gamma is this test's alone: it changes what may cross.
#[test]
fn the_level_of_a_peer_decides_what_crosses() {
    let deployment = deployment();
    let (beta, gamma) = (deployment.network("beta"), deployment.network("gamma"));
    let near = beta.create_agent("level-near");
    let (listed, unlisted) = (
        gamma.create_agent("level-listed"),
        gamma.create_agent("level-unlisted"),
    );
    let path = format!("/admin/federation/peers/{}", gamma.did);
    let both = |id: &str, from: &Agent, to: &Agent| {
        from.wait_for_status(id, "delivered");
        to.wait_for_message(id);
    };
    let refused = |from: &Agent, to: &Agent, code: &str| {
        let body = json!({ "to": to.address, "content": text("may I?") });
        let reply = from.client.post(&from.path("/messages"), &body);
        if reply.status == 202 {
            let id = reply.value()["id"].as_str().unwrap().to_owned();
            let status = from.wait_for_status(&id, "refused");
            assert_eq!(status["receipts"][1]["code"], code, "{status}");
            assert!(
                !to.inbox(200)
                    .iter()
                    .any(|message| message["id"] == id.as_str())
            );
        } else {
            reply.refused(403, code);
        }
    };

    both(&near.send(&listed.address, "open"), &near, &listed);

    let list = json!({ "trustLevel": "allowlist", "allowAgents": [listed.did] });
    let view = beta.admin.patch(&path, &list).expect(200);
    assert_eq!(
        (&view["trustLevel"], &view["allowAgents"]),
        (&json!("allowlist"), &json!([listed.did]))
    );
    both(&near.send(&listed.address, "listed, out"), &near, &listed);
    both(&listed.send(&near.address, "listed, in"), &listed, &near);
    refused(&near, &unlisted, "NOT_ALLOWED");
    refused(&unlisted, &near, "NOT_ALLOWED");
    wait_until("the granted level to be the stricter one", PATIENCE, || {
        gamma.peer(&beta.did)["granted"] == "allowlist"
    });

    let _ = beta
        .admin
        .patch(&path, &json!({ "allowAgents": [] }))
        .expect(200);
    refused(&near, &listed, "NOT_ALLOWED");

    let _ = beta
        .admin
        .patch(&path, &json!({ "trustLevel": "private" }))
        .expect(200);
    refused(&near, &listed, "POLICY_PRIVATE");
    beta.wait_for_peer(&gamma.did, "refused");
    let waiting = listed.send(&near.address, "into the void");
    assert_eq!(listed.status(&waiting)["status"], "accepted");

    let _ = beta
        .admin
        .patch(&path, &json!({ "trustLevel": "open" }))
        .expect(200);
    both(&near.send(&listed.address, "open again"), &near, &listed);
    both(&waiting, &listed, &near);
    beta.wait_for_peer(&gamma.did, "up");
}

#[test]
fn adding_a_peer_again_replaces_its_policy() {
    let deployment = deployment();
    let alpha = deployment.network("alpha");
    let peer = FakePeer::start(deployment.take_peer_port());
    let view = peer.join(alpha, "open");
    assert_eq!(
        (&view["did"], &view["trustLevel"]),
        (&json!(peer.identity.did.as_str()), &json!("open"))
    );
    let view = peer.join(alpha, "allowlist");
    assert_eq!(
        (&view["trustLevel"], &view["allowAgents"]),
        (&json!("allowlist"), &json!([]))
    );
    let peers = alpha.admin.get("/admin/federation/peers").expect(200);
    let hosts = peers["peers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| p["host"] == peer.identity.host.as_str());
    assert_eq!(hosts.count(), 1);
}
