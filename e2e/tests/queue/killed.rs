//! kill -9 in the middle of batches of the queue.

use super::*;

const MESSAGES: usize = 500;
const KILLS: usize = 4;
const PAGE: usize = 200;

/// Sends until it is accepted, by the same key: an answer may be lost with the network.
fn send(from: &Agent, to: &Agent, number: usize) -> String {
    let body = json!({
        "to": to.address, "content": said(&format!("{number}")), "async": true,
        "idempotencyKey": format!("n{number}"),
    });
    let headers = [("content-type", "application/json")];
    let body = body.to_string();
    wait_for(&format!("{number} to be accepted"), LONG, || {
        let path = from.path("/messages");
        let reply = from
            .client
            .attempt("POST", &path, &headers, body.as_bytes());
        let reply = reply.ok().filter(|reply| reply.status == 202)?;
        Some(reply.value()["id"].as_str().unwrap().to_owned())
    })
}

#[test]
fn kill_9_during_batches_of_the_queue_and_the_ledger_adds_up() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let (one, other) = (
        alpha.create_agent("kill-one"),
        alpha.create_agent("kill-other"),
    );
    let mut sent = Vec::new();
    for round in 1..=KILLS {
        let before = other.inbox(PAGE).len();
        while sent.len() < MESSAGES * round / KILLS {
            sent.push(send(&one, &other, sent.len()));
        }
        // Some of it has arrived, most has not.
        wait_for("the queue to be at work", LONG, || {
            (other.inbox(PAGE).len() > before).then_some(())
        });
        deployment.kill9("alpha");
        deployment.restart("alpha");
    }
    for id in &sent {
        wait_for_status(&one, id, "delivered");
    }
    // The ledger: everything that was accepted arrived, once, in order; and nothing else did.
    let all: Vec<_> = (0..MESSAGES).map(|number| number.to_string()).collect();
    assert_eq!(texts(&other, PAGE), all);
    let ids: Vec<_> = other
        .inbox(PAGE)
        .iter()
        .map(|message| message["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids, sent);
    let dead = one.client.get(&one.path("/dead-letters")).expect(200);
    assert_eq!(dead["total"], 0);
}
