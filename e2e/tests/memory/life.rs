//! Memory ages: what holds now is shown, episodes roll up, what is covered goes to the archive.

use entente_e2e::wait::{PATIENCE, wait_for};

use super::*;

/// Everything is due at once.
fn eager() -> Value {
    json!({ "minAgeDays": 0, "maxStrength": 100, "minEpisodes": 2, "maxEpisodes": 3 })
}

fn settings(agent: &Agent, settings: &Value) -> Reply {
    put(agent, &agent.path("/memory/settings"), settings)
}

fn compact(agent: &Agent, body: &Value) -> Reply {
    agent.client.post(&agent.path("/memory/compaction"), body)
}

fn episodes(agent: &Agent, count: usize) -> Vec<Value> {
    let one = |number: usize| {
        let text = format!("The crane was repaired. Shift {number} ended.");
        remember(agent, "episode", &text, json!({}))
    };
    (0..count).map(one).collect()
}

#[test]
fn lists_and_searches_show_what_holds_now_or_then_or_everything() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("ageing");
    let old = remember(&agent, "fact", "Ada lives in Berlin", json!({}));
    let key = old["id"].as_str().unwrap().split(':').nth(1).unwrap();
    let new = remember(
        &agent,
        "fact",
        "Ada lives in Rome",
        json!({ "supersedes": key, "validFrom": "2001-01-01T00:00:00Z" }),
    );
    remember(
        &agent,
        "fact",
        "Ada lives in a tent",
        json!({ "validFrom": "1999-01-01T00:00:00Z", "validTo": "2000-01-01T00:00:00Z" }),
    );
    let later = json!({ "validFrom": "2999-01-01T00:00:00Z", "supersedes": new["uri"] });
    remember(&agent, "fact", "Ada lives on Mars", later);
    assert_eq!(find(&agent, "q=Ada"), ["Ada lives in Rome"]);
    assert_eq!(texts(&list(&agent, "", 2)), ["Ada lives in Rome"]);
    let mut then = find(&agent, "q=Ada&validAt=1999-06-01T00:00:00Z");
    then.sort();
    assert_eq!(then, ["Ada lives in Berlin", "Ada lives in a tent"]);
    let future = "&validAt=2999-06-01T00:00:00Z";
    assert_eq!(texts(&list(&agent, future, 2)), ["Ada lives on Mars"]);
    assert_eq!(find(&agent, "q=Ada&state=all").len(), 4);
    assert_eq!(list(&agent, "&state=all", 3).len(), 4);
    let shown = get(&agent, &old).expect(200);
    assert_eq!(
        shown["supersededBy"], new["id"],
        "what was replaced says by what"
    );
    // Without its replacement it holds again.
    assert_eq!(agent.client.delete(&path(&agent, &new, "")).status, 204);
    assert_eq!(find(&agent, "q=Berlin"), ["Ada lives in Berlin"]);
}

#[test]
fn episodes_roll_up_into_a_summary_and_go_to_the_archive_over_a_kill() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("compactor");
    let made = episodes(&agent, 3);
    let plan = || {
        let path = agent.path("/memory/compaction");
        agent.client.get(&path).expect(200)["rollups"].clone()
    };
    assert_eq!(plan(), json!([]), "nothing is old enough");
    let _ = settings(&agent, &json!({ "compaction": eager() })).expect(200);
    let covers = plan()[0]["covers"].clone();
    assert_eq!(covers.as_array().unwrap().len(), 3);
    let part = json!({ "covers": [covers[0]], "text": "Cranes." });
    compact(&agent, &part).refused(400, "SUMMARY_INCOMPLETE");
    compact(&agent, &json!({ "text": "Cranes." })).refused(400, "SUMMARY_INCOMPLETE");
    let mut changed = covers.clone();
    changed[0]["cid"] = covers[1]["cid"].clone();
    compact(&agent, &json!({ "covers": changed })).refused(409, "RECORD_CHANGED");
    assert_eq!(find(&agent, "q=crane").len(), 3, "nothing has changed");

    let whole = json!({ "covers": covers, "text": "Three shifts mended the jib." });
    let stored = compact(&agent, &whole).expect(200);
    deployment.kill9("alpha");
    deployment.restart("alpha");
    let again = compact(&agent, &whole).expect(200);
    assert_eq!(again, stored, "sent again, it finds what it stored");
    let summary = &stored["summaries"][0];
    let links = summary["record"]["covers"].as_array().unwrap();
    for episode in &made {
        assert!(links.contains(&json!({ "$link": episode["cid"] })));
        let read = get(&agent, episode).expect(200);
        assert!(
            read["archivedAt"].is_string(),
            "archived, and readable: {read}"
        );
    }
    assert_eq!(find(&agent, "q=crane"), Vec::<String>::new());
    assert_eq!(find(&agent, "q=crane&state=archived").len(), 3);
    assert_eq!(find(&agent, "q=jib"), ["Three shifts mended the jib."]);
    assert_eq!(
        list(&agent, "&collection=agent.memory.episode", 50).len(),
        0
    );
    assert_eq!(plan(), json!([]), "nothing is covered twice");
}

