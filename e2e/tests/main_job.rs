//! The main job: networks that peer, and messages that cross between their agents.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::collections::BTreeSet;
use std::sync::OnceLock;

use entente_e2e::client::Reply;
use entente_e2e::fake_peer::{FakePeer, OnDial};
use entente_e2e::wait::{PATIENCE, wait_for, wait_until};
use entente_e2e::{Deployment, Options, Socket};
use serde_json::{Value, json};

fn deployment() -> &'static Deployment {
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    SHARED.get_or_init(|| Options::default().networks(3).fake_peers(4).start())
}

fn text(text: &str) -> Value {
    json!({ "kind": "text", "text": text })
}

fn statuses(message: &Value) -> Vec<&str> {
    let receipts = message["receipts"].as_array().expect("receipts");
    receipts
        .iter()
        .map(|receipt| receipt["status"].as_str().unwrap())
        .collect()
}

#[test]
fn a_network_publishes_a_signed_document_that_names_it() {
    for network in deployment().networks() {
        let reply = network.public.get("/.well-known/agent-network.json");
        let document = reply.expect(200);
        assert_eq!(document["did"], network.did);
        assert_eq!(document["relay"], format!("ws://{}/relay", network.host));
        assert!(document["publicKey"].as_str().unwrap().starts_with("z6Mk"));
        assert_eq!(document["federation"]["allowInbound"], true);
        assert_eq!(document["federation"]["allowOutbound"], true);
        assert!(document["federation"]["trustLevel"].is_string());
        assert_eq!(document["proof"]["cryptosuite"], "eddsa-jcs-2022");
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        assert!(
            reply
                .header("content-type")
                .unwrap()
                .starts_with("application/json")
        );
        assert!(reply.header("etag").is_some() && reply.header("cache-control").is_some());
    }
}

#[test]
fn a_network_and_its_agents_have_did_web_documents() {
    let alpha = deployment().network("alpha");
    let did = alpha.public.get("/.well-known/did.json").expect(200);
    let web = format!("did:web:{}", alpha.host.replace(':', "%3A"));
    assert_eq!(did["id"], web);
    assert!(
        did["verificationMethod"]
            .as_array()
            .is_some_and(|methods| !methods.is_empty())
    );
    let agent = alpha.public.get("/agents/alice/did.json").expect(200);
    assert_eq!(agent["id"], format!("{web}:agents:alice"));
    assert!(
        agent["alsoKnownAs"]
            .as_array()
            .unwrap()
            .contains(&json!(deployment().agent("alice").did))
    );
}

#[test]
fn health_says_ok_without_a_key() {
    for network in deployment().networks() {
        let health = network.public.get("/health").expect(200);
        assert_eq!(
            (&health["status"], &health["problems"]),
            (&json!("ok"), &json!([]))
        );
        assert!(health["version"].is_string());
    }
}

#[test]
fn the_key_directory_shows_an_agents_card_by_did_and_by_name() {
    let beta = deployment().network("beta");
    let diana = deployment().agent("diana");
    let card = beta
        .public
        .get(&format!("/relay/agents/{}", diana.did))
        .expect(200);
    assert_eq!(card["did"], diana.did);
    assert_eq!(card["name"], "diana");
    assert!(card["proof"].is_object() && card["networkProof"].is_object());
    assert_eq!(beta.public.get("/relay/agents/diana").expect(200), card);
}

