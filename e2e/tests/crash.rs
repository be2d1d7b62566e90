//! Nothing accepted is lost, doubled or reordered when a network is killed; nothing is made anew
//! when its key is wrong.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use entente_e2e::wait::{PATIENCE, wait_for, wait_until};
use entente_e2e::{Agent, Deployment};
use serde_json::{Value, json};

const COUNT: usize = 200;
/// A link that failed while its peer was down dials again within this time.
const RECOVERY: Duration = Duration::from_secs(120);

/// These tests kill networks, so they take turns.
fn deployment() -> (MutexGuard<'static, ()>, &'static Deployment) {
    static TURN: Mutex<()> = Mutex::new(());
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    (turn, SHARED.get_or_init(|| Deployment::start(2)))
}

/// Sends one message until it is accepted; a network that is down is asked again, with the same
/// idempotency key, since an answer may have been lost after the message was accepted.
fn send(from: &Agent, to: &Agent, number: usize) -> String {
    let text = format!("{} says {number}", from.name);
    let body = json!({
        "to": to.address,
        "content": { "kind": "text", "text": text },
        "idempotencyKey": format!("number-{number}"),
    });
    let headers = [("content-type", "application/json")];
    wait_for(&format!("{text:?} to be accepted"), RECOVERY, || {
        let body = body.to_string();
        let reply = from
            .client
            .attempt("POST", &from.path("/messages"), &headers, body.as_bytes())
            .ok()?;
        match reply.status {
            202 => Some(reply.value()["id"].as_str().unwrap().to_owned()),
            500.. => None,
            other => panic!("{text:?} answered {other}: {}", reply.text()),
        }
    })
}

fn send_all(from: &Agent, to: &Agent, sent: &AtomicUsize) -> Vec<String> {
    let next = |number| {
        let id = send(from, to, number);
        sent.fetch_add(1, Ordering::SeqCst);
        id
    };
    (0..COUNT).map(next).collect()
}

