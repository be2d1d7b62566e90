//! What came after a revision, blocks by their CIDs, and the list of all repos.

use entente_e2e::wait::{PATIENCE, wait_for};
use entente_e2e::{Agent, Network, Options};
use serde_json::{Value, json};

use super::{asked, deployment, judged, repo_key, sync};

fn publish(agent: &Agent, text: &str) -> Value {
    let body = json!({ "record": { "$type": "agent.memory.note", "text": text } });
    let record = agent.client.post(&agent.path("/memory"), &body).expect(201);
    let public = agent.path(&format!(
        "/memory/{}/public",
        record["id"].as_str().unwrap()
    ));
    let _ = agent.client.post(&public, &json!({})).expect(200);
    record
}

fn path_of(record: &Value) -> String {
    record["id"].as_str().unwrap().replace(':', "/")
}

#[test]
fn what_came_after_a_revision_brings_an_older_copy_up_to_date() {
    let public = &deployment().network("alpha").public;
    let agent = deployment().network("alpha").create_agent("followed-since");
    let records: Vec<_> = (0..40)
        .map(|number| publish(&agent, &format!("old {number}")))
        .collect();
    let key = repo_key(public, &agent);
    let base = sync(public, "getRepo", &agent).body;
    let rev = sync(public, "getLatestCommit", &agent).expect(200)["rev"].clone();
    let rev = rev.as_str().unwrap();
    let new = publish(&agent, "new");
    let gone = agent.path(&format!("/memory/{}", records[7]["id"].as_str().unwrap()));
    assert_eq!(agent.client.delete(&gone).status, 204);
    let since = |rev: &str| {
        let did = &agent.did;
        public.get(&format!(
            "/xrpc/com.atproto.sync.getRepo?did={did}&since={rev}"
        ))
    };
    let archive = since(rev).body;
    let archives = [("base.car", &*base), ("repo.car", &*archive)];
    let told = asked("diff", &archives, (&agent.did, &key), "since").expect("believed");
    let latest = sync(public, "getLatestCommit", &agent).expect(200);
    assert_eq!(
        (&told["head"], &told["rev"]),
        (&latest["cid"], &latest["rev"])
    );
    let mut writes = told["writes"].as_array().unwrap().clone();
    writes.sort_by_key(|write| write["action"].as_str().unwrap().to_owned());
    let expected = [
        json!({ "action": "create", "path": path_of(&new) }),
        json!({ "action": "delete", "path": path_of(&records[7]) }),
    ];
    assert_eq!(writes, expected);
    let whole = sync(public, "getRepo", &agent).body;
    assert!(
        archive.len() < whole.len(),
        "{} of {}",
        archive.len(),
        whole.len()
    );
    assert!(
        judged(&archive, &agent.did, &key, "since-alone").is_none(),
        "it is no whole repo"
    );
    // Nothing came after the last one: the commit says so.
    let nothing = since(latest["rev"].as_str().unwrap()).body;
    let archives = [("base.car", &*whole), ("repo.car", &*nothing)];
    let told = asked("diff", &archives, (&agent.did, &key), "since-last").expect("believed");
    assert_eq!((&told["writes"], &told["blocks"]), (&json!([]), &json!(1)));
    let bad = since("yesterday").expect(400);
    assert_eq!(bad["error"], "InvalidRequest");
}

#[test]
fn blocks_are_read_by_their_cids_and_only_those_of_the_public_repo() {
    let public = &deployment().network("alpha").public;
    let agent = deployment().network("alpha").create_agent("block-by-block");
    let hidden = json!({ "record": { "$type": "agent.memory.note", "text": "hidden" } });
    let hidden = agent
        .client
        .post(&agent.path("/memory"), &hidden)
        .expect(201);
    let open = publish(&agent, "open");
    let head = sync(public, "getLatestCommit", &agent).expect(200)["cid"].clone();
    let listed = format!(
        "/xrpc/com.atproto.repo.listRecords?repo={}&collection=agent.memory.note",
        agent.did
    );
    let record = public.get(&listed).expect(200)["records"][0].clone();
    assert_eq!(record["value"]["text"], "open", "{open}");
    let get = |cids: &[&Value]| {
        let cids = cids
            .iter()
            .map(|cid| format!("&cids={}", cid.as_str().unwrap()));
        let cids: String = cids.collect();
        public.get(&format!(
            "/xrpc/com.atproto.sync.getBlocks?did={}{cids}",
            agent.did
        ))
    };
    let archive = get(&[&head, &record["cid"]]);
    assert_eq!(archive.status, 200, "{}", archive.excerpt());
    let key = repo_key(public, &agent);
    let archives = [("repo.car", &*archive.body)];
    let told = asked("blocks", &archives, (&agent.did, &key), "blocks").expect("an archive");
    assert_eq!(told, json!({ "roots": 0, "cids": [head, record["cid"]] }));
    assert_eq!(get(&[&hidden["cid"]]).expect(400)["error"], "BlockNotFound");
    assert_eq!(get(&[]).expect(400)["error"], "InvalidRequest");
    assert_eq!(get(&[&json!("x")]).expect(400)["error"], "InvalidRequest");
    let many = vec![&head; 51];
    assert_eq!(get(&many).expect(400)["error"], "InvalidRequest");
}