#[test]
fn the_networks_are_peered_as_a_chain() {
    let deployment = deployment();
    let (alpha, beta, gamma) = (
        deployment.network("alpha"),
        deployment.network("beta"),
        deployment.network("gamma"),
    );
    for (network, hosts) in [
        (alpha, vec![&beta.host]),
        (beta, vec![&alpha.host, &gamma.host]),
        (gamma, vec![&beta.host]),
    ] {
        let known: BTreeSet<_> = deployment
            .networks()
            .iter()
            .map(|n| n.host.as_str())
            .collect();
        let peers = network.public.get("/relay/peers").expect(200);
        let found: BTreeSet<_> = peers["peers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|peer| peer["host"].as_str().unwrap())
            .filter(|host| known.contains(host))
            .collect();
        assert_eq!(
            found,
            hosts.into_iter().map(String::as_str).collect(),
            "{}",
            network.name
        );
    }
    let peer = alpha.peer(&beta.did);
    assert!(
        ["up", "idle"].contains(&peer["state"].as_str().unwrap()),
        "{peer}"
    );
    assert_eq!(
        (&peer["did"], &peer["host"]),
        (&json!(beta.did), &json!(beta.host))
    );
    assert_eq!(
        peer["fingerprint"].as_str().unwrap().split(' ').count(),
        8,
        "{peer}"
    );
    let public = &alpha.public.get("/relay/peers").expect(200)["peers"][0];
    let shown: BTreeSet<_> = public
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        shown,
        BTreeSet::from(["did", "host", "trustLevel", "state"])
    );
}

#[test]
fn a_message_crosses_and_its_answer_comes_back() {
    let deployment = deployment();
    let (alice, diana) = (deployment.agent("alice"), deployment.agent("diana"));
    let id = alice.send_body(&json!({
        "to": diana.address, "content": text("How are you, Diana?"), "thread": "greetings", "priority": 5,
    }));
    let status = alice.wait_for_status(&id, "delivered");
    assert_eq!(statuses(&status), ["accepted", "delivered"]);
    assert_eq!(status["receipts"][0]["by"], deployment.network("alpha").did);
    assert_eq!(status["receipts"][1]["by"], deployment.network("beta").did);
    assert_eq!(
        (&status["from"], &status["to"]),
        (&json!(alice.address), &json!(diana.address))
    );

    let message = diana.wait_for_message(&id);
    assert_eq!(message["content"], text("How are you, Diana?"));
    assert_eq!(
        (&message["from"], &message["to"]),
        (&json!(alice.address), &json!(diana.address))
    );
    assert_eq!(
        (&message["thread"], &message["priority"]),
        (&json!("greetings"), &json!(5))
    );
    assert!(message["createdAt"].as_str() <= message["receivedAt"].as_str());

    let answer = diana.send(message["from"].as_str().unwrap(), "Very well!");
    diana.wait_for_status(&answer, "delivered");
    let answer = alice.wait_for_message(&answer);
    assert_eq!(
        (&answer["content"], &answer["from"]),
        (&text("Very well!"), &json!(diana.address))
    );
    assert_eq!(answer["priority"], 3);
}

#[test]
fn a_message_stays_on_its_network_when_both_agents_do() {
    let (alice, bob) = (deployment().agent("alice"), deployment().agent("bob"));
    let id = alice.send("bob", "Are you in?");
    assert_eq!(bob.wait_for_message(&id)["from"], alice.address);
    let status = alice.wait_for_status(&id, "delivered");
    assert_eq!(statuses(&status), ["accepted", "delivered"]);
    assert_eq!(
        status["receipts"][1]["by"],
        deployment().network("alpha").did
    );
}

#[test]
fn all_four_forms_of_an_address_reach_the_agent() {
    let deployment = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let sender = alpha.create_agent("forms-sender");
    let near = alpha.create_agent("forms-near");
    let far = beta.create_agent("forms-far");
    let forms = [
        (&near, near.name.clone()),
        (&near, near.did.clone()),
        (&near, format!("{}@{}", near.name, alpha.host)),
        (&near, near.address.clone()),
        (&far, format!("{}@{}", far.name, beta.host)),
        (&far, far.address.clone()),
    ];
    for (recipient, form) in forms {
        let id = sender.send(&form, &form);
        assert_eq!(
            recipient.wait_for_message(&id)["to"],
            recipient.address,
            "{form}"
        );
        sender.wait_for_status(&id, "delivered");
    }
}

#[test]
fn all_three_kinds_of_content_arrive_as_they_were_sent() {
    let (alice, diana) = (deployment().agent("alice"), deployment().agent("diana"));
    for content in [
        json!({ "kind": "text", "text": "ünïcode 🦀 \u{0} and \"quotes\"" }),
        json!({ "kind": "json", "data": { "deep": [1, 2.5, null, { "x": true }], "empty": {} } }),
        json!({ "kind": "ref", "uri": "https://example.com/a?b=c#d" }),
    ] {
        let id = alice.send_body(&json!({ "to": diana.address, "content": content }));
        assert_eq!(diana.wait_for_message(&id)["content"], content);
    }
}

