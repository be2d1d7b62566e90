//! An agent says whose mail it does not take.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use entente_e2e::wait::wait_for;
use entente_e2e::{Agent, Deployment, Options, Reply};
use serde_json::{Value, json};

/// A link that failed while its peer was down dials again within this time.
const PATIENCE: Duration = Duration::from_secs(120);

/// One of these tests kills networks, so they take turns.
fn deployment() -> (MutexGuard<'static, ()>, &'static Deployment) {
    static TURN: Mutex<()> = Mutex::new(());
    static SHARED: OnceLock<Deployment> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = SHARED.get_or_init(|| Options::default().networks(2).start());
    (turn, shared)
}

fn put(agent: &Agent, who: &str, body: &Value) -> Reply {
    let headers = [("content-type", "application/json")];
    let path = agent.path(&format!("/blocks/{who}"));
    agent
        .client
        .send("PUT", &path, &headers, body.to_string().as_bytes())
}

fn block(agent: &Agent, who: &str) -> Value {
    put(agent, who, &json!({})).expect(200)
}

fn unblock(agent: &Agent, who: &str) {
    let path = agent.path(&format!("/blocks/{who}"));
    assert_eq!(agent.client.delete(&path).status, 204);
}

/// How many messages a block has kept away.
fn kept_away(agent: &Agent, who: &str) -> u64 {
    let path = agent.path(&format!("/blocks/{who}"));
    let block = agent.client.get(&path).expect(200);
    block["refused"].as_u64().unwrap()
}

fn is_refused(agent: &Agent, id: &str) {
    let status = agent.wait_for_status(id, "refused");
    let receipts = status["receipts"].as_array().unwrap();
    assert_eq!(receipts.last().unwrap()["code"], "SENDER_BLOCKED");
}

fn arrives(from: &Agent, to: &Agent, text: &str) {
    let id = from.send(&to.address, text);
    from.wait_for_status(&id, "delivered");
    to.wait_for_message(&id);
}

#[test]
fn what_a_blocked_agent_sends_is_refused_whatever_it_is_and_whatever_keys_it_has() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let pest = alpha.create_agent("pest");
    let quiet = beta.create_agent("quiet");
    arrives(&pest, &quiet, "before");
    // By whatever it is called, it is the same block.
    let by_name = block(&quiet, &format!("pest@{}", alpha.host));
    assert_eq!(by_name["who"], pest.did.as_str());
    let _ = block(&quiet, &pest.address);
    let _ = block(&quiet, &pest.did);
    let listed = quiet.client.get(&quiet.path("/blocks")).expect(200);
    assert_eq!(listed["blocks"].as_array().unwrap().len(), 1, "{listed}");

    is_refused(&pest, &pest.send(&quiet.address, "mail"));
    assert_eq!(kept_away(&quiet, &pest.did), 1);
    let rotated = pest.client.post(&pest.path("/keys/rotate"), &json!({}));
    assert_eq!(rotated.status, 200);
    is_refused(&pest, &pest.send(&quiet.address, "mail under new keys"));

    let words = json!({ "$type": "agent.comms.defs#text", "text": "do" });
    let task = json!({ "$type": "agent.comms.task", "to": quiet.address, "content": words });
    let task = pest
        .client
        .post(&pest.path("/tasks"), &json!({ "record": task }))
        .expect(201);
    let path = pest.path(&format!("/tasks/{}", task["id"].as_str().unwrap()));
    let failed = wait_for("the task to fail", PATIENCE, || {
        let task = pest.client.get(&path).expect(200);
        (task["status"]["state"] == "failed").then_some(task)
    });
    assert_eq!(failed["history"][0]["undelivered"], "SENDER_BLOCKED");

    let note = json!({ "$type": "agent.memory.note", "text": "look" });
    let note = pest
        .client
        .post(&pest.path("/memory"), &json!({ "record": note }))
        .expect(201);
    let share = pest.path(&format!("/memory/{}/share", note["id"].as_str().unwrap()));
    let with = json!({ "with": quiet.address });
    let _ = pest.client.post(&share, &with).expect(200);
    wait_for("the share to be kept away", PATIENCE, || {
        (kept_away(&quiet, &pest.did) >= 4).then_some(())
    });
    let shared = quiet.client.get(&quiet.path("/memory/shared")).expect(200);
    assert_eq!(shared["records"], json!([]));
    assert_eq!(quiet.inbox(50).len(), 1);

    // Others are heard, and so is it once the block is taken back.
    let other = alpha.create_agent("no-pest");
    arrives(&other, &quiet, "hello");
    unblock(&quiet, &pest.did);
    arrives(&pest, &quiet, "sorry");
    let path = quiet.path(&format!("/blocks/{}", pest.did));
    quiet.client.get(&path).refused(404, "NOT_BLOCKED");
    quiet.client.delete(&path).refused(404, "NOT_BLOCKED");
}

