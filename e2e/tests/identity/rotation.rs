//! Both sides rotate while mail flows both ways.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use entente_e2e::wait::{wait_for, wait_until};
use entente_e2e::{Agent, Network};
use entente_trust::identity::Log;
use serde_json::{Value, json};

use super::deployment;

const COUNT: usize = 120;
const LIMIT: Duration = Duration::from_secs(120);

fn send_all(from: &Agent, to: &Agent, sent: &AtomicUsize) -> Vec<String> {
    let next = |number: usize| {
        let id = from.send(&to.address, &format!("number {number}"));
        sent.fetch_add(1, Ordering::SeqCst);
        id
    };
    (0..COUNT).map(next).collect()
}

fn all_arrived(from: &Agent, to: &Agent, sent: &[String]) {
    wait_until(&format!("{}'s inbox to fill", to.name), LIMIT, || {
        to.inbox(200).len() >= COUNT
    });
    let ids: Vec<Value> = to
        .inbox(200)
        .iter()
        .map(|message| message["id"].clone())
        .collect();
    assert_eq!(ids, sent, "each once, in order");
    for id in sent {
        let status = wait_for(&format!("{id} to end"), LIMIT, || {
            let status = from.status(id);
            (status["status"] != "accepted").then_some(status)
        });
        assert_eq!(status["status"], "delivered", "{status}");
    }
}

fn rotate_network(network: &Network) -> Value {
    network
        .admin
        .post("/admin/keys/rotate", &json!({}))
        .expect(200)
}

fn rotate_agent(network: &Network, agent: &Agent) -> Value {
    let path = format!("/agents/{}/keys/rotate", agent.name);
    network.admin.post(&path, &json!({})).expect(200)
}

fn document(network: &Network) -> Value {
    network
        .public
        .get("/.well-known/agent-network.json")
        .expect(200)
}

fn log(network: &Network, path: &str) -> Vec<Value> {
    let reply = network.public.get(path);
    assert_eq!(reply.status, 200);
    reply
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn keys_of_both_sides_rotate_under_traffic_and_nothing_is_lost() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let alice = alpha.create_agent("turning-alice");
    let diana = beta.create_agent("turning-diana");
    let (before, seq) = (document(alpha), document(alpha)["seq"].as_u64().unwrap());
    let (there, back) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (sent_there, sent_back) = thread::scope(|scope| {
        let one = scope.spawn(|| send_all(&alice, &diana, &there));
        let other = scope.spawn(|| send_all(&diana, &alice, &back));
        let turns: [&dyn Fn() -> Value; 5] = [
            &|| rotate_network(alpha),
            &|| rotate_agent(alpha, &alice),
            &|| rotate_network(beta),
            &|| rotate_agent(beta, &diana),
            &|| rotate_network(alpha),
        ];
        for (place, turn) in turns.iter().enumerate() {
            let mark = COUNT * (place + 1) / 7;
            wait_until("traffic in both directions", LIMIT, || {
                there.load(Ordering::SeqCst) >= mark && back.load(Ordering::SeqCst) >= mark
            });
            turn();
        }
        (one.join().unwrap(), other.join().unwrap())
    });
    all_arrived(&alice, &diana, &sent_there);
    all_arrived(&diana, &alice, &sent_back);
    let after = document(alpha);
    assert_eq!(after["did"], before["did"]);
    assert_eq!(after["seq"], seq + 2);
    assert_ne!(after["publicKey"], before["publicKey"]);
    let old = &after["keys"]["signing"][2];
    assert_eq!(old["publicKeyMultibase"], before["publicKey"]);
    assert!(old["validUntil"].is_string());
    for (network, peer) in [(alpha, beta), (beta, alpha)] {
        let view = network.peer(&peer.did);
        assert_ne!(view["state"], "frozen", "{view}");
        assert_eq!(view["queued"], 0, "{view}");
    }
    let path = format!("/relay/agents/{}/log", alice.did);
    assert_eq!(log(alpha, &path).len(), 2);
    let page = log(alpha, "/.well-known/agent-network-log.jsonl?from=1");
    assert_eq!(page[0]["seq"], 1);
}

#[test]
fn an_idle_link_whose_both_ends_rotated_carries_the_next_message() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let (alice, diana) = (deployment.agent("alice"), deployment.agent("diana"));
    rotate_network(alpha);
    rotate_network(beta);
    rotate_agent(alpha, alice);
    rotate_agent(beta, diana);
    for (from, to) in [(alice, diana), (diana, alice)] {
        let id = from.send(&to.address, "under new keys");
        to.wait_for_message(&id);
        from.wait_for_status(&id, "delivered");
    }
    // An agent that is born now has a card that only the new key countersigned.
    let newcomer = beta.create_agent("newcomer");
    let id = alice.send(&newcomer.address, "welcome");
    newcomer.wait_for_message(&id);
}

/// Whether a network is itself: its document's key is the one that its log leads to.
fn is_itself(network: &Network) {
    let entries = log(network, "/.well-known/agent-network-log.jsonl");
    assert_eq!(
        entries.len() as u64,
        document(network)["seq"].as_u64().unwrap() + 1
    );
    let text = network
        .public
        .get("/.well-known/agent-network-log.jsonl")
        .text();
    let proven = Log::parse(&text).expect("an unbroken log");
    let key = document(network)["publicKey"].clone();
    assert!(
        proven.keys().signing.commits_to(key.as_str().unwrap()),
        "{key}"
    );
}

#[test]
fn a_network_killed_while_it_rotates_is_itself_afterwards() {
    let (_turn, deployment) = deployment();
    let (alpha, alice, diana) = (
        deployment.network("alpha"),
        deployment.agent("alice"),
        deployment.agent("diana"),
    );
    let seq = || document(alpha)["seq"].as_u64().unwrap();
    // Killed at once, when the log has the new entry, and when the answer is there.
    for round in 0..6 {
        let before = seq();
        let answered = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                let headers = [("content-type", "application/json")];
                for path in ["/admin/keys/rotate", "/agents/alice/keys/rotate"] {
                    let _ = alpha.admin.attempt("POST", path, &headers, b"{}");
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
            match round % 3 {
                0 => {}
                1 => wait_until("the new entry", LIMIT, || seq() > before),
                _ => wait_until("the answer", LIMIT, || answered.load(Ordering::SeqCst) > 0),
            }
            deployment.kill9("alpha");
        });
        deployment.restart("alpha");
        is_itself(alpha);
        if round % 3 != 0 {
            assert!(seq() > before, "an entry that was shown is kept");
        }
        for (from, to) in [(alice, diana), (diana, alice)] {
            let id = from.send(&to.address, "after the kill");
            to.wait_for_message(&id);
            from.wait_for_status(&id, "delivered");
        }
        let view = deployment.network("beta").peer(&alpha.did);
        assert_ne!(view["state"], "frozen", "{view}");
    }
}
