use std::thread;

use entente_e2e::wait::{PATIENCE, wait_until};
use entente_e2e::{Agent, Client, Deployment};
use serde_json::{Value, json};

use super::{
    back_up, backups, deployment, empty, everything, found, lose, parts, restore, run_empty, store,
};

const CHUNK: u8 = 1;

/// Enough for several chunks, so that there is a middle to be killed in.
fn fill(agent: &Agent) {
    let long = "what is kept in the hold ".repeat(1_800);
    for number in 0..100 {
        let _ = store(agent, &format!("crate {number}: {long}"));
    }
}

fn newest_whole(list: &Value) -> Value {
    let all = list["generations"].as_array().unwrap();
    let whole = all.iter().find(|one| one["state"] == "whole");
    whole.expect("a whole generation")["generation"].clone()
}

fn begin(client: &Client, path: &'static str) -> thread::JoinHandle<()> {
    let client = client.clone();
    // It may be answered or not: that is what this is about.
    thread::spawn(move || drop(client.attempt("POST", path, &[], &[])))
}

fn chunks(deployment: &Deployment) -> usize {
    parts(deployment, "alpha", CHUNK).len()
}

#[test]
fn a_backup_that_is_killed_in_the_middle_leaves_the_last_whole_one() {
    let deployment = deployment(1);
    let (alpha, alice) = (deployment.network("alpha"), deployment.agent("alice"));
    let _ = store(alice, "the first state");
    let first = back_up(alpha);
    let kept = everything(alice);
    fill(alice);
    let before = chunks(&deployment);
    let running = begin(&alpha.admin, "/admin/backups");
    wait_until("a chunk of the second", PATIENCE, || {
        chunks(&deployment) > before
    });
    deployment.kill9("alpha");
    running.join().unwrap();
    empty(&deployment, "alpha");
    let again = run_empty(&deployment, "alpha", &[]);
    let whole = newest_whole(&backups(alpha));
    let restored = restore(alpha, &json!({})).expect(200);
    assert_eq!(restored["generation"], whole);
    assert_eq!(restored["did"], alpha.did);
    // The kill came before the index unless the machine was faster than we are.
    if whole == first["generation"] {
        assert_eq!(everything(alice), kept);
    } else {
        assert_eq!(found(alice, "crate"), 20);
    }
    drop(again);
}

#[test]
fn a_backup_goes_on_where_it_was_killed() {
    let deployment = deployment(1);
    let (alpha, alice) = (deployment.network("alpha"), deployment.agent("alice"));
    let first = back_up(alpha);
    fill(alice);
    let before = chunks(&deployment);
    let running = begin(&alpha.admin, "/admin/backups");
    wait_until("a chunk of the second", PATIENCE, || {
        chunks(&deployment) > before
    });
    deployment.kill9("alpha");
    running.join().unwrap();
    deployment.restart("alpha");
    let made = back_up(alpha);
    assert!(made["generation"].as_u64() > first["generation"].as_u64());
    let list = backups(alpha);
    assert_eq!(newest_whole(&list), made["generation"]);
    let kept = everything(alice);
    let _running = lose(&deployment, "alpha");
    let _ = restore(alpha, &json!({})).expect(200);
    assert_eq!(everything(alice), kept);
}

#[test]
fn a_restore_that_is_killed_goes_on_and_does_nothing_twice() {
    let deployment = deployment(1);
    let (alpha, alice) = (deployment.network("alpha"), deployment.agent("alice"));
    fill(alice);
    let _ = back_up(alpha);
    let kept = everything(alice);
    let empty_one = lose(&deployment, "alpha");
    let objects = || {
        let folder = deployment.persist("alpha").join("do");
        walk(&folder)
    };
    let none = objects();
    let running = begin(&alpha.admin, "/admin/backups/restore");
    wait_until("an object to be put back", PATIENCE, || objects() > none);
    empty_one.kill9();
    running.join().unwrap();
    let _running = run_empty(&deployment, "alpha", &[]);
    let reply = restore(alpha, &json!({}));
    if reply.status == 409 {
        // It was done before the kill.
        reply.refused(409, "NETWORK_NOT_EMPTY");
    } else {
        assert_eq!(reply.expect(200)["did"], alpha.did);
    }
    assert_eq!(everything(alice), kept);
    restore(alpha, &json!({})).refused(409, "NETWORK_NOT_EMPTY");
}

fn walk(folder: &std::path::Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let count = entries.flatten().map(|entry| {
        if entry.path().is_dir() {
            walk(&entry.path())
        } else {
            1
        }
    });
    count.sum()
}
