//! What is over is forgotten after a while, and nothing that somebody may still need.

use std::time::SystemTime;

use super::*;

/// A time so many seconds ahead.
fn ahead(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let millis = u64::try_from(now.unwrap().as_millis()).unwrap();
    entente_lexicon::Timestamp(millis + seconds * 1_000).to_string()
}

/// Waits until an agent knows nothing of a task any more.
fn forgotten(agent: &Agent, task: &Value) {
    let what = format!("{} to forget {}", agent.name, task["id"]);
    wait_for(&what, PATIENCE, || {
        (show(agent, task).status == 404).then_some(())
    });
    show(agent, task).refused(404, "UNKNOWN_TASK");
}

#[test]
fn a_task_that_is_over_is_forgotten_on_both_sides_but_not_a_part_of_one_that_is_open() {
    let options = Options::default().networks(2).bare();
    let deployment = options.var("TASK_RETENTION_MS", "1000").start();
    let requester = deployment.network("alpha").create_agent("forgetful");
    let worker = deployment.network("beta").create_agent("forgetting");
    let whole = ask(
        &requester,
        &request(&worker.address, "the whole", json!({})),
    );
    let part = json!({ "parent": whole["id"], "deadline": ahead(15) });
    let part = ask(&requester, &request(&worker.address, "a part", part));
    let mut brief = request(&worker.address, "soon", json!({ "deadline": ahead(15) }));
    brief["idempotencyKey"] = json!("soon-1");
    let task = ask(&requester, &brief);
    let again = requester.client.post(&requester.path("/tasks"), &brief);
    assert_eq!(again.expect(200)["id"], task["id"], "while it is kept");
    for one in [&whole, &part, &task] {
        stands(&worker, one, "submitted");
    }
    for one in [&part, &task] {
        let _ = respond(&worker, one, "completed");
        stands(&requester, one, "completed");
    }

    for agent in [&requester, &worker] {
        forgotten(agent, &task);
        let step = step(agent, &task, "cancel", &json!({}));
        step.refused(404, "UNKNOWN_TASK");
    }
    let again = requester.client.post(&requester.path("/tasks"), &brief);
    again.refused(400, "TASK_DEADLINE_PASSED");
    // Its worker knows of no whole, the requester does.
    forgotten(&worker, &part);
    let kept = show(&requester, &part).expect(200);
    assert_eq!(kept["status"]["state"], "completed");
    stands(&requester, &whole, "submitted");
    let _ = respond(&worker, &whole, "completed");
    stands(&requester, &whole, "completed");
    forgotten(&requester, &part);
    // It has ended, and its deadline is far: it is not over.
    for agent in [&requester, &worker] {
        let _ = show(agent, &whole).expect(200);
    }
}
