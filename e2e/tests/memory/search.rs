//! Records are found by their words, while storage tells none of them.

use super::*;

#[test]
fn records_are_found_by_their_words_and_forgotten_with_them() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("seeker");
    remember(
        &agent,
        "note",
        "the ferry leaves from the northern pier",
        json!({}),
    );
    let tide = remember(
        &agent,
        "fact",
        "high tide floods the northern road",
        json!({}),
    );
    remember(
        &agent,
        "note",
        "lunch was soup",
        json!({ "tags": ["kitchen"] }),
    );
    assert_eq!(find(&agent, "q=ferries").len(), 1, "stems");
    let mut north = find(&agent, "q=northern");
    north.sort();
    assert_eq!(
        north,
        [
            "high tide floods the northern road",
            "the ferry leaves from the northern pier"
        ]
    );
    assert_eq!(find(&agent, "q=kitchen"), ["lunch was soup"]);
    assert_eq!(find(&agent, "q=submarine"), Vec::<String>::new());
    assert_eq!(
        find(&agent, "q=northern&collection=agent.memory.fact").len(),
        1
    );
    assert_eq!(
        find(&agent, "q=northern&until=2020-01-01T00:00:00Z").len(),
        0
    );
    assert_eq!(find(&agent, "q=northern&source=agent").len(), 0);
    // What is changed, published or deleted is found as it is, by nothing that it was.
    let body = note("")
        .to_string()
        .replace("\"\"", "\"low tide bares the road\"");
    let body = body.replace("memory.note", "memory.fact");
    let headers = [("content-type", "application/json")];
    let put = agent
        .client
        .send("PUT", &path(&agent, &tide, ""), &headers, body.as_bytes());
    let _ = put.expect(200);
    assert_eq!(find(&agent, "q=floods"), Vec::<String>::new());
    assert_eq!(find(&agent, "q=tides"), ["low tide bares the road"]);
    let public = path(&agent, &tide, "/public");
    let _ = agent.client.post(&public, &json!({})).expect(200);
    assert_eq!(find(&agent, "q=tides"), ["low tide bares the road"]);
    assert_eq!(agent.client.delete(&path(&agent, &tide, "")).status, 204);
    assert_eq!(find(&agent, "q=tides"), Vec::<String>::new());
}

#[test]
fn what_matters_more_comes_first_and_queries_are_checked() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("weigher");
    for importance in [10, 90, 50] {
        let text = format!("the anchor holds {importance}");
        remember(&agent, "note", &text, json!({ "importance": importance }));
    }
    let order = [
        "the anchor holds 90",
        "the anchor holds 50",
        "the anchor holds 10",
    ];
    assert_eq!(find(&agent, "q=anchor"), order);
    assert_eq!(find(&agent, "q=anchor&limit=1"), order[..1]);
    // Nothing that is asked for reaches the engine's language.
    for hostile in [
        "%22",
        "NEAR(",
        "anchor%20AND%20NOT%20anchor",
        "*",
        "tokens:anchor",
    ] {
        let path = agent.path(&format!("/memory/search?q={hostile}"));
        assert_eq!(agent.client.get(&path).status, 200, "{hostile}");
    }
    for (query, code) in [
        ("", "INVALID_QUERY"),
        ("q=x&since=yesterday", "INVALID_INSTANT"),
        ("q=x&limit=0", "INVALID_LIMIT"),
        ("q=x&collection=%20", "INVALID_COLLECTION"),
    ] {
        let path = agent.path(&format!("/memory/search?{query}"));
        agent.client.get(&path).refused(400, code);
    }
}

#[test]
fn every_hit_is_reached_page_by_page() {
    const RECORDS: usize = 420;
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("pager");
    for number in 0..RECORDS {
        store(&agent, &note(&format!("lantern {number}")));
    }
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = agent.path(&format!("/memory/search?q=lantern&limit=100{cursor}"));
        let page = agent.client.get(&path).expect(200);
        found.extend(texts(page["hits"].as_array().unwrap()));
        let Some(next) = page["cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), RECORDS);
    // A cursor is good for its agent and its words alone.
    let first = agent
        .client
        .get(&agent.path("/memory/search?q=lantern&limit=5"));
    let cursor = first.expect(200)["cursor"].as_str().unwrap().to_owned();
    let other = deployment.network("alpha").create_agent("pagers-neighbour");
    for (agent, query) in [(&agent, "q=lamp"), (&other, "q=lantern")] {
        let path = agent.path(&format!("/memory/search?{query}&cursor={cursor}"));
        agent.client.get(&path).refused(400, "INVALID_CURSOR");
    }
    let list = agent.path(&format!("/memory?cursor={cursor}"));
    agent.client.get(&list).refused(400, "INVALID_CURSOR");
}
