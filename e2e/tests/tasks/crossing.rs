//! Words that cross on their way.

use super::*;

#[test]
fn a_cancel_and_a_completion_that_cross_end_in_the_workers_word_on_both_sides() {
    let (_turn, deployment) = deployment();
    let requester = deployment.network("alpha").create_agent("crosser");
    let worker = deployment.network("beta").create_agent("crossed");
    for round in 0..4 {
        let task = ask(
            &requester,
            &request(&worker.address, &format!("{round}"), json!({})),
        );
        stands(&worker, &task, "submitted");
        let (canceled, completed) = std::thread::scope(|scope| {
            let cancel = scope.spawn(|| step(&requester, &task, "cancel", &json!({})));
            let complete =
                scope.spawn(|| step(&worker, &task, "respond", &json!({ "status": "completed" })));
            (cancel.join().unwrap(), complete.join().unwrap())
        });
        // Whoever came first decides; the other is told.
        let end = if completed.status == 200 {
            assert!(
                canceled.status == 200 || canceled.status == 409,
                "{}",
                canceled.excerpt()
            );
            "completed"
        } else {
            completed.refused(409, "TASK_OVER");
            "canceled"
        };
        for agent in [&requester, &worker] {
            let seen = stands(agent, &task, end);
            assert_eq!(seen["canceling"], Value::Null);
            assert_eq!(seen["status"]["presumed"], Value::Null);
        }
    }
}

#[test]
fn a_completion_made_while_the_peer_is_away_wins_over_the_cancel_that_waits_for_it() {
    let (_turn, deployment) = deployment();
    let requester = deployment.network("alpha").create_agent("away-crosser");
    let worker = deployment.network("beta").create_agent("away-crossed");
    let task = ask(&requester, &request(&worker.address, "slowly", json!({})));
    stands(&worker, &task, "submitted");
    deployment.kill9("alpha");
    let _ = respond(&worker, &task, "completed");
    deployment.kill9("beta");
    deployment.restart("alpha");
    let canceled = step(&requester, &task, "cancel", &json!({})).expect(200);
    assert_eq!(canceled["canceling"], true);
    deployment.restart("beta");
    stands(&requester, &task, "completed");
    let seen = wait_for("the late cancel", PATIENCE, || {
        let seen = show(&worker, &task).value();
        (seen["history"].as_array().unwrap().len() == 3).then_some(seen)
    });
    assert_eq!(seen["status"]["state"], "completed");
    assert_eq!(seen["history"][2]["late"], true);
}