#[test]
fn sending_to_a_network_that_is_no_peer_is_refused_at_once() {
    let (alice, frank) = (deployment().agent("alice"), deployment().agent("frank"));
    for to in [
        frank.address.clone(),
        "someone@network.example.com".to_owned(),
    ] {
        let body = json!({ "to": to, "content": text("Hello?") });
        alice
            .client
            .post(&alice.path("/messages"), &body)
            .refused(422, "NOT_PEERED");
    }
}

#[test]
fn an_idempotency_key_sends_once() {
    let deployment = deployment();
    let sender = deployment.network("alpha").create_agent("once-sender");
    let recipient = deployment.network("beta").create_agent("once-recipient");
    let body =
        json!({ "to": recipient.address, "content": text("once"), "idempotencyKey": "key-1" });
    let id = sender.send_body(&body);
    assert_eq!(sender.send_body(&body), id);
    sender.wait_for_status(&id, "delivered");
    assert_eq!(sender.send_body(&body), id);
    let other =
        json!({ "to": recipient.address, "content": text("twice"), "idempotencyKey": "key-1" });
    sender
        .client
        .post(&sender.path("/messages"), &other)
        .refused(409, "IDEMPOTENCY_MISMATCH");
    let last = sender.send(&recipient.address, "last");
    recipient.wait_for_message(&last);
    assert_eq!(recipient.inbox(200).len(), 2);
}

#[test]
fn a_socket_carries_many_sends_in_flight_receipts_and_arrivals() {
    const COUNT: usize = 120;
    let deployment = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let sender = alpha.create_agent("flood-sender");
    let recipient = beta.create_agent("flood-recipient");
    let bearer = |token: &str| format!("Bearer {token}");
    let url = format!("{}{}", beta.url, recipient.path("/ws"));
    let mut far =
        Socket::open(&url, &[("authorization", &bearer(&recipient.token))]).expect("an upgrade");
    let url = format!("{}{}", alpha.url, sender.path("/ws"));
    let mut near =
        Socket::open(&url, &[("authorization", &bearer(&sender.token))]).expect("an upgrade");
    for number in 0..COUNT {
        let body = text(&format!("number {number}"));
        near.send(&json!({ "type": "send", "ref": number.to_string(), "to": recipient.address, "content": body }));
    }
    let (mut ids, mut delivered) = (vec![None; COUNT], BTreeSet::new());
    while delivered.len() < COUNT {
        let notice = near.next("a notice for the sender");
        match notice["type"].as_str().unwrap() {
            "accepted" => {
                let number: usize = notice["ref"].as_str().unwrap().parse().unwrap();
                let id = notice["id"].as_str().unwrap().to_owned();
                assert!(
                    ids[number].replace(id).is_none(),
                    "accepted twice: {notice}"
                );
            }
            "receipt" => {
                if notice["status"] == "delivered" {
                    assert_eq!(notice["by"], beta.did);
                    assert!(
                        delivered.insert(notice["id"].as_str().unwrap().to_owned()),
                        "{notice}"
                    );
                }
            }
            other => panic!("unexpected {other}: {notice}"),
        }
    }
    assert_eq!(delivered, ids.into_iter().map(Option::unwrap).collect());
    for number in 0..COUNT {
        let message = far.until("a message", |notice| notice["type"] == "message");
        assert_eq!(
            message["content"],
            text(&format!("number {number}")),
            "in order"
        );
        assert_eq!(message["from"], sender.address);
    }
    assert_eq!(recipient.inbox(50).len(), COUNT);
}

