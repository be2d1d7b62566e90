use std::fs;
use std::path::Path;

use entente_e2e::{Agent, Deployment};
use serde_json::json;

use super::{back_up, deployment, everything, found, root_of, store, talk, wait_until_listed};

fn restore(deployment: &Deployment, agent: &Agent) -> entente_e2e::Reply {
    let path = format!("/admin/agents/{}/restore", agent.name);
    deployment.network("alpha").admin.post(&path, &json!({}))
}

/// Takes the storage of an agent's object away, and nothing else. The network must not run.
fn lose_object(deployment: &Deployment, object: &str) {
    fn remove(folder: &Path, object: &str) -> usize {
        let entries = fs::read_dir(folder).expect("a folder").flatten();
        let gone = entries.map(|entry| {
            let path = entry.path();
            if path.is_dir() {
                return remove(&path, object);
            }
            let is_it = entry.file_name().to_string_lossy().starts_with(object);
            is_it
                .then(|| fs::remove_file(&path).expect("it is gone"))
                .map_or(0, |()| 1)
        });
        gone.sum()
    }
    let removed = remove(&deployment.persist("alpha").join("do"), object);
    assert!(removed > 0, "no file of {object}");
}

fn object(deployment: &Deployment, agent: &Agent) -> String {
    let sql = format!("SELECT object_id FROM agents WHERE name = '{}'", agent.name);
    deployment.sql("alpha", &sql).trim().to_owned()
}

fn begin_blob(agent: &Agent, size: usize) -> String {
    let body = json!({ "size": size, "mimeType": "application/octet-stream" });
    let begun = agent.client.post(&agent.path("/blobs"), &body).expect(201);
    begun["upload"].as_str().unwrap().to_owned()
}

/// Stores a blob that a record refers to, and returns its path.
fn keep_blob(agent: &Agent) -> String {
    let upload = begin_blob(agent, 1_000);
    let path = |rest: &str| agent.path(&format!("/blobs/{upload}/{rest}"));
    let _ = agent
        .client
        .send("PUT", &path("0"), &[], &[7; 1_000])
        .expect(200);
    let blob = agent.client.post(&path("complete"), &json!({})).expect(200);
    let record = json!({ "$type": "agent.memory.note", "text": "see there", "file": blob["blob"] });
    let body = json!({ "record": record });
    let _ = agent.client.post(&agent.path("/memory"), &body).expect(201);
    agent.path(&format!("/blobs/{}", blob["cid"].as_str().unwrap()))
}

#[test]
fn an_agent_whose_object_was_lost_is_restored_and_talks_on() {
    let deployment = deployment(2);
    let (alpha, alice) = (deployment.network("alpha"), deployment.agent("alice"));
    let (charlie, diana) = (deployment.agent("charlie"), deployment.agent("diana"));
    talk(alice, diana, "before");
    talk(diana, alice, "before, back");
    for number in 0..10 {
        let _ = store(alice, &format!("buoy {number} is red"));
    }
    let blob = keep_blob(alice);
    let half = begin_blob(alice, 100);
    let made = back_up(alpha);
    let kept = everything(alice);
    talk(alice, diana, "after the backup");
    talk(diana, alice, "after it, back");
    let path = charlie.path("/keys/rotate");
    let _ = alpha.admin.post(&path, &json!({})).expect(200);
    let lost = [alice, charlie].map(|agent| object(&deployment, agent));

    deployment.kill9("alpha");
    lost.iter()
        .for_each(|object| lose_object(&deployment, object));
    deployment.restart("alpha");
    alice
        .client
        .get(&alice.path("/inbox"))
        .refused(404, "UNKNOWN_AGENT");
    // What is there is not replaced, and keys that were replaced do not return.
    restore(&deployment, deployment.agent("bob")).refused(409, "NOT_EMPTY");
    restore(&deployment, charlie).refused(409, "BACKUP_KEYS_OLD");
    charlie
        .client
        .get(&charlie.path("/inbox"))
        .refused(404, "UNKNOWN_AGENT");

    let restored = restore(&deployment, alice).expect(200);
    assert_eq!(restored["did"], alice.did);
    assert_eq!(restored["generation"], made["generation"]);
    assert_eq!(everything(alice), kept);
    assert_eq!(found(alice, "buoys"), 10);
    // Blobs are in the bucket. An upload that was under way is given up: its parts might be sealed with other
    // bytes under the same nonces.
    assert_eq!(alice.client.get(&blob).body, [7; 1_000]);
    let part = alice.path(&format!("/blobs/{half}/0"));
    alice
        .client
        .send("PUT", &part, &[], &[1; 100])
        .refused(404, "UNKNOWN_UPLOAD");
    talk(diana, alice, "are you back?");
    talk(alice, diana, "I am");
    talk(deployment.agent("bob"), alice, "me too");
    // Again: it is back already, and stays as it is now.
    let again = restore(&deployment, alice).expect(200);
    assert_eq!(
        (&again["rows"], &again["already"]),
        (&json!(0), &json!(true))
    );
    assert!(alice.inbox(100).len() > kept["inbox"]["messages"].as_array().unwrap().len());
}

#[test]
fn an_agent_that_was_deleted_is_restored_with_its_token() {
    let deployment = deployment(1);
    let alpha = deployment.network("alpha");
    let (gone, other) = (alpha.create_agent("gone"), alpha.create_agent("other"));
    let _ = store(&gone, "the anchor is at the bow");
    talk(&other, &gone, "before");
    let _ = back_up(alpha);
    let kept = everything(&gone);
    // Later than the backup: not in it.
    let sold = store(&gone, "the anchor was sold");
    let public = gone.path(&format!("/memory/{}/public", sold["id"].as_str().unwrap()));
    let _ = gone.client.post(&public, &json!({})).expect(200);
    wait_until_listed(alpha, &gone, &root_of(&gone)["public"]);
    assert!((200..300).contains(&alpha.admin.delete(&gone.path("")).status));
    gone.client
        .get(&gone.path("/inbox"))
        .refused(401, "UNAUTHENTICATED");

    let restored = restore(&deployment, &gone).expect(200);
    assert_eq!(restored["did"], gone.did);
    assert_eq!(everything(&gone), kept);
    assert_eq!(found(&gone, "anchor"), 1);
    wait_until_listed(alpha, &gone, &kept["root"]["public"]);
    talk(&gone, &other, "I was gone");
    talk(&other, &gone, "so I heard");
    let nobody = "/admin/agents/nobody/restore";
    alpha
        .admin
        .post(nobody, &json!({}))
        .refused(404, "UNKNOWN_AGENT");
    let later = alpha.create_agent("later");
    assert!((200..300).contains(&alpha.admin.delete(&later.path("")).status));
    restore(&deployment, &later).refused(404, "BACKUP_NOT_FOUND");
}
