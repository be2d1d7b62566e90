//! What anyone may read of a repo, what only its owner, and what nobody gets.

use entente_e2e::Reply;
use entente_e2e::wait::wait_for;
use serde_json::json;

use super::{deployment, judged, repo_key, sync};

#[track_caller]
fn refused(reply: &Reply, status: u16, error: &str) {
    let body = reply.expect(status);
    assert_eq!(body["error"], error, "{body}");
    assert!(body["message"].as_str().unwrap().len() > 10, "{body}");
}

#[test]
fn a_repo_is_signed_from_its_agents_birth_by_the_key_that_its_documents_name() {
    let alpha = deployment().network("alpha");
    let agent = alpha.create_agent("newborn");
    let key = repo_key(&alpha.public, &agent);
    let card = alpha.public.get(&format!("/relay/agents/{}", agent.did));
    assert_eq!(card.expect(200)["repoKey"], key);
    let document = alpha.public.get(&agent.path("/did.json")).expect(200);
    let service = &document["service"][1];
    assert_eq!(service["type"], "AtprotoPersonalDataServer");
    assert_eq!(service["serviceEndpoint"], alpha.url);
    let archive = sync(&alpha.public, "getRepo", &agent);
    assert_eq!(archive.status, 200, "{}", archive.excerpt());
    assert_eq!(
        archive.header("content-type"),
        Some("application/vnd.ipld.car")
    );
    let read = judged(&archive.body, &agent.did, &key, "newborn").expect("believed");
    assert_eq!(read["records"], json!([]));
    let latest = sync(&alpha.public, "getLatestCommit", &agent).expect(200);
    assert_eq!(
        (&latest["cid"], &latest["rev"]),
        (&read["head"], &read["rev"])
    );
    // By name as well as by DID.
    let named = alpha
        .public
        .get("/xrpc/com.atproto.sync.getLatestCommit?did=newborn");
    assert_eq!(named.expect(200), latest);
    // Another agent's key or DID is another repo's.
    let other = alpha.create_agent("newborn-too");
    let theirs = repo_key(&alpha.public, &other);
    assert!(judged(&archive.body, &agent.did, &theirs, "newborn-key").is_none());
    assert!(judged(&archive.body, &other.did, &key, "newborn-did").is_none());
}

#[test]
fn a_rotated_key_signs_the_repo_anew() {
    let alpha = deployment().network("alpha");
    let agent = alpha.create_agent("turning");
    let old_key = repo_key(&alpha.public, &agent);
    let before = sync(&alpha.public, "getLatestCommit", &agent).expect(200);
    let private = agent.client.get(&agent.path("/export")).body;
    assert!(judged(&private, &agent.did, &old_key, "turning-private").is_some());
    let rotate = agent.path("/keys/rotate");
    let _ = agent.client.post(&rotate, &json!({})).expect(200);
    let limit = std::time::Duration::from_secs(30);
    let new_key = wait_for("the new key to be published", limit, || {
        let key = repo_key(&alpha.public, &agent);
        (key != old_key).then_some(key)
    });
    let archive = wait_for("the new key to sign", limit, || {
        let archive = sync(&alpha.public, "getRepo", &agent).body;
        let read = judged(&archive, &agent.did, &new_key, "turning-new")?;
        assert!(read["rev"].as_str() > before["rev"].as_str());
        Some(archive)
    });
    assert!(judged(&archive, &agent.did, &old_key, "turning-old").is_none());
    let private = agent.client.get(&agent.path("/export")).body;
    assert!(judged(&private, &agent.did, &new_key, "turning-private").is_some());
}

#[test]
fn what_is_asked_wrongly_is_refused_in_the_words_of_xrpc() {
    let alpha = deployment().network("alpha");
    let agent = alpha.create_agent("asked");
    let did = &agent.did;
    let get = |path: &str| alpha.public.get(&format!("/xrpc/com.atproto.{path}"));
    refused(&get("sync.getRepo"), 400, "InvalidRequest");
    refused(&get("sync.getRepo?did="), 400, "InvalidRequest");
    refused(&get("sync.getRepo?did=nobody"), 400, "RepoNotFound");
    let stranger = format!("did:cf:{}", "a".repeat(52));
    let strange = get(&format!("sync.getLatestCommit?did={stranger}"));
    refused(&strange, 400, "RepoNotFound");
    for bad in [
        "repo.getRecord?repo=DID",
        "repo.getRecord?repo=DID&collection=note&rkey=a",
        "repo.getRecord?repo=DID&collection=agent.memory.note&rkey=a%20b",
        "repo.getRecord?repo=DID&collection=agent.memory.note&rkey=a&cid=x",
        "repo.listRecords?repo=DID",
        "repo.listRecords?repo=DID&collection=agent.memory.note&limit=101",
        "repo.listRecords?repo=DID&collection=agent.memory.note&limit=0",
        "repo.listRecords?repo=DID&collection=agent.memory.note&cursor=a%2Fb",
        "sync.getRecord?did=DID&collection=agent.memory.note",
    ] {
        refused(&get(&bad.replace("DID", did)), 400, "InvalidRequest");
    }
    let none = format!("repo.getRecord?repo={did}&collection=agent.memory.note&rkey=a");
    refused(&get(&none), 400, "RecordNotFound");
    let empty = get(&format!(
        "repo.listRecords?repo={did}&collection=agent.memory.note"
    ));
    assert_eq!(empty.expect(200), json!({ "records": [] }));
    // What is not in the table is for the admin to be told.
    get("server.createSession").refused(401, "UNAUTHENTICATED");
    assert_eq!(alpha.admin.delete("/agents/asked").status, 204);
    refused(
        &get(&format!("sync.getRepo?did={did}")),
        400,
        "RepoDeactivated",
    );
}

#[test]
fn the_private_repo_is_exported_to_its_owner_only() {
    let alpha = deployment().network("alpha");
    let (owner, other) = (alpha.create_agent("owner"), alpha.create_agent("not-owner"));
    let path = owner.path("/export");
    let record = json!({ "record": { "$type": "agent.memory.note", "text": "mine" } });
    let _ = owner
        .client
        .post(&owner.path("/memory"), &record)
        .expect(201);
    alpha.public.get(&path).refused(401, "UNAUTHENTICATED");
    other.client.get(&path).refused(403, "FORBIDDEN");
    alpha.admin.get(&path).refused(403, "ADMIN_READ_OFF");
    let archive = owner.client.get(&path);
    assert_eq!(archive.status, 200);
    let key = repo_key(&alpha.public, &owner);
    let private = judged(&archive.body, &owner.did, &key, "owner").unwrap();
    let public = sync(&alpha.public, "getLatestCommit", &owner).expect(200);
    assert_ne!(private["head"], public["cid"], "two trees, two commits");
}

#[test]
fn readers_of_one_repo_are_bounded_and_told_to_wait() {
    let alpha = deployment().network("alpha");
    let agent = alpha.create_agent("popular");
    // A minute may end in between; twice as many are too many in any case.
    let turned_away = (0..70)
        .map(|_| sync(&alpha.public, "getRepo", &agent))
        .find(|reply| reply.status != 200)
        .expect("a bound");
    refused(&turned_away, 429, "RateLimitExceeded");
    assert_eq!(turned_away.header("retry-after"), Some("60"));
    // Others are not held up, nor is the agent.
    let other = alpha.create_agent("unpopular");
    assert_eq!(sync(&alpha.public, "getRepo", &other).status, 200);
    assert_eq!(agent.client.get(&agent.path("/export")).status, 200);
}