/// Returns what the list of all repos says of an agent, read page by page.
fn listed(network: &Network, agent: &Agent, limit: usize) -> Option<Value> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/xrpc/com.atproto.sync.listRepos?limit={limit}{cursor}");
        let page = network.public.get(&path).expect(200);
        let repos = page["repos"].as_array().unwrap();
        assert!(repos.len() <= limit);
        found.extend(
            repos
                .iter()
                .filter(|repo| repo["did"] == agent.did)
                .cloned(),
        );
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert!(found.len() <= 1, "once: {found:?}");
    found.pop()
}

/// Waits until the list says of an agent what its object says.
fn wait_until_listed(network: &Network, agent: &Agent, limit: usize) {
    let latest = sync(&network.public, "getLatestCommit", agent).expect(200);
    let expected =
        json!({ "did": agent.did, "head": latest["cid"], "rev": latest["rev"], "active": true });
    wait_for("the commit to be listed", PATIENCE, || {
        (listed(network, agent, limit)? == expected).then_some(())
    });
}

#[test]
fn a_commit_that_was_acknowledged_is_listed_whoever_is_killed() {
    let deployment = Options::default().networks(1).bare().start();
    let alpha = deployment.network("alpha");
    let agent = alpha.create_agent("killed-while-listed");
    let born = listed(alpha, &agent, 500).expect("it is listed from its birth on");
    let latest = sync(&alpha.public, "getLatestCommit", &agent).expect(200);
    assert_eq!(born["head"], latest["cid"]);
    for number in 0..3 {
        let _ = publish(&agent, &format!("before kill {number}"));
        deployment.kill9("alpha");
        deployment.restart("alpha");
        wait_until_listed(alpha, &agent, 500);
    }
    let rotate = agent.client.post(&agent.path("/keys/rotate"), &json!({}));
    assert!((200..300).contains(&rotate.status), "{}", rotate.text());
    wait_until_listed(alpha, &agent, 500);
}

#[test]
fn listing_all_repos_asks_no_agent_whoever_does_it_and_however_often() {
    let alpha = deployment().network("alpha");
    let agent = alpha.create_agent("left-in-peace");
    let _ = publish(&agent, "a write");
    wait_until_listed(alpha, &agent, 500);
    // Strangers use up what may be asked of the agent in a minute; a minute may end in between.
    let turned_away = (0..1_300)
        .map(|_| sync(&alpha.public, "getRepoStatus", &agent))
        .find(|reply| reply.status != 200)
        .expect("a bound");
    assert_eq!(turned_away.status, 429, "{}", turned_away.text());
    // Whoever had it asked would be turned away too.
    assert!(listed(alpha, &agent, 500).is_some());
}

#[test]
fn every_repo_is_listed_with_its_last_commit_and_the_deleted_are_said_to_be() {
    let alpha = deployment().network("alpha");
    let agents: Vec<_> = (0..3)
        .map(|n| alpha.create_agent(&format!("listed-{n}")))
        .collect();
    let _ = publish(&agents[0], "a write");
    for agent in &agents {
        wait_until_listed(alpha, agent, 2);
        let latest = sync(&alpha.public, "getLatestCommit", agent).expect(200);
        let status = sync(&alpha.public, "getRepoStatus", agent).expect(200);
        let expected = json!({ "did": agent.did, "active": true, "rev": latest["rev"] });
        assert_eq!(status, expected);
    }
    assert_eq!(alpha.admin.delete("/agents/listed-2").status, 204);
    let status = sync(&alpha.public, "getRepoStatus", &agents[2]).expect(200);
    let expected = json!({ "did": agents[2].did, "active": false, "status": "deleted" });
    assert_eq!(status, expected);
    let gone = listed(alpha, &agents[2], 2).expect("it was there");
    assert_eq!(
        (&gone["active"], &gone["status"]),
        (&json!(false), &json!("deleted"))
    );
    let bad = alpha.public.get("/xrpc/com.atproto.sync.listRepos?limit=0");
    assert_eq!(bad.expect(400)["error"], "InvalidRequest");
}
