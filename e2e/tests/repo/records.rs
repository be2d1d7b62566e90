//! What agents store is in their repos with the answer, and what is deleted is not.

use serde_json::json;

use super::{deployment, judged, repo_key, sync};

#[test]
fn stored_records_are_in_the_private_repo_and_published_ones_in_the_public_one() {
    let alpha = deployment().network("alpha");
    let agent = alpha.create_agent("keeper-of-records");
    let key = repo_key(&alpha.public, &agent);
    let store = |text: String| {
        let body = json!({ "record": { "$type": "agent.memory.note", "text": text } });
        agent.client.post(&agent.path("/memory"), &body).expect(201)
    };
    let records: Vec<_> = (0..9)
        .map(|number| store(format!("record {number}")))
        .collect();
    let path = |number: usize, rest: &str| {
        let id = records[number]["id"].as_str().unwrap();
        agent.path(&format!("/memory/{id}{rest}"))
    };
    for number in [1, 4] {
        let public = path(number, "/public");
        let _ = agent.client.post(&public, &json!({})).expect(200);
    }
    assert_eq!(agent.client.delete(&path(7, "")).status, 204);
    let names = |archive: &[u8], name: &str| {
        let read = judged(archive, &agent.did, &key, name).expect("believed");
        let records = read["records"].as_array().unwrap().clone();
        let path = |record: &serde_json::Value| record["path"].as_str().unwrap().to_owned();
        records.iter().map(path).collect::<Vec<_>>()
    };
    let expected = |numbers: &[usize]| {
        let id = |number: &usize| records[*number]["id"].as_str().unwrap().replace(':', "/");
        numbers.iter().map(id).collect::<Vec<_>>()
    };
    let private = agent.client.get(&agent.path("/export")).body;
    assert_eq!(
        names(&private, "kept-private"),
        expected(&[0, 2, 3, 5, 6, 8])
    );
    let public = sync(&alpha.public, "getRepo", &agent).body;
    assert_eq!(names(&public, "kept-public"), expected(&[1, 4]));
    assert!(
        !String::from_utf8_lossy(&private).contains("record 0"),
        "sealed"
    );
    assert!(
        String::from_utf8_lossy(&public).contains("record 4"),
        "in the clear"
    );

    // Anybody reads what is public, and nothing else.
    let listed = format!(
        "/xrpc/com.atproto.repo.listRecords?repo={}&collection=agent.memory.note&reverse=true",
        agent.did
    );
    let listed = alpha.public.get(&listed).expect(200);
    let texts = listed["records"].as_array().unwrap().clone();
    let texts: Vec<_> = texts
        .iter()
        .map(|record| &record["value"]["text"])
        .collect();
    assert_eq!(texts, ["record 1", "record 4"]);
    let id = records[0]["id"].as_str().unwrap().split_once(':').unwrap();
    let hidden = format!(
        "/xrpc/com.atproto.repo.getRecord?repo={}&collection={}&rkey={}",
        agent.did, id.0, id.1
    );
    assert_eq!(alpha.public.get(&hidden).status, 400);
}
