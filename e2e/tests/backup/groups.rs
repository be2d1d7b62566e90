//! Groups whose owner is put back to what it was before.

use entente_e2e::Agent;
use entente_e2e::wait::{PATIENCE, wait_for};
use serde_json::{Value, json};

use super::{back_up, deployment, lose, restore};

fn path(agent: &Agent, group: &str, rest: &str) -> String {
    agent.path(&format!("/groups/{group}{rest}"))
}

fn view(agent: &Agent, group: &str) -> Option<Value> {
    let reply = agent.client.get(&path(agent, group, ""));
    (reply.status == 200).then(|| reply.value())
}

fn stands(agent: &Agent, group: &str, standing: &str) {
    let what = format!("{} to be {standing}", agent.name);
    wait_for(&what, PATIENCE, || {
        (view(agent, group)?["standing"] == standing).then_some(())
    });
}

/// Waits until all of these know one epoch, and returns it.
fn agree(agents: &[&Agent], group: &str) -> u64 {
    wait_for("all to know one epoch", PATIENCE, || {
        let epochs: Option<Vec<u64>> = agents
            .iter()
            .map(|agent| view(agent, group)?["epoch"].as_u64())
            .collect();
        let epochs = epochs?;
        let first = *epochs.first()?;
        epochs.iter().all(|epoch| *epoch == first).then_some(first)
    })
}

/// Makes a group in which all of these are.
fn assemble(owner: &Agent, members: &[&Agent]) -> String {
    let addresses: Vec<&str> = members.iter().map(|agent| agent.address.as_str()).collect();
    let body = json!({ "name": "the harbour", "members": addresses });
    let made = owner.client.post(&owner.path("/groups"), &body).expect(201);
    let group = made["id"].as_str().unwrap().to_owned();
    for member in members {
        stands(member, &group, "invited");
        let accept = path(member, &group, "/accept");
        let _ = member.client.post(&accept, &json!({})).expect(200);
    }
    wait_for("everybody to be in", PATIENCE, || {
        let seen = view(owner, &group)?["members"].as_array()?.clone();
        let joined = seen.iter().all(|who| who["state"] != "invited");
        joined.then_some(())
    });
    let mut all = members.to_vec();
    all.push(owner);
    let _ = agree(&all, &group);
    group
}

fn remove(owner: &Agent, group: &str, who: &Agent) {
    let path = path(owner, group, &format!("/members/{}", who.did));
    let _ = owner.client.delete(&path).expect(200);
    stands(who, group, "removed");
}

fn heard(agent: &Agent, group: &str) -> Vec<String> {
    let list = path(agent, group, "/messages?limit=200");
    let list = agent.client.get(&list).expect(200);
    let posts = list["messages"].as_array().unwrap().clone();
    let text = |post: &Value| post["content"]["text"].as_str().unwrap().to_owned();
    posts.iter().map(text).collect()
}

/// Something is said, and all of these hear it.
fn talk(from: &Agent, to: &[&Agent], group: &str, text: &str) {
    let body = json!({ "content": { "kind": "text", "text": text } });
    let say = path(from, group, "/messages");
    let _ = from.client.post(&say, &body).expect(202);
    for agent in to {
        wait_for(
            &format!("{} to hear {text:?}", agent.name),
            PATIENCE,
            || {
                heard(agent, group)
                    .iter()
                    .any(|known| known == text)
                    .then_some(())
            },
        );
    }
}

#[test]
fn a_group_whose_owner_is_restored_goes_on_and_who_was_removed_reads_nothing() {
    let deployment = deployment(2);
    let (alpha, beta) = (deployment.network("alpha"), deployment.network("beta"));
    let (alice, diana) = (deployment.agent("alice"), deployment.agent("diana"));
    let near = alpha.create_agent("restored-near");
    // One is removed before the backup, the other after it: the backup has that one in.
    let early = beta.create_agent("removed-early");
    let late = beta.create_agent("removed-late");
    let group = assemble(alice, &[diana, &near, &early, &late]);
    talk(alice, &[diana, &near, &early, &late], &group, "all of you");
    remove(alice, &group, &early);
    let kept = agree(&[alice, diana, &near, &late], &group);
    talk(diana, &[alice, &near, &late], &group, "before the backup");
    let _ = back_up(alpha);
    remove(alice, &group, &late);
    let newest = agree(&[alice, diana, &near], &group);
    assert!(newest > kept);
    talk(alice, &[diana, &near], &group, "after the backup");

    let empty = lose(&deployment, "alpha");
    let _ = restore(alpha, &json!({})).expect(200);
    assert_eq!(
        view(alice, &group).unwrap()["epoch"],
        kept,
        "as it was kept"
    );
    // By what is said the owner hears of its own later act, and tells its neighbour.
    talk(diana, &[alice, &near], &group, "are you back?");
    talk(alice, &[diana, &near], &group, "I am");
    talk(&near, &[alice, diana], &group, "so am I");
    let now = agree(&[alice, diana, &near], &group);
    assert!(now >= newest);
    let path = path(alice, &group, "/rekey");
    let _ = alice.client.post(&path, &json!({})).expect(200);
    assert!(agree(&[alice, diana, &near], &group) > now);
    talk(alice, &[diana, &near], &group, "under another key");
    for out in [&early, &late] {
        stands(out, &group, "removed");
        let members = view(alice, &group).unwrap()["members"].to_string();
        assert!(!members.contains(&out.did), "{members}");
    }
    assert_eq!(heard(&early, &group), ["all of you"]);
    assert_eq!(heard(&late, &group), ["all of you", "before the backup"]);
    drop(empty);
}