#[test]
fn a_neighbour_is_told_at_once_and_a_silent_block_tells_nobody() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let loud = alpha.create_agent("loud");
    let deaf = alpha.create_agent("deaf");
    let _ = block(&deaf, "loud");
    let body = json!({ "to": deaf.address, "content": { "kind": "text", "text": "hey" } });
    let sent = loud.client.post(&loud.path("/messages"), &body);
    sent.refused(403, "SENDER_BLOCKED");

    // In silence it counts as delivered; of that block the count alone tells.
    let silent = put(&deaf, "loud", &json!({ "silent": true })).expect(200);
    assert_eq!(
        (&silent["silent"], &silent["refused"]),
        (&json!(true), &json!(1))
    );
    let id = loud.send(&deaf.address, "hey");
    loud.wait_for_status(&id, "delivered");
    assert_eq!(kept_away(&deaf, &loud.did), 2);
    assert_eq!(deaf.inbox(50).len(), 0);
    // What opened the conversation was dropped: it opens anew.
    unblock(&deaf, &loud.did);
    arrives(&loud, &deaf, "still here?");
    assert_eq!(deaf.inbox(50).len(), 1);

    put(&deaf, "deaf", &json!({})).refused(400, "BLOCK_SELF");
    put(&deaf, "nobody", &json!({})).refused(404, "UNKNOWN_AGENT");
    put(&deaf, "*@not_a_host!", &json!({})).refused(400, "MALFORMED_ADDRESS");
    put(&deaf, "loud", &json!({ "loudly": true })).refused(400, "INVALID_BODY");
    let theirs = loud.client.get(&deaf.path("/blocks"));
    theirs.refused(403, "FORBIDDEN");
}

#[test]
fn a_whole_host_is_blocked_and_so_is_what_was_on_its_way() {
    let (_turn, deployment) = deployment();
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let one = alpha.create_agent("one-of-many");
    let two = alpha.create_agent("two-of-many");
    let hermit = beta.create_agent("hermit");
    let neighbour = beta.create_agent("neighbour");
    arrives(&one, &hermit, "before");
    // Accepted while the other network is away, so it is on its way when the block comes.
    deployment.kill9("beta");
    let on_its_way = one.send(&hermit.address, "on its way");
    deployment.kill9("alpha");
    deployment.restart("beta");
    let whole = block(&hermit, &format!("*@{}", alpha.host));
    assert_eq!(whole["who"], format!("*@{}", alpha.host));
    deployment.restart("alpha");
    is_refused(&one, &on_its_way);
    is_refused(&two, &two.send(&hermit.address, "another one"));
    arrives(&neighbour, &hermit, "we are from here");
    // The network is blocked, not only what it is called.
    let _ = block(&hermit, &alpha.did);
    unblock(&hermit, &format!("*@{}", alpha.host));
    is_refused(&two, &two.send(&hermit.address, "again"));
    unblock(&hermit, &alpha.did);
    arrives(&two, &hermit, "at last");
}
