//! Whatever is lost: hints, a batch in the middle, what D1 had.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use entente_e2e::deployment::copy_folder;
use entente_e2e::wait::wait_until;

use super::*;

#[test]
fn a_kill_in_the_middle_of_a_batch_leaves_a_replica_that_becomes_the_truth() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("replica-killed");
    let count = format!("SELECT count(*) FROM records WHERE did = '{}'", agent.did);
    let mut kept = Vec::new();
    for round in 0_u64..3 {
        let stop = AtomicBool::new(false);
        let stored = thread::scope(|scope| {
            let writer = scope.spawn(|| write(&agent, round, &stop));
            let before = ask(deployment, &count).as_u64().unwrap();
            wait_until("some of it to be in the replica", PATIENCE, || {
                ask(deployment, &count).as_u64().unwrap() > before
            });
            // More is written and hinted at all the time: the next batch is under way.
            wait_until("more to be pending", PATIENCE, || {
                view(&agent.client, &agent)["pending"].as_u64().unwrap() > 0
            });
            deployment.kill9("alpha");
            stop.store(true, Ordering::SeqCst);
            writer.join().unwrap()
        });
        kept.extend(stored);
        deployment.restart("alpha");
    }
    let truth = becomes_the_truth(deployment, &agent, REPAIR);
    for id in kept {
        assert!(truth.iter().any(|record| record["id"] == id), "{id}");
    }
    wait_until_done(&agent);
}

/// Stores, changes and removes until told to stop; returns what must be there.
fn write(agent: &Agent, round: u64, stop: &AtomicBool) -> Vec<String> {
    let headers = [("content-type", "application/json")];
    let mut kept = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let record = json!({ "$type": "agent.memory.note", "text": format!("{round}/{number}") });
        let body = json!({ "record": record }).to_string();
        let path = agent.path("/memory");
        let stored = agent
            .client
            .attempt("POST", &path, &headers, body.as_bytes());
        let Some(reply) = stored.ok().filter(|reply| reply.status == 201) else {
            continue;
        };
        let id = reply.value()["id"].as_str().unwrap().to_owned();
        let path = agent.path(&format!("/memory/{id}"));
        match number % 3 {
            0 => kept.push(id),
            1 => {
                let _ = agent
                    .client
                    .attempt("PUT", &path, &headers, body.as_bytes());
                kept.push(id);
            }
            _ => {
                let _ = agent.client.attempt("DELETE", &path, &[], &[]);
            }
        }
    }
    kept
}

#[test]
fn a_hint_that_is_lost_is_sent_again_by_the_alarm() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("replica-unheard");
    let record = store(&agent, "killed before the hint");
    deployment.kill9("alpha");
    deployment.restart("alpha");
    // D1 alone is asked: nothing wakes the agent but its own alarm.
    let statement = format!(
        "SELECT json_group_array(cid) FROM records WHERE did = '{}'",
        agent.did
    );
    wait_for("the record in the replica", REPAIR, || {
        (ask(deployment, &statement) == json!([record["cid"]])).then_some(())
    });
}

#[test]
fn a_network_without_its_queue_says_so_and_catches_up_once_it_has_one() {
    let (_turn, deployment) = deployment();
    let alpha = deployment.network("alpha");
    let agent = alpha.create_agent("replica-queueless");
    deployment.kill9("alpha");
    let without = deployment.run_misconfigured("alpha", &[("LOCAL_QUEUE", Some("none"))]);
    let _ = store(&agent, "who will hear of this?");
    let view = wait_for("the failure to be shown", PATIENCE, || {
        let view = view(&alpha.admin, &agent);
        view.get("lastError").is_some().then_some(view)
    });
    assert_eq!(view["pending"], 1, "{view}");
    assert!(view["behindMs"].as_u64().unwrap() > 0, "{view}");
    let said = view["lastError"]["error"].as_str().unwrap();
    assert!(said.contains("HINTS"), "{said}");
    drop(without);
    deployment.restart("alpha");
    becomes_the_truth(deployment, &agent, REPAIR);
    let view = wait_until_done(&agent);
    assert_eq!(view.get("lastError"), None, "{view}");
}

#[test]
fn a_replica_that_was_set_back_begins_anew() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("replica-set-back");
    let records: Vec<_> = (0..5)
        .map(|number| store(&agent, &format!("note {number}")))
        .collect();
    becomes_the_truth(deployment, &agent, PATIENCE);
    wait_until_done(&agent);
    let (d1, copy) = (
        deployment.persist("alpha").join("d1"),
        deployment.state().join("d1-before"),
    );
    deployment.kill9("alpha");
    copy_folder(&d1, &copy);
    deployment.restart("alpha");
    let deleted = agent.client.delete(&path(&agent, &records[0], ""));
    assert_eq!(deleted.status, 204);
    change(&agent, &records[1], "later");
    becomes_the_truth(deployment, &agent, PATIENCE);
    wait_until_done(&agent);
    deployment.kill9("alpha");
    fs::remove_dir_all(&d1).unwrap();
    copy_folder(&copy, &d1);
    deployment.restart("alpha");
    assert_eq!(replica(deployment, &agent).len(), 5, "as it was");
    let _ = store(&agent, "a reason to look");
    assert_eq!(becomes_the_truth(deployment, &agent, REPAIR).len(), 5);
}
