//! Networks that die between steps.

use super::*;

#[test]
fn a_task_goes_on_whoever_dies_between_its_steps() {
    let (_turn, deployment) = deployment();
    let requester = deployment.network("alpha").create_agent("survivor");
    let worker = deployment.network("beta").create_agent("surviving");
    let mut body = request(&worker.address, "whatever happens", json!({}));
    body["idempotencyKey"] = json!("once");
    // The requester's network dies as soon as it has answered.
    let task = ask(&requester, &body);
    deployment.kill9("alpha");
    deployment.restart("alpha");
    let again = requester
        .client
        .post(&requester.path("/tasks"), &body)
        .expect(200);
    assert_eq!(again["id"], task["id"]);
    stands(&worker, &task, "submitted");

    // The worker's does, with the requester's away.
    deployment.kill9("alpha");
    let _ = respond(&worker, &task, "accepted");
    let question = json!({ "status": "input-required", "content": words("how?"),
        "idempotencyKey": "how" });
    let _ = step(&worker, &task, "respond", &question).expect(200);
    deployment.kill9("beta");
    deployment.restart("beta");
    let _ = step(&worker, &task, "respond", &question).expect(200);
    deployment.restart("alpha");
    stands(&requester, &task, "input-required");

    // An answer is given, and both die.
    let _ = step(
        &requester,
        &task,
        "input",
        &json!({ "content": words("so") }),
    )
    .expect(200);
    deployment.kill9("alpha");
    deployment.kill9("beta");
    deployment.restart("beta");
    deployment.restart("alpha");
    stands(&worker, &task, "working");
    let _ = respond(&worker, &task, "completed");
    deployment.kill9("beta");
    deployment.restart("beta");
    let done = stands(&requester, &task, "completed");
    assert_eq!(
        said(&done),
        [
            "out request",
            "in accepted",
            "in input-required",
            "out message",
            "in working",
            "in completed"
        ]
    );
    let done = stands(&worker, &task, "completed");
    assert_eq!(
        said(&done),
        [
            "in request",
            "out accepted",
            "out input-required",
            "in message",
            "out working",
            "out completed"
        ]
    );
}