#[test]
fn a_socket_says_what_is_wrong_with_a_send_and_goes_on() {
    let alpha = deployment().network("alpha");
    let sender = alpha.create_agent("socket-errors");
    let url = format!("{}{}", alpha.url, sender.path("/ws"));
    let mut socket = Socket::open(
        &url,
        &[("authorization", &format!("Bearer {}", sender.token))],
    )
    .expect("an upgrade");
    socket.send(
        &json!({ "type": "send", "ref": "a", "to": "x@network.example.com", "content": text("?") }),
    );
    let error = socket.next("an error");
    assert_eq!(
        (&error["type"], &error["ref"]),
        (&json!("error"), &json!("a"))
    );
    assert_eq!(error["error"]["code"], "NOT_PEERED");
    socket.send_text("{ no json");
    assert_eq!(socket.next("an error")["type"], "error");
    socket.send(&json!({ "type": "dance", "ref": "b" }));
    assert_eq!(socket.next("an error")["type"], "error");
    socket
        .send(&json!({ "type": "send", "ref": "c", "to": "alice", "content": text("still here") }));
    assert_eq!(
        socket.until("an answer", |notice| notice["ref"] == "c")["type"],
        "accepted"
    );
}

#[test]
fn a_ticket_opens_one_socket_once() {
    let alpha = deployment().network("alpha");
    let agent = alpha.create_agent("ticket-holder");
    let other = alpha.create_agent("ticket-other");
    let ticket = agent
        .client
        .post(&agent.path("/ticket"), &json!({}))
        .expect(200);
    let protocol = format!("entente.ticket.{}", ticket["ticket"].as_str().unwrap());
    let open = |who: &str| {
        let url = format!("{}/agents/{who}/ws", alpha.url);
        Socket::open(&url, &[("sec-websocket-protocol", &protocol)])
    };
    assert!(
        matches!(open(&other.name), Err((401 | 403, _))),
        "another agent's ticket"
    );
    let mut socket = open(&agent.name).expect("an upgrade");
    assert_eq!(socket.protocol.as_deref(), Some(protocol.as_str()));
    socket
        .send(&json!({ "type": "send", "ref": "1", "to": "alice", "content": text("by ticket") }));
    assert_eq!(
        socket.until("an answer", |notice| notice["ref"] == "1")["type"],
        "accepted"
    );
    assert!(
        matches!(open(&agent.name), Err((401 | 403, _))),
        "a ticket used twice"
    );
}

#[test]
fn the_directory_answers_sql() {
    let alpha = deployment().network("alpha");
    let answer = deployment().sql("alpha", "SELECT did FROM network_identity");
    assert!(answer.contains(&alpha.did), "{answer}");
}

#[test]
fn init_is_idempotent() {
    let alpha = deployment().network("alpha");
    for _ in 0..2 {
        let reply = alpha.admin.post("/admin/init", &json!({}));
        assert!((200..300).contains(&reply.status), "{}", reply.text());
        assert_eq!(reply.value()["did"], alpha.did);
    }
}

#[test]
fn an_agent_is_created_listed_and_deleted() {
    let alpha = deployment().network("alpha");
    let body =
        json!({ "name": "short-lived", "model": "some-model", "config": { "mood": "good" } });
    let created = alpha.admin.post("/agents", &body).expect(201);
    assert!(created["token"].as_str().unwrap().starts_with("ent_"));
    assert_eq!(
        created["address"],
        format!("{}@{}", created["did"].as_str().unwrap(), alpha.host)
    );
    for key in ["signing", "encryption", "hybrid"] {
        assert!(
            created["publicKeys"][key]
                .as_str()
                .unwrap()
                .starts_with('z'),
            "{created}"
        );
    }
    let shown = alpha.admin.get("/agents/short-lived").expect(200);
    assert_eq!(
        (&shown["did"], &shown["model"]),
        (&created["did"], &json!("some-model"))
    );
    assert_eq!(
        (&shown["status"], &shown["adminRead"]),
        (&json!("active"), &json!(false))
    );
    assert!(
        !shown.to_string().contains("ent_"),
        "the token is shown once only"
    );
    let listed = |name: &str| {
        let agents = alpha.admin.get("/agents").expect(200);
        agents["agents"]
            .as_array()
            .unwrap()
            .iter()
            .any(|agent| agent["name"] == name)
    };
    assert!(listed("short-lived") && listed("alice"));
    let deleted = alpha.admin.delete("/agents/short-lived");
    assert!((200..300).contains(&deleted.status), "{}", deleted.text());
    assert!(!listed("short-lived"));
    assert_eq!(alpha.admin.get("/agents/short-lived").status, 404);
    let again = alpha.create_agent("short-lived");
    assert_ne!(
        created["did"], again.did,
        "a name may come back, a DID never does"
    );
}

