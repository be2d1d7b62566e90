//! What is found, what is read by whom, and what a kill or a forgotten record leaves.

use super::*;

const FACTS: [&str; 8] = [
    "The ferry departs at nine in the morning.",
    "Ada is allergic to peanuts.",
    "Our office moved to the third floor.",
    "The server backups run every night.",
    "Grandmother bakes apple pie on Sundays.",
    "The invoice was paid in March.",
    "Tom plays the violin in an orchestra.",
    "The garden needs watering twice a week.",
];

#[test]
fn a_paraphrase_without_a_common_word_finds_the_record() {
    let (_turn, world) = world();
    let agent = open_agent(world, "linguist");
    FACTS.iter().for_each(|text| drop(store(&agent, text)));
    let view = wait_for_vectors(&agent, 8);
    assert_eq!(
        (&view["model"], &view["dimensions"], &view["index"]),
        (&json!(MODEL), &json!(512), &json!("flat"))
    );
    let asked = "When does the boat leave?";
    assert_eq!(
        find(&agent, &format!("{asked}&mode=words")),
        Vec::<String>::new()
    );
    let found = find(&agent, &format!("{asked}&mode=meaning"));
    assert_eq!((found[0].as_str(), found.len()), (FACTS[0], 8), "{found:?}");
    // Both together are the default of an agent that lets the service read.
    let both = search(&agent, asked).expect(200);
    assert_eq!(both["mode"], "hybrid");
    assert_eq!(both["hits"][0]["record"]["text"], FACTS[0]);
    assert_eq!(find(&agent, "Who is a musician?&mode=hybrid")[0], FACTS[6]);
    assert_eq!(find(&agent, "invoice&mode=hybrid")[0], FACTS[5]);
    // Pages lead to the last one, and the index is put back together after the object was gone.
    world.deployment.kill9("alpha");
    world.deployment.restart("alpha");
    let page = search(&agent, &format!("{asked}&mode=meaning&limit=5")).expect(200);
    assert_eq!(page["hits"][0]["record"]["text"], FACTS[0]);
    let cursor = page["cursor"].as_str().unwrap();
    let rest = find(
        &agent,
        &format!("{asked}&mode=meaning&limit=5&cursor={cursor}"),
    );
    assert_eq!(rest.len(), 3);
    let shown = world.embedder.keys();
    assert!(shown.iter().all(|key| *key == format!("Bearer {KEY}")));
}

#[test]
fn a_kill_between_store_and_vector_loses_none() {
    let (_turn, world) = world();
    let agent = open_agent(world, "unlucky");
    world.embedder.set(Gate::Shut);
    let stored = store(&agent, FACTS[0]);
    wait_for("the service to be asked in vain", PATIENCE, || {
        let view = meaning(&agent);
        (view["lastError"]["code"] == "VECTOR_SERVICE").then_some(())
    });
    assert_eq!(meaning(&agent)["pending"], 1);
    // What was stored is found by its words, whatever the service does.
    assert_eq!(find(&agent, "ferry").len(), 1);
    search(&agent, "boat&mode=meaning").refused(502, "VECTOR_SERVICE");
    world.deployment.kill9("alpha");
    world.embedder.set(Gate::Open);
    world.deployment.restart("alpha");
    let view = wait_for_vectors(&agent, 1);
    assert_eq!(view["lastError"], Value::Null);
    assert_eq!(find(&agent, "a boat leaves&mode=meaning"), [FACTS[0]]);
    let read = agent.client.get(&path(&agent, &stored, "")).expect(200);
    assert_eq!(read["cid"], stored["cid"], "a vector changes no record");
}

#[test]
fn what_is_changed_or_forgotten_is_not_found_by_what_it_meant() {
    let (_turn, world) = world();
    let agent = open_agent(world, "amnesiac");
    let (boat, pie) = (store(&agent, FACTS[0]), store(&agent, FACTS[4]));
    wait_for_vectors(&agent, 2);
    assert_eq!(find(&agent, "a boat leaves&mode=meaning")[0], FACTS[0]);
    world.embedder.set(Gate::Shut);
    let body = json!({ "record": { "$type": "agent.memory.fact", "text": FACTS[6] } });
    let headers = [("content-type", "application/json")];
    let text = body.to_string();
    let put = agent
        .client
        .send("PUT", &path(&agent, &pie, ""), &headers, text.as_bytes());
    let _ = put.expect(200);
    assert_eq!(meaning(&agent)["vectors"], 1, "before the new one is made");
    let forget = path(&agent, &boat, "/forget");
    let report = agent.client.post(&forget, &json!({})).expect(200);
    let done = report["done"].as_array().unwrap();
    let vector = json!({ "step": "vector", "of": boat["id"] });
    assert!(done.contains(&vector), "{report}");
    assert_eq!(meaning(&agent)["vectors"], 0);
    world.embedder.set(Gate::Open);
    wait_for_vectors(&agent, 1);
    assert_eq!(find(&agent, "a boat leaves&mode=meaning"), [FACTS[6]]);
    world.deployment.kill9("alpha");
    world.deployment.restart("alpha");
    assert_eq!(find(&agent, "a boat leaves&mode=meaning"), [FACTS[6]]);
}

#[test]
fn the_service_reads_nothing_private_that_it_was_not_let() {
    let (_turn, world) = world();
    let agent = world.deployment.network("alpha").create_agent("discreet");
    let (hidden, shown) = ("the heliotrope vault", "the amaranth gate");
    store(&agent, hidden);
    let public = store(&agent, shown);
    let act = path(&agent, &public, "/public");
    let _ = agent.client.post(&act, &json!({})).expect(200);
    wait_for_vectors(&agent, 1);
    let words = search(&agent, "heliotrope").expect(200);
    assert_eq!(words["mode"], "words", "what is looked for is read, too");
    assert_eq!(find(&agent, "amaranth&mode=meaning"), [shown]);
    assert!(world.embedder.has_read(shown) && !world.embedder.has_read("heliotrope"));
    let _ = let_read(&agent, &["agent.memory.fact"]).expect(200);
    wait_for_vectors(&agent, 2);
    assert!(world.embedder.has_read(hidden));
    // Taken back, its vector goes.
    let _ = let_read(&agent, &[]).expect(200);
    wait_for_vectors(&agent, 1);
    assert_eq!(find(&agent, "heliotrope vault&mode=meaning"), [shown]);
    let withdrawn = agent.client.delete(&act).expect(200);
    assert_eq!(withdrawn["level"], "private");
    wait_for_vectors(&agent, 0);
}
