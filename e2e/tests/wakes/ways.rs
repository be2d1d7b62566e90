//! How an agent hears of what its filters let through.

use super::*;

#[test]
fn an_agent_is_woken_by_what_fits_of_its_own_network_and_of_another() {
    let shared = shared();
    let (alpha, beta) = (
        shared.deployment.network("alpha"),
        shared.deployment.network("beta"),
    );
    let (speaker, neighbour) = (
        alpha.create_agent("ways-speaker"),
        beta.create_agent("ways-near"),
    );
    let sleeper = beta.create_agent("ways-sleeper");
    let hook = json!({ "url": shared.receiver.url("/woken"), "events": ["agent.woken"] });
    let _ = sleeper
        .client
        .post(&sleeper.path("/webhooks"), &hook)
        .expect(201);
    let filter = leave(&sleeper, &json!({ "collections": ["agent.public.ways.*"] }));
    let mut heard = socket(&sleeper);
    let far = announce(&speaker, "agent.public.ways.far");
    let first = heard.until("the far one", |frame| frame["type"] == "wake");
    assert_eq!(first["event"]["message"], far.as_str());
    assert_eq!(first["event"]["kind"], "announcement.received");
    assert_eq!(first["event"]["from"], speaker.address.as_str());
    assert_eq!(first["filters"], json!([filter]));
    let _ = announce(&neighbour, "agent.public.other");
    let near = announce(&neighbour, "agent.public.ways.near");
    let second = heard.until("the near one", |frame| frame["type"] == "wake");
    assert_eq!(second["event"]["message"], near.as_str());
    let all = woken_by(&sleeper, &near);
    assert_eq!(subjects(&all), [far.clone(), near.clone()]);
    let after = page(&sleeper, first["cursor"].as_str().unwrap(), 10);
    assert_eq!(after["wakes"][0]["event"]["message"], near.as_str());
    assert_eq!(after["wakes"].as_array().unwrap().len(), 1);
    let posted = shared.receiver.wait_for("/woken", 2);
    let told: Vec<_> = posted
        .iter()
        .map(|one| one.value()["data"]["event"]["message"].clone())
        .collect();
    assert!(
        told.contains(&json!(far)) && told.contains(&json!(near)),
        "{told:?}"
    );
    assert!(
        posted
            .iter()
            .all(|one| one.value()["type"] == "agent.woken")
    );
}

#[test]
fn a_filter_that_is_replaced_or_removed_counts_no_more() {
    let beta = shared().deployment.network("beta");
    let (speaker, sleeper) = (
        beta.create_agent("turn-speaker"),
        beta.create_agent("turn-sleeper"),
    );
    let id = leave(&sleeper, &json!({ "collections": ["agent.public.turn-a"] }));
    let first = announce(&speaker, "agent.public.turn-a");
    let _ = woken_by(&sleeper, &first);
    let path = sleeper.path(&format!("/filters/{id}"));
    let wish = json!({ "collections": ["agent.public.turn-b"] });
    let body = serde_json::to_vec(&wish).unwrap();
    let set = sleeper
        .client
        .send("PUT", &path, &[("content-type", "application/json")], &body);
    assert_eq!(set.expect(200)["collections"], wish["collections"]);
    wait_for("the filter to be in force", PATIENCE, || {
        (sleeper.client.get(&path).expect(200)["state"] == "active").then_some(())
    });
    let _ = announce(&speaker, "agent.public.turn-a");
    let second = announce(&speaker, "agent.public.turn-b");
    assert_eq!(
        subjects(&woken_by(&sleeper, &second)),
        [first.clone(), second.clone()]
    );
    let other = leave(&sleeper, &json!({ "collections": ["agent.public.turn-c"] }));
    assert_eq!(sleeper.client.delete(&path).status, 204);
    let _ = announce(&speaker, "agent.public.turn-b");
    let third = announce(&speaker, "agent.public.turn-c");
    assert_eq!(
        subjects(&woken_by(&sleeper, &third)),
        [first, second, third]
    );
    let list = sleeper.client.get(&sleeper.path("/filters")).expect(200);
    assert_eq!(list["filters"].as_array().unwrap().len(), 1);
    assert_eq!(list["filters"][0]["id"], other.as_str());
}

#[test]
fn what_an_agent_does_itself_wakes_it_only_if_it_asks_and_what_others_do_has_no_names() {
    let beta = shared().deployment.network("beta");
    let (quiet, curious) = (
        beta.create_agent("own-quiet"),
        beta.create_agent("own-curious"),
    );
    let other = beta.create_agent("own-other");
    let _ = leave(&quiet, &json!({ "kinds": ["message.*"] }));
    let _ = leave(&curious, &json!({ "kinds": ["message.*"], "own": true }));
    let _ = leave(&quiet, &json!({ "collections": ["agent.public.own"] }));
    let sent = quiet.send(&other.address, "not seen by its writer");
    quiet.wait_for_status(&sent, "delivered");
    let mine = curious.send(&other.address, "seen by its writer");
    curious.wait_for_status(&mine, "delivered");
    // Both see what the other does, without its names.
    let full = wait_for("its own message to wake the curious", 2 * PATIENCE, || {
        let all = wakes(&curious);
        all.into_iter()
            .find(|wake| wake["event"]["message"] == mine.as_str())
    });
    assert_eq!(full["event"]["from"], curious.address.as_str());
    let end = announce(&other, "agent.public.own");
    for wake in woken_by(&quiet, &end) {
        let event = &wake["event"];
        if event["kind"] != "announcement.made" {
            assert!(
                event["message"].is_null() && event["label"].is_null(),
                "{event}"
            );
            let from = event["from"].as_str().unwrap_or("anon-");
            assert!(from.starts_with("anon-"), "{event}");
        }
    }
    let log = wakes(&quiet);
    let text = serde_json::to_string(&log).unwrap();
    assert!(!text.contains(&sent) && !text.contains(&mine) && !text.contains(&curious.did));
}