#[test]
fn the_admin_reads_mail_only_where_the_agent_lets_it() {
    let alpha = deployment().network("alpha");
    let open = alpha.create_agent_with("reads-open", json!({ "adminRead": true }));
    let closed = alpha.create_agent("reads-closed");
    for agent in [&open, &closed] {
        let id = deployment()
            .agent("alice")
            .send(&agent.name, "for your eyes");
        agent.wait_for_message(&id);
    }
    let inbox = alpha.admin.get(&open.path("/inbox")).expect(200);
    assert_eq!(inbox["messages"][0]["content"], text("for your eyes"));
    assert_eq!(alpha.admin.get(&closed.path("/inbox")).status, 403);
    let audit = deployment().sql("alpha", "SELECT action, target FROM audit");
    assert!(audit.contains("reads-open"), "reading is audited: {audit}");
}

#[test]
fn mail_to_a_deleted_agent_is_refused_to_its_sender() {
    let deployment = deployment();
    let beta = deployment.network("beta");
    let sender = deployment.network("alpha").create_agent("mourner");
    let victim = beta.create_agent("soon-gone");
    let before = sender.send(&victim.address, "still there?");
    sender.wait_for_status(&before, "delivered");
    assert!((200..300).contains(&beta.admin.delete("/agents/soon-gone").status));
    let body = json!({ "to": victim.address, "content": text("and now?") });
    let reply: Reply = sender.client.post(&sender.path("/messages"), &body);
    let id = reply.expect(202)["id"].as_str().unwrap().to_owned();
    let status = sender.wait_for_status(&id, "refused");
    let last = status["receipts"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert!(
        ["AGENT_DELETED", "UNKNOWN_AGENT"].contains(&last["code"].as_str().unwrap()),
        "{status}"
    );
    assert_eq!(last["by"], beta.did);
    let directory = beta.public.get(&format!("/relay/agents/{}", victim.did));
    assert!(
        [404, 410].contains(&directory.status),
        "{}",
        directory.text()
    );
}

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
    let both = |id: &str, from: &entente_e2e::Agent, to: &entente_e2e::Agent| {
        from.wait_for_status(id, "delivered");
        to.wait_for_message(id);
    };
    let refused = |from: &entente_e2e::Agent, to: &entente_e2e::Agent, code: &str| {
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
fn the_level_verified_says_that_it_is_not_available_yet() {
    let beta = deployment().network("beta");
    let alpha = deployment().network("alpha");
    let path = format!("/admin/federation/peers/{}", alpha.did);
    beta.admin
        .patch(&path, &json!({ "trustLevel": "verified" }))
        .refused(422, "TRUST_LEVEL_UNAVAILABLE");
    assert_eq!(beta.peer(&alpha.did)["trustLevel"], "open");
    let body = json!({ "peerUrl": alpha.url, "trustLevel": "verified" });
    beta.admin
        .post("/admin/federation/peers", &body)
        .refused(422, "TRUST_LEVEL_UNAVAILABLE");
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

#[test]
fn the_firehose_shows_the_admin_names_and_an_observer_none() {
    let deployment = deployment();
    let alpha = deployment.network("alpha");
    let sender = alpha.create_agent("watched-sender");
    let recipient = deployment.network("beta").create_agent("watched-recipient");
    let url = format!("{}/relay/firehose", alpha.url);
    let ticket = alpha.admin.post("/admin/ticket", &json!({})).expect(200);
    let protocol = format!("entente.ticket.{}", ticket["ticket"].as_str().unwrap());
    let mut admin =
        Socket::open(&url, &[("sec-websocket-protocol", &protocol)]).expect("an upgrade");
    assert!(
        Socket::open(&url, &[("sec-websocket-protocol", &protocol)]).is_err(),
        "a ticket used twice"
    );
    let mut observer = Socket::open(&url, &[]).expect("an upgrade");
    let first = admin.next("the status");
    assert_eq!(
        (&first["type"], &first["viewer"]),
        (&json!("status"), &json!("admin"))
    );
    assert_eq!(first["network"]["did"], alpha.did);
    let first = observer.next("the status");
    assert_eq!(
        (&first["type"], &first["viewer"]),
        (&json!("status"), &json!("observer"))
    );

    let id = sender.send(&recipient.address, "watch this body");
    sender.wait_for_status(&id, "delivered");
    let mut seen = Vec::new();
    let delivered = admin.until("the delivery", |frame| {
        seen.push(frame.clone());
        frame["event"]["kind"] == "message.delivered" && frame["event"]["message"] == id.as_str()
    });
    assert_eq!(delivered["event"]["from"], sender.address);
    assert_eq!(delivered["event"]["to"], recipient.address);
    assert_eq!(delivered["event"]["peer"], deployment.network("beta").host);
    assert!(delivered["event"]["latencyMs"].is_u64());
    assert!(
        !seen
            .iter()
            .any(|frame| frame.to_string().contains("watch this body"))
    );

    let seq = delivered["event"]["seq"].clone();
    let mut raw = Vec::new();
    let same = observer.until("the same event", |frame| {
        raw.push(frame.to_string());
        frame["event"]["seq"] == seq
    });
    assert_eq!(same["event"]["kind"], "message.delivered");
    assert_ne!(same["event"]["from"], same["event"]["to"]);
    let raw = raw.concat();
    for secret in [
        &sender.name,
        &sender.did,
        &recipient.name,
        &recipient.did,
        &id,
        "watch this body",
        "alice",
    ] {
        assert!(!raw.contains(secret), "an observer saw {secret}");
    }

    let cursor = seen
        .iter()
        .find_map(|frame| frame["cursor"].as_str())
        .expect("a cursor")
        .to_owned();
    let mut later = Socket::open(&format!("{url}?cursor={cursor}"), &[]).expect("an upgrade");
    let _ = later.until("an event after the cursor", |frame| {
        frame["event"]["seq"] == seq
    });
}

#[test]
fn the_inbox_is_read_in_pages_and_from_a_cursor() {
    let alpha = deployment().network("alpha");
    let (sender, recipient) = (
        alpha.create_agent("page-sender"),
        alpha.create_agent("page-recipient"),
    );
    let ids: Vec<_> = (0..7)
        .map(|number| sender.send(&recipient.name, &format!("page {number}")))
        .collect();
    recipient.wait_for_message(&ids[6]);
    let found: Vec<_> = recipient
        .inbox(3)
        .iter()
        .map(|m| m["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, ids);
    let all = recipient.client.get(&recipient.path("/inbox")).expect(200);
    let cursor = all["cursor"].as_str().unwrap();
    let next = sender.send(&recipient.name, "one more");
    let page = wait_for("the next message after the cursor", PATIENCE, || {
        let page = recipient
            .client
            .get(&recipient.path(&format!("/inbox?cursor={cursor}")))
            .expect(200);
        (page["messages"] != json!([])).then_some(page)
    });
    assert_eq!(page["messages"].as_array().unwrap().len(), 1);
    assert_eq!(page["messages"][0]["id"], next);
    let sent = sender
        .client
        .get(&sender.path("/messages?direction=out&limit=5"))
        .expect(200);
    assert_eq!(sent["messages"].as_array().unwrap().len(), 5);
    assert!(
        sent["messages"]
            .as_array()
            .unwrap()
            .iter()
            .all(|message| message["direction"] == "out")
    );
}

#[test]
fn a_new_token_replaces_the_old_one() {
    let alpha = deployment().network("alpha");
    let agent = alpha.create_agent("token-turner");
    let reply = agent.client.post(&agent.path("/token"), &json!({}));
    assert!((200..300).contains(&reply.status), "{}", reply.text());
    let fresh = reply.value()["token"].as_str().unwrap().to_owned();
    assert_eq!(agent.client.get(&agent.path("/inbox")).status, 401);
    assert_eq!(
        alpha
            .public
            .with_key(&fresh)
            .get(&agent.path("/inbox"))
            .status,
        200
    );
}