fn ids(messages: &[Value]) -> Vec<String> {
    messages
        .iter()
        .map(|message| message["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Each message arrived once and in order, and its sender knows.
fn all_arrived(from: &Agent, to: &Agent, sent: &[String]) {
    wait_until(&format!("{}'s inbox to fill", to.name), RECOVERY, || {
        to.inbox(200).len() >= COUNT
    });
    let inbox = to.inbox(200);
    for (number, message) in inbox.iter().enumerate() {
        assert_eq!(
            message["content"]["text"],
            format!("{} says {number}", from.name)
        );
        assert_eq!(message["from"], from.address);
    }
    assert_eq!(ids(&inbox), sent, "each once, in order");
    for id in sent {
        let status = wait_for(&format!("{id} to be delivered"), RECOVERY, || {
            let status = from.status(id);
            (status["status"] == "delivered").then_some(status)
        });
        assert_eq!(status["receipts"].as_array().unwrap().len(), 2, "{status}");
    }
}

#[test]
fn messages_both_ways_survive_a_network_killed_twice() {
    let (_turn, deployment) = deployment();
    let alice = deployment.network("alpha").create_agent("crash-alice");
    let diana = deployment.network("beta").create_agent("crash-diana");
    let (there, back) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (sent_there, sent_back) = thread::scope(|scope| {
        let one = scope.spawn(|| send_all(&alice, &diana, &there));
        let other = scope.spawn(|| send_all(&diana, &alice, &back));
        for mark in [COUNT / 4, COUNT * 6 / 10] {
            wait_until("traffic in both directions", RECOVERY, || {
                back.load(Ordering::SeqCst) >= mark && there.load(Ordering::SeqCst) >= mark
            });
            deployment.kill9("beta");
            deployment.restart("beta");
        }
        (one.join().unwrap(), other.join().unwrap())
    });
    all_arrived(&alice, &diana, &sent_there);
    all_arrived(&diana, &alice, &sent_back);
    let view = deployment
        .network("alpha")
        .peer(&deployment.network("beta").did);
    assert_eq!(view["queued"], 0, "{view}");
}

#[test]
fn what_was_accepted_while_the_peer_was_down_arrives_when_it_is_back() {
    let (_turn, deployment) = deployment();
    let sender = deployment.network("alpha").create_agent("patient-sender");
    let recipient = deployment.network("beta").create_agent("patient-recipient");
    let first = sender.send(&recipient.address, "before");
    sender.wait_for_status(&first, "delivered");
    deployment.kill9("beta");
    let waiting: Vec<_> = (0..20)
        .map(|number| sender.send(&recipient.address, &format!("{number}")))
        .collect();
    assert_eq!(sender.status(&waiting[19])["status"], "accepted");
    // The sender's own network dies too before the peer is back.
    deployment.kill9("alpha");
    deployment.restart("alpha");
    assert_eq!(sender.status(&waiting[19])["status"], "accepted");
    deployment.restart("beta");
    wait_until("all to arrive", RECOVERY, || {
        recipient.inbox(200).len() > waiting.len()
    });
    assert_eq!(ids(&recipient.inbox(200))[1..], waiting);
    for id in &waiting {
        sender.wait_for_status(id, "delivered");
    }
}

/// Everything by which a network and its agents are known.
fn identity(deployment: &Deployment) -> Vec<Value> {
    let alpha = deployment.network("alpha");
    let get = |path: &str| alpha.public.get(path).expect(200);
    let mut all = vec![
        get("/.well-known/agent-network.json"),
        get("/.well-known/did.json"),
    ];
    all.extend(
        alpha
            .agents
            .iter()
            .map(|agent| get(&format!("/relay/agents/{}", agent.did))),
    );
    all
}

#[test]
fn a_wrong_master_key_serves_no_agent_and_makes_nothing_anew() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let (alice, bob) = (deployment.agent("alice"), deployment.agent("bob"));
    let id = alice.send("bob", "before the wrong key");
    bob.wait_for_message(&id);
    let before = identity(deployment);
    deployment.kill9("alpha");
    let wrong = "A".repeat(43);
    for (key, code) in [
        (Some(wrong.as_str()), "MASTER_KEY_WRONG"),
        (Some("too short"), "MASTER_KEY_WRONG"),
        (None, "MASTER_KEY_MISSING"),
    ] {
        let running = deployment.run_misconfigured("alpha", &[("ENCRYPTION_MASTER_KEY", key)]);
        let health = alpha.public.get("/health").expect(503);
        assert_eq!(
            (&health["status"], &health["problems"]),
            (&json!("error"), &json!([code]))
        );
        alpha
            .admin
            .post("/admin/init", &json!({}))
            .refused(503, code);
        alpha
            .admin
            .post("/agents", &json!({ "name": "unborn" }))
            .refused(503, code);
        alpha.admin.delete("/agents/bob").refused(503, code);
        bob.client.get(&bob.path("/inbox")).refused(503, code);
        let body = json!({ "to": "bob", "content": { "kind": "text", "text": "?" } });
        alice
            .client
            .post(&alice.path("/messages"), &body)
            .refused(503, code);
        alpha.public.get("/relay/agents/bob").refused(503, code);
        drop(running);
    }
    deployment.restart("alpha");
    assert_eq!(identity(deployment), before, "the same keys as before");
    bob.wait_for_message(&id);
    let id = alice.send("bob", "after the right key");
    bob.wait_for_message(&id);
    assert_eq!(alpha.admin.get("/agents/unborn").status, 404);
}

#[test]
fn a_weak_or_missing_admin_key_locks_the_door() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    deployment.kill9("alpha");
    for key in [None, Some("short")] {
        let running = deployment.run_misconfigured("alpha", &[("ADMIN_API_KEY", key)]);
        let health = alpha.public.get("/health").expect(503);
        assert_eq!(health["problems"], json!(["ADMIN_KEY_MISSING"]));
        let reply = alpha.public.with_key(key.unwrap_or("")).get("/agents");
        assert!([401, 503].contains(&reply.status), "{}", reply.text());
        drop(running);
    }
    deployment.restart("alpha");
    wait_for("health", PATIENCE, || {
        (alpha.public.get("/health").status == 200).then_some(())
    });
}