#[test]
fn an_agent_compacts_archives_and_forgets_by_itself_when_it_is_told_to() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("self-tender");
    let made = episodes(&agent, 6);
    let shown = agent
        .client
        .get(&agent.path("/memory/settings"))
        .expect(200);
    assert_eq!(shown["compaction"]["auto"], false, "off unless it is set");
    let mut wanted = eager();
    wanted["auto"] = json!(true);
    let body = json!({ "compaction": wanted });
    assert_eq!(settings(&agent, &body).expect(200)["compaction"], wanted);
    deployment.kill9("alpha");
    deployment.restart("alpha");
    let summaries = wait_for("two summaries", PATIENCE, || {
        let found = list(&agent, "&collection=agent.memory.summary", 50);
        (found.len() == 2).then_some(found)
    });
    for summary in &summaries {
        let text = summary["record"]["text"].as_str().unwrap();
        assert_eq!(text.matches("The crane was repaired.").count(), 1, "{text}");
    }
    let kept = remember(&agent, "episode", "A whale was seen.", json!({}));
    let rule = json!({ "collection": "agent.memory.episode", "deleteAfterDays": 0 });
    let _ = settings(&agent, &json!({ "retention": [rule] })).expect(200);
    deployment.kill9("alpha");
    deployment.restart("alpha");
    wait_for("the episodes to be forgotten", PATIENCE, || {
        let gone = |episode: &Value| get(&agent, episode).status == 404;
        made.iter().all(gone).then_some(())
    });
    let _ = get(&agent, &kept).expect(200);
}

#[test]
fn settings_and_times_that_make_no_sense_are_refused() {
    let (_turn, deployment) = deployment();
    let agent = deployment.network("alpha").create_agent("senseless");
    for (bad, code) in [
        (
            json!({ "compaction": { "maxEpisodes": 0 } }),
            "INVALID_SETTING",
        ),
        (
            json!({ "retention": [{ "collection": "*.x" }] }),
            "INVALID_SETTING",
        ),
        (json!({ "retain": [] }), "INVALID_BODY"),
    ] {
        settings(&agent, &bad).refused(400, code);
    }
    let times = json!({ "validFrom": "2026-01-02T00:00:00Z", "validTo": "2026-01-02T00:00:00Z" });
    let mut body = note("never");
    body["record"]
        .as_object_mut()
        .unwrap()
        .extend(times.as_object().unwrap().clone());
    let reply = agent.client.post(&agent.path("/memory"), &body);
    reply.refused(400, "VALIDITY_EMPTY");
    for query in ["?state=old", "/search?q=x&state=old"] {
        let path = agent.path(&format!("/memory{query}"));
        agent.client.get(&path).refused(400, "INVALID_STATE");
    }
    let path = agent.path("/memory/compaction?cursor=aaaa");
    agent.client.get(&path).refused(400, "INVALID_CURSOR");
    assert_eq!(list(&agent, "&state=all", 50).len(), 0);
}
