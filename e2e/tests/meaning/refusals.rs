//! Services that answer something else, and setups that have changed.

use super::*;

#[test]
fn vectors_of_another_size_are_refused_until_all_are_made_anew() {
    let (_turn, world) = world();
    let agent = open_agent(world, "resized");
    store(&agent, "The ferry departs at nine.");
    wait_for_vectors(&agent, 1);
    world.embedder.set(Gate::Narrow);
    search(&agent, "boat&mode=meaning").refused(409, "VECTOR_DIMENSIONS");
    store(&agent, "Tom plays the violin.");
    wait_for("the new vector to be refused", PATIENCE, || {
        let view = meaning(&agent);
        let refused = view["lastError"]["code"] == "VECTOR_DIMENSIONS";
        (refused && view["vectors"] == 1 && view["pending"] == 1).then_some(())
    });
    assert_eq!(find(&agent, "violin").len(), 1, "words find it");
    let reembed = agent.path("/memory/reembed");
    let _ = agent.client.post(&reembed, &json!({})).expect(200);
    assert_eq!(wait_for_vectors(&agent, 2)["dimensions"], 3);
    assert_eq!(find(&agent, "boat&mode=meaning").len(), 2);
}

#[test]
fn a_network_that_names_another_model_or_none_says_so() {
    let (_turn, world) = world();
    let agent = open_agent(world, "remodelled");
    store(&agent, "The ferry departs at nine.");
    wait_for_vectors(&agent, 1);
    let deployment = &world.deployment;
    deployment.kill9("alpha");
    let other = deployment.run_misconfigured("alpha", &[("EMBEDDING_MODEL", Some("another"))]);
    search(&agent, "boat&mode=meaning").refused(409, "VECTOR_MODEL");
    assert_eq!(search(&agent, "ferry").expect(200)["mode"], "words");
    let reembed = agent.path("/memory/reembed");
    let _ = agent.client.post(&reembed, &json!({})).expect(200);
    assert_eq!(wait_for_vectors(&agent, 1)["model"], "another");
    assert_eq!(find(&agent, "boat&mode=meaning").len(), 1);
    drop(other);
    let none = deployment.run_misconfigured("alpha", &[("EMBEDDING_URL", None)]);
    for query in ["boat&mode=meaning", "boat&mode=hybrid"] {
        search(&agent, query).refused(409, "EMBEDDER_OFF");
    }
    assert_eq!(search(&agent, "ferry").expect(200)["mode"], "words");
    drop(none);
    let bad = [("EMBEDDING_URL", Some("http://169.254.169.254/v1"))];
    let bad = deployment.run_misconfigured("alpha", &bad);
    search(&agent, "boat&mode=meaning").refused(503, "CONFIG_INVALID");
    assert_eq!(find(&agent, "ferry").len(), 1);
    store(&agent, "Storing goes on.");
    drop(bad);
    deployment.restart("alpha");
    search(&agent, "boat&mode=nonsense").refused(400, "INVALID_MODE");
}
